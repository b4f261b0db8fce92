"""Imperfections of a paper exchange, each a pure function of a seed and the order's name."""

import hashlib
from dataclasses import dataclass

from propdesk.model.enums import EntryType, Side

_SPAN = 1 << 32


@dataclass(frozen=True, slots=True)
class FillModel:
    """How a paper fill differs from the price that was reached.

    Attributes
    ----------
    seed : int
        Drives every draw; the same seed and order name give the same draw, whatever happened before.
    slippage_ratio : float
        Largest share of the price by which a marketable fill (MARKET and STOP entries, stops, timed
        exits) is worse; the draw is uniform between 0 and it. Limit fills never slip.
    reject_share : float
        Share of placed orders that are refused.
    partial_share : float
        Share of entries that fill only in part (half the lots, at least one lot less than all).
    """

    seed: int = 0
    slippage_ratio: float = 0.0
    reject_share: float = 0.0
    partial_share: float = 0.0

    def draw(self, name: str, purpose: str) -> float:
        """Uniform number in [0, 1) that belongs to one order and one purpose."""
        digest = hashlib.sha256(f"{self.seed}|{purpose}|{name}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / _SPAN

    def is_rejected(self, name: str) -> bool:
        """Whether the exchange refuses the order."""
        return self.reject_share > 0 and self.draw(name, "reject") < self.reject_share

    def filled_quantity(self, name: str, quantity: int, lot_size: int) -> int:
        """Units of the entry that fill, a multiple of the lot, > 0."""
        lots = quantity // lot_size
        if lots < 2 or self.partial_share <= 0 or self.draw(name, "partial") >= self.partial_share:
            return quantity
        return lots // 2 * lot_size

    def slipped(self, name: str, purpose: str, price_paise: int, side: Side) -> int:
        """Price of a marketable fill: never better than ``price_paise`` for the side that trades."""
        if self.slippage_ratio <= 0:
            return price_paise
        worse = int(price_paise * self.slippage_ratio * self.draw(name, purpose))
        return max(1, price_paise + side.sign * worse)


def is_marketable(entry_type: EntryType) -> bool:
    """Whether an entry takes what the market offers once it acts."""
    return entry_type in (EntryType.MARKET, EntryType.STOP)

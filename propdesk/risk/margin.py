"""Margin that a position blocks, modelled by product, category and effective date."""

import bisect
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from propdesk.core.errors import GapFault
from propdesk.core.invariant import require
from propdesk.model.enums import Category, Product, Side

PPM = 1_000_000
"""Shares of value are stored in parts per million, so that margins are exact integers."""


class MarginKind(StrEnum):
    """Kinds of exposure that are margined alike; the value is the YAML's word."""

    CNC = "CNC"
    MTF = "MTF"
    INTRADAY_EQUITY = "INTRADAY_EQUITY"
    OPTION_BUY = "OPTION_BUY"
    INDEX_FUTURE = "INDEX_FUTURE"
    STOCK_FUTURE = "STOCK_FUTURE"
    INDEX_OPTION_SELL = "INDEX_OPTION_SELL"
    STOCK_OPTION_SELL = "STOCK_OPTION_SELL"
    EXPIRY_DAY_ADDITION = "EXPIRY_DAY_ADDITION"


@dataclass(frozen=True, slots=True)
class MarginRate:
    """Share of the exposure that is blocked from a day on, parts per million."""

    kind: MarginKind
    since: date
    share_ppm: int


@dataclass(frozen=True, slots=True)
class MarginModel:
    """Dated margin rates.

    Attributes
    ----------
    rates : tuple of MarginRate
        Any order.
    delivery_steps_ppm : tuple of int
        Addition for stock derivatives 4, 3, 2 and 1 trading days before expiry, as a share of value.
    version : str
        Names the table in lineage.
    """

    rates: tuple[MarginRate, ...]
    delivery_steps_ppm: tuple[int, ...]
    version: str
    _table: dict[MarginKind, tuple[list[date], list[int]]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Sort the rates once."""
        by_kind: dict[MarginKind, list[MarginRate]] = defaultdict(list)
        for rate in sorted(self.rates, key=lambda r: r.since):
            by_kind[rate.kind].append(rate)
        self._table.update(
            {
                kind: ([r.since for r in found], [r.share_ppm for r in found])
                for kind, found in by_kind.items()
            }
        )

    def share_ppm(self, kind: MarginKind, day: date) -> int:
        """Share in force on ``day``; 0 for an addition that did not exist yet.

        Raises
        ------
        GapFault
            If the table does not reach back to ``day``.
        """
        days, shares = self._table.get(kind, ([], []))
        at = bisect.bisect_right(days, day)
        if at:
            return shares[at - 1]
        if kind is MarginKind.EXPIRY_DAY_ADDITION:
            return 0
        raise GapFault(f"config/margins.yaml knows no {kind.value} margin on {day}; add a line with its date")


def product_of(category: Category, period_is_intraday: bool) -> Product:
    """Broker product that an idea is held under."""
    if period_is_intraday:
        return Product.INTRADAY
    return Product.MARGIN if category.is_derivative else Product.CNC


def margin_kind(category: Category, product: Product, side: Side) -> MarginKind:
    """Tell how a position is margined."""
    if category is Category.NSE_EQ:
        kinds = {Product.CNC: MarginKind.CNC, Product.MTF: MarginKind.MTF}
        return kinds.get(product, MarginKind.INTRADAY_EQUITY)
    if category.is_option and side is Side.BUY:
        return MarginKind.OPTION_BUY
    return {
        Category.INDEX_FUT: MarginKind.INDEX_FUTURE,
        Category.STOCK_FUT: MarginKind.STOCK_FUTURE,
        Category.INDEX_OPT: MarginKind.INDEX_OPTION_SELL,
        Category.STOCK_OPT: MarginKind.STOCK_OPTION_SELL,
    }[category]


def margin_share_ppm(
    model: MarginModel,
    kind: MarginKind,
    category: Category,
    day: date,
    days_to_expiry: int | None,
) -> int:
    """Share of the exposure that is blocked, step-ups included, parts per million.

    Parameters
    ----------
    model : MarginModel
        Dated rates.
    kind : MarginKind
        From `margin_kind`.
    category : Category
        Of the instrument.
    day : date
        Day of entry.
    days_to_expiry : int or None
        Trading days from ``day`` to the expiry, 0 on the expiry itself; None for cash.
    """
    share = model.share_ppm(kind, day)
    if kind is MarginKind.INDEX_OPTION_SELL and days_to_expiry == 0:
        share += model.share_ppm(MarginKind.EXPIRY_DAY_ADDITION, day)
    steps = model.delivery_steps_ppm
    if (
        category.is_stock_derivative
        and kind is not MarginKind.OPTION_BUY
        and days_to_expiry is not None
        and 1 <= days_to_expiry <= len(steps)
    ):
        share += steps[len(steps) - days_to_expiry]
    return share


def margin_per_lot_paise(
    model: MarginModel,
    *,
    category: Category,
    product: Product,
    side: Side,
    day: date,
    price_paise: int,
    underlying_paise: int | None,
    lot_size: int,
    days_to_expiry: int | None,
) -> int:
    """Work out what one lot blocks.

    Parameters
    ----------
    price_paise : int
        Price of the instrument, > 0; a bought option blocks its premium.
    underlying_paise : int or None
        Price of the underlying: exposure of a sold option. None elsewhere.
    lot_size : int
        Units.
    days_to_expiry : int or None
        Trading days to expiry.

    Returns
    -------
    int
        Paise, rounded up.

    Raises
    ------
    GapFault
        If the table does not reach back to ``day``.
    InvariantViolated
        If a sold option comes without the price of its underlying.

    Notes
    -----
    An approximation (the broker's calculator is the authority): shares of value for SPAN and exposure,
    2 % more for sold index options on their expiry day, delivery step-ups in the last four trading days of
    stock derivatives. Source: §2.6, reference/nse_market.md 7.
    """
    kind = margin_kind(category, product, side)
    exposure = price_paise
    if kind in (MarginKind.INDEX_OPTION_SELL, MarginKind.STOCK_OPTION_SELL):
        require(underlying_paise is not None, "the margin of a sold option needs its underlying's price")
        exposure = underlying_paise or 0
    share = margin_share_ppm(model, kind, category, day, days_to_expiry)
    return -(-exposure * lot_size * share // PPM)

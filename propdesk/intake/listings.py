"""When cash stocks had listed derivatives, which decides when they close (§2.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class DerivativeListings:
    """Closed spans of days on which each stock had listed derivatives, by its symbol.

    Examples
    --------
    >>> listings = DerivativeListings({"TCS": [(date(2026, 8, 3), date(2026, 8, 31))]})
    >>> listings.include("TCS", date(2026, 8, 31)), listings.include("TCS", date(2026, 9, 1))
    (True, False)
    """

    spans: Mapping[str, Sequence[tuple[date, date]]] = field(default_factory=dict)

    def include(self, symbol: str, day: date) -> bool:
        """Whether a stock has listed derivatives on a day."""
        return any(first <= day <= last for first, last in self.spans.get(symbol, ()))

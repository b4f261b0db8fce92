"""When cash stocks had listed derivatives, which decides when they close (§2.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DerivativeListings:
    """Closed spans of days on which each stock had listed derivatives, by its symbol.

    Attributes
    ----------
    spans : mapping of str to sequence of (first, last)
        Rising and apart.

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


def mark_listed(instruments: Sequence[Instrument], listings: DerivativeListings) -> list[Instrument]:
    """Mark cash shares on the days on which derivatives on them are listed.

    Parameters
    ----------
    instruments : sequence of Instrument
        Any; only shares not marked yet can change.

    Returns
    -------
    list of Instrument
        In the same order; a share's row is cut where its derivatives begin or end.

    Notes
    -----
    Since August 2026 such a share stops trading at 15:15: a file of shares alone must not hide that.
    """
    found: list[Instrument] = []
    for one in instruments:
        spans = listings.spans.get(one.underlying, ())
        if one.category is not Category.NSE_EQ or one.has_derivatives or not spans:
            found.append(one)
        else:
            found += _cut(one, spans)
    return found


def _cut(share: Instrument, spans: Sequence[tuple[date, date]]) -> list[Instrument]:
    pieces = []
    start = share.valid_from
    for first, last in spans:
        if last < start or first > share.valid_to:
            continue
        if start < first:
            pieces.append(replace(share, valid_from=start, valid_to=first - _DAY))
        end = min(last, share.valid_to)
        pieces.append(replace(share, valid_from=max(first, start), valid_to=end, has_derivatives=True))
        if end == share.valid_to:
            return pieces
        start = end + _DAY
    return [*pieces, replace(share, valid_from=start)]

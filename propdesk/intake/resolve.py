"""One signal to one listed instrument as of a day, or the reason why not (§1.5)."""

from collections.abc import Iterable
from datetime import date, timedelta

from propdesk.intake.aliases import Aliases
from propdesk.intake.reasons import RejectReason
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument
from propdesk.model.signal import Signal

LISTED_AROUND = timedelta(days=120)
"""A contract listed this long before or after a day is told from one that is unknown, calendar days."""

_WEEK_DAYS = 7
_ContractKey = tuple[Category, str, int | None, OptionType | None]


class InstrumentLookup:
    """Instruments as of any date.

    Parameters
    ----------
    instruments : iterable of Instrument
        Any order; several validity intervals per instrument. Where two hold on one day, the later
        one in the iterable wins.
    aliases : Aliases, optional
        Spellings of underlyings; without it names must be canonical.
    """

    def __init__(self, instruments: Iterable[Instrument], aliases: Aliases | None = None) -> None:
        self._aliases = aliases or Aliases()
        self._by_key: dict[str, list[Instrument]] = {}
        self._contracts: dict[_ContractKey, dict[date | None, list[Instrument]]] = {}
        self._expiries: dict[tuple[Category, str], dict[date, list[Instrument]]] = {}
        for one in instruments:
            self._by_key.setdefault(one.instrument_key, []).append(one)
            key = (one.category, one.underlying, one.strike_paise, one.option_type)
            self._contracts.setdefault(key, {}).setdefault(one.expiry, []).append(one)
            if one.expiry is not None:
                listed = self._expiries.setdefault((one.category, one.underlying), {})
                listed.setdefault(one.expiry, []).append(one)
        self._listed_cache: dict[tuple[Category, str, date], list[date]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, instrument_key: str, on_date: date) -> Instrument | None:
        """Give an instrument with its values of a day; None if it is not listed then."""
        return _holding(self._by_key.get(instrument_key, []), on_date)

    def has_derivatives(self, symbol: str, on_date: date) -> bool:
        """Whether a cash stock has listed derivatives on a day."""
        stock = self.get(f"{Category.NSE_EQ}:{symbol}", on_date)
        return stock is not None and stock.has_derivatives

    def listed(self, on_date: date) -> list[Instrument]:
        """List everything with its values of a day, by key."""
        found = (self.get(key, on_date) for key in sorted(self._by_key))
        return [one for one in found if one is not None]

    def expiry_days(self, category: Category, underlying: str, first: date, last: date) -> list[date]:
        """List the days of the closed range on which contracts listed that day expire, rising.

        Weekly expiries moved between weekdays over the years; only contracts tell when they expire.
        """
        listed = self._expiries.get((category, underlying), {})
        return sorted(
            day
            for day, contracts in listed.items()
            if first <= day <= last and any(_holds(one, day) for one in contracts)
        )

    def expiries(self, category: Category, underlying: str, on_date: date) -> list[date]:
        """List the expiries listed on a day that are not past, rising."""
        key = (category, underlying, on_date)
        if key not in self._listed_cache:
            listed = self._expiries.get((category, underlying), {})
            self._listed_cache[key] = sorted(
                day
                for day, contracts in listed.items()
                if day >= on_date and any(_holds(one, on_date) for one in contracts)
            )
        return self._listed_cache[key]

    def resolve(self, signal: Signal, on_date: date) -> Instrument | RejectReason:
        """Find the one instrument a signal means; see `resolve_instrument`."""
        return self.find(
            signal.category,
            self._aliases.canonical(signal.underlying, on_date),
            signal.expiry,
            signal.strike_paise,
            signal.option_type,
            on_date,
            expiry_rule=signal.expiry_rule,
        )

    def find(
        self,
        category: Category,
        underlying: str,
        expiry: date | None,
        strike_paise: int | None,
        option_type: OptionType | None,
        on_date: date,
        *,
        expiry_rule: str | None = None,
    ) -> Instrument | RejectReason:
        """Find a contract by what it is.

        Returns
        -------
        Instrument or RejectReason
            EXPIRED or NOT_YET_LISTED (it was or will be within `LISTED_AROUND`), AMBIGUOUS (no expiry given
            and several are listed) or UNKNOWN_SYMBOL.
        """
        by_expiry = self._contracts.get((category, underlying, strike_paise, option_type), {})
        if category.is_derivative and expiry is None:
            if expiry_rule is not None:
                expiry = pick_expiry(expiry_rule, self.expiries(category, underlying, on_date), on_date)
                if expiry is None:
                    return RejectReason.UNKNOWN_SYMBOL
            else:
                return _only_listed(by_expiry, on_date)
        if expiry is not None and expiry < on_date:
            return RejectReason.EXPIRED
        rows = by_expiry.get(expiry, [])
        return _holding(rows, on_date) or _why_not(rows, on_date)


def resolve_instrument(signal: Signal, lookup: InstrumentLookup, on_date: date) -> Instrument | RejectReason:
    """Find the one instrument a signal means, with its values of that day.

    Parameters
    ----------
    signal : Signal
        Typed; its underlying may still be an alias that the lookup knows.
    lookup : InstrumentLookup
        The instrument master.
    on_date : date
        Trade date of the signal.

    Returns
    -------
    Instrument or RejectReason
        UNKNOWN_SYMBOL, EXPIRED, AMBIGUOUS or NOT_YET_LISTED.
    """
    return lookup.resolve(signal, on_date)


def pick_expiry(rule: str, listed: list[date], on_date: date) -> date | None:
    """Choose among the listed expiries of a day; never by a hard-coded weekday (§1.5).

    Parameters
    ----------
    rule : str
        ``CURRENT_WEEKLY`` (the next within seven days), ``NEXT_WEEKLY`` (the one after it, within fourteen),
        ``CURRENT_MONTHLY`` (the nearest that is the last listed of its month), ``NEXT_MONTHLY``, ``MONTH-01``
        (the monthly of the next January) or ``DAY-01-30`` (the next 30 January).
    listed : list of date
        Expiries not yet past, rising.
    on_date : date
        The day on which the words were said.

    Returns
    -------
    date or None
        None if none fits.

    Notes
    -----
    Weekly contracts expire at most seven days apart whatever their weekday, and in its last week a monthly
    contract is the weekly one. Where the nearest expiry is farther there is no weekly contract (BANKNIFTY
    since November 2024), and a monthly one is not what the words say.
    """
    if not listed:
        return None
    monthly = [
        day
        for day, later in zip(listed, [*listed[1:], None], strict=True)
        if later is None or (later.year, later.month) != (day.year, day.month)
    ]
    if rule.startswith("DAY-"):
        month, day_of_month = int(rule[4:6]), int(rule[7:9])
        chosen = [day for day in listed if (day.month, day.day) == (month, day_of_month)]
    elif rule.startswith("MONTH-"):
        chosen = [day for day in monthly if day.month == int(rule[6:8])]
    elif rule.endswith("_WEEKLY"):
        chosen = _weekly(rule, listed, on_date)
    else:
        chosen = monthly[1:] if rule.startswith("NEXT") else monthly
    return chosen[0] if chosen else None


def _weekly(rule: str, listed: list[date], on_date: date) -> list[date]:
    rank = 1 if rule.startswith("NEXT") else 0
    within = timedelta(days=_WEEK_DAYS * (rank + 1))
    return [day for day in listed[rank : rank + 1] if day - on_date <= within]


def explain(reason: RejectReason, what: str, on_date: date) -> str:
    """Say in a sentence why a contract was not found, and the remedy."""
    sentences = {
        RejectReason.UNKNOWN_SYMBOL: (
            f"{what} is in no instrument master of {on_date}: load the master of that day or add an alias"
        ),
        RejectReason.EXPIRED: f"{what} had expired by {on_date}",
        RejectReason.AMBIGUOUS: f"{what} names no expiry and several are listed on {on_date}: name one",
        RejectReason.NOT_YET_LISTED: f"{what} is listed only after {on_date}",
    }
    return sentences.get(reason, f"{what} could not be resolved on {on_date}")


def _holds(one: Instrument, on_date: date) -> bool:
    return one.valid_from <= on_date <= one.valid_to


def _holding(rows: list[Instrument], on_date: date) -> Instrument | None:
    found = None
    for one in rows:
        if _holds(one, on_date):
            found = one
    return found


def _why_not(rows: list[Instrument], on_date: date) -> RejectReason:
    """Tell a contract of another time from an unknown one, by what the narrowest reader has read too."""
    first, last = on_date - LISTED_AROUND, on_date + LISTED_AROUND
    near = [one for one in rows if one.valid_from <= last and one.valid_to >= first]
    if not near:
        return RejectReason.UNKNOWN_SYMBOL
    if any(one.valid_from > on_date for one in near):
        return RejectReason.NOT_YET_LISTED
    return RejectReason.EXPIRED


def _only_listed(by_expiry: dict[date | None, list[Instrument]], on_date: date) -> Instrument | RejectReason:
    """Take the only contract alive; with several the advisor's silence is not for us to fill."""
    alive = [
        one
        for expiry, rows in by_expiry.items()
        if expiry is not None and expiry >= on_date and (one := _holding(rows, on_date)) is not None
    ]
    if len(alive) == 1:
        return alive[0]
    if alive:
        return RejectReason.AMBIGUOUS
    return _why_not([one for rows in by_expiry.values() for one in rows], on_date)

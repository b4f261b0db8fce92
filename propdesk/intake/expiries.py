"""The calendar of expiry days of an underlying, from the contracts listed and the days traded (§1.5)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from propdesk.core.calendar import MarketCalendar, Segment
from propdesk.intake.resolve import InstrumentLookup
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument

MONTH: Final = timedelta(days=31)
"""So far behind a range the next expiry is looked for, which tells whether one is the last of its month."""


@dataclass(frozen=True, slots=True)
class ExpiryDay:
    """A day on which contracts of one kind expire.

    Attributes
    ----------
    is_monthly : bool
        The last expiry listed in its month; every other one is a weekly contract's.
    count_contracts : int
        Contracts that expire then.
    trades_until_ns : int or None
        When derivatives close that day; None = the exchange does not trade then, or the calendar ends before.
    moved_to : date or None
        For a day that has become a holiday: the market day before it, on which the contracts expire instead.
        The file that lists them is older than the holiday.
    session_name : str or None
        Name of a special session.
    """

    day: date
    category: Category
    is_monthly: bool
    count_contracts: int
    trades_until_ns: int | None
    moved_to: date | None
    session_name: str | None


def expiry_calendar(
    instruments: Sequence[Instrument], calendar: MarketCalendar, first: date, last: date
) -> list[ExpiryDay]:
    """List the expiry days of one underlying.

    Parameters
    ----------
    instruments : sequence of Instrument
        Everything of the underlying that is listed on any day of the closed range or `MONTH` after it.
    first, last : date
        Closed range of days.

    Returns
    -------
    list of ExpiryDay
        By day and category; only of contracts still listed on the day itself.
    """
    lookup = InstrumentLookup(instruments)
    found = []
    for category, underlying in sorted({(one.category, one.underlying) for one in instruments}):
        listed = lookup.expiry_days(category, underlying, first, last + MONTH)
        for day, later in itertools.zip_longest(listed, listed[1:]):
            if day > last:
                break
            trades = calendar.is_market_day(day)
            is_known = calendar.first_day < day <= calendar.last_day
            special = calendar.special_session(day) if trades else None
            found.append(
                ExpiryDay(
                    day=day,
                    category=category,
                    is_monthly=later is None or (later.year, later.month) != (day.year, day.month),
                    count_contracts=sum(
                        one.expiry == day and one.category is category for one in lookup.listed(day)
                    ),
                    trades_until_ns=calendar.hours(day, Segment.DERIVATIVES).close_ns if trades else None,
                    moved_to=calendar.previous_day(day) if is_known and not trades else None,
                    session_name=special.name if special else None,
                )
            )
    return sorted(found, key=lambda one: (one.day, one.category.value))

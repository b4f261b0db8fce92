"""Expiry days by the contracts listed and the days traded."""

from dataclasses import replace
from datetime import date

from propdesk.core.calendar import IST, HoursRule, MarketCalendar, Segment, SpecialSession
from propdesk.core.clock import from_ns
from propdesk.intake.expiries import ExpiryDay, expiry_calendar
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument, instrument_key

FIRST, LAST = date(2026, 7, 28), date(2026, 8, 31)
HOLIDAY, DRILL = date(2026, 8, 11), date(2026, 8, 18)
WEEKLIES = [date(2026, 7, 28), date(2026, 8, 4), HOLIDAY, DRILL, date(2026, 8, 25), date(2026, 9, 1)]


def calendar() -> MarketCalendar:
    days = [date(2026, month, day) for month in (7, 8) for day in range(1, 32)]
    close = ((date(2000, 1, 1), 930), (date(2026, 8, 3), 940))
    hours = [HoursRule(Segment.DERIVATIVES, since, 555, minute, 910) for since, minute in close]
    special = {DRILL: SpecialSession("drill", ((555, 600),))}
    return MarketCalendar([day for day in days if day != HOLIDAY], hours, special, [])


def contract(expiry: date, category: Category, strike: int | None = None) -> Instrument:
    kind = None if strike is None else OptionType.CE
    key = instrument_key(category, "NIFTY", expiry, strike, kind)
    return Instrument(
        key, category, "NIFTY", expiry, strike, kind, "NSE_FNO", "1", 65, 5, 0, "XX", False,
        date(2026, 7, 1), expiry,
    )  # fmt: skip


def listed() -> list[Instrument]:
    options = [contract(day, Category.INDEX_OPT, strike) for day in WEEKLIES for strike in (100, 200)]
    return [*options, contract(date(2026, 8, 25), Category.INDEX_FUT)]


def closes(one: ExpiryDay) -> str | None:
    return None if one.trades_until_ns is None else f"{from_ns(one.trades_until_ns).astimezone(IST):%H:%M}"


def test_each_day_says_what_expires_and_until_when_it_trades() -> None:
    found = expiry_calendar(listed(), calendar(), FIRST, LAST)
    shown = [
        (one.day.day, one.category.value, one.is_monthly, one.count_contracts, closes(one)) for one in found
    ]
    assert shown == [
        (28, "INDEX_OPT", True, 2, "15:30"),
        (4, "INDEX_OPT", False, 2, "15:40"),
        (11, "INDEX_OPT", False, 2, None),
        (18, "INDEX_OPT", False, 2, "10:00"),
        (25, "INDEX_FUT", True, 1, "15:40"),
        (25, "INDEX_OPT", True, 2, "15:40"),
    ]
    assert [one.moved_to for one in found if one.moved_to] == [date(2026, 8, 10)]
    assert [one.session_name for one in found if one.session_name] == ["drill"]


def test_a_contract_that_was_moved_away_before_its_day_is_not_in_it() -> None:
    moved = [replace(one, valid_to=date(2026, 7, 31)) if one.expiry == HOLIDAY else one for one in listed()]
    moved.append(contract(date(2026, 8, 10), Category.INDEX_OPT, 100))
    days = [one.day.day for one in expiry_calendar(moved, calendar(), date(2026, 8, 5), date(2026, 8, 17))]
    assert days == [10]


def test_beyond_the_calendar_nothing_is_said_of_the_day() -> None:
    (one,) = expiry_calendar(listed(), calendar(), date(2026, 9, 1), date(2026, 9, 30))
    assert (one.trades_until_ns, one.moved_to) == (None, None)
    assert expiry_calendar([], calendar(), FIRST, LAST) == []

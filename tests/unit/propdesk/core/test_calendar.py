"""Calendar: market days, hours, trade dates, sessions."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.calendar import (
    HoursRule,
    MarketCalendar,
    Segment,
    SpecialSession,
    ist_date,
    ist_midnight_ns,
    ist_minute,
    ist_text,
    ist_to_ns,
    weekday_of,
)
from propdesk.core.clock import NS_PER_MINUTE, from_ns, to_ns
from propdesk.core.errors import GapFault, InvariantViolated
from propdesk.core.vocabulary import Session, Weekday

MONDAY = date(2026, 8, 3)
SPECIAL_SUNDAY = date(2026, 8, 9)
DAYS = [MONDAY + timedelta(days=i) for i in range(5)] + [SPECIAL_SUNDAY, date(2026, 8, 11)]
HOURS = [
    HoursRule(Segment.CASH, date(2000, 1, 1), 555, 930, 910),
    HoursRule(Segment.CASH_FNO, date(2000, 1, 1), 555, 930, 910),
    HoursRule(Segment.DERIVATIVES, date(2000, 1, 1), 555, 930, 910),
    HoursRule(Segment.CASH_FNO, date(2026, 8, 3), 555, 915, 900),
    HoursRule(Segment.DERIVATIVES, date(2026, 8, 3), 555, 940, 910),
]
CALENDAR = MarketCalendar(DAYS, HOURS, {SPECIAL_SUNDAY: SpecialSession("Muhurat", ((18 * 60, 19 * 60),))})


def at(day: date, clock: str) -> int:
    return ist_to_ns(datetime.combine(day, time.fromisoformat(clock)))


def test_ist_is_five_and_a_half_hours_ahead() -> None:
    assert from_ns(ist_midnight_ns(MONDAY)) == datetime(2026, 8, 2, 18, 30, tzinfo=UTC)
    assert ist_text(at(MONDAY, "09:15")) == "2026-08-03 09:15:00 IST"
    assert ist_minute(at(MONDAY, "09:15")) == 555


@pytest.mark.parametrize(
    ("clock", "session"),
    [
        ("09:14:59", Session.AFTER_HOURS),
        ("09:15", Session.MORNING),
        ("11:29:59", Session.MORNING),
        ("11:30", Session.MIDDAY),
        ("13:30", Session.AFTERNOON),
        ("15:39:59", Session.AFTERNOON),
        ("15:40", Session.AFTER_HOURS),
    ],
)
def test_sessions_are_half_open(clock: str, session: Session) -> None:
    assert CALENDAR.session(at(MONDAY, clock), Segment.DERIVATIVES) is session


def test_close_depends_on_segment_and_date() -> None:
    assert CALENDAR.hours(MONDAY, Segment.CASH_FNO).close_ns == at(MONDAY, "15:15")
    assert CALENDAR.hours(MONDAY, Segment.CASH_FNO).square_off_ns == at(MONDAY, "15:00")
    assert CALENDAR.hours(MONDAY, Segment.DERIVATIVES).close_ns == at(MONDAY, "15:40")
    assert CALENDAR.hours(MONDAY, Segment.DERIVATIVES).square_off_ns == at(MONDAY, "15:10")
    assert CALENDAR.hours(SPECIAL_SUNDAY, Segment.CASH).square_off_ns == at(SPECIAL_SUNDAY, "18:45")


def test_trade_date_is_the_first_day_on_which_one_can_act() -> None:
    friday = date(2026, 8, 7)
    assert CALENDAR.trade_date(at(MONDAY, "06:00"), Segment.CASH) == MONDAY
    assert CALENDAR.trade_date(at(MONDAY, "15:15"), Segment.CASH_FNO) == date(2026, 8, 4)
    assert CALENDAR.trade_date(at(friday, "15:40"), Segment.DERIVATIVES) == SPECIAL_SUNDAY
    assert CALENDAR.trade_date(at(date(2026, 8, 8), "12:00"), Segment.CASH) == SPECIAL_SUNDAY


def test_weekend_sessions_have_no_weekday() -> None:
    assert weekday_of(SPECIAL_SUNDAY) is None
    assert weekday_of(MONDAY) is Weekday.MONDAY


def test_shifting_counts_market_days() -> None:
    assert CALENDAR.shift(MONDAY, 1) == date(2026, 8, 4)
    assert CALENDAR.shift(date(2026, 8, 8), 1) == SPECIAL_SUNDAY
    assert CALENDAR.shift(date(2026, 8, 8), -1) == date(2026, 8, 7)
    assert CALENDAR.shift(MONDAY, 0) == MONDAY
    with pytest.raises(GapFault, match="market_calendar"):
        CALENDAR.shift(MONDAY, 100)
    with pytest.raises(InvariantViolated):
        CALENDAR.shift(date(2026, 8, 8), 0)


def test_days_outside_an_empty_interval() -> None:
    assert CALENDAR.market_days(date(2026, 8, 8), date(2026, 8, 8)) == []
    assert CALENDAR.market_days(date(2026, 8, 9), date(2026, 8, 3)) == []


@given(st.integers(0, 4 * 10**18))
def test_moments_survive_the_round_trip(ns: int) -> None:
    assert to_ns(from_ns(ns)) == ns // 1000 * 1000
    assert ist_midnight_ns(ist_date(ns)) <= ns < ist_midnight_ns(ist_date(ns) + timedelta(days=1))


@given(st.integers(-2000, 12000))
def test_trade_date_never_lies_before_receipt(minutes: int) -> None:
    received = ist_midnight_ns(MONDAY) + minutes * NS_PER_MINUTE
    if received >= at(date(2026, 8, 11), "15:00"):
        return
    for segment in Segment:
        day = CALENDAR.trade_date(received, segment)
        assert CALENDAR.hours(day, segment).close_ns > received
        earlier = [d for d in DAYS if d < day]
        assert all(CALENDAR.hours(d, segment).close_ns <= received for d in earlier)

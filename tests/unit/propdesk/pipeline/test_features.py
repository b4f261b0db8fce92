from datetime import date

import numpy as np
import pytest

from propdesk.core.calendar import Segment, ist_date
from propdesk.pipeline.features import average_slot_value, day_sessions, load_bars
from tests.support.market import MemoryPrices, at, bars, small_calendar

FIRST, MINUTES, LAST = date(2025, 1, 8), date(2025, 1, 9), date(2025, 1, 10)
KEY = "NSE_EQ:ACME"
LEVELS = (10_000, 10_100, 9_900, 10_050)
CLOCKS = ("09:15", "09:16")


def daily(*days: date) -> list[tuple[int, ...]]:
    return [(at(day, "00:00"), *LEVELS, 500) for day in days]


def mixed() -> MemoryPrices:
    """Minutes on the middle day only, a daily row on each."""
    minutes = bars(MINUTES, [(clock, *LEVELS) for clock in CLOCKS])
    return MemoryPrices({KEY: minutes}, daily={KEY: daily(FIRST, MINUTES, LAST)})


def test_a_day_without_minutes_has_its_daily_bar_beside_another_days_minutes() -> None:
    found = load_bars(mixed(), [KEY], small_calendar(), FIRST, LAST)[KEY]
    assert found.bars.start_ns.tolist() == [
        at(FIRST, "09:15"), *(at(MINUTES, clock) for clock in CLOCKS), at(LAST, "09:15"),
    ]  # fmt: skip
    assert found.end_ns.tolist() == [
        at(FIRST, "15:30"), at(MINUTES, "09:16"), at(MINUTES, "09:17"), at(LAST, "15:30"),
    ]  # fmt: skip
    assert found.is_daily.tolist() == [True, False, False, True]
    assert found.bars.volume.tolist() == [500, 1_000, 1_000, 500]


def test_bars_of_a_day_do_not_depend_on_the_range() -> None:
    days = (FIRST, MINUTES, LAST)
    ranges = [(a, b) for a in days for b in days if a <= b]
    calendar = small_calendar()
    seen: dict[date, set[tuple[tuple[int, ...], ...]]] = {day: set() for day in days}
    for first, last in ranges:
        book = load_bars(mixed(), [KEY], calendar, first, last)[KEY]
        rows = list(zip(*(book.bars.start_ns.tolist(), book.end_ns.tolist(), book.is_daily), strict=True))
        for day in days:
            if first <= day <= last:
                seen[day].add(tuple(row for row in rows if ist_date(row[0]) == day))
    assert {day: len(found) for day, found in seen.items()} == dict.fromkeys(days, 1)
    assert all(next(iter(found)) for found in seen.values())


def test_daily_rows_off_the_calendar_and_keys_without_any_price_are_left_out() -> None:
    saturday = date(2025, 1, 11)
    prices = MemoryPrices({}, daily={KEY: daily(saturday), "NSE_EQ:BOLT": daily(LAST, saturday)})
    book = load_bars(prices, [KEY, "NSE_EQ:BOLT", "NSE_EQ:CITY"], small_calendar(), FIRST, saturday)
    assert {key: found.bars.start_ns.tolist() for key, found in book.items()} == {
        "NSE_EQ:BOLT": [at(LAST, "09:15")]
    }
    assert load_bars(prices, [], small_calendar(), FIRST, LAST) == {}


def test_slot_value_does_not_depend_on_how_far_back_was_read() -> None:
    calendar, before = small_calendar(), date(2025, 1, 1)
    sessions = day_sessions(calendar, Segment.CASH, before, LAST)
    # so large a value that a running sum of floats would lose its last paise
    history = [(at(before, "09:15"), *LEVELS, 10**14 + 1)]
    yesterday = bars(MINUTES, [("14:15", *LEVELS)], volume=10)
    moment = np.array([at(LAST, "10:15")])
    found = {}
    for name, minutes in {"narrow": yesterday, "wide": history + yesterday}.items():
        book = load_bars(MemoryPrices({KEY: minutes}), [KEY], calendar, before, LAST)
        found[name] = float(average_slot_value(book[KEY], moment, sessions)[0])
    assert found["narrow"] == found["wide"] == pytest.approx(10 * 10_050 / (375 / 5), rel=1e-15)


def test_slot_value_is_unknown_where_nothing_was_traded_for_a_day() -> None:
    calendar = small_calendar()
    sessions = day_sessions(calendar, Segment.CASH, FIRST, LAST)
    book = load_bars(MemoryPrices({KEY: bars(FIRST, [("14:15", *LEVELS)])}), [KEY], calendar, FIRST, LAST)
    assert np.isnan(average_slot_value(book[KEY], np.array([at(LAST, "10:15")]), sessions)).all()
    assert np.isnan(average_slot_value(None, np.array([at(LAST, "10:15")]), sessions)).all()

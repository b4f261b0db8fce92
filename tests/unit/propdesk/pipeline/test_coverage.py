from datetime import date

import pandas as pd

from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.pipeline.coverage import ALIVE_COLUMNS, DayPrices, judge_coverage, needed_series

DAYS = [date(2025, 1, 1), date(2025, 1, 2), date(2025, 1, 6)]
OPEN = ist_midnight_ns(DAYS[0]) + 555 * NS_PER_MINUTE
CALL, INDEX, SHARE = "INDEX_OPT:NIFTY:2025-01-09:2350000:CE", "INDEX:NIFTY", "NSE_EQ:TCS"


def ideas(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame([dict(zip(ALIVE_COLUMNS, row, strict=True)) for row in rows], columns=ALIVE_COLUMNS)


def verdicts(prices: DayPrices, needed: set[str], underlyings: set[str]) -> dict[str, tuple[int, int]]:
    found = judge_coverage(prices, needed, underlyings)
    assert all(one["success"] == (one["count_unexpected"] == 0) for one in found)
    return {one["expectation"]: (one["count_rows"], one["count_unexpected"]) for one in found}


def test_an_idea_needs_prices_from_its_day_to_its_end() -> None:
    found = needed_series(
        ideas(
            (date(2024, 12, 30), CALL, INDEX, "TARGET_1", DAYS[1], None),  # of before the range
            (DAYS[0], SHARE, SHARE, "INCOMPLETE", None, DAYS[1]),
            (DAYS[1], "NSE_EQ:INFY", "NSE_EQ:INFY", "OPEN", None, None),
            (DAYS[1], "NSE_EQ:LATE", "NSE_EQ:LATE", "NOT_TRIGGERED", None, None),
            (DAYS[1], None, None, None, None, None),
        ),
        DAYS,
    )
    assert found[DAYS[0]] == ({CALL, SHARE}, {INDEX})
    assert found[DAYS[1]] == ({CALL, SHARE, "NSE_EQ:INFY", "NSE_EQ:LATE"}, {INDEX})
    assert found[DAYS[2]] == ({"NSE_EQ:INFY"}, set())


def test_no_idea_needs_nothing() -> None:
    assert needed_series(ideas(), DAYS) == {day: (frozenset(), frozenset()) for day in DAYS}
    assert needed_series(ideas((DAYS[0], SHARE, SHARE, "OPEN", None, None)), []) == {}


def test_a_day_with_all_prices_holds_though_a_contract_is_silent() -> None:
    gaps = {CALL: [(OPEN, OPEN + 20 * NS_PER_MINUTE)]}
    found = verdicts(DayPrices(750, 2, (), gaps, {CALL, INDEX}), {CALL}, {INDEX})
    assert found == {
        "day_has_prices": (750, 0),
        "feed_has_no_outage": (750, 0),
        "needed_series_have_prices": (2, 0),
        "underlyings_have_no_gap": (1, 0),
    }


def test_what_is_missing_is_named() -> None:
    silence = [(OPEN, OPEN + 40 * NS_PER_MINUTE)]
    prices = DayPrices(300, 1, silence, {INDEX: silence}, {INDEX})
    found = {one["expectation"]: one for one in judge_coverage(prices, {CALL}, {INDEX})}
    assert found["feed_has_no_outage"]["count_unexpected"] == 40
    assert found["feed_has_no_outage"]["examples"] == ["2025-01-01 09:15:00 IST to 2025-01-01 09:55:00 IST"]
    assert found["needed_series_have_prices"]["examples"] == [CALL]
    assert found["underlyings_have_no_gap"]["examples"] == [INDEX]


def test_a_day_without_a_file_lacks_everything() -> None:
    found = verdicts(DayPrices(0, 0, (), {}, ()), {SHARE}, set())
    assert found["day_has_prices"] == (0, 1)
    assert found["needed_series_have_prices"] == (1, 1)

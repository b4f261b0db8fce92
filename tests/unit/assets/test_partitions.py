from datetime import date

import pytest
from dagster import DailyPartitionsDefinition, Failure, build_asset_context
from dagster._core.definitions.partitions.partition_key_range import PartitionKeyRange

from adapters.calendar import load_calendar
from assets._shared.partitions import TIMEZONE, build_market_days, worked_range
from propdesk.core.calendar import HoursRule, MarketCalendar, Segment

HOURS = [HoursRule(segment, date(2018, 1, 1), 555, 930, 915) for segment in Segment]


def test_holidays_are_no_partitions_and_weekend_sessions_are() -> None:
    days = build_market_days(load_calendar(), date(2026, 1, 1))
    assert days.has_partition_key("2026-02-01"), "Sunday of the Budget session"
    assert not days.has_partition_key("2026-01-26"), "Republic Day"
    assert not days.has_partition_key("2026-01-24"), "an ordinary Saturday"


def test_every_past_partition_is_a_market_day() -> None:
    calendar = load_calendar()
    keys = build_market_days(calendar, date(2021, 3, 26)).get_partition_keys_in_range(
        PartitionKeyRange("2021-03-26", "2025-12-31")
    )
    assert [date.fromisoformat(key) for key in keys] == calendar.market_days(
        date(2021, 3, 26), date(2025, 12, 31)
    )


def test_definition_does_not_move_with_the_calendars_end() -> None:
    days = [date(2025, 12, day) for day in (1, 2, 3)] + [date(2026, 1, 5), date(2027, 1, 4)]
    shorter = MarketCalendar(days, HOURS)
    longer = MarketCalendar([*days, date(2027, 1, 5)], HOURS)
    assert build_market_days(shorter, date(2025, 12, 1)) == build_market_days(longer, date(2025, 12, 1))


def test_a_calendar_without_closed_days_excludes_nothing() -> None:
    calendar = MarketCalendar([date(2025, 1, 1), date(2026, 1, 1)], HOURS)
    assert build_market_days(calendar, date(2026, 1, 2)).exclusions is None


def test_the_day_before_is_the_stock_definitions_asked_once_or_again() -> None:
    days = build_market_days(load_calendar(), date(2024, 1, 1))
    stock = DailyPartitionsDefinition(
        start_date="2024-01-01", timezone=TIMEZONE, end_offset=1, exclusions=days.exclusions
    )
    for _ in range(2):
        at = days.time_window_for_partition_key("2024-03-04").start
        for _ in range(60):  # from January on beyond the first partition
            for bounded in (True, False):
                found = days.get_prev_partition_window(at, respect_bounds=bounded)
                assert found == stock.get_prev_partition_window(at, respect_bounds=bounded)
            assert found is not None
            at = found.start


def context_of(first: str, last: str):  # type: ignore[no-untyped-def]
    days = build_market_days(load_calendar(), date(2024, 1, 1))
    from dagster import asset

    @asset(partitions_def=days)
    def anything() -> None: ...

    return build_asset_context(partition_key_range=PartitionKeyRange(first, last))


def test_a_range_is_cut_off_at_today() -> None:
    found = worked_range(context_of("2024-01-01", "2024-01-05"), date(2024, 1, 3))
    assert (found.first, found.last) == (date(2024, 1, 1), date(2024, 1, 3))
    assert str(found) == "2024-01-01 to 2024-01-03"


def test_a_range_that_lies_in_the_future_is_refused() -> None:
    with pytest.raises(Failure, match="lies after today"):
        worked_range(context_of("2024-01-04", "2024-01-05"), date(2024, 1, 3))


def test_days_hash_as_dagsters_own_and_spell_exclusions_out_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    days = build_market_days(load_calendar(), date(2024, 1, 1))
    stock = DailyPartitionsDefinition(
        start_date="2024-01-01", timezone=TIMEZONE, end_offset=1, exclusions=list(days.exclusions or [])
    )
    assert (days, hash(days)) == (stock, hash(stock))
    monkeypatch.setattr(DailyPartitionsDefinition, "__repr__", lambda _: pytest.fail("spelled out again"))
    assert hash(days) == days._hash

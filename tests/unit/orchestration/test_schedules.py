from datetime import UTC, date, datetime

import pytest

from adapters.calendar import load_calendar
from adapters.settings import Settings
from orchestration.schedules import SCHEDULES, daily_request, market_day_of, oldest_alive

CALENDAR = load_calendar()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("fires", "previous", "day"),
    [
        ("2025-06-12T16:00+05:30", False, date(2025, 6, 12)),
        ("2025-06-12T08:30+05:30", True, date(2025, 6, 11)),
        ("2025-06-14T16:00+05:30", False, None),  # Saturday
        ("2025-03-31T16:00+05:30", False, None),  # holiday
        ("2025-02-01T16:00+05:30", False, date(2025, 2, 1)),  # Saturday session
        ("2025-06-16T08:30+05:30", True, date(2025, 6, 13)),  # Monday serves Friday
        ("2025-06-13T03:00+05:30", False, date(2025, 6, 13)),  # still 12 June in UTC
    ],
)
def test_a_schedule_serves_market_days_of_the_ist_calendar(
    fires: str, previous: bool, day: date | None
) -> None:
    assert market_day_of(CALENDAR, at(fires), previous=previous) == day


@pytest.mark.parametrize(
    ("oldest", "first"),
    [(None, "2025-06-12"), (date(2025, 5, 2), "2025-05-02"), (date(2025, 6, 13), "2025-06-12")],
)
def test_the_daily_run_starts_at_the_oldest_open_trade(oldest: date | None, first: str) -> None:
    request = daily_request("after_close", date(2025, 6, 12), oldest)
    assert request.tags["dagster/asset_partition_range_start"] == first
    assert request.tags["dagster/asset_partition_range_end"] == "2025-06-12"
    assert request.run_key == "after_close:2025-06-12"


def test_the_daily_run_goes_back_no_further_than_a_trade_can_live() -> None:
    settings = Settings(_env_file=None, validity_positional_days=3, time_out_positional_days=4,
                        validity_swing_days=1, time_out_swing_days=2)  # fmt: skip
    # Seven market days, and one for an idea that came after the close.
    assert oldest_alive(CALENDAR, date(2025, 6, 12), settings) == date(2025, 6, 2)
    longer = settings.model_copy(update={"time_out_swing_days": 7})
    assert oldest_alive(CALENDAR, date(2025, 6, 12), longer) == date(2025, 5, 30)
    start = CALENDAR.market_days(CALENDAR.first_day, date(2025, 1, 1))[0]
    assert oldest_alive(CALENDAR, start, settings) == start


def test_every_schedule_runs_on_indian_time() -> None:
    crons = {schedule.name: schedule.cron_schedule for schedule in SCHEDULES}
    assert crons == {
        "after_close": "0 16 * * *",
        "true_up": "30 19 * * *",
        "catch_up": "30 8 * * *",
        "before_open": "45 8 * * *",
        "morning_recordings": "0 8 * * *",
        "nightly_retention": "0 3 * * *",
    }
    assert {schedule.execution_timezone for schedule in SCHEDULES} == {"Asia/Kolkata"}

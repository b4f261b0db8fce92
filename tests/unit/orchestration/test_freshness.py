from datetime import date, datetime

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance

from adapters.calendar import load_calendar
from orchestration.freshness import due_day, missing_assets
from propdesk.core.clock import to_ns


@pytest.mark.parametrize(
    ("now", "day"),
    [
        ("2025-06-12T19:59+05:30", date(2025, 6, 11)),
        ("2025-06-12T20:00+05:30", date(2025, 6, 12)),
        ("2025-06-14T21:00+05:30", date(2025, 6, 13)),  # Saturday
        ("2025-03-31T21:00+05:30", date(2025, 3, 28)),  # holiday after a weekend
        ("2025-02-01T20:30+05:30", date(2025, 2, 1)),  # Saturday session
    ],
)
def test_the_due_day_follows_the_market_calendar(now: str, day: date) -> None:
    assert due_day(load_calendar(), to_ns(datetime.fromisoformat(now))) == day


def test_a_table_without_the_day_is_late_but_not_one_that_was_never_made() -> None:
    with DagsterInstance.ephemeral() as instance:
        for key, days in (("fresh", ["2025-06-11", "2025-06-12"]), ("stale", ["2025-06-11"])):
            for day in days:
                instance.report_runless_asset_event(AssetMaterialization(key, partition=day))
        keys = [AssetKey(name) for name in ("fresh", "stale", "never")]
        assert missing_assets(instance, keys, date(2025, 6, 12)) == [AssetKey("stale")]

from datetime import date, datetime

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterInstance

from adapters.calendar import load_calendar
from orchestration.freshness import Freshness, due_day, judge_freshness
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


DUE = date(2025, 6, 12)
KEYS = [AssetKey(name) for name in ("fresh", "stale", "never")]


def judge(held: dict[str, list[str]], newest: date | None = DUE) -> Freshness:
    with DagsterInstance.ephemeral() as instance:
        for key, days in held.items():
            for day in days:
                instance.report_runless_asset_event(AssetMaterialization(key, partition=day))
        return judge_freshness(instance, KEYS, load_calendar(), DUE, newest)


def test_a_table_without_the_day_is_late_but_not_one_that_was_never_made() -> None:
    found = judge({"fresh": ["2025-06-11", "2025-06-12"], "stale": ["2025-06-11"]})
    assert (found.is_live, found.late) == (True, (AssetKey("stale"),))
    assert found.sentence == (
        "1 of 2 tables lack 2025-06-12, which was due at 20:00 IST; look at the runs of that day: stale."
    )


def test_tables_that_hold_the_day_are_well() -> None:
    found = judge({"fresh": ["2025-06-12"], "stale": ["2025-06-12"]})
    assert (found.late, found.sentence) == ((), "All 2 tables hold 2025-06-12.")


@pytest.mark.parametrize(
    ("newest", "is_live"),
    [
        (date(2025, 5, 30), True),  # the tenth market day up to the due one, both ends counted
        (date(2025, 5, 29), False),
        (date(2025, 1, 31), False),
    ],
)
def test_a_past_market_is_not_stale(newest: date, is_live: bool) -> None:
    found = judge({"fresh": [newest.isoformat()], "stale": ["2025-06-11"]}, newest)
    assert found.is_live is is_live
    assert bool(found.late) is is_live
    assert is_live or f"The newest ideas are of {newest}: a past market, not judged." in found.sentence


def test_where_nothing_was_taken_in_nothing_is_late() -> None:
    found = judge({"stale": ["2025-06-11"]}, None)
    assert (found.newest, found.late, found.sentence) == (None, (), "No idea was taken in yet.")

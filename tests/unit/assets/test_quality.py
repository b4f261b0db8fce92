from datetime import date

import pandas as pd
import pytest

from adapters.quality import run_suite
from assets.quality import day_sentence, results_by_day

# The suites' library reads stamps in a way that pandas deprecates; as an error it fails the expectation.
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")

GOOD = {
    "record_id": ["a", "b", "c"],
    "kind": ["SIGNAL", "SIGNAL", "FOLLOWUP"],
    "revision": [1, 1, 1],
    "content_hash": ["x", "y", "z"],
    "posted_at": pd.to_datetime(["2025-01-01T04:00Z"] * 3),
    "received_at": pd.to_datetime(["2025-01-01T04:01Z"] * 3),
    "trade_date": [date(2025, 1, 1), date(2025, 1, 1), date(2025, 1, 2)],
}
DAYS = [date(2025, 1, 1), date(2025, 1, 2), date(2025, 1, 3)]


def judged(**changes: list[object]) -> dict[date, dict[str, dict[str, object]]]:
    frame = pd.DataFrame({**GOOD, **changes})
    daily = results_by_day(run_suite("raw_signals", frame), frame, DAYS, "trade_date")
    return {day: {str(one["expectation"]): one for one in results} for day, results in daily.items()}


def test_a_good_range_is_good_on_every_day() -> None:
    daily = judged()
    assert list(daily) == DAYS
    assert all(one["success"] for results in daily.values() for one in results.values())
    assert [next(iter(results.values()))["count_rows"] for results in daily.values()] == [2, 1, 0]


def test_a_bad_row_is_charged_to_its_own_day() -> None:
    daily = judged(kind=["SIGNAL", "NONSENSE", "FOLLOWUP"])
    bad = {day for day, results in daily.items() if not all(one["success"] for one in results.values())}
    assert bad == {date(2025, 1, 1)}


def test_a_days_verdict_names_what_does_not_hold() -> None:
    held, broken = ({"expectation": name, "success": name == "a"} for name in ("a", "b"))
    assert day_sentence([held, held]) == "all 2 expectations hold"
    assert day_sentence([held, broken]) == "1 of 2 expectations do not hold: b"

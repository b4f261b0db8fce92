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


def test_the_rows_of_a_day_are_alike_from_any_range() -> None:
    """Rows that break a watched or tolerant rule on some days, and none on others."""
    days = [date(2025, 1, n) for n in (1, 2, 3, 6)]
    frame = pd.DataFrame(
        {
            "trade_date": [days[0]] * 3 + [days[1]] * 2 + [days[2]] * 2,
            "followup_id": ["a", "b", "c", "d", "a", "e", "f"],
            "advisor_id": "A",
            "received_at": pd.to_datetime(["2025-01-01T04:00Z"] * 7),
            "kind": ["EXIT"] * 5 + ["NONSENSE", "EXIT"],
            "fraction": [0.5, 2.0, None, 0.5, 0.5, 0.5, 3.0],
            "signal_id": ["s"] * 3 + [None, "s", "s", "s"],
        }
    )
    whole = results_by_day(run_suite("followups", frame), frame, days, "trade_date")
    for day in days:
        alone = frame[frame["trade_date"] == day]
        assert whole[day] == results_by_day(run_suite("followups", alone), alone, [day], "trade_date")[day]
        assert whole[day] == run_suite("followups", alone).results
    by_name = {one["expectation"]: one for one in whole[days[1]]}
    orphans = by_name["not_be_null(signal_id)"]  # one of seven is tolerated, one of two is not
    assert (orphans["success"], orphans["count_unexpected"], orphans["count_rows"]) == (False, 1, 2)
    assert by_name["be_unique(followup_id)"]["success"], "the same id on another day is not this day's"

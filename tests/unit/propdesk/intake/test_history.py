"""Masters of several days as one history."""

import itertools
from collections.abc import Sequence
from datetime import date

import pytest

from propdesk.intake.history import OPEN_END, Contradiction, Coverage, Merged, Run, intervals, merge_file

OLD, DAY, LATER = date(2024, 1, 1), date(2025, 1, 2), date(2025, 3, 3)
EVE = date(2025, 1, 1)
NOTHING: Merged[str] = Merged({}, [], [], 0)


def take(
    merged: Merged[str],
    day: date,
    named: dict[str, str],
    coverage: Coverage = Coverage.LISTED,
    *,
    revise: bool = False,
) -> Merged[str]:
    runs = {key: Run(value, day, day) for key, value in named.items()}
    return merge_file(merged.runs, runs, merged.days, day, coverage, revise=revise)


def spans(
    merged: Merged[str], key: str, coverage: Coverage = Coverage.LISTED
) -> Sequence[tuple[str, date, date]]:
    return [(run.value, a, b) for a, b, run in intervals(merged.runs[key], merged.days, coverage)]


def test_a_later_master_closes_what_changed_and_what_went() -> None:
    merged = take(
        take(NOTHING, OLD, {"X": "lot 1", "GONE": "a", "SAME": "a"}), DAY, {"X": "lot 10", "SAME": "a"}
    )
    assert spans(merged, "X") == [("lot 1", OLD, EVE), ("lot 10", DAY, OPEN_END)]
    assert spans(merged, "GONE") == [("a", OLD, EVE)]
    assert spans(merged, "SAME") == [("a", OLD, OPEN_END)]
    assert merged.count_new == 1


def test_an_older_master_loaded_later_ends_where_the_known_begins() -> None:
    merged = take(take(NOTHING, DAY, {"X": "lot 10"}), OLD, {"X": "lot 1"})
    assert spans(merged, "X") == [("lot 1", OLD, EVE), ("lot 10", DAY, OPEN_END)]


def test_what_was_gone_in_between_is_not_bridged_by_whole_lists() -> None:
    merged = take(take(take(NOTHING, OLD, {"X": "a"}), LATER, {"X": "a"}), DAY, {})
    assert spans(merged, "X") == [("a", OLD, EVE), ("a", LATER, OPEN_END)]


def test_what_did_not_trade_in_between_was_there_all_the_time() -> None:
    merged = NOTHING
    for day, named in ((OLD, {"X": "a"}), (LATER, {"X": "a"}), (DAY, {"Y": "b"})):
        merged = take(merged, day, named, Coverage.TRADED)
    assert spans(merged, "X", Coverage.TRADED) == [("a", OLD, OPEN_END)]


@pytest.mark.parametrize("order", list(itertools.permutations((1, 3, 6, 8))))
def test_a_cut_bridge_begins_anew_only_where_a_file_named_it(order: tuple[int, ...]) -> None:
    files = {1: {"X": "75"}, 3: {"X": "50"}, 6: {"Y": "a"}, 8: {"X": "75"}}
    merged = NOTHING
    for number in order:
        merged = take(merged, date(2025, 1, number), files[number], Coverage.TRADED)
    assert spans(merged, "X", Coverage.TRADED) == [
        ("75", date(2025, 1, 1), date(2025, 1, 2)),
        ("50", date(2025, 1, 3), date(2025, 1, 7)),
        ("75", date(2025, 1, 8), OPEN_END),
    ]


@pytest.mark.parametrize("value", ["a", "b"])
def test_a_second_file_of_a_day_may_name_what_the_first_lacked(value: str) -> None:
    merged = NOTHING
    for day, named in ((OLD, {"X": "a"}), (LATER, {"X": "a"}), (DAY, {"Y": "c"}), (DAY, {"X": value})):
        merged = take(merged, day, named, Coverage.TRADED)
        assert merged.contradictions == []
    assert [seen for seen, a, b in spans(merged, "X", Coverage.TRADED) if a <= DAY <= b] == [value]
    assert all(run.lacking == () for run in merged.runs["X"])


def test_a_share_that_no_later_file_names_ended_before_the_next_one() -> None:
    merged = take(take(NOTHING, OLD, {"X": "a"}, Coverage.TRADED), DAY, {"Y": "b"}, Coverage.TRADED)
    assert spans(merged, "X", Coverage.TRADED) == [("a", OLD, EVE)]


def test_a_second_file_of_a_day_adds_and_does_not_rewrite() -> None:
    merged = take(take(NOTHING, DAY, {"X": "lot 1"}), DAY, {"X": "lot 5", "NEW": "a"})
    assert spans(merged, "X") == [("lot 1", DAY, OPEN_END)]
    assert spans(merged, "NEW") == [("a", DAY, OPEN_END)]
    assert merged.contradictions == [Contradiction("X", "lot 1", "lot 5")]


def test_a_correction_takes_the_day_whole_and_tells_what_it_replaced() -> None:
    merged = take(take(NOTHING, DAY, {"X": "lot 1", "GONE": "a"}), DAY, {"X": "lot 5"}, revise=True)
    assert spans(merged, "X") == [("lot 5", DAY, OPEN_END)]
    assert merged.runs["GONE"] == []
    assert set(merged.contradictions) == {
        Contradiction("X", "lot 1", "lot 5"),
        Contradiction("GONE", "a", None),
    }


def test_a_correction_in_the_middle_leaves_the_days_around_it() -> None:
    merged = NOTHING
    for day in (OLD, DAY, LATER):
        merged = take(merged, day, {"X": "a"})
    merged = take(merged, DAY, {"X": "b"}, revise=True)
    assert spans(merged, "X") == [("a", OLD, EVE), ("b", DAY, date(2025, 3, 2)), ("a", LATER, OPEN_END)]


@pytest.mark.parametrize("coverage", Coverage)
def test_dated_rows_end_when_they_say_so_and_yield_to_a_file(coverage: Coverage) -> None:
    dated = {"X": [Run("a", OLD, date(2024, 6, 30), date(2024, 6, 30))], "Y": [Run("b", OLD, OPEN_END)]}
    merged = merge_file(dated, {"Y": Run("c", DAY, DAY)}, [], DAY, coverage)
    assert spans(merged, "X", coverage) == [("a", OLD, date(2024, 6, 30))]
    assert spans(merged, "Y", coverage) == [("b", OLD, EVE), ("c", DAY, OPEN_END)]

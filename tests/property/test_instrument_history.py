"""Dated files merged into history: what a file said of its day is what that day reads, in whatever order."""

import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from propdesk.intake.history import OPEN_END, Coverage, Merged, Run, as_known, intervals, merge_file

START = date(2025, 1, 1)
KEYS = ("A", "B", "C")
Files = dict[date, dict[str, int]]

days = st.integers(0, 12).map(lambda n: START + timedelta(days=n))
contents = st.dictionaries(st.sampled_from(KEYS), st.integers(1, 3), max_size=3)
files = st.dictionaries(days, contents, min_size=1, max_size=6)
coverages = st.sampled_from(Coverage)


def in_some_order(content: Files, random: object) -> list[date]:
    order = list(content)
    random.shuffle(order)  # type: ignore[attr-defined]
    return order


def load(content: Files, order: list[date], coverage: Coverage) -> Merged[int]:
    merged: Merged[int] = Merged({}, [], [], 0)
    for day in order:
        named = {key: Run(value, day, day) for key, value in content[day].items()}
        merged = merge_file(merged.runs, named, merged.days, day, coverage)
    return merged


def holds(merged: Merged[int], key: str, day: date, coverage: Coverage) -> list[int]:
    spans = intervals(merged.runs.get(key, []), merged.days, coverage)
    return [run.value for first, last, run in spans if first <= day <= last]


@given(files, st.randoms(use_true_random=False), coverages)
def test_every_day_with_a_file_reads_what_its_file_said(
    content: Files, random: object, coverage: Coverage
) -> None:
    order = in_some_order(content, random)
    merged = load(content, order, coverage)
    assert merged.contradictions == []
    for day, named in content.items():
        for key in KEYS:
            found = holds(merged, key, day, coverage)
            if key in named:
                assert found == [named[key]], (key, day)
            elif coverage is Coverage.LISTED:
                assert found == [], (key, day)


@given(files, st.randoms(use_true_random=False), coverages)
def test_files_give_one_history_in_any_order(content: Files, random: object, coverage: Coverage) -> None:
    order = in_some_order(content, random)
    shuffled, risen = load(content, order, coverage), load(content, sorted(content), coverage)
    assert {key: rows for key, rows in shuffled.runs.items() if rows} == {
        key: rows for key, rows in risen.runs.items() if rows
    }


@given(files, st.randoms(use_true_random=False), coverages)
def test_intervals_never_overlap_and_begin_with_a_sighting_or_a_file(
    content: Files, random: object, coverage: Coverage
) -> None:
    order = in_some_order(content, random)
    merged = load(content, order, coverage)
    for key in KEYS:
        spans = intervals(merged.runs.get(key, []), merged.days, coverage)
        for (first, last, run), (later, _, _) in itertools.pairwise(spans):
            assert first <= last < later
            assert run.first_seen in content


@given(files, st.randoms(use_true_random=False), coverages)
def test_a_day_reads_no_value_that_only_a_later_file_named(
    content: Files, random: object, coverage: Coverage
) -> None:
    order = in_some_order(content, random)
    merged = load(content, order, coverage)
    for key in KEYS:
        for day in (START + timedelta(days=n) for n in range(13)):
            named = [content[past][key] for past in sorted(content) if past <= day and key in content[past]]
            assert holds(merged, key, day, coverage) in ([], named[-1:]), (key, day)


@given(files, days, st.randoms(use_true_random=False), coverages)
def test_what_was_known_on_a_day_is_what_its_files_alone_make(
    content: Files, day: date, random: object, coverage: Coverage
) -> None:
    whole = load(content, in_some_order(content, random), coverage)
    alone = load(content, sorted(one for one in content if one <= day), coverage)
    for key in KEYS:
        known = as_known(whole.runs.get(key, []), whole.days, day)
        expected = alone.runs.get(key, [])
        assert intervals(known, alone.days, coverage) == intervals(expected, alone.days, coverage), key


@given(files, contents, days, st.randoms(use_true_random=False), coverages)
def test_one_more_file_changes_no_day_another_file_fixed(
    content: Files, named: dict[str, int], day: date, random: object, coverage: Coverage
) -> None:
    order = in_some_order(content, random)
    before = load(content, order, coverage)
    runs = {key: Run(value, day, day) for key, value in named.items()}
    after = merge_file(before.runs, runs, before.days, day, coverage)
    for fixed, said in content.items():
        for key in said:
            assert holds(after, key, fixed, coverage) == [said[key]]
    if day in content:
        refused = {one.key for one in after.contradictions}
        assert refused == {k for k, v in named.items() if k in content[day] and content[day][k] != v}


@given(files, st.randoms(use_true_random=False), coverages)
def test_loading_everything_again_changes_nothing(content: Files, random: object, coverage: Coverage) -> None:
    order = in_some_order(content, random)
    once = load(content, order, coverage)
    again = once
    for day in order:
        named = {key: Run(value, day, day) for key, value in content[day].items()}
        again = merge_file(again.runs, named, again.days, day, coverage)
        assert again.count_new == 0
        assert again.contradictions == []
    assert again.runs == once.runs


@given(files, contents, st.randoms(use_true_random=False))
def test_a_correction_makes_its_day_read_as_if_it_had_been_the_first(
    content: Files, named: dict[str, int], random: object
) -> None:
    order = in_some_order(content, random)
    day = order[0]
    before = load(content, order, Coverage.LISTED)
    runs = {key: Run(value, day, day) for key, value in named.items()}
    after = merge_file(before.runs, runs, before.days, day, Coverage.LISTED, revise=True)
    expected = load(content | {day: named}, sorted(content), Coverage.LISTED)
    assert {k: v for k, v in after.runs.items() if v} == {k: v for k, v in expected.runs.items() if v}
    changed = {one.key for one in after.contradictions}
    assert changed == {k for k, v in content[day].items() if named.get(k) != v}


@given(st.lists(days, min_size=1, max_size=4, unique=True), days)
def test_a_contract_never_outlives_its_expiry(seen: list[date], expiry: date) -> None:
    merged: Merged[int] = Merged({}, [], [], 0)
    for day in seen:
        named = {"A": Run(1, day, day, expiry)} if day <= expiry else {}
        merged = merge_file(merged.runs, named, merged.days, day, Coverage.TRADED)
    for first, last, _ in intervals(merged.runs.get("A", []), merged.days, Coverage.TRADED):
        assert first <= last == expiry < OPEN_END

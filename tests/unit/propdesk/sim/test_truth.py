"""Judging ideas of advisors whose skill is known: only by earlier rules, counted once a window is full."""

import math
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.model.enums import Category, GateProfile, Period, Session
from propdesk.model.rule import Rule, RuleSet
from propdesk.rules.match import SignalDims
from propdesk.sim.advisor_habits import Kind
from propdesk.sim.truth import Advisor, Idea, Timeline, calibrate, play, shuffled, true_net_r
from tests.support.engine_day import failing, make_rule, make_ruleset

FIRST = date(2025, 1, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(30)]
TIMELINE = Timeline(DAYS, window_days=10)
DIMS = SignalDims("A01", Category.NSE_EQ, Period.INTRADAY, None, None, Session.MORNING)


def idea(day: int, net_r: float = 0.5, dims: SignalDims = DIMS) -> Idea:
    return Idea(DAYS[day], dims, net_r)


def judged(ideas: list[Idea], *rules: tuple[int, RuleSet]) -> tuple[object, list[float]]:
    dated = [(DAYS[day], ruleset) for day, ruleset in rules]
    figures, slope = play(ideas, {GateProfile.DESK: dated}, TIMELINE)
    return figures[GateProfile.DESK], slope


def test_rules_judge_later_ideas_up_to_the_next_as_of_date() -> None:
    good, bad = make_ruleset([make_rule()]), make_ruleset([failing(make_rule())])
    figures, _ = judged([idea(day) for day in range(12, 20)], (12, bad), (15, good))
    tally = figures.tallies["A01"]
    # day 12 came before any rule knew it, 13 to 15 failed, 16 to 19 passed
    assert (tally.ideas, tally.taken) == (7, 4)


def test_nothing_counts_before_a_window_is_full_but_detection() -> None:
    good = make_ruleset([make_rule()])
    figures, slope = judged([idea(day) for day in range(9, 13)], (4, good), (8, good), (9, good))
    assert TIMELINE.judged_from == DAYS[9]
    assert (figures.eligible, figures.tallies["A01"].rule_days) == ([1], 1)
    assert figures.tallies["A01"].first_day == 5
    assert figures.tallies["A01"].ideas == 3
    assert slope[0] == 3


def test_open_ideas_are_taken_but_have_no_result() -> None:
    figures, slope = judged([idea(12), idea(13, math.nan)], (10, make_ruleset([make_rule()])))
    tally = figures.tallies["A01"]
    assert (tally.taken, tally.taken_known, tally.taken_r, tally.known) == (2, 1, 0.5, 1)
    x = make_rule().post_mean_r
    assert slope == pytest.approx([1.0, x, 0.5, x * x, 0.5 * x])


def test_reverse_rules_are_told_apart() -> None:
    against = replace(make_rule(), is_adverse=True)
    figures, _ = judged([idea(12)], (10, make_ruleset([failing(make_rule())], [against])))
    tally = figures.tallies["A01"]
    assert (tally.taken, tally.reversed, tally.adverse_days, figures.adverse) == (0, 1, 1, [1])


def test_luck_of_the_posted_ideas_is_taken_off() -> None:
    row = {"gross_r_true": 0.1, "gross_r_posted": 0.3}
    assert true_net_r(row, [0.5, -0.1, math.nan]) == pytest.approx(0.0)
    assert math.isnan(true_net_r(row, [math.nan]))
    assert math.isnan(true_net_r({**row, "gross_r_true": None}, [0.5]))


def advisor(name: str, true_r: float, *, is_constant: bool = True) -> Advisor:
    return Advisor(name, Kind.LADDER, 0.1, is_constant, true_r, 100, 0.1, 0.9)


def test_only_mini_rules_of_constant_skill_are_calibrated() -> None:
    def rule(name: str, prob_edge: float) -> Rule:
        return make_rule(advisor_id=name, prob_edge=prob_edge)

    ruleset = make_ruleset(
        [rule("A", 0.85), rule("B", 0.89), rule("C", 0.85), rule("D", 1.0), rule("E", 0.0)]
    )
    known = [
        advisor("A", 0.2),
        advisor("B", 0.05),
        advisor("C", 0.3, is_constant=False),
        advisor("D", 0.06),
        advisor("E", math.nan),
    ]
    bins = calibrate([(DAYS[10], ruleset)], known, hurdle_r=0.05)
    assert bins[5] == (2, 1)  # 0.8 to 0.9
    assert bins[-1] == (1, 1)  # the last bin holds its upper edge
    assert sum(count for count, _ in bins) == 3


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(0, 3)), max_size=60), st.integers(0, 99))
def test_shuffling_moves_ideas_within_their_bucket_only(ideas: list[tuple[str, int]], seed: int) -> None:
    names, buckets = [name for name, _ in ideas], [bucket for _, bucket in ideas]
    found = shuffled(names, buckets, seed)
    assert Counter(zip(found, buckets, strict=True)) == Counter(ideas)
    assert found == shuffled(names, buckets, seed)


def test_shuffling_does_move_ideas() -> None:
    names = [f"A{n:02d}" for n in range(40)]
    assert shuffled(names, [0] * 40, 1) != names
    assert shuffled(names, list(range(40)), 1) == names

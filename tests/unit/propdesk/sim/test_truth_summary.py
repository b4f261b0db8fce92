"""Sums over seeds, their intervals, and what is accepted."""

import math

import pytest

from propdesk.model.enums import GateProfile
from propdesk.sim.advisor_habits import Kind
from propdesk.sim.truth import World
from propdesk.sim.truth_summary import ratio, summarise
from tests.support.truth import figures_of


def test_ratio_of_sums_with_a_jackknife_over_seeds() -> None:
    found = ratio([1.0, 3.0, 2.0], [10.0, 10.0, 10.0])
    assert found.value == pytest.approx(0.2)
    # for equal denominators the jackknife is the error of a mean: sd 0.1 / sqrt(3), t of two degrees 4.3027
    assert found.high - found.value == pytest.approx(4.302653 * 0.1 / math.sqrt(3.0), rel=1e-6)
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_one_seed_has_no_interval_and_no_ideas_no_ratio() -> None:
    single = ratio([1.0], [4.0])
    assert (single.value, math.isnan(single.low)) == (0.25, True)
    assert math.isnan(ratio([], []).value)


def test_shares_and_results_by_rung() -> None:
    summary = summarise([figures_of(1, taken=60), figures_of(2, taken=40)])
    desk = summary.profiles[GateProfile.DESK]
    row = {one.name: one for one in desk.ladder}["+20"]
    assert (row.advisors, row.ideas, row.taken.value, row.taken_r) == (2, 200, 0.5, pytest.approx(0.3))
    assert row.days_to_detect == 10
    # of 100 + 4 ideas taken the 4 are of somebody without skill, who has 2 of 22 rule days
    assert desk.unskilled_taken.value == pytest.approx(4 / 104)
    assert desk.false_rules.value == pytest.approx(2 / 22)
    assert desk.captured.value == pytest.approx((0.3 * 100 - 0.1 * 4) / (0.3 * 200))
    assert {one.name for one in desk.kinds} == {kind.value for kind in Kind} - {"LADDER"}


def test_everything_good_is_accepted() -> None:
    worlds = [figures_of(1, taken=60), figures_of(1, World.NO_SKILL), figures_of(1, World.PLACEBO)]
    assert [one.holds for one in summarise(worlds).acceptance] == [True, True, True, True]


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        (figures_of(2, World.NO_SKILL, eligible=[0, 1]), 0),
        (figures_of(2, World.PLACEBO, eligible=[1, 1]), 1),
        (figures_of(2, taken=10), 2),
        (figures_of(2, taken=60, reversed_loser=1), 3),
    ],
)
def test_each_condition_can_fail(broken: object, place: int) -> None:
    worlds = [figures_of(1, taken=60), figures_of(1, World.NO_SKILL), figures_of(1, World.PLACEBO), broken]
    assert [n for n, one in enumerate(summarise(worlds).acceptance) if not one.holds] == [place]


def test_a_world_that_was_not_made_is_not_judged() -> None:
    assert [one.holds for one in summarise([figures_of(1, taken=60)]).acceptance] == [None, None, True, True]


def test_slope_is_that_of_all_seeds_together() -> None:
    points = ([(0.0, 0.1), (0.2, 0.3)], [(0.4, 0.5), (0.6, 0.7)])
    found = [figures_of(seed, points=part) for seed, part in enumerate(points)]
    assert summarise(found).slope.value == pytest.approx(1.0)
    assert math.isnan(summarise([figures_of(1)]).slope.value)


def test_order_of_the_figures_does_not_matter() -> None:
    worlds = [figures_of(1, taken=60), figures_of(2, taken=50), figures_of(1, World.NO_SKILL)]
    assert repr(summarise(worlds)) == repr(summarise(worlds[::-1]))

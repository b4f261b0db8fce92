"""Whose rules a simulated desk trades."""

import itertools
import math
from dataclasses import replace
from datetime import date, timedelta

import pytest

from propdesk.model.enums import Category, GateProfile, Period, Regime, RuleLevel, Session, Weekday
from propdesk.rules.match import MatchOutcome, SignalDims, match_rule
from propdesk.sim.books import (
    NOT_CHOSEN,
    Book,
    RuleChoice,
    advisors_of,
    choose,
    discover,
    draw_advisors,
    follow,
)
from tests.support.engine_day import failing, make_rule, make_ruleset

DAY = date(2025, 6, 2)
FINE = make_rule(RuleLevel.RULE_6D, post_mean_r=0.31)
MINI = make_rule()
DIMS = SignalDims("A01", Category.NSE_EQ, Period.INTRADAY, Regime.SIDEWAYS, Weekday.TUESDAY, Session.MORNING)


def test_everything_chosen_is_the_ruleset_itself() -> None:
    rules = make_ruleset([FINE, MINI])
    assert choose(rules, RuleChoice()) is rules


def test_what_is_left_out_fails_but_still_sizes_and_holds_its_hurdle() -> None:
    chosen = choose(make_ruleset([FINE, MINI]), RuleChoice(rules=frozenset({MINI.key.text})))
    found = match_rule(DIMS, chosen)
    assert (found.rule, found.finest_post_mean_r) == (MINI, 0.31)
    assert [(c.outcome, c.failed_gates) for c in found.candidates] == [
        ("GATE_FAILED", (NOT_CHOSEN,)), ("TAKEN", ()),
    ]  # fmt: skip
    weak = make_ruleset([replace(FINE, prob_edge=0.1), MINI])
    below = choose(weak, RuleChoice(rules=frozenset({MINI.key.text})))
    assert match_rule(DIMS, below).outcome is MatchOutcome.RULE_FAILED


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (RuleChoice(advisors=frozenset({"A01"})), True),
        (RuleChoice(advisors=frozenset({"A02"})), False),
        (RuleChoice(categories=frozenset({Category.NSE_EQ, Category.INDEX_OPT})), True),
        (RuleChoice(categories=frozenset({Category.INDEX_OPT})), False),
        (RuleChoice(frozenset({"A01"}), frozenset({Category.NSE_EQ}), frozenset({MINI.key.text})), True),
        (RuleChoice(frozenset({"A01"}), frozenset({Category.NSE_EQ}), frozenset({"MINI|A02"})), False),
    ],
)
def test_a_rule_trades_where_every_part_of_the_choice_takes_it(choice: RuleChoice, *, taken: bool) -> None:
    adverse = replace(make_rule(), is_adverse=True)
    chosen = choose(make_ruleset([MINI], [adverse]), choice)
    assert chosen.rules[MINI.key].passes is taken
    assert (MINI.key in chosen.adverse) is taken
    assert chosen.ruleset_version != "v1"


def test_a_rule_that_failed_before_is_not_made_to_pass_by_being_chosen() -> None:
    chosen = choose(make_ruleset([failing(MINI)]), RuleChoice(advisors=frozenset({"A01"})))
    assert not chosen.rules[MINI.key].passes


def test_a_follower_trades_every_idea_of_every_kind_at_full_skill() -> None:
    rules = follow(["A02", "A01", "A01"])
    for advisor, category, period, regime in itertools.product(
        ("A01", "A02"), Category, Period, (None, *Regime)
    ):
        found = match_rule(SignalDims(advisor, category, period, regime, None, Session.AFTER_HOURS), rules)
        assert found.outcome is MatchOutcome.MATCHED
        assert found.finest_post_mean_r == 0.20
    stranger = SignalDims("A03", Category.NSE_EQ, Period.SWING, None, None, Session.MORNING)
    assert match_rule(stranger, rules).outcome is MatchOutcome.NO_MATCH
    assert rules.ruleset_version == follow(["A01", "A02"]).ruleset_version
    assert rules.ruleset_version != follow(["A01"]).ruleset_version


def test_a_follower_of_some_categories_leaves_the_others() -> None:
    rules = follow(["A01"], {Category.INDEX_OPT})
    assert {key.category for key in rules.rules} == {Category.INDEX_OPT}


def test_draws_depend_on_seed_and_day_alone() -> None:
    known = [f"A{number:02}" for number in range(40)]
    drawn = draw_advisors(known, 5, 7, DAY)
    assert drawn == draw_advisors(known[::-1], 5, 7, DAY)
    assert len(set(drawn)) == 5
    assert drawn != draw_advisors(known, 5, 8, DAY)
    assert drawn != draw_advisors(known, 5, 7, DAY + timedelta(days=1))
    assert draw_advisors(known[:3], 5, 7, DAY) == ("A00", "A01", "A02")
    assert draw_advisors([], 5, 7, DAY) == ()


def test_every_advisor_is_drawn_about_as_often() -> None:
    known = [f"A{number:02}" for number in range(10)]
    drawn = [draw_advisors(known, 3, 7, DAY + timedelta(days=number)) for number in range(1_000)]
    counts = [sum(name in one for one in drawn) for name in known]
    assert all(250 <= count <= 350 for count in counts), counts  # 300 expected, sd 14.5


def test_advisors_are_those_with_a_rule_that_passes() -> None:
    rules = make_ruleset([MINI, failing(make_rule(advisor_id="A02"))])
    assert advisors_of(rules) == {"A01"}


def test_an_offer_counts_what_passes() -> None:
    other = make_rule(advisor_id="A02", n=10, post_mean_r=0.65)
    unknown = make_rule(advisor_id="A03", post_mean_r=math.nan)
    rules = make_ruleset([MINI, other, unknown, failing(FINE)], [replace(MINI, is_adverse=True)])
    shares, *others = discover(rules)
    assert (shares.category, shares.rules, shares.eligible, shares.adverse) == (Category.NSE_EQ, 4, 3, 1)
    assert shares.advisors == 3
    assert shares.mean_post_r == pytest.approx((0.15 * 40 + 0.65 * 10) / 50)
    assert [(one.rules, one.eligible) for one in others] == [(0, 0)] * 4
    assert all(math.isnan(one.mean_post_r) for one in others)


def test_baselines_look_at_no_rule() -> None:
    assert [book for book in Book if book.is_baseline] == [Book.EVERYONE, Book.RANDOM]
    assert [book.profile for book in Book] == [
        GateProfile.DESK, GateProfile.ORIGINAL, GateProfile.DESK, GateProfile.DESK,
    ]  # fmt: skip

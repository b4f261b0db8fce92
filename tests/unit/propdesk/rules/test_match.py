"""Matching of both profiles over sparse cells (§4.6)."""

import itertools
import math
import time
from dataclasses import replace

import pytest

from propdesk.core.errors import InvariantViolated
from propdesk.model.enums import Category, GateProfile, Period, Regime, RuleLevel, Session, Weekday
from propdesk.model.rule import CellMinimums, Rule, RuleSet
from propdesk.rules.match import (
    MatchOutcome,
    MatchResult,
    SignalDims,
    candidate_keys,
    match_rule,
)
from tests.support.engine_day import failing, make_rule, make_ruleset

DIMS = SignalDims("A01", Category.NSE_EQ, Period.INTRADAY, Regime.SIDEWAYS, Weekday.TUESDAY, Session.MORNING)
LEVELS = (RuleLevel.RULE_6D, RuleLevel.MINI_REGIME, RuleLevel.MINI)


def desk(*rules: Rule, adverse: tuple[Rule, ...] = ()) -> MatchResult:
    return match_rule(DIMS, make_ruleset(rules, adverse))


def original(*rules: Rule) -> MatchResult:
    ruleset = make_ruleset(rules, profile=GateProfile.ORIGINAL)
    return match_rule(DIMS, ruleset)


def test_levels_that_need_an_unknown_dimension_are_left_out() -> None:
    assert [k.level for k in candidate_keys(DIMS)] == list(LEVELS)
    after = SignalDims("A01", Category.NSE_EQ, Period.INTRADAY, Regime.SIDEWAYS, None, Session.AFTER_HOURS)
    assert [k.level for k in candidate_keys(after)] == [RuleLevel.MINI_REGIME, RuleLevel.MINI]
    unknown = SignalDims("A01", Category.NSE_EQ, Period.INTRADAY, None, Weekday.FRIDAY, Session.MIDDAY)
    assert [k.level for k in candidate_keys(unknown)] == [RuleLevel.MINI]


def test_no_cell_is_no_match() -> None:
    found = desk()
    assert (found.outcome, found.rule, found.candidates) == (MatchOutcome.NO_MATCH, None, ())
    assert math.isnan(found.finest_post_mean_r)


def test_desk_takes_the_finest_that_passes_and_sizes_by_the_finest_cell() -> None:
    fine = failing(make_rule(RuleLevel.RULE_6D, post_mean_r=0.31, n=1))
    middle = make_rule(RuleLevel.MINI_REGIME, post_mean_r=0.2)
    found = desk(fine, middle, make_rule())
    assert found.rule is not None
    assert found.rule.key.level is RuleLevel.MINI_REGIME
    assert found.finest_post_mean_r == 0.31
    assert [c.outcome for c in found.candidates] == ["GATE_FAILED", "TAKEN"]


@pytest.mark.parametrize(
    "changes", [{"post_mean_r": 0.05}, {"prob_edge": 0.8}, {"post_mean_r": math.nan}, {"prob_edge": math.nan}]
)
def test_desk_a_finest_cell_below_a_hurdle_is_never_overridden(changes: dict[str, float]) -> None:
    found = desk(make_rule(RuleLevel.RULE_6D, **changes), make_rule())
    assert found.outcome is MatchOutcome.RULE_FAILED
    assert [c.outcome for c in found.candidates] == ["BELOW_HURDLE"]


def test_the_minimums_are_those_the_ruleset_was_judged_by() -> None:
    weak, thin = make_rule(post_mean_r=0.04, prob_edge=0.7), make_rule(n=12)
    asked = {
        (level, Category.NSE_EQ): CellMinimums(trades=12, post_mean_r=0.03, prob_edge=0.6) for level in LEVELS
    }
    lenient = replace(make_ruleset([weak]), minimums=asked)
    found = match_rule(DIMS, lenient)
    assert (found.outcome, found.hurdle_r) == (MatchOutcome.MATCHED, 0.03)
    assert desk(weak).outcome is MatchOutcome.RULE_FAILED
    literal = replace(make_ruleset([thin], profile=GateProfile.ORIGINAL), minimums=asked)
    assert match_rule(DIMS, literal).rule == thin
    assert original(thin).outcome is MatchOutcome.NO_MATCH


def test_a_hurdle_that_is_not_asked_is_cleared_even_by_what_is_undefined() -> None:
    asked = {(RuleLevel.MINI, Category.NSE_EQ): CellMinimums(20, None, None)}
    ruleset = replace(make_ruleset([make_rule(post_mean_r=math.nan)]), minimums=asked)
    assert match_rule(DIMS, ruleset).outcome is MatchOutcome.MATCHED


def test_a_cell_the_gates_do_not_know_is_a_broken_promise() -> None:
    with pytest.raises(InvariantViolated, match="no minimums"):
        match_rule(DIMS, replace(make_ruleset([make_rule()]), minimums={}))


def test_a_cell_without_closed_trade_is_no_cell() -> None:
    empty = make_rule(RuleLevel.RULE_6D, n=0, post_mean_r=-1.0)
    assert desk(empty, make_rule()).outcome is MatchOutcome.MATCHED


def test_original_goes_coarser_only_while_there_are_too_few_trades() -> None:
    thin = make_rule(RuleLevel.RULE_6D, n=7)
    assert original(thin, make_rule(n=20)).rule == make_rule(n=20)
    enough = failing(make_rule(RuleLevel.RULE_6D, n=8))
    assert original(enough, make_rule()).outcome is MatchOutcome.RULE_FAILED
    assert original(thin, make_rule(RuleLevel.MINI_REGIME, n=19), make_rule(n=19)).outcome is (
        MatchOutcome.NO_MATCH
    )


def test_adverse_is_looked_at_only_where_no_normal_rule_matched() -> None:
    adverse = make_rule(is_adverse=True, post_mean_r=-0.3)
    assert desk(make_rule(), adverse=(adverse,)).outcome is MatchOutcome.MATCHED
    found = desk(failing(make_rule()), adverse=(adverse,))
    assert (found.outcome, found.normal_outcome) == (MatchOutcome.MATCHED_ADVERSE, MatchOutcome.RULE_FAILED)
    assert found.rule == adverse
    closed = desk(adverse=(failing(adverse),))
    assert (closed.outcome, closed.candidates[-1].outcome) == (MatchOutcome.NO_MATCH, "ADVERSE_GATE_FAILED")


CELL = (None, "empty", "thin", "fails", "passes", "weak")


def cell(level: RuleLevel, kind: str | None) -> Rule | None:
    if kind is None:
        return None
    rule = make_rule(level, n={"empty": 0, "thin": 2}.get(kind, 30))
    if kind == "weak":
        return make_rule(level, n=30, prob_edge=0.5)
    return failing(rule) if kind == "fails" else rule


@pytest.mark.parametrize("kinds", list(itertools.product(CELL, repeat=3)))
def test_every_combination_of_sparse_cells(kinds: tuple[str | None, ...]) -> None:
    rules = [r for level, kind in zip(LEVELS, kinds, strict=True) if (r := cell(level, kind)) is not None]
    seen = [(level, kind) for level, kind in zip(LEVELS, kinds, strict=True) if kind not in (None, "empty")]
    found = desk(*rules)
    if not seen:
        expected: tuple[MatchOutcome, RuleLevel | None] = (MatchOutcome.NO_MATCH, None)
    elif seen[0][1] == "weak":
        expected = (MatchOutcome.RULE_FAILED, None)
    else:
        passing = [level for level, kind in seen if kind != "fails"]
        expected = (MatchOutcome.MATCHED, passing[0]) if passing else (MatchOutcome.RULE_FAILED, None)
    assert (found.outcome, found.rule.key.level if found.rule else None) == expected
    literal = original(*rules)
    enough = [(level, kind) for level, kind in seen if kind != "thin"]
    if not enough:
        assert literal.outcome is MatchOutcome.NO_MATCH
    else:
        passes = enough[0][1] != "fails"
        assert literal.outcome is (MatchOutcome.MATCHED if passes else MatchOutcome.RULE_FAILED)


def test_a_lookup_is_quick() -> None:
    ruleset: RuleSet = make_ruleset([make_rule(), make_rule(RuleLevel.RULE_6D)])
    best = math.inf
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(200):
            match_rule(DIMS, ruleset)
        best = min(best, (time.perf_counter() - start) / 200)
    # The promise is 10 microseconds; a busy test machine gets a wide margin, a quadratic slip does not.
    assert best < 200e-6

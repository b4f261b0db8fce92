"""Matching over every pattern of cells a signal can meet, against the rule of §4.6 said once more."""

import itertools
import math
from dataclasses import dataclass, fields, replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.model.enums import Category, GateProfile, Period, Regime, RuleLevel, Session, Weekday
from propdesk.model.rule import CellMinimums, Rule, RuleKey, RuleSet
from propdesk.rules.match import MatchOutcome, MatchResult, SignalDims, candidate_keys, match_rule
from tests.support.engine_day import make_rule

DIMS = SignalDims("A01", Category.NSE_EQ, Period.INTRADAY, Regime.SIDEWAYS, Weekday.TUESDAY, Session.MORNING)
LEVELS = (RuleLevel.RULE_6D, RuleLevel.MINI_REGIME, RuleLevel.MINI)
MINIMUM = {RuleLevel.RULE_6D: 8, RuleLevel.MINI_REGIME: 20, RuleLevel.MINI: 20}
MEAN, PROB = 0.05, 0.8
MINIMUMS = {
    (level, category): CellMinimums(MINIMUM.get(level, 1), MEAN, PROB)
    for level in RuleLevel
    for category in Category
}
VALUES = ((0.2, 0.95), (MEAN, 0.95), (0.2, PROB), (math.nan, 0.95), (0.2, math.nan))
"""post_mean_r and prob_edge: clear, on the hurdle (which clears nothing), not known."""


@dataclass(frozen=True)
class Cell:
    """One pattern of a cell: how many trades, whether its gates hold, what its evidence says."""

    n: int
    passes: bool
    mean: float
    prob: float


def cells_of(level: RuleLevel) -> list[Cell | None]:
    """Every pattern of one level; None where there is no row."""
    counts = (0, 1, MINIMUM[level] - 1, MINIMUM[level])
    return [None, *(Cell(n, p, *v) for n, p, v in itertools.product(counts, (True, False), VALUES))]


@cache
def rule_of(level: RuleLevel, cell: Cell) -> Rule:
    return make_rule(level, n=cell.n, passes=cell.passes, post_mean_r=cell.mean, prob_edge=cell.prob)


def ruleset(
    cells: tuple[Cell | None, ...], profile: GateProfile, adverse: tuple[bool | None, ...] = ()
) -> RuleSet:
    found = (rule_of(level, cell) for level, cell in zip(LEVELS, cells, strict=True) if cell is not None)
    rules = {rule.key: rule for rule in found}
    reverse = {
        (rule := make_rule(level, is_adverse=True, passes=passes)).key: rule
        for level, passes in zip(LEVELS, adverse, strict=False)
        if passes is not None
    }
    return RuleSet("v1", profile, rules, reverse, MINIMUMS)


def expected_desk(cells: tuple[Cell | None, ...]) -> tuple[MatchOutcome, RuleLevel | None]:
    """The finest cell with a closed trade decides whether, the finest that passes its gates decides which."""
    known = [(level, cell) for level, cell in zip(LEVELS, cells, strict=True) if cell and cell.n >= 1]
    if not known:
        return MatchOutcome.NO_MATCH, None
    finest = known[0][1]
    passing = [level for level, cell in known if cell.passes]
    if passing and finest.mean > MEAN and finest.prob > PROB:
        return MatchOutcome.MATCHED, passing[0]
    return MatchOutcome.RULE_FAILED, None


def expected_original(cells: tuple[Cell | None, ...]) -> tuple[MatchOutcome, RuleLevel | None]:
    """The finest cell with enough trades decides alone."""
    enough = [
        (level, cell) for level, cell in zip(LEVELS, cells, strict=True) if cell and cell.n >= MINIMUM[level]
    ]
    if not enough:
        return MatchOutcome.NO_MATCH, None
    level, cell = enough[0]
    return (MatchOutcome.MATCHED, level) if cell.passes else (MatchOutcome.RULE_FAILED, None)


EXPECTED = {GateProfile.DESK: expected_desk, GateProfile.ORIGINAL: expected_original}


def check_traces(found: MatchResult) -> None:
    """The audit names each rule looked at once, and says TAKEN of the one that won and of no other."""
    names = [trace.rule_text for trace in found.candidates]
    assert len(names) == len(set(names))
    taken = [trace.rule_text for trace in found.candidates if trace.outcome == "TAKEN"]
    if found.outcome is MatchOutcome.MATCHED:
        assert found.rule is not None
        assert taken == [found.rule.key.text] == names[-1:]
    else:
        assert taken == []


@pytest.mark.parametrize("profile", GateProfile)
def test_every_pattern_of_three_cells_ends_as_the_profile_says(profile: GateProfile) -> None:
    patterns = list(itertools.product(*map(cells_of, LEVELS)))
    assert len(patterns) == 41**3
    if profile is GateProfile.ORIGINAL:  # it looks at no hurdle: the property below says so
        patterns = [cells for cells in patterns if all(cell is None or clears(cell) for cell in cells)]
    seen = set()
    for cells in patterns:
        found = match_rule(DIMS, ruleset(cells, profile))
        outcome, level = EXPECTED[profile](cells)
        assert (found.outcome, found.rule and found.rule.key.level) == (outcome, level), cells
        first = next((cell for cell in cells if cell and cell.n >= 1), None)
        sized_by = math.nan if first is None else first.mean
        assert found.finest_post_mean_r == sized_by or math.isnan(sized_by)
        check_traces(found)
        seen.add((outcome, level))
    assert len(seen) == 5, seen


CELLS = st.tuples(*(st.sampled_from(cells_of(level)) for level in LEVELS))
ADVERSE = st.tuples(*(st.sampled_from((None, True, False)) for _ in LEVELS))


@given(CELLS, ADVERSE, st.sampled_from(GateProfile))
def test_a_reverse_rule_is_asked_last_and_the_finest_first(
    cells: tuple[Cell | None, ...], adverse: tuple[bool | None, ...], profile: GateProfile
) -> None:
    found = match_rule(DIMS, ruleset(cells, profile, adverse))
    outcome, _ = EXPECTED[profile](cells)
    assert found.normal_outcome is outcome
    if outcome is MatchOutcome.MATCHED:
        assert found.rule is not None
        assert not found.rule.is_adverse
        assert not any(trace.outcome.startswith("ADVERSE") for trace in found.candidates)
        return
    reverse = next((one for one, passes in zip(LEVELS, adverse, strict=True) if passes), None)
    if reverse is None:
        assert (found.rule, found.outcome) == (None, outcome)
    else:
        assert found.outcome is MatchOutcome.MATCHED_ADVERSE
        assert found.rule is not None
        assert (found.rule.is_adverse, found.rule.key.level) == (True, reverse)


@given(CELLS, st.sampled_from(GateProfile), st.permutations(range(3)))
def test_the_order_of_the_table_changes_nothing(
    cells: tuple[Cell | None, ...], profile: GateProfile, order: list[int]
) -> None:
    rules = ruleset(cells, profile)
    items = list(rules.rules.items())
    shuffled = replace(rules, rules=dict(items[i] for i in order if i < len(items)))
    assert repr(match_rule(DIMS, shuffled)) == repr(match_rule(DIMS, rules))


SIGNALS = st.builds(
    SignalDims,
    st.sampled_from(("A01", "A02")),
    st.sampled_from(Category),
    st.sampled_from(Period),
    st.sampled_from((None, *Regime)),
    st.sampled_from((None, *Weekday)),
    st.sampled_from(Session),
)
OTHERS: dict[str, tuple[object, ...]] = {
    "advisor_id": ("A01", "A02", "A03"),
    "category": tuple(Category),
    "period": tuple(Period),
    "regime": tuple(Regime),
    "weekday": tuple(Weekday),
    "session": tuple(Session),
}


def rule_at(key: RuleKey) -> Rule:
    return replace(make_rule(key.level), key=key)


@given(SIGNALS)
def test_a_signal_meets_the_cells_of_its_known_dimensions_and_no_other(dims: SignalDims) -> None:
    keys = candidate_keys(dims)
    regime_known = dims.regime is not None
    fully_known = regime_known and dims.weekday is not None and dims.session is not Session.AFTER_HOURS
    assert [key.level for key in keys] == list(LEVELS)[2 - regime_known - fully_known :]
    for key in keys:
        rules = RuleSet("v1", GateProfile.DESK, {key: rule_at(key)}, {}, MINIMUMS)
        assert match_rule(dims, rules).outcome is MatchOutcome.MATCHED
        # each dimension that the level uses must agree
        for field in fields(RuleKey):
            if field.name == "level" or getattr(key, field.name) is None:
                continue
            for value in OTHERS[field.name]:
                other = replace(key, **{field.name: value})
                rules = RuleSet("v1", GateProfile.DESK, {other: rule_at(other)}, {}, MINIMUMS)
                is_same = value == getattr(key, field.name)
                found = match_rule(dims, rules).outcome
                assert found is (MatchOutcome.MATCHED if is_same else MatchOutcome.NO_MATCH), other


@given(CELLS, st.sampled_from(LEVELS), st.data())
def test_no_coarser_rule_overrides_a_finest_cell_below_its_hurdle(
    cells: tuple[Cell | None, ...], level: RuleLevel, data: st.DataObject
) -> None:
    place = LEVELS.index(level)
    weak = data.draw(st.sampled_from([c for c in cells_of(level) if c and c.n >= 1 and not clears(c)]))
    below = (*(None for _ in LEVELS[:place]), weak, *cells[place + 1 :])
    assert match_rule(DIMS, ruleset(below, GateProfile.DESK)).outcome is MatchOutcome.RULE_FAILED


def clears(cell: Cell) -> bool:
    return cell.mean > MEAN and cell.prob > PROB

"""The difference of two rule sets."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.model.enums import Category, GateProfile, Period, RuleLevel
from propdesk.model.rule import GateResult, Rule, RuleKey
from propdesk.rules.diff import GONE, Change, RuleChange, diff_rules


def rule(
    advisor: str, *, failed: tuple[str, ...] = (), mean: float = 0.1, n: int = 20, adverse: bool = False
) -> Rule:
    return Rule(
        RuleKey(RuleLevel.MINI, advisor, Category.NSE_EQ, Period.SWING), GateProfile.DESK, not failed,
        adverse,
        n, n // 2, mean, 0.9, None, False, math.nan, math.nan, 0,
        tuple(GateResult(gate, None, None, False) for gate in failed),
    )  # fmt: skip


def test_each_kind_of_change_names_what_did_it() -> None:
    before = [
        rule("came", failed=("mdd", "trust"), n=18),
        rule("fell"),
        rule("gone"),
        rule("moved"),
        rule("stays"),
        rule("never", failed=("mdd",)),
        rule("both"),
    ]
    after = [
        rule("came", n=21, mean=0.2),
        rule("fell", failed=("prob_edge",), mean=0.0),
        rule("moved", mean=0.3),
        rule("stays", mean=0.104),
        rule("never", failed=("sharpe",)),
        rule("new"),
        rule("both"),
        rule("both", adverse=True),
    ]
    found = diff_rules(before, after, 0.05)
    assert [
        (one.rule_text.split("|")[1], one.change, one.gates, one.is_adverse) for one in found.changes
    ] == [
        ("both", Change.ON, (GONE,), True),
        ("came", Change.ON, ("mdd", "trust"), False),
        ("new", Change.ON, (GONE,), False),
        ("fell", Change.OFF, ("prob_edge",), False),
        ("gone", Change.OFF, (GONE,), False),
        ("moved", Change.SHIFTED, (), False),
    ]
    assert found.count_same == 2
    assert found.count(Change.ON) == 3
    came = found.changes[1]
    assert (came.n_before, came.n_after, came.post_mean_r_before, came.post_mean_r_after) == (
        18,
        21,
        0.1,
        0.2,
    )
    assert math.isnan(found.changes[4].post_mean_r_after)
    assert found.changes[4].n_after == 0


STATES = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.booleans(), st.sampled_from([0.0, 0.02, 0.2])), max_size=6
)


@given(STATES, STATES)
def test_both_directions_mirror_each_other(
    left: dict[str, tuple[bool, float]], right: dict[str, tuple[bool, float]]
) -> None:
    before, after = (
        [rule(name, failed=() if passes else ("mdd",), mean=mean) for name, (passes, mean) in side.items()]
        for side in (left, right)
    )
    forth, back = diff_rules(before, after, 0.05), diff_rules(after, before, 0.05)
    assert forth.count_same == back.count_same
    turned = {Change.ON: Change.OFF, Change.OFF: Change.ON, Change.SHIFTED: Change.SHIFTED}
    assert {(c.rule_text, turned[c.change], c.gates) for c in forth.changes} == {
        (c.rule_text, c.change, c.gates) for c in back.changes
    }
    standing = sum(passes for passes, _ in right.values())
    assert forth.count(Change.ON) + forth.count(Change.SHIFTED) + forth.count_same == standing
    assert diff_rules(before, before, 0.05).changes == ()


@pytest.mark.parametrize(("moved", "told"), [(0.05, True), (0.049, False), (-0.05, True)])
def test_a_shift_is_told_from_its_bound_on(moved: float, told: bool) -> None:
    old = rule("a", mean=0.0)
    found = diff_rules([old], [replace(old, post_mean_r=moved)], 0.05)
    assert [type(one) for one in found.changes] == [RuleChange] * told

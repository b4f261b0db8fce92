"""What changed between two sets of rules: which stand and no longer stand, and what switched them (§4.5)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from propdesk.model.rule import Rule

GONE = "no_closed_trade"
"""Stands for the gates of a rule that is not in the set at all."""


class Change(StrEnum):
    """How a rule differs between two sets."""

    ON = "ON"
    OFF = "OFF"
    SHIFTED = "SHIFTED"


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule that differs.

    Attributes
    ----------
    gates : tuple of str
        Gates that fail on the side on which it does not stand; empty where it stands on both.
    n_before, n_after : int
        Closed trades; 0 where the rule is absent.
    post_mean_r_before, post_mean_r_after : float
        Net R; NaN where the rule is absent.
    """

    rule_text: str
    is_adverse: bool
    change: Change
    gates: tuple[str, ...]
    n_before: int
    n_after: int
    post_mean_r_before: float
    post_mean_r_after: float


@dataclass(frozen=True, slots=True)
class RuleDiff:
    """All that differs, and how many rules stand alike on both sides."""

    changes: tuple[RuleChange, ...]
    count_same: int

    def count(self, change: Change) -> int:
        """Count the rules that differ in this way."""
        return sum(one.change is change for one in self.changes)


def diff_rules(before: Iterable[Rule], after: Iterable[Rule], shift_r: float = 0.01) -> RuleDiff:
    """Compare the rules that stand (pass every gate) in two sets.

    Parameters
    ----------
    before, after : iterable of Rule
        Normal and adverse rules under one profile; those that fail a gate say why they do not stand.
    shift_r : float
        Least change of post_mean_r (R) that is worth telling of a rule that stands in both.

    Returns
    -------
    RuleDiff
        Changes by kind (ON, OFF, SHIFTED), then by name.

    Examples
    --------
    >>> diff_rules([], []).count_same
    0
    """
    left = {(rule.key.text, rule.is_adverse): rule for rule in before}
    right = {(rule.key.text, rule.is_adverse): rule for rule in after}
    changes: list[RuleChange] = []
    count_same = 0
    for name in sorted(left.keys() | right.keys()):
        old, new = left.get(name), right.get(name)
        stood, stands = old is not None and old.passes, new is not None and new.passes
        if stood and stands:
            moved = abs(_mean(new) - _mean(old)) >= shift_r
            count_same += not moved
            if moved:
                changes.append(_change(name, Change.SHIFTED, (), old, new))
        elif stands:
            changes.append(_change(name, Change.ON, _failed(old), old, new))
        elif stood:
            changes.append(_change(name, Change.OFF, _failed(new), old, new))
    order = {change: place for place, change in enumerate(Change)}
    return RuleDiff(tuple(sorted(changes, key=lambda one: order[one.change])), count_same)


def _change(
    name: tuple[str, bool], change: Change, gates: tuple[str, ...], old: Rule | None, new: Rule | None
) -> RuleChange:
    return RuleChange(*name, change, gates, old.n if old else 0, new.n if new else 0, _mean(old), _mean(new))


def _mean(rule: Rule | None) -> float:
    return rule.post_mean_r if rule else math.nan


def _failed(rule: Rule | None) -> tuple[str, ...]:
    return tuple(gate.gate for gate in rule.gates if not gate.passed) if rule else (GONE,)

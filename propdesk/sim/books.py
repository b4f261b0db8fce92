"""Whose rules a simulated desk trades: a profile's, or those of a baseline that looks at none (§4.8)."""

import hashlib
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

import numpy as np

from propdesk.model.enums import Category, GateProfile, Period, RuleLevel
from propdesk.model.rule import CellMinimums, GateResult, Rule, RuleKey, RuleSet
from propdesk.strategy.sizing import SizingConfig


class Book(StrEnum):
    """A desk that is simulated beside others, on the same days, ideas, costs and capital."""

    DESK = "desk"
    ORIGINAL = "original"
    EVERYONE = "everyone"
    RANDOM = "random"

    @property
    def profile(self) -> GateProfile:
        """Profile whose matching and sizes it uses.

        A baseline is sized as profile desk sizes full skill: results in R compare, those in rupees do not.
        """
        return GateProfile.ORIGINAL if self is Book.ORIGINAL else GateProfile.DESK

    @property
    def is_baseline(self) -> bool:
        """Whether it trades without looking at any rule."""
        return self in (Book.EVERYONE, Book.RANDOM)


NOT_CHOSEN = "not_chosen"
"""Name of the gate at which a rule fails that a simulation leaves out."""

FULL_SKILL_R = SizingConfig().skill_full_r
"""post_mean_r of a baseline's rule: the value from which on a size is not shrunk for want of skill (§4.7)."""


@dataclass(frozen=True, slots=True)
class RuleChoice:
    """Which rules may trade; an empty set leaves none out.

    Attributes
    ----------
    advisors, categories, rules
        Ids; categories; texts of rules (``MINI|A01|NSE_EQ|INTRADAY``).
    """

    advisors: frozenset[str] = field(default_factory=frozenset)
    categories: frozenset[Category] = field(default_factory=frozenset)
    rules: frozenset[str] = field(default_factory=frozenset)

    def takes(self, key: RuleKey) -> bool:
        """Say whether a rule may trade."""
        return (
            (not self.advisors or key.advisor_id in self.advisors)
            and (not self.categories or key.category in self.categories)
            and (not self.rules or key.text in self.rules)
        )


def choose(ruleset: RuleSet, choice: RuleChoice) -> RuleSet:
    """Let only chosen rules trade.

    Parameters
    ----------
    ruleset : RuleSet
        Not changed.
    choice : RuleChoice

    Returns
    -------
    RuleSet
        The same object where everything is chosen. Otherwise every cell stays, since the finest one decides
        hurdle and size (§4.6), but what is left out fails at `NOT_CHOSEN`; its version names the choice.
    """
    if choice == RuleChoice():
        return ruleset
    words = "|".join(",".join(sorted(part)) for part in (choice.advisors, choice.categories, choice.rules))
    digest = hashlib.sha256(f"{ruleset.ruleset_version}|{words}".encode()).hexdigest()
    return replace(
        ruleset,
        ruleset_version=digest[: len(ruleset.ruleset_version)],
        rules={key: rule if choice.takes(key) else _left_out(rule) for key, rule in ruleset.rules.items()},
        adverse={key: rule for key, rule in ruleset.adverse.items() if choice.takes(key)},
    )


def _left_out(rule: Rule) -> Rule:
    return replace(rule, passes=False, gates=(*rule.gates, GateResult(NOT_CHOSEN, None, None, passed=False)))


def follow(advisors: Iterable[str], categories: Collection[Category] = ()) -> RuleSet:
    """Make rules under which every idea of some advisors is traded, whatever their record.

    Parameters
    ----------
    advisors : iterable of str
        Ids.
    categories : collection of Category
        Of which ideas; empty = all.

    Returns
    -------
    RuleSet
        One passing mini rule per advisor, category and period, of full skill and no trust flag. Nothing is
        known of stops: an idea without one is not traded.
    """
    known = sorted(set(advisors))
    wanted = [category for category in Category if not categories or category in categories]
    keys = [
        RuleKey(RuleLevel.MINI, advisor, category, period)
        for advisor in known
        for category in wanted
        for period in Period
    ]
    digest = hashlib.sha256(",".join([*known, *wanted]).encode()).hexdigest()
    minimums = {(RuleLevel.MINI, category): CellMinimums(1, None, None) for category in Category}
    return RuleSet(
        f"follow-{digest[:9]}", GateProfile.DESK, {key: _follows(key) for key in keys}, {}, minimums
    )


def _follows(key: RuleKey) -> Rule:
    return Rule(
        key=key,
        profile=GateProfile.DESK,
        passes=True,
        is_adverse=False,
        n=1,
        n_days=1,
        post_mean_r=FULL_SKILL_R,
        prob_edge=1.0,
        trust_flag=None,
        trust_is_noise=False,
        wse_p90=math.nan,
        mean_post_sl_extension=math.nan,
        stopped_trades=0,
    )


def draw_advisors(known: Collection[str], count: int, seed: int, day: date) -> tuple[str, ...]:
    """Draw the advisors that a day's random desk follows.

    Parameters
    ----------
    known : collection of str
        Advisors heard before the day, each once.
    count : int
        How many; all of them where there are fewer.
    seed : int
        >= 0. The same seed, day and advisors give the same draw, whatever was drawn on other days.

    Returns
    -------
    tuple of str
        Sorted.
    """
    generator = np.random.default_rng([seed, day.toordinal()])
    ordered = sorted(known)
    chosen = generator.permutation(len(ordered))[:count]
    return tuple(sorted(ordered[index] for index in chosen))


def advisors_of(ruleset: RuleSet) -> frozenset[str]:
    """Give the advisors of whom at least one rule passes."""
    return frozenset(rule.key.advisor_id for rule in ruleset.rules.values() if rule.passes)


@dataclass(frozen=True, slots=True)
class CategoryFound:
    """What a table of rules offers in one category.

    Attributes
    ----------
    rules, eligible, adverse : int
        Cells with a closed trade; those that pass every gate; reverse rules that may trade.
    advisors : int
        Advisors with an eligible rule.
    mean_post_r : float
        Mean post_mean_r of the eligible cells, weighed by their trades, R; NaN without one.
    """

    category: Category
    rules: int
    eligible: int
    adverse: int
    advisors: int
    mean_post_r: float


def discover(ruleset: RuleSet) -> tuple[CategoryFound, ...]:
    """Say per category what a day's rules offer: the second of the three steps (§4.8).

    Returns
    -------
    tuple of CategoryFound
        Every category, in their order.
    """
    found = []
    for category in Category:
        cells = [rule for rule in ruleset.rules.values() if rule.key.category is category]
        passing = [rule for rule in cells if rule.passes]
        known = [rule for rule in passing if not math.isnan(rule.post_mean_r)]
        trades = sum(rule.n for rule in known)
        found.append(
            CategoryFound(
                category=category,
                rules=len(cells),
                eligible=len(passing),
                adverse=sum(key.category is category for key in ruleset.adverse),
                advisors=len({rule.key.advisor_id for rule in passing}),
                mean_post_r=sum(r.post_mean_r * r.n for r in known) / trades if trades else math.nan,
            )
        )
    return tuple(found)

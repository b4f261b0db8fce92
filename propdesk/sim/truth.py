"""What rules make of advisors whose skill is known: the figures of one generated market (§8.3)."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

import numpy as np

from propdesk.core.invariant import require
from propdesk.model.enums import GateProfile, RuleLevel
from propdesk.model.rule import Rule, RuleSet
from propdesk.rules.match import MatchOutcome, SignalDims, match_rule
from propdesk.sim.advisor_habits import Kind

PROB_BINS: Final = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
"""Edges of the bins of prob_edge; the last bin is closed."""


class World(StrEnum):
    """Which skill there is.

    PLANTED: the ladder of §8.3. NO_SKILL: the same advisors with no points at all. PLACEBO: the ideas of
    NO_SKILL, their advisors shuffled within day, category and bucket of reward to risk.
    """

    PLANTED = "planted"
    NO_SKILL = "no_skill"
    PLACEBO = "placebo"


@dataclass(frozen=True, slots=True)
class Idea:
    """One idea that was entered.

    Attributes
    ----------
    trade_date : date
        The day it was for: only rules of earlier as-of dates may judge it.
    dims : SignalDims
        What matching looks at.
    net_r : float
        What became of it, net; NaN while it is open or where there is no stop.
    """

    trade_date: date
    dims: SignalDims
    net_r: float


@dataclass(frozen=True, slots=True)
class Advisor:
    """What is true about one advisor, and what the research says of him in the end.

    Attributes
    ----------
    points : float
        Hit probability above chance, averaged over the time, fraction.
    is_constant : bool
        The same points all the time and everywhere.
    true_r : float
        Mean net R of his ideas without the luck of those he posted; NaN where it has no meaning.
    closed, post_mean_r, prob_edge
        Of the last as-of date; NaN where nothing is known.
    """

    advisor_id: str
    kind: Kind
    points: float
    is_constant: bool
    true_r: float
    closed: int
    post_mean_r: float
    prob_edge: float

    @property
    def rung(self) -> float:
        """Points to the nearest whole one, for tables by ladder; fraction."""
        return round(self.points, 2)


@dataclass(slots=True)
class Tally:
    """What one profile did with one advisor. R-sums are over ideas whose end is known.

    Ideas, rules and reverse rules count from the first full window on; ``rule_days`` and ``adverse_days``
    are those that could trade, one for each as-of date. ``first_day`` is the number of market days until
    some rule of him could, None if none ever could.
    """

    ideas: int = 0
    known: int = 0
    ideas_r: float = 0.0
    taken: int = 0
    taken_known: int = 0
    taken_r: float = 0.0
    reversed: int = 0
    rule_days: int = 0
    adverse_days: int = 0
    first_day: int | None = None


@dataclass(frozen=True, slots=True)
class ProfileFigures:
    """What one profile did.

    Attributes
    ----------
    eligible, adverse : list of int
        Rules, and reverse rules, that could trade, by as-of date with a full window.
    tallies : dict of str to Tally
        By advisor.
    """

    eligible: list[int]
    adverse: list[int]
    tallies: dict[str, Tally]


@dataclass(frozen=True, slots=True)
class SeedFigures:
    """Everything that one market of one world says; what many seeds are summed from.

    Attributes
    ----------
    seed : int
    world : World
    as_of_dates, market_days, ideas : int
        How much was judged.
    spearman : float
        Rank correlation of points and post_mean_r at the end; NaN without skill.
    advisors : sequence of Advisor
    profiles : mapping of GateProfile to ProfileFigures
    bins : list of (int, int)
        By bin of `PROB_BINS`: mini rules of advisors of constant skill, once for each as-of date, and those
        among them whose true R exceeds the hurdle.
    slope : list of float
        n, Σx, Σy, Σx², Σxy of forward net R (y) on post_mean_r of the finest cell (x).
    """

    seed: int
    world: World
    as_of_dates: int
    market_days: int
    ideas: int
    spearman: float
    advisors: Sequence[Advisor]
    profiles: Mapping[GateProfile, ProfileFigures]
    bins: list[tuple[int, int]]
    slope: list[float] = field(default_factory=lambda: [0.0] * 5)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Days of one market.

    Attributes
    ----------
    market_days : sequence of date
        Rising, from the first trade date on.
    window_days : int
        Calendar days of the replay window: from its first full one on counts what is compared.
    """

    market_days: Sequence[date]
    window_days: int

    @property
    def judged_from(self) -> date:
        """First day after which the window of the replays is full."""
        return self.market_days[0] + timedelta(days=self.window_days - 1)

    def number(self, day: date) -> int:
        """Count the market days up to and with a day."""
        return sum(one <= day for one in self.market_days)


def true_net_r(truth: Mapping[str, Any], net_r: Sequence[float]) -> float:
    """Give what an advisor's ideas are worth net of costs and without luck.

    Parameters
    ----------
    truth : mapping
        His row of the truth: ``gross_r_true`` was measured on ideas drawn anew, ``gross_r_posted`` on his
        own.
    net_r : sequence of float
        Net R of his ideas as the research resolved them; those without an end are left out.

    Returns
    -------
    float
        Mean net R of his ideas, less the luck of the posted ones (gross posted − gross true); NaN where the
        truth knows no R (no stop) or nothing ended.

    Examples
    --------
    >>> round(true_net_r({"gross_r_true": 0.1, "gross_r_posted": 0.3}, [0.5, -0.1]), 6)
    0.0
    """
    known = [r for r in net_r if not math.isnan(r)]
    real, posted = truth["gross_r_true"], truth["gross_r_posted"]
    if not known or real is None or posted is None:
        return math.nan
    return sum(known) / len(known) - (float(posted) - float(real))


def play(
    ideas: Iterable[Idea],
    rules: Mapping[GateProfile, Sequence[tuple[date, RuleSet]]],
    timeline: Timeline,
) -> tuple[dict[GateProfile, ProfileFigures], list[float]]:
    """Let every profile judge the ideas of each day by the newest rules of an earlier day.

    Parameters
    ----------
    ideas : iterable of Idea
        Any order.
    rules : mapping of GateProfile to sequence of (date, RuleSet)
        As-of dates rising, the same ones for every profile.
    timeline : Timeline

    Returns
    -------
    dict of GateProfile to ProfileFigures
    list of float
        Sums of `SeedFigures.slope`, by the desk profile's finest cells.

    Notes
    -----
    The rules of as-of date d judge ideas of later days up to the next as-of date: no idea is judged by what
    became known on its own day or after it. Source: §4.5, §4.8.
    """
    by_day: dict[date, list[Idea]] = {}
    for idea in ideas:
        by_day.setdefault(idea.trade_date, []).append(idea)
    figures = {profile: ProfileFigures([], [], {}) for profile in rules}
    slope = [0.0] * 5
    for profile, dated in rules.items():
        require(all(a < b for (a, _), (b, _) in pairwise(dated)), "as-of dates rise")
        ends = [day for day, _ in dated[1:]] + [date.max]
        for (as_of, ruleset), end in zip(dated, ends, strict=True):
            _count_rules(figures[profile], ruleset, as_of, timeline)
            later = [one for day in sorted(by_day) if as_of < day <= end for one in by_day[day]]
            for idea in later:
                judged = idea.trade_date > timeline.judged_from
                x = _judge(figures[profile], ruleset, idea) if judged else math.nan
                if profile is GateProfile.DESK and not math.isnan(x + idea.net_r):
                    y = idea.net_r
                    slope = [a + b for a, b in zip(slope, (1.0, x, y, x * x, x * y), strict=True)]
    return figures, slope


def _count_rules(figures: ProfileFigures, ruleset: RuleSet, as_of: date, timeline: Timeline) -> None:
    passing = [rule for rule in ruleset.rules.values() if rule.passes]
    is_full = as_of >= timeline.judged_from
    for rule in passing:
        mine = figures.tallies.setdefault(rule.key.advisor_id, Tally())
        mine.rule_days += is_full
        if mine.first_day is None:
            mine.first_day = timeline.number(as_of)
    for key in ruleset.adverse:
        figures.tallies.setdefault(key.advisor_id, Tally()).adverse_days += is_full
    if is_full:
        figures.eligible.append(len(passing))
        figures.adverse.append(len(ruleset.adverse))


def _judge(figures: ProfileFigures, ruleset: RuleSet, idea: Idea) -> float:
    """Count one idea; gives post_mean_r of its finest cell, NaN without one."""
    found, mine = match_rule(idea.dims, ruleset), figures.tallies.setdefault(idea.dims.advisor_id, Tally())
    is_known = not math.isnan(idea.net_r)
    mine.ideas += 1
    if is_known:
        mine.known += 1
        mine.ideas_r += idea.net_r
    if found.outcome is MatchOutcome.MATCHED:
        mine.taken += 1
        if is_known:
            mine.taken_known += 1
            mine.taken_r += idea.net_r
    elif found.outcome is MatchOutcome.MATCHED_ADVERSE:
        mine.reversed += 1
    return found.finest_post_mean_r


def shuffled(advisors: Sequence[str], buckets: Sequence[Hashable], seed: int) -> list[str]:
    """Let chance say which advisor had which idea, within each bucket: whatever he knew is gone.

    Parameters
    ----------
    advisors : sequence of str
        Of each idea.
    buckets : sequence of hashable
        Of each idea; ideas of one bucket are exchanged among each other.
    seed : int
        >= 0.

    Returns
    -------
    list of str
        Each advisor keeps his number of ideas in each bucket.
    """
    require(len(advisors) == len(buckets), "one bucket per idea")
    members: dict[Hashable, list[int]] = {}
    for place, bucket in enumerate(buckets):
        members.setdefault(bucket, []).append(place)
    generator = np.random.default_rng([seed, 31])
    found = list(advisors)
    for places in members.values():
        for place, other in zip(places, generator.permutation(places).tolist(), strict=True):
            found[place] = advisors[other]
    return found


def calibrate(
    rules: Iterable[tuple[date, RuleSet]], advisors: Iterable[Advisor], hurdle_r: float
) -> list[tuple[int, int]]:
    """Count the mini rules of advisors of constant skill by prob_edge, and how many truly exceed the hurdle.

    Returns
    -------
    list of (int, int)
        One pair per bin of `PROB_BINS`.
    """
    true_r = {one.advisor_id: one.true_r for one in advisors if one.is_constant}
    cells, above = [0] * (len(PROB_BINS) - 1), [0] * (len(PROB_BINS) - 1)
    for _, ruleset in rules:
        for rule in ruleset.rules.values():
            real = true_r.get(rule.key.advisor_id, math.nan)
            if _is_calibrated(rule) and not math.isnan(real):
                place = _bin_of(rule.prob_edge)
                cells[place] += 1
                above[place] += real > hurdle_r
    return list(zip(cells, above, strict=True))


def _is_calibrated(rule: Rule) -> bool:
    return rule.key.level is RuleLevel.MINI and not math.isnan(rule.prob_edge)


def _bin_of(value: float) -> int:
    inside = sum(edge <= value for edge in PROB_BINS) - 1
    return min(inside, len(PROB_BINS) - 2)

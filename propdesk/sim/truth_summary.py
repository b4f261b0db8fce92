"""What many generated markets say together: shares with intervals, and what §8.3 accepts."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from scipy.special import stdtrit

from propdesk.model.enums import GateProfile
from propdesk.sim.advisor_habits import Kind
from propdesk.sim.truth import PROB_BINS, Advisor, ProfileFigures, SeedFigures, Tally, World

COVERAGE: Final = 0.95
RULES_PER_WINDOW_MAX: Final = 0.1
"""Most eligible rules that a world without skill may show by as-of date (§8.3)."""
SKILLED_RUNG: Final = 0.20
TAKEN_MIN: Final = 0.5
"""Share of the ideas of advisors at `SKILLED_RUNG` that profile desk must take at least (§8.3)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio of sums over seeds with the bounds of its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PowerRow:
    """What became of the ideas of a kind of advisors under one profile.

    Attributes
    ----------
    name : str
        Rung of the ladder (``+20``) or kind.
    points : float
        Mean points, fraction.
    advisors : int
        Over all seeds.
    ideas : int
    taken : Estimate
        Share of ideas taken.
    ideas_r, taken_r : float
        Mean net R of all ideas, and of those taken.
    found_share : float
        Share of advisors of whom some rule could ever trade.
    days_to_detect : float
        Median market days until then among those found; NaN if none was.
    """

    name: str
    points: float
    advisors: int
    ideas: int
    taken: Estimate
    ideas_r: float
    taken_r: float
    found_share: float
    days_to_detect: float


@dataclass(frozen=True, slots=True)
class ProfileSummary:
    """What one profile made of the planted advisors.

    Attributes
    ----------
    ladder, kinds : tuple of PowerRow
        Single and chained habits by rung; the other kinds by name.
    unskilled_taken : Estimate
        Share of the ideas taken whose advisor has no points or fewer.
    false_rules : Estimate
        Share of the rules that could trade whose advisor, of constant skill, truly does not earn.
    taken_r : float
        Mean net R of the ideas taken.
    oracle_r, regret_r : float
        Net R per 100 ideas of who takes every idea of the advisors that truly earn, and what the profile
        falls short of it.
    captured : Estimate
        Share of the oracle's R that the profile earns.
    eligible, adverse : float
        Rules, and reverse rules, by as-of date with a full window.
    reversed_ideas : tuple of (str, int)
        Ideas that a reverse rule would trade, by kind of advisor.
    """

    ladder: tuple[PowerRow, ...]
    kinds: tuple[PowerRow, ...]
    unskilled_taken: Estimate
    false_rules: Estimate
    taken_r: float
    oracle_r: float
    regret_r: float
    captured: Estimate
    eligible: float
    adverse: float
    reversed_ideas: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class NullSummary:
    """What one profile finds where there is nothing to find.

    Attributes
    ----------
    world : World
    profile : GateProfile
    rules : Estimate
        Eligible rules by as-of date with a full window.
    lucky_share : float
        Share of them whose advisor was made lucky on purpose; NaN without a rule.
    taken : Estimate
        Share of ideas taken.
    """

    world: World
    profile: GateProfile
    rules: Estimate
    lucky_share: float
    taken: Estimate


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """One bin of prob_edge: mini rules in it, and the share whose true R exceeds the hurdle."""

    low: float
    high: float
    rules: int
    true_share: Estimate


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One condition; ``holds`` is None where it could not be judged."""

    text: str
    holds: bool | None
    value: float
    bound: float


@dataclass(frozen=True, slots=True)
class TruthSummary:
    """Everything the report says.

    Attributes
    ----------
    seeds : int
        Markets of the planted world.
    spearman : tuple of float
        Planted points against post_mean_r, by seed.
    slope : Estimate
        Of forward net R on post_mean_r of the finest cell; 1 = what is estimated comes.
    """

    seeds: int
    ideas: int
    spearman: tuple[float, ...]
    profiles: dict[GateProfile, ProfileSummary]
    nulls: tuple[NullSummary, ...]
    calibration: tuple[CalibrationRow, ...]
    slope: Estimate
    acceptance: tuple[Acceptance, ...]


class _Mark(NamedTuple):
    """One advisor of one seed under one profile."""

    seed: int
    advisor: Advisor
    tally: Tally


def ratio(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """Estimate a ratio of sums over independent seeds.

    Parameters
    ----------
    above, below : sequence of float
        One pair per seed.

    Returns
    -------
    Estimate
        Σ above / Σ below with a jackknife interval over the seeds (t, 95 %): ideas and days of one market
        hang together, so that only seeds count as observations. NaN bounds with one seed, all NaN where the
        denominator is 0.

    Examples
    --------
    >>> ratio([1.0, 3.0], [4.0, 4.0]).value
    0.5
    """
    top, bottom = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    total = float(bottom.sum())
    if total == 0.0:
        return Estimate(math.nan, math.nan, math.nan)
    value, count = float(top.sum()) / total, len(top)
    left = total - bottom
    if count < 2 or bool((left == 0.0).any()):
        return Estimate(value, math.nan, math.nan)
    without = (top.sum() - top) / left
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    reach = float(stdtrit(count - 1, 0.5 + COVERAGE / 2.0)) * error
    return Estimate(value, value - reach, value + reach)


def summarise(figures: Iterable[SeedFigures]) -> TruthSummary:
    """Sum the figures of all seeds and worlds.

    Returns
    -------
    TruthSummary
        Independent of the order of the figures.
    """
    everything = sorted(figures, key=lambda one: (one.world, one.seed))
    planted = [one for one in everything if one.world is World.PLANTED]
    profiles = {profile: _profile(planted, profile) for profile in GateProfile}
    nulls = tuple(
        _null([one for one in everything if one.world is world], world, profile)
        for world in (World.NO_SKILL, World.PLACEBO)
        for profile in GateProfile
        if any(one.world is world for one in everything)
    )
    return TruthSummary(
        seeds=len(planted),
        ideas=sum(one.ideas for one in planted),
        spearman=tuple(one.spearman for one in planted),
        profiles=profiles,
        nulls=nulls,
        calibration=_calibration(planted),
        slope=_slope(planted),
        acceptance=_acceptance(profiles, nulls, planted),
    )


def _marks(figures: Sequence[SeedFigures], profile: GateProfile) -> list[_Mark]:
    return [
        _Mark(one.seed, advisor, one.profiles[profile].tallies.get(advisor.advisor_id, Tally()))
        for one in figures
        for advisor in one.advisors
    ]


def _by_seed(
    marks: Sequence[_Mark], above: Callable[[_Mark], float], below: Callable[[_Mark], float]
) -> Estimate:
    seeds = sorted({mark.seed for mark in marks})
    sums = {seed: [0.0, 0.0] for seed in seeds}
    for mark in marks:
        sums[mark.seed][0] += above(mark)
        sums[mark.seed][1] += below(mark)
    return ratio([sums[seed][0] for seed in seeds], [sums[seed][1] for seed in seeds])


def _profile(figures: Sequence[SeedFigures], profile: GateProfile) -> ProfileSummary:
    marks = _marks(figures, profile)
    ladder = [mark for mark in marks if mark.advisor.kind is Kind.LADDER]
    rungs = sorted({mark.advisor.rung for mark in ladder})
    kinds = [kind for kind in Kind if kind is not Kind.LADDER]
    constant = [m for m in marks if m.advisor.is_constant and not math.isnan(m.advisor.true_r)]
    earners = [mark for mark in marks if mark.advisor.true_r > 0.0]
    ideas = sum(mark.tally.ideas for mark in marks)
    oracle = sum(mark.tally.ideas_r for mark in earners)
    earned = sum(mark.tally.taken_r for mark in marks)
    every = [one.profiles[profile] for one in figures]
    return ProfileSummary(
        ladder=tuple(_power(f"{100 * r:+.0f}", [m for m in ladder if m.advisor.rung == r]) for r in rungs),
        kinds=tuple(_power(k.value, [m for m in marks if m.advisor.kind is k]) for k in kinds),
        unskilled_taken=_by_seed(
            marks, lambda m: m.tally.taken if m.advisor.points <= 0.0 else 0, lambda m: m.tally.taken
        ),
        false_rules=_by_seed(
            constant,
            lambda m: m.tally.rule_days if m.advisor.true_r <= 0.0 else 0,
            lambda m: m.tally.rule_days,
        ),
        taken_r=_mean(earned, sum(mark.tally.taken_known for mark in marks)),
        oracle_r=100.0 * _mean(oracle, ideas),
        regret_r=100.0 * _mean(oracle - earned, ideas),
        captured=_by_seed(
            marks, lambda m: m.tally.taken_r, lambda m: m.tally.ideas_r if m.advisor.true_r > 0.0 else 0.0
        ),
        eligible=_mean(sum(sum(one.eligible) for one in every), sum(len(one.eligible) for one in every)),
        adverse=_mean(sum(sum(one.adverse) for one in every), sum(len(one.adverse) for one in every)),
        reversed_ideas=_reversed(marks),
    )


def _power(name: str, marks: Sequence[_Mark]) -> PowerRow:
    found = [mark.tally.first_day for mark in marks if mark.tally.first_day is not None]
    tallies = [mark.tally for mark in marks]
    return PowerRow(
        name=name,
        points=_mean(sum(mark.advisor.points for mark in marks), len(marks)),
        advisors=len(marks),
        ideas=sum(tally.ideas for tally in tallies),
        taken=_by_seed(marks, lambda m: m.tally.taken, lambda m: m.tally.ideas),
        ideas_r=_mean(sum(t.ideas_r for t in tallies), sum(t.known for t in tallies)),
        taken_r=_mean(sum(t.taken_r for t in tallies), sum(t.taken_known for t in tallies)),
        found_share=_mean(len(found), len(marks)),
        days_to_detect=float(np.median(found)) if found else math.nan,
    )


def _reversed(marks: Sequence[_Mark]) -> tuple[tuple[str, int], ...]:
    counts = dict.fromkeys(Kind, 0)
    for mark in marks:
        counts[mark.advisor.kind] += mark.tally.reversed
    return tuple((kind.value, count) for kind, count in counts.items() if count)


def _null(figures: Sequence[SeedFigures], world: World, profile: GateProfile) -> NullSummary:
    marks = _marks(figures, profile)
    every: list[ProfileFigures] = [one.profiles[profile] for one in figures]
    lucky = sum(mark.tally.rule_days for mark in marks if mark.advisor.kind is Kind.LUCKY)
    return NullSummary(
        world=world,
        profile=profile,
        rules=ratio([sum(one.eligible) for one in every], [len(one.eligible) for one in every]),
        lucky_share=_mean(lucky, sum(mark.tally.rule_days for mark in marks)),
        taken=_by_seed(marks, lambda m: m.tally.taken, lambda m: m.tally.ideas),
    )


def _calibration(figures: Sequence[SeedFigures]) -> tuple[CalibrationRow, ...]:
    return tuple(
        CalibrationRow(
            low,
            high,
            sum(one.bins[place][0] for one in figures),
            ratio([one.bins[place][1] for one in figures], [one.bins[place][0] for one in figures]),
        )
        for place, (low, high) in enumerate(pairwise(PROB_BINS))
    )


def _slope(figures: Sequence[SeedFigures]) -> Estimate:
    """Estimate the slope over all seeds: each seed's share of Σ(x − x̄)(y − ȳ) and Σ(x − x̄)²."""
    sums = np.array([one.slope for one in figures], dtype=np.float64).reshape(-1, 5)
    n, x, y = sums.sum(axis=0)[:3]
    if n == 0.0:
        return Estimate(math.nan, math.nan, math.nan)
    mean_x, mean_y = x / n, y / n
    cross = sums[:, 4] - mean_x * sums[:, 2] - mean_y * sums[:, 1] + mean_x * mean_y * sums[:, 0]
    square = sums[:, 3] - 2.0 * mean_x * sums[:, 1] + mean_x * mean_x * sums[:, 0]
    return ratio(cross.tolist(), square.tolist())


def _acceptance(
    profiles: dict[GateProfile, ProfileSummary],
    nulls: Sequence[NullSummary],
    planted: Sequence[SeedFigures],
) -> tuple[Acceptance, ...]:
    """Judge profile desk by §8.3; `original` is shown beside it, not judged."""
    desk = profiles[GateProfile.DESK]
    skilled = [row.taken.value for row in desk.ladder if row.name == f"{100 * SKILLED_RUNG:+.0f}"]
    mine = {one.world: one.rules.value for one in nulls if one.profile is GateProfile.DESK}
    losers = [
        mark.tally.adverse_days + mark.tally.reversed
        for mark in _marks(planted, GateProfile.DESK)
        if mark.advisor.kind is Kind.COST_LOSER
    ]
    return (
        _at_most("rules by as-of date, no skill anywhere", mine.get(World.NO_SKILL), RULES_PER_WINDOW_MAX),
        _at_most("rules by as-of date, outcomes shuffled", mine.get(World.PLACEBO), RULES_PER_WINDOW_MAX),
        _at_least("share of ideas of +20-point advisors taken", skilled[0] if skilled else None, TAKEN_MIN),
        _at_most(
            "reverse rules and ideas of advisors who lose by costs only",
            float(sum(losers)) if losers else None,
            0.0,
        ),
    )


def _at_most(text: str, value: float | None, bound: float) -> Acceptance:
    known = math.nan if value is None else value
    return Acceptance(f"{text} ≤ {bound:g}", None if math.isnan(known) else known <= bound, known, bound)


def _at_least(text: str, value: float | None, bound: float) -> Acceptance:
    known = math.nan if value is None else value
    return Acceptance(f"{text} ≥ {bound:g}", None if math.isnan(known) else known >= bound, known, bound)


def _mean(total: float, count: float) -> float:
    return total / count if count else math.nan

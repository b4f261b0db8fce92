"""Advisors of known skill: who posts what, and the truth about them (spec §8.3).

Notes
-----
Skill is made by looking ahead with a stated probability: per posting an advisor weighs a few ideas; with the
probability that yields the stated points of hit probability he takes one that the market will prove right,
else a random side of the first. What is true about him is then measured on ideas drawn anew, never on those
he posted, so luck in the posted stream stays luck. The truth goes to a file of its own that no step reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar
from propdesk.core.invariant import require
from propdesk.ports import Spread
from propdesk.sim.advisor_habits import Habit, Kind, roster
from propdesk.sim.advisor_ideas import Choice, Odds, choose, delayed, hit_rate, measure_odds, peek_probability
from propdesk.sim.advisor_paths import TARGET_FIRST
from propdesk.sim.advisor_rows import SampleRow, Writer
from propdesk.sim.market_book import PathBook

Int64Array: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]

_ODDS_DRAWS = 1_200
_TRUTH_DRAWS = 4_000
_TREND = 0.8
_QUIT_AT = 0.6
_LUCKY_DRAWS = 12
_FORTNIGHT = 10
_LUCKY_UNTIL = 0.5
_COPY_LAG_S = (120, 600)
_SYBIL_LAG_S = (20, 150)


@dataclass(frozen=True, slots=True)
class AdvisorSpec:
    """What stream to generate.

    Attributes
    ----------
    seed : int
        The same seed on the same prices gives the same stream.
    per_day : int
        Ideas on an average day, all advisors together.
    skill : float
        Factor on everybody's points; 0 = no skill anywhere.
    cash_only : bool
        Only cash stocks (real prices have nothing else).
    with_defects : bool
        Add the odd unusable row, repost and edit that real feeds have.
    """

    seed: int
    per_day: int = 400
    skill: float = 1.0
    cash_only: bool = False
    with_defects: bool = True


@dataclass(frozen=True, slots=True)
class AdvisorStream:
    """Messages in order of receipt, and the truth per advisor for the truth file."""

    rows: tuple[SampleRow, ...]
    truth: tuple[Mapping[str, Any], ...]


def generate_advisors(
    book: PathBook, spec: AdvisorSpec, calendar: MarketCalendar, spread: Spread = map
) -> AdvisorStream:
    """Let everybody post for the whole range of the book.

    Parameters
    ----------
    book : PathBook
        Paths of a generated market or of stored prices.
    spec : AdvisorSpec
        Seed and size.
    calendar : MarketCalendar
        Session hours, for follow-ups.
    spread : callable
        Advisors do not depend on each other, but for those who copy: what forks lets several of them
        post at once. The result is the same.

    Returns
    -------
    AdvisorStream
        About ``per_day`` signals per day of the book, follow-ups on top, and one truth row per advisor.

    Raises
    ------
    InvariantViolated
        If ``per_day`` is not positive.
    """
    require(spec.per_day > 0, "advisors post at least one idea a day")
    habits = roster(spec.seed, cash_only=spec.cash_only, skill=spec.skill)
    total = sum(habit.rate for habit in habits)
    circles = [
        (habit, [other for other in habits if other.follows == habit.advisor_id])
        for habit in habits
        if not habit.follows
    ]

    def post(circle: tuple[Habit, list[Habit]]) -> tuple[list[SampleRow], list[Mapping[str, Any]]]:
        leader, copiers = circle
        rng, apart = _chances(spec, leader)
        odds = measure_odds(apart, leader, book, _ODDS_DRAWS)
        days = _posting_days(rng, leader, len(book.days), spec.per_day * leader.rate / total)
        choice = _post(rng, leader, book, days, odds)
        writer = Writer(book, calendar, spec.seed, with_defects=spec.with_defects)
        writer.add(leader, choice, copies=False)
        truth = [_truth(apart, leader, book, odds, choice)]
        for habit in copiers:
            rng, apart = _chances(spec, habit)
            copied = _copy(rng, habit, book, choice)
            writer.add(habit, copied, copies=True)
            truth.append(_truth(apart, habit, book, odds, copied))
        return writer.rows, truth

    rows: list[SampleRow] = []
    truth: list[Mapping[str, Any]] = []
    for written, known in spread(post, circles):
        rows += written
        truth += known
    return AdvisorStream(
        tuple(sorted(rows, key=lambda row: (row.received_s, row.source_message_id))),
        tuple(sorted(truth, key=lambda row: str(row["advisor_id"]))),
    )


def _chances(spec: AdvisorSpec, habit: Habit) -> tuple[np.random.Generator, np.random.Generator]:
    """Give an advisor's own source of chance, and another one for what is never posted."""
    number = int(habit.advisor_id.removeprefix("ADV"))
    return np.random.default_rng([spec.seed, 23, number]), np.random.default_rng([spec.seed, 29, number])


def _posting_days(rng: np.random.Generator, habit: Habit, days: int, per_day: float) -> Int64Array:
    counts = rng.poisson(per_day, days)
    if habit.kind is Kind.QUITTING:
        counts[int(days * _QUIT_AT) :] = 0
    return np.repeat(np.arange(days), counts)


def points_by_day(habit: Habit, trend: FloatArray) -> FloatArray:
    """State the points of a habit on every day of the book.

    Parameters
    ----------
    habit : Habit
        Whose points.
    trend : ndarray of float64, shape (n_days,)
        As in `PathBook`.

    Returns
    -------
    ndarray of float64, shape (n_days,)
        Constant for most; a drifter loses all he can over the range; the skill of a one-regime advisor is
        there only on days that follow a clear 20-day trend of the market.
    """
    days = len(trend)
    if habit.kind is Kind.DRIFTING:
        return habit.points * np.linspace(1.0, 0.0, days)
    if habit.kind is Kind.REGIME_ONLY:
        return np.where(np.abs(trend) >= _TREND, habit.points, 0.0)
    return np.full(days, habit.points)


def _post(rng: np.random.Generator, habit: Habit, book: PathBook, days: Int64Array, odds: Odds) -> Choice:
    peek = peek_probability(points_by_day(habit, book.trend)[days], odds)
    choice = choose(rng, habit, book, days, peek)
    return _lucky(rng, book, choice) if habit.kind is Kind.LUCKY else choice


def _lucky(rng: np.random.Generator, book: PathBook, choice: Choice) -> Choice:
    """Flip the sides of each early fortnight a few times and keep the luckiest flips: luck, not skill."""
    derivative = np.array([i.category.is_derivative for i in book.instruments])[choice.ideas.row]
    option = np.array([i.category.is_option for i in book.instruments])[choice.ideas.row]
    free = (choice.trials.status >= 0).all(axis=1) & ~option & (derivative | (choice.ideas.period == 0))
    side, at = choice.side.copy(), np.arange(len(choice.side))
    for first in range(0, int(len(book.days) * _LUCKY_UNTIL), _FORTNIGHT):
        inside = free & (choice.ideas.day >= first) & (choice.ideas.day < first + _FORTNIGHT)
        flips = np.where(inside, rng.integers(0, 2, (_LUCKY_DRAWS, len(side))), side)
        wins = (choice.trials.status[at, flips] == TARGET_FIRST) & inside
        side = flips[int(np.argmax(wins.sum(axis=1)))]
    return Choice(choice.ideas, side, choice.trials)


def _copy(rng: np.random.Generator, habit: Habit, book: PathBook, choice: Choice) -> Choice:
    low, high = _COPY_LAG_S if habit.kind is Kind.LATE_COPIER else _SYBIL_LAG_S
    return delayed(rng, book, choice, low, high)


def _truth(
    rng: np.random.Generator, habit: Habit, book: PathBook, odds: Odds, posted: Choice
) -> Mapping[str, Any]:
    """Measure what is true about an advisor on ideas of their own, and count what was posted."""
    days = rng.integers(0, len(book.days), _TRUTH_DRAWS)
    points = points_by_day(habit, book.trend)[days]
    anew = choose(rng, habit, book, days, peek_probability(points, odds))
    if habit.follows:
        anew = _copy(rng, habit, book, anew)
    measured, _ = hit_rate(anew)
    # without a look ahead the chance is that of a random side by construction
    true_hits = odds.blind if habit.points == 0 else measured
    posted_hits, filled = hit_rate(posted)
    return {
        "advisor_id": habit.advisor_id,
        "name": habit.name,
        "kind": habit.kind.value,
        "points": round(habit.points, 4),
        "mean_points": round(float(points.mean()), 4),
        "follows": habit.follows,
        "category": habit.category.value,
        "period": habit.period.value,
        "reward_risk": habit.reward,
        "targets": habit.targets,
        "has_stop": habit.has_stop,
        "hit_probability_no_skill": round(odds.blind, 4),
        "hit_probability_true": round(true_hits, 4),
        "points_true": round(true_hits - odds.blind, 4),
        "gross_r_true": _mean(anew.gross_r()),
        "risk_ratio_mean": _mean(anew.ideas.risk),
        "ideas_posted": len(posted.side),
        "ideas_filled": round(filled * len(posted.side)),
        "hit_rate_posted": round(posted_hits, 4) if np.isfinite(posted_hits) else None,
        "gross_r_posted": _mean(posted.gross_r()),
    }


def _mean(values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return round(float(known.mean()), 4) if len(known) else None

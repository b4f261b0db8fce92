"""Draws ideas by habit and picks sides with a stated probability of looking ahead."""

from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from propdesk.model.enums import Category, Period
from propdesk.sim.advisor_habits import Habit, Kind
from propdesk.sim.advisor_paths import (
    INVALID,
    MARKET,
    NOT_TRIGGERED,
    STOP_FIRST,
    TARGET_FIRST,
    TIMED_OUT,
    Candidates,
    Trials,
    try_again,
    try_candidates,
)
from propdesk.sim.market_book import PathBook

Int64Array: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]

CHOICES = 6
"""Ideas an advisor weighs before posting one: enough that a peeking one finds a winner nearly always."""

_BLIND_CHOICES = 2
_BLIND_DRAWS = 3

DEFAULT_LAG_S = 30
"""received_at minus posted_at where a file does not carry received_at (§1)."""

PERIODS = (Period.INTRADAY, Period.SWING, Period.POSITIONAL)
_CATEGORIES = tuple(Category)
_MAIN_SHARE = 0.86
_OTHER_PERIODS = (0.6, 0.3, 0.1)
_AFTER_HOURS_SHARE = 0.03
_SESSION_MINUTES = ((1, 135), (135, 255), (255, 335))
_OPTION_PRICE_MIN = 1_000
_STOCK_PRICE_MIN = 1_000

# usual stop distance as a fraction of the price: by (is option, period)
_RISK = {
    Category.NSE_EQ: ((0.004, 0.0075), (0.018, 0.032), (0.045, 0.075)),
    Category.STOCK_FUT: ((0.004, 0.0075), (0.018, 0.032), (0.045, 0.075)),
    Category.INDEX_FUT: ((0.0023, 0.004), (0.008, 0.015), (0.02, 0.034)),
    Category.INDEX_OPT: ((0.09, 0.17), (0.2, 0.34), (0.28, 0.42)),
    Category.STOCK_OPT: ((0.09, 0.17), (0.2, 0.34), (0.28, 0.42)),
}
_REWARD_MIN, _REWARD_MAX = 0.5, 3.0


@dataclass(frozen=True, slots=True)
class Choice:
    """Posted ideas: candidates, chosen sides (0 BUY, 1 SELL) and the fate of every side."""

    ideas: Candidates
    side: Int64Array
    trials: Trials

    def fate(self, name: str) -> NDArray[np.int64]:
        """Give a column of the trials at the chosen side."""
        return np.asarray(getattr(self.trials, name)[np.arange(len(self.side)), self.side])

    def gross_r(self) -> FloatArray:
        """Give the result of the chosen side in risks; NaN without a stop or fill."""
        return np.asarray(self.trials.gross_r[np.arange(len(self.side)), self.side])


@dataclass(frozen=True, slots=True)
class Odds:
    """Chances of a habit, measured on ideas of their own.

    Attributes
    ----------
    blind : float
        Share of triggered ideas that reach the first target before the stop with a random side.
    blind_fill : float
        Share of such ideas that trigger.
    peeked : float
        The same share when the side is peeked at (of a loser where points are negative).
    """

    blind: float
    blind_fill: float
    peeked: float


def draw_candidates(rng: np.random.Generator, habit: Habit, book: PathBook, days: Int64Array) -> Candidates:
    """Draw ``CHOICES`` ideas for every posting.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    habit : Habit
        Whose ideas.
    book : PathBook
        What can be talked about.
    days : ndarray of int64, shape (n,)
        Day of trading of each posting.

    Returns
    -------
    Candidates
        n * CHOICES ideas, the choices of one posting side by side.
    """
    n = len(days) * CHOICES
    day = np.repeat(days, CHOICES)
    category = _draw_category(rng, habit, book, len(days))
    others = rng.choice(3, len(days), p=_OTHER_PERIODS)
    period = np.where(rng.random(len(days)) < _MAIN_SHARE, PERIODS.index(habit.period), others)
    category, period = np.repeat(category, CHOICES), np.repeat(period, CHOICES)
    row = _draw_rows(rng, habit, book, day, category, period)
    posted, received = _draw_times(rng, habit, book, day, row)
    risks = np.array([_RISK[c] for c in _CATEGORIES])[category, period]
    risk = habit.risk * (risks[:, 0] + (risks[:, 1] - risks[:, 0]) * rng.random(n))
    reward = np.clip(habit.reward * np.exp(0.12 * rng.standard_normal(n)), _REWARD_MIN, _REWARD_MAX)
    entry_type = rng.choice(4, n, p=np.array(habit.entry_weights) / sum(habit.entry_weights))
    return Candidates(
        row=row,
        day=day,
        posted_s=posted,
        received_s=received,
        period=period.astype(np.int64),
        entry_type=np.where(posted < book.open_minute[0, day] * 60, np.minimum(entry_type, 1), entry_type),
        offset=risk * (0.08 + 0.25 * rng.random(n)),
        risk=risk,
        reward=reward,
        targets=np.full(n, habit.targets, np.int64),
        has_stop=np.full(n, habit.has_stop),
    )


def _draw_category(rng: np.random.Generator, habit: Habit, book: PathBook, n: int) -> Int64Array:
    offered = {category for category, _, thin in book.pools if not thin}
    others = [i for i, c in enumerate(_CATEGORIES) if c in offered and c is not habit.category]
    main = np.full(n, _CATEGORIES.index(habit.category))
    if not others or habit.kind is Kind.PUMPER:
        return main
    return np.where(rng.random(n) < _MAIN_SHARE, main, rng.choice(others, n))


def _draw_rows(
    rng: np.random.Generator,
    habit: Habit,
    book: PathBook,
    day: Int64Array,
    category: Int64Array,
    period: Int64Array,
) -> Int64Array:
    row = np.full(len(day), -1, np.int64)
    at = rng.random(len(day))
    for number, kind in enumerate(_CATEGORIES):
        for swing in (False, True):
            pool = book.pools.get((kind, swing, habit.kind is Kind.PUMPER)) or book.pools.get(
                (kind, swing, False)
            )
            wanted = np.flatnonzero((category == number) & ((period > 0) == swing))
            if pool is None or not len(wanted):
                continue
            sizes = np.array([len(rows) for rows in pool], np.int64)
            starts = np.concatenate([[0], np.cumsum(sizes)])
            flat = np.concatenate([*pool, np.array([-1], np.int64)])
            of_day = day[wanted]
            place = starts[of_day] + (at[wanted] * sizes[of_day]).astype(np.int64)
            row[wanted] = np.where(sizes[of_day] > 0, flat[np.minimum(place, len(flat) - 1)], -1)
    return row


def _draw_times(
    rng: np.random.Generator, habit: Habit, book: PathBook, day: Int64Array, row: Int64Array
) -> tuple[Int64Array, Int64Array]:
    """Seconds of posting and receipt: in favourite sessions, now and then before the open or the evening."""
    n = len(day) // CHOICES
    session = np.repeat(
        rng.choice(3, n, p=np.array(habit.session_weights) / sum(habit.session_weights)), CHOICES
    )
    bounds = np.array(_SESSION_MINUTES)[session]
    minute = bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * rng.random(len(day))
    length = book.close_minute[0, day] - book.open_minute[0, day]
    minute = np.minimum(minute, np.maximum(length - 40, 1))
    posted = book.open_minute[0, day] * 60 + (minute * 60).astype(np.int64)
    is_option = np.array([item.category.is_option for item in book.instruments] + [False])[row]
    early = np.repeat(rng.random(n) < _AFTER_HOURS_SHARE, CHOICES) & ~is_option & (day > 0)
    morning = book.open_minute[0, day] * 60 - rng.integers(600, 6_000, len(day))
    evening = book.close_minute[1, np.maximum(day - 1, 0)] * 60 + rng.integers(1_800, 14_400, len(day))
    is_last = day == len(book.days) - 1  # the last day is replayed live: nothing from the evening before
    posted = np.where(early, np.where((rng.random(len(day)) < 0.5) | is_last, morning, evening), posted)
    lag = np.where(rng.random(len(day)) < 0.3, DEFAULT_LAG_S, rng.integers(2, 75, len(day)))
    return posted, posted + lag


def _allowed(habit: Habit, book: PathBook, ideas: Candidates, trials: Trials) -> NDArray[np.bool_]:
    """Sides that can be posted: options are bought (or written) only, cash is not shorted beyond the day."""
    is_option = np.array([item.category.is_option for item in book.instruments])[ideas.row]
    is_cash = ~np.array([item.category.is_derivative for item in book.instruments])[ideas.row]
    allowed = trials.status != INVALID
    no_sell = (is_option & (not habit.sells_options)) | (is_cash & (ideas.period > 0))
    if habit.kind is Kind.PUMPER:
        no_sell |= True
    allowed[:, 1] &= ~no_sell
    allowed[:, 0] &= ~(is_option & habit.sells_options)
    return np.asarray(allowed & (ideas.row >= 0)[:, None])


def choose(
    rng: np.random.Generator, habit: Habit, book: PathBook, days: Int64Array, peek: FloatArray
) -> Choice:
    """Post one idea per day entry, peeking with the given probabilities.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    habit : Habit
        Whose ideas.
    book : PathBook
        Paths to look ahead in.
    days : ndarray of int64, shape (n,)
        Day of each posting.
    peek : ndarray of float64, shape (n,)
        Probability of taking the first winner among the choices (of a loser where negative) instead of a
        random side of the first one.

    Returns
    -------
    Choice
        Postings for which any choice was possible, in order.
    """
    ideas = draw_candidates(rng, habit, book, days)
    looked = rng.random(len(days)) < np.abs(peek)
    # who does not look ahead posts the first idea that makes sense: the others need no trial
    ideas.row[np.repeat(~looked, CHOICES) & (np.tile(np.arange(CHOICES), len(days)) >= _BLIND_CHOICES)] = -1
    is_option = np.array([item.category.is_option for item in book.instruments] + [False])[ideas.row]
    trials = try_candidates(book, ideas, np.where(is_option, _OPTION_PRICE_MIN, _STOCK_PRICE_MIN))
    allowed = _allowed(habit, book, ideas, trials).reshape(len(days), 2 * CHOICES)
    status = trials.status.reshape(len(days), 2 * CHOICES)
    wish = np.where(peek < 0, STOP_FIRST, TARGET_FIRST)
    order = rng.random((len(days), CHOICES, 2))
    order += np.arange(CHOICES)[None, :, None] * 2  # earlier choices first, sides in random order
    order = order.reshape(len(days), 2 * CHOICES)
    order = np.where(allowed, order, np.inf)
    wanted = allowed & (status == wish[:, None]) & looked[:, None]
    order = np.where(wanted, order - 4 * CHOICES, order)
    best = np.argmin(order, axis=1)
    possible = np.flatnonzero(allowed[np.arange(len(days)), best])
    at = possible * CHOICES + best[possible] // 2
    picked = Trials(*(getattr(trials, field.name)[at] for field in fields(Trials)))
    return Choice(ideas.take(at), best[possible] % 2, picked)


def hit_rate(choice: Choice) -> tuple[float, float]:
    """Share of triggered ideas that reached the first target before the stop, and share triggered."""
    status = choice.fate("status")
    ended = np.isin(status, (TARGET_FIRST, STOP_FIRST, TIMED_OUT))
    filled = int(ended.sum())
    if not filled:
        return float("nan"), 0.0
    return float((status == TARGET_FIRST).sum() / filled), filled / len(status)


def measure_odds(rng: np.random.Generator, habit: Habit, book: PathBook, draws: int) -> Odds:
    """Measure a habit's chances with and without peeking on ideas that are never posted."""
    many = _BLIND_DRAWS * draws
    blind_days = rng.integers(0, len(book.days), many)
    blind, fill = hit_rate(choose(rng, habit, book, blind_days, np.zeros(many)))
    days = rng.integers(0, len(book.days), draws)
    sign = -1.0 if habit.points < 0 else 1.0
    peeked, _ = hit_rate(choose(rng, habit, book, days, np.full(draws, sign)))
    return Odds(blind, fill, peeked)


def peek_probability(points: FloatArray, odds: Odds) -> FloatArray:
    """Turn points of hit probability into the probability of peeking.

    Parameters
    ----------
    points : ndarray of float64
        Wanted hit probability minus that of a random side, fractions.
    odds : Odds
        Chances of the habit.

    Returns
    -------
    ndarray of float64
        In [-1, 1]; negative = a loser is looked for. Points beyond what peeking can reach are cut.

    Notes
    -----
    A peeked idea always triggers, a blind one with probability ``blind_fill``: the share of peeked ones among
    the triggered is w = points / (peeked - blind), so q = w f / (1 - w + w f).
    """
    span = odds.peeked - odds.blind
    if not np.isfinite(span) or span == 0:
        return np.zeros_like(points)
    share = np.clip(np.abs(points / span), 0.0, 1.0)
    fill = odds.blind_fill
    return np.asarray(np.sign(points) * share * fill / (1 - share + share * fill))


def delayed(rng: np.random.Generator, book: PathBook, choice: Choice, low_s: int, high_s: int) -> Choice:
    """Repeat someone's ideas word for word, ``low_s`` to ``high_s`` seconds later.

    Returns
    -------
    Choice
        Same levels and sides; the fate is that of the later moment, so an entry may be missed. Ideas whose
        moment would fall behind the square-off are not repeated.
    """
    ideas = choice.ideas
    lag = rng.integers(low_s, high_s, len(choice.side))
    moved = Candidates(
        **{
            **{field.name: getattr(ideas, field.name) for field in fields(Candidates)},
            "posted_s": ideas.posted_s + lag,
            "received_s": ideas.received_s + lag,
        }
    )
    in_time = np.flatnonzero(moved.received_s < book.square_off_minute[0, ideas.day] * 60)
    levels = Trials(*(getattr(choice.trials, field.name)[in_time] for field in fields(Trials)))
    later = moved.take(in_time)
    return Choice(later, choice.side[in_time], try_again(book, later, levels))


__all__ = [
    "CHOICES",
    "DEFAULT_LAG_S",
    "MARKET",
    "NOT_TRIGGERED",
    "PERIODS",
    "Choice",
    "Odds",
    "choose",
    "delayed",
    "draw_candidates",
    "hit_rate",
    "measure_odds",
    "peek_probability",
]

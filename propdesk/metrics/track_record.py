"""What a replayed track record is worth: probability and deflation of Sharpe, reshuffled drawdown (§3.8)."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from propdesk.core.invariant import require

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_EULER = 0.5772156649015329
_NEAR = 1e-9
"""Share of the peak by which a bound on a run may be wrong in its last digits."""


def _sharpe_variance(ratio: float, skew: float, kurt: float) -> float:
    """Variance of a Sharpe ratio of one period times the number of periods less one; NaN if impossible."""
    variance = 1.0 - skew * ratio + (kurt - 1.0) / 4.0 * ratio * ratio
    return variance if variance > 0.0 else math.nan


def probabilistic_sharpe(
    ratio: float, n_periods: int, skew: float, kurt: float, benchmark: float = 0.0
) -> float:
    """Chance that the true Sharpe ratio exceeds a benchmark.

    Parameters
    ----------
    ratio, benchmark : float
        Sharpe ratios of one period, not brought to a year.
    n_periods : int
        Length of the record.
    skew, kurt : float
        Third and fourth standardised moment of the returns (3 for normal ones).

    Returns
    -------
    float
        In [0, 1]; NaN under two periods or where a moment is.

    Notes
    -----
    Bailey and López de Prado (2012): Φ((SR − s) sqrt(T − 1) / sqrt(1 − g3 SR + (g4 − 1) / 4 SR²)).

    Examples
    --------
    >>> round(probabilistic_sharpe(0.1, 101, 0.0, 3.0), 4)
    0.8407
    """
    variance = _sharpe_variance(ratio, skew, kurt)
    if n_periods < 2 or math.isnan(variance):
        return math.nan
    return float(ndtr((ratio - benchmark) * math.sqrt(n_periods - 1) / math.sqrt(variance)))


def lucky_sharpe(spread: float, n_trials: float) -> float:
    """Give the best Sharpe ratio that luck alone is expected to show among several records.

    Parameters
    ----------
    spread : float
        Standard deviation of the ratios over the records.
    n_trials : float
        Independent records, see `discovery.effective_trials`.

    Returns
    -------
    float
        spread × ((1 − g) z(1 − 1/N) + g z(1 − 1/(N e))), g = 0.5772, and never below 0: searching among
        one and a bit does not make a record better.

    Notes
    -----
    The benchmark of the deflated Sharpe ratio (Bailey and López de Prado 2014).

    Examples
    --------
    >>> round(lucky_sharpe(1.0, 10), 4)
    1.5746
    """
    if n_trials <= 1.0:
        return 0.0
    near = float(ndtri(1.0 - 1.0 / n_trials))
    far = float(ndtri(1.0 - 1.0 / (n_trials * math.e)))
    return max(0.0, spread * ((1.0 - _EULER) * near + _EULER * far))


def min_track_periods(
    ratio: float, skew: float, kurt: float, benchmark: float = 0.0, level: float = 0.05
) -> float:
    """Periods it takes until a Sharpe ratio is told from a benchmark; NaN where it does not exceed it.

    1 + (1 − g3 SR + (g4 − 1) / 4 SR²) (z / (SR − s))², one-sided.

    Examples
    --------
    >>> round(min_track_periods(0.1, 0.0, 3.0), 1)
    272.9
    """
    variance = _sharpe_variance(ratio, skew, kurt)
    if math.isnan(variance) or not ratio > benchmark:
        return math.nan
    return 1.0 + variance * (float(ndtri(1.0 - level)) / (ratio - benchmark)) ** 2


def block_starts(n_days: int, block: int, draws: int, rng: np.random.Generator) -> IntArray:
    """Draw days for reshuffled records: blocks of consecutive days, the last joined to the first.

    Parameters
    ----------
    n_days, block, draws : int
        Days of the record, days of a block, records to draw; all ≥ 1.
    rng : Generator
        Source of the draws.

    Returns
    -------
    ndarray of int64, shape (draws, n_days)
        Numbers of days; every day has the same chance to stand in every place.
    """
    require(min(n_days, block, draws) >= 1, "a reshuffled record needs days, blocks and draws")
    starts = rng.integers(0, n_days, size=(draws, -(-n_days // block)))
    days = starts[:, :, None] + np.arange(block)[None, None, :]
    return np.asarray(days.reshape(draws, -1)[:, :n_days] % n_days, dtype=np.int64)


def reshuffled_tails(
    result: FloatArray, day: IntArray, low: IntArray, high: IntArray, order: IntArray, capital: float
) -> FloatArray:
    """Give the drawdown that 95 of 100 reshuffled records stay inside, for many groups of exits.

    Parameters
    ----------
    result : ndarray of float64, shape (n,)
        Result of each exit, money; in order of time within a group.
    day : ndarray of int64, shape (n,)
        Number of the exit's day in [0, n_days), not falling within a group.
    low, high : ndarray of int64, shape (n_groups,)
        Exits of group g are ``result[low[g]:high[g]]``.
    order : ndarray of int64, shape (draws, n_days)
        Days of each record to look at, from `block_starts`.
    capital : float
        Start of every record, same money, > 0.

    Returns
    -------
    ndarray of float64, shape (n_groups,)
        Lowest value against the running peak, exit by exit, ≤ 0: of the drawdowns, deepest first, the one
        that a twentieth of the draws precede. 0 for a group without exits.

    Notes
    -----
    A day's exits stay in their order. Sizes are those of the record: results add up, they do not compound.
    Source: spec §3.8 (P95 drawdown of the reshuffled replay).
    """
    require(capital > 0, "a record needs a positive capital")
    inside = len(day) == 0 or (int(day.min()) >= 0 and int(day.max()) < order.shape[1])
    require(inside, "an exit lies outside the record")
    joined = np.zeros(len(day) + 1, dtype=bool)
    joined[low], joined[high] = True, True
    require(bool((np.diff(day) >= 0)[~joined[1:-1]].all()), "exits are not in order of time")
    first, behind, count = _runs(order)
    runs, kind = np.unique(first * (order.shape[1] + 1) + behind, return_inverse=True)
    begin, end = np.divmod(runs, order.shape[1] + 1)
    return np.asarray(
        _tails(result, day, low, high, begin, end, kind.reshape(first.shape), count, order.shape[1], capital)
    )


@njit(cache=True, nogil=True)
def _runs(order: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Join consecutive days of each record: the same runs of days come again and again."""
    first, behind = np.zeros_like(order), np.zeros_like(order)
    count = np.zeros(order.shape[0], dtype=np.int64)
    for draw in range(order.shape[0]):
        for day in order[draw]:
            run = count[draw] - 1
            if run >= 0 and behind[draw, run] == day:
                behind[draw, run] = day + 1
            else:
                first[draw, run + 1], behind[draw, run + 1] = day, day + 1
                count[draw] += 1
    return first, behind, count


@njit(cache=True, nogil=True)
def _tails(
    result: FloatArray,
    day: IntArray,
    low: IntArray,
    high: IntArray,
    begin: IntArray,
    end: IntArray,
    kind: IntArray,
    count: IntArray,
    n_days: int,
    capital: float,
) -> FloatArray:
    """Walk a record exit by exit only where whole runs do not show that it is none of the deepest."""
    out = np.zeros(len(low))
    start = np.zeros(n_days + 1, dtype=np.int64)
    deepest = np.zeros(len(count) // 20 + 1)  # rising
    for g in range(len(low)):
        at = low[g]
        for number in range(len(start)):  # exits of day d are result[start[d]:start[d + 1]]
            while at < high[g] and day[at] < number:
                at += 1
            start[number] = at
        total, lowest, highest, drop = _shapes(result, start[begin], start[end])
        deepest[:] = 1.0
        for draw in range(len(count)):
            runs = kind[draw, : count[draw]]
            if _may_fall_below(deepest[-1] + _NEAR, runs, total, lowest, highest, drop, capital):
                found, place = _deepest(result, start, begin, end, runs, capital), len(deepest) - 1
                while place > 0 and deepest[place - 1] > found:
                    deepest[place] = deepest[place - 1]
                    place -= 1
                deepest[place] = min(found, deepest[place])
        out[g] = deepest[-1] - 1.0
    return out


@njit(cache=True, nogil=True)
def _shapes(
    result: FloatArray, begin: IntArray, end: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Give each run's sum, the lowest and highest sum on the way, and the deepest fall between two."""
    total, lowest, highest, drop = (
        np.zeros(len(begin)),
        np.zeros(len(begin)),
        np.zeros(len(begin)),
        np.zeros(len(begin)),
    )
    for k in range(len(begin)):
        value, least, most, fall = 0.0, 0.0, -np.inf, 0.0
        for i in range(begin[k], end[k]):
            value += result[i]
            least = min(least, value)
            most = max(most, value)
            fall = max(fall, most - value)
        total[k], lowest[k], highest[k], drop[k] = value, least, most, fall
    return total, lowest, highest, drop


@njit(cache=True, nogil=True)
def _may_fall_below(
    ratio: float,
    runs: IntArray,
    total: FloatArray,
    lowest: FloatArray,
    highest: FloatArray,
    drop: FloatArray,
    capital: float,
) -> bool:
    """Tell whether a record may fall below a ratio to its running peak; False is certain."""
    value, peak, found = capital, capital, False
    for k in runs:
        top, limit = value + highest[k], ratio * peak
        # a fall within a run that reaches a new peak starts no lower than at the old one
        found |= (value + lowest[k] < limit) | ((top > peak) & (peak - drop[k] < limit))
        peak = max(peak, top)
        value += total[k]
    return found


@njit(cache=True, nogil=True)
def _deepest(
    result: FloatArray, start: IntArray, begin: IntArray, end: IntArray, runs: IntArray, capital: float
) -> float:
    """Give the lowest ratio of a record to its running peak, exit by exit."""
    value, peak, found = capital, capital, 1.0
    for k in runs:
        for i in range(start[begin[k]], start[end[k]]):
            value += result[i]
            if value > peak:
                peak = value
            else:
                found = min(found, value / peak)
    return found

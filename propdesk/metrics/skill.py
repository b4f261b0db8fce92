"""What an idea without skill would do: its chance to win and its pain against reward (§3.8).

The null is a Brownian path through the idea's own chain of targets and trailed stops: stop at
−1 R, at entry after the first target, at target k − 1 after target k. Its drift is such that the
expected net result is nothing: an advisor who only earns his costs has no skill. Everything here
is compiled and stands in one file (see `propdesk.replay.kernel`).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LEGS_MAX = 10
"""Targets of one idea (`core.limits.TARGETS_MAX`)."""

_DRIFT_MAX = 60.0
_BISECTIONS = 60

GRID = 8
"""Steps of the simulated walk per R."""

HORIZONS_R2 = (0.25, 0.5, 1.0, 2.0, 4.0, 64.0)
"""Ages, in squared R of variance, at which a simulated idea is also closed by time; the last is 'never'."""

PATHS = 4_000
"""Simulated ideas per shape: the mean of an excursion is known to about one percent."""

_SHAPES_KEPT = 4_096


class Chains(NamedTuple):
    """Ideas with a stop and at least one target, as arrays.

    ``levels`` and ``share`` are (n, LEGS_MAX): targets in R by distance, share of quantity per
    leg; ``legs`` (n,) is how many of them count, 0 for an idea without chain.
    """

    levels: FloatArray
    share: FloatArray
    legs: IntArray


@njit(cache=True)
def _stop_of(levels: FloatArray, stage: int) -> float:
    if stage == 0:
        return -1.0
    return 0.0 if stage == 1 else float(levels[stage - 2])


@njit(cache=True)
def _rise(drift: float, at: float, low: float, high: float) -> float:
    """Chance that the path meets ``high`` before ``low``; drift is 2 mu / sigma²."""
    if at >= high:
        return 1.0
    if at <= low:
        return 0.0
    if abs(drift) < 1e-9:
        return (at - low) / (high - low)
    if drift > 0:
        return math.expm1(-drift * (at - low)) / math.expm1(-drift * (high - low))
    # the same, written so that nothing overflows for a falling path
    return math.exp(drift * (high - at)) * math.expm1(drift * (at - low)) / math.expm1(drift * (high - low))


@njit(cache=True)
def _walk(
    levels: FloatArray, share: FloatArray, legs: int, drift: float, cost: float, stage: int, at: float
) -> tuple[float, float]:
    """Give expected gross R and chance of a net win for a path that stands ``at`` in ``stage``."""
    banked = 0.0
    left = 1.0
    for i in range(stage):
        banked += share[i] * levels[i]
        left -= share[i]
    reach = 1.0
    expected = 0.0
    wins = 0.0
    for j in range(stage, legs):
        stop = _stop_of(levels, j)
        up = _rise(drift, at, stop, levels[j])
        lost = banked + left * stop
        expected += reach * (1.0 - up) * lost
        if lost - cost > 1e-12:
            wins += reach * (1.0 - up)
        reach *= up
        banked += share[j] * levels[j]
        left -= share[j]
        at = levels[j]
    expected += reach * banked
    if banked - cost > 1e-12:
        wins += reach
    return expected, wins


@njit(cache=True)
def _drift(levels: FloatArray, share: FloatArray, legs: int, cost: float) -> float:
    """Drift at which the expected gross result pays the cost; NaN if none does."""
    low, high = -_DRIFT_MAX, _DRIFT_MAX
    if abs(cost) < 1e-12:
        return 0.0
    if _walk(levels, share, legs, high, cost, 0, 0.0)[0] <= cost:
        return math.nan
    if _walk(levels, share, legs, low, cost, 0, 0.0)[0] >= cost:
        return math.nan
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if _walk(levels, share, legs, middle, cost, 0, 0.0)[0] < cost:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@njit(cache=True)
def break_even_drifts(chains: Chains, cost_r: FloatArray) -> FloatArray:
    """Solve each idea's drift (2 mu / sigma², per R) for an expected net result of 0.

    Parameters
    ----------
    chains : Chains
        Ideas.
    cost_r : ndarray of float64, shape (n,)
        Slippage and charges in R.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN without a chain, without a cost, or where the whole chain does not pay it.
    """
    out = np.full(len(cost_r), np.nan)
    for i in range(len(cost_r)):
        if chains.legs[i] > 0 and not math.isnan(cost_r[i]):
            out[i] = _drift(chains.levels[i], chains.share[i], chains.legs[i], cost_r[i])
    return out


@njit(cache=True)
def break_even_chances(chains: Chains, cost_r: FloatArray, drift: FloatArray) -> FloatArray:
    """Chance p0 that an idea without skill ends with a net win.

    Parameters
    ----------
    chains, cost_r
        As in `break_even_drifts`.
    drift : ndarray of float64, shape (n,)
        From `break_even_drifts`.

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, 1]; NaN where the drift is.

    Notes
    -----
    For one target at b R and a cost c this is (1 + c) / (1 + b). Source: spec §3.8.
    """
    out = np.full(len(cost_r), np.nan)
    for i in range(len(cost_r)):
        if not math.isnan(drift[i]):
            out[i] = _walk(chains.levels[i], chains.share[i], chains.legs[i], drift[i], cost_r[i], 0, 0.0)[1]
    return out


@njit(cache=True)
def remaining_chances(
    chains: Chains, cost_r: FloatArray, drift: FloatArray, targets_hit: IntArray, at_r: FloatArray
) -> FloatArray:
    """Chance of a net win that an idea still had when time or hand closed it.

    Parameters
    ----------
    chains, cost_r, drift
        As in `break_even_chances`.
    targets_hit : ndarray of int64, shape (n,)
        Targets reached before the close.
    at_r : ndarray of float64, shape (n,)
        Where the price stood at the close, in R from entry, favourable > 0.

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, 1]; NaN where the drift or the price is.

    Notes
    -----
    Under the null the chance of a win is a martingale, so counting this value for an idea that
    was closed early leaves the expected number of hits at Σ p0, whereas leaving such ideas out
    would favour whichever level lies nearer.
    """
    out = np.full(len(cost_r), np.nan)
    for i in range(len(cost_r)):
        if math.isnan(drift[i]) or math.isnan(at_r[i]):
            continue
        legs = chains.legs[i]
        stage = min(targets_hit[i], legs)
        out[i] = _walk(chains.levels[i], chains.share[i], legs, drift[i], cost_r[i], stage, at_r[i])[1]
    return out


@njit(cache=True)
def _mix(state: np.uint64) -> np.uint64:
    """Scramble a counter into 64 coin flips (splitmix64)."""
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def _flip(counter: IntArray, bits: NDArray[np.uint64]) -> bool:
    if counter[1] == 0:
        bits[0] += np.uint64(0x9E3779B97F4A7C15)
        bits[1] = _mix(bits[0])
        counter[1] = 64
    counter[1] -= 1
    up = bool((bits[1] & np.uint64(1)) == np.uint64(1))
    bits[1] >>= np.uint64(1)
    return up


@njit(cache=True)
def _add(out: FloatArray, row: int, low: int, high: int, alive: bool, bottom: int, top: int) -> None:
    half = 0.5 / GRID  # the path between grid points goes on average this much further
    out[row, 0] += 1.0 if alive else 0.0
    out[row, 1] += -low / GRID + (0.0 if low <= bottom else half)
    out[row, 2] += high / GRID + (0.0 if high >= top else half)


@njit(cache=True)
def _one_path(
    targets: IntArray, ages: IntArray, counter: IntArray, bits: NDArray[np.uint64], out: FloatArray
) -> None:
    at, low, high, stage, step = 0, 0, 0, 0, 0
    stop = -GRID
    top = targets[len(targets) - 1]
    for h in range(len(ages)):
        while step < ages[h] and at > stop and stage < len(targets):
            at += 1 if _flip(counter, bits) else -1
            step += 1
            low = min(low, at)
            high = max(high, at)
            if at >= targets[stage]:
                stop = 0 if stage == 0 else targets[stage - 1]
                stage += 1
        alive = at > stop and stage < len(targets)
        _add(out, h, low, high, alive, -GRID, top)


@njit(cache=True)
def excursions_without_skill(targets: IntArray, paths: int, seed: int) -> FloatArray:
    """Simulate one shape: share still open, mean MAE and mean MFE, closed at each horizon.

    Parameters
    ----------
    targets : ndarray of int64, shape (legs,)
        Target levels in units of 1/GRID R, rising.
    paths : int
        Ideas to simulate.
    seed : int
        Same seed, same result.

    Returns
    -------
    ndarray of float64, shape (len(HORIZONS_R2), 3)
        Share not yet ended by a level, mean MAE, mean MFE (both in R).

    Notes
    -----
    A driftless walk on a grid meets levels with exactly the chances of a Brownian path; the
    extremes between grid points are added on average. Source: spec §3.1.
    """
    ages = np.empty(len(HORIZONS_R2), dtype=np.int64)
    for h in range(len(HORIZONS_R2)):
        ages[h] = int(HORIZONS_R2[h] * GRID * GRID)
    out = np.zeros((len(HORIZONS_R2), 3))
    counter = np.zeros(2, dtype=np.int64)
    bits = np.zeros(2, dtype=np.uint64)
    bits[0] = np.uint64(seed)
    for _ in range(paths):
        _one_path(targets, ages, counter, bits, out)
    for h in range(len(HORIZONS_R2)):
        for k in range(3):
            out[h, k] /= paths
    return out


def shapes_of(chains: Chains) -> tuple[IntArray, IntArray]:
    """Round ideas to the shapes that are simulated.

    Parameters
    ----------
    chains : Chains
        Ideas.

    Returns
    -------
    ndarray of int64, shape (n_shapes, LEGS_MAX)
        Distinct target levels in 1/GRID R, 0 where there is no further target.
    ndarray of int64, shape (n,)
        Shape of each idea, −1 without a chain.

    Notes
    -----
    Single targets are rounded to 1/8 R, chains to 1/4 R, at most 8 R; a level that rounding
    would put on the one before moves one step on.
    """
    step = np.where(chains.legs > 1, 2.0, 1.0)[:, None]
    grid = np.clip(np.round(chains.levels * GRID / step) * step, step, 8 * GRID).astype(np.int64)
    used = np.arange(LEGS_MAX)[None, :] < chains.legs[:, None]
    for k in range(1, LEGS_MAX):
        grid[:, k] = np.maximum(grid[:, k], grid[:, k - 1] + 1)
    grid = np.where(used, grid, 0)
    shapes, inverse = np.unique(grid, axis=0, return_inverse=True)
    number = np.where(chains.legs > 0, inverse.ravel(), -1)
    return shapes.astype(np.int64), number.astype(np.int64)


@lru_cache(maxsize=_SHAPES_KEPT)
def _simulated(levels: tuple[int, ...], paths: int, seed: int) -> FloatArray:
    return excursions_without_skill(np.array(levels, dtype=np.int64), paths, seed)


class NoSkillTable:
    """Excursions without skill per shape, simulated once each and kept for the life of the process."""

    def __init__(self, seed: int = 1, paths: int = PATHS) -> None:
        self._seed, self._paths = seed, paths

    def table(self, shapes: IntArray) -> FloatArray:
        """Look up shapes; (n_shapes, len(HORIZONS_R2), 3) as in `excursions_without_skill`."""
        out = np.zeros((len(shapes), len(HORIZONS_R2), 3))
        for i, row in enumerate(shapes):
            levels = tuple(int(level) for level in row if level > 0)
            if levels:
                out[i] = _simulated(levels, self._paths, self._seed)
        return out


@njit(cache=True)
def pain_reward_without_skill(curves: FloatArray, timed_share: FloatArray) -> FloatArray:
    """Give Pain/Reward without skill at the share of ideas that time ended.

    Parameters
    ----------
    curves : ndarray of float64, shape (n, len(HORIZONS_R2), 3)
        Per group the mean over its ideas of their shapes' tables.
    timed_share : ndarray of float64, shape (n,)
        Share of the group's ideas closed by time or by hand, in [0, 1].

    Returns
    -------
    ndarray of float64, shape (n,)
        Mean MAE / mean MFE, linear between horizons; NaN where a group has no shapes.

    Notes
    -----
    Ideas cut short have both excursions nearer to each other, so the comparison value moves
    toward 1 with the share of timed exits. Source: spec §3.1 (at the group's reward/risk).
    """
    out = np.full(len(timed_share), np.nan)
    last = curves.shape[1] - 1
    for i in range(len(timed_share)):
        if np.isnan(timed_share[i]) or curves[i, last, 2] <= 0.0:
            continue
        h = last  # the share falls with the horizon
        while h > 0 and curves[i, h, 0] < timed_share[i]:
            h -= 1
        after = min(h + 1, last)
        span = curves[i, h, 0] - curves[i, after, 0]
        part = (curves[i, h, 0] - timed_share[i]) / span if span > 0 else 0.0
        part = min(max(part, 0.0), 1.0)
        mae = curves[i, h, 1] + part * (curves[i, after, 1] - curves[i, h, 1])
        mfe = curves[i, h, 2] + part * (curves[i, after, 2] - curves[i, h, 2])
        out[i] = mae / mfe
    return out

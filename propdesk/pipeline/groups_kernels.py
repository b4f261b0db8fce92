"""Compiled passes over the trades of one level at one as-of date (one file: see `replay.kernel`).

Every pass takes ``order``, positions of trades sorted by cell, and ``low``/``high``, the slice of
``order`` that belongs to each cell.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SKILL_N, WEIGHT, WEIGHT2, WEIGHT_R, CLUSTERS, R_COUNT, HITS, EXPECTED, HIT_VARIANCE = range(9)
"""Columns of `skill_sums`."""

N, N_OPEN, N_DAYS = range(3)
"""Columns of `counts`."""

COUNT, MEAN, LOWEST, HIGHEST = range(4)
"""First columns of `order_statistics`; the quantiles follow."""

ADDITIVE = (
    "wins", "winners", "losers", "r_count", "weight", "weight_squared", "win_weight", "return_sum", "r_sum",
    "r_weight", "r_weighted", "gains_paise", "losses_paise", "weighted_gains_paise", "weighted_losses_paise",
    "net_pnl_paise", "charges_paise", "hours", "first_half_net_pnl_paise", "reverse_net_pnl_paise",
)  # fmt: skip
"""Columns of `additive_sums`."""

WIN, NET, CHARGES, REVERSE, R, RETURN, HOURS = range(7)
"""Columns of its ``facts``."""


@njit(cache=True, nogil=True)
def skill_sums(
    order: IntArray,
    low: IntArray,
    high: IntArray,
    cluster: IntArray,
    member: BoolArray,
    closed: BoolArray,
    r: FloatArray,
    weight: FloatArray,
    p0: FloatArray,
    hit: FloatArray,
) -> FloatArray:
    """Weighted sums of R, clusters and hits per cell, shape (n_cells, 9); ``order`` by (cell, cluster)."""
    out = np.zeros((len(low), 9))
    for c in range(len(low)):
        last = -1
        for i in range(low[c], high[c]):
            t = order[i]
            if not member[t]:
                continue
            if not np.isnan(r[t]):
                w = weight[t]
                out[c, 1] += w
                out[c, 2] += w * w
                out[c, 3] += w * r[t]
                out[c, 5] += 1.0
                if cluster[t] != last:
                    last = cluster[t]
                    out[c, 4] += 1.0
            if closed[t]:
                out[c, 0] += 1.0
                if not np.isnan(p0[t]):
                    out[c, 6] += hit[t]
                    out[c, 7] += p0[t]
                    out[c, 8] += p0[t] * (1.0 - p0[t])
    return out


@njit(cache=True, nogil=True)
def pooled_variance(
    order: IntArray, low: IntArray, high: IntArray, member: BoolArray, r: FloatArray, weight: FloatArray
) -> float:
    """Weighted variance of R within cells (advisors), unbiased for the weights; 0 if nothing varies."""
    squares = 0.0
    freedom = 0.0
    for c in range(len(low)):
        w_sum, w2_sum, wr_sum = 0.0, 0.0, 0.0
        for i in range(low[c], high[c]):
            t = order[i]
            if member[t] and not np.isnan(r[t]):
                w_sum += weight[t]
                w2_sum += weight[t] * weight[t]
                wr_sum += weight[t] * r[t]
        if w_sum <= 0.0:
            continue
        mean = wr_sum / w_sum
        freedom += w_sum - w2_sum / w_sum
        for i in range(low[c], high[c]):
            t = order[i]
            if member[t] and not np.isnan(r[t]):
                squares += weight[t] * (r[t] - mean) * (r[t] - mean)
    return squares / freedom if freedom > 1e-9 else 0.0


@njit(cache=True, nogil=True)
def counts(
    order: IntArray, low: IntArray, high: IntArray, day: IntArray, closed: BoolArray, is_open: BoolArray
) -> IntArray:
    """Count closed and open trades and distinct entry days, (n_cells, 3); ``order`` by (cell, day)."""
    out = np.zeros((len(low), 3), dtype=np.int64)
    for c in range(len(low)):
        last = -1
        for i in range(low[c], high[c]):
            t = order[i]
            if is_open[t]:
                out[c, 1] += 1
            elif closed[t]:
                out[c, 0] += 1
                if day[t] != last:
                    last = day[t]
                    out[c, 2] += 1
    return out


@njit(cache=True, nogil=True)
def additive_sums(
    order: IntArray,
    low: IntArray,
    high: IntArray,
    wanted: BoolArray,
    member: BoolArray,
    facts: FloatArray,
    weight: FloatArray,
    early: BoolArray,
) -> FloatArray:
    """Add up the closed trades of each wanted cell, shape (n_cells, 20), columns `ADDITIVE`; else NaN.

    ``facts`` holds a row per trade (`WIN` …, NaN where unknown); paise are whole and exact up to 9e15.
    """
    out = np.full((len(low), 20), np.nan)
    for c in range(len(low)):
        if not wanted[c]:
            continue
        s = out[c]
        s[:] = 0.0
        returns = 0
        for i in range(low[c], high[c]):
            t = order[i]
            if not member[t]:
                continue
            w, net, r = weight[t], facts[t, 1], facts[t, 4]
            s[0] += facts[t, 0]
            s[1] += 1.0 if net > 0 else 0.0
            s[2] += 1.0 if net < 0 else 0.0
            s[4] += w
            s[5] += w * w
            s[6] += w * facts[t, 0]
            if not np.isnan(facts[t, 5]):
                returns += 1
                s[7] += facts[t, 5]
            if not np.isnan(r):
                s[3] += 1.0
                s[8] += r
                s[9] += w
                s[10] += w * r
            gain, loss = max(net, 0.0), min(net, 0.0)
            s[11] += gain
            s[12] += loss
            s[13] += w * gain
            s[14] += w * loss
            s[15] += net
            s[16] += facts[t, 2]
            s[17] += facts[t, 6]
            s[18] += net if early[t] else 0.0
            s[19] += facts[t, 3]
        if returns == 0:
            s[7] = np.nan
    return out


@njit(cache=True, nogil=True)
def losing_streaks(
    order: IntArray, low: IntArray, high: IntArray, wanted: BoolArray, member: BoolArray, win: BoolArray
) -> IntArray:
    """Longest run of trades without a win per wanted cell; ``order`` by (cell, exit, rank)."""
    out = np.zeros(len(low), dtype=np.int64)
    for c in range(len(low)):
        if not wanted[c]:
            continue
        run = 0
        for i in range(low[c], high[c]):
            t = order[i]
            if member[t]:
                run = 0 if win[t] else run + 1
                out[c] = max(out[c], run)
    return out


@njit(cache=True, nogil=True)
def order_statistics(
    order: IntArray,
    low: IntArray,
    high: IntArray,
    wanted: BoolArray,
    member: BoolArray,
    value: FloatArray,
    quantiles: FloatArray,
) -> FloatArray:
    """Count, mean, extremes and quantiles (linear) per wanted cell; ``order`` by (cell, value), no NaN."""
    out = np.full((len(low), 4 + len(quantiles)), np.nan)
    buffer = np.empty(len(order))
    for c in range(len(low)):
        if not wanted[c]:
            continue
        n = 0
        total = 0.0
        for i in range(low[c], high[c]):
            t = order[i]
            if member[t]:
                buffer[n] = value[t]
                total += value[t]
                n += 1
        out[c, 0] = n
        if n == 0:
            continue
        out[c, 1] = total / n
        out[c, 2] = buffer[0]
        out[c, 3] = buffer[n - 1]
        for k in range(len(quantiles)):
            place = quantiles[k] * (n - 1)
            below = int(place)
            above = min(below + 1, n - 1)
            out[c, 4 + k] = buffer[below] + (place - below) * (buffer[above] - buffer[below])
    return out


@njit(cache=True)
def _scale(values: FloatArray, factor: float) -> None:
    for h in range(values.shape[0]):
        for k in range(values.shape[1]):
            values[h, k] = values[h, k] * factor if factor != 0.0 else 0.0


@njit(cache=True)
def _add(values: FloatArray, more: FloatArray) -> None:
    for h in range(values.shape[0]):
        for k in range(values.shape[1]):
            values[h, k] += more[h, k]


@njit(cache=True, nogil=True)
def shape_means(
    order: IntArray,
    low: IntArray,
    high: IntArray,
    wanted: BoolArray,
    member: BoolArray,
    shape: IntArray,
    by_level: BoolArray,
    table: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Mean no-skill table of each wanted cell's ideas, and the share of them that time or hand ended."""
    out = np.full((len(low), table.shape[1], 3), np.nan)
    timed = np.full(len(low), np.nan)
    for c in range(len(low)):
        if not wanted[c]:
            continue
        n, ended = 0, 0
        _scale(out[c], 0.0)
        for i in range(low[c], high[c]):
            t = order[i]
            if member[t] and shape[t] >= 0:
                n += 1
                ended += 0 if by_level[t] else 1
                _add(out[c], table[shape[t]])
        _scale(out[c], 1.0 / n if n > 0 else np.nan)
        timed[c] = ended / n if n > 0 else np.nan
    return out, timed

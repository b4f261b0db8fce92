"""Borrowing strength from coarser groups: the normal cascade of §3.8 (compiled, one file)."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Posterior(NamedTuple):
    """Estimate per cell of one level, in R: mean, variance, and the weight its own data got."""

    mean: FloatArray
    variance: FloatArray
    shrink: FloatArray


def shrink_level(
    mean: FloatArray, n_eff: FloatArray, parent_mean: FloatArray, parent_variance: FloatArray, variance: float
) -> Posterior:
    """Shrink the cells of one level toward their parents.

    Parameters
    ----------
    mean : ndarray of float64, shape (n,)
        Weighted mean net R per cell; not read where ``n_eff`` is 0.
    n_eff : ndarray of float64, shape (n,)
        Clustered effective size, ≥ 0.
    parent_mean, parent_variance : ndarray of float64, shape (n,)
        Posterior of each cell's parent.
    variance : float
        Pooled variance of one idea's R, > 0.

    Returns
    -------
    Posterior
        A cell without data keeps its parent's mean at the parent's variance plus the spread
        between cells.

    Notes
    -----
    tau² = max(0, n_eff-weighted mean of (m − parent)² − v − parent variance), v = s² / n_eff,
    B = (tau² + pv) / (tau² + pv + v), post = parent + B (m − parent), variance B v.
    Source: spec §3.8.
    """
    has = n_eff > 0
    v = np.where(has, variance / np.where(has, n_eff, 1.0), np.inf)
    tau2 = 0.0
    if bool(has.any()):
        gap = (mean[has] - parent_mean[has]) ** 2 - v[has] - parent_variance[has]
        tau2 = max(0.0, float(np.sum(n_eff[has] * gap) / np.sum(n_eff[has])))
    prior = tau2 + parent_variance
    safe_v = np.where(has, v, 1.0)
    total = prior + safe_v
    weight = np.where(has & (total > 0), prior / np.where(total > 0, total, 1.0), 0.0)
    step = np.where(has, mean - parent_mean, 0.0)
    return Posterior(parent_mean + weight * step, np.where(has, weight * safe_v, prior), weight)


def probability_above(mean: FloatArray, variance: FloatArray, hurdle: float) -> FloatArray:
    """Chance that the true mean exceeds the hurdle, normal posterior; 0 or 1 without variance."""
    spread = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (mean - hurdle) / spread
    certain = np.where(mean > hurdle, 1.0, 0.0)
    return np.asarray(np.where(spread > 0, ndtr(np.where(spread > 0, z, 0.0)), certain), dtype=np.float64)


@njit(cache=True)
def intraclass_correlation(values: FloatArray, cluster: IntArray) -> float:
    """One-way ANOVA estimate of the correlation within clusters, clipped to [0, 1].

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Net R, ordered by cluster.
    cluster : ndarray of int64, shape (n,)
        Cluster number of each value; equal numbers stand together.

    Returns
    -------
    float
        0 where clusters or their members are too few to tell.
    """
    n = len(values)
    if n < 3:
        return 0.0
    grand = values.mean()
    between, within, sizes2, clusters = 0.0, 0.0, 0.0, 0
    start = 0
    while start < n:
        stop = start
        total = 0.0
        while stop < n and cluster[stop] == cluster[start]:
            total += values[stop]
            stop += 1
        size = stop - start
        mean = total / size
        for i in range(start, stop):
            within += (values[i] - mean) * (values[i] - mean)
        between += size * (mean - grand) * (mean - grand)
        sizes2 += size * size
        clusters += 1
        start = stop
    if clusters < 2 or clusters == n:
        return 0.0
    ms_between = between / (clusters - 1)
    ms_within = within / (n - clusters)
    n0 = (n - sizes2 / n) / (clusters - 1)
    below = ms_between + (n0 - 1.0) * ms_within
    if below <= 0.0 or math.isnan(below):
        return 0.0
    return float(min(max((ms_between - ms_within) / below, 0.0), 1.0))

"""How strongly results speak against luck: excess hits, clustered t, e-process, trades still needed (§3.8).

Results are arrays over ideas with a group number per idea; answers are arrays over groups.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from propdesk.core.invariant import require

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STAKES = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of the wealth that the bets of the e-process put at risk."""

EXACT_MAX = 200
"""Above so many ideas the exact distribution, says what the normal one does."""

_EXPONENT_MAX = 700.0  # above it a wealth no longer fits a float


class MeanEvidence(NamedTuple):
    """Mean result per group against 0; NaN where it cannot be told."""

    mean: FloatArray
    error: FloatArray
    t: FloatArray
    p_value: FloatArray
    clusters: IntArray


def clustered_means(
    value: FloatArray, weight: FloatArray, group: IntArray, cluster: IntArray, n_groups: int
) -> MeanEvidence:
    """Weigh each group's mean against its error, ideas of one cluster being one observation.

    Parameters
    ----------
    value : ndarray of float64, shape (n,)
        Net R of each idea, finite.
    weight : ndarray of float64, shape (n,)
        Weights, > 0.
    group : ndarray of int64, shape (n,)
        Group of each idea, in [0, n_groups).
    cluster : ndarray of int64, shape (n,)
        What may not be taken as independent within: the day.
    n_groups : int
        Number of groups.

    Returns
    -------
    MeanEvidence
        Weighted mean, its error, t, one-sided p of a mean ≤ 0 with clusters − 1 degrees of freedom, and
        number of clusters. Under two clusters, or where all results agree, only the mean is known.

    Notes
    -----
    error² = G / (G − 1) × Σ_clusters (Σ w (x − mean))² / (Σ w)²: the sandwich estimate of least squares on a
    constant, as ``statsmodels`` has it with ``cov_type='cluster'``. Source: spec §3.8.

    Examples
    --------
    >>> day = np.array([0, 0, 1, 2])
    >>> found = clustered_means(np.array([1.0, 1, -1, 3]), np.ones(4), np.zeros(4, np.int64), day, 1)
    >>> found.mean.tolist(), found.clusters.tolist(), found.error.round(4).tolist()
    ([1.0], [3], [0.866])
    """
    require(bool(np.isfinite(value).all()) and bool((weight > 0).all()), "a result or a weight is missing")
    total = np.bincount(group, weights=weight, minlength=n_groups)
    known = total > 0
    safe = np.where(known, total, 1.0)
    mean = np.where(known, np.bincount(group, weights=weight * value, minlength=n_groups) / safe, np.nan)
    low, high = (int(cluster.min()), int(cluster.max())) if len(cluster) else (0, 0)
    _, first, pair = np.unique(
        group * (high - low + 1) + (cluster - low), return_index=True, return_inverse=True
    )
    score = np.bincount(pair, weights=weight * (value - mean[group]), minlength=len(first))
    owner = group[first]
    clusters = np.bincount(owner, minlength=n_groups)
    squares = np.bincount(owner, weights=score * score, minlength=n_groups)
    factor = np.where(clusters > 1, clusters / np.maximum(clusters - 1, 1), np.nan)
    error = np.sqrt(factor * squares) / safe
    varies = error > 1e-12 * np.maximum(np.abs(np.nan_to_num(mean)), 1e-12)
    error = np.where(varies, error, np.nan)
    t = mean / error
    p_value = np.where(varies, stdtr(np.maximum(clusters - 1, 1), -np.where(varies, t, 0.0)), np.nan)
    return MeanEvidence(mean, error, t, p_value, clusters.astype(np.int64))


def excess_hit_chances(
    hit: FloatArray, p0: FloatArray, group: IntArray, design_effect: FloatArray
) -> FloatArray:
    """Chance that ideas without skill hit at least as often, per group.

    Parameters
    ----------
    hit : ndarray of float64, shape (n,)
        1 for a win, 0 for none; for an idea closed early the chance it still had.
    p0 : ndarray of float64, shape (n,)
        Chance of a win without skill, in (0, 1).
    group : ndarray of int64, shape (n,)
        Group of each idea.
    design_effect : ndarray of float64, shape (n_groups,)
        By how much clusters widen the variance, ≥ 1; NaN leaves the group out.

    Returns
    -------
    ndarray of float64, shape (n_groups,)
        The larger of the exact chance of Σ hit or more under the Poisson-binomial distribution, which knows
        small numbers but no clusters (up to `EXACT_MAX` ideas), and of the normal one with half a hit taken
        off and the variance widened, which knows clusters. NaN without an idea that has a p0.

    Notes
    -----
    A chance in place of a hit varies less than the hit would, so the test errs to the safe side.
    Source: spec §3.8, reference/skill.md 4.3.

    Examples
    --------
    >>> hits, chances = np.ones(3), np.full(3, 0.5)
    >>> excess_hit_chances(hits, chances, np.zeros(3, np.int64), np.ones(1)).round(4).tolist()
    [0.125]
    """
    require(bool(((p0 > 0) & (p0 < 1)).all()), "a chance without skill lies outside (0, 1)")
    n_groups = len(design_effect)
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(n_groups + 1)).astype(np.int64)
    return np.asarray(_chances(hit[order], p0[order], bounds, design_effect, EXACT_MAX), dtype=np.float64)


@njit(cache=True, nogil=True)
def _chances(
    hit: FloatArray, p0: FloatArray, bounds: IntArray, design_effect: FloatArray, exact_max: int
) -> FloatArray:
    out = np.full(len(design_effect), np.nan)
    for g in range(len(design_effect)):
        chances = p0[bounds[g] : bounds[g + 1]]
        if len(chances) == 0 or math.isnan(design_effect[g]):
            continue
        hits = float(np.sum(hit[bounds[g] : bounds[g + 1]]))
        spread = math.sqrt(design_effect[g] * float(np.sum(chances * (1.0 - chances))))
        above = (hits - 0.5 - float(np.sum(chances))) / spread
        normal = 0.5 * math.erfc(above / math.sqrt(2.0))
        exact = _at_least(chances, math.ceil(hits - 1e-9)) if len(chances) <= exact_max else 0.0
        out[g] = min(max(exact, normal), 1.0)
    return out


@njit(cache=True, nogil=True)
def _at_least(chances: FloatArray, least: int) -> float:
    """Give the chance of so many hits or more; `scipy.stats.poisson_binom` takes a hundred times as long."""
    mass = np.zeros(len(chances) + 1)  # of the number of hits among the ideas so far
    mass[0] = 1.0
    for i in range(len(chances)):
        for k in range(i + 1, 0, -1):
            mass[k] = mass[k] * (1.0 - chances[i]) + mass[k - 1] * chances[i]
        mass[0] *= 1.0 - chances[i]
    return float(np.sum(mass[max(least, 0) :]))


class EProcess(NamedTuple):
    """Wealth of one who bets day by day on an advisor, who starts with 1 and expects nothing without skill.

    ``value`` is the wealth now, ``peak`` the highest so far; ``against`` the wealth now of one who bets on
    the opposite; ``decline`` that of one who bets on the opposite and begins anew whenever he is below 1.
    """

    value: float
    peak: float
    against: float
    decline: float


def daily_surplus(hit: FloatArray, p0: FloatArray, day: IntArray) -> FloatArray:
    """Mean of hit − p0 per day, in the order of the days, each in [−1, 1]."""
    _, place = np.unique(day, return_inverse=True)
    return np.asarray(np.bincount(place, weights=hit - p0) / np.bincount(place), dtype=np.float64)


def e_process(surplus: FloatArray) -> EProcess:
    """Bet on an advisor's days one after the other.

    Parameters
    ----------
    surplus : ndarray of float64, shape (n_days,)
        From `daily_surplus`; the days on which the ideas were entered.

    Returns
    -------
    EProcess
        1 everywhere without a day.

    Notes
    -----
    Value: mean over stakes l of Π (1 + l × surplus). Without skill the chance that it ever reaches 1 / a is
    at most a, however often one looks (Ville), and ideas of one day may hang together as they like. The
    decline restarts (M ← max(M, 1) × (1 − l × surplus)), so that the mean time until it reaches A without
    any decline is at least A days. Source: spec §3.8, reference/skill.md 4.5 and 4.8.

    Examples
    --------
    >>> e_process(np.array([0.5, 0.5])).value > 1 > e_process(np.array([-0.5])).value
    True
    """
    if len(surplus) == 0:
        return EProcess(1.0, 1.0, 1.0, 1.0)
    require(bool((np.abs(surplus) <= 1.0).all()), "a day's surplus lies outside [-1, 1]")
    stakes = np.array(STAKES)[:, None]
    wealth = np.cumsum(np.log1p(stakes * surplus), axis=1)
    path = np.mean(np.exp(np.minimum(wealth, _EXPONENT_MAX)), axis=0)
    opposite = np.cumsum(np.log1p(-stakes * surplus), axis=1)
    before = np.concatenate([np.zeros((len(STAKES), 1)), opposite[:, :-1]], axis=1)
    # a product that begins anew at every low is the whole one over its lowest value before
    rise = opposite[:, -1] - np.min(before, axis=1)
    return EProcess(
        float(path[-1]),
        max(float(np.max(path)), 1.0),
        float(np.mean(np.exp(np.minimum(opposite[:, -1], _EXPONENT_MAX)))),
        float(np.mean(np.exp(np.minimum(rise, _EXPONENT_MAX)))),
    )


def trades_needed(
    p0: FloatArray, design_effect: FloatArray, edge: float, *, level: float = 0.05, power: float = 0.8
) -> FloatArray:
    """Ideas it takes to tell an edge in win chance from luck.

    Parameters
    ----------
    p0 : ndarray of float64, shape (n,)
        Win chance without skill.
    design_effect : ndarray of float64, shape (n,)
        By how much clusters widen the variance.
    edge : float
        Points of win chance above p0, fraction, > 0.
    level, power : float
        One-sided level of the test, and chance to find the edge.

    Returns
    -------
    ndarray of float64, shape (n,)
        (z_level + z_power)² p0 (1 − p0) × design effect / edge².

    Examples
    --------
    >>> trades_needed(np.array([0.5]), np.ones(1), 0.08).round().tolist()
    [242.0]
    """
    require(edge > 0, "an edge to find must be positive")
    z = float(ndtri(1.0 - level) + ndtri(power))
    return z * z * p0 * (1.0 - p0) * design_effect / edge**2

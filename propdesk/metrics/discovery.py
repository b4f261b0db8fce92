"""Searching many groups at once: false discoveries among advisors, rules and on the whole desk (§3.8)."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import scipy  # scipy.stats comes when it is first used: two seconds that most processes never need
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from propdesk.core.invariant import require

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

Dependence = Literal["bh", "by"]
"""Benjamini-Hochberg, or Benjamini-Yekutieli, which holds under any dependence between the tests."""


def q_values(p_value: FloatArray, dependence: Dependence = "bh") -> FloatArray:
    """Give the false-discovery rate at which each test would just be named.

    Parameters
    ----------
    p_value : ndarray of float64, shape (n,)
        In [0, 1]; NaN where there was nothing to test, which counts as no test.
    dependence : str
        ``bh`` or ``by``.

    Returns
    -------
    ndarray of float64, shape (n,)
        In [0, 1]; NaN where the p-value is.

    Examples
    --------
    >>> q_values(np.array([0.01, 0.04, np.nan, 0.03])).round(4).tolist()
    [0.03, 0.04, nan, 0.04]
    """
    out = np.full(len(p_value), np.nan)
    tested = ~np.isnan(p_value)
    if bool(tested.any()):
        out[tested] = scipy.stats.false_discovery_control(p_value[tested], method=dependence)
    return out


def select_tree(p_values: Sequence[FloatArray], parents: Sequence[IntArray], rate: float) -> list[BoolArray]:
    """Select groups level by level, each only inside a selected parent.

    Parameters
    ----------
    p_values : sequence of ndarray of float64
        Per level, coarsest first; NaN is not tested.
    parents : sequence of ndarray of int64
        Per level the place of each group's parent one level up; of the first level it is not read.
    rate : float
        False-discovery rate at every level, on average over the families looked into.

    Returns
    -------
    list of ndarray of bool
        What is selected, per level.

    Notes
    -----
    Benjamini and Bogomolov (2014), carried down a tree as Bogomolov et al. (2021) do: a family is tested by
    Benjamini-Hochberg at its own rate, which is that of the family above times the share selected there.
    """
    selected: list[BoolArray] = []
    rates: FloatArray = np.array([rate])
    for level, p_value in enumerate(p_values):
        family = parents[level] if level else np.zeros(len(p_value), dtype=np.int64)
        open_family = selected[-1] if level else np.ones(1, dtype=bool)
        chosen = np.zeros(len(p_value), dtype=bool)
        share = np.zeros(len(p_value))
        for number in np.flatnonzero(open_family):
            rows = np.flatnonzero((family == number) & ~np.isnan(p_value))
            if len(rows) == 0:
                continue
            hits = rows[q_values(p_value[rows]) <= rates[number]]
            chosen[hits] = True
            share[hits] = rates[number] * len(hits) / len(rows)
        selected.append(chosen)
        rates = share
    return selected


def select_by_e(e_value: FloatArray, rate: float) -> BoolArray:
    """Select groups by their e-values, however these depend on each other (Wang and Ramdas 2022).

    The k largest are selected for the largest k whose k-th e-value is at least n / (k × rate).

    Examples
    --------
    >>> select_by_e(np.array([50.0, 1.0, 25.0]), 0.1).tolist()
    [True, False, True]
    """
    n = len(e_value)
    order = np.argsort(-e_value, kind="stable")
    enough = np.flatnonzero(e_value[order] * np.arange(1, n + 1) * rate >= n)
    out = np.zeros(n, dtype=bool)
    if len(enough):
        out[order[: enough[-1] + 1]] = True
    return out


class DeskTruth(NamedTuple):
    """How many of a desk's advisors have an edge, have none, or lose (shares in [0, 1], NaN without any).

    ``found_positive`` and ``found_negative`` are the groups beyond the level's bounds, ``expected_lucky``
    how many of each luck alone would put there.
    """

    tested: int
    share_zero: float
    share_positive: float
    share_negative: float
    found_positive: int
    found_negative: int
    expected_lucky: float


def desk_truth(z: FloatArray, *, level: float = 0.2, middle: float = 0.5) -> DeskTruth:
    """Estimate the shares of groups without, with and with a negative edge.

    Parameters
    ----------
    z : ndarray of float64, shape (n,)
        Standard normal where there is no edge; NaN is not tested.
    level : float
        Two-sided level at which groups are found.
    middle : float
        p-values above it count as coming from groups without an edge (Storey's lambda).

    Returns
    -------
    DeskTruth
        Shares add up to 1.

    Notes
    -----
    Storey (2002): share without edge pi0 = #(p > lambda) / (n (1 − lambda)), at most 1. Barras, Scaillet and
    Wermers (2010): of the groups found on one side pi0 × n × level / 2 are lucky (or unlucky); what remains,
    if anything, is the edge that was found. Edges too small to be found at this level count by the side on
    which more is found: the shares of positive and negative split 1 − pi0 in the proportion of what was
    found beyond luck, and equally where nothing was.
    """
    known = z[~np.isnan(z)]
    n = len(known)
    if n == 0:
        return DeskTruth(0, math.nan, math.nan, math.nan, 0, 0, 0.0)
    p_value = 2.0 * ndtr(-np.abs(known))
    zero = min(1.0, float(np.mean(p_value > middle)) / (1.0 - middle))
    bound = float(ndtri(1.0 - level / 2.0))
    positive, negative = int(np.sum(known >= bound)), int(np.sum(known <= -bound))
    lucky = zero * n * level / 2.0
    gained, lost = max(positive - lucky, 0.0), max(negative - lucky, 0.0)
    beyond = gained + lost
    up = gained / beyond if beyond > 0.0 else 0.5
    return DeskTruth(n, zero, (1.0 - zero) * up, (1.0 - zero) * (1.0 - up), positive, negative, lucky)


def effective_trials(returns: FloatArray) -> float:
    """Give the number of independent series that vary as these do.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_days, n_series)
        Series without any spread do not count.

    Returns
    -------
    float
        Participation ratio (Σ l)² / Σ l² of the eigenvalues of the correlation: 1 for copies of one series,
        their number for independent ones; 0 for none.
    """
    moving = returns[:, np.ptp(returns, axis=0) > 0.0] if len(returns) > 1 else returns[:, :0]
    n = moving.shape[1]
    if n == 0:
        return 0.0
    correlation = np.atleast_2d(np.corrcoef(moving, rowvar=False))
    require(bool(np.isfinite(correlation).all()), "a correlation is missing")
    # the trace is n, and the sum of squared eigenvalues is that of the squared entries
    return float(n * n / np.sum(correlation * correlation))

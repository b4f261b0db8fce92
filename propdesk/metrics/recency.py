"""Weights by age and the sample size that is left of them (§3.5)."""

import math

import numpy as np
from numpy.typing import NDArray

from propdesk.core.invariant import require

FloatArray = NDArray[np.float64]

HALF_LIFE_DAYS = 10.0
"""Calendar days after which a closed trade counts half."""


def recency_weights(days_ago: FloatArray, half_life_days: float = HALF_LIFE_DAYS) -> FloatArray:
    """Weigh by age: exp(−ln 2 / half-life × days ago).

    Parameters
    ----------
    days_ago : ndarray of float64, shape (n,)
        As-of date − exit date in calendar days, ≥ 0.
    half_life_days : float
        Age at which the weight is one half, > 0.

    Returns
    -------
    ndarray of float64, shape (n,)
        Weights in (0, 1].

    Raises
    ------
    InvariantViolated
        If an age is negative or the half-life is not positive.

    Notes
    -----
    Source: spec §3.5.

    Examples
    --------
    >>> recency_weights(np.array([0.0, 10.0, 20.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    require(half_life_days > 0, "the half-life must be positive")
    require(bool(np.all(days_ago >= 0)), "a trade exits after the as-of date")
    return np.asarray(np.exp2(-days_ago / half_life_days), dtype=np.float64)


def effective_size(weights: FloatArray) -> float:
    """Give (Σw)² / Σw², the number of equal trades that would say as much; NaN without any (§3.5).

    Examples
    --------
    >>> effective_size(np.array([1.0, 1.0, 1.0]))
    3.0
    """
    squares = float(np.sum(weights * weights))
    return float(np.sum(weights)) ** 2 / squares if squares > 0 else math.nan

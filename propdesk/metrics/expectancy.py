"""Win rates, ratios of gains to losses, streaks (§3.7)."""

import math

import numpy as np
from numpy.typing import NDArray

from propdesk.core.invariant import require

FloatArray = NDArray[np.float64]

WILSON_Z = 1.959963984540054
"""97.5 % point of the normal distribution: a 95 % interval."""


def wilson_interval(wins: float, n: float, z: float = WILSON_Z) -> tuple[float, float]:
    """Interval of a win rate that stays inside [0, 1] (Wilson 1927).

    Parameters
    ----------
    wins, n : float
        Hits and trials; effective sizes are allowed.
    z : float
        Normal quantile of the wanted coverage.

    Returns
    -------
    tuple of float
        Lower and upper bound, fractions; NaN without trials.

    Examples
    --------
    >>> tuple(round(bound, 4) for bound in wilson_interval(5, 10))
    (0.2366, 0.7634)
    """
    if n <= 0:
        return math.nan, math.nan
    require(0 <= wins <= n, "more wins than trades")
    rate = wins / n
    scale = 1.0 + z * z / n
    middle = (rate + z * z / (2.0 * n)) / scale
    half = z * math.sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n)) / scale
    return middle - half, middle + half


def profit_factor(pnl: FloatArray) -> float:
    """Gains over |losses|; infinite without a loss, NaN without gain and loss.

    Examples
    --------
    >>> profit_factor(np.array([30.0, -20.0])), profit_factor(np.array([1.0]))
    (1.5, inf)
    """
    gains, losses = float(np.sum(pnl[pnl > 0])), -float(np.sum(pnl[pnl < 0]))
    if losses == 0.0:
        return math.inf if gains > 0 else math.nan
    return gains / losses


def payoff_ratio(pnl: FloatArray) -> float:
    """Average gain over |average loss|; NaN without a gain or without a loss.

    Examples
    --------
    >>> payoff_ratio(np.array([30.0, 10.0, -10.0]))
    2.0
    """
    gains, losses = pnl[pnl > 0], pnl[pnl < 0]
    if len(gains) == 0 or len(losses) == 0:
        return math.nan
    return float(np.mean(gains)) / -float(np.mean(losses))


def expectancy_r(r: FloatArray) -> float:
    """Mean net R of the trades that have one; NaN without any."""
    known = r[~np.isnan(r)]
    return float(np.mean(known)) if len(known) else math.nan


def losing_streak_max(is_win: NDArray[np.bool_]) -> int:
    """Longest run of trades without a win, in the order given (by exit, then id).

    Examples
    --------
    >>> losing_streak_max(np.array([True, False, False, True, False]))
    2
    """
    longest = current = 0
    for win in is_win:
        current = 0 if win else current + 1
        longest = max(longest, current)
    return longest


def pain_reward_ratio(mae_r: FloatArray, mfe_r: FloatArray) -> float:
    """Compare average pain endured with average opportunity offered.

    Parameters
    ----------
    mae_r, mfe_r : ndarray of float64, shape (n,)
        Adverse and favourable excursion per closed trade, in R, ≥ 0.

    Returns
    -------
    float
        mean(mae_r) / mean(mfe_r); NaN for no trades or when the mean MFE is 0.

    Notes
    -----
    A ratio of means, so that one trade with a tiny MFE cannot dominate. Source: spec §3.1.

    Examples
    --------
    >>> pain_reward_ratio(np.array([0.25, 0.75]), np.array([1.0, 3.0]))
    0.25
    """
    require(mae_r.shape == mfe_r.shape, "one MAE per MFE")
    if len(mae_r) == 0 or float(np.mean(mfe_r)) == 0.0:
        return math.nan
    return float(np.mean(mae_r)) / float(np.mean(mfe_r))

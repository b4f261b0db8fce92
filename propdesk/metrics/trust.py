"""Recent against overall win rate (§3.6)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from propdesk.core.invariant import require
from propdesk.metrics.recency import HALF_LIFE_DAYS, effective_size, recency_weights
from propdesk.model.enums import TrustFlag

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MIN_TRADES = 30
"""Below this the flag is null."""

BAND = 0.05
"""Half width of the bands: five percentage points of win rate, as a fraction."""

_LAST_BIT = 1e-12

NOISE_Z = 1.96
"""Divergences whose |z| stays below are read as noise."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Reading of one group. Rates are fractions; NaN and None mean undefined."""

    n: int
    n_eff: float
    win_rate: float
    win_rate_weighted: float
    divergence: float
    z: float
    flag: TrustFlag | None
    is_noise: bool


def trust_flag(divergence: float, n: int, min_trades: int = MIN_TRADES) -> TrustFlag | None:
    """Read a divergence.

    Parameters
    ----------
    divergence : float
        Weighted − unweighted win rate, fraction (0.05 = five percentage points).
    n : int
        Closed trades.
    min_trades : int
        Below it there is no flag.

    Returns
    -------
    TrustFlag or None
        [0, +5] points TRUSTED, [−5, 0) WATCHLIST, outside UNTRUSTED; None under ``min_trades``.

    Notes
    -----
    The bounds have a tolerance of 1e-12, so that a divergence of exactly five points or none is not
    decided by the last bit. Source: spec §3.6.

    Examples
    --------
    >>> trust_flag(0.05, 30).value, trust_flag(-0.05, 30).value, trust_flag(0.051, 30).value
    ('TRUSTED', 'WATCHLIST', 'UNTRUSTED')
    """
    if n < min_trades or math.isnan(divergence):
        return None
    if abs(divergence) > BAND + _LAST_BIT:
        return TrustFlag.UNTRUSTED
    return TrustFlag.TRUSTED if divergence >= -_LAST_BIT else TrustFlag.WATCHLIST


def divergence_z(divergence: float, win_rate: float, n: int, n_eff: float) -> float:
    """Standardise a divergence: d / sqrt(p (1 − p) (1/n_eff − 1/n)); NaN where nothing can vary."""
    if n == 0 or not n_eff > 0:
        return math.nan
    variance = win_rate * (1.0 - win_rate) * (1.0 / n_eff - 1.0 / n)
    return divergence / math.sqrt(variance) if variance > 1e-15 else math.nan


def trust(
    days_ago: FloatArray,
    is_win: BoolArray,
    *,
    half_life_days: float = HALF_LIFE_DAYS,
    min_trades: int = MIN_TRADES,
) -> Trust:
    """Compare the recent with the overall win rate of one group.

    Parameters
    ----------
    days_ago : ndarray of float64, shape (n,)
        Calendar days from exit to as-of date, ≥ 0.
    is_win : ndarray of bool, shape (n,)
        Whether net P&L > 0.
    half_life_days, min_trades
        Settings of §3.5 and §3.6.

    Returns
    -------
    Trust
        Without trades everything but ``n`` is undefined.

    Raises
    ------
    InvariantViolated
        If the shapes differ or an age is negative.
    """
    require(days_ago.shape == is_win.shape, "one age per result")
    n = len(is_win)
    if n == 0:
        return Trust(0, math.nan, math.nan, math.nan, math.nan, math.nan, None, False)
    weights = recency_weights(days_ago, half_life_days)
    rate = float(np.mean(is_win))
    weighted = float(np.sum(weights * is_win) / np.sum(weights))
    divergence = weighted - rate
    n_eff = effective_size(weights)
    z = divergence_z(divergence, rate, n, n_eff)
    flag = trust_flag(divergence, n, min_trades)
    is_noise = flag is not None and (math.isnan(z) or abs(z) < NOISE_Z)
    return Trust(n, n_eff, rate, weighted, divergence, z, flag, is_noise)

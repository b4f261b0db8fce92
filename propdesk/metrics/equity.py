"""Statistics of an equity curve; one per function, over plain arrays."""

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TRADING_DAYS_PER_YEAR = 252
_LOG_MAX = 700.0  # above it a yearly growth no longer fits a float
MIN_SHARPE_DAYS = 20
"""Below this many market days a ratio of mean to spread says nothing (§3.4)."""


def max_drawdown(values: FloatArray) -> float:
    """Give the lowest value against the running peak.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Corpus after each event, the starting capital first, first value > 0.

    Returns
    -------
    float
        Fraction ≤ 0; NaN for an empty curve.

    Notes
    -----
    Source: spec §3.4.

    Examples
    --------
    >>> max_drawdown(np.array([100.0, 110.0, 99.0, 120.0]))
    -0.09999999999999998
    """
    if len(values) == 0:
        return math.nan
    return float(np.min(values / np.maximum.accumulate(values) - 1.0))


def _mean(values: FloatArray) -> float:
    total = 0.0
    for value in values:  # in order, so that the compiled kernel adds up to the same bits
        total += float(value)
    return total / len(values)


def sample_std(values: FloatArray) -> float:
    """Sample standard deviation (ddof 1); NaN under two values, summed in the given order."""
    if len(values) < 2:
        return math.nan
    mean = _mean(values)
    total = 0.0
    for value in values:
        total += (float(value) - mean) * (float(value) - mean)
    return math.sqrt(total / (len(values) - 1))


def _is_too_short(returns: FloatArray) -> bool:
    return len(returns) < MIN_SHARPE_DAYS or float(np.min(returns)) == float(np.max(returns))


def sharpe(returns: FloatArray, risk_free: float = 0.0) -> float:
    """Give the yearly Sharpe ratio of daily returns.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_days,)
        Fractions, one per market day, flat days included.
    risk_free : float
        Yearly rate, fraction.

    Returns
    -------
    float
        (mean − daily risk-free) / sample std × sqrt(252); NaN under 20 days or without any spread.

    Notes
    -----
    Source: spec §3.4.
    """
    if _is_too_short(returns):
        return math.nan
    excess = _mean(returns) - risk_free / TRADING_DAYS_PER_YEAR
    return excess / sample_std(returns) * math.sqrt(TRADING_DAYS_PER_YEAR)


def sharpe_error(ratio: float, n_days: int) -> float:
    """Give the standard error of a yearly Sharpe ratio from ``n_days`` independent daily returns.

    Notes
    -----
    sqrt((1 + s²/2) / n) on the daily ratio s, brought to a year (Lo 2002, normal case).
    """
    if math.isnan(ratio):
        return math.nan
    daily = ratio / math.sqrt(TRADING_DAYS_PER_YEAR)
    return math.sqrt((1.0 + 0.5 * daily * daily) / n_days) * math.sqrt(TRADING_DAYS_PER_YEAR)


def sortino(returns: FloatArray, risk_free: float = 0.0) -> float:
    """Yearly Sortino ratio: mean excess / sqrt(mean(min(r, 0)²)) × sqrt(252).

    Parameters
    ----------
    returns : ndarray of float64, shape (n_days,)
        Daily fractions.
    risk_free : float
        Yearly rate, fraction.

    Returns
    -------
    float
        NaN under 20 days, without spread, or without any losing day.
    """
    if _is_too_short(returns):
        return math.nan
    total = 0.0
    for value in returns:
        low = min(float(value), 0.0)
        total += low * low
    if total == 0.0:
        return math.nan
    excess = _mean(returns) - risk_free / TRADING_DAYS_PER_YEAR
    return excess / math.sqrt(total / len(returns)) * math.sqrt(TRADING_DAYS_PER_YEAR)


def calmar(growth: float, mdd_ratio: float, n_days: int) -> float:
    """Yearly growth over the depth of the worst drawdown.

    Parameters
    ----------
    growth : float
        Final corpus / capital.
    mdd_ratio : float
        Drawdown, ≤ 0.
    n_days : int
        Market days of the window.

    Returns
    -------
    float
        (growth^(252 / n_days) − 1) / |mdd|; NaN without a drawdown, a day, or anything left.
    """
    if mdd_ratio == 0.0 or n_days == 0 or growth < 0.0:
        return math.nan
    exponent = TRADING_DAYS_PER_YEAR / n_days
    if growth > 1.0 and math.log(growth) * exponent > _LOG_MAX:
        return math.inf
    return float((growth**exponent - 1.0) / abs(mdd_ratio))

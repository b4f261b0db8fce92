"""Statistics of an equity curve; one per function, over plain arrays."""

import math
from enum import StrEnum

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


class SortinoSpread(StrEnum):
    """What the Sortino ratio divides by."""

    ALL_PERIODS = "all"
    """Root mean square of the losses over all periods, gains counted as 0 (§3.4)."""
    LOSSES_ONLY = "losses"
    """Sample standard deviation of the losing periods alone."""


def _is_flat(returns: FloatArray) -> bool:
    return float(np.min(returns)) == float(np.max(returns))


def sharpe(
    returns: FloatArray,
    risk_free: float = 0.0,
    *,
    periods_per_year: float = TRADING_DAYS_PER_YEAR,
    min_periods: int = MIN_SHARPE_DAYS,
    without_spread: float = math.nan,
) -> float:
    """Give the yearly Sharpe ratio of the returns of days, or of other equal periods.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_periods,)
        Fractions, one per market day, flat days included.
    risk_free : float
        Yearly rate, fraction.
    periods_per_year : float
        252 market days, 52 weeks, 12 months.
    min_periods : int
        Fewer say nothing.
    without_spread : float
        What to give where all returns are equal; some libraries say infinite.

    Returns
    -------
    float
        (mean − risk-free of a period) / sample std × sqrt(periods per year); NaN under ``min_periods``.

    Notes
    -----
    Source: spec §3.4.
    """
    if len(returns) < max(min_periods, 2):
        return math.nan
    if _is_flat(returns):
        return without_spread
    excess = _mean(returns) - risk_free / periods_per_year
    return excess / sample_std(returns) * math.sqrt(periods_per_year)


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


def sortino(
    returns: FloatArray,
    risk_free: float = 0.0,
    *,
    spread: SortinoSpread = SortinoSpread.ALL_PERIODS,
    periods_per_year: float = TRADING_DAYS_PER_YEAR,
    min_periods: int = MIN_SHARPE_DAYS,
    without_spread: float = math.nan,
) -> float:
    """Yearly Sortino ratio: mean excess / spread of the losses × sqrt(periods per year).

    Parameters
    ----------
    returns : ndarray of float64, shape (n_periods,)
        Fractions.
    risk_free : float
        Yearly rate, fraction.
    spread : SortinoSpread
        By default sqrt(mean(min(r, 0)²)), as §3.4 has it.
    periods_per_year, min_periods, without_spread
        As in `sharpe`; ``without_spread`` also where there is no loss to measure.

    Returns
    -------
    float
        NaN under ``min_periods``.
    """
    if len(returns) < max(min_periods, 2):
        return math.nan
    below = _losses_spread(returns, spread)
    if _is_flat(returns) or not below > 0.0:
        return without_spread
    return (_mean(returns) - risk_free / periods_per_year) / below * math.sqrt(periods_per_year)


def _losses_spread(returns: FloatArray, spread: SortinoSpread) -> float:
    if spread is SortinoSpread.LOSSES_ONLY:
        return sample_std(returns[returns < 0])
    total = 0.0
    for value in returns:
        low = min(float(value), 0.0)
        total += low * low
    return math.sqrt(total / len(returns))


def calmar(
    growth: float, mdd_ratio: float, n_days: int, *, periods_per_year: float = TRADING_DAYS_PER_YEAR
) -> float:
    """Yearly growth over the depth of the worst drawdown.

    Parameters
    ----------
    growth : float
        Final corpus / capital.
    mdd_ratio : float
        Drawdown, ≤ 0.
    n_days : int
        Market days of the window, or its other periods.
    periods_per_year : float
        Set to ``n_days`` it compares the whole return instead of the yearly one.

    Returns
    -------
    float
        (growth^(periods per year / n_days) − 1) / |mdd|; NaN without a drawdown, a day, or anything left.
    """
    if mdd_ratio == 0.0 or n_days == 0 or growth < 0.0:
        return math.nan
    exponent = periods_per_year / n_days
    if growth > 1.0 and math.log(growth) * exponent > _LOG_MAX:
        return math.inf
    return float((growth**exponent - 1.0) / abs(mdd_ratio))

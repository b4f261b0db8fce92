"""Statistics of a series of returns beside those of §3.4: depth, pain, one-sided moments, shape.

All take simple returns of equal periods as fractions, shape (n,), in order, without gaps. They give NaN for
an empty series and where they divide by nothing. Definitions follow Bacon, *Practical Portfolio Performance
Measurement and Attribution* (2008), as PerformanceAnalytics has them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from propdesk.core.invariant import require
from propdesk.metrics.equity import (
    TRADING_DAYS_PER_YEAR,
    SortinoSpread,
    calmar,
    max_drawdown,
    sharpe,
    sortino,
)

FloatArray = NDArray[np.float64]

_FLAT = 1e-14  # spread of a series whose values differ by rounding only


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0.0 else math.nan


def curve_of_returns(returns: FloatArray) -> FloatArray:
    """Compound returns to a curve that starts at 1, shape (n + 1,).

    Examples
    --------
    >>> curve_of_returns(np.array([0.5, -0.5])).tolist()
    [1.0, 1.5, 0.75]
    """
    return np.concatenate([[1.0], np.cumprod(1.0 + returns)])


def curve_of_results(results: FloatArray, capital: float) -> FloatArray:
    """Add results (money) up to a curve that starts at the capital, shape (n + 1,).

    Examples
    --------
    >>> curve_of_results(np.array([10.0, -5.0]), 100.0).tolist()
    [100.0, 110.0, 105.0]
    """
    require(capital > 0, "the capital must be positive")
    return capital + np.concatenate([[0.0], np.cumsum(results)])


def drawdowns(returns: FloatArray) -> FloatArray:
    """Give the drawdown after each period, ≤ 0, shape (n,); the start counts as a peak.

    Examples
    --------
    >>> drawdowns(np.array([-0.5, 1.0, 0.5, -0.25])).tolist()
    [-0.5, 0.0, 0.0, -0.25]
    """
    curve = curve_of_returns(returns)
    return np.asarray((curve / np.maximum.accumulate(curve) - 1.0)[1:])


def annual_return(growth: float, n_periods: float, periods_per_year: float = TRADING_DAYS_PER_YEAR) -> float:
    """Yearly compound return of a growth (final / start) in ``n_periods`` periods, fraction.

    Examples
    --------
    >>> round(annual_return(1.1, 126), 4)
    0.21
    """
    if n_periods <= 0 or growth < 0.0:
        return math.nan
    return math.expm1(math.log(growth) * periods_per_year / n_periods) if growth > 0.0 else -1.0


def annual_volatility(returns: FloatArray, periods_per_year: float = TRADING_DAYS_PER_YEAR) -> float:
    """Sample standard deviation (ddof 1) of a year, fraction; NaN under two periods."""
    if len(returns) < 2:
        return math.nan
    return float(np.std(returns, ddof=1)) * math.sqrt(periods_per_year)


def lower_partial_moment(returns: FloatArray, order: int, target: float = 0.0) -> float:
    """Mean over all periods of (target − r)^order where r lies below the target.

    Parameters
    ----------
    returns : ndarray of float64, shape (n,)
        Fractions.
    order : int
        0 downside frequency, 1 downside potential, 2 square of the downside deviation.
    target : float
        Minimum acceptable return of one period.

    Returns
    -------
    float
        ≥ 0; NaN for no period.

    Examples
    --------
    >>> lower_partial_moment(np.array([0.25, -0.25, -0.75, 0.0]), 2)
    0.15625
    """
    if len(returns) == 0:
        return math.nan
    below = target - returns[returns < target]
    return float(np.sum(below**order)) / len(returns)


def upper_partial_moment(returns: FloatArray, order: int, target: float = 0.0) -> float:
    """Mean over all periods of (r − target)^order where r lies above it; see `lower_partial_moment`."""
    return lower_partial_moment(-returns, order, -target)


def kappa(returns: FloatArray, order: int, target: float = 0.0) -> float:
    """Mean excess over the target / (lower partial moment)^(1 / order); order 2 is Sortino of one period."""
    if len(returns) == 0:
        return math.nan
    below = lower_partial_moment(returns, order, target)
    return _ratio(float(np.mean(returns)) - target, below ** (1.0 / order))


def mean_absolute_deviation(returns: FloatArray) -> float:
    """Mean distance from the mean."""
    return float(np.mean(np.abs(returns - np.mean(returns)))) if len(returns) else math.nan


def pain_index(returns: FloatArray) -> float:
    """Mean depth under the last peak, ≥ 0."""
    return -float(np.mean(drawdowns(returns))) if len(returns) else math.nan


def ulcer_index(returns: FloatArray) -> float:
    """Root mean square of the depth under the last peak, ≥ 0."""
    return math.sqrt(float(np.mean(drawdowns(returns) ** 2))) if len(returns) else math.nan


def losing_runs(returns: FloatArray) -> FloatArray:
    """Sum of the returns of each unbroken run of losing periods, < 0, in order.

    Examples
    --------
    >>> losing_runs(np.array([-0.25, -0.5, 0.0, 0.5, -0.125])).tolist()
    [-0.75, -0.125]
    """
    losing = returns < 0
    starts = losing & ~np.concatenate([[False], losing[:-1]])
    run = np.cumsum(starts)[losing] - 1
    return np.bincount(run, weights=returns[losing], minlength=int(starts.sum())).astype(np.float64)


def burke_ratio(returns: FloatArray, yearly: float, *, modified: bool = False) -> float:
    """Yearly return over the root of the summed squares of losing runs.

    Parameters
    ----------
    returns : ndarray of float64, shape (n,)
        Fractions.
    yearly : float
        Yearly return, less the risk-free rate.
    modified : bool
        Multiply by sqrt(n).

    Returns
    -------
    float
        NaN without a losing period.
    """
    found = _ratio(yearly, math.sqrt(float(np.sum(losing_runs(returns) ** 2))))
    return found * math.sqrt(len(returns)) if modified else found


def d_ratio(returns: FloatArray) -> float:
    """Losses (count × sum) over gains (count × sum), ≥ 0; 0 is best."""
    gains, losses = returns[returns > 0], returns[returns < 0]
    return _ratio(-len(losses) * float(np.sum(losses)), len(gains) * float(np.sum(gains)))


def bernardo_ledoit(returns: FloatArray) -> float:
    """Sum of gains over sum of losses, the Omega ratio at 0; NaN without a loss."""
    return _ratio(float(np.sum(returns[returns > 0])), -float(np.sum(returns[returns < 0])))


def _standard_moment(returns: FloatArray, order: int) -> float:
    if len(returns) < 2:
        return math.nan
    away = returns - np.mean(returns)
    spread = math.sqrt(float(np.mean(away**2)))
    return float(np.mean((away / spread) ** order)) if spread > _FLAT else math.nan


def skewness(returns: FloatArray) -> float:
    """Third standardised moment; NaN without spread."""
    return _standard_moment(returns, 3)


def kurtosis(returns: FloatArray) -> float:
    """Fourth standardised moment, 3 for a normal distribution; NaN without spread."""
    return _standard_moment(returns, 4)


def sample_kurtosis(returns: FloatArray) -> float:
    """Kurtosis with the factors of a sample; NaN under four periods or without spread."""
    n = len(returns)
    if n < 4:
        return math.nan
    # the moment divides by n, the sample's spread by n − 1
    scale = n * (n + 1) / ((n - 1) * (n - 2) * (n - 3)) * n * ((n - 1) / n) ** 2
    return kurtosis(returns) * scale


def sample_excess_kurtosis(returns: FloatArray) -> float:
    """`sample_kurtosis` less what a normal sample of this size has."""
    n = len(returns)
    return sample_kurtosis(returns) - 3.0 * (n - 1) ** 2 / ((n - 2) * (n - 3)) if n >= 4 else math.nan


def adjusted_sharpe(ratio: float, skew: float, kurt: float) -> float:
    """Take a yearly Sharpe ratio down for losing tails (Pezier and White 2006).

    SR × (1 + skew / 6 × SR − (kurtosis − 3) / 24 × SR²).
    """
    return ratio * (1.0 + skew / 6.0 * ratio - (kurt - 3.0) / 24.0 * ratio * ratio)


@dataclass(frozen=True, slots=True)
class Convention:
    """Choices that published figures differ in; the defaults are those of §3.4.

    Attributes
    ----------
    periods_per_year : float
        Periods of the series in a year.
    risk_free : float
        Yearly rate, fraction.
    target : float
        Minimum acceptable return of one period, of the one-sided moments and kappa.
    sortino : SortinoSpread
        What Sortino divides by.
    calmar_of_year : bool
        Whether Calmar takes the yearly return, or the whole one.
    min_periods : int
        Sharpe and Sortino of fewer are NaN.
    """

    periods_per_year: float = TRADING_DAYS_PER_YEAR
    risk_free: float = 0.0
    target: float = 0.0
    sortino: SortinoSpread = SortinoSpread.ALL_PERIODS
    calmar_of_year: bool = True
    min_periods: int = 20


def performance(
    returns: FloatArray, convention: Convention, *, growth: float | None = None, mdd: float | None = None
) -> dict[str, float]:
    """Give every statistic of one series.

    Parameters
    ----------
    returns : ndarray of float64, shape (n,)
        Fractions.
    convention : Convention
        Choices.
    growth, mdd : float, optional
        Final / start and the drawdown that the ratios read, where the curve is known more finely than the
        returns, or where these are taken from the starting capital; else those of the compounded returns.

    Returns
    -------
    dict of str to float
        Fractions and ratios by name.
    """
    c, n = convention, len(returns)
    curve = curve_of_returns(returns)
    grown = float(curve[-1]) if growth is None else growth
    depth = max_drawdown(curve) if mdd is None else mdd
    yearly = annual_return(grown, n, c.periods_per_year)
    excess = yearly - c.risk_free
    volatility = annual_volatility(returns, c.periods_per_year)
    skew, kurt = skewness(returns), kurtosis(returns)
    return {
        "total_return": grown - 1.0,
        "annual_return": yearly,
        "annual_volatility": volatility,
        "sharpe": sharpe(
            returns, c.risk_free, periods_per_year=c.periods_per_year, min_periods=c.min_periods
        ),
        "sortino": sortino(
            returns,
            c.risk_free,
            spread=c.sortino,
            periods_per_year=c.periods_per_year,
            min_periods=c.min_periods,
        ),
        "calmar": calmar(grown, depth, n, periods_per_year=c.periods_per_year if c.calmar_of_year else n),
        "max_drawdown": depth,
        # of the geometric return, as its authors have it
        "adjusted_sharpe": adjusted_sharpe(_ratio(excess, volatility), skew, kurt),
        "skewness": skew,
        "kurtosis": kurt,
        "kurtosis_sample": sample_kurtosis(returns),
        "kurtosis_sample_excess": sample_excess_kurtosis(returns),
        "mean_abs_deviation": mean_absolute_deviation(returns),
        "downside_frequency": lower_partial_moment(returns, 0, c.target),
        "downside_potential": lower_partial_moment(returns, 1, c.target),
        "downside_deviation": math.sqrt(lower_partial_moment(returns, 2, c.target)),
        "upside_frequency": upper_partial_moment(returns, 0, c.target),
        "upside_potential": upper_partial_moment(returns, 1, c.target),
        "upside_risk": math.sqrt(upper_partial_moment(returns, 2, c.target)),
        "kappa_l2": kappa(returns, 2, c.target),
        "pain_index": pain_index(returns),
        "ulcer_index": ulcer_index(returns),
        "pain_ratio": _ratio(excess, pain_index(returns)),
        "martin_ratio": _ratio(excess, ulcer_index(returns)),
        "burke_ratio": burke_ratio(returns, excess),
        "burke_modified": burke_ratio(returns, excess, modified=True),
        "d_ratio": d_ratio(returns),
        "bernardo_ledoit": bernardo_ledoit(returns),
    }

"""What an option's premium says: implied volatility by Black (1976), and what moved it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

YEAR_DAYS = 365.0
"""Calendar days of a year: an option decays over a weekend, too."""

VOLATILITY_MAX = 10.0
"""No market quotes 1,000 % a year; a premium that needs more is taken for wrong."""

RANK_DAYS = 252
"""Market days an IV rank looks back."""

RANK_DAYS_MIN = 20
"""Fewer earlier days make no range worth a rank."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Where the change of a premium came from, in the premium's unit; the three add up to it.

    Attributes
    ----------
    time : ndarray of float64, shape (n,)
        What the passing of time took (theta, over the whole holding), at entry's forward and volatility.
    forward : ndarray of float64, shape (n,)
        What the move of the forward then brought, at entry's volatility.
    volatility : ndarray of float64, shape (n,)
        The rest: the change of the implied volatility.
    """

    time: FloatArray
    forward: FloatArray
    volatility: FloatArray


def black_price(
    is_call: BoolArray,
    forward: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    volatility: FloatArray,
    risk_free: float = 0.0,
) -> FloatArray:
    """Give the premium of European options on a forward.

    Parameters
    ----------
    is_call : ndarray of bool, shape (n,)
    forward, strike : ndarray of float64, shape (n,)
        Prices in one unit, > 0.
    years : ndarray of float64, shape (n,)
        Time to expiry, >= 0; at 0 the option is worth what it pays.
    volatility : ndarray of float64, shape (n,)
        Yearly, fraction, >= 0.
    risk_free : float
        Yearly rate, continuously compounded, fraction.

    Returns
    -------
    ndarray of float64, shape (n,)
        In the unit of the prices; NaN where any argument is NaN.

    Notes
    -----
    exp(−rT) [F N(d1) − K N(d2)], d1,2 = ln(F/K) / σ√T ± σ√T / 2; puts by parity. Source: Black (1976).

    Examples
    --------
    >>> ones = np.ones(1)
    >>> round(float(black_price(ones > 0, 100 * ones, 100 * ones, ones, 0.2 * ones)[0]), 4)
    7.9656
    """
    spread = volatility * np.sqrt(years)
    with np.errstate(divide="ignore", invalid="ignore"):
        upper = np.log(forward / strike) / spread + spread / 2.0
    call = forward * ndtr(upper) - strike * ndtr(upper - spread)
    call = np.where(spread > 0.0, call, np.maximum(forward - strike, 0.0))
    value = np.where(is_call, call, call - (forward - strike))
    unknown = np.isnan(forward) | np.isnan(strike) | np.isnan(spread)
    return np.where(unknown, np.nan, np.exp(-risk_free * years) * value)


def implied_volatility(
    is_call: BoolArray,
    premium: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    risk_free: float = 0.0,
) -> FloatArray:
    """Give the volatility at which `black_price` is the premium paid.

    Parameters
    ----------
    premium : ndarray of float64, shape (n,)
        Paid, > 0, in the unit of the prices.
    is_call, forward, strike, years, risk_free
        As in `black_price`.

    Returns
    -------
    ndarray of float64, shape (n,)
        Yearly, fraction. NaN where no volatility explains the premium: at or below what the option pays at
        once, at or above the forward (a call) or strike (a put), beyond `VOLATILITY_MAX`, or at its expiry.
    """
    found = np.full(len(premium), np.nan)
    for row in range(len(premium)):
        one = slice(row, row + 1)
        found[row] = _implied(
            is_call[one], float(premium[row]), forward[one], strike[one], years[one], risk_free
        )
    return found


def _implied(
    is_call: BoolArray,
    premium: float,
    forward: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    risk_free: float,
) -> float:
    def excess(volatility: float) -> float:
        value = black_price(is_call, forward, strike, years, np.array([volatility]), risk_free)
        return float(value[0]) - premium

    low, high = excess(0.0), excess(VOLATILITY_MAX)
    if not (years[0] > 0.0 and low < 0.0 < high):  # NaN fails both
        return math.nan
    return float(brentq(excess, 0.0, VOLATILITY_MAX, xtol=1e-12))


def explain_move(
    is_call: BoolArray,
    strike: FloatArray,
    entry: tuple[FloatArray, FloatArray, FloatArray],
    exit_: tuple[FloatArray, FloatArray, FloatArray],
    risk_free: float = 0.0,
) -> Moves:
    """Split the change of a premium into time, forward and volatility.

    Parameters
    ----------
    entry, exit_ : tuple of three ndarray of float64, shape (n,)
        Premium, forward and years to expiry at either end.
    is_call, strike, risk_free
        As in `black_price`.

    Returns
    -------
    Moves
        For one who holds the option; of one who sold it the signs are turned. NaN where the premium paid
        has no implied volatility, or anything of the exit is unknown.

    Notes
    -----
    One change after the other: time first, then the forward, and what is left is volatility. Another order
    gives other parts of the same whole.
    """
    premium, forward, years = entry
    premium_after, forward_after, years_after = exit_
    volatility = implied_volatility(is_call, premium, forward, strike, years, risk_free)
    aged = black_price(is_call, forward, strike, years_after, volatility, risk_free)
    moved = black_price(is_call, forward_after, strike, years_after, volatility, risk_free)
    return Moves(aged - premium, moved - aged, premium_after - moved)


def iv_rank(earlier: FloatArray, volatility: float) -> float:
    """Say where a volatility stands in the range of the days before.

    Parameters
    ----------
    earlier : ndarray of float64, shape (n_days,)
        One value per earlier day, oldest first; NaN where there is none. The last `RANK_DAYS` count.
    volatility : float
        Of today.

    Returns
    -------
    float
        0 at the lowest, 1 at the highest of the range and beyond it; NaN with fewer than `RANK_DAYS_MIN`
        known days or without a range.

    Examples
    --------
    >>> iv_rank(np.linspace(0.10, 0.30, 21), 0.15)
    0.25
    """
    known = earlier[-RANK_DAYS:]
    known = known[~np.isnan(known)]
    if len(known) < RANK_DAYS_MIN or math.isnan(volatility):
        return math.nan
    low, high = float(known.min()), float(known.max())
    if not high > low:
        return math.nan
    return min(1.0, max(0.0, round((volatility - low) / (high - low), 12)))

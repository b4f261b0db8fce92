"""State of a market from its daily bars (§2.7)."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import talib
from numpy.typing import NDArray

from propdesk.core.calendar import ist_date
from propdesk.core.invariant import require
from propdesk.model.enums import Regime
from propdesk.ports import BarArrays

Float = NDArray[np.float64]

STALE_BARS = "STALE_BARS"
"""Code before the sentence of a label that is missing since the bars end too early."""


@dataclass(frozen=True, slots=True)
class RegimeConfig:
    """Parameters of the definition; bars are trading days.

    Attributes
    ----------
    adx_period : int
        Wilder's period of the ADX.
    adx_trending : float
        From here on a market trends, if slope and average agree.
    slope_days : int
        Length of the least-squares line through log closes.
    ema_days : int
        Period of the exponential average, seeded by the mean of its first closes.
    lean_days : int
        Length of the log return that leans a sideways market.
    lean_factor : float
        Lean threshold in standard deviations of that return.
    bars_min : int
        Fewer bars have no label.
    history_days : int
        Calendar days of bars that the pipeline and pre-market read before a day: a fixed reach, so that a
        day gets the same label whatever range it is computed with.
    """

    adx_period: int = 14
    adx_trending: float = 25.0
    slope_days: int = 20
    ema_days: int = 20
    lean_days: int = 20
    lean_factor: float = 0.5
    bars_min: int = 150
    history_days: int = 365


@dataclass(frozen=True, slots=True)
class RegimeReading:
    """Label after the last bar, with what led to it; NaN and None where the history is too short."""

    label: Regime | None
    reason: str | None
    adx: float
    slope: float
    close_to_ema20: float
    log_return_20: float
    lean_threshold: float


@dataclass(frozen=True, slots=True)
class RegimeSeries:
    """Readings after every bar of a series; arrays of shape (n,), NaN while the history is too short."""

    adx: Float
    slope: Float
    close_to_ema20: Float
    log_return_20: Float
    lean_threshold: Float

    def reading(self, index: int, config: RegimeConfig) -> RegimeReading:
        """Read the state after the bar at ``index``; -1 stands for before the first bar."""
        bars = index + 1
        if bars < config.bars_min:
            reason = f"{bars} daily bars, {config.bars_min} needed"
            return RegimeReading(None, reason, np.nan, np.nan, np.nan, np.nan, np.nan)
        adx, slope = float(self.adx[index]), float(self.slope[index])
        ratio, lean = float(self.close_to_ema20[index]), float(self.log_return_20[index])
        threshold = float(self.lean_threshold[index])
        label = _label(adx, slope, ratio, lean, threshold, config)
        return RegimeReading(label, None, adx, slope, ratio, lean, threshold)


def regime_series(high: Float, low: Float, close: Float, config: RegimeConfig | None = None) -> RegimeSeries:
    """Measure the state of a market after each of its bars.

    Parameters
    ----------
    high, low, close : ndarray of float64, shape (n,)
        Daily bars, oldest first, > 0, any unit; all the history there is, since ADX and average remember
        their first bar.
    config : RegimeConfig, optional
        Parameters.

    Returns
    -------
    RegimeSeries
        What it tells after bar i reads bars 0..i only.

    Raises
    ------
    InvariantViolated
        If lengths differ or a price is not positive.

    Notes
    -----
    Trending: ADX >= 25 with the slope of the line through log closes and the close against its average on
    one side. Else sideways, leaning where the 20-day log return exceeds 0.5 x sample deviation of the last
    20 daily log returns x sqrt(20). Indicators are TA-Lib's. Source: §2.7.
    """
    config = config or RegimeConfig()
    n = len(close)
    require(len(high) == n and len(low) == n, "high, low and close have one length")
    require(bool((low > 0).all() and (close > 0).all()), "prices are positive")
    adx, slope = np.full(n, np.nan), np.full(n, np.nan)
    ratio, lean, threshold = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    if n >= config.bars_min:
        logs = np.log(close)
        adx = talib.ADX(high, low, close, timeperiod=config.adx_period)
        slope = talib.LINEARREG_SLOPE(logs, timeperiod=config.slope_days)
        ratio = close / talib.EMA(close, timeperiod=config.ema_days) - 1.0
        lean[config.lean_days :] = logs[config.lean_days :] - logs[: -config.lean_days]
        windows = np.lib.stride_tricks.sliding_window_view(np.diff(logs), config.lean_days)
        deviation = windows.std(axis=1, ddof=1)
        threshold[config.lean_days :] = config.lean_factor * deviation * np.sqrt(config.lean_days)
    return RegimeSeries(adx, slope, ratio, lean, threshold)


def _label(
    adx: float, slope: float, ratio: float, lean: float, threshold: float, config: RegimeConfig
) -> Regime:
    if adx >= config.adx_trending and slope > 0 and ratio > 0:
        return Regime.TRENDING_BULLISH
    if adx >= config.adx_trending and slope < 0 and ratio < 0:
        return Regime.TRENDING_BEARISH
    if lean > threshold:
        return Regime.SIDEWAYS_BULLISH
    return Regime.SIDEWAYS_BEARISH if lean < -threshold else Regime.SIDEWAYS


def label_for(
    bars_up_to_previous_day: BarArrays, previous_day: date, config: RegimeConfig | None = None
) -> RegimeReading:
    """Label the coming day from the daily bars before it; what pre-market and the pipeline both ask.

    Parameters
    ----------
    bars_up_to_previous_day : BarArrays
        Daily bars that start at IST midnight, oldest first.
    previous_day : date
        Market day before the day to label.
    config : RegimeConfig, optional
        Parameters.

    Returns
    -------
    RegimeReading
        Without label, and with the reason, where there are too few bars, or where the newest is older than
        ``previous_day`` (`STALE_BARS`): a state of last week is not the state before this open.
    """
    config = config or RegimeConfig()
    bars = bars_up_to_previous_day
    count = len(bars.start_ns)
    newest = ist_date(int(bars.start_ns[-1])) if count else None
    if newest is not None and newest < previous_day and count >= config.bars_min:
        reason = f"{STALE_BARS}: newest daily bar {newest}, market day before {previous_day}"
        return RegimeReading(None, reason, np.nan, np.nan, np.nan, np.nan, np.nan)
    series = regime_series(
        bars.high_paise.astype(np.float64),
        bars.low_paise.astype(np.float64),
        bars.close_paise.astype(np.float64),
        config,
    )
    return series.reading(count - 1, config)

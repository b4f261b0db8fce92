"""How far prices went against and for a trade, and what they did after it (§3.1 to §3.3)."""

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.invariant import require

Int = NDArray[np.int64]
Float = NDArray[np.float64]

WINDOW_NS = 30 * NS_PER_MINUTE
"""How long after its exit a trade is still watched (§3.2)."""

EXIT_OTHER, EXIT_STOP, EXIT_TARGET = 0, 1, 2

MAE, MFE, POST_SL, RECOVERY, POST_TARGET, WSE, WTE, CROSSED = range(8)
_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class PricePath:
    """Prices in time order, of bars or of ticks; a tick starts and ends at its stamp.

    Attributes
    ----------
    start_ns, end_ns : ndarray of int64, shape (m,)
        ns UTC, not falling.
    high, low : ndarray of int64 or float64, shape (m,)
        Any unit, the same as the trades'.
    is_ticks : bool
        Whether a price stands for an instant: then the instants of entry and exit count themselves.
    """

    start_ns: Int
    end_ns: Int
    high: NDArray[np.generic]
    low: NDArray[np.generic]
    is_ticks: bool


@dataclass(frozen=True, slots=True)
class Spans:
    """Ended trades of one instrument, one row each.

    Attributes
    ----------
    sign : ndarray of int64
        +1 BUY, -1 SELL.
    entry, exit : ndarray of float64
        Fill prices, > 0.
    stop, target : ndarray of float64
        Stoploss of the idea, last target filled (or the idea's target); NaN where there is none.
    exit_kind : ndarray of int64
        `EXIT_STOP`, `EXIT_TARGET` or `EXIT_OTHER`.
    entry_ns, exit_ns, close_ns : ndarray of int64
        ns UTC; ``close_ns`` is the close of the session that the exit lies in.
    """

    sign: Int
    entry: Float
    exit: Float
    stop: Float
    target: Float
    exit_kind: Int
    entry_ns: Int
    exit_ns: Int
    close_ns: Int


def excursions(path: PricePath, spans: Spans, known: int | None = None) -> Float:
    """Measure the excursions of trades on one price path.

    Parameters
    ----------
    path : PricePath
        Prices of the instrument.
    spans : Spans
        The trades.
    known : int, optional
        How many of the path's prices are known yet; default all.

    Returns
    -------
    ndarray of float64, shape (n, 8)
        Columns MAE, MFE (in R, >= 0; NaN without a stop), POST_SL, RECOVERY (share of the entry; NaN unless
        the trade ended at its stop), POST_TARGET (NaN unless it ended at a target), WSE (NaN with a stop),
        WTE (NaN with a target), CROSSED (1 or 0; NaN unless stopped or without a price in the window).

    Raises
    ------
    InvariantViolated
        If a trade ends before it starts.

    Notes
    -----
    Of the bars that hold entry and exit only these two prices count, bars between count whole. The window
    after the exit holds stamps in (exit, exit + 30 minutes], cut at the close; of bars those starting after
    the exit's minute. Nothing is clamped: a negative extension says that the price never came back to the
    stop. Source: §3.1, §3.2, §3.3.
    """
    require(bool((spans.exit_ns >= spans.entry_ns).all()), "a trade ends before it starts")
    start, end = path.start_ns[:known], path.end_ns[:known]
    # a bar that starts with the entry holds prices from before it; a tick at that instant is the entry
    inside_from = np.searchsorted(start, spans.entry_ns - path.is_ticks, side="right")
    inside_to = np.searchsorted(end, spans.exit_ns, side="right")
    after_from = np.searchsorted(start, spans.exit_ns, side="right")
    window = np.minimum(spans.exit_ns + WINDOW_NS, spans.close_ns if path.is_ticks else spans.close_ns - 1)
    after_to = np.searchsorted(start, window, side="right")
    out = np.full((len(spans.sign), _COLUMNS), np.nan)
    _measure(
        path.high,
        path.low,
        (inside_from, inside_to, after_from, after_to),
        (spans.sign, spans.exit_kind),
        (spans.entry, spans.exit, spans.stop, spans.target),
        out,
    )
    return out


@nb.njit(cache=True)
def _extremes(
    high: NDArray[np.generic], low: NDArray[np.generic], begin: int, end: int
) -> tuple[float, float]:
    """Lowest and highest price of a range; infinities where it is empty."""
    bottom, top = np.inf, -np.inf
    for i in range(begin, end):
        bottom = min(bottom, float(low[i]))
        top = max(top, float(high[i]))
    return bottom, top


@nb.njit(cache=True)
def _measure(
    high: NDArray[np.generic],
    low: NDArray[np.generic],
    ranges: tuple[Int, Int, Int, Int],
    kinds: tuple[Int, Int],
    levels: tuple[Float, Float, Float, Float],
    out: Float,
) -> None:
    inside_from, inside_to, after_from, after_to = ranges
    signs, exit_kind = kinds
    entries, exits, stops, targets = levels
    for t in range(signs.shape[0]):
        sign, entry, stop, target = signs[t], entries[t], stops[t], targets[t]
        bottom, top = _extremes(high, low, inside_from[t], inside_to[t])
        bottom, top = min(bottom, entry, exits[t]), max(top, entry, exits[t])
        adverse = entry - bottom if sign > 0 else top - entry
        favourable = top - entry if sign > 0 else entry - bottom
        risk = abs(entry - stop)
        if risk > 0:
            out[t, MAE] = adverse / risk
            out[t, MFE] = favourable / risk
        if np.isnan(stop):
            out[t, WSE] = adverse / entry
        if np.isnan(target):
            out[t, WTE] = favourable / entry
        bottom, top = _extremes(high, low, after_from[t], after_to[t])
        if bottom > top:
            continue
        worst, best = (bottom, top) if sign > 0 else (top, bottom)
        if exit_kind[t] == EXIT_STOP and not np.isnan(stop):
            out[t, POST_SL] = sign * (stop - worst) / entry
            out[t, RECOVERY] = sign * (best - stop) / entry
            out[t, CROSSED] = 1.0 if sign * (best - entry) >= 0 else 0.0
        if exit_kind[t] == EXIT_TARGET and not np.isnan(target):
            out[t, POST_TARGET] = sign * (best - target) / entry


@nb.njit(cache=True)
def first_touch(ts: Int, price: NDArray[np.generic], begin_ns: int, end_ns: int, level: float) -> int:
    """Find the stamp of the first tick in [begin_ns, end_ns) at or across a level; -1 if none is.

    The first tick of the span decides from which side the level is approached.
    """
    i = np.searchsorted(ts, begin_ns)
    if i >= ts.shape[0] or ts[i] >= end_ns:
        return -1
    from_above = price[i] >= level
    while i < ts.shape[0] and ts[i] < end_ns:
        if (from_above and price[i] <= level) or (not from_above and price[i] >= level):
            return int(ts[i])
        i += 1
    return -1

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

_BLOCK_BITS = 6
_BLOCK = 1 << _BLOCK_BITS
"""Prices whose lowest and highest are kept together."""

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
    count = len(path.start_ns) if known is None else min(known, len(path.start_ns))
    window = np.minimum(spans.exit_ns + WINDOW_NS, spans.close_ns if path.is_ticks else spans.close_ns - 1)
    # a bar that starts with the entry holds prices from before it; a tick at that instant is the entry
    entered = spans.entry_ns - path.is_ticks
    ranges = _ranges(path.start_ns, path.end_ns, (entered, spans.exit_ns, window), count)
    lengths = np.maximum(ranges[1::2] - ranges[::2], 0)
    # To make the index, every price is looked at once.
    is_indexed = int(lengths.sum()) > count
    out = np.full((len(spans.sign), _COLUMNS), np.nan)
    _measure(
        path.high,
        path.low,
        _block_extremes(path.high, path.low, count if is_indexed else 0),
        ranges,
        (spans.sign, spans.exit_kind),
        (spans.entry, spans.exit, spans.stop, spans.target),
        out,
    )
    return out


@nb.njit(cache=True)
def _count_until(times: Int, moment: int, low: int, high: int) -> int:
    """How many times are no later than a moment; ``low`` are known to be, those from ``high`` on not to be.

    Without a branch that depends on a time: to guess it wrong would cost more than the step.
    """
    left = high - low
    while left > 1:
        half = left >> 1
        low += half * int(times[low + half - 1] <= moment)
        left -= half
    return low + int(left == 1 and times[low] <= moment)


@nb.njit(cache=True)
def _ranges(start: Int, end: Int, moments: tuple[Int, Int, Int], count: int) -> Int:
    """First and last + 1 of the prices inside each trade, and of those in the window after it: four rows."""
    entered, left, window = moments
    found = np.empty((4, entered.shape[0]), np.int64)
    # What costs is to fetch times from memory: the last of each block are few enough to stay near.
    lasts = start[_BLOCK - 1 : count : _BLOCK].copy()
    for t in range(entered.shape[0]):
        after = _count_in_blocks(start, lasts, left[t], count)
        found[0, t], found[2, t] = _count_in_blocks(start, lasts, entered[t], count), after
        found[3, t] = _count_in_blocks(start, lasts, window[t], count)
        until, width = after, 1  # no price ends before it starts
        while until > 0 and end[until - 1] > left[t]:
            until, width = max(until - width, 0), 2 * width
        found[1, t] = _count_until(end, left[t], until, min(until + width, after))
    return found


@nb.njit(cache=True)
def _count_in_blocks(times: Int, lasts: Int, moment: int, count: int) -> int:
    """How many of the first ``count`` times are no later than a moment; ``lasts`` are those ending blocks."""
    begin = _count_until(lasts, moment, 0, lasts.shape[0]) << _BLOCK_BITS
    return _count_until(times, moment, begin, min(begin + _BLOCK, count))


@nb.njit(cache=True)
def _block_extremes(
    high: NDArray[np.generic], low: NDArray[np.generic], count: int
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Lowest and highest price of each block, then of each two blocks from it on, each four and so on."""
    blocks = count >> _BLOCK_BITS
    levels = 0
    while (1 << levels) <= blocks:
        levels += 1
    bottoms = np.empty((levels, blocks), low.dtype)
    tops = np.empty((levels, blocks), high.dtype)
    for b in range(blocks):
        begin = b << _BLOCK_BITS
        bottoms[0, b] = _lowest(low[begin : begin + _BLOCK], low[begin])
        tops[0, b] = _highest(high[begin : begin + _BLOCK], high[begin])
    for level in range(1, levels):
        half = 1 << (level - 1)
        for b in range(blocks - 2 * half + 1):
            bottoms[level, b] = min(bottoms[level - 1, b], bottoms[level - 1, b + half])
            tops[level, b] = max(tops[level - 1, b], tops[level - 1, b + half])
    return bottoms, tops


# Over a slice from its first place on, so that the compiler need not think of places before it.
@nb.njit(cache=True)
def _lowest(prices: NDArray[np.generic], bottom: np.generic) -> np.generic:
    for i in range(prices.shape[0]):
        bottom = min(bottom, prices[i])
    return bottom


@nb.njit(cache=True)
def _highest(prices: NDArray[np.generic], top: np.generic) -> np.generic:
    for i in range(prices.shape[0]):
        top = max(top, prices[i])
    return top


@nb.njit(cache=True)
def _extremes(
    high: NDArray[np.generic],
    low: NDArray[np.generic],
    blocks: tuple[NDArray[np.generic], NDArray[np.generic]],
    begin: int,
    end: int,
) -> tuple[float, float]:
    """Lowest and highest price of a range; infinities where it is empty."""
    if begin >= end:
        return np.inf, -np.inf
    bottoms, tops = blocks
    bottom, top = low[begin], high[begin]
    first, last = (begin + _BLOCK - 1) >> _BLOCK_BITS, min(end >> _BLOCK_BITS, bottoms.shape[1])
    head, tail = end, end
    if first < last:
        level = 0
        while (2 << level) <= last - first:
            level += 1
        for b in (first, last - (1 << level)):
            bottom = min(bottom, bottoms[level, b])
            top = max(top, tops[level, b])
        head, tail = first << _BLOCK_BITS, last << _BLOCK_BITS
    bottom, top = _lowest(low[begin:head], bottom), _highest(high[begin:head], top)
    bottom, top = _lowest(low[tail:end], bottom), _highest(high[tail:end], top)
    return float(bottom), float(top)


@nb.njit(cache=True)
def _measure(
    high: NDArray[np.generic],
    low: NDArray[np.generic],
    blocks: tuple[NDArray[np.generic], NDArray[np.generic]],
    ranges: Int,
    kinds: tuple[Int, Int],
    levels: tuple[Float, Float, Float, Float],
    out: Float,
) -> None:
    signs, exit_kind = kinds
    entries, exits, stops, targets = levels
    for t in range(signs.shape[0]):
        sign, entry, stop, target = signs[t], entries[t], stops[t], targets[t]
        bottom, top = _extremes(high, low, blocks, ranges[0, t], ranges[1, t])
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
        bottom, top = _extremes(high, low, blocks, ranges[2, t], ranges[3, t])
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

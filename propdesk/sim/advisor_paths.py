"""What would have become of an idea: levels from the last known price, first passage on minute bars.

Used only to give invented advisors a known skill and to write down the truth about them; the pipeline judges
ideas by its own state machine.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from propdesk.sim.market_book import BLOCK, PathBook

Int64Array: TypeAlias = NDArray[np.int64]
Int32Array: TypeAlias = NDArray[np.int32]
FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]

LIMIT, STOP, MARKET, RANGE = 0, 1, 2, 3
NOT_TRIGGERED, TARGET_FIRST, STOP_FIRST, TIMED_OUT, GAPPED = 0, 1, 2, 3, 4
INVALID = -1
TARGETS_MAX = 3
_RANGE_HALF_WIDTH = 0.3
_SILENCE_MINUTES = 20


@dataclass(frozen=True, slots=True)
class Candidates:
    """Ideas that could be posted; flat arrays of shape (n,).

    Attributes
    ----------
    row, day : int64
        Instrument (row of the book) and day of trading (index).
    posted_s, received_s : int64
        Seconds since 1970-01-01 UTC.
    period : int64
        0 intraday, 1 swing, 2 positional.
    entry_type : int64
        LIMIT, STOP, MARKET or RANGE as above.
    offset, risk, reward : float64
        Distance of entry from the last price and of the stop from the entry as fractions of the price;
        distance of the first target in risks.
    targets : int64
        1..3; later ones lie 1.7 and 2.6 times as far as the first.
    has_stop : bool
        Whether a stop is given.
    """

    row: Int64Array
    day: Int64Array
    posted_s: Int64Array
    received_s: Int64Array
    period: Int64Array
    entry_type: Int64Array
    offset: FloatArray
    risk: FloatArray
    reward: FloatArray
    targets: Int64Array
    has_stop: BoolArray

    def take(self, at: Int64Array) -> "Candidates":
        """Pick some by position."""
        return Candidates(*(getattr(self, name)[at] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Trials:
    """Levels and fate of candidates for BUY (0) and SELL (1); arrays of shape (n, 2), levels in paise.

    ``status`` is INVALID where no recent price was known or the levels make no sense; ``targets`` has shape
    (n, 2, 3); ``gross_r`` is the result in risks of the chain of §5.4 without costs, NaN without a stop or
    without a fill; ``entry_at`` and ``exit_at`` are columns of the book, -1 where there is none.
    """

    status: Int64Array
    low: Int64Array
    high: Int64Array
    stop: Int64Array
    targets: Int64Array
    entry_at: Int64Array
    exit_at: Int64Array
    gross_r: FloatArray


def try_candidates(book: PathBook, ideas: Candidates, price_min: Int64Array) -> Trials:
    """Set levels for both sides of every candidate and walk its path.

    Parameters
    ----------
    book : PathBook
        Paths.
    ideas : Candidates
        n candidates.
    price_min : ndarray of int64, shape (n,)
        Lowest last price at which the idea is posted at all, paise.

    Returns
    -------
    Trials
        For BUY and SELL.
    """
    found = np.zeros((len(ideas.row), 2, 9), np.int64)
    return _walk(book, ideas, price_min, found, fixed=False)


def try_again(book: PathBook, ideas: Candidates, levels: Trials) -> Trials:
    """Walk ideas whose levels are already written, for example someone else's words repeated later.

    Parameters
    ----------
    book : PathBook
        Paths.
    ideas : Candidates
        n ideas; only instrument, day, stamps, period, entry type and stop are used.
    levels : Trials
        Levels to keep.

    Returns
    -------
    Trials
        The same levels, the fate of the ideas' own moments.
    """
    found = np.zeros((len(ideas.row), 2, 9), np.int64)
    found[:, :, 1], found[:, :, 2], found[:, :, 3] = levels.low, levels.high, levels.stop
    found[:, :, 4:7] = levels.targets
    return _walk(book, ideas, np.zeros(len(ideas.row), np.int64), found, fixed=True)


def _walk(
    book: PathBook, ideas: Candidates, price_min: Int64Array, found: Int64Array, *, fixed: bool
) -> Trials:
    columns = (
        ideas.row,
        ideas.day,
        ideas.posted_s,
        ideas.received_s,
        ideas.period,
        ideas.entry_type,
        ideas.targets,
        ideas.has_stop.astype(np.int64),
        price_min,
    )
    shares = np.stack([ideas.offset, ideas.risk, ideas.reward], axis=1)
    found[:, :, 0] = INVALID
    found[:, :, 7:] = -1
    gross_r = np.full((len(ideas.row), 2), np.nan)
    is_derivative = np.array([int(item.category.is_derivative) for item in book.instruments], np.int64)
    _try_all(
        book.minute, book.prices, book.extremes, book.day_start, book.ticks, book.square_off_minute,
        is_derivative, np.stack(columns, axis=1), shares, fixed, found, gross_r,
    )  # fmt: skip
    return Trials(
        status=found[:, :, 0],
        low=found[:, :, 1],
        high=found[:, :, 2],
        stop=found[:, :, 3],
        targets=found[:, :, 4:7],
        entry_at=found[:, :, 7],
        exit_at=found[:, :, 8],
        gross_r=gross_r,
    )


@njit(cache=True)
def first_at_or_after(minute: Int32Array, start: int, end: int, wanted: int) -> int:
    """First column in [start, end) whose minute is >= ``wanted``; ``end`` if there is none."""
    low, high = start, end
    while low < high:
        middle = (low + high) // 2
        if minute[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def set_levels(
    reference: int,
    tick: int,
    sign: int,
    entry_type: int,
    offset: float,
    risk: float,
    reward: float,
    out: Int64Array,
) -> bool:
    """Put entry, stop and targets around the last price, on the tick.

    Parameters
    ----------
    reference, tick : int
        Last price and tick, paise.
    sign : int
        +1 BUY, -1 SELL.
    entry_type, offset, risk, reward
        As in `Candidates`.
    out : ndarray of int64, shape (6,)
        Receives low, high, stop and three targets.

    Returns
    -------
    bool
        False where the levels would not lie apart and above zero.
    """
    entry = reference * 1.0
    if entry_type == LIMIT:
        entry = reference * (1 - sign * offset)
    elif entry_type == STOP:
        entry = reference * (1 + sign * offset)
    half = reference * risk * _RANGE_HALF_WIDTH if entry_type == RANGE else 0.0
    low, high = round((entry - half) / tick) * tick, round((entry + half) / tick) * tick
    distance = max(entry * risk, 1.0 * tick)
    worse_stop = low if sign > 0 else high
    best = high if sign > 0 else low
    stop = round((worse_stop - sign * distance) / tick) * tick
    out[0], out[1], out[2] = low, high, stop
    for k in range(TARGETS_MAX):
        far = reward * distance * (1.0, 1.7, 2.6)[k]
        out[3 + k] = max(round((best + sign * far) / tick) * tick, 0)
    if low <= 0 or stop <= 0 or out[5] <= 0:
        return False
    if sign * (worse_stop - stop) < tick or sign * (out[3] - best) < tick:
        return False
    return bool(sign * (out[4] - out[3]) >= tick and sign * (out[5] - out[4]) >= tick)


@njit(cache=True)
def find_entry(
    prices: Int32Array, extremes: Int32Array, start: int, valid: int, sign: int, entry_type: int, low: int,
    high: int,
) -> tuple[int, int, bool]:  # fmt: skip
    """First fill of an entry in columns [start, valid).

    Parameters
    ----------
    prices, extremes : ndarray of int32
        The book's: a block whose extremes stay away from the entry is passed over.

    Returns
    -------
    tuple of (int, int, bool)
        Column (-1 = not reached), price in paise, whether it filled at the bar's open.
    """
    worse = high if sign > 0 else low
    from_below = (entry_type == STOP) == (sign > 0)  # the price must rise to the entry, or else fall to it
    i = start - 1
    while i + 1 < valid:
        i += 1
        if i % BLOCK == 0 and i + BLOCK <= valid and entry_type != MARKET:
            block = i // BLOCK
            if (extremes[0, block] < low) if from_below else (extremes[1, block] > high):
                i += BLOCK - 1
                continue
        opened, top, bottom = prices[0, i], prices[1, i], prices[2, i]
        if entry_type == MARKET:
            return i, opened, True
        if entry_type == STOP:
            if sign * (opened - low) >= 0:
                return i, opened, True
            if (top >= low) if sign > 0 else (bottom <= low):
                return i, low, False
            continue
        if sign * (worse - opened) >= 0 and entry_type == LIMIT:
            return i, opened, True
        if (bottom <= high) if sign > 0 else (top >= low):
            return i, worse, False
    return -1, 0, False


@njit(cache=True)
def follow_chain(
    prices: Int32Array, extremes: Int32Array, entry_at: int, deadline: int, last: int, sign: int, fill: int,
    at_open: bool, stop: int, targets: Int64Array, count: int,
) -> tuple[int, int, float]:  # fmt: skip
    """Follow an open trade through its targets and trailing stop.

    Parameters
    ----------
    prices, extremes : ndarray of int32
        The book's bars: a block whose extremes stay between stop and target is passed over.
    entry_at, deadline, last : int
        Column of the fill; column at whose open a timed exit fills; last column known.
    sign, fill, stop : int
        Side, fill price and stop, paise; stop 0 = none.
    at_open : bool
        Whether the entry filled at its bar's open (then a target in that bar counts).
    targets : ndarray of int64, shape (3,)
        Targets in order of distance; the first ``count`` are used, equal shares each.

    Returns
    -------
    tuple of (int, int, float)
        TARGET_FIRST, STOP_FIRST or TIMED_OUT; column of the end; mean move of the legs in the trade's
        favour, paise.
    """
    done, gain, level, status = 0, 0.0, stop, TIMED_OUT
    end = min(deadline, last + 1)
    i = entry_at - 1
    while i + 1 < end:
        i += 1
        if i % BLOCK == 0 and i > entry_at and i + BLOCK <= end:
            block = i // BLOCK
            nearest = extremes[1, block] if sign > 0 else extremes[0, block]
            farthest = extremes[0, block] if sign > 0 else extremes[1, block]
            if (level <= 0 or sign * (nearest - level) > 0) and sign * (farthest - targets[done]) < 0:
                i += BLOCK - 1
                continue
        opened, top, bottom, close = prices[0, i], prices[1, i], prices[2, i], prices[3, i]
        adverse = bottom if sign > 0 else top
        favour = top if sign > 0 else bottom
        if level > 0 and sign * (adverse - level) <= 0:
            price = opened if i > entry_at and sign * (opened - level) < 0 else level
            gain += (count - done) * sign * (price - fill)
            return (TARGET_FIRST if done else STOP_FIRST), i, gain / count
        if i == entry_at and not at_open:
            favour = close
        while done < count and sign * (favour - targets[done]) >= 0:
            gap = i > entry_at and sign * (opened - targets[done]) > 0
            gain += sign * ((opened if gap else targets[done]) - fill)
            done += 1
            status = TARGET_FIRST
        if done == count:
            return status, i, gain / count
        if done > 0 and stop > 0:
            level = fill if done == 1 else targets[done - 2]
    at_deadline = deadline <= last
    price = prices[0, deadline] if at_deadline else prices[3, last]
    gain += (count - done) * sign * (price - fill)
    return status, (deadline if at_deadline else last), gain / count


@njit(cache=True)
def _window(
    minute: Int32Array, day_start: Int64Array, squares: Int64Array, segment: int, idea: Int64Array
) -> tuple[int, int, int, int, int]:
    """Columns of the last known bar, the first active one, end of validity, timed exit and last known."""
    r, d, posted_s, received_s, period = idea[0], idea[1], idea[2], idea[3], idea[4]
    days = day_start.shape[1] - 1
    begin, end = day_start[r, 0], day_start[r, days]
    today, close = day_start[r, d], day_start[r, d + 1]
    known = first_at_or_after(minute, begin, end, posted_s // 60) - 1
    # a quarter of a second of latency: the first bar that starts after the idea is known
    active = first_at_or_after(minute, begin, end, -(-(received_s * 4 + 1) // 240))
    silent = known >= today and posted_s // 60 - minute[known] > _SILENCE_MINUTES
    if known < begin or active < today or active >= close or silent:
        return -1, 0, 0, 0, 0
    if period == 0:
        square = first_at_or_after(minute, today, close, squares[segment, d])
        return known, active, min(close, square), square, close - 1
    validity, time_out = (5, 10) if period == 1 else (15, 40)
    valid, deadline = day_start[r, min(d + validity, days)], day_start[r, min(d + time_out, days)]
    return known, active, min(valid, deadline), deadline, end - 1


@njit(cache=True)
def _try_all(
    minute: Int32Array, prices: Int32Array, extremes: Int32Array, day_start: Int64Array, ticks: Int64Array,
    squares: Int64Array, is_derivative: Int64Array, whole: Int64Array, shares: FloatArray, fixed: bool,
    found: Int64Array, gross_r: FloatArray,
) -> None:  # fmt: skip
    for n in range(len(whole)):
        r, d, entry_type = whole[n, 0], whole[n, 1], whole[n, 5]
        count, has_stop = whole[n, 6], whole[n, 7]
        if r < 0:
            continue
        known, active, valid, deadline, last = _window(minute, day_start, squares, is_derivative[r], whole[n])
        if known < 0 or prices[3, known] < whole[n, 8]:
            continue
        for side in range(2):
            sign, out = 1 - 2 * side, found[n, side]
            reference, tick = prices[3, known], ticks[r, d]
            if not fixed and not set_levels(
                reference, tick, sign, entry_type, shares[n, 0], shares[n, 1], shares[n, 2], out[1:7]
            ):
                continue
            stop, targets = out[3], out[4:7]
            out[0] = NOT_TRIGGERED
            at, fill, at_open = find_entry(prices, extremes, active, valid, sign, entry_type, out[1], out[2])
            if at < 0:
                continue
            out[7] = at
            if sign * (fill - stop) <= 0 or sign * (targets[0] - fill) <= 0:
                out[0] = GAPPED
                continue
            status, ended, gain = follow_chain(
                prices,
                extremes,
                at,
                deadline,
                last,
                sign,
                fill,
                at_open,
                stop if has_stop else 0,
                targets,
                count,
            )
            out[0], out[8] = status, ended
            if has_stop:
                gross_r[n, side] = gain / (sign * (fill - stop))

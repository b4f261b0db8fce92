"""Compiled corpus replay over many groups and as-of dates; equal to `corpus.replay_corpus`.

The whole kernel stands in this one file: numba's on-disk cache does not notice a change in a
function compiled elsewhere.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from propdesk.replay.inputs import NEVER_NS, FloatArray, IntArray

MISSING = int(np.iinfo(np.int64).min)
"""No mark that day; no such moment."""

# State of a running replay: places in an int64 array …
_FREE, _CORPUS, _OPEN, _EXECUTED, _SKIPPED, _SHORTFALLS, _CONCURRENCY, _BLOWN = range(8)
_POINTS, _CHANGES, _MARKS, _CLOCK, _RUN, _CAPITAL, _DAYS = range(8, 15)
_STATE = 15
# … of a drawdown (two rows: realised, marked) …
_PEAK, _PEAK_NS, _LOW_PEAK, _LOW_PEAK_NS, _TROUGH, _RECOVERY = range(6)
# … and in a float64 array.
_PEAK_USE, _USE_SUM = range(2)

INT_OUTPUTS = (
    "final_corpus_paise",
    "mdd_peak_ns",
    "mdd_trough_ns",
    "mdd_recovery_ns",
    "trades_executed",
    "trades_skipped_capital",
    "margin_shortfalls",
    "open_at_end",
    "unmarked_at_end",
    "max_concurrency",
    "blown_ns",
)
FLOAT_OUTPUTS = (
    "return_ratio",
    "mdd_ratio",
    "marked_mdd_ratio",
    "sharpe",
    "sharpe_se",
    "sortino",
    "calmar",
    "volatility_ratio",
    "peak_utilisation_ratio",
    "mean_utilisation_ratio",
)
"""Columns of the kernel's two output tables, in order."""


class KernelTrades(NamedTuple):
    """Trades of all groups, sorted by (group, entry, rank); marks as one dense row per trade."""

    entry_ns: IntArray
    exit_ns: IntArray
    entry_day: IntArray
    margin: IntArray
    pnl: IntArray
    exit_order: IntArray  # positions of each group's slice sorted by (exit, rank)
    mark_start: IntArray  # where the trade's marks begin in `marks`
    mark_first: IntArray  # market-day index of the first mark
    mark_count: IntArray
    marks: IntArray
    unsettled_day: IntArray


class KernelDays(NamedTuple):
    """Market days as in `inputs.MarketDays`, with the market time spent before each."""

    day: IntArray
    open_ns: IntArray
    close_ns: IntArray
    end_ns: IntArray
    spent: IntArray


class Scratch(NamedTuple):
    """Working memory, reused by every replay of one call."""

    state: IntArray
    falls: IntArray
    depth: FloatArray
    use: FloatArray
    stamp: IntArray  # run in which the trade is open; 0 never
    open_list: IntArray
    open_place: IntArray
    mark: IntArray
    changes: FloatArray
    returns: FloatArray
    point_ns: IntArray
    point_value: IntArray
    daily: IntArray
    daily_marked: IntArray


def scratch(n_trades: int, n_days: int) -> Scratch:
    """Allocate working memory for groups of together ``n_trades`` over ``n_days`` market days."""

    def whole(size: int) -> IntArray:
        return np.zeros(size, dtype=np.int64)

    return Scratch(
        whole(_STATE),
        np.zeros((2, 6), dtype=np.int64),
        np.zeros(2),
        np.zeros(2),
        whole(n_trades),
        whole(n_trades),
        whole(n_trades),
        whole(n_trades),
        np.zeros(n_trades),
        np.zeros(n_days + 1),
        whole(n_trades + 2),
        whole(n_trades + 2),
        whole(n_days + 1),
        whole(n_days + 1),
    )


@njit(cache=True)
def _see(w: Scratch, row: int, value: int, ns: int) -> None:
    fall = w.falls[row]
    if value > fall[_PEAK]:
        fall[_PEAK] = value
        fall[_PEAK_NS] = ns
    depth = value / fall[_PEAK] - 1.0
    if depth < w.depth[row]:
        w.depth[row] = depth
        fall[_LOW_PEAK] = fall[_PEAK]
        fall[_LOW_PEAK_NS] = fall[_PEAK_NS]
        fall[_TROUGH] = ns
        fall[_RECOVERY] = MISSING
    elif fall[_TROUGH] != MISSING and fall[_RECOVERY] == MISSING and value >= fall[_LOW_PEAK]:
        fall[_RECOVERY] = ns


@njit(cache=True)
def _point(w: Scratch, ns: int, value: int) -> None:
    s = w.state
    w.point_ns[s[_POINTS]] = ns
    w.point_value[s[_POINTS]] = value
    s[_POINTS] += 1


@njit(cache=True)
def _begin(w: Scratch, capital: int, start_ns: int, clock: int) -> None:
    s = w.state
    run = s[_RUN] + 1
    for i in range(_STATE):
        s[i] = 0
    s[_RUN] = run
    s[_FREE] = capital
    s[_CORPUS] = capital
    s[_CAPITAL] = capital
    s[_BLOWN] = MISSING
    s[_CLOCK] = clock
    for row in range(2):
        w.use[row] = 0.0
        w.depth[row] = 0.0
        for i in range(6):
            w.falls[row, i] = MISSING
        w.falls[row, _PEAK] = capital
        w.falls[row, _PEAK_NS] = start_ns
    _point(w, start_ns, capital)


@njit(cache=True)
def _weigh(w: Scratch, days: KernelDays, ns: int, index: int) -> None:
    if len(days.day) == 0:
        return
    s = w.state
    inside = min(max(ns - days.open_ns[index], 0), days.spent[index + 1] - days.spent[index])
    now = max(s[_CLOCK], days.spent[index] + inside)
    w.use[_USE_SUM] += (s[_CORPUS] - s[_FREE]) / s[_CORPUS] * float(now - s[_CLOCK])
    s[_CLOCK] = now


@njit(cache=True)
def _enter(w: Scratch, t: KernelTrades, trade: int) -> bool:
    s = w.state
    if s[_FREE] < t.margin[trade]:
        s[_SKIPPED] += 1
        return False
    s[_FREE] -= t.margin[trade]
    w.open_list[s[_OPEN]] = trade
    w.open_place[trade] = s[_OPEN]
    w.stamp[trade] = s[_RUN]
    w.mark[trade] = 0
    s[_OPEN] += 1
    s[_EXECUTED] += 1
    s[_CONCURRENCY] = max(s[_CONCURRENCY], s[_OPEN])
    w.use[_PEAK_USE] = max(w.use[_PEAK_USE], (s[_CORPUS] - s[_FREE]) / s[_CORPUS])
    return True


@njit(cache=True)
def _leave(w: Scratch, t: KernelTrades, trade: int, ns: int) -> None:
    s = w.state
    last = w.open_list[s[_OPEN] - 1]
    w.open_list[w.open_place[trade]] = last
    w.open_place[last] = w.open_place[trade]
    s[_OPEN] -= 1
    w.stamp[trade] = 0
    s[_MARKS] -= w.mark[trade]
    w.changes[s[_CHANGES]] = t.pnl[trade] / s[_CORPUS]
    s[_CHANGES] += 1
    s[_FREE] += t.margin[trade] + t.pnl[trade]
    s[_CORPUS] += t.pnl[trade]
    if s[_FREE] < 0:
        s[_SHORTFALLS] += 1
    _point(w, ns, s[_CORPUS])
    _see(w, 0, s[_CORPUS], ns)
    _see(w, 1, s[_CORPUS] + s[_MARKS], ns)
    if s[_CORPUS] <= 0:
        s[_BLOWN] = ns


@njit(cache=True)
def _until(
    w: Scratch, t: KernelTrades, days: KernelDays, cursor: IntArray, bounds: IntArray, end_ns: int, index: int
) -> None:
    """Apply the events before ``end_ns``.

    ``cursor``: next entry, next exit, moment of the next event;
    ``bounds``: end of the entries, end of the exits, first entry, as-of epoch day.
    """
    s = w.state
    while s[_BLOWN] == MISSING:
        while cursor[0] < bounds[0] and t.unsettled_day[cursor[0]] <= bounds[3]:
            cursor[0] += 1
        entry_ns = t.entry_ns[cursor[0]] if cursor[0] < bounds[0] else NEVER_NS
        exit_ns = NEVER_NS
        while cursor[1] < bounds[1]:
            trade = t.exit_order[cursor[1]]
            inside = bounds[2] <= trade < bounds[0] and t.exit_ns[trade] != t.entry_ns[trade]
            skipped = inside and trade < cursor[0] and w.stamp[trade] != s[_RUN]
            if inside and not skipped:
                exit_ns = t.exit_ns[trade]
                break
            cursor[1] += 1
        cursor[2] = min(entry_ns, exit_ns)
        if cursor[2] >= end_ns:
            return
        if exit_ns <= entry_ns:
            _weigh(w, days, exit_ns, index)
            _leave(w, t, t.exit_order[cursor[1]], exit_ns)
            cursor[1] += 1
        else:
            trade = cursor[0]
            cursor[0] += 1
            _weigh(w, days, entry_ns, index)
            if _enter(w, t, trade) and t.exit_ns[trade] == entry_ns:
                _leave(w, t, trade, entry_ns)


@njit(cache=True)
def _mark_of(t: KernelTrades, trade: int, index: int) -> int:
    place = index - t.mark_first[trade]
    if place < 0 or place >= t.mark_count[trade]:
        return MISSING
    return int(t.marks[t.mark_start[trade] + place])


@njit(cache=True)
def _mark_day(w: Scratch, t: KernelTrades, days: KernelDays, index: int) -> None:
    s = w.state
    if s[_BLOWN] != MISSING:
        return
    for i in range(s[_OPEN]):
        trade = w.open_list[i]
        mark = _mark_of(t, trade, index)
        if mark != MISSING:
            s[_MARKS] += mark - w.mark[trade]
            w.mark[trade] = mark
    _see(w, 1, s[_CORPUS] + s[_MARKS], days.close_ns[index])
    _weigh(w, days, days.close_ns[index], index)


@njit(cache=True)
def _finish(w: Scratch, t: KernelTrades, index: int, end_ns: int) -> tuple[int, int]:
    """Give the final corpus and the number of open trades without a mark; index -1: no market day."""
    s = w.state
    final = s[_CORPUS]
    marked = s[_CORPUS]
    unmarked = 0
    if s[_BLOWN] == MISSING and s[_OPEN] > 0:
        for i in range(s[_OPEN]):
            mark = _mark_of(t, w.open_list[i], index) if index >= 0 else MISSING
            if mark == MISSING:
                unmarked += 1
            else:
                final += mark
        marked = s[_CORPUS] + s[_MARKS]
        _point(w, end_ns - 1, final)
        _see(w, 0, final, end_ns - 1)
    if s[_DAYS] > 0:
        w.daily[s[_DAYS] - 1] = final
        w.daily_marked[s[_DAYS] - 1] = marked
    return final, unmarked


@njit(cache=True)
def _spread(values: FloatArray, n: int) -> tuple[float, float]:
    """Mean and sample standard deviation of the first n values, summed in order."""
    total = 0.0
    for i in range(n):
        total += values[i]
    mean = total / n
    total = 0.0
    for i in range(n):
        total += (values[i] - mean) * (values[i] - mean)
    return mean, math.sqrt(total / (n - 1))


@njit(cache=True)
def _ratios(w: Scratch, risk_free: float) -> tuple[float, float, float]:
    """Sharpe, its standard error and Sortino of the daily corpus."""
    s = w.state
    n = s[_DAYS]
    previous = s[_CAPITAL]
    low_sum = 0.0
    low = math.inf
    high = -math.inf
    for i in range(n):
        value = w.daily[i]
        change = value / previous - 1.0 if previous > 0 else 0.0
        if previous > 0:
            previous = value
        w.returns[i] = change
        low = min(low, change)
        high = max(high, change)
        low_sum += min(change, 0.0) * min(change, 0.0)
    if n < 20 or low == high:
        return math.nan, math.nan, math.nan
    mean, std = _spread(w.returns, n)
    excess = mean - risk_free / 252
    ratio = excess / std * math.sqrt(252)
    daily = ratio / math.sqrt(252)
    error = math.sqrt((1.0 + 0.5 * daily * daily) / n) * math.sqrt(252)
    sortino = math.nan if low_sum == 0.0 else excess / math.sqrt(low_sum / n) * math.sqrt(252)
    return ratio, error, sortino


@njit(cache=True)
def _calmar(growth: float, depth: float, n: int) -> float:
    if depth == 0.0 or n == 0 or growth < 0.0:
        return math.nan
    exponent = 252 / n
    if growth > 1.0 and math.log(growth) * exponent > 700.0:
        return math.inf
    return float((growth**exponent - 1.0) / abs(depth))


@njit(cache=True)
def _write(
    w: Scratch,
    final: int,
    unmarked: int,
    market_ns: int,
    risk_free: float,
    ints: IntArray,
    floats: FloatArray,
) -> None:
    s = w.state
    ints[0] = final
    ints[1] = w.falls[0, _LOW_PEAK_NS]
    ints[2] = w.falls[0, _TROUGH]
    ints[3] = w.falls[0, _RECOVERY]
    ints[4] = s[_EXECUTED]
    ints[5] = s[_SKIPPED]
    ints[6] = s[_SHORTFALLS]
    ints[7] = s[_OPEN]
    ints[8] = unmarked
    ints[9] = s[_CONCURRENCY]
    ints[10] = s[_BLOWN]
    floats[0] = final / s[_CAPITAL] - 1.0
    floats[1] = w.depth[0]
    floats[2] = w.depth[1]
    floats[3], floats[4], floats[5] = _ratios(w, risk_free)
    floats[6] = _calmar(final / s[_CAPITAL], w.depth[0], s[_DAYS])
    floats[7] = _spread(w.changes, s[_CHANGES])[1] if s[_CHANGES] > 1 else math.nan
    floats[8] = w.use[_PEAK_USE]
    floats[9] = w.use[_USE_SUM] / float(market_ns) if market_ns > 0 else 0.0


@njit(cache=True)
def _first_from(values: IntArray, low: int, high: int, wanted: int) -> int:
    """First place in low … high whose value is not below ``wanted``; the values rise."""
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _first_exit(t: KernelTrades, low: int, high: int, ns: int) -> int:
    """First place in the exits low … high whose moment is not before ``ns``."""
    while low < high:
        middle = (low + high) // 2
        if t.exit_ns[t.exit_order[middle]] < ns:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def replay_slice(
    w: Scratch,
    t: KernelTrades,
    days: KernelDays,
    group: tuple[int, int],
    window: tuple[int, int],
    capital: int,
    risk_free: float,
    ints: IntArray,
    floats: FloatArray,
) -> None:
    """Replay one group's slice of the trades over one window of epoch days, into one output row."""
    first, as_of = window
    low, high = group
    begin = _first_from(days.day, 0, len(days.day), first)
    stop = _first_from(days.day, begin, len(days.day), as_of + 1)
    a = _first_from(t.entry_day, low, high, first)
    b = _first_from(t.entry_day, a, high, as_of + 1)
    start_ns = first * 86_400_000_000_000 - 19_800_000_000_000
    end_ns = (as_of + 1) * 86_400_000_000_000 - 19_800_000_000_000
    _begin(w, capital, start_ns, days.spent[begin])
    exits_from = _first_exit(t, low, high, start_ns)
    cursor = np.array([a, exits_from, 0], dtype=np.int64)
    bounds = np.array([b, _first_exit(t, exits_from, high, end_ns), a, as_of], dtype=np.int64)
    s = w.state
    for index in range(begin, stop):
        w.daily[index - begin] = s[_CORPUS]
        w.daily_marked[index - begin] = s[_CORPUS]
        if s[_BLOWN] != MISSING:
            continue
        if s[_OPEN] == 0 and cursor[2] >= days.end_ns[index]:  # a day without anything to do
            s[_CLOCK] = days.spent[index + 1]
            continue
        _until(w, t, days, cursor, bounds, days.end_ns[index], index)
        _mark_day(w, t, days, index)
        w.daily[index - begin] = s[_CORPUS]
        open_marks = int(s[_MARKS]) if s[_BLOWN] == MISSING else 0
        w.daily_marked[index - begin] = s[_CORPUS] + open_marks
    _until(w, t, days, cursor, bounds, end_ns, stop - 1 if stop > 0 else 0)
    s[_DAYS] = stop - begin
    final, unmarked = _finish(w, t, stop - 1 if stop > begin else -1, end_ns)
    _write(w, final, unmarked, s[_CLOCK] - days.spent[begin], risk_free, ints, floats)


@njit(cache=True, nogil=True)
def replay_many(
    w: Scratch,
    t: KernelTrades,
    days: KernelDays,
    group_low: IntArray,
    group_high: IntArray,
    jobs: IntArray,
    window_days: int,
    capital: int,
    risk_free: float,
) -> tuple[IntArray, FloatArray]:
    """Replay every job, a row (group, as-of epoch day); outputs in the order of the jobs."""
    ints = np.zeros((len(jobs), 11), dtype=np.int64)
    floats = np.zeros((len(jobs), 10), dtype=np.float64)
    for i in range(len(jobs)):
        group, as_of = jobs[i, 0], jobs[i, 1]
        replay_slice(
            w,
            t,
            days,
            (group_low[group], group_high[group]),
            (as_of - window_days + 1, as_of),
            capital,
            risk_free,
            ints[i],
            floats[i],
        )
    return ints, floats


@njit(cache=True)
def curve_sizes(w: Scratch) -> tuple[int, int]:
    """Tell how many curve points and days the last replay left in the scratch memory."""
    return int(w.state[_POINTS]), int(w.state[_DAYS])

"""Compiled corpus replay over many groups and as-of dates; equal to `corpus.replay_corpus`.

A replay whose window begins with the same trade as the one before it in the same working memory goes
on where that one ended, so that all as-of dates of a group cost little more than the last of them.

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
_POINTS, _CHANGES, _MARKS, _CLOCK, _RUN, _CAPITAL = range(8, 14)
# … places in the market days: first of the arrays, first of the window, first not yet worked on …
_BASE, _BEGIN, _STOP = range(14, 17)
# … days whose return is final, and the corpus that the next return is measured by …
_RETURNED, _PREVIOUS = range(17, 19)
# … whose replay it is: slice of the group, trades of the window, start and as-of epoch day.
_LOW, _HIGH, _FIRST, _LAST, _START_NS, _AS_OF = range(19, 25)
_STATE = 25
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
    cursor: IntArray  # next entry, next exit, moment of the next event
    falls: IntArray
    depth: FloatArray
    kept: IntArray  # what the end of the last replay changed: curve points, both values of its last day …
    kept_fall: IntArray  # … and the realised drawdown
    kept_depth: FloatArray
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
        whole(3),
        np.zeros((2, 6), dtype=np.int64),
        np.zeros(2),
        whole(3),
        whole(6),
        np.zeros(1),
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
def _begin(w: Scratch, days: KernelDays, capital: int, start_ns: int, begin: int) -> None:
    s = w.state
    run = s[_RUN] + 1
    for i in range(_STATE):
        s[i] = 0
    s[_RUN] = run
    s[_FREE] = capital
    s[_CORPUS] = capital
    s[_CAPITAL] = capital
    s[_PREVIOUS] = capital
    s[_BLOWN] = MISSING
    s[_CLOCK] = days.spent[begin]
    s[_BASE] = begin
    s[_STOP] = begin
    for row in range(2):
        w.use[row] = 0.0
        w.depth[row] = 0.0
        for i in range(6):
            w.falls[row, i] = MISSING
        w.falls[row, _PEAK] = capital
        w.falls[row, _PEAK_NS] = start_ns
    _point(w, start_ns, capital)


@njit(cache=True)
def _keep(w: Scratch) -> None:
    """Note what `_finish` changes, so that the replay can go on from before it."""
    s = w.state
    w.kept[0] = s[_POINTS]
    w.kept_fall[:] = w.falls[0]
    w.kept_depth[0] = w.depth[0]
    last = s[_STOP] - s[_BASE] - 1
    if last >= 0:
        w.kept[1] = w.daily[last]
        w.kept[2] = w.daily_marked[last]


@njit(cache=True)
def _resume(w: Scratch, start_ns: int) -> None:
    """Undo the end of the last replay and let the window begin later; nothing had happened until then."""
    s = w.state
    s[_POINTS] = w.kept[0]
    w.falls[0, :] = w.kept_fall
    w.depth[0] = w.kept_depth[0]
    last = s[_STOP] - s[_BASE] - 1
    if last >= 0:
        w.daily[last] = w.kept[1]
        w.daily_marked[last] = w.kept[2]
    w.point_ns[0] = start_ns
    for row in range(2):
        for moment in (_PEAK_NS, _LOW_PEAK_NS):
            if w.falls[row, moment] == s[_START_NS]:
                w.falls[row, moment] = start_ns
    w.cursor[2] = 0  # entries that the last window did not hold may come first


@njit(cache=True)
def _goes_on(
    w: Scratch, t: KernelTrades, low: int, high: int, first: int, begin: int, as_of: int, capital: int
) -> bool:
    """Tell whether the last replay is the beginning of this one."""
    s = w.state
    if s[_RUN] == 0 or low != s[_LOW] or high != s[_HIGH] or first != s[_FIRST] or capital != s[_CAPITAL]:
        return False
    if as_of <= s[_AS_OF] or begin < s[_BEGIN] or begin > s[_STOP]:
        return False
    lost = False  # a trade that took part was found to be unsettled since
    for trade in range(first, s[_LAST]):
        lost |= s[_AS_OF] < t.unsettled_day[trade] <= as_of
    return not lost


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
def _until(w: Scratch, t: KernelTrades, days: KernelDays, exits_end: int, end_ns: int, index: int) -> None:
    """Apply the events before ``end_ns``; ``exits_end``: end of the exits before the as-of date's."""
    s = w.state
    cursor = w.cursor
    while s[_BLOWN] == MISSING:
        while cursor[0] < s[_LAST] and t.unsettled_day[cursor[0]] <= s[_AS_OF]:
            cursor[0] += 1
        entry_ns = t.entry_ns[cursor[0]] if cursor[0] < s[_LAST] else NEVER_NS
        exit_ns = NEVER_NS
        while cursor[1] < exits_end:
            trade = t.exit_order[cursor[1]]
            inside = s[_FIRST] <= trade < s[_LAST] and t.exit_ns[trade] != t.entry_ns[trade]
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
    if s[_STOP] > s[_BEGIN]:
        w.daily[s[_STOP] - s[_BASE] - 1] = final
        w.daily_marked[s[_STOP] - s[_BASE] - 1] = marked
    return final, unmarked


@njit(cache=True)
def _spread(values: FloatArray, start: int, stop: int) -> tuple[float, float]:
    """Mean and sample standard deviation of values[start:stop], summed in order."""
    n = stop - start
    total = 0.0
    for i in range(start, stop):
        total += values[i]
    mean = total / n
    total = 0.0
    for i in range(start, stop):
        total += (values[i] - mean) * (values[i] - mean)
    return mean, math.sqrt(total / (n - 1))


@njit(cache=True)
def _returns(w: Scratch, stop: int) -> None:
    """Bring the daily returns up to the day before ``stop``, whose own may still change."""
    s = w.state
    for i in range(s[_RETURNED], stop):
        value = w.daily[i]
        w.returns[i] = value / s[_PREVIOUS] - 1.0 if s[_PREVIOUS] > 0 else 0.0
        if i < stop - 1:
            if s[_PREVIOUS] > 0:
                s[_PREVIOUS] = value
            s[_RETURNED] = i + 1


@njit(cache=True)
def _ratios(w: Scratch, risk_free: float) -> tuple[float, float, float]:
    """Sharpe, its standard error and Sortino of the daily corpus."""
    s = w.state
    start, stop = s[_BEGIN] - s[_BASE], s[_STOP] - s[_BASE]
    n = stop - start
    _returns(w, stop)
    low_sum = 0.0
    low = math.inf
    high = -math.inf
    for i in range(start, stop):
        change = w.returns[i]
        low = min(low, change)
        high = max(high, change)
        low_sum += min(change, 0.0) * min(change, 0.0)
    if n < 20 or low == high:
        return math.nan, math.nan, math.nan
    mean, std = _spread(w.returns, start, stop)
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
    floats[6] = _calmar(final / s[_CAPITAL], w.depth[0], s[_STOP] - s[_BEGIN])
    floats[7] = _spread(w.changes, 0, s[_CHANGES])[1] if s[_CHANGES] > 1 else math.nan
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


@njit(cache=True)
def _days_until(w: Scratch, t: KernelTrades, days: KernelDays, exits_end: int, stop: int) -> None:
    """Work through the market days up to ``stop``."""
    s = w.state
    for index in range(s[_STOP], stop):
        place = index - s[_BASE]
        w.daily[place] = s[_CORPUS]
        w.daily_marked[place] = s[_CORPUS]
        if s[_BLOWN] != MISSING:
            continue
        if s[_OPEN] == 0 and w.cursor[2] >= days.end_ns[index]:  # a day without anything to do
            s[_CLOCK] = days.spent[index + 1]
            continue
        _until(w, t, days, exits_end, days.end_ns[index], index)
        _mark_day(w, t, days, index)
        w.daily[place] = s[_CORPUS]
        open_marks = int(s[_MARKS]) if s[_BLOWN] == MISSING else 0
        w.daily_marked[place] = s[_CORPUS] + open_marks
    s[_STOP] = stop


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
    """Replay one group's slice of the trades over one window of epoch days, into one output row.

    The working memory must only ever have seen these trades and days.
    """
    first, as_of = window
    low, high = group
    begin = _first_from(days.day, 0, len(days.day), first)
    stop = _first_from(days.day, begin, len(days.day), as_of + 1)
    a = _first_from(t.entry_day, low, high, first)
    start_ns = first * 86_400_000_000_000 - 19_800_000_000_000
    end_ns = (as_of + 1) * 86_400_000_000_000 - 19_800_000_000_000
    s = w.state
    if _goes_on(w, t, low, high, a, begin, as_of, capital):
        _resume(w, start_ns)
    else:
        _begin(w, days, capital, start_ns, begin)
        w.cursor[0] = a
        w.cursor[1] = _first_exit(t, low, high, start_ns)
        w.cursor[2] = 0
    s[_LOW], s[_HIGH], s[_FIRST], s[_BEGIN], s[_START_NS], s[_AS_OF] = low, high, a, begin, start_ns, as_of
    s[_LAST] = _first_from(t.entry_day, a, high, as_of + 1)
    exits_end = _first_exit(t, w.cursor[1], high, end_ns)
    _days_until(w, t, days, exits_end, stop)
    _until(w, t, days, exits_end, end_ns, stop - 1 if stop > 0 else 0)
    _keep(w)
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
    """Replay every job, a row (group, as-of epoch day); quickest by group and rising as-of day."""
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
def curve_sizes(w: Scratch) -> tuple[int, int, int]:
    """Tell how many curve points the last replay left in the working memory, and where its days stand."""
    s = w.state
    return int(s[_POINTS]), int(s[_BEGIN] - s[_BASE]), int(s[_STOP] - s[_BASE])

"""Readable arrays in, the compiled kernel's arrays out."""

import math
from collections.abc import Sequence

import numpy as np

from propdesk.core.invariant import require
from propdesk.replay.corpus import WINDOW_DAYS, ReplayResult
from propdesk.replay.inputs import CorpusTrades, FloatArray, IntArray, MarketDays, epoch_days_of
from propdesk.replay.kernel import (
    FLOAT_OUTPUTS,
    INT_OUTPUTS,
    MISSING,
    KernelDays,
    KernelTrades,
    Scratch,
    curve_sizes,
    replay_many,
    replay_slice,
    scratch,
)

_OPTIONAL_NS = {"mdd_peak_ns", "mdd_trough_ns", "mdd_recovery_ns", "blown_ns"}


def kernel_days(market: MarketDays) -> KernelDays:
    """Add the market time spent before each day."""
    spent = np.concatenate(([0], np.cumsum(market.close_ns - market.open_ns))).astype(np.int64)
    return KernelDays(market.day, market.open_ns, market.close_ns, market.end_ns, spent)


def _dense_marks(trades: CorpusTrades, market: MarketDays) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Lay each trade's marks out by market day: start, first day, count, values (MISSING in gaps)."""
    n = len(trades.entry_ns)
    owner = np.repeat(np.arange(n), np.diff(trades.mark_offset))
    index = np.searchsorted(market.day, trades.mark_day)
    known = np.isin(trades.mark_day, market.day)
    owner, index, value = owner[known], index[known], trades.mark_pnl_paise[known]
    first = np.full(n, np.iinfo(np.int64).max, dtype=np.int64)
    last = np.full(n, -1, dtype=np.int64)
    np.minimum.at(first, owner, index)
    np.maximum.at(last, owner, index)
    count = np.where(last >= 0, last - first + 1, 0)
    first = np.where(last >= 0, first, 0)
    start = np.concatenate(([0], np.cumsum(count)))[:-1].astype(np.int64)
    marks = np.full(int(count.sum()), MISSING, dtype=np.int64)
    marks[start[owner] + index - first[owner]] = value
    return start, first, count.astype(np.int64), marks


def kernel_trades(trades: CorpusTrades, group: IntArray, market: MarketDays) -> tuple[KernelTrades, IntArray]:
    """Sort the trades of all groups for the kernel.

    Parameters
    ----------
    trades : CorpusTrades
        Trades of all groups, any order.
    group : ndarray of int64, shape (n,)
        Group number of each trade, 0 … n_groups − 1.
    market : MarketDays
        Days on which marks may stand.

    Returns
    -------
    KernelTrades, ndarray of int64
        Sorted columns, and the position of each sorted row in the input.
    """
    require(len(group) == len(trades.entry_ns), "one group number per trade")
    order = np.lexsort((trades.rank, trades.entry_ns, group))
    exits = np.lexsort((trades.rank, trades.exit_ns, group))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    start, first, count, marks = _dense_marks(trades, market)
    entry_ns = trades.entry_ns[order]
    sorted_trades = KernelTrades(
        entry_ns,
        trades.exit_ns[order],
        epoch_days_of(entry_ns),
        trades.margin_paise[order],
        trades.net_pnl_paise[order],
        place[exits],
        start[order],
        first[order],
        count[order],
        marks,
        trades.unsettled_day[order],
    )
    return sorted_trades, order.astype(np.int64)


def group_bounds(group_sorted: IntArray, n_groups: int) -> tuple[IntArray, IntArray]:
    """Half-open slices of each group in an array sorted by group."""
    numbers = np.arange(n_groups)
    return (
        np.searchsorted(group_sorted, numbers).astype(np.int64),
        np.searchsorted(group_sorted, numbers, side="right").astype(np.int64),
    )


def continuing_order(jobs: IntArray) -> IntArray:
    """Order of (group, as-of) rows in which each replay can go on where the one before it ended."""
    return np.lexsort((jobs[:, 1], jobs[:, 0])).astype(np.int64)


def replay_jobs(
    trades: KernelTrades,
    bounds: tuple[IntArray, IntArray],
    market: MarketDays,
    jobs: IntArray,
    *,
    capital_paise: int,
    risk_free: float = 0.0,
    window_days: int = WINDOW_DAYS,
) -> dict[str, IntArray | FloatArray]:
    """Replay many (group, as-of) pairs.

    Parameters
    ----------
    trades : KernelTrades
        From `kernel_trades`.
    bounds : tuple of ndarray
        From `group_bounds`.
    market : MarketDays
        Days reaching over all windows.
    jobs : ndarray of int64, shape (n_jobs, 2)
        Group number and as-of epoch day.
    capital_paise, risk_free, window_days
        As in `corpus.replay_corpus`.

    Returns
    -------
    dict of str to ndarray, shape (n_jobs,)
        One array per output; moments that do not exist are ``kernel.MISSING``.
    """
    require(capital_paise > 0, "a replay needs a positive capital")
    memory = scratch(len(trades.entry_ns), len(market.day))
    order = continuing_order(jobs)
    ints, floats = replay_many(
        memory, trades, kernel_days(market), *bounds, jobs[order], window_days, capital_paise, risk_free
    )
    asked = np.argsort(order)
    out: dict[str, IntArray | FloatArray] = {name: ints[asked, i] for i, name in enumerate(INT_OUTPUTS)}
    out.update({name: floats[asked, i] for i, name in enumerate(FLOAT_OUTPUTS)})
    return out


class CurveReplayer:
    """Replay single groups with their curves, reusing one working memory.

    Quickest in the order of `continuing_order`; any other gives the same.
    """

    def __init__(
        self,
        trades: KernelTrades,
        bounds: tuple[IntArray, IntArray],
        market: MarketDays,
        *,
        capital_paise: int,
        risk_free: float = 0.0,
        window_days: int = WINDOW_DAYS,
    ) -> None:
        require(capital_paise > 0, "a replay needs a positive capital")
        self._trades, self._bounds, self._days = trades, bounds, kernel_days(market)
        self._capital, self._risk_free, self._window = capital_paise, risk_free, window_days
        self._memory: Scratch = scratch(len(trades.entry_ns), len(market.day))

    def replay(self, group: int, as_of: int) -> ReplayResult:
        """Replay one group at one as-of epoch day, curves included."""
        ints = np.zeros(len(INT_OUTPUTS), dtype=np.int64)
        floats = np.zeros(len(FLOAT_OUTPUTS))
        w = self._memory
        replay_slice(
            w,
            self._trades,
            self._days,
            (int(self._bounds[0][group]), int(self._bounds[1][group])),
            (as_of - self._window + 1, as_of),
            self._capital,
            self._risk_free,
            ints,
            floats,
        )
        points, begin, stop = curve_sizes(w)
        values: dict[str, int | float | None] = {
            name: None if name in _OPTIONAL_NS and int(v) == MISSING else int(v)
            for name, v in zip(INT_OUTPUTS, ints, strict=True)
        }
        values.update({name: float(v) for name, v in zip(FLOAT_OUTPUTS, floats, strict=True)})
        return ReplayResult(
            **values,  # type: ignore[arg-type]  # names and types fixed by the two output lists
            point_ns=w.point_ns[:points].copy(),
            corpus_paise=w.point_value[:points].copy(),
            daily_corpus_paise=w.daily[begin:stop].copy(),
            daily_marked_paise=w.daily_marked[begin:stop].copy(),
        )


def outputs_of(results: Sequence[ReplayResult]) -> dict[str, IntArray | FloatArray]:
    """Lay single replays out as `replay_jobs` does."""
    out: dict[str, IntArray | FloatArray] = {}
    for name in INT_OUTPUTS:
        values = [getattr(r, name) for r in results]
        out[name] = np.array([MISSING if v is None else v for v in values], dtype=np.int64)
    for name in FLOAT_OUTPUTS:
        out[name] = np.array([getattr(r, name) for r in results], dtype=np.float64)
    return out


def replay_one(
    trades: CorpusTrades,
    market: MarketDays,
    *,
    as_of: int,
    capital_paise: int,
    risk_free: float = 0.0,
    window_days: int = WINDOW_DAYS,
) -> ReplayResult:
    """Replay one group with the kernel; same contract as `corpus.replay_corpus`."""
    group = np.zeros(len(trades.entry_ns), dtype=np.int64)
    prepared, _ = kernel_trades(trades, group, market)
    bounds = group_bounds(group, 1)
    replayer = CurveReplayer(
        prepared,
        bounds,
        market,
        capital_paise=capital_paise,
        risk_free=risk_free,
        window_days=window_days,
    )
    return replayer.replay(0, as_of)


def results_equal(a: ReplayResult, b: ReplayResult) -> Sequence[str]:
    """Name the fields in which two replays differ; NaN equals NaN."""
    different = []
    for name in ReplayResult.__dataclass_fields__:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray):
            same = bool(np.array_equal(x, y))
        elif isinstance(x, float) and isinstance(y, float):
            same = x == y or (math.isnan(x) and math.isnan(y))
        else:
            same = x == y
        if not same:
            different.append(name)
    return different

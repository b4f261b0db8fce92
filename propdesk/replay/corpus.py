"""Readable corpus replay: the oracle of the compiled kernel (§3.4)."""

import bisect
import math
from dataclasses import dataclass, field

import numpy as np

from propdesk.core.invariant import require
from propdesk.metrics.equity import calmar, sample_std, sharpe, sharpe_error, sortino
from propdesk.replay.inputs import (
    CorpusTrades,
    FloatArray,
    IntArray,
    MarketDays,
    end_of_day_ns,
    epoch_days_of,
    start_of_day_ns,
)

WINDOW_DAYS = 90
"""Calendar days of the replay window, the as-of date included."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Outputs of one replay (§3.4). Ratios are fractions; None and NaN mean undefined.

    Attributes
    ----------
    point_ns, corpus_paise : ndarray of int64, shape (n_points,)
        Equity curve: the start, every exit, and the marks of what is open as the last point.
    daily_corpus_paise, daily_marked_paise : ndarray of int64, shape (n_market_days,)
        Realised corpus, and corpus with open trades at their marks, at each market day's end.
    """

    final_corpus_paise: int
    return_ratio: float
    mdd_ratio: float
    mdd_peak_ns: int | None
    mdd_trough_ns: int | None
    mdd_recovery_ns: int | None
    marked_mdd_ratio: float
    sharpe: float
    sharpe_se: float
    sortino: float
    calmar: float
    volatility_ratio: float
    trades_executed: int
    trades_skipped_capital: int
    margin_shortfalls: int
    open_at_end: int
    unmarked_at_end: int
    peak_utilisation_ratio: float
    mean_utilisation_ratio: float
    max_concurrency: int
    blown_ns: int | None
    point_ns: IntArray
    corpus_paise: IntArray
    daily_corpus_paise: IntArray
    daily_marked_paise: IntArray


@dataclass(slots=True)
class _Drawdown:
    """Lowest value against the running peak, with its moments."""

    peak: int
    peak_ns: int
    ratio: float = 0.0
    low_peak: int = 0
    low_peak_ns: int | None = None
    trough_ns: int | None = None
    recovery_ns: int | None = None

    def see(self, value: int, ns: int) -> None:
        if value > self.peak:
            self.peak, self.peak_ns = value, ns
        depth = value / self.peak - 1.0
        if depth < self.ratio:
            self.ratio, self.low_peak, self.low_peak_ns = depth, self.peak, self.peak_ns
            self.trough_ns, self.recovery_ns = ns, None
        elif self.trough_ns is not None and self.recovery_ns is None and value >= self.low_peak:
            self.recovery_ns = ns


@dataclass(slots=True)
class _Books:
    """State of a running replay."""

    capital: int
    start_ns: int
    free: int = field(init=False)
    corpus: int = field(init=False)
    open: dict[int, int] = field(default_factory=dict)  # trade → its last mark
    executed: int = 0
    skipped: int = 0
    shortfalls: int = 0
    max_concurrency: int = 0
    peak_utilisation: float = 0.0
    utilisation_sum: float = 0.0
    blown_ns: int | None = None
    changes: list[float] = field(default_factory=list)
    points: list[tuple[int, int]] = field(default_factory=list)
    realised: _Drawdown = field(init=False)
    marked: _Drawdown = field(init=False)

    def __post_init__(self) -> None:
        self.free = self.corpus = self.capital
        self.points.append((self.start_ns, self.capital))
        self.realised = _Drawdown(self.capital, self.start_ns)
        self.marked = _Drawdown(self.capital, self.start_ns)

    def enter(self, trade: int, margin: int) -> bool:
        if self.free < margin:
            self.skipped += 1
            return False
        self.free -= margin
        self.open[trade] = 0
        self.executed += 1
        self.max_concurrency = max(self.max_concurrency, len(self.open))
        self.peak_utilisation = max(self.peak_utilisation, self.utilisation)
        return True

    def leave(self, trade: int, margin: int, pnl: int, ns: int) -> None:
        del self.open[trade]
        self.changes.append(pnl / self.corpus)
        self.free += margin + pnl
        self.corpus += pnl
        self.shortfalls += self.free < 0
        self.points.append((ns, self.corpus))
        self.realised.see(self.corpus, ns)
        self.marked.see(self.value, ns)
        if self.corpus <= 0:
            self.blown_ns = ns

    @property
    def value(self) -> int:
        """Corpus with open trades at their last marks; once blown, the corpus alone."""
        return self.corpus + (sum(self.open.values()) if self.blown_ns is None else 0)

    @property
    def utilisation(self) -> float:
        return (self.corpus - self.free) / self.corpus


def replay_corpus(
    trades: CorpusTrades,
    market: MarketDays,
    *,
    as_of: int,
    capital_paise: int,
    risk_free: float = 0.0,
    window_days: int = WINDOW_DAYS,
) -> ReplayResult:
    """Replay one group's trades on a shared pool of capital.

    Parameters
    ----------
    trades : CorpusTrades
        The group's trades, any order; those entered outside the window are ignored, and so are those known
        to be unsettled by the as-of date.
    market : MarketDays
        Market days reaching at least over the window.
    as_of : int
        Epoch day (IST) at whose end everything is judged.
    capital_paise : int
        Starting corpus, > 0.
    risk_free : float
        Yearly rate as a fraction.
    window_days : int
        Calendar days of the window, the as-of date included.

    Returns
    -------
    ReplayResult
        Without a trade in the window: final corpus = capital, ratios 0, Sharpe and volatility NaN.

    Raises
    ------
    InvariantViolated
        If the capital is not positive or the columns contradict each other.

    Notes
    -----
    Exits of trades opened earlier go before entries at one instant, each by trade id; a trade
    whose exit equals its entry leaves right after its own entry. A day without a mark keeps the
    trade's last mark on the marked curve; at the as-of date it counts at cost. An as-of date that is
    no market day takes the marks of the last one before it. Mean utilisation
    weighs market minutes of the cash segment; after a blow-up nothing more is weighed.
    Source: spec §3.4.
    """
    require(capital_paise > 0, "a replay needs a positive capital")
    first = as_of - window_days + 1
    begin, stop = market.index_range(first, as_of)
    books = _Books(capital_paise, start_of_day_ns(first))
    run = _Run(trades, market, books, as_of, first)
    daily: list[int] = []
    marked: list[int] = []
    for index in range(begin, stop):
        run.until(int(market.end_ns[index]), index)
        run.mark_day(index)
        daily.append(books.corpus)
        marked.append(books.value)
    run.until(end_of_day_ns(as_of), max(stop - 1, 0))
    return run.result(daily, marked, capital_paise, risk_free)


class _Run:
    """Walk through the events of one replay in their total order."""

    def __init__(
        self, trades: CorpusTrades, market: MarketDays, books: _Books, as_of: int, first: int
    ) -> None:
        self.trades, self.market, self.books = trades, market, books
        self.as_of = as_of
        entry_day = epoch_days_of(trades.entry_ns)
        known = (first <= entry_day) & (entry_day <= as_of) & (trades.unsettled_day > as_of)
        members = np.flatnonzero(known).tolist()
        events: list[tuple[int, int, int, int]] = []
        for i in members:
            rank, enters, exits = int(trades.rank[i]), int(trades.entry_ns[i]), int(trades.exit_ns[i])
            events.append((enters, 1, rank, i))
            if exits != enters:
                events.append((exits, 0, rank, i))
        self.events = sorted(events)
        self.at = 0
        self.clock = 0
        self.begin, self.stop = market.index_range(first, as_of)
        self.spent = [0]
        for opened, closed in zip(market.open_ns, market.close_ns, strict=True):
            self.spent.append(self.spent[-1] + int(closed) - int(opened))
        self.clock = self.spent[self.begin]

    def until(self, end_ns: int, index: int) -> None:
        """Apply every event before ``end_ns``; ``index`` is the market day they fall on."""
        books = self.books
        while self.at < len(self.events) and self.events[self.at][0] < end_ns and books.blown_ns is None:
            ns, kind, _, trade = self.events[self.at]
            self.at += 1
            if kind == 0 and trade not in books.open:
                continue
            self._weigh(ns, index)
            margin, pnl = int(self.trades.margin_paise[trade]), int(self.trades.net_pnl_paise[trade])
            # an exit at the entry's own moment follows the entry at once
            if kind == 0 or (books.enter(trade, margin) and int(self.trades.exit_ns[trade]) == ns):
                books.leave(trade, margin, pnl, ns)

    def _weigh(self, ns: int, index: int) -> None:
        market = self.market
        if len(market.day) == 0:
            return
        inside = min(max(ns - int(market.open_ns[index]), 0), self.spent[index + 1] - self.spent[index])
        now = max(self.clock, self.spent[index] + inside)
        self.books.utilisation_sum += self.books.utilisation * float(now - self.clock)
        self.clock = now

    def mark_day(self, index: int) -> None:
        """Value what is open at a market day's close."""
        books = self.books
        if books.blown_ns is not None:
            return
        for trade in books.open:
            mark = self._mark(trade, int(self.market.day[index]))
            if mark is not None:
                books.open[trade] = mark
        books.marked.see(books.value, int(self.market.close_ns[index]))
        self._weigh(int(self.market.close_ns[index]), index)

    def _mark(self, trade: int, day: int) -> int | None:
        start, stop = int(self.trades.mark_offset[trade]), int(self.trades.mark_offset[trade + 1])
        days = self.trades.mark_day[start:stop].tolist()
        at = bisect.bisect_left(days, day)
        found = at < len(days) and days[at] == day
        return int(self.trades.mark_pnl_paise[start + at]) if found else None

    def _close(self, daily: list[int], marked: list[int]) -> tuple[int, int]:
        """Give the final corpus and the count of open trades without a mark."""
        books = self.books
        if books.blown_ns is not None or not books.open:
            if daily:
                daily[-1] = books.corpus
                marked[-1] = books.corpus
            return books.corpus, 0
        last = int(self.market.day[self.stop - 1]) if daily else self.as_of
        marks = [self._mark(trade, last) if daily else None for trade in books.open]
        final = books.corpus + sum(mark for mark in marks if mark is not None)
        end = end_of_day_ns(self.as_of) - 1
        books.points.append((end, final))
        books.realised.see(final, end)
        if daily:
            daily[-1] = final
            marked[-1] = books.value
        return final, sum(mark is None for mark in marks)

    def result(self, daily: list[int], marked: list[int], capital: int, risk_free: float) -> ReplayResult:
        books = self.books
        final, unmarked = self._close(daily, marked)
        returns = daily_returns(daily, capital, books.blown_ns is not None)
        total = self.clock - self.spent[self.begin]
        ratio = sharpe(returns, risk_free)
        return ReplayResult(
            final_corpus_paise=final,
            return_ratio=final / capital - 1.0,
            mdd_ratio=books.realised.ratio,
            mdd_peak_ns=books.realised.low_peak_ns,
            mdd_trough_ns=books.realised.trough_ns,
            mdd_recovery_ns=books.realised.recovery_ns,
            marked_mdd_ratio=books.marked.ratio,
            sharpe=ratio,
            sharpe_se=sharpe_error(ratio, len(returns)),
            sortino=sortino(returns, risk_free),
            calmar=calmar(final / capital, books.realised.ratio, len(daily)),
            volatility_ratio=sample_std(np.array(books.changes, dtype=np.float64)),
            trades_executed=books.executed,
            trades_skipped_capital=books.skipped,
            margin_shortfalls=books.shortfalls,
            open_at_end=len(books.open),
            unmarked_at_end=unmarked,
            peak_utilisation_ratio=books.peak_utilisation,
            mean_utilisation_ratio=books.utilisation_sum / float(total) if total else 0.0,
            max_concurrency=books.max_concurrency,
            blown_ns=books.blown_ns,
            point_ns=np.array([ns for ns, _ in books.points], dtype=np.int64),
            corpus_paise=np.array([value for _, value in books.points], dtype=np.int64),
            daily_corpus_paise=np.array(daily, dtype=np.int64),
            daily_marked_paise=np.array(marked, dtype=np.int64),
        )


def daily_returns(daily: list[int], capital: int, blown: bool) -> FloatArray:
    """Relative change of the daily corpus, the first day against the capital.

    Parameters
    ----------
    daily : list of int
        Corpus at each market day's end, paise.
    capital : int
        Starting corpus, paise.
    blown : bool
        Whether the corpus ran out: after that day every return is 0.

    Returns
    -------
    ndarray of float64, shape (len(daily),)
        Fractions.
    """
    out = np.zeros(len(daily), dtype=np.float64)
    previous = capital
    for i, value in enumerate(daily):
        if blown and previous <= 0:
            break
        out[i] = value / previous - 1.0
        previous = value
    require(all(math.isfinite(r) for r in out), "a daily return is not finite")
    return out

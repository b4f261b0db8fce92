"""Excursions against Polars and DuckDB: ``python -m bench.excursions [--trades N] [--ticks N] [--rounds N]``.

A hundred thousand trades, three quarters of them within a day and the others over one to five, are measured
on 4.7 million minute bars and on 20 million ticks by `propdesk.metrics.excursion.excursions`, as step 7 does,
and by what one would write instead:

- Polars: both ends of each trade by ``join_asof``, the rows between them gathered and grouped;
- DuckDB: a join by symbol and time range, grouped.

Each takes its turn in every round, and its best round counts, in wall and in processor time. The peers find
lowest and highest price during the trade only, on ticks for every tenth trade, counted up to all; ours makes
its index anew each time and measures what follows the exit as well. What they find is compared first.
Install the peers by ``.boot/env/bin/uv pip install --no-config --python .venv/bin/python --require-hashes -r
locks/bench.txt``.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.machine import machine
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
from propdesk.metrics.excursion import EXIT_OTHER, MAE, MFE, PricePath, Spans, excursions

TRADES = 100_000
TICKS = 20_000_000
ROUNDS = 3
SEED = 7
MINUTES = 375
BAR_SYMBOLS, BAR_DAYS = 50, 250
TICK_SYMBOLS, TICK_DAYS = 20, 50
_POLARS_AT_ONCE = 20_000
"""Trades whose rows are gathered together: all at once would take gigabytes."""
_TICK_STEP = 10
"""DuckDB takes minutes for a tenth of the trades on ticks."""
_RANGE_JOIN = """
SELECT t.trade, min(p.low) AS low, max(p.high) AS high
FROM trades AS t
JOIN prices AS p ON p.symbol = t.symbol AND p.starts >= t.entry + ? AND p.ends <= t.leaves
WHERE t.trade % ? = 0
GROUP BY t.trade
"""

Int = NDArray[np.int64]
Extremes = tuple[Int, Int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of all symbols, one after the other, each in order of time; ``begins`` where each starts."""

    begins: Int
    symbol: Int
    start_ns: Int
    end_ns: Int
    high: Int
    low: Int
    is_ticks: bool


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades by symbol, in order of entry; every one has a stop, so that its excursions are in R."""

    symbol: Int
    spans: Spans


def make_bars(rng: np.random.Generator) -> Prices:
    """Minute bars of 50 symbols over 250 days."""
    stamps = _minutes(BAR_DAYS)
    count = BAR_SYMBOLS * len(stamps)
    close = _walk(rng, BAR_SYMBOLS, len(stamps))
    start = np.tile(stamps, BAR_SYMBOLS)
    high, low = (close + sign * rng.integers(0, 60, count) for sign in (1, -1))
    symbols = np.repeat(np.arange(BAR_SYMBOLS), len(stamps))
    begins = np.arange(BAR_SYMBOLS + 1) * len(stamps)
    return Prices(begins, symbols, start, start + NS_PER_MINUTE, high, low, is_ticks=False)


def make_ticks(rng: np.random.Generator, count: int) -> Prices:
    """Ticks of 20 symbols over 50 days."""
    each = count // TICK_SYMBOLS
    days = np.arange(TICK_DAYS, dtype=np.int64) * NS_PER_DAY
    offsets = rng.integers(0, MINUTES * NS_PER_MINUTE, (TICK_SYMBOLS, each))
    stamps = np.sort(rng.choice(days, (TICK_SYMBOLS, each)) + offsets, axis=1).ravel()
    price = _walk(rng, TICK_SYMBOLS, each)
    begins = np.arange(TICK_SYMBOLS + 1) * each
    return Prices(
        begins, np.repeat(np.arange(TICK_SYMBOLS), each), stamps, stamps, price, price, is_ticks=True
    )


def make_trades(rng: np.random.Generator, count: int, symbols: int, days: int) -> Trades:
    """Trades that start and end on minutes of the sessions."""
    day, minute = rng.integers(0, days - 6, count), rng.integers(0, MINUTES - 2, count)
    nights = np.where(rng.random(count) < 0.75, 0, rng.integers(1, 6, count))
    last = np.where(nights == 0, minute + 1 + rng.random(count) * (MINUTES - 2 - minute), MINUTES - 1)
    entry_ns = day * NS_PER_DAY + minute * NS_PER_MINUTE
    exit_ns = (day + nights) * NS_PER_DAY + last.astype(np.int64) * NS_PER_MINUTE
    close_ns = exit_ns // NS_PER_DAY * NS_PER_DAY + MINUTES * NS_PER_MINUTE
    level = rng.integers(90_000, 110_000, count).astype(np.float64)
    sign = rng.choice(np.array([-1, 1]), count)
    symbol = rng.integers(0, symbols, count)
    order = np.lexsort((entry_ns, symbol))
    columns = (sign, level, level, level - sign * 900.0, level + sign * 1_800.0, np.full(count, EXIT_OTHER))
    spans = Spans(*(column[order] for column in (*columns, entry_ns, exit_ns, close_ns)))
    return Trades(symbol[order], spans)


def _minutes(days: int) -> Int:
    minutes = np.arange(MINUTES, dtype=np.int64) * NS_PER_MINUTE
    return (np.arange(days, dtype=np.int64)[:, None] * NS_PER_DAY + minutes).ravel()


def _walk(rng: np.random.Generator, symbols: int, count: int) -> Int:
    steps = rng.integers(-25, 26, (symbols, count), dtype=np.int64)
    return np.maximum(100_000 + np.cumsum(steps, axis=1), 1_000).ravel()


def ours(prices: Prices, trades: Trades) -> NDArray[np.float64]:
    """Measure all trades, symbol by symbol, as step 7 does."""
    bounds = np.searchsorted(trades.symbol, np.arange(len(prices.begins)))
    parts = []
    for symbol, (begin, end) in enumerate(zip(prices.begins[:-1], prices.begins[1:], strict=True)):
        rows = slice(bounds[symbol], bounds[symbol + 1])
        mine = Spans(*(getattr(trades.spans, name)[rows] for name in Spans.__slots__))
        columns = (prices.start_ns, prices.end_ns, prices.high, prices.low)
        path = PricePath(*(column[begin:end] for column in columns), is_ticks=prices.is_ticks)
        parts.append(excursions(path, mine))
    return np.concatenate(parts)


def by_polars(prices: Prices, trades: Trades) -> Callable[[int], Extremes]:
    """Hand the prices to Polars; the function finds the extremes of every step-th trade."""
    frame = pl.DataFrame(
        {
            "symbol": prices.symbol,
            "start": prices.start_ns,
            "end": prices.end_ns,
            "row": np.arange(len(prices.symbol)),
        }
    )
    # Polars warns of every join by symbol that it cannot check the order.
    warnings.filterwarnings("ignore", message="Sortedness of columns cannot be checked")
    starts = frame.select("symbol", "start", first="row").sort("start")
    ends = frame.select("symbol", "end", last="row").sort("end")
    high, low = pl.Series("high", prices.high), pl.Series("low", prices.low)
    asked = pl.DataFrame(
        {
            "symbol": trades.symbol,
            "entry": trades.spans.entry_ns,
            "exit": trades.spans.exit_ns,
            "trade": np.arange(len(trades.symbol)),
        }
    )

    def ask(step: int) -> Extremes:
        chosen = asked.gather_every(step).with_columns(trade=pl.int_range(pl.len()))
        count = len(chosen)
        bottoms, tops = np.full(count, 1 << 62), np.full(count, -1)
        for begin in range(0, count, _POLARS_AT_ONCE):
            part = chosen.slice(begin, min(_POLARS_AT_ONCE, count - begin)).sort("entry")
            part = part.join_asof(
                starts,
                left_on="entry",
                right_on="start",
                by="symbol",
                strategy="forward",
                allow_exact_matches=prices.is_ticks,
            )
            part = part.sort("exit").join_asof(ends, left_on="exit", right_on="end", by="symbol")
            rows = part.filter(pl.col("first") <= pl.col("last")).select(
                "trade", row=pl.int_ranges("first", pl.col("last") + 1)
            )
            rows = rows.explode("row")
            rows = rows.with_columns(low.gather(rows["row"]), high.gather(rows["row"]))
            found = rows.group_by("trade").agg(pl.col("low").min(), pl.col("high").max())
            at = found["trade"].to_numpy()
            bottoms[at], tops[at] = found["low"].to_numpy(), found["high"].to_numpy()
        return bottoms, tops

    return ask


def by_duckdb(prices: Prices, trades: Trades) -> Callable[[int], Extremes]:
    """Hand the prices to DuckDB; the function finds the extremes of every step-th trade."""
    connection = duckdb.connect()
    columns = {"symbol": prices.symbol, "starts": prices.start_ns, "ends": prices.end_ns}
    held = pl.DataFrame(columns | {"high": prices.high, "low": prices.low}).to_arrow()
    spans = trades.spans
    asked = pl.DataFrame(
        {
            "symbol": trades.symbol,
            "entry": spans.entry_ns,
            "leaves": spans.exit_ns,
            "trade": np.arange(len(trades.symbol)),
        }
    ).to_arrow()
    connection.register("held", held)
    connection.register("asked", asked)
    connection.execute("CREATE TABLE prices AS SELECT * FROM held")
    connection.execute("CREATE TABLE trades AS SELECT * FROM asked")
    # A bar that starts with the entry holds prices from before it; a tick at that instant is the entry.
    after = 0 if prices.is_ticks else 1

    def ask(step: int) -> Extremes:
        found = connection.execute(_RANGE_JOIN, [after, step]).fetchnumpy()
        count = len(range(0, len(trades.symbol), step))
        bottoms, tops, at = np.full(count, 1 << 62), np.full(count, -1), found["trade"] // step
        bottoms[at], tops[at] = found["low"], found["high"]
        return bottoms, tops

    return ask


def check(name: str, found: Extremes, step: int, trades: Trades, measured: NDArray[np.float64]) -> None:
    """Compare a peer's extremes with our MAE and MFE, bit for bit."""
    count, spans = len(found[0]), trades.spans
    entry, sign = spans.entry[::step], spans.sign[::step]
    bottom, top = np.minimum(found[0], entry), np.maximum(found[1], entry)
    risk = np.abs(entry - spans.stop[::step])
    adverse, favourable = np.where(sign > 0, (entry - bottom, top - entry), (top - entry, entry - bottom))
    is_equal = (adverse / risk == measured[::step, MAE]) & (favourable / risk == measured[::step, MFE])
    if not is_equal.all():
        sys.exit(f"{name} finds something else for {int((~is_equal).sum())} of {count} trades")


def compare(title: str, prices: Prices, trades: Trades, steps: dict[str, int], rounds: int) -> None:
    """Let each take its turn, check what they find and print the ratios."""
    makers = {"Polars": by_polars, "DuckDB": by_duckdb}
    peers = {name: makers[name](prices, trades) for name in steps}
    total = len(trades.symbol)
    never = (float("inf"), float("inf"))
    best = dict.fromkeys(("propdesk", *peers), never)
    measured, _ = _timed(lambda: ours(prices, trades))  # compiles
    for _ in range(rounds):
        for name, ask in peers.items():
            found, cost = _timed(lambda ask=ask, step=steps[name]: ask(step))  # type: ignore[misc]
            best[name] = _smaller(best[name], cost)
            check(name, found, steps[name], trades, measured)
            measured, cost = _timed(lambda: ours(prices, trades))
            best["propdesk"] = _smaller(best["propdesk"], cost)
    wall, used = best["propdesk"]
    sys.stdout.write(
        f"{title}: {len(prices.symbol):,} prices, {total:,} trades; propdesk {wall * 1e3:.0f} ms, processor "
        f"{used * 1e3:.0f} ms, index included\n"
    )
    for name, step in steps.items():
        count = len(range(0, total, step))
        share = total / count
        spent = [seconds * share for seconds in best[name]]
        counted = "" if count == total else f", counted up from {best[name][0]:.2f} s for {count:,}"
        sys.stdout.write(
            f"    {name}: {spent[0]:.2f} s{counted}, {spent[0] / wall:,.0f} times as long; processor "
            f"{spent[1]:.2f} s, {spent[1] / used:,.0f} times; all {count:,} results equal\n"
        )


def _timed(work: Callable[[], T]) -> tuple[T, tuple[float, float]]:
    """Give what some work gives, and its seconds of wall and processor time, all threads together."""
    begun, used = time.perf_counter(), time.process_time()
    found = work()
    return found, (time.perf_counter() - begun, time.process_time() - used)


def _smaller(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return min(one[0], other[0]), min(one[1], other[1])


def main() -> None:
    """Run both comparisons and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=TRADES)
    parser.add_argument("--ticks", type=int, default=TICKS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    total = options.trades
    sys.stdout.write(f"{machine()}\nPolars {pl.__version__}, DuckDB {duckdb.__version__}\n")
    trades = make_trades(rng, total, BAR_SYMBOLS, BAR_DAYS)
    compare("minute bars", make_bars(rng), trades, {"Polars": 1, "DuckDB": 1}, options.rounds)
    trades = make_trades(rng, total, TICK_SYMBOLS, TICK_DAYS)
    compare("ticks", make_ticks(rng, options.ticks), trades, {"DuckDB": _TICK_STEP}, options.rounds)


if __name__ == "__main__":
    main()

"""Candles from Dhan into the price store: window by window, resumable, with progress."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from adapters.brokers.dhan.model import Candle
from adapters.brokers.dhan.prices import ChartSymbol, Prices, pages
from adapters.ticks.store import ParquetPriceStore
from propdesk.core.calendar import MarketCalendar, ist_date, ist_midnight_ns
from propdesk.core.limits import PRICE_PAISE_MAX

CandleKind = Literal["minute", "daily"]
Progress = Callable[[date, date, int, int], None]
"""Takes the window's first and last day, symbols read and symbols wanted."""

WINDOW_DAYS = {"minute": 30, "daily": 365}
"""Days held in memory before they are written: 200 symbols of 30 days are about 120 MB."""


@dataclass(slots=True)
class CandleReport:
    """What became of a download.

    Attributes
    ----------
    candles : int
        Bars written.
    refused : Counter of str
        Bars left out, by reason: OFF_DAY, BAD_PRICE, DUPLICATE.
    empty : list of (str, date, date)
        Windows in which Dhan had no bar of a symbol.
    skipped_windows : int
        Windows that an earlier run had finished.
    """

    candles: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    empty: list[tuple[str, date, date]] = field(default_factory=list)
    skipped_windows: int = 0


class DoneWindows:
    """Which windows are in the store already; a small file that is replaced after each window."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: dict[str, list[str]] = {}
        if path.is_file():
            self._done = json.loads(path.read_text(encoding="utf-8"))

    def missing(self, name: str, keys: Sequence[str]) -> set[str]:
        """Tell which keys a window still lacks."""
        return set(keys) - set(self._done.get(name, ()))

    def add(self, name: str, keys: Sequence[str]) -> None:
        """Remember that a window holds these keys."""
        self._done[name] = sorted({*self._done.get(name, ()), *keys})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._done, indent=0, sort_keys=True), encoding="utf-8")
        fresh.replace(self._path)


async def import_candles(
    prices: Prices,
    store: ParquetPriceStore,
    calendar: MarketCalendar,
    symbols: Sequence[ChartSymbol],
    first: date,
    last: date,
    *,
    kind: CandleKind,
    done: DoneWindows,
    progress: Progress | None = None,
) -> CandleReport:
    """Download bars of a closed interval of IST days and write them to the store.

    Parameters
    ----------
    symbols : sequence of ChartSymbol
        Any number; all of a window are read before its days are written once.
    kind : {"minute", "daily"}
    done : DoneWindows
        A window is noted after it is published: a run that was cut off goes on with the window it lost.
    progress : callable, optional
        Told after each symbol.

    Returns
    -------
    CandleReport

    Raises
    ------
    BrokerFault
        If Dhan refuses or stays out of reach; finished windows stay.
    """
    report = CandleReport()
    tell = progress or (lambda _first, _last, _done, _total: None)
    for start, end in pages(first, last, WINDOW_DAYS[kind]):
        name = f"{kind}:{start.isoformat()}:{end.isoformat()}"
        wanted = [s for s in symbols if s.price_key in done.missing(name, [s.price_key for s in symbols])]
        if not wanted:
            report.skipped_windows += 1
            continue
        market_days = frozenset(calendar.market_days(start, end))
        rows: dict[date, list[tuple[str, Candle]]] = {}
        for number, symbol in enumerate(wanted, start=1):
            found = await _read(prices, symbol, start, end, kind, is_expected=bool(market_days))
            if not found:
                report.empty.append((symbol.price_key, start, end))
            _sort_in(rows, symbol.price_key, found, market_days, kind, report)
            tell(start, end, number, len(wanted))
        with store.stage() as stage:
            for day, bars in sorted(rows.items()):
                stage.add(kind, day, _table(bars))
                report.candles += len(bars)
        done.add(name, [symbol.price_key for symbol in wanted])
    return report


async def _read(
    prices: Prices, symbol: ChartSymbol, first: date, last: date, kind: CandleKind, *, is_expected: bool
) -> list[Candle]:
    if kind == "daily":
        return [bar async for page in prices.daily(symbol, first, last) for bar in page]
    found = prices.intraday(symbol, first, last, is_expected=is_expected)
    return [bar async for page in found for bar in page]


def _sort_in(
    rows: dict[date, list[tuple[str, Candle]]],
    key: str,
    found: Sequence[Candle],
    market_days: frozenset[date],
    kind: CandleKind,
    report: CandleReport,
) -> None:
    """Put the usable bars under their day; count the rest by reason."""
    seen: set[int] = set()
    for bar in found:
        day = ist_date(bar.start_ns)
        stamp = ist_midnight_ns(day) if kind == "daily" else bar.start_ns
        if day not in market_days:
            report.refused["OFF_DAY"] += 1
        elif not _is_possible(bar):
            report.refused["BAD_PRICE"] += 1
        elif stamp in seen:
            report.refused["DUPLICATE"] += 1
        else:
            seen.add(stamp)
            rows.setdefault(day, []).append((key, replace(bar, start_ns=stamp)))


def _is_possible(bar: Candle) -> bool:
    low, high = bar.low_paise, bar.high_paise
    inside = low <= bar.open_paise <= high and low <= bar.close_paise <= high
    return low > 0 and high <= PRICE_PAISE_MAX and inside


def _table(bars: Sequence[tuple[str, Candle]]) -> pa.Table:
    columns = {
        "ts": [bar.start_ns for _, bar in bars],
        "open": [bar.open_paise for _, bar in bars],
        "high": [bar.high_paise for _, bar in bars],
        "low": [bar.low_paise for _, bar in bars],
        "close": [bar.close_paise for _, bar in bars],
        "volume": [bar.volume for _, bar in bars],
    }
    arrays = {name: pa.array(np.array(values, np.int64)) for name, values in columns.items()}
    return pa.table({"symbol": pa.array([key for key, _ in bars], pa.string()), **arrays})

"""All paths an advisor may look at, end to end in flat arrays: ideas are drawn and tried vectorised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar, Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.invariant import require
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument, instrument_key
from propdesk.ports import BarArrays, Spread
from propdesk.sim.market import GeneratedMarket
from propdesk.sim.market_contracts import contract_bars, contract_volume, future_tick, strike_step

Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]
Pool: TypeAlias = tuple[Category, bool, bool]
"""(category, for swing and positional ideas, thin stocks)."""

BLOCK = 32
"""Bars whose extremes are known together."""
_STOCK_OPTION_NAMES = 10
_SWING_DAYS = 16
_EQUITY_TICK = 5
_THIN_BARS_MIN = 60


@dataclass(frozen=True, slots=True)
class PathBook:
    """Minute paths of many instruments.

    Attributes
    ----------
    days : tuple of date
        Market days covered.
    instruments : tuple of Instrument
        One row of the other arrays each.
    minute : ndarray of int32, shape (n,)
        Start of each bar, minutes since 1970-01-01 UTC, rising within an instrument.
    prices : ndarray of int32, shape (4, n)
        Open, high, low, close in paise.
    extremes : ndarray of int32, shape (2, ceil(n / BLOCK))
        Highest and lowest price of each block of bars, wherever an instrument's begin; see `block_extremes`.
    day_start : ndarray of int64, shape (n_instruments, n_days + 1)
        Column at which a day's bars of an instrument start; equal to the next where there are none.
    ticks : ndarray of int64, shape (n_instruments, n_days)
        Tick size, paise.
    open_minute, close_minute, square_off_minute : ndarray of int64, shape (2, n_days)
        Session bounds in minutes since 1970-01-01 UTC: row 0 cash stocks, row 1 derivatives.
    pools : mapping of Pool to sequence of ndarray
        Rows an advisor may choose from, per day.
    trend : ndarray of float64, shape (n_days,)
        Return of the market over the 20 days before each day over its deviation; known before the open.
    """

    days: tuple[date, ...]
    instruments: tuple[Instrument, ...]
    minute: Int32Array
    prices: Int32Array
    extremes: Int32Array
    day_start: Int64Array
    ticks: Int64Array
    open_minute: Int64Array
    close_minute: Int64Array
    square_off_minute: Int64Array
    pools: Mapping[Pool, Sequence[Int64Array]]
    trend: NDArray[np.float64]


def block_extremes(prices: Int32Array) -> Int32Array:
    """Give the highest and the lowest price of each `BLOCK` bars; ``prices`` as in `PathBook`."""
    starts = np.arange(0, prices.shape[1], BLOCK)
    if not len(starts):
        return np.zeros((2, 0), np.int32)
    highest, lowest = prices.max(axis=0), prices.min(axis=0)
    return np.stack([np.maximum.reduceat(highest, starts), np.minimum.reduceat(lowest, starts)])


def book_of_market(
    market: GeneratedMarket, instruments: Sequence[Instrument], spread: Spread = map
) -> PathBook:
    """Choose the contracts worth talking about on each day and price them.

    Parameters
    ----------
    market : GeneratedMarket
        Underlyings.
    instruments : sequence of Instrument
        Its master (`propdesk.sim.market_contracts.list_instruments`).
    spread : callable
        Instruments do not depend on each other: a thread pool's ``map`` prices several at once.

    Returns
    -------
    PathBook
        Cash stocks, near futures and options around the money. Which contracts a day offers follows from
        the close before it.
    """
    chooser = _Chooser(market, instruments)
    for index in range(len(market.days)):
        chooser.choose(index)
    return chooser.book(spread)


def book_minutes(market: GeneratedMarket, book: PathBook, row: int, day_index: int) -> BarArrays:
    """Minute bars with volume of one of the book's contracts on one day, as the price store takes them."""
    at = slice(int(book.day_start[row, day_index]), int(book.day_start[row, day_index + 1]))
    opened, high, low, close = book.prices[:, at].astype(np.int64)
    return BarArrays(
        book.minute[at].astype(np.int64) * NS_PER_MINUTE,
        opened,
        high,
        low,
        close,
        contract_volume(market, book.instruments[row], day_index),
        NS_PER_MINUTE,
    )


class _Chooser:
    """Collects the pools of a generated market."""

    def __init__(self, market: GeneratedMarket, instruments: Sequence[Instrument]) -> None:
        self._market = market
        self._by_key = {i.instrument_key: i for i in instruments}
        self._expiries: dict[str, list[date]] = {}
        self._future_expiries: dict[str, list[date]] = {}
        for item in self._by_key.values():
            if item.expiry is not None:
                table = self._expiries if item.category.is_option else self._future_expiries
                table.setdefault(item.underlying, []).append(item.expiry)
        for table in (self._expiries, self._future_expiries):
            for name, found in table.items():
                table[name] = sorted(set(found))
        self._rows: dict[str, int] = {}
        self._life: list[list[int]] = []
        self._pools: dict[Pool, list[Int64Array]] = {}

    def choose(self, index: int) -> None:
        """Add the pools of one day."""
        chosen: dict[Pool, list[int]] = {
            (category, swing, thin): []
            for category in Category
            for swing in (False, True)
            for thin in (False, True)
        }
        stock_number = 0
        for row, underlying in enumerate(self._market.underlyings):
            if not underlying.is_index:
                thin = not underlying.has_derivatives
                key = instrument_key(Category.NSE_EQ, underlying.symbol)
                for swing in (False, True):
                    self._add(chosen, (Category.NSE_EQ, swing, thin), key, index)
                stock_number += 1
            if underlying.has_derivatives:
                has_options = underlying.is_index or stock_number <= _STOCK_OPTION_NAMES
                for swing in (False, True):
                    self._add_contracts(chosen, row, index, swing=swing, has_options=has_options)
        for pool, rows in chosen.items():
            self._pools.setdefault(pool, []).append(np.array(rows, np.int64))

    def _add_contracts(
        self, chosen: dict[Pool, list[int]], row: int, index: int, *, swing: bool, has_options: bool
    ) -> None:
        market = self._market
        underlying, day = market.underlyings[row], market.days[index]
        prefix = "INDEX" if underlying.is_index else "STOCK"
        future, option = Category(f"{prefix}_FUT"), Category(f"{prefix}_OPT")
        margin = timedelta(days=(12 if swing else 0) + (0 if underlying.is_index else 8))
        expiry = next((e for e in self._future_expiries[underlying.symbol] if e >= day + margin), None)
        if expiry is not None:
            self._add(
                chosen, (future, swing, False), instrument_key(future, underlying.symbol, expiry), index
            )
        expiry = next((e for e in self._expiries[underlying.symbol] if e >= day + margin), None)
        if expiry is None or not has_options:
            return
        close = market.close_before(row, day)
        step = strike_step(underlying, close)
        centre = round(close / step) * step
        reach = (1 if swing else 2) if underlying.is_index else 0
        for option_type in OptionType:
            offsets = list(range(-reach, reach + 1))
            if not underlying.is_index:
                offsets = [0] if swing else [0, 1 if option_type is OptionType.CE else -1]
            for offset in offsets:
                strike = centre + offset * step
                key = instrument_key(option, underlying.symbol, expiry, strike, option_type)
                self._add(chosen, (option, swing, False), key, index)

    def _add(self, chosen: dict[Pool, list[int]], pool: Pool, key: str, index: int) -> None:
        if key not in self._by_key:
            return  # a strike beyond the listed ones
        row = self._rows.setdefault(key, len(self._rows))
        if row == len(self._life):
            self._life.append([index, index])
        stays = _SWING_DAYS if pool[1] else 0
        self._life[row][1] = max(self._life[row][1], min(index + stays, len(self._market.days) - 1))
        chosen[pool].append(row)

    def book(self, spread: Spread) -> PathBook:
        """Price everything chosen."""
        market = self._market
        items = [self._by_key[key] for key in self._rows]
        spans = [self._span(item, life) for item, life in zip(items, self._life, strict=True)]
        lengths = [int(market.offsets[end] - market.offsets[start]) for start, end in spans]
        ends = np.cumsum([0, *lengths])
        minute = np.empty(int(ends[-1]), np.int32)
        prices = np.empty((4, int(ends[-1])), np.int32)
        day_start = np.empty((len(items), len(market.days) + 1), np.int64)
        ticks = np.full((len(items), len(market.days)), _EQUITY_TICK, np.int64)

        def price(row: int) -> None:
            place = slice(int(ends[row]), int(ends[row + 1]))
            prices[:, place] = self._paths(items[row], *spans[row])

        for _ in spread(price, range(len(items))):
            pass
        for row, (item, (start, end)) in enumerate(zip(items, spans, strict=True)):
            at = slice(int(market.offsets[start]), int(market.offsets[end]))
            minute[int(ends[row]) : int(ends[row + 1])] = market.minute[at]
            relative = np.clip(market.offsets, market.offsets[start], market.offsets[end])
            day_start[row] = ends[row] + relative - market.offsets[start]
            self._fill_ticks(ticks[row], item, start, end)
        return PathBook(
            market.days, tuple(items), minute, prices, block_extremes(prices), day_start, ticks,
            *_session_minutes(market.calendar, market.days), self._pools, _trend(market),
        )  # fmt: skip

    def _span(self, item: Instrument, life: list[int]) -> tuple[int, int]:
        days = self._market.days
        if item.expiry is None:
            return 0, len(days)
        last = life[1]
        while days[last] > item.expiry:
            last -= 1
        return life[0], last + 1

    def _paths(self, item: Instrument, start: int, end: int) -> Int32Array:
        market = self._market
        if item.expiry is None:
            row = market.row(item.underlying)
            columns = (market.open_paise, market.high_paise, market.low_paise, market.close_paise)
            return np.stack([column[row] for column in columns])
        return np.concatenate([contract_bars(market, item, index) for index in range(start, end)], axis=1)

    def _fill_ticks(self, ticks: Int64Array, item: Instrument, start: int, end: int) -> None:
        market = self._market
        row = market.row(item.underlying)
        if item.expiry is None:
            ticks[:] = market.ticks[row]
        elif item.category.is_future:
            ticks[start:end] = [future_tick(market, row, market.days[i]) for i in range(start, end)]


def book_of_prices(
    bars: Mapping[str, BarArrays], days: Sequence[date], calendar: MarketCalendar, ticks: Mapping[str, int]
) -> PathBook:
    """Build the book of real cash stocks.

    Parameters
    ----------
    bars : mapping of str to BarArrays
        Minute bars per ``NSE_EQ:…`` key over ``days``; minutes without a trade may be absent.
    days : sequence of date
        Market days, rising.
    calendar : MarketCalendar
        Session hours.
    ticks : mapping of str to int
        Tick size per key, paise; 5 where none is given.

    Returns
    -------
    PathBook
        A day offers the stocks with at least 60 bars; days without any offer none.

    Raises
    ------
    InvariantViolated
        If no ``NSE_EQ`` key has a bar.
    """
    keys = sorted(key for key in bars if key.startswith("NSE_EQ:") and len(bars[key].start_ns))
    require(bool(keys), "advisors on stored prices need minute bars of at least one NSE_EQ key")
    minute = np.concatenate([bars[key].start_ns // NS_PER_MINUTE for key in keys]).astype(np.int32)
    names = ("open_paise", "high_paise", "low_paise", "close_paise")
    prices = np.stack([np.concatenate([getattr(bars[key], n) for key in keys]) for n in names]).astype(
        np.int32
    )
    edges = np.array([ist_midnight_ns(day) for day in [*days, days[-1] + timedelta(days=1)]]) // NS_PER_MINUTE
    start, day_start = 0, np.empty((len(keys), len(days) + 1), np.int64)
    for row, key in enumerate(keys):
        own = bars[key].start_ns // NS_PER_MINUTE
        day_start[row] = start + np.searchsorted(own, edges)
        start += len(own)
    counts = np.diff(day_start, axis=1)
    offered = [np.flatnonzero(counts[:, index] >= _THIN_BARS_MIN) for index in range(len(days))]
    items = tuple(_equity(key, ticks.get(key, _EQUITY_TICK), days) for key in keys)
    return PathBook(
        tuple(days), items, minute, prices, block_extremes(prices), day_start,
        np.array([[item.tick_paise] * len(days) for item in items], np.int64),
        *_session_minutes(calendar, days),
        {(Category.NSE_EQ, swing, False): offered for swing in (False, True)},
        _trend_of_paths(prices[3], day_start),
    )  # fmt: skip


def _equity(key: str, tick: int, days: Sequence[date]) -> Instrument:
    symbol = key.partition(":")[2]
    return Instrument(
        key,
        Category.NSE_EQ,
        symbol,
        None,
        None,
        None,
        "NSE_EQ",
        symbol,
        1,
        tick,
        0,
        "EQ",
        False,
        days[0],
        days[-1],
    )


def _session_minutes(
    calendar: MarketCalendar, days: Sequence[date]
) -> tuple[Int64Array, Int64Array, Int64Array]:
    found = np.empty((3, 2, len(days)), np.int64)
    for row, segment in enumerate((Segment.CASH_FNO, Segment.DERIVATIVES)):
        for index, day in enumerate(days):
            hours = calendar.hours(day, segment)
            bounds = (hours.open_ns, hours.close_ns, hours.square_off_ns)
            found[:, row, index] = [bound // NS_PER_MINUTE for bound in bounds]
    return found[0], found[1], found[2]


_TREND_DAYS = 20


def _trend(market: GeneratedMarket) -> NDArray[np.float64]:
    closes = np.log(market.daily.close_paise[0].astype(np.float64))
    lead_in = len(market.daily.days) - len(market.days)
    return np.array([_trend_value(closes[:end]) for end in range(lead_in, len(closes))])


def _trend_of_paths(close: Int32Array, day_start: Int64Array) -> NDArray[np.float64]:
    """Take the average of the stocks' daily log closes for the market."""
    last = np.maximum(day_start[:, 1:] - 1, 0)
    with_bars = np.diff(day_start, axis=1) > 0
    logs = np.where(with_bars, np.log(close[np.minimum(last, len(close) - 1)]), np.nan)
    moves = np.diff(logs, axis=1)
    counted = np.maximum((~np.isnan(moves)).sum(axis=0), 1)
    level = np.concatenate([[0.0], np.cumsum(np.nansum(moves, axis=0) / counted)])
    return np.array([_trend_value(level[:end]) for end in range(len(level))])


def _trend_value(closes: NDArray[np.float64]) -> float:
    if len(closes) < _TREND_DAYS + 1:
        return 0.0
    moves = np.diff(closes[-_TREND_DAYS - 1 :])
    deviation = float(np.std(moves, ddof=1))
    return float(moves.sum() / (deviation * np.sqrt(_TREND_DAYS))) if deviation > 0 else 0.0

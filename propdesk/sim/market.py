"""A seeded market: indices that change regime, correlated stocks, minute bars, volumes and volatility.

Notes
-----
Nothing here is fitted to the rules the project tests. The market's daily drift and volatility follow a
chain of states (rising, falling, range-bound) with spells of one to five weeks; a range pulls the level back
to its middle. Stocks load on market and sector and have a part of their own. Inside the day, variance is
high at the open and the close, innovations have heavy tails, volatility clusters, the first minutes
overshoot and come back, and single stocks jump. High and low of a bar are the extremes of a Brownian bridge
between its open and close. Source: spec §8.3.
"""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar, Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
from propdesk.core.invariant import require
from propdesk.ports import BarArrays
from propdesk.sim.market_rules import ContractRules
from propdesk.sim.market_stocks import SECTORS, UnderlyingSpec, underlyings

FloatArray: TypeAlias = NDArray[np.float64]
Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]

LEAD_IN_DAYS_MIN = 160
"""Daily bars before the first day, so that every day has a regime (§8.3)."""

RISING, FALLING, RANGING = 0, 1, 2
_DRIFT = (0.0026, -0.0028, 0.0)
_DEVIATION = (0.0076, 0.0098, 0.0074)
_SPELL_DAYS = ((8, 22), (6, 18), (10, 28))
_RANGE_SHARE = 0.6
_TURN_SHARE = 0.7
_RANGE_PULL = 0.10
_GAP_VARIANCE = 0.22
_SECTOR_DEVIATION = 0.0055
_YEAR_DAYS = 252
_INDEX_TICK = 5
_NOISE_LENGTH = 1 << 17


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """What to generate.

    Attributes
    ----------
    first, last : date
        Closed interval of days with minute bars.
    seed : int
        The same seed gives the same market on every machine.
    stocks : int
        Stocks with derivatives; a few thin ones without come on top.
    lead_in_days : int
        Market days before ``first`` that have daily bars only, >= 160.
    """

    first: date
    last: date
    seed: int
    stocks: int = 30
    lead_in_days: int = 170


@dataclass(frozen=True, slots=True)
class DailyBars:
    """Daily bars of all underlyings; arrays of shape (n_underlyings, n_days), paise and units."""

    days: tuple[date, ...]
    open_paise: Int64Array
    high_paise: Int64Array
    low_paise: Int64Array
    close_paise: Int64Array
    volume: Int64Array


@dataclass(frozen=True, slots=True)
class GeneratedMarket:
    """Minute and daily bars of all underlyings.

    Attributes
    ----------
    underlyings : tuple of UnderlyingSpec
        Row order of every array.
    days : tuple of date
        Market days with minute bars.
    offsets : ndarray of int64, shape (n_days + 1,)
        Column where each day starts in the minute arrays.
    minute : ndarray of int32, shape (n_minutes,)
        Start of each bar, minutes since 1970-01-01 UTC.
    cash_minutes : ndarray of int64, shape (n_days,)
        Minutes of a day in which cash instruments trade; derivatives may trade longer.
    open_paise, high_paise, low_paise, close_paise : ndarray of int32, shape (n_underlyings, n_minutes)
        Prices, paise.
    volume : ndarray of int64, shape (n_underlyings, n_minutes)
        Units; -1 for an index, 0 = no trade in that minute (no bar).
    implied : ndarray of float64, shape (n_underlyings, n_minutes)
        At-the-money implied volatility at the end of each minute, per year.
    ticks : ndarray of int64, shape (n_underlyings, n_days)
        Tick size of the cash instrument, paise.
    states : ndarray of int64, shape (n_days,)
        True state of the market (0 rising, 1 falling, 2 ranging); never shown to the pipeline.
    daily : DailyBars
        Lead-in and days together.
    rows : mapping of str to int
        Row of each underlying by symbol.
    noise : ndarray of float64
        Standard normals; contracts take their small own noise from it, each from a place of its own.
    """

    spec: MarketSpec
    calendar: MarketCalendar
    rules: ContractRules
    underlyings: tuple[UnderlyingSpec, ...]
    days: tuple[date, ...]
    offsets: Int64Array
    minute: Int32Array
    cash_minutes: Int64Array
    open_paise: Int32Array
    high_paise: Int32Array
    low_paise: Int32Array
    close_paise: Int32Array
    volume: Int64Array
    implied: FloatArray
    ticks: Int64Array
    states: Int64Array
    daily: DailyBars
    rows: Mapping[str, int]
    noise: FloatArray

    def row(self, symbol: str) -> int:
        """Row of an underlying; raises InvariantViolated for a name this market does not have."""
        require(symbol in self.rows, f"the generated market has no underlying {symbol}")
        return self.rows[symbol]

    def close_before(self, row: int, day: date) -> int:
        """Last daily close before a day, paise; the very first close where none lies before it."""
        at = bisect.bisect_left(self.daily.days, day)
        return int(self.daily.close_paise[row, max(at - 1, 0)])

    def daily_bars(self, row: int) -> BarArrays:
        """Daily bars of one underlying, lead-in included."""
        daily = self.daily
        return BarArrays(
            np.array([ist_midnight_ns(day) for day in daily.days], np.int64),
            daily.open_paise[row],
            daily.high_paise[row],
            daily.low_paise[row],
            daily.close_paise[row],
            daily.volume[row],
            NS_PER_DAY,
        )

    def minute_bars(self, row: int, day_index: int) -> BarArrays:
        """Minute bars of one underlying on one day; minutes without a trade are absent."""
        start = int(self.offsets[day_index])
        at = np.arange(start, start + int(self.cash_minutes[day_index]))
        at = at[self.volume[row, at] != 0]
        return BarArrays(
            self.minute[at].astype(np.int64) * NS_PER_MINUTE,
            self.open_paise[row, at].astype(np.int64),
            self.high_paise[row, at].astype(np.int64),
            self.low_paise[row, at].astype(np.int64),
            self.close_paise[row, at].astype(np.int64),
            self.volume[row, at],
            NS_PER_MINUTE,
        )


@dataclass(slots=True)
class _Walk:
    """What one day hands to the next: float logs of levels and slow states."""

    log_close: FloatArray
    anchor: float
    volatility: float
    drift: FloatArray


@dataclass(frozen=True, slots=True)
class _Day:
    """Paths of one day in log prices, shape (n_underlyings, n_minutes)."""

    opened: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    deviation: FloatArray
    surprise: FloatArray


def generate_market(spec: MarketSpec, calendar: MarketCalendar, rules: ContractRules) -> GeneratedMarket:
    """Generate the whole market.

    Parameters
    ----------
    spec : MarketSpec
        Range, seed and size.
    calendar : MarketCalendar
        Market days and hours; holidays and special sessions are obeyed.
    rules : ContractRules
        Dated tick sizes.

    Returns
    -------
    GeneratedMarket
        About 70 MB for six months.

    Raises
    ------
    InvariantViolated
        If the range holds no market day or the lead-in is shorter than 160 days.
    GapFault
        If the calendar does not reach back over the lead-in.
    """
    require(
        spec.lead_in_days >= LEAD_IN_DAYS_MIN, f"the lead-in needs at least {LEAD_IN_DAYS_MIN} market days"
    )
    days = calendar.market_days(spec.first, spec.last)
    require(bool(days), f"there is no market day from {spec.first} to {spec.last}")
    start = calendar.shift(days[0], -spec.lead_in_days)
    everything = calendar.market_days(start, days[-1])
    names = underlyings(spec.stocks)
    lead_in = len(everything) - len(days)
    lengths = [_minutes(calendar, day) for day in everything]
    offsets = np.concatenate([[0], np.cumsum(lengths[lead_in:])]).astype(np.int64)
    market = _empty(spec, calendar, rules, names, everything, days, offsets)
    states = _states(spec.seed, len(everything))
    market.states[:] = states[lead_in:]
    walk = _Walk(
        np.log([float(u.price_paise) for u in names]), np.log(names[0].price_paise), 0.0, np.zeros(len(names))
    )
    for index, day in enumerate(everything):
        rng = np.random.default_rng([spec.seed, 11, day.toordinal()])
        paths = _walk_day(rng, walk, names, int(states[index]), lengths[index])
        _settle_day(market, rng, paths, index, lead_in)
    return market


def _minutes(calendar: MarketCalendar, day: date) -> int:
    hours = calendar.hours(day, Segment.DERIVATIVES)
    return (hours.close_ns - hours.open_ns) // NS_PER_MINUTE


def _empty(
    spec: MarketSpec,
    calendar: MarketCalendar,
    rules: ContractRules,
    names: tuple[UnderlyingSpec, ...],
    everything: list[date],
    days: list[date],
    offsets: Int64Array,
) -> GeneratedMarket:
    size, total = len(names), int(offsets[-1])
    minute = np.empty(total, np.int32)
    cash = np.empty(len(days), np.int64)
    for index, day in enumerate(days):
        hours = calendar.hours(day, Segment.CASH_FNO)
        first = hours.open_ns // NS_PER_MINUTE
        cash[index] = (hours.close_ns - hours.open_ns) // NS_PER_MINUTE
        minute[offsets[index] : offsets[index + 1]] = first + np.arange(offsets[index + 1] - offsets[index])
    prices = [np.empty((size, total), np.int32) for _ in range(4)]
    daily = DailyBars(tuple(everything), *(np.zeros((size, len(everything)), np.int64) for _ in range(5)))
    return GeneratedMarket(
        spec=spec,
        calendar=calendar,
        rules=rules,
        underlyings=names,
        days=tuple(days),
        offsets=offsets,
        minute=minute,
        cash_minutes=cash,
        open_paise=prices[0],
        high_paise=prices[1],
        low_paise=prices[2],
        close_paise=prices[3],
        volume=np.zeros((size, total), np.int64),
        implied=np.empty((size, total)),
        ticks=np.zeros((size, len(days)), np.int64),
        states=np.zeros(len(days), np.int64),
        daily=daily,
        rows={u.symbol: row for row, u in enumerate(names)},
        noise=np.random.default_rng([spec.seed, 13]).standard_normal(_NOISE_LENGTH),
    )


def _states(seed: int, count: int) -> Int64Array:
    """State of the market per day: spells of a drawn length; a trend more often turns than resumes."""
    rng = np.random.default_rng([seed, 7])
    found: list[int] = []
    trend, state = int(rng.integers(2)), int(rng.integers(3))
    while len(found) < count:
        low, high = _SPELL_DAYS[state]
        found += [state] * int(rng.integers(low, high))
        if state != RANGING and rng.random() < _RANGE_SHARE:
            state = RANGING
        else:
            trend = 1 - trend if rng.random() < _TURN_SHARE else trend
            state = trend
    return np.array(found[:count], np.int64)


def _walk_day(
    rng: np.random.Generator, walk: _Walk, names: tuple[UnderlyingSpec, ...], state: int, length: int
) -> _Day:
    """Move every underlying through one day; ``walk`` is carried on."""
    beta = np.array([u.beta for u in names])
    own = np.array([u.idiosyncratic_ratio for u in names])
    sector_beta = np.array([u.sector_beta for u in names])
    sector = np.array([SECTORS.index(u.sector) for u in names])
    walk.volatility = 0.93 * walk.volatility + 0.09 * rng.standard_normal()
    scale = np.exp(walk.volatility)
    market_dev = _DEVIATION[state] * scale
    sector_dev, own_dev = _SECTOR_DEVIATION * scale, own * scale
    walk.drift = 0.95 * walk.drift + own * 0.045 * rng.standard_normal(len(names))
    drift = _DRIFT[state]
    if state == RANGING:
        drift = -_RANGE_PULL * (walk.log_close[0] - walk.anchor)
    else:
        walk.anchor = float(walk.log_close[0])
    gap = _gap(rng, market_dev, sector_dev, own_dev, len(SECTORS))
    share = _shape(rng, length)
    market = _innovations(rng, 1, length) * share * market_dev + drift * 0.7 / length
    sectors = _innovations(rng, len(SECTORS), length) * share * sector_dev
    alone = _innovations(rng, len(names), length) * share * own_dev[:, None]
    overnight = beta * (gap[0] + 0.3 * drift) + sector_beta * gap[1][sector] + gap[2] + walk.drift
    steps = beta[:, None] * market + sector_beta[:, None] * sectors[sector] + alone
    steps += _jumps(rng, names, length) + _opening(rng, own_dev + beta * market_dev, length)
    before = walk.log_close + overnight
    close = before[:, None] + np.cumsum(steps, axis=1)
    deviation = np.sqrt((beta * market_dev) ** 2 + (sector_beta * sector_dev) ** 2 + own_dev**2)
    minute_dev = deviation[:, None] * share
    opened = np.concatenate([before[:, None], close[:, :-1]], axis=1)
    opened[:, 1:] += 0.08 * minute_dev[:, 1:] * rng.standard_normal((len(names), length - 1))
    high, low = _extremes(rng, opened, close, 0.85 * minute_dev)
    walk.log_close = close[:, -1].copy()
    return _Day(opened, high, low, close, deviation, steps / minute_dev)


def _gap(
    rng: np.random.Generator, market_dev: float, sector_dev: float, own_dev: FloatArray, sectors: int
) -> tuple[float, FloatArray, FloatArray]:
    """Overnight moves of market, sectors and stocks; one stock night in sixty brings news."""
    part = np.sqrt(_GAP_VARIANCE)
    market = float(part * market_dev * rng.standard_t(5) * np.sqrt(3 / 5))
    alone = part * own_dev * rng.standard_normal(len(own_dev))
    news = (rng.random(len(own_dev)) < 1 / 60) & (own_dev > 0.004)
    alone = alone + news * rng.normal(0.0, 0.032, len(own_dev))
    return market, part * sector_dev * rng.standard_normal(sectors), alone


def _shape(rng: np.random.Generator, length: int) -> FloatArray:
    """Share of the daily deviation per minute: a smile over the day times slow clusters."""
    at = (np.arange(length) + 0.5) / length
    smile = 0.75 + 1.9 * np.exp(-at * 14) + 0.75 * np.exp(-(1 - at) * 9)
    noise = rng.standard_normal(length)
    cluster = np.empty(length)
    value = rng.standard_normal()
    for index in range(length):
        value = 0.96 * value + 0.28 * noise[index]
        cluster[index] = value
    weight = smile * np.exp(0.22 * cluster)
    return np.asarray(weight / np.sqrt((weight**2).sum()) * np.sqrt(1 - _GAP_VARIANCE))


def _innovations(rng: np.random.Generator, rows: int, length: int) -> FloatArray:
    """Heavy-tailed unit-variance steps: Student's t with 5 degrees of freedom."""
    normal = rng.standard_normal((rows, length))
    return np.asarray(normal * np.sqrt(3.0 / rng.chisquare(5, (rows, length))))


def _jumps(rng: np.random.Generator, names: tuple[UnderlyingSpec, ...], length: int) -> FloatArray:
    """One stock day in forty has a jump at some minute."""
    steps = np.zeros((len(names), length))
    hit = np.flatnonzero((rng.random(len(names)) < 1 / 40) & np.array([not u.is_index for u in names]))
    steps[hit, rng.integers(5, max(length - 5, 6), len(hit)) % length] = rng.normal(0.0, 0.018, len(hit))
    return steps


def _opening(rng: np.random.Generator, deviation: FloatArray, length: int) -> FloatArray:
    """Overshoot of the first minute, half of it given back over the next four."""
    steps = np.zeros((len(deviation), length))
    spike = 0.16 * deviation * rng.standard_normal(len(deviation))
    steps[:, 0] = spike
    back = min(4, length - 1)
    if back:
        steps[:, 1 : 1 + back] -= (0.5 * spike / back)[:, None]
    return steps


def _extremes(
    rng: np.random.Generator, opened: FloatArray, close: FloatArray, deviation: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Maximum and minimum of a Brownian bridge from open to close, each drawn from its own law."""
    spread = (close - opened) ** 2
    twice = 2 * deviation**2
    high = (opened + close + np.sqrt(spread - twice * np.log(rng.random(opened.shape)))) / 2
    low = (opened + close - np.sqrt(spread - twice * np.log(rng.random(opened.shape)))) / 2
    return high, low


def _settle_day(
    market: GeneratedMarket, rng: np.random.Generator, paths: _Day, index: int, lead_in: int
) -> None:
    """Round one day to ticks, add volumes and volatility, and file it."""
    day = market.daily.days[index]
    ticks = _ticks(market, index, paths)
    bars = [_on_tick(np.exp(log), ticks) for log in (paths.opened, paths.high, paths.low, paths.close)]
    bars[1] = np.maximum(bars[1], np.maximum(bars[0], bars[3]))
    bars[2] = np.minimum(bars[2], np.minimum(bars[0], bars[3]))
    volume = _volumes(rng, market.underlyings, paths, bars[3])
    hours = market.calendar.hours(day, Segment.CASH_FNO)
    cash = (hours.close_ns - hours.open_ns) // NS_PER_MINUTE
    daily = market.daily
    daily.open_paise[:, index] = bars[0][:, 0]
    daily.high_paise[:, index] = bars[1][:, :cash].max(axis=1)
    daily.low_paise[:, index] = bars[2][:, :cash].min(axis=1)
    daily.close_paise[:, index] = bars[3][:, cash - 1]
    daily.volume[:, index] = np.where(volume[:, 0] < 0, -1, volume[:, :cash].sum(axis=1))
    if index < lead_in:
        return
    at = slice(int(market.offsets[index - lead_in]), int(market.offsets[index - lead_in + 1]))
    targets = (market.open_paise, market.high_paise, market.low_paise, market.close_paise)
    for target, bar in zip(targets, bars, strict=True):
        target[:, at] = bar
    market.volume[:, at] = volume
    market.ticks[:, index - lead_in] = ticks
    market.implied[:, at] = _implied(rng, market.underlyings, paths)


def _on_tick(prices: FloatArray, ticks: Int64Array) -> Int64Array:
    steps = np.rint(prices / ticks[:, None]).astype(np.int64)
    return np.asarray(np.maximum(steps, 1) * ticks[:, None], np.int64)


def _ticks(market: GeneratedMarket, index: int, paths: _Day) -> Int64Array:
    """Tick by the last close of the month before (the exchange reviews monthly)."""
    days = market.daily.days
    day = days[index]
    at = index
    while at > 0 and (days[at - 1].year, days[at - 1].month) == (day.year, day.month):
        at -= 1
    reviewed = market.daily.close_paise[:, at - 1] if at else np.exp(paths.opened[:, 0]).astype(np.int64)
    return np.array(
        [
            _INDEX_TICK if u.is_index else market.rules.tick("CASH", day, int(price))
            for u, price in zip(market.underlyings, reviewed, strict=True)
        ],
        np.int64,
    )


def _volumes(
    rng: np.random.Generator, names: tuple[UnderlyingSpec, ...], paths: _Day, close: Int64Array
) -> Int64Array:
    """Units per minute: busy at open and close, busier when the price moves; -1 for an index."""
    rows, length = close.shape
    at = (np.arange(length) + 0.5) / length
    smile = 0.6 + 2.2 * np.exp(-at * 12) + 1.3 * np.exp(-(1 - at) * 10)
    mood = np.exp(0.3 * rng.standard_normal((rows, 1)))
    busy = np.exp(0.45 * rng.standard_normal((rows, length))) * (0.6 + 0.5 * np.abs(paths.surprise))
    turnover = np.array([float(u.turnover_paise) for u in names])[:, None]
    units = np.rint(turnover * smile / smile.sum() * mood * busy / close).astype(np.int64)
    quiet = np.array([u.quiet_ratio for u in names])[:, None]
    units = np.where(rng.random((rows, length)) < quiet, 0, np.maximum(units, 1))
    units[:, 0] = np.maximum(units[:, 0], 1)  # the opening auction always trades
    return np.where(turnover > 0, units, -1)


def _implied(rng: np.random.Generator, names: tuple[UnderlyingSpec, ...], paths: _Day) -> FloatArray:
    """Implied volatility: the day's own level plus a premium, up when the market falls, noisy."""
    rows, length = paths.close.shape
    noise = 0.0015 * np.cumsum(rng.standard_normal((rows, length)), axis=1)
    level = paths.deviation * np.sqrt(_YEAR_DAYS) * 1.06
    lean = np.array([-3.5 if u.is_index else -1.2 for u in names])[:, None]
    move = paths.close - paths.opened[:, :1]
    return np.asarray(np.clip(level[:, None] * np.exp(lean * move + noise), 0.06, 1.5))

"""Listed contracts of the generated market and their minute bars: futures by carry, options by Black-76."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from propdesk.core.calendar import Segment
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.invariant import require
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument, instrument_key
from propdesk.sim.market import GeneratedMarket
from propdesk.sim.market_rules import MONTHLY, STOCK, WEEKLY, expiries
from propdesk.sim.market_stocks import UnderlyingSpec

Int32Array: TypeAlias = NDArray[np.int32]
FloatArray: TypeAlias = NDArray[np.float64]

CARRY_RATE = 0.065
"""Yearly rate that separates a future from its spot."""

_MINUTES_PER_YEAR = 365.0 * 24 * 60
_MINUTE_YEARS = 1 / _MINUTES_PER_YEAR
_LISTED_DAYS = {WEEKLY: 35, MONTHLY: 92}
_STRIKE_REACH = {True: 0.06, False: 0.12}
_STOCK_LOT_VALUE_PAISE = 70_000_000
_FREEZE_LOTS = 40
_OPTION_TICK = 5
_NO_SERIES = "XX"
_SKEW = {True: -0.035, False: -0.01}
_LOT_STEPS = (5, 25, 50, 100, 250, 500)


@dataclass(frozen=True, slots=True)
class Listing:
    """A contract's life: tradable in the closed interval [listed, expiry]."""

    underlying_row: int
    cycle: str
    listed: date
    expiry: date
    lot_size: int


def strike_step(underlying: UnderlyingSpec, price_paise: int) -> int:
    """Distance of two strikes, paise: 50 and 100 points for the indices, about 2.5 % of a stock's price."""
    if underlying.is_index:
        return 5_000 if underlying.symbol == "NIFTY" else 10_000
    wanted = price_paise * 0.025
    steps = [base * 10**power for power in range(2, 6) for base in (1, 2.5, 5)]
    return int(min(steps, key=lambda step: abs(step - wanted)))


def stock_lot(price_paise: int) -> int:
    """Units per lot of a stock's contracts: about seven lakh rupees, a round number."""
    units = _STOCK_LOT_VALUE_PAISE / price_paise
    step = max([s for s in _LOT_STEPS if s <= units / 4] or [1])
    return max(round(units / step) * step, 1)


def listings(market: GeneratedMarket) -> list[Listing]:
    """List every expiry of every underlying that trades on at least one generated day."""
    found: list[Listing] = []
    first, last = market.days[0], market.days[-1]
    for row, underlying in enumerate(market.underlyings):
        if not underlying.has_derivatives:
            continue
        name = underlying.symbol if underlying.is_index else STOCK
        seen: dict[date, Listing] = {}
        for cycle in (WEEKLY, MONTHLY):  # a monthly expiry takes the place of the week's
            reach = last + timedelta(days=_LISTED_DAYS[cycle])
            for expiry in expiries(market.rules.expiries, name, cycle, first, reach, market.calendar):
                listed = expiry - timedelta(days=_LISTED_DAYS[cycle])
                if expiry >= first and listed <= last:
                    lot = _lot(market, row, underlying, expiry)
                    seen[expiry] = Listing(row, cycle, max(listed, first), expiry, lot)
        found += [seen[expiry] for expiry in sorted(seen)]
    return found


def _lot(market: GeneratedMarket, row: int, underlying: UnderlyingSpec, expiry: date) -> int:
    if underlying.is_index:
        return market.rules.lot(underlying.symbol, expiry)
    # The exchange reviews lots in March and September for the contracts of the next half-year.
    review = date(expiry.year, 3, 31) if expiry.month > 6 else date(expiry.year - 1, 9, 30)
    return stock_lot(market.close_before(row, review))


def list_instruments(market: GeneratedMarket) -> list[Instrument]:
    """Write the instrument master of the generated market with its dated values (§1.5).

    Returns
    -------
    list of Instrument
        Rows by (instrument key, valid_from); a strike is listed from the first day on which the close
        before lies near enough, so that the master of a day tells nothing about later ones.
    """
    rows: list[Instrument] = []
    for row, underlying in enumerate(market.underlyings):
        if not underlying.is_index:
            rows += _stock_rows(market, row, underlying)
    numbers = iter(range(40_001, 1_000_000))
    for listing in sorted(listings(market), key=lambda x: (x.listed, x.expiry, x.underlying_row)):
        rows += _future_rows(market, listing, numbers)
        rows += _option_rows(market, listing, numbers)
    return sorted(rows, key=lambda i: (i.instrument_key, i.valid_from))


def _stock_rows(market: GeneratedMarket, row: int, underlying: UnderlyingSpec) -> Iterator[Instrument]:
    changes = [0, *(np.flatnonzero(np.diff(market.ticks[row])) + 1).tolist(), len(market.days)]
    for start, end in itertools.pairwise(changes):
        yield Instrument(
            instrument_key=instrument_key(Category.NSE_EQ, underlying.symbol),
            category=Category.NSE_EQ,
            underlying=underlying.symbol,
            expiry=None,
            strike_paise=None,
            option_type=None,
            exchange_segment="NSE_EQ",
            security_id=str(1_001 + row),
            lot_size=1,
            tick_paise=int(market.ticks[row, start]),
            freeze_quantity=0,
            series="EQ",
            has_derivatives=underlying.has_derivatives,
            valid_from=market.days[start],
            valid_to=market.days[end] - timedelta(days=1) if end < len(market.days) else market.days[-1],
        )


def _contract(
    market: GeneratedMarket,
    listing: Listing,
    number: int,
    valid: tuple[date, date],
    tick: int,
    option: tuple[int, OptionType] | None,
) -> Instrument:
    underlying = market.underlyings[listing.underlying_row]
    kind = "OPT" if option else "FUT"
    category = Category(f"{'INDEX' if underlying.is_index else 'STOCK'}_{kind}")
    strike, option_type = option or (None, None)
    freeze = (
        market.rules.freeze(underlying.symbol, valid[0])
        if underlying.is_index
        else listing.lot_size * _FREEZE_LOTS
    )
    return Instrument(
        instrument_key=instrument_key(category, underlying.symbol, listing.expiry, strike, option_type),
        category=category,
        underlying=underlying.symbol,
        expiry=listing.expiry,
        strike_paise=strike,
        option_type=option_type,
        exchange_segment="NSE_FNO",
        security_id=str(number),
        lot_size=listing.lot_size,
        tick_paise=tick,
        freeze_quantity=freeze,
        series=_NO_SERIES,
        has_derivatives=False,
        valid_from=valid[0],
        valid_to=valid[1],
    )


def _spans(market: GeneratedMarket, listing: Listing, start: date, *, kind: str) -> list[tuple[date, date]]:
    """Cut a contract's life where a dated table changes its values."""
    name = market.underlyings[listing.underlying_row].symbol
    cuts = {*market.rules.tick_changes(kind), *market.rules.freeze_changes(name)}
    starts = [start, *sorted(cut for cut in cuts if start < cut <= listing.expiry)]
    ends = [cut - timedelta(days=1) for cut in starts[1:]] + [listing.expiry]
    return list(zip(starts, ends, strict=True))


def _future_rows(market: GeneratedMarket, listing: Listing, numbers: Iterator[int]) -> Iterator[Instrument]:
    if listing.cycle == WEEKLY:
        return
    number = next(numbers)
    kind = "INDEX_FUT" if market.underlyings[listing.underlying_row].is_index else "CASH"
    for valid in _spans(market, listing, listing.listed, kind=kind):
        yield _contract(
            market, listing, number, valid, future_tick(market, listing.underlying_row, valid[0]), None
        )


def future_tick(market: GeneratedMarket, row: int, day: date) -> int:
    """Tick of an underlying's futures, paise, by its close before the day."""
    kind = "INDEX_FUT" if market.underlyings[row].is_index else "CASH"
    return market.rules.tick(kind, day, market.close_before(row, day))


def _option_rows(market: GeneratedMarket, listing: Listing, numbers: Iterator[int]) -> Iterator[Instrument]:
    for strike, start in sorted(_strikes(market, listing).items()):
        for option_type in OptionType:
            number = next(numbers)
            for valid in _spans(market, listing, start, kind="OPTION"):
                yield _contract(market, listing, number, valid, _OPTION_TICK, (strike, option_type))


def _strikes(market: GeneratedMarket, listing: Listing) -> dict[int, date]:
    """Strikes of an expiry with the day each is first listed."""
    row = listing.underlying_row
    underlying = market.underlyings[row]
    step = strike_step(underlying, market.close_before(row, listing.listed))
    reach = _STRIKE_REACH[underlying.is_index]
    found: dict[int, date] = {}
    days = [day for day in market.days if listing.listed <= day <= listing.expiry]
    for day in days or [market.days[-1]]:
        close = market.close_before(row, day)
        lowest, highest = -(-close * (1 - reach) // step), close * (1 + reach) // step
        for number in range(int(lowest), int(highest) + 1):
            found.setdefault(number * step, max(day, listing.listed))
    return found


# ------------------------------------------------------------------------------------------------- prices


def contract_bars(market: GeneratedMarket, instrument: Instrument, day_index: int) -> Int32Array:
    """Price one contract through one day.

    Parameters
    ----------
    market : GeneratedMarket
        Underlyings and volatility.
    instrument : Instrument
        A future or an option of one of its underlyings.
    day_index : int
        Position in ``market.days``.

    Returns
    -------
    ndarray of int32, shape (4, n_minutes)
        Open, high, low, close in paise, on the tick.

    Raises
    ------
    InvariantViolated
        If the instrument is no derivative or has expired.
    """
    require(instrument.expiry is not None, "only a derivative is priced from its underlying")
    day = market.days[day_index]
    expiry = instrument.expiry or day
    require(day <= expiry, f"{instrument.instrument_key} has expired before {day}")
    row = market.row(instrument.underlying)
    at = slice(int(market.offsets[day_index]), int(market.offsets[day_index + 1]))
    close_ns = market.calendar.hours(expiry, Segment.DERIVATIVES).close_ns
    minutes_left = (close_ns // NS_PER_MINUTE - market.minute[at]).astype(np.float64)
    columns = (market.open_paise, market.high_paise, market.low_paise, market.close_paise)
    spot = np.stack([column[row, at] for column in columns])
    years = minutes_left / _MINUTES_PER_YEAR
    noise = _own_noise(market, instrument, day_index, len(years))
    out = np.empty((4, len(years)), np.int32)
    if instrument.strike_paise is None:
        _price_future(spot, years, noise, future_tick(market, row, day), CARRY_RATE, out)
        return out
    strike, is_call = float(instrument.strike_paise), instrument.option_type is OptionType.CE
    skew = _SKEW[market.underlyings[row].is_index]
    _price_option(spot, market.implied[row, at], years, noise, strike, is_call, skew, out)
    return out


def _own_noise(market: GeneratedMarket, instrument: Instrument, draw: int, length: int) -> FloatArray:
    """Stretch of the market's noise that belongs to one contract and draw."""
    expiry = instrument.expiry.toordinal() if instrument.expiry else 0
    name = (market.row(instrument.underlying), expiry, instrument.strike_paise or 0, draw)
    at = 1 if instrument.option_type is OptionType.CE else 0
    for part in name:
        at = (at * 1_000_003 + part) % 2_147_483_647
    at %= len(market.noise) - length
    return market.noise[at : at + length]


def contract_volume(market: GeneratedMarket, instrument: Instrument, day_index: int) -> NDArray[np.int64]:
    """Units traded per minute of one contract: busy near the money, in whole lots, >= 1 lot."""
    row = market.row(instrument.underlying)
    day = market.days[day_index]
    length = int(market.offsets[day_index + 1] - market.offsets[day_index])
    level = market.close_before(row, day)
    distance = abs((instrument.strike_paise or level) / level - 1)
    turnover = 120_000_000 if market.underlyings[row].is_index else 9_000_000
    lots = turnover / (level * 0.01 * instrument.lot_size) * math.exp(-60 * distance)
    busy = np.exp(0.5 * _own_noise(market, instrument, day_index + len(market.days), length))
    units = np.maximum(np.rint(lots * busy).astype(np.int64), 1) * instrument.lot_size
    return np.asarray(units, np.int64)


@njit(cache=True)
def black76(
    forward: float, strike: float, volatility: float, years: float, rate: float, is_call: bool
) -> float:
    """Value of a European option on a forward (Black 1976), in the unit of the prices.

    Parameters
    ----------
    forward, strike : float
        > 0.
    volatility, years, rate : float
        Per year, years to expiry, continuously compounded rate.
    is_call : bool
        Call or put.

    Returns
    -------
    float
        >= 0; the discounted inner value once no time or volatility is left.
    """
    sign = 1.0 if is_call else -1.0
    root = volatility * math.sqrt(max(years, 0.0))
    discount = math.exp(-rate * max(years, 0.0))
    if root < 1e-9:
        return discount * max(sign * (forward - strike), 0.0)
    d1 = math.log(forward / strike) / root + 0.5 * root
    d2 = d1 - root
    upper = 0.5 * math.erfc(-sign * d1 / math.sqrt(2.0))
    lower = 0.5 * math.erfc(-sign * d2 / math.sqrt(2.0))
    return discount * sign * (forward * upper - strike * lower)


@njit(cache=True)
def _on_tick(price: float, tick: int) -> int:
    return max(round(price / tick), 1) * tick


@njit(cache=True, nogil=True)
def _price_future(
    spot: Int32Array, years: FloatArray, noise: FloatArray, tick: int, rate: float, out: Int32Array
) -> None:
    basis = 0.0
    for i in range(len(years)):
        carry = math.exp(rate * years[i])
        before = basis
        basis = 0.9 * basis + 0.00005 * noise[i]
        middle = 1 + 0.5 * (before + basis)
        o = _on_tick(spot[0, i] * carry * (1 + before), tick)
        c = _on_tick(spot[3, i] * carry * (1 + basis), tick)
        out[0, i] = o
        out[1, i] = max(o, c, _on_tick(spot[1, i] * carry * middle, tick))
        out[2, i] = min(o, c, _on_tick(spot[2, i] * carry * middle, tick))
        out[3, i] = c


@njit(cache=True, nogil=True)
def _price_option(
    spot: Int32Array,
    implied: FloatArray,
    years: FloatArray,
    noise: FloatArray,
    strike: float,
    is_call: bool,
    skew: float,
    out: Int32Array,
) -> None:
    before, spread_before = implied[0], 0.0
    for i in range(len(years)):
        left = years[i]
        after = max(left - _MINUTE_YEARS, 0.0)
        carry = math.exp(CARRY_RATE * after)
        forward = spot[0, i] * math.exp(CARRY_RATE * left)
        # quoted volatility by moneyness in standard deviations: a skew and a mild smile
        width = max(implied[i] * math.sqrt(max(left, 1e-6)), 1e-4)
        k = min(max(math.log(strike / forward) / width, -3.0), 3.0)
        smile = 1.0 + skew * k + 0.02 * k * k
        spread = 0.0025 * noise[i]
        middle = 0.5 * (before + implied[i]) * smile
        first = black76(forward, strike, before * smile, left, CARRY_RATE, is_call) * (1 + spread_before)
        last = black76(spot[3, i] * carry, strike, implied[i] * smile, after, CARRY_RATE, is_call) * (
            1 + spread
        )
        up = black76(spot[1, i] * carry, strike, middle, after, CARRY_RATE, is_call)
        down = black76(spot[2, i] * carry, strike, middle, after, CARRY_RATE, is_call)
        o, c = _on_tick(first, _OPTION_TICK), _on_tick(last, _OPTION_TICK)
        out[0, i] = o
        out[1, i] = max(o, c, _on_tick(max(up, down), _OPTION_TICK))
        out[2, i] = min(o, c, _on_tick(min(up, down), _OPTION_TICK))
        out[3, i] = c
        before, spread_before = implied[i], spread

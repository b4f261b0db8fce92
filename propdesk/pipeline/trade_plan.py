"""What is known about each idea before its prices are: times, product, size, legs (§2.5, §2.6)."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar, Segment, ist_midnight_ns, segment_of
from propdesk.execution.lifetime import Lifetime, LifetimeRules, lifetime
from propdesk.model.enums import Category, EntryType, Period, Product, Side
from propdesk.model.messages import DecisionCode
from propdesk.pipeline.columns import or_none
from propdesk.pipeline.costs import EPOCH_ORDINAL, SEGMENT_CODES
from propdesk.pipeline.features import BarBook
from propdesk.pipeline.outcome_kernel import ENTRY_CODES, NEVER, NONE, REASON_CODES
from propdesk.risk.charges import ChargeModel, charge_segment
from propdesk.risk.liquidity import TRADED_VALUE_SHARE, average_traded_value, cap_by_traded_value
from propdesk.risk.margin import PPM, MarginModel, margin_kind, margin_share_ppm, product_of
from propdesk.risk.slippage import SlippageModel
from propdesk.strategy.eligibility import choose_product, is_multi_leg
from propdesk.strategy.sizing import desk_lots

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Objects = NDArray[np.object_]

CATEGORIES = tuple(Category)
CATEGORY_CODES = {category: code for code, category in enumerate(CATEGORIES)}
SESSION_SEGMENTS = tuple(Segment)
SEGMENT_ORDER = {segment: code for code, segment in enumerate(SESSION_SEGMENTS)}

PRICE_SERIES = "price_series"
UNDERLYING_SERIES = "underlying_series"
"""Columns of ``Plan.frame``: names in the bar book of an idea's prices in the terms it was posted in."""
UNSHORTABLE = DecisionCode.UNSHORTABLE.value
TRADE_FOR_TRADE = DecisionCode.TRADE_FOR_TRADE.value
EXPIRY_TOO_NEAR = "EXPIRY_TOO_NEAR"
UNAFFORDABLE = "UNAFFORDABLE"
MULTI_LEG = "MULTI_LEG"
LOOK_BACK_DAYS = 2
"""Market days before its trade date from which an idea takes prices."""
BLOCKING = frozenset({UNSHORTABLE, TRADE_FOR_TRADE, EXPIRY_TOO_NEAR, UNAFFORDABLE})
"""Reasons for which an idea is no trade; MULTI_LEG is resolved but not counted as a single trade."""


@dataclass(frozen=True, slots=True)
class TradeConfig:
    """Settings and dated tables of step 5.

    Attributes
    ----------
    latency_ns : int
        From receipt to the first bar that counts.
    analytical_capital_paise : int
        Capital of the analytical size (§2.6).
    corpus_paise : int
        Corpus that the desk's own size is a share of (§4.7).
    risk_share : float
        Largest planned loss of one idea, share of the corpus.
    traded_value_share : float
        Largest share of the average five-minute traded value that the desk's order may be (§4.7).
    allow_loosening : bool
        Whether an advisor's update may move a stop away from profit.
    """

    charges: ChargeModel
    margins: MarginModel
    slippage: SlippageModel
    lifetimes: LifetimeRules = field(default_factory=LifetimeRules)
    latency_ns: int = 1_000_000_000
    analytical_capital_paise: int = 50_000_000
    corpus_paise: int = 1_000_000_000
    risk_share: float = 0.0025
    traded_value_share: float = TRADED_VALUE_SHARE
    allow_loosening: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Ideas as arrays, one row each, in the order of ``frame``. Paise, units, ns UTC; `NONE` = absent.

    ``expiry_day`` and ``trade_day`` are days since 1970-01-01. ``priced_from`` is the moment before which no
    price of the idea counts, however much was read. ``reason`` is why an idea is no single trade, or None.
    """

    frame: pd.DataFrame
    category: Int
    charge_segment: Int
    session_segment: Int
    sign: Int
    entry_type: Int
    entry_low: Int
    entry_high: Int
    stop: Int
    targets: list[list[int]]
    lot_size: Int
    tick: Int
    strike: Int
    trade_day: Int
    expiry_day: Int
    priced_from: Int
    active: Int
    valid: Int
    exit_at: Int
    exit_reason: Int
    product: Objects
    margin_share: Int
    needs_underlying: NDArray[np.bool_]
    reason: Objects

    @property
    def size(self) -> int:
        """Number of ideas."""
        return len(self.sign)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of each idea: paise and units; 0 lots where it cannot be afforded or priced.

    ``traded_value`` is the average five-minute traded value that caps the desk's lots, `NONE` = not known.
    """

    reference: Int
    underlying: Int
    lots: Int
    margin: Int
    desk_lots: Int
    desk_margin: Int
    traded_value: Int


def int_column(frame: pd.DataFrame, name: str) -> Int:
    """Read a whole-number column, `NONE` for null."""
    return np.asarray(pd.to_numeric(frame[name]).astype("Int64").fillna(NONE), dtype=np.int64)


def ns_column(frame: pd.DataFrame, name: str) -> Int:
    """Read a column of aware stamps as ns UTC."""
    stamps = pd.to_datetime(frame[name], utc=True)
    return np.asarray(stamps.dt.as_unit("ns").astype("int64"), dtype=np.int64)


def day_column(frame: pd.DataFrame, name: str) -> Int:
    """Read a column of dates as days since 1970-01-01, `NONE` for null."""
    return np.array([_day_number(value) for value in frame[name]], np.int64)


def _day_number(value: Any) -> int:
    return NONE if pd.isna(value) else value.toordinal() - EPOCH_ORDINAL


def day_of(number: int) -> date:
    """Turn days since 1970-01-01 into a date."""
    return date.fromordinal(number + EPOCH_ORDINAL)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What ideas of one kind share on one day."""

    life: Lifetime
    product: Product
    charge_segment: int
    margin_share: int
    reason: str | None


def make_plan(resolved: pd.DataFrame, calendar: MarketCalendar, config: TradeConfig) -> Plan:
    """Work out all that is known of each idea when it is received.

    Parameters
    ----------
    resolved : DataFrame
        Rows of step 4.
    calendar : MarketCalendar
        Market days and hours.
    config : TradeConfig
        Settings.

    Returns
    -------
    Plan
        In the order of (trade_date, signal_id).
    """
    frame = resolved.sort_values(["trade_date", "signal_id"], kind="stable").reset_index(drop=True)
    trade_day = day_column(frame, "trade_date")
    expiry_day = day_column(frame, "expiry")
    categories = [Category(text) for text in frame["category"]]
    segments = [
        segment_of(is_derivative=c.is_derivative, has_derivatives=bool(has))
        for c, has in zip(categories, frame["has_derivatives"], strict=True)
    ]
    sides = [Side(text) for text in frame["side"]]
    kinds = zip(
        *(trade_day.tolist(), segments, frame["period"], categories, expiry_day.tolist(), sides),
        frame["series"].fillna("").astype(str),
        strict=True,
    )
    cache: dict[tuple[Any, ...], _Terms] = {}
    terms: list[_Terms] = []
    for kind in kinds:
        found = cache.get(kind)
        if found is None:
            found = cache[kind] = _terms(kind, calendar, config)
        terms.append(found)
    lives = [t.life for t in terms]
    opens = np.array([life.active_from_ns for life in lives], np.int64)
    return Plan(
        frame=frame,
        category=np.array([CATEGORY_CODES[c] for c in categories], np.int64),
        charge_segment=np.array([t.charge_segment for t in terms], np.int64),
        session_segment=np.array([SEGMENT_ORDER[s] for s in segments], np.int64),
        sign=np.array([s.sign for s in sides], np.int64),
        entry_type=np.array([ENTRY_CODES[EntryType(text)] for text in frame["entry_type"]], np.int64),
        entry_low=int_column(frame, "entry_low_paise"),
        entry_high=int_column(frame, "entry_high_paise"),
        stop=int_column(frame, "stoploss_paise"),
        targets=[[int(t) for t in row] if _is_list(row) else [] for row in frame["targets_paise"]],
        lot_size=int_column(frame, "lot_size"),
        tick=int_column(frame, "tick_paise"),
        strike=int_column(frame, "strike_paise"),
        trade_day=trade_day,
        expiry_day=expiry_day,
        priced_from=priced_from(trade_day, calendar),
        active=np.maximum(ns_column(frame, "received_at") + config.latency_ns, opens),
        valid=np.array([life.valid_until_ns for life in lives], np.int64),
        exit_at=np.array([NEVER if life.exit_at_ns is None else life.exit_at_ns for life in lives], np.int64),
        exit_reason=np.array(
            [NONE if life.exit_at_reason is None else REASON_CODES[life.exit_at_reason] for life in lives],
            np.int64,
        ),
        product=np.array([t.product.value for t in terms], object),
        margin_share=np.array([t.margin_share for t in terms], np.int64),
        needs_underlying=np.array(
            [c.is_option and s is Side.SELL for c, s in zip(categories, sides, strict=True)], bool
        ),
        reason=_with_groups(frame, np.array([t.reason for t in terms], object)),
    )


def priced_from(trade_day: Int, calendar: MarketCalendar) -> Int:
    """Moment before which no price of an idea counts, ns UTC, by its trade date in days since 1970-01-01."""
    days, row = np.unique(trade_day, return_inverse=True)
    first = [ist_midnight_ns(look_back(calendar, day_of(int(day)))) for day in days]
    return np.array(first, np.int64)[row]


def look_back(calendar: MarketCalendar, day: date) -> date:
    """First day whose prices count for the ideas of a trade date.

    A price older than that is none: what an idea is worth must not depend on how far back a range reaches.
    """
    return calendar.shift(day, -min(LOOK_BACK_DAYS, calendar.index_of(day)))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _terms(kind: tuple[Any, ...], calendar: MarketCalendar, config: TradeConfig) -> _Terms:
    trade_day, segment, period_text, category, expiry_day, side, series = kind
    day, period = day_of(trade_day), Period(period_text)
    expiry = None if expiry_day == NONE else day_of(expiry_day)
    life = lifetime(
        calendar,
        segment,
        day,
        0,
        category=category,
        period=period,
        expiry=expiry,
        rules=config.lifetimes,
    )
    chosen = choose_product(category, period, side, series, day)
    refused = None if chosen in Product.__members__ else str(chosen)
    # an idea that cannot be held is described as if it could, so that its margin is still known
    product = Product(chosen) if refused is None else product_of(category, period is Period.INTRADAY)
    left = None if expiry is None else calendar.index_of(expiry) - calendar.index_of(day)
    share = margin_share_ppm(config.margins, margin_kind(category, product, side), category, day, left)
    reason = refused or (EXPIRY_TOO_NEAR if life.expiry_too_near else None)
    return _Terms(life, product, SEGMENT_CODES[charge_segment(category, product)], share, reason)


def _with_groups(frame: pd.DataFrame, reason: Objects) -> Objects:
    """Mark legs of ideas posted as one: analysed, but no single trade."""
    marked = np.array([is_multi_leg(key) for key in or_none(frame["group_key"])], bool)
    free = np.array([r is None for r in reason], bool)
    return np.where(marked & free, MULTI_LEG, reason)


def size_ideas(
    plan: Plan, book: BarBook, first_open: Int, calendar: MarketCalendar, config: TradeConfig
) -> Sizes:
    """Size each idea for the analytical capital and for the desk's own risk budget.

    Parameters
    ----------
    plan : Plan
        The ideas.
    book : BarBook
        Prices of instruments and underlyings.
    first_open : ndarray of int64, shape (n,)
        Open of the first bar each idea can fill in, paise; `NONE` where there is none.
    calendar : MarketCalendar
        Sessions of the market day before each idea.
    config : TradeConfig
        Settings.

    Returns
    -------
    Sizes
        ``lots`` = floor(capital / margin per lot) at the price the entry is expected at, known when the
        order is placed. The desk's lots keep the loss at the stop within its share of the corpus and the
        order within its share of what is traded: the functions that size a trade live.

    Notes
    -----
    The desk's factors for trust, skill, stage and crowd belong to the day of the decision and are applied
    there. Source: §2.6, §4.7.
    """
    worse = np.where(plan.sign > 0, plan.entry_high, plan.entry_low)
    before = last_closes(plan, book, PRICE_SERIES, plan.active)
    market = np.where(first_open > 0, first_open, before)
    reference = np.where(plan.entry_type == ENTRY_CODES[EntryType.MARKET], market, worse)
    underlying = last_closes(plan, book, UNDERLYING_SERIES, plan.active)
    exposure = np.where(plan.needs_underlying, np.where(underlying > 0, underlying, plan.strike), reference)
    per_lot = -(-np.maximum(exposure, 0) * plan.lot_size * plan.margin_share // PPM)
    priced = (reference > 0) & (per_lot > 0)
    lots = np.where(priced, config.analytical_capital_paise // np.maximum(per_lot, 1), 0)
    distance = np.where((plan.stop != NONE) & (reference > 0), np.abs(reference - plan.stop), 0)
    lot_risk = distance * plan.lot_size
    traded = _traded_values(plan, book, calendar)
    each = (lots, lot_risk, reference * plan.lot_size, traded)
    rows = zip(*(column.tolist() for column in each), strict=True)
    desk = np.array([_desk_size(config, *row) for row in rows], np.int64)
    return Sizes(reference, underlying, lots, per_lot * lots, desk, per_lot * desk, traded)


def _desk_size(config: TradeConfig, lots: int, lot_risk: int, lot_value: int, traded: int) -> int:
    if lots < 1 or lot_risk <= 0:
        return 0
    wanted = desk_lots(
        corpus_paise=config.corpus_paise,
        risk_share=config.risk_share,
        analytical_lots=lots,
        risk_per_lot_paise=lot_risk,
    )
    known = None if traded == NONE else traded
    return cap_by_traded_value(wanted, lot_value, known, config.traded_value_share)


def _traded_values(plan: Plan, book: BarBook, calendar: MarketCalendar) -> Int:
    """Average five-minute traded value of each idea's instrument on the market day before its own."""
    found: dict[tuple[str, int, int], int] = {}
    result = np.full(plan.size, NONE, np.int64)
    keys = plan.frame[PRICE_SERIES].astype(str)
    kinds = zip(keys, plan.trade_day.tolist(), plan.session_segment.tolist(), strict=True)
    for row, kind in enumerate(kinds):
        if kind not in found:
            found[kind] = _traded_before(*kind, book, calendar)
        result[row] = found[kind]
    return result


def _traded_before(key: str, trade_day: int, segment: int, book: BarBook, calendar: MarketCalendar) -> int:
    day = day_of(trade_day)
    bars = book.get(key)
    if bars is None or calendar.index_of(day) == 0:
        return NONE
    hours = calendar.hours(calendar.previous_day(day), SESSION_SEGMENTS[segment])
    value = average_traded_value(bars.bars, hours.open_ns, hours.close_ns)
    return int(NONE) if value is None else value


def last_closes(plan: Plan, book: BarBook, key_column: str, moments: Int) -> Int:
    """Last close of each idea's instrument or underlying before a moment, `NONE` without a recent one."""
    result = np.full(plan.size, NONE, np.int64)
    for key, rows in plan.frame.groupby(key_column, sort=True).indices.items():
        bars = book.get(str(key))
        if bars is not None:
            result[rows] = bars.close_before(moments[rows], plan.priced_from[rows])
    return result


def split_lots(plan: Plan, lots: Int) -> tuple[Int, Int]:
    """Share the lots among targets as `propdesk.execution.trade_group.split_legs` does, for all ideas.

    Returns
    -------
    tuple of ndarray of int64, shape (n, legs)
        Quantity in units (0 = no such leg) and target in paise (`NONE` = none).
    """
    count = np.array([len(t) for t in plan.targets], np.int64)
    legs = np.maximum(np.minimum(count, lots), 1)
    width = int(legs.max(initial=1))
    column = np.arange(width)
    share, rest = lots // legs, lots % legs
    leg_lots = np.where(column < legs[:, None], share[:, None], 0)
    leg_lots[:, 0] += rest
    target = np.full((plan.size, width), NONE, np.int64)
    for row, levels in enumerate(plan.targets):
        used = min(len(levels), int(legs[row]))
        target[row, :used] = levels[:used]
    return leg_lots * plan.lot_size[:, None], target

"""Resolved ideas as the tables of step 5: trades, legs, daily marks, audit of claims."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from propdesk.core.clock import NS_PER_HOUR
from propdesk.model.enums import CLOSED_EXIT_REASONS, EntryType, ExitReason
from propdesk.pipeline import costs
from propdesk.pipeline import outcome_kernel as kernel
from propdesk.pipeline.features import BarBook, DaySessions, average_slot_value
from propdesk.pipeline.outcome_kernel import ENTRY_CODES, NONE, REASON_CODES, REASONS
from propdesk.pipeline.trade_plan import (
    CATEGORIES,
    MULTI_LEG,
    PRICE_SERIES,
    UNDERLYING_SERIES,
    Plan,
    Sizes,
    TradeConfig,
    day_of,
    last_closes,
)

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_CLOSED_CODES = np.array([REASON_CODES[r] for r in sorted(CLOSED_EXIT_REASONS)], np.int64)
_TAKERS = np.array([ENTRY_CODES[EntryType.MARKET], ENTRY_CODES[EntryType.STOP]], np.int64)
_OPEN = REASON_CODES[ExitReason.OPEN]
_EXPIRY = REASON_CODES[ExitReason.EXPIRY]
_TARGET = REASON_CODES[ExitReason.TARGET]
_STOPLOSS = REASON_CODES[ExitReason.STOPLOSS]
_SETTLED_CATEGORIES = np.array([c.is_option for c in CATEGORIES], bool)

_CARRIED_OVER = (
    *("trade_date", "advisor_id", "category", "underlying", "underlying_key", "instrument_key", "price_key"),
    *("side", "period", "session", "weekday", "entry_type", "entry_low_paise", "entry_high_paise"),
    *(
        "stoploss_paise",
        "targets_paise",
        "group_key",
        "duplicate_of",
        "copied_from",
        "received_at",
        "lot_size",
    ),
)
_LEG_COLUMNS = (
    *("trade_date", "trade_id", "leg_number", "lots", "quantity", "target_paise", "entry_at", "entry_paise"),
    *("exit_at", "exit_paise", "exit_reason", "exit_target", "gross_pnl_paise"),
)
_MARK_COLUMNS = ("trade_date", "trade_id", "mark_date", "close_paise", "mark_pnl_paise")
_AUDIT_COLUMNS = (
    *("trade_date", "trade_id", "reported_status", "verified_reason", "agrees", "flattering_ratio"),
)
_TRADE_COLUMNS = (
    *("trade_date", "trade_id", *_CARRIED_OVER[1:]),
    *("product", "product_reason", "lots", "quantity", "margin_paise", "notional_paise", "leverage"),
    *("desk_lots", "desk_quantity", "desk_margin_paise", "entry_at", "entry_date", "entry_paise"),
    *("exit_at", "exit_date", "exit_paise", "exit_reason", "exit_target", "targets_hit", "ambiguous_bar"),
    *("unsettled_at", "unsettled_date"),
    *("gross_pnl_paise", "slippage_paise", "charges_paise", "net_pnl_paise", "desk_net_pnl_paise"),
    *("risk_paise", "r_multiple", "gross_r", "charges_r", "return_ratio", "holding_hours", "holding_days"),
    *("is_intraday", "is_expiry_day", "days_to_expiry", "moneyness", "is_winning_trade", "target_hit"),
    *("stoploss_hit", "traded_value_paise", "traded_value_share", "is_counted"),
)


@dataclass(frozen=True, slots=True)
class TradeTables:
    """What step 5 writes; columns as in docs/architecture.md."""

    trades: pd.DataFrame
    legs: pd.DataFrame
    marks: pd.DataFrame
    audit: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Slices:
    """What partial exits closed of legs that stayed open: one row each, by trade and moment.

    ``trade`` and ``leg`` are positions (leg from 0); units, paise, ns UTC.
    """

    trade: Int
    leg: Int
    quantity: Int
    notional: Int
    at_ns: Int

    def take(self, rows: Int, trade: Int) -> "Slices":
        """Pick rows, as slices of other trades."""
        return Slices(trade, self.leg[rows], self.quantity[rows], self.notional[rows], self.at_ns[rows])

    def sums(self, shape: tuple[int, ...]) -> tuple[Int, Int]:
        """Quantity and notional per trade and leg."""
        quantity, notional = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        np.add.at(quantity, (self.trade, self.leg), self.quantity)
        np.add.at(notional, (self.trade, self.leg), self.notional)
        return quantity, notional


def slices_of(parts: Int, first: Int, end: Int) -> Slices:
    """List the partial exits that the kernel met.

    Parameters
    ----------
    parts : ndarray of int64, shape (m, legs, PART_COLUMNS)
        Per follow-up and leg, as `outcome_kernel.resolve_all` gives it.
    first, end : ndarray of int64, shape (n,)
        Range of each trade's follow-ups; the ranges rise with the trades.

    Returns
    -------
    Slices
    """
    owner = np.repeat(np.arange(len(first)), end - first)
    row, leg = np.nonzero(parts[:, :, kernel.PART_QUANTITY] > 0)
    found = parts[row, leg]
    return Slices(
        owner[row],
        leg,
        found[:, kernel.PART_QUANTITY],
        found[:, kernel.PART_NOTIONAL],
        found[:, kernel.PART_NS],
    )


@dataclass(frozen=True, slots=True)
class Resolution:
    """Outcome of each idea in the kernel's codes; ``blocked`` ideas were no trade to begin with.

    ``unsettled_ns`` is the moment at which it was known that prices cannot settle the idea (`NONE`: they
    can): before it the idea was like any other, from its day on it counts nowhere. ``ambiguous_ns`` is the
    start of the first bar that held both levels.
    """

    reason: Int
    entry_ns: Int
    targets_hit: Int
    ambiguous: Bool
    ambiguous_ns: Int
    unsettled_ns: Int
    legs: Int
    slices: Slices
    blocked: Bool

    @property
    def is_closed(self) -> Bool:
        """Entered and ended, with a price."""
        closed: Bool = np.isin(self.reason, _CLOSED_CODES) & (self.entry_ns != NONE)
        return closed

    @property
    def is_open(self) -> Bool:
        """Entered and not ended."""
        is_open: Bool = (self.reason == _OPEN) & (self.entry_ns != NONE)
        return is_open

    @property
    def is_withdrawn(self) -> Bool:
        """Entered, and unsettled by now; it was open before."""
        withdrawn: Bool = (self.unsettled_ns != NONE) & (self.entry_ns != NONE)
        return withdrawn


def empty_tables() -> TradeTables:
    """Build the tables of no ideas."""
    return TradeTables(
        pd.DataFrame(columns=list(_TRADE_COLUMNS)),
        pd.DataFrame(columns=list(_LEG_COLUMNS)),
        pd.DataFrame(columns=list(_MARK_COLUMNS)),
        pd.DataFrame(columns=list(_AUDIT_COLUMNS)),
    )


def concatenate(blocks: list[TradeTables]) -> TradeTables:
    """Join tables of rising ranges of trade dates."""
    return TradeTables(
        pd.concat([block.trades for block in blocks], ignore_index=True),
        pd.concat([block.legs for block in blocks], ignore_index=True),
        pd.concat([block.marks for block in blocks], ignore_index=True),
        pd.concat([block.audit for block in blocks], ignore_index=True),
    )


def merge(parts: list[TradeTables]) -> TradeTables:
    """Join tables of any parts of the same ideas, in the order of their keys."""
    joined = concatenate(parts)
    idea = ["trade_date", "trade_id"]

    def in_order(frame: pd.DataFrame, *more: str) -> pd.DataFrame:
        return frame.sort_values([*idea, *more], kind="stable", ignore_index=True)

    return TradeTables(
        in_order(joined.trades),
        in_order(joined.legs, "leg_number"),
        in_order(joined.marks, "mark_date"),
        in_order(joined.audit),
    )


def leg_average(legs: Int) -> Int:
    """Average exit price per leg, rounded to the paisa, `NONE` where nothing was exited."""
    exited = np.maximum(legs[..., kernel.EXITED], 1)
    average = (2 * legs[..., kernel.NOTIONAL] + exited) // (2 * exited)
    return np.where(legs[..., kernel.EXITED] > 0, average, NONE)


def assemble(
    plan: Plan,
    sizes: Sizes,
    resolution: Resolution,
    book: BarBook,
    sessions: list[DaySessions],
    config: TradeConfig,
    known_until_ns: int,
) -> TradeTables:
    """Turn resolved ideas into tables.

    Parameters
    ----------
    plan, sizes, resolution
        The ideas, their sizes and what became of them, row by row.
    book : BarBook
        Prices of instruments and underlyings.
    sessions : list of DaySessions
        Hours per segment of the plan.
    config : TradeConfig
        Settings and dated tables.
    known_until_ns : int
        Days that end later have no mark.
    """
    money = _money(plan, sizes, resolution, book, sessions, config)
    trades = _trades(plan, sizes, resolution, money, book, sessions)
    return TradeTables(
        trades=trades,
        legs=_legs(plan, resolution),
        marks=_marks(plan, resolution, book, sessions, config, known_until_ns),
        audit=_audit(plan, resolution, money),
    )


# -------------------------------------------------------------------- money


@dataclass(frozen=True, slots=True)
class _Money:
    """Amounts per idea, paise; meaningful where the idea was entered (exits: where it closed)."""

    entry: Int
    exit: Int
    exit_ns: Int
    exit_leg: Int
    quantity: Int
    gross: Int
    slippage: Int
    charges: Int
    net: Int
    desk_net: Int
    share: Float


def _money(
    plan: Plan,
    sizes: Sizes,
    resolution: Resolution,
    book: BarBook,
    sessions: list[DaySessions],
    config: TradeConfig,
) -> _Money:
    legs = resolution.legs
    entered = legs[:, :, kernel.ENTRY] != NONE
    closed = entered & (legs[:, :, kernel.STATE] == kernel.CLOSED)
    quantity = np.where(entered, legs[:, :, kernel.QUANTITY], 0)
    total = quantity.sum(axis=1)
    entry = legs[:, :, kernel.ENTRY].max(axis=1, initial=NONE)
    average = leg_average(legs)
    gross = (plan.sign[:, None] * np.where(closed, (average - legs[:, :, kernel.ENTRY]) * quantity, 0)).sum(
        axis=1
    )
    share = _value_shares(plan, resolution, entry * total, book, sessions)
    ppm = costs.slippage_per_unit(config.slippage, CATEGORIES, plan.category, share)
    slippage = _slippage(plan, resolution, closed, quantity, ppm)
    orders = order_rows(plan.category, plan.sign, resolution.entry_ns, legs, resolution.slices)
    charges = costs.charges_of(config.charges, plan.charge_segment, orders)
    net = gross - slippage - charges
    held = np.maximum(total, 1)
    desk = np.minimum(sizes.desk_lots * plan.lot_size, total)
    desk_charges = costs.charges_of(config.charges, plan.charge_segment, orders.scaled(desk, held))
    desk_net = gross * desk // held - slippage * desk // held - desk_charges
    last = _last_leg(legs, closed)
    rows = np.arange(plan.size)
    return _Money(
        entry=entry,
        exit=average[rows, last],
        exit_ns=legs[rows, last, kernel.EXIT_NS],
        exit_leg=last,
        quantity=total,
        gross=gross,
        slippage=slippage,
        charges=charges,
        net=net,
        desk_net=desk_net,
        share=share,
    )


def _last_leg(legs: Int, closed: Bool) -> Int:
    """Column of the leg that ended last, the higher number where several did."""
    stamps = np.where(closed, legs[:, :, kernel.EXIT_NS], NONE)
    width = stamps.shape[1]
    last: Int = width - 1 - np.argmax(stamps[:, ::-1], axis=1)
    return last


def _slippage(plan: Plan, resolution: Resolution, closed: Bool, quantity: Int, ppm: Int) -> Int:
    """Slippage of what takes liquidity: MARKET and STOP entries, every exit but targets."""
    legs, slices = resolution.legs, resolution.slices
    takes = np.isin(plan.entry_type, _TAKERS)[:, None] & (quantity > 0)
    rate = ppm[:, None]
    paid = np.where(takes, costs.slippage_paise(legs[:, :, kernel.ENTRY], rate, quantity), 0)
    price = slices.notional // slices.quantity
    np.add.at(
        paid,
        (slices.trade, slices.leg),
        costs.slippage_paise(price, ppm[slices.trade], slices.quantity),
    )
    part, part_notional = slices.sums(quantity.shape)
    rest = np.where(closed, quantity - part, 0)
    rest_price = (legs[:, :, kernel.NOTIONAL] - part_notional) // np.maximum(rest, 1)
    reason = legs[:, :, kernel.REASON]
    resting = (reason == _TARGET) | (reason == _EXPIRY)
    paid = paid + np.where(closed & ~resting, costs.slippage_paise(rest_price, rate, rest), 0)
    result: Int = paid.sum(axis=1)
    return result


def order_rows(category: Int, sign: Int, entry_ns: Int, legs: Int, slices: Slices) -> costs.Orders:
    """List the orders of all ideas: one entry per leg, one exit per leg, one for each part closed early."""
    shape = legs.shape[:2]
    entered = legs[:, :, kernel.ENTRY] != NONE
    closed = entered & (legs[:, :, kernel.STATE] == kernel.CLOSED)
    _, part_notional = slices.sums(shape)
    is_option = _SETTLED_CATEGORIES[category][:, None]
    settles = closed & is_option & (legs[:, :, kernel.REASON] == _EXPIRY)
    row = np.broadcast_to(np.arange(len(sign))[:, None], shape)
    is_buy = np.broadcast_to((sign > 0)[:, None], shape)
    entries = np.broadcast_to(entry_ns[:, None], shape)
    paid = legs[:, :, kernel.ENTRY] * legs[:, :, kernel.QUANTITY]
    received = legs[:, :, kernel.NOTIONAL] - part_notional
    groups = (
        (entered, entries, is_buy, np.zeros(shape, bool), paid),
        (closed, legs[:, :, kernel.EXIT_NS], ~is_buy, settles, received),
    )
    no_settlement = np.zeros(len(slices.trade), bool)
    return costs.Orders(
        trade=np.concatenate([*(row[mask] for mask, *_ in groups), slices.trade]),
        day=costs.ist_days(np.concatenate([*(ns[mask] for mask, ns, *_ in groups), slices.at_ns])),
        is_buy=np.concatenate([*(buy[mask] for mask, _, buy, _, _ in groups), sign[slices.trade] < 0]),
        is_settlement=np.concatenate([*(settle[mask] for mask, _, _, settle, _ in groups), no_settlement]),
        turnover=np.concatenate([*(turnover[mask] for mask, *_, turnover in groups), slices.notional]),
    )


def _value_shares(
    plan: Plan, resolution: Resolution, value: Int, book: BarBook, sessions: list[DaySessions]
) -> Float:
    """Order value as a share of the average 5-minute traded value before the entry, NaN where unknown."""
    result = np.full(plan.size, np.nan)
    entered = resolution.entry_ns != NONE
    for (key, code), rows in _by_key_and_segment(plan, entered).items():
        average = average_slot_value(book.get(key), resolution.entry_ns[rows], sessions[code])
        with np.errstate(divide="ignore", invalid="ignore"):
            result[rows] = np.where(average > 0, value[rows] / average, np.nan)
    return result


def _by_key_and_segment(plan: Plan, mask: Bool) -> dict[tuple[str, int], Int]:
    rows = np.flatnonzero(mask)
    keys = pd.DataFrame(
        {"key": plan.frame[PRICE_SERIES].to_numpy()[rows], "code": plan.session_segment[rows], "row": rows}
    )
    found: dict[tuple[str, int], Int] = {}
    for code in np.unique(keys["code"]):
        mine = keys[keys["code"] == code]
        for key, at in mine.groupby("key", sort=True).indices.items():
            found[str(key), int(code)] = mine["row"].to_numpy(dtype=np.int64)[at]
    return found


# ------------------------------------------------------------------- trades


def _whole(values: Int, mask: Bool) -> Any:
    """Whole numbers, null where the mask is false."""
    return pd.arrays.IntegerArray(values.astype(np.int64), ~mask)


def _flags(values: Bool, mask: Bool) -> Any:
    return pd.arrays.BooleanArray(values.astype(bool), ~mask)


def _stamps(ns: Int, mask: Bool) -> pd.Series:
    stamps = pd.Series(np.where(mask, ns, np.iinfo(np.int64).min).astype("datetime64[ns]"))
    return stamps.dt.tz_localize("UTC")


def _dates(ns: Int, mask: Bool) -> list[Any]:
    days = costs.ist_days(ns)
    known = {int(day): day_of(int(day)) for day in np.unique(days[mask])}
    return [known[int(day)] if use else None for day, use in zip(days, mask, strict=True)]


def _ratio(over: Int | Float, under: Int | Float, mask: Bool) -> Float:
    usable = mask & (under > 0)
    return np.where(usable, over / np.where(usable, under, 1), np.nan)


def _trades(
    plan: Plan,
    sizes: Sizes,
    resolution: Resolution,
    money: _Money,
    book: BarBook,
    sessions: list[DaySessions],
) -> pd.DataFrame:
    source = plan.frame
    free = ~resolution.blocked
    has_size = sizes.margin > 0
    frame = source[list(_CARRIED_OVER)].copy()
    frame["trade_id"] = source["signal_id"].astype(str)
    frame["product"] = plan.product
    frame["product_reason"] = plan.reason
    frame["lots"] = np.where(free, sizes.lots, 0)
    frame["quantity"] = np.where(free, sizes.lots, 0) * plan.lot_size
    frame["margin_paise"] = _whole(sizes.margin, has_size)
    frame["desk_lots"] = _whole(sizes.desk_lots, plan.stop != NONE)
    frame["desk_quantity"] = _whole(sizes.desk_lots * plan.lot_size, plan.stop != NONE)
    frame["desk_margin_paise"] = _whole(sizes.desk_margin, plan.stop != NONE)
    frame["traded_value_paise"] = _whole(sizes.traded_value, sizes.traded_value != NONE)
    _add_outcome(frame, plan, resolution, money)
    _add_results(frame, plan, sizes, resolution, money)
    _add_features(frame, plan, resolution, money, book, sessions)
    return frame[list(_TRADE_COLUMNS)]


def _add_outcome(frame: pd.DataFrame, plan: Plan, resolution: Resolution, money: _Money) -> None:
    entered, closed = resolution.entry_ns != NONE, resolution.is_closed
    names = np.array([reason.value for reason in REASONS], object)
    frame["entry_at"] = _stamps(resolution.entry_ns, entered)
    frame["entry_date"] = _dates(resolution.entry_ns, entered)
    frame["entry_paise"] = _whole(money.entry, entered)
    frame["exit_at"] = _stamps(money.exit_ns, closed)
    frame["exit_date"] = _dates(money.exit_ns, closed)
    frame["exit_paise"] = _whole(money.exit, closed)
    told = names[resolution.reason]
    told[resolution.blocked] = None
    frame["exit_reason"] = told
    at_target = closed & (resolution.reason == _TARGET)
    frame["exit_target"] = _whole(money.exit_leg + 1, at_target)
    frame["targets_hit"] = resolution.targets_hit
    frame["ambiguous_bar"] = resolution.ambiguous
    unsettled = resolution.unsettled_ns != NONE
    frame["unsettled_at"] = _stamps(resolution.unsettled_ns, unsettled)
    frame["unsettled_date"] = _dates(resolution.unsettled_ns, unsettled)
    first = plan.frame["duplicate_of"].isna().to_numpy(dtype=bool)
    single = np.array([reason != MULTI_LEG for reason in plan.reason], bool)
    frame["is_counted"] = (closed | resolution.is_open | resolution.is_withdrawn) & first & single


def _add_results(
    frame: pd.DataFrame, plan: Plan, sizes: Sizes, resolution: Resolution, money: _Money
) -> None:
    entered, closed = resolution.entry_ns != NONE, resolution.is_closed
    risk = np.where(plan.stop != NONE, np.abs(money.entry - plan.stop), 0)
    has_risk = closed & (risk > 0)
    value = money.entry * money.quantity
    whole_risk = risk * money.quantity
    frame["notional_paise"] = _whole(value, entered)
    frame["leverage"] = _ratio(value, sizes.margin, entered)
    frame["gross_pnl_paise"] = _whole(money.gross, closed)
    frame["slippage_paise"] = _whole(money.slippage, closed)
    frame["charges_paise"] = _whole(money.charges, closed)
    frame["net_pnl_paise"] = _whole(money.net, closed)
    frame["desk_net_pnl_paise"] = _whole(money.desk_net, closed & (plan.stop != NONE))
    frame["risk_paise"] = _whole(risk, entered & (plan.stop != NONE) & (risk > 0))
    frame["r_multiple"] = _ratio(money.net, whole_risk, has_risk)
    frame["gross_r"] = _ratio(money.gross, whole_risk, has_risk)
    frame["charges_r"] = _ratio(money.charges, whole_risk, has_risk)
    frame["return_ratio"] = _ratio(money.net, sizes.margin, closed)
    frame["is_winning_trade"] = _flags(money.net > 0, closed)
    reasons = resolution.legs[:, :, kernel.REASON]
    frame["target_hit"] = _flags((reasons == _TARGET).any(axis=1), closed)
    frame["stoploss_hit"] = _flags((reasons == _STOPLOSS).any(axis=1), closed)


def _add_features(
    frame: pd.DataFrame,
    plan: Plan,
    resolution: Resolution,
    money: _Money,
    book: BarBook,
    sessions: list[DaySessions],
) -> None:
    entered, closed = resolution.entry_ns != NONE, resolution.is_closed
    entry_day = np.where(entered, costs.ist_days(resolution.entry_ns), plan.trade_day)
    exit_day = costs.ist_days(money.exit_ns)
    days = sessions[0].days
    held = np.searchsorted(days, exit_day) - np.searchsorted(days, entry_day)
    frame["holding_hours"] = _ratio(
        money.exit_ns - resolution.entry_ns, np.full(plan.size, NS_PER_HOUR), closed
    )
    frame["holding_days"] = _whole(held, closed)
    frame["is_intraday"] = _flags(exit_day == entry_day, closed)
    expires = plan.expiry_day != NONE
    frame["is_expiry_day"] = _flags(entry_day == plan.expiry_day, expires)
    frame["days_to_expiry"] = _whole(plan.expiry_day - entry_day, expires)
    moment = np.where(entered, resolution.entry_ns, plan.active)
    underlying = last_closes(plan, book, UNDERLYING_SERIES, moment)
    distance = _ratio(underlying - plan.strike, plan.strike, (plan.strike > 0) & (underlying > 0))
    is_put = (plan.frame["option_type"] == "PE").to_numpy(dtype=bool)
    frame["moneyness"] = np.where(is_put, -distance, distance)
    frame["traded_value_share"] = money.share


def _legs(plan: Plan, resolution: Resolution) -> pd.DataFrame:
    legs = resolution.legs
    free = ~resolution.blocked[:, None]
    row, column = np.nonzero(free & (legs[:, :, kernel.QUANTITY] > 0) & (legs[:, :, kernel.ENTRY] != NONE))
    found = legs[row, column]
    everywhere = np.ones(len(row), bool)
    closed = found[:, kernel.STATE] == kernel.CLOSED
    names = np.array([reason.value for reason in REASONS], object)
    average = leg_average(found)
    entry = found[:, kernel.ENTRY]
    gross = plan.sign[row] * (average - entry) * found[:, kernel.QUANTITY]
    reasons = names[found[:, kernel.REASON]]
    reasons[~closed] = None
    return pd.DataFrame(
        {
            "trade_date": plan.frame["trade_date"].to_numpy()[row],
            "trade_id": plan.frame["signal_id"].astype(str).to_numpy()[row],
            "leg_number": column + 1,
            "lots": found[:, kernel.QUANTITY] // plan.lot_size[row],
            "quantity": found[:, kernel.QUANTITY],
            "target_paise": _whole(found[:, kernel.TARGET], found[:, kernel.TARGET] != NONE),
            "entry_at": _stamps(resolution.entry_ns[row], everywhere),
            "entry_paise": _whole(entry, everywhere),
            "exit_at": _stamps(found[:, kernel.EXIT_NS], closed),
            "exit_paise": _whole(average, closed),
            "exit_reason": reasons,
            "exit_target": _whole(column + 1, closed & (found[:, kernel.REASON] == _TARGET)),
            "gross_pnl_paise": _whole(gross, closed),
        },
        columns=list(_LEG_COLUMNS),
    )


# -------------------------------------------------------------------- marks


def _marks(
    plan: Plan,
    resolution: Resolution,
    book: BarBook,
    sessions: list[DaySessions],
    config: TradeConfig,
    known_until_ns: int,
) -> pd.DataFrame:
    """One row per market day at whose end a trade is open, worth its gross move less charges."""
    trade, day_index = _open_day_ends(plan, resolution, sessions, known_until_ns)
    close = np.full(len(trade), NONE, np.int64)
    close_ns = np.zeros(len(trade), np.int64)
    for code, hours in enumerate(sessions):
        mine = plan.session_segment[trade] == code
        close_ns[mine] = hours.close_ns[day_index[mine]]
    keys = plan.frame[PRICE_SERIES].to_numpy()[trade]
    for key, rows in pd.Series(keys).groupby(keys, sort=True).indices.items():
        bars = book.get(str(key))
        if bars is not None:
            close[rows] = bars.close_before(close_ns[rows])
    known = close > 0
    trade, day_index, close, close_ns = trade[known], day_index[known], close[known], close_ns[known]
    worth = _mark_worth(plan, resolution, config, trade, close, close_ns)
    days = [day_of(int(day)) for day in sessions[0].days]
    return pd.DataFrame(
        {
            "trade_date": plan.frame["trade_date"].to_numpy()[trade],
            "trade_id": plan.frame["signal_id"].astype(str).to_numpy()[trade],
            "mark_date": np.array(days, object)[day_index],
            "close_paise": close,
            "mark_pnl_paise": worth,
        },
        columns=list(_MARK_COLUMNS),
    )


def _open_day_ends(
    plan: Plan, resolution: Resolution, sessions: list[DaySessions], known_until_ns: int
) -> tuple[Int, Int]:
    """Pairs of idea and market day (positions) at whose close the idea is open."""
    days = sessions[0].days
    closed, withdrawn = resolution.is_closed, resolution.is_withdrawn
    alive = closed | resolution.is_open | withdrawn
    exit_ns = resolution.legs[:, :, kernel.EXIT_NS].max(axis=1)
    end_ns = np.where(withdrawn, resolution.unsettled_ns, exit_ns)
    begin = np.searchsorted(days, costs.ist_days(resolution.entry_ns))
    finish = np.searchsorted(days, costs.ist_days(end_ns))
    for code, hours in enumerate(sessions):
        mine = (plan.session_segment == code) & resolution.is_open
        finish[mine] = np.searchsorted(hours.close_ns, known_until_ns, side="right")
    count = np.where(alive, np.maximum(finish - begin, 0), 0)
    trade = np.repeat(np.arange(plan.size), count)
    offset = np.arange(len(trade)) - np.repeat(np.cumsum(count) - count, count)
    return trade, begin[trade] + offset


def _mark_worth(
    plan: Plan, resolution: Resolution, config: TradeConfig, trade: Int, close: Int, close_ns: Int
) -> Int:
    legs = resolution.legs[trade].copy()
    entered = legs[:, :, kernel.ENTRY] != NONE
    when, price = close_ns[:, None], close[:, None]
    slices = _slices_before(resolution.slices, trade, close_ns)
    part, part_notional = slices.sums(entered.shape)
    # what happened after the mark has not happened: such a leg is closed at the mark instead
    ended = entered & (legs[:, :, kernel.STATE] == kernel.CLOSED) & (legs[:, :, kernel.EXIT_NS] <= when)
    marked = part_notional + (legs[:, :, kernel.QUANTITY] - part) * price
    legs[:, :, kernel.NOTIONAL] = np.where(ended, legs[:, :, kernel.NOTIONAL], marked)
    legs[:, :, kernel.EXIT_NS] = np.where(ended, legs[:, :, kernel.EXIT_NS], when)
    legs[:, :, kernel.REASON] = np.where(ended, legs[:, :, kernel.REASON], _OPEN)
    legs[:, :, kernel.STATE] = np.where(entered, kernel.CLOSED, legs[:, :, kernel.STATE])
    sign = plan.sign[trade]
    orders = order_rows(plan.category[trade], sign, resolution.entry_ns[trade], legs, slices)
    charges = costs.charges_of(config.charges, plan.charge_segment[trade], orders)
    paid = legs[:, :, kernel.ENTRY] * legs[:, :, kernel.QUANTITY]
    move = np.where(entered, legs[:, :, kernel.NOTIONAL] - paid, 0).sum(axis=1)
    worth: Int = sign * move - charges
    return worth


def _slices_before(slices: Slices, trade: Int, when: Int) -> Slices:
    """Give each mark (rising ``trade``, moment ``when``) its trade's partial exits up to then."""
    begin = np.searchsorted(trade, slices.trade, side="left")
    count = np.searchsorted(trade, slices.trade, side="right") - begin
    row = np.repeat(np.arange(len(count)), count)
    mark = np.repeat(begin, count) + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    known = slices.at_ns[row] <= when[mark]
    return slices.take(row[known], mark[known])


# -------------------------------------------------------------------- audit

_CLAIMS = (
    # first match counts: "target not hit" must not read as a target
    (("NOT TRIGGERED", "NOT_TRIGGERED", "NOT EXECUTED", "NO ENTRY", "CANCEL"), "NOT_TRIGGERED"),
    (("STOP", "SL", "LOSS"), "STOPLOSS"),
    (("TARGET", "TGT", "PROFIT", "HIT", "ACHIEVED"), "TARGET"),
    (("OPEN", "RUNNING", "HOLD"), "OPEN"),
    (("EXIT", "CLOSED", "BOOKED", "SQUARE"), "EXIT"),
)
_UNSETTLED = frozenset(
    {ExitReason.NO_PRICE_DATA.value, ExitReason.UNDETERMINED.value, ExitReason.INCOMPLETE.value}
)


def read_claim(status: str) -> str | None:
    """Read an advisor's own word about an idea.

    Returns
    -------
    str or None
        TARGET, STOPLOSS, NOT_TRIGGERED, OPEN, EXIT, or None where the text says nothing known.

    Examples
    --------
    >>> read_claim("Target 2 achieved")
    'TARGET'
    """
    text = status.upper()
    for words, claim in _CLAIMS:
        if any(word in text for word in words):
            return claim
    return None


def _claim_agrees(claim: str | None, reason: str | None, targets_hit: int, entered: bool) -> bool | None:
    if claim is None or reason is None or reason in _UNSETTLED:
        return None
    if claim == "TARGET":
        return targets_hit > 0
    if claim == "STOPLOSS":
        return reason == ExitReason.STOPLOSS.value
    if claim == "NOT_TRIGGERED":
        return not entered
    if claim == "OPEN":
        return reason == ExitReason.OPEN.value
    return entered and reason != ExitReason.OPEN.value


def _audit(plan: Plan, resolution: Resolution, money: _Money) -> pd.DataFrame:
    """Compare what advisors say became of their ideas with what did."""
    status = plan.frame["reported_status"]
    rows = np.flatnonzero((status.notna() & ~resolution.blocked).to_numpy(dtype=bool))
    exits = pd.to_numeric(plan.frame["reported_exit_paise"]).to_numpy(dtype=np.float64, na_value=np.nan)
    closed, entered = resolution.is_closed, resolution.entry_ns != NONE
    real = _ratio(money.gross, money.entry * money.quantity, closed)
    entry = money.entry.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        claimed = np.where(entered, plan.sign * (exits - entry) / entry, np.nan)
    reasons = [REASONS[code].value for code in resolution.reason[rows]]
    agrees = [
        _claim_agrees(read_claim(str(said)), reason, int(hit), bool(was))
        for said, reason, hit, was in zip(
            status.iloc[rows], reasons, resolution.targets_hit[rows], entered[rows], strict=True
        )
    ]
    return pd.DataFrame(
        {
            "trade_date": plan.frame["trade_date"].to_numpy()[rows],
            "trade_id": plan.frame["signal_id"].astype(str).to_numpy()[rows],
            "reported_status": status.astype(object).to_numpy()[rows],
            "verified_reason": reasons,
            "agrees": pd.array(agrees, dtype="boolean"),
            "flattering_ratio": (claimed - real)[rows],
        },
        columns=list(_AUDIT_COLUMNS),
    )

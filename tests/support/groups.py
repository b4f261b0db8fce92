"""Builders of trade groups, bars and super orders."""

from propdesk.execution.matching import SuperOrder
from propdesk.execution.trade_group import split_legs
from propdesk.model.enums import Category, EntryType, ExitReason, FollowupKind, Period, Product, Side
from propdesk.model.messages import BarObserved
from propdesk.model.order import LegEvent, LegEventKind, TradeGroup
from propdesk.model.signal import Followup


def group(
    *,
    side: Side = Side.BUY,
    entry: int = 127,
    stop: int | None = 110,
    targets: tuple[int, ...] = (142, 171, 200),
    lots: int = 3,
    lot_size: int = 75,
    tick: int = 1,
    is_reverse: bool = False,
) -> TradeGroup:
    """A group as the spec's example: BUY 127, stop 110, targets 142, 171, 200."""
    return TradeGroup(
        group_id="g",
        signal_id="s",
        advisor_id="A01",
        instrument_key="K",
        category=Category.INDEX_OPT,
        period=Period.INTRADAY,
        product=Product.INTRADAY,
        side=side,
        entry_type=EntryType.STOP,
        entry_low_paise=entry,
        entry_high_paise=entry,
        stop_paise=stop,
        targets_paise=targets,
        lot_size=lot_size,
        tick_paise=tick,
        margin_paise=0,
        active_from_ns=0,
        valid_until_ns=1_000,
        exit_at_ns=2_000,
        exit_at_reason=ExitReason.SQUARE_OFF,
        legs=split_legs(lots, lot_size, targets, stop),
        is_reverse=is_reverse,
    )


def entered(leg: int, price: int = 127, quantity: int = 75, at: int = 1) -> LegEvent:
    """A leg's entry filled."""
    return LegEvent(LegEventKind.ENTRY_FILLED, leg, price, quantity, at)


def target_hit(leg: int, price: int, quantity: int = 75, at: int = 2) -> LegEvent:
    """A leg's target filled."""
    return LegEvent(LegEventKind.TARGET_FILLED, leg, price, quantity, at)


def stopped(leg: int, price: int, quantity: int = 75, at: int = 3) -> LegEvent:
    """A leg's stop filled."""
    return LegEvent(LegEventKind.STOP_FILLED, leg, price, quantity, at)


def followup(kind: FollowupKind, **fields: object) -> Followup:
    """What the advisor says later."""
    return Followup("f", "s", "test", "A01", None, 0, 0, kind, **fields)  # type: ignore[arg-type]


def bar(open_: int, high: int, low: int, close: int, start: int = 0) -> BarObserved:
    """A bar that lasts 60."""
    return BarObserved("K", start, 60, open_, high, low, close, 10)


def order(
    side: Side = Side.BUY,
    kind: EntryType = EntryType.LIMIT,
    low: int | None = 100,
    high: int | None = None,
    stop: int | None = 95,
    target: int | None = 110,
    quantity: int = 10,
) -> SuperOrder:
    """A waiting super order of one leg."""
    return SuperOrder(
        "o", 1, side, quantity, kind, low, low if high is None else high, stop, target, target, 0, 10_000
    )

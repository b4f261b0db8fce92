"""Every advisor's ideas, followed on paper: the crowd knows who is in and who is out (§5.5)."""

from dataclasses import replace
from datetime import date

from propdesk.engine.context import lifetime_of, price_key_of
from propdesk.engine.state import LastPrice, TrackedIdea
from propdesk.engine.turn import Turn
from propdesk.execution.matching import (
    SuperOrder,
    SuperOrderState,
    exit_at,
    match_bar,
    modify,
    super_orders_of,
)
from propdesk.execution.trade_group import apply_event, apply_followup, due_actions, is_finished, split_legs
from propdesk.model.enums import EntryType, ExitReason, Period, Product, Side
from propdesk.model.instrument import Instrument
from propdesk.model.messages import BarObserved, TickObserved
from propdesk.model.order import LegAction, LegActionKind, LegEvent, LegState, TradeGroup
from propdesk.model.signal import Followup, Signal, sentiment
from propdesk.strategy.crowd import (
    CrowdChange,
    CrowdChangeKind,
    CrowdLedger,
    apply_change,
    find_cluster,
    idea_key,
)

_HIGHEST = 1 << 62
_LOWEST = -1


def track_signal(
    turn: Turn, signal: Signal, instrument: Instrument, period: Period, trade_date: date
) -> None:
    """Follow a signal from now on, whatever the gates will say (crowd first)."""
    if signal.signal_id in turn.tracked:
        return
    context = turn.context
    key = idea_key(
        instrument.instrument_key,
        signal.side.value,
        (signal.entry_low_paise, signal.entry_high_paise),
        signal.stoploss_paise,
        signal.targets_paise,
    )
    turn.crowd, cluster = find_cluster(
        turn.crowd,
        key,
        signal.signal_id,
        signal.advisor_id,
        signal.received_ns,
        context.crowd.copy_window_ns,
    )
    price_key = price_key_of(instrument)
    turn.subscribe(price_key)
    lifetime = lifetime_of(context, instrument, period, trade_date)
    if lifetime.expiry_too_near:
        return
    group = _virtual_group(turn, signal, instrument, period)
    group = replace(
        group,
        valid_until_ns=lifetime.valid_until_ns,
        exit_at_ns=lifetime.exit_at_ns,
        exit_at_reason=lifetime.exit_at_reason,
    )
    orders = super_orders_of(group)
    idea = TrackedIdea(
        signal.signal_id,
        signal.advisor_id,
        instrument.underlying,
        sentiment(signal.side, instrument.option_type),
        cluster,
        price_key,
        group,
        orders,
        False,
        _HIGHEST,
        _LOWEST,
    )
    turn.tracked.put(signal.signal_id, _with_quiet_band(idea))
    turn.tracked_by_key.put(price_key, (*(turn.tracked_by_key.get(price_key) or ()), signal.signal_id))


def forget_waiting(turn: Turn, signal_id: str) -> bool:
    """Stop following an idea that has not opened; False where it is open or was not followed at all.

    What the crowd holds it holds, whatever the advisor says of the entry afterwards.
    """
    idea = turn.tracked.get(signal_id)
    if idea is None or idea.is_open:
        return False
    turn.tracked.drop(signal_id)
    rest = tuple(name for name in turn.tracked_by_key[idea.price_key] if name != signal_id)
    turn.tracked_by_key.put(idea.price_key, rest)
    return True


def _virtual_group(turn: Turn, signal: Signal, instrument: Instrument, period: Period) -> TradeGroup:
    lots = max(1, len(signal.targets_paise))
    return TradeGroup(
        group_id=signal.signal_id,
        signal_id=signal.signal_id,
        advisor_id=signal.advisor_id,
        instrument_key=instrument.instrument_key,
        category=instrument.category,
        period=period,
        product=Product.INTRADAY if period is Period.INTRADAY else Product.MARGIN,
        side=signal.side,
        entry_type=signal.entry_type,
        entry_low_paise=signal.entry_low_paise,
        entry_high_paise=signal.entry_high_paise,
        stop_paise=signal.stoploss_paise,
        targets_paise=signal.targets_paise,
        lot_size=instrument.lot_size,
        tick_paise=instrument.tick_paise,
        margin_paise=0,
        active_from_ns=signal.received_ns + turn.context.latency_ns,
        valid_until_ns=0,
        exit_at_ns=None,
        exit_at_reason=None,
        legs=split_legs(lots, instrument.lot_size, signal.targets_paise, signal.stoploss_paise),
    )


# ------------------------------------------------------------------ events


def on_bar(turn: Turn, bar: BarObserved) -> None:
    """Let a bar act on every idea of its instrument."""
    for signal_id in turn.tracked_by_key.get(bar.price_key) or ():
        idea = turn.tracked[signal_id]
        if bar.low_paise > idea.quiet_low_paise and bar.high_paise < idea.quiet_high_paise:
            continue
        if bar.start_ns < idea.group.active_from_ns:
            continue
        group, orders = idea.group, list(idea.orders)
        events: list[LegEvent] = []
        for index, order in enumerate(orders):
            orders[index], found = match_bar(order, bar)
            events.extend(found)
        if events:
            _advance(turn, idea, group, orders, events)


def _advance(
    turn: Turn, idea: TrackedIdea, group: TradeGroup, orders: list[SuperOrder], events: list[LegEvent]
) -> None:
    for event in events:
        group, actions = apply_event(group, event)
        for action in actions:
            _act(turn, orders, action)
    _store(turn, replace(idea, group=_withdraw_done(group, orders), orders=tuple(orders)))


def _act(turn: Turn, orders: list[SuperOrder], action: LegAction) -> list[LegEvent]:
    """Carry a wish out on the virtual orders at once; timed and follow-up exits need no price here."""
    index = action.leg_number - 1
    order = orders[index]
    if action.kind is LegActionKind.MODIFY_STOP:
        orders[index] = modify(order, stop=action.price_paise)
    elif action.kind is LegActionKind.MODIFY_TARGET:
        orders[index] = modify(order, target=action.price_paise)
    elif action.kind is LegActionKind.CANCEL_ENTRY:
        if order.state is SuperOrderState.PENDING:
            orders[index], events = exit_at(order, 0, turn.now_ns, ExitReason.NOT_TRIGGERED)
            return list(events)
    else:
        # What it is closed at does not matter to the crowd: only that it is closed.
        price = order.entry_paise or 0
        orders[index], events = exit_at(
            order, price, turn.now_ns, action.reason or ExitReason.FOLLOWUP_EXIT, action.quantity
        )
        return list(events)
    return []


def _withdraw_done(group: TradeGroup, orders: list[SuperOrder]) -> TradeGroup:
    """Let no leg wait whose virtual entry was withdrawn."""
    legs = tuple(
        replace(leg, state=LegState.CANCELLED)
        if leg.state is LegState.WORKING and order.state is SuperOrderState.DONE
        else leg
        for leg, order in zip(group.legs, orders, strict=True)
    )
    return replace(group, legs=legs)


def on_time(turn: Turn) -> None:
    """Close what has reached its latest moment, drop what was never entered in time."""
    for idea in turn.tracked.values():
        exit_ns = idea.group.exit_at_ns
        if turn.now_ns < idea.group.valid_until_ns and (exit_ns is None or turn.now_ns < exit_ns):
            continue
        _, actions = due_actions(idea.group, turn.now_ns)
        _apply_actions(turn, idea, idea.group, actions)


def on_followup(turn: Turn, signal_id: str, followup: Followup) -> None:
    """Do on paper what the advisor says; his loosened stops are his own, so they are followed here."""
    idea = turn.tracked.get(signal_id)
    if idea is None:
        return
    group, actions = apply_followup(idea.group, followup, allow_loosening=True)
    _apply_actions(turn, idea, group, actions)


def _apply_actions(turn: Turn, idea: TrackedIdea, group: TradeGroup, actions: tuple[LegAction, ...]) -> None:
    if not actions:
        return
    orders, events = list(idea.orders), []
    for action in actions:
        events += _act(turn, orders, action)
    _advance(turn, idea, group, orders, events)


# ------------------------------------------------------------------ storing


def _store(turn: Turn, idea: TrackedIdea) -> None:
    """Keep the idea, or forget it when it is over; tell the crowd ledger what changed."""
    opened = any(leg.filled_quantity > 0 for leg in idea.group.legs)
    finished = is_finished(idea.group)
    if opened and not idea.is_open:
        _tell(turn, idea, CrowdChangeKind.OPENED, "TRIGGERED")
        idea = replace(idea, is_open=True)
    if finished:
        if idea.is_open:
            reasons = [leg.exit_reason.value for leg in idea.group.legs if leg.exit_reason is not None]
            _tell(turn, idea, CrowdChangeKind.CLOSED, reasons[-1] if reasons else "CLOSED")
        turn.tracked.drop(idea.signal_id)
        rest = tuple(s for s in turn.tracked_by_key[idea.price_key] if s != idea.signal_id)
        turn.tracked_by_key.put(idea.price_key, rest)
        return
    turn.tracked.put(idea.signal_id, _with_quiet_band(idea))


def _tell(turn: Turn, idea: TrackedIdea, kind: CrowdChangeKind, reason: str) -> None:
    turn.change_crowd(
        CrowdChange(
            kind,
            idea.signal_id,
            idea.advisor_id,
            idea.underlying,
            idea.direction,
            idea.cluster_id,
            turn.now_ns,
            reason,
        )
    )


def _with_quiet_band(idea: TrackedIdea) -> TrackedIdea:
    """Compute the open interval of prices in which nothing can happen to the idea."""
    low, high = _LOWEST, _HIGHEST
    for order in idea.orders:
        for level, falls in _levels(order):
            if falls:
                low = max(low, level)
            else:
                high = min(high, level)
    return replace(idea, quiet_low_paise=low, quiet_high_paise=high)


def _levels(order: SuperOrder) -> list[tuple[int, bool]]:
    """Levels at which an order acts: (price, whether by a fall to it)."""
    buys = order.side is Side.BUY
    if order.state is SuperOrderState.OPEN:
        found = []
        if order.stop_paise is not None:
            found.append((order.stop_paise, buys))
        if order.target_paise is not None:
            found.append((order.target_paise, not buys))
        return found
    if order.state is SuperOrderState.DONE:
        return []
    low, high = order.entry_low_paise, order.entry_high_paise
    if order.entry_type is EntryType.MARKET or low is None or high is None:
        return [(_HIGHEST, True)]
    if order.entry_type is EntryType.RANGE:
        return [(high, True), (low, False)]
    return [(low, buys == (order.entry_type is EntryType.LIMIT))]


def remember_price(turn: Turn, bar: BarObserved) -> bool:
    """Keep the newest price of a series; an older bar changes nothing.

    Returns
    -------
    bool
        Whether this is the first price of the series.
    """
    turn.scalars["feed_heard_ns"] = turn.now_ns
    end_ns = bar.start_ns + bar.interval_ns
    old = turn.prices.get(bar.price_key)
    if old is not None and old.at_ns >= end_ns:
        return False
    turn.prices.put(bar.price_key, LastPrice(bar.close_paise, end_ns, bar.interval_ns))
    if end_ns > turn.scalar("market_seen_ns"):
        turn.scalars["market_seen_ns"] = end_ns
        turn.scalars["feed_interval_ns"] = bar.interval_ns
    return old is None


def bar_of(tick: TickObserved) -> BarObserved:
    """Read a traded price as a bar that holds one price and lasts no time."""
    price = tick.price_paise
    return BarObserved(tick.price_key, tick.ts_ns, 0, price, price, price, price, -1)


def reopen(ledger: CrowdLedger, idea: TrackedIdea) -> CrowdLedger:
    """Put an idea that is open from an earlier day back into the crowd ledger."""
    entered = min(leg.entry_ns for leg in idea.group.legs if leg.entry_ns is not None)
    return apply_change(
        ledger,
        CrowdChange(
            CrowdChangeKind.OPENED,
            idea.signal_id,
            idea.advisor_id,
            idea.underlying,
            idea.direction,
            idea.cluster_id,
            entered,
            "CARRIED",
        ),
    )

"""Fill logic of one super order against bars and ticks: the only one there is.

Outcome resolution, simulation and the paper broker all call these functions, so that what the
history says, what a replay does and what paper trading does are the same by construction.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from propdesk.core.invariant import require
from propdesk.model.enums import EntryType, ExitReason, Side
from propdesk.model.messages import BarObserved, TickObserved
from propdesk.model.order import LegEvent, LegEventKind, TradeGroup


class SuperOrderState(StrEnum):
    """PENDING = entry wanted; OPEN = filled, stop and target live; DONE = nothing more happens."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    DONE = "DONE"


@dataclass(frozen=True, slots=True)
class SuperOrder:
    """Entry, stop and target of one leg (§5.4). Prices in paise, stamps in ns UTC.

    Attributes
    ----------
    order_key : str
        The caller's name of it (the correlation id where a broker is involved).
    entry_low_paise, entry_high_paise : int or None
        Equal but for RANGE; None for MARKET.
    first_target_paise : int or None
        Nearest target of the whole group: a fill at or beyond it is GAPPED_THROUGH (§2.5).
    active_from_ns, valid_until_ns : int
        Only bars starting in [active_from_ns, valid_until_ns) can fill the entry.
    entry_paise, entry_ns : int or None
        The fill.
    exited_quantity, exit_notional_paise : int
        Exits so far; the notional is the sum of price x quantity.
    """

    order_key: str
    leg_number: int
    side: Side
    quantity: int
    entry_type: EntryType
    entry_low_paise: int | None
    entry_high_paise: int | None
    stop_paise: int | None
    target_paise: int | None
    first_target_paise: int | None
    active_from_ns: int
    valid_until_ns: int
    state: SuperOrderState = SuperOrderState.PENDING
    entry_paise: int | None = None
    entry_ns: int | None = None
    exited_quantity: int = 0
    exit_notional_paise: int = 0

    @property
    def open_quantity(self) -> int:
        """Units filled and not yet exited."""
        return self.quantity - self.exited_quantity if self.state is SuperOrderState.OPEN else 0


Matched = tuple[SuperOrder, tuple[LegEvent, ...]]


def super_orders_of(group: TradeGroup) -> tuple[SuperOrder, ...]:
    """Lay out the super orders that a group followed on paper rests at the exchange.

    Parameters
    ----------
    group : TradeGroup
        Fresh: all legs waiting.

    Returns
    -------
    tuple of SuperOrder
        One per leg, in the order of the legs, keyed ``group_id|leg_number``. A paper order is not cut by
        the freeze quantity: that changes nothing about its fills.
    """
    return tuple(
        SuperOrder(
            order_key=f"{group.group_id}|{leg.leg_number}",
            leg_number=leg.leg_number,
            side=group.side,
            quantity=leg.quantity,
            entry_type=group.entry_type,
            entry_low_paise=group.entry_low_paise,
            entry_high_paise=group.entry_high_paise,
            stop_paise=leg.stop_paise,
            target_paise=leg.target_paise,
            first_target_paise=group.targets_paise[0] if group.targets_paise else None,
            active_from_ns=group.active_from_ns,
            valid_until_ns=group.valid_until_ns,
        )
        for leg in group.legs
    )


def match_bar(order: SuperOrder, bar: BarObserved) -> Matched:
    """Let one bar act on one super order.

    Parameters
    ----------
    order : SuperOrder
        Any state.
    bar : BarObserved
        A complete bar of the order's instrument; bars are handed over in rising order.

    Returns
    -------
    tuple of (SuperOrder, tuple of LegEvent)
        The order after the bar and the facts that follow, in order; stamps are the bar's start.

    Notes
    -----
    Gaps fill at the open. Stop and target in one bar, or entry and stop in one bar: the stop, flagged
    ambiguous. A target in the entry bar counts only where the entry filled at the open or the close lies
    at or beyond the target. Source: §2.5.
    """
    if order.state is SuperOrderState.PENDING:
        if bar.start_ns < order.active_from_ns:
            return order, ()
        if bar.start_ns >= order.valid_until_ns:
            return cancel_entry(order, order.valid_until_ns)
        return _match_entry(order, bar)
    if order.state is SuperOrderState.OPEN:
        return _match_exit(order, bar)
    return order, ()


def match_tick(order: SuperOrder, tick: TickObserved) -> Matched:
    """Let one traded price act on one super order: a bar that holds one price and lasts no time."""
    price = tick.price_paise
    return match_bar(order, BarObserved(tick.price_key, tick.ts_ns, 0, price, price, price, price, -1))


def exit_at(
    order: SuperOrder, price_paise: int, at_ns: int, reason: ExitReason, quantity: int | None = None
) -> Matched:
    """Close what is filled at a price; an entry that still waits is cancelled.

    Parameters
    ----------
    order : SuperOrder
        Any state; DONE stays as it is.
    price_paise, at_ns : int
        Where and when.
    reason : ExitReason
        Why (FOLLOWUP_EXIT, SQUARE_OFF, TIME_OUT, PRE_EXPIRY, EXPIRY).
    quantity : int, optional
        Units to close, at most what is open; default everything.
    """
    if order.state is SuperOrderState.PENDING:
        return cancel_entry(order, at_ns)
    if order.state is SuperOrderState.DONE:
        return order, ()
    wanted = order.open_quantity if quantity is None else min(quantity, order.open_quantity)
    if wanted <= 0:
        return order, ()
    return _exit(order, LegEventKind.EXIT_FILLED, price_paise, at_ns, quantity=wanted, reason=reason)


def cancel_entry(order: SuperOrder, at_ns: int) -> Matched:
    """Withdraw an entry that has not filled; anything else is left alone."""
    if order.state is not SuperOrderState.PENDING:
        return order, ()
    event = LegEvent(LegEventKind.ENTRY_CANCELLED, order.leg_number, 0, 0, at_ns, ExitReason.NOT_TRIGGERED)
    return replace(order, state=SuperOrderState.DONE), (event,)


def modify(order: SuperOrder, *, stop: int | None = None, target: int | None = None) -> SuperOrder:
    """Move the stop or the target to an absolute price; None leaves it where it is.

    It acts from the next bar or tick on, since bars are matched whole.
    """
    if order.state is SuperOrderState.DONE:
        return order
    return replace(
        order,
        stop_paise=order.stop_paise if stop is None else stop,
        target_paise=order.target_paise if target is None else target,
    )


def _match_entry(order: SuperOrder, bar: BarObserved) -> Matched:
    fill = _entry_fill(order, bar)
    if fill is None:
        return order, ()
    price, at_open = fill
    if _gapped_through(order, price):
        event = LegEvent(
            LegEventKind.GAPPED_THROUGH,
            order.leg_number,
            price,
            0,
            bar.start_ns,
            ExitReason.GAPPED_THROUGH,
        )
        return replace(order, state=SuperOrderState.DONE), (event,)
    filled = replace(order, state=SuperOrderState.OPEN, entry_paise=price, entry_ns=bar.start_ns)
    entered = LegEvent(LegEventKind.ENTRY_FILLED, order.leg_number, price, order.quantity, bar.start_ns)
    sign = order.side.sign
    worst, best = (bar.low_paise, bar.high_paise) if sign > 0 else (bar.high_paise, bar.low_paise)
    if order.stop_paise is not None and sign * (worst - order.stop_paise) <= 0:
        after, events = _exit(
            filled, LegEventKind.STOP_FILLED, order.stop_paise, bar.start_ns, ambiguous=True
        )
        return after, (entered, *events)
    target = order.target_paise
    if target is not None and sign * (best - target) >= 0:
        certain = at_open or sign * (bar.close_paise - target) >= 0
        if certain:
            after, events = _exit(filled, LegEventKind.TARGET_FILLED, target, bar.start_ns)
            return after, (entered, *events)
    return filled, (entered,)


def _entry_fill(order: SuperOrder, bar: BarObserved) -> tuple[int, bool] | None:
    """Price of the entry in this bar and whether it filled at the open; None where it did not."""
    if order.entry_type is EntryType.MARKET:
        return bar.open_paise, True
    low, high = order.entry_low_paise, order.entry_high_paise
    require(low is not None and high is not None, "an entry other than MARKET has a price")
    assert low is not None  # noqa: S101 - tells the type checker what require has checked
    assert high is not None  # noqa: S101
    if order.entry_type is EntryType.RANGE:
        if bar.low_paise > high or bar.high_paise < low:
            return None
        return (high if order.side is Side.BUY else low), low <= bar.open_paise <= high
    # BUY LIMIT and SELL STOP wait for a fall, BUY STOP and SELL LIMIT for a rise
    falls = (order.side is Side.BUY) == (order.entry_type is EntryType.LIMIT)
    direction = -1 if falls else 1
    if direction * (bar.open_paise - low) >= 0:
        return bar.open_paise, True
    reached = bar.low_paise if falls else bar.high_paise
    return (low, False) if direction * (reached - low) >= 0 else None


def _gapped_through(order: SuperOrder, price: int) -> bool:
    sign = order.side.sign
    if order.stop_paise is not None and sign * (price - order.stop_paise) <= 0:
        return True
    return order.first_target_paise is not None and sign * (price - order.first_target_paise) >= 0


def _match_exit(order: SuperOrder, bar: BarObserved) -> Matched:
    sign, stop, target, at_ns = order.side.sign, order.stop_paise, order.target_paise, bar.start_ns
    worst, best = (bar.low_paise, bar.high_paise) if sign > 0 else (bar.high_paise, bar.low_paise)
    hits_target = target is not None and sign * (best - target) >= 0
    if stop is not None and sign * (bar.open_paise - stop) <= 0:
        return _exit(order, LegEventKind.STOP_FILLED, bar.open_paise, at_ns)
    if target is not None and sign * (bar.open_paise - target) >= 0:
        return _exit(order, LegEventKind.TARGET_FILLED, bar.open_paise, at_ns)
    if stop is not None and sign * (worst - stop) <= 0:
        return _exit(order, LegEventKind.STOP_FILLED, stop, at_ns, ambiguous=hits_target)
    if target is not None and hits_target:
        return _exit(order, LegEventKind.TARGET_FILLED, target, at_ns)
    return order, ()


def _exit(
    order: SuperOrder,
    kind: LegEventKind,
    price: int,
    at_ns: int,
    *,
    quantity: int | None = None,
    reason: ExitReason | None = None,
    ambiguous: bool = False,
) -> Matched:
    """Close ``quantity`` (default all) and tell the cumulative quantity at its average price."""
    closing = order.open_quantity if quantity is None else quantity
    exited = order.exited_quantity + closing
    notional = order.exit_notional_paise + price * closing
    average = (2 * notional + exited) // (2 * exited)
    after = replace(
        order,
        state=SuperOrderState.DONE if exited == order.quantity else SuperOrderState.OPEN,
        exited_quantity=exited,
        exit_notional_paise=notional,
    )
    return after, (LegEvent(kind, order.leg_number, average, exited, at_ns, reason, ambiguous),)

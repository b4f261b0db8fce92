"""From wishes of a trade group to order intents, and from broker facts back to the group (§5.4, §5.7)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from propdesk.core.ids import correlation_id, is_ours, split_guard_id
from propdesk.engine.state import Booked, ExecutedTrade, LegOrder, LiveGroup, OrderState, PendingEntry
from propdesk.engine.turn import Turn
from propdesk.execution.trade_group import apply_event
from propdesk.model.enums import ExitReason, KillLevel
from propdesk.model.messages import (
    CLOSED_ELSEWHERE,
    BrokerUpdate,
    BrokerUpdateKind,
    IntentKind,
    OrderIntent,
)
from propdesk.model.order import Leg, LegAction, LegActionKind, LegEvent, LegEventKind, LegState, TradeGroup
from propdesk.model.trade_event import EventKind
from propdesk.risk import corpus_ledger
from propdesk.risk.exposure import BookView
from propdesk.risk.gateway import Allow, IntentPlan, Reduce, check
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause, idea_scopes, rule_scope, strategy_scope
from propdesk.risk.protections import side_scope
from propdesk.strategy.sizing import slice_quantities

REFUSALS_MAX = 10
"""Refused stop or target changes of one order before its position is closed instead (§6.2)."""

CHANGES_MAX = 20
"""Stop and target changes of one order: the broker takes 25, five are kept for emergencies (§5.7)."""

_FILLS = {
    BrokerUpdateKind.TARGET_FILLED: LegEventKind.TARGET_FILLED,
    BrokerUpdateKind.STOP_FILLED: LegEventKind.STOP_FILLED,
    BrokerUpdateKind.EXIT_FILLED: LegEventKind.EXIT_FILLED,
}


_FORGET: Mapping[IntentKind | None, Mapping[str, Any]] = {
    IntentKind.MODIFY_STOP: {"wanted_stop_paise": None},
    IntentKind.MODIFY_TARGET: {"wanted_target_paise": None},
    IntentKind.CANCEL_ENTRY: {"cancel_wanted": False},
    IntentKind.EXIT: {"exit_wanted": None, "guard_wanted": False},
    IntentKind.EMERGENCY_STOP: {"guard_wanted": False},
    IntentKind.NEUTRALISE: {"surplus_wanted": False},
}
"""What of an order was not done after all when the broker refuses a change."""
_DOUBTS = (BrokerUpdateKind.UNREADABLE, BrokerUpdateKind.READABLE)
_COVER = (BrokerUpdateKind.NAKED, BrokerUpdateKind.EXCESS, BrokerUpdateKind.COVERED)
_PLACING_GUARDS = (IntentKind.EXIT, IntentKind.EMERGENCY_STOP)
_STOP_KINDS = (IntentKind.PLACE, IntentKind.MODIFY_STOP, IntentKind.EMERGENCY_STOP)
_FORGET_ALL: Mapping[str, Any] = {name: value for made in _FORGET.values() for name, value in made.items()}


# ------------------------------------------------------------------ placing


def make_orders(group: TradeGroup, trade_date: date, freeze_quantity: int) -> tuple[LegOrder, ...]:
    """Cut the legs of a group into super orders with the correlation ids they will always have."""
    orders = []
    for leg in group.legs:
        slices = slice_quantities(leg.quantity, group.lot_size, freeze_quantity)
        for number, quantity in enumerate(slices, start=1):
            name = correlation_id(trade_date, group.group_id, leg.leg_number, number, leg.generation)
            orders.append(
                LegOrder(
                    name,
                    leg.leg_number,
                    number,
                    quantity,
                    wanted_stop_paise=leg.stop_paise,
                    wanted_target_paise=leg.target_paise,
                )
            )
    return tuple(orders)


def place_group(turn: Turn, live: LiveGroup) -> None:
    """Put the entries of a new group out."""
    for order in live.orders:
        live = emit(turn, live, order, IntentKind.PLACE, order.quantity)
    for order in live.orders:
        turn.order_index.put(order.correlation_id, live.group.group_id)
    turn.signal_groups.put(live.group.signal_id, live.group.group_id)
    turn.put_group(live)


def emit(
    turn: Turn,
    live: LiveGroup,
    order: LegOrder,
    kind: IntentKind,
    quantity: int,
    reason: ExitReason | None = None,
) -> LiveGroup:
    """Put one intent out and count it at its order, so that its id is the same after a restart."""
    group = live.group
    is_place = kind is IntentKind.PLACE
    places_guard = kind in _PLACING_GUARDS and order.naked_units > 0 and order.guard_due > order.guard_asked
    guard = order.guard_due if places_guard else 0
    intent = OrderIntent(
        intent_id=turn.id_of("intent", order.correlation_id, kind.value, order.intents),
        kind=kind,
        correlation_id=order.correlation_id,
        group_id=group.group_id,
        leg_number=order.leg_number,
        instrument_key=group.instrument_key,
        side=group.side,
        quantity=quantity,
        entry_type=group.entry_type.value,
        price_low_paise=group.entry_low_paise if is_place else None,
        price_high_paise=group.entry_high_paise if is_place else None,
        stop_paise=order.wanted_stop_paise if kind in _STOP_KINDS else None,
        target_paise=order.wanted_target_paise
        if kind in (IntentKind.PLACE, IntentKind.MODIFY_TARGET)
        else None,
        first_target_paise=(group.targets_paise[0] if group.targets_paise else None) if is_place else None,
        active_from_ns=group.active_from_ns if is_place else turn.now_ns,
        valid_until_ns=group.valid_until_ns,
        reason=reason,
        is_entry=is_place,
        created_ns=turn.now_ns,
        kill_scopes=kill_scopes(group) if is_place else (),
        guard=guard,
    )
    turn.command(intent)
    asked = replace(order, intents=order.intents + 1, guard_asked=max(order.guard_asked, guard))
    if kind in _PLACING_GUARDS and order.naked_units:
        asked = replace(asked, guard_wanted=True)
    return put_order(live, asked)


def kill_scopes(group: TradeGroup) -> tuple[str, ...]:
    """Name the scopes besides the account's whose kill levels keep a group's entries back (§6.2)."""
    return (
        *idea_scopes(group.category, group.advisor_id, group.instrument_key),
        strategy_scope(is_reverse=group.is_reverse),
        rule_scope(group.rule_text),
        side_scope(group.side.value),
    )


def put_order(live: LiveGroup, order: LegOrder) -> LiveGroup:
    """Replace one order of a group."""
    return replace(
        live,
        orders=tuple(order if o.correlation_id == order.correlation_id else o for o in live.orders),
    )


# ------------------------------------------------------------------ wishes


def carry_out(turn: Turn, live: LiveGroup, actions: tuple[LegAction, ...]) -> LiveGroup:
    """Turn the wishes of a group into intents; a wish that is already on its way is not repeated."""
    for action in actions:
        if action.kind is LegActionKind.EXIT:
            live = _exit_leg(turn, live, action)
        elif action.kind is LegActionKind.CANCEL_ENTRY:
            for order in _orders_of(live, action.leg_number):
                if not order.cancel_wanted and _may_still_fill(order) and not order.doubt_fact:
                    wanted = replace(order, cancel_wanted=True)
                    live = emit(turn, live, wanted, IntentKind.CANCEL_ENTRY, order.quantity)
        else:
            live = sync_levels(turn, live)
    return live


def _exit_leg(turn: Turn, live: LiveGroup, action: LegAction) -> LiveGroup:
    orders = _orders_of(live, action.leg_number)
    left = sum(map(open_units_of, orders)) if action.quantity is None else action.quantity
    for order in orders:
        open_units = open_units_of(order)
        if left <= 0 or open_units <= 0 or order.exit_wanted is not None:
            continue
        plan = IntentPlan(
            False, min(left, open_units), live.group.lot_size, turn.levels.level(), live.group.category
        )
        book = BookView(turn.base.opening_corpus_paise, position_quantity=open_units)
        verdict = check(plan, book, turn.context.limits, turn.now_ns)
        if not isinstance(verdict, Allow | Reduce):
            continue
        quantity = verdict.quantity if isinstance(verdict, Reduce) else plan.quantity
        left -= quantity
        wanted = replace(order, exit_wanted=action.reason) if quantity == open_units else order
        live = emit(turn, live, wanted, IntentKind.EXIT, quantity, action.reason)
    return live


def sync_levels(turn: Turn, live: LiveGroup) -> LiveGroup:
    """Ask for every stop and target that differs from what was last asked for (level-triggered)."""
    for leg in live.group.legs:
        for order in _orders_of(live, leg.leg_number):
            if not _is_alive(order) or order.exit_wanted is not None or order.doubt_fact:
                continue
            if order.naked_units and not turn.is_session:
                continue  # nothing of it rests that could be moved; its guard will have the level
            moves_stop = leg.stop_paise not in (None, order.wanted_stop_paise)
            moves_target = leg.target_paise not in (None, order.wanted_target_paise)
            if moves_stop + moves_target > max(CHANGES_MAX - order.changes, 0):
                live = _out_of_changes(turn, live, order)
                continue
            if moves_stop:
                order = replace(order, wanted_stop_paise=leg.stop_paise, changes=order.changes + 1)
                live = emit(turn, live, order, IntentKind.MODIFY_STOP, order.quantity)
                order = _order(live, order.correlation_id)
            if moves_target:
                order = replace(order, wanted_target_paise=leg.target_paise, changes=order.changes + 1)
                live = emit(turn, live, order, IntentKind.MODIFY_TARGET, order.quantity)
    return live


def _out_of_changes(turn: Turn, live: LiveGroup, order: LegOrder) -> LiveGroup:
    """Say once that an order keeps its levels: what is left of its changes is for the way out."""
    if order.changes > CHANGES_MAX:
        return live
    text = f"{order.correlation_id} was changed {CHANGES_MAX} times and keeps its levels"
    turn.notify(EventKind.CHANGES_SPENT, text)
    return put_order(live, replace(order, changes=CHANGES_MAX + 1))


def _orders_of(live: LiveGroup, leg_number: int) -> tuple[LegOrder, ...]:
    return tuple(order for order in live.orders if order.leg_number == leg_number)


def _order(live: LiveGroup, name: str) -> LegOrder:
    return next(order for order in live.orders if order.correlation_id == name)


def _may_still_fill(order: LegOrder) -> bool:
    return order.state != OrderState.DEAD and order.filled_quantity < order.quantity


def open_units_of(order: LegOrder) -> int:
    """Units that are held of an order, whether or not their price is known."""
    return order.filled_quantity - order.exited_quantity


def _is_over(order: LegOrder) -> bool:
    """Whether nothing can happen to an order any more and its result can be told."""
    return not _is_alive(order) and order.priced_quantity == order.filled_quantity


def _is_alive(order: LegOrder) -> bool:
    return _may_still_fill(order) or order.exited_quantity < order.filled_quantity


# ------------------------------------------------------------------- facts


def on_broker_update(turn: Turn, update: BrokerUpdate) -> None:
    """Take in one fact from the broker; repeats, late ones and reordered ones change nothing twice."""
    group_id = turn.order_index.get(update.correlation_id)
    if group_id is None and update.kind in _DOUBTS and not update.correlation_id:
        _doubt_all(turn, update)
        return
    if group_id is None:
        _unexplained(turn, update)
        return
    if update.kind is BrokerUpdateKind.SURPLUS:
        _repeated(turn, turn.groups[group_id], update)
        return
    live = turn.groups[group_id]
    order = _order(live, update.correlation_id)
    if update.broker_order_id and update.broker_order_id != order.broker_order_id:
        order = replace(order, broker_order_id=update.broker_order_id)
    after, event = _fold_update(turn, live, order, update)
    known = put_order(live, after)
    if known == live and event is None:
        return
    if event is not None:
        known = _apply(turn, known, event)
    turn.put_group(settle_legs(turn, known))


def _unexplained(turn: Turn, update: BrokerUpdate) -> None:
    """Tell of an order that is in no book; one with our mark blocks entries until a person has looked.

    It may be of a book that was lost (a database put back from a backup), and so may others. A guard carries
    its order's mark.
    """
    name = update.correlation_id or update.broker_order_id
    if is_ours(split_guard_id(update.correlation_id)[0]):
        reason = f"order {name} carries our mark and is in no book"
        turn.trip(ACCOUNT_SCOPE, Cause.UNEXPLAINED, KillLevel.ENTRIES_BLOCKED, "engine", reason)
    turn.notify(EventKind.FOREIGN_ORDER, f"the broker reports order {name}, which is not ours")


def _repeated(turn: Turn, live: LiveGroup, update: BrokerUpdate) -> None:
    """Remember an order that repeats one of ours; `engine.protection` asks for its end each time it is told.

    Entries are blocked for each such order once: the person who lifts that has looked at it.
    """
    order = _order(live, update.correlation_id)
    if order.surplus_fact == update.update_id:
        return
    order = replace(order, surplus_fact=update.update_id, surplus_wanted=False)
    if update.broker_order_id not in order.surplus_orders:
        order = replace(order, surplus_orders=(*order.surplus_orders, update.broker_order_id))
        reason = f"order {update.broker_order_id} repeats {update.correlation_id} and is in no book"
        turn.trip(ACCOUNT_SCOPE, Cause.SURPLUS_ORDER, KillLevel.ENTRIES_BLOCKED, "engine", reason)
    turn.put_group(put_order(live, order))


def is_news(order: LegOrder, update: BrokerUpdate) -> bool:
    """Whether a fact of an earlier day says of an order what the book does not hold.

    Facts are monotone, so the order itself shows which it has heard; a refused change is unheard as long
    as its wish stands (`_FORGET`), which holds for the newest change of its kind.
    """
    kind = update.kind
    if kind is BrokerUpdateKind.ENTRY_FILLED:
        return _is_more(order, update, order.priced_quantity)
    if kind is BrokerUpdateKind.FILL_UNPRICED:
        return _is_more(order, update, order.filled_quantity)
    if kind in _FILLS:
        beyond = update.quantity - order.quantity - order.overbought_units
        is_more = min(update.quantity, order.quantity) > order.exited_quantity
        return is_more or beyond > order.oversold_units
    if kind is BrokerUpdateKind.OVERSOLD:
        return update.quantity > order.oversold_units
    if kind in (BrokerUpdateKind.CANCELLED, BrokerUpdateKind.GAPPED_THROUGH):
        return order.state != OrderState.DEAD
    if kind in (BrokerUpdateKind.REJECTED, BrokerUpdateKind.OUTCOME_UNKNOWN):
        return _is_unheard_fault(order, update)
    if kind is BrokerUpdateKind.SURPLUS:
        return order.surplus_fact != update.update_id
    if kind in _COVER:
        return update.ts_ns > order.cover_ns
    if kind in _DOUBTS:
        return _is_alive(order) and bool(order.doubt_fact) is (kind is BrokerUpdateKind.READABLE)
    return order.state in (OrderState.PREPARED, OrderState.UNKNOWN)


def _is_more(order: LegOrder, update: BrokerUpdate, known: int) -> bool:
    beyond = update.quantity - order.quantity
    return min(update.quantity, order.quantity) > known or beyond > order.overbought_units


def _is_unheard_fault(order: LegOrder, update: BrokerUpdate) -> bool:
    if update.answers in (None, IntentKind.PLACE):
        is_open = order.state == OrderState.PREPARED or (
            order.state == OrderState.UNKNOWN and update.kind is BrokerUpdateKind.REJECTED
        )
        return is_open and order.filled_quantity == 0
    forgotten = _FORGET[update.answers]
    may_matter = _is_alive(order) or update.answers is IntentKind.NEUTRALISE
    return may_matter and any(getattr(order, name) != value for name, value in forgotten.items())


def _fold_update(
    turn: Turn, live: LiveGroup, order: LegOrder, update: BrokerUpdate
) -> tuple[LegOrder, LegEvent | None]:
    kind = update.kind
    if kind is BrokerUpdateKind.ENTRY_FILLED:
        return _entry_filled(live, *_cut_entry(turn, order, update))
    if kind in _FILLS:
        return _exit_filled(turn, live, order, update)
    if kind in (BrokerUpdateKind.CANCELLED, BrokerUpdateKind.GAPPED_THROUGH):
        return _ended(live, order, update)
    if kind in (BrokerUpdateKind.REJECTED, BrokerUpdateKind.OUTCOME_UNKNOWN):
        return _faulted(turn, live, order, update)
    return _marked(turn, order, update), None


def _marked(turn: Turn, order: LegOrder, update: BrokerUpdate) -> LegOrder:
    """Take in a fact that concerns the order and not its leg."""
    kind = update.kind
    if kind is BrokerUpdateKind.FILL_UNPRICED:
        order, update = _cut_entry(turn, order, update)
        return replace(order, filled_quantity=max(order.filled_quantity, update.quantity))
    if kind is BrokerUpdateKind.OVERSOLD:
        return _oversold(turn, order, update.quantity)
    if kind in _COVER:
        return _covered(turn, order, update)
    if kind is BrokerUpdateKind.GUARD_UNUSED:
        return _give_back(order, update)
    if kind in _DOUBTS:
        return _doubted(turn, order, update)
    if order.state in (OrderState.PREPARED, OrderState.UNKNOWN):
        return replace(order, state=OrderState.WORKING)
    return order


def _doubted(turn: Turn, order: LegOrder, update: BrokerUpdate) -> LegOrder:
    """Freeze an order that something unreadable may concern, or let it go on."""
    if update.kind is BrokerUpdateKind.READABLE:
        return replace(order, doubt_fact="")
    if order.doubt_fact == update.update_id or not _is_alive(order):
        return order
    turn.notify(EventKind.UNREADABLE, f"{order.correlation_id} is frozen: {update.reason}")
    return replace(order, doubt_fact=update.update_id)


def _doubt_all(turn: Turn, update: BrokerUpdate) -> None:
    """Block entries while the broker tells something unreadable that may be of any order."""
    if update.kind is BrokerUpdateKind.READABLE:
        turn.scalars["doubt_fact"] = ""
        turn.clear(ACCOUNT_SCOPE, Cause.UNREADABLE, "engine", "the broker's lists can be read again")
        return
    turn.scalars["doubt_fact"] = update.update_id
    turn.trip(ACCOUNT_SCOPE, Cause.UNREADABLE, KillLevel.ENTRIES_BLOCKED, "engine", update.reason)


def _covered(turn: Turn, order: LegOrder, update: BrokerUpdate) -> LegOrder:
    """Remember what is held without a stop, or guarded without need; `engine.protection` acts on it.

    There is one emergency stop per loss: what is naked still, or once more after its guard has ended, is
    closed, by way of the same limit that closes what refuses its changes. Before the session it may be asked
    for, too, and be refused or end at its begin: then there is another one.
    """
    if update.ts_ns <= order.cover_ns:
        return order
    after = replace(order, naked_units=0, excess_units=0, cover_ns=update.ts_ns, guard_wanted=False)
    if update.kind is BrokerUpdateKind.COVERED:
        return after
    if update.kind is BrokerUpdateKind.EXCESS:
        text = f"{order.correlation_id}: its exits would sell {update.quantity} units more than are held"
        turn.notify(EventKind.EXCESS, text)
        return replace(after, excess_units=update.quantity)
    if turn.is_session or not order.naked_units:
        what = update.reason or "no live stop"
        turn.notify(EventKind.NAKED, f"{order.correlation_id}: {update.quantity} units: {what}")
    was_told = turn.is_session and order.cover_ns >= turn.open_ns
    is_again = was_told and (order.naked_units > 0 or 0 < order.guard_asked < update.guard)
    return replace(
        after,
        naked_units=update.quantity,
        guard_due=max(order.guard_due, update.guard),
        refusals=REFUSALS_MAX if is_again else order.refusals,
    )


def _faulted(
    turn: Turn, live: LiveGroup, order: LegOrder, update: BrokerUpdate
) -> tuple[LegOrder, LegEvent | None]:
    """Take in that a call was refused, or that nobody knows; only the entry's own fate ends the entry."""
    is_of_entry = update.answers in (None, IntentKind.PLACE)
    if order.state == OrderState.DEAD or not is_of_entry or order.filled_quantity > 0:
        return _refused(turn, order, update), None
    if update.kind is BrokerUpdateKind.OUTCOME_UNKNOWN:
        is_open_question = order.state == OrderState.PREPARED
        return (replace(order, state=OrderState.UNKNOWN) if is_open_question else order), None
    turn.notify(EventKind.ENTRY_REJECTED, f"{order.correlation_id}: {update.reason}")
    return _ended(live, order, update)


def _refused(turn: Turn, order: LegOrder, update: BrokerUpdate) -> LegOrder:
    """Forget the change that was refused, so that the next turn of the clock asks for it again."""
    if update.answers is IntentKind.NEUTRALISE:
        turn.notify(EventKind.SURPLUS, f"{order.correlation_id} is still there twice: {update.reason}")
        return replace(order, surplus_wanted=False)
    if not _is_alive(order):
        # What could be changed about it is over: nothing will be asked again.
        return order
    what = "entry" if update.answers is None else update.answers.value
    reason = update.reason or update.kind.value
    turn.notify(EventKind.CHANGE_REFUSED, f"{order.correlation_id}: {what}: {reason}")
    # there is no second way to put a stop under a position: what cannot be guarded is closed
    is_bare = order.naked_units > 0 and update.answers is IntentKind.EMERGENCY_STOP
    refusals = REFUSALS_MAX if is_bare else order.refusals + 1
    if turn.levels.is_open(ACCOUNT_SCOPE, Cause.ACCESS_REFUSED) or not turn.is_session:
        refusals = order.refusals  # everything is refused: that says nothing of this order
    order = replace(order, refusals=refusals, **_FORGET.get(update.answers, _FORGET_ALL))
    if update.kind is not BrokerUpdateKind.REJECTED:
        return order  # it may have been done all the same: neither guard nor change is given back
    order = _give_back(order, update)
    if update.answers in (IntentKind.MODIFY_STOP, IntentKind.MODIFY_TARGET):
        order = replace(order, changes=max(0, min(order.changes, CHANGES_MAX) - 1))
    return order


def _give_back(order: LegOrder, update: BrokerUpdate) -> LegOrder:
    """Let a generation of guards be asked for again that provably was not placed."""
    is_newest = 0 < update.guard == order.guard_asked
    return replace(order, guard_asked=update.guard - 1) if is_newest else order


def _entry_filled(live: LiveGroup, order: LegOrder, update: BrokerUpdate) -> tuple[LegOrder, LegEvent | None]:
    if update.quantity <= order.priced_quantity:
        return order, None
    order = replace(
        order,
        state=OrderState.DEAD if order.state == OrderState.DEAD else OrderState.WORKING,
        filled_quantity=max(update.quantity, order.filled_quantity),
        priced_quantity=update.quantity,
        filled_notional_paise=update.fill_notional_paise,
    )
    orders = _orders_of(put_order(live, order), order.leg_number)
    filled = sum(o.filled_quantity for o in orders)
    notional = sum(o.filled_notional_paise for o in orders)
    event = LegEvent(
        LegEventKind.ENTRY_FILLED, order.leg_number, _average(notional, filled), filled, update.ts_ns
    )
    return order, event


def _exit_filled(
    turn: Turn, live: LiveGroup, order: LegOrder, update: BrokerUpdate
) -> tuple[LegOrder, LegEvent | None]:
    if update.quantity > order.quantity:
        order, update = _cut_down(turn, order, update)
    if update.quantity <= order.exited_quantity:
        return order, None
    if update.reason == CLOSED_ELSEWHERE:
        units = update.quantity - order.exited_quantity
        turn.notify(EventKind.CLOSED_ELSEWHERE, f"{order.correlation_id}: others closed {units} units of it")
    reason = _reason(update, order)
    order = replace(
        order,
        state=OrderState.DEAD if order.state == OrderState.DEAD else OrderState.WORKING,
        filled_quantity=max(order.filled_quantity, update.quantity),
        exited_quantity=update.quantity,
        exited_notional_paise=update.fill_notional_paise,
    )
    if open_units_of(order) == 0:
        order = replace(order, naked_units=0)
    orders = _orders_of(put_order(live, order), order.leg_number)
    exited = sum(o.exited_quantity for o in orders)
    notional = sum(o.exited_notional_paise for o in orders)
    event = LegEvent(
        _FILLS[update.kind],
        order.leg_number,
        _average(notional, exited),
        exited,
        update.ts_ns,
        reason,
        update.ambiguous,
    )
    return order, event


def _cut_entry(turn: Turn, order: LegOrder, update: BrokerUpdate) -> tuple[LegOrder, BrokerUpdate]:
    """Cut an entry down to what was ordered, at the average price of all of it, and tell what is beyond.

    A person enlarged it at the broker: that part is held and in no book, so entries are blocked until a
    person has looked.
    """
    beyond = update.quantity - order.quantity
    if beyond <= 0:
        return order, update
    if beyond > order.overbought_units:
        text = f"{order.correlation_id}: {beyond} units more were filled than ordered and are in no book"
        turn.notify(EventKind.SURPLUS, text)
        turn.trip(ACCOUNT_SCOPE, Cause.SURPLUS_ORDER, KillLevel.ENTRIES_BLOCKED, "engine", text)
        order = replace(order, overbought_units=beyond)
    notional = _average(update.fill_notional_paise * order.quantity, update.quantity)
    return order, replace(update, quantity=order.quantity, notional_paise=notional)


def _cut_down(turn: Turn, order: LegOrder, update: BrokerUpdate) -> tuple[LegOrder, BrokerUpdate]:
    """Cut an exit down to what was ordered: of what it closed last, at the average price of that."""
    room, news = order.quantity - order.exited_quantity, update.quantity - order.exited_quantity
    paid = update.fill_notional_paise - order.exited_notional_paise
    notional = order.exited_notional_paise + _average(paid * room, news)
    cut = replace(update, quantity=order.quantity, notional_paise=notional)
    return _oversold(turn, order, update.quantity - order.quantity - order.overbought_units), cut


def _oversold(turn: Turn, order: LegOrder, units: int) -> LegOrder:
    """Say that more was closed of an order than it held, and block entries until a person has looked.

    The account holds the other side of it: that is in no book of ours, so nothing of ours may touch it.
    """
    if units <= order.oversold_units:
        return order
    text = f"{order.correlation_id}: {units} units more were closed than it held"
    turn.notify(EventKind.OVERSOLD, text)
    turn.trip(ACCOUNT_SCOPE, Cause.OVERSOLD, KillLevel.ENTRIES_BLOCKED, "engine", text)
    return replace(order, oversold_units=units)


def _reason(update: BrokerUpdate, order: LegOrder) -> ExitReason | None:
    if update.reason in ExitReason.__members__:
        return ExitReason(update.reason)
    return ExitReason.SQUARE_OFF if update.reason == CLOSED_ELSEWHERE else order.exit_wanted


def _ended(live: LiveGroup, order: LegOrder, update: BrokerUpdate) -> tuple[LegOrder, LegEvent | None]:
    """End an entry; the leg hears of it once no slice of it can fill any more."""
    if order.state == OrderState.DEAD:
        return order, None
    order = replace(order, state=OrderState.DEAD)
    siblings = _orders_of(put_order(live, order), order.leg_number)
    if any(_may_still_fill(other) for other in siblings):
        return order, None
    gapped = update.kind is BrokerUpdateKind.GAPPED_THROUGH
    kind = LegEventKind.GAPPED_THROUGH if gapped else LegEventKind.ENTRY_CANCELLED
    return order, LegEvent(kind, order.leg_number, update.price_paise, 0, update.ts_ns)


def _average(notional: int, quantity: int) -> int:
    return (2 * notional + quantity) // (2 * quantity)


def _apply(turn: Turn, live: LiveGroup, event: LegEvent) -> LiveGroup:
    group, actions = apply_event(live.group, event)
    # The event carries a rounded average; the slices know the exact sums.
    leg = _with_exact_sums(group.legs[event.leg_number - 1], _orders_of(live, event.leg_number))
    index = event.leg_number - 1
    group = replace(group, legs=(*group.legs[:index], leg, *group.legs[index + 1 :]))
    return carry_out(turn, replace(live, group=group), actions)


def _with_exact_sums(leg: Leg, orders: tuple[LegOrder, ...]) -> Leg:
    entry = sum(o.filled_notional_paise for o in orders)
    exits = sum(o.exited_notional_paise for o in orders)
    if leg.entry_notional_paise == entry and leg.exit_notional_paise == exits:
        return leg
    return replace(leg, entry_notional_paise=entry, exit_notional_paise=exits)


# ---------------------------------------------------------------- settling


def settle_legs(turn: Turn, live: LiveGroup) -> LiveGroup:
    """Release the margin of every leg that is over and book its result, once."""
    for index, leg in enumerate(live.group.legs):
        orders = _orders_of(live, leg.leg_number)
        over = leg.state in (LegState.CLOSED, LegState.CANCELLED) and all(map(_is_over, orders))
        if over and not live.settled[index]:
            live = _settle(turn, live, index)
            live = replace(live, settled=(*live.settled[:index], True, *live.settled[index + 1 :]))
            if live.is_closed:
                _wait_for_next_session(turn, live)
        elif live.settled[index] and leg.state is LegState.OPEN:
            live = _late_fill(turn, live, index)
    return live


def _late_fill(turn: Turn, live: LiveGroup, index: int) -> LiveGroup:
    """Take a fill that came after its cancel back into the book (it is real) and close it at once."""
    leg = live.group.legs[index]
    turn.notify(
        EventKind.LATE_FILL, f"leg {leg.leg_number} of group {live.group.group_id} filled after its end"
    )
    live = replace(
        live,
        settled=(*live.settled[:index], False, *live.settled[index + 1 :]),
        leg_margins_paise=(*live.leg_margins_paise[:index], 0, *live.leg_margins_paise[index + 1 :]),
    )
    action = LegAction(LegActionKind.EXIT, leg.leg_number, reason=ExitReason.SQUARE_OFF)
    return carry_out(turn, live, (action,))


def _settle(turn: Turn, live: LiveGroup, index: int) -> LiveGroup:
    leg, group = live.group.legs[index], live.group
    reference = f"{group.group_id}|{leg.leg_number}|{leg.exited_quantity}"
    margin = live.leg_margins_paise[index]
    if margin > 0:
        turn.corpus, entry = corpus_ledger.release(
            turn.corpus, group.group_id, margin, reference, turn.now_ns
        )
        turn.out.ledger.append(entry)
    if leg.state is LegState.CANCELLED or leg.exited_quantity == 0:
        return live
    trade = _book_trade(turn, live, leg)
    before = next((b for b in live.booked if b.leg_number == leg.leg_number), Booked(leg.leg_number, 0, 0))
    gross = trade.gross_pnl_paise - before.gross_pnl_paise
    charges = trade.charges_paise - before.charges_paise
    turn.corpus, entry = corpus_ledger.book_pnl(
        turn.corpus, group.group_id, live.pool, gross - charges, reference, turn.now_ns
    )
    turn.out.ledger.append(entry)
    turn.out.trades.append(trade)
    turn.scalars["realised_pnl_paise"] = turn.scalar("realised_pnl_paise") + gross - charges
    others = tuple(b for b in live.booked if b.leg_number != leg.leg_number)
    return replace(
        live,
        gross_pnl_paise=live.gross_pnl_paise + gross,
        charges_paise=live.charges_paise + charges,
        net_pnl_paise=live.net_pnl_paise + gross - charges,
        booked=(*others, Booked(leg.leg_number, trade.gross_pnl_paise, trade.charges_paise)),
    )


def _book_trade(turn: Turn, live: LiveGroup, leg: Leg) -> ExecutedTrade:
    group = live.group
    gross = group.side.sign * (leg.exit_notional_paise - leg.entry_notional_paise)
    charges = turn.context.charges(
        instrument=live.instrument,
        product=live.product,
        side=group.side,
        quantity=leg.exited_quantity,
        entry_notional_paise=leg.entry_notional_paise,
        exit_notional_paise=leg.exit_notional_paise,
        on_date=turn.context.trade_date,
    )
    return ExecutedTrade(
        trade_id=turn.id_of("trade", group.group_id, leg.leg_number, leg.exited_quantity),
        group_id=group.group_id,
        signal_id=group.signal_id,
        leg_number=leg.leg_number,
        instrument_key=group.instrument_key,
        side=group.side.value,
        is_reverse=group.is_reverse,
        quantity=leg.exited_quantity,
        entry_paise=_average(leg.entry_notional_paise, leg.exited_quantity),
        exit_paise=_average(leg.exit_notional_paise, leg.exited_quantity),
        entry_ns=leg.entry_ns or 0,
        exit_ns=leg.exit_ns or 0,
        exit_reason=leg.exit_reason or ExitReason.FOLLOWUP_EXIT,
        exit_target=leg.exit_target,
        gross_pnl_paise=gross,
        charges_paise=charges,
        net_pnl_paise=gross - charges,
        rule_text=group.rule_text,
    )


def _wait_for_next_session(turn: Turn, live: LiveGroup) -> None:
    """Keep an idea whose entry the day did not reach but whose validity goes on (pending-entry book)."""
    group = live.group
    untouched = all(leg.filled_quantity == 0 for leg in group.legs) and not group.gapped_through
    ended = turn.now_ns >= group.valid_until_ns
    if not (untouched and ended and live.last_entry_ns > turn.now_ns):
        return
    turn.put_pending(
        PendingEntry(
            live.signal,
            "UNFILLED",
            turn.now_ns,
            live.last_entry_ns,
            date.fromisoformat(live.trade_date),
            group.instrument_key,
            live.labels,
        )
    )


def give_up_unknown(turn: Turn) -> None:
    """At the end of the day an order nobody could find is recorded as missed and its margin released."""
    for live in turn.open_groups():
        for order in live.orders:
            if order.state == OrderState.UNKNOWN and order.filled_quantity == 0:
                turn.notify(
                    EventKind.MISSED_AMBIGUOUS, f"{order.correlation_id} was never found at the broker"
                )
                update = BrokerUpdate(
                    f"{order.correlation_id}|MISSED",
                    BrokerUpdateKind.CANCELLED,
                    order.correlation_id,
                    "",
                    0,
                    0,
                    turn.now_ns,
                    "MISSED_AMBIGUOUS",
                )
                on_broker_update(turn, update)


def blocks_entries(level: KillLevel) -> bool:
    """Whether a kill level keeps entries from leaving."""
    return level.severity >= KillLevel.ENTRIES_BLOCKED.severity

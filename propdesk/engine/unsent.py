"""What was to be traded and never left has a last word of its own among the decisions (§5.3)."""

from datetime import date

from propdesk.engine.decision import decide
from propdesk.engine.idea import Idea, Refusal
from propdesk.engine.orders import on_broker_update
from propdesk.engine.state import LiveGroup, OrderState
from propdesk.engine.turn import Turn
from propdesk.model.enums import KillLevel
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, DecisionCode, IntentKind
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause, rejections_reason

_UNANSWERED = (OrderState.PREPARED, OrderState.UNKNOWN)


def take_update(turn: Turn, update: BrokerUpdate) -> None:
    """Take in a broker fact; where it ends a group of which nothing ever left, say by which gate."""
    group_id = turn.order_index.get(update.correlation_id)
    before = None if group_id is None else turn.groups[group_id]
    on_broker_update(turn, update)
    if before is not None:
        _count_answer(turn, before, update)
    if before is None or before.is_closed or update.kind is not BrokerUpdateKind.REJECTED:
        return
    live = turn.groups[before.group.group_id]
    refusal = _gate_named(update)
    if refusal is None or not live.is_closed or _has_left(live):
        return
    decide(turn, live.signal, refusal, idea_of(live), live=live, is_unsent=True)


def _count_answer(turn: Turn, before: LiveGroup, update: BrokerUpdate) -> None:
    """Count whether the broker took an entry or refused it; what we kept back ourselves tells nothing."""
    now = turn.groups[before.group.group_id]
    states = [
        next(order.state for order in live.orders if order.correlation_id == update.correlation_id)
        for live in (before, now)
    ]
    is_answer = states[0] in _UNANSWERED and states[1] not in _UNANSWERED
    if not is_answer or _gate_named(update) is not None:
        return
    was_refused = update.kind is BrokerUpdateKind.REJECTED
    limits, group = turn.context.kill_limits, before.group
    for scope in (ACCOUNT_SCOPE, f"CATEGORY:{group.category.value}", f"INSTRUMENT:{group.instrument_key}"):
        fates = (*(turn.entry_fates.get(scope) or ()), was_refused)[-limits.rejections_window :]
        reason = rejections_reason(fates, limits, is_account=scope == ACCOUNT_SCOPE) if was_refused else None
        # counted anew from a block on: the person who lifts it has mended what was refused
        turn.entry_fates.put(scope, () if reason else fates)
        if reason is not None:
            turn.trip(scope, Cause.REJECTIONS, KillLevel.ENTRIES_BLOCKED, "engine", reason)


def idea_of(live: LiveGroup) -> Idea:
    """Give the idea a group was born of, with the labels it was matched by."""
    return Idea(
        live.signal, live.instrument, live.group.period, date.fromisoformat(live.trade_date), live.labels
    )


def _has_left(live: LiveGroup) -> bool:
    """Say whether any of its entries reached the broker, whatever became of it there."""
    return any(order.broker_order_id or order.filled_quantity for order in live.orders)


def _gate_named(update: BrokerUpdate) -> Refusal | None:
    """Give the gate that kept an entry back; None where the broker refused what had left."""
    code, separator, detail = update.reason.partition(": ")
    is_own = update.answers is IntentKind.PLACE and not update.broker_order_id
    if not is_own or code not in DecisionCode.__members__:
        return None
    return Refusal(DecisionCode(code), f"before its entry was sent{separator}{detail}")

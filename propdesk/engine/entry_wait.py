"""An entry that had to wait before it could be sent passes the gates once more (§5.3)."""

from propdesk.engine.entry_gates import check_again
from propdesk.engine.state import LegOrder, OrderState
from propdesk.engine.turn import Turn
from propdesk.engine.unsent import idea_of, take_update
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, EntryVerdict, EntryWaited, IntentKind


def on_entry_waited(turn: Turn, event: EntryWaited) -> None:
    """Say whether the entry may still leave; one that may not is over, and its margin free again."""
    refusal = _judge(turn, event.correlation_id)
    if refusal and event.correlation_id in turn.order_index:
        name = f"{event.intent_id}|{BrokerUpdateKind.REJECTED.value}"
        over = BrokerUpdate(
            name,
            BrokerUpdateKind.REJECTED,
            event.correlation_id,
            "",
            0,
            0,
            turn.now_ns,
            refusal,
            answers=IntentKind.PLACE,
        )
        take_update(turn, over)
    turn.command(EntryVerdict(event.intent_id, refusal, turn.now_ns))


def _judge(turn: Turn, correlation_id: str) -> str:
    group_id = turn.order_index.get(correlation_id)
    if group_id is None:
        return "no group knows this order"
    live = turn.groups[group_id]
    order = next(one for one in live.orders if one.correlation_id == correlation_id)
    if not _waits(order):
        return "the entry was called off meanwhile"
    found = check_again(turn, idea_of(live), live.group)
    return "" if found is None else f"{found.code.value}: {found.detail}"


def _waits(order: LegOrder) -> bool:
    return order.state != OrderState.DEAD and not order.cancel_wanted and order.filled_quantity == 0

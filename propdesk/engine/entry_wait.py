"""An entry that had to wait before it could be sent passes the gates once more (§5.3)."""

from datetime import date

from propdesk.engine.entry_gates import check_again
from propdesk.engine.idea import Idea
from propdesk.engine.orders import on_broker_update
from propdesk.engine.state import LegOrder, LiveGroup, OrderState
from propdesk.engine.turn import Turn
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
        on_broker_update(turn, over)
    turn.command(EntryVerdict(event.intent_id, refusal, turn.now_ns))


def _judge(turn: Turn, correlation_id: str) -> str:
    group_id = turn.order_index.get(correlation_id)
    if group_id is None:
        return "no group knows this order"
    live = turn.groups[group_id]
    order = next(one for one in live.orders if one.correlation_id == correlation_id)
    if not _waits(order):
        return "the entry was called off meanwhile"
    found = check_again(turn, _idea_of(live), live.group)
    return "" if found is None else f"{found.code.value}: {found.detail}"


def _waits(order: LegOrder) -> bool:
    return order.state != OrderState.DEAD and not order.cancel_wanted and order.filled_quantity == 0


def _idea_of(live: LiveGroup) -> Idea:
    """Give the idea a group was born of, with the labels it was matched by."""
    return Idea(
        live.signal, live.instrument, live.group.period, date.fromisoformat(live.trade_date), live.labels
    )

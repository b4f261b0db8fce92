"""Intents that were under way when the process died, compared with the broker's own lists (§5.7)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from propdesk.core.calendar import ist_date
from propdesk.engine.orders import is_news
from propdesk.engine.state import EngineState, LegOrder
from propdesk.model.live import Answer, IntentState
from propdesk.model.messages import BrokerUpdate, IntentKind, OrderIntent
from propdesk.ports import Broker
from trading_daemon.ports import Log
from trading_daemon.tasks.order_manager import FAULTS, answer_update

STALE = "STALE"
"""Answer to an entry that the process did not live to send in time (§5.7)."""


class ReconcileOutbox(Protocol):
    """What reconciliation needs of the outbox."""

    async def read(
        self, trade_date: date, *states: IntentState, orders: Collection[str] = ()
    ) -> list[OrderIntent]:
        """Intents of a day in the given states; of ``orders`` those of earlier days too."""
        ...

    async def answer(
        self, intent_id: str, state: IntentState, *, broker_order_id: str | None, reason: str, now_ns: int
    ) -> None:
        """Record what became of one."""
        ...

    async def answers(self, trade_date: date, *states: IntentState) -> list[Answer]:
        """Intents of a day in the given states with what was answered."""
        ...

    async def earlier_answers(
        self, trade_date: date, orders: Collection[str], *states: IntentState
    ) -> list[Answer]:
        """Newest intent of each kind of the given orders, where it is of an earlier day."""
        ...

    async def prepare_again(self, intent_id: str) -> None:
        """Take a SENT intent back."""
        ...


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Outcome of the comparison: what is still to be sent, and what the reducer has not heard yet.

    ``untold_earlier`` is of carried orders and of days before.
    """

    to_send: tuple[OrderIntent, ...]
    untold: tuple[BrokerUpdate, ...]
    untold_earlier: tuple[BrokerUpdate, ...] = ()


async def reconcile(
    outbox: ReconcileOutbox,
    broker: Broker,
    trade_date: date,
    now_ns: int,
    log: Log,
    *,
    told: frozenset[str],
    fresh_ns: int | None,
    carried: Mapping[str, LegOrder],
) -> Reconciled:
    """Compare intents that were SENT when the process died with the broker's own list.

    An order found there is adopted. One that is not found is never sent again, unless this broker's list
    proves that it was never accepted. An answer is recorded before the reducer is told of it, so a process
    that dies in between leaves one that only the store knows: ``told`` names the facts the journal holds.
    An entry that nobody sent for longer than ``fresh_ns`` (None: any entry) is not sent any more; exits and
    protection are. Of the ``carried`` orders (by correlation id) the same is done with intents of earlier
    days: what was decided at their very end may have been left by a process that died.
    """
    orders = carried.keys()
    for intent in await outbox.read(trade_date, IntentState.SENT, IntentState.UNKNOWN, orders=orders):
        found = await broker.find(intent)
        if found is not None:
            log.info("intent_adopted", intent_id=intent.intent_id, broker_order_id=found.broker_order_id)
            await outbox.answer(
                intent.intent_id,
                IntentState.WORKING,
                broker_order_id=found.broker_order_id,
                reason="adopted",
                now_ns=now_ns,
            )
        elif broker.capabilities.absence_is_proof:
            log.info("intent_proved_unsent", intent_id=intent.intent_id)
            await outbox.prepare_again(intent.intent_id)
        else:
            log.error("intent_outcome_unknown", intent_id=intent.intent_id, reason="found SENT at start")
            await outbox.answer(
                intent.intent_id,
                IntentState.UNKNOWN,
                broker_order_id=None,
                reason="found SENT at start, not in the broker's list",
                now_ns=now_ns,
            )
    prepared = await outbox.read(trade_date, IntentState.PREPARED, orders=orders)
    stale = stale_entries(prepared, now_ns + 1 if fresh_ns is None else now_ns - fresh_ns)
    for intent in stale:
        log.warning("entry_stale", intent_id=intent.intent_id, created_ns=intent.created_ns)
        await outbox.answer(
            intent.intent_id, IntentState.REJECTED, broker_order_id=None, reason=STALE, now_ns=now_ns
        )
    to_send = [intent for intent in prepared if intent not in stale]
    answers = await outbox.answers(trade_date, *FAULTS, IntentState.WORKING)
    untold = tuple(fact for fact in _facts(answers, now_ns) if fact.update_id not in told)
    earlier = await outbox.earlier_answers(trade_date, orders, *FAULTS)
    news = (fact for fact in _facts(earlier, now_ns) if is_news(carried[fact.correlation_id], fact))
    return Reconciled(tuple(to_send), untold, tuple(news))


def _facts(answers: Sequence[Answer], now_ns: int) -> Iterator[BrokerUpdate]:
    return (fact for answer in answers if (fact := answer_update(answer, now_ns)) is not None)


def carried_orders(state: EngineState) -> dict[str, LegOrder]:
    """Orders of groups that an earlier day opened and that are not over, by correlation id."""
    return {
        order.correlation_id: order
        for live in state.groups.values()
        if not live.is_closed and ist_date(live.opened_ns) < date.fromisoformat(state.trade_date)
        for order in live.orders
    }


def stale_entries(prepared: Sequence[OrderIntent], before_ns: int) -> list[OrderIntent]:
    """Entries decided before a moment; one whose cancel waits too is left to be withdrawn with it."""
    cancelled = {one.correlation_id for one in prepared if one.kind is IntentKind.CANCEL_ENTRY}
    return [
        one
        for one in prepared
        if one.is_entry and one.created_ns < before_ns and one.correlation_id not in cancelled
    ]

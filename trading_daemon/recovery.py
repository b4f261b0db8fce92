"""Intents that were under way when the process died, compared with the broker's own lists (§5.7)."""

from dataclasses import dataclass
from datetime import date
from typing import Protocol

from propdesk.model.live import IntentState
from propdesk.model.messages import OrderIntent
from propdesk.ports import Broker
from trading_daemon.ports import Log


class ReconcileOutbox(Protocol):
    """What reconciliation needs of the outbox."""

    async def read(self, trade_date: date, *states: IntentState) -> list[OrderIntent]:
        """Intents of a day in the given states."""
        ...

    async def answer(
        self, intent_id: str, state: IntentState, *, broker_order_id: str | None, reason: str, now_ns: int
    ) -> None:
        """Record what became of one."""
        ...

    async def prepare_again(self, intent_id: str) -> None:
        """Take a SENT intent back."""
        ...


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Outcome of the comparison: what is still to be sent, and what the reducer must hear."""

    to_send: tuple[OrderIntent, ...]
    unknown: tuple[OrderIntent, ...]


async def reconcile(
    outbox: ReconcileOutbox, broker: Broker, trade_date: date, now_ns: int, log: Log
) -> Reconciled:
    """Compare intents that were SENT when the process died with the broker's own list.

    An order found there is adopted. One that is not found is never sent again, unless this broker's list
    proves that it was never accepted.
    """
    unknown: list[OrderIntent] = []
    for intent in await outbox.read(trade_date, IntentState.SENT, IntentState.UNKNOWN):
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
            unknown.append(intent)
    to_send = await outbox.read(trade_date, IntentState.PREPARED)
    return Reconciled(tuple(to_send), tuple(unknown))

"""Intents that were under way when the process died, compared with the broker's own lists (§5.7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from propdesk.model.live import Answer, IntentState
from propdesk.model.messages import BrokerUpdate, IntentKind, OrderIntent
from propdesk.ports import Broker
from trading_daemon.ports import Log
from trading_daemon.tasks.order_manager import FAULTS, answer_update

STALE = "STALE"
"""Answer to an entry that the process did not live to send in time (§5.7)."""


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

    async def answers(self, trade_date: date, *states: IntentState) -> list[Answer]:
        """Intents of a day in the given states with what was answered."""
        ...

    async def prepare_again(self, intent_id: str) -> None:
        """Take a SENT intent back."""
        ...


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Outcome of the comparison: what is still to be sent, and what the reducer has not heard yet."""

    to_send: tuple[OrderIntent, ...]
    untold: tuple[BrokerUpdate, ...]


async def reconcile(
    outbox: ReconcileOutbox,
    broker: Broker,
    trade_date: date,
    now_ns: int,
    log: Log,
    *,
    told: frozenset[str],
    fresh_ns: int,
) -> Reconciled:
    """Compare intents that were SENT when the process died with the broker's own list.

    An order found there is adopted. One that is not found is never sent again, unless this broker's list
    proves that it was never accepted. An answer is recorded before the reducer is told of it, so a process
    that dies in between leaves one that only the store knows: ``told`` names the facts the journal holds.
    An entry that nobody sent for longer than ``fresh_ns`` is not sent any more; exits and protection are.
    """
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
    prepared = await outbox.read(trade_date, IntentState.PREPARED)
    stale = stale_entries(prepared, now_ns - fresh_ns)
    for intent in stale:
        log.warning("entry_stale", intent_id=intent.intent_id, created_ns=intent.created_ns)
        await outbox.answer(
            intent.intent_id, IntentState.REJECTED, broker_order_id=None, reason=STALE, now_ns=now_ns
        )
    to_send = [intent for intent in prepared if intent not in stale]
    answers = await outbox.answers(trade_date, *FAULTS)
    facts = (fact for answer in answers if (fact := answer_update(answer, now_ns)) is not None)
    return Reconciled(tuple(to_send), tuple(fact for fact in facts if fact.update_id not in told))


def stale_entries(prepared: Sequence[OrderIntent], before_ns: int) -> list[OrderIntent]:
    """Entries decided before a moment; one whose cancel waits too is left to be withdrawn with it."""
    cancelled = {one.correlation_id for one in prepared if one.kind is IntentKind.CANCEL_ENTRY}
    return [
        one
        for one in prepared
        if one.is_entry and one.created_ns < before_ns and one.correlation_id not in cancelled
    ]

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from propdesk.model.live import Answer, IntentState
from propdesk.model.messages import BrokerUpdateKind, IntentKind, OrderIntent
from propdesk.ports import Capabilities
from tests.unit.trading_daemon.tasks.test_order_manager import Broker, Quiet
from tests.unit.trading_daemon.test_bus import make_intent
from trading_daemon.recovery import Reconciled, reconcile

DAY = date(2025, 7, 1)


class Outbox:
    def __init__(self, rows: Sequence[Answer]) -> None:
        self.rows = {row.intent.intent_id: row for row in rows}

    async def read(self, trade_date: date, *states: IntentState) -> list[OrderIntent]:
        return [answer.intent for answer in await self.answers(trade_date, *states)]

    async def answers(self, trade_date: date, *states: IntentState) -> list[Answer]:
        return [row for row in self.rows.values() if row.state in states]

    async def answer(
        self, intent_id: str, state: IntentState, *, broker_order_id: str | None, reason: str, now_ns: int
    ) -> None:
        self.rows[intent_id] = Answer(self.rows[intent_id].intent, state, reason)

    async def prepare_again(self, intent_id: str) -> None:
        self.rows[intent_id] = Answer(self.rows[intent_id].intent, IntentState.PREPARED, "")


async def recovered(rows: Sequence[Answer], told: frozenset[str] = frozenset()) -> Reconciled:
    return await reconcile(Outbox(rows), Broker(), DAY, 7, Quiet(), told=told, fresh_ns=60)


async def test_an_answer_that_died_with_the_process_is_told_after_all() -> None:
    place = make_intent(1, is_entry=True)
    cancel = make_intent(2, is_entry=False, kind=IntentKind.CANCEL_ENTRY, order="c1")
    rows = [
        Answer(place, IntentState.WITHDRAWN, "WITHDRAWN"),
        Answer(cancel, IntentState.WITHDRAWN, "WITHDRAWN"),
        Answer(make_intent(3, is_entry=True), IntentState.REJECTED, "no margin"),
        Answer(make_intent(4, is_entry=True), IntentState.BLOCKED, "KILL_SWITCH"),
        Answer(make_intent(5, is_entry=True), IntentState.WORKING, ""),
    ]
    found = await recovered(rows)
    assert [(u.correlation_id, u.kind, u.reason) for u in found.untold] == [
        ("c1", BrokerUpdateKind.CANCELLED, "WITHDRAWN"),
        ("c3", BrokerUpdateKind.REJECTED, "no margin"),
        ("c4", BrokerUpdateKind.REJECTED, "KILL_SWITCH"),
    ]
    again = await recovered(rows, frozenset(u.update_id for u in found.untold[:2]))
    assert [u.correlation_id for u in again.untold] == ["c4"]


async def test_what_was_sent_and_is_not_found_is_told_as_unknown_once() -> None:
    rows = [Answer(make_intent(1, is_entry=True), IntentState.SENT, "")]
    found = await recovered(rows)
    assert found.to_send == ()
    (update,) = found.untold
    assert (update.kind, update.answers) == (BrokerUpdateKind.OUTCOME_UNKNOWN, IntentKind.PLACE)
    assert (await recovered(rows, frozenset({update.update_id}))).untold == ()


async def test_where_absence_is_proof_the_entry_and_its_cancel_wait_again_together() -> None:
    class Inside(Broker):
        capabilities = Capabilities(True, True, 25, absence_is_proof=True)

    place = make_intent(1, is_entry=True)
    cancel = make_intent(2, is_entry=False, kind=IntentKind.CANCEL_ENTRY, order="c1")
    rows = [Answer(place, IntentState.SENT, ""), Answer(cancel, IntentState.PREPARED, "")]
    found = await reconcile(Outbox(rows), Inside(), DAY, 7, Quiet(), told=frozenset(), fresh_ns=60)
    assert (found.to_send, found.untold) == ((place, cancel), ())


async def test_an_entry_that_nobody_sent_in_time_is_stale_and_everything_else_is_sent() -> None:
    fresh = replace(make_intent(1, is_entry=True), created_ns=40)
    stale = replace(make_intent(2, is_entry=True), created_ns=39)
    exit_ = make_intent(3, is_entry=False)
    called_off = make_intent(4, is_entry=True)
    cancel = make_intent(5, is_entry=False, kind=IntentKind.CANCEL_ENTRY, order="c4")
    waiting = [fresh, stale, exit_, called_off, cancel]
    outbox = Outbox([Answer(intent, IntentState.PREPARED, "") for intent in waiting])
    found = await reconcile(outbox, Broker(), DAY, 100, Quiet(), told=frozenset(), fresh_ns=60)
    assert found.to_send == (fresh, exit_, called_off, cancel)
    assert outbox.rows["i2"] == Answer(stale, IntentState.REJECTED, "STALE")
    assert [(u.update_id, u.answers, u.reason) for u in found.untold] == [
        ("i2|REJECTED", IntentKind.PLACE, "STALE")
    ]

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date

from propdesk.engine.state import LegOrder, OrderState
from propdesk.model.enums import ExitReason
from propdesk.model.live import Answer, IntentState
from propdesk.model.messages import BrokerUpdateKind, IntentKind, OrderIntent
from propdesk.ports import Capabilities
from tests.unit.trading_daemon.tasks.test_order_manager import Broker, Quiet
from tests.unit.trading_daemon.test_bus import make_intent
from trading_daemon.recovery import Reconciled, reconcile

DAY = date(2025, 7, 1)


class Outbox:
    def __init__(self, rows: Sequence[Answer], earlier: Collection[str] = ()) -> None:
        self.rows = {row.intent.intent_id: row for row in rows}
        self.earlier = earlier

    """Intents of today, and ``earlier`` ones of carried orders."""

    async def read(
        self, trade_date: date, *states: IntentState, orders: Collection[str] = ()
    ) -> list[OrderIntent]:
        earlier = await self.earlier_answers(trade_date, orders, *states)
        return [answer.intent for answer in [*earlier, *await self.answers(trade_date, *states)]]

    async def answers(self, trade_date: date, *states: IntentState) -> list[Answer]:
        return [row for row in self.rows.values() if row.state in states and not self._is_earlier(row)]

    async def earlier_answers(
        self, trade_date: date, orders: Collection[str], *states: IntentState
    ) -> list[Answer]:
        found = [row for row in self.rows.values() if row.state in states and self._is_earlier(row)]
        return [row for row in found if row.intent.correlation_id in orders]

    def _is_earlier(self, row: Answer) -> bool:
        return row.intent.intent_id in self.earlier

    async def answer(
        self, intent_id: str, state: IntentState, *, broker_order_id: str | None, reason: str, now_ns: int
    ) -> None:
        self.rows[intent_id] = Answer(self.rows[intent_id].intent, state, reason)

    async def prepare_again(self, intent_id: str) -> None:
        self.rows[intent_id] = Answer(self.rows[intent_id].intent, IntentState.PREPARED, "")


async def recovered(rows: Sequence[Answer], told: frozenset[str] = frozenset()) -> Reconciled:
    return await reconcile(Outbox(rows), Broker(), DAY, 7, Quiet(), told=told, fresh_ns=60, carried={})


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
        capabilities = Capabilities(True, True, absence_is_proof=True)

    place = make_intent(1, is_entry=True)
    cancel = make_intent(2, is_entry=False, kind=IntentKind.CANCEL_ENTRY, order="c1")
    rows = [Answer(place, IntentState.SENT, ""), Answer(cancel, IntentState.PREPARED, "")]
    found = await reconcile(
        Outbox(rows), Inside(), DAY, 7, Quiet(), told=frozenset(), fresh_ns=60, carried={}
    )
    assert (found.to_send, found.untold) == ((place, cancel), ())


async def test_an_entry_that_nobody_sent_in_time_is_stale_and_everything_else_is_sent() -> None:
    fresh = replace(make_intent(1, is_entry=True), created_ns=40)
    stale = replace(make_intent(2, is_entry=True), created_ns=39)
    exit_ = make_intent(3, is_entry=False)
    called_off = make_intent(4, is_entry=True)
    cancel = make_intent(5, is_entry=False, kind=IntentKind.CANCEL_ENTRY, order="c4")
    waiting = [fresh, stale, exit_, called_off, cancel]
    outbox = Outbox([Answer(intent, IntentState.PREPARED, "") for intent in waiting])
    found = await reconcile(outbox, Broker(), DAY, 100, Quiet(), told=frozenset(), fresh_ns=60, carried={})
    assert found.to_send == (fresh, exit_, called_off, cancel)
    assert outbox.rows["i2"] == Answer(stale, IntentState.REJECTED, "STALE")
    assert [(u.update_id, u.answers, u.reason) for u in found.untold] == [
        ("i2|REJECTED", IntentKind.PLACE, "STALE")
    ]


async def test_on_a_past_day_no_entry_is_sent_any_more() -> None:
    outbox = Outbox(
        [
            Answer(replace(make_intent(1, is_entry=True), created_ns=100), IntentState.PREPARED, ""),
            Answer(make_intent(2, is_entry=False), IntentState.PREPARED, ""),
        ]
    )
    found = await reconcile(outbox, Broker(), DAY, 100, Quiet(), told=frozenset(), fresh_ns=None, carried={})
    assert [intent.intent_id for intent in found.to_send] == ["i2"]
    assert outbox.rows["i1"].reason == "STALE"


async def test_what_an_earlier_day_left_of_carried_orders_is_taken_up() -> None:
    """An entry is stale, an exit is sent; a refusal is told where the order shows that it was not heard."""
    entry = make_intent(1, is_entry=True)
    exit_ = make_intent(2, is_entry=False)
    refused, heard = (make_intent(n, is_entry=False) for n in (3, 4))
    foreign = make_intent(5, is_entry=True)
    rows = [
        Answer(entry, IntentState.PREPARED, ""),
        Answer(exit_, IntentState.PREPARED, ""),
        Answer(refused, IntentState.REJECTED, "no"),
        Answer(heard, IntentState.REJECTED, "no"),
        Answer(foreign, IntentState.PREPARED, ""),
    ]
    outbox = Outbox(rows, earlier={row.intent.intent_id for row in rows})
    filled = LegOrder("", 1, 1, 10, OrderState.WORKING, "b", 10, 10, 1_000)
    carried = {
        "c1": LegOrder("c1", 1, 1, 10),
        "c2": replace(filled, correlation_id="c2"),
        "c3": replace(filled, correlation_id="c3", exit_wanted=ExitReason.SQUARE_OFF),
        "c4": replace(filled, correlation_id="c4"),
    }
    found = await reconcile(
        outbox, Broker(), DAY, 100, Quiet(), told=frozenset(), fresh_ns=60, carried=carried
    )
    assert found.to_send == (exit_,)
    assert outbox.rows["i1"].reason == "STALE"
    assert outbox.rows["i5"].state is IntentState.PREPARED, "of a group that is over nothing is asked"
    assert found.untold == ()
    assert [(u.update_id, u.answers) for u in found.untold_earlier] == [
        ("i1|REJECTED", IntentKind.PLACE),
        ("i3|REJECTED", IntentKind.EXIT),
    ]

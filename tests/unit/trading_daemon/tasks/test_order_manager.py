import asyncio
from collections.abc import AsyncIterator

import pytest

from propdesk.core.clock import ManualClock
from propdesk.core.errors import OutcomeUnknown, Rejected, Retryable
from propdesk.model.live import ClaimOutcome, IntentState
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, OrderIntent
from propdesk.ports import BrokerAck, Capabilities
from tests.unit.trading_daemon.test_bus import make_intent
from trading_daemon.bus import Bus
from trading_daemon.tasks.order_manager import Deposed, OrderManager


class Quiet:
    def info(self, event: str, **values: object) -> None: ...
    def warning(self, event: str, **values: object) -> None: ...
    def error(self, event: str, **values: object) -> None: ...


class Outbox:
    def __init__(self, outcome: ClaimOutcome = ClaimOutcome.CLAIMED) -> None:
        self.outcome = outcome
        self.answers: list[tuple[str, IntentState, str | None, str]] = []

    async def claim(self, intent: OrderIntent, now_ns: int) -> ClaimOutcome:
        return self.outcome

    async def answer(
        self, intent_id: str, state: IntentState, *, broker_order_id: str | None, reason: str, now_ns: int
    ) -> None:
        self.answers.append((intent_id, state, broker_order_id, reason))


class Broker:
    capabilities = Capabilities(True, True, 25)

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.calls: list[tuple[str, str]] = []

    async def _call(self, name: str, intent: OrderIntent) -> BrokerAck:
        self.calls.append((name, intent.intent_id))
        if self.fault is not None:
            raise self.fault
        return BrokerAck(intent.correlation_id, "b1")

    async def place(self, intent: OrderIntent) -> BrokerAck:
        return await self._call("place", intent)

    async def modify(self, intent: OrderIntent) -> BrokerAck:
        return await self._call("modify", intent)

    async def cancel(self, intent: OrderIntent) -> BrokerAck:
        return await self._call("cancel", intent)

    async def exit(self, intent: OrderIntent) -> BrokerAck:
        return await self._call("exit", intent)

    async def find(self, intent: OrderIntent) -> BrokerAck | None:
        return None

    async def snapshot(self) -> tuple[BrokerUpdate, ...]:
        return ()

    async def updates(self) -> AsyncIterator[BrokerUpdate]:
        await asyncio.Event().wait()
        yield BrokerUpdate("", BrokerUpdateKind.ACKNOWLEDGED, "", "", 0, 0, 0)


async def send(broker: Broker, outbox: Outbox, intent: OrderIntent) -> list[BrokerUpdate]:
    bus = Bus()
    manager = OrderManager(bus, broker, outbox, ManualClock(5), Quiet())
    bus.intents.put(intent)
    task = asyncio.create_task(manager.run())
    try:
        finished = asyncio.create_task(bus.pulse.until(lambda: bus.intents.unfinished == 0))
        done, _ = await asyncio.wait({task, finished}, timeout=2, return_when=asyncio.FIRST_COMPLETED)
        assert done, "the intent was never dealt with"
        if task in done:
            finished.cancel()
            task.result()
    finally:
        task.cancel()
    events = [event for envelope in bus.events.take_waiting(9) for event in envelope.events]
    return [event for event in events if isinstance(event, BrokerUpdate)]


async def test_a_taken_order_is_recorded_and_nothing_else_is_said() -> None:
    broker, outbox = Broker(), Outbox()
    assert await send(broker, outbox, make_intent(1, is_entry=True)) == []
    assert broker.calls == [("place", "i1")]
    assert outbox.answers == [("i1", IntentState.WORKING, "b1", "")]


@pytest.mark.parametrize("fault", [Rejected("no margin"), Retryable("connection refused")])
async def test_a_proved_refusal_is_rejected_and_told(fault: Exception) -> None:
    outbox = Outbox()
    (update,) = await send(Broker(fault), outbox, make_intent(1, is_entry=True))
    assert outbox.answers[0][1] is IntentState.REJECTED
    assert (update.kind, update.correlation_id) == (BrokerUpdateKind.REJECTED, "c1")


@pytest.mark.parametrize("fault", [OutcomeUnknown("time-out"), ConnectionResetError(), TimeoutError()])
async def test_everything_else_is_unknown_and_never_sent_again(fault: Exception) -> None:
    broker, outbox = Broker(fault), Outbox()
    (update,) = await send(broker, outbox, make_intent(1, is_entry=True))
    assert outbox.answers[0][1] is IntentState.UNKNOWN
    assert update.kind is BrokerUpdateKind.OUTCOME_UNKNOWN
    assert len(broker.calls) == 1


async def test_a_kill_level_keeps_an_entry_from_leaving() -> None:
    broker, outbox = Broker(), Outbox(ClaimOutcome.BLOCKED)
    (update,) = await send(broker, outbox, make_intent(1, is_entry=True))
    assert broker.calls == []
    assert outbox.answers == [("i1", IntentState.BLOCKED, None, "KILL_SWITCH")]
    assert "KILL_SWITCH" in update.reason


async def test_what_was_sent_before_is_left_alone() -> None:
    broker, outbox = Broker(), Outbox(ClaimOutcome.NOT_PREPARED)
    assert await send(broker, outbox, make_intent(1, is_entry=True)) == []
    assert (broker.calls, outbox.answers) == ([], [])


async def test_a_deposed_leader_ends() -> None:
    broker = Broker()
    with pytest.raises(Deposed):
        await send(broker, Outbox(ClaimOutcome.DEPOSED), make_intent(1, is_entry=True))
    assert broker.calls == []


async def test_nothing_leaves_once_sending_is_stopped() -> None:
    bus = Bus()
    broker, outbox = Broker(), Outbox()
    bus.stop_sending()
    bus.intents.put(make_intent(1, is_entry=False))
    task = asyncio.create_task(OrderManager(bus, broker, outbox, ManualClock(5), Quiet()).run())
    await asyncio.wait_for(bus.pulse.until(lambda: bus.intents.unfinished == 0), 1)
    task.cancel()
    assert (broker.calls, outbox.answers) == ([], [])

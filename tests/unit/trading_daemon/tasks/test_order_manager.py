import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from propdesk.core.clock import NS_PER_SECOND, ManualClock
from propdesk.core.errors import (
    AccessRefused,
    AuthExpired,
    DataFault,
    OutcomeUnknown,
    Rejected,
    Retryable,
    SchemaFault,
    TooLate,
)
from propdesk.model.live import Answer, ClaimOutcome, IntentState
from propdesk.model.messages import (
    BrokerUpdate,
    BrokerUpdateKind,
    ConnectionChanged,
    EntryVerdict,
    EntryWaited,
    Event,
    IntentKind,
    OrderIntent,
)
from propdesk.ports import BrokerAck, Capabilities, OrderRates
from tests.unit.trading_daemon.test_bus import make_intent
from trading_daemon.bus import Bus
from trading_daemon.metrics import Laps
from trading_daemon.tasks.order_manager import (
    CLAIM_AGE_NS_MAX,
    ENTRY_WAIT_NS_MAX,
    Deposed,
    OrderManager,
    answer_update,
)

LAPS = Laps(CollectorRegistry())


class Quiet:
    def info(self, event: str, **values: object) -> None: ...
    def warning(self, event: str, **values: object) -> None: ...
    def error(self, event: str, **values: object) -> None: ...


class Outbox:
    def __init__(self, outcome: ClaimOutcome = ClaimOutcome.CLAIMED) -> None:
        self.outcome = outcome
        self.answers: list[tuple[str, IntentState, str | None, str]] = []
        self.withdrawn: list[list[str]] = []
        self.claimed: list[str] = []

    async def claim(self, intent: OrderIntent, now_ns: int) -> ClaimOutcome:
        self.claimed.append(intent.intent_id)
        return self.outcome

    async def withdraw(
        self, intents: Sequence[OrderIntent], now_ns: int, *, reason: str = "WITHDRAWN"
    ) -> ClaimOutcome:
        self.withdrawn.append([intent.intent_id for intent in intents])
        return self.outcome

    async def answer(
        self, intent_id: str, state: IntentState, *, broker_order_id: str | None, reason: str, now_ns: int
    ) -> None:
        self.answers.append((intent_id, state, broker_order_id, reason))


SLOW = Capabilities(True, True, order_rates=OrderRates(per_second=5, reserve_share=0.2))


class Broker:
    capabilities = Capabilities(True, True)

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.calls: list[tuple[str, str]] = []
        self.leave_by_ns: int | None = None
        self.checked = asyncio.Event()
        self.writes = 0
        self.writes_per_call = 1
        self.placed = 0

    async def _call(self, name: str, intent: OrderIntent) -> BrokerAck:
        self.calls.append((name, intent.intent_id))
        self.writes += self.writes_per_call
        if self.fault is not None:
            raise self.fault
        return BrokerAck(intent.correlation_id, "b1", self.placed)

    async def place(self, intent: OrderIntent, *, leave_by_ns: int | None = None) -> BrokerAck:
        self.leave_by_ns = leave_by_ns
        return await self._call("place", intent)

    async def modify(self, intent: OrderIntent) -> BrokerAck:
        return await self._call("modify", intent)

    async def cancel(self, intent: OrderIntent) -> BrokerAck:
        return await self._call("cancel", intent)

    async def exit(self, intent: OrderIntent) -> BrokerAck:
        return await self._call("exit", intent)

    async def protect(self, intent: OrderIntent) -> BrokerAck:
        return await self._call("protect", intent)

    async def neutralise(self, intent: OrderIntent) -> BrokerAck:
        return await self._call("neutralise", intent)

    async def check_access(self) -> None:
        self.calls.append(("check_access", ""))
        self.checked.set()
        if self.fault is not None:
            raise self.fault

    async def find(self, intent: OrderIntent) -> BrokerAck | None:
        return None

    async def snapshot(self) -> tuple[BrokerUpdate, ...]:
        return ()

    async def updates(self) -> AsyncIterator[BrokerUpdate]:
        await asyncio.Event().wait()
        yield BrokerUpdate("", BrokerUpdateKind.ACKNOWLEDGED, "", "", 0, 0, 0)


async def send(
    broker: Broker, outbox: Outbox, *intents: OrderIntent, faults: list[str] | None = None
) -> list[BrokerUpdate]:
    bus, told = Bus(), [] if faults is None else faults

    def on_fault(where: str, fault: Exception) -> None:
        told.append(f"{type(fault).__name__} in {where}")

    manager = OrderManager(bus, broker, outbox, ManualClock(5), Quiet(), LAPS, on_fault=on_fault)
    for intent in intents:
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


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (None, []),
        (Rejected("no margin"), []),
        (OutcomeUnknown("no answer"), []),
        (OSError("no route"), ["OSError in a call of the broker"]),
        (TimeoutError(), ["TimeoutError in a call of the broker"]),
        (DataFault("unreadable"), ["DataFault in a call of the broker"]),
    ],
)
async def test_only_what_is_no_word_of_the_broker_counts_as_unexpected(
    fault: Exception | None, told: list[str]
) -> None:
    faults: list[str] = []
    await send(Broker(fault), Outbox(), make_intent(1, is_entry=True), faults=faults)
    assert faults == told


@pytest.mark.parametrize(
    "fault", [Rejected("no margin"), Retryable("connection refused"), AuthExpired("token refused")]
)
async def test_a_proved_refusal_is_rejected_and_told(fault: Exception) -> None:
    outbox = Outbox()
    (update,) = await send(Broker(fault), outbox, make_intent(1, is_entry=True))
    assert outbox.answers[0][1] is IntentState.REJECTED
    assert (update.kind, update.correlation_id) == (BrokerUpdateKind.REJECTED, "c1")
    assert (update.answers, update.reason) == (IntentKind.PLACE, str(fault))


@pytest.mark.parametrize("kind", [k for k in IntentKind if k is not IntentKind.PLACE])
async def test_a_refused_change_says_which_call_it_was(kind: IntentKind) -> None:
    intent = make_intent(1, is_entry=False, kind=kind)
    (update,) = await send(Broker(Rejected("no such order")), Outbox(), intent)
    assert (update.kind, update.answers) == (BrokerUpdateKind.REJECTED, kind)


async def test_an_entry_tells_the_broker_by_when_it_leaves_and_a_late_one_is_recorded_as_not_sent() -> None:
    broker, outbox = Broker(TooLate("too late")), Outbox()
    before = time.monotonic_ns()
    (update,) = await send(broker, outbox, make_intent(1, is_entry=True))
    assert broker.leave_by_ns is not None
    assert before < broker.leave_by_ns - CLAIM_AGE_NS_MAX <= time.monotonic_ns()
    assert (update.kind, update.reason) == (BrokerUpdateKind.REJECTED, "CLAIM_TOO_OLD")


async def test_an_answer_that_makes_no_sense_ends_neither_the_order_nor_the_daemon() -> None:
    broker, outbox = Broker(SchemaFault("an unreadable row")), Outbox()
    (update,) = await send(broker, outbox, make_intent(1, is_entry=False, kind=IntentKind.EXIT))
    assert update.kind is BrokerUpdateKind.OUTCOME_UNKNOWN
    assert outbox.answers[0][1] is IntentState.UNKNOWN


@pytest.mark.parametrize("fault", [AuthExpired("token"), AccessRefused("Invalid IP")])
async def test_no_entry_is_sent_into_a_refusal_of_everything_and_exits_go_on(fault: Exception) -> None:
    bus, broker, outbox = Bus(), Broker(fault), Outbox()
    manager = OrderManager(bus, broker, outbox, ManualClock(5), Quiet(), LAPS, access_check_s=0.01)
    running = asyncio.create_task(manager.run())
    for number, kind in enumerate((IntentKind.PLACE, IntentKind.PLACE, IntentKind.EXIT, IntentKind.EXIT)):
        bus.intents.put(make_intent(number, is_entry=kind is IntentKind.PLACE, kind=kind))
        await asyncio.wait_for(bus.pulse.until(lambda: bus.intents.unfinished == 0), 10)
    assert [call for call in broker.calls if call[0] != "check_access"] == [
        ("place", "i0"), ("exit", "i2"), ("exit", "i3"),
    ]  # fmt: skip
    assert [state for _, state, _, _ in outbox.answers][:2] == [IntentState.REJECTED, IntentState.BLOCKED]
    await asyncio.wait_for(broker.checked.wait(), 10)
    changes = [e for e in told(bus) if isinstance(e, ConnectionChanged)]
    assert [(e.name, e.connected, e.reason) for e in changes] == [("access", False, str(fault))]
    broker.fault = None  # cured
    (back,) = (await asyncio.wait_for(bus.events.get(), 10)).events
    assert (back.name, back.connected) == ("access", True)  # type: ignore[union-attr]
    bus.intents.put(make_intent(9, is_entry=True))
    await asyncio.wait_for(bus.pulse.until(lambda: bus.intents.unfinished == 0), 10)
    assert broker.calls[-1] == ("place", "i9")
    running.cancel()


async def test_what_is_refused_again_and_again_does_not_keep_access_from_being_asked_for() -> None:
    bus, broker = Bus(), Broker(AccessRefused("Invalid IP"))
    manager = OrderManager(
        bus, broker, Outbox(), ManualClock(5), Quiet(), LAPS, has_access=False, access_check_s=0.2
    )
    running = asyncio.create_task(manager.run())
    number = 0
    async with asyncio.timeout(10):
        while not broker.checked.is_set():
            number += 1
            bus.intents.put(make_intent(number, is_entry=False, kind=IntentKind.EXIT))
            await asyncio.sleep(0)
    assert bus.intents.unfinished < number
    running.cancel()


async def test_an_accepted_exit_proves_that_the_broker_takes_orders_again() -> None:
    bus, broker = Bus(), Broker()
    manager = OrderManager(bus, broker, Outbox(), ManualClock(5), Quiet(), LAPS, has_access=False)
    running = asyncio.create_task(manager.run())
    bus.intents.put(make_intent(1, is_entry=False, kind=IntentKind.EXIT))
    (back,) = (await asyncio.wait_for(bus.events.get(), 10)).events
    assert back == ConnectionChanged("access", True, 5)
    running.cancel()


async def test_an_exit_with_nothing_to_do_proves_nothing_of_access() -> None:
    bus, broker = Bus(), Broker()
    broker.writes_per_call = 0
    manager = OrderManager(bus, broker, Outbox(), ManualClock(5), Quiet(), LAPS, has_access=False)
    running = asyncio.create_task(manager.run())
    bus.intents.put(make_intent(1, is_entry=False, kind=IntentKind.EXIT))
    await asyncio.wait_for(bus.pulse.until(lambda: bus.intents.unfinished == 0), 10)
    assert (broker.calls, told(bus)) == ([("exit", "i1")], [])
    running.cancel()


async def test_in_lockstep_the_days_own_time_asks_whether_orders_are_taken_again() -> None:
    bus, broker, clock = Bus(lockstep=True), Broker(), ManualClock(NS_PER_SECOND * 100)
    manager = OrderManager(bus, broker, Outbox(), clock, Quiet(), LAPS, has_access=False, access_check_s=0.01)
    running = asyncio.create_task(manager.run())
    await asyncio.sleep(0.1)
    assert broker.calls == [], "no clock on the wall decides anything"
    await manager.probe()
    assert told(bus) == [ConnectionChanged("access", True, clock.now_ns())]
    await manager.probe()
    assert broker.calls == [("check_access", "")]
    running.cancel()


async def test_what_an_earlier_process_sent_counts_towards_the_rates() -> None:
    bus, broker = Bus(), Broker()
    broker.capabilities = SLOW
    clock = ManualClock(NS_PER_SECOND)
    manager = OrderManager(bus, broker, Outbox(), clock, Quiet(), LAPS, sent_ns=(1, 2, 3, 4, 5))
    task = asyncio.create_task(manager.run())
    bus.intents.put(make_intent(1, is_entry=False, kind=IntentKind.EXIT))
    await asyncio.sleep(0.05)
    assert broker.calls == []
    clock.advance_to(NS_PER_SECOND + 1)
    await asyncio.wait_for(bus.pulse.until(lambda: bus.intents.unfinished == 0), 5)
    assert broker.calls == [("exit", "i1")]
    task.cancel()


async def test_an_intent_that_takes_several_calls_is_counted_as_several() -> None:
    bus, broker, outbox = Bus(), Broker(), Outbox()
    broker.capabilities, broker.writes_per_call = SLOW, 5
    task = asyncio.create_task(OrderManager(bus, broker, outbox, ManualClock(5), Quiet(), LAPS).run())
    for number in range(2):  # five may leave in this second; the clock stands still
        bus.intents.put(make_intent(number, is_entry=False, kind=IntentKind.EXIT))
    await asyncio.wait_for(bus.pulse.until(lambda: bus.intents.unfinished == 1), 2)
    await asyncio.sleep(0.05)
    assert (broker.calls, outbox.claimed) == ([("exit", "i0")], ["i0"])
    task.cancel()


def told(bus: Bus) -> list[Event]:
    return [event for envelope in bus.events.take_waiting(100) for event in envelope.events]


def called_off() -> list[OrderIntent]:
    kinds = [IntentKind.PLACE, IntentKind.MODIFY_STOP, IntentKind.CANCEL_ENTRY]
    return [make_intent(n, is_entry=n == 0, kind=kind, order="a") for n, kind in enumerate(kinds)]


async def test_an_entry_cancelled_before_it_was_sent_never_leaves_and_is_told_as_over() -> None:
    broker, outbox = Broker(), Outbox()
    (update,) = await send(broker, outbox, *called_off())
    assert (broker.calls, outbox.claimed) == ([], [])
    assert outbox.withdrawn == [["i0", "i1", "i2"]]
    assert (update.kind, update.answers, update.reason) == (
        BrokerUpdateKind.CANCELLED,
        IntentKind.PLACE,
        "WITHDRAWN",
    )


async def test_an_entry_that_left_in_an_earlier_life_is_cancelled_at_the_broker() -> None:
    class Outlived(Outbox):
        async def withdraw(
            self, intents: Sequence[OrderIntent], now_ns: int, *, reason: str = "WITHDRAWN"
        ) -> ClaimOutcome:
            return ClaimOutcome.NOT_PREPARED

        async def claim(self, intent: OrderIntent, now_ns: int) -> ClaimOutcome:
            is_place = intent.kind is IntentKind.PLACE
            return ClaimOutcome.NOT_PREPARED if is_place else ClaimOutcome.CLAIMED

    broker = Broker()
    assert await send(broker, Outlived(), *called_off()) == []
    assert broker.calls == [("modify", "i1"), ("cancel", "i2")]


async def test_a_deposed_leader_withdraws_nothing() -> None:
    with pytest.raises(Deposed):
        await send(Broker(), Outbox(ClaimOutcome.DEPOSED), *called_off())


async def test_an_entry_that_waits_for_its_rate_lets_an_exit_pass_and_can_still_be_called_off() -> None:
    bus, broker, outbox = Bus(), Broker(), Outbox()
    broker.capabilities = SLOW
    manager = OrderManager(bus, broker, outbox, ManualClock(5), Quiet(), LAPS)
    task = asyncio.create_task(manager.run())
    for number in range(6):  # four may leave in this second; the clock stands still
        bus.intents.put(make_intent(number, is_entry=True))
    try:
        await asyncio.wait_for(bus.pulse.until(lambda: bus.intents.unfinished == 2), 2)
        bus.intents.put(make_intent(7, is_entry=False))
        await asyncio.wait_for(bus.pulse.until(lambda: bus.intents.unfinished == 2), 2)
        assert [call[1] for call in broker.calls] == ["i0", "i1", "i2", "i3", "i7"]
        assert "i4" not in outbox.claimed
    finally:
        task.cancel()


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (IntentState.REJECTED, BrokerUpdateKind.REJECTED),
        (IntentState.BLOCKED, BrokerUpdateKind.REJECTED),
        (IntentState.UNKNOWN, BrokerUpdateKind.OUTCOME_UNKNOWN),
        (IntentState.WITHDRAWN, BrokerUpdateKind.CANCELLED),
        (IntentState.WORKING, None),
        (IntentState.SENT, None),
    ],
)
def test_what_the_reducer_hears_of_an_answer(state: IntentState, kind: BrokerUpdateKind | None) -> None:
    update = answer_update(Answer(make_intent(1, is_entry=True), state, "why"), 9)
    assert (None if update is None else update.kind) is kind
    assert update is None or update.update_id == f"i1|{update.kind.value}"


async def test_a_guard_that_was_not_placed_is_told_and_still_known_after_a_restart() -> None:
    broker, outbox = Broker(), Outbox()
    exit_ = replace(make_intent(1, is_entry=False, kind=IntentKind.EXIT), guard=2)
    (update,) = await send(broker, outbox, exit_)
    assert (update.kind, update.guard) == (BrokerUpdateKind.GUARD_UNUSED, 2)
    ((_, state, _, reason),) = outbox.answers
    assert answer_update(Answer(exit_, state, reason), 5) == update
    broker.placed = 2
    assert await send(broker, Outbox(), exit_) == []


def test_of_a_withdrawn_order_only_the_entry_has_a_fate() -> None:
    cancel = make_intent(2, is_entry=False, kind=IntentKind.CANCEL_ENTRY)
    assert answer_update(Answer(cancel, IntentState.WITHDRAWN, ""), 9) is None


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
    task = asyncio.create_task(OrderManager(bus, broker, outbox, ManualClock(5), Quiet(), LAPS).run())
    await asyncio.wait_for(bus.pulse.until(lambda: bus.intents.unfinished == 0), 1)
    task.cancel()
    assert (broker.calls, outbox.answers) == ([], [])


# --------------------------------------------------------- entries that waited

LATE_NS = ENTRY_WAIT_NS_MAX + 1


class Floor:
    """A manager at work on a queue, and a decider that answers as it is told to."""

    def __init__(
        self, *, now_ns: int, refusal: str = "", outcome: ClaimOutcome = ClaimOutcome.CLAIMED
    ) -> None:
        self.bus, self.broker, self.outbox = Bus(), Broker(), Outbox()
        self.clock = ManualClock(now_ns)
        self.refusal = refusal
        self.asked: list[EntryWaited] = []

    async def run(self, *intents: OrderIntent) -> None:
        manager = OrderManager(self.bus, self.broker, self.outbox, self.clock, Quiet(), LAPS)
        for intent in intents:
            self.bus.intents.put(intent)
        tasks = [asyncio.create_task(manager.run()), asyncio.create_task(self._decide())]
        calm = asyncio.create_task(self.bus.quiescent())
        done, _ = await asyncio.wait({*tasks, calm}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, calm):
            task.cancel()
        for task in done & set(tasks):
            task.result()
        assert calm in done, "the intents were never dealt with"

    async def _decide(self) -> None:
        while True:
            envelope = await self.bus.events.get()
            for event in envelope.events:
                if isinstance(event, EntryWaited):
                    self.asked.append(event)
                    self.answer(event)
            self.bus.events.done()

    def answer(self, event: EntryWaited) -> None:
        self.bus.judge(EntryVerdict(event.intent_id, self.refusal, self.clock.now_ns()))


async def test_an_entry_is_claimed_without_a_question_while_it_is_fresh() -> None:
    floor = Floor(now_ns=ENTRY_WAIT_NS_MAX)
    await floor.run(make_intent(1, is_entry=True))
    assert (floor.asked, floor.broker.calls) == ([], [("place", "i1")])


async def test_an_entry_that_waited_is_judged_and_then_sent_once() -> None:
    floor = Floor(now_ns=LATE_NS)
    await floor.run(make_intent(1, is_entry=True))
    assert floor.asked == [EntryWaited("i1", "c1", LATE_NS)]
    assert floor.broker.calls == [("place", "i1")]
    assert floor.outbox.withdrawn == []


async def test_an_entry_that_is_refused_after_its_wait_is_never_claimed() -> None:
    floor = Floor(now_ns=LATE_NS, refusal="PRICE_DRIFT: too far")
    await floor.run(make_intent(1, is_entry=True))
    assert (floor.outbox.claimed, floor.broker.calls) == ([], [])
    assert floor.outbox.withdrawn == [["i1"]]
    assert len(floor.asked) == 1


@pytest.mark.parametrize("kind", [k for k in IntentKind if k is not IntentKind.PLACE])
async def test_exits_and_changes_leave_however_long_they_waited(kind: IntentKind) -> None:
    floor = Floor(now_ns=100 * LATE_NS, refusal="never")
    await floor.run(make_intent(1, is_entry=False, kind=kind))
    assert floor.asked == []
    assert len(floor.broker.calls) == 1


async def test_a_verdict_is_good_for_three_seconds_only() -> None:
    class Slow(Floor):
        def answer(self, event: EntryWaited) -> None:
            super().answer(event)
            if len(self.asked) == 1:
                self.clock.advance_to(self.clock.now_ns() + LATE_NS)

    floor = Slow(now_ns=LATE_NS)
    await floor.run(make_intent(1, is_entry=True))
    assert [event.ts_ns for event in floor.asked] == [LATE_NS, 2 * LATE_NS]
    assert floor.broker.calls == [("place", "i1")]


@pytest.mark.parametrize("is_verdict_first", [False, True])
async def test_an_entry_that_is_cancelled_while_it_is_judged_is_withdrawn(is_verdict_first: bool) -> None:
    """The decider hands the verdict over before a cancel of the same batch."""

    class Cancelling(Floor):
        def answer(self, event: EntryWaited) -> None:
            cancel = make_intent(2, is_entry=False, kind=IntentKind.CANCEL_ENTRY, order="c1")
            if is_verdict_first:
                super().answer(event)
            self.bus.intents.put(cancel)
            if not is_verdict_first:
                super().answer(event)

    floor = Cancelling(now_ns=LATE_NS)
    await floor.run(make_intent(1, is_entry=True))
    assert floor.broker.calls == []
    assert floor.outbox.withdrawn == [["i1", "i2"]]
    assert floor.bus.verdicts == {}


async def test_a_wait_for_a_rate_token_counts() -> None:
    class Ticking(ManualClock):
        """Time passes whenever it is asked for: five seconds a look."""

        def now_ns(self) -> int:
            self.advance_to(super().now_ns() + 5 * NS_PER_SECOND)
            return super().now_ns()

    floor = Floor(now_ns=1)
    floor.clock = Ticking(1)
    floor.refusal = "PRICE_STALE: too old"
    floor.broker.capabilities = SLOW
    await floor.run(make_intent(1, is_entry=True))
    assert len(floor.asked) == 1
    assert floor.broker.calls == []

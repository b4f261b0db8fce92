"""Turns of the paper exchange: what is saved, and what happens when saving fails."""

import asyncio
import copy
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import pytest

from adapters.brokers.paper import PaperBroker
from propdesk.core.clock import NS_PER_MINUTE, ManualClock
from propdesk.core.errors import InvariantViolated, Rejected
from propdesk.engine import codec
from propdesk.model.enums import Side
from propdesk.model.messages import BarObserved, BrokerUpdate, BrokerUpdateKind, IntentKind, OrderIntent
from propdesk.sim.broker import SimBroker

KEY = "NSE_EQ:A"


class Exchange:
    """Memory of an exchange whose saves end when the test says so."""

    def __init__(self) -> None:
        self.saved: list[tuple[dict[str, Any], list[BrokerUpdate]]] = []
        self.begun = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Exception | None = None

    async def load(self) -> None:
        return None

    async def facts(self) -> list[Any]:
        return []

    async def save(
        self, state: dict[str, Any], facts: Sequence[tuple[int, str, int, dict[str, Any]]]
    ) -> None:
        state = copy.deepcopy(state)
        self.begun += 1
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.saved.append((state, [codec.from_plain(BrokerUpdate, fact[3]) for fact in facts]))


def make_broker(exchange: Exchange) -> PaperBroker:
    return PaperBroker(exchange, SimBroker(), ManualClock(5))  # type: ignore[arg-type]


def entry(number: int, price: int = 100) -> OrderIntent:
    return OrderIntent(
        f"i{number}", IntentKind.PLACE, f"c{number}", "g", 1, KEY, Side.BUY, 10, "LIMIT", price, price,
        price - 10, price + 10, price + 10, 0, 10**15, None, True, 0,
    )  # fmt: skip


def call_off(number: int) -> OrderIntent:
    return replace(entry(number), intent_id=f"x{number}", kind=IntentKind.CANCEL_ENTRY, is_entry=False)


def minute(number: int, low: int = 99) -> BarObserved:
    return BarObserved(KEY, number * NS_PER_MINUTE, NS_PER_MINUTE, 105, 106, low, 105, 1_000)


def orders_in(state: dict[str, Any]) -> list[str]:
    return [plain["correlation_id"] for plain in state["sim"]["orders"]]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_saved_state_holds_another_calls_uncommitted_change() -> None:
    exchange = Exchange()
    broker = make_broker(exchange)
    await broker.place(entry(1))
    exchange.gate.clear()
    calls: list[Coroutine[Any, Any, object]] = [
        broker.place(entry(2)),
        broker.on_bars([minute(1)], 2 * NS_PER_MINUTE),
        broker.place(entry(3)),
        broker.end_session(9),
    ]
    tasks = [asyncio.create_task(call) for call in calls]
    await settle()
    assert exchange.begun == 2, "the second change waits for the first one's commit"
    exchange.gate.set()
    await asyncio.gather(*tasks)
    assert [orders_in(state) for state, _ in exchange.saved[:3]] == [["c1"], ["c1", "c2"], ["c1", "c2"]]
    told = [[(u.kind, u.correlation_id) for u in facts] for _, facts in exchange.saved]
    assert told[1] == [(BrokerUpdateKind.ACKNOWLEDGED, "c2")]
    assert (BrokerUpdateKind.ENTRY_FILLED, "c1") in told[2]
    assert told[3][0] == (BrokerUpdateKind.ACKNOWLEDGED, "c3")


async def test_each_saved_state_follows_from_the_facts_saved_so_far() -> None:
    exchange = Exchange()
    broker = make_broker(exchange)
    calls = [broker.place(entry(n)) for n in range(5)]
    bars = [broker.on_bars([minute(n)], (n + 1) * NS_PER_MINUTE) for n in range(1, 4)]
    mixed = [item for pair in zip(calls, bars, strict=False) for item in pair]
    await asyncio.gather(*mixed, *calls[3:])
    known: set[str] = set()
    for state, facts in exchange.saved:
        known |= {fact.update_id for fact in facts}
        held = {fact["update_id"] for plain in state["sim"]["orders"] for fact in plain["facts"]}
        assert held == known


CALLS: dict[str, Callable[[PaperBroker], Coroutine[Any, Any, object]]] = {
    "place": lambda broker: broker.place(entry(9)),
    "cancel": lambda broker: broker.cancel(call_off(1)),
    "bars": lambda broker: broker.on_bars([minute(5)], 6 * NS_PER_MINUTE),
    "end": lambda broker: broker.end_session(9),
    "refresh": lambda broker: broker.refresh([minute(6)]),
    "find": lambda broker: broker.find(entry(2)),
}


@pytest.mark.parametrize("after", CALLS)
@pytest.mark.parametrize("fault", [OSError("gone"), TimeoutError("slow"), RuntimeError("odd")])
async def test_after_a_failed_commit_nothing_is_done_on_top_of_it(after: str, fault: Exception) -> None:
    exchange = Exchange()
    broker = make_broker(exchange)
    await broker.place(entry(1))
    exchange.fault = fault
    wanted = InvariantViolated if isinstance(fault, OSError) else RuntimeError
    with pytest.raises(wanted):
        await broker.place(entry(2))
    exchange.fault = None
    with pytest.raises(InvariantViolated, match="ahead of its store"):
        await CALLS[after](broker)
    assert len(exchange.saved) == 1
    assert [update.correlation_id for update in await broker.snapshot()] == ["c1"]


async def test_a_commit_whose_end_was_not_seen_counts_as_failed() -> None:
    exchange = Exchange()
    broker = make_broker(exchange)
    exchange.gate.clear()
    task = asyncio.create_task(broker.place(entry(1)))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    exchange.gate.set()
    with pytest.raises(InvariantViolated, match="ahead of its store"):
        await broker.place(entry(2))


async def test_a_refused_call_changes_nothing_and_the_exchange_goes_on() -> None:
    exchange = Exchange()
    broker = make_broker(exchange)
    with pytest.raises(Rejected):
        await broker.cancel(call_off(1))
    await broker.place(entry(1))
    assert len(exchange.saved) == 1


async def test_facts_of_an_earlier_day_are_told_of_the_orders_asked_for() -> None:
    exchange = Exchange()
    first = make_broker(exchange)
    await first.place(entry(1))
    await first.place(entry(2))

    class NextDay(Exchange):
        async def load(self) -> Any:
            return exchange.saved[-1][0]

    second = make_broker(NextDay())
    await second.open(frozenset())
    assert await second.snapshot() == ()
    assert [update.correlation_id for update in await second.snapshot({"c1"})] == ["c1"]
    await second.place(entry(3))
    assert [update.correlation_id for update in await second.snapshot({"c1", "c3"})] == ["c1", "c3"]


async def test_a_minute_that_is_met_again_lets_a_bar_act_that_was_late_the_first_time() -> None:
    """The process died before its journal held the minute, and the recorder wrote what it had held back."""
    exchange = Exchange()
    broker = make_broker(exchange)
    other = "NSE_EQ:B"
    await broker.place(entry(1))
    await broker.place(replace(entry(2), instrument_key=other))
    late = replace(minute(1), price_key=other)
    await broker.on_bars([minute(1)], 2 * NS_PER_MINUTE)
    await broker.on_bars([minute(1), late], 2 * NS_PER_MINUTE)
    facts = [fact for fact in await broker.snapshot() if fact.kind is BrokerUpdateKind.ENTRY_FILLED]
    assert [fact.correlation_id for fact in facts] == ["c1", "c2"]

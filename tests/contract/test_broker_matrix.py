"""The numbered matrix every broker must pass, on the paper broker and on Dhan's adapter over the sandbox.

==== ==========================================================================
 B1  a placed order is acknowledged with an id and found again
 B2  a limit entry fills at its price or better and tells quantity and price
 B3  a target that is reached closes the order, told once
 B4  a stop that is reached closes the order
 B5  a moved stop closes at its new level, not at the old one
 B6  a moved target closes at its new level
 B7  a withdrawn entry tells its end and never fills
 B8  an exit closes what is filled, whatever the levels
 B9  an order that nobody knows is refused
 B10 the same intent sent twice makes two orders: no broker de-duplicates
 B11 facts repeat in every snapshot under the same ids
==== ==========================================================================
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.brokers.dhan.broker import DaySheet, DhanBroker, PollTiming
from adapters.brokers.dhan.order_updates import OrderUpdates
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.errors import Rejected
from propdesk.core.ids import derived_id
from propdesk.model.enums import ExitReason, Product, Side
from propdesk.model.messages import BarObserved, BrokerUpdate, BrokerUpdateKind, IntentKind, OrderIntent
from propdesk.ports import Broker, BrokerAck, Capabilities
from propdesk.sim.broker import SimBroker
from tests.contract.conftest import KEY, START, Desk
from tests.support.instruments import equity

NAME = "pABCAAAAAAAAAAAAAAAA"


class PaperUnderTest:
    """The simulated exchange behind the broker interface, without its database."""

    capabilities = Capabilities(has_super_orders=True, has_trigger_entries=True)

    def __init__(self) -> None:
        self._sim = SimBroker()
        self._minute = START

    async def place(self, intent: OrderIntent) -> BrokerAck:
        return self._sim.handle(intent)[0]

    modify = cancel = exit = place

    async def find(self, intent: OrderIntent) -> BrokerAck | None:
        return next(
            (
                BrokerAck(fact.correlation_id, fact.broker_order_id)
                for fact in self._sim.snapshot()
                if fact.correlation_id == intent.correlation_id
            ),
            None,
        )

    async def snapshot(self) -> tuple[BrokerUpdate, ...]:
        return self._sim.snapshot()

    async def updates(self) -> AsyncIterator[BrokerUpdate]:
        for fact in self._sim.snapshot():
            yield fact

    async def price(self, paise: int) -> None:
        self._minute += NS_PER_MINUTE
        bar = BarObserved(KEY, self._minute, NS_PER_MINUTE, paise, paise, paise, paise, -1)
        self._sim.on_bars([bar])


class Bench:
    """A broker and the means to move its market."""

    def __init__(self, broker: Broker, price: Callable[[int], Awaitable[None]]) -> None:
        self.broker = broker
        self.price = price

    async def facts(self) -> list[tuple[BrokerUpdateKind, int, int]]:
        """Kind, quantity and price of everything told but acknowledgements and changes."""
        quiet = (BrokerUpdateKind.ACKNOWLEDGED, BrokerUpdateKind.MODIFIED)
        return [
            (fact.kind, fact.quantity, fact.price_paise)
            for fact in await self.broker.snapshot()
            if fact.kind not in quiet
        ]


def dhan_broker(desk: Desk, **sheet: Any) -> DhanBroker:
    """The adapter at a desk's sandbox; ``sheet`` changes what it is told of the day."""

    def last_price(key: str) -> int | None:
        known = desk.world.exchange.last.get(key)
        return known[0] if known else None

    day = DaySheet(
        instrument=lambda key: equity(freeze_quantity=1_001) if key == KEY else None,
        product=lambda _: Product.INTRADAY,
        last_price=last_price,
        ordered=lambda _: PLACE.quantity,
    )
    client = desk.client
    alerts = OrderUpdates(desk.config, client.session)
    timing = PollTiming(least_s=0.01, idle_s=0.2)
    return DhanBroker(client, alerts, replace(day, **sheet), desk.clock, timing=timing)


@pytest.fixture(params=["paper", "dhan"])
def bench(request: pytest.FixtureRequest, desk: Desk) -> Bench:
    """Each broker in turn."""
    if request.param == "paper":
        paper = PaperUnderTest()
        return Bench(paper, paper.price)

    async def price(paise: int) -> None:
        desk.world.advance_by(60)
        desk.world.trade(KEY, paise)

    return Bench(dhan_broker(desk), price)


def intent(kind: IntentKind, **changes: object) -> OrderIntent:
    base = OrderIntent(
        intent_id=derived_id("test", kind.value),
        kind=kind,
        correlation_id=NAME,
        group_id="g",
        leg_number=1,
        instrument_key=KEY,
        side=Side.BUY,
        quantity=10,
        entry_type="LIMIT",
        price_low_paise=10_000,
        price_high_paise=10_000,
        stop_paise=9_900,
        target_paise=10_100,
        first_target_paise=10_100,
        active_from_ns=START,
        valid_until_ns=START + 10**15,
        reason=None,
        is_entry=kind is IntentKind.PLACE,
        created_ns=START,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


PLACE = intent(IntentKind.PLACE)
ENTERED = (BrokerUpdateKind.ENTRY_FILLED, 10, 10_000)


async def entered(bench: Bench) -> None:
    await bench.broker.place(PLACE)
    await bench.price(10_000)


async def test_b1_a_placed_order_is_acknowledged_and_found(bench: Bench) -> None:
    assert await bench.broker.find(PLACE) is None
    ack = await bench.broker.place(PLACE)
    assert ack.correlation_id == NAME
    assert await bench.broker.find(PLACE) == ack


async def test_b2_a_limit_entry_fills(bench: Bench) -> None:
    await entered(bench)
    assert await bench.facts() == [ENTERED]


async def test_b3_a_target_closes(bench: Bench) -> None:
    await entered(bench)
    await bench.price(10_100)
    await bench.price(10_200)
    assert await bench.facts() == [ENTERED, (BrokerUpdateKind.TARGET_FILLED, 10, 10_100)]


async def test_b4_a_stop_closes(bench: Bench) -> None:
    await entered(bench)
    await bench.price(9_900)
    assert await bench.facts() == [ENTERED, (BrokerUpdateKind.STOP_FILLED, 10, 9_900)]


async def test_b5_a_moved_stop_acts_at_its_new_level(bench: Bench) -> None:
    await entered(bench)
    await bench.price(10_050)
    await bench.broker.modify(intent(IntentKind.MODIFY_STOP, stop_paise=10_000))
    await bench.price(10_020)
    assert await bench.facts() == [ENTERED]
    await bench.price(10_000)
    assert await bench.facts() == [ENTERED, (BrokerUpdateKind.STOP_FILLED, 10, 10_000)]


async def test_b6_a_moved_target_acts_at_its_new_level(bench: Bench) -> None:
    await entered(bench)
    await bench.broker.modify(intent(IntentKind.MODIFY_TARGET, target_paise=10_200))
    await bench.price(10_150)
    assert await bench.facts() == [ENTERED]
    await bench.price(10_200)
    assert await bench.facts() == [ENTERED, (BrokerUpdateKind.TARGET_FILLED, 10, 10_200)]


async def test_b7_a_withdrawn_entry_never_fills(bench: Bench) -> None:
    await bench.price(10_050)
    await bench.broker.place(PLACE)
    await bench.broker.cancel(intent(IntentKind.CANCEL_ENTRY))
    await bench.price(9_950)
    assert [kind for kind, _, _ in await bench.facts()] == [BrokerUpdateKind.CANCELLED]


async def test_b8_an_exit_closes_what_is_filled(bench: Bench) -> None:
    await entered(bench)
    await bench.broker.exit(intent(IntentKind.EXIT, reason=ExitReason.SQUARE_OFF))
    await bench.price(10_000)
    facts = await bench.facts()
    assert [(kind, quantity) for kind, quantity, _ in facts[1:]] == [(BrokerUpdateKind.EXIT_FILLED, 10)]
    told = [fact for fact in await bench.broker.snapshot() if fact.kind is BrokerUpdateKind.EXIT_FILLED]
    assert told[0].reason == ExitReason.SQUARE_OFF.value


async def test_b9_an_order_that_nobody_knows_is_refused(bench: Bench) -> None:
    for call, kind in (
        (bench.broker.modify, IntentKind.MODIFY_STOP),
        (bench.broker.cancel, IntentKind.CANCEL_ENTRY),
        (bench.broker.exit, IntentKind.EXIT),
    ):
        with pytest.raises(Rejected):
            await call(intent(kind))


async def test_b10_the_same_intent_twice_makes_two_orders(bench: Bench) -> None:
    first = await bench.broker.place(PLACE)
    again = await bench.broker.place(PLACE)
    assert first.broker_order_id != again.broker_order_id
    await bench.price(10_000)
    # Dhan's adapter tells the second one for what it is: nobody asked for it
    second = (BrokerUpdateKind.SURPLUS, 10, 0)  # it holds as much
    assert sorted(await bench.facts()) in ([ENTERED, ENTERED], sorted([ENTERED, second]))


async def test_b11_facts_keep_their_ids(bench: Bench) -> None:
    await entered(bench)
    before = [fact.update_id for fact in await bench.broker.snapshot()]
    await bench.price(10_100)
    after = [fact.update_id for fact in await bench.broker.snapshot()]
    assert set(before) <= set(after)
    assert len(set(after)) == len(after)


async def collect(broker: Broker, wanted: int) -> list[BrokerUpdate]:
    found = []
    updates = broker.updates()
    async with asyncio.timeout(60):
        while len(found) < wanted:
            found.append(await anext(updates))
    await updates.aclose()  # type: ignore[attr-defined]
    return found


async def test_the_stream_tells_each_fact_once_whatever_happens_to_its_messages(desk: Desk) -> None:
    from sandbox.faults import Fault, FaultKind

    for kind in (FaultKind.STREAM_DUPLICATE, FaultKind.STREAM_MALFORMED, FaultKind.STREAM_DROP):
        desk.world.faults.arm(Fault(kind, count=-1, share=0.5))
    broker = dhan_broker(desk)
    await broker.place(PLACE)
    task = asyncio.create_task(collect(broker, 3))
    await asyncio.sleep(0)
    desk.world.trade(KEY, 10_100)
    kinds = [fact.kind for fact in await task]
    assert kinds == [
        BrokerUpdateKind.ACKNOWLEDGED,
        BrokerUpdateKind.ENTRY_FILLED,
        BrokerUpdateKind.TARGET_FILLED,
    ]

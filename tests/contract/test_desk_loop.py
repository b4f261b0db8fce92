"""Reducer, adapter and a sandbox that misbehaves, together: what is held ends closed, and never reversed."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from adapters.brokers.dhan.broker import DaySheet, DhanBroker, PollTiming
from adapters.brokers.dhan.order_updates import OrderUpdates
from adapters.brokers.dhan.transport import TimeOuts
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.errors import (
    AuthExpired,
    BrokerFault,
    DataFault,
    Rejected,
    Retryable,
)
from propdesk.engine.state import LegOrder
from propdesk.model.enums import KillLevel, Product
from propdesk.model.live import Answer, IntentState
from propdesk.model.messages import BrokerUpdate, Event, IntentKind, OperatorCommand, OrderIntent, TimerFired
from propdesk.ports import BrokerAck
from sandbox.catalogue import Catalogue, listing_of
from sandbox.faults import Fault, FaultKind
from sandbox.knobs import Knobs
from sandbox.server import Sandbox
from sandbox.world import make_world
from tests.contract.conftest import Desk
from tests.support.engine_day import Day, at, flat_bar, make_context, make_instrument, make_signal
from trading_daemon.tasks.order_manager import GUARD_UNUSED, answer_update

KEY: Final = "NSE_EQ:ALPHA"
CALLS: Final = (
    Fault(FaultKind.TIME_OUT, path="orders", method="POST", values={"effect": False}),
    Fault(FaultKind.TIME_OUT, path="orders", method="POST", values={"effect": True}),
    Fault(FaultKind.TIME_OUT, path="orders", method="PUT", values={"effect": True}),
    Fault(FaultKind.TIME_OUT, path="orders", method="PUT", values={"effect": False}),
    Fault(FaultKind.TIME_OUT, path="orders", method="DELETE", values={"effect": True}),
    Fault(FaultKind.LATE_ACCEPT, path="/orders", method="POST", values={"delay_s": 60}),
    Fault(FaultKind.ERROR_STATUS, path="orders", method="PUT", values={"status": 502, "effect": True}),
    Fault(FaultKind.RATE_LIMIT, path="orders", count=3),
    Fault(FaultKind.LIST_EMPTY, path="/super/orders", count=3),
    Fault(FaultKind.LIST_OMITS_NEWEST, path="orders", count=4),
    Fault(FaultKind.LOOKUP_LAG, path="orders", count=5, values={"delay_s": 6}),
    Fault(FaultKind.EXCHANGE_REJECT, values={"reason": "RMS"}),
)
"""What may go wrong with a call, after the entry."""

LIVES: Final = (
    Fault(FaultKind.STOP_MISSING),
    Fault(FaultKind.STOP_REJECTED),
    Fault(FaultKind.EXIT_UNFILLED),
    Fault(FaultKind.PARTIAL_ENTRY, values={"pieces": 2}),
)
"""What may go wrong with the order itself."""


class Plain:
    """What of the daemon lies between reducer and broker, without its tasks and tables."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.day = Day(make_context())
        self.day._answer = self._take  # type: ignore[method-assign]
        self.intents: deque[OrderIntent] = deque()
        self.held: list[int] = []
        sheet = DaySheet(
            instrument=lambda key: make_instrument() if key == KEY else None,
            product=lambda _: Product.INTRADAY,
            last_price=lambda key: desk.world.exchange.last.get(key, (None,))[0],
            ordered=lambda name: next((o.quantity for o in self._orders() if o.correlation_id == name), None),
        )
        alerts = OrderUpdates(desk.config, desk.client.session)
        self.broker = DhanBroker(desk.client, alerts, sheet, desk.clock, timing=PollTiming())

    def _orders(self) -> list[LegOrder]:
        return [order for live in self.day.state.groups.values() for order in live.orders]

    def _take(self, intent: OrderIntent) -> tuple[BrokerUpdate, ...]:
        self.intents.append(intent)
        return ()

    @property
    def net(self) -> int:
        return sum(position.net for position in self.desk.world.exchange.positions.values())

    def feed(self, event: Event) -> None:
        self.day.feed(event, self.desk.world.now_ns)

    async def second(self, price: int) -> None:
        """Let a second pass: the market trades, the books are read, and what was decided is sent."""
        world = self.desk.world
        world.advance_by(1)
        world.trade(KEY, price)
        self.held.append(self.net)
        try:
            facts = await self.broker.news()
        except (BrokerFault, DataFault):
            facts = ()
        for fact in facts:
            self.feed(fact)
        if world.now_ns % NS_PER_MINUTE == 0:
            start_ns = world.now_ns - NS_PER_MINUTE
            self.feed(replace(flat_bar(600, price), start_ns=start_ns))
            self.feed(TimerFired("MINUTE", world.now_ns))
        while self.intents:
            await self._send(self.intents.popleft())

    async def _send(self, intent: OrderIntent) -> None:
        state, reason = IntentState.WORKING, ""
        try:
            ack = await self._call(intent)
            reason = GUARD_UNUSED if intent.guard and not ack.guard else ""
        except (Rejected, Retryable, AuthExpired) as fault:
            state, reason = IntentState.REJECTED, str(fault)
        except (BrokerFault, DataFault, OSError, TimeoutError) as fault:
            state, reason = IntentState.UNKNOWN, str(fault)
        update = answer_update(Answer(intent, state, reason), self.desk.world.now_ns)
        if update is not None:
            self.feed(update)

    async def _call(self, intent: OrderIntent) -> BrokerAck:
        calls = {
            IntentKind.PLACE: self.broker.place,
            IntentKind.MODIFY_STOP: self.broker.modify,
            IntentKind.MODIFY_TARGET: self.broker.modify,
            IntentKind.CANCEL_ENTRY: self.broker.cancel,
            IntentKind.EXIT: self.broker.exit,
            IntentKind.EMERGENCY_STOP: self.broker.protect,
            IntentKind.NEUTRALISE: self.broker.neutralise,
        }
        return await calls[intent.kind](intent)


@pytest.fixture
async def plain() -> AsyncIterator[Plain]:
    """A day at a sandbox that lists ALPHA at 100.50."""
    catalogue = Catalogue([listing_of(make_instrument())])
    knobs = Knobs(transit_ms=0, rate_limits=False)
    world = make_world(catalogue, at(599), knobs=knobs, previous_close={KEY: 10_050})
    sandbox = Sandbox(world)
    async with sandbox.serving() as place:
        desk = Desk(sandbox, place, TimeOuts(order_s=0.3, read_s=1.0))
        async with desk.client:
            yield Plain(desk)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_broker_does_what_is_held_is_closed_and_never_reversed(
    plain: Plain, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    faults, day = plain.desk.world.faults, plain.day
    day.open()
    plain.desk.world.advance_by(59)
    await plain.second(10_050)
    plain.desk.world.advance_by(30)
    life = LIVES[chance.integers(len(LIVES))]
    faults.arm(replace(life))
    story = [life]
    day.signal(make_signal(), plain.desk.world.now_ns)
    price = 10_050
    for second in range(720):
        if second == 60:
            leave = OperatorCommand(
                KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", plain.desk.world.now_ns
            )
            plain.feed(leave)
        if second in (8, 30, 58, 61, 66, 80):
            story.append(CALLS[chance.integers(len(CALLS))])
            faults.arm(replace(story[-1]))
        if second == 150:
            faults.disarm()
        price = max(9_700, min(10_300, price + (-20 if second < 4 else int(chance.integers(-3, 4)) * 5)))
        await plain.second(price)
        if second > 150 and plain.net == 0 and day.state.corpus.deployed_paise == 0:
            break
    assert max(plain.held) > 0, "nothing was ever bought"
    assert (plain.net, day.state.corpus.deployed_paise) == (0, 0), story
    assert all(live.is_closed for live in day.state.groups.values()), story
    assert min(plain.held) == 0, story

"""Both streams of the adapter through what breaks them: lost sockets, dead tokens, silence, packed frames."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from adapters.brokers.dhan.feed import FeedMode, MarketFeed
from adapters.brokers.dhan.order_updates import OrderUpdates
from adapters.brokers.dhan.orders import OrderRequest
from adapters.brokers.dhan.packets import DayQuote, OpenInterest, Packet, Tick
from adapters.brokers.dhan.stream import StreamTiming
from propdesk.core.clock import NS_PER_SECOND
from propdesk.model.enums import Product, Side
from sandbox.faults import Fault, FaultKind
from sandbox.knobs import Knobs
from tests.contract.conftest import Desk

SHARE = ("NSE_EQ", "11536")
QUICK = StreamTiming(back_off_s=0.01, back_off_s_max=0.05, mute_s=0.4)


class Heard:
    """What a feed told, and a way to wait for more."""

    def __init__(self, feed: MarketFeed) -> None:
        self.packets: list[Packet] = []
        self._more = asyncio.Event()
        self._feed = feed

    async def listen(self) -> None:
        async for packet in self._feed.packets():
            self.packets.append(packet)
            self._more.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._more.clear()
                await self._more.wait()

    @property
    def prices(self) -> list[int]:
        return [packet.price_paise for packet in self.packets if isinstance(packet, Tick)]


class Listener:
    """A feed that is listened to, its connection log, and the share's price."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.changes: list[tuple[bool, str]] = []
        self.is_open = True
        self.feed = MarketFeed(
            desk.config,
            desk.client.session,
            is_open=lambda: self.is_open,
            on_change=lambda _name, connected, reason: self.changes.append((connected, reason)),
            timing=QUICK,
        )
        self.heard = Heard(self.feed)

    async def price(self, rupees: float) -> None:
        """Let a price be traded and wait until it was heard; a snapshot after a reconnect counts."""
        self.desk.price(rupees)
        await self.heard.until(lambda: round(rupees * 100) in self.heard.prices)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that no packet tells."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - connection changes are told without an event
                await asyncio.sleep(0.01)


@pytest.fixture
async def listener(desk: Desk) -> AsyncIterator[Listener]:
    """The feed of one share, after its first price."""
    found = Listener(desk)
    await found.feed.subscribe([SHARE])
    task = asyncio.create_task(found.heard.listen())
    await found.heard.until(lambda: 10_000 in found.heard.prices)
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_tick_carries_price_and_true_moment(listener: Listener) -> None:
    await listener.price(100.55)
    tick = next(p for p in listener.heard.packets if isinstance(p, Tick) and p.price_paise == 10_055)
    assert (tick.exchange_segment, tick.security_id) == SHARE
    assert tick.at_ns == listener.desk.world.now_ns // NS_PER_SECOND * NS_PER_SECOND


async def test_a_lost_connection_is_made_anew_with_its_subscriptions(listener: Listener) -> None:
    listener.desk.world.faults.arm(Fault(FaultKind.FEED_DISCONNECT))
    await listener.price(101)
    await listener.until(lambda: listener.feed.stream.connects == 2)
    await listener.price(102)
    assert [connected for connected, _ in listener.changes] == [True, False, True]


async def test_a_mute_socket_is_left_while_prices_are_due(listener: Listener) -> None:
    # both sides answer pings all the while: only the age of the last message tells
    await listener.until(lambda: listener.feed.stream.connects >= 2)
    assert (False, "TimeoutError") in listener.changes
    await listener.price(103)


async def test_silence_outside_market_hours_is_no_fault(listener: Listener) -> None:
    listener.is_open = False
    await asyncio.sleep(3 * QUICK.mute_s)  # what must not happen has no event to wait for
    connects = listener.feed.stream.connects
    await asyncio.sleep(3 * QUICK.mute_s)
    assert listener.feed.stream.connects == connects


async def test_a_token_that_dies_is_replaced_and_the_feed_goes_on(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = listener.desk.client.session
    old = await session.token()
    # a login is refused at first (30 s between two of them), which must not end the feed
    listener.desk.world.revoke_tokens()
    listener.desk.sandbox.feed.disconnect_all()
    await listener.until(lambda: any("30 s" in reason for _, reason in listener.changes))
    monkeypatch.setattr("adapters.brokers.dhan.auth.LOGIN_INTERVAL_NS", 0)
    await listener.price(104)
    assert await session.token() != old


async def test_what_is_no_longer_wanted_is_not_sent(listener: Listener) -> None:
    await listener.feed.subscribe([SHARE], FeedMode.FULL)
    await listener.heard.until(lambda: any(isinstance(p, DayQuote) for p in listener.heard.packets))
    await listener.feed.unsubscribe([SHARE])
    assert listener.feed.subscribed == frozenset()
    await listener.feed.subscribe([("IDX_I", "13")])
    listener.heard.packets.clear()
    listener.desk.price(105)
    listener.desk.world.trade("INDEX:NIFTY", 2_510_000)
    await listener.heard.until(lambda: 2_510_000 in listener.heard.prices)
    assert 10_500 not in listener.heard.prices


class TestPackedFrames:
    """Several packets in one WebSocket frame, as the broker may send them."""

    @pytest.fixture
    def knobs(self) -> Knobs:
        return Knobs(transit_ms=0, rate_limits=False, packets_per_frame=5)

    async def test_every_packet_of_a_frame_is_read(self, listener: Listener) -> None:
        await listener.feed.subscribe([SHARE], FeedMode.QUOTE)
        listener.desk.price(106)
        await listener.heard.until(
            lambda: any(
                isinstance(p, DayQuote) and p.tick.price_paise == 10_600 for p in listener.heard.packets
            )
        )
        assert any(isinstance(packet, OpenInterest) for packet in listener.heard.packets)


async def test_order_updates_come_back_after_a_lost_socket_and_a_malformed_message(desk: Desk) -> None:
    changes: list[bool] = []
    updates = OrderUpdates(
        desk.config,
        desk.client.session,
        on_change=lambda _name, connected, _reason: changes.append(connected),
        timing=QUICK,
    )
    seen: list[str] = []

    async def listen() -> None:
        async for alert in updates.alerts():
            seen.append(alert.order_id)  # noqa: PERF401 - it never ends

    async def place(number: int) -> str:
        request = OrderRequest(f"pABC{number:016d}", Side.BUY, "NSE_EQ", "11536", Product.INTRADAY, 1, 9_500)
        return (await desk.client.orders.place(request)).order_id

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - connection changes are told without an event
                await asyncio.sleep(0.01)

    task = asyncio.create_task(listen())
    await until(lambda: len(desk.sandbox.orders.connected) == 1)
    desk.world.faults.arm(Fault(FaultKind.STREAM_MALFORMED))
    first = await place(1)
    await until(lambda: first in seen)
    assert updates.unreadable == 1
    desk.sandbox.orders.disconnect_all()
    await until(lambda: updates.stream.connects == 2 and len(desk.sandbox.orders.connected) == 1)
    second = await place(2)
    await until(lambda: second in seen)
    assert changes == [True, False, True]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_handshake_that_is_refused_asks_for_another_token(desk: Desk) -> None:
    reasons: list[str] = []

    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(401, "token refused")

    async with serve(lambda _: asyncio.sleep(0), "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        feed = MarketFeed(
            replace(desk.config, feed_url=f"ws://127.0.0.1:{port}"),
            desk.client.session,
            is_open=lambda: True,
            on_change=lambda _name, _connected, reason: reasons.append(reason),
            timing=QUICK,
        )
        reader = asyncio.create_task(anext(feed.packets()))
        async with asyncio.timeout(20):
            # no second login within 30 s, and the refused token is not handed out again
            while len(reasons) < 2:  # noqa: ASYNC110 - connection changes are told without an event
                await asyncio.sleep(0.01)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    assert reasons[0] == "HTTP 401"
    assert "30 s" in reasons[1]

"""Every fault the sandbox must commit: armed by the control interface, seen by a client, counted."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from adapters.brokers.dhan import parse
from adapters.brokers.dhan.faults import Refusal, RefusalKind
from adapters.brokers.dhan.model import LegName, OrderStatus
from adapters.brokers.dhan.orders import OrderRequest
from adapters.brokers.dhan.packets import Disconnected, packets
from adapters.brokers.dhan.super_orders import SuperOrderRequest
from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.errors import AccessRefused, OutcomeUnknown, Retryable
from propdesk.model.enums import Product, Side
from sandbox.faults import FaultKind
from tests.contract.conftest import KEY, Desk

Scenario = Callable[["Bench"], Awaitable[None]]
SCENARIOS: dict[FaultKind, Scenario] = {}


def scenario(kind: FaultKind) -> Callable[[Scenario], Scenario]:
    """Register what must be seen when a fault strikes."""

    def add(function: Scenario) -> Scenario:
        SCENARIOS[kind] = function
        return function

    return add


class Bench:
    """A desk and the control interface of its sandbox."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.world = desk.world
        self.client = desk.client
        self._control = f"http://{desk.place}/_control"
        self._names = iter(f"pABC{n:016d}" for n in range(1_000))

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.request(method, f"{self._control}{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def arm(self, kind: FaultKind, **words: Any) -> None:
        await self._ask("POST", "/faults", {"kind": kind.value, **words})

    async def act(self, what: str, **words: Any) -> str:
        return str((await self._ask("POST", "/act", {"what": what, **words}))["done"])

    async def hits(self, kind: FaultKind) -> int:
        return int((await self._ask("GET", "/faults"))["hits"][kind.value])

    async def enter(self, price: int = 10_000, quantity: int = 10) -> str:
        """Place a super order of ten shares with exits one rupee away."""
        placed = await self.client.super_orders.place(
            SuperOrderRequest(
                next(self._names),
                Side.BUY,
                "NSE_EQ",
                "11536",
                Product.INTRADAY,
                quantity,
                price,
                price + 100,
                price - 100,
            )
        )
        return placed.order_id

    async def place(self, price: int | None = 9_500, quantity: int = 10) -> str:
        """Place a plain order, by default one that waits."""
        placed = await self.client.orders.place(
            OrderRequest(next(self._names), Side.BUY, "NSE_EQ", "11536", Product.INTRADAY, quantity, price)
        )
        return placed.order_id

    @property
    def placed(self) -> int:
        """Orders that reached the broker, by its own truth."""
        return len(self.world.ledger.of("ORDER"))

    async def order(self, order_id: str) -> Any:
        """Look one plain order up; None where Dhan says that there is none."""
        try:
            return parse.order_row(
                parse.object_of(await self.client.http.read(f"/orders/{order_id}"), "order")
            )
        except Refusal:
            return None

    async def row(self, order_id: str) -> Any:
        return next(
            r for r in (await self.client.super_orders.read()).whole() if r.order.order_id == order_id
        )

    def position(self) -> int:
        return sum(p.net for p in self.world.exchange.positions.values())

    @asynccontextmanager
    async def alerts(self) -> AsyncIterator[ClientConnection]:
        """Listen to the order updates."""
        token = await self.client.session.token()
        async with connect(self.desk.config.order_update_url, compression=None, proxy=None) as socket:
            login = {"MsgCode": 42, "ClientId": self.desk.config.client_id, "Token": token}
            await socket.send(json.dumps({"LoginReq": login, "UserType": "SELF"}))
            await self.until(lambda: bool(self.desk.sandbox.orders.connected))
            yield socket

    @asynccontextmanager
    async def feed(self) -> AsyncIterator[ClientConnection]:
        """Listen to the ticks of the share."""
        token = await self.client.session.token()
        query = f"version=2&token={token}&clientId={self.desk.config.client_id}&authType=2"
        async with connect(f"{self.desk.config.feed_url}?{query}", compression=None, proxy=None) as socket:
            listed = [{"ExchangeSegment": "NSE_EQ", "SecurityId": "11536"}]
            await socket.send(json.dumps({"RequestCode": 15, "InstrumentCount": 1, "InstrumentList": listed}))
            for _ in range(2):  # previous close and the last price
                await asyncio.wait_for(socket.recv(), 10)
            yield socket

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what is waited for lies in the sandbox
                await asyncio.sleep(0.005)


async def heard(socket: ClientConnection, count: int) -> list[tuple[str, str]]:
    """Order and status of the next alerts."""
    rows = [json.loads(await asyncio.wait_for(socket.recv(), 10))["Data"] for _ in range(count)]
    return [(row["orderNo"], row["status"]) for row in rows]


async def price_heard(socket: ClientConnection) -> Any:
    return next(iter(packets(await asyncio.wait_for(socket.recv(), 10))))  # type: ignore[arg-type]


@pytest.fixture
def bench(desk: Desk) -> Bench:
    return Bench(desk)


def test_every_fault_has_its_scenario() -> None:
    assert set(SCENARIOS) == set(FaultKind)


@pytest.mark.parametrize("kind", list(FaultKind))
async def test_a_fault_shows_and_is_counted(kind: FaultKind, bench: Bench) -> None:
    assert await bench.hits(kind) == 0
    await SCENARIOS[kind](bench)
    assert await bench.hits(kind) > 0


async def test_a_fault_strikes_as_often_and_where_it_was_told(bench: Bench) -> None:
    await bench.arm(FaultKind.EXCHANGE_REJECT, count=2, every=3)
    orders = [await bench.place() for _ in range(9)]
    book = {row.order_id: row.status for row in (await bench.client.orders.read()).whole()}
    refused = [n for n, order in enumerate(orders, start=1) if book[order] is OrderStatus.REJECTED]
    assert refused == [3, 6]
    await bench.arm(FaultKind.RATE_LIMIT, path="/super/orders", method="POST")
    await bench.place()
    with pytest.raises(Retryable):
        await bench.enter()


# --------------------------------------------------------------------------------------- answers to calls


async def lost_answer(bench: Bench, kind: FaultKind, *, has_effect: bool, **words: Any) -> None:
    before = bench.placed
    await bench.arm(kind, path="/super/orders", method="POST", effect=has_effect, **words)
    with pytest.raises(OutcomeUnknown):
        await bench.enter()
    assert bench.placed - before == has_effect


@scenario(FaultKind.TIME_OUT)
async def _(bench: Bench) -> None:
    await lost_answer(bench, FaultKind.TIME_OUT, has_effect=True)
    await lost_answer(bench, FaultKind.TIME_OUT, has_effect=False)


@scenario(FaultKind.LATE_ACCEPT)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.LATE_ACCEPT, path="/super/orders", delay_s=300)
    with pytest.raises(OutcomeUnknown):
        await bench.enter()
    bench.world.advance_by(299)
    assert bench.placed == 0
    bench.world.advance_by(1)
    assert bench.placed == 1


@scenario(FaultKind.ERROR_STATUS)
async def _(bench: Bench) -> None:
    for status in (500, 502, 503, 504):
        for has_effect in (True, False):
            await lost_answer(bench, FaultKind.ERROR_STATUS, has_effect=has_effect, status=status)


@scenario(FaultKind.RATE_LIMIT)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.RATE_LIMIT, path="/super/orders")
    with pytest.raises(Retryable):
        await bench.enter()
    assert bench.placed == 0


@scenario(FaultKind.HTML_BODY)
async def _(bench: Bench) -> None:
    await lost_answer(bench, FaultKind.HTML_BODY, has_effect=True)
    await lost_answer(bench, FaultKind.HTML_BODY, has_effect=False)


@scenario(FaultKind.TRUNCATED_JSON)
async def _(bench: Bench) -> None:
    await lost_answer(bench, FaultKind.TRUNCATED_JSON, has_effect=True)


@scenario(FaultKind.RESET_MID_BODY)
async def _(bench: Bench) -> None:
    await lost_answer(bench, FaultKind.RESET_MID_BODY, has_effect=True)


@scenario(FaultKind.SLOW_DRIP)
async def _(bench: Bench) -> None:
    # each byte comes in time, the whole answer never does
    async with asyncio.timeout(10):
        await lost_answer(bench, FaultKind.SLOW_DRIP, has_effect=True, byte_s=0.4)


@scenario(FaultKind.IP_REFUSED)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.IP_REFUSED)
    with pytest.raises(Refusal) as caught:
        await bench.enter()
    assert (caught.value.kind, bench.placed) == (RefusalKind.IP, 0)
    await bench.arm(FaultKind.IP_REFUSED)
    with pytest.raises(AccessRefused):
        await bench.client.control.check_access()
    await bench.client.control.check_access()  # let through again


@scenario(FaultKind.CLOCK_SKEW)
async def _(bench: Bench) -> None:
    await bench.client.portfolio.funds()
    await bench.arm(FaultKind.CLOCK_SKEW, skew_s=-90)
    await bench.client.portfolio.funds()
    assert bench.client.skew_ns is not None
    assert abs(bench.client.skew_ns + 90 * NS_PER_SECOND) <= NS_PER_SECOND


# ------------------------------------------------------------------------------------------ life of orders


@scenario(FaultKind.TRANSIT)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.TRANSIT, delay_s=5)
    order = await bench.enter(9_500)
    bench.world.advance_by(4)
    assert (await bench.row(order)).order.status is OrderStatus.TRANSIT
    bench.world.advance_by(1)
    assert (await bench.row(order)).order.status is OrderStatus.PENDING


@scenario(FaultKind.EXCHANGE_REJECT)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.EXCHANGE_REJECT, reason="RMS: blocked for the day")
    row = await bench.row(await bench.enter())
    assert (row.order.status, row.order.reason) == (OrderStatus.REJECTED, "RMS: blocked for the day")
    assert bench.position() == 0


@scenario(FaultKind.PARTIAL_ENTRY)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.PARTIAL_ENTRY, pieces=3)
    order = await bench.enter(quantity=9)
    seen = [(await bench.row(order)).order.filled_quantity]
    for _ in range(2):
        bench.desk.price(100)
        row = await bench.row(order)
        seen.append(row.order.filled_quantity)
        assert {leg.quantity for leg in row.legs} == {row.order.filled_quantity}
    assert seen == [3, 6, 9]
    assert row.order.status is OrderStatus.TRADED


@scenario(FaultKind.PARTIAL_CANCEL)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.PARTIAL_CANCEL, pieces=2)
    row = await bench.row(await bench.enter())
    assert (row.order.status, row.order.filled_quantity) == (OrderStatus.CANCELLED, 5)
    bench.desk.price(99)
    assert bench.position() == 0  # what had filled is still guarded


@scenario(FaultKind.STOP_REJECTED)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.STOP_REJECTED)
    row = await bench.row(await bench.enter())
    stop = row.leg(LegName.STOP)
    assert stop is not None
    assert stop.status is OrderStatus.REJECTED
    bench.desk.price(95)
    assert bench.position() == 10


@scenario(FaultKind.STOP_MISSING)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.STOP_MISSING)
    row = await bench.row(await bench.enter())
    assert [leg.name for leg in row.legs] == [LegName.TARGET]
    bench.desk.price(95)
    assert bench.position() == 10


@scenario(FaultKind.BOTH_EXITS_FILL)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.BOTH_EXITS_FILL)
    await bench.enter()
    bench.desk.price(101)
    assert bench.position() == -10


@scenario(FaultKind.EXIT_UNFILLED)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.EXIT_UNFILLED)
    order = await bench.enter()
    bench.desk.price(98)
    assert (await bench.row(order)).order.status is OrderStatus.CLOSED
    assert bench.position() == 10
    bench.desk.price(99)  # the exit rests as a limit at its level
    assert bench.position() == 0


@scenario(FaultKind.MARKET_UNFILLED)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.MARKET_UNFILLED)
    order = await bench.place(price=None)
    row = await bench.order(order)
    assert row is not None
    assert (row.status, row.order_type, row.price_paise) == (OrderStatus.PENDING, "LIMIT", 10_100)
    bench.desk.price(100)
    assert bench.position() == 0


# ------------------------------------------------------------------------------------------------ look-ups


@scenario(FaultKind.LOOKUP_LAG)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.LOOKUP_LAG, count=-1, delay_s=10)
    await bench.enter(9_500)
    bench.world.advance_by(9)
    assert (await bench.client.super_orders.read()).whole() == ()
    bench.world.advance_by(1)
    assert len((await bench.client.super_orders.read()).whole()) == 1


@scenario(FaultKind.LOOKUP_404)
async def _(bench: Bench) -> None:
    order = await bench.place()
    await bench.arm(FaultKind.LOOKUP_404)
    assert await bench.order(order) is None
    assert await bench.order(order) is not None


@scenario(FaultKind.LIST_OMITS_NEWEST)
async def _(bench: Bench) -> None:
    first, _ = await bench.place(), await bench.place()
    await bench.arm(FaultKind.LIST_OMITS_NEWEST)
    assert [row.order_id for row in (await bench.client.orders.read()).whole()] == [first]


@scenario(FaultKind.LIST_EMPTY)
async def _(bench: Bench) -> None:
    await bench.place()
    await bench.arm(FaultKind.LIST_EMPTY)
    assert (await bench.client.orders.read()).whole() == ()


@scenario(FaultKind.LIST_PAGE)
async def _(bench: Bench) -> None:
    orders = [await bench.place() for _ in range(3)]
    await bench.arm(FaultKind.LIST_PAGE, rows=2)
    assert [row.order_id for row in (await bench.client.orders.read()).whole()] == orders[:2]


# ------------------------------------------------------------------------------------- order-update stream


@scenario(FaultKind.STREAM_DROP)
async def _(bench: Bench) -> None:
    async with bench.alerts() as socket:
        await bench.arm(FaultKind.STREAM_DROP)
        order = await bench.place()
        assert await heard(socket, 1) == [(order, "Pending")]


@scenario(FaultKind.STREAM_DUPLICATE)
async def _(bench: Bench) -> None:
    async with bench.alerts() as socket:
        await bench.arm(FaultKind.STREAM_DUPLICATE, times=3)
        order = await bench.place()
        assert await heard(socket, 4) == [(order, "Transit")] * 3 + [(order, "Pending")]


@scenario(FaultKind.STREAM_REORDER)
async def _(bench: Bench) -> None:
    async with bench.alerts() as socket:
        await bench.arm(FaultKind.STREAM_REORDER)
        order = await bench.place()
        assert await heard(socket, 2) == [(order, "Pending"), (order, "Transit")]


@scenario(FaultKind.STREAM_LATE)
async def _(bench: Bench) -> None:
    async with bench.alerts() as socket:
        await bench.arm(FaultKind.STREAM_LATE, delay_s=30)
        order = await bench.place()
        assert await heard(socket, 1) == [(order, "Pending")]
        bench.world.advance_by(30)
        assert await heard(socket, 1) == [(order, "Transit")]


@scenario(FaultKind.STREAM_MALFORMED)
async def _(bench: Bench) -> None:
    async with bench.alerts() as socket:
        await bench.arm(FaultKind.STREAM_MALFORMED)
        order = await bench.place()
        with pytest.raises(json.JSONDecodeError):
            await heard(socket, 1)
        assert await heard(socket, 1) == [(order, "Pending")]


@scenario(FaultKind.STREAM_MUTE)
async def _(bench: Bench) -> None:
    async with bench.alerts() as socket:
        await bench.arm(FaultKind.STREAM_MUTE, count=-1)
        await bench.place()
        await socket.ping()  # the connection itself is well
        bench.world.faults.disarm(FaultKind.STREAM_MUTE)
        order = await bench.place()
        assert await heard(socket, 2) == [(order, "Transit"), (order, "Pending")]


@scenario(FaultKind.STREAM_DISCONNECT)
async def _(bench: Bench) -> None:
    async with bench.alerts() as socket:
        await bench.arm(FaultKind.STREAM_DISCONNECT, every=3)
        await bench.place()
        await bench.place()
        with pytest.raises(ConnectionClosed):
            await heard(socket, 4)


@scenario(FaultKind.SOCKET_401)
async def _(bench: Bench) -> None:
    await bench.client.portfolio.funds()
    await bench.arm(FaultKind.SOCKET_401)
    token = await bench.client.session.token()
    async with connect(bench.desk.config.order_update_url, compression=None, proxy=None) as socket:
        login = {"MsgCode": 42, "ClientId": bench.desk.config.client_id, "Token": token}
        await socket.send(json.dumps({"LoginReq": login, "UserType": "SELF"}))
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 10)
    await bench.client.portfolio.funds()  # the same token still serves REST


# --------------------------------------------------------------------------------------------- market feed


@scenario(FaultKind.FEED_MUTE)
async def _(bench: Bench) -> None:
    async with bench.feed() as socket:
        await bench.arm(FaultKind.FEED_MUTE)
        bench.desk.price(101)
        bench.desk.price(102)
        assert (await price_heard(socket)).price_paise == 10_200


@scenario(FaultKind.FEED_STALE)
async def _(bench: Bench) -> None:
    async with bench.feed() as socket:
        await bench.arm(FaultKind.FEED_STALE, delay_s=60)
        bench.desk.price(101)
        tick = await price_heard(socket)
        assert bench.world.now_ns - tick.at_ns >= 60 * NS_PER_SECOND


@scenario(FaultKind.FEED_DISCONNECT)
async def _(bench: Bench) -> None:
    async with bench.feed() as socket:
        await bench.arm(FaultKind.FEED_DISCONNECT)
        bench.desk.price(101)
        assert (await price_heard(socket)).price_paise == 10_100
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 10)


# -------------------------------------------------------------------------------------------- done at once


@scenario(FaultKind.TOKEN_REVOKE)
async def _(bench: Bench) -> None:
    token = await bench.client.session.token()
    await bench.act("token_revoke")
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{bench.desk.config.rest_url}/positions", headers={"access-token": token})
    assert (answer.status_code, answer.json()["errorCode"]) == (401, "DH-901")
    query = f"version=2&token={token}&clientId={bench.desk.config.client_id}&authType=2"
    async with connect(f"{bench.desk.config.feed_url}?{query}", compression=None, proxy=None) as socket:
        assert await price_heard(socket) == Disconnected(807)


@scenario(FaultKind.SQUARE_OFF)
async def _(bench: Bench) -> None:
    await bench.enter()
    waiting = await bench.enter(9_500)
    bench.world.advance_by(5 * 3_600 + 20 * 60)
    assert bench.position() == 0
    assert (await bench.row(waiting)).order.status is OrderStatus.CANCELLED
    assert bench.world.exchange.is_flat


@scenario(FaultKind.MANUAL_ORDER)
async def _(bench: Bench) -> None:
    order = await bench.act("manual_order", key=KEY, side="buy", quantity=3, price="99.5")
    row = await bench.order(order)
    assert row is not None
    assert (row.quantity, row.price_paise, row.correlation_id) == (3, 9_950, "")


@scenario(FaultKind.MANUAL_CANCEL)
async def _(bench: Bench) -> None:
    order = await bench.enter(9_500)
    await bench.act("manual_cancel", order_id=order)
    assert (await bench.row(order)).order.status is OrderStatus.CANCELLED


@scenario(FaultKind.RESTART)
async def _(bench: Bench) -> None:
    await bench.arm(FaultKind.TRANSIT, count=2, delay_s=60)
    kept = await bench.enter(9_500)
    async with bench.alerts() as socket:
        await bench.act("restart")
        with pytest.raises(ConnectionClosed):
            await heard(socket, 1)
    bench.world.advance_by(60)
    assert (await bench.row(kept)).order.status is OrderStatus.PENDING
    lost = await bench.enter(9_500)
    await bench.act("restart", lose_transit=True)
    bench.world.advance_by(60)
    assert [row.order.order_id for row in (await bench.client.super_orders.read()).whole()] == [kept]
    assert [entry.detail["order_id"] for entry in bench.world.ledger.of("LOST_IN_TRANSIT")] == [lost]


# ------------------------------------------------------------------------------- what strikes by itself


async def refused(call: Awaitable[Any]) -> RefusalKind:
    with pytest.raises(Refusal) as caught:
        await call
    return caught.value.kind


@scenario(FaultKind.MODIFICATION_LIMIT)
async def _(bench: Bench) -> None:
    order = await bench.enter()
    for n in range(25):
        await bench.client.super_orders.modify_stop(order, 9_905 + 5 * n % 50)
    assert await refused(bench.client.super_orders.modify_stop(order, 9_900)) is RefusalKind.MODIFICATIONS


@scenario(FaultKind.KILL_REFUSED)
async def _(bench: Bench) -> None:
    order = await bench.enter(9_500)
    await refused(bench.client.control.activate_kill_switch())
    assert not await bench.client.control.is_kill_switch_active()
    await bench.client.super_orders.cancel(order)
    await bench.client.control.activate_kill_switch()
    assert await bench.client.control.is_kill_switch_active()
    assert await refused(bench.enter()) is RefusalKind.KILL_SWITCH
    with pytest.raises(AccessRefused):
        await bench.client.control.check_access()


@scenario(FaultKind.FREEZE_REFUSED)
async def _(bench: Bench) -> None:
    assert await refused(bench.enter(quantity=1_002)) is RefusalKind.FREEZE


@scenario(FaultKind.BAND_REFUSED)
async def _(bench: Bench) -> None:
    assert await refused(bench.place(price=8_995)) is RefusalKind.BAND


@scenario(FaultKind.MARGIN_REFUSED)
async def _(bench: Bench) -> None:
    bench.world.exchange.knobs = replace(bench.world.knobs, funds_paise=100_000)
    assert await refused(bench.enter(quantity=1_000)) is RefusalKind.MARGIN

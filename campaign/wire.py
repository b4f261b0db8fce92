"""From the adapter to the sandbox without a network: requests into its application, alerts out of it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, cast

import httpx
import numpy as np
from starlette.websockets import WebSocket

from adapters.brokers.dhan.auth import Session
from adapters.brokers.dhan.config import DhanConfig
from adapters.brokers.dhan.order_updates import OrderUpdates
from campaign.fate import Edge
from campaign.points import of_call
from propdesk.core.errors import BrokerFault
from sandbox.app import BrokerApp
from sandbox.streams import OrderStream
from sandbox.world import World

REST: Final = "http://127.0.0.1/v2"
_RECONNECT_S: Final = 1.0
_LATE_S: Final = (0.0, 0.0, 2.0, 15.0)
_DELIVERED: Final = 0.5
"""Share of the requests of a dying process that reach the broker all the same."""


class Line:
    """The network between processes and the broker; it outlives them.

    Parameters
    ----------
    world : World
    true_ns : callable
        The broker's time.
    rng : numpy.random.Generator
        Draws how long everything takes.
    on_write : callable
        Told each call that may change something, as its bytes leave: method, path, body, and whose.
    """

    def __init__(
        self,
        world: World,
        true_ns: Callable[[], int],
        rng: np.random.Generator,
        on_write: Callable[[str, str, Any, Edge], None],
    ) -> None:
        self.world = world
        self.orders = OrderStream(world)
        self.is_down = False
        self.reach_s = (0.002, 0.02)
        self._app = BrokerApp(world)
        self._true_ns = true_ns
        self._rng = rng
        self._on_write = on_write
        self._orphans: set[asyncio.Task[Any]] = set()

    async def call(self, request: httpx.Request, edge: Edge) -> httpx.Response:
        """Carry a request to the broker and its answer back."""
        path, body = request.url.path, await request.aread()
        is_write = request.method != "GET" and path.startswith("/v2") and "/charts" not in path
        try:
            await self._connected(request, edge)
            if self.is_down:
                raise httpx.ConnectError("the broker cannot be reached", request=request)
            if is_write:
                self._on_write(request.method, path, _parsed(body), edge)
            await asyncio.sleep(float(self._rng.uniform(*self.reach_s)))
        except asyncio.CancelledError:
            if edge.is_dead and is_write and self._rng.random() < _DELIVERED:
                self._leave(request, body)
            raise
        response = await self._within(request, self._served(request, body))
        await edge.cross(*of_call(request.method, path, status=response.status_code))
        return response

    async def _connected(self, request: httpx.Request, edge: Edge) -> None:
        """Come to where bytes leave; a process that stood still there finds its time for that over."""
        limit = request.extensions.get("timeout", {}).get("connect")
        try:
            async with asyncio.timeout(limit):
                await edge.cross(*of_call(request.method, request.url.path))
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time", request=request) from None

    def _leave(self, request: httpx.Request, body: bytes) -> None:
        """Let what a process wrote before it ended reach the broker, now or later."""
        orphan = asyncio.get_running_loop().create_task(
            self._served_late(request, body, float(self._rng.choice(_LATE_S)))
        )
        self._orphans.add(orphan)
        orphan.add_done_callback(self._forget)

    async def _served_late(self, request: httpx.Request, body: bytes, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        await self._served(request, body)

    def _forget(self, orphan: "asyncio.Task[Any]") -> None:
        self._orphans.discard(orphan)
        if not orphan.cancelled():
            orphan.exception()  # nobody reads an answer whose caller is gone

    def hang_up(self) -> None:
        """End what is still on its way."""
        for orphan in self._orphans:
            orphan.cancel()

    async def _within(self, request: httpx.Request, answer: Awaitable[httpx.Response]) -> httpx.Response:
        limit = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError:
            raise httpx.ReadTimeout("no answer", request=request) from None

    async def _served(self, request: httpx.Request, body: bytes) -> httpx.Response:
        self.world.advance(self._true_ns())
        exchange = _Exchange(body)
        await self._app(_scope(request), exchange.receive, exchange.send)
        return exchange.response(request)


class _Exchange:
    """One request and its answer as ASGI sees them."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []

    async def receive(self) -> dict[str, Any]:
        if self._body is None:
            await asyncio.Event().wait()  # who waits for an answer does not leave
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", ()))
        else:
            self._chunks.append(message.get("body", b""))

    def response(self, request: httpx.Request) -> httpx.Response:
        content = b"".join(self._chunks)
        told = next((int(value) for name, value in self._headers if name == b"content-length"), len(content))
        if told > len(content):
            raise httpx.ReadError("the connection broke within the answer", request=request)
        return httpx.Response(self._status, headers=self._headers, content=content, request=request)


def _scope(request: httpx.Request) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except ValueError:
        return {}


class MemoryTransport(httpx.AsyncBaseTransport):
    """One process's end of a `Line`."""

    def __init__(self, line: Line, edge: Edge) -> None:
        self._line = line
        self._edge = edge

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one request."""
        return await self._line.call(request, self._edge)


class MemoryUpdates(OrderUpdates):
    """`OrderUpdates` whose socket is a queue; login, parsing and faults are the real ones."""

    def __init__(self, config: DhanConfig, session: Session, orders: OrderStream) -> None:
        super().__init__(config, session)
        self._orders = orders
        self._socket: _Socket | None = None

    async def alerts(self) -> AsyncIterator[Any]:
        """Give alerts until cancelled, over as many connections as it takes."""
        self.stream.frames = self._frames  # type: ignore[method-assign]
        self.stream.drop = self._drop  # type: ignore[method-assign]
        async for alert in super().alerts():
            yield alert

    async def _frames(self) -> AsyncIterator[str | bytes]:
        while True:
            with contextlib.suppress(BrokerFault):
                async with contextlib.aclosing(self._one_connection()) as frames:
                    async for frame in frames:
                        yield frame
            await asyncio.sleep(_RECONNECT_S)

    async def _one_connection(self) -> Any:
        socket = self._socket = _Socket()
        await self._greet(cast("Any", socket))
        serving = asyncio.create_task(self._orders.serve(cast("WebSocket", socket)))
        try:
            while (frame := await socket.frames.get()) is not None:
                yield frame
        finally:
            socket.left.set()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def _drop(self, reason: str) -> None:
        del reason
        if self._socket is not None:
            self._socket.frames.put_nowait(None)


class _Socket:
    """Both ends of one WebSocket."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[str | None] = asyncio.Queue()
        self.left = asyncio.Event()
        self._login = ""

    async def send(self, text: str) -> None:
        self._login = text

    async def accept(self) -> None:
        """Do nothing: it is open."""

    async def receive_text(self) -> str:
        return self._login

    async def receive(self) -> dict[str, str]:
        await self.left.wait()
        return {"type": "websocket.disconnect"}

    async def send_text(self, text: str) -> None:
        self.frames.put_nowait(text)

    async def close(self, code: int = 1000) -> None:
        del code
        self.frames.put_nowait(None)

"""Both WebSockets: order updates (JSON) and market feed (binary), with their faults."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from propdesk.core.clock import NS_PER_SECOND
from sandbox import packets, wire
from sandbox.book import Order
from sandbox.catalogue import Listing
from sandbox.faults import FaultKind
from sandbox.market import MarketTick
from sandbox.world import World

QUEUE: Final = 20_000
"""Messages waiting for one socket; a slower reader is disconnected, as by the broker."""

CONNECTIONS_MAX: Final = 5
INSTRUMENTS_MAX: Final = 5_000
BATCH_MAX: Final = 100
_LOGIN_S: Final = 10.0
_ON: Final = {15: "ticker", 17: "quote", 21: "full"}


@dataclass(eq=False, slots=True)
class Socket:
    """One connection: what waits to be sent; None ends it."""

    websocket: WebSocket
    waiting: asyncio.Queue[str | bytes | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    wanted: dict[tuple[str, str], int] = field(default_factory=dict)

    def put(self, message: str | bytes | None) -> None:
        """Queue a message; a full queue ends the connection."""
        try:
            self.waiting.put_nowait(message)
        except asyncio.QueueFull:
            while not self.waiting.empty():
                self.waiting.get_nowait()
            self.waiting.put_nowait(None)

    async def pump(self) -> None:
        """Send until the end; then close."""
        while True:
            message = await self.waiting.get()
            if message is None:
                break
            if isinstance(message, str):
                await self.websocket.send_text(message)
            else:
                await self.websocket.send_bytes(message)
        await self.websocket.close()


async def _both(socket: Socket, listen: Callable[[], Any]) -> None:
    """Send and listen until either ends."""
    tasks = {asyncio.ensure_future(socket.pump()), asyncio.ensure_future(listen())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class OrderStream:
    """Sends an alert per change of an order to everyone who is logged in."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sockets: list[Socket] = []
        self._held: str | None = None
        world.exchange.on_alert.append(self._tell)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection: a login, then alerts."""
        await websocket.accept()
        try:
            async with asyncio.timeout(_LOGIN_S):
                login = json.loads(await websocket.receive_text())["LoginReq"]
        except (TimeoutError, ValueError, KeyError, TypeError, WebSocketDisconnect):
            await _close(websocket)
            return
        world = self._world
        is_known = str(login.get("ClientId")) == world.knobs.client_id
        refused = world.faults.take(FaultKind.SOCKET_401) is not None
        if refused or not is_known or not world.tokens.is_live(str(login.get("Token")), world.now_ns):
            await _close(websocket)
            return
        socket = Socket(websocket)
        self._sockets.append(socket)
        try:
            await _both(socket, lambda: _drain(websocket))
        finally:
            self._sockets.remove(socket)

    @property
    def connected(self) -> tuple[Socket, ...]:
        """Who is logged in."""
        return tuple(self._sockets)

    def disconnect_all(self) -> None:
        """End every connection."""
        for socket in self._sockets:
            socket.put(None)

    def _tell(self, order: Order) -> None:
        world = self._world
        message = json.dumps(wire.alert(order, world.knobs, world.exchange.last_price(order.listing)))
        faults, path = world.faults, order.correlation_id
        if faults.take(FaultKind.STREAM_MUTE) or faults.take(FaultKind.STREAM_DROP, path=path):
            return
        late = faults.take(FaultKind.STREAM_LATE, path=path)
        if late is not None:
            due = world.now_ns + int(float(late.values.get("delay_s", 5)) * NS_PER_SECOND)
            world.exchange.at(due, lambda: self._send(message))
            return
        if faults.take(FaultKind.STREAM_MALFORMED, path=path):
            message = message[: len(message) // 2]
        repeats = faults.take(FaultKind.STREAM_DUPLICATE, path=path)
        if self._held is None and faults.take(FaultKind.STREAM_REORDER, path=path):
            self._held = message
            return
        for _ in range(int(repeats.values.get("times", 2)) if repeats else 1):
            self._send(message)
        if self._held is not None:
            self._send(self._held)
            self._held = None
        if faults.take(FaultKind.STREAM_DISCONNECT, path=path):
            self.disconnect_all()

    def _send(self, message: str) -> None:
        for socket in self._sockets:
            socket.put(message)


class FeedStream:
    """Sends packets of what each connection subscribed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sockets: list[Socket] = []
        world.on_tick.append(self._tell)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection: token in the address, then subscriptions."""
        world, query = self._world, websocket.query_params
        await websocket.accept()
        socket = Socket(websocket)
        refused = world.faults.take(FaultKind.SOCKET_401) is not None
        if query.get("clientId") != world.knobs.client_id:
            socket.put(packets.disconnect(810))
            socket.put(None)
        elif refused or not world.tokens.is_live(query.get("token", ""), world.now_ns):
            socket.put(packets.disconnect(807))
            socket.put(None)
        if len(self._sockets) >= CONNECTIONS_MAX:
            oldest = self._sockets[0]
            oldest.put(packets.disconnect(805))
            oldest.put(None)
        self._sockets.append(socket)
        try:
            await _both(socket, lambda: self._listen(socket))
        finally:
            self._sockets.remove(socket)

    def disconnect_all(self) -> None:
        """End every connection."""
        for socket in self._sockets:
            socket.put(None)

    async def _listen(self, socket: Socket) -> None:
        while True:
            message = await socket.websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is None:
                continue  # the official client adds a binary header of the old version to its goodbye
            try:
                request = json.loads(message["text"])
                code = int(request["RequestCode"])
                listed = request.get("InstrumentList", ())
            except (ValueError, KeyError, TypeError):
                continue
            if code == 12:
                socket.put(None)
                return
            self._subscribe(socket, code, listed)

    def _subscribe(self, socket: Socket, code: int, listed: Any) -> None:
        for one in list(listed)[:BATCH_MAX]:
            place = (str(one.get("ExchangeSegment")), str(one.get("SecurityId")))
            listing = self._world.catalogue.find(*place)
            if listing is None:
                continue
            if code in _ON:
                if len(socket.wanted) >= INSTRUMENTS_MAX:
                    socket.put(packets.disconnect(804))
                    return
                socket.wanted[place] = code
                self._greet(socket, listing, code)
            elif code - 1 in _ON:
                socket.wanted.pop(place, None)

    def _greet(self, socket: Socket, listing: Listing, code: int) -> None:
        exchange = self._world.exchange
        close = exchange.previous_close.get(listing.price_key, 0)
        socket.put(packets.previous_close(listing, close))
        known = exchange.last.get(listing.price_key)
        if known is not None:
            self._packet(socket, listing, code, known[0], known[1])

    def _tell(self, tick: MarketTick) -> None:
        listing = self._world.catalogue.by_key(tick.price_key)
        if listing is None or not self._sockets:
            return
        faults = self._world.faults
        if faults.take(FaultKind.FEED_MUTE) is not None:
            return
        stale = faults.take(FaultKind.FEED_STALE)
        age_ns = int(float(stale.values.get("delay_s", 60)) * NS_PER_SECOND) if stale else 0
        place = (listing.segment, listing.security_id)
        for socket in self._sockets:
            code = socket.wanted.get(place)
            if code is not None:
                self._packet(socket, listing, code, tick.price_paise, tick.ts_ns - age_ns)
        if faults.take(FaultKind.FEED_DISCONNECT) is not None:
            self.disconnect_all()

    def _packet(self, socket: Socket, listing: Listing, code: int, price: int, ts_ns: int) -> None:
        stamp = packets.stamp_of(ts_ns, self._world.knobs)
        if code == 15:
            found = [packets.ticker(listing, price, stamp)]
        elif code == 17:
            found = [
                packets.quote(listing, price, stamp, self._world),
                packets.open_interest(listing, 0),
            ]
        else:
            found = [packets.full(listing, price, stamp, self._world)]
        width = max(1, self._world.knobs.packets_per_frame)
        for start in range(0, len(found), width):
            socket.put(b"".join(found[start : start + width]))


async def _drain(websocket: WebSocket) -> None:
    """Read and ignore until the client leaves."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _close(websocket: WebSocket) -> None:
    try:
        await websocket.close(code=1008)
    except RuntimeError:
        return  # the client left first

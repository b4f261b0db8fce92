"""The process: one port for REST, login, both WebSockets and the control interface."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from propdesk.core.errors import ConfigFault, DataFault
from propdesk.core.money import price_to_paise
from propdesk.model.enums import Side
from sandbox import wire
from sandbox.app import BrokerApp
from sandbox.faults import FaultKind, fault_from
from sandbox.ledger import as_plain
from sandbox.streams import FeedStream, OrderStream
from sandbox.world import World

CONTROL: Final = "/_control"
LEDGER_PAGE: Final = 1_000
_TURN_S: Final = 0.02
"""How often simulated time moves when it runs by itself."""


class Sandbox:
    """A world and its server.

    Parameters
    ----------
    world : World
    speed : float
        Simulated seconds per real second; 0 = time moves by the control interface only.
    """

    def __init__(self, world: World, *, speed: float = 0.0) -> None:
        self.world = world
        self.speed = speed
        self.orders = OrderStream(world)
        self.feed = FeedStream(world)
        self.app = Starlette(
            routes=[
                Mount(CONTROL, routes=self._control_routes()),
                WebSocketRoute("/orders", self.orders.serve),
                WebSocketRoute("/feed", self.feed.serve),
                WebSocketRoute("/", self._either),
                Mount("/", app=BrokerApp(world)),
            ]
        )

    async def _either(self, websocket: WebSocket) -> None:
        """Tell both streams apart on the root path, where Dhan has a host for each."""
        stream = self.feed.serve if "version" in websocket.query_params else self.orders.serve
        await stream(websocket)

    # --------------------------------------------------------------- control

    def _control_routes(self) -> list[Route]:
        return [
            Route("/status", self._status),
            Route("/clock", self._clock, methods=["POST"]),
            Route("/tick", self._tick, methods=["POST"]),
            Route("/faults", self._faults, methods=["GET", "POST", "DELETE"]),
            Route("/act", self._act, methods=["POST"]),
            Route("/ledger", self._ledger),
            Route("/book", self._book),
        ]

    async def _status(self, _: Request) -> Response:
        world = self.world
        return JSONResponse(
            {
                "now": wire.clock_text(world.now_ns),
                "now_ns": world.now_ns,
                "speed": self.speed,
                "orders": len(world.exchange.orders),
                "super_orders": len(world.exchange.supers),
                "fills": len(world.exchange.fills),
                "ledger_rows": len(world.ledger),
                "ledger_digest": world.ledger.digest,
                "rate_refusals": world.limits.refused,
            }
        )

    async def _clock(self, request: Request) -> Response:
        """Let time pass: ``advance_s`` seconds, or up to ``to_ns``; or set ``speed``."""
        body = await _body(request)
        try:
            if "speed" in body:
                self.speed = max(0.0, float(body["speed"]))
            if "to_ns" in body:
                self.world.advance(max(self.world.now_ns, int(body["to_ns"])))
            self.world.advance_by(max(0.0, float(body.get("advance_s", 0))))
        except (TypeError, ValueError):
            return _bad("advance_s, to_ns and speed are numbers")
        return await self._status(request)

    async def _tick(self, request: Request) -> Response:
        """Let ``price`` (rupees) be traded in ``key`` now."""
        body = await _body(request)
        try:
            self.world.trade(str(body["key"]), price_to_paise(str(body["price"])))
        except (KeyError, DataFault):
            return _bad("a tick needs key and price")
        return await self._status(request)

    async def _faults(self, request: Request) -> Response:
        """GET counters, POST arms, DELETE disarms (``?kind=`` one kind)."""
        plan = self.world.faults
        try:
            if request.method == "POST":
                plan.arm(fault_from(await _body(request)))
            elif request.method == "DELETE":
                kind = request.query_params.get("kind")
                plan.disarm(FaultKind(kind.upper()) if kind else None)
        except (ConfigFault, ValueError) as fault:
            return _bad(str(fault))
        return JSONResponse(
            {
                "armed": [
                    {"kind": f.kind.value, "count": f.count, "share": f.share, "path": f.path}
                    for f in plan.armed
                ],
                "hits": {kind.value: plan.hits[kind] for kind in FaultKind},
            }
        )

    async def _act(self, request: Request) -> Response:
        """Do something at once: ``what`` and its words."""
        body = await _body(request)
        try:
            return JSONResponse({"done": self.act(str(body.get("what", "")), body)})
        except (KeyError, ValueError, ConfigFault, DataFault) as fault:
            return _bad(str(fault))

    def act(self, what: str, body: dict[str, Any]) -> str:
        """Carry out an action of the control interface; gives what it made, or its name.

        Raises
        ------
        ConfigFault
            If there is no such action.
        """
        world = self.world
        match what:
            case "token_revoke":
                world.revoke_tokens()
            case "square_off":
                world.exchange.square_off()
            case "manual_order":
                side, quantity = Side(str(body["side"]).upper()), int(body["quantity"])
                price = price_to_paise(str(body["price"]))
                return world.manual_order(str(body["key"]), side, quantity, price)
            case "manual_cancel":
                world.manual_cancel(str(body["order_id"]))
            case "restart":
                world.exchange.restart(lose_transit=bool(body.get("lose_transit", False)))
                self.orders.disconnect_all()
                self.feed.disconnect_all()
            case "disconnect":
                self.orders.disconnect_all()
                self.feed.disconnect_all()
            case "token":
                return world.tokens.issue(world.now_ns)
            case _:
                raise ConfigFault(f"The sandbox cannot {what!r}.")
        return what

    async def _ledger(self, request: Request) -> Response:
        """Give a page of the truth: rows after ``after``."""
        try:
            after = int(request.query_params.get("after", "0"))
        except ValueError:
            return _bad("after is a number")
        rows = [as_plain(entry) for entry in list(self.world.ledger)[after : after + LEDGER_PAGE]]
        return JSONResponse({"rows": rows, "digest": self.world.ledger.digest})

    async def _book(self, _: Request) -> Response:
        """Give positions and orders as the exchange knows them, no fault in between."""
        world = self.world
        return JSONResponse(
            {
                "orders": [wire.order_row(order, world.knobs) for order in world.exchange.orders.values()],
                "positions": [
                    wire.position_row(p, world.knobs, world.exchange.last_price(p.listing))
                    for p in world.exchange.positions.values()
                ],
                "fills": [wire.trade_row(fill, world.knobs) for fill in world.exchange.fills],
            }
        )

    # ------------------------------------------------------------------ life

    async def run_clock(self) -> None:
        """Move simulated time along with real time until cancelled."""
        before = time.monotonic_ns()
        while True:
            await asyncio.sleep(_TURN_S)
            now = time.monotonic_ns()
            if self.speed > 0:
                self.world.advance(self.world.now_ns + int((now - before) * self.speed))
            before = now

    @contextlib.asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve while the block runs; gives ``host:port``.

        Raises
        ------
        ConfigFault
            If the port is taken.
        """
        knobs = self.world.knobs
        config = uvicorn.Config(
            self.app,
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            ws_ping_interval=knobs.ping_s,
            ws_ping_timeout=knobs.pong_s,
            timeout_graceful_shutdown=1,
        )
        with _listening(host, port) as listener:
            server = _Server(config)
            tasks = [
                asyncio.create_task(server.serve(sockets=[listener])),
                asyncio.create_task(self.run_clock()),
            ]
            try:
                await server.ready()
                bound = listener.getsockname()
                yield f"{bound[0]}:{bound[1]}"
            finally:
                self.orders.disconnect_all()
                self.feed.disconnect_all()
                server.should_exit = True
                tasks[1].cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.world.ledger.close()


class _Server(uvicorn.Server):
    """Leaves signals to the process that serves, and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening."""
        await super().startup(sockets=sockets)
        self._listens.set()

    async def ready(self) -> None:
        """Return when it listens."""
        await self._listens.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Capture none."""
        yield


@contextlib.contextmanager
def _listening(host: str, port: int) -> Any:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off (40 ms an answer) only where the protocol is named
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as fault:
        listener.close()
        raise ConfigFault(f"The sandbox cannot listen on {host}:{port} ({fault.strerror}).") from None
    try:
        yield listener
    finally:
        listener.close()


def addresses(place: str) -> dict[str, str]:
    """Name the settings that point the adapter at a sandbox, by setting; ``place`` is ``host:port``."""
    return {
        "dhan_rest_url": f"http://{place}/v2",
        "dhan_auth_url": f"http://{place}",
        "dhan_order_update_url": f"ws://{place}/orders",
        "dhan_feed_url": f"ws://{place}/feed",
        "dhan_master_url": f"http://{place}/api-data/api-scrip-master.csv",
    }


async def _body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.body() or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _bad(sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=400)

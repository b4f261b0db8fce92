"""The HTTP side: tokens, rates, faults of the wire; then `sandbox.rest`."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from propdesk.core.clock import NS_PER_SECOND
from sandbox.checks import Denial
from sandbox.faults import Fault, FaultKind
from sandbox.limits import CallClass
from sandbox.rest import ROUTES, Answer, Call, Rest, Route
from sandbox.world import World

PREFIX: Final = "/v2"
SILENCE_S: Final = 600.0
"""A call that is never answered is given up after this."""

WIRE_FAULTS: Final = (
    FaultKind.TIME_OUT,
    FaultKind.LATE_ACCEPT,
    FaultKind.ERROR_STATUS,
    FaultKind.RATE_LIMIT,
    FaultKind.HTML_BODY,
    FaultKind.TRUNCATED_JSON,
    FaultKind.RESET_MID_BODY,
    FaultKind.SLOW_DRIP,
)
"""What may happen to a call on its way."""
_HAS_EFFECT: Final = {
    FaultKind.SLOW_DRIP: True,
    FaultKind.TRUNCATED_JSON: True,
    FaultKind.RESET_MID_BODY: True,
}
_HTML: Final = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True, slots=True)
class _Matched:
    route: Route
    parts: dict[str, str]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(
        "".join(f"(?P<{p[1:-1]}>[^/]+)" if p.startswith("{") else re.escape(p) for p in _split(path))
    )


def _split(path: str) -> list[str]:
    return re.split(r"(\{\w+\})", path)


_TABLE: Final = tuple((route, _pattern(route.path)) for route in ROUTES)


class BrokerApp:
    """ASGI application of the broker's REST API and login host.

    Parameters
    ----------
    world : World
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._rest = Rest(world)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        request = Request(scope, receive)
        response = await self._respond(request)
        skew = self._world.faults.take(FaultKind.CLOCK_SKEW, path=request.url.path)
        shift_s = float(skew.values.get("skew_s", 60)) if skew is not None else 0.0
        stamp = self._world.now_ns / NS_PER_SECOND + shift_s

        async def with_date(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"date", formatdate(stamp, usegmt=True).encode()),
                ]
            await send(message)

        await response(scope, receive, with_date)

    async def _respond(self, request: Request) -> "Response":
        path = request.url.path
        if path.startswith("/app/"):
            return await self._login(request)
        if path == "/api-data/api-scrip-master.csv":
            return Response(str(self._rest.master(_bare(request))[1]), media_type="text/csv")
        found = _match(request.method, path)
        if found is None:
            return _json(
                404, {"errorType": "Not_Found", "errorCode": "DH-905", "errorMessage": "No such path"}
            )
        return await self._serve(request, found)

    async def _serve(self, request: Request, found: _Matched) -> Response:
        world, route = self._world, found.route
        token = request.headers.get("access-token", "")
        if not world.tokens.is_live(token, world.now_ns):
            world.ledger.add(world.now_ns, "TOKEN_REFUSED", path=route.path)
            return _denied(
                Denial(401, "Invalid_Authentication", "DH-901", "Client ID or access token is invalid")
            )
        if not world.limits.admit(route.kind, world.now_ns):
            return _too_many(route.kind)
        try:
            body = json.loads(await request.body() or b"{}")
        except ValueError:
            return _denied(Denial(400, "Input_Exception", "DH-905", "Body is no JSON"))
        address = request.client.host if request.client else ""
        call = Call(
            request.method,
            route.path,
            found.parts,
            dict(request.query_params),
            body if isinstance(body, dict) else {},
            address,
            token,
        )
        fault = world.faults.take(*WIRE_FAULTS, path=request.url.path, method=request.method)
        if fault is None:
            return _answered(self._carry_out(route, call))
        return await self._faulty(fault, request, lambda: self._carry_out(route, call))

    def _carry_out(self, route: Route, call: Call) -> Answer:
        world = self._world
        try:
            status, body = route.serve(self._rest, call)
        except Denial as denial:
            status, body = denial.status, denial.body()
        if route.is_write:
            world.ledger.add(
                world.now_ns,
                "CALL",
                method=call.method,
                path=route.path,
                correlation_id=str(call.body.get("correlationId") or ""),
                status=status,
            )
        return status, body

    async def _faulty(self, fault: Fault, request: Request, act: Callable[[], Answer]) -> Response:
        kind = fault.kind
        if kind is FaultKind.LATE_ACCEPT:
            due = self._world.now_ns + int(float(fault.values.get("delay_s", 10)) * NS_PER_SECOND)
            self._world.exchange.at(due, lambda: _forget(act()))
            return await _never(request)
        if kind is FaultKind.RATE_LIMIT:
            return _too_many(CallClass.ORDER)
        has_effect = bool(fault.values.get("effect", _HAS_EFFECT.get(kind, True)))
        answer: Answer = act() if has_effect else (500, {})
        if kind is FaultKind.TIME_OUT:
            return await _never(request)
        if kind is FaultKind.ERROR_STATUS:
            return Response(_HTML, int(fault.values.get("status", 502)), media_type="text/html")
        if kind is FaultKind.HTML_BODY:
            return Response(_HTML, 200, media_type="text/html")
        if not has_effect:
            answer = (200, {"orderId": "", "orderStatus": "TRANSIT"})
        status, body = answer
        plain = json.dumps(body).encode()
        if kind is FaultKind.TRUNCATED_JSON:
            return Response(plain[: len(plain) // 2], status, media_type="application/json")
        if kind is FaultKind.SLOW_DRIP:
            return StreamingResponse(
                _drip(plain, float(fault.values.get("byte_s", 0.05))), status, media_type="application/json"
            )
        return _BrokenResponse(plain, status)

    async def _login(self, request: Request) -> Response:
        world, path, query = self._world, request.url.path, request.query_params
        if path == "/app/generateAccessToken" and request.method == "POST":
            token = world.tokens.login(
                query.get("dhanClientId", ""), query.get("pin", ""), query.get("totp", ""), world.now_ns
            )
            world.ledger.add(world.now_ns, "LOGIN", accepted=token is not None)
            if token is None:
                return _denied(Denial(401, "Invalid_Authentication", "DH-901", "Invalid PIN or TOTP"))
            return _json(200, self._rest.token_answer(token))
        if path == "/app/generate-consent" and request.method == "POST":
            return _json(
                200, {"consentAppId": "consent-1", "consentAppStatus": "GENERATED", "status": "success"}
            )
        if path == "/app/consumeApp-consent" and request.method in ("GET", "POST"):
            return _json(200, self._rest.token_answer(world.tokens.issue(world.now_ns)))
        return _json(404, {"errorType": "Not_Found", "errorCode": "DH-905", "errorMessage": "No such path"})


class _BrokenResponse(Response):
    """Announces a whole body, sends half of it and lets the connection break."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half."""
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode())]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})


async def _drip(plain: bytes, byte_s: float) -> AsyncIterator[bytes]:
    for n in range(len(plain)):
        yield plain[n : n + 1]
        await asyncio.sleep(byte_s)


async def _never(request: Request) -> Response:
    """Answer nothing until the client has left."""
    waiting: Awaitable[Any] = _left(request)
    try:
        async with asyncio.timeout(SILENCE_S):
            await waiting
    except TimeoutError:
        pass
    return Response(status_code=499)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _forget(_: Answer) -> None:
    """Drop the answer of a call whose caller has left."""


def _match(method: str, path: str) -> _Matched | None:
    if not path.startswith(PREFIX):
        return None
    rest = path[len(PREFIX) :].rstrip("/") or "/"
    for route, pattern in _TABLE:
        found = pattern.fullmatch(rest) if route.method == method else None
        if found is not None:
            return _Matched(route, found.groupdict())
    return None


def _bare(request: Request) -> Call:
    return Call(request.method, request.url.path, {}, {}, {}, "", "")


def _answered(answer: Answer) -> Response:
    status, body = answer
    return Response(status_code=status) if body is None else _json(status, body)


def _json(status: int, body: Any) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")


def _denied(denial: Denial) -> Response:
    return _json(denial.status, denial.body())


def _too_many(kind: CallClass) -> Response:
    if kind in (CallClass.DATA, CallClass.QUOTE, CallClass.CHAIN):
        return _json(
            429, {"status": "failed", "data": {"805": "Too many requests. Further requests are blocked"}}
        )
    return _denied(Denial(429, "Rate_Limit", "DH-904", "Too many requests on server from single user"))

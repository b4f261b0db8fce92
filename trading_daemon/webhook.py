"""Signals by HTTP: signed requests, answered only when what they brought is durable (§5.9)."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.mongo.batch import MongoUnreachable
from adapters.mongo.landing import DocumentFault, SignalLanding
from adapters.settings import Settings
from propdesk.core.clock import Clock
from propdesk.core.errors import SchemaFault
from propdesk.intake.signature import SignatureFault, signature_fault
from trading_daemon.landing import ForeignSource, Judged, Landing, judge_document
from trading_daemon.ports import Log
from trading_daemon.webhook_protocol import GuardedProtocol

SOURCE_HEADER: Final = "x-propdesk-source"
TIME_HEADER: Final = "x-propdesk-timestamp"
SIGNATURE_HEADER: Final = "x-propdesk-signature"
DOCUMENTS_MAX: Final = 200
"""Documents of one request: all of them are durable within a second or two."""
RETRY_S: Final = 5
"""When a sender whose documents could not be stored may ask again, s."""
_DEPTH_MAX: Final = 8
_BODY_S: Final = 10.0
"""A body that drips in longer is not waited for."""
_CONNECTIONS_MAX: Final = 256
"""Of these at most `WAITING_MAX` have sent no request: the others keep their room."""
_STOP_GRACE_S: Final = 10
SERVER_OPTIONS: Final[dict[str, Any]] = {
    "http": GuardedProtocol,
    "limit_concurrency": _CONNECTIONS_MAX,
    "timeout_graceful_shutdown": _STOP_GRACE_S,
    "proxy_headers": False,
    "log_config": None,
    "access_log": False,
    "server_header": False,
}
"""How uvicorn serves the webhook."""
_NOT_GENUINE: Final = (
    "The request is not signed by a key of the source that it names: HMAC-SHA256 over timestamp, full stop "
    "and body, in hexadecimal."
)
_OUTSIDE: Final = "The timestamp is over 120 s away from the clock here: sign anew, and look at your clock."


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Webhook:
    """The HTTP door.

    Parameters
    ----------
    keys : mapping of str to sequence of str
        Keys of each source. While a key is changed a source has two, and either serves.
    landing : Landing
    clock : Clock
    log : Log
    bytes_max : int
        Of one body.
    age_max_s : int
        As `judge_document` has it.
    """

    def __init__(
        self,
        keys: Mapping[str, Sequence[str]],
        landing: Landing,
        clock: Clock,
        log: Log,
        *,
        bytes_max: int,
        age_max_s: int,
    ) -> None:
        self._keys = keys
        self._landing = landing
        self._clock = clock
        self._log = log
        self._bytes_max = bytes_max
        self._age_max_s = age_max_s

    def app(self) -> Starlette:
        """Make the application: ``POST /signals``, ``GET /ready``; its end closes the landing."""
        return Starlette(
            routes=[
                Route("/signals", self._signals, methods=["POST"]),
                Route("/ready", self._ready, methods=["GET"]),
            ],
            lifespan=self._life,
        )

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        yield
        await self._landing.close()

    async def _ready(self, _: Request) -> Response:
        if await self._landing.is_reachable():
            return JSONResponse({"status": "ready"})
        return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "MongoDB does not answer.")

    async def _signals(self, request: Request) -> Response:
        """Take one document or a list of them, all or none."""
        source = request.headers.get(SOURCE_HEADER, "")
        try:
            body = await self._body(request)
            self._require_genuine(request, source, body)
            judged = self._judge(source, read_documents(body))
            landed = await self._landing.land(f"webhook:{source}", [one.document for one in judged])
        except ClientDisconnect:
            return _answer(HTTPStatus.BAD_REQUEST, "The body did not come whole.")
        except _Refused as refused:
            named = source if source in self._keys else "unknown"
            self._log.warning(
                "webhook_refused", source=named, status=refused.status.value, reason=str(refused)
            )
            return _answer(refused.status, str(refused))
        except (SchemaFault, DocumentFault) as fault:
            self._log.warning("webhook_unreadable", source=source, reason=str(fault))
            return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, str(fault))
        except MongoUnreachable as fault:
            self._log.error("webhook_not_stored", source=source, reason=str(fault))
            detail = "The documents could not be stored now: send the same again."
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, detail)
        self._log.info(
            "webhook_stored",
            source=source,
            documents=len(landed),
            repeats=sum(one.is_repeat for one in landed),
            unreadable=sum(bool(one.problem) for one in judged),
        )
        return JSONResponse(
            {
                "documents": [
                    {"id": put.document_id, "is_repeat": put.is_repeat, "problem": found.problem or None}
                    for put, found in zip(landed, judged, strict=True)
                ]
            }
        )

    async def _body(self, request: Request) -> bytes:
        """Read the raw body within its limits."""
        too_large = _Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body here has {self._bytes_max} bytes at most: split it."
        )
        stated = request.headers.get("content-length", "")
        if stated.isdigit() and int(stated) > self._bytes_max:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_S):
                async for block in request.stream():
                    body += block
                    if len(body) > self._bytes_max:
                        raise too_large
        except TimeoutError:
            raise _Refused(HTTPStatus.REQUEST_TIMEOUT, "The body did not come within 10 s.") from None
        return bytes(body)

    def _require_genuine(self, request: Request, source: str, body: bytes) -> None:
        fault = signature_fault(
            self._keys.get(source, ()),
            request.headers.get(TIME_HEADER, ""),
            request.headers.get(SIGNATURE_HEADER, ""),
            body,
            self._clock.now_ns(),
        )
        if fault is not None:
            detail = _NOT_GENUINE if fault is SignatureFault.NOT_GENUINE else _OUTSIDE
            raise _Refused(HTTPStatus.UNAUTHORIZED, detail)

    def _judge(self, source: str, documents: Sequence[Mapping[str, object]]) -> list[Judged]:
        """Judge what would be stored; a key speaks for its own source alone."""
        now_ns = self._clock.now_ns()
        judged: list[Judged] = []
        for number, document in enumerate(documents, start=1):
            try:
                one = judge_document(document, now_ns, self._age_max_s, source=source)
            except ForeignSource as fault:
                raise _Refused(HTTPStatus.FORBIDDEN, f"Document {number}: {fault}.") from None
            if one.is_history:
                raise _Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"Document {number}: {one.problem}.")
            judged.append(one)
        return judged


def read_documents(body: bytes) -> list[dict[str, Any]]:
    """Read one JSON object, or a list of at most `DOCUMENTS_MAX`.

    Raises
    ------
    SchemaFault
        If it is anything else; also where an object names a key twice or a number is not finite.
    """
    try:
        found = json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise SchemaFault(f"The body is not usable JSON ({str(error)[:200]}).") from None
    if not _is_shallow(found, _DEPTH_MAX):
        raise SchemaFault(f"The body is nested over {_DEPTH_MAX} deep: send plain values.")
    documents = [found] if isinstance(found, dict) else found
    if not isinstance(documents, list) or not all(isinstance(one, dict) for one in documents):
        raise SchemaFault("The body must be a JSON object, or a list of them: one per signal.")
    if not 1 <= len(documents) <= DOCUMENTS_MAX:
        raise SchemaFault(f"The body holds {len(documents)} documents: send 1 to {DOCUMENTS_MAX}.")
    return documents


def serve_webhook(settings: Settings, clock: Clock, log: Log, host: str, port: int) -> None:
    """Serve until a signal asks to stop.

    Raises
    ------
    ConfigFault
        If no source has a key, or MongoDB is not known.
    """
    keys = settings.webhook_keyring()
    landing = SignalLanding(settings.mongo_dsn(), settings.mongo_database, settings.mongo_collection, clock)
    webhook = Webhook(
        keys,
        landing,
        clock,
        log,
        bytes_max=settings.webhook_bytes_max,
        age_max_s=settings.door_age_max_s,
    )
    uvicorn.run(webhook.app(), host=host, port=port, **SERVER_OPTIONS)


def _answer(status: HTTPStatus, detail: str) -> Response:
    headers = {"Retry-After": str(RETRY_S)} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
    return JSONResponse({"status": status.value, "detail": detail}, status.value, headers)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _is_shallow(value: object, left: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left > 0 and all(_is_shallow(part, left - 1) for part in parts)


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond every number")
    return value

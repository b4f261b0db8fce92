"""Events as they happen: server-sent, with everything missed since the last one a client saw (§7.2).

The database announces each event; the announcement only wakes, the rows are read. Whoever was away therefore
misses nothing, and an announcement that is lost costs no more than the time until the next look.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Annotated, Any, Final

import psycopg
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from adapters.db.engine import DatabaseUnreachable, begin
from adapters.db.live import connect
from adapters.db.repos.events import CHANNEL, Horizon, newest_event, read_events
from adapters.db.repos.users import Session, read_session
from adapters.log import get_logger
from propdesk.model.user import UserRole
from web.api.answers import written
from web.api.guard import ROLE_MARK, guard
from web.api.parts import Parts
from web.api.problems import Problem
from web.api.schemas import problems

BEAT_S: Final = 10.0
"""Longest silence of a stream: a proxy keeps it open, and a session that ended is noticed."""
STREAMS_MAX: Final = 64
STREAMS_PER_USER_MAX: Final = 8
"""Open pages of one person: nobody takes all streams."""
BATCH: Final = 500
UNSETTLED_S: Final = 0.1
"""Next look while a writer is under way: one that adds nothing rings for nobody."""
SETTLE_MAX_S: Final = 5.0
"""A stream that begins now waits so long for the writers under way."""
_DIAL_AGAIN_S: Final = 2.0
_RETRY_MS: Final = 2_000
_EVENT_MAX: Final = 2**63 - 1


class Bell:
    """Ring for everybody who waits when the database announces an event.

    Parameters
    ----------
    url : str
        Database as the reader.
    name : str
        Shown as the application of its connection.
    """

    def __init__(self, url: str, name: str = "propdesk-api-events") -> None:
        self._url, self._name = url, name
        self._ring = asyncio.Event()
        self._streams: Counter[str] = Counter()

    @property
    def ring(self) -> asyncio.Event:
        """The next ring; to be taken before the rows are read, so that none falls between."""
        return self._ring

    def refusal(self, login: str) -> str | None:
        """Tell why a user can have no further stream; None if one can be opened."""
        if self._streams.total() >= STREAMS_MAX:
            return f"{STREAMS_MAX} streams are open already."
        if self._streams[login] >= STREAMS_PER_USER_MAX:
            return f"{STREAMS_PER_USER_MAX} streams of yours are open already: close a page."
        return None

    @contextmanager
    def stream(self, login: str) -> Iterator[None]:
        """Count a stream of a user for the length of a block."""
        self._streams[login] += 1
        try:
            yield
        finally:
            self._streams[login] -= 1
            self._streams += Counter()  # forgets who has none

    def strike(self) -> None:
        """Ring."""
        ring, self._ring = self._ring, asyncio.Event()
        ring.set()

    async def listen(self) -> None:
        """Listen until cancelled, and dial again when the database went away."""
        while True:
            try:
                async with await connect(self._url, self._name) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    self.strike()  # for what came while nobody listened
                    async for _ in connection.notifies():
                        self.strike()
            except (psycopg.OperationalError, DatabaseUnreachable) as error:
                get_logger().warning("events_away", error=str(error))
            except Exception:  # whatever it was: without a listener every stream is late
                get_logger().exception("events_listener_failed")
            await asyncio.sleep(_DIAL_AGAIN_S)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for the length of a block."""
        task = asyncio.create_task(self.listen())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def events_router(parts: Parts, bell: Bell) -> APIRouter:
    """Make the route of the stream."""
    router = APIRouter(tags=["events"])
    horizon = Horizon(parts.account_id)
    viewer = Annotated[Session, Depends(guard(parts, UserRole.VIEWER))]
    responses: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "One event per trade_events row: id, kind as its name, the row as JSON.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
        },
        **problems(401, 422, 503),
    }

    @router.get(
        "/events",
        response_class=StreamingResponse,
        responses=responses,
        openapi_extra={ROLE_MARK: UserRole.VIEWER.value},
    )
    async def events(
        session: viewer,
        after: Annotated[
            int | None, Query(ge=0, le=_EVENT_MAX, description="Begin behind this event; else with the next.")
        ] = None,
        follow: Annotated[
            bool, Query(description="Stay and send what comes; else end with what is there.")
        ] = True,
        last_event_id: Annotated[
            int | None, Header(ge=0, le=_EVENT_MAX, description="After a reconnect: the last one seen; wins.")
        ] = None,
    ) -> StreamingResponse:
        """Send events as they happen, and first those since the last one seen."""
        refusal = bell.refusal(session.login)
        if refusal is not None:
            raise Problem(503, "not-ready", refusal, {"Retry-After": "60"})
        begin_at = after if last_event_id is None else last_event_id
        if begin_at is None:
            begin_at = await _settled(parts, horizon)
        stream = _stream(parts, bell, horizon, session, begin_at, follow=follow)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, headers=headers, media_type="text/event-stream")

    return router


async def _stream(
    parts: Parts, bell: Bell, horizon: Horizon, session: Session, after: int, *, follow: bool
) -> AsyncIterator[bytes]:
    with bell.stream(session.login):
        yield f"retry: {_RETRY_MS}\n\n".encode()
        while True:
            ring = bell.ring
            found = await run_in_threadpool(_read, parts, horizon, session.session_id, after)
            if found is None:
                yield b"event: SESSION_ENDED\ndata: {}\n\n"
                return
            rows, is_more_to_come = found
            for row in rows:
                after = row["event_id"]
                yield _written(row)
            if len(rows) == BATCH:
                continue
            if not follow:
                return
            if not rows and not is_more_to_come:
                yield b": alive\n\n"
            with suppress(TimeoutError):
                await asyncio.wait_for(ring.wait(), UNSETTLED_S if is_more_to_come else BEAT_S)


async def _settled(parts: Parts, horizon: Horizon) -> int:
    """Wait until every event that is there now is settled, and give the newest: the next come behind it."""
    newest = await run_in_threadpool(_newest, parts)
    for _ in range(int(SETTLE_MAX_S / UNSETTLED_S)):
        if await run_in_threadpool(_look, parts, horizon) >= newest:
            return newest
        await asyncio.sleep(UNSETTLED_S)
    raise Problem(503, "not-ready", "Events are being written for long: try again.", {"Retry-After": "5"})


def _newest(parts: Parts) -> int:
    with begin(parts.reader) as connection:
        return newest_event(connection, parts.account_id)


def _look(parts: Parts, horizon: Horizon) -> int:
    with begin(parts.reader) as connection:
        return horizon.look(connection)[0]


def _read(
    parts: Parts, horizon: Horizon, session_id: str, after: int
) -> tuple[list[dict[str, Any]], bool] | None:
    with begin(parts.access) as connection:
        if read_session(connection, session_id, parts.now()) is None:
            return None
    with begin(parts.reader) as connection:
        until, is_more_to_come = horizon.look(connection)
        return read_events(connection, parts.account_id, after, until, BATCH), is_more_to_come


def _written(row: dict[str, Any]) -> bytes:
    return f"id: {row['event_id']}\nevent: {row['kind']}\ndata: ".encode() + written(row) + b"\n\n"


_EXAMPLE: Final = (
    'id: 12\nevent: ENTRY_FILLED\ndata: {"event_id":12,"kind":"ENTRY_FILLED","severity":"info","message":'
    '"ENTRY_FILLED BUY NSE_EQ:TCS, leg 1","payload":{},"event_ns":1751342400000000000}\n\n'
)

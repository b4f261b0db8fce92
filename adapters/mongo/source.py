"""Signals from a MongoDB change stream, resumed by token, re-read by query where that is lost (§1.4)."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from pymongo import AsyncMongoClient
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure, PyMongoError

from propdesk.model.live import SourceDocument, SourcePosition

HISTORY_LOST_CODES: Final = frozenset({260, 280, 286, 9, 15, 50811})
"""InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost, and the answers to a token that the
server cannot read: the token leads nowhere any more."""
ATTEMPT_EVERY_S: Final = 1.0
"""A dead server or a dead token is asked again at most this often."""
SERVER_WAIT_MS: Final = 3_000
RE_READ_OVERLAP: Final = timedelta(days=1)
"""A re-read goes back further than the newest stored document: some arrive late, repeats cost nothing."""
POLL_MS: Final = 500
"""Longest wait of one read: the driver may swallow a cancellation, so it is looked for between two."""
_PIPELINE: Final[list[Mapping[str, Any]]] = [
    {"$match": {"operationType": {"$in": ["insert", "replace", "update"]}}}
]
SUBSTITUTE: Final = "\x1a"
"""Stands for a NUL; a control character too, so that the field is refused (BAD_CHARACTER)."""
_Document = dict[str, Any]


class SourceLog(Protocol):
    """Where the source says what happens to it."""

    def info(self, event: str, **values: object) -> object:
        """Write a line."""
        ...

    def warning(self, event: str, **values: object) -> object:
        """Write a line that someone should read."""
        ...

    def error(self, event: str, **values: object) -> object:
        """Write a line that someone must read."""
        ...


class MongoSignalSource:
    """Documents of one collection, every one at least once, in the order of the change stream.

    Parameters
    ----------
    url, database, collection : str
        A replica set (a single node will do): only those have change streams.
    log : SourceLog
    """

    def __init__(self, url: str, database: str, collection: str, log: SourceLog) -> None:
        self._url = url
        self._database = database
        self._collection = collection
        self._log = log
        self._token: str | None = None
        self._since: datetime | None = None
        self.is_connected = False

    @property
    def name(self) -> str:
        """Name under which the resume token is stored."""
        return f"mongo:{self._database}.{self._collection}"

    async def documents(self, position: SourcePosition) -> AsyncIterator[SourceDocument]:
        """Give documents after ``position`` for ever; reconnects as often as it must."""
        self._token, self._since = position.token, position.last_posted_at
        while True:
            started = time.monotonic()
            try:
                async for document in self._connected():
                    yield document
            except OperationFailure as error:
                self._forget_token_if_lost(error)
            except PyMongoError as error:
                self._log.warning("signal_source_unreachable", source=self.name, reason=str(error)[:200])
            self.is_connected = False
            _end_if_cancelled()
            await asyncio.sleep(max(0.0, ATTEMPT_EVERY_S - (time.monotonic() - started)))

    def _forget_token_if_lost(self, error: OperationFailure) -> None:
        if error.code in HISTORY_LOST_CODES or error.has_error_label("NonResumableChangeStreamError"):
            self._log.error(
                "signal_history_lost",
                source=self.name,
                code=error.code,
                remedy="documents are re-read by query from the newest stored posted_at",
                since=None if self._since is None else self._since.isoformat(),
            )
            self._token = None
        else:
            self._log.warning(
                "signal_source_refused", source=self.name, code=error.code, reason=str(error)[:200]
            )

    async def _connected(self) -> AsyncIterator[SourceDocument]:
        client: AsyncMongoClient[_Document] = AsyncMongoClient(
            self._url, serverSelectionTimeoutMS=SERVER_WAIT_MS, connectTimeoutMS=SERVER_WAIT_MS, tz_aware=True
        )
        async with client:
            collection = client[self._database][self._collection]
            resume = None if self._token is None else {"_data": self._token}
            async with await collection.watch(
                _PIPELINE, full_document="updateLookup", resume_after=resume, max_await_time_ms=POLL_MS
            ) as stream:
                self.is_connected = True
                if resume is None:
                    # The stream is open before the query runs, so nothing falls between the two.
                    async for document in self._stored(collection):
                        yield document
                async for change in self._changes(stream):
                    yield change

    async def _stored(self, collection: AsyncCollection[_Document]) -> AsyncIterator[SourceDocument]:
        count = 0
        async with collection.find(_since_filter(self._since)).sort("_id", 1) as cursor:
            async for document in cursor:
                count += 1
                yield SourceDocument(plain_document(document), None)
        self._log.info("signal_source_read", source=self.name, documents=count)

    async def _changes(self, stream: AsyncChangeStream[_Document]) -> AsyncIterator[SourceDocument]:
        while True:
            # Returns after POLL_MS at the latest, at once when there is news.
            change = await stream.try_next()
            _end_if_cancelled()
            if change is None:
                continue
            self._token = str(change["_id"]["_data"])
            document = change.get("fullDocument")
            if document is not None:  # None: deleted again before it could be looked up
                yield SourceDocument(plain_document(document), self._token)


class MongoSignalSink:
    """Puts documents into the collection, once each, however often it is told (replay).

    Parameters
    ----------
    url, database, collection : str
    log : SourceLog
    """

    def __init__(self, url: str, database: str, collection: str, log: SourceLog) -> None:
        self._client: AsyncMongoClient[_Document] = AsyncMongoClient(
            url, serverSelectionTimeoutMS=SERVER_WAIT_MS, connectTimeoutMS=SERVER_WAIT_MS
        )
        self._target = self._client[database][collection]
        self._log = log

    async def put(self, document_id: str, document: Mapping[str, object]) -> None:
        """Insert a document under an id of its own; waits for a server that is away, for ever.

        Notes
        -----
        Upsert by id: after a lost answer the same document is written again, never twice.
        """
        while True:
            try:
                await self._target.update_one(
                    {"_id": document_id}, {"$setOnInsert": dict(document)}, upsert=True
                )
            except PyMongoError as error:
                _end_if_cancelled()
                self._log.warning("signal_sink_unreachable", reason=str(error)[:200])
                await asyncio.sleep(ATTEMPT_EVERY_S)
            else:
                return

    async def clear(self) -> None:
        """Remove every document of the collection."""
        await self._target.delete_many({})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _end_if_cancelled() -> None:
    """Let a cancellation through that the driver took for a network fault and answered by reconnecting."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def plain_document(document: Mapping[str, Any]) -> dict[str, object]:
    """Turn a BSON document into JSON values: ids and decimals as text, stamps as ISO 8601 with offset.

    What PostgreSQL's JSON refuses (NaN, infinities, NUL) becomes text that no field reads as a value, so that
    a hostile document is refused by the rules of a row and not by the server.
    """
    return {str(_plain(key)): _plain(value) for key, value in document.items()}


def _plain(value: Any) -> object:
    if isinstance(value, str):
        return value.replace("\0", SUBSTITUTE)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.isoformat()
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _since_filter(since: datetime | None) -> dict[str, Any]:
    if since is None:
        return {}
    first = since - RE_READ_OVERLAP
    # Stamps are stored as dates by some writers and as ISO text by others; text is compared by its day.
    return {"$or": [{"posted_at": {"$gte": first}}, {"posted_at": {"$gte": first.date().isoformat()}}]}

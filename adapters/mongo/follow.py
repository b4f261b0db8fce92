"""A collection in batches: read through once, then by its change stream with edits and deletions (step 1)."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from bson import MinKey
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from adapters.mongo.batch import MongoUnreachable, document_key, key_of_text, keyed_document, unreachable
from adapters.mongo.source import HISTORY_LOST_CODES
from propdesk.model.live import CollectionBatch, CollectionPosition

_SELECT_MS: Final = 5_000
_WAIT_MS: Final = 250
_QUIET_READS: Final = 2
"""Reads without news after which the stream counts as drained; what comes later is for the next batch."""
_CHANGES: Final = [{"$match": {"operationType": {"$in": ["insert", "replace", "update", "delete"]}}}]
_BEFORE_ALL: Final = document_key(MinKey())
_Document = dict[str, Any]


class HistoryLost(MongoUnreachable):
    """The server no longer knows the resume token: the collection must be read through anew."""


class CollectionReader:
    """Reads one collection from a position on.

    Parameters
    ----------
    url, database, collection : str
        A replica set: only those have change streams.
    size : int
        Documents of a batch, at most.
    """

    def __init__(self, url: str, database: str, collection: str, size: int) -> None:
        self._client: MongoClient[_Document] = MongoClient(
            url, tz_aware=True, serverSelectionTimeoutMS=_SELECT_MS, appname="propdesk-pipeline"
        )
        self._collection = self._client[database][collection]
        self._size = size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def read_through(self, position: CollectionPosition | None) -> Iterator[CollectionBatch]:
        """Give every document by key, from where an interrupted reading stopped.

        Parameters
        ----------
        position : CollectionPosition or None
            None: from the beginning. The stream's token is taken before the first document is read, so that
            what changes meanwhile is not missed by `changes`.

        Yields
        ------
        CollectionBatch
            Each with the key it came to, the last one too: what is known and was not met has still to be
            looked for, and only then is the reading complete.
        """
        try:
            token = self._token() if position is None or position.token is None else position.token
            last_key = None if position is None else position.last_key
            if last_key is None:
                last_key = _BEFORE_ALL
            cursor = self._collection.find(hint=[("_id", 1)], batch_size=1_000).sort("_id", 1)
            cursor = cursor.min([("_id", key_of_text(last_key))])
            held: list[_Document] = []
            for document in cursor:
                held.append(document)
                if len(held) == self._size:
                    last_key = document_key(document["_id"])
                    yield _batch(held, (), CollectionPosition(token, last_key))
                    held = []
            if held:
                last_key = document_key(held[-1]["_id"])
            yield _batch(held, (), CollectionPosition(token, last_key))
        except PyMongoError as error:
            raise unreachable(error) from error

    def changes(self, token: str) -> Iterator[CollectionBatch]:
        """Give what happened since ``token``, in order, until nothing more is waiting.

        Raises
        ------
        HistoryLost
            If the server no longer knows the token.
        """
        try:
            yield from self._changes(token)
        except OperationFailure as error:
            if error.code in HISTORY_LOST_CODES or error.has_error_label("NonResumableChangeStreamError"):
                raise HistoryLost(f"the history of the collection is lost ({error.code})") from error
            raise unreachable(error) from error
        except PyMongoError as error:
            raise unreachable(error) from error

    def _changes(self, token: str) -> Iterator[CollectionBatch]:
        held: list[_Document] = []
        gone: dict[str, None] = {}
        quiet = 0
        with self._collection.watch(
            _CHANGES,
            full_document="updateLookup",
            resume_after={"_data": token},
            max_await_time_ms=_WAIT_MS,
        ) as stream:
            while quiet < _QUIET_READS:
                change = stream.try_next()
                if change is None:
                    quiet += 1
                    continue
                key = document_key(change["documentKey"]["_id"])
                document = change.get("fullDocument")
                # Deletions are logged after the documents of a batch: one that comes back starts the next.
                if len(held) + len(gone) >= self._size or (document is not None and key in gone):
                    yield _batch(held, gone, CollectionPosition(token, None))
                    held, gone = [], {}
                token = str(change["_id"]["_data"])
                if change["operationType"] == "delete":
                    gone[key] = None
                elif document is not None:  # None: deleted again, which is the next change
                    held.append(document)
            resume = stream.resume_token
        token = token if resume is None else str(resume["_data"])
        yield _batch(held, gone, CollectionPosition(token, None))

    def present(self, keys: Sequence[str]) -> set[str]:
        """Tell which of these keys (extended JSON) the collection still holds."""
        try:
            found = self._collection.find({"_id": {"$in": [key_of_text(key) for key in keys]}}, {"_id": 1})
            return {document_key(document["_id"]) for document in found}
        except PyMongoError as error:
            raise unreachable(error) from error

    def has_news(self, position: CollectionPosition | None) -> bool:
        """Tell whether a batch would bring anything; quick."""
        try:
            if position is not None and position.last_key is not None:
                return True  # the reading was cut off; there is something to do even if all is gone since
            if position is None or position.token is None:
                return self._collection.find_one({}, {"_id": 1}) is not None
            with self._collection.watch(
                _CHANGES, resume_after={"_data": position.token}, max_await_time_ms=_WAIT_MS
            ) as stream:
                return any(stream.try_next() is not None for _ in range(_QUIET_READS))
        except OperationFailure as error:
            if error.code in HISTORY_LOST_CODES:
                return True
            raise unreachable(error) from error
        except PyMongoError as error:
            raise unreachable(error) from error

    def _token(self) -> str:
        with self._collection.watch(_CHANGES, max_await_time_ms=_WAIT_MS) as stream:
            while stream.resume_token is None:
                stream.try_next()
            return str(stream.resume_token["_data"])


def _batch(
    documents: Sequence[_Document], gone: "dict[str, None] | tuple[()]", position: CollectionPosition
) -> CollectionBatch:
    return CollectionBatch(tuple(keyed_document(one) for one in documents), tuple(gone), position)

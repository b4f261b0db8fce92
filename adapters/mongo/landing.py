"""Documents of other doors, put into the collection that the daemon and the pipeline follow: each once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import bson
from bson.errors import BSONError
from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from adapters.mongo.batch import MongoUnreachable, unreachable
from propdesk.core.clock import Clock, from_ns
from propdesk.core.errors import DataFault
from propdesk.intake.document import document_hash

RECEIPTS_SUFFIX: Final = "_receipts"
_WAIT_MS: Final = 3_000
_ROUNDS: Final = 5
"""Who puts the same documents down at the same moment is waited for so often; then the sender asks again."""
_DUPLICATE_KEY: Final = 11000
_Document = dict[str, Any]


class DocumentFault(DataFault):
    """A document that the store cannot hold as it is."""


@dataclass(frozen=True, slots=True)
class Landed:
    """Where a document lies; ``is_repeat``: it lay there already."""

    document_id: str
    is_repeat: bool


class SignalLanding:
    """Puts documents into a collection.

    Parameters
    ----------
    url, database, collection : str
        The receipts lie in a collection beside it.
    clock : Clock
        Stamps ``received_at``.

    Notes
    -----
    What a document says names its receipt, and the receipt names the document's id: whoever died between the
    two, or is told the same again, finds the same id and inserts nothing twice. Ids rise with the moment of
    receipt, since a collection that is read through anew is read by id, and a later version must come later.
    An answer is given only after a majority of the servers has written to disk.
    """

    def __init__(self, url: str, database: str, collection: str, clock: Clock) -> None:
        self._client: AsyncMongoClient[_Document] = AsyncMongoClient(
            url,
            tz_aware=True,
            serverSelectionTimeoutMS=_WAIT_MS,
            connectTimeoutMS=_WAIT_MS,
            timeoutMS=4 * _WAIT_MS,
            appname="propdesk-doors",
        )
        durable = {"write_concern": WriteConcern("majority", j=True), "read_concern": ReadConcern("majority")}
        base = self._client[database]
        self._signals = base.get_collection(collection, **durable)  # type: ignore[arg-type]  # two concerns
        self._receipts = base.get_collection(collection + RECEIPTS_SUFFIX, **durable)  # type: ignore[arg-type]
        self._clock = clock
        self._last_ns = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def is_reachable(self) -> bool:
        """Tell whether the server answers."""
        try:
            await self._client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    async def land(self, door: str, documents: Sequence[Mapping[str, object]]) -> list[Landed]:
        """Put documents down, in order.

        Parameters
        ----------
        door : str
            Who brought them; kept in the receipts.
        documents : sequence of mapping
            JSON values. An ``_id`` and a ``received_at`` of the sender's own are left out.

        Returns
        -------
        list of Landed
            One for each document. All of them are durable.

        Raises
        ------
        DocumentFault
            If one cannot be stored; nothing was put down.
        MongoUnreachable
            If the server did not confirm; part of them may lie there, and putting all down again is harmless.
        """
        kept = [_storable(document, number) for number, document in enumerate(documents, start=1)]
        digests = [document_hash(document) for document in kept]
        try:
            ids = await self._claim(door, digests)
            new = await self._insert({ids[digest]: one for digest, one in zip(digests, kept, strict=True)})
        except PyMongoError as error:
            raise unreachable(error) from error
        return [Landed(ids[digest], ids[digest] not in new) for digest in digests]

    async def _claim(self, door: str, digests: Sequence[str]) -> dict[str, str]:
        """Give each content its document's id, the same for ever."""
        wanted = dict.fromkeys(digests)
        for _ in range(_ROUNDS):
            found = self._receipts.find({"_id": {"$in": list(wanted)}})
            known = {one["_id"]: str(one["document_id"]) async for one in found}
            missing = [digest for digest in wanted if digest not in known]
            if not missing:
                return known
            await _insert_new(self._receipts, [self._receipt(door, digest) for digest in missing])
        raise MongoUnreachable("MongoDB confirms no receipts now: send the same again.")

    async def _insert(self, documents: Mapping[str, _Document]) -> set[str]:
        """Insert what does not lie there yet; gives the ids of what was inserted."""
        new: set[str] = set()
        for _ in range(_ROUNDS):
            found = self._signals.find({"_id": {"$in": list(documents)}}, {"_id": 1})
            there = {one["_id"] async for one in found}
            missing = [key for key in documents if key not in there]
            if not missing:
                return new
            # When it can first be heard, however old the receipt of somebody who died is.
            received_at = from_ns(self._clock.now_ns()).isoformat()
            rows = [{**documents[key], "_id": key, "received_at": received_at} for key in missing]
            new.update(missing[: await _insert_new(self._signals, rows)])
        raise MongoUnreachable("MongoDB confirms no documents now: send the same again.")

    def _receipt(self, door: str, digest: str) -> _Document:
        self._last_ns = max(self._clock.now_ns(), self._last_ns + 1)
        return {"_id": digest, "document_id": f"{self._last_ns:020d}-{digest[:12]}", "door": door}


async def _insert_new(collection: Any, rows: Sequence[_Document]) -> int:
    """Insert rows in order up to the first that somebody else has inserted; gives how many."""
    try:
        await collection.insert_many(rows, ordered=True)
    except BulkWriteError as error:
        faults = error.details.get("writeErrors", [])
        if error.details.get("writeConcernErrors") or any(one["code"] != _DUPLICATE_KEY for one in faults):
            raise
        return int(error.details["nInserted"])
    return len(rows)


def _storable(document: Mapping[str, object], number: int) -> _Document:
    kept = {key: value for key, value in document.items() if key not in ("_id", "received_at")}
    key = _unusable_key(kept)
    if key is not None:
        raise DocumentFault(f"Document {number} has a key {key[:40]!r}: name it, without $ and full stops.")
    try:
        bson.encode(kept)
    except (BSONError, OverflowError, RecursionError, UnicodeError) as error:
        reason = str(error)[:200]
        raise DocumentFault(
            f"Document {number} cannot be stored ({reason}): send text and numbers."
        ) from None
    return kept


def _unusable_key(value: object) -> str | None:
    """Find a key, however deep, that is empty or that MongoDB or a driver gives a meaning of its own."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if not key or key.startswith("$") or "." in key:
                return str(key)
            found = _unusable_key(part)
            if found is not None:
                return found
    elif isinstance(value, list):
        return next((key for part in value if (key := _unusable_key(part)) is not None), None)
    return None

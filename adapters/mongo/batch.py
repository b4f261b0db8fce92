"""The signals of some days, read from the collection at once (step 1 of the pipeline)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, Final

from bson import json_util
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from adapters.mongo.source import plain_document
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import from_ns
from propdesk.core.errors import PropdeskError
from propdesk.model.live import KeyedDocument

_SELECT_MS: Final = 5_000
_BATCH: Final = 1_000


class MongoUnreachable(PropdeskError):
    """MongoDB does not answer."""


@contextmanager
def posted_documents(
    url: str, database: str, collection: str, first: date, last: date
) -> Iterator[Iterator[KeyedDocument]]:
    """Give the documents posted on the closed range of IST days, oldest id first.

    Parameters
    ----------
    url, database, collection : str
        Where they lie.
    first, last : date
        By ``posted_at``, which may be a date of MongoDB's own or ISO text with the offset of IST.

    Yields
    ------
    iterator of KeyedDocument
        Plain values, read in batches; only inside the block.

    Raises
    ------
    MongoUnreachable
        If the server does not answer.
    """
    after = last + timedelta(days=1)
    stamps = {"$gte": from_ns(ist_midnight_ns(first)), "$lt": from_ns(ist_midnight_ns(after))}
    texts = {"$gte": first.isoformat(), "$lt": after.isoformat()}
    client: MongoClient[dict[str, Any]] = MongoClient(
        url, tz_aware=True, serverSelectionTimeoutMS=_SELECT_MS, appname="propdesk-pipeline"
    )
    try:
        cursor = client[database][collection].find(
            {"$or": [{"posted_at": stamps}, {"posted_at": texts}]}, batch_size=_BATCH
        )
        yield (keyed_document(found) for found in cursor.sort("_id", 1))
    except PyMongoError as error:
        raise unreachable(error) from error
    finally:
        client.close()


def document_key(key: object) -> str:
    """Write an ``_id`` as extended JSON: the one form in which keys are stored and compared.

    Examples
    --------
    >>> document_key("7"), document_key(7), document_key({"day": 1, "no": 2})
    ('"7"', '7', '{"day": 1, "no": 2}')
    """
    return json_util.dumps(key)


def key_of_text(text: str) -> Any:
    """Read back what `document_key` wrote, as a query needs it."""
    return json_util.loads(text)


def keyed_document(document: Mapping[str, Any]) -> KeyedDocument:
    """Make a document's values plain and keep its key beside them."""
    return KeyedDocument(plain_document(document), document_key(document["_id"]))


def unreachable(error: PyMongoError) -> MongoUnreachable:
    """Say in one sentence that MongoDB does not answer, and the remedy."""
    return MongoUnreachable(
        f"MongoDB does not answer ({str(error).splitlines()[0][:200]}): start the system with "
        "`python3 run.py up`, or leave PROPDESK_MONGO_URL empty to do without it."
    )

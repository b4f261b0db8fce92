"""What travels between the live process and its stores."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from propdesk.model.messages import OrderIntent


class IntentState(StrEnum):
    """Life of an order intent (§5.7).

    BLOCKED = refused by our own kill level before it was sent; WITHDRAWN = its order was called off before
    the entry was sent, so that neither the entry nor any change of it ever leaves.
    """

    PREPARED = "PREPARED"
    SENT = "SENT"
    WORKING = "WORKING"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    BLOCKED = "BLOCKED"
    WITHDRAWN = "WITHDRAWN"
    MISSED_AMBIGUOUS = "MISSED_AMBIGUOUS"


class ClaimOutcome(StrEnum):
    """Answer of the store when an intent is about to be sent."""

    CLAIMED = "CLAIMED"
    BLOCKED = "BLOCKED"
    NOT_PREPARED = "NOT_PREPARED"
    DEPOSED = "DEPOSED"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an intent, as the store holds it."""

    intent: OrderIntent
    state: IntentState
    reason: str


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """One document of a signal source with the token that says where to go on after it (§1.4)."""

    document: Mapping[str, object]
    token: str | None


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """Where a source was left: resume token and the newest posted_at stored."""

    token: str | None
    last_posted_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewInboxRow:
    """A document as it goes into the inbox.

    ``source_key`` names the document at its source, the same for every revision of it; ``record_id`` is
    the signal's or follow-up's id, None where the document could not be read (``rejected_code`` says why).
    """

    source_key: str
    kind: str
    content_hash: str
    document: Mapping[str, object]
    posted_at: datetime | None
    received_ns: int
    record_id: str | None
    rejected_code: str | None = None
    rejected_text: str | None = None


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A stored document that the decider has not yet journalled."""

    inbox_id: int
    source_key: str
    revision: int
    content_hash: str
    document: Mapping[str, object]
    received_ns: int
    rejected_code: str | None


@dataclass(frozen=True, slots=True)
class ReplayMark:
    """Which item of the replayed day is done once a batch is committed (§5.9)."""

    timeline_hash: str
    position: int
    is_done: bool


@dataclass(frozen=True, slots=True)
class CollectionPosition:
    """Where the batch reader of a collection was left.

    ``token``: resume token of its change stream. ``last_key``: key (extended JSON) up to which a reading of
    the whole came; None once it is complete and compared with what was known, then the token alone says where
    to go on.
    """

    token: str | None
    last_key: str | None


class KeyedDocument(NamedTuple):
    """A document of plain values beside the key by which its source knows it, if it has one.

    ``key``: extended JSON, so that no two keys of different type read alike and each leads back to its
    document. The document's own ``_id`` is text for people and profiles and does not.
    """

    document: Mapping[str, object]
    key: str | None


@dataclass(frozen=True, slots=True)
class CollectionBatch:
    """Documents and deletions (by key) of a collection to take together, and the position after them."""

    documents: tuple[KeyedDocument, ...]
    deleted_keys: tuple[str, ...]
    position: CollectionPosition

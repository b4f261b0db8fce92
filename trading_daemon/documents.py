"""Live documents: what goes into the inbox, and which event an inbox row is."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from propdesk.core.clock import from_ns, to_ns
from propdesk.intake.aliases import Aliases
from propdesk.intake.document import document_hash, document_to_record
from propdesk.intake.reasons import Rejection
from propdesk.model.live import InboxRow, NewInboxRow
from propdesk.model.messages import Event, FollowupReceived, SignalReceived
from propdesk.model.signal import Followup, Signal


class Stamp(StrEnum):
    """Whose moment of receipt counts."""

    CLOCK = "clock"
    DOCUMENT = "document"


def read_document(document: Mapping[str, object], now_ns: int, stamp: Stamp) -> NewInboxRow:
    """Turn a document into an inbox row; an unreadable one is kept with its reason.

    Parameters
    ----------
    document : mapping
        JSON values; keys as in the sample CSV profile.
    now_ns : int
        The clock, ns UTC.
    stamp : Stamp
        CLOCK: received now. DOCUMENT: its own ``received_at`` where it has a readable one.
    """
    own_ns = received_ns_of(document) if stamp is Stamp.DOCUMENT else None
    received_ns = now_ns if own_ns is None else own_ns
    digest = document_hash(document)
    record = document_to_record(document, received_ns=received_ns)
    if isinstance(record, Rejection):
        return NewInboxRow(
            source_key=f"unreadable|{digest}",
            kind="UNREADABLE",
            content_hash=digest,
            document=document,
            posted_at=None,
            received_ns=received_ns,
            record_id=None,
            rejected_code=",".join(reason.value for reason in record.reasons),
            rejected_text=record.message,
        )
    is_followup = isinstance(record, Followup)
    record_id = record.followup_id if isinstance(record, Followup) else record.signal_id
    return NewInboxRow(
        source_key=record_id,
        kind="FOLLOWUP" if is_followup else "SIGNAL",
        content_hash=digest,
        document=document,
        posted_at=from_ns(record.posted_ns),
        received_ns=received_ns,
        record_id=record_id,
    )


def event_of(row: InboxRow, aliases: Aliases | None) -> Event | None:
    """Give the event of a stored document; None where it could not be read.

    Parameters
    ----------
    aliases : Aliases or None
        Spellings of underlyings; None leaves them as written.
    """
    if row.rejected_code is not None:
        return None
    record = document_to_record(
        row.document, received_ns=row.received_ns, aliases=aliases, revision=row.revision
    )
    if isinstance(record, Signal):
        return SignalReceived(record, row.inbox_id)
    if isinstance(record, Followup):
        return FollowupReceived(record, row.inbox_id)
    return None


def received_ns_of(document: Mapping[str, object]) -> int | None:
    """Moment of receipt a document carries, ns UTC; None where it has no readable one."""
    value = document.get("received_at")
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None else to_ns(moment)

"""Documents of the live source (MongoDB, HTTP) to typed records; the pipeline reads the same keys."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from propdesk.core.calendar import ist_date
from propdesk.core.clock import to_ns
from propdesk.core.ids import content_hash
from propdesk.intake.aliases import Aliases
from propdesk.intake.fields import time_text
from propdesk.intake.parse import IntakeTimes, LandedRecord, RecordKind, land_row
from propdesk.intake.profile import DOCUMENT_PROFILE, SourceProfile
from propdesk.intake.reasons import Rejection, RejectReason, RejectStage
from propdesk.intake.validate import build_followup, build_signal
from propdesk.model.signal import Followup, Signal

_OWN_FIELDS = frozenset({"_id", "received_at"})
"""Not part of the content: the store's own id, and a stamp that a live source sets itself."""


def document_to_record(
    document: Mapping[str, object],
    *,
    received_ns: int,
    profile: SourceProfile = DOCUMENT_PROFILE,
    aliases: Aliases | None = None,
    revision: int = 1,
) -> Signal | Followup | Rejection:
    """Type one document of the live source.

    Parameters
    ----------
    document : mapping
        Keys as the columns of the profile; values text, numbers, stamps (naive = UTC, as BSON
        stores them) or lists. Unknown keys are left out.
    received_ns : int
        When it arrived, ns UTC; decides over any ``received_at`` in the document (§1).
    aliases : Aliases, optional
        Makes ``underlying`` canonical.
    revision : int
        Which content of this record it is, from 1.

    Returns
    -------
    Signal, Followup or Rejection
        With every fault named.
    """
    row = document_to_row(document, profile)
    if isinstance(row, Rejection):
        return row
    row["received_at"] = time_text(received_ns)
    landed = land_row(row, profile, IntakeTimes(ingested_ns=received_ns))[0]
    if isinstance(landed, Rejection):
        return landed
    return record_of(landed, received_ns=received_ns, revision=revision, aliases=aliases)


def record_of(
    landed: LandedRecord, *, received_ns: int, revision: int = 1, aliases: Aliases | None = None
) -> Signal | Followup | Rejection:
    """Type a landed record; parameters as `document_to_record`."""
    if landed.kind is RecordKind.FOLLOWUP:
        return build_followup(
            landed.content, record_id=landed.record_id, posted_ns=landed.posted_ns, received_ns=received_ns
        )
    signal = build_signal(
        landed.content,
        record_id=landed.record_id,
        revision=revision,
        posted_ns=landed.posted_ns,
        received_ns=received_ns,
    )
    if isinstance(signal, Signal) and aliases is not None:
        signal = replace(signal, underlying=aliases.canonical(signal.underlying, ist_date(received_ns)))
    return signal


def document_hash(document: Mapping[str, object]) -> str:
    """Hash what a document says, without the store's id and the moment it was heard."""
    kept = {key: _comparable(value) for key, value in document.items() if key not in _OWN_FIELDS}
    return content_hash(json.dumps(kept, sort_keys=True, default=str))


def _comparable(value: object) -> object:
    """Write a number by its value: a database gives 1e22 back as a whole number."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        number = Decimal(repr(value))
        return str(number.normalize() + 0) if number.is_finite() else repr(value)
    if isinstance(value, Mapping):
        return {str(key): _comparable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    return value


def document_to_row(
    document: Mapping[str, object], profile: SourceProfile = DOCUMENT_PROFILE
) -> dict[str, str] | Rejection:
    """Write a document's known values as text under their canonical names.

    Returns
    -------
    dict of str to str, or Rejection
        MALFORMED_ROW where a value is no text, number, stamp or flat list of those, or where two keys give
        one field two values.
    """
    titles = [str(key) for key in document]
    values = list(document.values())
    places = profile.map_header_leniently(titles)
    row: dict[str, str] = {}
    for place, name in places.items():
        text = message_text(values[place]) if name == "text" else value_text(values[place])
        if text is None:
            sentence = f"{name} is a {type(values[place]).__name__}: send text, numbers or a flat list"
            return Rejection(RejectStage.INGEST, (RejectReason.MALFORMED_ROW,), sentence)
        if row.get(name, text) != text:
            sentence = f"{titles[place]!r} gives {name} a second value: send one"
            return Rejection(RejectStage.INGEST, (RejectReason.MALFORMED_ROW,), sentence)
        row[name] = text
    return row


def message_text(value: object) -> str | None:
    """Write a message as text: plain, or in parts of which some carry a style (``{"type": .., "text": ..}``).

    Examples
    --------
    >>> message_text(["BUY ", {"type": "bold", "text": "TCS"}, " AT 100"])
    'BUY TCS AT 100'
    """
    if not isinstance(value, list | tuple):
        return value_text(value)
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in value]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if len(texts) == len(parts) else None


def value_text(value: object) -> str | None:
    """Write one value as text; an empty text for null, None for what has no plain text form."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    if isinstance(value, float):
        return (
            str(int(value))
            if math.isfinite(value) and value == int(value) and abs(value) < 1e15
            else repr(value)
        )
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return time_text(to_ns(aware))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        parts = [None if isinstance(item, (list, tuple, dict)) else value_text(item) for item in value]
        return None if None in parts else "/".join(part for part in parts if part is not None)
    return None

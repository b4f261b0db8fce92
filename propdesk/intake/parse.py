"""One row of a file to canonical text: what is stored as received, named and dated.

Only what is needed to store a row is judged here (kind, times, identity); its meaning is judged by
`propdesk.intake.validate`, so that a row that reads badly is kept where a person finds it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.ids import content_hash, content_signal_id, derived_id, signal_id
from propdesk.core.limits import FIELD_LENGTH_MAX, FUTURE_TOLERANCE_NS
from propdesk.intake.fields import paise_text_to_rupees, parse_date, parse_time, time_text
from propdesk.intake.oneline import parse_calls
from propdesk.intake.profile import PRICE_FIELDS, PriceUnit, SourceProfile
from propdesk.intake.reasons import Rejection, RejectReason, RejectStage

RECEIVE_LAG_NS = 30 * NS_PER_SECOND
"""received_at - posted_at where a row has no received_at (§1); a setting overrides it."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_ORDINAL = re.compile(r"[0-9]{1,3}\Z")
NOT_IDENTITY = frozenset({"received_at", "edited_at"})
"""When a message was heard or touched does not change what it says: hearing it twice is no revision."""


class RecordKind(StrEnum):
    """What a row is."""

    SIGNAL = "SIGNAL"
    FOLLOWUP = "FOLLOWUP"


_KINDS = {kind.value: kind for kind in RecordKind}


@dataclass(frozen=True, slots=True)
class IntakeTimes:
    """Moments that judge a row.

    Attributes
    ----------
    ingested_ns : int
        When the row came in, ns UTC; stamps may not lie beyond it but for the tolerance.
    receive_lag_ns : int
        Default of received_at after posted_at.
    future_tolerance_ns : int
        How far a stamp may lie after ``ingested_ns``.
    """

    ingested_ns: int
    receive_lag_ns: int = RECEIVE_LAG_NS
    future_tolerance_ns: int = FUTURE_TOLERANCE_NS


class LandedRecord(NamedTuple):
    """A row that can be stored: named, dated, its content in canonical text."""

    kind: RecordKind
    record_id: str
    content_hash: str
    posted_ns: int
    received_ns: int
    content: dict[str, str]


def land_row(
    row: Mapping[str, str],
    profile: SourceProfile,
    times: IntakeTimes,
    *,
    field_length_max: int = FIELD_LENGTH_MAX,
) -> list[LandedRecord | Rejection]:
    """Turn one row into the records it holds.

    Parameters
    ----------
    row : mapping of str to str
        Canonical field to raw text (`SourceProfile.map_header` names the fields).
    profile : SourceProfile
        How to read it.
    times : IntakeTimes
        When it came in.
    field_length_max : int
        Characters one field may have.

    Returns
    -------
    list of LandedRecord or Rejection
        One entry, or one per call of a free-text message.
    """
    fields = {name: value for name, text in row.items() if (value := text.strip())}
    joined = "".join(fields.values())
    if len(joined) > field_length_max or _CONTROL.search(joined):
        fault = _field_fault(fields, field_length_max)
        if fault is not None:
            return [fault]
    for name, value in profile.defaults.items():
        fields.setdefault(name, value)
    if not profile.free_text or "text" not in fields:
        return [_land(fields, profile, times)]
    return _land_message(fields, profile, times)


def _field_fault(fields: Mapping[str, str], length_max: int) -> Rejection | None:
    for name, value in fields.items():
        if len(value) > length_max:
            sentence = f"{name} has {len(value)} characters, at most {length_max} are taken: shorten it"
            return _refuse(RejectReason.FIELD_TOO_LONG, sentence)
        if _CONTROL.search(value):
            return _refuse(RejectReason.BAD_CHARACTER, f"{name} holds a control character: remove it")
    return None


def _land_message(
    fields: dict[str, str], profile: SourceProfile, times: IntakeTimes
) -> list[LandedRecord | Rejection]:
    landed: list[LandedRecord | Rejection] = []
    for ordinal, call in enumerate(parse_calls(fields["text"], profile.index_names)):
        if call is None:
            sentence = (
                "the text does not read as a call (side, symbol and entry in one line): enter it by hand"
            )
            landed.append(_refuse(RejectReason.UNREADABLE, sentence))
        else:
            landed.append(_land({**fields, **call.fields, "ordinal": str(ordinal)}, profile, times))
    return landed


def _land(fields: dict[str, str], profile: SourceProfile, times: IntakeTimes) -> LandedRecord | Rejection:
    translated = _translate(fields, profile)
    kind_text = translated.get("kind", "")
    kind = kind_of(kind_text)
    if kind is None:
        return _refuse(RejectReason.BAD_KIND, f"kind {kind_text!r} is neither SIGNAL nor FOLLOWUP")
    stamps = _stamps(translated, profile, times)
    if isinstance(stamps, Rejection):
        return stamps
    posted_ns, received_ns, edited_ns = stamps
    translated.update(kind=kind.value, posted_at=time_text(posted_ns), received_at=time_text(received_ns))
    if edited_ns is not None:
        translated["edited_at"] = time_text(edited_ns)
    translated.setdefault("source", profile.source)
    ordinal_text = translated.get("ordinal", "0")
    ordinal = ordinal_of(ordinal_text)
    if ordinal is None:
        return _refuse(RejectReason.MISSING_FIELD, f"ordinal {ordinal_text!r} is no number from 0 to 999")
    canonical = canonical_text(translated)
    record_id = _record_id(kind, translated, ordinal, canonical)
    return LandedRecord(kind, record_id, content_hash(canonical), posted_ns, received_ns, translated)


def canonical_text(content: Mapping[str, str]) -> str:
    """Write content in one way only: by name, without the moment of receipt.

    Separated by control characters, which no field may hold, so that two contents never read alike.
    """
    # A list, not a generator: this runs for every row of every upload.
    return "\x1e".join([f"{name}\x1f{content[name]}" for name in sorted(content) if name not in NOT_IDENTITY])


def content_text(content: Mapping[str, str]) -> str:
    """Write content as a JSON object in the one form in which PostgreSQL writes a jsonb of it.

    Shorter names come first. The column keeps the text as it is: equal contents are equal texts in it.

    Examples
    --------
    >>> content_text({"symbol": "TCS", "side": "BUY"})
    '{"side": "BUY", "symbol": "TCS"}'
    """
    return json.dumps(
        {name: content[name] for name in sorted(content, key=content_order)}, ensure_ascii=False
    )


def content_order(name: str) -> tuple[int, str]:
    """Give the key by which `content_text` sorts the fields (ASCII names)."""
    return len(name), name


def _record_id(kind: RecordKind, content: Mapping[str, str], ordinal: int, canonical: str) -> str:
    source, message = content["source"], content.get("source_message_id")
    if kind is RecordKind.FOLLOWUP:
        return derived_id("followup", source, message or canonical, ordinal)
    return signal_id(source, message, ordinal) if message else content_signal_id(source, canonical)


def kind_of(text: str) -> RecordKind | None:
    """Read a kind in any case; None if it is none."""
    return _KINDS.get(text.upper()) if text.isascii() else None


def ordinal_of(text: str) -> int | None:
    """Read which record of its message one is, 0 to 999; None if it is no such number."""
    return int(text) if _ORDINAL.match(text) else None


def translated_fields(profile: SourceProfile) -> tuple[str, ...]:
    """Name the fields that `translated_cell` may change."""
    prices = (*PRICE_FIELDS, "targets") if profile.price_unit is PriceUnit.PAISE else ()
    return tuple(dict.fromkeys((*profile.values, *prices, "expiry", "reported_exit_at")))


def translated_cell(name: str, text: str, profile: SourceProfile) -> str:
    """Apply the profile's words, unit and date formats to one field; what does not fit stays as it was."""
    words = profile.values.get(name)
    if words is not None:
        text = words.get(text.upper(), text)
    if profile.price_unit is PriceUnit.PAISE:
        if name in PRICE_FIELDS:
            text = paise_text_to_rupees(text) or text
        elif name == "targets":
            text = "/".join(paise_text_to_rupees(part.strip()) or part for part in text.split("/"))
    if name == "expiry":
        day = parse_date(text, profile.date_formats)
        return day.isoformat() if day else text.upper()
    if name == "reported_exit_at":
        exit_ns = parse_time(text, profile.time_formats, profile.offset_minutes)
        return text if exit_ns is None else time_text(exit_ns)
    return text


def _translate(fields: Mapping[str, str], profile: SourceProfile) -> dict[str, str]:
    content = dict(fields)
    for name in translated_fields(profile):
        if name in content:
            content[name] = translated_cell(name, content[name], profile)
    return content


def _stamps(
    content: Mapping[str, str], profile: SourceProfile, times: IntakeTimes
) -> tuple[int, int, int | None] | Rejection:
    """Read posted_at, received_at and edited_at, ns UTC (§1).

    A text that was edited could be known as it stands from the edit on, not from the first posting, nor from
    the moment its first wording was heard.
    """
    read: dict[str, int] = {}
    for name in ("posted_at", "received_at", "edited_at"):
        text = content.get(name)
        if text is None:
            continue
        moment = parse_time(text, profile.time_formats, profile.offset_minutes)
        if moment is None:
            sentence = (
                f"{name} {text!r} is no date and time this profile reads: write 2025-01-31T09:20:00+05:30"
            )
            return _refuse(RejectReason.BAD_TIME, sentence)
        read[name] = moment
    if "posted_at" not in read:
        return _refuse(
            RejectReason.MISSING_FIELD, "posted_at is empty: a call without a time cannot be judged"
        )
    posted = read["posted_at"]
    edited = read.get("edited_at")
    said = posted if edited is None else max(posted, edited)
    heard = read.get("received_at", said + times.receive_lag_ns)
    received = heard if edited is None else max(heard, edited)
    if max(said, read.get("received_at", said)) > times.ingested_ns + times.future_tolerance_ns:
        sentence = f"{time_text(max(said, received))} lies after the moment of ingestion"
        return _refuse(RejectReason.FUTURE_TIME, sentence)
    if heard < posted - times.future_tolerance_ns:
        sentence = f"received_at {time_text(heard)} lies before posted_at {time_text(posted)}"
        return _refuse(RejectReason.RECEIVED_BEFORE_POSTED, sentence)
    return posted, received, edited


def _refuse(reason: RejectReason, sentence: str) -> Rejection:
    return Rejection(RejectStage.INGEST, (reason,), sentence)

"""What every door for signals but the change stream itself does with a document: judge it, put it down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from adapters.mongo.landing import Landed
from propdesk.core.calendar import ist_text
from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.errors import DataFault
from propdesk.intake.document import document_to_record, document_to_row
from propdesk.intake.fields import time_text
from propdesk.intake.parse import IntakeTimes, land_row
from propdesk.intake.profile import DOCUMENT_PROFILE, fold_name
from propdesk.intake.reasons import Rejection
from propdesk.model.signal import Signal

_RECEIVED: Final = fold_name("received_at")
_SOURCE: Final = fold_name("source")


class Landing(Protocol):
    """Where documents are put down durably, each once (`adapters.mongo.landing.SignalLanding`)."""

    async def land(self, door: str, documents: Sequence[Mapping[str, object]]) -> list[Landed]:
        """Put documents down, in order."""
        ...

    async def is_reachable(self) -> bool:
        """Tell whether documents can be put down."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """What a door says of a document.

    ``document``: what is to be stored, the same whichever door it came by. ``is_history``: an idea posted so
    long ago that it must not be traded, so no door takes it. ``problem``: why it cannot be read as it is, or
    is history; empty where nothing is wrong.
    """

    document: dict[str, object]
    is_history: bool
    problem: str


class ForeignSource(DataFault):
    """A document that names another source than the one that signed it."""


def judge_document(
    document: Mapping[str, object], now_ns: int, age_max_s: int, *, source: str | None = None
) -> Judged:
    """Bring a document to its stored form, and judge that form at its receipt.

    Parameters
    ----------
    document : mapping
        Keys as of the sample profile, in any spelling that the profile takes for them.
    now_ns : int
        ns UTC.
    age_max_s : int
        An idea posted longer ago is history. A follow-up is not: late is better than never for it.
    source : str, optional
        Who is proved to speak: the document gets this source. None: it speaks for whom it names.

    Raises
    ------
    ForeignSource
        If it names another source than ``source``.

    Notes
    -----
    What can be read is stored under canonical names in canonical text, so that the same words by two doors
    are one content. What cannot is stored as it came, but for the sender's own id, receipt and source.
    """
    stored = _stored_form(document, now_ns, source)
    record = document_to_record(stored, received_ns=now_ns)
    if isinstance(record, Rejection):
        return Judged(stored, is_history=False, problem=record.message)
    if isinstance(record, Signal) and now_ns - record.posted_ns > age_max_s * NS_PER_SECOND:
        sentence = (
            f"it was posted at {ist_text(record.posted_ns)}, which is history: bring it in with "
            "`propdesk ingest`, which trades nothing"
        )
        return Judged(stored, is_history=True, problem=sentence)
    return Judged(stored, is_history=False, problem="")


def _stored_form(document: Mapping[str, object], now_ns: int, source: str | None) -> dict[str, object]:
    bare = _without_own(document, source)
    row = document_to_row(bare)
    if isinstance(row, Rejection):
        return bare
    row["received_at"] = time_text(now_ns)
    landed = land_row(row, DOCUMENT_PROFILE, IntakeTimes(ingested_ns=now_ns))[0]
    if isinstance(landed, Rejection):
        return bare
    return {name: text for name, text in landed.content.items() if name != "received_at"}


def _without_own(document: Mapping[str, object], source: str | None) -> dict[str, object]:
    """Leave out what only the receiver may say, however its name is spelled; a proved source is set."""
    kept: dict[str, object] = {}
    for key, value in document.items():
        name = fold_name(key)
        if name == _SOURCE and source is not None:
            if value is not None and (not isinstance(value, str) or value.strip() not in ("", source)):
                raise ForeignSource(f"it speaks for the source {str(value)[:40]!r}, but {source} signed it")
        elif key != "_id" and name != _RECEIVED:
            kept[key] = value
    return kept if source is None else {**kept, "source": source}

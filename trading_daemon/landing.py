"""What every door for signals but the change stream itself does with a document: judge it, put it down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.mongo.landing import Landed
from propdesk.core.calendar import ist_text
from propdesk.core.clock import NS_PER_SECOND
from propdesk.intake.document import document_to_record
from propdesk.intake.reasons import Rejection
from propdesk.model.signal import Signal


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

    ``is_history``: an idea posted so long ago that it must not be traded, so no door takes it. ``problem``:
    why it cannot be read as it is, or is history; empty where nothing is wrong.
    """

    is_history: bool
    problem: str


def judge_document(document: Mapping[str, object], now_ns: int, age_max_s: int) -> Judged:
    """Judge a document at its receipt.

    Parameters
    ----------
    document : mapping
        Keys as of the sample profile.
    now_ns : int
        ns UTC.
    age_max_s : int
        An idea posted longer ago is history. A follow-up is not: late is better than never for it.
    """
    record = document_to_record(document, received_ns=now_ns)
    if isinstance(record, Rejection):
        return Judged(is_history=False, problem=record.message)
    if isinstance(record, Signal) and now_ns - record.posted_ns > age_max_s * NS_PER_SECOND:
        sentence = (
            f"it was posted at {ist_text(record.posted_ns)}, which is history: bring it in with "
            "`propdesk ingest`, which trades nothing"
        )
        return Judged(is_history=True, problem=sentence)
    return Judged(is_history=False, problem="")

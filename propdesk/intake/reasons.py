"""Why a record was not taken: codes for machines, a sentence for a person."""

from dataclasses import dataclass
from enum import StrEnum


class RejectStage(StrEnum):
    """Which step refused the record."""

    INGEST = "INGEST"
    VALIDATE = "VALIDATE"
    NORMALISE = "NORMALISE"
    RESOLVE = "RESOLVE"


class RejectReason(StrEnum):
    """Machine-readable reasons (§1.3, §1.5)."""

    RAGGED_ROW = "RAGGED_ROW"
    MALFORMED_ROW = "MALFORMED_ROW"
    FIELD_TOO_LONG = "FIELD_TOO_LONG"
    BAD_CHARACTER = "BAD_CHARACTER"
    UNREADABLE = "UNREADABLE"
    MISSING_FIELD = "MISSING_FIELD"
    BAD_KIND = "BAD_KIND"
    BAD_TIME = "BAD_TIME"
    FUTURE_TIME = "FUTURE_TIME"
    RECEIVED_BEFORE_POSTED = "RECEIVED_BEFORE_POSTED"
    BEYOND_CALENDAR = "BEYOND_CALENDAR"
    BAD_CATEGORY = "BAD_CATEGORY"
    BAD_SYMBOL = "BAD_SYMBOL"
    BAD_EXPIRY = "BAD_EXPIRY"
    BAD_STRIKE = "BAD_STRIKE"
    BAD_OPTION_TYPE = "BAD_OPTION_TYPE"
    NOT_FOR_CATEGORY = "NOT_FOR_CATEGORY"
    BAD_SIDE = "BAD_SIDE"
    BAD_ENTRY_TYPE = "BAD_ENTRY_TYPE"
    BAD_ENTRY = "BAD_ENTRY"
    BAD_PRICE = "BAD_PRICE"
    STOPLOSS_WRONG_SIDE = "STOPLOSS_WRONG_SIDE"
    TARGET_WRONG_SIDE = "TARGET_WRONG_SIDE"
    TARGETS_NOT_MONOTONE = "TARGETS_NOT_MONOTONE"
    TOO_MANY_TARGETS = "TOO_MANY_TARGETS"
    BAD_REGISTRATION = "BAD_REGISTRATION"
    BAD_PERIOD = "BAD_PERIOD"
    BAD_FOLLOWUP_KIND = "BAD_FOLLOWUP_KIND"
    BAD_FRACTION = "BAD_FRACTION"
    CATEGORY_MISMATCH = "CATEGORY_MISMATCH"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    EXPIRED = "EXPIRED"
    AMBIGUOUS = "AMBIGUOUS"
    NOT_YET_LISTED = "NOT_YET_LISTED"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refused record; a value, not an exception.

    ``message`` holds one sentence per reason, in the same order, joined by ``"; "``.
    """

    stage: RejectStage
    reasons: tuple[RejectReason, ...]
    message: str
    record_id: str | None = None


class Findings:
    """Collects what is wrong with one record, so that a person sees all of it at once."""

    def __init__(self) -> None:
        self.reasons: list[RejectReason] = []
        self.sentences: list[str] = []

    def add(self, reason: RejectReason, sentence: str) -> None:
        """Note one fault; a reason is listed once, its sentences all."""
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.sentences.append(sentence)

    def take(self, others: "Findings") -> None:
        """Note after one's own faults those that were found of a part of the record."""
        self.reasons += [reason for reason in others.reasons if reason not in self.reasons]
        self.sentences += others.sentences

    def rejection(self, stage: RejectStage, record_id: str | None) -> Rejection | None:
        """Give the refusal, or None if nothing is wrong."""
        if not self.reasons:
            return None
        return Rejection(stage, tuple(self.reasons), "; ".join(self.sentences), record_id)

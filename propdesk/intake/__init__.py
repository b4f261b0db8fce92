"""What comes in, one record at a time; the live side and the pipeline call the same functions."""

from propdesk.intake.aliases import Aliases, Rename, fold_symbol
from propdesk.intake.dedupe import IdeaBook, IdeaKey, Links
from propdesk.intake.document import document_to_record, document_to_row, record_of
from propdesk.intake.listings import DerivativeListings
from propdesk.intake.normalise import Dimensions, dimensions_of, normalise_signal, period_of
from propdesk.intake.oneline import ParsedCall, parse_calls
from propdesk.intake.parse import IntakeTimes, LandedRecord, RecordKind, land_row
from propdesk.intake.profile import CANONICAL_FIELDS, DOCUMENT_PROFILE, FullExport, PriceUnit, SourceProfile
from propdesk.intake.reasons import Rejection, RejectReason, RejectStage
from propdesk.intake.resolve import InstrumentLookup, pick_expiry, resolve_instrument
from propdesk.intake.validate import build_followup, build_signal

__all__ = [
    "CANONICAL_FIELDS",
    "DOCUMENT_PROFILE",
    "Aliases",
    "DerivativeListings",
    "Dimensions",
    "FullExport",
    "IdeaBook",
    "IdeaKey",
    "InstrumentLookup",
    "IntakeTimes",
    "LandedRecord",
    "Links",
    "ParsedCall",
    "PriceUnit",
    "RecordKind",
    "RejectReason",
    "RejectStage",
    "Rejection",
    "Rename",
    "SourceProfile",
    "build_followup",
    "build_signal",
    "dimensions_of",
    "document_to_record",
    "document_to_row",
    "fold_symbol",
    "land_row",
    "normalise_signal",
    "parse_calls",
    "period_of",
    "pick_expiry",
    "record_of",
    "resolve_instrument",
]

"""What an instrument file said, as values: the adapters read it, the history takes it."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from propdesk.intake.history import Coverage
from propdesk.model.instrument import ContractLot, Instrument

REASONS: Final = {
    "BAD_CONTRACT": "contract without readable expiry, underlying, strike or type",
    "NO_LOT_SIZE": "contract without lot size",
    "LOT_CONFLICT": "contract whose traded quantity is not in whole lots of one size",
    "BAD_LOT": "unreadable lot size",
    "BAD_TICK": "unreadable tick size",
    "BAD_FREEZE": "unreadable freeze quantity",
    "BAD_TEXT": "cell with a character that no text has",
    "BAD_VALIDITY": "unreadable validity",
    "PAST_EXPIRY": "contract that had expired by the file's day",
    "BAD_PRICE": "unreadable price",
    "BAD_DAY": "unreadable day",
    "NO_SYMBOL": "no symbol or id",
    "RAGGED": "row with another number of cells than the header",
    "CONTRADICTION": "another value than an earlier file of the same day",
}
"""Codes of rejected rows and what they are called in counts."""


def message_of(reason: str) -> str:
    """Name a reason code for a table of counts."""
    return REASONS[reason]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that should have been an instrument and could not be read as one.

    Attributes
    ----------
    row_number : int
        1 = the first row after the header; 0 = not one row of its own.
    reason, message : str
        Machine-readable code, and a sentence for a person.
    """

    row_number: int
    reason: str
    message: str
    content: dict[str, str]


@dataclass(frozen=True, slots=True)
class InstrumentFile:
    """What an instrument file held.

    Attributes
    ----------
    source : str
        Whose word it is by default: ``dhan``, ``dhan_reduced``, ``nse_fo_bhavcopy``,
        ``nse_equity_bhavcopy``, ``nse_lot_table``.
    layout : str
        Name of the recognised layout.
    day : date
        Day on which the file is true.
    is_dated : bool
        Rows carry valid_from and valid_to of their own: the file is a history, not a day's.
    coverage : Coverage
        What the absence of an instrument means.
    instruments : list of Instrument
        One per key and validity.
    lots : list of ContractLot
        Of a table of lot sizes.
    row_numbers : dict of str to int
        Row of each instrument key.
    rows_read, rows_taken : int
        ``rows_read`` = ``rows_taken`` + the sum of ``skipped``.
    skipped : dict of str to int
        Rows left out, by reason; the defects among them stand in ``rejected`` too.
    """

    source: str
    layout: str
    day: date
    is_dated: bool
    coverage: Coverage
    instruments: list[Instrument]
    lots: list[ContractLot]
    row_numbers: dict[str, int]
    rows_read: int
    rows_taken: int
    skipped: dict[str, int]
    rejected: list[RejectedRow]
    sha256: str = ""

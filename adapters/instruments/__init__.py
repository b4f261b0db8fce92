"""Instrument masters, bhavcopies and lot tables, read into `propdesk.model.instrument`."""

from adapters.instruments.files import read_instrument_file, recognise
from propdesk.intake.history import OPEN_END
from propdesk.intake.instrument_file import InstrumentFile, RejectedRow

__all__ = [
    "OPEN_END",
    "InstrumentFile",
    "RejectedRow",
    "read_instrument_file",
    "recognise",
]

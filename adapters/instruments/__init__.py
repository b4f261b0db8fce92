"""Instrument masters, bhavcopies and lot tables, read into `propdesk.model.instrument`."""

from adapters.instruments.files import read_instrument_file, recognise
from adapters.instruments.sizes import ContractSizes, load_contract_sizes
from propdesk.intake.history import OPEN_END
from propdesk.intake.instrument_file import InstrumentFile, RejectedRow

__all__ = [
    "OPEN_END",
    "ContractSizes",
    "InstrumentFile",
    "RejectedRow",
    "load_contract_sizes",
    "read_instrument_file",
    "recognise",
]

"""Instrument masters of the broker, read into `propdesk.model.instrument.Instrument`."""

from adapters.instruments.scrip_master import OPEN_END, MasterFile, read_scrip_master
from adapters.instruments.sizes import ContractSizes, load_contract_sizes

__all__ = ["OPEN_END", "ContractSizes", "MasterFile", "load_contract_sizes", "read_scrip_master"]

"""The scrip master of the day: security ids are reused, so only the file of the same day resolves them."""

import asyncio
from datetime import date

from adapters.brokers.dhan.config import DhanConfig
from adapters.instruments import InstrumentFile, read_instrument_file


async def download_scrip_master(config: DhanConfig, day: date) -> InstrumentFile:
    """Download and read the scrip master, beside the event loop (30 MB, some seconds).

    Raises
    ------
    SchemaFault
        If it cannot be downloaded, is of no known layout or holds no usable row.
    """
    return await asyncio.to_thread(read_instrument_file, config.master_url, day)

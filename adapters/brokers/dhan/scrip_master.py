"""The scrip master of the day: security ids are reused, so only the file of the same day resolves them."""

import asyncio
from datetime import date

from adapters.brokers.dhan.config import DhanConfig
from adapters.instruments.scrip_master import MasterFile, read_scrip_master
from adapters.instruments.sizes import ContractSizes


async def download_scrip_master(
    config: DhanConfig, day: date, sizes: ContractSizes | None = None
) -> MasterFile:
    """Download and read the scrip master, beside the event loop (30 MB, some seconds).

    Raises
    ------
    SchemaFault
        If it cannot be downloaded, is of no known layout or holds no usable row.
    """
    return await asyncio.to_thread(read_scrip_master, config.master_url, day, sizes)

"""Commands of people → the audit log, behind everything that trades (§6.3)."""

import asyncio
from collections.abc import Callable
from typing import Final

from trading_daemon.bus import end_if_cancelled
from trading_daemon.ports import CommandAudits, Log

AUDIT_S: Final = 1.0
"""Seconds between two looks for rows that the audit log lacks."""


class CommandAuditor:
    """Writes the audit rows of commands; no fault of it ends the process, for no trade depends on it.

    Parameters
    ----------
    audits : CommandAudits
        Durable; its connection belongs to this task.
    on_fault : callable
        Told of a failure, with where it happened: once as long as it lasts, since no trade depends on it.
    """

    def __init__(
        self,
        audits: CommandAudits,
        log: Log,
        on_fault: Callable[[str, Exception], None] = lambda _where, _fault: None,
    ) -> None:
        self._audits = audits
        self._log = log
        self._on_fault = on_fault
        self._told = ""

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self.write()
            end_if_cancelled()
            await asyncio.sleep(AUDIT_S)

    async def write(self) -> None:
        """Write what is missing; a fault is logged once and tried again with the next look."""
        fault_told = ""
        try:
            await self._audits.write_rows()
        except Exception as fault:  # the rows stay to be written, and stops must go on working
            fault_told = f"{type(fault).__name__}: {fault}"
            if fault_told != self._told:
                self._log.warning("commands are not audited", error=fault_told)
                self._on_fault("the audit of commands", fault)
        self._told = fault_told

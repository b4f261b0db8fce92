"""Audit rows of commands: written behind everything else, and no fault of theirs ends the daemon."""

import asyncio

import pytest

from trading_daemon.tasks import command_audit
from trading_daemon.tasks.command_audit import CommandAuditor


class Audits:
    """Fails as told, then succeeds."""

    def __init__(self, *faults: Exception | None) -> None:
        self.faults = list(faults)
        self.looks = 0
        self.is_done = asyncio.Event()

    async def write_rows(self) -> bool:
        self.looks += 1
        if not self.faults:
            self.is_done.set()
            return True
        fault = self.faults.pop(0)
        if fault is not None:
            raise fault
        return False


class Lines:
    """Keeps warnings."""

    def __init__(self) -> None:
        self.warnings: list[object] = []

    def info(self, event: str, **values: object) -> None:
        raise AssertionError(event)

    def warning(self, event: str, **values: object) -> None:
        self.warnings.append((event, values["error"]))

    def error(self, event: str, **values: object) -> None:
        raise AssertionError(event)


async def test_faults_are_told_once_each_and_it_goes_on() -> None:
    lines, audits = (
        Lines(),
        Audits(OSError("away"), OSError("away"), ValueError("odd"), None, OSError("away")),
    )
    counted: list[str] = []
    auditor = CommandAuditor(audits, lines, lambda where, fault: counted.append(f"{fault} in {where}"))
    for _ in range(6):
        await auditor.write()
    assert lines.warnings == [
        ("commands are not audited", "OSError: away"),
        ("commands are not audited", "ValueError: odd"),
        ("commands are not audited", "OSError: away"),
    ]
    assert counted == [f"{fault} in the audit of commands" for fault in ("away", "odd", "away")]


async def test_it_runs_until_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_audit, "AUDIT_S", 0.0)
    audits = Audits(OSError("away"), None)
    running = asyncio.create_task(CommandAuditor(audits, Lines()).run())
    await asyncio.wait_for(audits.is_done.wait(), 5)
    assert not running.done()
    running.cancel()
    (end,) = await asyncio.gather(running, return_exceptions=True)
    assert (audits.looks >= 3, type(end)) == (True, asyncio.CancelledError)

"""Being asked to end: what is in the bus is journalled, within the time there is (§5.1)."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from propdesk.core.clock import ManualClock
from propdesk.engine.batch import Batch
from propdesk.engine.snapshot import StoredContext
from propdesk.engine.step import initial_state
from propdesk.model.messages import TimerFired
from tests.support.engine_day import at, make_context
from trading_daemon import main
from trading_daemon.bootstrap import Tasks
from trading_daemon.bus import Bus, Envelope
from trading_daemon.tasks.decider import Decider, Ledgered

ENVELOPES = 2_000


class Journal:
    """Takes its time over each row, or never comes back."""

    def __init__(self, *, is_stuck: bool = False) -> None:
        self.rows: list[Batch] = []
        self.is_stuck = is_stuck

    async def commit(self, batch: Batch) -> None:
        if self.is_stuck:
            await asyncio.Event().wait()
        await asyncio.sleep(0.001)
        self.rows.append(batch)


class IdleManager:
    async def idle(self) -> None:
        return


async def stop_with(journal: Journal) -> Bus:
    """Fill the bus, ask for the end, and give the bus as it was left."""
    bus, context = Bus(), make_context()
    start = Ledgered(0, "", initial_state(context))
    clock = ManualClock(at(600))
    decider = Decider(bus, journal, clock, context, StoredContext("", b""), start, 1, lambda _: None)
    tasks = cast(Tasks, SimpleNamespace(bus=bus, order_manager=IdleManager(), decider=decider))
    for number in range(ENVELOPES):
        await bus.events.put(Envelope((TimerFired("MINUTE", number),)))
    stop = asyncio.Event()
    stop.set()
    deciding = asyncio.create_task(decider.run())
    with pytest.raises(main._Stop):
        await main._until_stopped(tasks, stop)
    deciding.cancel()
    return bus


async def test_everything_heard_is_journalled_before_the_end() -> None:
    journal = Journal()
    bus = await stop_with(journal)
    assert bus.events.unfinished == 0
    assert sum(batch.events.count(b"TimerFired") for batch in journal.rows) == ENVELOPES
    assert not bus.sending


async def test_a_database_that_does_not_answer_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "FINISH_S", 0.05)
    bus = await asyncio.wait_for(stop_with(Journal(is_stuck=True)), 5)
    assert bus.events.unfinished == ENVELOPES

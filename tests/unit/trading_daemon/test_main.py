"""Being asked to end: what is in the bus is journalled, within the time there is (§5.1)."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from adapters.settings import Settings
from propdesk.core.clock import ManualClock
from propdesk.engine.batch import Batch
from propdesk.engine.snapshot import StoredContext
from propdesk.engine.step import initial_state
from propdesk.model.messages import Notify, TimerFired
from tests.support.engine_day import at, make_context
from trading_daemon import main, notices
from trading_daemon.bootstrap import Tasks
from trading_daemon.bus import Bus, Envelope
from trading_daemon.metrics import Laps
from trading_daemon.tasks.decider import Decider, Ledgered

LAPS = Laps(CollectorRegistry())

ENVELOPES = 2_000
NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:9/none"


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
    decider = Decider(bus, journal, clock, context, StoredContext("", b""), start, 1, lambda _: None, LAPS)
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


class _Line:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


async def _open(*_: object) -> _Line:
    return _Line()


async def test_what_a_halt_tells_people_holds_no_secret_and_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    async def write(_: object, __: str, notice: Notify) -> None:
        told.append(notice.text)

    monkeypatch.setattr(notices, "connect", _open)
    monkeypatch.setattr(notices, "write_notice", write)
    settings = Settings(_env_file=None, postgres_url=NOWHERE, telegram_bot_token="123456:canary")
    fault = RuntimeError(f"POST https://x/bot123456:canary failed\n{'x' * 5_000}")
    await main._tell_halt(settings, ManualClock(0), ExceptionGroup("tasks", [fault]))
    (text,) = told
    assert "canary" not in text
    assert "POST https://x/bot*** failed" in text
    assert len(text) < 900


async def test_word_of_a_halt_that_cannot_be_left_holds_up_nothing_and_raises_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    async def hang(*_: object) -> None:
        tried.append("hang")
        await asyncio.Event().wait()

    async def break_down(*_: object) -> None:
        tried.append("break")
        raise OSError("no such host")

    settings = Settings(_env_file=None, postgres_url=NOWHERE)
    monkeypatch.setattr(notices, "TELL_S", 0.01)
    for attempt in (hang, break_down):
        monkeypatch.setattr(notices, "connect", attempt)
        async with asyncio.timeout(5):
            await main._tell_halt(settings, ManualClock(0), RuntimeError("it broke"))
    assert tried == ["hang", "break"]

"""The recorder in the daemon: what fails is counted and told once, and nobody waits for the disk."""

import asyncio
import errno
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from adapters.ticks.recordings import Recorder, read_recording, recording_path
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND, ManualClock
from propdesk.core.errors import DataFault
from propdesk.intake.minutes import MinuteBook, MinuteSeen, PriceSeen
from tests.support.full_disk import no_room
from trading_daemon.metrics import RecordMeter
from trading_daemon.ports import PriceLog
from trading_daemon.tasks import price_recorder
from trading_daemon.tasks.price_recorder import PriceRecorder

DAY = date(2025, 7, 1)
KEY = "NSE_EQ:TCS"
TEN_NS = ist_midnight_ns(DAY) + 10 * NS_PER_HOUR


class Quotes:
    """A feed whose prices a test puts in; None breaks off, an exception ends the reading."""

    trouble = ""
    is_connected = True

    def __init__(self) -> None:
        self.put: asyncio.Queue[PriceSeen | Exception | None] = asyncio.Queue()
        self.wanted: list[str] = []
        self.fault: Exception | None = None

    async def subscribe(self, price_keys: Sequence[str]) -> tuple[str, ...]:
        if self.fault is not None:
            raise self.fault
        self.wanted += price_keys
        return tuple(key for key in price_keys if key.startswith("?"))

    async def prices(self) -> AsyncGenerator[PriceSeen | None]:
        while True:
            one = await self.put.get()
            if isinstance(one, Exception):
                raise one
            yield one
            self.put.task_done()


class Log:
    """A log that fails as told, in the order of its calls."""

    def __init__(self, *faults: Exception | None) -> None:
        self.faults = list(faults)
        self.minutes: list[MinuteSeen] = []
        self.watches: list[tuple[int, int] | None] = []
        self.threads: set[int] = set()
        self.before: tuple[MinuteSeen, ...] = ()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.closed = 0

    def _meet(self) -> None:
        self.threads.add(threading.get_ident())
        self.may_go_on.wait()
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault

    def open(self) -> tuple[MinuteSeen, ...]:
        self._meet()
        return self.before

    def append(self, minutes: Sequence[MinuteSeen], watch: tuple[int, int] | None) -> None:
        self._meet()
        self.minutes += minutes
        self.watches.append(watch)

    def close(self) -> None:
        self.closed += 1


class Lines:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **values: object) -> None:
        self.events.append(event)

    warning = error = info


class Desk:
    """A recorder, its feed and log, and what was told to people."""

    def __init__(self, log: PriceLog) -> None:
        self.clock = ManualClock(TEN_NS)
        self.quotes = Quotes()
        self.lines = Lines()
        self.told: list[str] = []
        self.is_open = True
        self.registry = CollectorRegistry()
        first_ns = ist_midnight_ns(DAY)
        parts = ((first_ns, first_ns + NS_PER_DAY),)
        self.book = MinuteBook(lambda _key: parts, unwritten_max=3)
        self.recorder = PriceRecorder(
            self.book, self.quotes, log, self.clock, self.lines,
            counts=RecordMeter(self.registry), tell=self._tell, is_open=lambda: self.is_open,
        )  # fmt: skip

    async def _tell(self, text: str) -> None:
        self.told.append(text)

    def see(self, minute: int, price: int = 100) -> None:
        at_ns = TEN_NS + minute * NS_PER_MINUTE
        for beat_ns in range(self.clock.now_ns(), at_ns, 10 * NS_PER_SECOND):
            self.quotes.put.put_nowait(PriceSeen("INDEX:NIFTY", beat_ns, None, 0))
        self.clock.advance_to(max(self.clock.now_ns(), at_ns))
        self.quotes.put.put_nowait(PriceSeen(KEY, at_ns, at_ns, price, bid_paise=99))

    def count(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"propdesk_recorder_{name}_total")

    @asynccontextmanager
    async def hearing(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.recorder.hear())
        try:
            yield
        finally:
            await asyncio.wait_for(self.quotes.put.join(), 5)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_what_is_seen_is_written_aside_and_once() -> None:
    log = Log()
    desk = Desk(log)
    async with desk.hearing():
        desk.see(0)
        desk.see(0, 105)
        desk.see(1)
    await desk.recorder.keep()
    assert [(one.start_ns - TEN_NS, one.high_paise, one.bid_paise) for one in log.minutes] == [
        (0, 105, 99),
        (NS_PER_MINUTE, 100, 99),
    ]
    await desk.recorder.keep()
    assert len(log.minutes) == 2
    assert threading.get_ident() not in log.threads
    assert (desk.count("minutes"), desk.count("failures")) == (2, 0)
    assert log.watches == [(TEN_NS, TEN_NS + NS_PER_MINUTE)]


async def test_a_disk_that_refuses_is_told_once_per_spell_and_everything_is_written_later() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    log = Log(None, full, full, None, full)
    desk = Desk(log)
    async with desk.hearing():
        desk.see(0)
    for _ in range(2):
        await desk.recorder.keep()
    assert desk.told == ["prices are not recorded (No space left on device); trading goes on"]
    assert log.minutes == []
    async with desk.hearing():
        desk.see(1)
    await desk.recorder.keep()
    assert [one.start_ns - TEN_NS for one in log.minutes] == [0, NS_PER_MINUTE]
    assert desk.lines.events == ["prices_in_trouble", "prices_out_of_trouble"]
    async with desk.hearing():
        desk.see(2)
    await desk.recorder.keep()
    assert len(desk.told) == 2
    assert (desk.count("failures"), desk.count("minutes")) == (3, 2)


async def test_quotes_that_repeat_an_old_trade_are_counted() -> None:
    desk = Desk(Log())
    async with desk.hearing():
        desk.quotes.put.put_nowait(PriceSeen(KEY, TEN_NS, TEN_NS - NS_PER_HOUR, 100))
    for _ in range(2):
        await desk.recorder.keep()
    assert desk.count("old_trades") == 1


@pytest.mark.parametrize("ago_s", [125, -125])
async def test_trades_that_come_too_late_for_a_bar_are_told_once_per_spell(ago_s: int) -> None:
    desk = Desk(Log())
    for start_s in (0, 300):
        for second in range(start_s, start_s + 300, 10):
            at_ns = TEN_NS + second * NS_PER_SECOND
            desk.clock.advance_to(at_ns)
            desk.book.add(PriceSeen(KEY, at_ns, at_ns - ago_s * NS_PER_SECOND, 100))
        await desk.recorder._look_at_trades()
    assert len(desk.told) == 1
    assert "check its clock" in desk.told[0]
    for minutes in (14, 1):
        assert "prices_out_of_trouble" not in desk.lines.events
        desk.clock.advance_to(desk.clock.now_ns() + minutes * NS_PER_MINUTE)
        await desk.recorder._look_at_trades()
    assert desk.lines.events[-1] == "prices_out_of_trouble"


async def test_the_recorder_looks_for_lost_trades_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_recorder, "KEEP_S", 0.0)
    desk = Desk(Log())
    task = asyncio.create_task(desk.recorder.run())
    desk.quotes.put.put_nowait(PriceSeen(KEY, TEN_NS, TEN_NS + NS_PER_HOUR, 100))
    async with asyncio.timeout(5):
        while not desk.told:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(desk.told) == 1


async def test_a_reading_that_failed_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_recorder, "ANEW_S", 0.0)
    desk = Desk(Log())
    task = asyncio.create_task(desk.recorder.run())
    for told in (
        PriceSeen(KEY, TEN_NS, TEN_NS, 100),
        RuntimeError("a bug"),
        PriceSeen(KEY, TEN_NS + NS_PER_SECOND, TEN_NS + NS_PER_SECOND, 101),
    ):
        desk.quotes.put.put_nowait(told)
    async with asyncio.timeout(5):
        while (watch := desk.book.watch) is None or watch[1] == TEN_NS:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert watch == (TEN_NS + NS_PER_SECOND, TEN_NS + NS_PER_SECOND)


async def test_what_waits_is_bounded_and_what_is_given_up_is_counted() -> None:
    log = Log(None, *[OSError(errno.EROFS, "Read-only file system")] * 2)
    desk = Desk(log)
    for first in (0, 3):
        async with desk.hearing():
            for minute in range(first, first + 3):
                desk.see(minute)
        await desk.recorder.keep()
    await desk.recorder.keep()
    assert [one.start_ns - TEN_NS for one in log.minutes] == [n * NS_PER_MINUTE for n in (3, 4, 5)]
    assert desk.count("dropped") == 3


async def test_another_recorder_is_told_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    other = Recorder(tmp_path, DAY, "paper", "dhan")
    other.open()
    other.append([MinuteSeen(KEY, TEN_NS, TEN_NS, 90, 90, 90, 90)], (TEN_NS, TEN_NS + NS_PER_MINUTE))
    desk = Desk(Recorder(tmp_path, DAY, "paper", "dhan"))
    async with desk.hearing():
        desk.see(1)
    await desk.recorder.keep()
    await desk.recorder.keep()
    assert len(desk.told) == 1
    assert "is being written by process" in desk.told[0]
    assert len(read_recording(recording_path(tmp_path, DAY)).minutes) == 1
    other.close()
    await desk.recorder.keep()
    desk.recorder.close()
    found = read_recording(recording_path(tmp_path, DAY)).minutes
    assert [(one.start_ns - TEN_NS, one.close_paise) for one in found] == [(0, 90), (NS_PER_MINUTE, 100)]


async def test_a_real_disk_without_room_is_survived(tmp_path: Path) -> None:
    desk = Desk(Recorder(tmp_path, DAY, "paper", "dhan"))
    with no_room(100):
        async with desk.hearing():
            for second in range(3):
                desk.see(0, 100 + second)
        await desk.recorder.keep()
    assert desk.told == ["prices are not recorded (File too large); trading goes on"]
    await desk.recorder.keep()
    desk.recorder.close()
    (minute,) = read_recording(recording_path(tmp_path, DAY)).minutes
    assert (minute.open_paise, minute.high_paise) == (100, 102)


async def test_a_folder_that_cannot_be_made_is_survived(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file where the folder should be")
    desk = Desk(Recorder(tmp_path / "recordings" / "paper", DAY, "paper", "dhan"))
    await desk.recorder.keep()
    assert len(desk.told) == 1
    (tmp_path / "recordings").unlink()
    await desk.recorder.keep()
    assert desk.lines.events[-1] == "prices_out_of_trouble"
    desk.recorder.close()


async def test_a_disk_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_recorder, "PATIENCE_S", 0.02)
    log = Log()
    log.may_go_on.clear()
    desk = Desk(log)
    async with desk.hearing():
        desk.see(0)
    for _ in range(3):
        await desk.recorder.keep()
    assert len(desk.told) == 1
    assert "longer than" in desk.told[0]
    desk.recorder.close()
    assert log.closed == 0, "a file is not closed under its writer"
    log.may_go_on.set()
    monkeypatch.setattr(price_recorder, "PATIENCE_S", 5.0)
    await desk.recorder.keep()
    assert (len(log.minutes), log.closed) == (1, 1)


async def test_what_an_earlier_life_wrote_is_taken_up_before_the_first_write() -> None:
    log = Log()
    log.before = (MinuteSeen(KEY, TEN_NS, TEN_NS, 90, 95, 85, 91, is_broken=True),)
    desk = Desk(log)
    await desk.recorder.begin()
    bars = desk.book.bars(KEY)
    assert bars is not None
    assert bars.high_paise.tolist() == [95]
    assert log.minutes == list(log.before)  # that it was broken off is written for good


async def test_a_break_of_the_feed_ends_the_watch_where_it_was_last_heard() -> None:
    log = Log()
    desk = Desk(log)
    async with desk.hearing():
        desk.see(0)
        desk.see(1)
        desk.see(2)
    desk.clock.advance_to(TEN_NS + 5 * NS_PER_MINUTE)  # nobody has noticed that the line is dead
    await desk.recorder.keep()
    assert log.watches == [(TEN_NS, TEN_NS + 2 * NS_PER_MINUTE)]
    async with desk.hearing():
        desk.quotes.put.put_nowait(None)
        desk.see(5)
    await desk.recorder.keep()
    newest = {(one.start_ns - TEN_NS) // NS_PER_MINUTE: one.is_whole for one in log.minutes}
    assert newest == {0: True, 1: True, 2: False, 5: True}


async def test_series_are_asked_for_once_and_unknown_ones_are_counted() -> None:
    desk = Desk(Log())
    task = asyncio.create_task(desk.recorder.run())
    desk.recorder.follow([KEY, "?"])
    desk.recorder.follow([KEY])
    desk.see(0)
    async with asyncio.timeout(5):
        while desk.count("unknown_series") != 1 or desk.quotes.put.qsize():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
    desk.recorder.follow([KEY, "NSE_EQ:INFY"])
    async with asyncio.timeout(5):
        while len(desk.quotes.wanted) < 3:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert desk.quotes.wanted == ["?", KEY, "NSE_EQ:INFY"]


async def test_a_feed_that_fails_is_read_anew_and_its_words_hold_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(price_recorder, "ANEW_S", 0.0)
    desk = Desk(Log())
    desk.quotes.fault = DataFault("too many")
    task = asyncio.create_task(desk.recorder.run())
    desk.recorder.follow([KEY])
    desk.quotes.put.put_nowait(RuntimeError("wss://feed?token=canary"))
    desk.see(0)
    async with asyncio.timeout(5):
        while desk.book.bars(KEY) is None:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(desk.told) == [
        "prices cannot be read (RuntimeError); trading goes on",
        "series cannot be watched (too many); trading goes on",
    ]


@pytest.mark.parametrize(("is_open", "is_wanted"), [(True, True), (False, True), (True, False)])
async def test_a_feed_that_is_away_in_market_hours_is_told(*, is_open: bool, is_wanted: bool) -> None:
    desk = Desk(Log())
    desk.quotes.is_connected, desk.quotes.trouble, desk.is_open = False, "HTTP 503", is_open
    if is_wanted:
        desk.recorder.follow([KEY])
    for _ in range(3):
        await desk.recorder._look_at_feed()
        desk.clock.advance_to(desk.clock.now_ns() + 61 * NS_PER_SECOND)
    expected = ["the price feed is away (HTTP 503); trading goes on"] if is_open and is_wanted else []
    assert desk.told == expected
    desk.quotes.is_connected = True
    await desk.recorder._look_at_feed()
    assert ("prices_out_of_trouble" in desk.lines.events) is bool(expected)


async def test_the_end_of_the_process_writes_what_waited(tmp_path: Path) -> None:
    desk = Desk(Recorder(tmp_path, DAY, "paper", "dhan"))
    await desk.recorder.begin()
    async with desk.hearing():
        desk.see(0)
    desk.recorder.close()
    found = read_recording(recording_path(tmp_path, DAY))
    assert [one.close_paise for one in found.minutes] == [100]
    assert found.watches == ((TEN_NS, TEN_NS),)


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), None])
async def test_the_end_of_the_process_waits_for_no_bad_disk(
    monkeypatch: pytest.MonkeyPatch, fault: OSError | None
) -> None:
    monkeypatch.setattr(price_recorder, "END_S", 0.02)
    log = Log(None, fault)
    desk = Desk(log)
    await desk.recorder.begin()
    async with desk.hearing():
        desk.see(0)
    if fault is None:
        log.may_go_on.clear()
    desk.recorder.close()
    assert log.closed == (0 if fault is None else 1)
    log.may_go_on.set()


async def test_the_end_of_the_process_writes_the_rest_although_a_write_was_under_way_when_it_came() -> None:
    log = Log()
    desk = Desk(log)
    await desk.recorder.begin()
    async with desk.hearing():
        desk.see(0)
    log.may_go_on.clear()
    keeping = asyncio.create_task(desk.recorder.keep())
    async with asyncio.timeout(5):
        while desk.recorder._write is None:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    log.may_go_on.set()
    await desk.recorder._write
    async with desk.hearing():
        desk.see(1)
    desk.recorder.close()
    assert [one.start_ns - TEN_NS for one in log.minutes] == [0, NS_PER_MINUTE]
    assert log.closed == 1

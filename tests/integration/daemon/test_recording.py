"""A paper day on a real feed: traded as on stored prices, recorded, and taken up after a death."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from adapters.settings import Settings
from adapters.ticks.recordings import Recorder, read_recording, recording_path, recordings_folder
from propdesk.core.clock import ManualClock
from propdesk.core.errors import ConfigFault
from propdesk.intake.minutes import MinuteSeen, PriceSeen, bars_of
from propdesk.model.messages import SignalReceived
from propdesk.ports import BarArrays
from tests.integration.daemon import starts
from tests.support.daemon_day import DAY
from tests.support.full_disk import no_room
from trading_daemon.bootstrap import Tasks
from trading_daemon.bus import Envelope

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[Any, ...]]
Bars = Mapping[str, BarArrays]
DEATH, LAST = 576, 582
STEPS = (("open_paise", 1), ("high_paise", 20), ("low_paise", 40), ("close_paise", 59))


class Told:
    """The feed of the newest life: it tells what a test lets it tell."""

    newest: ClassVar["Told"]
    is_connected = True
    trouble = ""

    def __init__(
        self, _config: object, listings: Mapping[str, tuple[str, str]], *_: object, **__: object
    ) -> None:
        self.listings = listings
        self.wanted: set[str] = set()
        self.queue: asyncio.Queue[PriceSeen] = asyncio.Queue()
        Told.newest = self

    async def subscribe(self, price_keys: Sequence[str]) -> tuple[str, ...]:
        self.wanted.update(price_keys)
        return ()

    async def prices(self) -> AsyncGenerator[PriceSeen | None]:
        while True:
            yield await self.queue.get()
            self.queue.task_done()

    async def tell(self, bars: Bars, minute: int) -> None:
        """Tell four trades of each series in the minute that begins then, and wait until they were heard."""
        for key in sorted(self.wanted & bars.keys()):
            bar = starts.bar_at(dict(bars), key, starts.at(minute + 1))
            for name, second in STEPS:
                moment = starts.at(minute, second)
                self.queue.put_nowait(PriceSeen(key, moment, moment, getattr(bar, name), bid_paise=5))
        await asyncio.wait_for(self.queue.join(), 10)


@pytest.fixture
def make_watcher(
    make_account: Callable[[], Settings], bars: Bars, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Settings]:
    """Accounts on a real feed, with stored prices up to the moment at which the signals come."""
    monkeypatch.setattr("trading_daemon.price_watch.DhanQuotes", Told)
    monkeypatch.setattr("trading_daemon.tasks.price_recorder.KEEP_S", 3_600.0)

    def make() -> Settings:
        account = make_account()
        known = {key: starts.until(one, starts.at(starts.FIRST)) for key, one in bars.items()}
        return starts.stalled(account, known).model_copy(
            update={"price_feed": "dhan", "dhan_client_id": "1", "dhan_data_token": "token"}
        )

    return make


def watched(
    settings: Settings, bars: Bars, first: int, last: int, *signals: SignalReceived
) -> Collection[str]:
    """Live from a minute on as `live` does; die when the one after ``last`` is seen and nobody was told."""

    async def life() -> Collection[str]:
        clock = ManualClock(starts.at(first, 3))
        async with starts.alive(settings, clock) as tasks:
            for signal in signals:
                await tasks.bus.events.put(Envelope((signal,)))
            await starts.settle(tasks)
            for minute in range(first, last + 1):
                await see(tasks, bars, minute)
                if minute < last:
                    clock.advance_to(starts.at(minute + 1, 3))
                    await starts.settle(tasks, starts.at(minute + 1))
            return Told.newest.wanted

    return asyncio.run(life())


async def see(tasks: Tasks, bars: Bars, minute: int) -> None:
    """Let a minute be seen and written down."""
    assert tasks.recorder is not None
    async with asyncio.timeout(10):
        while not Told.newest.wanted:  # noqa: ASYNC110 - the recorder asks in a task of its own
            await asyncio.sleep(0.001)
    await Told.newest.tell(bars, minute)
    await tasks.recorder.keep()


def folder_of(settings: Settings) -> Path:
    return recordings_folder(settings.home, settings.account_id)


def test_a_watched_day_that_dies_trades_as_on_stored_prices_and_is_recorded(
    make_account: Callable[[], Settings],
    make_watcher: Callable[[], Settings],
    bars: Bars,
    connection: Connection,
) -> None:
    stored, watching = make_account(), make_watcher()
    starts.live(stored, starts.FIRST, LAST, *starts.ideas(dict(bars)))
    watched(watching, bars, starts.FIRST, DEATH, *starts.ideas(dict(bars)))
    keys = watched(watching, bars, DEATH + 1, LAST)
    expected = starts.trades(connection, stored)
    assert any(trade[4] for trade in expected), "a stop or a target must have filled meanwhile"
    assert starts.trades(connection, watching) == expected
    assert Told.newest.listings["NSE_EQ:TSTA"] == ("NSE_EQ", "1000")
    assert not folder_of(stored).exists(), "stored prices are not recorded"
    found = read_recording(recording_path(folder_of(watching), DAY))
    assert {one.price_key for one in found.minutes} == {key for key in keys if key in bars}
    for key in sorted(keys & bars.keys()):
        recorded = bars_of([one for one in found.minutes if one.price_key == key])
        whole = bars[key]
        place = slice(*whole.start_ns.searchsorted([starts.at(starts.FIRST), starts.at(LAST + 1)]))
        for name in ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise"):
            assert getattr(recorded, name).tolist() == getattr(whole, name)[place].tolist()


def test_a_full_disk_leaves_the_daemon_trading_and_people_are_told_once(
    make_watcher: Callable[[], Settings], bars: Bars, connection: Connection
) -> None:
    watching = make_watcher()
    recorder = Recorder(folder_of(watching), DAY, watching.account_id, "dhan")
    recorder.open()
    start_ns = starts.at(starts.CLOSE - 1)
    recorder.append([MinuteSeen("NSE_EQ:TSTF", start_ns, start_ns, 5, 5, 5, 5)] * 20_000, None)
    recorder.close()
    size = recording_path(folder_of(watching), DAY).stat().st_size
    with no_room(size):  # more than anything else of this process takes
        watched(watching, bars, starts.FIRST, starts.FIRST + 3, *starts.ideas(dict(bars)))
    assert len(starts.trades(connection, watching)) == 2
    assert recording_path(folder_of(watching), DAY).stat().st_size == size
    told = connection.execute(
        "SELECT severity, message FROM trading.trade_events WHERE account_id = %s AND kind = 'FEED_TROUBLE'",
        (watching.account_id,),
    ).fetchall()
    assert told == [("warning", "prices are not recorded (File too large); trading goes on")]


def test_a_feed_without_a_token_is_a_clear_refusal(make_watcher: Callable[[], Settings]) -> None:
    watching = make_watcher().model_copy(update={"dhan_data_token": None})

    async def start() -> None:
        async with starts.started(watching, ManualClock(starts.at(starts.FIRST, 3))):
            pass

    with pytest.raises(ConfigFault, match="PROPDESK_DHAN_DATA_TOKEN"):
        asyncio.run(start())

"""Where a day's prices come from: what is watched, what was, and what is never recorded."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from adapters.calendar import load_calendar
from adapters.settings import Settings
from adapters.ticks.recordings import Recorder, recording_path, recordings_folder
from adapters.ticks.store import ParquetPriceStore, bars_table
from propdesk.core.calendar import Segment, ist_text
from propdesk.core.clock import NS_PER_MINUTE, ManualClock
from propdesk.core.errors import GapFault
from propdesk.engine.recover import Recovered
from propdesk.intake.minutes import MinuteSeen, bars_of
from tests.unit.trading_daemon.tasks.test_price_recorder import Lines
from tests.unit.trading_daemon.test_past_day import open_day
from trading_daemon.bootstrap import Bootstrap
from trading_daemon.day import Day
from trading_daemon.metrics import Meter
from trading_daemon.price_watch import earlier_bars, parts_of
from trading_daemon.startup import StartMode

DAY = date(2025, 7, 1)
KEY = "NSE_EQ:TCS"
CALENDAR = load_calendar()
OPEN_NS = CALENDAR.hours(DAY, Segment.CASH).open_ns
SANDBOX = "ws://127.0.0.1:1/feed"


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No database: no share is known to have derivatives."""
    monkeypatch.setattr("trading_daemon.price_watch.read_listed", lambda *_: {})


def minute(place: int, price: int) -> MinuteSeen:
    return MinuteSeen(KEY, OPEN_NS + place * NS_PER_MINUTE, OPEN_NS, price, price, price, price)


def settings_of(home: Path, **changes: object) -> Settings:
    given = {"home": home, "price_store_url": str(home / "prices"), "price_feed": "dhan", **changes}
    return Settings(_env_file=None, **given)  # type: ignore[arg-type]


@pytest.fixture
def day() -> Day:
    return cast(Day, SimpleNamespace(context=SimpleNamespace(trade_date=DAY, calendar=CALENDAR)))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Recorded are minutes 0 and 1 and one before the open; of minute 1 the store has another bar."""
    recorder = Recorder(recordings_folder(tmp_path, "paper"), DAY, "paper", "dhan")
    recorder.open()
    recorder.append([minute(-12, 7), minute(0, 100), minute(1, 110)], (OPEN_NS, OPEN_NS + 60 * NS_PER_MINUTE))
    recorder.close()
    store = ParquetPriceStore(str(tmp_path / "prices"), CALENDAR)
    store.write_minutes(DAY, bars_table([(KEY, bars_of([minute(1, 500)]))]))
    return tmp_path


def bootstrap_of(settings: Settings) -> Bootstrap:
    return Bootstrap(settings, ManualClock(OPEN_NS), Meter(CollectorRegistry()), None)


@pytest.mark.parametrize(
    ("mode", "closes"), [(StartMode.PAST, [100, 500]), (StartMode.REPLAY, [500]), (StartMode.LIVE, [500])]
)
async def test_a_day_that_is_ended_is_met_with_what_was_seen_and_a_replay_only_with_the_store(
    home: Path, day: Day, mode: StartMode, closes: list[int]
) -> None:
    bootstrap = bootstrap_of(settings_of(home))
    clock = ManualClock(OPEN_NS)
    feed = bootstrap._feed(day, None, clock, 0, mode, None)
    assert feed.latest(KEY, OPEN_NS) is None, "before the open nothing was traded"
    moments = [OPEN_NS + n * NS_PER_MINUTE for n in (1, 2)]
    found = [feed.latest(KEY, moment) for moment in moments]
    assert [bar.close_paise for bar in found if bar is not None] == closes


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_recording_that_ends_early_does_not_close_a_day(
    tmp_path: Path, day: Day, *, is_stored: bool
) -> None:
    minutes = [replace(minute(place, 100), price_key="NSE_EQ:ALPHA") for place in range(340)]
    recorder = Recorder(recordings_folder(tmp_path, "paper"), DAY, "paper", "dhan")
    recorder.open()
    recorder.append(minutes, (OPEN_NS, OPEN_NS + 340 * NS_PER_MINUTE))
    recorder.close()
    settings = settings_of(tmp_path)
    if is_stored:
        store = ParquetPriceStore(str(tmp_path / "prices"), CALENDAR)
        store.write_minutes(DAY, bars_table([("NSE_EQ:ALPHA", bars_of(minutes))]))
    recovered = cast(Recovered, SimpleNamespace(state=open_day().state, minute_ns=OPEN_NS))
    prices = bootstrap_of(settings)._prices(day, None, ManualClock(OPEN_NS), recovered, StartMode.PAST)
    if is_stored:
        assert (await prices)[1] is None
    else:
        with pytest.raises(GapFault, match="NSE_EQ:ALPHA"):
            await prices


@pytest.mark.parametrize("mode", [StartMode.PAST, StartMode.REPLAY])
async def test_stored_prices_of_a_past_day_are_not_recorded(home: Path, day: Day, mode: StartMode) -> None:
    assert await bootstrap_of(settings_of(home))._recorder(day, mode) is None


async def test_the_running_day_of_the_store_is_not_recorded(home: Path, day: Day) -> None:
    bootstrap = bootstrap_of(settings_of(home, price_feed="store"))
    assert await bootstrap._recorder(day, StartMode.LIVE) is None


@pytest.mark.parametrize(
    "changes", [{"price_feed": "store"}, {"account_id": "other"}, {"dhan_feed_url": SANDBOX}]
)
def test_another_feeds_recording_is_left_alone(home: Path, day: Day, changes: dict[str, object]) -> None:
    lines = Lines()
    assert earlier_bars(settings_of(home), day, lines)(KEY) is not None
    assert earlier_bars(settings_of(home, **changes), day, lines)(KEY) is None
    assert lines.events == []


def test_a_recording_that_cannot_be_read_is_logged_and_nothing(home: Path, day: Day) -> None:
    recording_path(recordings_folder(home, "paper"), DAY).write_text("{}\n")
    lines = Lines()
    assert earlier_bars(settings_of(home), day, lines)(KEY) is None
    assert lines.events == ["recording_not_read"]


def test_a_share_with_derivatives_ends_with_its_own_session_not_in_the_auction() -> None:
    later = date(2026, 8, 4)
    context = SimpleNamespace(trade_date=later, calendar=CALENDAR)
    listed = {key: SimpleNamespace(has_derivatives=key == KEY) for key in (KEY, "NSE_EQ:OTHER")}
    parts = parts_of(cast(Day, SimpleNamespace(context=context)), listed)  # type: ignore[arg-type]
    ends = {
        key: [ist_text(end)[11:16] for _, end in parts(key)]
        for key in (KEY, "NSE_EQ:OTHER", "INDEX:NIFTY", "INDEX_FUT:NIFTY:2026-08-27")
    }
    assert list(ends.values()) == [["15:15"], ["15:30"], ["15:30"], ["15:40"]]

"""The morning's import of recordings: past days only, each once, and what cannot be taken is said."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
from dagster import ExecuteInProcessResult

from adapters.calendar import load_calendar
from adapters.settings import Settings
from adapters.ticks.recordings import Recorder, recordings_folder
from adapters.ticks.store import bars_table
from assets._shared.resources import Market
from orchestration.jobs import recordings
from propdesk.core.calendar import Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_HOUR, ManualClock
from propdesk.intake.minutes import MinuteSeen
from propdesk.ports import BarArrays

DAY = date(2025, 7, 1)
TODAY = DAY + timedelta(days=1)
MORNING = ManualClock(ist_midnight_ns(TODAY) + 8 * NS_PER_HOUR)


def record(home: Path, account: str, day: date, origin: str = "dhan") -> None:
    """Record a share that was watched for its whole session and traded in its first minute."""
    hours = load_calendar().hours(day, Segment.CASH)
    minute = MinuteSeen("NSE_EQ:TCS", hours.open_ns, hours.open_ns - 1, 5, 5, 5, 5, 10, 4, 6)
    recorder = Recorder(recordings_folder(home, account), day, account, origin)
    recorder.open()
    recorder.append([minute], (hours.open_ns - 1, hours.close_ns))
    recorder.close()


def settings_of(home: Path) -> Settings:
    return Settings(_env_file=None, home=home, price_store_url=str(home / "prices"))


def run(market: Market, settings: Settings) -> ExecuteInProcessResult:
    return recordings.execute_in_process(
        resources={"market": market, "settings": settings}, raise_on_error=False
    )


def test_past_days_are_taken_once_and_a_bad_recording_fails_the_run_after_the_others(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    market = Market(settings, MORNING)
    record(tmp_path, "one", DAY)
    record(tmp_path, "one", TODAY)
    record(tmp_path, "two", DAY, "sandbox")
    assert run(market, settings).success
    assert market.prices.days("recorded") == [DAY]
    (told,) = market.prices.imports()
    assert told["file"] == str(recordings_folder(tmp_path, "one") / f"{DAY}.recording")
    (recordings_folder(tmp_path, "one") / "2025-06-30.recording").write_text("{}\n")
    record(tmp_path, "three", DAY)
    assert not run(market, settings).success
    assert len(market.prices.imports()) == 2


def test_a_day_on_which_nothing_was_heard_fails_no_morning(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    market = Market(settings, MORNING)
    recorder = Recorder(recordings_folder(tmp_path, "one"), DAY, "one", "dhan")
    recorder.open()
    recorder.close()
    assert run(market, settings).success
    assert [one["rows"] for one in market.prices.imports()] == [0]


def test_a_recording_does_not_make_the_market_known_up_to_its_day(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    market = Market(settings, MORNING)
    before = DAY - timedelta(days=1)
    midnight_ns = np.array([ist_midnight_ns(before)])
    bar = BarArrays(midnight_ns, *(np.array([5]) for _ in range(5)), interval_ns=NS_PER_DAY)
    market.prices.write_daily(before, bars_table([("NSE_EQ:INFY", bar)]))
    record(tmp_path, "one", DAY)
    assert run(market, settings).success
    assert market.prices.days("quote") == market.prices.days("recorded") == [DAY]
    assert market.known_until_ns() == ist_midnight_ns(DAY)

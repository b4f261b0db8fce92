"""The morning's import of recordings: past days only, each once, and what cannot be taken is said."""

from datetime import date, timedelta
from pathlib import Path

from dagster import ExecuteInProcessResult

from adapters.settings import Settings
from adapters.ticks.recordings import Recorder, recordings_folder
from assets._shared.resources import Market
from orchestration.jobs import recordings
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_HOUR, ManualClock
from propdesk.intake.minutes import MinuteSeen

DAY = date(2025, 7, 1)
TODAY = DAY + timedelta(days=1)
MORNING = ManualClock(ist_midnight_ns(TODAY) + 8 * NS_PER_HOUR)


def record(home: Path, account: str, day: date, origin: str = "dhan", bid: int = -1) -> None:
    start_ns = ist_midnight_ns(day) + 10 * NS_PER_HOUR
    price = 0 if bid > 0 else 5
    minute = MinuteSeen("NSE_EQ:TCS", start_ns, start_ns, price, price, price, price, -1, bid, -1)
    recorder = Recorder(recordings_folder(home, account), day, account, origin)
    recorder.open()
    recorder.append([minute], start_ns + NS_PER_HOUR)
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
    assert market.prices.days("minute") == [DAY]
    (told,) = market.prices.imports()
    assert told["file"] == str(recordings_folder(tmp_path, "one") / f"{DAY}.recording")
    (recordings_folder(tmp_path, "one") / "2025-06-30.recording").write_text("{}\n")
    record(tmp_path, "three", DAY)
    assert not run(market, settings).success
    assert len(market.prices.imports()) == 2


def test_a_day_of_which_only_bids_and_asks_are_known_makes_no_prices_known(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    market = Market(settings, MORNING)
    record(tmp_path, "one", DAY - timedelta(days=1))
    record(tmp_path, "one", DAY, bid=4)
    assert run(market, settings).success
    assert market.prices.days("quote") == [DAY]
    assert market.known_until_ns() == ist_midnight_ns(DAY - timedelta(days=1)) + NS_PER_DAY

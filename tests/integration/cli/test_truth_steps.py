"""A file led through the steps in this process lands as it does in the database."""

from datetime import date
from pathlib import Path

import pytest

from adapters.calendar import load_calendar
from adapters.db.engine import create_engine
from adapters.db.frames.signals import read_landed
from adapters.instruments import read_instrument_file
from adapters.ticks.store import ParquetPriceStore
from cli.truth_steps import World, land, run_steps
from propdesk.core.calendar import ist_midnight_ns
from propdesk.pipeline.raw import RAW_COLUMNS, current_revisions
from tests.support.desk_settings import desk_settings
from tests.support.sample import take_sample

pytestmark = pytest.mark.integration

FIRST, LAST, REPLAYED = date(2025, 1, 1), date(2025, 1, 6), date(2025, 1, 7)
OF_THE_UPLOAD = {"upload_id"}


def test_landed_rows_are_those_of_the_database(pg_role_urls: dict[str, str], tmp_path: Path) -> None:
    settings = desk_settings(tmp_path, pg_role_urls)
    files = take_sample(settings, tmp_path / "sample", (FIRST, LAST, REPLAYED), per_day=60)
    engine = create_engine(settings.database_url("pipeline"), "propdesk-test")
    with engine.begin() as connection:
        stored = current_revisions(read_landed(connection, date(2024, 12, 1), date(2025, 12, 31)))
    engine.dispose()

    calendar = load_calendar()
    listed = read_instrument_file(files.instruments, FIRST).instruments
    world = World(files.signals, listed, ParquetPriceStore(files.store_url, calendar))
    landed = current_revisions(land(world, calendar, settings, now_ns=ist_midnight_ns(date(2025, 6, 2))))
    assert len(landed) == len(stored) > 200
    assert landed["revision"].max() > 1  # the sample has revised messages
    for name in set(RAW_COLUMNS) - OF_THE_UPLOAD:
        assert landed[name].tolist() == stored[name].tolist(), name

    led = run_steps(world, calendar, settings)
    counted = led.trades[led.trades["is_counted"]]
    assert len(counted) > 150
    assert set(counted["trade_id"][counted["exit_date"].notna()]) <= set(led.excursions["trade_id"])
    assert counted["regime"].isna().sum() < len(counted)  # a lead-in of daily bars comes with the sample

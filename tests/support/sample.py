"""A small generated market, taken in."""

from datetime import date
from pathlib import Path

import pytest

from adapters.calendar import load_calendar
from adapters.clock import SystemClock
from adapters.db.engine import create_engine
from adapters.db.repos.instruments import load_instruments
from adapters.instruments import read_instrument_file
from adapters.settings import Settings
from adapters.uploads import ingest_file
from cli.market import SampleFiles, generate_sample
from propdesk.sim import advisors

Days = tuple[date, date, date]
"""First and last day of the signals, and the day whose signals go to a file of their own."""


def take_sample(settings: Settings, folder: Path, days: Days, per_day: int) -> SampleFiles:
    """Generate a small sample and take it in."""
    files = make_sample(settings, folder, days, per_day)
    take_in(settings, files.instruments, files.signals, days[0])
    return files


def make_sample(settings: Settings, folder: Path, days: Days, per_day: int) -> SampleFiles:
    """Generate a small sample: its files, and its prices in the store of the settings."""
    with pytest.MonkeyPatch.context() as patch:
        # These tests do not look at the advisors' true skill, whose measuring is most of the work.
        patch.setattr(advisors, "_ODDS_DRAWS", 100)
        patch.setattr(advisors, "_TRUTH_DRAWS", 100)
        return generate_sample(folder, settings.price_store_url, *days, seed=7, per_day=per_day)


def take_in(settings: Settings, instruments: Path, signals: Path, first: date) -> None:
    """Load an instrument master as of ``first`` and ingest a file of signals."""
    engine = create_engine(settings.database_url("pipeline"), "propdesk-test")
    load_instruments(engine, read_instrument_file(instruments, first).instruments, "sample")
    ingest_file(engine, signals, "sample", load_calendar(), SystemClock(), settings)
    engine.dispose()

from datetime import date, timedelta

from dagster import AssetKey

from adapters.calendar import load_calendar
from adapters.config_gates import load_gates
from adapters.db.frames.rules import evidence_start, group_config
from adapters.settings import load_settings
from assets._shared.windows import WINDOW, window_market_days, window_of


def test_the_window_covers_every_run_of_calendar_days() -> None:
    calendar = load_calendar()
    longest = max(
        len(calendar.market_days(day - timedelta(days=89), day))
        for day in calendar.market_days(date(2019, 1, 1), date(2026, 6, 30))
    )
    assert window_market_days(90, 1, 0) >= longest - 1, "the as-of day itself is offset 0"


def test_the_longer_of_both_windows_counts_and_entries_may_wait() -> None:
    assert window_market_days(7, 250, 15) == 265
    assert window_market_days(400, 10, 0) > 285


def test_the_window_reaches_the_signal_of_the_oldest_entry_that_is_read() -> None:
    settings, calendar = load_settings(), load_calendar()
    as_of = calendar.market_days(date(2025, 6, 2), date(2025, 6, 10))[0]
    oldest_entry = evidence_start(calendar, as_of, group_config(settings, load_gates()))
    oldest_signal = calendar.shift(oldest_entry, -settings.validity_positional_days)
    assert calendar.shift(as_of, WINDOW.start_offset) <= oldest_signal


def test_dependencies_carry_the_window() -> None:
    (dep,) = window_of("trades")
    assert dep.asset_key == AssetKey("trades")
    assert dep.partition_mapping == WINDOW
    assert WINDOW.end_offset == 0

from dagster import AssetKey

from assets._shared.windows import WINDOW, window_market_days, window_of


def test_the_window_covers_every_run_of_calendar_days() -> None:
    from datetime import date, timedelta

    from adapters.calendar import load_calendar

    calendar = load_calendar()
    longest = max(
        len(calendar.market_days(day - timedelta(days=89), day))
        for day in calendar.market_days(date(2019, 1, 1), date(2026, 6, 30))
    )
    assert window_market_days(90, 1) >= longest - 1, "the as-of day itself is offset 0"


def test_the_longer_of_both_windows_counts() -> None:
    assert window_market_days(7, 250) == 250
    assert window_market_days(400, 10) > 285


def test_dependencies_carry_the_window() -> None:
    (dep,) = window_of("trades")
    assert dep.asset_key == AssetKey("trades")
    assert dep.partition_mapping == WINDOW
    assert WINDOW.start_offset <= -250
    assert WINDOW.end_offset == 0

"""The built calendar against dated facts of the exchange."""

from datetime import date
from pathlib import Path

import pytest

from adapters.calendar import load_calendar
from propdesk.core.calendar import Segment, ist_text
from propdesk.core.errors import ConfigFault


@pytest.mark.parametrize(
    "day",
    [date(2024, 1, 20), date(2024, 3, 2), date(2024, 5, 18), date(2024, 11, 1), date(2025, 2, 1),
     date(2025, 10, 21), date(2026, 2, 1)],
)  # fmt: skip
def test_special_sessions_are_market_days(day: date) -> None:
    assert load_calendar().is_market_day(day)


@pytest.mark.parametrize("day", [date(2025, 8, 27), date(2026, 1, 15), date(2026, 1, 26), date(2025, 2, 8)])
def test_holidays_and_weekends_are_not(day: date) -> None:
    assert not load_calendar().is_market_day(day)


def test_derivatives_close_later_since_august_2026() -> None:
    calendar = load_calendar()
    before = calendar.hours(date(2026, 7, 31), Segment.DERIVATIVES)
    after = calendar.hours(date(2026, 8, 3), Segment.DERIVATIVES)
    assert ist_text(before.close_ns).endswith("15:30:00 IST")
    assert ist_text(after.close_ns).endswith("15:40:00 IST")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "calendar.yaml"
    broken.write_text("hours: 3", encoding="utf-8")
    with pytest.raises(ConfigFault, match=r"calendar\.yaml"):
        load_calendar(broken)

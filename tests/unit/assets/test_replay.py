from datetime import date

import pandas as pd

from assets.replay import CURVES_SHOWN, best_curves

DAY = date(2025, 6, 30)


def curves(rows: list[tuple[date, str, list[int]]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["as_of_date", "rule_text", "daily_marked_paise"])


def test_the_curves_that_end_highest_are_shown_in_crores() -> None:
    rows = [(DAY, f"R{n}", [1_000_000_000, n * 1_000_000_000]) for n in range(1, 9)]
    found = best_curves(curves([*rows, (date(2025, 6, 27), "OLD", [9_000_000_000])]), DAY)
    assert list(found) == ["R8", "R7", "R6", "R5", "R4"]
    assert len(found) == CURVES_SHOWN
    assert found["R8"] == [1.0, 8.0]


def test_a_day_without_curves_shows_none() -> None:
    assert best_curves(curves([]), DAY) == {}
    assert best_curves(curves([(DAY, "R", [])]), DAY) == {}

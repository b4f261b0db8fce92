from datetime import date

import numpy as np
import pytest

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.ports import BarArrays
from propdesk.risk.liquidity import average_traded_value, cap_by_traded_value
from tests.support.market import at

DAY = date(2025, 1, 8)
OPEN, CLOSE = at(DAY, "09:15"), at(DAY, "15:30")


def minutes(*rows: tuple[str, int, int]) -> BarArrays:
    start = np.array([at(DAY, clock) for clock, _, _ in rows], np.int64)
    close = np.array([price for _, price, _ in rows], np.int64)
    volume = np.array([units for _, _, units in rows], np.int64)
    return BarArrays(start, close, close, close, close, volume, NS_PER_MINUTE)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("09:15", 10_000, 750)], 10_000 * 750 // 75),
        ([("09:15", 10_000, 750), ("15:29", 20_000, 750)], 30_000 * 750 // 75),
        ([("09:14", 10_000, 900), ("10:00", 10_000, 75), ("15:30", 10_000, 900)], 10_000),
        ([("10:00", 10_000, -1), ("10:01", 10_000, 75)], 10_000),
        ([("10:00", 10_000, 0)], 0),
        ([("10:00", 10_000, -1)], None),
        ([("09:00", 10_000, 75)], None),
        ([], None),
    ],
)
def test_the_average_is_over_the_whole_session_and_unknown_is_not_nothing(
    rows: list[tuple[str, int, int]], expected: int | None
) -> None:
    assert average_traded_value(minutes(*rows), OPEN, CLOSE) == expected


def test_without_bars_nothing_is_known() -> None:
    assert average_traded_value(None, OPEN, CLOSE) is None


@pytest.mark.parametrize(
    ("traded", "expected"), [(None, 7), (0, 0), (19_999, 0), (20_000, 1), (59_999, 2), (10**9, 7)]
)
def test_the_cap_floors_and_unknown_caps_nothing(traded: int | None, expected: int) -> None:
    assert cap_by_traded_value(7, 1_000, traded, 0.05) == expected

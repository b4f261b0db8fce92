from datetime import date

import numpy as np
import pandas as pd
import pytest

from propdesk.core.clock import NS_PER_SECOND
from propdesk.pipeline.excursions import COLUMNS, compute_excursions
from tests.support.market import MemoryPrices, at, bars, small_calendar

DAY = date(2025, 1, 8)
KEY = "NSE_EQ:ACME"
MINUTES = [
    ("09:16", 10_050, 10_060, 9_990, 10_020),
    ("09:17", 10_020, 10_100, 9_950, 10_000),
    ("09:18", 10_000, 10_010, 9_790, 9_800),
    ("09:19", 9_800, 9_900, 9_750, 9_890),
    ("09:48", 9_890, 10_010, 9_880, 10_000),
    ("09:49", 10_000, 12_000, 5_000, 10_000),
]


def stamp(clock: str) -> pd.Timestamp:
    return pd.Timestamp(at(DAY, clock), unit="ns", tz="UTC")


def trade_frame(**changes: object) -> pd.DataFrame:
    row = {
        "trade_date": DAY,
        "trade_id": "t",
        "category": "NSE_EQ",
        "price_key": KEY,
        "underlying_key": KEY,
        "received_at": stamp("09:10"),
        "side": "BUY",
        "entry_at": stamp("09:16"),
        "entry_paise": 10_000,
        "exit_at": stamp("09:18"),
        "exit_paise": 9_800,
        "exit_reason": "STOPLOSS",
        "exit_target": None,
        "stoploss_paise": 9_800,
        "targets_paise": [10_400],
    }
    return pd.DataFrame([{**row, **changes}])


class TickingPrices(MemoryPrices):
    """The same minutes, with ticks of some."""

    def __init__(self, ticks: list[tuple[int, int]]) -> None:
        super().__init__({KEY: bars(DAY, MINUTES)})
        self._ticks = ticks

    def ticks(
        self, price_keys: list[str], first: date, last: date
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        ts = np.array([at(DAY, "09:15") + s * NS_PER_SECOND for s, _ in self._ticks], np.int64)
        return {KEY: (ts, np.array([p for _, p in self._ticks], np.int64))}


def measured(trades: pd.DataFrame, known: str = "16:00", prices: MemoryPrices | None = None) -> pd.DataFrame:
    source = prices or MemoryPrices({KEY: bars(DAY, MINUTES)})
    return compute_excursions(trades, source, small_calendar(), at(DAY, known))


def test_stopped_trade_on_bars() -> None:
    found = measured(trade_frame()).iloc[0]
    assert found.mae_r == 1.0
    assert found.mfe_r == pytest.approx(0.5)
    assert found.post_sl_extension == pytest.approx(0.005)
    assert found.post_sl_recovery == pytest.approx(0.021)
    assert found.crossed_entry_after_stop
    assert found.bar_resolution
    assert found.is_complete
    assert np.isnan(found.post_target_extension)


def test_window_that_has_not_passed_is_not_complete_and_not_read() -> None:
    found = measured(trade_frame(), known="09:20").iloc[0]
    assert not found.is_complete
    assert found.post_sl_recovery == pytest.approx(0.01)
    assert not found.crossed_entry_after_stop


def test_open_trades_are_left_out() -> None:
    empty = measured(trade_frame(exit_at=pd.NaT))
    assert empty.empty
    assert list(empty.columns) == list(COLUMNS)


def test_target_moved_by_a_followup_counts_where_it_filled() -> None:
    changes = {"exit_reason": "TARGET", "exit_target": 1, "exit_paise": 10_050}
    found = measured(trade_frame(**changes)).iloc[0]
    assert found.post_target_extension == pytest.approx((10_010 - 10_050) / 10_000)


def test_ticks_sharpen_what_they_cover() -> None:
    # entry 09:16:20 at 100.00 from above, exit 09:18:30 at 98.00; the rest is not the trade's
    ticks = [
        (60, 10_050),
        (80, 10_000),
        (100, 10_020),
        (130, 10_030),
        (200, 9_900),
        (210, 9_800),
        (215, 9_700),
    ]
    found = measured(trade_frame(), prices=TickingPrices(ticks)).iloc[0]
    assert not found.bar_resolution
    assert found.mae_r == 1.0
    assert found.mfe_r == pytest.approx(0.15)
    assert found.post_sl_extension == pytest.approx(0.01)


def test_ticks_that_miss_a_fill_leave_it_to_the_bars() -> None:
    found = measured(trade_frame(), prices=TickingPrices([(60, 10_050), (80, 10_000)])).iloc[0]
    assert found.bar_resolution
    assert found.mfe_r == pytest.approx(0.5)

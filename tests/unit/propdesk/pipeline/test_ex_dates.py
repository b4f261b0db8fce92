"""A share is split five for one: every answer must be what it would have been without the split."""

from datetime import date, timedelta
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from adapters.config_files import load_charges, load_margins, load_slippage
from propdesk.core.clock import NS_PER_DAY
from propdesk.model.corporate_action import NO_ACTIONS, Actions, CorporateAction
from propdesk.pipeline.excursions import compute_excursions
from propdesk.pipeline.regime import compute_regimes
from propdesk.pipeline.trades import TradeConfig, TradeTables, build_trades
from propdesk.ports import BarArrays
from tests.support.market import (
    MemoryPrices,
    at,
    bars,
    followup_frame,
    signal_frame,
    signal_row,
    small_calendar,
    weekdays,
)

KEY = "NSE_EQ:ACME"
DAY, SECOND, EX_DATE, LAST = date(2025, 1, 8), date(2025, 1, 9), date(2025, 1, 10), date(2025, 1, 13)
SPLIT = CorporateAction(KEY, EX_DATE, Fraction(1, 5), "SPLIT", "file", DAY)
ACTIONS = Actions([SPLIT])
PATH = {
    DAY: [("09:15", 10_100, 10_110, 9_990, 10_020), ("15:00", 10_020, 10_050, 9_980, 10_000)],
    SECOND: [("09:15", 10_010, 10_060, 9_990, 10_050)],
    EX_DATE: [("09:15", 10_050, 10_150, 10_000, 10_100), ("09:16", 10_100, 10_200, 10_050, 10_150)],
    LAST: [("09:15", 10_200, 10_450, 10_150, 10_400), ("09:16", 10_400, 10_600, 10_300, 10_500)],
}
KNOWN = at(LAST, "16:00")


def market(split_on: date | None, path: dict[date, list[tuple[str, int, int, int, int]]]) -> MemoryPrices:
    """The same path, with prices of a fifth and five times the volume from a day on."""
    rows: list[tuple[int, ...]] = []
    for day, minutes in path.items():
        factor = 5 if split_on is not None and day >= split_on else 1
        rows += [
            (start, *(level // factor for level in levels), volume * factor)
            for start, *levels, volume in bars(day, minutes)
        ]
    return MemoryPrices({KEY: rows})


def verified(
    rows: list[dict[str, object]],
    prices: MemoryPrices,
    actions: Actions,
    followups: list[dict[str, object]] | None = None,
) -> TradeTables:
    config = TradeConfig(load_charges(), load_margins(), load_slippage())
    return build_trades(
        signal_frame(rows), followup_frame(followups or []), prices, small_calendar(), config, KNOWN, actions
    )


SWINGS = [
    signal_row("bought", DAY, "09:10", period="SWING"),
    signal_row("pending", SECOND, "09:10", period="SWING", entry_type="STOP", entry_low_paise=10_150,
               entry_high_paise=10_150, stoploss_paise=9_900, targets_paise=[10_400, 10_600]),
    signal_row("open", DAY, "09:10", period="SWING", targets_paise=[12_000]),
]  # fmt: skip


def test_trades_over_an_ex_date_are_what_they_would_be_without_the_split() -> None:
    plain = verified(SWINGS, market(None, PATH), NO_ACTIONS)
    split = verified(SWINGS, market(EX_DATE, PATH), ACTIONS)
    assert plain.trades.set_index("trade_id")["exit_reason"].to_dict() == {
        "bought": "TARGET",
        "open": "OPEN",
        "pending": "TARGET",
    }
    for name in ("trades", "legs", "marks", "audit"):
        pd.testing.assert_frame_equal(getattr(plain, name), getattr(split, name))


def test_without_the_action_the_split_looks_like_a_crash() -> None:
    crashed = verified(SWINGS[:1], market(EX_DATE, PATH), NO_ACTIONS).trades.iloc[0]
    assert (crashed["exit_reason"], crashed["exit_date"]) == ("STOPLOSS", EX_DATE)


def test_an_idea_received_on_the_ex_date_is_in_the_new_terms_and_sized_by_the_day_before() -> None:
    fresh = signal_row("fresh", EX_DATE, "09:10", period="SWING", entry_type="MARKET", stoploss_paise=1_900,
                       targets_paise=[2_080])  # fmt: skip
    found = verified([fresh], market(EX_DATE, PATH), ACTIONS).trades.iloc[0]
    assert (found["entry_paise"], found["exit_reason"], found["exit_paise"]) == (2_010, "TARGET", 2_080)
    # the day before traded 10.05 * 1000 in its only minute, whatever a share is called since
    value = found["traded_value_paise"]
    assert value == verified([fresh], market(None, PATH), NO_ACTIONS).trades.iloc[0]["traded_value_paise"]


def test_ideas_of_both_terms_and_contracts_on_the_share_stand_side_by_side() -> None:
    future = f"STOCK_FUT:ACME:{date(2025, 1, 30)}"
    rows = [
        SWINGS[0],
        signal_row("fresh", EX_DATE, "09:10", period="SWING", entry_low_paise=2_010, entry_high_paise=2_010,
                   stoploss_paise=1_900, targets_paise=[2_080]),
        signal_row("contract", DAY, "09:10", period="SWING", category="STOCK_FUT", price_key=future,
                   instrument_key=future, expiry=date(2025, 1, 30), lot_size=100),
    ]  # fmt: skip
    prices = market(EX_DATE, PATH)
    prices._minutes[future] = prices._minutes[KEY]
    trades = verified(rows, prices, ACTIONS).trades.set_index("trade_id")
    assert trades["exit_paise"].to_dict() == {"bought": 10_400, "contract": 10_400, "fresh": 2_080}


def test_a_followup_is_in_the_terms_of_its_own_day() -> None:
    def said(day: date, factor: int) -> list[dict[str, object]]:
        moved = {"signal_id": "bought", "received_at": pd.Timestamp(at(day, "09:14"), unit="ns", tz="UTC")}
        return [
            {**moved, "followup_id": "f1", "kind": "UPDATE_STOPLOSS", "stoploss_paise": 9_950 // factor},
            {**moved, "followup_id": "f2", "kind": "UPDATE_TARGET", "targets_paise": [10_150 // factor]},
        ]

    plain = verified(SWINGS[:1], market(None, PATH), NO_ACTIONS, said(EX_DATE, 1))
    split = verified(SWINGS[:1], market(EX_DATE, PATH), ACTIONS, said(EX_DATE, 5))
    assert plain.trades["exit_paise"].tolist() == [10_150]
    pd.testing.assert_frame_equal(plain.trades, split.trades)
    early = verified(SWINGS[:1], market(EX_DATE, PATH), ACTIONS, said(SECOND, 1))
    assert early.trades["exit_paise"].tolist() == [10_150]


def test_excursions_over_an_ex_date_are_what_they_would_be_without_the_split() -> None:
    plain, split = market(None, PATH), market(EX_DATE, PATH)
    trades = verified(SWINGS, plain, NO_ACTIONS).trades
    expected = compute_excursions(trades, plain, small_calendar(), KNOWN)
    assert expected["mfe_r"].notna().any()
    found = compute_excursions(trades, split, small_calendar(), KNOWN, ACTIONS)
    pd.testing.assert_frame_equal(found, expected)


class Ticking(MemoryPrices):
    """One tick a minute at its open, another one at its high half a minute later."""

    def ticks(
        self, price_keys: list[str], first: date, last: date
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        found = {}
        for key, held in self.minute_bars(price_keys, first, last).items():
            half = held.start_ns + 30_000_000_000
            found[key] = (
                np.column_stack([held.start_ns, half]).ravel(),
                np.column_stack([held.open_paise, held.high_paise]).ravel(),
            )
        return found


def test_ticks_are_restated_like_bars() -> None:
    path = {
        **PATH,
        DAY: [("09:15", 9_990, 10_110, 9_900, 10_020)],
        LAST: [("09:15", 10_400, 10_500, 10_300, 10_400)],
    }
    plain, split = (Ticking(market(day, path)._minutes) for day in (None, EX_DATE))
    trades = verified(SWINGS[:1], plain, NO_ACTIONS).trades
    expected = compute_excursions(trades, plain, small_calendar(), KNOWN)
    assert not expected["bar_resolution"].iloc[0]
    pd.testing.assert_frame_equal(
        compute_excursions(trades, split, small_calendar(), KNOWN, ACTIONS), expected
    )


def daily_market(split_at: int | None) -> tuple[list[date], BarArrays]:
    days = weekdays(date(2024, 1, 1), date(2024, 12, 31))
    rng = np.random.default_rng(5)
    close = np.rint(10_000 * np.exp(np.cumsum(rng.normal(0.0, 0.01, len(days))))).astype(np.int64) * 10
    columns = [close, close + 500, close - 500, close]
    if split_at is not None:
        columns = [np.where(np.arange(len(days)) >= split_at, column // 5, column) for column in columns]
    start = np.array([at(day, "00:00") for day in days], np.int64)
    return days, BarArrays(start, *columns, volume=np.full(len(days), -1), interval_ns=NS_PER_DAY)


def test_a_split_changes_no_regime_once_it_is_known() -> None:
    calendar = small_calendar(date(2024, 1, 1), date(2024, 12, 31))
    days, plain = daily_market(None)
    _, split = daily_market(200)
    asked = days[190:230]
    evening = Actions([CorporateAction(KEY, days[200], Fraction(1, 5), "OTHER", "prev_close", days[201])])
    expected = compute_regimes({KEY: plain}, asked, calendar)
    found = compute_regimes({KEY: split}, asked, calendar, None, evening)
    assert len(set(expected.loc[expected["scope"] == "ACME", "label"])) > 1
    for name in ("label", "realised_label"):
        assert found[name].tolist() == expected[name].tolist()
    numbers = ["adx", "slope", "close_to_ema20", "log_return_20", "lean_threshold"]
    pd.testing.assert_frame_equal(found[numbers], expected[numbers], rtol=1e-3)
    unaware = compute_regimes({KEY: split}, asked, calendar)
    assert unaware["label"].tolist() != expected["label"].tolist()


@pytest.mark.parametrize("known_after", [1, 5])
def test_no_label_uses_an_action_before_the_morning_on_which_it_was_known(known_after: int) -> None:
    calendar = small_calendar(date(2024, 1, 1), date(2024, 12, 31))
    days, split = daily_market(200)
    known_on = days[200 + known_after]
    late = Actions([CorporateAction(KEY, days[200], Fraction(1, 5), "OTHER", "file", known_on)])
    asked = days[195:215]
    blind = compute_regimes({KEY: split}, asked, calendar).drop(columns="realised_label")
    told = compute_regimes({KEY: split}, asked, calendar, None, late).drop(columns="realised_label")
    before = told["trade_date"] < known_on
    pd.testing.assert_frame_equal(told[before], blind[before])
    assert not told[~before].equals(blind[~before])


def test_an_action_of_later_days_restates_nothing_before_it() -> None:
    later = Actions([CorporateAction(KEY, LAST + timedelta(days=1), Fraction(1, 7), "SPLIT", "file", DAY)])
    plain = verified(SWINGS, market(None, PATH), NO_ACTIONS)
    pd.testing.assert_frame_equal(verified(SWINGS, market(None, PATH), later).trades, plain.trades)

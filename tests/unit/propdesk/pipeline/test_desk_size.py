"""The desk's size of step 5 and the live size of the same idea are one number (§4.7)."""

from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest

from adapters.config_files import load_charges, load_margins, load_slippage
from propdesk.engine.step import initial_state, step
from propdesk.model.enums import Category, TradingMode
from propdesk.model.messages import BarObserved, DayOpened, Decision, DecisionCode, SignalReceived
from propdesk.pipeline.trades import TradeConfig, build_trades
from propdesk.strategy.sizing import SizingConfig
from tests.support.engine_day import make_context, make_instrument, make_rule, make_ruleset, make_signal
from tests.support.market import (
    MemoryPrices,
    at,
    bars,
    followup_frame,
    signal_frame,
    signal_row,
    small_calendar,
)
from trading_daemon.day_context import MarginCalculator, traded_values

DAY, BEFORE = date(2025, 1, 8), date(2025, 1, 7)
KEY = "NSE_EQ:ACME"
CORPUS = 1_000_000_000
Minutes = list[tuple[int, ...]]


def made(yesterday: Minutes | None) -> MemoryPrices:
    today = bars(DAY, [("09:59", 10_050, 10_060, 10_040, 10_050), ("10:01", 10_050, 10_060, 9_990, 10_020)])
    return MemoryPrices({KEY: [*(yesterday or []), *today]})


def piped(prices: MemoryPrices, stop: int, lot_size: int) -> "pd.Series[Any]":
    row = signal_row("s", DAY, "10:00", stoploss_paise=stop, lot_size=lot_size)
    config = TradeConfig(load_charges(), load_margins(), load_slippage(), corpus_paise=CORPUS)
    built = build_trades(
        signal_frame([row]), followup_frame([]), prices, small_calendar(), config, at(DAY, "16:00")
    )  # type: ignore[arg-type]
    return built.trades.iloc[0]


def lived(prices: MemoryPrices, stop: int, lot_size: int) -> Decision:
    calendar = small_calendar()
    instrument = make_instrument("ACME", has_derivatives=True, lot_size=lot_size)
    context = make_context(
        [instrument],
        rules=make_ruleset([make_rule(post_mean_r=0.20)]),
        trade_date=DAY,
        calendar=calendar,
        margin=MarginCalculator(load_margins(), calendar),
        allocations={Category.NSE_EQ: 0.9},
        sizing=SizingConfig(widening="off"),
        trading_mode=TradingMode.PAPER,
        average_traded_value=traded_values(prices, [instrument], calendar, BEFORE),  # type: ignore[arg-type]
    )
    state = initial_state(context)
    opened = at(DAY, "08:50")
    state = step(state, DayOpened(DAY.isoformat(), "v1", CORPUS, True, opened), opened, context).state
    received = at(DAY, "10:00")
    bar = BarObserved(KEY, at(DAY, "09:59"), 60_000_000_000, 10_050, 10_060, 10_040, 10_050, 1_000)
    state = step(state, bar, received, context).state
    signal = make_signal(
        underlying="ACME",
        received_ns=received,
        posted_ns=received,
        stoploss_paise=stop,
        targets_paise=(10_400,),
    )
    (decision,) = step(state, SignalReceived(replace(signal), 1), received, context).decisions
    return decision


def yesterday(volume: int) -> Minutes:
    return bars(BEFORE, [("09:20", 10_000, 10_000, 10_000, 10_000), ("15:29", 10_000, 0, 0, 10_010)], volume)


@pytest.mark.parametrize(
    ("volume", "known", "lots"),
    [
        (None, None, 12_500),  # no bar of the day before
        (-1, None, 12_500),  # its volume is not told, as of an index
        (0, 0, 0),  # told: nothing was traded
        (200_000, 53_360_000, 266),
        (10**9, 266_800_000_000, 12_500),
    ],
)
def test_what_is_traded_caps_both_alike(volume: int | None, known: int | None, lots: int) -> None:
    prices = made(None if volume is None else yesterday(volume))
    trade, decision = piped(prices, 9_800, 1), lived(prices, 9_800, 1)
    assert (trade.desk_lots, decision.lots) == (lots, lots)
    assert (None if pd.isna(trade.traded_value_paise) else trade.traded_value_paise) == known
    if lots == 0:
        assert decision.code is DecisionCode.ILLIQUID
    else:
        assert ("is not known" in decision.detail) == (known is None)


@pytest.mark.parametrize("stop", [9_995, 9_990, 9_900, 9_700, 9_300, 7_100])
@pytest.mark.parametrize("lot_size", [1, 7, 75, 1_300])
def test_the_two_sizes_are_equal_for_any_stop_and_lot(stop: int, lot_size: int) -> None:
    prices = made(yesterday(5_000_000))
    assert piped(prices, stop, lot_size).desk_lots == lived(prices, stop, lot_size).lots


def test_todays_volume_changes_neither_size() -> None:
    calm, busy = made(yesterday(200_000)), made(yesterday(200_000))
    busy._minutes[KEY] = [(*row[:5], row[5] * 100 if row[0] > at(DAY, "09:00") else row[5])
                          for row in busy._minutes[KEY]]  # fmt: skip
    assert piped(calm, 9_800, 1).desk_lots == piped(busy, 9_800, 1).desk_lots == 266

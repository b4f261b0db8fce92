from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapters.config_files import load_charges, load_margins, load_slippage
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.model.enums import Category, Period, Product, Side
from propdesk.pipeline.columns import split_evenly
from propdesk.pipeline.trade_frames import merge, read_claim
from propdesk.pipeline.trades import TradeConfig, TradeTables, build_trades
from propdesk.risk.charges import ChargedFill, ChargeSegment, trade_charges
from propdesk.strategy.eligibility import TRADE_FOR_TRADE_SERIES, choose_product
from tests.support.market import (
    LAST,
    MemoryPrices,
    at,
    bars,
    followup_frame,
    signal_frame,
    signal_row,
    small_calendar,
)

DAY = date(2025, 1, 8)
KEY = "NSE_EQ:ACME"
EVENING = at(DAY, "16:00")
QUIET = [("09:15", 10_100, 10_110, 10_090, 10_100), ("09:16", 10_100, 10_100, 9_990, 10_020)]


def config() -> TradeConfig:
    return TradeConfig(load_charges(), load_margins(), load_slippage())


def verified(
    rows: list[dict[str, object]],
    minutes: list[tuple[str, int, int, int, int]] | dict[str, list[tuple[int, ...]]],
    *,
    followups: list[dict[str, object]] | None = None,
    known: int = EVENING,
    **source: object,
) -> TradeTables:
    prices = minutes if isinstance(minutes, dict) else {KEY: bars(DAY, minutes)}
    return build_trades(
        signal_frame(rows),
        followup_frame(followups or []),
        MemoryPrices(prices, **source),  # type: ignore[arg-type]
        small_calendar(),
        config(),
        known,
    )


def only(tables: TradeTables) -> pd.Series:
    assert len(tables.trades) == 1
    return tables.trades.iloc[0]


def test_trade_that_reaches_its_target_to_the_paisa() -> None:
    found = verified([signal_row("s", DAY, "09:10")], [*QUIET, ("09:17", 10_020, 10_410, 10_010, 10_400)])
    trade = only(found)
    assert (trade.exit_reason, trade.exit_target, trade.targets_hit) == ("TARGET", 1, 1)
    assert (trade.entry_paise, trade.exit_paise) == (10_000, 10_400)
    assert trade.entry_at == pd.Timestamp("2025-01-08 09:16", tz="Asia/Kolkata")
    assert (trade["product"], trade.lots, trade.margin_paise) == ("INTRADAY", 25_000, 50_000_000)
    assert (trade.notional_paise, trade.leverage) == (250_000_000, 5.0)
    fills = [ChargedFill(DAY, Side.BUY, 250_000_000), ChargedFill(DAY, Side.SELL, 260_000_000)]
    charges = trade_charges(load_charges(), ChargeSegment.INTRADAY, fills).total_paise
    assert trade.gross_pnl_paise == 10_000_000
    assert (trade.slippage_paise, trade.charges_paise) == (0, charges)
    assert trade.net_pnl_paise == 10_000_000 - charges
    assert trade.risk_paise == 200
    assert trade.r_multiple == pytest.approx((10_000_000 - charges) / (200 * 25_000))
    assert trade.return_ratio == pytest.approx((10_000_000 - charges) / 50_000_000)
    assert (trade.is_winning_trade, trade.target_hit, trade.stoploss_hit) == (True, True, False)
    assert trade.is_counted
    # 0.25 % of one crore at risk: 25,000 INR / 2 INR a share
    assert trade.desk_lots == 12_500
    assert found.legs.iloc[0].gross_pnl_paise == 10_000_000
    assert found.marks.empty


def test_stop_in_the_targets_bar_counts_as_the_stop_and_pays_slippage() -> None:
    trade = only(verified([signal_row("s", DAY, "09:10")], [*QUIET, ("09:17", 10_020, 10_410, 9_790, 9_900)]))
    assert (trade.exit_reason, trade.exit_paise, trade.ambiguous_bar) == ("STOPLOSS", 9_800, True)
    assert trade.gross_pnl_paise == -200 * 25_000
    assert trade.slippage_paise > 0
    assert trade.r_multiple < -1
    assert trade.stoploss_hit


def test_several_targets_trail_and_end_with_the_last_leg() -> None:
    row = signal_row("s", DAY, "09:10", targets_paise=[10_200, 10_400])
    found = verified(
        [row],
        [*QUIET, ("09:17", 10_020, 10_250, 10_010, 10_240), ("09:18", 10_240, 10_240, 9_950, 9_960)],
    )
    trade = only(found)
    assert (trade.exit_reason, trade.targets_hit, trade.exit_paise) == ("TRAILED_STOP", 1, 10_000)
    assert (trade.target_hit, trade.stoploss_hit) == (True, False)
    assert pd.isna(trade.exit_target)
    assert found.legs["exit_reason"].tolist() == ["TARGET", "TRAILED_STOP"]
    assert found.legs["gross_pnl_paise"].sum() == trade.gross_pnl_paise == 200 * 12_500


def test_intraday_squares_off_at_the_next_open_or_the_last_close() -> None:
    row = signal_row("s", DAY, "09:10", targets_paise=[])
    trade = only(
        verified(
            [row],
            [*QUIET, ("15:09", 10_050, 10_050, 10_050, 10_050), ("15:12", 10_060, 10_070, 10_060, 10_070)],
        )
    )
    assert (trade.exit_reason, trade.exit_paise) == ("SQUARE_OFF", 10_060)
    trade = only(verified([row], [*QUIET, ("15:09", 10_050, 10_050, 10_040, 10_045)]))
    assert (trade.exit_reason, trade.exit_paise) == ("SQUARE_OFF", 10_045)
    assert trade.exit_at == pd.Timestamp("2025-01-08 15:10", tz="Asia/Kolkata")


def test_latency_and_receipt_decide_which_bars_count() -> None:
    rows = [signal_row("early", DAY, "09:15"), signal_row("late", DAY, "09:16")]
    found = verified(rows, QUIET)
    assert found.trades.set_index("trade_id")["exit_reason"].to_dict() == {
        "early": "SQUARE_OFF",
        "late": "NO_PRICE_DATA",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"side": "SELL", "stoploss_paise": 10_200, "targets_paise": [9_600], "period": "SWING"},
            "UNSHORTABLE",
        ),
        ({"series": "BE"}, "TRADE_FOR_TRADE"),
        ({"lot_size": 1_000_000}, "UNAFFORDABLE"),
        (
            {
                "category": "STOCK_FUT",
                "expiry": date(2025, 1, 10),
                "price_key": KEY,
                "lot_size": 10,
            },
            "EXPIRY_TOO_NEAR",
        ),
    ],
)
def test_what_cannot_be_traded_says_why(changes: dict[str, object], reason: str) -> None:
    trade = only(verified([signal_row("s", DAY, "09:10", **changes)], QUIET))
    assert trade.product_reason == reason
    assert pd.isna(trade.exit_reason)
    assert pd.isna(trade.entry_at)
    assert (trade.quantity, trade.is_counted) == (0, False)


@pytest.mark.parametrize("series", [*sorted(TRADE_FOR_TRADE_SERIES), "EQ", "SM"])
@pytest.mark.parametrize("period", list(Period))
@pytest.mark.parametrize("side", list(Side))
def test_the_pipeline_holds_a_share_as_the_daemon_would(series: str, period: Period, side: Side) -> None:
    levels: dict[str, Any] = (
        {} if side is Side.BUY else {"side": "SELL", "stoploss_paise": 10_200, "targets_paise": [9_600]}
    )
    row = signal_row("s", DAY, "09:10", period=period.value, series=series, **levels)
    trade = only(verified([row], QUIET))
    daemon = choose_product(Category.NSE_EQ, period, side, series, DAY)
    if daemon in Product.__members__:
        assert (trade["product"], trade.product_reason) == (daemon, None)
    else:
        assert trade.product_reason == daemon


def test_swing_may_be_traded_for_trade_and_short_intraday() -> None:
    rows = [
        signal_row("a", DAY, "09:10", period="SWING", series="BE"),
        signal_row("b", DAY, "09:10", side="SELL", stoploss_paise=10_200, targets_paise=[9_600]),
    ]
    assert verified(rows, QUIET).trades["product_reason"].isna().all()


def test_reposts_and_multi_leg_ideas_are_resolved_but_not_counted() -> None:
    rows = [
        signal_row("a", DAY, "09:10", duplicate_of="z"),
        signal_row("b", DAY, "09:10", group_key="pair"),
        signal_row("c", DAY, "09:10", group_key="pair"),
        signal_row("d", DAY, "09:10"),
    ]
    trades = verified(rows, QUIET).trades.set_index("trade_id")
    assert trades["exit_reason"].tolist() == ["SQUARE_OFF"] * 4
    assert trades["is_counted"].tolist() == [False, False, False, True]
    assert trades["product_reason"].fillna("").tolist() == ["", "MULTI_LEG", "MULTI_LEG", ""]


def test_multi_leg_mark_is_the_same_whether_or_not_its_sibling_is_in_the_range() -> None:
    rows = [
        signal_row("a", DAY, "09:10", group_key="pair"),
        signal_row("b", DAY + timedelta(days=1), "09:10", group_key="pair"),
    ]
    whole, alone = (verified(range_, QUIET).trades.iloc[:1] for range_ in (rows, rows[:1]))
    pd.testing.assert_frame_equal(whole, alone)
    assert alone.iloc[0]["product_reason"] == "MULTI_LEG"


def test_open_trade_is_marked_each_day_less_both_sides_charges() -> None:
    prices = {
        KEY: bars(DAY, QUIET) + bars(DAY + timedelta(days=1), [("15:29", 10_090, 10_100, 10_080, 10_100)])
    }
    row = signal_row("s", DAY, "09:10", period="SWING")
    found = verified([row], prices, known=at(DAY + timedelta(days=1), "15:30"))
    trade = only(found)
    assert (trade.exit_reason, trade.is_counted) == ("OPEN", True)
    assert pd.isna(trade.net_pnl_paise)
    assert found.marks["mark_date"].tolist() == [DAY, DAY + timedelta(days=1)]
    assert found.marks["close_paise"].tolist() == [10_020, 10_100]
    quantity = int(trade.quantity)
    fills = [
        ChargedFill(DAY, Side.BUY, 10_000 * quantity),
        ChargedFill(DAY + timedelta(days=1), Side.SELL, 10_100 * quantity),
    ]
    charges = trade_charges(load_charges(), ChargeSegment.DELIVERY, fills).total_paise
    assert found.marks["mark_pnl_paise"].iloc[1] == 100 * quantity - charges


def delivery_charges(*fills: tuple[date, Side, int, int]) -> int:
    """Charges of fills (day, side, price, quantity) of one delivery trade."""
    bill = [ChargedFill(day, side, price * quantity) for day, side, price, quantity in fills]
    return trade_charges(load_charges(), ChargeSegment.DELIVERY, bill).total_paise


def test_marks_between_two_partial_exits_are_worth_what_was_sold_and_what_is_left() -> None:
    first, second, third = DAY, DAY + timedelta(days=1), DAY + timedelta(days=2)
    prices = {
        KEY: bars(
            first,
            [*QUIET, ("12:00", 10_100, 10_100, 10_100, 10_100), ("15:29", 10_150, 10_150, 10_150, 10_150)],
        )
        + bars(second, [("15:29", 10_050, 10_050, 10_050, 10_050)])
        + bars(third, [("12:00", 10_200, 10_200, 10_200, 10_200), ("15:29", 10_250, 10_250, 10_250, 10_250)])
    }
    said = [
        {
            "followup_id": name,
            "signal_id": "s",
            "kind": "PARTIAL_EXIT",
            "fraction": 0.5,
            "received_at": pd.Timestamp(at(day, "11:59"), unit="ns", tz="UTC"),
        }
        for name, day in (("f1", first), ("f2", third))
    ]
    row = signal_row("s", DAY, "09:10", period="SWING")
    found = verified([row], prices, followups=said, known=at(third, "15:30"))
    assert only(found).quantity == 5_000
    bought = (first, Side.BUY, 10_000, 5_000)
    half = (first, Side.SELL, 10_100, 2_500)
    assert found.marks["mark_pnl_paise"].tolist() == [
        100 * 2_500 + 150 * 2_500 - delivery_charges(bought, half, (first, Side.SELL, 10_150, 2_500)),
        100 * 2_500 + 50 * 2_500 - delivery_charges(bought, half, (second, Side.SELL, 10_050, 2_500)),
        100 * 2_500
        + 200 * 1_250
        + 250 * 1_250
        - delivery_charges(
            bought, half, (third, Side.SELL, 10_200, 1_250), (third, Side.SELL, 10_250, 1_250)
        ),
    ]


def test_every_partial_exit_is_an_order_with_its_own_slippage_and_charges() -> None:
    second = DAY + timedelta(days=1)
    prices = {
        KEY: bars(DAY, [*QUIET, ("12:00", 10_100, 10_100, 10_100, 10_100)])
        + bars(second, [("12:00", 10_200, 10_200, 10_200, 10_200), ("12:01", 10_400, 10_400, 10_400, 10_400)])
    }
    said = [
        {
            "followup_id": name,
            "signal_id": "s",
            "kind": "PARTIAL_EXIT",
            "fraction": 0.5,
            "received_at": pd.Timestamp(at(day, "11:59"), unit="ns", tz="UTC"),
        }
        for name, day in (("f1", DAY), ("f2", second))
    ]
    row = signal_row("s", DAY, "09:10", period="SWING")
    trade = only(verified([row], prices, followups=said, known=at(second, "16:00")))
    assert (trade.exit_reason, trade.exit_paise) == ("TARGET", 10_200)
    assert trade.gross_pnl_paise == 200 * 5_000  # the average of 2500 at 101, 1250 at 102, 1250 at 104
    assert trade.charges_paise == delivery_charges(
        (DAY, Side.BUY, 10_000, 5_000),
        (DAY, Side.SELL, 10_100, 2_500),
        (second, Side.SELL, 10_200, 1_250),
        (second, Side.SELL, 10_400, 1_250),
    )


def test_marks_of_two_legs_keep_the_one_that_met_its_target() -> None:
    second = DAY + timedelta(days=1)
    prices = {
        KEY: bars(DAY, [*QUIET, ("15:29", 10_050, 10_050, 10_050, 10_050)])
        + bars(second, [("12:00", 10_200, 10_210, 10_200, 10_210), ("15:29", 10_150, 10_150, 10_150, 10_150)])
    }
    row = signal_row("s", DAY, "09:10", period="SWING", targets_paise=[10_200, 10_600])
    found = verified([row], prices, known=at(second, "15:30"))
    assert found.legs["exit_reason"].fillna("").tolist() == ["TARGET", ""]
    bought = [(DAY, Side.BUY, 10_000, 2_500)] * 2
    assert found.marks["mark_pnl_paise"].tolist() == [
        50 * 5_000 - delivery_charges(*bought, *[(DAY, Side.SELL, 10_050, 2_500)] * 2),
        200 * 2_500
        + 150 * 2_500
        - delivery_charges(*bought, (second, Side.SELL, 10_200, 2_500), (second, Side.SELL, 10_150, 2_500)),
    ]


def test_entry_that_may_still_fill_is_open_without_an_entry() -> None:
    row = signal_row("s", DAY, "09:10", period="SWING", entry_low_paise=9_000, entry_high_paise=9_000)
    trade = only(verified([row | {"stoploss_paise": 8_800, "targets_paise": [9_500]}], QUIET))
    assert (trade.exit_reason, trade.is_counted) == ("OPEN", False)
    assert pd.isna(trade.entry_at)


def test_outage_in_a_trades_life_makes_it_incomplete() -> None:
    spans = {DAY: [(at(DAY, "10:00"), at(DAY, "11:00"))]}
    rows = [
        signal_row("open through it", DAY, "09:10", targets_paise=[]),
        signal_row("after it", DAY, "12:00"),
    ]
    minutes = [*QUIET, ("12:05", 10_020, 10_030, 9_990, 10_000), ("12:06", 10_000, 10_410, 10_000, 10_400)]
    trades = verified(rows, minutes, spans=spans).trades.set_index("trade_id")
    assert trades["exit_reason"].to_dict() == {"open through it": "INCOMPLETE", "after it": "TARGET"}
    assert trades["unsettled_at"].dropna().to_dict() == {
        "open through it": pd.Timestamp("2025-01-08 11:00", tz="Asia/Kolkata")
    }
    assert trades["unsettled_date"].dropna().to_dict() == {"open through it": DAY}
    assert trades["is_counted"].tolist() == [True, True]
    assert pd.isna(trades.loc["open through it", "net_pnl_paise"])


def test_what_a_later_outage_unsettles_was_open_and_is_marked_until_then() -> None:
    second, third = DAY + timedelta(days=1), DAY + timedelta(days=2)
    spans = {third: [(at(third, "10:00"), at(third, "11:00"))]}
    calm = [("15:29", 10_050, 10_050, 10_050, 10_050)]
    hit = [("12:00", 10_050, 10_450, 10_050, 10_400)]
    prices = {KEY: bars(DAY, QUIET) + bars(second, calm) + bars(third, [*calm, *hit])}
    row = signal_row("s", DAY, "09:10", period="SWING")
    found = verified([row], prices, spans=spans, known=at(third, "15:30"))
    trade = only(found)
    assert (trade.exit_reason, trade.unsettled_date, trade.is_counted) == ("INCOMPLETE", third, True)
    assert pd.isna(trade.exit_at)
    assert found.marks["mark_date"].tolist() == [DAY, second]
    assert found.legs["exit_at"].isna().all()  # the target after the silence says nothing
    known = verified([row], prices, spans=spans, known=at(second, "15:30"))
    assert only(known).exit_reason == "OPEN"
    pd.testing.assert_frame_equal(known.marks, found.marks)


def test_an_idea_that_ended_before_the_silence_keeps_its_outcome() -> None:
    second = DAY + timedelta(days=1)
    spans = {second: [(at(second, "10:00"), at(second, "11:00"))]}
    gap = [("09:15", 9_700, 9_700, 9_700, 9_700)]
    prices = {KEY: bars(DAY, gap) + bars(second, gap)}
    row = signal_row("s", DAY, "09:10", period="SWING")
    trade = only(verified([row], prices, spans=spans, known=at(second, "15:30")))
    assert (trade.exit_reason, trade.unsettled_date) == ("GAPPED_THROUGH", None)


def test_what_ends_without_a_price_does_not_wait_for_bars_that_another_idea_needs() -> None:
    days = small_calendar().market_days(DAY, LAST)
    prices = {KEY: bars(DAY, QUIET) + bars(days[14], QUIET)}
    said = [
        {
            "followup_id": "f1",
            "signal_id": "s",
            "kind": "EXIT",
            "received_at": pd.Timestamp(at(days[5], "12:00"), unit="ns", tz="UTC"),
        }
    ]
    row, later = signal_row("s", DAY, "09:10", period="SWING"), signal_row("t", days[14], "09:10")
    known = at(days[20], "16:00")
    alone = verified([row], prices, followups=said, known=known).trades
    with_later = verified([row, later], prices, followups=said, known=known).trades
    assert only(verified([row], prices, followups=said, known=known)).exit_reason == "INCOMPLETE"
    pd.testing.assert_frame_equal(with_later.iloc[:1], alone, check_dtype=False)


def test_an_entry_whose_validity_is_over_is_not_withdrawn_by_a_later_silence() -> None:
    days = small_calendar().market_days(DAY, LAST)
    above = [("09:15", 10_100, 10_110, 10_090, 10_100)]
    prices = {KEY: bars(DAY, above) + bars(days[8], above)}
    spans = {days[6]: [(at(days[6], "10:00"), at(days[6], "11:00"))]}
    row = signal_row("s", DAY, "09:10", period="SWING")
    reasons = [
        only(verified([row], prices, spans=spans, known=at(day, "16:00"))).exit_reason
        for day in (days[5], days[7], days[9])
    ]
    assert reasons == ["NOT_TRIGGERED"] * 3


def test_daily_bar_with_both_levels_is_undetermined() -> None:
    def daily(day: date, *levels: int) -> tuple[int, ...]:
        return (at(day, "00:00"), *levels, 1_000)

    rows = [signal_row("s", DAY, "09:10", period="SWING")]
    next_day = DAY + timedelta(days=1)
    both = {KEY: [daily(DAY, 10_050, 10_060, 9_990, 10_010), daily(next_day, 10_010, 10_450, 9_700, 10_000)]}
    one = {KEY: [both[KEY][0], daily(next_day, 10_010, 10_450, 9_900, 10_400)]}
    known = at(next_day, "16:00")
    trade = only(verified(rows, {}, daily=both, known=known))
    assert (trade.exit_reason, trade.unsettled_date) == ("UNDETERMINED", next_day)
    trade = only(verified(rows, {}, daily=one, known=known))
    assert (trade.exit_reason, trade.exit_paise) == ("TARGET", 10_400)


def daily_bar(day: date, *levels: int) -> tuple[int, ...]:
    return (at(day, "00:00"), *levels, 1_000)


@pytest.mark.parametrize(
    ("changes", "levels", "expected"),
    [
        ({}, (10_050, 10_060, 10_000, 10_010), "UNDETERMINED"),
        ({}, (10_050, 10_060, 10_001, 10_010), "NOT_TRIGGERED"),
        ({"entry_type": "STOP"}, (9_950, 10_000, 9_900, 9_990), "UNDETERMINED"),
        ({"entry_type": "STOP"}, (9_950, 9_999, 9_900, 9_990), "NOT_TRIGGERED"),
        ({"entry_type": "MARKET"}, (9_950, 9_999, 9_900, 9_990), "UNDETERMINED"),
        (
            {"entry_type": "RANGE", "entry_low_paise": 9_980, "entry_high_paise": 10_000},
            (10_050, 10_060, 9_990, 10_010),
            "UNDETERMINED",
        ),
        (
            {"entry_type": "RANGE", "entry_low_paise": 9_980, "entry_high_paise": 10_000},
            (9_950, 9_979, 9_900, 9_950),
            "NOT_TRIGGERED",
        ),
        (
            {"side": "SELL", "stoploss_paise": 10_200, "targets_paise": [9_600]},
            (9_950, 10_000, 9_900, 9_990),
            "UNDETERMINED",
        ),
        (
            {"side": "SELL", "stoploss_paise": 10_200, "targets_paise": [9_600]},
            (9_950, 9_999, 9_900, 9_990),
            "NOT_TRIGGERED",
        ),
        (
            {"side": "SELL", "entry_type": "STOP", "stoploss_paise": 10_200, "targets_paise": [9_600]},
            (10_050, 10_060, 10_001, 10_010),
            "NOT_TRIGGERED",
        ),
    ],
)
def test_the_daily_bar_an_idea_was_received_in_settles_only_what_it_missed(
    changes: dict[str, object], levels: tuple[int, ...], expected: str
) -> None:
    row = signal_row("s", DAY, "11:00", **changes)
    trade = only(verified([row], {}, daily={KEY: [daily_bar(DAY, *levels)]}, known=EVENING))
    assert trade.exit_reason == expected
    assert (trade.unsettled_date == DAY) == (expected == "UNDETERMINED")
    assert pd.isna(trade.entry_at)
    early = only(verified([row], {}, daily={KEY: [daily_bar(DAY, *levels)]}, known=at(DAY, "15:00")))
    assert early.exit_reason == "OPEN"


def test_a_swing_goes_on_after_a_day_of_receipt_that_missed_its_entry_and_ends_with_one_that_did_not() -> (
    None
):
    second = DAY + timedelta(days=1)
    row = signal_row("s", DAY, "11:00", period="SWING")
    for low, expected in ((10_001, "TARGET"), (9_990, "UNDETERMINED")):
        daily = {
            KEY: [
                daily_bar(DAY, 10_050, 10_060, low, 10_010),
                daily_bar(second, 9_990, 10_450, 9_900, 10_400),
            ]
        }
        trade = only(verified([row], {}, daily=daily, known=at(second, "16:00")))
        assert trade.exit_reason == expected
        assert pd.isna(trade.entry_at) == (expected == "UNDETERMINED")


def test_a_swing_that_meets_daily_bars_after_a_day_of_minutes_goes_on_there() -> None:
    second, third = DAY + timedelta(days=1), date(2025, 1, 10)
    row = signal_row("s", DAY, "09:10", period="SWING")
    calm = daily_bar(second, 10_020, 10_100, 9_900, 10_050)
    for levels, expected in {
        (10_050, 10_450, 9_900, 10_400): ("TARGET", None),
        (10_050, 10_450, 9_700, 10_000): ("UNDETERMINED", third),
    }.items():
        daily = {KEY: [calm, daily_bar(third, *levels)]}
        found = verified([row], {KEY: bars(DAY, QUIET)}, daily=daily, known=at(third, "15:30"))
        trade = only(found)
        assert (trade.exit_reason, trade.unsettled_date) == expected
        assert found.marks["close_paise"].tolist() == [10_020, 10_050]


def test_a_silence_withdraws_what_lived_on_minutes_and_not_what_lived_on_the_days_own_bar() -> None:
    second = DAY + timedelta(days=1)
    spans = {second: [(at(second, "11:00"), at(second, "12:00"))]}
    row = signal_row("s", DAY, "09:10", period="SWING")
    own = {KEY: [daily_bar(second, 10_020, 10_100, 9_900, 10_050)]}
    later = bars(second, [("09:15", 10_020, 10_100, 9_900, 10_050)])

    def outcome(minutes: list[tuple[int, ...]], clock: str, **source: object) -> tuple[object, object]:
        prices = {KEY: bars(DAY, QUIET) + minutes}
        trade = only(verified([row], prices, spans=spans, known=at(second, clock), **source))
        return trade.exit_reason, trade.unsettled_at

    assert outcome([], "15:30", daily=own)[0] == "OPEN"
    assert outcome(later, "12:30")[1] == pd.Timestamp(at(second, "12:00"), unit="ns", tz="UTC")
    assert outcome([], "12:30")[0] == "OPEN"
    assert outcome([], "15:30") == ("INCOMPLETE", pd.Timestamp(at(second, "15:30"), unit="ns", tz="UTC"))


def test_followups_of_the_idea_act_and_others_do_not() -> None:
    said = [
        {
            "followup_id": "f1",
            "signal_id": "s",
            "kind": "EXIT",
            "received_at": pd.Timestamp(at(DAY, "09:17"), unit="ns", tz="UTC"),
        },
        {
            "followup_id": "f2",
            "signal_id": None,
            "kind": "EXIT",
            "received_at": pd.Timestamp(at(DAY, "09:16"), unit="ns", tz="UTC"),
        },
    ]
    minutes = [*QUIET, ("09:17", 10_020, 10_030, 10_010, 10_030), ("09:18", 10_035, 10_040, 10_030, 10_040)]
    trade = only(verified([signal_row("s", DAY, "09:10")], minutes, followups=said))
    assert (trade.exit_reason, trade.exit_paise) == ("FOLLOWUP_EXIT", 10_035)


def option_row(**changes: object) -> dict[str, object]:
    return signal_row(
        "o",
        DAY,
        "09:10",
        **{
            "category": "INDEX_OPT",
            "underlying": "NIFTY",
            "underlying_key": "INDEX:NIFTY",
            "price_key": "INDEX_OPT:NIFTY:2025-01-09:2350000:PE",
            "instrument_key": "INDEX_OPT:NIFTY:2025-01-09:2350000:PE",
            "expiry": date(2025, 1, 9),
            "strike_paise": 2_350_000,
            "option_type": "PE",
            "lot_size": 75,
            **changes,
        },
    )


def test_option_features_and_the_margin_of_a_sale() -> None:
    prices = {
        "INDEX_OPT:NIFTY:2025-01-09:2350000:PE": bars(DAY, QUIET),
        "INDEX:NIFTY": bars(date(2025, 1, 7), [("15:29", 2_303_000, 2_303_000, 2_303_000, 2_303_000)]),
    }
    bought = only(verified([option_row()], prices))
    assert (bought.days_to_expiry, bought.is_expiry_day) == (1, False)
    assert bought.moneyness == pytest.approx(0.02)
    assert bought.lots == 50_000_000 // (10_000 * 75)
    sold = only(verified([option_row(side="SELL", stoploss_paise=10_200, targets_paise=[9_800])], prices))
    assert sold.margin_paise == sold.lots * 2_303_000 * 75 * 12 // 100
    assert sold.lots == 2


def test_index_option_held_to_expiry_settles_at_its_last_close() -> None:
    expiry = date(2025, 1, 9)
    prices = {
        "INDEX_OPT:NIFTY:2025-01-09:2350000:PE": bars(DAY, QUIET)
        + bars(expiry, [("15:29", 10_100, 10_150, 10_090, 10_120)])
    }
    row = option_row(period="SWING", targets_paise=[])
    trade = only(verified([row], prices, known=at(expiry, "15:30")))
    assert (trade.exit_reason, trade.exit_paise) == ("EXPIRY", 10_120)
    assert trade.slippage_paise == 0


def test_traded_value_share_looks_one_day_back() -> None:
    yesterday = date(2025, 1, 7)
    prices = {
        KEY: bars(yesterday, [("09:20", 10_000, 10_000, 10_000, 10_000)], volume=75_000) + bars(DAY, QUIET, 0)
    }
    trade = only(verified([signal_row("s", DAY, "09:10")], prices))
    # 75,000 x 100 INR over 375 minutes: 374 of yesterday, the first of today
    slots = 375 / 5
    assert trade.traded_value_share == pytest.approx(250_000_000 / (75_000 * 10_000 / slots), rel=1e-9)


def test_an_underlying_without_a_recent_price_is_unknown_in_any_range() -> None:
    old = date(2025, 1, 3)
    key = "INDEX_OPT:NIFTY:2025-01-09:2350000:PE"
    prices = {
        key: bars(DAY, QUIET),
        "INDEX:NIFTY": bars(old, [("15:29", 2_303_000, 2_303_000, 2_303_000, 2_303_000)]),
        KEY: bars(old, QUIET),
    }
    sold = option_row(side="SELL", stoploss_paise=10_200, targets_paise=[9_800])
    alone = verified([sold], prices).trades
    with_earlier = verified([signal_row("a", old, "09:10"), sold], prices).trades
    assert np.isnan(alone.iloc[0].moneyness)
    assert alone.iloc[0].margin_paise == alone.iloc[0].lots * 2_350_000 * 75 * 12 // 100
    pd.testing.assert_frame_equal(with_earlier.iloc[1:].reset_index(drop=True), alone, check_dtype=False)


def test_audit_sets_claims_against_the_market() -> None:
    rows = [
        signal_row("honest", DAY, "09:10", reported_status="SL hit", reported_exit_paise=9_800),
        signal_row("flatters", DAY, "09:10", reported_status="TARGET", reported_exit_paise=10_400),
        signal_row("silent", DAY, "09:10"),
        signal_row("unclear", DAY, "09:10", reported_status="see group"),
        signal_row(
            "never",
            DAY,
            "09:10",
            entry_low_paise=9_000,
            entry_high_paise=9_000,
            stoploss_paise=8_000,
            reported_status="target 1 done",
        ),
    ]
    audit = verified(rows, [*QUIET, ("09:17", 10_000, 10_010, 9_700, 9_750)]).audit.set_index("trade_id")
    assert audit["agrees"].dropna().to_dict() == {"flatters": False, "honest": True, "never": False}
    assert audit["agrees"].isna().to_dict()["unclear"]
    assert audit.loc["flatters", "flattering_ratio"] == pytest.approx(0.06)
    assert audit.loc["honest", "flattering_ratio"] == pytest.approx(0.0)
    assert np.isnan(audit.loc["never", "flattering_ratio"])


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("SL hit", "STOPLOSS"),
        ("Target 2 achieved", "TARGET"),
        ("not triggered", "NOT_TRIGGERED"),
        ("booked", "EXIT"),
        ("hold", "OPEN"),
        ("??", None),
    ],
)
def test_claims_are_read(text: str, claim: str | None) -> None:
    assert read_claim(text) == claim


def test_no_signals_give_empty_tables_with_all_columns() -> None:
    blank = signal_frame([signal_row("s", DAY, "09:10")]).iloc[:0]
    found = build_trades(blank, followup_frame([]), MemoryPrices({}), small_calendar(), config(), EVENING)
    assert found.trades.empty
    assert "net_pnl_paise" in found.trades.columns
    assert list(found.marks.columns)[-1] == "mark_pnl_paise"


def wandering(seed: int, days: int) -> tuple[list[dict[str, object]], list[tuple[int, ...]]]:
    """Ideas of every kind on one random walk."""
    rng = np.random.default_rng(seed)
    calendar = small_calendar()
    dates = calendar.market_days(DAY, calendar.shift(DAY, days - 1))
    price, minutes, rows = 10_000, [], []
    for day in dates:
        for minute in range(0, 375, 15):
            moves = price + rng.integers(-60, 61, 3)
            levels = [price, *map(int, moves)]
            start = at(day, "09:15") + minute * NS_PER_MINUTE
            minutes.append(
                (start, price, max(levels), min(levels), int(moves[-1]), int(rng.integers(1, 999)))
            )
            price = max(5_000, int(moves[-1]))
        for number in range(12):
            side = 1 if rng.random() < 0.5 else -1
            entry = price + int(rng.integers(-80, 81))
            rows.append(
                signal_row(
                    f"{day}-{number}",
                    day,
                    f"{rng.integers(8, 15):02d}:{rng.integers(0, 60):02d}",
                    side="BUY" if side > 0 else "SELL",
                    period=("INTRADAY", "SWING", "POSITIONAL")[rng.integers(3)],
                    entry_type=("LIMIT", "STOP", "MARKET", "RANGE")[rng.integers(4)],
                    entry_low_paise=entry,
                    entry_high_paise=entry,
                    stoploss_paise=entry - side * int(rng.integers(30, 1_500)),
                    targets_paise=[entry + side * d for d in (100, 400, 1_500)[: rng.integers(0, 4)]],
                )
            )
    return rows, minutes


def test_nothing_after_the_known_moment_is_read() -> None:
    rows, minutes = wandering(seed=3, days=20)
    cut = date(2025, 1, 20)
    known = at(cut, "16:00")
    early = [row for row in rows if row["trade_date"] <= cut]
    full = verified(early, {KEY: minutes}, known=known)
    blind = verified(early, {KEY: [m for m in minutes if m[0] < known]}, known=known)
    for name in ("trades", "legs", "marks", "audit"):
        pd.testing.assert_frame_equal(getattr(full, name), getattr(blind, name))
    assert (full.trades["exit_at"].dropna() <= pd.Timestamp(known, unit="ns", tz="UTC")).all()
    assert (full.trades["exit_reason"] == "OPEN").sum() > 5


def test_row_order_and_company_of_other_days_change_nothing() -> None:
    rows, minutes = wandering(seed=4, days=8)
    known = at(date(2025, 3, 31), "16:00")
    together = verified(rows, {KEY: minutes}, known=known).trades
    shuffled = verified(rows[::-1], {KEY: minutes}, known=known).trades
    pd.testing.assert_frame_equal(together, shuffled)
    day = rows[0]["trade_date"]
    alone = verified([r for r in rows if r["trade_date"] == day], {KEY: minutes}, known=known).trades
    part = together[together["trade_date"] == day].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, alone, check_dtype=False)


def test_ideas_verified_in_parts_by_underlying_give_the_same_tables() -> None:
    keys = {"ACME": 10_000, "BEST": 20_000, "CORE": 5_000}
    rows = [
        signal_row(
            f"s{number}", DAY, f"09:1{number}", price_key=f"NSE_EQ:{name}", instrument_key=f"NSE_EQ:{name}",
            underlying=name, underlying_key=f"NSE_EQ:{name}", entry_low_paise=price, entry_high_paise=price,
            stoploss_paise=price - 200, targets_paise=[price + 100, price + 400],
        )
        for number, (name, price) in enumerate([*keys.items(), *keys.items()])
    ]  # fmt: skip
    minutes = {
        f"NSE_EQ:{name}": bars(
            DAY,
            [("09:15", price + 100, price + 110, price + 90, price + 100),
             ("09:20", price + 100, price + 100, price - 10, price + 20),
             ("09:30", price + 20, price + 500, price, price + 400)],
        )
        for name, price in keys.items()
    }  # fmt: skip
    frame = signal_frame(rows)
    parts = split_evenly(frame, "underlying_key", 2)
    assert sorted(len(part) for part in parts) == [2, 4]
    whole = verified(rows, minutes)
    assert whole.trades["exit_reason"].isin(["TARGET", "TRAILED_STOP"]).any()
    built = [
        build_trades(part, followup_frame([]), MemoryPrices(minutes), small_calendar(), config(), EVENING)
        for part in reversed(parts)
    ]
    joined = merge(built)
    for name in ("trades", "legs", "marks", "audit"):
        pd.testing.assert_frame_equal(getattr(joined, name), getattr(whole, name))


def test_a_frame_is_split_evenly_and_the_same_way_each_time() -> None:
    frame = pd.DataFrame({"key": list("aaabbcd"), "at": range(7)})
    parts = split_evenly(frame, "key", 2)
    assert [part["key"].tolist() for part in parts] == [["a", "a", "a", "d"], ["b", "b", "c"]]
    assert [part["at"].tolist() for part in parts] == [[0, 1, 2, 6], [3, 4, 5]]
    assert len(split_evenly(frame, "key", 9)) == 4
    assert [len(part) for part in split_evenly(frame.iloc[:0], "key", 3)] == [0]

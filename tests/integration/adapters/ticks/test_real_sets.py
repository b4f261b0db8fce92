"""Every real price set comes in with its documented defects found; run with -s to see the numbers."""

import csv
import gzip
import re
import sys
from collections import Counter
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adapters.calendar import load_calendar
from adapters.config_files import load_charges, load_margins, load_slippage
from adapters.contract_sizes import load_contract_sizes
from adapters.ticks.actions import find_actions
from adapters.ticks.file_reports import FileReport
from adapters.ticks.importers import import_prices
from adapters.ticks.store import ParquetPriceStore
from adapters.uploads.profiles import load_aliases
from propdesk.core.calendar import ist_date
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.indicators.regime import RegimeConfig
from propdesk.model.corporate_action import Actions, CorporateAction
from propdesk.pipeline.regime import compute_regimes
from propdesk.pipeline.trades import TradeConfig, build_trades
from tests.support.market import at, followup_frame, signal_frame, signal_row

DATA = Path(__file__).resolve().parents[4] / ".." / "shared" / "data"
CALENDAR = load_calendar()
CALL = re.compile(r"BUY\s+([A-Z&\-]+)\s+ABOVE\s+([0-9.]+)\s+TGT\s+([0-9.]+)-([0-9.]+)-SL\s+([0-9.]+)")
"""The pattern behind data/README.md's count of the calls of 2020."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the real price data does not lie at {DATA}"),
]


def tell(text: str) -> None:
    """Show a number; pytest keeps it unless -s is given or a test fails."""
    sys.stdout.write(f"{text}\n")


def taken(store: ParquetPriceStore, *names: str) -> list[FileReport]:
    """Import sets and print what became of each file."""
    reports = import_prices(store, [DATA / name for name in names], CALENDAR, load_aliases())
    for report in reports:
        counts = {"defects": dict(report.defects), "notes": dict(report.notes)}
        tell(f"{Path(report.path).name}: {report.layout}, {report.accepted} of {report.rows} rows, {counts}")
        left = report.rows - sum(report.defects.values())
        assert report.accepted == left, "a row is neither taken nor counted"
    assert len(store.imports()) >= len(reports)
    return reports


@pytest.fixture(scope="module")
def daily(tmp_path_factory: pytest.TempPathFactory) -> ParquetPriceStore:
    """The store with seven years of official daily bars of 180 shares."""
    store = ParquetPriceStore(str(tmp_path_factory.mktemp("daily")), CALENDAR)
    (report,) = taken(store, "nse_equity_daily/daily_180.parquet")
    assert (report.accepted, len(report.days), len(report.spans)) == (300_238, 1_710, 180)
    assert report.defects == {}
    return store


def test_ticks_of_2021(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    reports = {Path(r.path).stem: r for r in taken(store, "nse_ticks_2021")}
    rows = {name: report.rows for name, report in reports.items()}
    assert rows == {"NIFTY": 944_616, "BANKNIFTY": 936_147, "RELIANCE": 943_638, "HDFCBANK": 944_876,
                    "INFY": 883_676, "TATAMOTORS": 872_851}  # fmt: skip
    shares = [reports[name] for name in ("RELIANCE", "HDFCBANK", "INFY", "TATAMOTORS")]
    for report in shares:
        assert 0.065 < report.notes["SHARED_SECOND"] / report.rows < 0.085  # "7 to 8 percent"
    backwards = sum(report.notes["VOLUME_BACKWARDS"] for report in shares) / sum(r.rows for r in shares)
    assert backwards == pytest.approx(0.009, abs=0.001)
    minutes = {
        day: sum(b - a for a, b in spans) // NS_PER_MINUTE
        for day, spans in store.outages(date(2021, 3, 1), date(2021, 6, 30)).items()
    }
    tell(f"minutes of silence by day: { {str(day): n for day, n in minutes.items()} }")
    gaps = {(5, 7): 68, (5, 21): 44, (5, 24): 144, (6, 1): 38, (6, 10): 210, (6, 11): 46}
    for (month, day), length in gaps.items():
        assert minutes[date(2021, month, day)] == pytest.approx(length, abs=3)
    cut_days = {date(2021, 4, 7), date(2021, 4, 23), date(2021, 5, 12), date(2021, 5, 19)}
    assert cut_days <= set(minutes)
    assert date(2021, 4, 8) not in minutes
    gap = store.day_coverage("tick", date(2021, 5, 24)).gaps["INDEX:NIFTY"]
    assert max((b - a) // NS_PER_MINUTE for a, b in gap) == pytest.approx(144, abs=4)


def test_minute_bars_of_2021(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    (report,) = taken(store, "nse_1min_2021")
    assert (report.accepted, len(report.days), len(report.spans)) == (595_696, 51, 54)
    assert report.notes["LEAP_OVER_GAP"] >= 1  # BAJFINANCE over the silence of 10 June
    days = [store.day_coverage("minute", day) for day in store.days("minute")]
    assert sum(day.symbols for day in days) == 1_783
    with_gaps = sum(len(day.gaps) for day in days)
    tell(f"symbol-days with a gap of 15 minutes or more: {with_gaps} of 1783")
    assert with_gaps > 0


def test_minute_bars_of_2024(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    (report,) = taken(store, "nifty_banknifty_1min_2024")
    assert (report.rows, report.defects["FILLED"]) == (117_000, 1_080)
    found = store.days("minute")
    absent = [day for day in CALENDAR.market_days(found[0], found[-1]) if day not in found]
    assert [(day.month, day.day) for day in absent] == [(2, 1), (3, 4), (4, 5), (5, 7), (7, 10)]


def test_index_days(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    (report,) = taken(store, "nifty_indiavix_daily")
    assert (report.accepted, report.defects) == (2_943, {})
    both = [store.symbols("daily", day) for day in store.days("daily")]
    lacking = sum("INDEX:INDIAVIX" not in symbols for symbols in both)
    tell(f"days of NIFTY without India VIX: {lacking}")
    assert lacking == pytest.approx(14, abs=1)


def test_snapshots_of_two_options(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    (report,) = taken(store, "banknifty_option_ticks_2021")
    assert report.rows == 19_158
    assert report.defects["OFF_DAY"] == 2  # one row per leg has a stamp of 1970
    assert report.notes["OUT_OF_ORDER"] == pytest.approx(2_908 + 11_499, abs=3)
    assert report.defects["DUPLICATE"] >= 1_704  # and snapshots that repeat price and volume within a second
    assert sorted(report.spans) == [f"INDEX_OPT:BANKNIFTY:2021-09-30:3530000:{kind}" for kind in ("CE", "PE")]


def test_derivatives_bhavcopies(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    futures, options = taken(store, "nse_fo_bhavcopy")
    assert (futures.layout, futures.accepted, futures.defects["RAGGED"]) == ("fo_futures", 630, 1)
    assert (options.layout, options.rows, options.defects) == ("fo_options", 15_131, {"RAGGED": 1})
    assert futures.days == options.days == {date(2025, 11, 14)}
    near = store.daily_bars(["INDEX_FUT:BANKNIFTY:2025-11-25"], date(2025, 11, 14), date(2025, 11, 14))
    assert [int(bars.close_paise[0]) for bars in near.values()] == [5_864_440]


def test_equity_bhavcopies_of_whole_days(tmp_path: Path) -> None:
    store = ParquetPriceStore(str(tmp_path), CALENDAR)
    files = sorted((DATA / "nse_equity_daily").glob("raw_bhavcopy_*.csv.gz"))
    reports = taken(store, *(f"nse_equity_daily/{path.name}" for path in files))
    assert [report.accepted for report in reports] == [1_385, 1_535, 1_813, 2_630]


def test_seven_years_of_days_miss_what_is_documented(daily: ParquetPriceStore) -> None:
    found = daily.days("daily")
    absent = [day for day in CALENDAR.market_days(found[0], found[-1]) if day not in found]
    tell(
        f"market days without a file: {len(absent)}, after 2019: {[str(d) for d in absent if d.year > 2019]}"
    )
    assert all(date(2019, 8, 23) < day < date(2019, 10, 1) for day in absent if day.year == 2019)
    weekend = [day for day in found if day.weekday() >= 5]
    assert len(weekend) == 9


def test_breaks_of_the_base_price_and_leaps_that_need_a_file(daily: ParquetPriceStore) -> None:
    """The set's previous close is never adjusted: all its 380 breaks stand over missing days."""
    found = find_actions(daily, CALENDAR, daily.days("daily")[0], daily.days("daily")[-1])
    by_day = Counter(day for _, day in found.unjudged)
    days = {str(day): count for day, count in by_day.most_common()}
    near = sum(leap.factor is not None for leap in found.leaps)
    tell(f"actions {len(found.actions)}, breaks over missing days {len(found.unjudged)}: {days}")
    tell(f"leaps {len(found.leaps)}, near a common ratio {near}")
    assert found.actions == []
    assert len(found.unjudged) == 380
    leaps = {(leap.price_key.removeprefix("NSE_EQ:"), leap.day): leap.factor for leap in found.leaps}
    assert len(leaps) >= 50
    known = {("RELIANCE", date(2024, 10, 28)): Fraction(1, 2),
             ("NESTLEIND", date(2024, 1, 5)): Fraction(1, 10), ("IRCTC", date(2021, 10, 28)): Fraction(1, 5),
             ("BEL", date(2022, 9, 15)): Fraction(1, 3),
             ("TATASTEEL", date(2022, 7, 28)): Fraction(1, 10)}  # fmt: skip
    assert {name: leaps[name] for name in known} == known


def test_a_confirmed_bonus_takes_the_false_crash_out_of_the_regimes(daily: ParquetPriceStore) -> None:
    key, ex_date = "NSE_EQ:RELIANCE", date(2024, 10, 28)
    config = RegimeConfig()
    bars = daily.daily_bars([key], date(2023, 9, 1), date(2025, 2, 28))
    days = CALENDAR.market_days(ex_date, date(2025, 1, 31))
    bonus = Actions([CorporateAction(key, ex_date, Fraction(1, 2), "BONUS", "file", date(2024, 10, 17))])
    raw, told = (
        frame[frame["scope"] == "RELIANCE"]
        for frame in (
            compute_regimes(bars, days, CALENDAR),
            compute_regimes(bars, days, CALENDAR, config, bonus),
        )
    )
    tell(f"20-day log return after the bonus: {raw['log_return_20'].iloc[1]:.3f} as traded, "
          f"{told['log_return_20'].iloc[1]:.3f} restated")  # fmt: skip
    assert raw["log_return_20"].iloc[1] < -0.6
    assert abs(told["log_return_20"].iloc[1]) < 0.2
    assert raw["label"].tolist() != told["label"].tolist()


def calls_of_2020() -> list[dict[str, Any]]:
    path = DATA / "tips_telegram_cash_2020" / "messages.csv.gz"
    found = []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        for message in csv.DictReader(stream):
            day = date.fromisoformat(message["ts_ist"][:10])
            for symbol, *levels in CALL.findall(message["text"]):
                entry, first, second, stop = (round(float(level) * 100) for level in levels)
                key = f"NSE_EQ:{symbol}"
                words: dict[str, object] = {
                    **dict.fromkeys(("underlying_key", "instrument_key", "price_key"), key),
                    **dict.fromkeys(("entry_low_paise", "entry_high_paise"), entry),
                    "underlying": symbol,
                    "entry_type": "STOP",
                    "stoploss_paise": stop,
                    "targets_paise": sorted((first, second)),
                }
                clock = message["ts_ist"][11:16]
                found.append(signal_row(f"{message['msg_no']}-{symbol}", day, clock, **words))
    return found


def test_calls_whose_levels_both_lie_in_the_day_are_undetermined(daily: ParquetPriceStore) -> None:
    calls = calls_of_2020()
    held = {str(call["price_key"]) for call in calls}
    first, last = date(2020, 6, 1), date(2020, 10, 30)
    bars = daily.daily_bars(sorted(held), first, last)
    config = TradeConfig(load_charges(), load_margins(), load_slippage())
    built = build_trades(signal_frame(calls), followup_frame([]), daily, CALENDAR, config, at(last, "16:00"))
    reasons = built.trades.set_index("trade_id")["exit_reason"].to_dict()
    days = {key: {ist_date(int(ns)): n for n, ns in enumerate(held.start_ns)} for key, held in bars.items()}
    both = []
    for call in calls:
        key = call["price_key"]
        at_day = days.get(key, {}).get(call["trade_date"])
        if at_day is None:
            continue
        high, low = bars[key].high_paise[at_day], bars[key].low_paise[at_day]
        if high >= max(call["entry_high_paise"], call["targets_paise"][0]) and low <= call["stoploss_paise"]:
            both.append(call["signal_id"])
    tell(f"calls {len(calls)}, with bars {sum(c['price_key'] in bars for c in calls)}")
    tell(f"both levels in the day {len(both)}, outcomes {dict(Counter(reasons.values()))}")
    assert (len(calls), len(both)) == (32, 14)
    assert {reasons[name] for name in both} == {"UNDETERMINED"}


def test_identities_of_the_option_trades_of_2025() -> None:
    """Peak - entry = best move, gross - charges = result, gross per point and lot = units of the contract."""
    trades = pd.read_csv(DATA / "check_nifty_option_mfe_2025" / "trades.csv.gz")
    assert len(trades) == 510
    moved = trades[["peakPremium", "entryPremium", "maxFavorableMove"]].dropna().mul(100).round().astype(int)
    assert (moved["peakPremium"] - moved["entryPremium"] == moved["maxFavorableMove"]).all()
    paid = trades.dropna(subset=["grossPnl", "charges"])
    assert (((paid["grossPnl"] - paid["charges"] - paid["totalPnl"]) * 100).round() == 0).all()
    left = paid[paid["exitPremium"] != paid["entryPremium"]]
    per_point = left["grossPnl"] / (left["exitPremium"] - left["entryPremium"]) / left["lots"]
    sizes = load_contract_sizes()
    days = [
        tuple(map(date.fromisoformat, pair)) for pair in zip(left["weeklyExpiry"], left["date"], strict=True)
    ]
    lots = [sizes.lot_size("NIFTY", expiry, day) for expiry, day in days]
    tell(f"moves {len(moved)}, results {len(paid)}, lots {dict(Counter(lots))}")
    assert per_point.round(6).tolist() == [float(lot or 0) for lot in lots]
    assert set(lots) == {75, 65}

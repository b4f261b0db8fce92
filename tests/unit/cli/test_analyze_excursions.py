"""`analyze excursions` on plain files: figures by hand, one sentence for bad input."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.analyze_excursions import FIGURES, measure, register
from propdesk.core.errors import SchemaFault

TRADES = "trade_id,instrument,side,entry_price,stoploss,target,entry_at,exit_at,exit_reason\n"
DAY = "2025-01-08T"


def write(tmp_path: Path, trades: str, prices: str) -> tuple[Path, Path]:
    first, second = tmp_path / "trades.csv", tmp_path / "prices.csv"
    first.write_text(TRADES + trades, encoding="utf-8")
    second.write_text(prices, encoding="utf-8")
    return first, second


def ticks(*rows: tuple[str, float]) -> str:
    return "instrument,ts,price\n" + "".join(f"ACME,{DAY}{clock}+05:30,{price}\n" for clock, price in rows)


STOPPED = f"t1,ACME,BUY,100,95,110,{DAY}10:00:00+05:30,{DAY}04:50:00Z,STOPLOSS\n"
PATH = ticks(("10:00:00", 100), ("10:05:00", 104), ("10:20:00", 95), ("10:30:00", 94), ("10:45:00", 101))


def test_stopped_trade_on_ticks_prints_one_object(tmp_path: Path) -> None:
    trades, prices = write(tmp_path, STOPPED, PATH)
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(
        app, ["excursions", "--trades", str(trades), "--prices", str(prices), "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found == {
        "t1": {
            "mae_pct": pytest.approx(100.0),
            "mfe_pct": pytest.approx(80.0),
            "post_sl_extension_pct": pytest.approx(1.0),
            "post_sl_recovery_pct": pytest.approx(6.0),
            "post_target_extension_pct": None,
            "wse_pct": None,
            "wte_pct": None,
        }
    }


def test_bars_count_whole_between_entry_and_exit_only(tmp_path: Path) -> None:
    rows = [("10:00", 130, 70), ("10:01", 103, 98), ("10:20", 140, 60), ("10:21", 99, 97)]
    prices = "instrument,ts,open,high,low,close\n" + "".join(
        f"ACME,{DAY}{clock}:00+05:30,98,{high},{low},98\n" for clock, high, low in rows
    )
    found = measure(*write(tmp_path, STOPPED, prices))["t1"]
    assert found["mae_pct"] == pytest.approx(100.0)
    assert found["mfe_pct"] == pytest.approx(60.0)
    assert found["post_sl_extension_pct"] == pytest.approx(-2.0)


def test_window_is_cut_at_half_past_three(tmp_path: Path) -> None:
    trade = f"t1,ACME,SELL,100,105,,{DAY}15:00:00+05:30,{DAY}15:20:00+05:30,STOPLOSS\n"
    prices = ticks(("15:00:00", 100), ("15:20:00", 105), ("15:30:00", 106), ("15:30:01", 500))
    found = measure(*write(tmp_path, trade, prices))["t1"]
    assert found["post_sl_extension_pct"] == pytest.approx(1.0)
    assert found["wte_pct"] == pytest.approx(0.0)


def test_target_number_is_part_of_the_reason(tmp_path: Path) -> None:
    trade = f"t1,ACME,BUY,100,,110,{DAY}10:00:00+05:30,{DAY}10:20:00+05:30,TARGET_2\n"
    prices = ticks(("10:00:00", 100), ("10:10:00", 97), ("10:20:00", 110), ("10:25:00", 112))
    found = measure(*write(tmp_path, trade, prices))["t1"]
    assert found["post_target_extension_pct"] == pytest.approx(2.0)
    assert found["wse_pct"] == pytest.approx(3.0)


def test_instrument_without_prices_is_null(tmp_path: Path) -> None:
    found = measure(*write(tmp_path, STOPPED.replace("ACME", "OTHER"), PATH))["t1"]
    assert list(found) == list(FIGURES)
    assert all(value != value for value in found.values())


@pytest.mark.parametrize(
    ("trades", "prices", "sentence"),
    [
        (STOPPED.replace("+05:30", ""), PATH, "trades.csv, row 1, column entry_at: .* with an offset"),
        (STOPPED.replace("BUY", "buy"), PATH, "row 1, column side"),
        (STOPPED.replace(",100,", ",-1,"), PATH, "row 1, column entry_price: '-1' is not a positive price"),
        (STOPPED.replace(",95,", ",low,"), PATH, "row 1, column stoploss: 'low' is not a number"),
        (STOPPED.replace("04:50:00Z", "04:00:00Z"), PATH, "row 1, column exit_at: lies before entry_at"),
        (STOPPED + STOPPED, PATH, "row 2, column trade_id: t1 stands there twice"),
        (STOPPED, PATH.replace("price", "last"), "has no column open"),
        (STOPPED, PATH.replace("94", "nan"), "prices.csv, row 4, column price"),
        (STOPPED, "", "no readable table"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, trades: str, prices: str, sentence: str) -> None:
    with pytest.raises(SchemaFault, match=sentence):
        measure(*write(tmp_path, trades, prices))

"""`analyze performance` on plain files: by hand, and against a published backtest."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import build, main

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "check_option_strangle_2023"
TRADES = "group_id,exit_at,net_pnl\n"
RETURNS = "group_id,date,return\n"


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "file.csv"
    file.write_text(text, encoding="utf-8")
    return str(file)


def run(*words: str) -> dict[str, dict[str, Any]]:
    done = CliRunner().invoke(build(), ["analyze", "performance", *words, "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def strangle(tmp_path: Path) -> str:
    """Lay the published trades out as our columns, in their order."""
    with gzip.open(DATA / "trades.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [f"S,{row['ExitDate']}T{row['ExitTime']}+05:30,{row['GrossPnL']}" for row in rows]
    return write(tmp_path, TRADES + "\n".join(lines) + "\n")


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the published backtest does not lie at {DATA}")
def test_the_published_strangle_is_reproduced(tmp_path: Path) -> None:
    words = ("--trades", strangle(tmp_path), "--capital", "100000", "--order", "file", "--base", "capital",
             "--days", "traded", "--sortino", "losses", "--calmar", "total")  # fmt: skip
    found = run(*words)["S"]
    assert (found["n_trades"], found["n_periods"]) == (494, 247)
    assert found["sharpe"] == pytest.approx(1.138241, abs=5e-7)
    assert found["sortino"] == pytest.approx(1.5842797, abs=5e-8)
    assert round(found["calmar"], 3) == 1.788
    assert found["max_drawdown_pct"] == pytest.approx(-4.32075, abs=5e-6)
    assert found["max_drawdown_day_ends_pct"] == pytest.approx(-3.64061, abs=5e-6)
    assert round(found["total_return_pct"], 2) == 7.73
    # the sheet lists both legs of a day by their entry: in the order of exits the depth is another
    assert run(*words[:4])["S"]["max_drawdown_pct"] != pytest.approx(-4.32075, abs=1e-3)


def test_trades_by_hand(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        TRADES
        + "G,2025-03-26T11:00:00+05:30,-220\n"
        + "G,2025-03-24T11:00:00+05:30,100\n"
        + "G,2025-03-26T12:00:00+05:30,330\n"
        + "G,,999\n"
        + "H,,1\n",
    )
    found = run("--trades", file, "--capital", "1000", "--min-periods", "2", "--periods-per-year", "252")
    g = found["G"]
    assert (g["n_trades"], g["n_periods"]) == (3, 3)  # the 25th, a market day, is flat
    assert g["total_return_pct"] == pytest.approx(21.0)
    assert g["max_drawdown_pct"] == pytest.approx(-20.0)
    assert g["max_drawdown_day_ends_pct"] == 0.0
    mean, spread = 0.2 / 3, (((0.1 - 0.2 / 3) ** 2 * 2 + (0.2 / 3) ** 2) / 2) ** 0.5
    assert g["sharpe"] == pytest.approx(mean / spread * 252**0.5)
    assert g["calmar"] == pytest.approx((1.21**84 - 1) / 0.2)
    capital = run("--trades", file, "--capital", "1000", "--base", "capital", "--days", "traded")["G"]
    assert capital["n_periods"] == 2
    assert capital["sharpe"] is None  # under twenty periods
    assert capital["upside_potential"] == pytest.approx((0.1 + 0.11) / 2)
    assert (found["H"]["n_trades"], found["H"]["total_return_pct"], found["H"]["sharpe"]) == (0, 0.0, None)


def test_returns_by_hand_in_any_order(tmp_path: Path) -> None:
    file = write(tmp_path, RETURNS + "G,2025-02-28,-0.5\nG,2025-01-31,0.5\nG,2025-03-31,0.5\n")
    found = run("--returns", file, "--periods-per-year", "12")["G"]
    assert found["n_periods"] == 3
    assert found["max_drawdown_pct"] == pytest.approx(-50.0)
    assert found["total_return_pct"] == pytest.approx(12.5)
    assert found["pain_index"] == pytest.approx(0.25)
    assert "max_drawdown_day_ends_pct" not in found
    shown = CliRunner().invoke(build(), ["analyze", "performance", "--returns", file])
    assert shown.exit_code == 0
    assert "-50.000" in shown.stdout


@pytest.mark.parametrize(
    ("text", "words", "told"),
    [
        (RETURNS + "G,2025-01-31,much\n", ["--returns", "FILE"], "row 1, column return"),
        (RETURNS + "G,2025-01-31,-1.5\n", ["--returns", "FILE"], "loses more than everything"),
        (RETURNS + "G,2025-01-31,0\nG,2025-01-31,0\n", ["--returns", "FILE"], "row 2, column date"),
        (TRADES + "G,2025-01-31T10:00:00,1\n", ["--trades", "FILE"], "row 1, column exit_at"),
        (TRADES + "G,2025-01-31T10:00:00+05:30,inf\n", ["--trades", "FILE"], "row 1, column net_pnl"),
        (TRADES, ["--trades", "FILE", "--capital", "0"], "--capital"),
        (TRADES, ["--trades", "FILE", "--returns", "FILE"], "one file"),
        (TRADES, [], "one file"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: list[str], told: str
) -> None:
    file = write(tmp_path, text)
    asked = [file if word == "FILE" else word for word in words]
    assert main(["analyze", "performance", *asked, "--json"]) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert told in answer.err

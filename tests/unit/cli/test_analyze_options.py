"""`analyze options` on plain files."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cli.analyze_options import COLUMNS, FIGURES, measure, register
from propdesk.core.errors import SchemaFault
from propdesk.metrics.options import black_price

DAY = "2025-06-02T"
CALL = "c,NIFTY,CE,BUY,100,2025-06-05,2025-06-02T09:30:00+05:30,{premium},100,{exit}"


def premium(days: float, volatility: float = 0.2, *, call: bool = True, forward: float = 100.0) -> float:
    """Premium on the strike of 100, so many days before 15:30 of the expiry."""
    found = black_price(
        np.array([call]),
        np.array([forward]),
        np.array([100.0]),
        np.array([days / 365]),
        np.array([volatility]),
    )
    return float(found[0])


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")
    return path


def test_a_call_that_only_aged_lost_all_of_it_to_time(tmp_path: Path) -> None:
    bought, sold = premium(3.25), premium(1.25)
    row = CALL.format(premium=bought, exit=f"2025-06-04T09:30:00+05:30,{sold},100")
    found = measure(write(tmp_path / "t.csv", row))["c"]
    assert list(found) == list(FIGURES)
    assert (found["days_to_expiry"], found["moneyness_pct"]) == (3, 0)
    assert found["iv_pct"] == pytest.approx(20.0)
    assert found["time_per_unit"] == pytest.approx(sold - bought)
    assert found["forward_per_unit"] == pytest.approx(0, abs=1e-9)
    assert found["theta_share_pct"] == pytest.approx(100.0)
    assert math.isnan(found["iv_rank_pct"])


def test_who_sold_a_put_gains_what_time_takes(tmp_path: Path) -> None:
    sold, back = premium(3.25, 0.3, call=False), premium(1.25, 0.3, call=False, forward=101)
    row = (
        f"p,NIFTY,PE,SELL,100,2025-06-05,{DAY}09:30:00+05:30,{sold},100,2025-06-04T09:30:00+05:30,{back},101"
    )
    found = measure(write(tmp_path / "t.csv", row))["p"]
    parts = [found[f"{name}_per_unit"] for name in ("time", "forward", "volatility")]
    assert found["gross_per_unit"] == pytest.approx(sold - back)
    assert sum(parts) == pytest.approx(sold - back)
    assert parts[0] > 0
    assert parts[1] > 0
    assert parts[2] == pytest.approx(0, abs=1e-9)


def test_an_open_trade_has_a_volatility_and_no_result(tmp_path: Path) -> None:
    found = measure(write(tmp_path / "t.csv", CALL.format(premium=premium(3.25), exit=",,")))["c"]
    assert found["iv_pct"] == pytest.approx(20.0)
    assert all(math.isnan(found[name]) for name in FIGURES[4:])


def test_moneyness_of_a_put_is_turned(tmp_path: Path) -> None:
    row = f"p,NIFTY,PE,BUY,100,2025-06-05,{DAY}09:30:00+05:30,5,96,,,"
    assert measure(write(tmp_path / "t.csv", row))["p"]["moneyness_pct"] == pytest.approx(4.0)


def test_a_rank_knows_the_days_before_and_its_own_underlying_only(tmp_path: Path) -> None:
    rows = []
    for number in range(1, 26):
        volatility = 0.10 + 0.01 * number
        paid = premium(60 - number + 0.25, volatility)
        rows.append(f"t{number},NIFTY,CE,BUY,100,2025-07-30,{days(number)}T09:30:00+05:30,{paid},100,,,")
    rows.append(rows[-1].replace("t25,NIFTY", "other,BANKNIFTY"))
    found = measure(write(tmp_path / "t.csv", *rows))
    ranks = [found[f"t{number}"]["iv_rank_pct"] for number in range(1, 26)]
    assert all(map(math.isnan, ranks[:20])), "twenty earlier days are needed"
    assert ranks[20:] == [100.0] * 5, "each is above all before it"
    assert math.isnan(found["other"]["iv_rank_pct"])


def days(number: int) -> str:
    """Day so many calendar days after 31 May 2025."""
    return str(np.datetime64("2025-05-31") + number)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (CALL.format(premium="x", exit=",,"), "row 1, column entry_premium"),
        (CALL.format(premium=1, exit=",,").replace(",CE,", ",CALL,"), "column option_type: 'CALL'"),
        (CALL.format(premium=1, exit=",,").replace(",BUY,", ",LONG,"), "column side: 'LONG'"),
        (CALL.format(premium=1, exit=",,").replace("2025-06-05", "2025-06-01"), "lies after the expiry"),
        (CALL.format(premium=1, exit=f"{DAY}09:00:00+05:30,1,100"), "column exit_at"),
        (CALL.format(premium=1, exit="2025-06-05T15:31:00+05:30,1,100"), "column exit_at"),
    ],
)
def test_bad_cells_are_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(SchemaFault, match=said):
        measure(write(tmp_path / "t.csv", row))


def test_a_repeated_id_is_refused(tmp_path: Path) -> None:
    row = CALL.format(premium=1, exit=",,")
    with pytest.raises(SchemaFault, match="row 2, column trade_id: c stands there twice"):
        measure(write(tmp_path / "t.csv", row, row))


def test_the_command_prints_one_object(tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    path = write(tmp_path / "t.csv", CALL.format(premium=premium(3.25), exit=",,"))
    result = CliRunner().invoke(app, ["options", "--trades", str(path), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["c"]
    assert told["iv_pct"] == pytest.approx(20.0)
    assert told["gross_per_unit"] is None
    empty = CliRunner().invoke(app, ["options", "--trades", str(write(tmp_path / "e.csv")), "--json"])
    assert json.loads(empty.stdout) == {}

"""`analyze regime` on a plain file."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.analyze_regime import label_days, register
from propdesk.core.errors import SchemaFault

HEAD = "date,open,high,low,close\n"


def rising(days: int) -> list[str]:
    first = date(2024, 1, 1)
    return [f"{first + timedelta(days=n)},{100 + n},{101.5 + n},{99.5 + n},{101 + n}\n" for n in range(days)]


def write(tmp_path: Path, rows: list[str]) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text(HEAD + "".join(rows), encoding="utf-8")
    return path


def test_label_is_known_before_the_open(tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["regime", "--bars", str(write(tmp_path, rising(152))), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(found) == 152
    assert found["2024-05-29"] == {"label": None, "reason": "149 daily bars, 150 needed"}
    assert found["2024-05-30"] == {"label": "TRENDING_BULLISH", "reason": None}


def test_the_days_own_bar_does_not_matter_nor_does_the_order(tmp_path: Path) -> None:
    rows = rising(160)
    before = [reading.label for reading in label_days(write(tmp_path, rows)).values()]
    rows[-1] = "2024-06-08,1,1,1,1\n"
    assert [reading.label for reading in label_days(write(tmp_path, rows[::-1])).values()] == before


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("yesterday,1,2,1,1\n", "row 2, column date: 'yesterday' is no day"),
        ("2024-01-02,1,2,1,0\n", "row 2, column close: '0' is not a positive price"),
        ("2024-01-02,5,2,1,1\n", "row 2, column high"),
        ("2024-01-01,1,2,1,1\n", "column date: 2024-01-01 stands there twice"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, row: str, sentence: str) -> None:
    with pytest.raises(SchemaFault, match=sentence):
        label_days(write(tmp_path, [rising(1)[0], row]))

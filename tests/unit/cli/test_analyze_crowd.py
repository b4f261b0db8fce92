"""`analyze crowd` on plain files: figures by hand, one sentence for bad input."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli.analyze_crowd import read_positions, register
from propdesk.core.errors import SchemaFault

HEAD = "advisor_id,underlying,category,side,option_type\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "positions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def run(path: Path) -> dict[str, dict[str, object]]:
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["crowd", "--positions", str(path), "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, dict[str, object]] = json.loads(result.stdout)
    return found


def test_counts_scores_and_directions(tmp_path: Path) -> None:
    rows = ["A1,NIFTY,INDEX_OPT,BUY,CE", "A2,NIFTY,INDEX_OPT,SELL,PE", "A3,NIFTY,INDEX_FUT,SELL,",
            "A1,ALPHA,NSE_EQ,BUY,", "A2,ALPHA,STOCK_OPT,BUY,PE"]  # fmt: skip
    found = run(write(tmp_path, HEAD + "\n".join(rows) + "\n"))
    assert found == {
        "ALPHA": {"bullish": 1, "bearish": 1, "score": 0.5, "direction": None},
        "NIFTY": {"bullish": 2, "bearish": 1, "score": pytest.approx(2 / 3), "direction": "BULLISH"},
    }


def test_no_rows_give_an_empty_object(tmp_path: Path) -> None:
    assert run(write(tmp_path, HEAD)) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("advisor_id,underlying\n", "no column category"),
        (HEAD + "A1,NIFTY,INDEX_OPT,BUY,\n", "row 1, column option_type"),
        (HEAD + "A1,NIFTY,INDEX_FUT,BUY,\nA1,NIFTY,FUTURE,BUY,\n", "row 2, column category"),
        (HEAD + "A1,NIFTY,INDEX_FUT,HOLD,\n", "row 1, column side"),
        (HEAD + ",NIFTY,INDEX_FUT,BUY,\n", "row 1, column advisor_id"),
        (HEAD + "A1,NIFTY,INDEX_FUT,BUY,CE\n", "row 1, column option_type"),
    ],
)
def test_bad_input_names_row_and_column(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SchemaFault, match=words):
        read_positions(write(tmp_path, text))


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SchemaFault, match="cannot be read"):
        read_positions(tmp_path / "nothing.csv")

"""`analyze corpus` and `analyze trust` on plain files."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import build, main

CORPUS = "trade_id,group_id,entry_at,exit_at,margin,net_pnl\n"
TRUST = "group_id,exit_at,net_pnl\n"


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "trades.csv"
    file.write_text(text, encoding="utf-8")
    return str(file)


def run(*words: str) -> dict[str, dict[str, object]]:
    done = CliRunner().invoke(build(), ["analyze", *words, "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def test_corpus_by_hand(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        CORPUS
        + "a,G,2025-03-24T10:00:00+05:30,2025-03-24T11:00:00+05:30,400,100\n"
        + "b,G,2025-03-25T10:00:00+05:30,2025-03-25T11:00:00+05:30,400,-220\n"
        + "c,G,2025-03-25T10:30:00+05:30,,2000,\n"
        + "old,H,2024-03-25T10:30:00+05:30,2024-03-26T10:30:00+05:30,10,5\n",
    )
    found = run("corpus", "--trades", file, "--capital", "1000")
    assert found["G"] == {
        "final_corpus": 880.0,
        "return_pct": pytest.approx(-12.0),
        "mdd_pct": pytest.approx(-20.0),
        "sharpe": pytest.approx(found["G"]["sharpe"]),
        "volatility_pct": pytest.approx(21.213203, abs=1e-6),
        "trades_executed": 2,
        "trades_skipped_capital": 1,
        "margin_shortfalls": 0,
        "open_at_end": 0,
        "peak_utilisation_pct": pytest.approx(40.0),
        "max_concurrency": 1,
        "blown_at": None,
    }
    assert isinstance(found["G"]["sharpe"], float)
    # no trade in the window
    assert found["H"]["final_corpus"] == 1000.0
    assert (found["H"]["return_pct"], found["H"]["mdd_pct"], found["H"]["sharpe"]) == (0.0, 0.0, None)


def test_trust_by_hand(tmp_path: Path) -> None:
    rows = ["G,2025-03-31T15:00:00+05:30,5"] * 15 + ["G,2025-03-21T15:00:00+05:30,-5"] * 15
    file = write(tmp_path, TRUST + "\n".join([*rows, "G,2025-04-01T10:00:00+05:30,5", "H,,1"]) + "\n")
    found = run("trust", "--trades", file, "--as-of", "2025-03-31")
    assert found["G"]["n"] == 30
    assert found["G"]["n_eff"] == pytest.approx(22.5**2 / 18.75)
    assert found["G"]["uwr"] == pytest.approx(50.0)
    assert found["G"]["wwr"] == pytest.approx(100 * 15 / 22.5)
    assert found["G"]["divergence"] == pytest.approx(100 * (15 / 22.5 - 0.5))
    assert found["G"]["flag"] == "UNTRUSTED"
    assert found["H"] == {"n": 0, "n_eff": 0.0, "uwr": None, "wwr": None, "divergence": None, "flag": None}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a,G,2025-03-24T10:00:00,2025-03-24T11:00:00+05:30,400,1", "row 1, column entry_at"),
        ("a,G,2025-03-24T10:00:00+05:30,2025-03-24T09:00:00+05:30,400,1", "column exit_at: lies before"),
        ("a,G,2025-03-24T10:00:00+05:30,2025-03-24T11:00:00+05:30,0,1", "column margin"),
        ("a,G,2025-03-24T10:00:00+05:30,2025-03-24T11:00:00+05:30,400,", "column net_pnl"),
        ("a,G,2025-03-24T10:00:00+05:30,2025-03-24T11:00:00+05:30,400,many", "column net_pnl"),
        ("a,,2025-03-24T10:00:00+05:30,2025-03-24T11:00:00+05:30,400,1", "column group_id"),
        (
            "a,G,2025-03-24T10:00:00+05:30,,400,\na,G,2025-03-24T10:00:00+05:30,,400,",
            "row 2, column trade_id",
        ),
    ],
)
def test_bad_cell_is_one_sentence_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, words: str
) -> None:
    file = write(tmp_path, CORPUS + row + "\n")
    assert main(["analyze", "corpus", "--trades", file, "--json"]) == 2
    spoken = capsys.readouterr()
    assert spoken.out == ""
    assert words in spoken.err
    assert file in spoken.err


def test_bad_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, TRUST)
    assert main(["analyze", "trust", "--trades", file, "--as-of", "yesterday"]) == 2
    assert main(["analyze", "trust", "--trades", file, "--as-of", "2025-03-31", "--half-life", "0"]) == 2
    assert main(["analyze", "corpus", "--trades", write(tmp_path, CORPUS), "--capital", "-1"]) == 2
    assert capsys.readouterr().out == ""


def test_file_without_a_needed_column_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "corpus", "--trades", write(tmp_path, TRUST)]) == 2
    assert "has no column trade_id" in capsys.readouterr().err

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import main

HEADER = "symbol,Date,Open,High,Low,Close\n"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["prices", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    rows = "".join(
        f"{symbol},2021-04-{day:02},1,2,1,2\n"
        for day, symbols in ((5, ("A", "B")), (6, ("A",)), (8, ("A", "B", "B")))
        for symbol in symbols
    )
    (tmp_path / "daily.csv").write_text(HEADER + rows, encoding="utf-8")
    place = str(tmp_path / "store")
    run(capsys, "import", str(tmp_path / "daily.csv"), "--store", place, "--no-instruments")
    return place


def test_missing_days_of_daily_bars_are_told_for_the_market_and_for_one_symbol(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(capsys, "gaps", "--store", store, "--kind", "daily", "--symbol", "NSE_EQ:B")
    assert found["missing_days"] == ["2021-04-07"]
    assert found["days_without_symbol"] == ["2021-04-06"]
    assert run(capsys, "gaps", "--store", store, "--kind", "daily")["days_without_symbol"] == []
    assert main(["prices", "gaps", "--store", store, "--kind", "daily", "--symbol", "NSE_EQ:C"]) == 2
    assert main(["prices", "gaps", "--store", store, "--kind", "yearly"]) == 2


def test_coverage_counts_days_and_tells_what_each_file_gave(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    days = run(capsys, "coverage", "--store", store, "--kind", "daily")["days"]
    assert [(day["day"], day["rows"], day["symbols"]) for day in days] == [
        ("2021-04-05", 2, 2),
        ("2021-04-06", 1, 1),
        ("2021-04-08", 2, 2),
    ]
    (told,) = run(capsys, "coverage", "--store", store, "--files")["files"]
    assert (told["layout"], told["rows"], told["accepted"], told["defects"]) == (
        "daily",
        6,
        5,
        {"DUPLICATE": 1},
    )
    assert main(["prices", "coverage", "--store", store, "--files"]) == 0
    assert "DUPLICATE 1" in " ".join(capsys.readouterr().out.split())

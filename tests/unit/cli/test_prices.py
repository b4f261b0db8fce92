import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.ticks.recordings import Recorder, recordings_folder
from cli.main import main
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_HOUR
from propdesk.intake.minutes import MinuteSeen

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


def test_recordings_of_past_days_are_imported_once_and_one_bad_one_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPDESK_HOME", str(tmp_path))
    place = str(tmp_path / "store")
    day = date(2025, 7, 1)
    for account, origin in (("one", "dhan"), ("two", "sandbox")):
        recorder = Recorder(recordings_folder(tmp_path, account), day, account, origin)
        recorder.open()
        recorder.append([minute_at(10)], (ist_midnight_ns(day), ist_midnight_ns(day) + 12 * NS_PER_HOUR))
        recorder.close()
    words = ("import", "--recorded", "--store", place)
    (told,) = run(capsys, *words)["files"]
    assert (Path(told["file"]).parent.name, told["accepted"]) == ("one", 1)
    assert run(capsys, *words)["files"] == []
    assert [Path(one["file"]).parent.name for one in run(capsys, *words, "--sandbox")["files"]] == ["two"]
    folder = str(recordings_folder(tmp_path, "one"))
    assert [one["accepted"] for one in run(capsys, "import", folder, "--store", place)["files"]] == [1]
    (covered,) = run(capsys, "coverage", "--store", place)["days"]
    assert (covered["rows"], covered["series recorded"], covered["recorded in part"]) == (0, 0, 1)
    (covered,) = run(capsys, "coverage", "--store", place, "--kind", "recorded_in_part")["days"]
    assert (covered["rows"], covered["symbols"]) == (1, 1)
    source = tmp_path / "bars.csv"
    source.write_text(
        "symbol,ts_ist,open,high,low,close\n"
        + "".join(
            f"{name},2025-07-0{day} 10:00:00,5,5,5,5\n"
            for name, days in (("TCS", (1, 3)), ("INFY", (1, 2, 3)))
            for day in days
        )
    )
    later = Recorder(recordings_folder(tmp_path, "one"), date(2025, 7, 2), "one", "dhan")
    later.open()
    later.append([minute_at(34)], None)
    later.close()
    run(capsys, "import", str(source), "--recorded", "--store", place, "--no-instruments")
    told = run(capsys, "gaps", "--symbol", "NSE_EQ:TCS", "--store", place)
    assert told["days_without_symbol"] == told["recorded_in_part"] == ["2025-07-02"]
    assert told["recorded"] == []
    assert main(["prices", "gaps", "--symbol", "NSE_EQ:TCS", "--store", place]) == 0
    assert "1 of these days are recorded in part: 2025-07-02." in " ".join(capsys.readouterr().err.split())
    (recordings_folder(tmp_path, "one") / "2025-07-03.recording").write_text("{}\n")
    assert main(["prices", *words]) == 1
    assert "no recording of its day" in " ".join(capsys.readouterr().err.split())
    assert main(["prices", "import", "--store", place]) == 2


def minute_at(hour: int) -> MinuteSeen:
    start_ns = ist_midnight_ns(date(2025, 7, 1)) + hour * NS_PER_HOUR
    return MinuteSeen("NSE_EQ:TCS", start_ns, start_ns, 5, 5, 5, 5)

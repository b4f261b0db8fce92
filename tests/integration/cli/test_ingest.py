"""The commands ingest and quarantine as a person calls them."""

import json
from pathlib import Path

import pytest

from cli.main import main
from cli.output import EXIT_BAD_INPUT, EXIT_OK

pytestmark = pytest.mark.integration

HEADER = "kind,source_message_id,advisor_id,posted_at,category,symbol,side,entry_low,stoploss,targets\n"
GOOD = "SIGNAL,m1,A1,2025-01-02T09:20:00+05:30,NSE_EQ,TCS,BUY,100,95,110\n"
BAD = "SIGNAL,m2,=A1,yesterday,NSE_EQ,TCS,BUY,100,95,110\n"
NOW = ("--now", "2025-07-01T08:00:00+05:30")


@pytest.fixture
def file(tmp_path: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROPDESK_POSTGRES_URL", pg_url)
    monkeypatch.setenv("PROPDESK_HOME", str(tmp_path / "home"))
    path = tmp_path / "f.csv"
    path.write_text(HEADER + GOOD + BAD)
    return path


def call(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    capsys.readouterr()
    assert main([*words, "--json"]) == EXIT_OK
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_a_file_goes_in_and_its_quarantine_is_worked_on(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = call(capsys, "ingest", str(file), *NOW)
    assert (summary["rows_read"], summary["rows_accepted"], summary["rows_quarantined"]) == (2, 1, 1)
    assert summary["trade_dates"] == ["2025-01-02"]
    listed = call(capsys, "quarantine", "list", "--upload", str(summary["upload_id"]))
    assert listed["counts"] == [{"stage": "INGEST", "reason": "BAD_TIME", "count": 1}]
    rows = listed["rows"]
    assert isinstance(rows, list)
    shown = call(capsys, "quarantine", "show", rows[0]["quarantine_id"][:12])
    assert shown["row_number"] == 2
    out = file.with_name("q.csv")
    assert call(capsys, "quarantine", "export", str(out))["rows"] == 1
    assert "BAD_TIME" in out.read_text()
    assert call(capsys, "quarantine", "retry", *NOW)["still_quarantined"] == 1
    assert main(["ingest", str(file), *NOW]) == EXIT_OK  # the table, a second time: nothing new


def test_bad_files_and_words_are_told_in_one_sentence(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(HEADER.replace("posted_at", "when") + GOOD)
    assert main(["ingest", str(file)]) == EXIT_BAD_INPUT
    message = capsys.readouterr().err
    assert "f.csv was not taken: there is no column for posted_at" in message
    assert main(["ingest", str(file), "--profile", "nonesuch"]) == EXIT_BAD_INPUT
    assert "sample" in capsys.readouterr().err
    assert main(["ingest", str(file), "--now", "soon"]) == EXIT_BAD_INPUT
    assert main(["quarantine", "show", "zzz"]) == EXIT_BAD_INPUT

"""``audit`` as a person calls it, and ``ingest`` from a collection."""

import json
from pathlib import Path

import psycopg
import pytest
from pymongo import MongoClient

from adapters.db.engine import psycopg_dsn
from cli.main import main
from cli.output import EXIT_BAD_INPUT, EXIT_FAILURE, EXIT_NOT_RUNNING, EXIT_OK

pytestmark = pytest.mark.integration

HEADER = "kind,source_message_id,advisor_id,posted_at,category,symbol,side,entry_low,stoploss,targets\n"
NOW = ("--now", "2025-07-01T08:00:00+05:30")


@pytest.fixture
def file(tmp_path: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROPDESK_POSTGRES_URL", pg_url)
    monkeypatch.setenv("PROPDESK_HOME", str(tmp_path / "home"))
    path = tmp_path / "f.csv"
    lines = [f"SIGNAL,m{n},A{n},2025-01-02T09:2{n}:00+05:30,NSE_EQ,TCS,BUY,100,95,110" for n in range(3)]
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return path


def call(capsys: pytest.CaptureFixture[str], *words: str, code: int = EXIT_OK) -> dict[str, object]:
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_the_log_is_verified_shown_and_a_forgery_found(
    file: Path, pg_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, "ingest", str(file), *NOW)
    whole = call(capsys, "audit", "verify")
    assert whole["is_whole"] is True
    heads = file.with_name("heads.json")
    heads.write_text(json.dumps(whole))
    assert main(["audit", "verify", "--heads", str(heads)]) == EXIT_OK

    conduct = call(capsys, "audit", "advisors")["advisors"]
    assert isinstance(conduct, list)
    assert [(row["advisor_id"], row["ideas"], row["deleted"]) for row in conduct] == [
        ("A0", 1, 0),
        ("A1", 1, 0),
        ("A2", 1, 0),
    ]
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        record = connection.execute("SELECT record_id FROM raw.signal_log WHERE seq = 1").fetchone()
        assert record is not None
        shown = call(capsys, "audit", "signal", record[0])["versions"]
        assert isinstance(shown, list)
        assert shown[0]["change"] == "POSTED"
        assert main(["audit", "signal", record[0]]) == EXIT_OK
        connection.execute("ALTER TABLE raw.signal_log DISABLE TRIGGER append_only")
        connection.execute("UPDATE raw.signal_log SET claimed_at = claimed_at - interval '1 h' WHERE seq = 2")
    broken = call(capsys, "audit", "verify", code=EXIT_FAILURE)
    assert broken["is_whole"] is False
    verdicts = broken["verdicts"]
    assert isinstance(verdicts, list)
    assert [one["broken"]["row"] for one in verdicts if one["broken"]] == ["seq 2"]
    assert main(["audit", "verify"]) == EXIT_FAILURE
    assert "seq 2" in capsys.readouterr().out


def test_wrong_words_are_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "signal", "nobody"]) == EXIT_BAD_INPUT
    assert main(["audit", "verify", "--heads", str(file)]) == EXIT_BAD_INPUT
    assert main(["ingest"]) == EXIT_BAD_INPUT
    assert main(["ingest", str(file), "--mongo", "x"]) == EXIT_BAD_INPUT
    assert main(["ingest", str(file), "--from", "2025-01-01"]) == EXIT_BAD_INPUT
    assert main(["ingest", "--mongo", "x", "--from", "2025-01-01"]) == EXIT_BAD_INPUT
    assert main(["ingest", "--mongo", "x"]) == EXIT_NOT_RUNNING
    assert "PROPDESK_MONGO_URL" in capsys.readouterr().err


def test_a_collection_is_ingested_from_the_command_line(
    file: Path,
    mongo_url: str,
    mongo_database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PROPDESK_MONGO_URL", mongo_url)
    monkeypatch.setenv("PROPDESK_MONGO_DATABASE", mongo_database)
    values = ["SIGNAL", "x1", "A1", "2025-01-02T09:20:00+05:30", "NSE_EQ", "TCS", "BUY", "100", "95", "110"]
    with MongoClient(mongo_url) as client:
        client[mongo_database]["calls"].insert_one(dict(zip(HEADER.strip().split(","), values, strict=True)))
    days = ("--from", "2025-01-02", "--to", "2025-01-02")
    assert call(capsys, "ingest", "--mongo", "calls", *days, *NOW)["rows_accepted"] == 1
    followed = call(capsys, "ingest", "--mongo", "calls", *NOW)
    assert (followed["rows_accepted"], followed["rows_duplicate"]) == (0, 1)
    assert main(["ingest", "--mongo", "calls", *NOW]) == EXIT_OK

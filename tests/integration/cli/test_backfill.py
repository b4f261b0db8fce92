"""`propdesk backfill` on a real database, its run played by hand."""

import json
from datetime import date

import psycopg
import pytest

import cli.backfill
from adapters.db.engine import psycopg_dsn
from adapters.settings import Settings
from cli.main import main
from orchestration import launch
from orchestration.launch import RunState
from tests.support.main_job import settings_variables

pytestmark = pytest.mark.integration
DAY, NEXT, OUTSIDE = date(2025, 6, 2), date(2025, 6, 3), date(2025, 6, 4)


@pytest.fixture
def desk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A system whose Dagster takes every run and ends it at once, well."""
    for name, value in settings_variables(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cli.backfill, "running_webserver", lambda: "http://127.0.0.1:1")
    monkeypatch.setattr(launch, "launch_range", lambda *_: "a-run")
    done = RunState("a-run", "SUCCESS", (), 1.0, 2.0)
    monkeypatch.setattr(launch, "wait_for", lambda *_: done)
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        connection.execute("TRUNCATE research.trade_marks")
    return settings


def mark(settings: Settings, *rows: tuple[date, str, int]) -> None:
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        for day, name, close in rows:
            connection.execute(
                "INSERT INTO research.trade_marks VALUES (%s, %s, %s, %s, 0)", (day, name, day, close)
            )


def printed(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, dict[str, object]]:
    assert main(["backfill", str(DAY), str(NEXT), "--json", *more]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "SUCCESS"
    tables: dict[str, dict[str, object]] = told["tables"]
    return tables


def test_equal_rows_give_equal_hashes_whatever_lies_outside(
    desk: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    mark(desk, (DAY, "a", 1), (NEXT, "b", 2))
    first = printed(capsys)
    assert {"raw.raw_signals", "research.trades", "research.group_metrics", "ref.regimes"} <= set(first)
    assert not {"research.quality_results", "raw.landed_rows", "ref.readiness"} & set(first)
    assert first["research.trade_marks"]["rows"] == 2
    with psycopg.connect(psycopg_dsn(desk.database_url())) as connection:
        connection.execute("TRUNCATE research.trade_marks")
    mark(desk, (NEXT, "b", 2), (OUTSIDE, "c", 3), (DAY, "a", 1))
    assert printed(capsys) == first
    mark(desk, (NEXT, "d", 1))
    changed = printed(capsys)
    assert {name for name in first if first[name] != changed[name]} == {"research.trade_marks"}


def test_one_changed_value_changes_the_hash(desk: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    mark(desk, (DAY, "a", 1))
    first = printed(capsys)["research.trade_marks"]
    with psycopg.connect(psycopg_dsn(desk.database_url())) as connection:
        connection.execute("UPDATE research.trade_marks SET close_paise = 2")
    second = printed(capsys)["research.trade_marks"]
    assert first["rows"] == second["rows"] == 1
    assert first["hash"] != second["hash"]


def test_hashes_may_be_left_out(desk: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--no-hashes") == {}
    assert main(["backfill", str(DAY), str(NEXT)]) == 0
    assert "research.trades" in capsys.readouterr().out

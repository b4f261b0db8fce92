"""The daemon as a real process: killed, stopped, doubled, its MongoDB taken away."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pymongo import MongoClient

from adapters.db.engine import psycopg_dsn
from adapters.db.repos.report import DayReport
from adapters.settings import CLONE_ROOT, Settings
from runtime.servers import ServerSet
from tests.support.daemon_day import DAY, write_documents
from tests.support.warm import warm_python
from trading_daemon.main import RunResult

pytestmark = [pytest.mark.integration, pytest.mark.slow]

Replay = Callable[..., RunResult]
Report = Callable[[], DayReport]
START_S = 60.0


class Process:
    """One `propdesk` process on the test's servers."""

    def __init__(self, env_file: Path, log: Path, words: tuple[str, ...], account: str | None) -> None:
        values = dict(line.split("=", 1) for line in env_file.read_text(encoding="utf-8").splitlines())
        if account is not None:
            values["PROPDESK_ACCOUNT_ID"] = account
        self.log = log
        self._sink = log.open("a", encoding="utf-8")
        self.popen = subprocess.Popen(
            [*warm_python(), "-m", "cli", *words],
            cwd=CLONE_ROOT,
            env={**os.environ, **values},
            stdout=self._sink,
            stderr=self._sink,
        )

    def end(self, number: int) -> int:
        """Send a signal and wait."""
        self.popen.send_signal(number)
        code = self.popen.wait(timeout=30)
        self._sink.close()
        return code


@pytest.fixture
def start(env_file: Path, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start processes; whatever still runs at the end is killed."""
    started: list[Process] = []

    def run(*words: str, account: str | None = None) -> Process:
        process = Process(env_file, tmp_path / f"process{len(started)}.log", words, account)
        started.append(process)
        return process

    yield run
    for process in started:
        if process.popen.poll() is None:
            process.end(signal.SIGKILL)


def _wait(condition: Callable[[], bool], what: str, process: Process | None = None) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > deadline:
            said = "" if process is None else process.log.read_text(encoding="utf-8")[-2000:]
            pytest.fail(f"waited in vain for {what}: {said}")
        if process is not None and process.popen.poll() is not None:
            pytest.fail(f"the process ended: {process.log.read_text(encoding='utf-8')[-2000:]}")
        signal.sigtimedwait([], 0.02)


def _count(settings: Settings, statement: str, *values: object) -> int:
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        row = connection.execute(statement.encode(), values).fetchone()
    return int(row[0]) if row else 0


def _rows(settings: Settings, after_epoch: int = 0) -> int:
    """Journal rows of processes that took the lead after an epoch."""
    statement = "SELECT count(*) FROM trading.journal WHERE account_id = %s AND epoch > %s"
    return _count(settings, statement, settings.account_id, after_epoch)


def _epoch(settings: Settings) -> int:
    statement = "SELECT max(epoch) FROM trading.leader_epochs WHERE account_id = %s"
    return _count(settings, statement, settings.account_id)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "asked-to-end"])
def test_ended_at_any_moment_the_day_ends_with_the_same_trades(
    number: int,
    replay: Replay,
    report: Report,
    daemon_settings: Settings,
    documents: list[dict[str, object]],
    start: Callable[..., Process],
    tmp_path: Path,
) -> None:
    unharmed = replay(fresh=True)
    expected = report()
    file = write_documents(tmp_path / "signals.jsonl", documents)
    replay(fresh=True, signals=documents[:1])  # leaves a finished day that --fresh must forget
    before = _epoch(daemon_settings)
    words = ("trade", "--replay", DAY.isoformat(), "--signals", str(file), "--json")
    first = start(*words, "--fresh")
    _wait(lambda: 20 < _rows(daemon_settings, before) < 350, "the first rows", first)
    first.end(number)
    for share in (0.4, 0.75):
        again = start(*words)
        reached = int(share * unharmed.journal_rows)
        _wait(lambda reached=reached: _rows(daemon_settings) >= reached, "more rows", again)
        again.end(number)
    last = start(*words)
    assert last.popen.wait(timeout=90) == 0
    assert report() == expected
    printed = json.loads(last.log.read_text(encoding="utf-8").splitlines()[-1])
    assert printed["journal_hash"] == unharmed.chain_hash
    assert printed["is_done"] is True


def test_mongodb_killed_during_the_day_loses_and_doubles_nothing(
    replay: Replay,
    report: Report,
    daemon_settings: Settings,
    documents: list[dict[str, object]],
    start: Callable[..., Process],
    servers: ServerSet,
    tmp_path: Path,
) -> None:
    unharmed = replay(fresh=True)
    expected = report()
    file = write_documents(tmp_path / "signals.jsonl", documents)
    replay(fresh=True, signals=documents[:1])
    before = _epoch(daemon_settings)
    process = start(
        "trade", "--replay", DAY.isoformat(), "--signals", str(file), "--fresh", "--json", "--speed", "4000"
    )
    _wait(lambda: 60 < _rows(daemon_settings, before) < 400, "the day to be under way", process)
    killed = _kill_mongod(servers)
    assert process.popen.wait(timeout=120) == 0, process.log.read_text(encoding="utf-8")[-2000:]
    assert _mongod_pid(servers) != killed
    assert report() == expected
    printed = json.loads(process.log.read_text(encoding="utf-8").splitlines()[-1])
    assert printed["journal_hash"] == unharmed.chain_hash


def test_a_live_daemon_takes_signals_refuses_a_second_one_and_ends_in_time(
    daemon_settings: Settings, start: Callable[..., Process]
) -> None:
    settings = daemon_settings.model_copy(update={"account_id": "live-one"})
    process = start("trade", account=settings.account_id)
    beats = "SELECT count(*) FROM trading.heartbeats WHERE account_id = %s"
    _wait(lambda: _count(settings, beats, settings.account_id) == 1, "a heartbeat", process)
    with MongoClient[dict[str, Any]](settings.mongo_dsn()) as client:
        collection = client[settings.mongo_database][settings.mongo_collection]
        collection.insert_one(_document("now-1"))
        stored = "SELECT count(*) FROM trading.inbox WHERE account_id = %s AND journal_seq IS NOT NULL"
        _wait(lambda: _count(settings, stored, settings.account_id) == 1, "the signal", process)
    second = start("trade", account=settings.account_id)
    assert second.popen.wait(timeout=60) == 1
    assert "already runs" in second.log.read_text(encoding="utf-8")
    begun = time.monotonic()
    assert process.end(signal.SIGTERM) == 0
    assert time.monotonic() - begun < 10
    decided = "SELECT count(*) FROM trading.decisions WHERE account_id = %s"
    assert _count(settings, decided, settings.account_id) == 1
    sent = "SELECT count(*) FROM trading.order_intents WHERE account_id = %s"
    assert _count(settings, sent, settings.account_id) == 0, "a day without pre-market trades nothing"


def test_a_history_that_is_lost_is_read_again_by_query(
    daemon_settings: Settings, start: Callable[..., Process]
) -> None:
    settings = daemon_settings.model_copy(update={"account_id": "live-two"})
    with MongoClient[dict[str, Any]](settings.mongo_dsn()) as client:
        collection = client[settings.mongo_database][settings.mongo_collection]
        token = _token_of_another_stream(client[settings.mongo_database]["elsewhere"])
        collection.insert_many([_document(f"old-{n}") for n in range(3)])
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        connection.execute(
            "INSERT INTO trading.resume_tokens (account_id, source, token, updated_at) VALUES (%s, %s, "
            "%s, now()) "
            "ON CONFLICT (account_id, source) DO UPDATE SET token = EXCLUDED.token",
            (
                settings.account_id,
                f"mongo:{settings.mongo_database}.{settings.mongo_collection}",
                json.dumps({"data": token}),
            ),
        )
    process = start("trade", account=settings.account_id)
    stored = (
        "SELECT count(*) FROM trading.inbox WHERE account_id = %s "
        "AND document ->> 'source_message_id' LIKE 'old-%%'"
    )
    _wait(lambda: _count(settings, stored, settings.account_id) == 3, "the re-read", process)
    assert process.end(signal.SIGTERM) == 0
    assert "signal_history_lost" in process.log.read_text(encoding="utf-8")


def _token_of_another_stream(collection: Any) -> str:
    """A token the server cannot find in our stream, as after its history was cut."""
    with collection.watch() as stream:
        collection.insert_one({"n": 1})
        return str(next(stream)["_id"]["_data"])


def _document(message_id: str) -> dict[str, Any]:
    return {
        "kind": "SIGNAL",
        "source": "test",
        "source_message_id": message_id,
        "advisor_id": "A01",
        "advisor_name": "Test Advisor",
        "posted_at": "2025-07-01T09:20:00+05:30",
        "category": "NSE_EQ",
        "symbol": "TSTA",
        "side": "BUY",
        "entry_type": "MARKET",
        "stoploss": "400.00",
        "targets": "600.00",
        "period": "INTRADAY",
    }


def _mongod_pid(servers: ServerSet) -> int | None:
    pids = {status.name: status.pid for status in servers.supervisor.status()}
    return pids.get("mongod")


def _kill_mongod(servers: ServerSet) -> int:
    pid = _mongod_pid(servers)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid

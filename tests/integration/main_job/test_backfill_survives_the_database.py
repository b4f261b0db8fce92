"""PostgreSQL killed in the middle of a backfill: a clear failure, no halves, the same bytes from a re-run."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from adapters.db.engine import psycopg_dsn
from adapters.db.migrate import upgrade
from adapters.settings import Settings
from runtime.home import Home
from runtime.process import wait_until
from runtime.servers import DATABASE, OWNER, ServerSet
from tests.support.main_job import Backfilled, Backfiller, print_tables
from tests.support.sample import take_sample

FIRST, LAST, REPLAYED = date(2025, 4, 1), date(2025, 4, 11), date(2025, 4, 15)
UNTOUCHED = "untouched"
WAIT_S = 180

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Desk:
    """Servers of this module's own, with an ingested sample."""

    servers: ServerSet
    settings: Settings
    folder: Path

    def tables(self) -> dict[str, tuple[int, str]]:
        """Give the tables as they are now."""
        return print_tables(self.settings.database_url(), ("raw", "research", "ref", "marts"))


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    # Servers run as another account, which cannot enter pytest's private folders.
    folder = Path(tempfile.mkdtemp(prefix="propdesk-killed-"))
    folder.chmod(0o755)
    home = Home(folder / "home")
    elsewhere = Settings(
        _env_file=None, home=home.path, redis_url="redis://127.0.0.1:1/0", mongo_url="mongodb://127.0.0.1:1"
    )
    try:
        with ServerSet(home, elsewhere, postgres_options={"shared_buffers": "64MB"}) as servers:
            settings = Settings(
                _env_file=None,
                home=home.path,
                postgres_url=servers.postgres_url,
                postgres_pipeline_url=servers.role_url("propdesk_pipeline"),
                postgres_daemon_url=servers.role_url("propdesk_daemon"),
                postgres_reader_url=servers.role_url("propdesk_reader"),
            )
            upgrade(settings.database_url())
            take_sample(settings, folder / "sample", (FIRST, LAST, REPLAYED), per_day=40)
            with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
                copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
                connection.execute(copy.format(*map(sql.Identifier, (UNTOUCHED, DATABASE, OWNER))))
            yield Desk(servers, settings, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgres_pid(servers: ServerSet) -> int:
    found = next(s.pid for s in servers.supervisor.status() if s.name == "postgres")
    assert found is not None
    return found


def waits_for_lock(servers: ServerSet) -> bool:
    """Whether a session of the pipeline stands before a lock that another one holds."""
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'propdesk-pipeline' "
            "AND wait_event_type = 'Lock'"
        ).fetchone()
    return found is not None


def answers(servers: ServerSet, old: int) -> bool:
    """Whether the supervisor has brought another PostgreSQL up."""
    if next(s.pid for s in servers.supervisor.status() if s.name == "postgres") in (None, old):
        return False
    try:
        with psycopg.connect(servers.superuser_dsn, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def kill_while_writing(desk: Desk, steps: Backfiller, table: sql.Identifier) -> Backfilled:
    """Backfill, and kill the server once the step that writes ``table`` has written all before it."""
    old = postgres_pid(desk.servers)
    with psycopg.connect(psycopg_dsn(desk.settings.database_url())) as holder:
        holder.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table))
        steps.begin(FIRST, LAST)
        assert wait_until(lambda: waits_for_lock(desk.servers) or steps.has_answered(), WAIT_S)
        assert not steps.has_answered(), steps.answer()
        os.kill(old, signal.SIGKILL)
        done = steps.answer()
        # The connection died with the server: there is nothing to commit.
        holder.close()
    assert wait_until(lambda: answers(desk.servers, old), 60)
    return done


def swap_databases(servers: ServerSet) -> None:
    """Put the untouched copy in the place of the database."""
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        connection.execute(rename.format(sql.Identifier(DATABASE), sql.Identifier("disturbed")))
        connection.execute(rename.format(sql.Identifier(UNTOUCHED), sql.Identifier(DATABASE)))


def test_a_killed_database_fails_the_run_and_a_new_one_gives_the_same_bytes(desk: Desk) -> None:
    before = desk.tables()
    with Backfiller(desk.settings, desk.folder / "disturbed.log") as steps:
        first = kill_while_writing(desk, steps, sql.Identifier("research", "trade_marks"))

        assert not first.success
        ((step, words),) = first.failures.items()
        assert step == "step_5_trades"
        assert "went away before the work was stored" in words
        assert "repeat the work" in words
        after = desk.tables()
        written = {name for name, found in after.items() if found != before[name]}
        assert "research.resolved_signals" in written, "steps 1 to 4 are committed"
        halves = ("trades", "trade_legs", "trade_marks", "outcome_audit")
        assert [after[f"research.{name}"][0] for name in halves] == [0, 0, 0, 0], "step 5 came in halves"

        again = steps.run(FIRST, LAST)
        assert (again.success, again.failures) == (True, {})
        assert again.tables["research.trades"][0] > 200
        assert again.tables["marts.mini_rules"][0] > 0

        second = kill_while_writing(desk, steps, sql.Identifier("ref", "gate_thresholds"))
        assert list(second.failures) == ["step_8_group_metrics"]
        left = print_tables(desk.settings.database_url())
        assert {name for name, found in left.items() if found != again.tables[name]} == set()

    swap_databases(desk.servers)
    with Backfiller(desk.settings, desk.folder / "undisturbed.log") as steps:
        undisturbed = steps.run(FIRST, LAST)
    assert undisturbed.success
    assert undisturbed.tables == again.tables

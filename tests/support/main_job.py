"""The main job in tests: the nine steps over a range in a process of their own, and prints of the tables.

As a program (``python -m tests.support.main_job``) it reads ranges, ``FIRST LAST`` a line, and backfills one
after the other with the project's own assets and resources, as a run would, but without a webserver or a
queue. Settings come from the environment. Standard output holds one JSON object per range.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import date
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import sql

from adapters.db.engine import psycopg_dsn
from adapters.settings import CLONE_ROOT, ENV_PREFIX, Settings, load_settings
from orchestration.processes import dagster_environment
from tests.support.warm import warm_python

BACKFILL_LIMIT_S: Final = 600
COMMAND_LIMIT_S: Final = 120
PRINTED_SCHEMAS: Final = ("research", "ref", "marts")
_OF_THE_DAEMON: Final = ("readiness", "rulesets", "ruleset_rules")
"""Tables of ``ref`` that pre-market writes, with the moment of writing."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What became of one range: whether it ended well, each failed step's words, tables after it."""

    success: bool
    failures: dict[str, str]
    tables: dict[str, tuple[int, str]]


def environment(settings: Settings) -> dict[str, str]:
    """Give a child process the servers and places of these settings, and no other setting."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    values = dagster_environment(settings.dagster_home, settings) | settings_variables(settings)
    return {**ours, **values, "DAGSTER_HOME": "", "MPLBACKEND": "Agg"}


def settings_variables(settings: Settings) -> dict[str, str]:
    """Give the variables that name the servers and places of these settings."""
    dagster = settings.dagster_postgres_url
    values = {
        "HOME": str(settings.home),
        "PRICE_STORE_URL": settings.price_store_url,
        "POSTGRES_URL": settings.database_url(),
        "POSTGRES_PIPELINE_URL": settings.database_url("pipeline"),
        "POSTGRES_DAEMON_URL": settings.database_url("daemon"),
        "POSTGRES_READER_URL": settings.database_url("reader"),
        "DAGSTER_POSTGRES_URL": "" if dagster is None else settings.dagster_database_url(),
        "FIRST_DAY": settings.first_day.isoformat(),
        "REDIS_URL": "" if settings.redis_url is None else settings.redis_dsn(),
        "MONGO_URL": "" if settings.mongo_url is None else settings.mongo_dsn(),
        "MONGO_DATABASE": settings.mongo_database,
        "LOG_LEVEL": "error",
    }
    return {ENV_PREFIX + name: value for name, value in values.items() if value}


class Backfiller:
    """A process that backfills one range after the other, as asked.

    Parameters
    ----------
    settings : Settings
        Servers and places.
    log : Path
        Takes what the process says.

    Notes
    -----
    A context manager; its end ends the process.
    """

    def __init__(self, settings: Settings, log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*warm_python(), "-m", "tests.support.main_job"],
                cwd=CLONE_ROOT, env=environment(settings), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self, first: date, last: date) -> None:
        """Start the nine steps over a range; `answer` waits for their end."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{first} {last}\n")
        self._process.stdin.flush()

    def has_answered(self) -> bool:
        """Whether the range has ended, or the process has."""
        return self._is_readable(0.0)

    def answer(self) -> Backfilled:
        """Wait for the end of the range."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline() if self._is_readable(BACKFILL_LIMIT_S) else ""
        if not line:
            tail = "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
            raise AssertionError(f"the backfill gives no answer:\n{tail}")
        found = json.loads(line)
        tables = {name: (rows, digest) for name, (rows, digest) in found["tables"].items()}
        return Backfilled(found["success"], found["failures"], tables)

    def run(self, first: date, last: date) -> Backfilled:
        """Run the nine steps over a range."""
        self.begin(first, last)
        return self.answer()

    def _is_readable(self, seconds: float) -> bool:
        return bool(select.select([self._process.stdout], [], [], seconds)[0])


def run_command(*words: str) -> tuple[int, dict[str, Any]]:
    """Run one command in this process with ``--json``; gives its exit code and its answer.

    The environment must hold `settings_variables` already.
    """
    from cli.main import main

    told = StringIO()
    with redirect_stdout(told):
        code = main([*words, "--json"])
    answer: dict[str, Any] = json.loads(told.getvalue()) if told.getvalue() else {}
    return code, answer


def call_process(
    words: Sequence[str],
    variables: Mapping[str, str],
    prefix: Sequence[str] = (),
    *,
    limit_s: float = COMMAND_LIMIT_S,
) -> "subprocess.CompletedProcess[str]":
    """Run ``propdesk`` as a process, as a person would: a fork of a warm one, or after a ``prefix`` anew."""
    python = [*prefix, sys.executable] if prefix else warm_python()
    return subprocess.run(
        [*python, "-m", "cli", *words],
        cwd=CLONE_ROOT, env=dict(variables), capture_output=True, text=True, timeout=limit_s,
        check=False,
    )  # fmt: skip


def print_tables(url: str, schemas: Sequence[str] = PRINTED_SCHEMAS) -> dict[str, tuple[int, str]]:
    """Give number of rows and digest of every table of some schemas, by name.

    The digest is over whole rows in a total order. Ids of Dagster's runs are left out: each run has its own.
    """
    with psycopg.connect(psycopg_dsn(url)) as connection:
        names = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables "
            "WHERE (table_type = 'BASE TABLE' OR table_schema = 'marts') "
            "AND table_schema = ANY(%s) AND table_name <> ALL(%s)",
            (list(schemas), list(_OF_THE_DAEMON)),
        ).fetchall()
        return {f"{s}.{t}": _print_table(connection, s, t) for s, t in sorted(names)}


def _print_table(
    connection: "psycopg.Connection[tuple[Any, ...]]", schema: str, table: str
) -> tuple[int, str]:
    query = sql.SQL(
        "SELECT count(*), coalesce(md5(string_agg(line, '' ORDER BY line COLLATE \"C\")), '') "
        "FROM (SELECT md5((to_jsonb(t) - 'run_id')::text) AS line FROM {} AS t) AS lines"
    ).format(sql.Identifier(schema, table))
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


def _backfill(settings: Settings, first: str, last: str) -> dict[str, object]:
    from dagster import DagsterInstance, materialize

    from assets._shared.resources import Database, Market
    from orchestration.definitions import STEPS
    from orchestration.launch import RANGE_END, RANGE_START

    with DagsterInstance.ephemeral() as instance:
        result = materialize(
            STEPS,
            instance=instance,
            resources={"database": Database(settings), "market": Market(settings), "settings": settings},
            tags={RANGE_START: first, RANGE_END: last},
            raise_on_error=False,
        )
    failures: dict[str, str] = {}
    for event in result.filter_events(lambda event: event.is_step_failure):
        error = event.step_failure_data.error
        # Around the step's error stands one of Dagster's own.
        inner = None if error is None else error.cause or error
        failures[str(event.step_key)] = "" if inner is None else inner.message
    tables = print_tables(settings.database_url()) if result.success else {}
    return {"success": result.success, "failures": failures, "tables": tables}


def main() -> int:
    """Backfill each range that standard input names and print what became of it."""
    import orchestration.preload  # noqa: F401  as the process that runs are forked from

    settings = load_settings(runtime=False)
    for line in sys.stdin:
        first, last = line.split()
        with redirect_stdout(sys.stderr):  # libraries print too
            done = _backfill(settings, first, last)
        sys.stdout.write(json.dumps(done) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

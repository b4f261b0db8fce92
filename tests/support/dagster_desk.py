"""Dagster's own processes over a small sample: what `up` runs, in a home of the tests."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from pydantic import SecretStr

from adapters.db.engine import psycopg_dsn
from adapters.settings import Settings
from cli.processes import DAGSTER_NAMES, dagster_specs
from runtime.home import Home
from runtime.servers import DAGSTER_ROLE, ServerSet, create_database
from runtime.supervisor import Supervisor, claim
from tests.support.main_job import call_process, environment, print_tables, settings_variables
from tests.support.sample import make_sample, take_in

START_S: Final = 600.0
BACKFILL_S: Final = 900.0
"""Limits of a machine under many times its load; an idle one takes some twenty seconds for each."""
FIRST, LAST, NEXT, AFTER = date(2025, 4, 1), date(2025, 4, 11), date(2025, 4, 15), date(2025, 4, 16)
"""Days that are backfilled, and the next market day, whose signals wait in a file of their own."""
PER_DAY: Final = 40


@dataclass(frozen=True, slots=True)
class Desk:
    """A small running system.

    Parameters
    ----------
    address : str
        Of Dagster's pages.
    settings : Settings
    waiting : Path
        CSV with the signals of the day `NEXT`, which nobody has taken in.
    backfill : dict
        What ``propdesk backfill --json`` told.
    """

    address: str
    settings: Settings
    waiting: Path
    backfill: dict[str, Any]

    def tables(self) -> dict[str, tuple[int, str]]:
        """Give rows and digest of every table that the steps write."""
        return print_tables(self.settings.database_url())

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(psycopg_dsn(self.settings.database_url())) as connection:
            return connection.execute(query, values).fetchall()


@contextmanager
def dagster_database(servers: ServerSet, name: str) -> Iterator[SecretStr]:
    """Give the address of an empty database for Dagster's own tables."""
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        create_database(connection, name, DAGSTER_ROLE)
    yield SecretStr(servers.role_url(DAGSTER_ROLE, name).replace("+psycopg:", "+psycopg2:"))
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running_desk(settings: Settings) -> Iterator[Desk]:
    """Start Dagster, take a sample in, backfill it by the command, and stop everything at the end.

    Parameters
    ----------
    settings : Settings
        With addresses of everything, and a home that exists not yet.
    """
    home = Home(settings.home)
    home.create()
    claim(home, os.getpid())
    supervisor = Supervisor(home)
    specs, address = dagster_specs(home, settings)
    ours = settings_variables(settings)
    try:
        for spec in specs:
            supervisor.launch(replace(spec, env={**spec.env, **ours}, ready_timeout_s=START_S))
        # It comes up while the sample is made.
        folder = settings.home / "sample"
        files = make_sample(settings, folder, (FIRST, NEXT, AFTER), PER_DAY)
        past, waiting = split_by_day(files.signals, NEXT)
        take_in(settings, files.instruments, past, FIRST)
        for name in DAGSTER_NAMES:
            supervisor.wait_ready(name)
        yield Desk(address, settings, waiting, _backfill(settings))
    finally:
        supervisor.stop_all()


def split_by_day(signals: Path, day: date) -> tuple[Path, Path]:
    """Split a CSV of signals into what was posted before a day (IST), and on it or later."""
    with signals.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = signals.with_name("past.csv"), signals.with_name("waiting.csv")
    for part, is_late in zip(parts, (False, True), strict=True):
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(r for r in rows if (r["posted_at"][:10] >= day.isoformat()) is is_late)
    return parts


def _backfill(settings: Settings) -> dict[str, Any]:
    words = ["backfill", FIRST.isoformat(), LAST.isoformat(), "--json"]
    done = call_process(words, environment(settings), limit_s=BACKFILL_S)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told

"""Runs whose processes died with the machine or with `up`: told to Dagster, so that they block nothing."""

from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy.engine import make_url

from adapters.settings import Settings

_ALIVE: Final = ("STARTING", "STARTED", "CANCELING")
_TABLE: Final = "SELECT to_regclass('runs') IS NOT NULL"
_RUNS: Final = "SELECT run_id FROM runs WHERE status = ANY(%s)"


def fail_left_behind(dagster_home: Path, settings: Settings) -> list[str]:
    """Record as failed what an ended system has left as running.

    Dagster would wait for such a run as long as it may run, and its place in the pool with it. Call it
    only while no process of this instance runs.

    Parameters
    ----------
    dagster_home : Path
        Instance folder, already written.
    settings : Settings
        Names the instance's database.

    Returns
    -------
    list of str
        Ids of the runs; re-executing them from the page, or launching the range again, finishes their work.
    """
    address = make_url(settings.dagster_database_url()).set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False)) as connection:
        if connection.execute(_TABLE).fetchone() != (True,):
            return []
        left = [str(row[0]) for row in connection.execute(_RUNS, (list(_ALIVE),))]
    if left:
        _report(dagster_home, left)
    return left


def _report(dagster_home: Path, run_ids: list[str]) -> None:
    from dagster import DagsterInstance  # seconds to import, and seldom needed

    with DagsterInstance.from_config(str(dagster_home)) as instance:
        for run_id in run_ids:
            run = instance.get_run_by_id(run_id)
            if run is not None:
                instance.report_run_failed(run, "The system was stopped while this run was at work.")

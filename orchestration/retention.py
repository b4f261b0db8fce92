"""Forget old runs without forgetting what they materialised.

Dagster has no such call: deleting a run deletes its materialisations, and with them the knowledge of which
days are filled. So the talkative events go by SQL, then the run itself; materialisations, observations and
check results stay.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import and_, delete, not_, or_

KEPT: Final = (
    DagsterEventType.ASSET_MATERIALIZATION.value,
    DagsterEventType.ASSET_OBSERVATION.value,
    DagsterEventType.ASSET_CHECK_EVALUATION.value,
)
RUNS_A_TIME: Final = 200
_OVER: Final = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge removed.

    Parameters
    ----------
    runs, events, planned_checks, folders : int
        Counts.
    """

    runs: int
    events: int
    planned_checks: int
    folders: int


def purge_runs(instance: DagsterInstance, before: datetime, folders: Sequence[Path]) -> Purged:
    """Remove ended runs that were last updated before a moment, but not what they materialised.

    Parameters
    ----------
    instance : DagsterInstance
        With an event log in a database.
    before : datetime
        Aware; runs that ended later stay whole.
    folders : sequence of Path
        Each may hold one subfolder per run (compute logs, intermediate files), which goes too.

    Returns
    -------
    Purged
        What went.
    """
    total = Purged(0, 0, 0, 0)
    while True:
        records = instance.get_run_records(
            RunsFilter(statuses=_OVER, updated_before=before), limit=RUNS_A_TIME
        )
        if not records:
            return total
        ids = [record.dagster_run.run_id for record in records]
        events, checks = _delete_events(instance, ids)
        for run_id in ids:
            instance.run_storage.delete_run(run_id)
        gone = sum(_remove(folder / run_id) for folder in folders for run_id in ids)
        total = Purged(
            total.runs + len(ids), total.events + events, total.planned_checks + checks, total.folders + gone
        )


def _delete_events(instance: DagsterInstance, run_ids: Sequence[str]) -> tuple[int, int]:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0, 0
    log, checks = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
    chatter = and_(
        log.run_id.in_(run_ids), or_(log.dagster_event_type.is_(None), not_(log.dagster_event_type.in_(KEPT)))
    )
    stuck = and_(checks.run_id.in_(run_ids), checks.execution_status == "PLANNED")
    with (
        storage.index_transaction()
        if hasattr(storage, "index_transaction")
        else storage.index_connection() as c
    ):
        events = c.execute(delete(SqlEventLogStorageTable).where(chatter)).rowcount
        planned = c.execute(delete(AssetCheckExecutionsTable).where(stuck)).rowcount
    return events, planned


def _remove(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    return 1

"""What `orchestration.storage` relies on in Dagster's private storage API, on a real PostgreSQL."""

import itertools
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetKey,
    BackfillPolicy,
    DagsterInstance,
    DailyPartitionsDefinition,
    MaterializeResult,
    asset,
    materialize,
)
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from pydantic import SecretStr

from adapters.settings import Settings
from orchestration.instance import write_dagster_yaml
from orchestration.retention import purge_runs
from orchestration.storage import BatchingEventLogStorage
from runtime.servers import OWNER, ServerSet, create_database

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::Warning:dagster")]

DAYS = DailyPartitionsDefinition("2025-01-01", end_date="2025-03-01", timezone="Asia/Kolkata")
NUMBERS = itertools.count(1)
RANGE = {
    "dagster/asset_partition_range_start": "2025-01-01",
    "dagster/asset_partition_range_end": "2025-01-10",
}


@asset(
    partitions_def=DAYS,
    backfill_policy=BackfillPolicy.single_run(),
    check_specs=[AssetCheckSpec("quality", asset="table", blocking=True)],
)
def table() -> MaterializeResult:
    return MaterializeResult(check_results=[AssetCheckResult(check_name="quality", passed=True)])


@pytest.fixture
def instance(
    servers: ServerSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DagsterInstance]:
    # A process looks for Dagster's tables once per database: each test has a database of its own name.
    name = f"dagster_storage_test_{next(NUMBERS)}"
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        create_database(connection, name, OWNER)
    url = servers.role_url(OWNER, name).replace("+psycopg:", "+psycopg2:")
    settings = Settings(_env_file=None, home=tmp_path, dagster_postgres_url=SecretStr(url))
    write_dagster_yaml(tmp_path, settings)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    with DagsterInstance.get() as running:
        yield running
        storage = running.event_log_storage
        assert isinstance(storage, BatchingEventLogStorage)
        storage._engine.dispose()
    with psycopg.connect(servers.superuser_dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def counts(instance: DagsterInstance) -> dict[str, int]:
    storage = instance.event_log_storage
    assert isinstance(storage, BatchingEventLogStorage)
    kind = SqlEventLogStorageTable.c.dagster_event_type
    with storage.index_connection() as connection:
        return dict(connection.execute(sa.select(kind, sa.func.count()).group_by(kind)).fetchall())


def check_rows(instance: DagsterInstance) -> list[tuple[str, str | None]]:
    storage = instance.event_log_storage
    assert isinstance(storage, BatchingEventLogStorage)
    columns = AssetCheckExecutionsTable.c
    with storage.index_connection() as connection:
        rows = connection.execute(sa.select(columns.execution_status, columns.partition)).fetchall()
    return [(row[0], row[1]) for row in rows]


def test_a_range_run_is_recorded_and_can_be_forgotten(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    statements: list[str] = []
    storage = instance.event_log_storage
    assert isinstance(storage, BatchingEventLogStorage)
    sa.event.listen(storage._engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    result = materialize([table], instance=instance, tags=RANGE)

    assert result.success
    days = DAYS.get_partition_keys()[:10]
    assert instance.get_materialized_partitions(AssetKey("table")) == set(days)
    told = counts(instance)
    assert told["ASSET_MATERIALIZATION_PLANNED"] == 10
    assert told["ASSET_MATERIALIZATION"] == 10
    batches = [s for s in statements if s.startswith("INSERT INTO event_logs") and "unnest" in s]
    assert len(batches) == 2, "ten planned events and ten materialisations: one statement each"
    assert check_rows(instance) == [("SUCCEEDED", None)], "one row for the run, none left as planned"

    record = instance.get_run_record_by_id(result.run_id)
    assert record is not None
    started = record.update_timestamp
    assert purge_runs(instance, started - timedelta(hours=1), []).runs == 0

    folder = tmp_path / "compute_logs"
    assert (folder / result.run_id).is_dir(), "Dagster kept the step's output there"
    done = purge_runs(instance, started + timedelta(hours=1), [folder])

    assert (done.runs, done.folders) == (1, 1)
    assert done.events > 10
    assert not (folder / result.run_id).exists()
    assert instance.get_run_by_id(result.run_id) is None
    assert instance.get_materialized_partitions(AssetKey("table")) == set(days), "what was made stays known"
    assert set(counts(instance)) <= {"ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION"}


def test_every_storage_keeps_its_connection(instance: DagsterInstance) -> None:
    """A connection per statement was half of the daemon's processor time."""
    for storage in (instance.event_log_storage, instance.run_storage, instance.schedule_storage):
        engine = storage._engine  # type: ignore[attr-defined]
        seen = set()
        for _ in range(3):
            with engine.connect() as connection:
                seen.add(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())
        engine.dispose()
        assert len(seen) == 1


def test_a_second_instance_opens_no_connection(instance: DagsterInstance) -> None:
    """Each look of a sensor makes an instance: connecting and looking for tables was most of its cost."""
    names = ("event_log_storage", "run_storage", "schedule_storage")
    engines = [getattr(instance, name)._engine for name in names]
    opened: list[object] = []
    for engine in engines:
        sa.event.listen(engine, "connect", lambda *args: opened.append(args))

    with DagsterInstance.from_ref(instance.get_ref()) as again:
        assert [getattr(again, name)._engine for name in names] == engines
        assert again.get_runs(limit=1) == []
        assert again.all_instigator_state() == []

    assert len(opened) <= 2, "at most the first connection of runs and of schedules"


def test_a_forked_process_gets_connections_of_its_own(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = instance.run_storage._engine  # type: ignore[attr-defined]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with DagsterInstance.from_ref(instance.get_ref()) as child:
        assert child.run_storage._engine is not parent  # type: ignore[attr-defined]

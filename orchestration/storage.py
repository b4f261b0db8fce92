"""Dagster's PostgreSQL storage with planned events written in one statement, over connections kept open.

A range run plans one event per asset and day before its first step. The stock storage writes each through
several fresh connections; here they go in one insert, and a planned check is kept once per run and not
once per day (its daily rows would stay "planned" for ever, each with a copy of the whole partition
definition). And the stock storages open a connection for each of their statements, several a second in every
process: half of the daemon's processor time, and a server process each. Every look of a sensor builds the
storages anew, so that a process keeps its engines, and looks once whether the tables are there.

Relies on names private to Dagster, so the release is pinned and `tests/integration/orchestration` holds
what is relied on; without ``storage.custom`` in dagster.yaml the stock storage serves the same database.
"""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from dagster import DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.auth import PgTokenProvider
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config
from sqlalchemy import Engine, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

POOL_RECYCLE_S: Final = 300
_HAVE_TABLES: Final[set[str]] = set()
"""Databases in which this process has made Dagster's tables, or seen them."""
_MATERIALISATION: Final = DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_CHECK: Final = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED


def _pooled(postgres_url: str, token_provider: PgTokenProvider | None, purpose: str) -> Engine:
    """Give this process's engine for a purpose: one connection stays open, threads that need more open them.

    A forked process must not speak over its parent's connections, and gets an engine of its own.
    """
    return _engine_of(os.getpid(), postgres_url, token_provider, purpose)


@lru_cache(maxsize=16)
def _engine_of(
    _process: int, postgres_url: str, token_provider: PgTokenProvider | None, _purpose: str
) -> Engine:
    return create_pg_engine(
        postgres_url,
        token_provider,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        pool_recycle=POOL_RECYCLE_S,
        pool_pre_ping=True,
    )


class BatchingEventLogStorage(PostgresEventLogStorage):
    """Event log that takes planned events in bulk and keeps one connection open."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: PgTokenProvider | None = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        self._engine = _pooled(postgres_url, token_provider, "events")

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one batch; planned ones in bulk, the rest as the parent does.

        Parameters
        ----------
        events : sequence of EventLogEntry
            In the order in which they happened.
        """
        planned = [e for e in events if _kind(e) is _MATERIALISATION]
        checks = [e for e in events if _kind(e) is _CHECK]
        others = [e for e in events if _kind(e) not in (_MATERIALISATION, _CHECK)]
        if planned:
            self._store_planned(planned)
        for event in checks:
            self.store_event(event)
        if others:
            super().store_event_batch(others)

    def prepare_insert_event_batch(self, events: Sequence[EventLogEntry]) -> Any:
        """Give the insert of a batch: one array per column instead of seven parameters per event.

        Parameters
        ----------
        events : sequence of EventLogEntry
            In the order in which they get their ids.

        Returns
        -------
        Insert
            As of the parent; SQLAlchemy takes longer to write its thousands of parameters than the server to
            store them.
        """
        table = SqlEventLogStorageTable
        rows = [self._event_to_row(event) for event in events]
        names = list(rows[0])
        arrays = [literal([row[name] for row in rows], ARRAY(table.c[name].type)) for name in names]
        columns = func.unnest(*arrays).table_valued(*names).render_derived()
        return table.insert().from_select(names, select(*(columns.c[name] for name in names)))

    def _store_planned(self, events: Sequence[EventLogEntry]) -> None:
        with self._connect() as connection:
            rows = connection.execute(
                self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
            )
            ids = [int(row[0]) for row in rows]
        # The asset table only remembers the newest event of each asset.
        last = {_asset(event): (event, event_id) for event, event_id in zip(events, ids, strict=True)}
        with self.index_transaction() as connection:
            self._store_asset_event_tags(connection, events, ids)
            for event, event_id in last.values():
                self._store_asset_event(connection, event, event_id)

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event; a planned check without its days."""
        super().store_event(without_partitions(event) if _kind(event) is _CHECK else event)


class BatchingStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage with `BatchingEventLogStorage` as its event log and pooled connections."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: PgTokenProvider | None = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        self._event_log_storage = BatchingEventLogStorage(
            postgres_url, should_autocreate_tables, token_provider=token_provider
        )
        self._run_storage._engine = _pooled(postgres_url, token_provider, "runs")
        self._schedule_storage._engine = _pooled(postgres_url, token_provider, "schedules")

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "BatchingStorage":
        """Build the storage from the values in dagster.yaml."""
        postgres_url = pg_url_from_config(config_value)
        wanted = bool(config_value.get("should_autocreate_tables", True))
        storage = cls(
            inst_data=inst_data,
            postgres_url=postgres_url,
            should_autocreate_tables=wanted and postgres_url not in _HAVE_TABLES,
            token_provider=get_token_provider_from_config(config_value),
        )
        if wanted:
            _HAVE_TABLES.add(postgres_url)
        return storage


def without_partitions(event: EventLogEntry) -> EventLogEntry:
    """Give the planned-check event without its subset of days, so that one row stands for the run.

    Parameters
    ----------
    event : EventLogEntry
        An ``ASSET_CHECK_EVALUATION_PLANNED`` event.

    Returns
    -------
    EventLogEntry
        Equal but for the subset; an event that carries none is returned as it is.
    """
    inner = event.get_dagster_event()
    planned = inner.asset_check_planned_data
    if planned.partitions_subset is None:
        return event
    whole = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
    return event._replace(dagster_event=inner._replace(event_specific_data=whole))


def _kind(event: EventLogEntry) -> DagsterEventType | None:
    return event.get_dagster_event().event_type if event.is_dagster_event else None


def _asset(event: EventLogEntry) -> str:
    key = event.get_dagster_event().asset_key
    return key.to_string() if key else ""

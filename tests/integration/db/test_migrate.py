from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from adapters.db.engine import DatabaseUnreachable, begin, create_engine, psycopg_dsn
from adapters.db.grants import open_marts
from adapters.db.migrate import DBT_SCHEMAS, is_at_head, upgrade
from adapters.db.schema import SCHEMAS, metadata
from propdesk.core.errors import ConfigFault

pytestmark = pytest.mark.integration


def test_every_table_is_there(pg_url: str) -> None:
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        found = {
            f"{schema}.{table}"
            for schema, table in connection.execute("SELECT schemaname, tablename FROM pg_tables").fetchall()
        }
        schemas = {row[0] for row in connection.execute("SELECT nspname FROM pg_namespace").fetchall()}
    assert set(metadata.tables) <= found
    assert {*SCHEMAS, *DBT_SCHEMAS} <= schemas
    assert is_at_head(pg_url)


def test_upgrading_again_and_at_once_changes_nothing(pg_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(upgrade, [pg_url, pg_url])
    assert first == second
    assert is_at_head(pg_url)


def test_a_database_that_does_not_answer_is_said_in_one_sentence() -> None:
    with pytest.raises(DatabaseUnreachable, match=r"127\.0\.0\.1:1/none .*run\.py up") as caught:
        upgrade("postgresql+psycopg://someone:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "nonsense", "postgresql+psycopg2://u@h/d"])
def test_an_address_without_our_driver_is_refused(url: str) -> None:
    with pytest.raises(ConfigFault, match=r"postgresql\+psycopg://"):
        create_engine(url, "test")


WRITES = {
    "raw": "DELETE FROM raw.uploads",
    "ref": "DELETE FROM ref.regimes",
    "research": "DELETE FROM research.trades",
    "trading": "DELETE FROM trading.decisions",
    "audit": "DELETE FROM audit.log",
    "access": "DELETE FROM access.sessions",
}
MAY_WRITE = {
    "pipeline": {"raw", "ref", "research"},
    "daemon": {"ref", "trading"},
    "reader": set(),
    "access": {"access"},
}


@pytest.mark.parametrize("role", MAY_WRITE)
def test_a_role_writes_its_own_schemas_only(pg_role_urls: dict[str, str], role: str) -> None:
    allowed = set()
    for schema, statement in WRITES.items():
        with psycopg.connect(psycopg_dsn(pg_role_urls[role])) as connection:
            try:
                connection.execute(statement)  # rolled back
            except psycopg.errors.InsufficientPrivilege:
                continue
            finally:
                connection.rollback()
            allowed.add(schema)
    assert allowed == MAY_WRITE[role]


@pytest.mark.parametrize("role", ["pipeline", "daemon", "reader"])
def test_nobody_but_the_api_sees_users_and_sessions(pg_role_urls: dict[str, str], role: str) -> None:
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(psycopg_dsn(pg_role_urls[role])) as connection, refused:
        connection.execute("SELECT password_hash FROM access.users")


def test_the_api_cannot_log_people_in_and_read_the_books_by_one_role(pg_role_urls: dict[str, str]) -> None:
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection, refused:
        connection.execute("SELECT 1 FROM trading.decisions")


@pytest.mark.parametrize("role", ["daemon", "access"])
def test_some_append_to_the_audit_log(pg_role_urls: dict[str, str], role: str) -> None:
    with psycopg.connect(psycopg_dsn(pg_role_urls[role])) as connection:
        found = connection.execute(
            "SELECT has_table_privilege('audit.log', 'INSERT'), has_table_privilege('audit.log', 'UPDATE')"
        ).fetchone()
    assert found == (True, False)


@pytest.mark.parametrize("table", ["raw.signal_log", "raw.landed_rows"])
def test_what_was_heard_can_be_added_to_but_not_changed(pg_role_urls: dict[str, str], table: str) -> None:
    with psycopg.connect(psycopg_dsn(pg_role_urls["pipeline"])) as connection:
        rights = connection.execute(
            "SELECT has_table_privilege(%(t)s, 'INSERT'), has_table_privilege(%(t)s, 'UPDATE'),"
            " has_table_privilege(%(t)s, 'DELETE'), has_table_privilege(%(t)s, 'TRUNCATE')",
            {"t": table},
        ).fetchone()
    assert rights == (True, False, False, False)


def test_the_readers_see_what_dbt_makes(pg_role_urls: dict[str, str]) -> None:
    engine = create_engine(pg_role_urls["pipeline"], "test")
    with engine.begin() as connection:
        open_marts(connection)
        connection.exec_driver_sql("CREATE TABLE marts.made AS SELECT 1 AS x")
    engine.dispose()
    for role in ("daemon", "reader", "owner"):
        with psycopg.connect(psycopg_dsn(pg_role_urls[role])) as connection:
            assert connection.execute("SELECT x FROM marts.made").fetchall() == [(1,)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("DELETE FROM marts.made")


def test_a_transaction_is_whole_or_nothing(pg_url: str) -> None:
    engine = create_engine(pg_url, "test")

    def fail_halfway() -> None:
        with begin(engine) as connection:
            connection.execute("CREATE TABLE ref.half (x int)")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_halfway()
    with begin(engine) as connection:
        assert connection.execute("SELECT to_regclass('ref.half')").fetchone() == (None,)
        connection.execute("CREATE TABLE ref.whole (x int)")
    with begin(engine) as connection:
        found = connection.execute("SELECT to_regclass('ref.whole')::text").fetchone()
    engine.dispose()
    assert found == ("ref.whole",)


def test_tables_that_no_migration_made_are_not_touched(pg_url: str) -> None:
    with psycopg.connect(psycopg_dsn(pg_url)) as connection:
        connection.execute("DELETE FROM public.alembic_version")
    with pytest.raises(ConfigFault, match="no record of a migration"):
        upgrade(pg_url)

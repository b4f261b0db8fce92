"""Migrations lead from an empty database to exactly what the table definitions say."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from adapters.db.engine import create_engine
from adapters.db.schema import SCHEMAS, metadata

pytestmark = pytest.mark.integration


def test_migrations_equal_the_table_definitions(pg_url: str) -> None:
    engine = create_engine(pg_url, "propdesk-test")
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_schemas": True,
                    "include_name": lambda name, kind, _: kind != "schema" or name in SCHEMAS,
                    "compare_type": True,
                },
            )
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()


def test_trading_tables_lead_with_the_account(pg_url: str) -> None:
    engine = create_engine(pg_url, "propdesk-test")
    query = text(
        "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] "
        "WHERE i.indisprimary AND n.nspname IN ('trading', 'audit')"
    )
    try:
        with engine.connect() as connection:
            found = {str(table): str(column) for table, column in connection.execute(query)}
    finally:
        engine.dispose()
    assert found
    assert set(found.values()) == {"account_id"}, found

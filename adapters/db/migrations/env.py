"""Alembic's entry: compares and migrates the five schemas of ours, never those of dbt."""

from alembic import context
from sqlalchemy import Connection

from adapters.db.schema import SCHEMAS, metadata


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    return kind != "schema" or name in SCHEMAS


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_name=_is_ours,
        compare_type=True,
        version_table_schema="public",
    )
    with context.begin_transaction():
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("Run migrations with `propdesk db migrate` or `python -m adapters.db.migrate upgrade`.")
_run(connection)

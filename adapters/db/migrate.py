"""Bring a database to the newest schema; also ``python -m adapters.db.migrate WORD``."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import DuplicateTable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from adapters.db.engine import create_engine, unreachable
from adapters.db.grants import apply_grants
from adapters.db.schema import SCHEMAS
from adapters.settings import load_settings
from propdesk.core.errors import ConfigFault

MIGRATIONS: Final = Path(__file__).parent / "migrations"
DBT_SCHEMAS: Final = ("staging", "intermediate", "marts")
_LOCK_KEY: Final = 7_215_500_001
"""Advisory lock: two processes that migrate at once take turns."""


def upgrade(url: str) -> str | None:
    """Create or upgrade every schema, then set the triggers and rights.

    Parameters
    ----------
    url : str
        Database as the owner of the schemas, ``postgresql+psycopg://...``.

    Returns
    -------
    str or None
        The newest revision, which the database is at.

    Raises
    ------
    DatabaseUnreachable
        If the server does not answer.
    ConfigFault
        If tables stand there that no migration made.

    Notes
    -----
    All in one transaction under an advisory lock: it is done whole or not at all, and may be repeated.
    """
    engine = create_engine(url, "propdesk-migrate")
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            for schema in (*SCHEMAS, *DBT_SCHEMAS):
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
            command.upgrade(_config(connection), "head")
            _set_triggers(connection)
            apply_grants(connection)
    except OperationalError as error:
        raise unreachable(engine.url.render_as_string(hide_password=True), error) from error
    except ProgrammingError as error:
        if not isinstance(error.orig, DuplicateTable):
            raise
        raise ConfigFault(
            f"The database {engine.url.database} holds tables of ours but no record of a migration "
            f"({str(error.orig).strip()}): use an empty database, or drop the schemas {', '.join(SCHEMAS)}."
        ) from error
    finally:
        engine.dispose()
    return head()


def head() -> str | None:
    """Name the newest revision of the project; None while there is none."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def current(url: str) -> str | None:
    """Name the revision a database is at; None if it was never migrated."""
    engine = create_engine(url, "propdesk-migrate")
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise unreachable(engine.url.render_as_string(hide_password=True), error) from error
    finally:
        engine.dispose()


def is_at_head(url: str) -> bool:
    """Tell whether a database has the newest schema.

    Parameters
    ----------
    url : str
        Database as any role that may connect.

    Returns
    -------
    bool
        False for an empty database.

    Raises
    ------
    DatabaseUnreachable
        If the server does not answer.
    """
    return current(url) == head()


def revise(url: str, message: str) -> None:
    """Write the next migration from the difference between a database at head and the table definitions.

    Parameters
    ----------
    url : str
        A scratch database; it is brought to the last revision first.
    message : str
        Names the file.
    """
    engine = create_engine(url, "propdesk-migrate")
    try:
        with engine.begin() as connection:
            for schema in SCHEMAS:
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
            if head() is not None:
                command.upgrade(_config(connection), "head")
        with engine.begin() as connection:
            command.revision(_config(connection), message=message, autogenerate=True)
    finally:
        engine.dispose()


def _set_triggers(connection: Connection) -> None:
    """Functions and triggers are replaced whole at each upgrade, so their text has one home."""
    from adapters.db.schema.triggers import TRIGGERS

    for statement in TRIGGERS:
        connection.exec_driver_sql(statement.replace("%", "%%"))  # else the driver takes %s for a parameter


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of the three words from a shell."""
    parser = argparse.ArgumentParser(prog="python -m adapters.db.migrate", description=__doc__)
    parser.add_argument("--url", help="database; default: the owner's URL of the settings")
    words = parser.add_subparsers(dest="word", required=True)
    words.add_parser("upgrade", help="bring the database to the newest schema")
    words.add_parser("current", help="name the revision of the database")
    revision = words.add_parser("revision", help="write the next migration, against a scratch database")
    revision.add_argument("-m", "--message", required=True)
    given = parser.parse_args(argv)
    url: str = given.url or load_settings().database_url()
    actions: dict[str, Any] = {
        "upgrade": lambda: upgrade(url),
        "current": lambda: parser.exit(0, f"{current(url)}\n"),
        "revision": lambda: revise(url, given.message),
    }
    actions[given.word]()


if __name__ == "__main__":
    main()

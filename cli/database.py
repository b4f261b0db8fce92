"""Database access of commands: an engine, or one transaction, that is given back whatever happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from adapters.settings import DatabaseRole, Settings

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Engine


@contextmanager
def open_engine(settings: Settings, role: DatabaseRole, name: str) -> "Iterator[Engine]":
    """Give an engine of a database role for the length of a block.

    Parameters
    ----------
    settings : Settings
    role : DatabaseRole
        Whose rights it has.
    name : str
        What the server shows as the application.
    """
    from adapters.db.engine import create_engine

    engine = create_engine(settings.database_url(role), name)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_transaction(
    settings: Settings, role: DatabaseRole, name: str
) -> "Iterator[psycopg.Connection[Any]]":
    """Give one transaction of a database role, committed at the end of the block; see `open_engine`."""
    from adapters.db.engine import begin

    with open_engine(settings, role, name) as engine, begin(engine) as connection:
        yield connection

"""Connections to PostgreSQL: one way to make them, with names and time-outs that always hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import psycopg
from sqlalchemy import URL, Engine, make_url
from sqlalchemy import create_engine as _create_engine
from sqlalchemy.exc import ArgumentError, OperationalError

from propdesk.core.errors import ConfigFault, PropdeskError

DRIVER: Final = "postgresql+psycopg"
CONNECT_TIMEOUT_S: Final = 10
STATEMENT_TIMEOUT_S: Final = 900
"""No statement of the pipeline needs more; a hanging one must not hold its locks for ever."""
LOCK_TIMEOUT_S: Final = 60
IDLE_TIMEOUT_S: Final = 3_600
"""A transaction may wait so long for its own process, which computes between its statements."""
POOL_SIZE: Final = 4
POOL_OVERFLOW: Final = 4


class DatabaseUnreachable(PropdeskError):
    """PostgreSQL does not answer at the given address."""


def create_engine(
    url: str,
    application_name: str,
    *,
    statement_timeout_s: int = STATEMENT_TIMEOUT_S,
    lock_timeout_s: int = LOCK_TIMEOUT_S,
    idle_timeout_s: int = IDLE_TIMEOUT_S,
) -> Engine:
    """Make a pooled engine; nothing is connected yet.

    Parameters
    ----------
    url : str
        ``postgresql+psycopg://user:password@host:port/database``.
    application_name : str
        Shown in ``pg_stat_activity``, e.g. ``propdesk-pipeline``.
    statement_timeout_s, lock_timeout_s : int
        Longest statement and longest wait for a lock, s, > 0.
    idle_timeout_s : int
        Longest time that a transaction does nothing, s, > 0; its connection is ended.

    Returns
    -------
    Engine
        Session time zone UTC; connections are tested before they are handed out, so that a restarted server
        costs no failed run.

    Raises
    ------
    ConfigFault
        If the URL is malformed or names another driver.
    """
    options = (
        f"-c statement_timeout={statement_timeout_s * 1000} -c lock_timeout={lock_timeout_s * 1000} "
        f"-c timezone=UTC -c idle_in_transaction_session_timeout={idle_timeout_s * 1000}"
    )
    return _create_engine(
        _checked(url),
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_pre_ping=True,
        connect_args={
            "application_name": application_name,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": options,
        },
    )


@contextmanager
def begin(engine: Engine) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
    """Give a psycopg connection inside one transaction: committed at the end, rolled back on any error.

    Parameters
    ----------
    engine : Engine
        Made by `create_engine`.

    Yields
    ------
    psycopg.Connection
        The driver's own connection, as COPY needs it.

    Raises
    ------
    DatabaseUnreachable
        If the server does not answer, or goes away before the end.
    """
    where = engine.url.render_as_string(hide_password=True)
    try:
        pooled = engine.raw_connection()
    except (OperationalError, psycopg.OperationalError) as error:  # a raw connection comes with raw errors
        raise unreachable(where, error) from error
    connection = cast("psycopg.Connection[tuple[Any, ...]]", pooled.driver_connection)
    try:
        # Without this block the pool would roll a reader's and a writer's work back alike.
        with connection.transaction():
            yield connection
    except psycopg.OperationalError as error:
        if not connection.broken:
            raise
        reason = (str(error).strip() or "it gives no reason").splitlines()[0]
        raise DatabaseUnreachable(
            f"PostgreSQL at {where} went away before the work was stored ({reason}): "
            "see with `python3 run.py status` whether it answers again, and repeat the work."
        ) from error
    finally:
        pooled.close()


@contextmanager
def listening(
    url: str, application_name: str, channel: str
) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
    """Give a connection in autocommit mode that hears a channel; see `begin` for what it raises."""
    try:
        opened = psycopg.connect(
            psycopg_dsn(url),
            autocommit=True,
            application_name=application_name,
            connect_timeout=CONNECT_TIMEOUT_S,
            options="-c timezone=UTC",
        )
    except psycopg.OperationalError as error:
        raise unreachable(make_url(url).render_as_string(hide_password=True), error) from None
    with opened as connection:
        connection.execute(f"LISTEN {channel}".encode())
        try:
            yield connection
        except psycopg.OperationalError as error:
            raise unreachable(make_url(url).render_as_string(hide_password=True), error) from None


def psycopg_dsn(url: str) -> str:
    """Turn an SQLAlchemy URL into one that psycopg takes (the driver's name left out)."""
    return _checked(url).set(drivername="postgresql").render_as_string(hide_password=False)


def unreachable(where: str, error: BaseException) -> DatabaseUnreachable:
    """Say in one sentence that the database does not answer, and the remedy."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return DatabaseUnreachable(
        f"PostgreSQL does not answer at {where} ({reason}): start the system with `python3 run.py up` "
        "or correct PROPDESK_POSTGRES_URL."
    )


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigFault(f"The database address is malformed: it must start with {DRIVER}://") from None
    if parsed.drivername != DRIVER:
        raise ConfigFault(
            f"The database address names the driver {parsed.drivername}, but must start with {DRIVER}://"
        )
    return parsed

"""A database for a while: what was known on a past day is worked out in it, beside the desk's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from adapters.db.engine import psycopg_dsn
from adapters.db.migrate import upgrade
from adapters.db.repos.instrument_files import copy_as_known
from propdesk.core.errors import ConfigFault, PropdeskError

_LOCK_KEY: Final = 7_215_500_021
"""Advisory lock: one scratch database beside each database, so that a left one is known to be nobody's."""
_SUFFIX: Final = "_lookahead"
_NAME_MAX: Final = 63
"""Longest name of a database in PostgreSQL, bytes."""
_END_WAIT_MS: Final = 5_000

# A first wording is known when it was received, an edit from the moment somebody can prove (docs/data.md,
# "The signal log"): the inbox's clock, the message's own stamp, else the upload.
_CHANGED_AT: Final = """
    CASE WHEN g.change <> 'EDITED' THEN g.logged_at
         WHEN g.chain LIKE 'inbox:%' THEN g.received_at
         WHEN l.content ->> 'edited_at' IS NOT NULL THEN l.received_at
         ELSE g.logged_at END
"""
_LANDED: Final = f"""
    SELECT l.*, CASE
        WHEN l.revision = 1 THEN l.received_at
        WHEN {{with_corrections}} THEN
            (SELECT f.received_at FROM raw.landed_rows AS f
             WHERE f.record_id = l.record_id AND f.revision = 1)
        WHEN l.content ->> 'edited_at' IS NOT NULL THEN l.received_at
        ELSE coalesce(
            (SELECT min({_CHANGED_AT}) FROM raw.signal_log AS g
             WHERE g.record_id = l.record_id AND g.content_hash = l.content_hash AND g.change <> 'POSTED'),
            u.ingested_at)
        END AS known_at
    FROM raw.landed_rows AS l JOIN raw.uploads AS u USING (upload_id)
"""  # noqa: S608 -- our own constants
_CHANGES: Final = f"""
    SELECT g.*, {_CHANGED_AT} AS known_at FROM raw.signal_log AS g
    LEFT JOIN raw.landed_rows AS l ON l.record_id = g.record_id AND l.content_hash = g.content_hash
    WHERE g.change <> 'POSTED'
"""  # noqa: S608 -- our own constants


class ScratchInUse(PropdeskError):
    """Another process works in the scratch database of this database."""


@contextmanager
def scratch_database(owner_url: str, worker_url: str) -> Iterator[str]:
    """Make an empty database of the newest schema on the same server; it is dropped at the end.

    Parameters
    ----------
    owner_url : str
        The database beside which it stands, as the owner of the schemas; it is not written to.
    worker_url : str
        The same as the role that will work in the new one: what it left connected is ended before the drop.

    Yields
    ------
    str
        Name of the database. One that a killed process left is dropped first.

    Raises
    ------
    ScratchInUse
        If another process holds it.
    ConfigFault
        If the owner may not create databases.
    """
    beside = str(make_url(owner_url).database)
    name = beside[: _NAME_MAX - len(_SUFFIX)] + _SUFFIX
    with psycopg.connect(psycopg_dsn(owner_url), autocommit=True) as keeper:
        held = keeper.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone()
        if held is None or not held[0]:
            raise ScratchInUse(
                f"The database {name} is in use: another look-ahead test runs; let it end first."
            )
        try:
            _drop(owner_url, worker_url, name)
            keeper.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            upgrade(with_database(owner_url, name))
            yield name
        except psycopg.errors.InsufficientPrivilege as error:
            owner = make_url(owner_url).username
            raise ConfigFault(
                f"The role {owner} may not create databases, which a look-ahead test needs: as a superuser "
                f"of PostgreSQL say `ALTER ROLE {owner} CREATEDB`."
            ) from error
        finally:
            _drop(owner_url, worker_url, name)


def with_database(url: str, name: str) -> str:
    """Give the address of another database on the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _drop(owner_url: str, worker_url: str, name: str) -> None:
    """Drop the database if it is there; a connection of its own, as the keeper's may be lost by now."""
    with psycopg.connect(psycopg_dsn(worker_url), autocommit=True) as worker:
        # only the role itself may end its sessions
        worker.execute(
            "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity"
            " WHERE datname = %s AND usename = current_user AND pid <> pg_backend_pid()",
            (_END_WAIT_MS, name),
        )
    with psycopg.connect(psycopg_dsn(owner_url), autocommit=True) as owner:
        owner.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def copy_known(
    desk: psycopg.Connection[Any],
    scratch: psycopg.Connection[Any],
    day: date,
    span: tuple[datetime, datetime],
    *,
    with_corrections: bool,
) -> date | None:
    """Bring what became known in a span of time into a scratch database: landed rows, log, instruments.

    Parameters
    ----------
    desk : psycopg.Connection
        Only read.
    scratch : psycopg.Connection
        Holds what was known at the beginning of the span; the caller commits.
    day : date
        Last day whose instrument files count.
    span : tuple of datetime
        [from, to).
    with_corrections : bool
        Take every revision of a record as known when its first one was received.

    Returns
    -------
    date or None
        Oldest trade date that it touches: of a new record, or of any revision of one that changed. None where
        nothing new was heard.
    """
    begin, end = (sql.Literal(moment) for moment in span)
    within = sql.SQL("k.known_at >= {begin} AND k.known_at < {end}").format(begin=begin, end=end)
    landed = sql.SQL(_LANDED).format(with_corrections=sql.Literal(with_corrections))
    for table, query in (("landed_rows", landed), ("signal_log", sql.SQL(_CHANGES))):
        _copy_rows(desk, scratch, table, sql.SQL("({}) AS k WHERE {}").format(query, within))
    copy_as_known(desk, scratch, day)
    touched = desk.execute(
        sql.SQL(
            "WITH rows AS MATERIALIZED ({landed}), news AS ("
            " SELECT record_id FROM rows AS k WHERE {within}"
            " UNION SELECT record_id FROM ({changes}) AS k WHERE {within})"
            " SELECT min(trade_date) FROM rows JOIN news USING (record_id) WHERE known_at < {end}"
        ).format(landed=landed, changes=sql.SQL(_CHANGES), within=within, end=end)
    ).fetchone()
    return touched[0] if touched else None


def read_later_records(
    desk: psycopg.Connection[Any], since: datetime, *, with_corrections: bool
) -> tuple[frozenset[str], frozenset[str]]:
    """Name the records of which something was heard later.

    Parameters
    ----------
    desk : psycopg.Connection
    since : datetime
        First moment that is not known.
    with_corrections : bool
        As of `copy_known`.

    Returns
    -------
    frozenset of str
        Records that have a revision from then on.
    frozenset of str
        Records taken back or restored from then on.
    """
    landed = sql.SQL(_LANDED).format(with_corrections=sql.Literal(with_corrections))
    revised = desk.execute(
        sql.SQL("SELECT DISTINCT record_id FROM ({}) AS k WHERE revision > 1 AND known_at >= {}").format(
            landed, sql.Literal(since)
        )
    )
    taken = desk.execute(
        "SELECT DISTINCT record_id FROM raw.signal_log WHERE change IN ('DELETED', 'RESTORED')"
        " AND logged_at >= %s",
        (since,),
    )
    return frozenset(row[0] for row in revised), frozenset(row[0] for row in taken)


def _copy_rows(
    desk: psycopg.Connection[Any], scratch: psycopg.Connection[Any], table: str, rows: sql.Composable
) -> None:
    """Copy what a query gives into a table of the same name in ``raw``; it may have more columns."""
    names = desk.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'raw' AND table_name = %s"
        " ORDER BY ordinal_position",
        (table,),
    ).fetchall()
    columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in names)
    out = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)").format(columns, rows)
    into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(sql.Identifier("raw", table), columns)
    with (
        desk.cursor() as reader,
        scratch.cursor() as writer,
        reader.copy(out) as source,
        writer.copy(into) as sink,
    ):
        for block in source:
            sink.write(block)

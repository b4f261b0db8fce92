"""The audit log: append-only, each row carries the hash of the one before (§6.3)."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

import psycopg
from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

FIRST_HASH = ""

# One writer at a time per account, so that the chain never forks.
_TURN = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 11))"
_TRY_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 11))"
_LAST = "SELECT seq, hash FROM audit.log WHERE account_id = %s ORDER BY seq DESC LIMIT 1"
_APPEND = """
    INSERT INTO audit.log (account_id, seq, logged_at, actor, action, detail, previous_hash, hash)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


def append_audit(
    connection: Connection,
    account_id: str,
    *,
    actor: str,
    action: str,
    detail: Mapping[str, object],
    logged_at: datetime,
) -> str:
    """Append one row in the current transaction and return its hash.

    Parameters
    ----------
    actor : str
        Who: a person's login or a process.
    action : str
        What, upper case, e.g. ``REPLAY_FRESH``.
    logged_at : datetime
        Aware UTC.
    """
    connection.execute(_TURN, (account_id,))
    last = connection.execute(_LAST, (account_id,)).fetchone()
    values = _chained(last, account_id, actor, action, detail, logged_at)
    connection.execute(_APPEND, values)
    return str(values[-1])


async def take_turn_live(connection: LiveConnection, account_id: str) -> bool:
    """Take the turn to append until the end of the transaction, or tell that somebody else has it."""
    row = await (await connection.execute(_TRY_TURN, (account_id,))).fetchone()
    return row is not None and bool(row[0])


async def append_audit_live(
    connection: LiveConnection,
    account_id: str,
    *,
    actor: str,
    action: str,
    detail: Mapping[str, object],
    logged_at: datetime,
) -> None:
    """Append one row as `append_audit` does, over a connection of the live process."""
    await connection.execute(_TURN, (account_id,))
    last = await (await connection.execute(_LAST, (account_id,))).fetchone()
    await connection.execute(_APPEND, _chained(last, account_id, actor, action, detail, logged_at))


def _chained(
    last: tuple[Any, ...] | None,
    account_id: str,
    actor: str,
    action: str,
    detail: Mapping[str, object],
    logged_at: datetime,
) -> tuple[Any, ...]:
    seq, previous = (1, FIRST_HASH) if last is None else (last[0] + 1, last[1])
    digest = audit_hash(previous, account_id, seq, logged_at, actor, action, detail)
    return account_id, seq, logged_at, actor, action, Jsonb(dict(detail)), previous, digest


def audit_hash(
    previous: str,
    account_id: str,
    seq: int,
    logged_at: datetime,
    actor: str,
    action: str,
    detail: Mapping[str, object],
) -> str:
    """Hash (hex sha-256) of one row together with everything before it."""
    content = json.dumps(
        [previous, account_id, seq, logged_at.isoformat(), actor, action, dict(detail)], sort_keys=True
    )
    return hashlib.sha256(content.encode()).hexdigest()

"""Signs of life in PostgreSQL (§8.4)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection
from propdesk.core.clock import NS_PER_MICROSECOND

_BEAT = """
    INSERT INTO trading.heartbeats (account_id, component, beat_at, epoch, pid, detail)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, component) DO UPDATE SET beat_at = EXCLUDED.beat_at, epoch = EXCLUDED.epoch,
        pid = EXCLUDED.pid, detail = EXCLUDED.detail
    RETURNING (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
"""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Last sign of life of a component."""

    component: str
    beat_at: datetime
    epoch: int
    pid: int
    detail: dict[str, Any]


class HeartbeatRepo:
    """Heartbeats of one account over one connection."""

    def __init__(self, connection: LiveConnection, account_id: str, epoch: int) -> None:
        self._connection = connection
        self._account_id = account_id
        self._epoch = epoch

    async def beat(self, component: str, beat_at: datetime, detail: Mapping[str, object]) -> int:
        """Record a sign of life; ``beat_at`` aware UTC. Gives the server's present moment, ns UTC."""
        cursor = await self._connection.execute(
            _BEAT, (self._account_id, component, beat_at, self._epoch, os.getpid(), Jsonb(dict(detail)))
        )
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - RETURNING of one row
        return int(row[0]) * NS_PER_MICROSECOND

    async def last(self, component: str) -> Heartbeat | None:
        """Last sign of life, None if there never was one."""
        cursor = await self._connection.execute(
            "SELECT component, beat_at, epoch, pid, detail FROM trading.heartbeats "
            "WHERE account_id = %s AND component = %s",
            (self._account_id, component),
        )
        row = await cursor.fetchone()
        return None if row is None else Heartbeat(*row)


def silence_s(connection: psycopg.Connection[tuple[Any, ...]], account_id: str) -> int | None:
    """Tell how old the daemon's last sign of life is, s; None if there never was one."""
    row = connection.execute(
        "SELECT extract(epoch FROM now() - beat_at)::bigint FROM trading.heartbeats "
        "WHERE account_id = %s AND component = 'daemon'",
        (account_id,),
    ).fetchone()
    return row[0] if row else None

"""What each preflight of an account found (§5.2)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, TypeAlias

import psycopg
from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection
from adapters.db.repos.intents import SENT_SINCE
from propdesk.core.errors import InvariantViolated
from propdesk.risk.preflight import Check, Outcome

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class PreflightRecord:
    """One preflight.

    ``checked_ns``: when it began, ns UTC. ``broker``: `Settings.broker_identity` that it was made for.
    ``outcome``: None where it was begun and has not ended.
    """

    checked_ns: int
    mode: str
    broker: str
    outcome: Outcome | None


def begin_preflight(
    connection: Connection, account_id: str, trade_date: date, record: PreflightRecord
) -> int:
    """Note that a preflight has begun, so that no older one stands; gives its number."""
    row = connection.execute(
        "INSERT INTO trading.preflights (account_id, trade_date, checked_ns, mode, broker, checks) "
        "VALUES (%s, %s, %s, %s, %s, '[]') RETURNING number",
        (account_id, trade_date, record.checked_ns, record.mode, record.broker),
    ).fetchone()
    if row is None:
        raise InvariantViolated("an insert into trading.preflights gave no row back")
    return int(row[0])


def end_preflight(
    connection: Connection,
    account_id: str,
    trade_date: date,
    number: int,
    outcome: Outcome,
    checks: Sequence[Check],
) -> None:
    """Keep what a preflight found, in the current transaction."""
    connection.execute(
        "UPDATE trading.preflights SET outcome = %s, checks = %s "
        "WHERE account_id = %s AND trade_date = %s AND number = %s",
        (outcome.value, Jsonb([asdict(one) for one in checks]), account_id, trade_date, number),
    )


async def newest_preflight(
    connection: LiveConnection, account_id: str, trade_date: date
) -> PreflightRecord | None:
    """Read the preflight of a day that was begun last, whatever a clock said; None where there was none."""
    cursor = await connection.execute(
        "SELECT checked_ns, mode, broker, outcome FROM trading.preflights "
        "WHERE account_id = %s AND trade_date = %s ORDER BY number DESC LIMIT 1",
        (account_id, trade_date),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    return PreflightRecord(row[0], row[1], row[2], None if row[3] is None else Outcome(row[3]))


def sent_since(connection: Connection, account_id: str, since_ns: int) -> list[int]:
    """Give when intents of an account were sent after a moment, ns UTC, rising."""
    rows = connection.execute(SENT_SINCE, (account_id, since_ns))
    return [sent_ns for (sent_ns,) in rows.fetchall()]

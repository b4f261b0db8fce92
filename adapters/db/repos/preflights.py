"""What each preflight of an account found (§5.2)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, TypeAlias

import psycopg
from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection
from propdesk.risk.preflight import Check, Outcome

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class PreflightRecord:
    """The verdict of one preflight, with the trading mode and the broker's address that it was made for."""

    checked_ns: int
    mode: str
    broker: str
    outcome: Outcome


def add_preflight(
    connection: Connection,
    account_id: str,
    trade_date: date,
    record: PreflightRecord,
    checks: Sequence[Check],
) -> None:
    """Keep what a preflight found, in the current transaction."""
    connection.execute(
        "INSERT INTO trading.preflights (account_id, trade_date, checked_ns, mode, broker, outcome, checks) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            account_id,
            trade_date,
            record.checked_ns,
            record.mode,
            record.broker,
            record.outcome.value,
            Jsonb([asdict(one) for one in checks]),
        ),
    )


async def newest_preflight(
    connection: LiveConnection, account_id: str, trade_date: date
) -> PreflightRecord | None:
    """Read the newest preflight of a day; None where there was none."""
    cursor = await connection.execute(
        "SELECT checked_ns, mode, broker, outcome FROM trading.preflights "
        "WHERE account_id = %s AND trade_date = %s ORDER BY checked_ns DESC LIMIT 1",
        (account_id, trade_date),
    )
    row = await cursor.fetchone()
    return None if row is None else PreflightRecord(row[0], row[1], row[2], Outcome(row[3]))


def sent_since(connection: Connection, account_id: str, since_ns: int) -> list[int]:
    """Give when intents of an account were sent after a moment, ns UTC."""
    rows = connection.execute(
        "SELECT sent_ns FROM trading.order_intents WHERE account_id = %s AND sent_ns > %s",
        (account_id, since_ns),
    )
    return [sent_ns for (sent_ns,) in rows.fetchall()]

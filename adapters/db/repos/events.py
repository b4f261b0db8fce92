"""Events for people (`trading.trade_events`), in the order in which they came."""

from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import dict_row

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

CHANNEL: Final = "trade_event"
"""What the trigger on the table announces its rows on."""


def newest_event(connection: Connection, account_id: str) -> int:
    """Read the number of the newest event of an account; 0 before the first."""
    row = connection.execute(
        "SELECT coalesce(max(event_id), 0) FROM trading.trade_events WHERE account_id = %s", (account_id,)
    ).fetchone()
    return row[0] if row else 0


def read_events(connection: Connection, account_id: str, after: int, limit: int) -> list[dict[str, Any]]:
    """Read the events of an account behind one, the oldest first, at most ``limit``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT event_id, kind, severity, message, payload, event_ns FROM trading.trade_events "
            "WHERE account_id = %s AND event_id > %s ORDER BY event_id LIMIT %s",
            (account_id, after, limit),
        ).fetchall()

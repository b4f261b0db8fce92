"""Events for people (`trading.trade_events`), in the order in which they came."""

from threading import Lock
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


def behind_newest(connection: Connection, account_id: str, count: int) -> int:
    """Give the number behind which the newest ``count`` events of an account are; 0 = all are."""
    row = connection.execute(
        "SELECT event_id FROM trading.trade_events WHERE account_id = %s ORDER BY event_id DESC "
        "OFFSET %s LIMIT 1",
        (account_id, count),
    ).fetchone()
    return row[0] if row else 0


class Horizon:
    """Up to which number no event can be added any more.

    An event has its number when it is inserted and is seen when its transaction commits, so a lower number
    may appear after a higher one: who reads behind the highest one seen would miss it for ever. Who inserts
    holds a lock on the table from before the number is drawn until after the commit is seen. Numbers seen at
    one look are therefore complete once everybody who held the lock at that look is gone. Nothing is locked
    here: the daemon never waits for a reader, and the pipeline's long transactions hold up no event.

    Parameters
    ----------
    account_id : str
    """

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id
        self._lock = Lock()
        self._settled = 0
        self._pending: tuple[int, frozenset[str]] | None = None

    def look(self, connection: Connection) -> tuple[int, bool]:
        """Look where it is now.

        Parameters
        ----------
        connection : psycopg.Connection
            In a transaction whose statements see what was committed before each (READ COMMITTED).

        Returns
        -------
        tuple of int and bool
            The horizon, and whether events beyond it are there, so that another look is due soon.
        """
        with self._lock:
            newest = newest_event(connection, self._account_id)  # before the writers: see the class
            writers = _writers(connection)
            if self._pending is not None:
                number, waited_for = self._pending
                still = waited_for & writers
                self._pending = (number, still) if still else None
                if not still:
                    self._settled = max(self._settled, number)
            if not writers:
                self._settled, self._pending = max(self._settled, newest), None
            elif self._pending is None and newest > self._settled:
                self._pending = (newest, writers)
            return self._settled, newest > self._settled


def _writers(connection: Connection) -> frozenset[str]:
    """Name the transactions that may have drawn a number and are not done."""
    rows = connection.execute(
        "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted "
        "AND mode = 'RowExclusiveLock' AND relation = 'trading.trade_events'::regclass "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchall()
    return frozenset(row[0] for row in rows)


def read_events(
    connection: Connection, account_id: str, after: int, until: int, limit: int
) -> list[dict[str, Any]]:
    """Read the events of an account behind one and up to a `Horizon`, the oldest first, at most ``limit``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT event_id, kind, severity, message, payload, event_ns FROM trading.trade_events "
            "WHERE account_id = %s AND event_id > %s AND event_id <= %s ORDER BY event_id LIMIT %s",
            (account_id, after, until, limit),
        ).fetchall()

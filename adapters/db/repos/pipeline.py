"""Small questions about the pipeline's own tables."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql


def oldest_open_day(connection: "psycopg.Connection[Any]", first_day: date) -> date | None:
    """Find the oldest day that still holds a trade without an end.

    Parameters
    ----------
    connection : psycopg.Connection
    first_day : date
        Days before it are no partitions and are left out.

    Returns
    -------
    date or None
        None if every trade has ended.
    """
    row = connection.execute(
        "SELECT min(trade_date) FROM research.trades WHERE exit_reason = 'OPEN' AND trade_date >= %s",
        (first_day,),
    ).fetchone()
    return row[0] if row else None


def last_heartbeats(connection: "psycopg.Connection[Any]") -> list[tuple[str, str, datetime]]:
    """List account, component and moment of every heartbeat of the trading daemons."""
    rows = connection.execute(
        "SELECT account_id, component, beat_at FROM trading.heartbeats ORDER BY account_id, component"
    )
    return [(row[0], row[1], row[2]) for row in rows]


def count_by_day(
    connection: "psycopg.Connection[Any]", marts: Iterable[str], first: date, last: date
) -> dict[str, dict[str, int]]:
    """Count the rows of marts per as-of day.

    Parameters
    ----------
    connection : psycopg.Connection
    marts : iterable of str
        Tables of the schema ``marts``; one that is not there is left out.
    first, last : date
        Closed range of as-of days.

    Returns
    -------
    dict
        Per mart the rows of each ISO date, rising; days without rows are absent.
    """
    found: dict[str, dict[str, int]] = {}
    for name in marts:
        known = connection.execute("SELECT to_regclass(%s)", (f"marts.{name}",)).fetchone()
        if known is None or known[0] is None:
            continue
        statement = sql.SQL(
            "SELECT as_of_date, count(*) FROM {} WHERE as_of_date BETWEEN %s AND %s GROUP BY 1 ORDER BY 1"
        ).format(sql.Identifier("marts", name))
        found[name] = {row[0].isoformat(): row[1] for row in connection.execute(statement, (first, last))}
    return found

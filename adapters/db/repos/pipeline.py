"""Small questions about the pipeline's own tables."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

MARTS: Final = (
    "rules_6d",
    "mini_rules",
    "adverse_rules",
    "eligible_rules",
    "rule_changes",
    "advisor_leaderboard",
)
"""Tables and views by as-of day."""
NEVER_EMPTY: Final = ("mini_rules", "advisor_leaderboard")
"""Marts that hold rows of every as-of day on which an idea has closed."""


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


def read_open_trades(connection: "psycopg.Connection[Any]") -> frozenset[str]:
    """Name the ideas without an end."""
    rows = connection.execute("SELECT trade_id FROM research.trades WHERE exit_reason = 'OPEN'")
    return frozenset(row[0] for row in rows)


def read_regime_days(connection: "psycopg.Connection[Any]", first: date, last: date) -> frozenset[date]:
    """Name the days of a closed range that steps 1 to 7 have worked out: each has the market's regime."""
    rows = connection.execute(
        "SELECT trade_date FROM ref.regimes WHERE scope = 'MARKET' AND trade_date BETWEEN %s AND %s",
        (first, last),
    )
    return frozenset(row[0] for row in rows)


_REFERRED = """
WITH said AS (
    SELECT content->>'source' AS source, content->>'refers_to' AS message, content->>'advisor_id' AS advisor,
           upper(regexp_replace(content->>'symbol', '[\\s._-]+', '', 'g')) AS symbol
    FROM raw.landed_rows
    WHERE upload_id = %(upload_id)s AND kind = 'FOLLOWUP' AND trade_date <= %(last)s
),
older AS (
    SELECT trade_date, received_at, content->>'source' AS source, content->>'source_message_id' AS message,
           content->>'advisor_id' AS advisor,
           upper(regexp_replace(content->>'symbol', '[\\s._-]+', '', 'g')) AS symbol
    FROM raw.landed_rows
    WHERE kind = 'SIGNAL' AND trade_date >= %(oldest)s AND trade_date < %(first)s
),
newest AS (
    SELECT DISTINCT ON (advisor, symbol) * FROM older ORDER BY advisor, symbol, received_at DESC
)
SELECT min(found.trade_date) FROM (
    SELECT o.trade_date FROM said AS s JOIN older AS o ON o.source = s.source AND o.message = s.message
    UNION ALL
    SELECT n.trade_date FROM said AS s JOIN newest AS n ON n.advisor = s.advisor AND n.symbol = s.symbol
    WHERE s.message IS NULL
) AS found
"""


def oldest_referred_day(
    connection: "psycopg.Connection[Any]", upload_id: str, first: date, reach_days: int
) -> date | None:
    """Find the oldest signal before an upload's own days to which a follow-up of the upload may refer.

    Parameters
    ----------
    connection : psycopg.Connection
    upload_id : str
    first : date
        First trade date that the upload touched.
    reach_days : int
        How old a signal may be, calendar days.

    Returns
    -------
    date or None
        Its trade date: the outcome there must be worked out anew. None where no follow-up looks back.
    """
    reach = timedelta(days=reach_days)
    row = connection.execute(
        _REFERRED,
        {"upload_id": upload_id, "first": first, "oldest": first - reach, "last": first + reach},
    ).fetchone()
    return row[0] if row else None


def oldest_landed_day(connection: "psycopg.Connection[Any]") -> date | None:
    """Find the oldest day to which a landed signal or follow-up belongs."""
    row = connection.execute("SELECT min(trade_date) FROM raw.landed_rows").fetchone()
    return row[0] if row else None


def newest_landed_day(connection: "psycopg.Connection[Any]", until: date) -> date | None:
    """Find the newest day, up to and including ``until``, to which a landed signal or follow-up belongs."""
    row = connection.execute(
        "SELECT max(trade_date) FROM raw.landed_rows WHERE trade_date <= %s", (until,)
    ).fetchone()
    return row[0] if row else None


def last_heartbeats(connection: "psycopg.Connection[Any]") -> list[tuple[str, str, datetime]]:
    """List account, component and moment of every heartbeat of the trading daemons."""
    rows = connection.execute(
        "SELECT account_id, component, beat_at FROM trading.heartbeats ORDER BY account_id, component"
    )
    return [(row[0], row[1], row[2]) for row in rows]


def holds_marts(connection: "psycopg.Connection[Any]", day: date) -> bool:
    """Tell whether the marts of an as-of day were built to the end, as far as their rows tell.

    Parameters
    ----------
    connection : psycopg.Connection
    day : date
        An as-of day on which an idea has closed.

    Returns
    -------
    bool
        Every mart is there, and those that are never empty hold the day; a day may do without changes or
        eligible rules.
    """
    held = count_by_day(connection, MARTS, day, day)
    return set(held) == set(MARTS) and all(held[name] for name in NEVER_EMPTY)


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

"""Signals of a past day, and beginning a replayed day anew."""

from collections.abc import Collection
from datetime import date
from typing import Any, TypeAlias

import psycopg

from propdesk.core.calendar import MarketCalendar, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, from_ns

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_DAY_TABLES = (
    "journal",
    "carry_overs",
    "day_contexts",
    "decisions",
    "trade_groups",
    "order_intents",
    "broker_orders",
    "executed_trades",
    "corpus_ledger",
    "crowd_positions",
    "pending_entries",
    "replay_positions",
    "paper_exchange",
    "paper_updates",
)


def read_day_documents(connection: Connection, day: date, calendar: MarketCalendar) -> list[dict[str, Any]]:
    """Give the ingested signals and follow-ups that a market day hears as live documents, each as it came.

    Returns
    -------
    list of dict
        Canonical text fields with ``received_at``; in order of receipt.

    Notes
    -----
    Moments of receipt decide, not trade dates: a cash idea that comes while only derivatives still trade is
    acted on the next day, but it is the running day that hears it. A version that was received on a later
    day belongs to that day: an idea that was edited afterwards is here as it was. Of versions that claim the
    same moment the first that landed is what was known then.
    """
    start_ns, end_ns = calendar.hearing_span(day)
    # the trade date only serves the index: what a day hears is acted on then or on the next market day
    last = calendar.next_day(day) if day < calendar.last_day else day
    rows = connection.execute(
        "SELECT content, received_at FROM (SELECT DISTINCT ON (record_id, received_at) record_id, "
        "received_at, content FROM raw.landed_rows "
        "WHERE trade_date BETWEEN %s AND %s AND received_at >= %s AND received_at < %s "
        "ORDER BY record_id, received_at, revision) AS heard ORDER BY received_at, record_id",
        (day, last, from_ns(start_ns), from_ns(end_ns)),
    )
    return [{**content, "received_at": received_at.isoformat()} for content, received_at in rows]


def count_versions_before(
    connection: Connection, record_ids: Collection[str], before_ns: int
) -> dict[str, int]:
    """Count the versions of some records that were heard before a moment; those without one are left out."""
    rows = connection.execute(
        "SELECT record_id, count(DISTINCT received_at) FROM raw.landed_rows "
        "WHERE record_id = ANY(%s) AND received_at < %s GROUP BY record_id",
        (list(record_ids), from_ns(before_ns)),
    )
    return dict(rows.fetchall())


def forget_day(connection: Connection, account_id: str, trade_date: date) -> None:
    """Remove everything an account's books hold of one replayed day, in the current transaction."""
    first = ist_midnight_ns(trade_date)
    connection.execute(
        "DELETE FROM trading.legs WHERE account_id = %s AND group_id IN ("
        "SELECT group_id FROM trading.trade_groups WHERE account_id = %s AND trade_date = %s)",
        (account_id, account_id, trade_date),
    )
    for table in _DAY_TABLES:
        connection.execute(
            psycopg.sql.SQL("DELETE FROM {} WHERE account_id = %s AND trade_date = %s").format(
                psycopg.sql.Identifier("trading", table)
            ),
            (account_id, trade_date),
        )
    connection.execute(
        "DELETE FROM trading.inbox WHERE account_id = %s AND (journal_date = %s OR journal_date IS NULL)",
        (account_id, trade_date),
    )
    for table, column in (("risk_levels", "raised_ns"), ("trade_events", "event_ns")):
        connection.execute(
            psycopg.sql.SQL("DELETE FROM {} WHERE account_id = %s AND {} >= %s AND {} < %s").format(
                psycopg.sql.Identifier("trading", table),
                psycopg.sql.Identifier(column),
                psycopg.sql.Identifier(column),
            ),
            (account_id, first, first + NS_PER_DAY),
        )
    connection.execute("DELETE FROM trading.resume_tokens WHERE account_id = %s", (account_id,))
    connection.execute(
        "DELETE FROM ref.readiness WHERE account_id = %s AND trade_date = %s", (account_id, trade_date)
    )


def is_replayed(connection: Connection, account_id: str, trade_date: date) -> bool:
    """Tell whether the replay of a day has come to its end."""
    row = connection.execute(
        "SELECT is_done FROM trading.replay_positions WHERE account_id = %s AND trade_date = %s",
        (account_id, trade_date),
    ).fetchone()
    return row is not None and bool(row[0])

"""The state of an account at a glance (§7.3): alive, ready, capital, positions, result, kill levels."""

from datetime import date, datetime
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import dict_row

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


def read_overview(connection: Connection, account_id: str, now: datetime) -> dict[str, Any]:
    """Read what the first page shows.

    Parameters
    ----------
    connection : psycopg.Connection
        As the reader.
    account_id : str
    now : datetime
        Aware UTC; ages are counted to it.

    Returns
    -------
    dict
        ``heartbeats`` with ages in s; ``readiness`` of the newest day that pre-market knows, or None;
        ``corpus`` in paise, or None before the first day; ``open_groups``; ``day``, the result of the newest
        traded day, or None; ``risk_levels`` that stand; ``newest_as_of`` of the rules and ``last_upload_at``,
        each None before the first.
    """
    key = {"account": account_id}
    beats = _rows(
        connection,
        "SELECT component, beat_at, pid FROM trading.heartbeats "
        "WHERE account_id = %(account)s ORDER BY component",
        key,
    )
    corpus = _row(
        connection,
        "SELECT sum(total_paise)::bigint AS total_paise, sum(free_paise)::bigint AS free_paise, "
        "sum(deployed_paise)::bigint AS deployed_paise FROM trading.corpus_accounts "
        "WHERE account_id = %(account)s HAVING count(*) > 0",
        key,
    )
    open_groups = _row(
        connection,
        "SELECT count(*) AS n FROM trading.trade_groups "
        "WHERE account_id = %(account)s AND NOT is_closed AND NOT is_shadow",
        key,
    )
    upload = _row(connection, "SELECT max(ingested_at) AS at FROM raw.uploads WHERE status = 'ACCEPTED'", {})
    return {
        "account_id": account_id,
        "now": now,
        "heartbeats": [{**beat, "age_s": (now - beat["beat_at"]).total_seconds()} for beat in beats],
        "readiness": _readiness(connection, key),
        "corpus": corpus,
        "open_groups": open_groups["n"] if open_groups else 0,
        "day": _day(connection, key),
        "risk_levels": _rows(
            connection,
            "SELECT scope, level, severity, cause, actor, reason, raised_ns FROM trading.risk_levels "
            "WHERE account_id = %(account)s AND cleared_ns IS NULL ORDER BY severity DESC, cause_id",
            key,
        ),
        "newest_as_of": _newest_as_of(connection),
        "last_upload_at": upload["at"] if upload else None,
    }


def read_crowd(connection: Connection, account_id: str, underlying: str) -> list[dict[str, Any]]:
    """Count the ideas on an underlying that the crowd's newest day holds, by direction and state."""
    return _rows(
        connection,
        "SELECT trade_date, direction, state, count(*) AS n FROM trading.crowd_positions "
        "WHERE account_id = %(account)s AND underlying = %(underlying)s AND trade_date = ("
        "SELECT max(trade_date) FROM trading.crowd_positions WHERE account_id = %(account)s) "
        "GROUP BY trade_date, direction, state ORDER BY direction, state",
        {"account": account_id, "underlying": underlying},
    )


def _readiness(connection: Connection, key: dict[str, str]) -> dict[str, Any] | None:
    return _row(
        connection,
        "SELECT trade_date, ready_at IS NOT NULL AS is_ready, ready_at, ruleset_version, "
        "opening_corpus_paise FROM ref.readiness WHERE account_id = %(account)s "
        "ORDER BY trade_date DESC LIMIT 1",
        key,
    )


def _day(connection: Connection, key: dict[str, str]) -> dict[str, Any] | None:
    return _row(
        connection,
        "SELECT trade_date, count(*) AS legs, count(*) FILTER (WHERE NOT is_closed) AS legs_open, "
        "coalesce(sum(gross_pnl_paise), 0)::bigint AS gross_pnl_paise, "
        "coalesce(sum(charges_paise), 0)::bigint AS charges_paise, "
        "coalesce(sum(net_pnl_paise), 0)::bigint AS net_pnl_paise FROM trading.executed_trades "
        "WHERE account_id = %(account)s GROUP BY trade_date ORDER BY trade_date DESC LIMIT 1",
        key,
    )


def _newest_as_of(connection: Connection) -> date | None:
    if connection.execute("SELECT to_regclass('marts.advisor_leaderboard')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT max(as_of_date) FROM marts.advisor_leaderboard").fetchone()
    return row[0] if row else None


def _rows(connection: Connection, statement: str, values: dict[str, str]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), values).fetchall()


def _row(connection: Connection, statement: str, values: dict[str, str]) -> dict[str, Any] | None:
    rows = _rows(connection, statement, values)
    return rows[0] if rows else None

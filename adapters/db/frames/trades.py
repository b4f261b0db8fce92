"""Frames of steps 5 to 7 to their tables and back, by partition range."""

from datetime import date

import pandas as pd
from psycopg import sql

from adapters.db.frames.copy import Connection, read_frame, replace_range
from propdesk.pipeline.coverage import ALIVE_COLUMNS
from propdesk.pipeline.trades import TradeTables

_TRADE_TABLES = {
    "research.trades": "trades",
    "research.trade_legs": "legs",
    "research.trade_marks": "marks",
    "research.outcome_audit": "audit",
}


def write_trade_tables(connection: Connection, tables: TradeTables, first: date, last: date) -> int:
    """Replace the trade dates [first, last] of all four tables of step 5; returns the trades written."""
    written = {
        table: replace_range(
            connection, table, getattr(tables, field), partition_column="trade_date", first=first, last=last
        )
        for table, field in _TRADE_TABLES.items()
    }
    return written["research.trades"]


def write_regimes(connection: Connection, frame: pd.DataFrame, first: date, last: date) -> int:
    """Replace the regimes of the trade dates [first, last]; returns the rows written."""
    return replace_range(
        connection, "ref.regimes", frame, partition_column="trade_date", first=first, last=last
    )


def write_excursions(connection: Connection, frame: pd.DataFrame, first: date, last: date) -> int:
    """Replace the excursions of the trade dates [first, last]; returns the rows written."""
    return replace_range(
        connection, "research.excursions", frame, partition_column="trade_date", first=first, last=last
    )


def read_trades(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read the trades of the trade dates [first, last] by (trade_date, trade_id)."""
    return read_frame(
        connection,
        "SELECT * FROM research.trades WHERE trade_date BETWEEN %s AND %s ORDER BY trade_date, trade_id",
        (first, last),
    )


def read_alive(connection: Connection, first: date) -> pd.DataFrame:
    """Read what `propdesk.pipeline.coverage` asks of the ideas of earlier days that live on ``first``."""
    return read_frame(
        connection,
        sql.SQL(
            "SELECT DISTINCT {} FROM research.trades WHERE trade_date < %s"
            " AND (exit_reason = 'OPEN' OR coalesce(exit_date, unsettled_date) >= %s)"
        ).format(sql.SQL(", ").join(map(sql.Identifier, ALIVE_COLUMNS))),
        (first, first),
    )

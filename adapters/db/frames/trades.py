"""Frames of steps 5 to 7 to their tables and back, by partition range."""

from datetime import date

import pandas as pd
from psycopg import sql

from adapters.db.frames.copy import Connection, read_frame, replace_range
from propdesk.pipeline.regime import MARKET_KEY
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
    return _read(connection, "trades", first, last, ("trade_date", "trade_id"))


def read_marks(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read the daily marks of the trade dates [first, last]."""
    return _read(connection, "trade_marks", first, last, ("trade_date", "trade_id", "mark_date"))


def read_legs(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read the legs of the trade dates [first, last]."""
    return _read(connection, "trade_legs", first, last, ("trade_date", "trade_id", "leg_number"))


def read_excursions(connection: Connection, first: date, last: date) -> pd.DataFrame:
    """Read the excursions of the trade dates [first, last]."""
    return _read(connection, "excursions", first, last, ("trade_date", "trade_id"))


def read_trades_with_regime(
    connection: Connection, first: date, last: date, *, by_underlying: bool = False
) -> pd.DataFrame:
    """Read trades with the regime known before their trade date as column ``regime`` (null where none is).

    Parameters
    ----------
    connection : Connection
        Read within its transaction.
    first, last : date
        Closed range of trade dates.
    by_underlying : bool
        Use the underlying's own regime instead of the market's.
    """
    scope = sql.SQL("t.underlying") if by_underlying else sql.Literal("MARKET")
    return read_frame(
        connection,
        sql.SQL(
            "SELECT t.*, r.label AS regime FROM research.trades t"
            " LEFT JOIN ref.regimes r ON r.trade_date = t.trade_date AND r.scope = {scope}"
            " WHERE t.trade_date BETWEEN %s AND %s ORDER BY t.trade_date, t.trade_id"
        ).format(scope=scope),
        (first, last),
    )


def read_underlying_keys(connection: Connection, first: date, last: date) -> list[str]:
    """List the price keys whose regime the trades of [first, last] need, the market's among them."""
    found = read_frame(
        connection,
        "SELECT DISTINCT underlying_key FROM research.trades WHERE trade_date BETWEEN %s AND %s",
        (first, last),
    )
    return sorted({MARKET_KEY, *found["underlying_key"].astype(str)})


def oldest_open_trade_date(connection: Connection) -> date | None:
    """Oldest trade date that still holds an open trade or an entry that may yet fill; None without any."""
    found = read_frame(
        connection, "SELECT min(trade_date) AS day FROM research.trades WHERE exit_reason = %s", ("OPEN",)
    )
    day = found["day"].iloc[0]
    return None if pd.isna(day) else day


def _read(
    connection: Connection, table: str, first: date, last: date, order: tuple[str, ...]
) -> pd.DataFrame:
    statement = sql.SQL("SELECT * FROM {} WHERE trade_date BETWEEN %s AND %s ORDER BY {}").format(
        sql.Identifier("research", table), sql.SQL(", ").join(map(sql.Identifier, order))
    )
    return read_frame(connection, statement, (first, last))

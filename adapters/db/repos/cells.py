"""The trades behind a rule or an advisor, one by one, as pages draw them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import class_row

from adapters.settings import Settings

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
TRADES_MAX: Final = 2_000
"""More points than this are no picture; the newest count."""
_DIMENSIONS: Final = ("advisor_id", "category", "period", "regime", "weekday", "session")
_TRADES: Final = """
    SELECT t.trade_date, t.trade_id, t.instrument_key, t.entry_at, t.exit_at, t.exit_reason,
        g.label AS regime, t.weekday, t.session, t.net_pnl_paise, t.r_multiple, e.mae_r, e.mfe_r, a.agrees
    FROM research.trades t
    LEFT JOIN ref.regimes g ON g.trade_date = t.trade_date
        AND g.scope = CASE WHEN %(scope)s = 'market' THEN 'MARKET' ELSE t.underlying END
    LEFT JOIN research.excursions e ON (e.trade_date, e.trade_id) = (t.trade_date, t.trade_id)
    LEFT JOIN research.outcome_audit a ON (a.trade_date, a.trade_id) = (t.trade_date, t.trade_id)
    WHERE t.advisor_id = %(advisor_id)s AND t.is_counted AND t.exit_date <= %(as_of)s
        AND t.entry_date > %(as_of)s - %(days)s
        AND (%(category)s::text IS NULL OR t.category = %(category)s)
        AND (%(period)s::text IS NULL OR t.period = %(period)s)
        AND (%(regime)s::text IS NULL OR g.label = %(regime)s)
        AND (%(weekday)s::text IS NULL OR t.weekday = %(weekday)s)
        AND (%(session)s::text IS NULL OR t.session = %(session)s)
    ORDER BY t.exit_at DESC, t.trade_id LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class CellTrade:
    """A closed trade of a cell; what is undefined is None, ``agrees`` where the advisor claimed nothing."""

    trade_date: date
    trade_id: str
    instrument_key: str
    entry_at: datetime
    exit_at: datetime
    exit_reason: str
    regime: str | None
    weekday: str
    session: str
    net_pnl_paise: int
    r_multiple: float | None
    mae_r: float | None
    mfe_r: float | None
    agrees: bool | None


def read_cell_trades(
    connection: Connection, cell: Mapping[str, str | None], as_of: date, settings: Settings
) -> list[CellTrade]:
    """Read the closed trades that a cell was judged by.

    Parameters
    ----------
    connection : psycopg.Connection
        As the reader.
    cell : mapping
        Dimensions by name, at least ``advisor_id``; absent or None = any.
    as_of : date
        Day at whose end the cell was judged.
    settings : Settings
        Window and the scope of regimes, as step 8 takes them.

    Returns
    -------
    list of CellTrade
        In the order of exits, the newest `TRADES_MAX`.
    """
    values = {name: cell.get(name) for name in _DIMENSIONS}
    more = {"as_of": as_of, "days": settings.window_days, "scope": settings.regime_scope, "most": TRADES_MAX}
    with connection.cursor(row_factory=class_row(CellTrade)) as cursor:
        return cursor.execute(_TRADES, {**values, **more}).fetchall()[::-1]

"""What the skill layer reads of steps 5 to 8."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any, LiteralString, TypeAlias

import pandas as pd
import psycopg

from adapters.db.frames.copy import read_frame
from adapters.db.frames.rules import GroupInputs, read_group_inputs
from propdesk.core.calendar import MarketCalendar
from propdesk.core.errors import GapFault
from propdesk.pipeline.groups import GroupConfig

Connection: TypeAlias = psycopg.Connection[Any]

_EVERY_DAY = 1_000_000
_METRICS = 'SELECT * FROM research.group_metrics WHERE as_of_date = %s ORDER BY rule_text COLLATE "C"'
_CURVES = (
    "SELECT * FROM research.equity_curves WHERE as_of_date = %s AND size_model = %s "
    'ORDER BY rule_text COLLATE "C"'
)
_IDEAS = "SELECT * FROM research.trades WHERE trade_date BETWEEN %s AND %s ORDER BY trade_date, trade_id"
_FLAGS = "SELECT * FROM research.signal_flags WHERE trade_date BETWEEN %s AND %s"
_AUDIT = "SELECT * FROM research.outcome_audit WHERE trade_date BETWEEN %s AND %s"


@dataclass(frozen=True, slots=True)
class CopyInputs:
    """What `propdesk.pipeline.copyability` reads of step 5."""

    trades: pd.DataFrame
    flags: pd.DataFrame
    audit: pd.DataFrame


@dataclass(frozen=True, slots=True)
class SkillInputs:
    """Trades since the first, and what step 8 made of them on one as-of date."""

    groups: GroupInputs
    metrics: pd.DataFrame
    curves: pd.DataFrame


def newest_group_day(connection: Connection) -> date:
    """Newest as-of date of step 8.

    Raises
    ------
    GapFault
        If it never ran.
    """
    return _newest(connection, "SELECT max(as_of_date) FROM research.group_metrics", "group metrics")


def read_skill_inputs(
    connection: Connection, calendar: MarketCalendar, day: date, config: GroupConfig, scope: str
) -> SkillInputs:
    """Read what `propdesk.pipeline.skill_facts` needs of one as-of date.

    Parameters
    ----------
    connection : psycopg.Connection
        Any role that may read ``research`` and ``ref``.
    calendar : MarketCalendar
        The exchange's.
    day : date
        As-of date.
    config : GroupConfig
        Step 8's settings; the first size model is read.
    scope : str
        ``market`` or ``underlying``: whose regime labels the trades.

    Returns
    -------
    SkillInputs
        Trades of every day up to the as-of date, since e-processes begin with the first.

    Raises
    ------
    GapFault
        If step 8 holds nothing of that date.
    """
    metrics = read_frame(connection, _METRICS, (day,))
    if metrics.empty:
        raise GapFault(f"There are no group metrics of {day}: `propdesk backfill {day} {day}` makes them.")
    everything = replace(config, skill_window_days=_EVERY_DAY, skill_window_days_positional=_EVERY_DAY)
    groups = read_group_inputs(connection, calendar, day, day, everything, scope)
    return SkillInputs(groups, metrics, read_frame(connection, _CURVES, (day, config.size_models[0])))


def newest_trade_day(connection: Connection) -> date:
    """Newest trade date of step 5.

    Raises
    ------
    GapFault
        If it never ran.
    """
    return _newest(connection, "SELECT max(trade_date) FROM research.trades", "verified trades")


def _newest(connection: Connection, query: LiteralString, what: str) -> date:
    row = connection.execute(query).fetchone()
    if row is None or row[0] is None:
        raise GapFault(f"There are no {what} yet: run `propdesk backfill FROM TO` first.")
    day: date = row[0]
    return day


def read_copy_inputs(connection: Connection, first: date, last: date) -> CopyInputs:
    """Read ideas of a closed range of trade dates, how they were published and what is said of them.

    Raises
    ------
    GapFault
        If step 5 holds no idea of these days.
    """
    trades = read_frame(connection, _IDEAS, (first, last))
    if trades.empty:
        raise GapFault(f"There are no verified trades of {first} to {last}: `propdesk backfill` makes them.")
    flags, audit = (read_frame(connection, query, (first, last)) for query in (_FLAGS, _AUDIT))
    return CopyInputs(trades, flags, audit)

"""What the skill layer reads of steps 5 to 8."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
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
_GATED = """
    WITH judged AS (
        SELECT as_of_date, lead(as_of_date) OVER (ORDER BY as_of_date) AS until
        FROM (SELECT DISTINCT as_of_date FROM marts.mini_rules WHERE as_of_date < %(day)s) AS days
    )
    SELECT t.trade_date, t.category, t.r_multiple, m.profit_factor, m.post_mean_r, m.prob_edge, m.advisor_q,
        m.original_failed_gates, m.desk_failed_gates
    FROM judged AS j
    JOIN research.trades AS t ON t.trade_date > j.as_of_date AND t.trade_date <= coalesce(j.until, %(day)s)
    JOIN marts.mini_rules AS m ON m.as_of_date = j.as_of_date AND m.level = 'MINI'
        AND m.advisor_id = t.advisor_id AND m.category = t.category AND m.period = t.period
    WHERE t.is_counted AND t.r_multiple IS NOT NULL AND t.exit_date <= %(day)s AND t.trade_date > %(first)s
    ORDER BY t.trade_date, t.trade_id
"""
_GATED_COLUMNS = (
    "trade_date", "category", "r_multiple", "profit_factor", "post_mean_r", "prob_edge", "advisor_q",
    "original_failed_gates", "desk_failed_gates",
)  # fmt: skip
_TRIED = """
    SELECT count(DISTINCT settings_version), count(DISTINCT gates_version),
        coalesce(sum(rules_tried) FILTER (WHERE as_of_date = %(day)s), 0),
        coalesce(sum(rules_judged) FILTER (WHERE as_of_date = %(day)s), 0)
    FROM research.trial_ledger WHERE as_of_date <= %(day)s
"""


@dataclass(frozen=True, slots=True)
class CopyInputs:
    """What `propdesk.pipeline.copyability` reads of step 5."""

    trades: pd.DataFrame
    flags: pd.DataFrame
    audit: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Tried:
    """What the trial ledger holds at the end of one as-of date.

    ``settings`` and ``gate_tables`` are distinct over all as-of dates up to it: who tried another setting on
    the day before has tried it. ``rules_tried`` and ``rules_judged`` are of the date alone and add up over
    every run that differed in settings, thresholds or data.
    """

    settings: int
    gate_tables: int
    rules_tried: int
    rules_judged: int


@dataclass(frozen=True, slots=True)
class SkillInputs:
    """Trades since the first, and what step 8 made of them on one as-of date."""

    groups: GroupInputs
    metrics: pd.DataFrame
    curves: pd.DataFrame
    tried: Tried


def newest_group_day(connection: Connection) -> date:
    """Newest as-of date of step 8.

    Raises
    ------
    GapFault
        If it never ran.
    """
    return _newest(connection, "SELECT max(as_of_date) FROM research.group_metrics", "group metrics")


def read_skill_inputs(
    connection: Connection, calendar: MarketCalendar, day: date, config: GroupConfig
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
    groups = read_group_inputs(connection, calendar, day, day, everything)
    curves = read_frame(connection, _CURVES, (day, config.size_models[0]))
    return SkillInputs(groups, metrics, curves, read_tried(connection, day))


def read_tried(connection: Connection, day: date) -> Tried:
    """Read the trial ledger up to one as-of date; zeros where nothing was tried."""
    ((settings, gate_tables, tried, judged),) = connection.execute(_TRIED, {"day": day}).fetchall()
    return Tried(settings, gate_tables, tried, judged)


def read_gated_ideas(connection: Connection, day: date, days: int) -> pd.DataFrame:
    """Read what `propdesk.pipeline.gate_sets` needs: closed ideas beside the verdicts they met.

    Parameters
    ----------
    connection : psycopg.Connection
        Any role that may read ``research`` and ``marts``.
    day : date
        Only what is over by its end, and verdicts of as-of dates before it.
    days : int
        Calendar days of trade dates up to it.

    Returns
    -------
    DataFrame
        Columns of `_GATED_COLUMNS`; empty without marts.
    """
    row = connection.execute("SELECT to_regclass('marts.mini_rules') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return pd.DataFrame({name: [] for name in _GATED_COLUMNS})
    return read_frame(connection, _GATED, {"day": day, "first": day - timedelta(days=days)})


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

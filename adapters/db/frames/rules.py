"""Reads and writes of step 8 and of the gates' thresholds."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pandas as pd
import psycopg

from adapters.db.frames.copy import Connection, append_frame, read_frame, replace_range
from adapters.settings import Settings
from propdesk.core.calendar import MarketCalendar
from propdesk.core.errors import GapFault
from propdesk.pipeline.groups import GroupConfig
from propdesk.pipeline.trial_ledger import COLUMNS
from propdesk.rules.gates import GateTable

_TRADES = """
    SELECT t.trade_id, t.advisor_id, t.category, t.period, t.session, t.weekday, g.label AS regime, t.side,
        t.underlying_key, t.stoploss_paise, t.targets_paise, t.lots, t.quantity, t.margin_paise,
        t.desk_quantity, t.desk_margin_paise, t.entry_at, t.entry_date, t.entry_paise, t.exit_at, t.exit_date,
        t.exit_paise, t.exit_reason, t.unsettled_date, t.targets_hit, t.ambiguous_bar, t.net_pnl_paise,
        t.desk_net_pnl_paise, t.gross_pnl_paise, t.slippage_paise, t.charges_paise, t.holding_hours,
        t.risk_paise, t.r_multiple, t.gross_r, t.return_ratio, t.is_winning_trade, t.traded_value_share,
        t.is_counted
    FROM research.trades t
    LEFT JOIN ref.regimes g ON g.trade_date = t.trade_date
        AND g.scope = CASE WHEN %(scope)s = 'market' THEN 'MARKET' ELSE t.underlying END
    WHERE t.is_counted AND t.entry_date BETWEEN %(first)s AND %(last)s
"""
_EXCURSIONS = """
    SELECT e.trade_id, e.mae_r, e.mfe_r, e.post_sl_extension, e.post_sl_recovery, e.post_target_extension,
        e.wse, e.wte, e.crossed_entry_after_stop
    FROM research.excursions e JOIN research.trades t USING (trade_date, trade_id)
    WHERE t.is_counted AND t.entry_date BETWEEN %(first)s AND %(last)s
"""
_MARKS = """
    SELECT m.trade_id, m.mark_date, m.mark_pnl_paise
    FROM research.trade_marks m JOIN research.trades t USING (trade_date, trade_id)
    WHERE t.is_counted AND t.entry_date BETWEEN %(first)s AND %(last)s AND m.mark_date <= %(last)s
"""
_LEDGER = """
    INSERT INTO research.trial_ledger
        (as_of_date, settings_version, gates_version, level, rules_tried, rules_judged)
    SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[])
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class GroupInputs:
    """What `propdesk.pipeline.groups.build_group_facts` reads."""

    trades: pd.DataFrame
    excursions: pd.DataFrame
    marks: pd.DataFrame


def evidence_windows(settings: Settings) -> tuple[int, int]:
    """Evidence windows of the skill columns (§3.8), market days: of every idea, and of positional ones."""
    days = settings.skill_window_market_days
    return days, 2 * days


def group_config(settings: Settings, gates: GateTable) -> GroupConfig:
    """Take step 8's settings from the process's."""
    evidence, evidence_positional = evidence_windows(settings)
    return GroupConfig(
        capital_paise=settings.corpus_paise,
        window_days=settings.window_days,
        half_life_days=settings.half_life_days,
        skill_window_days=evidence,
        skill_window_days_positional=evidence_positional,
        skill_half_life_days=settings.skill_half_life_days,
        hurdle_r=settings.skill_hurdle_r,
        risk_free=settings.risk_free,
        size_models=(settings.size_model,),
        regime_scope=settings.regime_scope,
        minimum_trades=gates.minimum_trades(),
    )


def evidence_start(calendar: MarketCalendar, first: date, config: GroupConfig) -> date:
    """First entry date that any window of the as-of date ``first`` can reach."""
    try:
        skill = calendar.shift(first, -max(config.skill_window_days, config.skill_window_days_positional))
    except GapFault:  # the calendar begins later than the window: everything there is
        skill = calendar.first_day
    return min(skill, first - timedelta(days=config.window_days))


def read_group_inputs(
    connection: Connection, calendar: MarketCalendar, first: date, last: date, config: GroupConfig
) -> GroupInputs:
    """Read the counted trades, excursions and marks that the as-of dates of a range need.

    Parameters
    ----------
    connection : psycopg or SQLAlchemy connection
        Read within its transaction.
    calendar : MarketCalendar
        The exchange's.
    first, last : date
        Closed range of as-of dates.
    config : GroupConfig
        Windows, and whose regime labels the trades.

    Returns
    -------
    GroupInputs
        Frames for `build_group_facts`.
    """
    params = {
        "first": evidence_start(calendar, first, config), "last": last, "scope": config.regime_scope,
    }  # fmt: skip
    reach = {key: params[key] for key in ("first", "last")}
    return GroupInputs(
        read_frame(connection, _TRADES, params),
        read_frame(connection, _EXCURSIONS, reach),
        read_frame(connection, _MARKS, reach),
    )


def write_group_table(
    connection: Connection, table: str, frame: pd.DataFrame, first: date, last: date
) -> int:
    """Replace the as-of dates of the range in one of step 8's tables; returns the rows written."""
    return replace_range(
        connection, f"research.{table}", frame, partition_column="as_of_date", first=first, last=last
    )


def write_gate_thresholds(connection: Connection, gates: GateTable) -> None:
    """Make ``ref.gate_thresholds`` hold exactly these thresholds."""
    statement = "DELETE FROM ref.gate_thresholds"
    if isinstance(connection, psycopg.Connection):
        connection.execute(statement)
    else:
        connection.exec_driver_sql(statement)
    append_frame(connection, "ref.gate_thresholds", pd.DataFrame(gates.rows()))


def append_trials(connection: "psycopg.Connection[Any]", found: pd.DataFrame) -> None:
    """Add rows of `propdesk.pipeline.trial_ledger.trials` to the ledger; those it has stay as they are."""
    connection.execute(_LEDGER, [found[name].tolist() for name in COLUMNS])

"""What a desk looks at before a day and after it (§5.2): the morning's brief, the evening's close."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import dict_row

from adapters.db.repos.readiness import read_readiness, read_regimes
from adapters.db.repos.rulesets import read_head
from propdesk.core.calendar import ist_midnight_ns
from propdesk.engine.context import MARKET_SCOPE
from propdesk.model.enums import GateProfile
from propdesk.model.messages import DecisionCode

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

EXPIRES_SOON_DAYS: Final = 3
"""Calendar days within which the expiry of something held is named."""
UNRESOLVED: Final = (
    DecisionCode.UNKNOWN_SYMBOL.value,
    DecisionCode.EXPIRED.value,
    DecisionCode.AMBIGUOUS.value,
    DecisionCode.NOT_YET_LISTED.value,
)


_HELD: Final = """
    SELECT g.group_id, g.signal_id, g.advisor_id, g.instrument_key, g.category, g.product, g.period, g.side,
        g.is_reverse, g.rule_text, g.opened_ns, g.opened_ns < %(midnight)s AS is_carried,
        g.planned_risk_paise, g.margin_paise,
        sum(l.filled_quantity - l.exited_quantity)::bigint AS held_quantity,
        sum(l.quantity - l.filled_quantity) FILTER (WHERE l.state IN ('WORKING', 'OPEN'))::bigint
            AS waiting_quantity,
        min(l.stop_paise) FILTER (WHERE l.filled_quantity > l.exited_quantity) AS lowest_stop_paise,
        count(*) FILTER (WHERE l.filled_quantity > l.exited_quantity AND l.stop_paise IS NULL)
            AS legs_without_stop,
        (SELECT count(*) FROM trading.broker_orders AS b JOIN trading.order_intents AS i
            USING (account_id, correlation_id)
            WHERE b.account_id = g.account_id AND i.group_id = g.group_id AND b.last_kind = 'NAKED')
            AS orders_told_naked,
        (SELECT min(i.expiry) FROM ref.instruments AS i WHERE i.instrument_key = g.instrument_key) AS expiry
    FROM trading.trade_groups AS g JOIN trading.legs AS l USING (account_id, group_id)
    WHERE g.account_id = %(account)s AND NOT g.is_closed AND NOT g.is_shadow
    GROUP BY g.account_id, g.group_id
    ORDER BY g.opened_ns, g.group_id
"""
_PENDING: Final = """
    SELECT signal_id, trade_date, reason, since_ns, deadline_ns FROM trading.pending_entries
    WHERE account_id = %s AND resolved_ns IS NULL ORDER BY since_ns, signal_id
"""
_CHANGES: Final = """
    SELECT rule_text, level, advisor_id, change, gates FROM marts.rule_changes
    WHERE as_of_date = %s AND profile = %s ORDER BY change DESC, level, rule_text
"""
_EXPIRIES: Final = """
    SELECT underlying, category, count(DISTINCT instrument_key) AS contracts FROM ref.instruments
    WHERE expiry = %(day)s AND valid_from <= %(day)s AND valid_to >= %(day)s
    GROUP BY underlying, category ORDER BY underlying, category
"""
_POOLS: Final = """
    SELECT category, is_adverse = 1 AS is_adverse, total_paise, free_paise, deployed_paise
    FROM trading.corpus_accounts WHERE account_id = %s ORDER BY is_adverse, category
"""
_LEVELS: Final = """
    SELECT scope, level, cause, actor, reason, raised_ns FROM trading.risk_levels
    WHERE account_id = %s AND cleared_ns IS NULL ORDER BY severity DESC, raised_ns
"""
_SLIPPAGE: Final = """
    WITH fills AS (
        SELECT t.category, t.quantity, t.entry_paise,
            CASE WHEN g.entry_low_paise IS NULL THEN NULL
                ELSE (g.entry_low_paise + g.entry_high_paise) / 2.0 END AS asked_paise,
            CASE t.side WHEN 'BUY' THEN 1 ELSE -1 END AS sign
        FROM trading.executed_trades AS t JOIN trading.trade_groups AS g USING (account_id, group_id)
        WHERE t.account_id = %s AND t.trade_date = %s AND t.quantity > 0
    )
    SELECT category, count(*) AS legs, count(asked_paise) AS legs_with_price,
        round(sum(sign * (entry_paise - asked_paise) * quantity))::bigint AS slippage_paise,
        (1e4 * sum(sign * (entry_paise - asked_paise) * quantity) / nullif(sum(asked_paise * quantity), 0))
            ::float8 AS slippage_bps
    FROM fills GROUP BY category ORDER BY category
"""
_REJECTED: Final = """
    WITH final AS (
        SELECT DISTINCT ON (signal_id) signal_id, code, group_id FROM trading.decisions
        WHERE account_id = %(account)s AND trade_date = %(day)s
        ORDER BY signal_id, journal_seq DESC, decided_ns DESC
    )
    SELECT f.code, count(*) AS ideas, count(r.trade_id) AS verified,
        count(r.r_multiple) FILTER (WHERE r.is_counted) AS ended,
        avg(r.r_multiple) FILTER (WHERE r.is_counted)::float8 AS mean_r,
        coalesce(
            sum(r.desk_net_pnl_paise) FILTER (WHERE r.is_counted AND r.r_multiple IS NOT NULL), 0
        )::bigint AS desk_net_pnl_paise
    FROM final AS f LEFT JOIN research.trades AS r ON r.trade_id = f.signal_id
    WHERE f.code NOT IN ('TRADED', 'TRADED_REVERSE')
    GROUP BY f.code ORDER BY count(*) DESC, f.code
"""
_UNRESOLVED: Final = """
    SELECT DISTINCT ON (d.signal_id) d.signal_id, d.code, i.document
    FROM trading.decisions AS d JOIN trading.inbox AS i
        ON i.account_id = d.account_id AND i.record_id = d.signal_id
    WHERE d.account_id = %s AND d.trade_date = %s AND d.code = ANY(%s)
    ORDER BY d.signal_id, i.revision DESC
"""
_LEDGER: Final = """
    SELECT
        (SELECT coalesce(sum(pnl_paise), 0)::bigint FROM trading.corpus_ledger
            WHERE account_id = %(account)s AND trade_date = %(day)s) AS ledger_paise,
        (SELECT coalesce(sum(net_pnl_paise), 0)::bigint FROM trading.executed_trades
            WHERE account_id = %(account)s AND exit_ns >= %(begin)s AND exit_ns < %(end)s) AS trades_paise,
        (SELECT count(*) FROM trading.order_intents
            WHERE account_id = %(account)s AND trade_date = %(day)s AND state IN ('SENT', 'UNKNOWN'))
            AS unanswered,
        (SELECT count(*) FROM trading.trade_groups
            WHERE account_id = %(account)s AND NOT is_closed AND NOT is_shadow) AS carried
"""


@dataclass(frozen=True, slots=True)
class Brief:
    """What a day looks like before it begins; money in paise, moments in ns UTC.

    Attributes
    ----------
    steps : dict
        Pre-market's steps that are done, each with what it found.
    held, pending : list of dict
        Open groups, ``is_carried`` from an earlier day; entries that wait.
    switched : list of dict
        Rules that the frozen table has and the day before did not, or the other way round, with the gates.
    expiries, pools, levels : list of dict
        Contracts that expire on the day; corpus by pool; open causes of kill levels.
    """

    account_id: str
    trade_date: date
    is_ready: bool
    steps: dict[str, dict[str, Any]]
    ruleset_version: str | None
    as_of_date: date | None
    regime: str | None
    opening_corpus_paise: int | None
    held: list[dict[str, Any]]
    pending: list[dict[str, Any]]
    switched: list[dict[str, Any]]
    expiries: list[dict[str, Any]]
    pools: list[dict[str, Any]]
    levels: list[dict[str, Any]]

    @property
    def expiring_soon(self) -> list[dict[str, Any]]:
        """What is held and expires within `EXPIRES_SOON_DAYS`."""
        last = self.trade_date + timedelta(days=EXPIRES_SOON_DAYS)
        return [one for one in self.held if one["expiry"] is not None and one["expiry"] <= last]

    @property
    def unprotected(self) -> list[dict[str, Any]]:
        """What is held without a stop of its own, or of which the broker last told that it has none."""
        return [
            one for one in self.held
            if one["held_quantity"] and (one["legs_without_stop"] or one["orders_told_naked"])
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Close:
    """What a day came to beyond its trades.

    Attributes
    ----------
    slippage : list of dict
        By category: fills against the middle of the prices asked, what they cost (paise; a gain is negative)
        and in hundredths of a percent. A leg at market has no price asked.
    rejected : list of dict
        By the gate that decided: ideas, those that the pipeline has verified since, those that count and have
        ended, their mean R and what the desk's size would have made of them. Nothing is verified before step
        5 ran for the day.
    unresolved : list of dict
        Ideas that name no tradable instrument, with what they said.
    ledger_paise, trades_paise : int
        Result of the day by the corpus ledger and by the legs that were over on it.
    unanswered, carried : int
        Orders nobody has answered; groups still open.
    """

    account_id: str
    trade_date: date
    slippage: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    unresolved: list[dict[str, Any]]
    ledger_paise: int
    trades_paise: int
    unanswered: int
    carried: int

    @property
    def is_final(self) -> bool:
        """Whether every idea that was not traded, and named something tradable, has been verified."""
        known = [one for one in self.rejected if one["code"] not in UNRESOLVED]
        return all(one["verified"] == one["ideas"] for one in known)


def read_brief(connection: Connection, account_id: str, trade_date: date, profile: GateProfile) -> Brief:
    """Read what a day looks like: positions and their protection, rules, expiries, capital, switches.

    Parameters
    ----------
    connection : psycopg.Connection
        Of the reader.
    profile : GateProfile
        Whose changes of rules are told.
    """
    ready = read_readiness(connection, account_id, trade_date)
    head = None if ready.ruleset_version is None else read_head(connection, ready.ruleset_version)
    regime = read_regimes(connection, trade_date).get(MARKET_SCOPE)
    midnight = ist_midnight_ns(trade_date)
    return Brief(
        account_id=account_id,
        trade_date=trade_date,
        is_ready=ready.is_ready,
        steps=ready.steps,
        ruleset_version=ready.ruleset_version,
        as_of_date=None if head is None else head.as_of_date,
        regime=None if regime is None else regime.value,
        opening_corpus_paise=ready.opening_corpus_paise,
        held=_rows(connection, _HELD, {"account": account_id, "midnight": midnight}),
        pending=_rows(connection, _PENDING, (account_id,)),
        switched=[] if head is None else _switched(connection, head.as_of_date, profile),
        expiries=_rows(connection, _EXPIRIES, {"day": trade_date}),
        pools=_rows(connection, _POOLS, (account_id,)),
        levels=_rows(connection, _LEVELS, (account_id,)),
    )


def read_close(connection: Connection, account_id: str, trade_date: date) -> Close:
    """Read what a day came to: slippage, ideas not traded, unresolved names, ledger against trades."""
    begin, end = ist_midnight_ns(trade_date), ist_midnight_ns(trade_date + timedelta(days=1))
    key = {"account": account_id, "day": trade_date}
    (sums,) = _rows(connection, _LEDGER, {**key, "begin": begin, "end": end})
    return Close(
        account_id=account_id,
        trade_date=trade_date,
        slippage=_rows(connection, _SLIPPAGE, (account_id, trade_date)),
        rejected=_rows(connection, _REJECTED, key),
        unresolved=_rows(connection, _UNRESOLVED, (account_id, trade_date, list(UNRESOLVED))),
        **sums,
    )


def _switched(connection: Connection, as_of: date, profile: GateProfile) -> list[dict[str, Any]]:
    """Read what switched on or off; nothing where dbt has built no marts yet."""
    there = connection.execute("SELECT to_regclass('marts.rule_changes') IS NOT NULL").fetchone()
    return _rows(connection, _CHANGES, (as_of, profile.value)) if there == (True,) else []


def _rows(connection: Connection, statement: str, values: Any) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), values).fetchall()

"""Rows that follow from a batch: decisions, groups, legs, executed trades, crowd, levels, pending entries."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection
from propdesk.core.clock import from_ns
from propdesk.engine.batch import Batch
from propdesk.engine.state import LiveGroup
from propdesk.model.enums import KillLevel
from propdesk.model.messages import Decision, Notify
from propdesk.model.order import Leg

_DECISION = """
    INSERT INTO trading.decisions (account_id, decision_id, trade_date, journal_seq, signal_id, code, detail,
        decided_ns, decided_at, ruleset_version, rule_text, is_reverse, group_id, lots, quantity,
        margin_paise,
        planned_risk_paise, crowd_score, crowd_direction, crowd_multiplier, regime, candidates)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_GROUP = """
    INSERT INTO trading.trade_groups (account_id, group_id, trade_date, signal_id, advisor_id, instrument_key,
        category, period, product, side, entry_type, entry_low_paise, entry_high_paise, stop_paise,
        targets_paise, lot_size, margin_paise, active_from_ns, valid_until_ns, exit_at_ns, exit_at_reason,
        is_reverse, rule_text, targets_hit, ambiguous_bar, gapped_through, is_shadow, is_closed, pool,
        planned_risk_paise, opened_ns, gross_pnl_paise, charges_paise, net_pnl_paise, journal_seq)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
        %s,
        %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, group_id) DO UPDATE SET
        stop_paise = EXCLUDED.stop_paise, targets_paise = EXCLUDED.targets_paise,
        exit_at_ns = EXCLUDED.exit_at_ns, exit_at_reason = EXCLUDED.exit_at_reason,
        valid_until_ns = EXCLUDED.valid_until_ns,
        targets_hit = EXCLUDED.targets_hit, ambiguous_bar = EXCLUDED.ambiguous_bar,
        gapped_through = EXCLUDED.gapped_through, is_closed = EXCLUDED.is_closed,
        gross_pnl_paise = EXCLUDED.gross_pnl_paise, charges_paise = EXCLUDED.charges_paise,
        net_pnl_paise = EXCLUDED.net_pnl_paise, journal_seq = EXCLUDED.journal_seq
"""
_LEG = """
    INSERT INTO trading.legs (account_id, group_id, leg_number, state, lots, quantity, target_paise,
        stop_paise,
        filled_quantity, exited_quantity, entry_notional_paise, exit_notional_paise, entry_ns, exit_ns,
        exit_reason, exit_target, generation)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, group_id, leg_number) DO UPDATE SET
        state = EXCLUDED.state, lots = EXCLUDED.lots, quantity = EXCLUDED.quantity,
        target_paise = EXCLUDED.target_paise, stop_paise = EXCLUDED.stop_paise,
        filled_quantity = EXCLUDED.filled_quantity, exited_quantity = EXCLUDED.exited_quantity,
        entry_notional_paise = EXCLUDED.entry_notional_paise,
        exit_notional_paise = EXCLUDED.exit_notional_paise, entry_ns = EXCLUDED.entry_ns,
        exit_ns = EXCLUDED.exit_ns, exit_reason = EXCLUDED.exit_reason, exit_target = EXCLUDED.exit_target,
        generation = EXCLUDED.generation
"""
_FILLED = """
    INSERT INTO trading.executed_trades (account_id, group_id, leg_number, trade_date, signal_id, advisor_id,
        instrument_key, category, side, product, rule_text, is_reverse, crowd_score, quantity, entry_paise,
        entry_ns, entry_at, exited_quantity, stop_paise, is_closed, changed_ns)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
        (SELECT crowd_score FROM trading.decisions WHERE account_id = %s AND group_id = %s
         ORDER BY decided_ns DESC LIMIT 1),
        %s, %s, %s, %s, %s, %s, false, %s)
    ON CONFLICT (account_id, group_id, leg_number) DO UPDATE SET
        quantity = EXCLUDED.quantity, entry_paise = EXCLUDED.entry_paise,
        exited_quantity = EXCLUDED.exited_quantity, stop_paise = EXCLUDED.stop_paise,
        changed_ns = EXCLUDED.changed_ns
    WHERE NOT trading.executed_trades.is_closed
"""
_CLOSED = """
    UPDATE trading.executed_trades SET quantity = %s, entry_paise = %s, exited_quantity = %s, exit_paise = %s,
        exit_ns = %s, exit_at = %s, exit_reason = %s, exit_target = %s, gross_pnl_paise = %s,
        charges_paise = %s, net_pnl_paise = %s, is_closed = true, changed_ns = %s
    WHERE account_id = %s AND group_id = %s AND leg_number = %s
"""
_ORDER = """
    INSERT INTO trading.broker_orders (account_id, correlation_id, broker_order_id, trade_date, last_kind,
        quantity, price_paise, updated_ns, reason)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, correlation_id, broker_order_id) DO UPDATE SET
        last_kind = EXCLUDED.last_kind, quantity = EXCLUDED.quantity, price_paise = EXCLUDED.price_paise,
        updated_ns = EXCLUDED.updated_ns, reason = EXCLUDED.reason
"""
_CROWD = """
    INSERT INTO trading.crowd_positions (account_id, signal_id, trade_date, underlying, advisor_id, direction,
        cluster_id, state, reason, changed_ns, journal_seq)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, signal_id) DO UPDATE SET
        state = EXCLUDED.state, reason = EXCLUDED.reason, changed_ns = EXCLUDED.changed_ns,
        journal_seq = EXCLUDED.journal_seq
"""
_RAISE = """
    INSERT INTO trading.risk_levels (account_id, scope, level, severity, cause, actor, reason, raised_ns)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_CLEAR = """
    UPDATE trading.risk_levels SET cleared_ns = %s, cleared_by = %s, cleared_reason = %s
    WHERE account_id = %s AND scope = %s AND cause = %s AND cleared_ns IS NULL
"""
_WAIT = """
    INSERT INTO trading.pending_entries (account_id, signal_id, trade_date, reason, since_ns, deadline_ns)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, signal_id) DO UPDATE SET
        reason = EXCLUDED.reason, since_ns = EXCLUDED.since_ns, deadline_ns = EXCLUDED.deadline_ns,
        resolved_ns = NULL
"""
_WAITED = "UPDATE trading.pending_entries SET resolved_ns = %s WHERE account_id = %s AND signal_id = %s"
_NOTICE = """
    INSERT INTO trading.trade_events (account_id, kind, severity, message, payload, event_ns, is_sent)
    VALUES (%s, %s, %s, %s, '{}', %s, false)
"""


async def write_notice(connection: LiveConnection, account_id: str, notice: Notify) -> None:
    """Write one event for people that no batch carries."""
    await connection.execute(_NOTICE, (account_id, notice.event, notice.severity, notice.text, notice.ts_ns))


async def write_projections(connection: LiveConnection, batch: Batch) -> None:
    """Write everything but journal, intents and ledger, in the current transaction."""
    async with connection.cursor() as cursor:
        for statement, rows in _statements(batch):
            if rows:
                await cursor.executemany(statement, rows)


def _statements(batch: Batch) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    account, day, seq = batch.account_id, batch.trade_date, batch.seq
    yield _DECISION, [_decision(account, day, seq, d) for d in batch.decisions]
    newest = {live.group.group_id: live for live in batch.groups}
    real = [live for live in newest.values() if not live.is_shadow]
    yield _GROUP, [_group(account, seq, live) for live in newest.values()]
    yield (
        _LEG,
        [_leg(account, live.group.group_id, leg) for live in newest.values() for leg in live.group.legs],
    )
    yield (
        _FILLED,
        [
            _filled(account, day, live, leg, batch.now_ns)
            for live in real
            for leg in live.group.legs
            if leg.filled_quantity > 0
        ],
    )
    yield (
        _CLOSED,
        [
            (
                t.quantity, t.entry_paise, t.quantity, t.exit_paise, t.exit_ns, from_ns(t.exit_ns),
                t.exit_reason.value, t.exit_target, t.gross_pnl_paise, t.charges_paise, t.net_pnl_paise,
                batch.now_ns, account, t.group_id, t.leg_number,
            )
            for t in batch.trades
        ],
    )  # fmt: skip
    yield (
        _ORDER,
        [
            (
                account, u.correlation_id, u.broker_order_id, day, u.kind.value, u.quantity, u.price_paise,
                u.ts_ns, u.reason,
            )
            for u in batch.updates
        ],
    )  # fmt: skip
    yield (
        _CROWD,
        [
            (
                account, c.signal_id, day, c.underlying, c.advisor_id, c.direction.value, c.cluster_id,
                c.kind.value, c.reason, c.ts_ns, seq,
            )
            for c in batch.crowd
        ],
    )  # fmt: skip
    yield from _levels(batch)
    for change in batch.pending:
        if change.on:
            entry = change.entry
            yield _WAIT, [(account, change.signal_id, day, entry.why, entry.since_ns, entry.deadline_ns)]
        else:
            yield _WAITED, [(batch.now_ns, account, change.signal_id)]
    yield _NOTICE, [(account, n.event, n.severity, n.text, n.ts_ns) for n in batch.notices]


def _levels(batch: Batch) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    account = batch.account_id
    for change in batch.levels:
        if change.is_open:
            severity = KillLevel(change.level).severity
            yield (
                _RAISE,
                [
                    (
                        account, change.scope, change.level.value, severity, change.cause, change.actor,
                        change.reason, change.ts_ns,
                    )
                ],
            )  # fmt: skip
        else:
            yield (
                _CLEAR,
                [(change.ts_ns, change.actor, change.reason, account, change.scope, change.cause)],
            )


def _decision(account: str, day: date, seq: int, decision: Decision) -> tuple[Any, ...]:
    candidates = [
        {
            "rule_text": c.rule_text,
            "outcome": c.outcome,
            "post_mean_r": c.post_mean_r,
            "prob_edge": c.prob_edge,
            "n": c.n,
            "failed_gates": list(c.failed_gates),
        }
        for c in decision.candidates
    ]
    return (
        account, decision.decision_id, day, seq, decision.signal_id, decision.code.value, decision.detail,
        decision.decided_ns, from_ns(decision.decided_ns), decision.ruleset_version, decision.rule_text,
        decision.is_reverse, decision.group_id, decision.lots, decision.quantity, decision.margin_paise,
        decision.planned_risk_paise, decision.crowd_score, decision.crowd_direction,
        decision.crowd_multiplier, decision.regime, Jsonb(candidates),
    )  # fmt: skip


def _group(account: str, seq: int, live: LiveGroup) -> tuple[Any, ...]:
    g = live.group
    return (
        account, g.group_id, date.fromisoformat(live.trade_date), g.signal_id, g.advisor_id, g.instrument_key,
        g.category.value, g.period.value, g.product.value, g.side.value, g.entry_type.value,
        g.entry_low_paise, g.entry_high_paise, g.stop_paise, list(g.targets_paise), g.lot_size,
        g.margin_paise, g.active_from_ns, g.valid_until_ns, g.exit_at_ns,
        None if g.exit_at_reason is None else g.exit_at_reason.value, g.is_reverse, g.rule_text,
        g.targets_hit, g.ambiguous_bar, g.gapped_through, live.is_shadow, live.is_closed, live.pool,
        live.planned_risk_paise, live.opened_ns, live.gross_pnl_paise, live.charges_paise,
        live.net_pnl_paise, seq,
    )  # fmt: skip


def _leg(account: str, group_id: str, leg: Leg) -> tuple[Any, ...]:
    return (
        account, group_id, leg.leg_number, leg.state.value, leg.lots, leg.quantity, leg.target_paise,
        leg.stop_paise, leg.filled_quantity, leg.exited_quantity, leg.entry_notional_paise,
        leg.exit_notional_paise, leg.entry_ns, leg.exit_ns,
        None if leg.exit_reason is None else leg.exit_reason.value, leg.exit_target, leg.generation,
    )  # fmt: skip


def _filled(account: str, day: date, live: LiveGroup, leg: Leg, now_ns: int) -> tuple[Any, ...]:
    g = live.group
    entry = (2 * leg.entry_notional_paise + leg.filled_quantity) // (2 * leg.filled_quantity)
    entry_ns = now_ns if leg.entry_ns is None else leg.entry_ns
    return (
        account, g.group_id, leg.leg_number, day, g.signal_id, g.advisor_id, g.instrument_key,
        g.category.value, g.side.value, g.product.value, g.rule_text, g.is_reverse, account, g.group_id,
        leg.filled_quantity, entry, entry_ns, from_ns(entry_ns), leg.exited_quantity, leg.stop_paise, now_ns,
    )  # fmt: skip

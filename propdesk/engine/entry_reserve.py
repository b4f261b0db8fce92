"""From a planned trade to a reserved and placed one: size, gateway, corpus, group (§5.3)."""

import math
from dataclasses import replace

from propdesk.engine.context import price_key_of, segment_for
from propdesk.engine.decision import decide
from propdesk.engine.entry_size import margin_per_lot, size_idea, widen_stop
from propdesk.engine.idea import Idea, Plan, Refusal, Scored, kill_scopes
from propdesk.engine.orders import make_orders, place_group
from propdesk.engine.state import LiveGroup
from propdesk.engine.turn import Turn
from propdesk.execution.trade_group import split_legs
from propdesk.model.enums import KillLevel
from propdesk.model.messages import DecisionCode
from propdesk.model.order import TradeGroup
from propdesk.model.signal import sentiment
from propdesk.risk import corpus_ledger
from propdesk.risk.corpus_ledger import ADVERSE_POOL
from propdesk.risk.drift import Promise, promise_of
from propdesk.risk.exposure import BookView, GroupExposure, view_book
from propdesk.risk.gateway import Allow, Halt, IntentPlan, Reduce, check
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause, strategy_scope
from propdesk.risk.protections import side_scope
from propdesk.risk.throttle import count_recent, keep_recent
from propdesk.strategy.sizing import Size


def size_and_send(turn: Turn, idea: Idea, plan: Plan, scored: Scored) -> None:
    """Size, pass the gateway, reserve and place a planned trade, or write down what kept it from that."""
    stop = plan.levels.stop_paise
    margin = margin_per_lot(turn, idea, plan)
    pool = ADVERSE_POOL if plan.is_reverse else idea.instrument.category.value
    size = size_idea(turn, idea, plan, scored, pool, margin)
    if size.code is not None or stop is None:
        decide(turn, idea.signal, Refusal(size.code or DecisionCode.NO_STOP, size.detail), idea, scored, plan)
        return
    widened = None
    if turn.context.sizing.widening == "on" and not plan.is_reverse:
        widened = widen_stop(turn, idea, plan, size)
    if widened is not None:
        plan = replace(plan, levels=replace(plan.levels, stop_paise=widened[0]))
        size = replace(size, lots=widened[1], quantity=widened[1] * idea.instrument.lot_size)
        stop = widened[0]
    allowed = _pass_gateway(turn, idea, plan, size, margin)
    if isinstance(allowed, Refusal):
        decide(turn, idea.signal, allowed, idea, scored, plan)
        return
    lots = allowed // idea.instrument.lot_size
    risk = lots * abs(plan.entry_paise - stop) * idea.instrument.lot_size
    size = Size(lots, allowed, risk, lots * margin)
    live = _make_group(turn, idea, plan, size, pool)
    if plan.is_shadow:
        turn.record_shadow(live)
        decide(turn, idea.signal, None, idea, scored, plan, live, size)
        return
    reserved = corpus_ledger.reserve(turn.corpus, live.group.group_id, pool, size.margin_paise, turn.now_ns)
    if reserved is None:
        decide(
            turn, idea.signal, Refusal(DecisionCode.NO_BUDGET, f"pool {pool} is used up"), idea, scored, plan
        )
        return
    turn.corpus = reserved[0]
    turn.out.ledger.append(reserved[1])
    _count_entry(turn, live)
    decide(turn, idea.signal, None, idea, scored, plan, live, size)
    place_group(turn, live)


# ------------------------------------------------------------------- gateway


def _pass_gateway(turn: Turn, idea: Idea, plan: Plan, size: Size, margin: int) -> int | Refusal:
    last = turn.prices[price_key_of(idea.instrument)]
    risk_per_lot = abs(plan.entry_paise - (plan.levels.stop_paise or 0)) * idea.instrument.lot_size
    # Of what we trade, not of what the advisor says: a reversed call weighs on the other side.
    direction = sentiment(plan.levels.side, idea.instrument.option_type)
    scopes = (
        *kill_scopes(idea),
        strategy_scope(is_reverse=plan.is_reverse),
        side_scope(plan.levels.side.value),
    )
    verdict = check(
        IntentPlan(
            is_entry=True,
            quantity=size.quantity,
            lot_size=idea.instrument.lot_size,
            level=turn.levels.level_of(scopes),
            category=idea.instrument.category,
            underlying=idea.instrument.underlying,
            advisor_id=idea.signal.advisor_id,
            rule_text=plan.rule.key.text,
            direction=direction,
            price_paise=plan.entry_paise,
            last_paise=last.price_paise,
            margin_per_lot_paise=margin,
            risk_per_lot_paise=risk_per_lot,
        ),
        book_of(turn),
        turn.context.limits_of(idea.instrument.category),
        turn.now_ns,
    )
    if isinstance(verdict, Halt):
        return Refusal(DecisionCode.KILL_SWITCH, verdict.reason)
    if isinstance(verdict, Reduce):
        return verdict.quantity
    return size.quantity if isinstance(verdict, Allow) else Refusal(DecisionCode.RISK_LIMIT, verdict.reason)


def book_of(turn: Turn) -> BookView:
    """Sum the open groups for the gateway."""
    exposures = [
        GroupExposure(
            live.instrument.underlying,
            live.group.advisor_id,
            live.group.rule_text,
            sentiment(live.group.side, live.instrument.option_type),
            _notional(live),
            sum(m for m, done in zip(live.leg_margins_paise, live.settled, strict=True) if not done),
            live.planned_risk_paise,
        )
        for live in turn.open_groups()
    ]
    return view_book(exposures, turn.scalar("opening_corpus_paise"), turn.trades_by_rule.result())


def _notional(live: LiveGroup) -> int:
    units = sum(
        leg.quantity - leg.exited_quantity
        for leg, done in zip(live.group.legs, live.settled, strict=True)
        if not done
    )
    return units * live.entry_paise


def _count_entry(turn: Turn, live: LiveGroup) -> None:
    """Count the entry for its rule and in the windows of the entry-rate switch."""
    limits, now = turn.context.kill_limits, turn.now_ns
    turn.trades_by_rule.put(live.group.rule_text, (turn.trades_by_rule.get(live.group.rule_text) or 0) + 1)
    groups = (*keep_recent(turn.scalar("entry_stamps_ns"), now, limits.window_ns), now)
    legs = (
        *keep_recent(turn.scalar("leg_stamps_ns"), now, limits.window_ns),
        *(now for _ in live.group.legs),
    )
    turn.scalars["entry_stamps_ns"], turn.scalars["leg_stamps_ns"] = groups, legs
    too_many = (
        count_recent(groups, now, limits.window_ns) > limits.groups_max
        or count_recent(legs, now, limits.window_ns) > limits.legs_max
    )
    if too_many:
        turn.trip(
            ACCOUNT_SCOPE,
            Cause.ENTRY_RATE,
            KillLevel.ENTRIES_BLOCKED,
            "engine",
            f"{len(groups)} groups and {len(legs)} legs within the window",
        )


# --------------------------------------------------------------------- group


def _make_group(turn: Turn, idea: Idea, plan: Plan, size: Size, pool: str) -> LiveGroup:
    context, signal, levels = turn.context, idea.signal, plan.levels
    side = "R" if plan.is_reverse else "N"
    close = context.calendar.hours(context.trade_date, segment_for(idea.instrument)).close_ns
    legs = split_legs(size.lots, idea.instrument.lot_size, levels.targets_paise, levels.stop_paise)
    group = TradeGroup(
        group_id=turn.id_of("group", signal.signal_id, side, context.trade_date.isoformat()),
        signal_id=signal.signal_id,
        advisor_id=signal.advisor_id,
        instrument_key=idea.instrument.instrument_key,
        category=idea.instrument.category,
        period=idea.period,
        product=plan.product,
        side=levels.side,
        entry_type=levels.entry_type,
        entry_low_paise=levels.entry_low_paise,
        entry_high_paise=levels.entry_high_paise,
        stop_paise=levels.stop_paise,
        targets_paise=levels.targets_paise,
        lot_size=idea.instrument.lot_size,
        tick_paise=idea.instrument.tick_paise,
        margin_paise=size.margin_paise,
        active_from_ns=max(turn.now_ns, signal.received_ns + context.latency_ns),
        valid_until_ns=min(plan.lifetime.valid_until_ns, close),
        exit_at_ns=plan.lifetime.exit_at_ns,
        exit_at_reason=plan.lifetime.exit_at_reason,
        legs=legs,
        is_reverse=plan.is_reverse,
        rule_text=plan.rule.key.text,
    )
    per_lot = size.margin_paise // size.lots
    return LiveGroup(
        group=group,
        instrument=idea.instrument,
        product=plan.product,
        trade_date=idea.trade_date.isoformat(),
        is_shadow=plan.is_shadow,
        pool=pool,
        planned_risk_paise=size.planned_risk_paise,
        leg_margins_paise=tuple(leg.lots * per_lot for leg in legs),
        settled=tuple(False for _ in legs),
        orders=make_orders(group, context.trade_date, idea.instrument.freeze_quantity),
        opened_ns=turn.now_ns,
        entry_paise=plan.entry_paise,
        source_stop_paise=signal.stoploss_paise,
        source_targets_paise=signal.targets_paise,
        last_entry_ns=plan.lifetime.valid_until_ns,
        signal=signal,
        labels=idea.dims,
        promise=_promise(turn, plan),
    )


def _promise(turn: Turn, plan: Plan) -> Promise | None:
    """Take from the rule what it promises of the trade, where known; nothing of one against its advisor."""
    rule = plan.rule
    is_known = rule.n >= 1 and math.isfinite(rule.post_mean_r) and math.isfinite(rule.prob_edge)
    if plan.is_reverse or not is_known:
        return None
    return promise_of(rule.post_mean_r, rule.prob_edge, rule.n, turn.context.kill_limits.drift_hurdle_r)

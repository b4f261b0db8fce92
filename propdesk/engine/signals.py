"""What happens to a signal: crowd first, then gate after gate, and exactly one decision (§5.3)."""

from dataclasses import dataclass, replace
from datetime import date

from propdesk.core.calendar import weekday_of
from propdesk.engine import tracking
from propdesk.engine.context import lifetime_of, price_key_of, segment_for, underlying_key_of
from propdesk.engine.orders import blocks_entries, make_orders, place_group
from propdesk.engine.state import FIVE_MINUTES_NS, LastPrice, LiveGroup, PendingEntry, SeenSignal
from propdesk.engine.turn import Turn
from propdesk.execution.lifetime import Lifetime
from propdesk.execution.reverse import TradePlan, reverse_plan
from propdesk.execution.trade_group import split_legs
from propdesk.model.enums import (
    GateProfile,
    KillLevel,
    Period,
    Product,
    ReverseMode,
    Session,
    TradingMode,
)
from propdesk.model.instrument import Instrument
from propdesk.model.messages import Decision, DecisionCode, SignalReceived
from propdesk.model.order import TradeGroup
from propdesk.model.rule import Rule
from propdesk.model.signal import Signal, sentiment
from propdesk.risk import corpus_ledger
from propdesk.risk.corpus_ledger import ADVERSE_POOL
from propdesk.risk.exposure import BookView, GroupExposure, view_book
from propdesk.risk.gateway import Allow, Halt, IntentPlan, Reduce, check
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause
from propdesk.risk.throttle import count_recent, keep_recent
from propdesk.rules.match import MatchOutcome, MatchResult, SignalDims, match_rule
from propdesk.strategy.crowd import CrowdReading, crowd_factor, read_crowd
from propdesk.strategy.decide import IdeaMoment, is_repost, midpoint, reverse_permission
from propdesk.strategy.eligibility import recheck_rule
from propdesk.strategy.normal import check_price, on_tick_grid, protective_stop, reference_entry
from propdesk.strategy.sizing import Size, SizeRequest, size_trade, widened_lots, widened_stop


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a gate stopped an idea."""

    code: DecisionCode
    detail: str


@dataclass(frozen=True, slots=True)
class Idea:
    """A signal with what it resolved to, on its way through the gates."""

    signal: Signal
    instrument: Instrument
    period: Period
    trade_date: date
    dims: SignalDims


@dataclass(frozen=True, slots=True)
class Scored:
    """What the gates found out, for the decision row."""

    match: MatchResult | None = None
    crowd: CrowdReading | None = None
    crowd_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A trade about to be sized: the levels as they will be ordered."""

    rule: Rule
    is_reverse: bool
    is_shadow: bool
    levels: TradePlan
    entry_paise: int
    product: Product
    lifetime: Lifetime


# ------------------------------------------------------------------ entrance


def on_signal(turn: Turn, event: SignalReceived) -> None:
    """Take in a signal: remember it, follow it for the crowd, then decide (or let it wait)."""
    signal = event.signal
    seen = turn.seen.get(signal.signal_id)
    if seen is not None:
        _on_revision(turn, signal, seen)
        return
    resolved = turn.context.resolve(signal, turn.context.trade_date)
    instrument = resolved if isinstance(resolved, Instrument) else None
    if instrument is not None:
        signal = on_tick_grid(signal, instrument.tick_paise)
    duplicate = None if instrument is None else _find_repost(turn, signal, instrument)
    _remember(turn, signal, instrument)
    if instrument is None:
        _decide(turn, signal, Refusal(DecisionCode(str(resolved)), "no tradable instrument is meant"), None)
        return
    idea = _make_idea(turn, signal, instrument)
    if duplicate is None:
        tracking.track_signal(turn, signal, instrument, idea.period, idea.trade_date)
    if instrument.category.is_derivative:
        turn.subscribe(underlying_key_of(instrument))
    if duplicate is not None or not _must_wait(turn, idea):
        gate(turn, idea, duplicate, _freshness(turn, idea))


def _on_revision(turn: Turn, signal: Signal, seen: SeenSignal) -> None:
    """Ignore a repeat; let a revision change what still waits, never what was decided."""
    if signal.revision <= seen.revision:
        return
    turn.seen.put(signal.signal_id, replace(seen, revision=signal.revision))
    waiting = turn.pending.get(signal.signal_id)
    if waiting is not None:
        turn.put_pending(replace(waiting, signal=signal))
        return
    turn.notify(
        "REVISED_AFTER_DECISION",
        "info",
        f"signal {signal.signal_id} was revised after it was decided as {seen.code.value}",
    )


def _remember(turn: Turn, signal: Signal, instrument: Instrument | None) -> None:
    underlying = signal.underlying if instrument is None else instrument.underlying
    turn.seen.put(
        signal.signal_id,
        SeenSignal(
            signal.signal_id,
            signal.revision,
            signal.advisor_id,
            underlying,
            "" if instrument is None else instrument.instrument_key,
            signal.side.value,
            midpoint(signal),
            signal.received_ns,
            DecisionCode.PENDING_ENTRY,
        ),
    )
    key = f"{signal.advisor_id}|{underlying}"
    turn.ideas_by_advisor.put(key, (*(turn.ideas_by_advisor.get(key) or ()), signal.signal_id))


def _find_repost(turn: Turn, signal: Signal, instrument: Instrument) -> str | None:
    context = turn.context
    key = f"{signal.advisor_id}|{instrument.underlying}"
    for signal_id in turn.ideas_by_advisor.get(key) or ():
        seen = turn.seen[signal_id]
        same = seen.instrument_key == instrument.instrument_key and seen.side == signal.side.value
        if not same or seen.code is DecisionCode.DUPLICATE:
            continue
        moment = IdeaMoment(seen.signal_id, seen.reference_paise, seen.received_ns)
        if is_repost(
            moment,
            midpoint(signal),
            signal.received_ns,
            context.duplicate_window_ns,
            context.duplicate_entry_ratio,
        ):
            return signal_id
    return None


def _make_idea(turn: Turn, signal: Signal, instrument: Instrument, entry: PendingEntry | None = None) -> Idea:
    context = turn.context
    period = signal.declared_period or context.period_rule(signal, instrument)
    segment = segment_for(instrument)
    day = (
        context.calendar.trade_date(signal.received_ns, segment)
        if entry is None or entry.labels is None
        else entry.trade_date
    )
    dims = entry.labels if entry is not None else None
    if dims is None:
        dims = SignalDims(
            signal.advisor_id,
            instrument.category,
            period,
            context.regime_of(instrument.underlying),
            weekday_of(day),
            context.calendar.session(signal.received_ns, segment),
        )
    return Idea(signal, instrument, period, day, dims)


def _freshness(turn: Turn, idea: Idea) -> Refusal | None:
    """Refuse what was caught up too late; an idea from outside hours ages from its session's open."""
    effective = idea.signal.received_ns
    if idea.dims.session is Session.AFTER_HOURS:
        hours = turn.context.calendar.hours(idea.trade_date, segment_for(idea.instrument))
        effective = max(effective, hours.open_ns)
    age = turn.now_ns - effective
    if age <= turn.context.signal_fresh_ns:
        return None
    return Refusal(DecisionCode.STALE, f"handled {age // 1_000_000_000} s after it could be acted on")


# ------------------------------------------------------------------- waiting


def _must_wait(turn: Turn, idea: Idea) -> bool:
    """Put an idea whose session is not open, or whose price is not known yet, into the book."""
    context, segment = turn.context, segment_for(idea.instrument)
    hours = context.calendar.hours(context.trade_date, segment)
    lifetime = _lifetime(turn, idea)
    if lifetime.expiry_too_near:
        return False
    if idea.trade_date > context.trade_date or not hours.open_ns <= turn.now_ns < hours.close_ns:
        _wait(turn, idea, "OUT_OF_HOURS", lifetime.valid_until_ns)
        return True
    unknown = turn.prices.get(price_key_of(idea.instrument)) is None
    if unknown and context.price_wait_ns > 0 and turn.scalar("ready"):
        _wait(turn, idea, "AWAITING_PRICE", turn.now_ns + context.price_wait_ns)
        return True
    return False


def _wait(turn: Turn, idea: Idea, why: str, deadline_ns: int) -> None:
    key = price_key_of(idea.instrument)
    turn.put_pending(PendingEntry(idea.signal, why, turn.now_ns, deadline_ns, idea.trade_date, key))
    detail = {"OUT_OF_HOURS": "waits for its session", "AWAITING_PRICE": "waits for its first price"}[why]
    _decide(turn, idea.signal, Refusal(DecisionCode.PENDING_ENTRY, detail), idea)


def arm_pending(turn: Turn) -> None:
    """Gate every waiting idea whose session is open and whose price is fresh; end what waited too long."""
    for entry in turn.pending.values():
        _arm(turn, entry)


def arm_priced(turn: Turn, price_key: str) -> None:
    """Gate what waited for the first price of a series, at the moment it comes."""
    for entry in turn.pending.values():
        if entry.price_key == price_key and entry.why == "AWAITING_PRICE":
            _arm(turn, entry)


def _arm(turn: Turn, entry: PendingEntry) -> None:
    signal, context = entry.signal, turn.context
    resolved = context.resolve(signal, context.trade_date)
    if not isinstance(resolved, Instrument):
        turn.drop_pending(signal.signal_id)
        refusal = Refusal(DecisionCode(str(resolved)), "no tradable instrument is meant")
        _decide(turn, signal, refusal, None)
        return
    signal = on_tick_grid(signal, resolved.tick_paise)
    idea = _make_idea(turn, signal, resolved, entry)
    hours = context.calendar.hours(context.trade_date, segment_for(resolved))
    is_open = hours.open_ns <= turn.now_ns < hours.close_ns and idea.trade_date <= context.trade_date
    if is_open and turn.scalar("ready") and _fresh_price(turn, idea) is not None:
        turn.drop_pending(signal.signal_id)
        gate(turn, idea, None, None)
    elif turn.now_ns >= entry.deadline_ns:
        turn.drop_pending(signal.signal_id)
        _decide(turn, signal, _lapsed(turn, entry), idea)


def withdraw_pending(turn: Turn, signal_id: str, why: str) -> None:
    """End a waiting idea on its advisor's word; its one decision says so, unless it was decided before."""
    entry = turn.pending[signal_id]
    turn.drop_pending(signal_id)
    if entry.labels is not None:
        # It was traded and did not fill: that decision stands, and a day has one per signal.
        return
    _decide(turn, entry.signal, Refusal(DecisionCode.STALE, why), None)


def _lapsed(turn: Turn, entry: PendingEntry) -> Refusal:
    if not turn.scalar("ready"):
        return Refusal(DecisionCode.NOT_READY, "pre-market was not complete while it waited")
    if entry.why == "AWAITING_PRICE":
        return Refusal(DecisionCode.NO_PRICE, "no price came within the wait")
    return Refusal(DecisionCode.OUT_OF_HOURS, "its validity ended before it could be armed")


# --------------------------------------------------------------------- gates


def gate(turn: Turn, idea: Idea, duplicate_of: str | None, stale: Refusal | None) -> None:
    """Send an idea through every gate in order; the first that refuses gives the decision."""
    refusal = (
        _gate_account(turn, idea)
        or stale
        or _gate_cutoff(turn, idea)
        or _gate_duplicate(duplicate_of)
        or _gate_instrument(idea)
        or _gate_price(turn, idea)
    )
    if refusal is not None:
        _decide(turn, idea.signal, refusal, idea)
        return
    context = turn.context
    found = match_rule(idea.dims, context.ruleset, context.profile, context.minimums)
    reading = read_crowd(
        turn.crowd, idea.instrument.underlying, context.crowd, excluding=idea.signal.signal_id
    )
    scored = Scored(found, reading, crowd_factor(reading, idea.signal.direction, context.crowd))
    planned = _plan(turn, idea, found)
    if isinstance(planned, Refusal):
        _decide(turn, idea.signal, planned, idea, scored)
        return
    _size_and_send(turn, idea, planned, scored)


def _scopes(idea: Idea) -> tuple[str, ...]:
    return (
        f"CATEGORY:{idea.instrument.category.value}",
        f"ADVISOR:{idea.signal.advisor_id}",
        f"INSTRUMENT:{idea.instrument.instrument_key}",
    )


def _gate_account(turn: Turn, idea: Idea) -> Refusal | None:
    if not turn.scalar("ready"):
        return Refusal(DecisionCode.NOT_READY, "pre-market is not complete for this day")
    level = turn.levels.level_of(_scopes(idea))
    if blocks_entries(level):
        return Refusal(DecisionCode.KILL_SWITCH, f"kill level {level.value}")
    return None


def _gate_cutoff(turn: Turn, idea: Idea) -> Refusal | None:
    segment = segment_for(idea.instrument)
    hours = turn.context.calendar.hours(turn.context.trade_date, segment)
    last = hours.square_off_ns - turn.context.entry_cutoff_ns
    lifetime = _lifetime(turn, idea)
    if not lifetime.expiry_too_near and turn.now_ns >= lifetime.valid_until_ns:
        return Refusal(DecisionCode.ENTRY_CUTOFF, "its validity is over")
    if idea.period is Period.INTRADAY and turn.now_ns >= last:
        return Refusal(DecisionCode.ENTRY_CUTOFF, "too late for an intraday entry")
    return None


def _gate_duplicate(duplicate_of: str | None) -> Refusal | None:
    if duplicate_of is None:
        return None
    return Refusal(DecisionCode.DUPLICATE, f"repeats signal {duplicate_of}")


def _gate_instrument(idea: Idea) -> Refusal | None:
    if idea.signal.group_key is not None:
        return Refusal(
            DecisionCode.MULTI_LEG_UNSUPPORTED, "one leg of an idea that is traded only as a whole"
        )
    return None


def _fresh_price(turn: Turn, idea: Idea) -> LastPrice | None:
    last = turn.prices.get(price_key_of(idea.instrument))
    if last is None or turn.now_ns - last.at_ns > last.interval_ns + turn.context.stale_after_ns:
        return None
    return last


def _gate_price(turn: Turn, idea: Idea) -> Refusal | None:
    if turn.prices.get(price_key_of(idea.instrument)) is None:
        return Refusal(DecisionCode.NO_PRICE, f"no price of {idea.instrument.instrument_key} is known")
    last = _fresh_price(turn, idea)
    if last is None:
        return Refusal(
            DecisionCode.PRICE_STALE, f"the last price of {idea.instrument.instrument_key} is too old"
        )
    limit = turn.context.drift_limits[idea.instrument.category]
    found = check_price(idea.signal, last.price_paise, limit)
    return None if found is None else Refusal(*found)


def _lifetime(turn: Turn, idea: Idea) -> Lifetime:
    return lifetime_of(turn.context, idea.instrument, idea.period, idea.trade_date)


# ---------------------------------------------------------------------- plan


def _plan(turn: Turn, idea: Idea, found: MatchResult) -> Plan | Refusal:
    """Choose the rule, turn the idea round where only an adverse rule matches, check that it can be held."""
    context = turn.context
    reverse = found.outcome is MatchOutcome.MATCHED_ADVERSE
    permission = ReverseMode.LIVE
    if reverse:
        permission = reverse_permission(
            context.reverse_mode,
            context.trading_mode,
            idea.instrument.category,
            context.reverse_option_mode,
        )
    if found.rule is None or permission is ReverseMode.OFF:
        outcome = found.normal_outcome
        return Refusal(DecisionCode(outcome.value), _no_rule(idea, found))
    # A rule is demoted for the day by a kill level of its own scope; promotion never happens intraday.
    text = found.rule.key.text
    demoted = (text,) if blocks_entries(turn.levels.level(f"RULE:{text}")) else ()
    failed = recheck_rule(found.rule, found.finest_post_mean_r, context.profile, context.minimums, demoted)
    if failed is not None:
        return Refusal(DecisionCode.RULE_FAILED, failed)
    lifetime = _lifetime(turn, idea)
    if lifetime.expiry_too_near:
        return Refusal(DecisionCode.EXPIRY_TOO_NEAR, "no entry this close to the contract's expiry")
    last = turn.prices[price_key_of(idea.instrument)]
    entry = reference_entry(idea.signal, last.price_paise)
    levels = _levels(idea, found.rule, entry, reverse=reverse)
    if isinstance(levels, Refusal):
        return levels
    product = context.product_rule(
        idea.instrument.category, idea.period, levels.side, idea.instrument.series, context.trade_date
    )
    if product not in Product.__members__:
        return Refusal(DecisionCode(product), "the product does not allow this trade")
    is_shadow = permission is ReverseMode.SHADOW or context.trading_mode is TradingMode.SHADOW
    return Plan(found.rule, reverse, is_shadow, levels, entry, Product(product), lifetime)


def _no_rule(idea: Idea, found: MatchResult) -> str:
    if not found.candidates:
        return f"no rule knows {idea.signal.advisor_id} in this category and period"
    last = found.candidates[-1]
    return f"{last.rule_text}: {last.outcome} {', '.join(last.failed_gates)}".rstrip()


def _levels(idea: Idea, rule: Rule, entry: int, *, reverse: bool) -> TradePlan | Refusal:
    signal, tick = idea.signal, idea.instrument.tick_paise
    plan = TradePlan(
        signal.side,
        signal.entry_type,
        signal.entry_low_paise,
        signal.entry_high_paise,
        signal.stoploss_paise,
        signal.targets_paise,
    )
    if reverse:
        turned = reverse_plan(plan, reference_paise=entry, tick_paise=tick)
        if turned is None or turned.stop_paise is None:
            return Refusal(DecisionCode.REVERSE_NO_STOP, "an idea without target gives the reverse no stop")
        return turned
    if plan.stop_paise is not None:
        return plan
    stop = protective_stop(signal.side, entry, rule.wse_p90, tick)
    if stop is None:
        return Refusal(DecisionCode.NO_STOP, "no stop was given and the rule has no history to place one")
    return replace(plan, stop_paise=stop)


# ---------------------------------------------------------------------- size


def _size_and_send(turn: Turn, idea: Idea, plan: Plan, scored: Scored) -> None:
    stop = plan.levels.stop_paise
    margin = _margin_per_lot(turn, idea, plan)
    pool = ADVERSE_POOL if plan.is_reverse else idea.instrument.category.value
    size = _size(turn, idea, plan, scored, pool, margin)
    if size.code is not None or stop is None:
        _decide(
            turn, idea.signal, Refusal(size.code or DecisionCode.NO_STOP, size.detail), idea, scored, plan
        )
        return
    widened = None
    if turn.context.sizing.widening == "on" and not plan.is_reverse:
        widened = _widened(turn, idea, plan, size)
    if widened is not None:
        plan = replace(plan, levels=replace(plan.levels, stop_paise=widened[0]))
        size = replace(size, lots=widened[1], quantity=widened[1] * idea.instrument.lot_size)
        stop = widened[0]
    allowed = _pass_gateway(turn, idea, plan, size, margin)
    if isinstance(allowed, Refusal):
        _decide(turn, idea.signal, allowed, idea, scored, plan)
        return
    lots = allowed // idea.instrument.lot_size
    risk = lots * abs(plan.entry_paise - stop) * idea.instrument.lot_size
    size = Size(lots, allowed, risk, lots * margin)
    live = _make_group(turn, idea, plan, size, pool)
    if plan.is_shadow:
        turn.record_shadow(live)
        _decide(turn, idea.signal, None, idea, scored, plan, live, size)
        return
    reserved = corpus_ledger.reserve(turn.corpus, live.group.group_id, pool, size.margin_paise, turn.now_ns)
    if reserved is None:
        _decide(
            turn, idea.signal, Refusal(DecisionCode.NO_BUDGET, f"pool {pool} is used up"), idea, scored, plan
        )
        return
    turn.corpus = reserved[0]
    turn.out.ledger.append(reserved[1])
    _count_entry(turn, live)
    _decide(turn, idea.signal, None, idea, scored, plan, live, size)
    place_group(turn, live)


def _margin_per_lot(turn: Turn, idea: Idea, plan: Plan) -> int:
    underlying = turn.prices.get(underlying_key_of(idea.instrument))
    return max(
        1,
        turn.context.margin(
            instrument=idea.instrument,
            product=plan.product,
            side=plan.levels.side,
            price_paise=plan.entry_paise,
            quantity=idea.instrument.lot_size,
            underlying_paise=None if underlying is None else underlying.price_paise,
            on_date=turn.context.trade_date,
        ),
    )


def _size(turn: Turn, idea: Idea, plan: Plan, scored: Scored, pool: str, margin: int) -> Size:
    context, rule = turn.context, plan.rule
    stop = plan.levels.stop_paise
    if stop is None or stop == plan.entry_paise:
        return Size(0, 0, 0, 0, DecisionCode.NO_STOP, "the stop lies at the entry")
    crowd = scored.crowd_factor if context.crowd.is_applied and not plan.is_reverse else 1.0
    expected = rule.post_mean_r if plan.is_reverse else _finest(scored, rule)
    # A reverse rule earns by its advisor's losses: the size of the expected loss is its skill.
    skill = -expected if plan.is_reverse else expected
    return size_trade(
        SizeRequest(
            profile=context.profile,
            side=plan.levels.side,
            entry_paise=plan.entry_paise,
            stop_paise=stop,
            lot_size=idea.instrument.lot_size,
            margin_per_lot_paise=margin,
            corpus_paise=turn.scalar("opening_corpus_paise"),
            budget_free_paise=turn.corpus.free_in(pool),
            trust_flag=None if plan.is_reverse else rule.trust_flag,
            trust_is_noise=rule.trust_is_noise,
            post_mean_r=skill,
            crowd_factor=crowd,
            traded_value_paise=_traded_value(turn, idea),
        ),
        context.sizing,
    )


def _finest(scored: Scored, rule: Rule) -> float:
    return rule.post_mean_r if scored.match is None else scored.match.finest_post_mean_r


def _traded_value(turn: Turn, idea: Idea) -> int | None:
    """Average traded value of five minutes: the day's own once it has shown enough, else earlier days'."""
    key = price_key_of(idea.instrument)
    last = turn.prices.get(key)
    if last is not None and last.valued_ns >= 3 * FIVE_MINUTES_NS:
        return last.value_paise * FIVE_MINUTES_NS // last.valued_ns
    return turn.context.average_traded_value.get(key)


def _widened(turn: Turn, idea: Idea, plan: Plan, size: Size) -> tuple[int, int] | None:
    """Stop-hunt-widened stop and the lots that keep the rupee risk; None where nothing is widened."""
    stop = plan.levels.stop_paise
    if stop is None:
        return None
    level = widened_stop(
        plan.rule,
        plan.levels.side,
        plan.entry_paise,
        stop,
        idea.instrument.tick_paise,
        turn.context.sizing,
    )
    if level is None:
        return None
    lots = widened_lots(size.lots, plan.entry_paise, stop, level)
    return (level, lots) if lots > 0 else None


# ------------------------------------------------------------------- gateway


def _pass_gateway(turn: Turn, idea: Idea, plan: Plan, size: Size, margin: int) -> int | Refusal:
    last = turn.prices[price_key_of(idea.instrument)]
    risk_per_lot = abs(plan.entry_paise - (plan.levels.stop_paise or 0)) * idea.instrument.lot_size
    # Of what we trade, not of what the advisor says: a reversed call weighs on the other side.
    direction = sentiment(plan.levels.side, idea.instrument.option_type)
    scopes = (*_scopes(idea), f"STRATEGY:{'REVERSE' if plan.is_reverse else 'NORMAL'}")
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
        turn.context.limits,
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
    )


# ------------------------------------------------------------------ decision


def _decide(
    turn: Turn,
    signal: Signal,
    refusal: Refusal | None,
    idea: Idea | None,
    scored: Scored | None = None,
    plan: Plan | None = None,
    live: LiveGroup | None = None,
    size: Size | None = None,
) -> None:
    """Write the one row that answers the signal (for a waiting one: the row that says so)."""
    scored = scored or Scored()
    code = refusal.code if refusal is not None else _trade_code(plan)
    stage = "PENDING" if code is DecisionCode.PENDING_ENTRY else "FINAL"
    reading, match = scored.crowd, scored.match
    decision = Decision(
        decision_id=turn.id_of("decision", signal.signal_id, stage, turn.base.trade_date),
        signal_id=signal.signal_id,
        code=code,
        detail=refusal.detail if refusal is not None else _detail(turn, idea, plan, size),
        decided_ns=turn.now_ns,
        ruleset_version=turn.context.ruleset.ruleset_version,
        rule_text=match.rule.key.text if match is not None and match.rule is not None else "",
        is_reverse=plan is not None and plan.is_reverse,
        group_id=None if live is None else live.group.group_id,
        lots=0 if size is None else size.lots,
        quantity=0 if size is None else size.quantity,
        margin_paise=0 if size is None else size.margin_paise,
        planned_risk_paise=0 if size is None else size.planned_risk_paise,
        crowd_score=None if reading is None else reading.score,
        crowd_direction=None if reading is None or reading.direction is None else reading.direction.value,
        crowd_multiplier=scored.crowd_factor,
        regime=None if idea is None or idea.dims.regime is None else idea.dims.regime.value,
        candidates=() if match is None else match.candidates,
    )
    turn.out.decisions.append(decision)
    seen = turn.seen.get(signal.signal_id)
    if seen is not None:
        turn.seen.put(signal.signal_id, replace(seen, code=code))


def _trade_code(plan: Plan | None) -> DecisionCode:
    if plan is not None and plan.is_reverse:
        return DecisionCode.SHADOW_REVERSE if plan.is_shadow else DecisionCode.TRADED_REVERSE
    return DecisionCode.TRADED


def _detail(turn: Turn, idea: Idea | None, plan: Plan | None, size: Size | None) -> str:
    if idea is None or plan is None or size is None:
        return ""
    text = f"{size.lots} lots"
    if turn.context.profile is GateProfile.DESK and turn.context.sizing.widening == "shadow":
        widened = None if plan.is_reverse else _widened(turn, idea, plan, size)
        if widened is not None:
            text += f"; widened it would be {widened[1]} lots with stop {widened[0]} paise"
    return text

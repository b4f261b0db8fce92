"""What happens to a signal: crowd first, then gate after gate, and exactly one decision (§5.3)."""

from dataclasses import replace

from propdesk.core.calendar import weekday_of
from propdesk.core.clock import NS_PER_SECOND
from propdesk.engine import tracking
from propdesk.engine.context import price_key_of, segment_for, underlying_key_of
from propdesk.engine.decision import decide
from propdesk.engine.entry_gates import gate
from propdesk.engine.idea import Idea, Refusal, fresh_price, lifetime_of_idea
from propdesk.engine.state import PendingEntry, SeenSignal
from propdesk.engine.turn import Turn
from propdesk.model.enums import KillLevel, Session
from propdesk.model.instrument import Instrument
from propdesk.model.messages import DecisionCode, SignalReceived
from propdesk.model.signal import Signal
from propdesk.model.trade_event import EventKind
from propdesk.risk.kill_switch import Cause
from propdesk.risk.throttle import count_recent
from propdesk.rules.match import SignalDims
from propdesk.strategy.decide import IdeaMoment, is_repost, midpoint
from propdesk.strategy.normal import on_tick_grid

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
    _count_signal(turn, signal)
    if instrument is None:
        decide(turn, signal, Refusal(DecisionCode(str(resolved)), "no tradable instrument is meant"), None)
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
        _revise_waiting(turn, signal, waiting)
        return
    turn.notify(
        EventKind.REVISED_AFTER_DECISION,
        f"signal {signal.signal_id} was revised after it was decided as {seen.code.value}",
    )


def _revise_waiting(turn: Turn, signal: Signal, waiting: PendingEntry) -> None:
    """Let what waits be what the advisor says now: its instrument, its price and what the crowd follows."""
    resolved = turn.context.resolve(signal, turn.context.trade_date)
    if not isinstance(resolved, Instrument):
        # Named by its reason when it is armed.
        tracking.forget_waiting(turn, signal.signal_id)
        turn.put_pending(replace(waiting, signal=signal))
        return
    signal = on_tick_grid(signal, resolved.tick_paise)
    seen = turn.seen[signal.signal_id]
    turn.seen.put(
        signal.signal_id,
        replace(
            seen,
            underlying=resolved.underlying,
            instrument_key=resolved.instrument_key,
            side=signal.side.value,
            reference_paise=midpoint(signal),
        ),
    )
    if resolved.underlying != seen.underlying:
        key = f"{signal.advisor_id}|{resolved.underlying}"
        turn.ideas_by_advisor.put(key, (*(turn.ideas_by_advisor.get(key) or ()), signal.signal_id))
    if waiting.labels is not None and resolved.instrument_key != seen.instrument_key:
        regime = turn.context.regime_of(resolved.underlying)
        waiting = replace(waiting, labels=replace(waiting.labels, category=resolved.category, regime=regime))
    idea = _make_idea(turn, signal, resolved, waiting)
    # What named no instrument was followed by nobody; it is again as soon as it names one.
    was_nobody = not isinstance(turn.context.resolve(waiting.signal, turn.context.trade_date), Instrument)
    if tracking.forget_waiting(turn, signal.signal_id) or was_nobody:
        tracking.track_signal(turn, signal, resolved, idea.period, idea.trade_date)
    turn.subscribe(price_key_of(resolved))
    if resolved.category.is_derivative:
        turn.subscribe(underlying_key_of(resolved))
    is_timed = waiting.why == "AWAITING_PRICE"
    deadline_ns = waiting.deadline_ns if is_timed else lifetime_of_idea(turn, idea).valid_until_ns
    turn.put_pending(
        replace(
            waiting,
            signal=signal,
            deadline_ns=deadline_ns,
            trade_date=idea.trade_date,
            price_key=price_key_of(resolved),
        )
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


def _count_signal(turn: Turn, signal: Signal) -> None:
    """Stop trading an advisor who publishes as fast as no person does: a loop, or a stolen channel.

    By the moments of receipt, so that what is heard late all at once is no flood.
    """
    limits, now = turn.context.kill_limits, signal.received_ns
    earlier = turn.advisor_stamps_ns.get(signal.advisor_id) or ()
    stamps = tuple(sorted((*earlier, now)))[-limits.advisor_signals_max - 1 :]
    turn.advisor_stamps_ns.put(signal.advisor_id, stamps)
    count = count_recent(stamps, now, limits.advisor_window_ns)
    if count > limits.advisor_signals_max:
        turn.trip(
            f"ADVISOR:{signal.advisor_id}",
            Cause.SIGNAL_FLOOD,
            KillLevel.ENTRIES_BLOCKED,
            "engine",
            f"{count} ideas of {signal.advisor_id} within {limits.advisor_window_ns // NS_PER_SECOND} s",
        )


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
    lifetime = lifetime_of_idea(turn, idea)
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
    decide(turn, idea.signal, Refusal(DecisionCode.PENDING_ENTRY, detail), idea)


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
        decide(turn, signal, refusal, None)
        return
    signal = on_tick_grid(signal, resolved.tick_paise)
    idea = _make_idea(turn, signal, resolved, entry)
    hours = context.calendar.hours(context.trade_date, segment_for(resolved))
    is_open = hours.open_ns <= turn.now_ns < hours.close_ns and idea.trade_date <= context.trade_date
    if is_open and turn.scalar("ready") and fresh_price(turn, idea) is not None:
        turn.drop_pending(signal.signal_id)
        gate(turn, idea, None, None)
    elif turn.now_ns >= entry.deadline_ns:
        turn.drop_pending(signal.signal_id)
        decide(turn, signal, _lapsed(turn, entry), idea)


def withdraw_pending(turn: Turn, signal_id: str, why: str) -> None:
    """End a waiting idea on its advisor's word or the desk's.

    Its one decision says so, unless it was decided before.
    """
    entry = turn.pending[signal_id]
    turn.drop_pending(signal_id)
    if entry.labels is not None:
        # It was traded and did not fill: that decision stands, and a day has one per signal.
        return
    decide(turn, entry.signal, Refusal(DecisionCode.STALE, why), None)


def _lapsed(turn: Turn, entry: PendingEntry) -> Refusal:
    if not turn.scalar("ready"):
        return Refusal(DecisionCode.NOT_READY, "pre-market was not complete while it waited")
    if entry.why == "AWAITING_PRICE":
        return Refusal(DecisionCode.NO_PRICE, "no price came within the wait")
    return Refusal(DecisionCode.OUT_OF_HOURS, "its validity ended before it could be armed")

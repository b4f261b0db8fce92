"""The one reducer: the same function decides in simulation, replay and live (style: one reducer)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.ids import derived_id
from propdesk.core.invariant import require
from propdesk.engine import tracking
from propdesk.engine.aftermath import judge_ended
from propdesk.engine.context import DayContext, price_key_of, underlying_key_of
from propdesk.engine.desk_commands import on_command, set_level
from propdesk.engine.entry_wait import on_entry_waited
from propdesk.engine.followups import on_followup
from propdesk.engine.measured import on_measured
from propdesk.engine.protection import check_cover, neutralise
from propdesk.engine.signals import arm_priced, on_signal
from propdesk.engine.state import CarryOver, EngineState, LegOrder, StepResult
from propdesk.engine.timers import check_switches, on_timer, tend_order
from propdesk.engine.turn import Turn
from propdesk.engine.unsent import take_update
from propdesk.model.enums import KillLevel
from propdesk.model.messages import (
    ACCESS,
    BarObserved,
    BrokerSnapshotTaken,
    BrokerUpdate,
    BrokerUpdateKind,
    CommandAsked,
    ConnectionChanged,
    ContextChanged,
    DayOpened,
    EntryWaited,
    Event,
    FollowupReceived,
    IntentKind,
    OperatorCommand,
    SignalReceived,
    SwitchMeasured,
    TickObserved,
    TimerFired,
)
from propdesk.model.trade_event import EventKind
from propdesk.risk import corpus_ledger, kill_switch
from propdesk.risk.corpus_ledger import ADVERSE_POOL, Reservation
from propdesk.risk.drift import RuleResult
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause

_SIGNALS_KEPT_NS = 3 * 24 * 3_600_000_000_000
"""Seen signals handed to the next day: long enough for a weekend of late follow-ups."""


def initial_state(context: DayContext, carried: CarryOver | None = None) -> EngineState:
    """Build the state a day starts with, before its first event.

    Parameters
    ----------
    context : DayContext
        The day.
    carried : CarryOver, optional
        What the day before handed over (`carry_over`).

    Returns
    -------
    EngineState
        Not ready, without a corpus: both come with DayOpened.
    """
    carried = carried or CarryOver()
    advisor_ideas: dict[str, tuple[str, ...]] = {}
    for seen in carried.seen:
        key = f"{seen.advisor_id}|{seen.underlying}"
        advisor_ideas[key] = (*advisor_ideas.get(key, ()), seen.signal_id)
    by_key: dict[str, tuple[str, ...]] = {}
    crowd = EngineState("", "").crowd
    for idea in carried.tracked:
        by_key[idea.price_key] = (*by_key.get(idea.price_key, ()), idea.signal_id)
        if idea.is_open:
            crowd = tracking.reopen(crowd, idea)
    return EngineState(
        account_id=context.account_id,
        trade_date=context.trade_date.isoformat(),
        seen={seen.signal_id: seen for seen in carried.seen},
        pending={entry.signal.signal_id: entry for entry in carried.pending},
        groups={live.group.group_id: live for live in carried.groups},
        order_index={o.correlation_id: g.group.group_id for g in carried.groups for o in g.orders},
        signal_groups={live.group.signal_id: live.group.group_id for live in carried.groups},
        ideas_by_advisor=advisor_ideas,
        tracked={idea.signal_id: idea for idea in carried.tracked},
        tracked_by_key=by_key,
        crowd=crowd,
        levels=carried.levels,
        closed_trades=carried.closed_trades,
        rule_results=_still_known(carried, context),
    )


def _still_known(carried: CarryOver, context: DayContext) -> dict[str, RuleResult]:
    """Forget what rules came to that are none any more; a day without rules says nothing of them."""
    known = {key.text for key in context.ruleset.rules}
    return {name: result for name, result in carried.rule_results if name in known or not known}


def carry_over(state: EngineState) -> CarryOver:
    """Take from the end of a day what the next one starts with."""
    last_ns = max((seen.received_ns for seen in state.seen.values()), default=0)
    return CarryOver(
        groups=tuple(live for live in state.groups.values() if not live.is_closed),
        pending=tuple(state.pending.values()),
        tracked=tuple(state.tracked.values()),
        seen=tuple(
            seen
            for seen in state.seen.values()
            if seen.received_ns > last_ns - _SIGNALS_KEPT_NS
            or seen.signal_id in state.tracked
            or seen.signal_id in state.pending
        ),
        levels=state.levels,
        closed_trades=state.closed_trades,
        rule_results=tuple(sorted((name, r) for name, r in state.rule_results.items() if r.trades)),
    )


def step(state: EngineState, event: Event, now_ns: int, context: DayContext) -> StepResult:
    """Fold one event into the state and say what must be done about it.

    Parameters
    ----------
    state : EngineState
        State before the event; not changed.
    event : Event
        One message of `propdesk.model.messages`.
    now_ns : int
        The decider's clock, ns UTC; never falls.
    context : DayContext
        What pre-market froze.

    Returns
    -------
    StepResult
        New state and everything to commit with it. Same input, same output.

    Raises
    ------
    InvariantViolated
        If a promise of our own code is broken, for instance an event of another day.
    """
    return step_all(state, (event,), now_ns, context)


def step_all(state: EngineState, events: Sequence[Event], now_ns: int, context: DayContext) -> StepResult:
    """Fold events that are handled at one moment; the same as one `step` after the other, only quicker.

    Parameters
    ----------
    state, now_ns, context
        As in `step`.
    events : sequence of Event
        In order; may be empty.

    Returns
    -------
    StepResult
        Everything the events led to, in order; of a group that changed several times the last value.
    """
    require(state.trade_date == context.trade_date.isoformat(), "state and context are of different days")
    turn = Turn(state, now_ns, context)
    for event in events:
        _dispatch(turn, event)
        judge_ended(turn)
    return turn.finish(len(events))


def _dispatch(turn: Turn, event: Event) -> None:  # noqa: C901 - one branch per event
    match event:
        case BarObserved():
            _on_bar(turn, event)
        case TickObserved():
            _on_bar(turn, tracking.bar_of(event))
        case SignalReceived():
            on_signal(turn, event)
        case FollowupReceived():
            on_followup(turn, event)
        case BrokerUpdate():
            _on_updates(turn, (event,))
        case BrokerSnapshotTaken():
            _on_updates(turn, event.updates)
            _on_reconciled(turn)
        case TimerFired():
            on_timer(turn, event)
        case ConnectionChanged():
            _on_connection(turn, event)
        case OperatorCommand():
            set_level(turn, event)
        case CommandAsked():
            on_command(turn, event)
        case DayOpened():
            _on_day_opened(turn, event)
        case EntryWaited():
            on_entry_waited(turn, event)
        case SwitchMeasured():
            on_measured(turn, event)
        case ContextChanged():
            turn.notify(EventKind.CONTEXT_CHANGED, f"decided under context {event.context_hash[:12]} now")
        case _:
            assert_never(event)


def _on_bar(turn: Turn, bar: BarObserved) -> None:
    is_first = tracking.remember_price(turn, bar)
    tracking.on_bar(turn, bar)
    if is_first:
        arm_priced(turn, bar.price_key)


def _on_updates(turn: Turn, updates: tuple[BrokerUpdate, ...]) -> None:
    trades_before = len(turn.out.trades)
    for update in updates:
        take_update(turn, update)
        if update.kind in (BrokerUpdateKind.NAKED, BrokerUpdateKind.EXCESS):
            tend_order(turn, update.correlation_id, with_guards=True)
        elif update.kind is BrokerUpdateKind.SURPLUS:
            neutralise(turn)
        elif update.answers is IntentKind.EMERGENCY_STOP:
            # what cannot be guarded is left at once, but no guard follows a refused one before its time
            tend_order(turn, update.correlation_id, with_guards=False)
    is_blocked = turn.levels.is_open(ACCOUNT_SCOPE, Cause.NAKED)
    if is_blocked or any(update.kind is BrokerUpdateKind.NAKED for update in updates):
        check_cover(turn)
    if len(turn.out.trades) > trades_before:
        check_switches(turn)


def _on_reconciled(turn: Turn) -> None:
    """Lift the switch of a lost connection once the broker's facts are known again.

    Whether it takes orders is another matter, with a switch of its own.
    """
    known = turn.connections.result().items()
    if all(connected for name, (connected, _) in known if name != ACCESS):
        turn.clear(ACCOUNT_SCOPE, Cause.DISCONNECTED, "engine", "reconciled after the connection came back")


def _on_connection(turn: Turn, event: ConnectionChanged) -> None:
    """Remember a connection; without access no entry is worth sending, exits and stops go on being tried."""
    turn.connections.put(event.name, (event.connected, event.ts_ns))
    if event.name != ACCESS:
        return
    if event.connected:
        turn.clear(ACCOUNT_SCOPE, Cause.ACCESS_REFUSED, "engine", "the broker takes orders again")
    else:
        turn.trip(ACCOUNT_SCOPE, Cause.ACCESS_REFUSED, KillLevel.ENTRIES_BLOCKED, "engine", event.reason)


def _on_day_opened(turn: Turn, event: DayOpened) -> None:
    require(event.trade_date == turn.base.trade_date, "the day opened is not the day of the state")
    turn.scalars["ready"] = event.ready
    turn.levels, changes = kill_switch.next_day(
        turn.levels, ist_midnight_ns(turn.context.trade_date), turn.now_ns
    )
    turn.out.levels.extend(changes)
    if turn.corpus.accounts:
        if turn.scalar("opening_corpus_paise") <= 0:
            # What was opened used up takes no deposit before the next day, and nothing is sized by nothing.
            turn.scalars["ready"] = False
        return
    context = turn.context
    shares: Mapping[str, float] = {
        **{category.value: share for category, share in context.allocations.items()},
        ADVERSE_POOL: context.adverse_allocation,
    }
    carried = {
        live.group.group_id: Reservation(live.pool, held)
        for live in turn.open_groups()
        if (held := sum(m for m, d in zip(live.leg_margins_paise, live.settled, strict=True) if not d))
    }
    if event.opening_corpus_paise == 0 and not carried:
        return  # not known yet: the book is opened once it is
    # A corpus that is used up opens too: what is carried must be able to end, and a loss stays booked.
    turn.corpus, entries = corpus_ledger.open_book(
        event.opening_corpus_paise,
        shares,
        carried,
        derived_id("day", turn.base.account_id, event.trade_date),
        turn.now_ns,
    )
    turn.out.ledger.extend(entries)
    turn.scalars["opening_corpus_paise"] = event.opening_corpus_paise
    _subscribe_carried(turn)
    check_cover(turn)


def _subscribe_carried(turn: Turn) -> None:
    for idea in turn.tracked.values():
        turn.subscribe(idea.price_key)
    for live in turn.open_groups():
        turn.subscribe(price_key_of(live.instrument))
        if live.instrument.category.is_derivative:
            turn.subscribe(underlying_key_of(live.instrument))
        # A stop the broker has not confirmed for this day is asked for again by the next timer.
        turn.put_group(replace(live, orders=tuple(map(_begun_anew, live.orders))))


def _begun_anew(order: LegOrder) -> LegOrder:
    """Forget of a carried order what was true of yesterday's orders: they lived one day.

    None of yesterday's guards may still appear, and what is naked the broker tells anew.
    """
    return replace(
        order, refusals=0, guard_due=0, guard_asked=0, guard_wanted=False, naked_units=0, excess_units=0
    )

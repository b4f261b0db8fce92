"""What the market says about one idea: the readable resolution, oracle of the kernel (§2.5)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from propdesk.execution import matching, trade_group
from propdesk.model.enums import ExitReason
from propdesk.model.messages import BarObserved
from propdesk.model.order import LegAction, LegActionKind, LegEvent, LegEventKind, LegState, TradeGroup
from propdesk.model.signal import Followup
from propdesk.model.trade import LegOutcome, Outcome

SessionOf = Callable[[int], tuple[int, int] | None]
"""Session (open, close) that a moment lies in, close included; None outside hours. All ns UTC."""


@dataclass(slots=True)
class _Walk:
    """State of one resolution while it walks along the bars."""

    group: TradeGroup
    orders: list[matching.SuperOrder]
    last_bar: BarObserved | None = None
    seen_before_deadline: bool = False
    priceless_exit: bool = False


def resolve_outcome(
    group: TradeGroup,
    bars: Sequence[BarObserved],
    followups: Sequence[Followup],
    *,
    session_of: SessionOf,
    latency_ns: int,
    known_until_ns: int,
    allow_loosening: bool = False,
) -> Outcome:
    """Follow one idea through its bars with the live state machine and the live fill logic.

    Parameters
    ----------
    group : TradeGroup
        Fresh: all legs waiting.
    bars : sequence of BarObserved
        Bars of the instrument, rising; those starting before the idea is active do not count.
    followups : sequence of Followup
        Already matched to the idea; they act ``latency_ns`` after their receipt.
    session_of : callable
        Session of a moment.
    known_until_ns : int
        Only bars complete by then exist.
    allow_loosening : bool
        Whether an advisor may move a stop away from profit.

    Returns
    -------
    Outcome
        NO_PRICE_DATA: no bar while the entry could fill. INCOMPLETE: no bar in the session in which the
        trade had to end. OPEN without entry: still waiting.
    """
    acts = sorted(followups, key=lambda f: (f.received_ns, f.followup_id))
    walk = _Walk(group, list(matching.super_orders_of(group)))
    done = 0
    for bar in bars:
        if bar.start_ns < group.active_from_ns or bar.start_ns + bar.interval_ns > known_until_ns:
            continue
        walk.seen_before_deadline |= bar.start_ns < group.valid_until_ns
        done = _before_bar(walk, acts, done, bar, session_of, latency_ns, allow_loosening=allow_loosening)
        if not walk.priceless_exit:
            _through_bar(walk, bar)
        walk.last_bar = bar
        if walk.priceless_exit or trade_group.is_finished(walk.group):
            break
    else:
        _after_last_bar(
            walk, acts[done:], session_of, latency_ns, known_until_ns, allow_loosening=allow_loosening
        )
    return _outcome(walk, known_until_ns)


def _before_bar(
    walk: _Walk,
    acts: Sequence[Followup],
    done: int,
    bar: BarObserved,
    session_of: SessionOf,
    latency_ns: int,
    *,
    allow_loosening: bool,
) -> int:
    """Do what became due before this bar opened; return how many follow-ups are dealt with."""
    exit_at = walk.group.exit_at_ns
    limit = bar.start_ns if exit_at is None else min(bar.start_ns, exit_at)
    while done < len(acts) and acts[done].received_ns + latency_ns <= limit:
        moment = acts[done].received_ns + latency_ns
        walk.group, actions = trade_group.apply_followup(
            walk.group, acts[done], allow_loosening=allow_loosening
        )
        price, at_ns = _price_at(walk, moment, bar, session_of) or (bar.open_paise, bar.start_ns)
        _carry_out(walk, actions, price, at_ns)
        done += 1
    if exit_at is not None and exit_at <= bar.start_ns:
        _leave_in_time(walk, exit_at, _price_at(walk, exit_at, bar, session_of))
    return done


def _price_at(
    walk: _Walk, moment: int, bar: BarObserved | None, session_of: SessionOf
) -> tuple[int, int] | None:
    """Price and stamp of an exit decided at ``moment``, ``bar`` being the first one at or after it.

    The open of the bar if it lies in the same session or no session runs; else the last close of that
    session; None if the session had no price.
    """
    session = session_of(moment)
    if bar is not None and (session is None or bar.start_ns < session[1]):
        return bar.open_paise, bar.start_ns
    if session is not None and walk.last_bar is not None and walk.last_bar.start_ns >= session[0]:
        return walk.last_bar.close_paise, moment
    return None


def _leave_in_time(walk: _Walk, exit_at: int, fill: tuple[int, int] | None) -> None:
    _, actions = trade_group.due_actions(walk.group, exit_at)
    if fill is None and any(action.kind is LegActionKind.EXIT for action in actions):
        walk.priceless_exit = True
        return
    price, at_ns = fill or (0, exit_at)
    _carry_out(walk, actions, price, at_ns)


def _through_bar(walk: _Walk, bar: BarObserved) -> None:
    matched = [matching.match_bar(order, bar) for order in walk.orders]
    walk.orders = [order for order, _ in matched]
    events = list(chain.from_iterable(events for _, events in matched))
    # entries and stops of all legs first: what follows from a target concerns legs open after the bar
    events.sort(key=lambda e: (e.kind is not LegEventKind.ENTRY_FILLED, e.kind is LegEventKind.TARGET_FILLED))
    _carry_out(walk, _tell(walk, events), bar.close_paise, bar.start_ns)


def _tell(walk: _Walk, events: Sequence[LegEvent]) -> list[LegAction]:
    actions: list[LegAction] = []
    for event in events:
        walk.group, wanted = trade_group.apply_event(walk.group, event)
        actions += wanted
    return actions


def _carry_out(walk: _Walk, actions: Sequence[LegAction], price: int, at_ns: int) -> None:
    """Let the orders obey at once; what they answer is told to the group."""
    events: list[LegEvent] = []
    for action in actions:
        index = action.leg_number - 1
        order = walk.orders[index]
        answers: tuple[LegEvent, ...] = ()
        if action.kind is LegActionKind.MODIFY_STOP:
            order = matching.modify(order, stop=action.price_paise)
        elif action.kind is LegActionKind.MODIFY_TARGET:
            order = matching.modify(order, target=action.price_paise)
        elif action.kind is LegActionKind.CANCEL_ENTRY:
            order, answers = matching.cancel_entry(order, at_ns)
        else:
            reason = action.reason or ExitReason.FOLLOWUP_EXIT
            order, answers = matching.exit_at(order, price, at_ns, reason, action.quantity)
        walk.orders[index] = order
        events += answers
    if events:
        _tell(walk, events)


def _after_last_bar(
    walk: _Walk,
    rest: Sequence[Followup],
    session_of: SessionOf,
    latency_ns: int,
    known_until_ns: int,
    *,
    allow_loosening: bool,
) -> None:
    """Take in what became due in sessions that ended without another bar."""
    exit_at = walk.group.exit_at_ns
    limit = known_until_ns if exit_at is None else min(known_until_ns, exit_at)
    for followup in rest:
        moment = followup.received_ns + latency_ns
        if moment > limit:
            break
        after, actions = trade_group.apply_followup(walk.group, followup, allow_loosening=allow_loosening)
        leaves = any(action.kind is LegActionKind.EXIT for action in actions)
        fill = _price_at(walk, moment, None, session_of)
        session = session_of(moment)
        if leaves and (fill is None or session is None or session[1] > known_until_ns):
            continue
        walk.group = after
        price, at_ns = fill or (0, moment)
        _carry_out(walk, actions, price, at_ns)
    session = None if exit_at is None else session_of(exit_at)
    if exit_at is not None and session is not None and session[1] <= known_until_ns:
        _leave_in_time(walk, exit_at, _price_at(walk, exit_at, None, session_of))


def _outcome(walk: _Walk, known_until_ns: int) -> Outcome:
    group = walk.group
    legs = [leg for leg in group.legs if leg.filled_quantity]
    entry = trade_group.average_entry(group)
    entry_ns = min((leg.entry_ns for leg in legs if leg.entry_ns is not None), default=None)
    last = max(legs, key=lambda leg: (leg.exit_ns or 0, leg.leg_number), default=None)
    closed = bool(legs) and all(leg.state is LegState.CLOSED for leg in legs)
    blank = Outcome(
        side=group.side,
        exit_reason=_reason_without_exit(walk, known_until_ns),
        entry_paise=entry,
        entry_ns=entry_ns,
        exit_paise=None,
        exit_ns=None,
        gross_pnl_paise=None,
        quantity=sum(leg.quantity for leg in group.legs),
        targets_hit=group.targets_hit,
        ambiguous_bar=group.ambiguous_bar,
        legs=tuple(
            LegOutcome(
                leg.leg_number,
                leg.quantity,
                leg.entry_notional_paise // leg.filled_quantity,
                leg.exit_notional_paise // leg.exited_quantity,
                leg.entry_ns or 0,
                leg.exit_ns or 0,
                leg.exit_reason or ExitReason.OPEN,
                leg.exit_target,
            )
            for leg in legs
            if leg.state is LegState.CLOSED
        ),
    )
    if not closed or last is None:
        return blank
    return replace(
        blank,
        exit_reason=last.exit_reason or ExitReason.OPEN,
        exit_paise=last.exit_notional_paise // last.exited_quantity,
        exit_ns=last.exit_ns,
        gross_pnl_paise=trade_group.gross_pnl_paise(group),
    )


def _reason_without_exit(walk: _Walk, known_until_ns: int) -> ExitReason:
    group = walk.group
    if walk.priceless_exit:
        return ExitReason.INCOMPLETE
    if any(leg.filled_quantity for leg in group.legs):
        return ExitReason.OPEN
    if group.gapped_through:
        return ExitReason.GAPPED_THROUGH
    over = trade_group.is_finished(group) or known_until_ns >= group.valid_until_ns
    if not over:
        return ExitReason.OPEN
    return ExitReason.NOT_TRIGGERED if walk.seen_before_deadline else ExitReason.NO_PRICE_DATA

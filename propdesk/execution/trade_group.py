"""The trade group: the pure state machine of one idea's legs (§5.4).

Facts (`LegEvent`) only ever add knowledge: quantities are maxima over all evidence, states are derived
from quantities, so repeated, late and reordered facts end in the same group. Wishes (`LegAction`) are
level-triggered: they name the price wanted, not a change, and may be repeated without harm.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from propdesk.core.invariant import require
from propdesk.core.money import Rounding, round_to_tick
from propdesk.model.enums import ExitReason, FollowupKind, Side
from propdesk.model.order import (
    Leg,
    LegAction,
    LegActionKind,
    LegEvent,
    LegEventKind,
    LegState,
    TradeGroup,
)
from propdesk.model.signal import Followup

Moved = tuple[TradeGroup, tuple[LegAction, ...]]

_STOP_REASONS = (ExitReason.STOPLOSS, ExitReason.TRAILED_STOP)
_LEVEL_KINDS = (FollowupKind.UPDATE_STOPLOSS, FollowupKind.UPDATE_TARGET, FollowupKind.MOVE_TO_COST)
_EXIT_KINDS = (LegEventKind.TARGET_FILLED, LegEventKind.STOP_FILLED, LegEventKind.EXIT_FILLED)


# ------------------------------------------------------------------ building


def split_legs(lots: int, lot_size: int, targets: Sequence[int], stop: int | None) -> tuple[Leg, ...]:
    """Share the lots of a group among its targets.

    Parameters
    ----------
    lots : int
        Whole lots, > 0.
    lot_size : int
        Units per lot, > 0.
    targets : sequence of int
        Targets in paise, nearest first; may be empty.
    stop : int or None
        Stop of every leg, paise.

    Returns
    -------
    tuple of Leg
        One leg per target, equal lots, the remainder in the first; as many legs as lots, on the nearest
        targets, where there are fewer lots; one leg without target where there are no targets.

    Examples
    --------
    >>> [leg.lots for leg in split_legs(8, 75, (142, 171, 200), 110)]
    [4, 2, 2]
    """
    require(lots > 0 and lot_size > 0, "a group has at least one lot of at least one unit")
    levels: list[int | None] = list(targets[:lots]) or [None]
    share, rest = divmod(lots, len(levels))
    counts = [share + rest, *([share] * (len(levels) - 1))]
    return tuple(
        Leg(number, count, count * lot_size, level, stop)
        for number, (count, level) in enumerate(zip(counts, levels, strict=True), start=1)
    )


# ------------------------------------------------------------------ reading


def open_quantity(leg: Leg) -> int:
    """Units filled and not yet exited."""
    return leg.filled_quantity - leg.exited_quantity


def is_finished(group: TradeGroup) -> bool:
    """Whether no leg is waiting or open."""
    return all(leg.state in (LegState.CLOSED, LegState.CANCELLED) for leg in group.legs)


def average_entry(group: TradeGroup, rounding: Rounding = Rounding.NEAREST) -> int | None:
    """Average fill price of the group in whole paise; None before any fill is known."""
    filled = sum(leg.filled_quantity for leg in group.legs if leg.entry_notional_paise)
    if filled == 0:
        return None
    notional = sum(leg.entry_notional_paise for leg in group.legs)
    if rounding is Rounding.UP:
        return -(-notional // filled)
    return notional // filled if rounding is Rounding.DOWN else (2 * notional + filled) // (2 * filled)


def gross_pnl_paise(group: TradeGroup) -> int:
    """Gross P&L of what is exited, before slippage and charges, paise.

    The entry of a partly exited leg is shared in proportion, rounded down to the paisa.
    """
    total = 0
    for leg in group.legs:
        if leg.exited_quantity and leg.filled_quantity:
            paid = leg.entry_notional_paise * leg.exited_quantity // leg.filled_quantity
            total += group.side.sign * (leg.exit_notional_paise - paid)
    return total


# -------------------------------------------------------------------- facts


def apply_event(group: TradeGroup, event: LegEvent) -> Moved:
    """Take in one fact about one leg.

    Parameters
    ----------
    group : TradeGroup
        Any state.
    event : LegEvent
        A fact with the cumulative quantity of entries, or of exits of all kinds, and its average price.

    Returns
    -------
    tuple of (TradeGroup, tuple of LegAction)
        The group after the fact and what it now wants: after target k every open sibling's stop at the
        entry (k = 1) or at target k-1, never away from profit; entries that still wait are withdrawn.

    Raises
    ------
    InvariantViolated
        If the group has no such leg, or more is filled than was ordered.

    Examples
    --------
    BUY 127 with targets 142, 171, 200: after 142 the siblings' stop is 127, after 171 the last one's 142.
    """
    require(1 <= event.leg_number <= len(group.legs), f"the group has no leg {event.leg_number}")
    leg = group.legs[event.leg_number - 1]
    if event.kind is LegEventKind.ENTRY_FILLED:
        after = _put(group, _entered(leg, event))
    elif event.kind in _EXIT_KINDS:
        after = _put(group, _exited(group, leg, event))
        after = replace(after, ambiguous_bar=after.ambiguous_bar or event.ambiguous)
    else:
        after = _put(group, _withdrawn(leg))
        if event.kind is LegEventKind.GAPPED_THROUGH:
            after = replace(after, gapped_through=True)
    if after == group:
        return group, ()
    if event.kind is LegEventKind.TARGET_FILLED:
        after = replace(after, targets_hit=max(group.targets_hit, event.leg_number))
    return _settle(after)


def _put(group: TradeGroup, leg: Leg) -> TradeGroup:
    index = leg.leg_number - 1
    return replace(group, legs=(*group.legs[:index], leg, *group.legs[index + 1 :]))


def _entered(leg: Leg, event: LegEvent) -> Leg:
    require(event.quantity <= leg.quantity, "more is filled than was ordered")
    leg = replace(leg, entry_ns=event.at_ns if leg.entry_ns is None else min(leg.entry_ns, event.at_ns))
    # an exit that was heard of first has raised the quantity but knows no entry price
    is_news = event.quantity > leg.filled_quantity
    completes = event.quantity == leg.filled_quantity and leg.entry_notional_paise == 0
    if event.quantity > 0 and (is_news or completes):
        leg = replace(
            leg,
            filled_quantity=event.quantity,
            entry_notional_paise=event.price_paise * event.quantity,
        )
    return _with_state(leg)


def _exited(group: TradeGroup, leg: Leg, event: LegEvent) -> Leg:
    require(event.quantity <= leg.quantity, "more is exited than was ordered")
    if event.quantity <= leg.exited_quantity:
        return leg
    is_target = event.kind is LegEventKind.TARGET_FILLED
    if is_target:
        reason = ExitReason.TARGET
    elif event.kind is LegEventKind.STOP_FILLED:
        # after a target the stamps decide (`_settle`), so that the order of telling does not matter
        moved = group.targets_hit == 0 and _stop_was_moved(group, leg)
        reason = ExitReason.TRAILED_STOP if moved else ExitReason.STOPLOSS
    else:
        reason = event.reason or ExitReason.FOLLOWUP_EXIT
    leg = replace(
        leg,
        exited_quantity=event.quantity,
        exit_notional_paise=event.price_paise * event.quantity,
        exit_ns=event.at_ns,
        exit_reason=reason,
        exit_target=leg.leg_number if is_target else None,
    )
    if event.quantity > leg.filled_quantity:
        # what was exited must have been filled; its entry price is still unknown
        leg = replace(leg, filled_quantity=event.quantity, entry_notional_paise=0)
    return _with_state(leg)


def _withdrawn(leg: Leg) -> Leg:
    return leg if leg.filled_quantity else replace(leg, state=LegState.CANCELLED)


def _with_state(leg: Leg) -> Leg:
    if leg.filled_quantity == 0:
        return leg
    done = leg.exited_quantity >= leg.filled_quantity
    return replace(leg, state=LegState.CLOSED if done else LegState.OPEN)


def _stop_was_moved(group: TradeGroup, leg: Leg) -> bool:
    """Whether the leg's stop is better than the idea's own; without one, whether it locks in the entry."""
    if leg.stop_paise is None:
        return False
    if group.stop_paise is not None:
        return group.side.sign * (leg.stop_paise - group.stop_paise) > 0
    locked = leg.stop_paise * leg.filled_quantity - leg.entry_notional_paise
    return leg.entry_notional_paise > 0 and group.side.sign * locked >= 0


def _settle(group: TradeGroup) -> Moved:
    """Draw the consequences of all facts known: trailing chain, reasons, remainders."""
    actions: list[LegAction] = []
    legs: list[Leg] = []
    for leg in group.legs:
        after = leg
        waits = leg.state is LegState.WORKING
        is_part = 0 < leg.filled_quantity < leg.quantity
        over = group.targets_hit > 0 or group.gapped_through
        if (waits and over) or (is_part and leg.exited_quantity > 0):
            actions.append(LegAction(LegActionKind.CANCEL_ENTRY, leg.leg_number))
        level = _trail_level(group, leg) if leg.state is LegState.OPEN else None
        if level is not None and _tighter(group.side, leg.stop_paise, level) != leg.stop_paise:
            after = replace(after, stop_paise=level)
            actions.append(LegAction(LegActionKind.MODIFY_STOP, leg.leg_number, level))
        elif (
            leg.state is LegState.CLOSED and leg.exit_reason in _STOP_REASONS and _trailed_before(group, leg)
        ):
            after = replace(after, exit_reason=ExitReason.TRAILED_STOP)
        legs.append(after)
    return replace(group, legs=tuple(legs)), tuple(actions)


def _trail_level(group: TradeGroup, leg: Leg) -> int | None:
    """Stop that the chain wants for a leg after the targets hit so far, on tick; None before the first."""
    if group.targets_hit == 0:
        return None
    cost = _cost_level(group, leg)
    reached = group.legs[group.targets_hit - 2].target_paise if group.targets_hit > 1 else None
    if cost is None or reached is None:
        return reached if cost is None else cost
    return _tighter(group.side, cost, reached)


def _cost_level(group: TradeGroup, leg: Leg) -> int | None:
    """Average fill price of the leg, on tick towards profit: never on the losing side of the average."""
    if leg.filled_quantity == 0 or leg.entry_notional_paise == 0:
        return None
    if group.side is Side.BUY:
        return round_to_tick(
            -(-leg.entry_notional_paise // leg.filled_quantity), group.tick_paise, Rounding.UP
        )
    return round_to_tick(leg.entry_notional_paise // leg.filled_quantity, group.tick_paise, Rounding.DOWN)


def _trailed_before(group: TradeGroup, leg: Leg) -> bool:
    """Whether a sibling's target was filled before this leg was stopped, in whatever order it was told."""
    return any(
        other.exit_reason is ExitReason.TARGET
        and other.exit_ns is not None
        and leg.exit_ns is not None
        and other.exit_ns < leg.exit_ns
        for other in group.legs
        if other.leg_number != leg.leg_number
    )


def _tighter(side: Side, current: int | None, wanted: int) -> int:
    if current is None:
        return wanted
    return max(current, wanted) if side is Side.BUY else min(current, wanted)


# --------------------------------------------------------------- follow-ups


def apply_followup(group: TradeGroup, followup: Followup, *, allow_loosening: bool = False) -> Moved:
    """Do what the advisor says later about the idea.

    Parameters
    ----------
    group : TradeGroup
        Any state; closed legs are left alone.
    followup : Followup
        Already matched to this group; handed over once.
    allow_loosening : bool
        Whether a stop may move away from profit on the advisor's word.

    Returns
    -------
    tuple of (TradeGroup, tuple of LegAction)
        Exits carry the reason FOLLOWUP_EXIT. In a reverse group the advisor's stop is our target and the
        advisor's target our stop.

    Notes
    -----
    CARRY changes nothing here: a group whose product can be held overnight has no square-off to lift, and
    an INTRADAY product cannot be carried. ADD and UNCLEAR are recorded elsewhere and never followed.
    A stop that would cross the leg's target, or a target that would cross its stop, is refused.
    Source: §1.2, §5.4.
    """
    kind = followup.kind
    if kind is FollowupKind.EXIT:
        return _leave(group, ExitReason.FOLLOWUP_EXIT)
    if kind is FollowupKind.CANCEL:
        return group, _cancel_waiting(group)
    if kind is FollowupKind.PARTIAL_EXIT:
        return group, _exit_share(group, followup.fraction or 0.0)
    if kind in _LEVEL_KINDS:
        return _move_levels(group, followup, allow_loosening=allow_loosening)
    return group, ()


def _move_levels(group: TradeGroup, followup: Followup, *, allow_loosening: bool) -> Moved:
    kind = followup.kind
    moves_target = (kind is FollowupKind.UPDATE_TARGET) != group.is_reverse
    wish = LegActionKind.MODIFY_TARGET if moves_target else LegActionKind.MODIFY_STOP
    actions: list[LegAction] = []
    alive = [leg for leg in group.legs if leg.state in (LegState.WORKING, LegState.OPEN)]
    for rank, leg in enumerate(alive):
        level = _wanted_level(group, leg, followup, rank if moves_target else 0)
        if level is None or not _may_move(group.side, leg, level, moves_target, allow_loosening):
            continue
        moved = replace(leg, target_paise=level) if moves_target else replace(leg, stop_paise=level)
        group = _put(group, moved)
        actions.append(LegAction(wish, leg.leg_number, level))
    return group, tuple(actions)


def _wanted_level(group: TradeGroup, leg: Leg, followup: Followup, rank: int) -> int | None:
    """Level a follow-up names for the leg that is the ``rank``-th still alive; legs beyond share the last."""
    if followup.kind is FollowupKind.MOVE_TO_COST:
        return _cost_level(group, leg)
    advisor_sells = (group.side is Side.SELL) != group.is_reverse
    named = tuple(sorted(followup.targets_paise, reverse=advisor_sells))
    if followup.kind is FollowupKind.UPDATE_STOPLOSS:
        named = () if followup.stoploss_paise is None else (followup.stoploss_paise,)
    return round_to_tick(named[min(rank, len(named) - 1)], group.tick_paise) if named else None


def _may_move(side: Side, leg: Leg, level: int, moves_target: bool, allow_loosening: bool) -> bool:
    other = leg.stop_paise if moves_target else leg.target_paise
    distance = side.sign if moves_target else -side.sign
    if other is not None and distance * (level - other) <= 0:
        return False
    if moves_target:
        return level != leg.target_paise
    if level == leg.stop_paise:
        return False
    return allow_loosening or _tighter(side, leg.stop_paise, level) == level


def _exit_share(group: TradeGroup, fraction: float) -> tuple[LegAction, ...]:
    """Close that share of the open lots, rounded down, from the nearest targets on."""
    lots = sum(open_quantity(leg) // group.lot_size for leg in group.legs)
    left = math.floor(lots * min(max(fraction, 0.0), 1.0) + 1e-9)
    actions: list[LegAction] = []
    for leg in group.legs:
        take = min(left, open_quantity(leg) // group.lot_size)
        if take > 0:
            left -= take
            actions.append(
                LegAction(
                    LegActionKind.EXIT,
                    leg.leg_number,
                    reason=ExitReason.FOLLOWUP_EXIT,
                    quantity=take * group.lot_size,
                )
            )
    return tuple(actions)


def _cancel_waiting(group: TradeGroup) -> tuple[LegAction, ...]:
    return tuple(
        LegAction(LegActionKind.CANCEL_ENTRY, leg.leg_number)
        for leg in group.legs
        if leg.state in (LegState.WORKING, LegState.OPEN) and leg.filled_quantity < leg.quantity
    )


def _leave(group: TradeGroup, reason: ExitReason) -> Moved:
    exits = tuple(
        LegAction(LegActionKind.EXIT, leg.leg_number, reason=reason, quantity=open_quantity(leg))
        for leg in group.legs
        if open_quantity(leg) > 0
    )
    return group, (*_cancel_waiting(group), *exits)


# --------------------------------------------------------------------- time


def due_actions(group: TradeGroup, now_ns: int) -> Moved:
    """Tell what the passing of time asks for.

    Parameters
    ----------
    group : TradeGroup
        Any state.
    now_ns : int
        The moment, ns UTC.

    Returns
    -------
    tuple of (TradeGroup, tuple of LegAction)
        The group unchanged; from ``exit_at_ns`` on everything open is closed with its reason, from
        ``valid_until_ns`` on what waits is withdrawn. Repeated until the facts say it is done.
    """
    if group.exit_at_ns is not None and now_ns >= group.exit_at_ns:
        require(group.exit_at_reason is not None, "a latest moment has a reason")
        return _leave(group, group.exit_at_reason or ExitReason.SQUARE_OFF)
    if now_ns >= group.valid_until_ns:
        return group, _cancel_waiting(group)
    return group, ()

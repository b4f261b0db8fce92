"""A filled position whose stop is gone: the emergency stop, and the target it then lacks (§5.7).

Everything is asked for once per fact; the broker tells anew what lasts.
"""

from dataclasses import replace

from propdesk.engine.context import price_key_of
from propdesk.engine.orders import emit, open_units_of
from propdesk.engine.state import LiveGroup
from propdesk.engine.turn import Turn
from propdesk.model.enums import ExitReason, KillLevel
from propdesk.model.messages import IntentKind
from propdesk.model.order import LegAction, LegActionKind
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause


def guard(turn: Turn, live: LiveGroup) -> LiveGroup:
    """Ask for the emergency stop of every order of a group that is known to have lost its own.

    What is being closed is not guarded besides: its exit has not filled and is asked for again. A guard that
    is larger than what is held is fitted.
    """
    for order in live.orders:
        leg = live.group.legs[order.leg_number - 1]
        if order.guard_wanted or order.doubt_fact or not (order.naked_units or order.excess_units):
            continue
        units, wanted = open_units_of(order), replace(order, guard_wanted=True)
        if order.excess_units:
            live = emit(turn, live, wanted, IntentKind.EMERGENCY_STOP, order.excess_units)
        elif units > 0 and order.exit_wanted is not None:
            live = emit(turn, live, wanted, IntentKind.EXIT, units, order.exit_wanted)
        elif units > 0 and leg.stop_paise is not None:
            wanted = replace(wanted, wanted_stop_paise=leg.stop_paise)
            live = emit(turn, live, wanted, IntentKind.EMERGENCY_STOP, units)
    return live


def check_cover(turn: Turn) -> None:
    """Block entries while anything is held without a stop, before the open what is carried, too (§6.2).

    What was closed is naked again where somebody bought it back: a person's to close.
    """
    names = [
        order.correlation_id
        for live in turn.groups.values()
        for order in live.orders
        if order.naked_units > 0
    ]
    if not names:
        turn.clear(ACCOUNT_SCOPE, Cause.NAKED, "engine", "everything held has its stop")
    elif not turn.is_over:  # at the close every stop lapses
        text = f"{names[0]} and {len(names) - 1} more are held without a live stop"
        turn.trip(ACCOUNT_SCOPE, Cause.NAKED, KillLevel.ENTRIES_BLOCKED, "engine", text)


def neutralise(turn: Turn) -> None:
    """Ask for the end of every order that repeats one of ours, whether or not ours is over."""
    for live in tuple(turn.groups.values()):
        after = live
        for order in live.orders:
            if order.surplus_fact and not order.surplus_wanted:
                wanted = replace(order, surplus_wanted=True)
                after = emit(turn, after, wanted, IntentKind.NEUTRALISE, order.quantity)
        if after != live:
            turn.put_group(after)


def reached_targets(turn: Turn, live: LiveGroup) -> tuple[LegAction, ...]:
    """Wishes to take the profit of guarded legs at their target: a plain stop order has none of its own."""
    last = turn.prices.get(price_key_of(live.instrument))
    if last is None:
        return ()
    guarded = {order.leg_number for order in live.orders if order.guard_asked}
    return tuple(
        LegAction(LegActionKind.EXIT, leg.leg_number, reason=ExitReason.TARGET)
        for leg in live.group.legs
        if leg.leg_number in guarded
        and leg.target_paise is not None
        and live.group.side.sign * (last.price_paise - leg.target_paise) >= 0
    )

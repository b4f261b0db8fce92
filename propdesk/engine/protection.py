"""A filled position whose stop is gone: the emergency stop, and the target it then lacks (§5.7)."""

from dataclasses import replace

from propdesk.engine.context import price_key_of
from propdesk.engine.orders import emit
from propdesk.engine.state import LiveGroup
from propdesk.engine.turn import Turn
from propdesk.model.enums import ExitReason
from propdesk.model.messages import IntentKind
from propdesk.model.order import LegAction, LegActionKind


def guard(turn: Turn, live: LiveGroup) -> LiveGroup:
    """Ask for the emergency stop of every order of a group that is known to have lost its own.

    What is being closed is not guarded besides: the exit is the protection.
    """
    for order in live.orders:
        leg = live.group.legs[order.leg_number - 1]
        units = order.filled_quantity - order.exited_quantity
        is_asked = order.guard_wanted or order.exit_wanted is not None or order.doubt_fact
        if not order.naked_fact or is_asked or units <= 0 or leg.stop_paise is None:
            continue
        wanted = replace(order, guard_wanted=True, wanted_stop_paise=leg.stop_paise)
        live = emit(turn, live, wanted, IntentKind.EMERGENCY_STOP, units)
    return live


def reached_targets(turn: Turn, live: LiveGroup) -> tuple[LegAction, ...]:
    """Wishes to take the profit of guarded legs at their target: a plain stop order has none of its own."""
    last = turn.prices.get(price_key_of(live.instrument))
    if last is None:
        return ()
    guarded = {order.leg_number for order in live.orders if order.guard_wanted}
    return tuple(
        LegAction(LegActionKind.EXIT, leg.leg_number, reason=ExitReason.TARGET)
        for leg in live.group.legs
        if leg.leg_number in guarded
        and leg.target_paise is not None
        and live.group.side.sign * (last.price_paise - leg.target_paise) >= 0
    )

"""What the process measured of itself and tells the reducer (§6.2)."""

from propdesk.core.invariant import require
from propdesk.engine.turn import Turn
from propdesk.model.enums import KillLevel
from propdesk.model.messages import Measured, SwitchMeasured
from propdesk.model.trade_event import EventKind
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, RESET_RULES, Cause, ResetRule

ACTOR = "sentinel"
"""Who throws these switches, in the levels' history."""


def on_measured(turn: Turn, event: SwitchMeasured) -> None:
    """Tell an alarm, throw a switch or let it go; a switch that only a person resets is never let go."""
    cause = Cause(event.cause)
    if event.verdict is Measured.ALARM:
        turn.notify(EventKind.MEASURE_ALARM, event.reason)
    elif event.verdict is Measured.TRIPPED:
        turn.trip(ACCOUNT_SCOPE, cause, KillLevel.ENTRIES_BLOCKED, ACTOR, event.reason)
    else:
        require(RESET_RULES[cause] is ResetRule.AUTOMATIC, f"only a person lets {cause} go")
        turn.clear(ACCOUNT_SCOPE, cause, ACTOR, event.reason)

"""What an advisor says later (§1.2): for the crowd's virtual trade, for our group, for what still waits."""

from dataclasses import replace

from propdesk.engine import tracking
from propdesk.engine.orders import carry_out, settle_legs
from propdesk.engine.signals import withdraw_pending
from propdesk.engine.turn import Turn
from propdesk.execution.trade_group import apply_followup
from propdesk.model.enums import ExitReason, FollowupKind
from propdesk.model.messages import FollowupReceived
from propdesk.model.signal import Followup
from propdesk.model.trade_event import EventKind

_RECORDED_ONLY = (FollowupKind.ADD, FollowupKind.UNCLEAR)
_ENDS = (FollowupKind.EXIT, FollowupKind.CANCEL)


def on_followup(turn: Turn, event: FollowupReceived) -> None:
    """Apply a follow-up once, to whatever of its signal is still alive."""
    followup = event.followup
    if followup.followup_id in turn.followups_seen:
        return
    turn.followups_seen.put(followup.followup_id, True)
    signal_id = find_signal(turn, followup)
    if signal_id is None:
        turn.notify(EventKind.ORPHAN_FOLLOWUP, f"follow-up {followup.followup_id} fits no open signal")
        return
    if followup.kind in _RECORDED_ONLY:
        turn.notify(
            EventKind.FOLLOWUP_RECORDED, f"{followup.kind.value} for signal {signal_id} is not followed"
        )
        return
    tracking.on_followup(turn, signal_id, followup)
    if signal_id in turn.pending and followup.kind in _ENDS:
        withdraw_pending(turn, signal_id, f"the advisor said {followup.kind.value} before it was armed")
    group_id = turn.signal_groups.get(signal_id)
    if group_id is not None:
        _apply_to_group(turn, group_id, followup)


def find_signal(turn: Turn, followup: Followup) -> str | None:
    """Find the signal a follow-up means: by id, else the advisor's newest open one on that underlying."""
    if followup.signal_id is not None:
        return followup.signal_id if followup.signal_id in turn.seen else None
    if followup.underlying is None:
        return None
    known = turn.ideas_by_advisor.get(f"{followup.advisor_id}|{followup.underlying}") or ()
    for signal_id in reversed(known):
        if signal_id in turn.tracked or signal_id in turn.pending or _is_group_open(turn, signal_id):
            return signal_id
    return None


def _is_group_open(turn: Turn, signal_id: str) -> bool:
    group_id = turn.signal_groups.get(signal_id)
    return group_id is not None and not turn.groups[group_id].is_closed


def _apply_to_group(turn: Turn, group_id: str, followup: Followup) -> None:
    live = turn.groups[group_id]
    if live.is_closed:
        return
    group, actions = apply_followup(live.group, followup, allow_loosening=turn.context.allow_looser_stoploss)
    after = replace(live, group=group)
    if followup.kind is FollowupKind.EXIT:
        after = replace(after, exit_goal=ExitReason.FOLLOWUP_EXIT)
    if followup.kind is FollowupKind.CANCEL:
        after = replace(after, cancel_goal=True)
    after = settle_legs(turn, carry_out(turn, after, actions))
    if after != live:
        turn.put_group(after)

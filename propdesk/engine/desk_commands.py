"""What a person asks of the desk (§6.2, §7.4): judged here, whatever the door promised, and answered once."""

from dataclasses import replace

from propdesk.core.calendar import ist_date
from propdesk.engine.command_scopes import meant_scope
from propdesk.engine.signals import withdraw_pending
from propdesk.engine.state import LiveGroup, PendingEntry
from propdesk.engine.timers import check_switches, groups_under, tend_groups, withdraw_actions
from propdesk.engine.turn import Turn
from propdesk.model.command import CommandKind, CommandState
from propdesk.model.enums import ExitReason, KillLevel
from propdesk.model.messages import CommandAnswer, CommandAsked, OperatorCommand
from propdesk.model.user import UserRole
from propdesk.risk import kill_switch
from propdesk.risk.desk_commands import DeskCommand, Unusable, is_expired, is_of_an_earlier_day, parse
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, RESET_RULES, Cause, OpenCause, ResetRule, with_wider

_LIFTED_BY_PEOPLE = (ResetRule.PERSON, ResetRule.AUTOMATIC)


def on_command(turn: Turn, event: CommandAsked) -> None:
    """Carry a command out, or say why not; one that was answered before changes nothing."""
    name = str(event.command_id)
    if name in turn.commands_answered:
        return
    turn.commands_answered.put(name, True)
    state, words = _judge(turn, event)
    turn.command(CommandAnswer(event.command_id, state, words, turn.now_ns))


def set_level(turn: Turn, event: OperatorCommand) -> None:
    """Raise the level of a scope, or lift what a person may lift of it."""
    if event.level is KillLevel.ACTIVE:
        turn.levels, changes = kill_switch.reset_by_person(
            turn.levels, event.scope, event.actor, event.reason, turn.now_ns
        )
        turn.out.levels.extend(changes)
        return
    turn.trip(event.scope, Cause.MANUAL, event.level, event.actor, event.reason)
    check_switches(turn)


def _judge(turn: Turn, event: CommandAsked) -> tuple[CommandState, str]:
    command = parse(event.kind, event.arguments)
    if isinstance(command, Unusable):
        return CommandState.REFUSED, command.words
    role = UserRole(event.role) if event.role in list(UserRole) else UserRole.VIEWER
    if not role.includes(UserRole.TRADER):
        return CommandState.REFUSED, f"{command.kind} needs the role {UserRole.TRADER}; yours is {role}."
    if is_expired(command.kind, event.asked_ns, event.read_ns, event.valid_ns):
        return CommandState.EXPIRED, "Asked too long ago to be carried out now: nothing was done, ask anew."
    meant = meant_scope(turn, command.scope)
    if isinstance(meant, Unusable):
        return CommandState.REFUSED, meant.words
    state, words = _carry_out(turn, event, replace(command, scope=meant.name), role)
    return state, words + meant.doubt


def _carry_out(
    turn: Turn, event: CommandAsked, command: DeskCommand, role: UserRole
) -> tuple[CommandState, str]:
    match command.kind:
        case CommandKind.RESUME:
            return _resume(turn, event, command, role)
        case CommandKind.EXIT:
            return _exit(turn, command)
        case CommandKind.CANCEL:
            return CommandState.DONE, _cancel(turn, event, command)
        case _ if is_of_an_earlier_day(event.asked_ns, event.read_ns, event.valid_ns):
            return _late_stop(turn, event, command)
        case _:
            return CommandState.DONE, _stop(turn, event, command)


def _late_stop(turn: Turn, event: CommandAsked, command: DeskCommand) -> tuple[CommandState, str]:
    """Block entries until a person has looked: nothing is closed today for an earlier day's word."""
    asked_on = ist_date(event.asked_ns)
    reason = f"{command.kind} asked on {asked_on}, when no daemon answered"
    if command.reason:
        reason += f": {command.reason}"
    blocked = replace(command, level=KillLevel.ENTRIES_BLOCKED, reason=reason)
    words = f"Asked on {asked_on}: {_stop(turn, event, blocked)} It stays so until a person lifts it."
    if command.level is KillLevel.ENTRIES_BLOCKED:
        return CommandState.DONE, words
    return CommandState.EXPIRED, f"{words} What {command.level} closes or withdraws was NOT done: ask anew."


def _stop(turn: Turn, event: CommandAsked, command: DeskCommand) -> str:
    """Raise the scope's level; what it asks of orders leaves now and not with the next minute."""
    before = turn.levels.level(command.scope)
    reason = command.reason or f"{command.kind} by hand"
    set_level(turn, OperatorCommand(command.level, command.scope, event.actor, reason, turn.now_ns))
    groups = groups_under(turn, command.scope)
    dropped = 0 if command.level is KillLevel.ENTRIES_BLOCKED else _drop_waiting(turn, event, command.scope)
    if command.level is KillLevel.REDUCE_ONLY:
        for live in groups:
            if withdraw_actions(live):
                turn.put_group(replace(live, cancel_goal=True))
    if command.level is not KillLevel.ENTRIES_BLOCKED:
        tend_groups(turn, groups)
    now = turn.levels.level(command.scope)
    stands = "stays at" if now is before else "is"
    words = f"{command.scope} {stands} {now}. Open trades under it: {len(groups)}; {_what_becomes(command)}."
    return f"{words} Waiting ideas dropped: {dropped}." if dropped else words


def _what_becomes(command: DeskCommand) -> str:
    if command.level is KillLevel.ENTRIES_BLOCKED:
        return "they stay managed, entries at the broker rest on"
    if command.level is KillLevel.REDUCE_ONLY:
        return "they stay managed, entries at the broker are withdrawn"
    return "they are being closed"


def _resume(
    turn: Turn, event: CommandAsked, command: DeskCommand, role: UserRole
) -> tuple[CommandState, str]:
    """Lift what this person may lift; more than a block of entries by a person needs an admin."""
    causes = [cause for cause in turn.levels.causes.values() if cause.scope == command.scope]
    if not causes:
        return CommandState.DONE, f"Nothing holds {command.scope}{_held_elsewhere(turn, command.scope)}."
    by_people = [cause for cause in causes if _reset_rule(cause) in _LIFTED_BY_PEOPLE]
    stay = [cause for cause in causes if cause not in by_people]
    is_admin = role.includes(UserRole.ADMIN)
    lifted = [cause for cause in by_people if is_admin or not _needs_admin(cause)]
    left = [cause for cause in by_people if cause not in lifted]
    if not lifted:
        words = f"An {UserRole.ADMIN} must lift what holds {command.scope}: {_named(left)}."
        if not left:
            words = f"No person may lift what holds {command.scope}: {_named(stay)}."
        return CommandState.REFUSED, words
    for cause in lifted:
        turn.clear(cause.scope, Cause(cause.cause), event.actor, command.reason)
    leaving = sum(live.exit_goal is not None for live in groups_under(turn, command.scope))
    words = f"Lifted of {command.scope}: {_named(lifted)}"
    if left:
        words += f"; an {UserRole.ADMIN} must lift {_named(left)}"
    if stay:
        words += f"; {_named(stay)} stays"
    if leaving:
        words += f"; trades that go on being closed: {leaving}"
    return CommandState.DONE, f"{words}{_held_elsewhere(turn, command.scope)}."


def _needs_admin(cause: OpenCause) -> bool:
    return cause.cause != Cause.MANUAL or cause.level is not KillLevel.ENTRIES_BLOCKED


def _reset_rule(cause: OpenCause) -> ResetRule:
    return RESET_RULES.get(Cause(cause.cause), ResetRule.PERSON)


def _held_elsewhere(turn: Turn, scope: str) -> str:
    """Say what the account's own causes still do to a narrower scope."""
    level = turn.levels.level()
    is_held = scope != ACCOUNT_SCOPE and level is not KillLevel.ACTIVE
    return f"; the account is {level}" if is_held else ""


def _named(causes: list[OpenCause]) -> str:
    return ", ".join(f"{cause.cause} ({cause.level}, {_reset_rule(cause)})" for cause in causes)


def _exit(turn: Turn, command: DeskCommand) -> tuple[CommandState, str]:
    """Leave one trade for good."""
    # Among what is over, too: the trade meant may have ended a moment ago, and another one begins alike.
    named = [live for live in turn.groups.values() if _is_named(live, command.trade)]
    exact = [live for live in named if command.trade in (live.group.group_id, live.group.signal_id)]
    named = [live for live in exact if not live.is_closed] or exact or named
    if len(named) != 1:
        found = f"{len(named)} trades begin" if named else "No trade begins"
        return CommandState.REFUSED, f"{found} with {command.trade}: name one."
    live = named[0]
    if live.is_closed:
        return CommandState.REFUSED, f"Trade {live.group.group_id} is over already."
    if live.exit_goal is None:
        live = replace(live, exit_goal=ExitReason.SQUARE_OFF)
        turn.put_group(live)
    tend_groups(turn, named)
    return CommandState.DONE, f"{live.group.instrument_key}, trade {live.group.group_id}, is being closed."


def _is_named(live: LiveGroup, beginning: str) -> bool:
    return live.group.group_id.startswith(beginning) or live.group.signal_id.startswith(beginning)


def _cancel(turn: Turn, event: CommandAsked, command: DeskCommand) -> str:
    """Withdraw every entry that waits, at the broker and in the pending-entry book."""
    groups = [live for live in groups_under(turn, command.scope) if withdraw_actions(live)]
    for live in groups:
        turn.put_group(replace(live, cancel_goal=True))
    tend_groups(turn, groups)
    dropped = _drop_waiting(turn, event, command.scope)
    return f"Entries withdrawn at the broker: {len(groups)}; waiting ideas dropped: {dropped}."


def _drop_waiting(turn: Turn, event: CommandAsked, scope: str) -> int:
    waiting = [entry for entry in turn.pending.values() if scope in _scopes_of(entry)]
    for entry in waiting:
        withdraw_pending(turn, entry.signal.signal_id, f"withdrawn by {event.actor} before it was armed")
    return len(waiting)


def _scopes_of(entry: PendingEntry) -> tuple[str, ...]:
    """Scopes of a waiting idea; which rule trades it is decided only when it is armed."""
    signal = entry.signal
    named = kill_switch.idea_scopes(signal.category, signal.advisor_id, entry.price_key)
    return (ACCOUNT_SCOPE, *with_wider(named))

"""Commands of people through the reducer."""

import itertools

import pytest

from propdesk.core.clock import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from propdesk.engine.state import StepResult
from propdesk.model.command import CommandState
from propdesk.model.enums import KillLevel
from propdesk.model.messages import (
    ACCESS,
    CommandAnswer,
    CommandAsked,
    ConnectionChanged,
    DecisionCode,
    IntentKind,
    Notify,
    OrderIntent,
)
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, KillLimits
from tests.support.engine_day import (
    Day,
    at,
    flat_bar,
    make_bar,
    make_context,
    make_instrument,
    make_rule,
    make_ruleset,
    make_signal,
)

NUMBERS = itertools.count(1)
VALID_NS = 5 * NS_PER_MINUTE


def ask(
    day: Day, kind: str, now_ns: int, *, role: str = "TRADER", age_ns: int = 0, **arguments: str
) -> CommandAnswer:
    event = CommandAsked(
        next(NUMBERS), kind, arguments, "asha", role, "CLI", now_ns - age_ns, now_ns, VALID_NS
    )
    (answer,) = answers(day.feed(event, now_ns))
    assert (answer.command_id, answer.ts_ns) == (event.command_id, now_ns)
    return answer


def answers(result: StepResult) -> list[CommandAnswer]:
    return [command for command in result.commands if isinstance(command, CommandAnswer)]


def sent(day: Day, kind: IntentKind) -> list[OrderIntent]:
    return [c for c in day.all("commands") if isinstance(c, OrderIntent) and c.kind is kind]


def begun() -> Day:
    """A day with one group whose entries rest at the broker."""
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal())
    return day


def filled() -> Day:
    """The same once its legs have filled at 100.00."""
    day = begun()
    day.bars([flat_bar(600, 10_050)])
    day.bars([make_bar(601, 10_050, 10_060, 9_990, 10_000)])
    return day


def decided(day: Day, number: int) -> DecisionCode:
    """Decide an idea of its own price, so that it repeats none before."""
    entry = 10_080 - 60 * number
    levels = {"entry_low_paise": entry, "entry_high_paise": entry, "stoploss_paise": entry - 200}
    (decision,) = day.signal(make_signal(number, received_ns=at(603, number), **levels)).decisions
    return decision.code


def test_a_paused_scope_takes_no_entry_and_others_do() -> None:
    for scope in ("ADVISOR:A01", "UNDERLYING:ALPHA", "INSTRUMENT:NSE_EQ:ALPHA", "CATEGORY:NSE_EQ", "ACCOUNT"):
        day = Day(make_context([make_instrument(), make_instrument("BETA")])).open()
        day.bars([flat_bar(602, 10_050)])
        assert ask(day, "PAUSE", at(603), scope="UNDERLYING:BETA").state is CommandState.DONE
        assert ask(day, "PAUSE", at(603), scope=scope).state is CommandState.DONE
        assert decided(day, 1) is DecisionCode.KILL_SWITCH, scope
        assert ask(day, "RESUME", at(603, 5), scope=scope, reason="looked").state is CommandState.DONE
        assert decided(day, 2) is DecisionCode.TRADED, scope


def test_a_pause_leaves_what_rests_and_what_is_held_alone() -> None:
    day = begun()
    answer = ask(day, "PAUSE", at(600, 30))
    assert answer.text == (
        "ACCOUNT is ENTRIES_BLOCKED. Open trades under it: 1; they stay managed, "
        "entries at the broker rest on."
    )
    assert {order.kind for order in day.all("commands") if isinstance(order, OrderIntent)} == {
        IntentKind.PLACE
    }


def test_reduce_only_withdraws_what_has_not_entered_and_closes_nothing() -> None:
    day = begun()
    ask(day, "KILL", at(600, 30), level="REDUCE_ONLY", scope="ADVISOR:A01")
    assert len(sent(day, IntentKind.CANCEL_ENTRY)) == len(sent(day, IntentKind.PLACE)) == 2
    held = filled()
    ask(held, "KILL", at(603), level="REDUCE_ONLY")
    assert sent(held, IntentKind.CANCEL_ENTRY) == sent(held, IntentKind.EXIT) == []


def test_flatten_leaves_at_once_and_locks_when_everything_is_closed() -> None:
    day = filled()
    assert ask(day, "FLATTEN", at(603)).state is CommandState.DONE
    assert {order.created_ns for order in sent(day, IntentKind.EXIT)} == {at(603)}
    assert len(sent(day, IntentKind.EXIT)) == 2
    day.bars([flat_bar(603, 10_000)])
    day.bars([flat_bar(604, 10_000)])
    assert all(live.is_closed for live in day.state.groups.values())
    assert day.state.level() is KillLevel.LOCKED


def test_a_scope_is_liquidated_and_locked_alone() -> None:
    day = filled()
    day.context = make_context(rules=make_ruleset([make_rule(), make_rule(advisor_id="B02")]))
    ask(day, "KILL", at(603), level="LIQUIDATING", scope="ADVISOR:B02")
    assert sent(day, IntentKind.EXIT) == []
    assert day.state.level("ADVISOR:B02") is KillLevel.LOCKED  # it holds nothing
    ask(day, "KILL", at(603), level="LIQUIDATING", scope="UNDERLYING:ALPHA")
    assert len(sent(day, IntentKind.EXIT)) == 2
    assert (day.state.level(), day.state.level("UNDERLYING:ALPHA")) == (
        KillLevel.ACTIVE,
        KillLevel.LIQUIDATING,
    )


def test_a_kill_never_lowers_a_level() -> None:
    day = filled()
    ask(day, "KILL", at(603), level="REDUCE_ONLY")
    assert "stays at REDUCE_ONLY" in ask(day, "PAUSE", at(603, 1)).text
    assert day.state.level() is KillLevel.REDUCE_ONLY


def test_a_trader_lifts_a_pause_and_an_admin_the_rest() -> None:
    day = Day(make_context()).open()
    ask(day, "KILL", at(600), level="REDUCE_ONLY")
    refused = ask(day, "RESUME", at(600, 1), reason="looked")
    assert refused.state is CommandState.REFUSED
    assert "ADMIN must lift" in refused.text
    assert day.state.level() is KillLevel.REDUCE_ONLY
    assert ask(day, "RESUME", at(600, 2), role="ADMIN", reason="looked").state is CommandState.DONE
    assert day.state.level() is KillLevel.ACTIVE
    assert ask(day, "RESUME", at(600, 3), reason="looked").text == "Nothing holds ACCOUNT."


def test_a_trader_lifts_a_pause_beside_what_only_an_admin_lifts() -> None:
    day = Day(make_context()).open()
    ask(day, "PAUSE", at(600))
    day.feed(ConnectionChanged("broker", False, at(600)), at(600))
    day.bars([flat_bar(601, 10_050)])
    assert {cause.cause for cause in day.state.levels.causes.values()} == {"MANUAL", "DISCONNECTED"}
    answer = ask(day, "RESUME", at(602), reason="looked")
    assert (answer.state, "an ADMIN must lift DISCONNECTED" in answer.text) == (CommandState.DONE, True)
    assert [cause.cause for cause in day.state.levels.causes.values()] == ["DISCONNECTED"]
    told = [note.text for note in day.all("commands") if isinstance(note, Notify)]
    assert "ACCOUNT: MANUAL cleared, looked" in told


def test_nobody_lifts_what_only_the_day_or_the_broker_lifts() -> None:
    day = Day(make_context(kill_limits=KillLimits(day_loss_block=0.00005, group_loss_r=100))).open()
    day.feed(ConnectionChanged(ACCESS, False, at(600), "IP: Invalid IP"), at(600))
    refused = ask(day, "RESUME", at(600, 1), role="ADMIN", reason="looked")
    assert refused.state is CommandState.REFUSED
    assert "ACCESS_REFUSED (ENTRIES_BLOCKED, BROKER)" in refused.text
    ask(day, "PAUSE", at(600, 2))
    partly = ask(day, "RESUME", at(600, 3), reason="looked")
    assert (partly.state, "ACCESS_REFUSED" in partly.text) == (CommandState.DONE, True)
    assert [cause.cause for cause in day.state.levels.causes.values()] == ["ACCESS_REFUSED"]


def test_one_trade_is_left_by_its_own_name_or_its_signals() -> None:
    day = filled()
    (live,) = day.state.groups.values()
    assert ask(day, "EXIT", at(603), trade="nonesuch").state is CommandState.REFUSED
    answer = ask(day, "EXIT", at(603, 1), trade=live.group.signal_id[:6])
    assert (answer.state, live.group.group_id in answer.text) == (CommandState.DONE, True)
    assert len(sent(day, IntentKind.EXIT)) == 2
    day.bars([flat_bar(603, 10_000)])
    day.bars([flat_bar(604, 10_000)])
    assert ask(day, "EXIT", at(605, 1), trade=live.group.group_id).state is CommandState.REFUSED  # it is over


def test_a_beginning_that_fits_two_trades_leaves_neither() -> None:
    day = Day(make_context([make_instrument(), make_instrument("BETA")])).open()
    day.bars([flat_bar(599, 10_050), flat_bar(599, 10_050, "NSE_EQ:BETA")])
    day.signal(make_signal())
    day.signal(make_signal(2, underlying="BETA"))
    names = [live.group.signal_id for live in day.state.groups.values()]
    assert len(names) == 2
    shared = names[0][:4]
    assert names[1].startswith(shared)
    answer = ask(day, "EXIT", at(600, 30), trade=shared)
    assert (answer.state, answer.text[:14]) == (CommandState.REFUSED, "2 trades begin")
    assert sent(day, IntentKind.CANCEL_ENTRY) == []
    first = next(iter(day.state.groups.values()))
    ask(day, "EXIT", at(600, 31), trade=first.group.group_id)
    assert day.state.groups[first.group.group_id].is_closed
    again = ask(day, "EXIT", at(600, 32), trade=shared)
    assert again.state is CommandState.REFUSED, "the one meant may be the one that is over"
    over = ask(day, "EXIT", at(600, 33), trade=first.group.group_id)
    assert (over.state, "is over already" in over.text) == (CommandState.REFUSED, True)


def test_cancel_withdraws_resting_entries_and_waiting_ideas_of_its_scope() -> None:
    day = begun()
    early = make_signal(2, advisor_id="A02", received_ns=at(600, 5), underlying="BETA")
    day.context = make_context([make_instrument(), make_instrument("BETA")])
    day.signal(early)  # no price of it yet
    assert list(day.state.pending) == [early.signal_id]
    ask(day, "CANCEL", at(600, 30), scope="ADVISOR:A03")
    assert (sent(day, IntentKind.CANCEL_ENTRY), len(day.state.pending)) == ([], 1)
    ask(day, "CANCEL", at(600, 31), scope="UNDERLYING:BETA")
    assert (sent(day, IntentKind.CANCEL_ENTRY), len(day.state.pending)) == ([], 0)
    assert day.codes()[early.signal_id][-1] == DecisionCode.STALE
    assert ask(day, "CANCEL", at(600, 32)).text == (
        "Entries withdrawn at the broker: 1; waiting ideas dropped: 0."
    )
    assert len(sent(day, IntentKind.CANCEL_ENTRY)) == 2
    assert day.state.level() is KillLevel.ACTIVE


def test_an_answered_command_does_nothing_a_second_time() -> None:
    day = Day(make_context()).open()
    event = CommandAsked(77, "PAUSE", {}, "asha", "TRADER", "API", at(600), at(600), VALID_NS)
    day.feed(event, at(600))
    ask(day, "RESUME", at(600, 1), reason="looked")
    again = day.feed(event, at(600, 2))
    assert (again.commands, again.level_changes) == ((), ())
    assert day.state.level() is KillLevel.ACTIVE


def test_what_is_too_old_expires_and_what_is_no_command_is_refused() -> None:
    day = filled()
    stale = ask(day, "CANCEL", at(603), age_ns=VALID_NS + NS_PER_SECOND)
    assert stale.state is CommandState.EXPIRED
    assert ask(day, "FLY", at(603)).state is CommandState.REFUSED
    assert ask(day, "PAUSE", at(603), role="VIEWER").text == "PAUSE needs the role TRADER; yours is VIEWER."
    assert ask(day, "PAUSE", at(603), role="owner").state is CommandState.REFUSED
    assert (day.state.level(), sent(day, IntentKind.EXIT)) == (KillLevel.ACTIVE, [])
    assert ask(day, "PAUSE", at(603), age_ns=20 * NS_PER_MINUTE).state is CommandState.DONE
    assert day.state.levels.is_open(ACCOUNT_SCOPE, "MANUAL")


@pytest.mark.parametrize(
    ("kind", "arguments", "state"),
    [
        ("PAUSE", {}, CommandState.DONE),
        ("PAUSE", {"scope": "advisor:a01"}, CommandState.DONE),
        ("KILL", {"level": "ENTRIES_BLOCKED"}, CommandState.DONE),
        ("KILL", {"level": "REDUCE_ONLY"}, CommandState.EXPIRED),
        ("KILL", {"level": "LOCKED"}, CommandState.EXPIRED),
        ("FLATTEN", {"reason": "out"}, CommandState.EXPIRED),
    ],
)
def test_a_stop_of_an_earlier_day_blocks_until_a_person_lifts_it_and_closes_nothing(
    kind: str, arguments: dict[str, str], state: CommandState
) -> None:
    day = filled()
    answer = ask(day, kind, at(603), age_ns=12 * NS_PER_HOUR, **arguments)  # 22:03 the evening before
    assert (answer.state, answer.text[:20]) == (state, "Asked on 2025-06-30:")
    assert ("NOT done: ask anew" in answer.text) == (state is CommandState.EXPIRED)
    told = [c for c in day.results[-1].commands if isinstance(c, Notify)]
    assert [(event.event, event.severity) for event in told] == [("KILL_SWITCH", "critical")]
    assert "asked on 2025-06-30, when no daemon answered" in told[0].text
    assert decided(day, 5) is DecisionCode.KILL_SWITCH
    (cause,) = day.state.levels.causes.values()
    assert (cause.cause, cause.level) == ("MANUAL", KillLevel.ENTRIES_BLOCKED)
    day.bars([flat_bar(604, 10_000)])
    assert sent(day, IntentKind.EXIT) == []
    lifted = ask(day, "RESUME", at(605), scope=cause.scope, reason="looked")
    assert (lifted.state, day.state.levels.causes) == (CommandState.DONE, {})


@pytest.mark.parametrize(
    ("kind", "arguments", "left"),
    [
        ("FLATTEN", {}, 0),
        ("KILL", {"level": "REDUCE_ONLY"}, 0),
        ("KILL", {"level": "LIQUIDATING", "scope": "ADVISOR:A01"}, 0),
        ("KILL", {"level": "REDUCE_ONLY", "scope": "CATEGORY:INDEX_FUT"}, 1),
        ("PAUSE", {}, 1),
    ],
)
def test_a_stop_above_a_pause_drops_waiting_ideas_for_good(
    kind: str, arguments: dict[str, str], left: int
) -> None:
    day = Day(make_context()).open()
    day.signal(make_signal(received_ns=at(540)))  # 09:00, waits for its session
    answer = ask(day, kind, at(541), **arguments)
    assert len(day.state.pending) == left
    assert ("Waiting ideas dropped: 1." in answer.text) == (left == 0)
    for scope in ("ACCOUNT", "ADVISOR:A01"):
        ask(day, "RESUME", at(550), role="ADMIN", reason="looked", scope=scope)
    day.bars([flat_bar(555, 10_050)])
    assert bool(sent(day, IntentKind.PLACE)) == bool(left)

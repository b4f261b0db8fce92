"""What a scope as typed means, and that a stop on nobody is never done."""

import pytest

from propdesk.model.command import CommandState
from propdesk.model.enums import KillLevel
from propdesk.model.messages import DecisionCode, IntentKind
from tests.support.engine_day import Day, at, flat_bar, make_context, make_rule, make_ruleset
from tests.unit.propdesk.engine.test_desk_commands import ask, decided, filled, sent


def day_at_ten() -> Day:
    day = Day(make_context()).open()
    day.bars([flat_bar(602, 10_050)])
    return day


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("underlying:alpha", "UNDERLYING:ALPHA"),
        ("ADVISOR:a01", "ADVISOR:A01"),
        ("INSTRUMENT:nse_eq:alpha", "INSTRUMENT:NSE_EQ:ALPHA"),
        (f"rule:{make_rule().key.text.lower()}", f"RULE:{make_rule().key.text}"),
    ],
)
def test_a_stop_in_other_case_stops_and_names_what_it_stopped(typed: str, name: str) -> None:
    day = day_at_ten()
    answer = ask(day, "PAUSE", at(603), scope=typed)
    assert (answer.state, answer.text.startswith(f"{name} is ENTRIES_BLOCKED")) == (CommandState.DONE, True)
    assert decided(day, 1) in (DecisionCode.KILL_SWITCH, DecisionCode.RULE_FAILED)
    assert ask(day, "RESUME", at(604), scope=typed, reason="looked").state is CommandState.DONE
    assert day.state.levels.causes == {}


@pytest.mark.parametrize(
    "typed",
    [
        "UNDERLYING:ALPPHA",
        "ADVISOR:A99",
        "RULE:r",
        "INSTRUMENT:NSE_EQ:GAMMA",
        "INSTRUMENT:BONDS:ALPHA",
        "INSTRUMENT:INDEX_OPT:ALPHA:2025-99-99:1:CE",
        "INSTRUMENT:INDEX_OPT:ALPHA:2025-07-31:much:CE",
        "INSTRUMENT:ALPHA",
    ],
)
def test_what_nobody_knows_is_refused_and_leaves_no_level(typed: str) -> None:
    day = filled()
    answer = ask(day, "KILL", at(603), level="LIQUIDATING", scope=typed)
    assert answer.state is CommandState.REFUSED
    assert "NOTHING was done" in answer.text
    assert (day.state.levels.causes, sent(day, IntentKind.EXIT)) == ({}, [])


def test_a_kill_in_other_case_closes_what_it_names() -> None:
    day = filled()
    assert ask(day, "KILL", at(603), level="LIQUIDATING", scope="underlying:alpha").state is CommandState.DONE
    assert len(sent(day, IntentKind.EXIT)) == 2


def test_before_there_are_rules_a_name_is_taken_as_typed_and_the_answer_says_so() -> None:
    day = Day(make_context(rules=make_ruleset([]))).open()
    answer = ask(day, "PAUSE", at(530), scope="ADVISOR:A07")
    assert (answer.state, "nobody could check the name 'A07'" in answer.text) == (CommandState.DONE, True)
    assert day.state.level("ADVISOR:A07") is KillLevel.ENTRIES_BLOCKED


def test_a_name_that_fits_two_in_other_case_is_refused() -> None:
    rules = make_ruleset([make_rule(advisor_id="Ab"), make_rule(advisor_id="aB")])
    day = Day(make_context(rules=rules)).open()
    answer = ask(day, "PAUSE", at(600), scope="ADVISOR:AB")
    assert (answer.state, answer.text) == (
        CommandState.REFUSED,
        "ADVISOR:AB may be ADVISOR:Ab or ADVISOR:aB: write one of them.",
    )
    assert ask(day, "PAUSE", at(600, 1), scope="ADVISOR:aB").state is CommandState.DONE

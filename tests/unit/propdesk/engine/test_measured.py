"""Measures of the process as inputs of the reducer."""

import pytest

from propdesk.core.errors import InvariantViolated
from propdesk.engine.measured import ACTOR
from propdesk.model.enums import KillLevel
from propdesk.model.messages import Measured, Notify, SwitchMeasured
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, RESET_RULES, Cause, ResetRule
from tests.support.engine_day import Day, at, make_context


def measured(cause: Cause, verdict: Measured) -> SwitchMeasured:
    return SwitchMeasured(cause.value, verdict, "why", at(600))


def test_an_alarm_tells_people_and_blocks_nothing() -> None:
    day = Day(make_context()).open()
    result = day.feed(measured(Cause.LATENCY, Measured.ALARM), at(600))
    assert result.commands == (Notify("MEASURE_ALARM", "warning", "why", at(600)),)
    assert day.state.level() is KillLevel.ACTIVE


def test_a_thrown_switch_blocks_entries_until_it_is_let_go() -> None:
    day = Day(make_context()).open()
    day.feed(measured(Cause.LATENCY, Measured.TRIPPED), at(600))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    (change,) = day.feed(measured(Cause.LATENCY, Measured.GOOD), at(606)).level_changes
    assert (change.scope, change.is_open, change.actor) == (ACCOUNT_SCOPE, False, ACTOR)
    assert day.state.level() is KillLevel.ACTIVE
    assert day.feed(measured(Cause.LATENCY, Measured.GOOD), at(607)).level_changes == ()


@pytest.mark.parametrize("cause", [c for c in Cause if RESET_RULES[c] is not ResetRule.AUTOMATIC])
def test_no_measure_lets_go_what_a_person_or_a_day_resets(cause: Cause) -> None:
    day = Day(make_context()).open()
    with pytest.raises(InvariantViolated, match="only a person"):
        day.feed(measured(cause, Measured.GOOD), at(600))

"""An entry that waited passes price check and gates again before it leaves (§5.3)."""

from dataclasses import replace
from typing import Any

import pytest

from propdesk.engine.state import OrderState
from propdesk.engine.step import step
from propdesk.model.enums import FollowupKind, KillLevel, TradingMode
from propdesk.model.messages import (
    BrokerUpdate,
    BrokerUpdateKind,
    EntryVerdict,
    EntryWaited,
    FollowupReceived,
    IntentKind,
    Notify,
    OperatorCommand,
    OrderIntent,
)
from propdesk.risk.kill_switch import ACCOUNT_SCOPE
from tests.support.engine_day import (
    Day,
    at,
    failing,
    flat_bar,
    make_context,
    make_followup,
    make_rule,
    make_ruleset,
    make_signal,
)


class Held(Day):
    """A day on which no intent reaches the broker."""

    def _answer(self, intent: OrderIntent) -> tuple[()]:
        del intent
        return ()


def held(**changes: Any) -> tuple[Held, list[OrderIntent]]:
    """A day with one group decided at 10:00:30 whose two entries wait to be sent."""
    day = Held(make_context())
    day.open()
    day.feed(flat_bar(599, 10_000), at(600))
    day.signal(make_signal(**changes))
    places = [c for c in day.results[-1].commands if isinstance(c, OrderIntent)]
    assert len(places) == 2
    return day, places


def ask(day: Held, place: OrderIntent, now_ns: int) -> EntryVerdict:
    result = day.feed(EntryWaited(place.intent_id, place.correlation_id, now_ns), now_ns)
    (verdict,) = [c for c in result.commands if isinstance(c, EntryVerdict)]
    assert (verdict.intent_id, verdict.ts_ns) == (place.intent_id, now_ns)
    return verdict


def state_of(day: Held, place: OrderIntent) -> str:
    live = day.state.groups[place.group_id]
    return next(o.state for o in live.orders if o.correlation_id == place.correlation_id)


def deployed(day: Held) -> int:
    return day.state.corpus.deployed_paise


def test_what_still_passes_may_leave_and_nothing_else_changes() -> None:
    day, places = held()
    before = day.state
    assert ask(day, places[0], at(600, 50)).refusal == ""
    assert replace(day.state, sequence=before.sequence) == before


def drift(day: Held) -> None:
    day.feed(flat_bar(600, 10_150), at(601))


def target_passed(day: Held) -> None:
    day.feed(flat_bar(600, 10_205), at(601))


def kill(day: Held) -> None:
    day.feed(OperatorCommand(KillLevel.ENTRIES_BLOCKED, ACCOUNT_SCOPE, "me", "test", at(601)), at(601))


def kill_advisor(day: Held) -> None:
    day.feed(OperatorCommand(KillLevel.ENTRIES_BLOCKED, "ADVISOR:A01", "me", "test", at(601)), at(601))


def demote(day: Held) -> None:
    rule = make_rule().key.text
    day.feed(OperatorCommand(KillLevel.ENTRIES_BLOCKED, f"RULE:{rule}", "me", "test", at(601)), at(601))


def other_rules(day: Held) -> None:
    day.context = make_context(rules=make_ruleset([failing(make_rule())]))


def shadow(day: Held) -> None:
    day.context = make_context(trading_mode=TradingMode.SHADOW)


def other_side(day: Held) -> None:
    """The group in the book is a reverse one; the same rule now asks for the advisor's own side."""
    groups = {
        name: replace(live, group=replace(live.group, is_reverse=True))
        for name, live in day.state.groups.items()
    }
    day.state = replace(day.state, groups=groups)


def nothing(day: Held) -> None:
    del day


@pytest.mark.parametrize(
    ("change", "at_ns", "code"),
    [
        (drift, at(601, 1), "PRICE_DRIFT"),
        (target_passed, at(601, 1), "THROUGH_LEVEL"),
        (nothing, at(603), "PRICE_STALE"),
        (kill, at(601, 1), "KILL_SWITCH"),
        (kill_advisor, at(601, 1), "KILL_SWITCH"),
        (demote, at(601, 1), "RULE_FAILED"),
        (other_rules, at(601, 1), "RULE_FAILED"),
        (shadow, at(600, 50), "RULE_FAILED"),
        (other_side, at(600, 50), "RULE_FAILED"),
        (nothing, at(925), "ENTRY_CUTOFF"),
    ],
)
def test_what_no_longer_passes_is_over_and_its_margin_is_free(change: Any, at_ns: int, code: str) -> None:
    day, places = held()
    assert deployed(day) > 0
    change(day)
    for place in places:
        assert ask(day, place, at_ns).refusal.startswith(f"{code}: ")
        assert state_of(day, place) == OrderState.DEAD
    assert deployed(day) == 0
    assert day.state.groups[places[0].group_id].is_closed


def decisions(day: Held) -> list[tuple[str, str]]:
    return [(one.code.value, one.detail) for one in day.all("decisions")][1:]


def test_what_never_left_has_one_last_word_among_the_decisions() -> None:
    day, places = held()
    drift(day)
    refusal = ask(day, places[0], at(601, 1)).refusal
    assert decisions(day) == [], "the other entry may still leave"
    ask(day, places[1], at(601, 2))
    ((code, detail),) = decisions(day)
    assert code == "PRICE_DRIFT"
    assert detail == "before its entry was sent: " + refusal.removeprefix("PRICE_DRIFT: ")
    rows = day.all("decisions")
    assert len({row.decision_id for row in rows}) == len(rows)
    assert rows[-1].group_id == places[0].group_id
    assert rows[-1].regime == "SIDEWAYS"


@pytest.mark.parametrize(
    ("reason", "broker_order_id", "expected"),
    [
        ("STALE", "", ["STALE"]),
        ("KILL_SWITCH", "", ["KILL_SWITCH"]),
        ("no margin", "", []),
        ("STALE", "b1", []),
    ],
)
def test_only_our_own_gates_give_a_last_word(reason: str, broker_order_id: str, expected: list[str]) -> None:
    day, places = held()
    for place in places:
        update = BrokerUpdate(
            f"{place.intent_id}|REJECTED",
            BrokerUpdateKind.REJECTED,
            place.correlation_id,
            broker_order_id,
            0,
            0,
            at(601),
            reason,
            answers=IntentKind.PLACE,
        )
        day.feed(update, at(601))
        day.feed(update, at(601, 1))
    assert [code for code, _ in decisions(day)] == expected


def test_a_group_of_which_one_entry_had_left_is_not_said_never_to_have_left() -> None:
    day, places = held()
    facts = (
        (0, BrokerUpdateKind.ACKNOWLEDGED, "b1", ""),
        (0, BrokerUpdateKind.CANCELLED, "b1", ""),
        (1, BrokerUpdateKind.REJECTED, "", "STALE"),
    )
    for number, (place, kind, broker_order_id, reason) in enumerate(facts):
        correlation_id, answers = places[place].correlation_id, IntentKind.PLACE
        day.feed(
            BrokerUpdate(
                f"u{number}", kind, correlation_id, broker_order_id, 0, 0, at(601), reason, answers=answers
            ),
            at(601),
        )
    assert day.state.groups[places[0].group_id].is_closed
    assert decisions(day) == []


def test_a_refusal_is_said_to_a_person_and_repeated_when_asked_again() -> None:
    day, places = held()
    drift(day)
    first = ask(day, places[0], at(601, 1))
    assert any(isinstance(c, Notify) and c.event == "ENTRY_REJECTED" for c in day.results[-1].commands)
    assert first.refusal
    assert ask(day, places[0], at(601, 2)).refusal == "the entry was called off meanwhile"
    assert state_of(day, places[1]) == OrderState.PREPARED, "each entry is judged by itself"


def test_an_entry_that_is_called_off_does_not_leave() -> None:
    day, places = held()
    now = at(600, 40)
    day.feed(FollowupReceived(make_followup(1, FollowupKind.CANCEL), 2), now)
    assert ask(day, places[0], at(600, 41)).refusal == "the entry was called off meanwhile"


def test_an_order_nobody_knows_is_refused() -> None:
    day, _ = held()
    result = step(day.state, EntryWaited("i", "unknown", 1), at(601), day.context)
    assert result.commands == (EntryVerdict("i", "no group knows this order", at(601)),)

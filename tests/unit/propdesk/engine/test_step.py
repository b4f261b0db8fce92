"""The reducer: one day, one decision per signal, books that add up."""

from dataclasses import replace

import pytest

from propdesk.core.errors import InvariantViolated
from propdesk.engine.entry_reserve import book_of
from propdesk.engine.state import PendingEntry
from propdesk.engine.step import initial_state, step
from propdesk.engine.turn import Turn
from propdesk.model.enums import Category, Direction, ExitReason, FollowupKind, Period, RuleLevel
from propdesk.model.messages import DayOpened, IntentKind, OrderIntent, SignalReceived, TimerFired, Track
from propdesk.model.order import LegState
from propdesk.model.rule import RuleKey
from tests.support.engine_day import (
    CORPUS_PAISE,
    DAY,
    Day,
    at,
    flat_bar,
    make_bar,
    make_context,
    make_followup,
    make_instrument,
    make_rule,
    make_ruleset,
    make_signal,
)


def opened() -> Day:
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    return day


def intents(day: Day, kind: IntentKind) -> list[OrderIntent]:
    return [c for c in day.all("commands") if isinstance(c, OrderIntent) and c.kind is kind]


def test_a_good_idea_is_traded_and_runs_through_the_trailing_chain() -> None:
    day = opened()
    day.signal(make_signal())
    assert day.codes() == {"signal-0001": ["TRADED"]}
    day.bars([flat_bar(600, 10_050)])
    day.bars([make_bar(601, 10_050, 10_060, 9_990, 10_020)])  # entry at 100.00
    day.bars([make_bar(602, 10_020, 10_210, 10_010, 10_205)])  # first target
    stops = intents(day, IntentKind.MODIFY_STOP)
    assert [(i.leg_number, i.stop_paise) for i in stops] == [(2, 10_000)]
    day.bars([make_bar(603, 10_205, 10_205, 9_980, 9_990)])  # back to cost
    trades = day.all("trades")
    assert [(t.leg_number, t.exit_reason, t.exit_paise) for t in trades] == [
        (1, ExitReason.TARGET, 10_200),
        (2, ExitReason.TRAILED_STOP, 10_000),
    ]
    assert day.state.corpus.total_paise == CORPUS_PAISE + sum(t.net_pnl_paise for t in trades)
    assert day.state.corpus.deployed_paise == 0


def test_a_bar_that_started_before_the_order_acts_does_not_fill_it() -> None:
    day = opened()
    day.signal(make_signal())
    day.bars([make_bar(600, 10_050, 10_060, 9_900, 10_020)])  # 10:00 began before 10:00:30.25
    assert day.all("trades") == []
    group = next(iter(day.state.groups.values())).group
    assert {leg.state for leg in group.legs} == {LegState.WORKING}


def test_square_off_closes_at_the_open_of_the_next_bar() -> None:
    day = opened()
    day.signal(make_signal())
    for minute in range(600, 15 * 60 + 11):
        price = 9_990 if minute == 601 else 10_050
        day.bars([flat_bar(minute, price)])
    trades = day.all("trades")
    assert {t.exit_reason for t in trades} == {ExitReason.SQUARE_OFF}
    assert {t.exit_ns for t in trades} == {at(15 * 60 + 10)}
    assert len(intents(day, IntentKind.EXIT)) == len(day.all("trades"))


def test_an_entry_that_is_not_reached_gives_its_money_back() -> None:
    day = opened()
    day.signal(make_signal())
    reserved = day.state.corpus.deployed_paise
    assert reserved > 0
    for minute in range(600, 15 * 60 + 15):
        day.bars([flat_bar(minute, 10_050)])
    assert day.state.corpus.deployed_paise == 0
    assert day.state.corpus.free_paise == CORPUS_PAISE
    assert all(live.is_closed for live in day.state.groups.values())


def test_the_same_signal_twice_gives_one_decision() -> None:
    day = opened()
    day.signal(make_signal())
    before = day.state
    day.signal(make_signal())
    assert day.codes() == {"signal-0001": ["TRADED"]}
    assert day.state.groups == before.groups


def waiting_for_a_price() -> Day:
    """An idea on ALPHA waits for the first price of its series."""
    day = Day(make_context([make_instrument("ALPHA"), make_instrument("BETA")])).open()
    day.signal(make_signal())
    assert day.codes() == {"signal-0001": ["PENDING_ENTRY"]}
    return day


def test_a_revision_of_what_waits_moves_it_to_its_new_instrument() -> None:
    day = waiting_for_a_price()
    revised = make_signal(revision=2, underlying="BETA", stoploss_paise=9_700, received_ns=at(600, 40))
    result = day.signal(revised)
    assert [c.price_key for c in result.commands if isinstance(c, Track)] == ["NSE_EQ:BETA"]
    assert day.state.pending["signal-0001"].price_key == "NSE_EQ:BETA"
    idea = day.state.tracked["signal-0001"]
    assert (idea.price_key, idea.group.stop_paise, idea.underlying) == ("NSE_EQ:BETA", 9_700, "BETA")
    assert day.state.tracked_by_key["NSE_EQ:ALPHA"] == ()
    day.feed(flat_bar(600, 10_050, "NSE_EQ:ALPHA"), at(601))
    assert day.codes() == {"signal-0001": ["PENDING_ENTRY"]}, "the old series means nothing any more"
    day.feed(flat_bar(600, 10_050, "NSE_EQ:BETA"), at(601))
    assert day.codes() == {"signal-0001": ["PENDING_ENTRY", "TRADED"]}
    (live,) = day.state.groups.values()
    assert (live.group.instrument_key, live.group.stop_paise) == ("NSE_EQ:BETA", 9_700)


def test_a_revision_that_names_no_instrument_is_followed_by_nobody() -> None:
    day = waiting_for_a_price()
    day.signal(make_signal(revision=2, underlying="NOBODY", received_ns=at(600, 40)))
    assert day.state.tracked == {}
    day.feed(TimerFired("MINUTE", at(601)), at(601))
    assert day.codes() == {"signal-0001": ["PENDING_ENTRY", "UNKNOWN_SYMBOL"]}


def test_a_revision_that_names_an_instrument_again_is_followed_again() -> None:
    day = waiting_for_a_price()
    day.signal(make_signal(revision=2, underlying="NOBODY", received_ns=at(600, 40)))
    day.signal(make_signal(revision=3, underlying="BETA", received_ns=at(600, 45)))
    assert day.state.tracked["signal-0001"].price_key == "NSE_EQ:BETA"


def test_an_entry_that_moves_to_another_instrument_is_labelled_by_it() -> None:
    day = Day(make_context([make_instrument("ALPHA"), make_instrument("BETA")])).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal())
    live = next(iter(day.state.groups.values()))
    labels = replace(live.labels, regime=None)
    entry = PendingEntry(live.signal, "UNFILLED", at(930), at(940), DAY, live.group.instrument_key, labels)
    day.state = replace(day.state, pending={"signal-0001": entry})
    day.signal(make_signal(revision=2, stoploss_paise=9_700, received_ns=at(602)))
    assert day.state.pending["signal-0001"].labels == labels, "the same instrument keeps its labels"
    day.signal(make_signal(revision=3, underlying="BETA", received_ns=at(603)))
    assert day.state.pending["signal-0001"].labels == live.labels


def test_a_revision_leaves_what_the_crowd_is_in_alone() -> None:
    """It was entered in the last session, which our own order did not reach."""
    day = opened()
    day.signal(make_signal())
    live = next(iter(day.state.groups.values()))
    entry = PendingEntry(
        live.signal, "UNFILLED", at(930), at(940), DAY, live.group.instrument_key, live.labels
    )
    day.bars([flat_bar(601, 9_990)])
    assert day.state.tracked["signal-0001"].is_open
    day.state = replace(day.state, pending={"signal-0001": entry})
    day.signal(make_signal(revision=2, stoploss_paise=9_700, received_ns=at(602)))
    assert day.state.pending["signal-0001"].signal.stoploss_paise == 9_700
    idea = day.state.tracked["signal-0001"]
    assert (idea.is_open, idea.group.stop_paise) == (True, 9_800)


def test_a_revision_after_the_decision_is_told_to_a_person() -> None:
    day = opened()
    day.signal(make_signal())
    result = day.signal(make_signal(revision=2, stoploss_paise=9_700))
    assert result.decisions == ()
    assert [c.event for c in result.commands] == ["REVISED_AFTER_DECISION"]


def test_a_followup_exit_closes_the_group_and_the_crowd_position() -> None:
    day = opened()
    day.signal(make_signal())
    day.bars([flat_bar(600, 10_050)])
    day.bars([flat_bar(601, 9_990)])
    assert [c.kind.value for c in day.all("crowd_changes")] == ["OPENED"]
    day.followup(make_followup(1, FollowupKind.EXIT, received_ns=at(602, 10)))
    day.bars([flat_bar(602, 10_040)])
    assert day.all("trades") == []  # the 10:02 bar began before the word came
    day.bars([flat_bar(603, 10_040)])
    assert {t.exit_reason for t in day.all("trades")} == {ExitReason.FOLLOWUP_EXIT}
    assert [c.kind.value for c in day.all("crowd_changes")] == ["OPENED", "CLOSED"]
    day.followup(make_followup(1, FollowupKind.EXIT, received_ns=at(604)))
    assert len(intents(day, IntentKind.EXIT)) == 2


def test_a_looser_stop_is_refused_and_a_tighter_one_followed() -> None:
    day = opened()
    day.signal(make_signal())
    day.followup(make_followup(1, FollowupKind.UPDATE_STOPLOSS, stoploss_paise=9_700, received_ns=at(601)))
    assert intents(day, IntentKind.MODIFY_STOP) == []
    day.followup(make_followup(2, FollowupKind.UPDATE_STOPLOSS, stoploss_paise=9_900, received_ns=at(602)))
    assert {i.stop_paise for i in intents(day, IntentKind.MODIFY_STOP)} == {9_900}


def test_an_orphan_followup_is_reported() -> None:
    day = opened()
    result = day.followup(make_followup(1, FollowupKind.EXIT, signal_id="nobody"))
    assert [c.event for c in result.commands] == ["ORPHAN_FOLLOWUP"]


def test_a_followup_without_id_finds_the_newest_open_idea() -> None:
    day = opened()
    day.signal(make_signal())
    day.followup(make_followup(1, FollowupKind.CANCEL, signal_id=None, received_ns=at(601)))
    assert {i.correlation_id for i in intents(day, IntentKind.CANCEL_ENTRY)} == {
        o.correlation_id for g in day.state.groups.values() for o in g.orders
    }
    assert day.state.corpus.deployed_paise == 0


def test_step_leaves_the_old_state_alone() -> None:
    day = opened()
    before = day.state
    frozen = (dict(before.seen), dict(before.prices), dict(before.groups), before.corpus, before.sequence)
    step(before, SignalReceived(make_signal(), 1), at(600, 30), day.context)
    assert frozen == (
        dict(before.seen),
        dict(before.prices),
        dict(before.groups),
        before.corpus,
        before.sequence,
    )


def test_a_state_of_another_day_is_refused() -> None:
    context = make_context()
    state = initial_state(context)
    with pytest.raises(InvariantViolated):
        step(state, DayOpened("2025-07-02", "v1", 1, True, 0), 0, context)


def test_opening_twice_does_not_double_the_corpus() -> None:
    day = opened().open()
    assert day.state.corpus.total_paise == CORPUS_PAISE


def test_withdrawing_an_unfilled_idea_adds_no_second_decision_of_the_day() -> None:
    swing = make_rule(key=RuleKey(RuleLevel.MINI, "A01", Category.NSE_EQ, Period.SWING))
    day = Day(make_context(rules=make_ruleset([swing]))).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal(declared_period=Period.SWING))
    assert day.codes() == {"signal-0001": ["TRADED"]}
    day.close()
    assert list(day.state.pending) == ["signal-0001"]
    day.followup(make_followup(1, FollowupKind.CANCEL, received_ns=at(950)))
    assert not day.state.pending
    assert day.codes() == {"signal-0001": ["TRADED"]}


def test_a_reversed_call_weighs_on_the_side_that_is_traded() -> None:
    adverse = make_rule(is_adverse=True)
    day = Day(make_context(rules=make_ruleset(adverse=[adverse]))).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal())
    assert day.codes() == {"signal-0001": ["TRADED_REVERSE"]}
    book = book_of(Turn(day.state, at(601), day.context))
    assert set(book.by_direction) == {Direction.BEARISH}

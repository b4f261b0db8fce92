"""Kill switches, unknown orders, refusals and late fills through the reducer (§5.7, §6.2)."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from propdesk.core.errors import Rejected
from propdesk.core.ids import correlation_id
from propdesk.engine import codec
from propdesk.engine.orders import CHANGES_MAX, is_news
from propdesk.engine.state import LegOrder, OrderState
from propdesk.engine.step import carry_over, initial_state
from propdesk.model.enums import ExitReason, FollowupKind, KillLevel, Period
from propdesk.model.messages import (
    ACCESS,
    CLOSED_ELSEWHERE,
    BrokerSnapshotTaken,
    BrokerUpdate,
    BrokerUpdateKind,
    ConnectionChanged,
    DayOpened,
    DecisionCode,
    IntentKind,
    Notify,
    OperatorCommand,
    OrderIntent,
    TickObserved,
    TimerFired,
    TripSwitch,
)
from propdesk.risk.kill_switch import KillLimits
from propdesk.sim.broker import SimBroker
from tests.support.engine_day import (
    CORPUS_PAISE,
    Day,
    at,
    flat_bar,
    make_bar,
    make_context,
    make_followup,
    make_rule,
    make_ruleset,
    make_signal,
)


def filled(**changes: Any) -> Day:
    """A day with one group whose legs are filled at 100.00."""
    day = Day(make_context(**changes)).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal())
    day.bars([flat_bar(600, 10_050)])
    day.bars([make_bar(601, 10_050, 10_060, 9_990, 10_000)])
    return day


def sent(day: Day, kind: IntentKind) -> list[OrderIntent]:
    return [c for c in day.all("commands") if isinstance(c, OrderIntent) and c.kind is kind]


def fact(
    kind: BrokerUpdateKind,
    order: str,
    quantity: int = 0,
    price: int = 0,
    reason: str = "",
    answers: IntentKind | None = None,
) -> BrokerUpdate:
    return BrokerUpdate(
        f"{kind}-{order}-{quantity}", kind, order, "b", price, quantity, at(602), reason, answers=answers
    )


def placed(state: str) -> tuple[Day, str]:
    """A day whose one order of one leg is in ``state``, and the order's name."""
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    result = day.signal(make_signal(targets_paise=(10_200,)))
    (place,) = [c for c in result.commands if isinstance(c, OrderIntent)]
    day.state = replace(
        day.state,
        groups={k: replace(g, orders=tuple(replace(o, state=state, broker_order_id="") for o in g.orders))
                for k, g in day.state.groups.items()},
    )  # fmt: skip
    return day, place.correlation_id


def test_a_day_loss_blocks_entries_then_closes_everything_and_locks() -> None:
    limits = KillLimits(day_loss_block=0.00005, day_loss_halt=0.001, group_loss_r=100)
    day = filled(kill_limits=limits)
    day.bars([flat_bar(602, 9_990)])
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    assert [c.level for c in day.all("commands") if isinstance(c, TripSwitch)] == [KillLevel.ENTRIES_BLOCKED]
    assert sent(day, IntentKind.EXIT) == []
    day.bars([flat_bar(603, 9_890)])
    assert day.state.level() is KillLevel.LIQUIDATING
    assert len(sent(day, IntentKind.EXIT)) == 2
    day.bars([flat_bar(604, 9_890)])
    assert {t.exit_reason for t in day.all("trades")} == {ExitReason.SQUARE_OFF}
    assert day.state.level() is KillLevel.LOCKED
    signal = make_signal(2, received_ns=at(605, 1), entry_low_paise=9_900, entry_high_paise=9_900)
    (decision,) = day.signal(signal).decisions
    assert decision.code is DecisionCode.KILL_SWITCH


def test_a_group_that_loses_more_than_planned_is_closed() -> None:
    day = filled(kill_limits=KillLimits(group_loss_r=0.5))
    day.bars([flat_bar(602, 9_895)])  # half of the planned 2.00 is 1.00
    assert len(sent(day, IntentKind.EXIT)) == 2
    day.bars([flat_bar(603, 9_900)])
    assert all(live.is_closed for live in day.state.groups.values())


def test_too_many_groups_pause_entries_but_not_exits() -> None:
    day = Day(make_context(kill_limits=KillLimits(groups_max=1))).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal(1))
    assert day.state.level() is KillLevel.ACTIVE
    day.signal(make_signal(2, received_ns=at(600, 31), entry_low_paise=10_060, entry_high_paise=10_060))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    day.bars([flat_bar(600, 10_050)])
    day.bars([flat_bar(601, 9_790)])
    assert day.broker.positions() == {}


def test_a_lost_connection_blocks_after_thirty_seconds_until_reconciled() -> None:
    day = filled()
    day.feed(ConnectionChanged("orders", False, at(602)), at(602))
    day.feed(TimerFired("SECOND", at(602, 30)), at(602, 30))
    assert day.state.level() is KillLevel.ACTIVE
    day.feed(TimerFired("SECOND", at(602, 31)), at(602, 31))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    day.feed(BrokerSnapshotTaken((), at(602, 40)), at(602, 40))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    day.feed(ConnectionChanged("orders", True, at(602, 50)), at(602, 50))
    day.feed(BrokerSnapshotTaken(day.broker.snapshot(), at(602, 51)), at(602, 51))
    assert day.state.level() is KillLevel.ACTIVE


def test_a_silent_feed_blocks_entries_and_the_next_price_lifts_it() -> None:
    day = filled(kill_limits=KillLimits(market_series_min=1))
    day.feed(TimerFired("SECOND", at(603, 14)), at(603, 14))
    assert day.state.level() is KillLevel.ACTIVE
    day.feed(TimerFired("SECOND", at(603, 16)), at(603, 16))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    day.bars([flat_bar(603, 10_000)])
    assert day.state.level() is KillLevel.ACTIVE


ALPHA = "INSTRUMENT:NSE_EQ:ALPHA"


def stale_changes(day: Day) -> list[tuple[str, bool]]:
    return [(c.scope, c.is_open) for c in day.all("level_changes") if c.cause == "MARKET_STALE"]


def beat(day: Day, now_ns: int) -> KillLevel:
    """The level of the held instrument after a timer."""
    day.feed(TimerFired("SECOND", now_ns), now_ns)
    return day.state.level(ALPHA)


def test_a_held_instrument_without_a_quote_takes_no_entry_until_it_has_one_or_is_left() -> None:
    day = filled(kill_limits=KillLimits(market_series_min=99))
    day.feed(TickObserved("NSE_EQ:ALPHA", at(602, 30), 10_000), at(602, 30))
    other = TickObserved("NSE_EQ:BETA", at(602, 35), 10_000)
    day.feed(other, other.ts_ns)
    assert beat(day, at(602, 35)) is KillLevel.ACTIVE
    assert beat(day, at(602, 35) + 1) is KillLevel.ENTRIES_BLOCKED, "whatever is heard of others"
    assert day.state.level() is KillLevel.ACTIVE
    day.feed(TickObserved("NSE_EQ:ALPHA", at(602, 40), 10_000), at(602, 40))
    assert beat(day, at(602, 41)) is KillLevel.ACTIVE
    assert beat(day, at(610)) is KillLevel.ENTRIES_BLOCKED
    day.feed(OperatorCommand(KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", at(640)), at(640))
    day.bars([flat_bar(640, 10_010)])
    day.bars([flat_bar(641, 10_010)])
    assert day.broker.positions() == {}
    assert day.state.level(ALPHA) is KillLevel.LOCKED, "by the account's own cause"
    assert stale_changes(day) == [(ALPHA, True), (ALPHA, False), (ALPHA, True), (ALPHA, False)]


def test_a_share_that_does_not_trade_each_minute_is_not_stale_while_the_feed_brings_bars() -> None:
    day = filled(kill_limits=KillLimits(market_series_min=1))
    for minute in range(602, 700):
        quiet = [] if minute % 3 else [flat_bar(minute, 10_000)]
        day.bars([flat_bar(minute, 10_000, "NSE_EQ:BETA"), *quiet])
    assert stale_changes(day) == []
    assert beat(day, at(701, 5)) is KillLevel.ACTIVE
    assert beat(day, at(701, 5) + 1) is KillLevel.ENTRIES_BLOCKED, "now the feed brings nothing at all"
    day.bars([flat_bar(701, 10_000, "NSE_EQ:BETA")])
    assert stale_changes(day) == [(ALPHA, True), (ALPHA, False)]


def test_old_minutes_that_are_caught_up_with_are_a_feed_that_lives() -> None:
    day = filled(kill_limits=KillLimits(market_series_min=1, market_stale_ns=10**15))
    for second, minute in enumerate(range(602, 640)):
        day.feed(flat_bar(minute, 10_000), at(700, second))
        if second:
            assert beat(day, at(700, second)) is KillLevel.ACTIVE


def test_few_series_of_bars_tell_nothing_of_their_feed() -> None:
    day = filled(kill_limits=KillLimits(market_series_min=99))
    assert beat(day, at(690)) is KillLevel.ACTIVE


def carried_into(minute: int, second: int = 0) -> Day:
    """What was filled yesterday, on a morning whose feed has brought nothing since before the open."""
    day = filled(kill_limits=KillLimits(market_series_min=1))
    old = day.state.prices["NSE_EQ:ALPHA"]
    day.state = replace(
        day.state,
        prices={"NSE_EQ:ALPHA": replace(old, at_ns=at(500))},
        feed_heard_ns=at(500),
        market_seen_ns=0,
    )
    day.feed(TimerFired("SECOND", at(minute, second)), at(minute, second))
    return day


@pytest.mark.parametrize(
    ("minute", "second", "level"),
    [
        (554, 59, KillLevel.ACTIVE),
        (555, 30, KillLevel.ACTIVE),
        (556, 5, KillLevel.ACTIVE),
        (556, 6, KillLevel.ENTRIES_BLOCKED),
        (930, 0, KillLevel.ACTIVE),
        (1_000, 0, KillLevel.ACTIVE),
    ],
    ids=["before-the-open", "first-minute", "borne", "silent", "close", "evening"],
)
def test_a_price_is_awaited_in_the_session_only_and_from_its_open_on(
    minute: int, second: int, level: KillLevel
) -> None:
    assert carried_into(minute, second).state.level(ALPHA) is level


def test_a_quote_of_yesterday_is_awaited_anew_from_the_open_on() -> None:
    day = carried_into(555)
    quote = TickObserved("NSE_EQ:BETA", at(555, 1), 10_000)
    old = day.state.prices["NSE_EQ:ALPHA"]
    day.state = replace(day.state, prices={"NSE_EQ:ALPHA": replace(old, interval_ns=0)})
    day.feed(quote, quote.ts_ns)
    assert beat(day, at(555, 5)) is KillLevel.ACTIVE
    assert beat(day, at(555, 6)) is KillLevel.ENTRIES_BLOCKED


def test_nothing_that_is_only_waited_for_has_to_have_a_price() -> None:
    day = Day(make_context(kill_limits=KillLimits(market_series_min=99))).open()
    day.bars([flat_bar(600, 10_050)])
    day.signal(make_signal(received_ns=at(601)))
    day.feed(TimerFired("SECOND", at(620)), at(620))
    assert [c for c in day.all("level_changes") if c.cause == "MARKET_STALE"] == []


def test_flatten_by_a_person() -> None:
    day = filled()
    day.feed(OperatorCommand(KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", at(602)), at(602))
    day.bars([flat_bar(602, 10_010)])
    day.bars([flat_bar(603, 10_010)])
    assert day.broker.positions() == {}
    assert {t.exit_paise for t in day.all("trades")} == {10_010}


def test_an_unknown_order_keeps_its_money_and_is_adopted_when_it_appears() -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    result = day.signal(make_signal())
    order = next(c.correlation_id for c in result.commands if isinstance(c, OrderIntent))
    day.state = replace(
        day.state,
        groups={k: replace(g, orders=tuple(replace(o, state=OrderState.PREPARED) for o in g.orders))
                for k, g in day.state.groups.items()},
    )  # fmt: skip
    held = day.state.corpus.deployed_paise
    day.feed(fact(BrokerUpdateKind.OUTCOME_UNKNOWN, order), at(602))
    assert states(day, order) == OrderState.UNKNOWN
    assert day.state.corpus.deployed_paise == held
    places = len(sent(day, IntentKind.PLACE))
    day.feed(TimerFired("MINUTE", at(603)), at(603))
    assert len(sent(day, IntentKind.PLACE)) == places  # never sent again
    day.feed(BrokerSnapshotTaken((fact(BrokerUpdateKind.ACKNOWLEDGED, order),), at(604)), at(604))
    assert states(day, order) == OrderState.WORKING


def states(day: Day, order: str) -> str:
    return next(o.state for g in day.state.groups.values() for o in g.orders if o.correlation_id == order)


def test_an_order_never_found_is_recorded_as_missed_at_the_close() -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    result = day.signal(make_signal())
    orders = [c.correlation_id for c in result.commands if isinstance(c, OrderIntent)]
    day.state = replace(
        day.state,
        groups={k: replace(g, orders=tuple(replace(o, state=OrderState.UNKNOWN) for o in g.orders))
                for k, g in day.state.groups.items()},
    )  # fmt: skip
    close = day.feed(TimerFired("SESSION_CLOSE", at(930)), at(930))
    assert [c.event for c in close.commands if hasattr(c, "event")].count("MISSED_AMBIGUOUS") == len(orders)
    assert day.state.corpus.deployed_paise == 0


def test_a_refused_stop_is_asked_for_again_and_in_the_end_the_position_is_closed() -> None:
    day = filled()
    day.bars([make_bar(602, 10_000, 10_210, 10_000, 10_205)])  # first target: stop to cost
    (move,) = sent(day, IntentKind.MODIFY_STOP)
    for count in range(1, 11):
        day.feed(fact(BrokerUpdateKind.REJECTED, move.correlation_id, reason=f"band {count}"), at(603, count))
        day.feed(TimerFired("SECOND", at(603, count)), at(603, count))
    assert len(sent(day, IntentKind.MODIFY_STOP)) == 10
    assert len(sent(day, IntentKind.EXIT)) == 1


CHANGES = [kind for kind in IntentKind if kind is not IntentKind.PLACE]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fault", [BrokerUpdateKind.REJECTED, BrokerUpdateKind.OUTCOME_UNKNOWN])
def test_a_fault_of_a_change_is_never_the_fate_of_the_entry(
    change: IntentKind, fault: BrokerUpdateKind
) -> None:
    for state in (OrderState.PREPARED, OrderState.UNKNOWN, OrderState.WORKING):
        day, order = placed(state)
        held = day.state.corpus.deployed_paise
        day.feed(fact(fault, order, reason="no such order", answers=change), at(602))
        assert states(day, order) == state
        assert day.state.corpus.deployed_paise == held > 0
        day.feed(fact(BrokerUpdateKind.ENTRY_FILLED, order, 1, 10_000), at(603))
        assert "FOREIGN_ORDER" not in [c.event for c in day.all("commands") if isinstance(c, Notify)]


@pytest.mark.parametrize("state", [OrderState.PREPARED, OrderState.UNKNOWN, OrderState.WORKING])
@pytest.mark.parametrize("answers", [IntentKind.PLACE, None])
def test_a_refused_entry_ends_its_order_and_releases_the_margin(
    state: str, answers: IntentKind | None
) -> None:
    day, order = placed(state)
    day.feed(fact(BrokerUpdateKind.REJECTED, order, reason="no margin", answers=answers), at(602))
    assert states(day, order) == OrderState.DEAD
    assert day.state.corpus.deployed_paise == 0


def test_an_entry_withdrawn_before_it_was_sent_is_over() -> None:
    day, order = placed(OrderState.PREPARED)
    day.feed(fact(BrokerUpdateKind.CANCELLED, order, reason="WITHDRAWN", answers=IntentKind.PLACE), at(602))
    assert states(day, order) == OrderState.DEAD
    assert day.state.corpus.deployed_paise == 0
    assert all(live.is_closed for live in day.state.groups.values())


def test_a_refused_change_of_a_dead_order_is_no_news() -> None:
    day, order = placed(OrderState.PREPARED)
    day.feed(fact(BrokerUpdateKind.CANCELLED, order), at(602))
    before = day.state.groups
    refused = fact(BrokerUpdateKind.REJECTED, order, answers=IntentKind.CANCEL_ENTRY)
    result = day.feed(refused, at(603))
    assert (result.commands, day.state.groups) == ((), before)


def test_a_refused_stop_does_not_make_an_exit_go_out_twice() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(OperatorCommand(KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", at(602)), at(602))
    day.feed(TimerFired("SECOND", at(602, 1)), at(602, 1))
    exits = len(sent(day, IntentKind.EXIT))
    assert exits > 0
    day.feed(fact(BrokerUpdateKind.REJECTED, order, answers=IntentKind.MODIFY_STOP), at(602, 2))
    day.feed(TimerFired("SECOND", at(602, 3)), at(602, 3))
    assert len(sent(day, IntentKind.EXIT)) == exits
    day.feed(fact(BrokerUpdateKind.REJECTED, order, answers=IntentKind.EXIT), at(602, 4))
    day.feed(TimerFired("SECOND", at(602, 5)), at(602, 5))
    assert len(sent(day, IntentKind.EXIT)) == exits + 1


def test_an_entry_cut_short_by_its_exit_is_settled() -> None:
    day, order = placed(OrderState.WORKING)
    whole = sent(day, IntentKind.PLACE)[0].quantity
    day.feed(fact(BrokerUpdateKind.ENTRY_FILLED, order, whole // 2, 10_000), at(602))
    day.feed(fact(BrokerUpdateKind.TARGET_FILLED, order, whole // 2, 10_200), at(603))
    day.feed(fact(BrokerUpdateKind.CANCELLED, order, whole // 2), at(603))
    assert all(live.is_closed for live in day.state.groups.values())
    assert day.state.corpus.deployed_paise == 0


def test_a_refused_withdrawal_on_the_advisors_word_is_asked_for_again() -> None:
    day, order = placed(OrderState.WORKING)
    day.broker.cancel = _refuse  # type: ignore[method-assign]
    day.followup(make_followup(1, FollowupKind.CANCEL, received_ns=at(602)))
    assert len(sent(day, IntentKind.CANCEL_ENTRY)) == 1
    day.feed(TimerFired("SECOND", at(602, 1)), at(602, 1))
    assert [intent.correlation_id for intent in sent(day, IntentKind.CANCEL_ENTRY)] == [order, order]


def _refuse(_: OrderIntent) -> Any:
    raise Rejected("the list is older than the trades")


def test_a_refusal_of_everything_blocks_entries_at_once_and_closes_nothing() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(ConnectionChanged(ACCESS, False, at(602), "IP: Invalid IP"), at(602))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    for second in range(1, 30):
        refused = fact(BrokerUpdateKind.REJECTED, order, reason="IP", answers=IntentKind.MODIFY_STOP)
        day.feed(refused, at(602, second))
        day.feed(TimerFired("SECOND", at(602, second)), at(602, second))
    assert sent(day, IntentKind.EXIT) == [], "a stop that rests at the broker is no reason to leave"
    day.feed(OperatorCommand(KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", at(603)), at(603))
    day.feed(TimerFired("SECOND", at(603, 1)), at(603, 1))
    assert len(sent(day, IntentKind.EXIT)) > 0
    day.feed(ConnectionChanged(ACCESS, True, at(604)), at(604))
    assert not day.state.levels.is_open("ACCOUNT", "ACCESS_REFUSED")


def doubt(day: Day, name: str, kind: BrokerUpdateKind, second: int) -> None:
    update = BrokerUpdate(f"{kind}-{second}", kind, name, "", 0, 0, at(602, second), "a row makes no sense")
    day.feed(update, at(602, second))


def test_nothing_is_changed_of_an_order_in_doubt_until_its_row_can_be_read() -> None:
    day = filled()
    first, second = (place.correlation_id for place in sent(day, IntentKind.PLACE))
    doubt(day, first, BrokerUpdateKind.UNREADABLE, 1)
    day.feed(naked(day, first, 2), at(602, 2))
    move = make_followup(1, FollowupKind.UPDATE_STOPLOSS, received_ns=at(603), stoploss_paise=9_900)
    day.followup(move)
    changed = (IntentKind.MODIFY_STOP, IntentKind.EMERGENCY_STOP)
    assert [i.correlation_id for kind in changed for i in sent(day, kind)] == [second]
    assert not day.state.doubt_fact
    doubt(day, first, BrokerUpdateKind.READABLE, 70)
    day.feed(TimerFired("SECOND", at(603, 11)), at(603, 11))
    (guard,) = sent(day, IntentKind.EMERGENCY_STOP)
    assert (guard.correlation_id, guard.stop_paise) == (first, 9_900)


def test_what_may_be_of_any_order_blocks_entries_until_it_can_be_read() -> None:
    day = filled()
    doubt(day, "", BrokerUpdateKind.UNREADABLE, 1)
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    assert day.state.doubt_fact
    doubt(day, "", BrokerUpdateKind.READABLE, 2)
    assert day.state.level() is KillLevel.ACTIVE
    assert not day.state.doubt_fact


def test_a_fill_without_a_price_is_kept_and_never_booked_at_zero() -> None:
    day, order = placed(OrderState.WORKING)
    whole = sent(day, IntentKind.PLACE)[0].quantity
    day.feed(fact(BrokerUpdateKind.FILL_UNPRICED, order, whole), at(602))
    (live,) = day.state.groups.values()
    assert live.orders[0].filled_quantity == whole
    day.feed(fact(BrokerUpdateKind.TARGET_FILLED, order, whole, 10_200), at(603))
    assert day.all("trades") == []
    exact = replace(
        fact(BrokerUpdateKind.ENTRY_FILLED, order, whole, 10_001), notional_paise=10_001 * whole - 7
    )
    day.feed(exact, at(604))
    (trade,) = day.all("trades")
    assert trade.gross_pnl_paise == 199 * whole + 7
    assert all(live.is_closed for live in day.state.groups.values())


def test_an_order_that_repeats_one_of_ours_blocks_entries_until_a_person_looks() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    surplus = replace(fact(BrokerUpdateKind.SURPLUS, order, 10), broker_order_id="b2")
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    for _ in range(2):  # heard twice
        day.feed(surplus, at(602))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    assert of(day, order, IntentKind.NEUTRALISE) == [(IntentKind.NEUTRALISE, 0)]
    refused = fact(BrokerUpdateKind.REJECTED, order, answers=IntentKind.NEUTRALISE)
    day.feed(refused, at(602, 1))
    assert len(sent(day, IntentKind.NEUTRALISE)) == 1
    day.feed(TimerFired("MINUTE", at(603)), at(603))
    day.feed(TimerFired("MINUTE", at(604)), at(604))
    assert len(sent(day, IntentKind.NEUTRALISE)) == 2
    assert sent(day, IntentKind.EXIT) == [], "our own order goes on"
    day.feed(OperatorCommand(KillLevel.ACTIVE, "ACCOUNT", "anna", "sold by hand", at(605)), at(605))
    assert day.state.level() is KillLevel.ACTIVE


def test_a_surplus_that_a_person_has_lifted_blocks_no_more_however_often_it_is_told() -> None:
    day = filled()
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    surplus = BrokerUpdate("s1", BrokerUpdateKind.SURPLUS, order, "b2", 0, 10, at(602))
    day.feed(surplus, at(602))
    day.feed(OperatorCommand(KillLevel.ACTIVE, "ACCOUNT", "anna", "looked", at(603)), at(603))
    day.feed(surplus, at(604))
    assert day.state.level() is KillLevel.ACTIVE
    assert len(sent(day, IntentKind.NEUTRALISE)) == 1
    day.feed(replace(surplus, update_id="s1 lives"), at(605))
    assert day.state.level() is KillLevel.ACTIVE
    assert len(sent(day, IntentKind.NEUTRALISE)) == 2, "what lives is ended all the same"
    day.feed(replace(surplus, update_id="s2", broker_order_id="b3"), at(606))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED


def test_the_last_changes_of_an_order_are_kept_for_the_way_out() -> None:
    day = filled(allow_looser_stoploss=True)
    for number in range(1, 40):
        level = 9_800 + 5 * (number % 2)
        move = make_followup(
            number, FollowupKind.UPDATE_STOPLOSS, received_ns=at(603, number), stoploss_paise=level
        )
        day.followup(move)
    moves = [intent.correlation_id for intent in sent(day, IntentKind.MODIFY_STOP)]
    assert {name: moves.count(name) for name in moves} == dict.fromkeys(moves, 20)
    told = [c for c in day.all("commands") if isinstance(c, Notify) and c.event == "CHANGES_SPENT"]
    assert len(told) == len(set(moves))
    day.feed(OperatorCommand(KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", at(605)), at(605))
    day.feed(TimerFired("SECOND", at(605, 1)), at(605, 1))
    assert {intent.correlation_id for intent in sent(day, IntentKind.EXIT)} == set(moves)


def test_that_changes_are_spent_is_told_although_two_levels_wanted_the_last_one() -> None:
    day = filled()
    for key, live in day.state.groups.items():
        orders = tuple(replace(order, changes=CHANGES_MAX - 1) for order in live.orders)
        legs = tuple(
            replace(leg, stop_paise=(leg.stop_paise or 0) + 5, target_paise=(leg.target_paise or 0) + 5)
            for leg in live.group.legs
        )
        moved = replace(live, orders=orders, group=replace(live.group, legs=legs))
        day.state = replace(day.state, groups={**day.state.groups, key: moved})
    asked = len(sent(day, IntentKind.MODIFY_STOP)) + len(sent(day, IntentKind.MODIFY_TARGET))
    for minute in (603, 604):
        day.feed(TimerFired("MINUTE", at(minute)), at(minute))
    told = [c for c in day.all("commands") if isinstance(c, Notify) and c.event == "CHANGES_SPENT"]
    assert len(told) == sum(len(live.orders) for live in day.state.groups.values())
    assert len(sent(day, IntentKind.MODIFY_STOP)) + len(sent(day, IntentKind.MODIFY_TARGET)) == asked


def naked(day: Day, order: str, second: int = 0, name: str = "first", guard: int = 1) -> BrokerUpdate:
    units = next(p.quantity for p in sent(day, IntentKind.PLACE) if p.correlation_id == order)
    return BrokerUpdate(
        f"naked-{name}", BrokerUpdateKind.NAKED, order, "b", 0, units, at(602, second), guard=guard
    )


def covered(order: str, second: int) -> BrokerUpdate:
    kind = BrokerUpdateKind.COVERED
    return BrokerUpdate(f"covered-{second}", kind, order, "b", 0, 0, at(602, second))


def of(day: Day, order: str, *kinds: IntentKind) -> list[tuple[IntentKind, int]]:
    """What was asked of one order, and under which guard."""
    return [(i.kind, i.guard) for kind in kinds for i in sent(day, kind) if i.correlation_id == order]


def test_a_position_without_a_stop_is_never_left_at_that() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    result = day.feed(naked(day, order), at(602))
    (guard,) = [c for c in result.commands if isinstance(c, OrderIntent)]
    assert (guard.kind, guard.correlation_id, guard.stop_paise) == (IntentKind.EMERGENCY_STOP, order, 9_800)
    assert guard.quantity == sent(day, IntentKind.PLACE)[0].quantity
    told = [(c.event, c.severity) for c in result.commands if isinstance(c, Notify)]
    assert told == [("NAKED", "critical"), ("KILL_SWITCH", "critical")]
    day.feed(naked(day, order), at(602, 1))  # heard twice
    day.feed(TimerFired("SECOND", at(602, 2)), at(602, 2))
    assert of(day, order, IntentKind.EMERGENCY_STOP) == [(IntentKind.EMERGENCY_STOP, 1)]


@pytest.mark.parametrize("fault", [BrokerUpdateKind.REJECTED, BrokerUpdateKind.OUTCOME_UNKNOWN])
def test_what_cannot_be_guarded_is_closed_at_once(fault: BrokerUpdateKind) -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(naked(day, order), at(602))
    refused = replace(fact(fault, order, reason="no", answers=IntentKind.EMERGENCY_STOP), guard=1)
    result = day.feed(refused, at(602, 1))
    assert {c.kind for c in result.commands if isinstance(c, OrderIntent)} == {IntentKind.EXIT}
    # a guard that was refused is free again, one that nobody knows of may still appear
    may_place = 1 if fault is BrokerUpdateKind.REJECTED else 0
    assert of(day, order, IntentKind.EXIT) == [(IntentKind.EXIT, may_place)]


def test_no_guard_is_asked_for_twice_before_its_end_is_seen() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(naked(day, order), at(602))
    for second in range(1, 20):
        day.feed(naked(day, order, second, f"still-{second}"), at(602, second))
        day.feed(TimerFired("SECOND", at(602, second)), at(602, second))
    asked = of(day, order, IntentKind.EMERGENCY_STOP, IntentKind.EXIT)
    assert [kind for kind, guard in asked if guard == 1] == [IntentKind.EMERGENCY_STOP]
    day.feed(naked(day, order, 30, "ended", guard=2), at(602, 30))
    assert of(day, order, IntentKind.EXIT)[-1] == (IntentKind.EXIT, 2)


def test_a_guard_that_a_call_did_not_need_can_be_asked_for_again() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    day.feed(OperatorCommand(KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", at(602)), at(602))
    day.feed(naked(day, order), at(602))
    day.feed(TimerFired("SECOND", at(602, 1)), at(602, 1))
    unused = fact(BrokerUpdateKind.GUARD_UNUSED, order, answers=IntentKind.EXIT)
    day.feed(replace(unused, guard=1), at(602, 2))  # its target was moved instead
    day.feed(covered(order, 3), at(602, 3))
    day.feed(naked(day, order, 13, "unfilled"), at(602, 13))
    assert of(day, order, IntentKind.EXIT) == [(IntentKind.EXIT, 1), (IntentKind.EXIT, 1)]


def test_an_exit_that_was_refused_is_asked_for_again_when_the_loss_is_told_anew() -> None:
    day = filled()
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(naked(day, order), at(602))
    beyond = fact(BrokerUpdateKind.REJECTED, order, reason="beyond", answers=IntentKind.EMERGENCY_STOP)
    day.feed(replace(beyond, guard=1), at(602, 1))
    for second in (2, 7):
        refused = fact(BrokerUpdateKind.REJECTED, order, reason="429", answers=IntentKind.EXIT)
        day.feed(replace(refused, update_id=f"r{second}", guard=1), at(602, second))
        day.feed(naked(day, order, second + 5, f"again-{second}"), at(602, second + 5))
    assert of(day, order, IntentKind.EXIT) == [(IntentKind.EXIT, 1)] * 3
    assert sent(day, IntentKind.EMERGENCY_STOP)[1:] == []


def test_a_guard_of_which_nobody_knows_bars_the_way_out_until_the_next_one_is_due() -> None:
    day = filled()
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(naked(day, order), at(602))
    unknown = fact(BrokerUpdateKind.OUTCOME_UNKNOWN, order, answers=IntentKind.EMERGENCY_STOP)
    day.feed(replace(unknown, guard=1), at(602, 5))
    for second in (60, 120, 360):
        refused = fact(BrokerUpdateKind.REJECTED, order, answers=IntentKind.EXIT)
        day.feed(replace(refused, update_id=f"r{second}"), at(602, second))
        due = 1 if second < 360 else 2
        day.feed(naked(day, order, second + 1, f"n{second}", guard=due), at(602, second + 1))
    assert of(day, order, IntentKind.EXIT) == [(IntentKind.EXIT, guard) for guard in (0, 0, 0, 2)]


@pytest.mark.parametrize("end", ["covered", "sold"])
def test_entries_are_blocked_while_anything_is_held_without_a_stop(end: str) -> None:
    day = filled()
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    first, second = (place.correlation_id for place in sent(day, IntentKind.PLACE))
    for order in (first, second):
        day.feed(replace(naked(day, order), update_id=order), at(602))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    day.feed(covered(second, 1), at(602, 1))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED, "the other one is naked still"
    if end == "covered":
        day.feed(replace(covered(first, 2), update_id="c"), at(602, 2))
    else:
        whole = sent(day, IntentKind.PLACE)[0].quantity
        day.feed(fact(BrokerUpdateKind.TARGET_FILLED, first, whole, 10_200), at(602, 2))
    assert day.state.level() is KillLevel.ACTIVE


def test_what_was_bought_back_blocks_entries_and_nothing_of_ours_touches_it() -> None:
    """A person closed the position, then bought it again: no order of ours stands for it."""
    day = filled()
    for place in sent(day, IntentKind.PLACE):
        sold = fact(
            BrokerUpdateKind.EXIT_FILLED, place.correlation_id, place.quantity, 10_000, CLOSED_ELSEWHERE
        )
        day.feed(sold, at(602))
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    assert all(live.is_closed for live in day.state.groups.values())
    before = len(day.all("commands"))
    day.feed(naked(day, order, 1, "back"), at(602, 1))
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    assert not any(isinstance(command, OrderIntent) for command in day.all("commands")[before:])
    day.feed(covered(order, 2), at(602, 2))
    assert day.state.level() is KillLevel.ACTIVE


def test_what_others_closed_is_over_and_told() -> None:
    day = filled()
    first, second = (place.correlation_id for place in sent(day, IntentKind.PLACE))
    whole = sent(day, IntentKind.PLACE)[0].quantity
    day.feed(fact(BrokerUpdateKind.EXIT_FILLED, first, whole, 9_950, CLOSED_ELSEWHERE), at(603))
    (trade,) = day.all("trades")
    assert (trade.quantity, trade.exit_paise, trade.exit_reason) == (whole, 9_950, ExitReason.SQUARE_OFF)
    told = [c for c in day.all("commands") if isinstance(c, Notify) and c.event == CLOSED_ELSEWHERE]
    assert [one.severity for one in told] == ["critical"]
    assert sent(day, IntentKind.EXIT) == []
    (live,) = day.state.groups.values()
    assert [order.correlation_id for order in live.orders if order.exited_quantity == 0] == [second]


@pytest.mark.parametrize("heard", [0, 0.5, 1])
def test_more_closed_than_was_ordered_is_told_once_and_booked_as_what_was_held(heard: float) -> None:
    """Two guards sold the same units: the rest is the account's, not the books'."""
    day = filled()
    order, whole = sent(day, IntentKind.PLACE)[0].correlation_id, sent(day, IntentKind.PLACE)[0].quantity
    known = int(whole * heard)
    if known:
        day.feed(fact(BrokerUpdateKind.STOP_FILLED, order, known, 9_900), at(602))
    twice = fact(BrokerUpdateKind.STOP_FILLED, order, 2 * whole, 9_800)
    for repeat in range(2):
        day.feed(
            replace(
                twice, update_id=f"twice{repeat}", notional_paise=known * 9_900 + (2 * whole - known) * 9_800
            ),
            at(603),
        )
    (trade,) = day.all("trades")
    assert (trade.quantity, trade.gross_pnl_paise) == (whole, -known * 100 - (whole - known) * 200)
    told = [c for c in day.all("commands") if isinstance(c, Notify) and c.event == "OVERSOLD"]
    assert [one.severity for one in told] == ["critical"]
    assert f"{whole} units more" in told[0].text
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    day.feed(OperatorCommand(KillLevel.ACTIVE, "ACCOUNT", "anna", "bought back", at(604)), at(604))
    day.feed(replace(twice, update_id="once more"), at(605))
    assert day.state.level() is KillLevel.ACTIVE


def test_more_filled_than_was_ordered_is_told_once_and_is_in_no_book() -> None:
    """A person enlarges our entry in the broker's app."""
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal())
    place = sent(day, IntentKind.PLACE)[0]
    name, whole = place.correlation_id, place.quantity
    day.feed(fact(BrokerUpdateKind.FILL_UNPRICED, name, whole + 5), at(602))
    larger = fact(BrokerUpdateKind.ENTRY_FILLED, name, whole + 5, 10_000)
    for repeat in range(2):
        day.feed(replace(larger, update_id=f"larger{repeat}"), at(602))
    (order,) = [o for g in day.state.groups.values() for o in g.orders if o.correlation_id == name]
    assert (order.filled_quantity, order.filled_notional_paise) == (whole, whole * 10_000)
    assert [is_news(order, replace(larger, quantity=whole + more)) for more in (5, 6)] == [False, True]
    told = [c for c in day.all("commands") if isinstance(c, Notify) and c.event == "SURPLUS"]
    assert [f"{name}: 5 units more" in one.text for one in told] == [True]
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    day.feed(fact(BrokerUpdateKind.EXIT_FILLED, name, whole + 5, 10_100, reason="SQUARE_OFF"), at(603))
    (trade,) = day.all("trades")
    assert (trade.quantity, trade.gross_pnl_paise) == (whole, whole * 100)
    assert [c for c in day.all("commands") if isinstance(c, Notify) and c.event == "OVERSOLD"] == []


def test_that_more_was_closed_than_was_held_blocks_entries() -> None:
    """The broker knows that less had filled than was ordered when its entry ended."""
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    for quantity, blocks in ((5, True), (5, False), (6, True)):
        day.feed(
            replace(fact(BrokerUpdateKind.OVERSOLD, order, quantity), update_id=f"o{blocks}{quantity}"),
            at(602),
        )
        assert (day.state.level() is KillLevel.ENTRIES_BLOCKED) is blocks
        day.feed(OperatorCommand(KillLevel.ACTIVE, "ACCOUNT", "anna", "bought back", at(603)), at(603))


def test_what_lapses_at_the_close_is_not_closed_for_it() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    for minute in (930, 931, 932):
        day.feed(replace(naked(day, order, name=str(minute)), ts_ns=at(minute)), at(minute))
    (live,) = day.state.groups.values()
    assert live.exit_goal is None
    told = [c for c in day.all("commands") if isinstance(c, Notify) and c.event == "NAKED"]
    assert len(told) == 1


def test_what_is_naked_again_after_its_guard_is_closed() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(naked(day, order), at(602))
    day.feed(covered(order, 1), at(602, 1))
    assert of(day, order, IntentKind.EXIT) == []
    day.feed(naked(day, order, 5, "again", guard=2), at(602, 5))
    assert len(sent(day, IntentKind.EMERGENCY_STOP)) == 1
    assert of(day, order, IntentKind.EXIT) == [(IntentKind.EXIT, 2)]


def test_a_guard_that_has_become_too_small_is_fitted() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(naked(day, order), at(602))
    day.feed(covered(order, 1), at(602, 1))
    day.feed(naked(day, order, 5, "more", guard=1), at(602, 5))  # it lives, and more has filled
    stop = IntentKind.EMERGENCY_STOP
    assert of(day, order, stop, IntentKind.EXIT) == [(stop, 1), (stop, 0)]


def test_a_loss_that_is_over_is_forgotten_whatever_comes_late() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(covered(order, 3), at(602, 3))
    day.feed(naked(day, order, 2), at(602, 4))
    assert sent(day, IntentKind.EMERGENCY_STOP) == []


def test_a_guard_beyond_what_is_held_is_fitted_even_of_a_closed_group() -> None:
    day, order = placed(OrderState.WORKING)
    whole = sent(day, IntentKind.PLACE)[0].quantity
    day.feed(fact(BrokerUpdateKind.ENTRY_FILLED, order, whole, 10_000), at(602))
    day.feed(fact(BrokerUpdateKind.STOP_FILLED, order, whole, 9_800), at(603))
    assert all(live.is_closed for live in day.state.groups.values())
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    excess = BrokerUpdate("e", BrokerUpdateKind.EXCESS, order, "b", 0, whole, at(604), guard=1)
    day.feed(excess, at(604))
    stop = IntentKind.EMERGENCY_STOP
    assert of(day, order, stop) == [(stop, 0)]
    for second in range(1, 30):
        refused = fact(BrokerUpdateKind.REJECTED, order, reason=str(second), answers=stop)
        day.feed(refused, at(604, second))
    assert of(day, order, stop) == [(stop, 0)], "asked again when it is told anew"


def test_a_guard_of_the_morning_that_outlives_its_group_is_fitted_before_the_open() -> None:
    """A person sells before the open what the stop of the morning is to guard."""
    day, next_day, order = swing_carried()
    early, sold = at(531, day=TOMORROW), at(534, day=TOMORROW)
    next_day.feed(replace(naked(day, order), ts_ns=early), early)
    next_day.feed(replace(covered(order, 0), ts_ns=early + 1), early + 1)
    for live in next_day.state.groups.values():
        for one in live.orders:
            gone = fact(BrokerUpdateKind.EXIT_FILLED, one.correlation_id, one.quantity, 10_000)
            next_day.feed(replace(gone, reason=CLOSED_ELSEWHERE, ts_ns=sold), sold)
    assert all(live.is_closed for live in next_day.state.groups.values())
    excess = BrokerUpdate("e", BrokerUpdateKind.EXCESS, order, "b", 0, 5, sold + 1, guard=2)
    next_day.feed(excess, sold + 1)
    stop = IntentKind.EMERGENCY_STOP
    assert of(next_day, order, stop) == [(stop, 1), (stop, 0)]


def test_guards_refused_with_everything_else_wait_for_the_clock() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(ConnectionChanged(ACCESS, False, at(602), "IP: Invalid IP"), at(602))
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    day.feed(naked(day, order), at(602))
    for number in range(50):
        refused = fact(BrokerUpdateKind.REJECTED, order, reason="IP", answers=IntentKind.EMERGENCY_STOP)
        day.feed(replace(refused, update_id=f"r{number}", guard=1), at(602))
    assert of(day, order, IntentKind.EMERGENCY_STOP) == [(IntentKind.EMERGENCY_STOP, 1)]
    day.feed(TimerFired("MINUTE", at(603)), at(603))
    assert of(day, order, IntentKind.EMERGENCY_STOP) == [(IntentKind.EMERGENCY_STOP, 1)] * 2


def test_an_exit_that_has_not_filled_is_asked_for_again() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    whole = sent(day, IntentKind.PLACE)[0].quantity
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    day.feed(OperatorCommand(KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", at(602)), at(602))
    day.feed(TimerFired("SECOND", at(602, 1)), at(602, 1))
    day.feed(fact(BrokerUpdateKind.EXIT_FILLED, order, whole // 2, 10_000, "SQUARE_OFF"), at(602, 2))
    day.feed(naked(day, order, 12, "rest"), at(602, 12))
    day.feed(covered(order, 13), at(602, 13))
    day.feed(naked(day, order, 23, "rest again"), at(602, 23))
    assert of(day, order, IntentKind.EXIT) == [(IntentKind.EXIT, guard) for guard in (0, 1, 0)]
    assert {intent.reason for intent in sent(day, IntentKind.EXIT)} == {ExitReason.SQUARE_OFF}
    assert sent(day, IntentKind.EMERGENCY_STOP) == []


def test_a_lost_stop_outside_the_session_is_replaced_when_it_begins() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(naked(day, order), at(930))  # the exchange lets every order lapse at its close
    assert sent(day, IntentKind.EMERGENCY_STOP) == []
    (live,) = day.state.groups.values()
    assert [o.naked_units > 0 for o in live.orders if o.correlation_id == order] == [True]


def test_the_target_of_a_guarded_order_is_watched_by_us() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(naked(day, order), at(602))
    day.feed(flat_bar(602, 10_195), at(603))
    day.feed(TimerFired("MINUTE", at(603)), at(603))
    assert sent(day, IntentKind.EXIT) == []
    day.feed(flat_bar(603, 10_200), at(604))
    day.feed(TimerFired("MINUTE", at(604)), at(604))
    (out,) = sent(day, IntentKind.EXIT)
    assert (out.correlation_id, out.reason) == (order, ExitReason.TARGET)


def test_an_order_being_closed_is_not_guarded_besides() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(OperatorCommand(KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", at(602)), at(602))
    day.feed(TimerFired("SECOND", at(602, 1)), at(602, 1))
    day.feed(naked(day, order, 2), at(602, 2))
    assert sent(day, IntentKind.EMERGENCY_STOP) == []


@pytest.mark.parametrize("way", ["kill", "square-off", "refused-guard"])
@pytest.mark.parametrize("is_cut_short", [False, True])
def test_a_fill_without_a_price_can_be_left(way: str, is_cut_short: bool) -> None:
    day, order = placed(OrderState.WORKING)
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    bought = sent(day, IntentKind.PLACE)[0].quantity // (2 if is_cut_short else 1)
    day.feed(fact(BrokerUpdateKind.FILL_UNPRICED, order, bought), at(602))
    if is_cut_short:
        day.feed(fact(BrokerUpdateKind.CANCELLED, order, bought), at(602))
    if way == "kill":
        day.feed(OperatorCommand(KillLevel.LIQUIDATING, "ACCOUNT", "anna", "leave", at(603)), at(603))
    elif way == "refused-guard":
        day.feed(naked(day, order), at(602, 1))
        refused = fact(BrokerUpdateKind.REJECTED, order, reason="no", answers=IntentKind.EMERGENCY_STOP)
        day.feed(refused, at(602, 2))
    for minute in (604, 920, 925):
        day.feed(TimerFired("MINUTE", at(minute)), at(minute))
    (out,) = sent(day, IntentKind.EXIT)
    assert (out.correlation_id, out.quantity) == (order, bought)
    day.feed(fact(BrokerUpdateKind.EXIT_FILLED, order, bought, 9_990, "SQUARE_OFF"), at(926))
    day.feed(fact(BrokerUpdateKind.ENTRY_FILLED, order, bought, 10_000), at(926, 1))
    assert all(live.is_closed for live in day.state.groups.values())
    assert [trade.quantity for trade in day.all("trades")] == [bought]


def test_changes_that_were_refused_are_not_spent() -> None:
    day = filled()
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    day.feed(ConnectionChanged(ACCESS, False, at(602), "IP: Invalid IP"), at(602))
    move = make_followup(1, FollowupKind.UPDATE_STOPLOSS, received_ns=at(602), stoploss_paise=9_900)
    day.followup(move)
    for second in range(1, 40):
        refused = fact(BrokerUpdateKind.REJECTED, order, reason="IP", answers=IntentKind.MODIFY_STOP)
        day.feed(replace(refused, update_id=f"r{second}"), at(602, second))
        day.feed(TimerFired("SECOND", at(602, second)), at(602, second))
    before = len(of(day, order, IntentKind.MODIFY_STOP))
    refused = fact(BrokerUpdateKind.REJECTED, order, reason="IP", answers=IntentKind.MODIFY_STOP)
    day.feed(replace(refused, update_id="last"), at(603))
    day.feed(ConnectionChanged(ACCESS, True, at(604)), at(604))
    day.feed(TimerFired("SECOND", at(604, 1)), at(604, 1))
    assert len(of(day, order, IntentKind.MODIFY_STOP)) == before + 1


def test_a_connection_that_is_back_lifts_its_switch_while_orders_are_refused() -> None:
    day = filled()
    day.feed(ConnectionChanged("orders", False, at(603)), at(603))
    day.feed(TimerFired("MINUTE", at(605)), at(605))
    assert day.state.levels.is_open("ACCOUNT", "DISCONNECTED")
    day.feed(ConnectionChanged(ACCESS, False, at(605), "IP"), at(605))
    day.feed(ConnectionChanged("orders", True, at(606)), at(606))
    day.feed(BrokerSnapshotTaken((), at(606)), at(606))
    assert not day.state.levels.is_open("ACCOUNT", "DISCONNECTED")
    day.feed(ConnectionChanged(ACCESS, True, at(607)), at(607))
    assert day.state.level() is KillLevel.ACTIVE


def test_an_entry_carries_every_scope_whose_kill_level_bears_on_it() -> None:
    day = filled()
    place = sent(day, IntentKind.PLACE)[0]
    rule = day.state.groups[place.group_id].group.rule_text
    assert place.kill_scopes == (
        "CATEGORY:NSE_EQ",
        "ADVISOR:A01",
        "INSTRUMENT:NSE_EQ:ALPHA",
        "STRATEGY:NORMAL",
        f"RULE:{rule}",
        "SIDE:BUY",
    )
    assert codec.decode_intent(codec.to_plain(place)) == place


def test_a_fill_after_its_cancel_is_taken_in_and_closed() -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    result = day.signal(make_signal())
    places = [c for c in result.commands if isinstance(c, OrderIntent)]
    for place in places:
        day.feed(fact(BrokerUpdateKind.CANCELLED, place.correlation_id), at(601))
    assert day.state.corpus.deployed_paise == 0
    late = day.feed(
        fact(BrokerUpdateKind.ENTRY_FILLED, places[0].correlation_id, places[0].quantity, 10_000), at(602)
    )
    assert "LATE_FILL" in [c.event for c in late.commands if hasattr(c, "event")]
    (out,) = [c for c in late.commands if isinstance(c, OrderIntent) and c.kind is IntentKind.EXIT]
    assert out.quantity == places[0].quantity
    day.feed(fact(BrokerUpdateKind.EXIT_FILLED, places[0].correlation_id, places[0].quantity, 9_990), at(603))
    assert all(live.is_closed for live in day.state.groups.values())
    (trade,) = day.all("trades")
    assert day.state.corpus.total_paise == CORPUS_PAISE + trade.net_pnl_paise


def test_a_late_rest_of_a_leg_books_only_what_is_new() -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    result = day.signal(make_signal(targets_paise=(10_200,)))
    (place,) = [c for c in result.commands if isinstance(c, OrderIntent)]
    half, whole, order = place.quantity // 2, place.quantity, place.correlation_id
    day.feed(fact(BrokerUpdateKind.ENTRY_FILLED, order, half, 10_000), at(601))
    day.feed(fact(BrokerUpdateKind.STOP_FILLED, order, half, 9_800), at(602))
    day.feed(fact(BrokerUpdateKind.CANCELLED, order), at(602, 1))
    assert day.state.corpus.total_paise < CORPUS_PAISE
    day.feed(fact(BrokerUpdateKind.ENTRY_FILLED, order, whole, 10_000), at(603))
    day.feed(fact(BrokerUpdateKind.EXIT_FILLED, order, whole, 9_800), at(604))
    assert all(live.is_closed for live in day.state.groups.values())
    last = day.all("trades")[-1]
    assert last.quantity == whole
    assert day.state.corpus.total_paise == CORPUS_PAISE + last.net_pnl_paise
    assert day.state.corpus.deployed_paise == 0


def test_a_foreign_order_is_reported_and_changes_nothing() -> None:
    day = filled()
    before = day.state
    result = day.feed(fact(BrokerUpdateKind.ENTRY_FILLED, "manual", 5, 100), at(602))
    assert [c.event for c in result.commands if hasattr(c, "event")] == ["FOREIGN_ORDER"]
    assert result.state.groups == before.groups


@pytest.mark.parametrize("tail", ["", "g1"], ids=["order", "guard"])
def test_an_order_with_our_mark_that_no_book_knows_blocks_entries(tail: str) -> None:
    day = filled()
    before = day.state
    lost = correlation_id(day.context.trade_date, "a group of a lost book", 1, 1, 0) + tail
    result = day.feed(fact(BrokerUpdateKind.ENTRY_FILLED, lost, 5, 100), at(602))
    assert [c.event for c in result.commands if hasattr(c, "event")] == ["KILL_SWITCH", "FOREIGN_ORDER"]
    assert day.state.level() is KillLevel.ENTRIES_BLOCKED
    assert result.state.groups == before.groups
    day.feed(OperatorCommand(KillLevel.ACTIVE, "ACCOUNT", "anna", "closed it", at(603)), at(603))
    assert day.state.level() is KillLevel.ACTIVE


def test_a_swing_trade_goes_on_the_next_day_with_its_money_and_its_crowd_position() -> None:
    rule = make_rule()
    rules = make_ruleset([replace(rule, key=replace(rule.key, period=Period.SWING))])
    day = Day(make_context(rules=rules)).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal(declared_period=Period.SWING))
    for minute in range(600, 930):
        day.bars([flat_bar(minute, 9_990 if minute == 601 else 10_050)])
    day.close()
    assert day.broker.positions() != {}
    carried = codec.decode_carry_over(codec.encode_carry_over(carry_over(day.state)))
    held = day.state.corpus.deployed_paise
    assert held > 0
    tomorrow = replace(day.context, trade_date=date(2025, 7, 2))
    next_day = Day(tomorrow, day.broker)
    next_day.state = initial_state(tomorrow, carried)
    morning = at(530, day=date(2025, 7, 2))
    next_day.feed(DayOpened("2025-07-02", "v1", CORPUS_PAISE, True, morning), morning)
    assert (next_day.state.corpus.deployed_paise, next_day.state.corpus.total_paise) == (held, CORPUS_PAISE)
    assert len(next_day.state.crowd.open["ALPHA"]) == 1
    stop = replace(flat_bar(555, 9_790), start_ns=at(555, day=date(2025, 7, 2)))
    next_day.bars([stop])
    assert {t.exit_paise for t in next_day.all("trades")} == {9_790}  # gapped below its stop of 98.00
    assert next_day.state.corpus.deployed_paise == 0


@pytest.mark.parametrize("opening_paise", [0, -1, -50_000])
def test_what_is_carried_into_a_used_up_corpus_ends_and_its_result_is_booked(opening_paise: int) -> None:
    _, next_day, _ = swing_carried(opening_paise)
    assert next_day.state.corpus.total_paise == opening_paise
    assert next_day.state.corpus.deployed_paise > 0
    next_day.signal(make_signal(2, received_ns=at(560, day=date(2025, 7, 2))))
    again = at(561, day=date(2025, 7, 2))
    next_day.feed(DayOpened("2025-07-02", "v1", CORPUS_PAISE, True, again), again)
    assert (next_day.state.corpus.total_paise, next_day.state.ready) == (opening_paise, False)
    del next_day._answer  # the exchange answers again
    next_day.bars([replace(flat_bar(562, 9_790), start_ns=at(562, day=date(2025, 7, 2)))])
    net = sum(trade.net_pnl_paise for trade in next_day.all("trades"))
    assert net < 0
    corpus = next_day.state.corpus
    assert (corpus.deployed_paise, corpus.total_paise) == (0, opening_paise + net)
    assert len(next_day.state.groups) == 1, "nothing enters"


def swing_carried(opening_paise: int = CORPUS_PAISE) -> tuple[Day, Day, str]:
    """A swing position that was naked at the close, on its first day and on the next; and its first order."""
    rule = make_rule()
    rules = make_ruleset([replace(rule, key=replace(rule.key, period=Period.SWING))])
    day = Day(make_context(rules=rules)).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal(declared_period=Period.SWING))
    for minute in range(600, 610):
        day.bars([flat_bar(minute, 9_990 if minute == 601 else 10_050)])
    order = sent(day, IntentKind.PLACE)[0].correlation_id
    day.feed(replace(naked(day, order), ts_ns=at(930)), at(930))
    tomorrow = replace(day.context, trade_date=date(2025, 7, 2))
    next_day = Day(tomorrow, day.broker)
    next_day.state = initial_state(
        tomorrow, codec.decode_carry_over(codec.encode_carry_over(carry_over(day.state)))
    )
    next_day._answer = lambda intent: ()  # type: ignore[assignment,method-assign]
    morning = at(530, day=date(2025, 7, 2))
    next_day.feed(DayOpened("2025-07-02", "v1", opening_paise, opening_paise > 0, morning), morning)
    return day, next_day, order


TOMORROW = date(2025, 7, 2)


@pytest.mark.parametrize("is_told_before", [False, True])
def test_a_carried_position_gets_its_stop_when_the_session_begins(is_told_before: bool) -> None:
    """Shortly before that none is asked for: by the begin it must be known whether it is there."""
    day, next_day, order = swing_carried()
    moments = [at(minute, day=TOMORROW) for minute in ((546, 555) if is_told_before else (555,))]
    for number, moment in enumerate(moments):
        assert sent(next_day, IntentKind.EMERGENCY_STOP) == []
        told = replace(naked(day, order), update_id=f"n{number}", ts_ns=moment)
        next_day.feed(told, moment)
        assert next_day.state.level() is KillLevel.ENTRIES_BLOCKED
    (guard,) = sent(next_day, IntentKind.EMERGENCY_STOP)
    assert (guard.correlation_id, guard.guard, guard.stop_paise) == (order, 1, 9_800)
    assert sent(next_day, IntentKind.EXIT) == []
    again = at(556, day=TOMORROW)
    next_day.feed(replace(naked(day, order), update_id="again", ts_ns=again), again)
    assert of(next_day, order, IntentKind.EXIT) == [(IntentKind.EXIT, 0)], "not guarded in a minute"


@pytest.mark.parametrize("end", ["rests", "refused", "ended at the open"])
def test_a_carried_position_gets_a_stop_for_the_open_in_the_morning(end: str) -> None:
    day, next_day, order = swing_carried()
    stop, early, opened = IntentKind.EMERGENCY_STOP, at(531, day=TOMORROW), at(555, 2, day=TOMORROW)
    next_day.feed(replace(naked(day, order), ts_ns=early), early)
    (guard,) = sent(next_day, stop)
    assert (guard.correlation_id, guard.guard, guard.stop_paise) == (order, 1, 9_800)
    if end == "refused":  # whether the broker takes a stop in the morning is its own affair
        refused = fact(BrokerUpdateKind.REJECTED, order, answers=stop)
        next_day.feed(replace(refused, guard=1), early + 1)
    else:
        next_day.feed(replace(covered(order, 0), ts_ns=early + 1), early + 1)
        assert next_day.state.level() is KillLevel.ACTIVE
    if end != "rests":
        due = 1 if end == "refused" else 2
        next_day.feed(replace(naked(day, order, guard=due), update_id="open", ts_ns=opened), opened)
    next_day.feed(TimerFired("MINUTE", at(556, day=TOMORROW)), at(556, day=TOMORROW))
    asked = {"rests": [1], "refused": [1, 1], "ended at the open": [1, 2]}[end]
    assert of(next_day, order, stop) == [(stop, number) for number in asked]
    assert sent(next_day, IntentKind.EXIT) == []
    if end != "rests":
        again = at(556, 5, day=TOMORROW)
        told = naked(day, order, guard=due + 1)
        next_day.feed(replace(told, update_id="again", ts_ns=again), again)
        assert of(next_day, order, IntentKind.EXIT) == [(IntentKind.EXIT, due + 1)], "one in the session"


def test_no_stop_is_asked_for_on_the_day_before() -> None:
    day, next_day, order = swing_carried()
    evening = at(1_200)
    next_day.feed(replace(naked(day, order), ts_ns=evening), evening)
    assert sent(next_day, IntentKind.EMERGENCY_STOP) == []


@pytest.mark.parametrize("is_told_first", [False, True])
def test_a_stop_moved_before_the_open_is_that_of_the_guard_and_closes_nothing(is_told_first: bool) -> None:
    """Each change is refused, since nothing rests; in the session ten refusals close a position."""
    day, next_day, order = swing_carried()
    opening = at(555, day=TOMORROW)

    def refuse(asked: OrderIntent) -> tuple[BrokerUpdate, ...]:
        if asked.created_ns >= opening:
            return ()
        refused = fact(BrokerUpdateKind.REJECTED, asked.correlation_id, answers=asked.kind)
        return (replace(refused, update_id=asked.intent_id, guard=asked.guard),)

    next_day._answer = refuse  # type: ignore[assignment,method-assign]
    told = naked(day, order)
    if is_told_first:
        early = at(534, day=TOMORROW)
        next_day.feed(replace(told, update_id="n", ts_ns=early), early)
    moved = {"stoploss_paise": 9_900, "received_ns": at(535, day=TOMORROW)}
    next_day.followup(make_followup(1, FollowupKind.UPDATE_STOPLOSS, **moved))
    for minute in range(536, 556):
        moment = at(minute, day=TOMORROW)
        next_day.feed(replace(told, update_id=f"n{minute}", ts_ns=moment), moment)
        next_day.feed(TimerFired("MINUTE", moment), moment)
    asked = [i.correlation_id for i in sent(next_day, IntentKind.MODIFY_STOP)]
    assert asked.count(order) == (0 if is_told_first else 1)
    assert len(asked) > 10, "of the other one nobody told that its stop is gone"
    guards = [i for i in sent(next_day, IntentKind.EMERGENCY_STOP) if i.created_ns > at(535, day=TOMORROW)]
    assert {(i.stop_paise, i.guard) for i in guards} == {(9_900, 1)}
    minutes = {i.created_ns for i in guards}
    assert minutes == {at(minute, day=TOMORROW) for minute in (*range(536, 545), 555)}
    assert {live.exit_goal for live in next_day.state.groups.values()} == {None}


def test_a_stop_refused_in_the_morning_is_asked_for_by_no_timer_before_the_session() -> None:
    day, next_day, order = swing_carried()
    early = at(531, day=TOMORROW)
    next_day.feed(replace(naked(day, order), ts_ns=early), early)
    refused = fact(BrokerUpdateKind.REJECTED, order, answers=IntentKind.EMERGENCY_STOP)
    next_day.feed(replace(refused, guard=1), early + 1)
    for minute in range(532, 555):
        moment = at(minute, day=TOMORROW)
        next_day.feed(TimerFired("MINUTE", moment), moment)
    assert of(next_day, order, IntentKind.EMERGENCY_STOP) == [(IntentKind.EMERGENCY_STOP, 1)]
    opened = at(555, day=TOMORROW)
    next_day.feed(TimerFired("MINUTE", opened), opened)
    assert of(next_day, order, IntentKind.EMERGENCY_STOP) == [(IntentKind.EMERGENCY_STOP, 1)] * 2


def test_the_timer_puts_no_stop_under_what_was_naked_yesterday_only() -> None:
    _, next_day, _ = swing_carried()
    opened = at(556, day=date(2025, 7, 2))
    next_day.feed(TimerFired("MINUTE", opened), opened)
    assert [intent.kind for intent in next_day.all("commands") if isinstance(intent, OrderIntent)] == []
    assert next_day.state.level() is KillLevel.ACTIVE


def test_an_unfilled_swing_entry_waits_for_the_next_session() -> None:
    rule = make_rule()
    rules = make_ruleset([replace(rule, key=replace(rule.key, period=Period.SWING))])
    day = Day(make_context(rules=rules)).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal(declared_period=Period.SWING))
    for minute in range(600, 930):
        day.bars([flat_bar(minute, 10_050)])
    day.close()
    assert day.state.corpus.deployed_paise == 0
    (entry,) = day.state.pending.values()
    assert (entry.why, entry.trade_date) == ("UNFILLED", date(2025, 7, 1))
    tomorrow = replace(day.context, trade_date=date(2025, 7, 2))
    next_day = Day(tomorrow)
    next_day.state = initial_state(tomorrow, carry_over(day.state))
    morning = at(530, day=date(2025, 7, 2))
    next_day.feed(DayOpened("2025-07-02", "v1", CORPUS_PAISE, True, morning), morning)
    next_day.bars([replace(flat_bar(555, 10_050), start_ns=at(555, day=date(2025, 7, 2)))])
    assert next_day.codes() == {"signal-0001": ["TRADED"]}
    assert [c.kind for c in sent(next_day, IntentKind.PLACE)] == [IntentKind.PLACE] * 2


def _order(**changes: Any) -> LegOrder:
    return replace(LegOrder("c", 1, 1, 10, OrderState.WORKING, "b", 10, 10, 1_000), **changes)


@pytest.mark.parametrize(
    ("order", "kind", "quantity", "answers", "expected"),
    [
        (_order(), BrokerUpdateKind.STOP_FILLED, 10, None, True),
        (_order(exited_quantity=10), BrokerUpdateKind.STOP_FILLED, 10, None, False),
        (_order(exited_quantity=10), BrokerUpdateKind.STOP_FILLED, 14, None, True),
        (_order(exited_quantity=10, oversold_units=4), BrokerUpdateKind.STOP_FILLED, 14, None, False),
        (_order(exited_quantity=4, oversold_units=4), BrokerUpdateKind.STOP_FILLED, 14, None, True),
        (_order(oversold_units=3), BrokerUpdateKind.OVERSOLD, 4, None, True),
        (_order(oversold_units=4), BrokerUpdateKind.OVERSOLD, 4, None, False),
        (_order(), BrokerUpdateKind.ENTRY_FILLED, 10, None, False),
        (_order(priced_quantity=5), BrokerUpdateKind.ENTRY_FILLED, 10, None, True),
        (_order(), BrokerUpdateKind.ACKNOWLEDGED, 0, None, False),
        (_order(state=OrderState.PREPARED), BrokerUpdateKind.ACKNOWLEDGED, 0, None, True),
        (_order(), BrokerUpdateKind.CANCELLED, 0, None, True),
        (_order(state=OrderState.DEAD), BrokerUpdateKind.CANCELLED, 0, None, False),
        (_order(), BrokerUpdateKind.REJECTED, 0, IntentKind.EXIT, False),
        (_order(exit_wanted=ExitReason.SQUARE_OFF), BrokerUpdateKind.REJECTED, 0, IntentKind.EXIT, True),
        (_order(wanted_stop_paise=9), BrokerUpdateKind.REJECTED, 0, IntentKind.MODIFY_STOP, True),
        (_order(), BrokerUpdateKind.FILL_UNPRICED, 10, None, False),
        (_order(filled_quantity=5), BrokerUpdateKind.FILL_UNPRICED, 10, None, True),
        (_order(), BrokerUpdateKind.UNREADABLE, 0, None, True),
        (_order(doubt_fact="u"), BrokerUpdateKind.UNREADABLE, 0, None, False),
        (_order(doubt_fact="u"), BrokerUpdateKind.READABLE, 0, None, True),
        (_order(), BrokerUpdateKind.NAKED, 10, None, True),
        (_order(cover_ns=1), BrokerUpdateKind.NAKED, 10, None, False),
        (_order(), BrokerUpdateKind.REJECTED, 0, IntentKind.PLACE, False),
        (LegOrder("c", 1, 1, 10), BrokerUpdateKind.REJECTED, 0, IntentKind.PLACE, True),
        (LegOrder("c", 1, 1, 10), BrokerUpdateKind.OUTCOME_UNKNOWN, 0, IntentKind.PLACE, True),
        (
            LegOrder("c", 1, 1, 10, OrderState.UNKNOWN),
            BrokerUpdateKind.OUTCOME_UNKNOWN,
            0,
            IntentKind.PLACE,
            False,
        ),
    ],
)
def test_an_order_shows_whether_it_has_heard_a_fact(
    order: LegOrder, kind: BrokerUpdateKind, quantity: int, answers: IntentKind | None, expected: bool
) -> None:
    update = BrokerUpdate("u", kind, "c", "b", 100, quantity, 1, answers=answers)
    assert is_news(order, update) is expected


class Refusing(SimBroker):
    """Refuses every entry while it is told to."""

    is_refusing = True

    def handle(self, intent: OrderIntent) -> Any:
        if intent.kind is IntentKind.PLACE and self.is_refusing:
            raise Rejected("DH-906: quantity above the freeze limit")
        return super().handle(intent)


def try_entry(day: Day, number: int, price: int = 10_000) -> DecisionCode:
    """Let an idea of one leg come that repeats none before it."""
    minute = 570 + 31 * number
    day.bars([flat_bar(minute - 1, 10_050)])
    signal = make_signal(
        number, received_ns=at(minute, 30), posted_ns=at(minute), targets_paise=(10_200,),
        entry_low_paise=price, entry_high_paise=price,
    )  # fmt: skip
    return day.signal(signal).decisions[0].code


def test_a_row_of_refused_entries_blocks_what_they_were_of_until_a_person_has_looked() -> None:
    broker = Refusing()
    day = Day(make_context(), broker).open()
    codes = [try_entry(day, number) for number in range(1, 7)]
    assert codes == [DecisionCode.TRADED] * 6
    assert day.state.level("INSTRUMENT:NSE_EQ:ALPHA") is KillLevel.ENTRIES_BLOCKED
    assert day.state.level("CATEGORY:NSE_EQ") is KillLevel.ENTRIES_BLOCKED
    assert day.state.level() is KillLevel.ACTIVE
    assert try_entry(day, 7) is DecisionCode.KILL_SWITCH
    broker.is_refusing = False
    for scope in ("INSTRUMENT:NSE_EQ:ALPHA", "CATEGORY:NSE_EQ"):
        day.feed(OperatorCommand(KillLevel.ACTIVE, scope, "anna", "lot mended", at(800)), at(800))
    assert try_entry(day, 8) is DecisionCode.TRADED
    assert day.state.entry_fates["CATEGORY:NSE_EQ"] == (False,), "counted anew since the block"


def test_an_entry_that_the_broker_took_ends_the_row() -> None:
    broker = Refusing()
    day = Day(make_context(), broker).open()
    for number in range(1, 9):
        broker.is_refusing = number != 4
        assert try_entry(day, number) is DecisionCode.TRADED
    assert day.state.entry_fates["CATEGORY:NSE_EQ"] == (True, True, True, False, True, True, True, True)
    assert day.state.level("CATEGORY:NSE_EQ") is KillLevel.ACTIVE


def test_what_was_kept_back_by_ourselves_is_no_refusal_of_the_broker() -> None:
    day, order = placed(OrderState.PREPARED)
    day.state = replace(day.state, entry_fates={})
    kept = fact(BrokerUpdateKind.REJECTED, order, reason="ENTRY_CUTOFF: too late", answers=IntentKind.PLACE)
    day.feed(replace(kept, broker_order_id=""), at(602))
    assert states(day, order) == OrderState.DEAD
    assert day.state.entry_fates == {}


def test_an_advisor_who_floods_is_traded_no_more_and_heard_on() -> None:
    day = Day(make_context(kill_limits=KillLimits(advisor_signals_max=3))).open()
    day.bars([flat_bar(599, 10_050)])

    def post(number: int, second: int, advisor: str = "A01") -> KillLevel:
        moment = at(600, second)
        day.signal(make_signal(number, received_ns=moment, posted_ns=moment, advisor_id=advisor))
        return day.state.level(f"ADVISOR:{advisor}")

    assert [post(number, 5 * number) for number in (1, 2, 3)] == [KillLevel.ACTIVE] * 3
    assert post(4, 61 + 5) is KillLevel.ACTIVE, "the first lies more than a minute back"
    assert post(5, 61 + 6) is KillLevel.ENTRIES_BLOCKED
    assert post(6, 61 + 7, "A02") is KillLevel.ACTIVE
    assert day.all("decisions")[-2].code is DecisionCode.KILL_SWITCH
    assert "signal-0005" in day.state.seen
    assert post(7, 61 + 400) is KillLevel.ENTRIES_BLOCKED, "a person lifts it"


def test_ideas_heard_late_all_at_once_are_no_flood() -> None:
    day = Day(make_context(kill_limits=KillLimits(advisor_signals_max=3))).open()
    day.bars([flat_bar(640, 10_050)])
    for number in range(1, 9):
        signal = make_signal(number, received_ns=at(600 + number), posted_ns=at(600 + number))
        day.signal(signal, now_ns=at(641))
    assert day.state.level("ADVISOR:A01") is KillLevel.ACTIVE

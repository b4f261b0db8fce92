"""What the end of a trade leads to: pauses that are stored with their end."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from propdesk.core.clock import NS_PER_HOUR
from propdesk.engine import codec
from propdesk.engine.entry_reserve import _promise
from propdesk.engine.state import LegOrder, LiveGroup, StepResult
from propdesk.engine.step import carry_over, initial_state
from propdesk.model.enums import KillLevel, Side, TradingMode
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, OperatorCommand, TimerFired
from propdesk.risk.kill_switch import KillLimits, next_day
from propdesk.risk.protections import Per, Protection, ProtectionKind
from tests.support.engine_day import (
    Day,
    at,
    flat_bar,
    make_bar,
    make_context,
    make_rule,
    make_ruleset,
    make_signal,
)

ADVISORS = ("A01", "A02", "A03", "A04")


def day_under(*protections: Protection, **limits_changed: int) -> Day:
    rules = make_ruleset([make_rule(advisor_id=name) for name in ADVISORS])
    limits = KillLimits(
        protections=protections, group_loss_r=100, day_loss_block=0.5, day_loss_halt=0.5, **limits_changed
    )
    day = Day(make_context(rules=rules, kill_limits=limits)).open()
    day.bars([flat_bar(599, 10_050)])
    return day


def idea(day: Day, number: int, minute: int, name: int = 0) -> StepResult:
    """An idea of the advisor of that number at 100.00, stop 98.00; ``name`` tells several apart."""
    advisor = ADVISORS[number - 1]
    return day.signal(
        make_signal(10 * name + number, advisor_id=advisor, posted_ns=at(minute), received_ns=at(minute, 30))
    )


def stopped_trade(day: Day, number: int, minute: int) -> None:
    """A trade that fills in the minute after its idea and is stopped in the next; then the price is back."""
    idea(day, number, minute)
    day.bars([make_bar(minute + 1, 10_050, 10_060, 9_990, 10_020)])
    day.bars([make_bar(minute + 2, 10_020, 10_030, 9_780, 9_790)])
    day.bars([flat_bar(minute + 3, 10_050)])


def code(result: StepResult) -> str:
    return result.decisions[-1].code.value


def test_a_streak_of_stops_pauses_its_underlying_until_the_stored_moment() -> None:
    rule = Protection(ProtectionKind.STOP_STREAK, Per.UNDERLYING, NS_PER_HOUR, 2 * NS_PER_HOUR, trades=2)
    day = day_under(rule)
    stopped_trade(day, 1, 600)
    assert day.state.levels.causes == {}
    stopped_trade(day, 2, 604)
    (cause,) = day.state.levels.causes.values()
    assert (cause.scope, cause.cause, cause.until_ns) == ("UNDERLYING:ALPHA", "PROTECTION", at(667))
    assert "2 trades lost at their stops of UNDERLYING:ALPHA, until 2025-07-01 11:07" in cause.reason
    assert code(idea(day, 3, 608)) == "KILL_SWITCH"
    day.feed(TimerFired("MINUTE", at(667) - 1), at(667) - 1)
    assert day.state.levels.causes
    day.bars([flat_bar(666, 10_050)])
    assert day.state.levels.causes == {}
    assert code(idea(day, 4, 667)) == "TRADED"


def test_a_later_trade_makes_a_pause_longer_and_tells_nobody_twice() -> None:
    day = day_under(Protection(ProtectionKind.COOL_DOWN, Per.SIDE, NS_PER_HOUR))
    idea(day, 1, 600)
    idea(day, 2, 600)
    day.bars([make_bar(601, 10_050, 10_060, 9_990, 10_020)])
    day.bars([make_bar(602, 10_020, 10_030, 9_780, 9_790)])
    assert len(day.all("trades")) == 4, "two legs each, stopped in one minute"
    (cause,) = day.state.levels.causes.values()
    assert (cause.scope, cause.until_ns) == ("SIDE:BUY", at(663))
    assert len([c for c in day.all("level_changes") if c.cause == "PROTECTION"]) == 1
    day.bars([flat_bar(603, 10_050)])
    assert code(idea(day, 3, 604)) == "KILL_SWITCH"
    sold = make_signal(
        4,
        advisor_id="A04",
        side=Side.SELL,
        stoploss_paise=10_200,
        targets_paise=(9_800,),
        received_ns=at(604, 40),
    )
    assert code(day.signal(sold)) == "TRADED"


def tell(day: Day, kind: BrokerUpdateKind, order: LegOrder, paise: int, units: int, now_ns: int) -> None:
    """The broker tells something of one leg's order at that moment of our clock."""
    reason = {BrokerUpdateKind.STOP_FILLED: "STOPLOSS", BrokerUpdateKind.EXIT_FILLED: "SQUARE_OFF"}
    name = f"{kind}{order.correlation_id}{now_ns}"
    update = BrokerUpdate(name, kind, order.correlation_id, "b", paise, units, now_ns, reason.get(kind, ""))
    day.feed(update, now_ns)


def stop_out(day: Day, group_number: int, now_ns: int) -> None:
    """Both legs of a group are stopped."""
    for order in list(day.state.groups.values())[group_number].orders:
        tell(day, BrokerUpdateKind.STOP_FILLED, order, 9_800, order.filled_quantity, now_ns)


def test_a_clock_set_back_between_two_ends_is_borne() -> None:
    day = day_under(Protection(ProtectionKind.STOP_STREAK, Per.UNDERLYING, NS_PER_HOUR, NS_PER_HOUR, 2))
    idea(day, 1, 600)
    idea(day, 2, 600)
    day.bars([make_bar(601, 10_050, 10_060, 9_990, 10_020)])
    stop_out(day, 0, at(610))
    stop_out(day, 1, at(609, 59))
    assert all(live.is_closed for live in day.state.groups.values())
    (cause,) = day.state.levels.causes.values()
    assert cause.until_ns == at(669, 59)


def test_without_protections_nothing_is_kept_and_nothing_paused() -> None:
    day = day_under()
    stopped_trade(day, 1, 600)
    assert len(day.all("trades")) == 2
    assert day.state.closed_trades == ()
    assert day.state.levels.causes == {}


def test_a_pause_and_what_it_looked_at_outlive_the_day() -> None:
    rule = Protection(ProtectionKind.STOP_STREAK, Per.ADVISOR, 48 * NS_PER_HOUR, 72 * NS_PER_HOUR, trades=1)
    day = day_under(rule)
    stopped_trade(day, 1, 600)
    carried = codec.decode_carry_over(codec.encode_carry_over(carry_over(day.state)))
    assert carried == carry_over(day.state)
    tomorrow = replace(day.context, trade_date=day.context.calendar.next_day(day.context.trade_date))
    next_day = Day(tomorrow)
    next_day.state = initial_state(tomorrow, carried)
    now = at(530, day=tomorrow.trade_date)
    opened = replace(day.log[0][1], trade_date=tomorrow.trade_date.isoformat(), ts_ns=now)  # type: ignore[type-var]
    next_day.feed(opened, now)
    assert next_day.state.level("ADVISOR:A01") is KillLevel.ENTRIES_BLOCKED
    assert [trade.group_id for trade in next_day.state.closed_trades] == list(day.state.groups)
    next_day.feed(OperatorCommand(KillLevel.ACTIVE, "ADVISOR:A01", "anna", "looked", now), now)
    assert next_day.state.level("ADVISOR:A01") is KillLevel.ACTIVE


@pytest.mark.parametrize("per", [Per.ADVISOR, Per.UNDERLYING])
def test_a_trade_that_won_is_no_stop(per: Per) -> None:
    day = day_under(Protection(ProtectionKind.STOP_STREAK, per, NS_PER_HOUR, NS_PER_HOUR, trades=1))
    idea(day, 1, 600)
    day.bars([make_bar(601, 10_050, 10_060, 9_990, 10_020)])
    day.bars([make_bar(602, 10_020, 10_500, 10_010, 10_450)])
    assert {trade.exit_reason.value for trade in day.all("trades")} == {"TARGET"}
    assert day.state.levels.causes == {}
    assert len(day.state.closed_trades) == 1


def demoting_day() -> Day:
    """A day after whose third stopped trade a rule of A01 is below its band."""
    day = day_under(drift_trades_min=3)
    for number in range(3):
        minute = 600 + 40 * number
        day.bars([flat_bar(minute - 1, 10_050)])
        idea(day, 1, minute, name=number)
        day.bars([make_bar(minute + 1, 10_050, 10_060, 9_990, 10_020)])
        # far through the stop: each trade loses more than was planned
        day.bars([make_bar(minute + 2, 9_600, 9_610, 9_590, 9_600)])
        day.bars([flat_bar(minute + 3, 10_050)])
    return day


def test_a_rule_below_its_band_is_demoted_for_the_day_and_counted_anew() -> None:
    day = demoting_day()
    rule = make_rule().key.text
    (cause,) = day.state.levels.causes.values()
    assert (cause.scope, cause.cause) == (f"RULE:{rule}", "DRIFT")
    assert "over 3 trades, below its band of" in cause.reason
    assert day.state.rule_results[rule].trades == 0
    day.bars([flat_bar(719, 10_050)])
    assert code(idea(day, 1, 720, name=9)) == "RULE_FAILED"
    assert code(idea(day, 2, 720)) == "TRADED", "another rule trades on"
    assert next_day(day.state.levels, at(1_500), at(1_501))[0].causes == {}


def test_what_a_rule_came_to_is_counted_over_days_and_not_judged_too_early() -> None:
    day = day_under(drift_trades_min=2)
    stopped_trade(day, 1, 600)
    rule = make_rule().key.text
    assert day.state.rule_results[rule].trades == 1
    assert day.state.rule_results[rule].sum_r == pytest.approx(-1.05, abs=0.1)
    carried = codec.decode_carry_over(codec.encode_carry_over(carry_over(day.state)))
    tomorrow = replace(day.context, trade_date=day.context.calendar.next_day(day.context.trade_date))
    assert initial_state(tomorrow, carried).rule_results == day.state.rule_results
    without = replace(tomorrow, ruleset=make_ruleset([make_rule(advisor_id="A09")]))
    assert initial_state(without, carried).rule_results == {}
    unprepared = replace(tomorrow, ruleset=make_ruleset())
    assert initial_state(unprepared, carried).rule_results == day.state.rule_results


def half_stopped(*protections: Protection, **limits_changed: int) -> Day:
    """A trade whose first leg is stopped and whose second was withdrawn, as far as was told by 10:04."""
    day = day_under(*protections, **limits_changed)
    idea(day, 1, 600)
    one, two = only_group(day).orders
    tell(day, BrokerUpdateKind.ENTRY_FILLED, one, 10_000, one.quantity, at(602))
    tell(day, BrokerUpdateKind.CANCELLED, two, 0, 0, at(603))
    tell(day, BrokerUpdateKind.STOP_FILLED, one, 9_800, one.quantity, at(604))
    return day


def only_group(day: Day) -> LiveGroup:
    (live,) = day.state.groups.values()
    return live


def test_a_late_fill_changes_what_its_trade_came_to_and_counts_no_second_one() -> None:
    rule = make_rule().key.text
    day = half_stopped(Protection(ProtectionKind.STOP_STREAK, Per.ADVISOR, NS_PER_HOUR, NS_PER_HOUR, 2))
    first = day.state.rule_results[rule]
    assert (first.trades, day.state.levels.causes) == (1, {})
    two = only_group(day).orders[1]
    tell(day, BrokerUpdateKind.ENTRY_FILLED, two, 10_000, 10, at(605))
    tell(day, BrokerUpdateKind.EXIT_FILLED, two, 9_900, 10, at(606))
    live = only_group(day)
    assert live.is_closed
    found = day.state.rule_results[rule]
    assert found.trades == 1
    assert found.sum_r == pytest.approx(live.net_pnl_paise / live.planned_risk_paise)
    assert found.sum_r < first.sum_r
    (closed,) = day.state.closed_trades
    assert closed.net_pnl_paise == live.net_pnl_paise
    assert day.state.levels.causes == {}, "one trade is no streak of two"


def test_what_is_told_again_of_a_closed_trade_is_not_judged_again() -> None:
    day = half_stopped(Protection(ProtectionKind.COOL_DOWN, Per.ADVISOR, NS_PER_HOUR))
    before = (day.state.levels, day.state.closed_trades, day.state.rule_results)
    two = only_group(day).orders[1]
    tell(day, BrokerUpdateKind.CANCELLED, two, 0, 0, at(610))
    tell(day, BrokerUpdateKind.NAKED, two, 0, 0, at(611))
    assert any(live.is_closed for live in day.results[-1].groups_changed), "it is reported once more"
    assert (day.state.levels, day.state.closed_trades, day.state.rule_results) == before


def test_a_result_is_net_of_charges_in_planned_risk() -> None:
    day = half_stopped()
    live = only_group(day)
    (found,) = day.state.rule_results.values()
    assert live.charges_paise > 0
    assert found.sum_r == live.net_pnl_paise / live.planned_risk_paise
    assert found.promised_r == make_rule().post_mean_r


def test_a_stop_that_won_is_no_loss() -> None:
    day = day_under(Protection(ProtectionKind.STOP_STREAK, Per.ADVISOR, NS_PER_HOUR, NS_PER_HOUR, trades=1))
    idea(day, 1, 600)
    for order in only_group(day).orders:
        tell(day, BrokerUpdateKind.ENTRY_FILLED, order, 10_000, order.quantity, at(602))
        tell(day, BrokerUpdateKind.STOP_FILLED, order, 10_300, order.quantity, at(603))
    (closed,) = day.state.closed_trades
    assert (closed.is_stopped, closed.net_pnl_paise > 0) == (False, True)
    assert day.state.levels.causes == {}


def test_a_group_that_never_traded_ends_as_no_trade() -> None:
    day = day_under(Protection(ProtectionKind.COOL_DOWN, Per.ADVISOR, NS_PER_HOUR, NS_PER_HOUR))
    idea(day, 1, 600)
    for order in only_group(day).orders:
        tell(day, BrokerUpdateKind.CANCELLED, order, 0, 0, at(603))
    assert only_group(day).is_closed
    assert (day.state.closed_trades, day.state.rule_results, day.state.levels.causes) == ((), {}, {})


def test_a_trade_against_its_advisor_weighs_on_our_side_and_judges_no_rule() -> None:
    cool_down = Protection(ProtectionKind.COOL_DOWN, Per.SIDE, NS_PER_HOUR, NS_PER_HOUR)
    rules = make_ruleset(adverse=[make_rule(is_adverse=True, post_mean_r=-0.3)])
    day = Day(make_context(rules=rules, kill_limits=KillLimits(protections=(cool_down,)))).open()
    day.bars([flat_bar(599, 10_050)])
    idea(day, 1, 600)
    assert only_group(day).group.is_reverse
    for order in only_group(day).orders:
        tell(day, BrokerUpdateKind.ENTRY_FILLED, order, 10_000, order.quantity, at(602))
        tell(day, BrokerUpdateKind.STOP_FILLED, order, 10_200, order.quantity, at(603))
    (cause,) = day.state.levels.causes.values()
    assert cause.scope == "SIDE:SELL", "the advisor said BUY"
    assert day.state.rule_results == {}


def test_a_trade_that_is_only_recorded_ends_nothing() -> None:
    cool_down = Protection(ProtectionKind.COOL_DOWN, Per.SIDE, NS_PER_HOUR, NS_PER_HOUR)
    limits = KillLimits(protections=(cool_down,))
    rules = make_ruleset([make_rule()])
    day = Day(make_context(rules=rules, kill_limits=limits, trading_mode=TradingMode.SHADOW)).open()
    day.bars([flat_bar(599, 10_050)])
    stopped_trade(day, 1, 600)
    assert any(live.is_shadow for live in day.all("groups_changed"))
    assert (day.state.closed_trades, day.state.rule_results, day.state.levels.causes) == ((), {}, {})


def test_a_trade_of_no_planned_risk_has_no_result_in_it() -> None:
    day = day_under()
    idea(day, 1, 600)
    live = only_group(day)
    unplanned = replace(live, planned_risk_paise=0)
    day.state = replace(day.state, groups={live.group.group_id: unplanned})
    for order in live.orders:
        tell(day, BrokerUpdateKind.ENTRY_FILLED, order, 10_000, order.quantity, at(602))
        tell(day, BrokerUpdateKind.EXIT_FILLED, order, 9_900, order.quantity, at(603))
    assert only_group(day).is_closed
    assert day.state.rule_results == {}


def test_each_trade_is_judged_by_what_was_promised_at_its_entry() -> None:
    day = day_under()
    idea(day, 1, 600)
    day.bars([make_bar(601, 10_050, 10_060, 9_990, 10_020)])
    learnt = make_rule(post_mean_r=-0.5, prob_edge=0.01)
    day.context = replace(day.context, ruleset=make_ruleset([learnt]))
    stop_out(day, 0, at(610))
    (found,) = day.state.rule_results.values()
    assert found.promised_r == make_rule().post_mean_r


@pytest.mark.parametrize("unknown", [{"post_mean_r": math.nan}, {"prob_edge": math.nan}, {"n": 0}])
def test_a_rule_that_promises_nothing_known_is_not_judged(unknown: dict[str, Any]) -> None:
    day = day_under()
    idea(day, 1, 600)
    plan = SimpleNamespace(rule=make_rule(**unknown), is_reverse=False)
    assert _promise(SimpleNamespace(context=day.context), plan) is None  # type: ignore[arg-type]


def test_the_trades_behind_an_expectation_widen_its_band() -> None:
    bands = []
    for n in (40, 4_000):
        rules = make_ruleset([make_rule(n=n)])
        day = Day(make_context(rules=rules)).open()
        day.bars([flat_bar(599, 10_050)])
        stopped_trade(day, 1, 600)
        (found,) = day.state.rule_results.values()
        bands.append(found.band_r)
    assert bands[1] < bands[0] - 1


def test_protections_are_stored_with_the_days_context() -> None:
    rule = Protection(ProtectionKind.DRAWDOWN, Per.SIDE, NS_PER_HOUR, 2 * NS_PER_HOUR, 3, 0.01)
    limits = KillLimits(protections=(rule,))
    assert codec.decode(KillLimits, codec.encode(limits)) == limits
    assert b"protections" not in codec.encode(KillLimits()), "a day without them is stored as before"

"""Every gate of a signal and the code it answers with (§5.3)."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from propdesk.engine.context import DayContext
from propdesk.engine.state import StepResult
from propdesk.model.enums import (
    Category,
    EntryType,
    KillLevel,
    Period,
    ReverseMode,
    RuleLevel,
    Side,
    TradingMode,
    TrustFlag,
)
from propdesk.model.messages import DecisionCode, OperatorCommand, OrderIntent, TimerFired
from propdesk.model.signal import Signal
from propdesk.risk.gateway import CategoryLimits, RiskLimits
from tests.support.engine_day import (
    DAY,
    Day,
    at,
    failing,
    flat_bar,
    make_context,
    make_instrument,
    make_rule,
    make_ruleset,
    make_signal,
)


def decide(
    context: DayContext | None = None, signal: Signal | None = None, price: int = 10_050
) -> StepResult:
    day = Day(context or make_context()).open()
    day.bars([flat_bar(599, price)])
    return day.signal(signal or make_signal())


def code(result: StepResult) -> DecisionCode:
    (decision,) = result.decisions
    return decision.code


def with_rules(*rules: Any, adverse: Any = (), **changes: Any) -> DayContext:
    return make_context(rules=make_ruleset(rules, adverse), **changes)


def adverse_rule() -> Any:
    return make_rule(is_adverse=True, post_mean_r=-0.3)


def test_not_ready() -> None:
    day = Day(make_context()).open(ready=False)
    day.bars([flat_bar(599, 10_050)])
    assert code(day.signal(make_signal())) is DecisionCode.NOT_READY


@pytest.mark.parametrize("scope", ["ACCOUNT", "ADVISOR:A01", "CATEGORY:NSE_EQ", "INSTRUMENT:NSE_EQ:ALPHA"])
def test_kill_switch_of_any_scope_stops_entries(scope: str) -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    day.feed(OperatorCommand(KillLevel.ENTRIES_BLOCKED, scope, "anna", "test", at(600)), at(600))
    assert code(day.signal(make_signal())) is DecisionCode.KILL_SWITCH
    day.feed(OperatorCommand(KillLevel.ACTIVE, scope, "anna", "over", at(601)), at(601))
    day.bars([flat_bar(600, 10_050)])
    assert (
        code(
            day.signal(
                make_signal(2, received_ns=at(601, 5), entry_low_paise=10_060, entry_high_paise=10_060)
            )
        )
        is DecisionCode.TRADED
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"underlying": "NOBODY"}, DecisionCode.UNKNOWN_SYMBOL),
        ({"group_key": "pair"}, DecisionCode.MULTI_LEG_UNSUPPORTED),
        (
            {"entry_low_paise": 9_500, "entry_high_paise": 9_500, "stoploss_paise": 9_000},
            DecisionCode.PRICE_DRIFT,
        ),
        ({"targets_paise": (10_050,)}, DecisionCode.THROUGH_LEVEL),
        ({"stoploss_paise": 10_050, "entry_low_paise": 10_100}, DecisionCode.THROUGH_LEVEL),
        ({"declared_period": Period.SWING}, DecisionCode.NO_MATCH),
        ({"advisor_id": "A99"}, DecisionCode.NO_MATCH),
    ],
)  # fmt: skip
def test_refusals_of_a_signal(changes: dict[str, Any], expected: DecisionCode) -> None:
    assert code(decide(signal=make_signal(**changes))) is expected


def test_swing_short_in_cash_is_unshortable() -> None:
    rule = make_rule()
    rule = replace(rule, key=replace(rule.key, period=Period.SWING))
    signal = make_signal(
        declared_period=Period.SWING, side=Side.SELL, stoploss_paise=10_300, targets_paise=(9_800,)
    )
    assert code(decide(with_rules(rule), signal)) is DecisionCode.UNSHORTABLE


def test_trade_for_trade_series() -> None:
    context = make_context([make_instrument(series="BE")])
    assert code(decide(context)) is DecisionCode.TRADE_FOR_TRADE


def test_stale_price_and_stale_signal() -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(590, 10_050)])
    assert code(day.signal(make_signal())) is DecisionCode.PRICE_STALE
    late = make_signal(2, received_ns=at(600))
    day.bars([flat_bar(604, 10_050)])
    assert code(day.signal(late, at(605))) is DecisionCode.STALE


def test_no_price_waits_and_then_gives_up() -> None:
    day = Day(make_context()).open()
    assert code(day.signal(make_signal())) is DecisionCode.PENDING_ENTRY
    day.feed(TimerFired("MINUTE", at(603)), at(603))
    assert day.codes() == {"signal-0001": ["PENDING_ENTRY", "NO_PRICE"]}
    assert dict(day.state.pending) == {}


def test_no_price_waits_and_is_armed_by_the_first_price() -> None:
    day = Day(make_context()).open()
    day.signal(make_signal())
    day.bars([flat_bar(600, 10_050)])
    assert day.codes() == {"signal-0001": ["PENDING_ENTRY", "TRADED"]}


def test_without_waiting_a_missing_price_is_final() -> None:
    day = Day(make_context(price_wait_ns=0)).open()
    assert code(day.signal(make_signal())) is DecisionCode.NO_PRICE


def test_before_the_open_an_idea_waits_and_is_gated_with_the_first_price() -> None:
    day = Day(make_context()).open()
    day.signal(make_signal(received_ns=at(540)))
    assert day.codes() == {"signal-0001": ["PENDING_ENTRY"]}
    day.bars([flat_bar(555, 10_050)])
    assert day.codes() == {"signal-0001": ["PENDING_ENTRY", "TRADED"]}


def test_intraday_entries_end_before_the_square_off() -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(901, 10_050)])
    assert code(day.signal(make_signal(received_ns=at(902)))) is DecisionCode.ENTRY_CUTOFF


def test_after_the_close_an_idea_waits_for_the_next_day() -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(929, 10_050)])
    assert code(day.signal(make_signal(received_ns=at(940)))) is DecisionCode.PENDING_ENTRY
    assert day.state.pending["signal-0001"].trade_date == date(2025, 7, 2)


def test_a_repost_is_a_duplicate_and_another_advisor_is_not() -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal(1))
    assert code(day.signal(make_signal(2, entry_low_paise=10_020, entry_high_paise=10_020))) is (
        DecisionCode.DUPLICATE
    )
    assert code(day.signal(make_signal(3, advisor_id="A02"))) is DecisionCode.NO_MATCH


def test_rule_failed_names_the_gate() -> None:
    result = decide(with_rules(failing(make_rule())))
    assert code(result) is DecisionCode.RULE_FAILED
    assert result.decisions[0].candidates[0].failed_gates == ("profit_factor",)


def test_a_rule_below_the_hurdle_fails() -> None:
    assert code(decide(with_rules(make_rule(prob_edge=0.7)))) is DecisionCode.RULE_FAILED


def test_a_demoted_rule_does_not_trade() -> None:
    day = Day(make_context()).open()
    day.bars([flat_bar(599, 10_050)])
    scope = f"RULE:{make_rule().key.text}"
    day.feed(OperatorCommand(KillLevel.ENTRIES_BLOCKED, scope, "anna", "drift", at(600)), at(600))
    assert code(day.signal(make_signal())) is DecisionCode.RULE_FAILED


def test_expiry_too_near_for_a_stock_future() -> None:
    future = make_instrument(
        category=Category.STOCK_FUT, instrument_key="STOCK_FUT:ALPHA:2025-07-02", expiry=date(2025, 7, 2)
    )
    rule = make_rule()
    rule = replace(rule, key=replace(rule.key, category=Category.STOCK_FUT))
    context = replace(with_rules(rule), resolve=lambda _s, _d: future)
    day = Day(context).open()
    day.bars([flat_bar(599, 10_050, "STOCK_FUT:ALPHA:2025-07-02")])
    assert code(day.signal(make_signal(category=Category.STOCK_FUT))) is DecisionCode.EXPIRY_TOO_NEAR


def test_no_stop_uses_the_rules_history_or_refuses() -> None:
    signal = make_signal(stoploss_paise=None)
    assert code(decide(with_rules(make_rule(wse_p90=float("nan"))), signal)) is DecisionCode.NO_STOP
    result = decide(signal=signal)
    assert code(result) is DecisionCode.TRADED
    places = [c for c in result.commands if isinstance(c, OrderIntent)]
    assert {p.stop_paise for p in places} == {9_800}  # 2 % below 100.00


def test_untrusted_is_sized_to_nothing() -> None:
    rule = make_rule(trust_flag=TrustFlag.UNTRUSTED)
    assert code(decide(with_rules(rule))) is DecisionCode.SIZE_ZERO


def test_one_lot_beyond_the_analytical_capital_is_unaffordable() -> None:
    context = make_context([make_instrument(lot_size=100_000)])
    assert code(decide(context)) is DecisionCode.UNAFFORDABLE


def test_no_budget_without_an_allocation() -> None:
    assert code(decide(make_context(allocations={Category.NSE_EQ: 0.0}))) is DecisionCode.NO_BUDGET


def test_illiquid_where_five_minutes_trade_too_little() -> None:
    context = make_context(average_traded_value={"NSE_EQ:ALPHA": 100})
    assert code(decide(context)) is DecisionCode.ILLIQUID


def test_an_unknown_traded_value_caps_nothing_and_is_written_down() -> None:
    (unknown,) = decide(make_context()).decisions
    (known,) = decide(make_context(average_traded_value={"NSE_EQ:ALPHA": 10**12})).decisions
    assert unknown.lots == known.lots > 0
    assert "is not known" in unknown.detail
    assert "is not known" not in known.detail


def test_risk_limit_refuses_banned_underlyings() -> None:
    context = make_context(limits=RiskLimits(banned=frozenset({"ALPHA"})))
    assert code(decide(context)) is DecisionCode.RISK_LIMIT


def test_an_adverse_rule_turns_the_idea_round() -> None:
    result = decide(with_rules(adverse=[adverse_rule()]))
    (decision,) = result.decisions
    assert decision.code is DecisionCode.TRADED_REVERSE
    assert decision.is_reverse
    (place,) = [c for c in result.commands if isinstance(c, OrderIntent)]
    assert (place.side, place.entry_type, place.stop_paise, place.target_paise) == (
        Side.SELL,
        EntryType.STOP.value,
        10_200,
        9_800,
    )
    assert {e.category for e in result.ledger_entries} == {"ADVERSE"}


def test_reverse_modes() -> None:
    rules = make_ruleset(adverse=[adverse_rule()])
    shadow = decide(make_context(rules=rules, reverse_mode=ReverseMode.SHADOW))
    assert code(shadow) is DecisionCode.SHADOW_REVERSE
    assert [g.is_shadow for g in shadow.groups_changed] == [True]
    assert not [c for c in shadow.commands if isinstance(c, OrderIntent)]
    assert dict(shadow.state.groups) == {}
    live = make_context(rules=rules, trading_mode=TradingMode.LIVE)
    assert code(decide(live)) is DecisionCode.SHADOW_REVERSE
    off = make_context(rules=rules, reverse_mode=ReverseMode.OFF)
    assert code(decide(off)) is DecisionCode.NO_MATCH


def test_a_reverse_without_target_has_no_stop() -> None:
    signal = make_signal(targets_paise=())
    assert code(decide(with_rules(adverse=[adverse_rule()]), signal)) is DecisionCode.REVERSE_NO_STOP


def test_a_normal_rule_goes_before_the_adverse_one() -> None:
    context = with_rules(make_rule(), adverse=[adverse_rule()])
    assert code(decide(context)) is DecisionCode.TRADED


def test_the_finest_rule_is_cited() -> None:
    fine = make_rule(RuleLevel.RULE_6D, post_mean_r=0.3)
    result = decide(with_rules(make_rule(), fine))
    assert result.decisions[0].rule_text == fine.key.text
    assert fine.key.text.startswith("6D|A01|NSE_EQ|INTRADAY|SIDEWAYS|TUESDAY|MORNING")


def test_the_crowd_multiplies_an_aligned_idea_and_is_stored() -> None:
    context = make_context()
    day = Day(context).open()
    day.bars([flat_bar(598, 10_050)])
    for number in range(2, 8):
        day.signal(
            make_signal(
                number,
                advisor_id=f"B{number}",
                received_ns=at(599, number),
                entry_type=EntryType.MARKET,
                entry_low_paise=None,
                entry_high_paise=None,
                stoploss_paise=9_700 + 5 * number,
            )
        )
    day.bars([flat_bar(599, 10_050)])
    day.bars([flat_bar(600, 10_050)])
    assert len(day.state.crowd.open["ALPHA"]) == 6
    (decision,) = day.signal(make_signal(received_ns=at(601, 30))).decisions
    alone = decide().decisions[0]
    assert (decision.crowd_score, decision.crowd_direction, decision.crowd_multiplier) == (
        1.0,
        "BULLISH",
        1.25,
    )
    assert alone.crowd_score is None
    assert decision.lots == int(alone.lots * 1.25)


def test_a_decision_knows_its_versions() -> None:
    (decision,) = decide().decisions
    assert (decision.ruleset_version, decision.regime, decision.decided_ns) == ("v1", "SIDEWAYS", at(600, 30))
    assert decision.margin_paise > 0
    assert decision.planned_risk_paise == decision.quantity * 200
    assert DAY.isoformat() == "2025-07-01"


def test_a_category_is_held_to_limits_of_its_own() -> None:
    own = CategoryLimits(Category.NSE_EQ, RiskLimits(open_groups_max=0))
    other = CategoryLimits(Category.INDEX_OPT, RiskLimits(banned=frozenset({"ALPHA"})))
    for held, code in (((own, other), DecisionCode.RISK_LIMIT), ((other,), DecisionCode.TRADED)):
        day = Day(make_context(category_limits=held)).open()
        day.bars([flat_bar(599, 10_050)])
        (decision,) = day.signal(make_signal()).decisions
        assert decision.code is code

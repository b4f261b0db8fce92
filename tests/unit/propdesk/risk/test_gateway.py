"""The one gate (§6): limits stop entries, never exits."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.model.enums import Direction, KillLevel
from propdesk.risk.exposure import BookView, GroupExposure, view_book
from propdesk.risk.gateway import Allow, Halt, IntentPlan, Reduce, Reject, RiskLimits, check

LIMITS = RiskLimits()
CORPUS = 1_000_000_000
PLAN = IntentPlan(
    is_entry=True,
    quantity=1_000,
    lot_size=10,
    level=KillLevel.ACTIVE,
    underlying="ALPHA",
    advisor_id="A01",
    rule_text="MINI|A01",
    direction=Direction.BULLISH,
    price_paise=10_000,
    last_paise=10_000,
    margin_per_lot_paise=20_000,
    risk_per_lot_paise=2_000,
)
BOOK = BookView(CORPUS)


def test_a_plain_entry_is_allowed() -> None:
    assert check(PLAN, BOOK, LIMITS, 0) == Allow()


@pytest.mark.parametrize("level", [level for level in KillLevel if level is not KillLevel.ACTIVE])
def test_a_level_halts_entries_and_lets_exits_leave(level: KillLevel) -> None:
    assert isinstance(check(replace(PLAN, level=level), BOOK, LIMITS, 0), Halt)
    out = IntentPlan(False, 50, 10, level)
    assert check(out, replace(BOOK, position_quantity=50), LIMITS, 0) == Allow()


def test_an_exit_never_turns_the_position_round() -> None:
    out = IntentPlan(False, 80, 10, KillLevel.ACTIVE)
    verdict = check(out, replace(BOOK, position_quantity=50), LIMITS, 0)
    assert isinstance(verdict, Reduce)
    assert verdict.quantity == 50
    assert isinstance(check(out, BOOK, LIMITS, 0), Reject)


@pytest.mark.parametrize(
    ("limits", "book"),
    [
        ({"banned": frozenset({"ALPHA"})}, {}),
        ({"entry_cutoff_ns": 5}, {}),
        ({"price_band": 0.0}, {}),
        ({"open_groups_max": 3}, {"open_groups": 3}),
        ({"trades_per_rule_max": 2}, {"trades_by_rule": {"MINI|A01": 2}}),
        ({"all_stops_loss_max": 0.01}, {"planned_risk_paise": 10_000_000}),
        ({"margin_utilisation_max": 0.5}, {"margin_paise": 500_000_000}),
        ({"exposure_advisor_max": 0.1}, {"by_advisor": {"A01": 100_000_000}}),
        ({"exposure_underlying_max": 0.1}, {"by_underlying": {"ALPHA": 100_000_000}}),
        ({"exposure_rule_max": 0.1}, {"by_rule": {"MINI|A01": 100_000_000}}),
        ({"exposure_direction_max": 0.1}, {"by_direction": {Direction.BULLISH: 100_000_000}}),
        ({"exposure_total_max": 0.1}, {"notional_paise": 100_000_000}),
    ],
)
def test_every_limit_rejects(limits: dict[str, Any], book: dict[str, Any]) -> None:
    plan = replace(PLAN, last_paise=10_001)
    assert isinstance(check(plan, replace(BOOK, **book), replace(LIMITS, **limits), 10), Reject)


def test_a_limit_with_room_for_less_reduces_to_whole_lots() -> None:
    verdict = check(PLAN, BOOK, replace(LIMITS, order_quantity_max=57), 0)
    assert isinstance(verdict, Reduce)
    assert verdict.quantity == 50


def accepted(limits: RiskLimits, plan: IntentPlan, book: BookView) -> int:
    verdict = check(plan, book, limits, 10)
    if isinstance(verdict, Allow):
        return plan.quantity
    return verdict.quantity if isinstance(verdict, Reduce) else 0


RATIOS = [
    "order_value_max_share",
    "price_band",
    "exposure_total_max",
    "exposure_underlying_max",
    "exposure_advisor_max",
    "exposure_rule_max",
    "exposure_direction_max",
    "margin_utilisation_max",
    "planned_risk_group_max",
    "all_stops_loss_max",
]


@given(
    name=st.sampled_from(RATIOS),
    loose=st.floats(0, 3),
    cut=st.floats(0, 1),
    lots=st.integers(1, 500),
    used=st.integers(0, 2_000_000_000),
)
def test_a_stricter_limit_never_lets_more_through(
    name: str, loose: float, cut: float, lots: int, used: int
) -> None:
    plan = replace(PLAN, quantity=lots * 10, last_paise=9_900)
    groups = [GroupExposure("ALPHA", "A01", "MINI|A01", Direction.BULLISH, used, used // 5, used // 50)]
    book = view_book(groups, CORPUS, {})
    strict = accepted(replace(LIMITS, **{name: loose * cut}), plan, book)
    assert strict <= accepted(replace(LIMITS, **{name: loose}), plan, book)

"""Size by hand-worked examples (§4.7)."""

import math
from dataclasses import replace

import pytest

from propdesk.model.enums import GateProfile, Side, TrustFlag
from propdesk.model.messages import DecisionCode
from propdesk.strategy.normal import protective_stop
from propdesk.strategy.sizing import (
    SizeRequest,
    SizingConfig,
    size_trade,
    skill_factor,
    slice_quantities,
    stage_factor,
    trust_factor,
    widened_lots,
    widened_stop,
)
from tests.support.engine_day import make_rule

CONFIG = SizingConfig()
# NIFTY future: 25,000.00, stop 24,900.00, lot 75, margin 2,25,000 per lot; corpus 1 crore.
FUTURE = SizeRequest(
    profile=GateProfile.DESK,
    side=Side.BUY,
    entry_paise=2_500_000,
    stop_paise=2_490_000,
    lot_size=75,
    margin_per_lot_paise=22_500_000,
    corpus_paise=1_000_000_000,
    budget_free_paise=1_000_000_000,
    trust_flag=TrustFlag.TRUSTED,
    trust_is_noise=False,
    post_mean_r=0.2,
    crowd_factor=1.0,
)
# A share: 100.00, stop 98.00, lot 1, margin 20.00.
SHARE = replace(FUTURE, entry_paise=10_000, stop_paise=9_800, lot_size=1, margin_per_lot_paise=2_000)


def test_desk_risk_is_a_quarter_percent_of_the_corpus() -> None:
    size = size_trade(SHARE, CONFIG)  # 25,000 rupees / 2 rupees; analytical 25,000 shares at 2 = 50,000
    assert (size.lots, size.planned_risk_paise, size.margin_paise) == (12_500, 2_500_000, 25_000_000)


def test_desk_risk_is_at_most_the_analytical_loss() -> None:
    size = size_trade(replace(SHARE, margin_per_lot_paise=10_000), CONFIG)  # 5,000 shares at 2 rupees
    assert (size.lots, size.planned_risk_paise) == (5_000, 1_000_000)


def test_one_lot_where_the_budget_gives_none() -> None:
    # one lot risks 7,500 rupees, the skill factor leaves 6,250: still one lot, within 0.25 %
    assert size_trade(replace(FUTURE, post_mean_r=0.06), CONFIG).lots == 1
    # the analytical two lots risk 15,000, that is below 25,000
    assert size_trade(FUTURE, CONFIG).lots == 2


def test_no_lot_where_one_lot_alone_risks_too_much() -> None:
    size = size_trade(replace(FUTURE, stop_paise=2_450_000), CONFIG)  # 37,500 rupees a lot
    assert (size.lots, size.code) == (0, DecisionCode.SIZE_ZERO)


@pytest.mark.parametrize(
    ("changes", "lots"),
    [
        ({"trust_flag": TrustFlag.WATCHLIST}, 6_250),
        ({"trust_flag": TrustFlag.WATCHLIST, "trust_is_noise": True}, 12_500),
        ({"post_mean_r": 0.1}, 6_250),
        ({"post_mean_r": 0.06}, 3_750),
        ({"post_mean_r": 5.0}, 12_500),
        ({"crowd_factor": 1.25}, 15_625),
        ({"budget_free_paise": 2_000_000}, 1_000),
        ({"traded_value_paise": 100_000_000}, 500),
        ({"depth_quantity": 1_000}, 200),
    ],
)
def test_factors_and_caps(changes: dict[str, object], lots: int) -> None:
    assert size_trade(replace(SHARE, **changes), CONFIG).lots == lots  # type: ignore[arg-type]


def test_original_is_the_analytical_size() -> None:
    request = replace(SHARE, profile=GateProfile.ORIGINAL)
    assert size_trade(request, CONFIG).lots == 25_000
    half = replace(request, trust_flag=TrustFlag.WATCHLIST, trust_is_noise=True)
    assert size_trade(half, CONFIG).lots == 12_500


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"margin_per_lot_paise": 50_000_001}, DecisionCode.UNAFFORDABLE),
        ({"budget_free_paise": 1_999}, DecisionCode.NO_BUDGET),
        ({"budget_free_paise": -5}, DecisionCode.NO_BUDGET),
        ({"traded_value_paise": 199_999}, DecisionCode.ILLIQUID),
        ({"spread_paise": 201}, DecisionCode.ILLIQUID),
        ({"spread_paise": 21}, DecisionCode.ILLIQUID),
        ({"trust_flag": TrustFlag.UNTRUSTED}, DecisionCode.SIZE_ZERO),
    ],
)
def test_refusals(changes: dict[str, object], code: DecisionCode) -> None:
    size = size_trade(replace(SHARE, **changes), CONFIG)  # type: ignore[arg-type]
    assert (size.lots, size.code) == (0, code)


def test_factors() -> None:
    assert trust_factor(None, False, GateProfile.DESK, CONFIG) == 1.0
    assert trust_factor(TrustFlag.WATCHLIST, True, GateProfile.ORIGINAL, CONFIG) == 0.5
    assert skill_factor(math.nan, CONFIG) == 0.25
    live = replace(CONFIG, is_live=True)
    assert [stage_factor(s, live) for s in ("CANARY", "REDUCED", "LIVE")] == [0.05, 0.5, 1.0]
    assert stage_factor("CANARY", CONFIG) == 1.0


def test_freeze_slices_are_whole_lots() -> None:
    assert slice_quantities(3_900, 65, 1_800) == (1_755, 1_755, 390)
    assert slice_quantities(1_755, 65, 1_800) == (1_755,)
    assert slice_quantities(100, 1, 0) == (100,)


def test_protective_stop_lies_beyond_the_90th_percentile() -> None:
    assert protective_stop(Side.BUY, 10_003, 0.02, 5) == 9_800
    assert protective_stop(Side.SELL, 10_003, 0.02, 5) == 10_205
    assert protective_stop(Side.BUY, 10_000, math.nan, 5) is None
    assert protective_stop(Side.BUY, 10_000, 1.0, 5) is None


def test_widening_needs_evidence_and_keeps_the_rupee_risk() -> None:
    hunted = make_rule(mean_post_sl_extension=-0.01, stopped_trades=10)
    assert widened_stop(hunted, Side.BUY, 10_000, 9_800, 5, CONFIG) == 9_700
    assert widened_stop(hunted, Side.SELL, 10_000, 10_200, 5, CONFIG) == 10_300
    assert widened_lots(300, 10_000, 9_800, 9_700) == 200
    few = make_rule(mean_post_sl_extension=-0.01, stopped_trades=9)
    assert widened_stop(few, Side.BUY, 10_000, 9_800, 5, CONFIG) is None
    calm = make_rule(mean_post_sl_extension=-0.005)
    assert widened_stop(calm, Side.BUY, 10_000, 9_800, 5, CONFIG) is None
    wide = make_rule(mean_post_sl_extension=-0.9)
    assert widened_stop(wide, Side.BUY, 10_000, 9_800, 5, CONFIG) == 7_000

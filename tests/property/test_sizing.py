"""Sizes over every factor and cap, against the rule of §4.7 worked out in exact fractions."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from propdesk.model.enums import GateProfile, Side, TrustFlag
from propdesk.model.messages import DecisionCode
from propdesk.strategy.normal import protective_stop
from propdesk.strategy.sizing import (
    Size,
    SizeRequest,
    SizingConfig,
    size_trade,
    slice_quantities,
    widened_lots,
    widened_stop,
)
from tests.support.engine_day import make_rule

CONFIG = SizingConfig()
FLAGS = (None, *TrustFlag)
EDGE = Fraction(1, 10**6)
"""Nearer to a whole lot than this, floats may fall on either side of it."""


@st.composite
def requests(draw: st.DrawFn) -> SizeRequest:
    """Requests whose money lies around what decides: a few lots by each of the limits, some just beside."""

    def around(unit: int, most: int) -> int:
        return max(0, unit * draw(st.integers(0, most)) // draw(st.integers(1, 4)) + draw(st.integers(-1, 1)))

    entry = draw(st.integers(100, 5_000_000))
    side = draw(st.sampled_from(Side))
    distance = max(1, entry * draw(st.integers(0, 300)) // 1_000)
    lot_size = draw(st.sampled_from((1, 25, 75, 500, 4_000)))
    margin = draw(st.integers(1, 60_000_000) | st.integers(100_000, 10_000_000))
    spread = draw(st.none() | st.integers(0, distance // 8 + 1))
    return SizeRequest(
        profile=draw(st.sampled_from(GateProfile)),
        side=side,
        entry_paise=entry,
        stop_paise=entry - side.sign * distance,
        lot_size=lot_size,
        margin_per_lot_paise=margin,
        corpus_paise=1 + around(400 * distance * lot_size, 60),
        budget_free_paise=draw(st.sampled_from((-5, margin * 10**4, around(margin, 60)))),
        trust_flag=draw(st.sampled_from(FLAGS)),
        trust_is_noise=draw(st.booleans()),
        post_mean_r=draw(st.sampled_from((math.nan, -0.5, 0.0, 0.04, 0.05, 0.1, 0.2, 3.0))),
        crowd_factor=draw(st.sampled_from((1.0, 1.25))),
        stage=draw(st.sampled_from(("LEARN", "PAPER", "CANARY", "LIVE", "REDUCED"))),
        traded_value_paise=around(20 * entry * lot_size, 60) if draw(st.booleans()) else None,
        depth_quantity=around(5 * lot_size, 60) if draw(st.booleans()) else None,
        spread_paise=spread,
    )


CONFIGS = st.builds(SizingConfig, size_model=st.sampled_from(("desk", "analytical")), is_live=st.booleans())


def factor_of(request: SizeRequest, config: SizingConfig) -> Fraction:
    """Trust × stage × crowd."""
    is_desk = request.profile is GateProfile.DESK
    trust = {TrustFlag.WATCHLIST: Fraction(1, 2), TrustFlag.UNTRUSTED: Fraction(0)}.get(
        request.trust_flag or TrustFlag.TRUSTED, Fraction(1)
    )
    if is_desk and request.trust_is_noise:
        trust = Fraction(1)
    stage = {"CANARY": Fraction(1, 20), "REDUCED": Fraction(1, 2)}.get(request.stage, Fraction(1))
    return trust * (stage if config.is_live else 1) * Fraction(request.crowd_factor)


def skill_of(post_mean_r: float) -> Fraction:
    if math.isnan(post_mean_r):
        return Fraction(1, 4)
    return min(Fraction(1), max(Fraction(1, 4), Fraction(str(post_mean_r)) / Fraction(1, 5)))


def wanted(request: SizeRequest, config: SizingConfig) -> tuple[Fraction, bool]:
    """Lots before the caps, unrounded; and whether a single lot is granted where that is below one."""
    analytical = config.analytical_capital_paise // request.margin_per_lot_paise
    risk_per_lot = abs(request.entry_paise - request.stop_paise) * request.lot_size
    factor = factor_of(request, config)
    if request.profile is GateProfile.ORIGINAL or config.size_model == "analytical":
        return analytical * factor, False
    ceiling = Fraction(1, 400) * request.corpus_paise
    risk = min(ceiling, Fraction(analytical * risk_per_lot)) * factor * skill_of(request.post_mean_r)
    return risk / risk_per_lot, factor > 0 and risk_per_lot <= ceiling


def expected(request: SizeRequest, config: SizingConfig) -> int | None:
    """Lots by exact arithmetic; None where floats cannot be asked to agree."""
    distance = abs(request.entry_paise - request.stop_paise)
    spread = request.spread_paise
    if spread is not None and (
        spread > Fraction(1, 50) * request.entry_paise or spread > Fraction(1, 10) * distance
    ):
        return 0
    if config.analytical_capital_paise // request.margin_per_lot_paise < 1:
        return 0
    exact, grants_one = wanted(request, config)
    caps = [Fraction(max(0, request.budget_free_paise) // request.margin_per_lot_paise)]
    lot_value = request.entry_paise * request.lot_size
    if request.traded_value_paise is not None:
        caps.append(Fraction(request.traded_value_paise, 20 * lot_value))
    if request.depth_quantity is not None:
        caps.append(Fraction(request.depth_quantity, 5 * request.lot_size))
    if any(0 < abs(value - round(value)) < EDGE for value in (exact, *caps)):
        return None
    lots = math.floor(exact)
    if lots == 0 and grants_one:
        lots = 1
    return min(lots, *(math.floor(cap) for cap in caps))


@settings(max_examples=400)
@given(requests(), CONFIGS)
def test_lots_are_those_of_exact_arithmetic(request: SizeRequest, config: SizingConfig) -> None:
    lots = expected(request, config)
    assume(lots is not None)
    assert size_trade(request, config).lots == lots


def test_every_combination_of_factors_is_that_of_exact_arithmetic() -> None:
    base = SizeRequest(
        profile=GateProfile.DESK, side=Side.BUY, entry_paise=10_000, stop_paise=9_800, lot_size=1,
        margin_per_lot_paise=2_000, corpus_paise=1_000_000_000, budget_free_paise=10**12,
        trust_flag=None, trust_is_noise=False, post_mean_r=0.2, crowd_factor=1.0,
    )  # fmt: skip
    seen = set()
    for profile, flag, noise, mean, crowd, stage, live, model in itertools.product(
        GateProfile,
        FLAGS,
        (False, True),
        (math.nan, -1.0, 0.05, 0.1, 0.2, 0.7),
        (1.0, 1.25),
        ("CANARY", "LIVE", "REDUCED"),
        (False, True),
        ("desk", "analytical"),
    ):
        request = replace(
            base, profile=profile, trust_flag=flag, trust_is_noise=noise, post_mean_r=mean,
            crowd_factor=crowd, stage=stage,
        )  # fmt: skip
        config = SizingConfig(size_model=model, is_live=live)
        lots = expected(request, config)
        assert size_trade(request, config).lots == lots, (request, config)
        seen.add(lots)
    assert len(seen) > 20
    assert 0 in seen


def test_one_lot_is_granted_up_to_exactly_the_share_of_the_corpus() -> None:
    base = SizeRequest(
        profile=GateProfile.DESK, side=Side.SELL, entry_paise=10_000, stop_paise=10_250, lot_size=100,
        margin_per_lot_paise=200_000, corpus_paise=1, budget_free_paise=10**9, trust_flag=None,
        trust_is_noise=False, post_mean_r=0.05, crowd_factor=1.0,
    )  # fmt: skip
    whole = 400 * 250 * 100
    corpora = (1, whole // 2, whole - 1, whole, whole + 1, 4 * whole - 400, 4 * whole, 8 * whole, 9 * whole)
    lots = [size_trade(replace(base, corpus_paise=corpus), CONFIG).lots for corpus in corpora]
    assert lots == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    untrusted = replace(base, corpus_paise=whole, trust_flag=TrustFlag.UNTRUSTED)
    assert size_trade(untrusted, CONFIG).lots == 0


@given(requests(), CONFIGS)
def test_no_size_is_beyond_a_cap_and_each_refusal_has_a_name(
    request: SizeRequest, config: SizingConfig
) -> None:
    size = size_trade(request, config)
    risk_per_lot = abs(request.entry_paise - request.stop_paise) * request.lot_size
    assert size.lots >= 0
    assert (size.code is None) == (size.lots > 0)
    assert size.quantity == size.lots * request.lot_size
    if size.lots == 0:
        assert size == Size(0, 0, 0, 0, size.code, size.detail)
        assert size.detail
        return
    assert size.planned_risk_paise == size.lots * risk_per_lot
    assert size.margin_paise == size.lots * request.margin_per_lot_paise <= request.budget_free_paise
    if request.traded_value_paise is not None:
        assert size.quantity * request.entry_paise <= request.traded_value_paise * (0.05 + 1e-9)
    if request.depth_quantity is not None:
        assert size.quantity <= request.depth_quantity * (0.20 + 1e-9)
    if request.profile is GateProfile.DESK and config.size_model == "desk":
        ceiling = 0.0025 * request.corpus_paise
        assert size.planned_risk_paise <= ceiling * max(request.crowd_factor, 1.0) * (1 + 1e-9)


@given(requests(), CONFIGS)
def test_untrusted_trades_nothing_unless_the_flag_is_noise_to_the_desk(
    request: SizeRequest, config: SizingConfig
) -> None:
    untrusted = replace(request, trust_flag=TrustFlag.UNTRUSTED)
    if untrusted.profile is GateProfile.DESK and untrusted.trust_is_noise:
        assert size_trade(untrusted, config) == size_trade(replace(untrusted, trust_flag=None), config)
    else:
        assert size_trade(untrusted, config).lots == 0


MORE: dict[str, tuple[float, ...]] = {
    "corpus_paise": (2, 10),
    "budget_free_paise": (2, 10),
    "traded_value_paise": (2, 10),
    "depth_quantity": (2, 10),
}


@given(requests(), CONFIGS, st.sampled_from(sorted(MORE)), st.integers(1, 10))
def test_more_of_what_is_scarce_never_gives_less(
    request: SizeRequest, config: SizingConfig, name: str, times: int
) -> None:
    value = getattr(request, name)
    assume(value is not None and value >= 0)
    more = replace(request, **{name: value * times})
    assert size_trade(more, config).lots >= size_trade(request, config).lots


@given(requests(), CONFIGS, st.floats(-1, 1), st.floats(-1, 1))
def test_more_skill_never_gives_less(
    request: SizeRequest, config: SizingConfig, one: float, other: float
) -> None:
    lots = [size_trade(replace(request, post_mean_r=mean), config).lots for mean in sorted((one, other))]
    assert lots == sorted(lots)


@given(requests(), CONFIGS)
def test_the_unit_of_money_does_not_matter(request: SizeRequest, config: SizingConfig) -> None:
    def twice(value: int | None) -> int | None:
        return None if value is None else 2 * value

    doubled = replace(
        request,
        entry_paise=2 * request.entry_paise,
        stop_paise=2 * request.stop_paise,
        margin_per_lot_paise=2 * request.margin_per_lot_paise,
        corpus_paise=2 * request.corpus_paise,
        budget_free_paise=2 * request.budget_free_paise,
        traded_value_paise=twice(request.traded_value_paise),
        spread_paise=twice(request.spread_paise),
    )
    config_doubled = replace(config, analytical_capital_paise=2 * config.analytical_capital_paise)
    assert size_trade(doubled, config_doubled).lots == size_trade(request, config).lots


@given(requests(), CONFIGS)
def test_buying_and_selling_at_the_same_distance_have_one_size(
    request: SizeRequest, config: SizingConfig
) -> None:
    mirrored = replace(
        request, side=request.side.opposite, stop_paise=2 * request.entry_paise - request.stop_paise
    )
    assert size_trade(mirrored, config) == size_trade(request, config)


@given(requests(), CONFIGS)
def test_a_wider_spread_than_either_limit_is_illiquid(request: SizeRequest, config: SizingConfig) -> None:
    limit = min(request.entry_paise // 50, abs(request.entry_paise - request.stop_paise) // 10)
    wide = size_trade(replace(request, spread_paise=limit + 1), config)
    assert (wide.lots, wide.code) == (0, DecisionCode.ILLIQUID)
    narrow = size_trade(replace(request, spread_paise=0), config)
    assert narrow == size_trade(replace(request, spread_paise=None), config)


@given(st.integers(1, 500), st.integers(1, 400), st.integers(0, 50_000))
def test_slices_are_whole_lots_below_the_freeze_and_hold_everything(
    lots: int, lot_size: int, freeze: int
) -> None:
    quantity = lots * lot_size
    slices = slice_quantities(quantity, lot_size, freeze)
    assert sum(slices) == quantity
    assert all(part > 0 and part % lot_size == 0 for part in slices)
    assert list(slices) == sorted(slices, reverse=True)
    assert len(set(slices)) <= 2, "all but the last are alike"
    if freeze >= lot_size:
        assert max(slices) <= freeze


@given(
    st.sampled_from(Side), st.integers(1_000, 1_000_000), st.integers(1, 2_000),
    st.floats(-0.5, 0.1), st.integers(0, 30), st.sampled_from((1, 5, 10)), st.integers(1, 1_000),
)  # fmt: skip
def test_a_widened_stop_is_farther_within_its_bound_and_risks_no_more(
    side: Side, entry: int, distance: int, extension: float, stopped: int, tick: int, lots: int
) -> None:
    distance = min(distance, entry * 3 // 10)
    stop = entry - side.sign * distance
    rule = make_rule(mean_post_sl_extension=extension, stopped_trades=stopped)
    widened = widened_stop(rule, side, entry, stop, tick, CONFIG)
    if stopped < 10 or not extension < -0.005:
        assert widened is None
        return
    if widened is None:
        return
    wider = side.sign * (entry - widened)
    assert distance < wider <= entry * 0.30 + tick
    assert widened % tick == 0
    fewer = widened_lots(lots, entry, stop, widened)
    assert 0 <= fewer <= lots
    assert fewer * wider <= lots * distance


@given(st.sampled_from(Side), st.integers(1_000, 1_000_000), st.floats(0.0005, 0.5), st.sampled_from((1, 5)))
def test_a_protective_stop_lies_on_the_losing_side_beyond_the_history(
    side: Side, entry: int, wse: float, tick: int
) -> None:
    stop = protective_stop(side, entry, wse, tick)
    assume(stop is not None)
    assert stop is not None
    distance = side.sign * (entry - stop)
    assert stop % tick == 0
    assert int(entry * wse) <= distance <= entry * wse + tick

"""What return statistics must keep whatever the series: bounds, scale, what order changes and what not."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from propdesk.metrics import performance as p
from propdesk.metrics.equity import max_drawdown

RETURNS = st.lists(
    st.floats(-0.5, 0.5).map(lambda r: round(r, 6)), min_size=2, max_size=60
).map(np.array)  # fmt: skip
RATIOS = ("sharpe", "sortino", "kappa_l2", "d_ratio", "bernardo_ledoit", "skewness", "kurtosis")
ANY_ORDER = (*RATIOS, "downside_deviation", "upside_risk", "mean_abs_deviation", "annual_volatility")
FEW = p.Convention(min_periods=2)


def same(a: float, b: float, tolerance: float = 1e-7) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-9)


@given(RETURNS)
def test_depths_are_bounded_and_ordered(returns: np.ndarray) -> None:
    depth = p.drawdowns(returns)
    assert ((depth <= 0) & (depth >= -1)).all()
    deepest = max_drawdown(p.curve_of_returns(returns))
    assert math.isclose(deepest, min(depth.min(), 0.0), abs_tol=1e-12)
    assert p.pain_index(returns) <= p.ulcer_index(returns) + 1e-12 <= -deepest + 2e-12


@given(RETURNS, st.floats(0.1, 10.0))
def test_ratios_do_not_know_the_size_of_the_bet(returns: np.ndarray, factor: float) -> None:
    once, scaled = p.performance(returns, FEW), p.performance(returns * factor / 20, FEW)
    base = p.performance(returns / 20, FEW)
    assert all(same(base[name], scaled[name], 1e-5) for name in RATIOS)
    assert once["downside_deviation"] >= 0


@given(RETURNS, st.randoms(use_true_random=False))
def test_order_moves_the_depth_alone(returns: np.ndarray, shuffler: object) -> None:
    shuffled = returns.copy().tolist()
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    before, after = p.performance(returns, FEW), p.performance(np.array(shuffled), FEW)
    assert all(same(before[name], after[name], 1e-6) for name in ANY_ORDER)
    assert math.isclose(before["total_return"], after["total_return"], rel_tol=1e-9, abs_tol=1e-9)


@given(RETURNS, st.floats(-0.1, 0.1))
def test_partial_moments_make_the_whole(returns: np.ndarray, target: float) -> None:
    up, down = (f(returns, 1, target) for f in (p.upper_partial_moment, p.lower_partial_moment))
    assert math.isclose(up - down, float(np.mean(returns)) - target, abs_tol=1e-12)
    square = p.upper_partial_moment(returns, 2, target) + p.lower_partial_moment(returns, 2, target)
    assert math.isclose(square, float(np.mean((returns - target) ** 2)), abs_tol=1e-12)


@given(st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=40), st.integers(1, 10))
def test_a_curve_looked_at_more_often_is_never_shallower(results: list[int], every: int) -> None:
    curve = p.curve_of_results(np.array(results, dtype=np.float64), 100_000.0)
    ends = np.concatenate([curve[:1], curve[1:][every - 1 :: every]])
    assert max_drawdown(curve) <= max_drawdown(ends)


@given(RETURNS)
def test_runs_of_losses_hold_every_loss(returns: np.ndarray) -> None:
    assert math.isclose(float(p.losing_runs(returns).sum()), float(returns[returns < 0].sum()), abs_tol=1e-12)

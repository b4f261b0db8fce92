"""Equity statistics, recency, trust and expectancy, each by hand."""

import math

import numpy as np
import pytest

from propdesk.core.errors import InvariantViolated
from propdesk.metrics import equity, expectancy, recency, trust
from propdesk.model.enums import TrustFlag


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], math.nan),
        ([100.0], 0.0),
        ([100.0, 110.0, 121.0], 0.0),
        ([100.0, 50.0, 25.0], -0.75),
        ([100.0, 120.0, 90.0, 130.0, 117.0], -0.25),
        ([100.0, -20.0], -1.2),
    ],
)
def test_max_drawdown(values: list[float], expected: float) -> None:
    assert equity.max_drawdown(np.array(values)) == pytest.approx(expected, nan_ok=True)


def test_sharpe_needs_twenty_days_and_a_spread() -> None:
    assert math.isnan(equity.sharpe(np.full(19, 0.01)))
    assert math.isnan(equity.sharpe(np.full(40, 0.01)))
    returns = np.tile([0.02, -0.01], 10)
    expected = 0.005 / np.std(returns, ddof=1) * math.sqrt(252)
    assert equity.sharpe(returns) == pytest.approx(expected)
    assert equity.sharpe(returns, 0.0252) == pytest.approx(expected * (0.005 - 0.0001) / 0.005)


def test_sharpe_error_grows_with_the_ratio_and_shrinks_with_days() -> None:
    assert equity.sharpe_error(0.0, 63) == pytest.approx(2.0)
    assert equity.sharpe_error(5.0, 63) > equity.sharpe_error(1.0, 63) > equity.sharpe_error(1.0, 630)
    assert math.isnan(equity.sharpe_error(math.nan, 63))


def test_sortino_and_calmar_by_hand() -> None:
    returns = np.tile([0.02, -0.01], 10)
    assert equity.sortino(returns) == pytest.approx(0.005 / math.sqrt(0.0001 / 2) * math.sqrt(252))
    assert equity.calmar(1.1, -0.05, 126) == pytest.approx((1.1**2 - 1) / 0.05)
    assert math.isnan(equity.calmar(1.1, 0.0, 126))
    assert equity.calmar(1e9, -0.5, 1) == math.inf


def test_weights_halve_every_half_life() -> None:
    assert recency.recency_weights(np.array([0.0, 10.0, 30.0])).tolist() == [1.0, 0.5, 0.125]
    assert recency.effective_size(np.array([1.0, 0.5])) == pytest.approx(1.5**2 / 1.25)
    assert math.isnan(recency.effective_size(np.zeros(0)))
    with pytest.raises(InvariantViolated):
        recency.recency_weights(np.array([-1.0]))


@pytest.mark.parametrize(
    ("divergence", "flag"),
    [
        (0.050001, TrustFlag.UNTRUSTED),
        (0.05, TrustFlag.TRUSTED),
        (0.15 - 0.10, TrustFlag.TRUSTED),
        (0.0, TrustFlag.TRUSTED),
        (-0.0001, TrustFlag.WATCHLIST),
        (-0.05, TrustFlag.WATCHLIST),
        (-0.0500001, TrustFlag.UNTRUSTED),
    ],
)
def test_bands_touch_as_stated(divergence: float, flag: TrustFlag) -> None:
    assert trust.trust_flag(divergence, 30) is flag
    assert trust.trust_flag(divergence, 29) is None


def test_trust_by_hand() -> None:
    ages = np.array([0.0] * 15 + [10.0] * 15)
    wins = np.array([True] * 9 + [False] * 6 + [True] * 6 + [False] * 9)
    found = trust.trust(ages, wins)
    assert found.win_rate == pytest.approx(0.5)
    assert found.win_rate_weighted == pytest.approx((9 + 3) / 22.5)
    n_eff = 22.5**2 / (15 + 15 * 0.25)
    assert found.n_eff == pytest.approx(n_eff)
    assert found.z == pytest.approx((12 / 22.5 - 0.5) / math.sqrt(0.25 * (1 / n_eff - 1 / 30)))
    assert found.flag is TrustFlag.TRUSTED
    assert found.is_noise


def test_no_trade_has_no_trust() -> None:
    found = trust.trust(np.zeros(0), np.zeros(0, dtype=bool))
    assert (found.n, found.flag, found.is_noise) == (0, None, False)


def test_profit_factor_is_infinite_without_a_loss() -> None:
    assert expectancy.profit_factor(np.array([5.0, 0.0])) == math.inf
    assert math.isnan(expectancy.profit_factor(np.array([0.0])))
    assert expectancy.profit_factor(np.array([6.0, -4.0])) == 1.5


def test_other_rates() -> None:
    assert expectancy.payoff_ratio(np.array([30.0, 10.0, -10.0])) == 2.0
    assert math.isnan(expectancy.payoff_ratio(np.array([1.0])))
    assert expectancy.expectancy_r(np.array([1.0, math.nan, -0.5])) == 0.25
    assert expectancy.losing_streak_max(np.array([False, False, True, False])) == 2
    assert expectancy.pain_reward_ratio(np.array([0.5]), np.array([2.0])) == 0.25
    assert math.isnan(expectancy.pain_reward_ratio(np.array([0.5]), np.array([0.0])))
    low, high = expectancy.wilson_interval(0, 10)
    assert low == pytest.approx(0.0, abs=1e-12)
    assert high == pytest.approx(0.2775, abs=1e-4)
    assert math.isnan(expectancy.wilson_interval(0, 0)[0])

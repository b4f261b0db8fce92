"""The band of a rule's live result, against dice that were thrown for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.errors import InvariantViolated
from propdesk.risk.drift import SPREAD_R_MIN, RuleResult, lower_band_r


def test_results_add_up() -> None:
    assert RuleResult().plus(1.5).plus(-1.0) == RuleResult(2, 0.5)


def test_one_rule_in_a_hundred_that_keeps_its_promise_is_below_its_band(rng: np.random.Generator) -> None:
    mean, unsure, n, trades, worlds = 0.3, 0.15, 100, 20, 200_000
    prob_edge = 0.9772498680518208  # Φ(mean / unsure)
    spread = unsure * n**0.5
    true_means = rng.normal(mean, unsure, worlds)
    sums = rng.normal(true_means * trades, spread * trades**0.5)
    share = float((sums < lower_band_r(mean, prob_edge, n, trades)).mean())
    assert share == pytest.approx(0.01, abs=0.001)


@pytest.mark.parametrize(
    ("mean", "prob_edge"),
    [(0.0, 0.5), (0.2, 0.4), (-0.1, 0.9), (0.0, 1.0)],
    ids=["none", "low", "wrong", "sure"],
)
def test_where_mean_and_probability_say_nothing_single_trades_do(mean: float, prob_edge: float) -> None:
    expected = 9 * mean - 2.3263478740408408 * SPREAD_R_MIN * 3
    assert lower_band_r(mean, prob_edge, 50, 9) == pytest.approx(expected)


def test_no_trade_has_no_band_and_nothing_stands_on_nothing() -> None:
    assert lower_band_r(0.2, 0.95, 40, 0) == 0
    for n, trades in ((0, 1), (1, -1)):
        with pytest.raises(InvariantViolated):
            lower_band_r(0.2, 0.95, n, trades)


@given(st.floats(-1, 2), st.floats(0, 1), st.integers(1, 5_000), st.integers(1, 500))
def test_the_band_lies_below_the_expectation(mean: float, prob_edge: float, n: int, trades: int) -> None:
    band = lower_band_r(mean, prob_edge, n, trades)
    assert band < trades * mean - 2.3 * SPREAD_R_MIN * trades**0.5

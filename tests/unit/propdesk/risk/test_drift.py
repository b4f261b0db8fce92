"""The band of a rule's live result, against dice that were thrown for it."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.errors import InvariantViolated
from propdesk.risk.drift import SPREAD_R_MIN, Promise, RuleResult, promise_of

HURDLE = 0.05


def band_of(promise: Promise, trades: int) -> float:
    """The band after so many trades of one promise."""
    result = RuleResult()
    for _ in range(trades):
        result = result.plus(0.0, promise)
    return result.band_r


def test_results_add_up_beside_what_each_was_promised() -> None:
    found = RuleResult().plus(1.5, Promise(0.2, 0.1, 2.0)).plus(-1.0, Promise(0.1, 0.3, 1.0))
    assert (found.trades, found.sum_r) == (2, 0.5)
    assert (found.promised_r, found.unsure_r, found.spread_r2) == pytest.approx((0.3, 0.4, 5.0))
    assert found.band_r == pytest.approx(0.3 - 2.3263478740408408 * math.sqrt(5.0 + 0.16))
    corrected = found.corrected(-0.25)
    assert (corrected.trades, corrected.sum_r, corrected.band_r) == (2, 0.25, found.band_r)
    assert RuleResult().corrected(-0.25) == RuleResult(), "what was counted anew knows no trade of before"


def test_one_rule_in_a_hundred_that_keeps_its_promise_is_below_its_band(rng: np.random.Generator) -> None:
    mean, unsure, n, trades, worlds = 0.3, 0.15, 100, 20, 200_000
    prob_edge = 1 - NormalDist(mean, unsure).cdf(HURDLE)
    spread = unsure * n**0.5
    true_means = rng.normal(mean, unsure, worlds)
    sums = rng.normal(true_means * trades, spread * trades**0.5)
    share = float((sums < band_of(promise_of(mean, prob_edge, n, HURDLE), trades)).mean())
    assert share == pytest.approx(0.01, abs=0.001)


def test_the_probability_is_of_exceeding_the_hurdle() -> None:
    prob_edge = 1 - NormalDist(0.10, 0.048).cdf(HURDLE)
    promise = promise_of(0.10, prob_edge, 400, HURDLE)
    assert (promise.mean_r, promise.unsure_r) == pytest.approx((0.10, 0.048))
    assert promise.spread_r == SPREAD_R_MIN, "a history that was narrow by luck"
    wide = promise_of(0.10, prob_edge, 900, HURDLE)
    assert wide.spread_r == pytest.approx(0.048 * 30), "as the trades that it stands on"


@pytest.mark.parametrize(
    ("mean", "prob_edge"),
    [(HURDLE, 0.5), (0.2, 0.4), (0.0, 0.9), (HURDLE, 1.0)],
    ids=["none", "low", "wrong", "sure"],
)
def test_where_mean_and_probability_say_nothing_single_trades_do(mean: float, prob_edge: float) -> None:
    assert promise_of(mean, prob_edge, 50, HURDLE) == Promise(mean, 0.0, SPREAD_R_MIN)


def test_no_trade_has_no_band_and_nothing_stands_on_nothing() -> None:
    assert RuleResult().band_r == 0
    with pytest.raises(InvariantViolated):
        promise_of(0.2, 0.95, 0, HURDLE)


@given(st.floats(-1, 2), st.floats(0, 1), st.integers(1, 5_000), st.integers(1, 100))
def test_the_band_lies_below_the_expectation(mean: float, prob_edge: float, n: int, trades: int) -> None:
    band = band_of(promise_of(mean, prob_edge, n, HURDLE), trades)
    assert band < trades * mean - 2.3 * SPREAD_R_MIN * trades**0.5

"""Sharpe's probability against published examples; reshuffled drawdowns against a plain loop."""

import math

import numpy as np
import pytest

from propdesk.core.errors import InvariantViolated
from propdesk.metrics import track_record as tr


def test_probabilistic_sharpe_of_the_paper() -> None:
    # Bailey and López de Prado (2012), the hedge fund of 24 months: SR 0.458, 0.982 if normal, 0.913 as it is
    assert tr.probabilistic_sharpe(0.458, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)
    assert tr.probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


def test_deflated_sharpe_of_the_paper() -> None:
    # Bailey and López de Prado (2014): best of 100, SR 2.5 a year over 1,250 days, variance of trials 1 / 2
    lucky = tr.lucky_sharpe(math.sqrt(0.5 / 250), 100)
    assert lucky == pytest.approx(0.1132, abs=5e-5)
    assert tr.probabilistic_sharpe(2.5 / math.sqrt(250), 1_250, -3.0, 10.0, lucky) == pytest.approx(
        0.9004, abs=5e-4
    )


def test_luck_of_one_record_is_none_and_grows_with_their_number() -> None:
    assert tr.lucky_sharpe(1.0, 1.0) == tr.lucky_sharpe(1.0, 0.0) == 0.0
    assert tr.lucky_sharpe(1.0, 1.05) == 0.0, "deflating never raises a probability"
    assert 0 < tr.lucky_sharpe(1.0, 5) < tr.lucky_sharpe(1.0, 50)
    draws = np.random.default_rng(1).normal(size=(4_000, 50)).max(axis=1)
    assert tr.lucky_sharpe(1.0, 50) == pytest.approx(draws.mean(), rel=0.02)


def test_a_record_of_the_least_length_has_the_probability_asked_for() -> None:
    days = tr.min_track_periods(0.12, -0.5, 6.0, 0.02)
    z = (0.12 - 0.02) * math.sqrt(days - 1) / math.sqrt(1 + 0.5 * 0.12 + 1.25 * 0.0144)
    assert 0.5 * math.erfc(-z / math.sqrt(2)) == pytest.approx(0.95)
    assert math.isnan(tr.min_track_periods(0.1, 0.0, 3.0, 0.1))
    assert math.isnan(tr.min_track_periods(math.nan, 0.0, 3.0))


def test_impossible_moments_and_short_records_have_no_probability() -> None:
    assert math.isnan(tr.probabilistic_sharpe(1.0, 1, 0.0, 3.0))
    assert math.isnan(tr.probabilistic_sharpe(1.0, 100, 3.0, 1.0))
    assert math.isnan(tr.probabilistic_sharpe(1.0, 100, math.nan, 3.0))


def test_blocks_keep_days_together_and_join_the_ends() -> None:
    days = tr.block_starts(7, 3, 400, np.random.default_rng(0))
    assert days.shape == (400, 7)
    steps = (np.diff(days, axis=1) % 7).reshape(-1)
    assert (steps[np.arange(len(steps)) % 6 % 3 != 2] == 1).all()
    assert np.bincount(days.ravel(), minlength=7).min() > 300


def plain(results: list[list[float]], order: np.ndarray, capital: float) -> float:
    value, peak, deepest = capital, capital, 0.0
    for day in order:
        for result in results[day]:
            value += result
            peak = max(peak, value)
            deepest = min(deepest, value / peak - 1)
    return deepest


@pytest.mark.parametrize("block", [1, 4])
def test_reshuffled_tails_are_those_of_a_plain_loop(block: int) -> None:
    rng = np.random.default_rng(6)
    groups = [[rng.normal(2.0, 30.0, int(n)).tolist() for n in rng.integers(0, 5, 23)] for _ in range(3)]
    day = np.concatenate([np.repeat(np.arange(23), [len(one) for one in days]) for days in groups])
    flat = np.array([value for days in groups for one in days for value in one])
    ends = np.cumsum([0, *(sum(map(len, days)) for days in groups)])
    orders = tr.block_starts(23, block, 600, np.random.default_rng(9))
    found = tr.reshuffled_tails(flat, day, ends[:-1], ends[1:], orders, 1_000.0)
    expected = [sorted(plain(days, order, 1_000.0) for order in orders)[30] for days in groups]
    assert found == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) == 3


def test_records_without_a_loss_or_an_exit_have_no_drawdown() -> None:
    orders = tr.block_starts(4, 2, 3, np.random.default_rng(1))
    low, high = np.array([0, 4]), np.array([4, 4])
    assert tr.reshuffled_tails(np.ones(4), np.arange(4), low, high, orders, 10.0).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("day", "capital"), [([1, 0], 10.0), ([0, 5], 10.0), ([0, 1], 0.0)])
def test_impossible_records_are_refused(day: list[int], capital: float) -> None:
    orders, low, high = np.zeros((1, 5), dtype=np.int64), np.array([0]), np.array([2])
    with pytest.raises(InvariantViolated):
        tr.reshuffled_tails(np.ones(2), np.array(day), low, high, orders, capital)

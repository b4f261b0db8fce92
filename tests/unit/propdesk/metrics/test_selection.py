"""Odds of overfitting: by a plain loop, where nobody has an edge, where one has it, where luck turns."""

import math
from itertools import combinations

import numpy as np
import pytest

from propdesk.core.errors import InvariantViolated
from propdesk.metrics.selection import overfit_odds


def plainly(returns: np.ndarray, blocks: int) -> tuple[float, float]:
    """The same by the words of the definition."""
    parts = np.split(returns, blocks)
    below, losing, splits = 0.0, 0, 0
    for chosen in combinations(range(blocks), blocks // 2):
        past = np.concatenate([parts[b] for b in chosen])
        later = np.concatenate([parts[b] for b in range(blocks) if b not in chosen])
        best = int(np.argmax(past.mean(axis=0) / past.std(axis=0)))
        ratios = later.mean(axis=0) / later.std(axis=0)
        rank = (ratios < ratios[best]).sum() + 1  # 1 is the worst
        logit = math.log(rank / (len(ratios) + 1 - rank))
        below += 1.0 if logit < 0 else 0.5 if logit == 0 else 0.0
        losing += ratios[best] < 0
        splits += 1
    return below / splits, losing / splits


@pytest.mark.parametrize("seed", range(3))
def test_odds_are_those_of_the_definition(seed: int) -> None:
    returns = np.random.default_rng(seed).normal(0.05, 1.0, (48, 7))
    found = overfit_odds(returns, blocks=6)
    odds, losing = plainly(returns, 6)
    assert (found.odds, found.loss_odds) == (pytest.approx(odds), pytest.approx(losing))
    assert (found.records, found.splits) == (7, 20)


def test_luck_is_a_coin_toss_and_skill_is_not() -> None:
    rng = np.random.default_rng(3)
    luck = [overfit_odds(rng.normal(0.0, 1.0, (96, 10)), blocks=8).odds for _ in range(30)]
    assert np.mean(luck) == pytest.approx(0.5, abs=0.1)
    skill = rng.normal(0.0, 1.0, (160, 10))
    skill[:, 4] += 1.0
    assert overfit_odds(skill).odds == 0.0
    assert overfit_odds(skill).splits == 12_870


def test_records_whose_luck_turns_are_overfitted() -> None:
    # each earns in one half of the days what it loses in the other
    half = np.concatenate([np.ones(80), -np.ones(80)])
    noise = np.random.default_rng(5).normal(0.0, 0.1, (160, 2))
    found = overfit_odds(np.stack([half, -half], axis=1) + noise)
    assert found.odds > 0.8  # halves that hold both alike tell nothing
    assert found.loss_odds > 0.9


def test_copies_are_one_record_and_few_days_are_unknown() -> None:
    returns = np.random.default_rng(1).normal(size=(64, 3))
    assert overfit_odds(np.concatenate([returns, returns], axis=1)) == overfit_odds(returns)
    for unknown in (returns[:, :1], returns[:31], np.zeros((64, 4)), np.zeros((0, 3))):
        assert math.isnan(overfit_odds(unknown).odds)
        assert overfit_odds(unknown).splits == 0
    flat = overfit_odds(np.stack([np.zeros(64), np.ones(64)], axis=1))
    assert flat.odds == 0.5  # neither varies, so that neither has a ratio
    with pytest.raises(InvariantViolated, match="even"):
        overfit_odds(returns, blocks=3)
    with pytest.raises(InvariantViolated, match="missing"):
        overfit_odds(np.full((64, 2), np.nan))

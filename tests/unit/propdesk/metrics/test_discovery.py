"""Searching many groups at once, by hand and against a second source."""

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from propdesk.metrics import discovery

NONE = np.zeros(0, dtype=np.int64)


@pytest.mark.parametrize(("ours", "theirs"), [("bh", "fdr_bh"), ("by", "fdr_by")])
def test_q_values_agree_with_statsmodels(ours: discovery.Dependence, theirs: str) -> None:
    p_value = np.random.default_rng(5).random(60) ** 3
    expected = multipletests(p_value, method=theirs)[1]
    assert discovery.q_values(p_value, ours) == pytest.approx(expected, rel=1e-12)


def test_what_is_not_tested_counts_for_nothing() -> None:
    found = discovery.q_values(np.array([0.01, math.nan, 0.04]))
    assert found[[0, 2]].tolist() == [0.02, 0.04]
    assert math.isnan(found[1])
    assert np.isnan(discovery.q_values(np.full(2, math.nan))).all()


def test_the_search_goes_down_inside_what_is_selected() -> None:
    advisors = np.array([0.01, 0.9, 0.04, math.nan])
    minis = np.array([0.03, 0.2, 0.001, 0.04, 0.05, 0.0001])
    parent = np.array([0, 0, 1, 2, 2, 3])
    cells, of_mini = np.array([0.01, 0.02, 0.0]), np.array([0, 3, 2])
    # advisors: q 0.03 and 0.06 of three tested, two selected: families at 0.1 × 2 / 3
    selected = discovery.select_tree([advisors, minis, cells], [NONE, parent, of_mini], 0.1)
    assert selected[0].tolist() == [True, False, True, False]
    # family 0: 0.03 × 2 = 0.06 passes 0.0667, 0.2 does not; family 2: both q are 0.05
    assert selected[1].tolist() == [True, False, False, True, True, False]
    # below mini 0 the rate is 0.0667 × 1 / 2, below mini 3 still 0.0667
    assert selected[2].tolist() == [True, True, False]
    strict = discovery.select_tree(
        [advisors, minis, np.array([0.04, 0.05, 0.0])], [NONE, parent, of_mini], 0.1
    )
    assert strict[2].tolist() == [False, True, False]


def test_nothing_is_searched_below_nothing() -> None:
    selected = discovery.select_tree(
        [np.array([0.9]), np.array([0.0])], [NONE, np.zeros(1, dtype=np.int64)], 0.1
    )
    assert [level.tolist() for level in selected] == [[False], [False]]


def test_e_values_are_selected_by_hand() -> None:
    # of four at 10 %: 40 for one, 20 for two, 13.3 for three
    assert discovery.select_by_e(np.array([21.0, 1.0, 20.0, 3.0]), 0.1).tolist() == [True, False, True, False]
    assert discovery.select_by_e(np.array([39.0, 1.0, 1.0, 3.0]), 0.1).tolist() == [False] * 4
    assert discovery.select_by_e(np.full(3, 14.0), 0.1).tolist() == [True] * 3
    assert discovery.select_by_e(np.zeros(0), 0.1).tolist() == []


def test_truth_of_the_desk_by_hand() -> None:
    # ten tested, one not: four of p > 0.5, so pi0 = 0.8; four beyond ±1.2816
    z = np.array([3.0, 2.0, 1.5, -2.5, 0.1, -0.2, 0.3, -0.4, 0.9, 1.0, math.nan])
    found = discovery.desk_truth(z)
    assert (found.tested, found.found_positive, found.found_negative) == (10, 3, 1)
    assert found.share_zero == pytest.approx(0.8)
    assert found.expected_lucky == pytest.approx(0.8)
    assert found.share_positive == pytest.approx(0.2 * 2.2 / 2.4)
    assert found.share_negative == pytest.approx(0.2 * 0.2 / 2.4)


def test_truth_of_an_empty_desk_is_unknown() -> None:
    found = discovery.desk_truth(np.array([math.nan]))
    assert (found.tested, found.found_positive) == (0, 0)
    assert math.isnan(found.share_zero)


def test_truth_of_a_desk_of_luck_and_of_a_desk_with_skill() -> None:
    rng = np.random.default_rng(8)
    luck = discovery.desk_truth(rng.normal(size=4_000))
    assert luck.share_zero == pytest.approx(1.0, abs=0.06)
    assert luck.found_positive == pytest.approx(luck.expected_lucky, rel=0.15)
    mixed = np.concatenate([rng.normal(size=2_800), rng.normal(3.0, 1.0, 800), rng.normal(-3.0, 1.0, 400)])
    found = discovery.desk_truth(mixed)
    assert (found.share_zero, found.share_positive, found.share_negative) == pytest.approx(
        (0.7, 0.2, 0.1), abs=0.05
    )


def test_independent_trials_by_hand() -> None:
    one = np.array([0.01, -0.02, 0.03, 0.0])
    other = np.array([0.01, 0.01, 0.0, -0.02])  # correlated with the first by some r
    r = float(np.corrcoef(one, other)[0, 1])
    assert discovery.effective_trials(np.stack([one, other], axis=1)) == pytest.approx(4 / (2 + 2 * r * r))
    assert discovery.effective_trials(np.stack([one, 2 * one, -one], axis=1)) == pytest.approx(1.0)
    assert discovery.effective_trials(np.stack([one, np.zeros(4)], axis=1)) == pytest.approx(1.0)
    assert discovery.effective_trials(np.zeros((4, 2))) == 0.0
    assert discovery.effective_trials(np.zeros((0, 2))) == 0.0


def test_independent_trials_are_the_participation_of_eigenvalues() -> None:
    returns = np.random.default_rng(2).normal(size=(80, 7))
    returns[:, 1] += returns[:, 0]
    values = np.linalg.eigvalsh(np.corrcoef(returns, rowvar=False))
    assert discovery.effective_trials(returns) == pytest.approx(values.sum() ** 2 / (values**2).sum())

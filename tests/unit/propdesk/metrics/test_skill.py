"""The null of no skill against its closed forms and against a simulation."""

import math

import numpy as np
import pytest

from propdesk.metrics.shrinkage import intraclass_correlation, probability_above, shrink_level
from propdesk.metrics.skill import (
    HORIZONS_R2,
    LEGS_MAX,
    Chains,
    NoSkillTable,
    break_even_chances,
    break_even_drifts,
    pain_reward_without_skill,
    remaining_chances,
    shapes_of,
)


def chains(*rows: tuple[list[float], list[float]]) -> Chains:
    levels, share = np.zeros((len(rows), LEGS_MAX)), np.zeros((len(rows), LEGS_MAX))
    for i, (targets, shares) in enumerate(rows):
        levels[i, : len(targets)], share[i, : len(shares)] = targets, shares
    return Chains(levels, share, np.array([len(t) for t, _ in rows], dtype=np.int64))


def chances(chain: Chains, cost: float) -> np.ndarray:
    costs = np.full(len(chain.legs), cost)
    return break_even_chances(chain, costs, break_even_drifts(chain, costs))


@pytest.mark.parametrize("reward", [0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("cost", [0.0, 0.1, 0.3])
def test_single_target_is_the_textbook_chance(reward: float, cost: float) -> None:
    assert chances(chains(([reward], [1.0])), cost)[0] == pytest.approx((1 + cost) / (1 + reward), abs=1e-9)


def test_chain_without_cost_by_hand() -> None:
    # 1 R, then 2 R with the stop at entry: 1/2 to the first, then half; a win needs the first target only
    assert chances(chains(([1.0, 2.0], [0.5, 0.5])), 0.0)[0] == pytest.approx(0.5)


def test_what_cannot_be_known_is_nan() -> None:
    both = chains(([], []), ([0.2], [1.0]))
    found = chances(both, 0.5)  # no target; a target that never pays its cost
    assert np.isnan(found).all()


def _simulate(
    chain: Chains, drift: float, cost: float, horizon: int, seed: int
) -> tuple[float, float, float]:
    """Mean net R, mean counted hit, share of wins among the ended of 20,000 walks cut at ``horizon``."""
    rng = np.random.default_rng(seed)
    n, step = 20_000, 1 / 16
    levels, share, legs = chain.levels[0], chain.share[0], int(chain.legs[0])
    up = 1 / (1 + math.exp(-drift * step))
    at, banked, left = np.zeros(n), np.zeros(n), np.ones(n)
    stage = np.zeros(n, dtype=np.int64)
    stop, alive = np.full(n, -1.0), np.ones(n, dtype=bool)
    for _ in range(horizon):
        rows = np.flatnonzero(alive)
        if len(rows) == 0:
            break
        at[rows] += np.where(rng.random(len(rows)) < up, step, -step)
        reached = rows[at[rows] >= levels[np.minimum(stage[rows], legs - 1)] - 1e-9]
        banked[reached] += share[stage[reached]] * levels[stage[reached]]
        left[reached] -= share[stage[reached]]
        stop[reached] = np.where(stage[reached] == 0, 0.0, levels[np.maximum(stage[reached] - 1, 0)])
        stage[reached] += 1
        alive[reached] &= stage[reached] < legs
        stopped = rows[(at[rows] <= stop[rows] + 1e-9) & alive[rows]]
        banked[stopped] += left[stopped] * stop[stopped]
        left[stopped] = 0.0
        alive[stopped] = False
    ended = ~alive
    net = banked + left * at - cost
    many = Chains(np.repeat(chain.levels, n, 0), np.repeat(chain.share, n, 0), np.full(n, legs))
    cut = remaining_chances(many, np.full(n, cost), np.full(n, drift), stage, at)
    hit = np.where(ended, net > 1e-9, cut)
    return float(net.mean()), float(hit.mean()), float((net[ended] > 1e-9).mean())


@pytest.mark.parametrize(
    ("targets", "shares"), [([1.5], [1.0]), ([1.0, 2.0, 3.0], [0.5, 0.25, 0.25]), ([0.5, 2.5], [0.5, 0.5])]
)
def test_null_agrees_with_a_simulation(targets: list[float], shares: list[float]) -> None:
    chain, cost = chains((targets, shares)), 0.125
    drift = float(break_even_drifts(chain, np.array([cost]))[0])
    net, hit, _ = _simulate(chain, drift, cost, 20_000, seed=3)
    assert net == pytest.approx(0.0, abs=0.03)
    assert hit == pytest.approx(float(chances(chain, cost)[0]), abs=0.012)


def test_ideas_cut_by_time_do_not_bias_the_count() -> None:
    chain, cost = chains(([3.0], [1.0])), 0.125
    drift = float(break_even_drifts(chain, np.array([cost]))[0])
    _, hit, only_ended = _simulate(chain, drift, cost, 256, seed=5)
    expected = float(chances(chain, cost)[0])
    assert hit == pytest.approx(expected, abs=0.012)
    assert only_ended < expected - 0.05  # leaving them out would favour the nearer level


@pytest.mark.parametrize("reward", [1.0, 1.5, 3.0])
def test_pain_reward_without_skill_has_its_closed_form(reward: float) -> None:
    shapes, number = shapes_of(chains(([reward], [1.0])))
    table = NoSkillTable(seed=11, paths=40_000).table(shapes)[number]
    found = pain_reward_without_skill(table, np.zeros(1))[0]
    assert found == pytest.approx(reward * math.log((1 + reward) / reward) / math.log(1 + reward), rel=0.02)


def test_pain_reward_moves_toward_one_with_timed_exits() -> None:
    shapes, number = shapes_of(chains(([3.0], [1.0])))
    table = NoSkillTable(seed=1).table(shapes)[number]
    assert table.shape == (1, len(HORIZONS_R2), 3)
    found = [pain_reward_without_skill(table, np.array([s]))[0] for s in (0.0, 0.3, 0.6, 0.9)]
    assert found == sorted(found)
    assert found[-1] > 0.9


def test_shapes_keep_targets_apart() -> None:
    shapes, number = shapes_of(chains(([1.0, 1.01], [0.5, 0.5]), ([], []), ([99.0], [1.0])))
    assert shapes[number[0]][:2].tolist() == [8, 9]
    assert number[1] == -1
    assert shapes[number[2]][0] == 64


def test_shrinkage_by_hand() -> None:
    # gaps 0.4 and −0.4 around the parent, v = 1 / 25: tau² = 0.16 − 0.04 − 0.01 = 0.11
    post = shrink_level(
        np.array([0.4, -0.4]), np.array([25.0, 25.0]), np.zeros(2), np.full(2, 0.01), variance=1.0
    )
    weight = 0.12 / 0.16
    assert post.shrink == pytest.approx([weight, weight])
    assert post.mean == pytest.approx([0.4 * weight, -0.4 * weight])
    assert post.variance == pytest.approx([weight * 0.04] * 2)


def test_cell_without_data_inherits_its_parent() -> None:
    post = shrink_level(np.array([np.nan]), np.zeros(1), np.array([0.3]), np.array([0.02]), variance=1.0)
    assert (post.mean[0], post.variance[0], post.shrink[0]) == (0.3, 0.02, 0.0)


def test_identical_cells_shrink_completely() -> None:
    post = shrink_level(np.full(3, 0.1), np.full(3, 5.0), np.full(3, 0.1), np.zeros(3), variance=1.0)
    assert post.mean == pytest.approx([0.1] * 3)
    assert post.shrink.tolist() == [0.0] * 3


def test_probability_above_the_hurdle() -> None:
    found = probability_above(np.array([0.05, 0.15, 0.2]), np.array([0.01, 0.01, 0.0]), 0.05)
    assert found == pytest.approx([0.5, 0.8413447, 1.0])


def test_intraclass_correlation_of_clusters() -> None:
    cluster = np.repeat(np.arange(50), 4)
    rng = np.random.default_rng(2)
    together = np.repeat(rng.normal(size=50), 4)
    assert intraclass_correlation(together, cluster) == pytest.approx(1.0)
    assert intraclass_correlation(rng.normal(size=200), cluster) < 0.1
    half = together + rng.normal(size=200)
    assert intraclass_correlation(half, cluster) == pytest.approx(0.5, abs=0.15)
    assert intraclass_correlation(np.array([1.0, 2.0]), np.array([0, 1])) == 0.0

"""Evidence against luck by hand, against a second source, and calibrated on advisors without skill."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import poisson_binom

from propdesk.core.errors import InvariantViolated
from propdesk.metrics import discovery, evidence
from propdesk.metrics.shrinkage import intraclass_correlation

ZERO = np.zeros(0, dtype=np.int64)


def test_clustered_mean_by_hand() -> None:
    # days: (1, 1), (-1), (3): scores 0, -2, 2 around the mean 1; 3 / 2 × 8 / 16
    group, day = np.zeros(4, dtype=np.int64), np.array([7, 7, 8, 9])
    found = evidence.clustered_means(np.array([1.0, 1.0, -1.0, 3.0]), np.ones(4), group, day, 2)
    assert found.mean[0] == 1.0
    assert found.error[0] == pytest.approx(math.sqrt(0.75))
    assert found.t[0] == pytest.approx(1 / math.sqrt(0.75))
    assert found.clusters.tolist() == [3, 0]
    assert found.p_value[0] == pytest.approx(0.5 - 0.5 * found.t[0] / math.sqrt(2 + found.t[0] ** 2))
    assert np.isnan([found.mean[1], found.t[1], found.p_value[1]]).all()


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0], [0.3, 0.3, 0.3]])
def test_one_day_or_equal_results_have_a_mean_and_no_error(values: list[float]) -> None:
    days = np.arange(3) if len(values) == 3 else np.zeros(len(values), dtype=np.int64)
    group = np.zeros(len(values), dtype=np.int64)
    found = evidence.clustered_means(np.array(values), np.ones(len(values)), group, days, 1)
    assert found.mean[0] == pytest.approx(np.mean(values))
    assert np.isnan([found.error[0], found.t[0], found.p_value[0]]).all()


@pytest.mark.parametrize("seed", range(5))
def test_clustered_means_agree_with_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group, day = rng.integers(0, 4, 300), rng.integers(0, 30, 300)
    value, weight = rng.normal(0.1, 1.0, 300) + rng.normal(size=30)[day], rng.uniform(0.1, 1.0, 300)
    found = evidence.clustered_means(value, weight, group, day, 4)
    for g in range(4):
        rows = group == g
        fit = sm.WLS(value[rows], np.ones(rows.sum()), weights=weight[rows]).fit(
            cov_type="cluster", cov_kwds={"groups": day[rows]}, use_t=True
        )
        assert found.mean[g] == pytest.approx(fit.params[0], rel=1e-9)
        assert found.error[g] == pytest.approx(fit.bse[0], rel=1e-9)
        assert found.t[g] == pytest.approx(fit.tvalues[0], rel=1e-9)
        two_sided = 2 * min(found.p_value[g], 1 - found.p_value[g])
        assert two_sided == pytest.approx(fit.pvalues[0], rel=1e-9)


def test_excess_hits_by_hand() -> None:
    group = np.array([0, 0, 0, 1, 1, 2, 2])
    hit = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0])
    p0 = np.array([0.5, 0.5, 0.5, 0.2, 0.5, 0.5, 0.5])
    found = evidence.excess_hit_chances(hit, p0, group, np.array([1.0, 1.0, 1.0, 1.0]))
    assert found[0] == pytest.approx(0.125)  # exactly; the normal form says 0.1241
    assert found[1] == pytest.approx(upper(0.8 / math.sqrt(0.41)))  # 0.1058; exactly 0.1
    assert found[2] == pytest.approx(upper(-1.0 / math.sqrt(0.5)))  # half a hit; one or more has 0.75
    assert math.isnan(found[3])


@pytest.mark.parametrize("n", [1, 7, 60, 200])
def test_exact_chance_agrees_with_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    p0 = rng.uniform(0.05, 0.9, n)
    for hits in range(0, n + 1, max(n // 12, 1)):
        hit = (np.arange(n) < hits).astype(np.float64)
        # a tiny design effect leaves the normal chance behind the exact one, or at 1
        found = evidence.excess_hit_chances(hit, p0, np.zeros(n, dtype=np.int64), np.array([1e-12]))[0]
        exact = poisson_binom.sf(hits - 1, p0)
        above = hits - 0.5 > p0.sum()
        assert found == pytest.approx(exact, rel=1e-9, abs=1e-15) if above else found == 1.0


def upper(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def test_clusters_widen_the_chance_of_excess_hits() -> None:
    hit, p0, group = np.ones(20), np.full(20, 0.5), np.zeros(20, dtype=np.int64)
    alone, together = (
        evidence.excess_hit_chances(hit, p0, group, np.array([effect]))[0] for effect in (1.0, 4.0)
    )
    assert alone < 1e-4
    assert together == pytest.approx(upper(9.5 / math.sqrt(20.0)))
    assert math.isnan(evidence.excess_hit_chances(hit, p0, group, np.array([math.nan]))[0])


def test_days_are_averaged_in_their_order() -> None:
    surplus = evidence.daily_surplus(
        np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.5, 0.25]), np.array([9, 9, 2])
    )
    assert surplus.tolist() == [0.75, 0.0]
    assert evidence.daily_surplus(np.zeros(0), np.zeros(0), ZERO).tolist() == []


def test_e_process_by_hand() -> None:
    once = evidence.e_process(np.array([0.5]))
    assert once.value == pytest.approx(np.mean([1.025, 1.05, 1.1, 1.15, 1.25]))
    assert once.against == once.decline == pytest.approx(np.mean([0.975, 0.95, 0.9, 0.85, 0.75]))
    fallen = evidence.e_process(np.array([0.5, -0.5]))
    assert fallen.value == pytest.approx(
        np.mean([1.025 * 0.975, 1.05 * 0.95, 1.1 * 0.9, 1.15 * 0.85, 1.25 * 0.75])
    )
    assert fallen.peak == once.value
    # he who bets against begins anew after the good day
    assert fallen.decline == pytest.approx(np.mean([1.025, 1.05, 1.1, 1.15, 1.25]))
    assert evidence.e_process(np.zeros(0)) == (1.0, 1.0, 1.0, 1.0)


def test_decline_is_the_recursion_it_stands_for() -> None:
    surplus = np.random.default_rng(3).uniform(-0.6, 0.6, 80)
    wealth = np.ones(len(evidence.STAKES))
    for day in surplus:
        wealth = np.maximum(wealth, 1.0) * (1.0 - np.array(evidence.STAKES) * day)
    assert evidence.e_process(surplus).decline == pytest.approx(float(np.mean(wealth)))


def test_trades_needed_by_hand() -> None:
    found = evidence.trades_needed(np.array([0.5, 0.5, 0.2]), np.array([1.0, 2.0, 1.0]), 0.08)
    z = 1.6448536269514722 + 0.8416212335729143
    assert found == pytest.approx(np.array([0.25, 0.5, 0.16]) * z**2 / 0.0064)
    assert found[0] == pytest.approx(241, abs=1)


def test_impossible_input_is_refused() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(InvariantViolated):
        evidence.clustered_means(np.array([math.nan]), np.ones(1), one, one, 1)
    with pytest.raises(InvariantViolated):
        evidence.excess_hit_chances(np.ones(1), np.ones(1), one, np.ones(1))
    with pytest.raises(InvariantViolated):
        evidence.e_process(np.array([1.5]))
    with pytest.raises(InvariantViolated):
        evidence.trades_needed(np.array([0.5]), np.ones(1), 0.0)


SMALL, LONG = (2_000, 60, 5), (2_000, 250, 1)
"""Advisors, days, ideas a day."""


class World:
    """Ideas of advisors whose results of one day hang together: with some chance one draw decides several."""

    def __init__(
        self, seed: int, shape: tuple[int, int, int] = SMALL, bonus: "float | np.ndarray" = 0.0
    ) -> None:
        rng = np.random.default_rng(seed)
        self.shape, together = shape, 0.5
        reward = rng.choice([0.5, 1.0, 1.5, 2.0, 3.0], shape)
        shared = rng.random(shape) < together
        draw = np.where(shared, rng.random((*shape[:2], 1)), rng.random(shape))
        self.p0 = (1 / (1 + reward)).ravel()
        self.hit = (draw < 1 / (1 + reward) + bonus).astype(np.float64).ravel()
        self.r = np.where(self.hit > 0, reward.ravel(), -1.0)
        self.group, self.day = (a.ravel() for a in np.indices(shape)[:2])

    def by_mean(self, cluster: np.ndarray) -> np.ndarray:
        return evidence.clustered_means(
            self.r, np.ones(len(self.r)), self.group, cluster, self.shape[0]
        ).p_value

    def by_hits(self, effect: float) -> np.ndarray:
        return evidence.excess_hit_chances(self.hit, self.p0, self.group, np.full(self.shape[0], effect))

    def design_effect(self) -> float:
        surplus = self.hit - self.p0
        clusters = self.group * self.shape[1] + self.day
        return float(1 + (self.shape[2] - 1) * intraclass_correlation(surplus, clusters))

    def processes(self) -> list[evidence.EProcess]:
        size = self.shape[1] * self.shape[2]
        slices = [slice(a * size, (a + 1) * size) for a in range(self.shape[0])]
        return [
            evidence.e_process(evidence.daily_surplus(self.hit[s], self.p0[s], self.day[s])) for s in slices
        ]


@pytest.fixture(scope="module")
def luck() -> World:
    return World(11)


def share_below(p_value: np.ndarray, level: float = 0.05) -> float:
    return float(np.mean(p_value < level))


def test_without_skill_one_in_twenty_means_lies_below_five_percent(luck: World) -> None:
    assert share_below(luck.by_mean(luck.day)) == pytest.approx(0.05, abs=0.012)
    # had each idea been taken as independent, luck would look like skill
    assert share_below(luck.by_mean(np.arange(len(luck.r)))) > 0.08


def test_without_skill_one_in_twenty_counts_of_hits_lies_below_five_percent(luck: World) -> None:
    assert 0.03 < share_below(luck.by_hits(luck.design_effect())) < 0.06
    assert share_below(luck.by_hits(1.0)) > 0.08


def test_without_skill_the_wealth_rarely_ever_reaches_twenty() -> None:
    found = World(13, LONG).processes()
    ever = np.mean([one.peak >= 20 for one in found])
    assert 0.0 < ever <= 0.05
    assert np.mean([one.against >= 20 for one in found]) <= 0.05
    assert np.mean([one.value for one in found]) == pytest.approx(1.0, abs=0.15)


def test_skill_is_found(luck: World) -> None:
    skilled = World(12, bonus=0.1)
    assert share_below(skilled.by_mean(skilled.day)) > 0.5
    assert share_below(skilled.by_hits(luck.design_effect())) > 0.5
    long = World(14, LONG, bonus=0.15).processes()
    assert np.mean([one.value >= 20 for one in long]) > 0.5
    assert np.mean([one.against >= 20 for one in long]) == 0.0


def test_of_the_names_at_ten_percent_about_ten_percent_are_luck() -> None:
    # 40 desks of 50 advisors, a fifth of them skilled
    skilled = np.tile(np.arange(50) < 10, 40)
    world = World(15, bonus=np.where(skilled, 0.12, 0.0)[:, None, None])
    p_value = world.by_mean(world.day).reshape(40, 50)
    named = np.array([discovery.q_values(of_desk) <= 0.10 for of_desk in p_value])
    false = (named & ~skilled.reshape(40, 50)).sum(axis=1) / np.maximum(named.sum(axis=1), 1)
    assert 0.02 < false.mean() < 0.12
    assert (named & skilled.reshape(40, 50)).sum() / skilled.sum() > 0.7
    # of those at p < 0.05 more are luck
    loose = p_value < 0.05
    assert (loose & ~skilled.reshape(40, 50)).sum() / loose.sum() > 0.12

"""What evidence against luck must keep: scale, order, weights, bounds."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from propdesk.metrics import discovery, evidence, track_record

CLOSE = {"rtol": 1e-7, "atol": 1e-9, "equal_nan": True}
CHANCES = st.floats(0.05, 0.95).map(lambda p: round(p, 4))
P_VALUES = st.lists(st.floats(0, 1).map(lambda p: round(p, 6)), min_size=1, max_size=30).map(np.array)


@st.composite
def ideas(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    p0 = rng.uniform(0.1, 0.9, n)
    return {
        "value": np.round(rng.normal(0, 1, n), 3),
        "weight": rng.uniform(0.1, 1.0, n),
        "group": rng.integers(0, 3, n),
        "day": rng.integers(0, 8, n),
        "p0": p0,
        "hit": np.where(rng.random(n) < 0.2, rng.random(n), rng.random(n) < p0).astype(np.float64),
        "order": rng.permutation(n),
    }


def means(of: dict[str, Any]) -> evidence.MeanEvidence:
    return evidence.clustered_means(of["value"], of["weight"], of["group"], of["day"], 3)


@given(ideas(), st.floats(0.01, 100.0))
def test_neither_the_size_of_r_nor_of_weights_moves_t(of: dict[str, Any], factor: float) -> None:
    before = means(of)
    scaled = means({**of, "value": of["value"] * factor})
    weighed = means({**of, "weight": of["weight"] * factor})
    for after in (scaled, weighed):
        np.testing.assert_allclose(after.t, before.t, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(after.p_value, before.p_value, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(scaled.mean, before.mean * factor, **CLOSE)


@given(ideas())
def test_order_of_ideas_moves_nothing(of: dict[str, Any]) -> None:
    other = {name: values[of["order"]] for name, values in of.items()}
    for before, after in zip(means(of), means(other), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-9)
    effect = np.full(3, 1.5)
    np.testing.assert_allclose(
        evidence.excess_hit_chances(other["hit"], other["p0"], other["group"], effect),
        evidence.excess_hit_chances(of["hit"], of["p0"], of["group"], effect),
        **CLOSE,
    )
    days, again = (evidence.daily_surplus(x["hit"], x["p0"], x["day"]) for x in (of, other))
    np.testing.assert_allclose(again, days, **CLOSE)


@given(ideas())
def test_results_turned_round_turn_the_verdict_round(of: dict[str, Any]) -> None:
    before, after = means(of), means({**of, "value": -of["value"]})
    np.testing.assert_allclose(after.t, -before.t, **CLOSE)
    np.testing.assert_allclose(after.p_value, 1.0 - before.p_value, **CLOSE)
    surplus = evidence.daily_surplus(of["hit"], of["p0"], of["day"])
    forth, back = evidence.e_process(surplus), evidence.e_process(-surplus)
    np.testing.assert_allclose((forth.value, forth.against), (back.against, back.value), **CLOSE)


@given(ideas(), st.floats(1.0, 5.0))
def test_more_hits_are_rarer_and_more_clustering_less_telling(of: dict[str, Any], effect: float) -> None:
    given_effect = np.full(3, effect)
    chance = evidence.excess_hit_chances(of["hit"], of["p0"], of["group"], given_effect)
    best = evidence.excess_hit_chances(np.ones(len(of["hit"])), of["p0"], of["group"], given_effect)
    known = ~np.isnan(chance)
    assert (best[known] <= chance[known] + 1e-12).all()
    assert ((chance[known] >= 0) & (chance[known] <= 1)).all()


@given(st.lists(st.floats(-1, 1), max_size=60).map(np.array), st.randoms(use_true_random=False))
def test_wealth_is_positive_and_does_not_know_the_order_of_days(surplus: Any, shuffler: Any) -> None:
    found = evidence.e_process(surplus)
    assert 0 < found.value <= found.peak
    assert found.decline >= found.against * (1 - 1e-9)
    other = surplus.tolist()
    shuffler.shuffle(other)
    np.testing.assert_allclose(evidence.e_process(np.array(other)).value, found.value, rtol=1e-9)


@given(P_VALUES, st.floats(0.01, 0.3))
def test_search_stays_inside_what_it_selects(p_value: np.ndarray, rate: float) -> None:
    q = discovery.q_values(p_value)
    assert (q >= p_value - 1e-15).all()
    assert (np.diff(q[np.argsort(p_value, kind="stable")]) >= 0).all()
    parent = np.arange(len(p_value)) // 2
    top = np.minimum.reduceat(p_value, np.arange(0, len(p_value), 2))
    above, below = discovery.select_tree([top, p_value], [parent[:0], parent], rate)
    assert above[parent[below]].all()
    assert (above == (discovery.q_values(top) <= rate)).all()


@given(st.lists(st.floats(-2, 3), min_size=1, max_size=40).map(np.array))
def test_shares_of_the_desk_make_one(z: np.ndarray) -> None:
    found = discovery.desk_truth(z)
    shares = (found.share_zero, found.share_positive, found.share_negative)
    assert abs(sum(shares) - 1.0) < 1e-12
    assert min(shares) >= 0


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(-500, 500)), max_size=30), st.floats(0.1, 50.0))
def test_reshuffled_tails_are_bounded_and_scale_with_all_money(exits: list[Any], factor: float) -> None:
    exits.sort(key=lambda one: one[0])
    day = np.array([one[0] for one in exits], dtype=np.int64)
    result = np.array([one[1] for one in exits], dtype=np.float64)
    order = track_record.block_starts(12, 5, 20, np.random.default_rng(1))
    low, high = np.array([0]), np.array([len(day)])
    once, scaled = (
        track_record.reshuffled_tails(result * k, day, low, high, order, 100_000.0 * k) for k in (1.0, factor)
    )
    assert ((once <= 0) & (once > -1)).all()
    np.testing.assert_allclose(scaled, once, atol=1e-12)
    # three blocks, each of different days
    assert (once >= result[result < 0].sum() * 3 / 100_000 - 1e-12).all()

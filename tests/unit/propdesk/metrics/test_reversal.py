"""Trades against an idea: by hand, and against the walk of a price between the two levels."""

from functools import partial

import numpy as np
import pytest

from propdesk.metrics.reversal import Ended, Reversals, reversals
from propdesk.metrics.skill import LEGS_MAX, Chains


def chains(*targets: tuple[float, ...]) -> Chains:
    levels, share = np.zeros((len(targets), LEGS_MAX)), np.zeros((len(targets), LEGS_MAX))
    for i, mine in enumerate(targets):
        levels[i, : len(mine)] = mine
        share[i, : len(mine)] = 1.0 / max(len(mine), 1)
    return Chains(levels, share, np.array([len(mine) for mine in targets]))


def one(
    *targets: float,
    cost: float = 0.0,
    reach: float = 100.0,
    targets_hit: int = 0,
    stopped: bool = False,
    ambiguous: bool = False,
    at: float = 0.0,
    mae: float = np.nan,
    mfe: float = np.nan,
) -> Reversals:
    ended = Ended(
        np.array([targets_hit]),
        np.array([stopped]),
        np.array([ambiguous]),
        *(np.array([value]) for value in (at, mae, mfe)),
    )
    return reversals(chains(targets), np.array([cost]), np.array([reach]), ended)


def test_chance_of_the_reversal_pays_its_own_costs() -> None:
    # risk 2 R, reward 1 R, 0.1 R of costs: (2 + 0.1) / (2 + 1)
    found = one(2.0, 5.0, cost=0.1, stopped=True, at=-1.0)
    assert found.p0[0] == pytest.approx(0.7)
    assert found.p0_free[0] == pytest.approx(2 / 3)
    # with the advisor the break-even is (1 + 0.1) / 3: both sides together ask for more than one
    assert found.p0[0] + 1.1 / 3 > 1


@pytest.mark.parametrize(
    ("ends", "hit"),
    [
        ({"stopped": True, "at": -1.0}, 1.0),
        ({"targets_hit": 1, "at": 2.0}, 0.0),
        # the first target was met before the trailed stop
        ({"targets_hit": 1, "stopped": True, "at": 0.0}, 0.0),
        ({"stopped": True, "ambiguous": True, "at": -1.0}, 0.0),
        ({"at": 0.5}, 0.5),  # a third of the way is left to its stop, of 3 R in all: 1.5 / 3
        ({"at": 9.0}, 0.0),
    ],
)
def test_hits_follow_from_how_the_idea_ended(ends: dict[str, float], hit: float) -> None:
    assert one(2.0, **ends).hit[0] == pytest.approx(hit)  # type: ignore[arg-type]  # words by name


def test_levels_brought_nearer_are_read_from_the_excursions() -> None:
    near = partial(one, 2.0, reach=0.5, stopped=True, at=-1.0)
    assert near(mae=1.0, mfe=0.4).hit[0] == 1.0
    assert near(mae=1.0, mfe=0.6).hit[0] == 0.0  # either may have been first
    assert np.isnan(near().hit[0])
    timed = one(2.0, reach=0.5, at=0.1, mae=0.2, mfe=0.2)
    assert timed.hit[0] == pytest.approx(0.4 / 1.0)
    assert timed.p0_free[0] == pytest.approx(0.5)


def test_no_target_or_no_cost_is_unknown() -> None:
    assert np.isnan([one().p0[0], one().p0_free[0]]).all()
    assert np.isnan(one(2.0, cost=np.nan).p0[0])


@pytest.mark.parametrize("cost", [1.0, 1.5])
def test_what_can_never_pay_is_lost(cost: float) -> None:
    """Costs of all that the reversal can win: on no path it breaks even, and the idea was stopped."""
    found = one(2.0, cost=cost, stopped=True, at=-1.0)
    assert (found.hit[0], found.p0[0]) == (0.0, pytest.approx(2 / 3))
    # the reward is capped at half an R; excursions tell nothing that matters any more
    near = one(2.0, cost=cost, reach=0.5, stopped=True, at=-1.0)
    assert (near.hit[0], near.p0[0]) == (0.0, pytest.approx(0.5))
    assert one(2.0, cost=0.95, stopped=True, at=-1.0).hit[0] == 1.0
    assert np.isnan(one(cost=cost).hit[0])


def test_hits_average_the_chance_where_nobody_has_skill() -> None:
    """A walk between random levels, closed by time in many cases: no costs, no drift."""
    rng = np.random.default_rng(7)

    n, grid = 4_000, 8
    target = rng.integers(4, 24, n)
    place, low, high = np.zeros(n, dtype=int), np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    alive, left = np.ones(n, dtype=bool), rng.integers(20, 400, n)
    for step in range(400):
        moves = alive & (step < left)
        place[moves] += rng.choice([-1, 1], n)[moves]
        low, high = np.minimum(low, place), np.maximum(high, place)
        alive &= (place > -grid) & (place < target)
    r = place / grid
    ended = Ended(
        (place >= target).astype(int), place <= -grid, np.zeros(n, bool), r, -low / grid, high / grid
    )
    mine = chains(*((float(t) / grid,) for t in target))
    for reach in (100.0, 0.75):
        found = reversals(mine, np.zeros(n), np.full(n, reach), ended)
        surplus = found.hit - found.p0
        error = surplus.std() / np.sqrt(n)
        # uncapped exactly nothing on average; nearer levels count what cannot be told as lost
        assert surplus.mean() < 4 * error
        assert reach < 1 or surplus.mean() > -4 * error

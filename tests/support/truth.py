"""Figures of a small market of known skill, without a market."""

import math
from collections.abc import Sequence

from propdesk.model.enums import GateProfile
from propdesk.sim.advisor_habits import Kind
from propdesk.sim.truth import PROB_BINS, Advisor, ProfileFigures, SeedFigures, Tally, World


def figures_of(
    seed: int,
    world: World = World.PLANTED,
    *,
    taken: int = 0,
    eligible: Sequence[int] = (0, 0),
    reversed_loser: int = 0,
    points: Sequence[tuple[float, float]] = (),
) -> SeedFigures:
    """A skilled advisor with 100 ideas of 0.3 R, an unskilled one and one who loses by costs."""
    skill = 0.2 if world is World.PLANTED else 0.0
    advisors = [
        Advisor("S", Kind.LADDER, skill, True, 0.3 if skill else -0.1, 200, 0.25, 0.99),
        Advisor("U", Kind.LADDER, 0.0, True, -0.1, 200, -0.05, 0.1),
        Advisor("C", Kind.COST_LOSER, 0.0, True, -0.3, 200, -0.2, math.nan),
    ]
    known = 2 if taken else 0
    tallies = {
        "S": Tally(
            100, 100, 30.0, taken, taken, 0.3 * taken, 0, 10 if taken else 0, 0, 10 if taken else None
        ),
        "U": Tally(50, 50, -5.0, known, known, -0.1 * known, 0, known // 2, 0, None),
        "C": Tally(50, 50, -15.0, reversed=reversed_loser),
    }
    x, y = [a for a, _ in points], [b for _, b in points]
    cross = sum(a * b for a, b in points)
    return SeedFigures(
        seed=seed,
        world=world,
        as_of_dates=4,
        market_days=120,
        ideas=200,
        spearman=0.9 if skill else math.nan,
        advisors=advisors,
        profiles={profile: ProfileFigures(list(eligible), [0, 0], tallies) for profile in GateProfile},
        bins=[(4, 1)] * (len(PROB_BINS) - 1),
        slope=[float(len(x)), sum(x), sum(y), sum(a * a for a in x), cross],
    )

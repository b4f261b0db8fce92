"""What other sets of gates would have followed: daily results of each, walk-forward (§3.8, report only)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import product
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from propdesk.model.enums import Category, GateProfile, RuleLevel
from propdesk.pipeline.groups_prepare import floats
from propdesk.rules.gates import GATES, GateTable, holds_each

BoolArray = NDArray[np.bool_]

GRID: Final[Mapping[str, float]] = {
    "profit_factor": 1.0,
    "post_mean_r": 0.0,
    "prob_edge": 1.0,
    "advisor_q": 0.0,
}
"""Thresholds of profile desk that somebody would turn, each with the value that its steps count from."""
STEPS: Final = (0.5, 1.0, 2.0)
"""Distances of a threshold from that value, as multiples of the one that is set."""


def gate_set_results(ideas: pd.DataFrame, days: Sequence[date], gates: GateTable) -> pd.DataFrame:
    """Add up what each set of gates would have earned each day.

    Parameters
    ----------
    ideas : DataFrame
        One row per closed idea whose mini rule was judged at the end of the last as-of date before its trade
        date: ``trade_date, category, r_multiple``, the rule's values of the gates of `GRID`, and per profile
        ``<profile>_failed_gates``, lists of gates.
    days : sequence of date
        Market days in order, every trade date among them.
    gates : GateTable
        Thresholds around which the grid lies.

    Returns
    -------
    DataFrame, shape (n_days, n_sets)
        Net R of the ideas that a set lets through, by trade date; 0 on a day without any. Sets are both
        profiles, each of them without one of its gates (``desk - mdd``), and profile desk with its thresholds
        of `GRID` at every combination of `STEPS` (``desk, prob_edge x0.5``; one that is not asked stays so).
    """
    dated = pd.Index(list(days), dtype=object)
    place = dated.get_indexer(pd.Index(ideas["trade_date"], dtype=object))
    r = ideas["r_multiple"].to_numpy(dtype=np.float64)
    out: dict[str, object] = {}
    for name, passes in _sets(ideas, gates):
        out[name] = np.bincount(place[passes], weights=r[passes], minlength=len(days))
    return pd.DataFrame(out, index=dated)


def _sets(ideas: pd.DataFrame, gates: GateTable) -> Iterator[tuple[str, BoolArray]]:
    """Name every set, with a mark per idea that it lets through."""
    for profile in GateProfile:
        failed = [frozenset(row) for row in ideas[f"{profile.value}_failed_gates"]]
        yield profile.value, _allowed(failed, frozenset())
        stopping: frozenset[str] = frozenset().union(*failed)
        for gate in GATES:
            if gate in stopping:
                yield f"{profile.value} - {gate}", _allowed(failed, frozenset({gate}))
    failed = [frozenset(row) for row in ideas[f"{GateProfile.DESK.value}_failed_gates"]]
    others = _allowed(failed, frozenset(GRID))
    passed = {(gate, step): _clears(ideas, gates, gate, step) for gate in GRID for step in STEPS}
    for steps in product(STEPS, repeat=len(GRID)):
        turned = dict(zip(GRID, steps, strict=True))
        moved = [f"{gate} x{step:g}" for gate, step in turned.items() if step != 1.0]
        if moved:
            clears = [passed[one] for one in turned.items()]
            yield ", ".join([GateProfile.DESK.value, *moved]), np.all([others, *clears], axis=0)


def _allowed(failed: Sequence[frozenset[str]], dropped: frozenset[str]) -> BoolArray:
    return np.array([gates <= dropped for gates in failed], dtype=np.bool_)


def _clears(ideas: pd.DataFrame, gates: GateTable, gate: str, step: float) -> BoolArray:
    """Mark the ideas whose rule holds a gate at a multiple of its threshold's distance."""
    asked = {
        category.value: gates.rules[GateProfile.DESK, RuleLevel.MINI, category].get(gate, np.nan)
        for category in Category
    }
    limit = np.array([asked[category] for category in ideas["category"]], dtype=np.float64)
    limit = GRID[gate] + step * (limit - GRID[gate])
    return np.isnan(limit) | holds_each(GATES[gate].comparison, floats(ideas, gate), limit)

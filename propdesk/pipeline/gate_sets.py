"""What other sets of gates would have followed: daily results of each, walk-forward (§3.8, report only)."""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import pandas as pd

from propdesk.model.enums import GateProfile
from propdesk.rules.gates import GATES


def gate_set_results(ideas: pd.DataFrame, days: Sequence[date]) -> pd.DataFrame:
    """Add up what each set of gates would have earned each day.

    Parameters
    ----------
    ideas : DataFrame
        One row per closed idea whose mini rule was judged at the end of the last as-of date before its trade
        date: ``trade_date, r_multiple``, and per profile ``<profile>_failed_gates``, lists of gates.
    days : sequence of date
        Market days in order, every trade date among them.

    Returns
    -------
    DataFrame, shape (n_days, n_sets)
        Net R of the ideas that a set lets through, by trade date; 0 on a day without any. Sets are both
        profiles, and each of them without one of its gates (``desk - mdd``).
    """
    dated = pd.Index(list(days), dtype=object)
    place = dated.get_indexer(pd.Index(ideas["trade_date"], dtype=object))
    r = ideas["r_multiple"].to_numpy(dtype=np.float64)
    out: dict[str, object] = {}
    for profile in GateProfile:
        failed = [frozenset(gates) for gates in ideas[f"{profile.value}_failed_gates"]]
        for name, dropped in _sets(profile, failed):
            passes = np.array([gates <= dropped for gates in failed], dtype=bool)
            out[name] = np.bincount(place[passes], weights=r[passes], minlength=len(days))
    return pd.DataFrame(out, index=dated)


def _sets(profile: GateProfile, failed: Sequence[frozenset[str]]) -> Iterator[tuple[str, frozenset[str]]]:
    yield profile.value, frozenset()
    stopping: frozenset[str] = frozenset().union(*failed)
    for gate in GATES:
        if gate in stopping:
            yield f"{profile.value} - {gate}", frozenset({gate})

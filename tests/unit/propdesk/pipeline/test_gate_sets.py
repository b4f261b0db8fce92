"""Results of sets of gates, and what one run of step 8 counts as tried."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from adapters.config_gates import load_gates
from propdesk.pipeline.gate_sets import GRID, STEPS, gate_set_results
from propdesk.pipeline.groups import GroupConfig, build_group_facts
from propdesk.pipeline.trial_ledger import settings_version, trials
from tests.support.rule_frames import make_frames

DAYS = [date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5)]


def judged_ideas() -> pd.DataFrame:
    """Ideas of rules that clear every threshold of the grid by far, but for what is said."""
    return pd.DataFrame(
        {
            "trade_date": [DAYS[0], DAYS[0], DAYS[2], DAYS[2]],
            "category": "NSE_EQ",
            "r_multiple": [1.0, -0.5, 2.0, -1.0],
            "profit_factor": np.inf,
            "post_mean_r": 9.0,
            "prob_edge": [1.0, 0.79, 0.85, 1.0],
            "advisor_q": 0.0,
            "original_failed_gates": [["mdd"], [], ["mdd", "trust"], ["trust"]],
            "desk_failed_gates": [[], ["prob_edge"], [], ["min_days"]],
        }
    )


def test_each_set_earns_what_it_lets_through() -> None:
    found = gate_set_results(judged_ideas(), DAYS, load_gates())
    earned = {name: found[name].tolist() for name in found}
    assert {name: earned[name] for name in earned if "," not in name} == {
        "original": [-0.5, 0.0, 0.0],
        "original - mdd": [0.5, 0.0, 0.0],
        "original - trust": [-0.5, 0.0, -1.0],
        "desk": [1.0, 0.0, 2.0],
        "desk - min_days": [1.0, 0.0, 1.0],
        "desk - prob_edge": [0.5, 0.0, 2.0],
    }


def test_the_grid_turns_thresholds_and_leaves_the_other_gates() -> None:
    """The chance of an edge is asked above 0.8: half as far from certainty is 0.9, twice as far 0.6."""
    found = gate_set_results(judged_ideas(), DAYS, load_gates())
    grid = [name for name in found if "," in name]
    assert len(grid) == len(STEPS) ** len(GRID) - 1
    assert found["desk, prob_edge x0.5"].tolist() == [1.0, 0.0, 0.0]
    assert found["desk, prob_edge x2"].tolist() == [0.5, 0.0, 2.0]
    assert found["desk, post_mean_r x2, prob_edge x2"].tolist() == [0.5, 0.0, 2.0]
    low = judged_ideas().assign(post_mean_r=0.06, advisor_q=0.15, profit_factor=np.nan, prob_edge=0.99)
    failing = ["profit_factor", "advisor_q"]
    low["desk_failed_gates"] = [failing] * 4
    assert not gate_set_results(low, DAYS, load_gates())[grid].to_numpy().any(), (
        "an unknown value holds nothing"
    )
    known = gate_set_results(low.assign(profit_factor=1.15), DAYS, load_gates())
    assert known["desk, profit_factor x0.5, advisor_q x2"].tolist() == [0.5, 0.0, 1.0]
    assert not known["desk, profit_factor x0.5, post_mean_r x2, advisor_q x2"].any()
    assert not known["desk, advisor_q x2"].any()


def test_without_ideas_no_set_earns() -> None:
    found = gate_set_results(judged_ideas().iloc[:0], DAYS, load_gates())
    assert found.shape == (3, 2 + len(STEPS) ** len(GRID) - 1)
    assert not found.to_numpy().any()


def test_trials_are_counted_by_day_and_level() -> None:
    frames = make_frames(first=date(2025, 2, 3), last=date(2025, 3, 31), per_day=20, advisors=4)
    gates, config = load_gates(), GroupConfig()
    tables = build_group_facts(
        frames.trades, frames.excursions, frames.marks, frames.calendar, frames.days[-2:], config
    )
    found = trials(tables, gates, config)
    assert found["as_of_date"].tolist() == [day for day in frames.days[-2:] for _ in range(4)]
    assert found["level"].tolist() == ["ADVISOR", "MINI", "MINI_REGIME", "RULE_6D"] * 2
    for row in found.itertuples():
        full, thin = (
            int(((f["as_of_date"] == row.as_of_date) & (f["level"] == row.level)).sum())
            for f in (tables.metrics, tables.thin)
        )
        assert (row.rules_judged, row.rules_tried) == (full, full + thin)
    assert set(found["gates_version"]) == {gates.version}
    assert set(found["settings_version"]) == {settings_version(config)}
    for other in (
        replace(config, capital_paise=1),
        replace(config, size_models=("desk",)),
        replace(config, regime_scope="underlying"),
    ):
        assert settings_version(other) != settings_version(config)

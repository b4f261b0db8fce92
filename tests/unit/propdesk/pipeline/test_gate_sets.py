"""Results of sets of gates, and what one run of step 8 counts as tried."""

from dataclasses import replace
from datetime import date

import pandas as pd

from adapters.config_gates import load_gates
from propdesk.pipeline.gate_sets import gate_set_results
from propdesk.pipeline.groups import GroupConfig, build_group_facts
from propdesk.pipeline.trial_ledger import settings_version, trials
from tests.support.rule_frames import make_frames

DAYS = [date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5)]


def test_each_set_earns_what_it_lets_through() -> None:
    ideas = pd.DataFrame(
        {
            "trade_date": [DAYS[0], DAYS[0], DAYS[2], DAYS[2]],
            "r_multiple": [1.0, -0.5, 2.0, -1.0],
            "original_failed_gates": [["mdd"], [], ["mdd", "trust"], ["trust"]],
            "desk_failed_gates": [[], ["prob_edge"], ["prob_edge"], []],
        }
    )
    found = gate_set_results(ideas, DAYS)
    assert {name: found[name].tolist() for name in found} == {
        "original": [-0.5, 0.0, 0.0],
        "original - mdd": [0.5, 0.0, 0.0],
        "original - trust": [-0.5, 0.0, -1.0],
        "desk": [1.0, 0.0, -1.0],
        "desk - prob_edge": [0.5, 0.0, 1.0],
    }
    assert gate_set_results(ideas.iloc[:0], DAYS).shape == (3, 2)


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

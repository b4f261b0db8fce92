import math
from pathlib import Path

import pytest

from adapters.config_gates import load_gates
from propdesk.core.errors import ConfigFault
from propdesk.model.enums import Category, GateProfile, Period, Regime, RuleLevel, Session, TrustFlag, Weekday
from propdesk.model.rule import CellMinimums
from propdesk.rules.dimensions import cells_of
from propdesk.rules.gates import ADVERSE_GATES, RULE_LEVELS, evaluate, trust_value

GOOD = {
    "min_trades": 8, "min_days": 5, "win_rate": 0.55, "excess_hits": 0.1, "sharpe": 1.0, "profit_factor": 1.5,
    "mdd": -0.15, "pain_reward": 0.39, "pain_reward_ratio": 1.0, "trust": 1, "skipped_share": 0.2,
    "traded_value_share": 0.5, "post_mean_r": 0.051, "prob_edge": 0.81,
    "advisor_q": 0.1, "mdd_p95": -0.149,
}  # fmt: skip


def test_matching_asks_what_the_gates_of_its_profile_ask() -> None:
    gates = load_gates()
    for profile in GateProfile:
        asked = gates.match_minimums(profile)
        assert len(asked) == len(RULE_LEVELS) * len(Category)
        for (level, category), minimums in asked.items():
            rows = gates.rules[profile, level, category]
            assert minimums.trades == rows["min_trades"] == (8 if level is RuleLevel.RULE_6D else 20)
            assert (minimums.post_mean_r, minimums.prob_edge) == (
                rows.get("post_mean_r"),
                rows.get("prob_edge"),
            )
    finest = (RuleLevel.RULE_6D, Category.NSE_EQ)
    assert gates.match_minimums(GateProfile.ORIGINAL)[finest] == CellMinimums(8, None, None)
    assert gates.match_minimums(GateProfile.DESK)[finest] == CellMinimums(8, 0.05, 0.8)


@pytest.mark.parametrize("profile", list(GateProfile))
def test_every_gate_alone_can_stop_a_rule(profile: GateProfile) -> None:
    asked = load_gates().rules[profile, RuleLevel.RULE_6D, Category.NSE_EQ]
    assert all(gate.passed for gate in evaluate(GOOD, asked))
    for name in asked:
        failed = [g.gate for g in evaluate({**GOOD, name: None}, asked) if not g.passed]
        assert failed == [name]


def test_literal_bounds() -> None:
    gates = load_gates()
    asked = gates.rules[GateProfile.ORIGINAL, RuleLevel.RULE_6D, Category.INDEX_OPT]
    assert asked["win_rate"] == 0.50
    assert gates.rules[GateProfile.ORIGINAL, RuleLevel.MINI, Category.NSE_EQ]["win_rate"] == 0.55
    results = {g.gate: g.passed for g in evaluate({**GOOD, "pain_reward": 0.4, "mdd": -0.1500001}, asked)}
    assert not results["pain_reward"]
    assert not results["mdd"]


def test_infinite_profit_factor_passes_and_nan_fails() -> None:
    asked = {"profit_factor": 1.2}
    assert evaluate({"profit_factor": math.inf}, asked)[0].passed
    assert not evaluate({"profit_factor": math.nan}, asked)[0].passed


def test_adverse_gates_are_inverted() -> None:
    asked = load_gates().adverse[GateProfile.DESK]
    values = {
        "min_trades": 20, "mean_return": -0.01, "profit_factor": 0.5, "volatility": 1.2, "reverse_q": 0.05,
        "first_half": -1.0, "second_half": -1.0, "reverse_net": 1.0,
    }  # fmt: skip
    assert all(gate.passed for gate in evaluate(values, asked, ADVERSE_GATES))
    for name, beyond in {"reverse_net": -1.0, "reverse_q": 0.0501}.items():
        failed = [g.gate for g in evaluate({**values, name: beyond}, asked, ADVERSE_GATES) if not g.passed]
        assert failed == [name]


def test_noise_gates_in_profile_original_only() -> None:
    assert trust_value(TrustFlag.UNTRUSTED, True, GateProfile.ORIGINAL) == 0.0
    assert trust_value(TrustFlag.UNTRUSTED, True, GateProfile.DESK) == 2.0
    assert trust_value(TrustFlag.UNTRUSTED, False, GateProfile.DESK) == 0.0
    assert trust_value(None, True, GateProfile.DESK) is None


def test_version_changes_with_a_threshold(tmp_path: Path) -> None:
    source = Path(__file__).resolve().parents[4] / "config" / "gates.yaml"
    text = source.read_text(encoding="utf-8")
    changed = tmp_path / "gates.yaml"
    changed.write_text(text.replace("prob_edge: 0.8", "prob_edge: 0.9"), encoding="utf-8")
    assert load_gates(changed).version != load_gates().version
    assert load_gates(source).version == load_gates().version


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("sharpe: 1.0", "sharp: 1.0", "unknown gate 'sharp'"),
        ("reverse_q: 0.05", "reverse_q: low", "adverse.desk.reverse_q"),
        ("adverse:", "adverses:", "adverse"),
        ("profit_factor: 1.5", "profit_factor: .nan", "finite"),
        ("profiles:", "profiles: [", "YAML"),
    ],
)
def test_bad_file_is_named_with_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    source = Path(__file__).resolve().parents[4] / "config" / "gates.yaml"
    bad = tmp_path / "gates.yaml"
    bad.write_text(source.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigFault, match=words) as caught:
        load_gates(bad)
    assert str(bad) in str(caught.value)


def test_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match="cannot be read"):
        load_gates(tmp_path / "none.yaml")


def test_cells_from_fine_to_coarse() -> None:
    found = cells_of(
        "A1", Category.NSE_EQ, Period.INTRADAY,
        regime=Regime.SIDEWAYS, weekday=Weekday.MONDAY, session=Session.MORNING,
    )  # fmt: skip
    assert [key.level for key in found] == [
        RuleLevel.RULE_6D, RuleLevel.MINI_REGIME, RuleLevel.MINI, RuleLevel.ADVISOR,
    ]  # fmt: skip
    late = cells_of(
        "A1", Category.NSE_EQ, Period.INTRADAY,
        regime=Regime.SIDEWAYS, weekday=Weekday.MONDAY, session=Session.AFTER_HOURS,
    )  # fmt: skip
    assert late[0].level is RuleLevel.MINI_REGIME

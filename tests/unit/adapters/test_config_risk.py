"""The file of limits: the shipped one is what the code assumes, a wrong one is named by its place."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from adapters.config_risk import RISK_FILE, load_risk
from propdesk.core.calendar import ist_text
from propdesk.core.clock import NS_PER_HOUR, NS_PER_MINUTE
from propdesk.core.errors import ConfigFault
from propdesk.model.enums import Category
from propdesk.risk.gateway import RiskLimits
from propdesk.risk.kill_switch import KillLimits
from propdesk.risk.protections import Per, Protection, ProtectionKind

DAY = date(2025, 7, 1)
COOL_DOWN = {"kind": "COOL_DOWN", "per": "SIDE", "block_min": 30}
DRAWDOWN = {
    "kind": "DRAWDOWN", "per": "ADVISOR", "block_min": 60, "lookback_min": 1440, "trades": 4, "limit": 0.01
}  # fmt: skip


def written(folder: Path, **changes: object) -> Path:
    """The shipped file with some sections changed."""
    data = yaml.safe_load(RISK_FILE.read_text(encoding="utf-8"))
    for section, change in changes.items():
        data[section] = {**data[section], **change} if isinstance(change, dict) else change
    file = folder / "risk.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return file


def test_the_shipped_limits_are_those_the_code_assumes() -> None:
    found = load_risk(DAY)
    assert found.limits == RiskLimits()
    assert found.kill_limits == KillLimits()
    assert found.category_limits == ()


def test_a_category_changes_what_it_states_and_keeps_the_rest(tmp_path: Path) -> None:
    own = {"INDEX_OPT": {"planned_risk_group_max": 0.005, "price_band": 0.5, "entry_cutoff": "14:45"}}
    file = written(tmp_path, categories=own, banned=["idea"], account={"open_groups_max": 12})
    found = load_risk(DAY, file)
    (options,) = found.category_limits
    assert options.category is Category.INDEX_OPT
    assert (options.limits.planned_risk_group_max, options.limits.price_band) == (0.005, 0.5)
    assert options.limits.entry_cutoff_ns is not None
    assert ist_text(options.limits.entry_cutoff_ns).startswith("2025-07-01 14:45")
    assert options.limits.open_groups_max == found.limits.open_groups_max == 12
    assert options.limits.banned == found.limits.banned == {"IDEA"}
    assert found.limits.entry_cutoff_ns is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"account": {"price_band": 0}}, r"at account.price_band: .*greater than 0"),
        (
            {"account": {"planned_risk_group_max": 5}},
            "at account.planned_risk_group_max: ",
        ),
        ({"account": {"exposure_total_max": ".inf"}}, "at account.exposure_total_max"),
        ({"account": {"no_such_limit": 1}}, r"at account.no_such_limit: .*not permitted"),
        ({"account": {"entry_cutoff": "25:00"}}, "at account.entry_cutoff"),
        ({"categories": {"EQUITY": {}}}, "at categories.EQUITY"),
        ({"categories": {"NSE_EQ": {"open_groups_max": 61}}}, r"open_groups_max of NSE_EQ \(61\) is wider"),
        ({"kill": {"day_loss_block": 0.06}}, "day_loss_block lies beyond day_loss_halt"),
        ({"kill": {"window_s": -1}}, "at kill.window_s"),
        ({"banned": [""]}, "at banned.0"),
        ({"kill": "none"}, "at kill"),
        ({"kill": {"latency_alarm_s": 2}}, "latency_alarm_s lies beyond latency_halt_s"),
        (
            {"protections": [{**COOL_DOWN, "lookback_min": 5}]},
            "at protections.0: .*COOL_DOWN has no lookback_min",
        ),
        ({"protections": [{**COOL_DOWN, "limit": 0.1}]}, "COOL_DOWN has no limit"),
        ({"protections": [{**COOL_DOWN, "kind": "STOP_STREAK"}]}, "STOP_STREAK needs a lookback_min"),
        ({"protections": [{**DRAWDOWN, "limit": None}]}, "DRAWDOWN needs a limit"),
        ({"protections": [{**DRAWDOWN, "limit": -0.1}]}, "the limit of a DRAWDOWN is above 0"),
        ({"protections": [{**DRAWDOWN, "per": "RULE"}]}, "at protections.0.per"),
    ],
)
def test_a_wrong_limit_is_named_by_its_place(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigFault, match=said):
        load_risk(DAY, written(tmp_path, **changes))


def test_protections_are_read_in_terms_of_the_clock(tmp_path: Path) -> None:
    found = load_risk(DAY, written(tmp_path, protections=[COOL_DOWN, DRAWDOWN])).kill_limits.protections
    assert found == (
        Protection(ProtectionKind.COOL_DOWN, Per.SIDE, 30 * NS_PER_MINUTE),
        Protection(ProtectionKind.DRAWDOWN, Per.ADVISOR, NS_PER_HOUR, 24 * NS_PER_HOUR, 4, 0.01),
    )


@pytest.mark.parametrize("text", ["account: [", "", "- 1", "account: {}"])
def test_what_is_no_such_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "risk.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigFault, match=str(file)):
        load_risk(DAY, file)
    with pytest.raises(ConfigFault, match="cannot be read"):
        load_risk(DAY, tmp_path / "absent.yaml")

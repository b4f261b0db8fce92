from datetime import date
from pathlib import Path

import pytest

from adapters.contract_rules import load_contract_rules
from propdesk.core.errors import ConfigFault


def test_the_projects_own_table_is_usable() -> None:
    rules = load_contract_rules()
    assert rules.tick("OPTION", date(2025, 5, 1), 10_000) == 5
    assert all(rule.bands[-1][0] == 0 for rule in rules.ticks)  # the last band is open


@pytest.mark.parametrize(
    "text", ["", "expiries: []", "expiries: [{underlying: X}]", "expiries: [", "a: &x [*x]"]
)
def test_a_malformed_table_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigFault, match=r"rules\.yaml"):
        load_contract_rules(path)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match=r"none\.yaml"):
        load_contract_rules(tmp_path / "none.yaml")

import json
from pathlib import Path

import pytest
from dagster import AssetKey, TableColumnDep

from assets._shared.lineage import LINEAGE_FILE, project_fingerprint, read_lineage, write_lineage


def test_the_kept_lineage_is_of_the_present_models() -> None:
    kept = json.loads(LINEAGE_FILE.read_text(encoding="utf-8"))["fingerprint"]
    assert kept == project_fingerprint(), "build the models and run scripts/column_lineage"


def test_the_win_rate_of_a_rule_is_traced_to_the_sums_of_step_8() -> None:
    lineage = read_lineage()
    assert lineage["rules_6d"].deps_by_column["win_rate_pct"] == [
        TableColumnDep(AssetKey("int_rules"), "win_rate_pct")
    ]
    assert lineage["int_rules"].deps_by_column["win_rate_pct"] == [
        TableColumnDep(AssetKey("group_metrics"), "n"),
        TableColumnDep(AssetKey("group_metrics"), "wins"),
    ]


def test_writing_and_reading_are_opposites(tmp_path: Path) -> None:
    file = tmp_path / "column_lineage.json"
    write_lineage({"model": {"a": [["table", "b"], ["table", "c"]], "d": []}}, file)
    found = read_lineage(file)["model"].deps_by_column
    assert found == {
        "a": [TableColumnDep(AssetKey("table"), "b"), TableColumnDep(AssetKey("table"), "c")],
        "d": [],
    }


def test_without_a_file_there_is_no_lineage(tmp_path: Path) -> None:
    assert read_lineage(tmp_path / "none.json") == {}


@pytest.mark.parametrize(("folder", "changes"), [("models", True), ("macros", True), ("tests", False)])
def test_only_models_and_macros_change_the_fingerprint(tmp_path: Path, folder: str, changes: bool) -> None:
    before = project_fingerprint(tmp_path)
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "x.sql").write_text("select 1")
    assert (project_fingerprint(tmp_path) != before) is changes

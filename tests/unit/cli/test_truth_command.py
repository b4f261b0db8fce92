"""`propdesk truth` over figures that were kept: goes on, reports, and fails where a condition does."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.config_gates import load_gates
from cli.main import build
from cli.truth_store import file_of, read_figures, write_figures
from propdesk.core.errors import SchemaFault
from propdesk.sim.truth import World
from tests.support.truth import figures_of

ASKED = {
    "first": "2025-01-01",
    "last": "2025-06-30",
    "per_day": "400",
    "every": "5",
    "on_prices": "",
    "gates": load_gates().version,
}


def keep(folder: Path, seed: int, **worse: Any) -> None:
    write_figures(file_of(folder, seed, is_planted=True), ASKED, [figures_of(seed, taken=60)])
    nothing = [figures_of(seed, World.NO_SKILL, **worse), figures_of(seed, World.PLACEBO)]
    write_figures(file_of(folder, seed, is_planted=False), ASKED, nothing)


def run(folder: Path, *words: str) -> Any:
    return CliRunner().invoke(build(), ["truth", "--seeds", "2", "--out", str(folder), *words])


def test_figures_come_back_as_they_were_kept(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    file = file_of(tmp_path, 1, is_planted=True)
    # nan is not nan, so the texts are compared
    assert repr(read_figures(file, ASKED)) == repr([figures_of(1, taken=60)])


def test_other_gates_or_days_are_judged_anew(tmp_path: Path) -> None:
    keep(tmp_path, 1)
    file = file_of(tmp_path, 1, is_planted=True)
    assert read_figures(file, {**ASKED, "gates": "other"}) is None
    assert read_figures(tmp_path / "none.json", ASKED) is None


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = file_of(tmp_path, 1, is_planted=True)
    file.write_text('{"asked": ' + json.dumps(ASKED) + ', "figures": [{}]}')
    with pytest.raises(SchemaFault, match="seed-0001-planted"):
        read_figures(file, ASKED)


def test_report_of_what_was_judged_before(tmp_path: Path) -> None:
    for seed in (1, 2):
        keep(tmp_path, seed)
    found = run(tmp_path, "--json")
    assert found.exit_code == 0
    report = json.loads(found.stdout)
    assert [one["holds"] for one in report["acceptance"]] == [True] * 4
    assert report["profiles"]["desk"]["ladder"][1]["taken"] == {"value": 0.6, "low": 0.6, "high": 0.6}
    assert Path(report["page"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_condition_that_fails_ends_with_one(tmp_path: Path) -> None:
    for seed in (1, 2):
        keep(tmp_path, seed, eligible=[1, 1])
    found = run(tmp_path)
    assert found.exit_code == 1
    assert "NO" in found.stdout

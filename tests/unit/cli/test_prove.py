"""`propdesk prove`: what it asks for, one schedule shown, a sweep's table and its row in the docs."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.settings import CLONE_ROOT
from campaign import sweep
from campaign.planted import BUGS
from campaign.run import Outcome, run_schedule
from campaign.schedule import make_schedule
from campaign.tally import Tally
from cli import prove
from cli.main import build, main


def run(*words: str) -> Any:
    return CliRunner().invoke(build(), ["prove", *words])


@pytest.mark.parametrize("words", [(), ("--quick", "--full"), ("--seed", "1", "--planted")])
def test_exactly_one_kind_of_run_is_chosen(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prove", *words]) == 2
    assert "choose one" in capsys.readouterr().err


def test_one_seed_is_shown_with_its_digest() -> None:
    shown = run("--seed", "2", "--json")
    found = json.loads(shown.stdout)
    assert shown.exit_code == 0
    assert found["digest"] == run_schedule(make_schedule(2)).digest
    assert any("truth ORDER" in line for line in found["trace"])
    assert found["broken"] == []


def test_a_broken_promise_is_exit_code_1_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "sweep", lambda *_args, **_words: failing())
    shown = run("--quick")
    assert shown.exit_code == 1
    assert "duplicates" in shown.stdout
    assert "order x reached the broker 2 times" in shown.stdout


def test_a_full_sweep_leaves_its_row(tmp_path: Path) -> None:
    page = tmp_path / "reliability.md"
    page.write_text("| code |\n| --- |\n", encoding="utf-8")
    prove._append(page, failing(), "abc")
    row = page.read_text(encoding="utf-8").splitlines()[-1].split("|")
    assert [cell.strip() for cell in row[1:4]] == ["abc", "1", "1"]
    assert len(row) == len(failing().figures()) + 3


@pytest.mark.parametrize(("run_now", "rows"), [(0, []), (1, ["code (part)"])])
def test_a_full_sweep_appends_only_what_it_ran_and_marks_a_part(
    run_now: int, rows: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def some(progress: sweep.Progress, *_args: object, **_words: object) -> Tally:
        progress.tally.schedules += run_now
        return progress.tally

    kept = sweep.Progress("code", 1, [1], Tally(schedules=20))
    appended: list[str] = []
    monkeypatch.setattr(sweep, "code_digest", lambda _root: "code")
    monkeypatch.setattr(sweep, "load", lambda *_args: kept)
    monkeypatch.setattr(sweep, "sweep", some)
    monkeypatch.setattr(prove, "_append", lambda _page, _tally, code: appended.append(code))
    monkeypatch.setenv("PROPDESK_HOME", str(tmp_path))
    assert run("--full", "--schedules", "40").exit_code == 0
    assert appended == rows


def test_the_docs_table_has_a_column_for_each_figure() -> None:
    page = (CLONE_ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    columns = ["code", *(name for name, _ in Tally().figures())]
    assert f"| {' | '.join(columns)} |" in page


def test_planted_bugs_that_are_not_caught_are_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.planted.hunt", lambda _bug, _seeds: None)
    shown = run("--planted", "--json")
    assert shown.exit_code == 1
    assert [bug["seed"] for bug in json.loads(shown.stdout)["bugs"]] == [None] * len(BUGS)


def failing() -> Tally:
    outcome = Outcome(4, run_schedule(make_schedule(2)).findings, "d", 1, 60.0)
    outcome.findings.breach("duplicates", "order x reached the broker 2 times")
    tally = Tally()
    tally.add(outcome)
    return tally

"""The suite's runner: every check runs, one failure is enough to fail."""

import pytest

import cli.testing
from cli.testing import CHECKS, Check, run_all


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []

    def run_one(words: tuple[str, ...]) -> bool:
        calls.append(words[0])
        return words[0] != "bad"

    monkeypatch.setattr(cli.testing, "run_one", run_one)
    return calls


def checks(*programs: str) -> list[Check]:
    return [Check(program, (program,), "1 s") for program in programs]


def test_all_run_even_after_a_failure_and_it_is_named(
    ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_all(checks("good", "bad", "last")) == 1
    assert ran == ["good", "bad", "last"]
    assert "Failed: bad." in capsys.readouterr().err


def test_a_good_run_is_zero_and_says_nothing_after_the_last_check(
    ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_all(checks("good", "last")) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "▸ last (1 s)"


def beside(code: str) -> Check:
    return Check("slow", ("python", "-c", code), "beside", is_beside=True)


def test_what_ran_beside_the_others_is_waited_for_and_told_when_it_failed(
    ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_all([beside("print('line 7: wrong type'); raise SystemExit(1)"), *checks("good")]) == 1
    assert ran == ["good"]
    assert capsys.readouterr().err.splitlines()[-2:] == ["line 7: wrong type", "Failed: slow."]


def test_what_ran_well_beside_the_others_says_nothing_after_the_last_check(
    ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_all([beside("print('all is well')"), *checks("last")]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "▸ last (1 s)"


def test_tools_may_keep_bytecode_where_containers_forbid_it(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert run_all([beside("import sys; raise SystemExit(sys.dont_write_bytecode)"), *checks("last")]) == 0


def test_nothing_to_run_is_no_failure(ran: list[str]) -> None:
    assert run_all([]) == 0
    assert ran == []


def test_a_tool_that_is_not_installed_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_all(checks("no-such-tool")) == 1
    assert "no-such-tool is not installed" in capsys.readouterr().err


def test_the_suite_checks_lint_format_types_and_contracts() -> None:
    assert [check.words[0] for check in CHECKS] == ["ruff", "ruff", "mypy", "lint-imports"]

import os
from pathlib import Path

import pytest

from adapters.settings import Settings
from cli.lifecycle import _show_status, describe
from runtime.home import Home
from runtime.supervisor import Supervisor, claim


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.create()
    return home


def settings(home: Home) -> Settings:
    return Settings(_env_file=None, home=home.path)


def shown(home: Home, capsys: pytest.CaptureFixture[str]) -> str:
    _show_status(describe(home, settings(home)))
    return capsys.readouterr().out


def test_nothing_runs_in_a_fresh_home(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    found = describe(home, settings(home))
    assert (found["running"], found["ready"], found["stage"], found["pid"]) == (False, False, None, None)
    assert "not running; start it with python3 run.py up" in shown(home, capsys)


def test_until_it_is_up_the_stage_is_told(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    claim(home, os.getpid())
    assert f"at work: starting (pid {os.getpid()})" in shown(home, capsys)
    supervisor = Supervisor(home)
    supervisor.note("stage", "Backfill the nine steps")
    assert describe(home, settings(home))["stage"] == "Backfill the nine steps"
    assert f"at work: Backfill the nine steps (pid {os.getpid()})" in shown(home, capsys)
    supervisor.note("ready", True)
    assert describe(home, settings(home))["stage"] is None
    assert f"up (pid {os.getpid()})" in shown(home, capsys)

"""Restart, backoff, giving up and the state file, on small real children."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import runtime.supervisor as module
from runtime.home import Home, read_json
from runtime.process import ProcessSpec, StartFault, wait_until
from runtime.supervisor import Supervisor, claim, claimant, end_left_behind, remembered


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(home: Home, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(module, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(module, "BACKOFF_MAX_S", 0.04)
    running = Supervisor(home, said.append)
    yield running
    running.stop_all()


def spec(home: Home, name: str, code: str, restart: str = "always") -> ProcessSpec:
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-S", "-c", code),
        log_file=home.logs / f"{name}.log",
        ready=lambda: None,
        restart=restart,  # type: ignore[arg-type]
    )


FOREVER = "import signal; signal.pause()"


def ends_once(gate: Path, code: int) -> str:
    return f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nos._exit({code})"


def status(supervisor: Supervisor, name: str) -> module.ProcessStatus:
    return next(s for s in supervisor.status() if s.name == name)


def test_a_killed_process_comes_back_under_a_new_pid(supervisor: Supervisor, home: Home) -> None:
    supervisor.start(spec(home, "one", FOREVER))
    old = status(supervisor, "one").pid
    assert old is not None
    os.kill(old, signal.SIGKILL)
    assert wait_until(lambda: status(supervisor, "one").pid not in (None, old), 10)
    assert status(supervisor, "one").restarts == 1
    assert remembered(home)["one"].pid == status(supervisor, "one").pid


def test_one_that_always_ends_is_given_up_and_said_so(
    supervisor: Supervisor, home: Home, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESTARTS_MAX", 2)
    gate = home.run / "go"
    supervisor.start(spec(home, "bad", ends_once(gate, 1)))
    gate.touch()
    assert wait_until(lambda: status(supervisor, "bad").state == "given_up", 20)
    assert status(supervisor, "bad").restarts == 2
    assert "given up" in said[-1]
    assert str(home.logs / "bad.log") in said[-1]


@pytest.mark.parametrize(
    ("restart", "code", "expected"),
    [("never", 1, "ended"), ("on_failure", 0, "ended"), ("on_failure", 1, "restarting")],
)
def test_restart_policies(
    supervisor: Supervisor, home: Home, restart: str, code: int, expected: str, said: list[str]
) -> None:
    gate = home.run / "go"
    supervisor.start(spec(home, "once", ends_once(gate, code), restart))
    gate.touch()
    if expected == "ended":
        assert wait_until(lambda: status(supervisor, "once").state == "ended", 10)
        assert status(supervisor, "once").restarts == 0
    else:
        assert wait_until(lambda: status(supervisor, "once").restarts >= 1, 10)


def test_all_are_stopped_and_forgotten_but_those_kept(home: Home) -> None:
    supervisor = Supervisor(home)
    for name in ("first", "second", "third"):
        supervisor.start(spec(home, name, FOREVER))
    supervisor.stop_all(keep=["first"])
    assert [s.name for s in supervisor.status()] == ["first"]
    supervisor.stop_all()
    assert supervisor.status() == []
    assert remembered(home) == {}
    assert read_json(home.state_file)["processes"] == {}


def test_a_server_outlives_the_processes_that_use_it(home: Home) -> None:
    # the client writes down whether the server is still there when it is told to go
    ended = home.run / "ended"
    supervisor = Supervisor(home)
    supervisor.start(replace(spec(home, "server", FOREVER), wave=0))
    pid = status(supervisor, "server").pid
    client = (
        "import os, signal\n"
        "def leave(*_):\n"
        f"    os.kill({pid}, 0)\n"
        f"    open({str(ended)!r}, 'w').close()\n"
        "    os._exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('ready', flush=True)\n"
        "while True: signal.pause()"
    )
    log = home.logs / "client.log"

    def ready() -> str | None:
        return None if log.read_text() else "silent"

    supervisor.start(replace(spec(home, "client", client), ready=ready))
    supervisor.stop_all()
    assert ended.exists()


def test_a_failed_start_leaves_nothing_behind(supervisor: Supervisor, home: Home) -> None:
    broken = ProcessSpec(
        name="broken",
        argv=(sys.executable, "-c", "raise SystemExit(4)"),
        log_file=home.logs / "broken.log",
        ready=lambda: "not yet",
    )
    with pytest.raises(StartFault, match="exit code 4"):
        supervisor.start(broken)
    assert supervisor.status() == []


def test_processes_of_a_lost_supervisor_are_found_and_ended(home: Home) -> None:
    lost = Supervisor(home)
    lost.start(spec(home, "left", FOREVER))
    try:
        said: list[str] = []
        assert end_left_behind(home, report=said.append) == 1
        assert remembered(home) == {}
        assert "left" in said[0]
        assert end_left_behind(home) == 0
    finally:
        lost.stop_all()


def test_the_claim_is_seen_while_its_process_lives(home: Home) -> None:
    assert claimant(home) is None
    claim(home, os.getpid())
    running = claimant(home)
    assert running is not None
    assert running.pid == os.getpid()


def test_a_home_is_locked_by_one_holder_at_a_time(home: Home) -> None:
    with home.lock("up") as first, home.lock("up") as second:
        assert first
        assert not second
    with home.lock("up") as again:
        assert again

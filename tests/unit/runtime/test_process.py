"""Process identity, readiness and ending, on small real children."""

import os
import signal
import sys
from pathlib import Path

import pytest

from runtime.process import Child, ProcessId, ProcessSpec, StartFault, from_json, identify, tail, wait_until


def spec(tmp_path: Path, code: str, **changes: object) -> ProcessSpec:
    words: dict[str, object] = {
        "name": "child",
        "argv": (sys.executable, "-c", code),
        "log_file": tmp_path / "child.log",
        "ready": lambda: None,
        "ready_timeout_s": 5.0,
        "stop_grace_s": 5.0,
    }
    return ProcessSpec(**{**words, **changes})  # type: ignore[arg-type]


FOREVER = "import signal; signal.pause()"
STUBBORN = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)\nwhile True: signal.pause()"
)


def test_identity_names_this_process_and_no_other() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert me.alive()
    assert from_json(me.as_json()) == me
    assert not ProcessId(me.pid, me.start_ticks + 1, me.boot_id).alive()
    assert not ProcessId(me.pid, me.start_ticks, "another boot").alive()


@pytest.mark.parametrize("value", [None, 7, {}, {"pid": 1}, {"pid": "x", "start_ticks": 1, "boot_id": "b"}])
def test_a_torn_identity_is_none(value: object) -> None:
    assert from_json(value) is None


def test_a_later_process_with_the_same_number_is_never_signalled(tmp_path: Path) -> None:
    child = Child(spec(tmp_path, FOREVER))
    try:
        stranger = ProcessId(child.id.pid, child.id.start_ticks - 1, child.id.boot_id)
        assert stranger.send(signal.SIGKILL) is False
        assert stranger.end() is False
        assert child.exit_code is None
    finally:
        child.stop()
    assert child.exit_code == -signal.SIGTERM
    assert not child.id.alive()


def test_a_child_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    child = Child(spec(tmp_path, "print('the disk is full'); raise SystemExit(3)", ready=lambda: "not yet"))
    with pytest.raises(StartFault, match=r"child ended at once \(exit code 3\).*the disk is full"):
        child.wait_ready()


def test_a_child_that_never_serves_is_stopped_and_says_why(tmp_path: Path) -> None:
    child = Child(spec(tmp_path, FOREVER, ready=lambda: "it sulks", ready_timeout_s=0.2))
    with pytest.raises(StartFault, match=r"does not answer after 0 s \(it sulks\)"):
        child.wait_ready()
    assert child.exit_code is not None


def test_a_program_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    missing = spec(tmp_path, "", argv=(str(tmp_path / "nothing"),), ready=lambda: "not yet")
    with pytest.raises(StartFault, match=r"child (ended at once|cannot be started).*nothing"):
        started(missing)


def started(missing: ProcessSpec) -> None:
    # where setpriv exists it is the one that fails, a moment later
    Child(missing).wait_ready()


def test_a_deaf_child_is_killed_after_its_grace_with_all_it_started(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        f"inner = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n"
        "print('inner', inner.pid, flush=True)\n" + STUBBORN
    )
    log = tmp_path / "child.log"
    child = Child(spec(tmp_path, code, stop_grace_s=0.3))
    assert wait_until(lambda: log.exists() and log.read_text().count("deaf") == 2, 10)
    inner = identify(int(log.read_text().split("inner ")[1].split()[0]))
    assert inner is not None
    child.stop()
    assert child.exit_code == -signal.SIGKILL
    assert wait_until(lambda: not inner.alive(), 5)


def test_tail_gives_the_last_lines_on_one_line(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert tail(file) == ""
    file.write_text("\n".join(f"line {number}" for number in range(1000)))
    assert tail(file, 2) == "line 998 | line 999"

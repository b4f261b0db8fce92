"""Programs that the tests fork are as those that begin in an interpreter of their own."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from runtime.process import wait_until
from tests.support.warm import warm_python

LIMIT_S = 300
"""The first program of a session waits for all imports."""

pytestmark = pytest.mark.integration

PROGRAM = """
import json, os, sys, signal
told = [sys.argv[1:], os.getcwd(), dict(os.environ), os.getpid(), "orchestration.preload" in sys.modules]
print(json.dumps(told), flush=True)
print("said", file=sys.stderr, flush=True)
if sys.stdin.readline() == "wait\\n":
    signal.pause()
raise SystemExit(7)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "told.py").write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*warm_python(), "-m", "told", "a", "b"], cwd=folder, env={"PROPDESK_X": "1"}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_fork_has_words_folder_environment_and_streams_of_whoever_asked(folder: Path) -> None:
    started = start(folder)
    printed, said = started.communicate("go on\n", timeout=LIMIT_S)
    words, place, environment, pid, has_our_modules = json.loads(printed)
    environment.pop("LC_CTYPE", None)  # an interpreter sets it where nobody names a locale
    assert (words, place, environment) == (["a", "b"], str(folder), {"PROPDESK_X": "1"})
    assert pid not in (started.pid, os.getpid())
    assert not has_our_modules, "a module that reads settings must be imported by the fork"
    assert (said, started.returncode) == ("said\n", 7)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_fork_ends_with_whoever_asked(folder: Path, number: int) -> None:
    started = start(folder)
    assert started.stdin is not None
    assert started.stdout is not None
    pid = json.loads(started.stdout.readline())[3]
    started.stdin.write("wait\n")
    started.stdin.flush()
    started.send_signal(number)
    started.communicate(timeout=LIMIT_S)
    assert started.returncode == -number
    assert wait_until(lambda: not Path(f"/proc/{pid}").exists(), LIMIT_S)

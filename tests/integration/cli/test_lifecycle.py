"""``up``, ``status``, ``doctor`` and ``down`` as processes, on a home of their own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runtime.home import Home
from runtime.process import wait_until
from runtime.supervisor import claimant, remembered
from tests.support.warm import warm_python

pytestmark = [pytest.mark.integration, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[3]
UP_S = 120


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(prefix="propdesk-cli-"))
    folder.chmod(0o755)
    home = Home(folder / "home")
    yield home
    run(home, "down")
    shutil.rmtree(folder, ignore_errors=True)


def environment(home: Home) -> dict[str, str]:
    return {**os.environ, "PROPDESK_HOME": str(home.path), "PYTHONPATH": str(ROOT)}


def run(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*warm_python(), "-m", "cli", *words],
        env=environment(home),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=UP_S,
        check=False,
    )


def start_up(home: Home, log: Path, **more: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "up", "--servers-only"],
            env={**environment(home), **more},
            cwd="/",
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    ready = wait_until(
        lambda: process.poll() is not None or "Everything is up" in log.read_text(encoding="utf-8"), UP_S
    )
    assert ready, log.read_text(encoding="utf-8")
    assert process.poll() is None, log.read_text(encoding="utf-8")
    return process


def log_in(api_url: str, password: str) -> int:
    given = {"login": "admin", "password": password}
    return httpx.post(f"{api_url}/auth/login", json=given, timeout=30).status_code


def test_up_serves_and_every_command_sees_it_until_a_signal_stops_all(home: Home, tmp_path: Path) -> None:
    assert run(home, "status").returncode == 3
    told = {
        "PROPDESK_NOTIFY_RECIPIENTS": '{"asha": {"telegram": "42"}}',
        "PROPDESK_TELEGRAM_BOT_TOKEN": "123456:nobody",
        "PROPDESK_TELEGRAM_URL": "http://127.0.0.1:9",
    }
    up = start_up(home, tmp_path / "up.log", **told)
    try:
        status = run(home, "status", "--json")
        assert status.returncode == 0
        found = json.loads(status.stdout)
        assert found["ready"] is True
        assert found["pid"] == up.pid
        names = {process["name"] for process in found["processes"]}
        assert names >= {"postgres", "redis", "api", "ui"}
        assert names >= {"dagster-code", "dagster-webserver", "dagster-daemon"}
        printed = (tmp_path / "up.log").read_text()
        assert "notifier" in names, printed
        told = re.findall(r"first user of API and dashboard: admin, password (\S+)", printed)
        assert len(told) == 1
        assert log_in(found["api_url"], told[0]) == 200
        assert log_in(found["api_url"], "another word") == 401
        assert "Log in · propdesk" in httpx.get(found["ui_url"], follow_redirects=True).text
        doctor = run(home, "doctor", "--json")
        assert json.loads(doctor.stdout)["ok"] is True, doctor.stdout
        assert doctor.returncode == 0
        second = run(home, "up", "--servers-only", "--exit")
        assert second.returncode == 1
        assert f"already runs for this clone (pid {up.pid})" in second.stderr
        started = remembered(home)
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
        assert wait_until(lambda: not any(identity.alive() for identity in started.values()), 5)
        assert run(home, "status").returncode == 3
    finally:
        up.kill()
        up.wait()


def test_after_a_kill_the_servers_end_and_the_next_up_is_quick_and_down_stops_it(
    home: Home, tmp_path: Path
) -> None:
    up = start_up(home, tmp_path / "up.log")
    started = remembered(home)
    up.kill()
    up.wait()
    # the kernel tells each child; where setpriv is absent the next start ends them instead
    if shutil.which("setpriv"):
        assert wait_until(lambda: not any(identity.alive() for identity in started.values()), 20), started
    again = start_up(home, tmp_path / "again.log")
    try:
        assert "password" not in (tmp_path / "again.log").read_text()
        assert claimant(home) is not None
        down = run(home, "down")
        assert down.returncode == 0
        assert again.wait(60) == 0
        assert "Nothing" in run(home, "down").stderr
    finally:
        again.kill()
        again.wait()

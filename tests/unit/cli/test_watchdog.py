"""The watchdog's loop: it outlives what it cannot ask, and ends when asked to."""

import signal
from collections.abc import Iterator

import pytest

from adapters.db.repos.dead_man import Look
from adapters.settings import Settings
from cli import watchdog
from propdesk.core.errors import PropdeskError


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


class Said:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def error(self, event: str, **facts: object) -> None:
        self.lines.append((event, str(facts.get("in_a_row", facts["text"]))))

    def info(self, event: str) -> None:
        self.lines.append((event, ""))


def test_it_goes_on_looking_after_faults_until_it_is_asked_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it could not see is counted; that all is well is said of daemons that were seen only."""
    fault, silent = PropdeskError("no server answers"), Look(2, ("a daemon is silent",))
    answers = [*[fault] * 13, silent, silent, Look(2, ()), Look(2, ()), Look(0, ()), None, fault, Look(2, ())]
    looks: list[int] = []
    said = Said()

    def look(_settings: Settings, _now_ns: int, silent_s: int) -> Look | None:
        looks.append(silent_s)
        if len(looks) == len(answers):
            signal.raise_signal(signal.SIGTERM)
        answer = answers[len(looks) - 1]
        if isinstance(answer, PropdeskError):
            raise answer
        return answer

    monkeypatch.setattr(watchdog, "look", look)
    monkeypatch.setattr(watchdog, "LOOK_S", 0.0)
    monkeypatch.setattr("adapters.log.get_logger", lambda: said)
    watchdog._watch(Settings(), 45)
    assert looks == [45] * len(answers)
    assert said.lines == [
        ("cannot_look", "1"),
        ("cannot_look", "13"),
        ("daemon_silent", "a daemon is silent"),
        ("no_daemon_is_silent", ""),
        ("no_daemon_is_expected", ""),
        ("outside_market_hours", ""),
        ("cannot_look", "1"),
        ("no_daemon_is_silent", ""),
    ]

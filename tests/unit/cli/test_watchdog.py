"""The watchdog's loop: it outlives what it cannot ask, and ends when asked to."""

import signal
from collections.abc import Iterator

import pytest

from adapters.settings import Settings
from cli import watchdog
from propdesk.core.errors import PropdeskError


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_it_goes_on_looking_after_a_fault_until_it_is_asked_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def look(_settings: Settings, _now_ns: int, silent_s: int) -> tuple[str, ...]:
        looks.append(silent_s)
        if len(looks) == 1:
            raise PropdeskError("no server answers")
        if len(looks) == 4:
            signal.raise_signal(signal.SIGTERM)
        return ("a daemon is silent",) if len(looks) == 2 else ()

    monkeypatch.setattr(watchdog, "look", look)
    monkeypatch.setattr(watchdog, "LOOK_S", 0.0)
    watchdog._watch(Settings(), 45)
    assert looks == [45] * 4

"""What a panel says when it cannot read, and when it cannot draw."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from nicegui import Client, ui
from nicegui.page import page

from adapters.db.engine import DatabaseUnreachable
from web.ui import formats
from web.ui.panel import EVERY_S, SPACED_S, Panel
from web.ui.visit import SessionOver

ADDRESS = "/rule?rule=a%20b"
START = datetime(2025, 7, 1, 4, 0, tzinfo=UTC)
LATER = timedelta(hours=2)


def read_in_turn(answers: Iterable[object]) -> Callable[[], Awaitable[object]]:
    left = list(answers)

    async def read() -> object:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return read


def look(answers: list[object], draw: Callable[[Any], None]) -> list[list[str]]:
    """Give the sentences of a panel after each look, `LATER` passing between looks."""

    async def main() -> list[list[str]]:
        parts = SimpleNamespace(at=START, now=lambda: parts.at)
        visit: Any = SimpleNamespace(
            house=SimpleNamespace(parts=parts, bell=SimpleNamespace(ring=object())), address=ADDRESS
        )
        client, seen = Client(page("")), []
        with client:
            panel = Panel(visit, read_in_turn(answers), draw)
            for _ in answers:
                await panel.refresh()
                seen.append([e.text for e in client.elements.values() if isinstance(e, ui.label)])
                parts.at += LATER
        return seen

    return asyncio.run(main())


def test_what_stays_is_dated_by_when_it_was_read() -> None:
    away = DatabaseUnreachable("away")
    *_, shown = look([1, away, away], lambda value: ui.label(f"value {value}"))
    assert "value 1" in shown
    assert f"What is shown below was read at {formats.moment(START)}, 4 h ago." in shown


def test_a_look_that_finds_the_same_makes_it_as_young_as_the_look() -> None:
    *_, shown = look([1, 1, DatabaseUnreachable("away")], lambda value: ui.label(f"value {value}"))
    assert f"What is shown below was read at {formats.moment(START + LATER)}, 2 h ago." in shown


def test_what_cannot_be_drawn_is_said_with_every_look_and_half_of_it_is_not_shown() -> None:
    def draw(_: object) -> None:
        ui.label("half")
        raise TypeError("a text where a number was")

    for shown in look([1, 1], draw):
        assert shown == ["Something broke here; the log of the dashboard says what."]


def test_what_can_be_drawn_again_takes_the_fault_away() -> None:
    broken = [True]

    def draw(value: object) -> None:
        ui.label(f"value {value}")
        if broken.pop():
            broken.append(False)
            raise TypeError("a text where a number was")

    assert look([1, 1], draw)[-1] == ["value 1"]


@pytest.mark.parametrize("answer", [DatabaseUnreachable("away"), RuntimeError("anything")])
def test_a_panel_that_never_was_read_dates_nothing(answer: Exception) -> None:
    ((sentence,),) = look([answer], lambda value: ui.label(f"value {value}"))
    assert "read at" not in sentence


@pytest.mark.parametrize(
    ("after_s", "rang", "reads"),
    [(SPACED_S - 0.1, True, 1), (SPACED_S, True, 2), (SPACED_S, False, 1), (EVERY_S, False, 2)],
)
def test_a_live_panel_reads_when_it_rings_but_spaced(after_s: float, rang: bool, reads: int) -> None:
    async def main() -> int:
        parts = SimpleNamespace(at=START, now=lambda: parts.at)
        bell = SimpleNamespace(ring=object())
        visit: Any = SimpleNamespace(house=SimpleNamespace(parts=parts, bell=bell))
        read = AsyncMock(return_value=1)
        with Client(page("")):
            panel = Panel(visit, read, lambda _: None)
            await panel.refresh()
            parts.at += timedelta(seconds=after_s)
            bell.ring = object() if rang else bell.ring
            await panel._look()
        return read.await_count

    assert asyncio.run(main()) == reads


def test_who_is_logged_out_comes_back_to_the_page_after_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    led: list[str] = []
    monkeypatch.setattr(ui.navigate, "to", led.append)
    look([SessionOver()], lambda _: None)
    assert led == ["/login?next=%2Frule%3Frule%3Da%2520b"]

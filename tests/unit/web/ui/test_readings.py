"""What many panels read at the same moment is read once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from web.ui import readings
from web.ui.readings import Readings


def counted(*answers: object) -> tuple[list[object], Callable[[], Awaitable[object]]]:
    made: list[object] = []

    async def read() -> object:
        answer = answers[len(made)]
        made.append(answer)
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return made, read


def test_those_who_ask_together_are_given_one_reading() -> None:
    made, read = counted("a", "b")
    kept, ring = Readings(), object()

    async def main() -> list[object]:
        together = await asyncio.gather(*(kept.get("x", ring, read) for _ in range(5)))
        return [*together, await kept.get("x", ring, read)]

    assert asyncio.run(main()) == ["a"] * 6
    assert made == ["a"]


def test_a_ring_another_name_and_time_each_make_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _, read = counted(*"abcd")
    kept, ring, next_ring = Readings(), object(), object()

    async def main() -> list[object]:
        found = [
            await kept.get("x", ring, read),
            await kept.get("x", next_ring, read),
            await kept.get("y", next_ring, read),
        ]
        monkeypatch.setattr(readings, "KEPT_S", 0.0)
        return [*found, await kept.get("x", next_ring, read)]

    assert asyncio.run(main()) == list("abcd")


def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    _, read = counted(OSError("away"), "a")
    kept, ring = Readings(), object()

    async def main() -> list[object]:
        together = await asyncio.gather(
            *(kept.get("x", ring, read) for _ in range(2)), return_exceptions=True
        )
        return [*map(str, together), await kept.get("x", ring, read)]

    assert asyncio.run(main()) == ["away", "away", "a"]


def test_who_leaves_takes_the_reading_from_nobody_else() -> None:
    made, read = counted("a", "b")
    kept, ring = Readings(), object()

    async def main() -> object:
        leaving = asyncio.ensure_future(kept.get("x", ring, read))
        staying = asyncio.ensure_future(kept.get("x", ring, read))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert asyncio.run(main()) == "a"
    assert made == ["a"]

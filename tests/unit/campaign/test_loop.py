"""The loop whose time jumps: order, durations, work for threads, and what waits for ever."""

import asyncio
import contextvars
import time

import pytest

from campaign.loop import OWNER, Stuck, VirtualLoop, process_time


def in_loop(coroutine: object) -> object:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        with process_time(loop):
            return runner.run(coroutine)  # type: ignore[arg-type]


def test_waiting_takes_no_time_and_happens_in_order() -> None:
    heard: list[tuple[str, float]] = []

    async def one(name: str, wait_s: float) -> None:
        begun = time.monotonic()
        await asyncio.sleep(wait_s)
        heard.append((name, round(time.monotonic() - begun, 6)))

    async def both() -> None:
        await asyncio.gather(one("late", 3_600.0), one("early", 0.5), one("middle", 60.25))

    begun = time.perf_counter()
    in_loop(both())
    assert heard == [("early", 0.5), ("middle", 60.25), ("late", 3_600.0)]
    assert time.perf_counter() - begun < 60, "an hour passed in real time"


def test_the_module_time_is_itself_again_afterwards() -> None:
    real = (time.monotonic, time.monotonic_ns, time.perf_counter)

    async def fail() -> None:
        raise RuntimeError("anything")

    with pytest.raises(RuntimeError, match="anything"):
        in_loop(fail())
    assert (time.monotonic, time.monotonic_ns, time.perf_counter) == real


def test_who_waits_for_nobody_is_told() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        in_loop(wait())


def test_a_time_out_ends_a_wait_at_its_moment() -> None:
    async def wait() -> float:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await asyncio.Event().wait()
        return time.monotonic() - begun

    assert in_loop(wait()) == pytest.approx(5.0)


def test_work_for_a_thread_is_done_in_place() -> None:
    async def work() -> tuple[int, str]:
        done = await asyncio.to_thread(sum, [1, 2])
        try:
            await asyncio.to_thread(int, "no number")
        except ValueError as fault:
            return done, type(fault).__name__
        return done, ""

    assert in_loop(work()) == (3, "ValueError")


def test_nothing_of_a_process_that_stands_still_runs_until_it_goes_on() -> None:
    heard: list[tuple[str, float]] = []

    async def tick(name: str) -> None:
        for _ in range(3):
            await asyncio.sleep(1.0)
            heard.append((name, time.monotonic()))

    async def both() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        begun, own = time.monotonic(), contextvars.copy_context()
        own.run(OWNER.set, "still")
        tasks = [asyncio.create_task(tick("still"), context=own), asyncio.create_task(tick("other"))]
        await asyncio.sleep(1.5)
        loop.freeze("still")
        await asyncio.sleep(8.5)
        loop.thaw("still")
        await asyncio.gather(*tasks)
        heard[:] = [(name, round(at - begun, 3)) for name, at in heard]

    in_loop(both())
    assert [at for name, at in heard if name == "other"] == [1.0, 2.0, 3.0]
    assert [at for name, at in heard if name == "still"] == [1.0, 10.0, 11.0]

"""A sandbox in a thread of its own, for clients that block."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sandbox.server import Sandbox

Result = TypeVar("Result")


class RunningSandbox:
    """Where it listens, and a way to change its world in its own thread."""

    def __init__(self, sandbox: Sandbox, loop: asyncio.AbstractEventLoop, place: str) -> None:
        self.sandbox = sandbox
        self.place = place
        self._loop = loop

    def do(self, action: Callable[[], Result]) -> Result:
        """Run something in the sandbox's thread and give its result."""

        async def run() -> Result:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=60)


@contextmanager
def running(sandbox: Sandbox) -> Iterator[RunningSandbox]:
    """Serve a sandbox while the block runs."""
    started: list[RunningSandbox] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with sandbox.serving() as place:
            started.append(RunningSandbox(sandbox, asyncio.get_running_loop(), place))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(timeout=60), "the sandbox did not start"
    try:
        yield started[0]
    finally:
        started[0].do(stop.set)
        thread.join(timeout=60)

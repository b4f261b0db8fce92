"""An event loop without sockets whose time jumps to the next timer: a day costs what it computes."""

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Final, TypeVar, TypeVarTuple

from propdesk.core.clock import NS_PER_SECOND

Words = TypeVarTuple("Words")
Result = TypeVar("Result")

_FIRST_NS: Final = 10_000 * NS_PER_SECOND
"""Where the process's own time begins; code takes 0 for "never"."""


class Stuck(RuntimeError):
    """Nothing is ready and nothing is due: everybody waits for somebody else, for ever."""


OWNER: "contextvars.ContextVar[object | None]" = contextvars.ContextVar("OWNER", default=None)
"""The process that whatever runs belongs to; its tasks and timers inherit it."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks in the order in which they are due; waiting takes no time.

    Notes
    -----
    Work for other threads is done at once in this one, so that every run is the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now_ns = _FIRST_NS
        self._selector = _Jumps(self)
        self._ready = _Ready()

    def freeze(self, owner: object) -> None:
        """Let nothing of a process run any more, timers that come due among it."""
        self._ready.parked.setdefault(owner, [])

    def thaw(self, owner: object) -> None:
        """Let a process go on with all that it has missed, in that order; one that runs does."""
        self._ready.extend(self._ready.parked.pop(owner, ()))

    @property
    def now_ns(self) -> int:
        """The process's own time, which never turns back, ns."""
        return self._now_ns

    @property
    def elapsed_ns(self) -> int:
        """How much time has passed in this loop, ns."""
        return self._now_ns - _FIRST_NS

    def time(self) -> float:
        """Give the same in seconds."""
        return self._now_ns / NS_PER_SECOND

    def jump(self, seconds: float) -> None:
        """Let time pass while nobody runs."""
        self._now_ns += max(0, round(seconds * NS_PER_SECOND))

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Words], Result], *args: *Words
    ) -> "asyncio.Future[Result]":
        """Call a blocking function here and now."""
        del executor
        done: asyncio.Future[Result] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as fault:
            done.set_exception(fault)
        return done

    def _process_events(self, event_list: list[Any]) -> None:
        """Take none: there are no sockets."""

    def _write_to_self(self) -> None:
        """Wake nobody: there is one thread."""


class _Ready(deque[asyncio.Handle]):
    """What is to be called next; calls of a process that stands still are put aside as they come up."""

    def __init__(self) -> None:
        super().__init__()
        self.parked: dict[object, list[asyncio.Handle]] = {}

    def popleft(self) -> asyncio.Handle:
        handle = super().popleft()
        kept = self.parked.get(handle._context.get(OWNER)) if self.parked else None  # type: ignore[attr-defined]
        if kept is None:
            return handle
        kept.append(handle)
        nothing = asyncio.Handle(int, (), asyncio.get_running_loop())
        nothing.cancel()
        return nothing


class _Jumps:
    """Stands where a loop asks the kernel for events: there are none, so it sleeps through at once."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stuck("nothing is ready and no timer is set: the simulation waits for ever")
        self._loop.jump(timeout)
        return []


@contextmanager
def process_time(loop: VirtualLoop) -> Iterator[None]:
    """Let whatever measures durations by `time` see the loop's time while the block runs."""
    shown: dict[str, Callable[[], object]] = {
        "monotonic": loop.time,
        "monotonic_ns": lambda: loop.now_ns,
        "perf_counter": loop.time,
    }
    real = {name: getattr(time, name) for name in shown}
    try:
        for name, tell in shown.items():
            setattr(time, name, tell)
        yield
    finally:
        for name, tell in real.items():
            setattr(time, name, tell)

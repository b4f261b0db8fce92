"""Readings that many panels ask for at the same moment, made once for all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

KEPT_S: Final = 1.0
"""A reading serves so long those who ask for the same, unless the daemon tells something meanwhile."""


@dataclass(frozen=True, slots=True)
class _Reading:
    ring: object
    begun_s: float
    task: "asyncio.Future[Any]"


class Readings:
    """Keep the newest reading of each kind, for every page of the process."""

    def __init__(self) -> None:
        self._kept: dict[str, _Reading] = {}

    async def get(self, key: str, ring: object, read: Callable[[], Awaitable[Any]]) -> Any:
        """Give what was read last, or read.

        Parameters
        ----------
        key : str
            Names what is read; the same for everybody who asks.
        ring : object
            The bell's next ring: what was begun before another one rang is not given any more.
        read : callable
            Raises what it raises to all who wait; a failure is not kept.
        """
        now_s = asyncio.get_running_loop().time()
        kept = self._kept.get(key)
        if kept is None or kept.ring is not ring or now_s - kept.begun_s >= KEPT_S or _has_failed(kept.task):
            kept = _Reading(ring, now_s, asyncio.ensure_future(read()))
            self._kept[key] = kept
        return await asyncio.shield(kept.task)  # who leaves takes it from nobody else


def _has_failed(task: "asyncio.Future[Any]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)

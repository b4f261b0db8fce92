"""Where a process may end: every commit, every call and every answer is a boundary that it crosses."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import psycopg


class Ending(StrEnum):
    """What happens to a process at a boundary."""

    KILL = "KILL"  # every task and everything uncommitted is gone
    FREEZE = "FREEZE"  # it stands still while another one takes over, and then goes on
    CUT = "CUT"  # the database's connection breaks: nothing is stored, or only the answer is lost


ANY: Final = "ANY"
"""Every boundary; the name of one counts only those (docs/reliability.md: crash points)."""
BEFORE, AFTER = "DB-", "DB+"
"""Boundaries of the database: nothing is stored yet, and everything is."""


@dataclass(frozen=True, slots=True)
class Fate:
    """Ends a life at the ``number``-th boundary of a name.

    Attributes
    ----------
    rest_s : float
        Seconds until the supervisor starts the next one; of a frozen process, until it goes on.
    """

    point: str
    number: int
    ending: Ending
    rest_s: float


class Edge:
    """The outside of one process: what it does there it does by crossing a boundary.

    Parameters
    ----------
    fate : Fate or None
        What becomes of it; None = it lives as long as it is let.
    note : callable
        Told what happens, for the trace.
    stand : callable
        Told this edge and whether it stands still: then nothing of its process may run.
    """

    def __init__(
        self,
        fate: Fate | None,
        note: Callable[[str], None],
        stand: "Callable[[Edge, bool], None]" = lambda _edge, _is_still: None,
    ) -> None:
        self._fate = fate
        self._note = note
        self._stand = stand
        self._crossed: Counter[str] = Counter()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.ended = asyncio.Event()
        self.struck: tuple[str, ...] = ()
        self.is_dead = False
        self.epoch = 0

    @property
    def crossings(self) -> int:
        """How many boundaries were crossed."""
        return self._crossed[ANY]

    async def cross(self, *points: str) -> None:
        """Go over a boundary of these names; a dead process never does.

        Raises
        ------
        psycopg.OperationalError
            If the connection breaks here.
        """
        await self._thawed.wait()
        if self.is_dead:
            raise asyncio.CancelledError
        for point in (ANY, *points):
            self._crossed[point] += 1
        fate = self._fate
        if fate is None or (fate.point != ANY and fate.point not in points):
            return
        if self._crossed[fate.point] < fate.number:
            return
        self._fate = None
        self.struck = points
        self._note(f"{fate.ending} at {'/'.join(points) or ANY}")
        await self._end(fate)

    async def _end(self, fate: Fate) -> None:
        if fate.ending is Ending.CUT:
            raise psycopg.OperationalError("the connection was lost")
        self.ended.set()
        if fate.ending is Ending.FREEZE:
            self._thawed.clear()
            self._stand(self, True)
            await self._thawed.wait()
            return
        self.is_dead = True
        await asyncio.Event().wait()

    def kill(self) -> None:
        """End it now, wherever it is."""
        self.is_dead = True
        self.thaw()

    def thaw(self) -> None:
        """Let a frozen process go on, what it has missed first."""
        self._stand(self, False)
        self._thawed.set()

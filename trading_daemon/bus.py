"""Bounded typed queues between the tasks, and the knowledge of whether anything is still under way.

What a full queue does is fixed per queue (style: how the pieces run):

========= ============================================= ==================================================
queue     carries                                       when full
========= ============================================= ==================================================
events    envelopes for the decider                     the producer waits; signals stay in their source
intents   committed order intents, exits before entries never full: bounded by what the decider commits
tracks    series to follow from now on                  the decider waits
========= ============================================= ==================================================
"""

import asyncio
import contextlib
import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from propdesk.core.errors import LimitFault
from propdesk.core.limits import BUS_QUEUE_SIZE
from propdesk.model.live import ReplayMark
from propdesk.model.messages import EntryVerdict, Event, IntentKind, OrderIntent
from propdesk.risk.throttle import Urgency, urgency_of

T = TypeVar("T")


def end_if_cancelled() -> None:
    """Let a cancellation through that a library has swallowed while it talked to a server.

    Called once per turn by every task: a task that stays would keep the process from ending.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@dataclass(frozen=True, slots=True)
class Envelope:
    """Events that belong into one journal row.

    ``inbox_ids`` are the inbox rows they come from; ``mark`` the item of a replayed day they complete.
    An envelope may be empty of events (an unreadable document: its inbox row is journalled all the same).
    """

    events: tuple[Event, ...]
    inbox_ids: tuple[int, ...] = ()
    mark: ReplayMark | None = None


@dataclass(frozen=True, slots=True)
class TrackRequest:
    """Series to deliver from now on; of ``quote`` the newest complete bar is asked for at once."""

    follow: tuple[str, ...]
    quote: tuple[str, ...]


class Pulse:
    """Wakes whoever waits for a condition over several queues."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def beat(self) -> None:
        """Let every waiter look again."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds."""
        while not condition():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)


class Channel(Generic[T]):
    """A bounded first-in first-out queue that knows how many of its items are not finished."""

    def __init__(self, pulse: Pulse, size: int = BUS_QUEUE_SIZE) -> None:
        self._queue: asyncio.Queue[T] = asyncio.Queue(size)
        self._pulse = pulse
        self._put = 0
        self.unfinished = 0

    async def put(self, item: T) -> None:
        """Add an item; waits while the queue is full."""
        self._put += 1
        self.unfinished += 1
        try:
            await self._queue.put(item)
        except asyncio.CancelledError:
            self._put -= 1
            self.unfinished -= 1
            raise

    async def get(self) -> T:
        """Take the oldest item; call `done` once it is dealt with."""
        return await self._queue.get()

    def take_waiting(self, most: int) -> list[T]:
        """Take what is there at this moment, at most ``most`` items."""
        taken: list[T] = []
        while len(taken) < most and not self._queue.empty():
            taken.append(self._queue.get_nowait())
        return taken

    def done(self, count: int = 1) -> None:
        """Say that ``count`` items taken earlier are dealt with."""
        self.unfinished -= count
        self._pulse.beat()

    async def passed(self) -> None:
        """Wait until everything that is in here now is dealt with; what comes later is not waited for."""
        last = self._put
        await self._pulse.until(lambda: self._put - self.unfinished >= last)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """An entry that was called off before it was sent, and everything asked of its order since.

    ``place`` comes first of ``intents``, the rest in the order decided. None of them is to leave.
    """

    intents: tuple[OrderIntent, ...]

    @property
    def place(self) -> OrderIntent:
        """The entry that never leaves."""
        return self.intents[0]


_PARKED = (-1, 0)
"""Rank of a lane that is not lined up."""


@dataclass(slots=True)
class _Lane:
    """What waits of one super order, in the order decided; ``rank`` says when it is served."""

    waiting: list[tuple[int, OrderIntent]]
    rank: tuple[int, int] = (0, 0)
    is_withdrawn: bool = False


class IntentQueue:
    """Committed intents, one lane per super order.

    Lanes are served most urgent first (`Urgency`), otherwise in the order decided; the head of a lane
    is as urgent as the most urgent intent behind it, unless it is the entry itself.
    Within a lane nothing overtakes: a change of an order never leaves before the order itself. An order that
    is cancelled while its entry still waits is withdrawn as a whole (`Withdrawal`): a cancel that left first
    would find nothing to cancel, and the entry would then be sent although nobody wants it any more.
    """

    def __init__(self, pulse: Pulse, size: int = BUS_QUEUE_SIZE) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._heap: list[tuple[tuple[int, int], str]] = []
        self._pulse = pulse
        self._size = size
        self._count = 0
        self._waiting = 0
        self._parked: dict[str, OrderIntent] = {}
        self.unfinished = 0

    def put(self, intent: OrderIntent) -> None:
        """Add an intent that is committed.

        Raises
        ------
        LimitFault
            If more wait than the bus may hold: order sending has stopped working.
        """
        if self._waiting >= self._size:
            raise LimitFault(f"{self._size} committed order intents wait to be sent: the broker takes none")
        self._count += 1
        self._waiting += 1
        self.unfinished += 1
        name = intent.correlation_id
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane([(self._count, intent)])
            self._offer(name, lane)
        else:
            self._join(name, lane, intent)
        self._pulse.beat()

    def _join(self, name: str, lane: _Lane, intent: OrderIntent) -> None:
        lane.waiting.append((self._count, intent))
        if lane.waiting[0][1].kind is not IntentKind.PLACE:
            if urgency_of(intent) < lane.rank[0]:
                self._offer(name, lane)
        elif intent.kind is IntentKind.CANCEL_ENTRY and not lane.is_withdrawn:
            lane.is_withdrawn = True
            self._offer(name, lane)

    def _offer(self, name: str, lane: _Lane) -> None:
        """Line a lane up: by its urgency, then by when its head (its cancel) was decided."""
        number, head = lane.waiting[-1 if lane.is_withdrawn else 0]
        is_place = head.kind is IntentKind.PLACE
        urgency = urgency_of(head) if is_place else min(urgency_of(intent) for _, intent in lane.waiting)
        if lane.is_withdrawn:
            urgency = Urgency.EXIT
        lane.rank = (urgency, number)
        heapq.heappush(self._heap, (lane.rank, name))

    def _front(self) -> str | None:
        """Name of the lane to serve next; what the heap holds of a lane lined up anew is dropped."""
        while self._heap:
            rank, name = self._heap[0]
            lane = self._lanes.get(name)
            if lane is not None and lane.rank == rank:
                return name
            heapq.heappop(self._heap)
        return None

    async def ready(self) -> None:
        """Wait until something can be taken."""
        await self._pulse.until(lambda: self._front() is not None)

    @property
    def urgency(self) -> Urgency:
        """How urgent it is what would be taken now; an entry's where there is nothing."""
        name = self._front()
        return Urgency.ENTRY if name is None else Urgency(self._lanes[name].rank[0])

    async def more_urgent(self, than: Urgency, timeout_s: float) -> None:
        """Wait until something more urgent can be taken, at most ``timeout_s`` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._pulse.until(lambda: self.urgency < than), timeout_s)

    async def get(self) -> OrderIntent | Withdrawal:
        """Take what is most urgent; call `done` for each intent once its answer is recorded."""
        await self.ready()
        taken = self.take()
        assert taken is not None  # noqa: S101 - ready says so
        return taken

    def take(self) -> OrderIntent | Withdrawal | None:
        """Take what is most urgent without waiting, as `get` does; None where there is nothing."""
        name = self._front()
        if name is None:
            return None
        heapq.heappop(self._heap)
        lane = self._lanes.pop(name)
        if lane.is_withdrawn:
            self._waiting -= len(lane.waiting)
            return Withdrawal(tuple(intent for _, intent in lane.waiting))
        self._waiting -= 1
        _, intent = lane.waiting.pop(0)
        if lane.waiting:
            self._lanes[name] = lane
            self._offer(name, lane)
        return intent

    def park(self, entry: OrderIntent) -> None:
        """Put an entry that was taken back at the head of its lane, until `resume` lets it be taken again.

        A cancel that comes meanwhile withdraws it like any entry that waits.
        """
        self._count += 1
        self._waiting += 1
        self.unfinished += 1
        name = entry.correlation_id
        lane = self._lanes.setdefault(name, _Lane([]))
        lane.waiting.insert(0, (self._count, entry))
        lane.rank = _PARKED
        self._parked[entry.intent_id] = entry
        if any(intent.kind is IntentKind.CANCEL_ENTRY for _, intent in lane.waiting):
            lane.is_withdrawn = True
            self._offer(name, lane)

    def resume(self, intent_id: str) -> bool:
        """Let a parked entry be taken again; False where it was withdrawn meanwhile."""
        entry = self._parked.pop(intent_id, None)
        lane = None if entry is None else self._lanes.get(entry.correlation_id)
        if entry is None or lane is None or lane.rank != _PARKED:
            return False
        self._offer(entry.correlation_id, lane)
        self._pulse.beat()
        return True

    def done(self, count: int = 1) -> None:
        """Say that ``count`` intents taken earlier are answered."""
        self.unfinished -= count
        self._pulse.beat()


class Bus:
    """All queues of the process.

    Parameters
    ----------
    lockstep : bool
        True in replay: the decider starts a batch only when everything the last one led to has come back,
        so that batches, and with them the journal, are the same in every run (§5.9).
    """

    def __init__(self, *, lockstep: bool = False) -> None:
        self.lockstep = lockstep
        self.pulse = Pulse()
        self.events: Channel[Envelope] = Channel(self.pulse)
        self.intents = IntentQueue(self.pulse)
        self.tracks: Channel[TrackRequest] = Channel(self.pulse)
        self.verdicts: dict[str, EntryVerdict] = {}
        self.sending = True
        self._probes: list[Callable[[], int]] = []

    def watch(self, probe: Callable[[], int]) -> None:
        """Count something outside the queues as under way while ``probe()`` is above 0."""
        self._probes.append(probe)

    def is_settled(self) -> bool:
        """Whether everything downstream of the decider is dealt with."""
        return (
            self.intents.unfinished == 0
            and self.tracks.unfinished == 0
            and all(probe() <= 0 for probe in self._probes)
        )

    def is_quiescent(self) -> bool:
        """Whether nothing at all is under way."""
        return self.events.unfinished == 0 and self.is_settled()

    async def settled(self) -> None:
        """Wait for `is_settled`; returns at once unless in lockstep.

        Once nothing is sent any more, lockstep never goes on: a batch of only part of what the last one
        leads to would not be the batch of an undisturbed run.
        """
        if self.lockstep:
            await self.pulse.until(lambda: self.sending and self.is_settled())

    async def quiescent(self) -> None:
        """Wait for `is_quiescent`; for ever once lockstep sends nothing any more."""
        await self.pulse.until(lambda: (self.sending or not self.lockstep) and self.is_quiescent())

    async def drained(self) -> None:
        """Wait until every event that is in the bus now is decided.

        In lockstep there is nothing to wait for: the driver hands its items over again.
        """
        if not self.lockstep:
            await self.events.passed()

    def judge(self, verdict: EntryVerdict) -> None:
        """Hand over what the gates said of an entry that waited."""
        if self.intents.resume(verdict.intent_id):
            self.verdicts[verdict.intent_id] = verdict

    def stop_sending(self) -> None:
        """Let no further intent leave (leadership lost, or the process is about to end)."""
        self.sending = False

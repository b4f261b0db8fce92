"""A past day through the live process: the driver owns the clock (§5.9)."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Protocol

from propdesk.core.calendar import MarketCalendar, Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND, ManualClock
from propdesk.core.errors import SchemaFault
from propdesk.core.invariant import require
from propdesk.intake.aliases import Aliases
from propdesk.model.live import InboxRow, NewInboxRow, ReplayMark
from propdesk.model.messages import DayOpened
from trading_daemon.bus import Bus, Envelope, end_if_cancelled
from trading_daemon.documents import Stamp, event_of, read_document, received_ns_of
from trading_daemon.feeds import ReplayFeed
from trading_daemon.ports import MinuteClosed
from trading_daemon.tasks.position_monitor import PositionMonitor

OPENING_MINUTE = 8 * 60 + 45
"""Pre-market is over at 08:45 IST; the day is opened then, or before its first signal."""


class ItemKind(StrEnum):
    """What happens at a moment of a replayed day; the value orders items of the same moment."""

    OPEN = "1-open"
    MINUTE = "2-minute"
    DOCUMENT = "3-document"


@dataclass(frozen=True, slots=True)
class Item:
    """One moment of the day."""

    at_ns: int
    kind: ItemKind
    document_id: str = ""
    row: NewInboxRow | None = None
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything that happens on a replayed day, in order; the hash names it."""

    trade_date: date
    items: tuple[Item, ...]
    timeline_hash: str


class Sink(Protocol):
    """Where the driver puts a document: the live source itself."""

    async def put(self, document_id: str, document: Mapping[str, object]) -> None:
        """Make the document appear, once, however often it is told."""
        ...


def build_timeline(
    trade_date: date, documents: Sequence[Mapping[str, object]], calendar: MarketCalendar
) -> Timeline:
    """Merge the day's minute ends with its documents.

    Parameters
    ----------
    trade_date : date
        A market day.
    documents : sequence of mapping
        Documents with a ``received_at`` (ISO 8601 with offset); those received in the day's
        `MarketCalendar.hearing_span` are taken, repeats once.
    calendar : MarketCalendar

    Returns
    -------
    Timeline
        At one moment: minute ends first (bars are known), then documents in the order of their ids.

    Raises
    ------
    SchemaFault
        If a document has no readable ``received_at``: the replayed day could not be in order.
    """
    require(calendar.is_market_day(trade_date), f"{trade_date} is no market day")
    heard_from, last_close = calendar.hearing_span(trade_date)
    items: dict[str, Item] = {}
    for number, document in enumerate(documents, start=1):
        received_ns = received_ns_of(document)
        if received_ns is None:
            raise SchemaFault(
                f"signal document {number} has no received_at with an offset, so its place in the day is "
                "unknown: "
                "add one like 2025-07-01T09:20:00+05:30"
            )
        if heard_from <= received_ns < last_close:
            row = read_document(document, received_ns, Stamp.DOCUMENT)
            name = f"{row.source_key}|{row.content_hash[:16]}"
            items.setdefault(name, Item(received_ns, ItemKind.DOCUMENT, name, row))
    first_open = min(calendar.hours(trade_date, segment).open_ns for segment in Segment)
    ends = range(first_open + NS_PER_MINUTE, last_close + 1, NS_PER_MINUTE)
    minutes = [Item(end, ItemKind.MINUTE, is_last=end == last_close) for end in ends]
    opening = min(
        [ist_midnight_ns(trade_date) + OPENING_MINUTE * NS_PER_MINUTE, *(i.at_ns for i in items.values())]
    )
    ordered = sorted(
        [Item(opening, ItemKind.OPEN), *minutes, *items.values()],
        key=lambda item: (item.at_ns, item.kind.value, item.document_id),
    )
    return Timeline(trade_date, tuple(ordered), _hash(ordered))


class ReplayDriver:
    """Moves the clock through a timeline, one item at a time.

    Parameters
    ----------
    clock : ManualClock
        The daemon's clock; nobody else moves it.
    sink : Sink
        Puts documents into the live source.
    done : int
        Position of the last item that is committed; -1 = none.
    opened : DayOpened
        What opens the day (its stamp is set by the timeline).
    waiting : sequence of InboxRow
        Rows that are in the inbox but not journalled (after a restart).
    pace : float or None
        How many times faster than the real day; None = as fast as it can.
    advance : callable, optional
        Lets a broker apart from this process live up to each moment before what happens then.
    """

    def __init__(
        self,
        bus: Bus,
        clock: ManualClock,
        timeline: Timeline,
        feed: ReplayFeed,
        monitor: PositionMonitor,
        sink: Sink,
        aliases: Aliases | None,
        *,
        opened: DayOpened,
        done: int = -1,
        waiting: Sequence[InboxRow] = (),
        pace: float | None = None,
        advance: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._timeline = timeline
        self._feed = feed
        self._monitor = monitor
        self._sink = sink
        self._aliases = aliases
        self._opened = opened
        self._pace = pace
        self._advance = advance
        self.done = done
        self._arrived = {_arrival(row): row for row in waiting}

    @property
    def is_done(self) -> bool:
        """Whether every item of the day is committed."""
        return self.done == len(self._timeline.items) - 1

    @property
    def resume_ns(self) -> int:
        """Clock of the last committed item; the day's opening where there is none."""
        return self._timeline.items[max(self.done, 0)].at_ns

    async def deliver(self, row: InboxRow) -> None:
        """Take what the signal listener has stored."""
        self._arrived[_arrival(row)] = row
        self._bus.pulse.beat()

    async def run(self) -> None:
        """Replay what is left of the day."""
        items = self._timeline.items
        # What the last committed item has led to may not all have come back before the process died.
        await self._bus.quiescent()
        for index in range(self.done + 1, len(items)):
            mark = ReplayMark(self._timeline.timeline_hash, index, index == len(items) - 1)
            await self._wait(items[index].at_ns - self._clock.now_ns())
            self._clock.advance_to(items[index].at_ns)
            if self._advance is not None:
                await self._advance(items[index].at_ns)
                await self._bus.quiescent()
            await self._happen(items[index], mark)
            self.done = index
            end_if_cancelled()
            await self._bus.quiescent()

    async def _wait(self, span_ns: int) -> None:
        if self._pace is not None:
            await asyncio.sleep(span_ns / NS_PER_SECOND / self._pace)

    async def _happen(self, item: Item, mark: ReplayMark) -> None:
        if item.kind is ItemKind.OPEN:
            opened = replace(self._opened, ts_ns=item.at_ns)
            await self._bus.events.put(Envelope((opened,), mark=mark))
        elif item.kind is ItemKind.MINUTE:
            bars = self._feed.ending(item.at_ns)
            await self._monitor.close_minute(MinuteClosed(item.at_ns, bars, mark, item.is_last))
        else:
            await self._receive(item, mark)

    async def _receive(self, item: Item, mark: ReplayMark) -> None:
        assert item.row is not None  # noqa: S101 - a document item always carries its row
        key = (item.row.source_key, item.row.content_hash)
        if key not in self._arrived:
            await self._sink.put(item.document_id, item.row.document)
            await self._bus.pulse.until(lambda: key in self._arrived)
        row = self._arrived.pop(key)
        event = event_of(row, self._aliases)
        events = () if event is None else (event,)
        await self._bus.events.put(Envelope(events, (row.inbox_id,), mark))


class DirectSink:
    """Puts documents straight to the inbox's door, where no MongoDB is configured."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Mapping[str, object]] = asyncio.Queue()

    async def put(self, document_id: str, document: Mapping[str, object]) -> None:
        """Hand the document to whoever listens."""
        await self.queue.put(document)


def _arrival(row: InboxRow) -> tuple[str, str]:
    return row.source_key, row.content_hash


def _hash(items: Sequence[Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.at_ns}|{item.kind.value}|{item.document_id}\n".encode())
    return digest.hexdigest()

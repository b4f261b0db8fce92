"""One life of the trading daemon: its own tasks and its own start, over stores that outlive it.

What `trading_daemon.bootstrap` builds for a running day, with the ports plugged otherwise: tables in memory,
the broker's application behind a transport, a document list as the signal source. Decider, order manager,
order feed, listeners, sentinel, start-up, recovery and the whole Dhan adapter are the real ones.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from adapters.brokers.dhan.broker import DhanBroker, PollTiming
from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.config import DhanConfig
from campaign import market
from campaign.disk import (
    Disk,
    MemoryCommands,
    MemoryFlags,
    MemoryHeartbeats,
    MemoryInbox,
    MemoryJournal,
    MemoryLead,
    MemoryOutbox,
)
from campaign.fate import Edge
from campaign.schedule import LISTS
from campaign.wire import REST, Line, MemoryTransport, MemoryUpdates
from propdesk.core.clock import NS_PER_DAY, Clock
from propdesk.engine.recover import Recovered, recover
from propdesk.model.live import InboxRow, SourceDocument, SourcePosition
from propdesk.model.messages import BarObserved, BrokerUpdate
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause
from sandbox.knobs import Knobs
from sandbox.world import World
from trading_daemon.bus import Bus
from trading_daemon.day import Day
from trading_daemon.dhan_day import StateSheet
from trading_daemon.feeds import StoreFeed
from trading_daemon.measures import Measures
from trading_daemon.metrics import Meter
from trading_daemon.ports import Log
from trading_daemon.startup import StartMode, Startup, envelope_of
from trading_daemon.tasks.command_listener import CommandListener
from trading_daemon.tasks.decider import Decider, Ledgered
from trading_daemon.tasks.order_feed import OrderFeed
from trading_daemon.tasks.order_manager import OrderManager
from trading_daemon.tasks.position_monitor import PositionMonitor
from trading_daemon.tasks.sentinel import Sentinel
from trading_daemon.tasks.signal_listener import SignalListener

SOURCE: Final = "campaign"


READ_S: Final = 20.0
"""The books are read at least this often, whatever is known not to have changed."""


class MarketlessDhan(DhanBroker):
    """`DhanBroker` where a start shows its broker the minutes that were missed: a real one saw them.

    Its loop leaves readings out that would tell nothing, as `SteppedDhan` does: where the truth has not
    grown, no list is disturbed and time alone makes no news. That is most of what a schedule would compute.
    """

    world: World
    _rows_read = -1
    _read_at = 0.0

    async def _fresh_facts(self) -> list[BrokerUpdate]:
        world, now_s = self.world, asyncio.get_running_loop().time()
        is_odd = any(fault.kind in LISTS or fault.method == "GET" for fault in world.faults.armed)
        is_same = len(world.ledger) == self._rows_read and not is_odd and not self.is_waiting
        if is_same and now_s - self._read_at < READ_S:
            return []
        rows = len(world.ledger)
        facts = await super()._fresh_facts()
        self._rows_read, self._read_at = rows, now_s
        return facts

    async def on_bars(self, bars: Sequence[BarObserved], end_ns: int) -> None:
        """Do nothing."""
        del bars, end_ns

    async def end_session(self, now_ns: int) -> None:
        """Do nothing."""
        del now_ns

    async def refresh(self, bars: Sequence[BarObserved]) -> None:
        """Do nothing."""
        del bars


class DocumentList:
    """A source that keeps every document and gives each one after a token, sometimes again.

    Attributes
    ----------
    documents_so_far : list of mapping
        In the order in which they appeared; the token of one is its place.
    """

    def __init__(self) -> None:
        self.documents_so_far: list[Mapping[str, object]] = []
        self._readers: set[asyncio.Event] = set()

    def put(self, document: Mapping[str, object]) -> None:
        """Let a document appear."""
        self.documents_so_far.append(document)
        for reader in self._readers:
            reader.set()

    async def read(self, position: SourcePosition) -> AsyncIterator[SourceDocument]:
        """Give documents after a position for ever."""
        place = int(position.token or 0)
        news = asyncio.Event()
        self._readers.add(news)
        try:
            while True:
                while place < len(self.documents_so_far):
                    place += 1
                    yield SourceDocument(self.documents_so_far[place - 1], str(place))
                news.clear()
                await news.wait()
        finally:
            self._readers.discard(news)


class _Source:
    """One process's connection to a `DocumentList`."""

    name = SOURCE

    def __init__(self, documents: DocumentList, edge: Edge) -> None:
        self._documents = documents
        self._edge = edge

    async def documents(self, position: SourcePosition) -> AsyncIterator[SourceDocument]:
        async for document in self._documents.read(position):
            await self._edge.cross("C1")
            yield document


class _Silence:
    """Takes log lines for the trace."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def info(self, event: str, **values: object) -> None:
        self._note(f"log {event} {values}")

    warning = error = info


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process finds when it starts.

    Attributes
    ----------
    on_recovered : callable
        Told what a start has recovered.
    lost : list of str
        Exceptions that no task awaited.
    """

    disk: Disk
    line: Line
    documents: DocumentList
    prices: market.MemoryPrices
    clock: Clock
    knobs: Knobs
    note: Callable[[str], None]
    on_recovered: Callable[[Recovered], None]
    lost: list[str] = field(default_factory=list)
    timing: PollTiming = field(default_factory=PollTiming)


class Life:
    """The daemon from its start to its end.

    Parameters
    ----------
    edge : Edge
        How it touches the outside, and where it ends.

    Attributes
    ----------
    is_ready : bool
        Whether the start is over and the tasks run.
    started : asyncio.Event
        Set once the start is over.
    """

    def __init__(self, around: Surroundings, edge: Edge) -> None:
        self._around = around
        self.edge = edge
        self.is_ready = False
        self.started = asyncio.Event()
        self.recovered: Recovered | None = None
        self.decider: Decider | None = None

    async def run(self) -> None:
        """Start, then run until a task ends by a fault, or until cancelled."""
        around, edge = self._around, self.edge
        day = market.day()
        epoch = around.disk.take_lead(edge)
        client = DhanClient(
            dhan_config(around.knobs),
            around.clock,
            store=around.disk,
            transport=MemoryTransport(around.line, edge),
        )
        try:
            tasks = await self._build(day, epoch, client)
            self.is_ready = True
            self.started.set()
            around.note(f"life {epoch} is ready")
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task())
        finally:
            self.is_ready = False
            await client.close()

    async def _build(self, day: Day, epoch: int, client: DhanClient) -> list[Callable[[], Any]]:
        around, edge = self._around, self.edge
        disk, clock, log = around.disk, around.clock, _Silence(around.note)
        bus, meter = Bus(), Meter(CollectorRegistry())
        journal = MemoryJournal(disk, edge)
        recovered = self.recovered = await self._recover(day, journal)
        around.on_recovered(recovered)
        first, last = market.session()
        feed = StoreFeed(around.prices, market.DAY, clock, first, last, done_ns=recovered.minute_ns)
        sheet = StateSheet(recovered, feed, clock, first)
        alerts = MemoryUpdates(client.config, client.session, around.line.orders)
        broker = MarketlessDhan(client, alerts, sheet.day_sheet(), clock, timing=around.timing)
        broker.world = around.line.world
        broker.remember(recovered.update_ids, sheet.remembered())
        order_feed = OrderFeed(bus, broker)
        monitor = PositionMonitor(bus, feed, None, clock)
        outbox, inbox = MemoryOutbox(disk, edge), MemoryInbox(disk, edge)
        waiting = await inbox.open_rows()
        decider = self.decider = Decider(
            bus,
            journal,
            clock,
            day.context,
            day.stored,
            Ledgered.of(recovered),
            epoch,
            meter.observe,
            meter.laps,
        )
        sheet.follow(lambda: decider.position.state)
        startup = Startup(
            bus, decider, outbox, broker, order_feed, feed, clock, day, recovered, log, StartMode.LIVE
        )
        commands = CommandListener(bus, MemoryCommands(disk, edge))
        await startup.run(waiting, await commands.open_commands())
        measures = Measures(day.context.kill_limits, decider.position.state.levels)
        meter.laps.report_to(measures)
        manager = OrderManager(
            bus,
            broker,
            outbox,
            clock,
            log,
            meter.laps,
            has_access=not decider.position.state.levels.is_open(ACCOUNT_SCOPE, Cause.ACCESS_REFUSED),
            sent_ns=await outbox.sent_since(clock.now_ns() - NS_PER_DAY),
            on_fault=self._on_fault(measures),
        )
        sentinel = self._sentinel(bus, measures, log)

        async def deliver(row: InboxRow) -> None:
            await bus.events.put(envelope_of(row, day.aliases))

        listener = SignalListener(_Source(around.documents, edge), inbox, clock, deliver, log, meter.laps)
        runs = (decider, manager, order_feed, monitor, listener, commands, sentinel)
        return [*(one.run for one in runs), sentinel.tell]

    def _sentinel(self, bus: Bus, measures: Measures, log: Log) -> Sentinel:
        disk, edge = self._around.disk, self.edge
        lead, heartbeats = MemoryLead(disk, edge), MemoryHeartbeats(disk, edge)
        clock = self._around.clock
        return Sentinel(bus, lead, heartbeats, MemoryFlags(), clock, log, measures, describe=dict)

    async def _recover(self, day: Day, journal: MemoryJournal) -> Recovered:
        contexts = dict.fromkeys(self._around.disk.contexts, day.context)
        return recover(await journal.rows(), contexts, day.context)

    def _on_fault(self, measures: Measures) -> Callable[[str, Exception], None]:
        def tell(where: str, fault: Exception) -> None:
            measures.fault(where, fault)
            self._around.lost.append(f"{where}: {fault!r}")

        return tell


def dhan_config(knobs: Knobs) -> DhanConfig:
    """Point the adapter at the sandbox in this process."""
    return DhanConfig(
        client_id=knobs.client_id,
        rest_url=REST,
        auth_url=REST.removesuffix("/v2"),
        order_update_url="ws://127.0.0.1/orders",
        feed_url="ws://127.0.0.1/feed",
        master_url="http://127.0.0.1/api-data/api-scrip-master.csv",
        access_token=None,
        pin=SecretStr(knobs.pin),
        totp_secret=SecretStr(knobs.totp_secret),
        may_trade=True,
    )

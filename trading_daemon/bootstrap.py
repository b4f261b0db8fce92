"""Composition root: leadership, context, recovery, reconciliation, and only then tasks (§5.7)."""

import asyncio
import os
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from adapters.brokers.dhan.stepped import SteppedDhan
from adapters.brokers.paper import PaperBroker
from adapters.cache.flags import RedisFlags
from adapters.calendar import load_calendar
from adapters.db.live import LiveConnection, connect
from adapters.db.repos.command_audit import CommandAuditRepo
from adapters.db.repos.commands import CommandRepo
from adapters.db.repos.heartbeat import HeartbeatRepo
from adapters.db.repos.inbox import InboxRepo
from adapters.db.repos.intents import IntentRepo
from adapters.db.repos.journal import JournalRepo
from adapters.db.repos.leader import Leadership, refusal, take_leadership
from adapters.db.repos.paper_exchange import PaperExchangeRepo
from adapters.db.repos.preflights import PreflightRecord, newest_preflight
from adapters.db.repos.readiness import present_version
from adapters.log import get_logger
from adapters.mongo.source import MongoSignalSink, MongoSignalSource
from adapters.settings import Settings
from adapters.ticks.store import ParquetPriceStore
from propdesk.core.calendar import ist_date, ist_midnight_ns, ist_text
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND, Clock, ManualClock, from_ns
from propdesk.core.errors import ConfigFault, InvariantViolated
from propdesk.engine.batch import Batch
from propdesk.engine.codec import decode_carry_over
from propdesk.engine.recover import Recovered, recover
from propdesk.engine.state import CarryOver
from propdesk.engine.step import carry_over
from propdesk.intake.aliases import Aliases
from propdesk.model.live import InboxRow, SourceDocument, SourcePosition
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause
from propdesk.risk.preflight import Outcome
from propdesk.sim.broker import SimBroker
from propdesk.sim.fills import FillModel
from trading_daemon.bus import Bus
from trading_daemon.day import Day, day_to_trade, load_day, restore_contexts, restore_day
from trading_daemon.dhan_day import StateSheet, stepped_dhan
from trading_daemon.documents import Stamp
from trading_daemon.feeds import FilledPrices, PastFeed, ReplayFeed, StoredDay, StoreFeed
from trading_daemon.measures import Measures
from trading_daemon.metrics import Meter
from trading_daemon.past_day import PastDayDriver, owed_day, require_prices, session_of
from trading_daemon.ports import Driver, Log, SignalSource
from trading_daemon.price_watch import earlier_bars, make_recorder
from trading_daemon.replay_driver import OPENING_MINUTE, DirectSink, ReplayDriver, Sink, Timeline
from trading_daemon.startup import StartMode, Startup, envelope_of
from trading_daemon.tasks.command_audit import CommandAuditor
from trading_daemon.tasks.command_listener import CommandListener
from trading_daemon.tasks.decider import Decider, Ledgered
from trading_daemon.tasks.order_feed import OrderFeed
from trading_daemon.tasks.order_manager import OrderManager
from trading_daemon.tasks.position_monitor import PositionMonitor
from trading_daemon.tasks.price_recorder import PriceRecorder
from trading_daemon.tasks.sentinel import Sentinel
from trading_daemon.tasks.signal_listener import SignalListener

LEAD_WAIT_S: Final = 3.0
"""A killed daemon's lock is free within milliseconds; a living one's is not."""
LEAD_RETRY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """A past day to replay.

    ``keys_hint`` names series worth reading in one pass; others are read when they are asked for.
    """

    timeline: Timeline
    collection: str | None
    keys_hint: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tasks:
    """Everything that runs; `driver` only where the day is over (a replayed or a past one).

    ``commands`` is None while a past day is brought to its end: nothing enters then, and what is asked of
    today's desk waits for it. ``recorder`` is there where the running day's prices come from a real feed.
    """

    bus: Bus
    listener: SignalListener
    commands: CommandListener | None
    command_audit: CommandAuditor
    decider: Decider
    order_manager: OrderManager
    order_feed: OrderFeed
    monitor: PositionMonitor
    sentinel: Sentinel
    driver: Driver | None
    recorder: PriceRecorder | None = None

    def runs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Name each task's endless run."""
        commands = {} if self.commands is None else {"command_listener": self.commands.run}
        recorder = {} if self.recorder is None else {"price_recorder": self.recorder.run}
        return {
            **commands,
            **recorder,
            "command_audit": self.command_audit.run,
            "signal_listener": self.listener.run,
            "decider": self.decider.run,
            "order_manager": self.order_manager.run,
            "order_feed": self.order_feed.run,
            "position_monitor": self.monitor.run,
            "sentinel": self.sentinel.run,
            "measures": self.sentinel.tell,
        }


class Bootstrap:
    """Builds the process for one day.

    Parameters
    ----------
    settings : Settings
    system_clock : Clock
        The process clock.
    meter : Meter
    pace : float or None
        Speed of a replay against the real day; None = as fast as it can.
    """

    def __init__(self, settings: Settings, system_clock: Clock, meter: Meter, pace: float | None) -> None:
        self._settings = settings
        self._system_clock = system_clock
        self._meter = meter
        self._pace = pace
        self._outlives_power = True
        self._stack = AsyncExitStack()
        self._log: Log = get_logger(account_id=settings.account_id)

    async def owed_day(self, trade_date: date) -> date | None:
        """Give the day that must be brought to its end before ``trade_date`` can begin or go on."""
        async with AsyncExitStack() as self._stack:
            journal = JournalRepo(await self._connection("days"), self._settings.account_id)
            return await owed_day(journal, trade_date, load_calendar(), self._system_clock.now_ns())

    async def build(
        self, trade_date: date, plan: ReplayPlan | None, stack: AsyncExitStack, *, is_past: bool = False
    ) -> Tasks:
        """Take the lead, recover, reconcile and wire the tasks.

        Parameters
        ----------
        trade_date : date
            A market day.
        stack : AsyncExitStack
            Takes what must be closed at the end of the run.
        is_past : bool
            The day is over and only brought to its end (`owed_day`).

        Raises
        ------
        AlreadyRunning
            If another daemon holds the account.
        ConfigFault
            If real money is to be traded without a passed preflight of the day.
        GapFault
            If a past day cannot be closed for want of prices (`require_prices`).
        """
        self._stack = stack
        # A replay on paper has its whole world in this database: a power cut takes the end of all of it.
        self._outlives_power = plan is None or self._settings.broker != "paper"
        mode = _mode(plan, is_past=is_past)
        lead = await self._lead(trade_date, mode)
        bus = Bus(lockstep=mode is not StartMode.LIVE)
        journal = JournalRepo(await self._connection("decider"), self._settings.account_id)
        day, recovered = await self._recover(journal, trade_date, mode)
        clock = await self._clock(plan, journal, recovered, trade_date, mode)
        feed, recorder = await self._prices(day, plan, clock, recovered, mode)
        sheet = StateSheet(recovered, feed, clock, _session(day)[0])
        broker = await self._broker(trade_date, clock, recovered, plan, sheet)
        feed_task = OrderFeed(bus, broker[0], delivered=broker[1])
        bus.watch(lambda: broker[0].facts_known - feed_task.delivered)
        monitor = PositionMonitor(bus, feed, broker[0], clock)
        outbox = IntentRepo(await self._connection("order-manager"), self._settings.account_id, lead.epoch)
        inbox = InboxRepo(await self._connection("listener"), self._settings.account_id)
        waiting = await inbox.open_rows()
        sink, source = self._source(plan)
        advance = _advance(broker[0], lambda: manager)
        replay = await self._replay_driver(
            plan, bus, clock, day, feed, monitor, journal, waiting, sink, advance
        )
        start, laps = Ledgered.of(recovered), self._meter.laps
        decider = Decider(
            bus, journal, clock, day.context, day.stored, start, lead.epoch, self._observe, laps
        )
        sheet.follow(lambda: decider.position.state)
        startup = Startup(
            bus, decider, outbox, broker[0], feed_task, feed, clock, day, recovered, self._log, mode
        )
        commands = await self._commands(bus, mode)
        # before anything may enter; in a replay the task hands them over like everything else
        asked = await commands.open_commands() if commands and mode is StartMode.LIVE else ()
        await startup.run(waiting, asked)
        measures = self._measures(day, decider)
        manager = await self._order_manager(bus, broker[0], outbox, clock, decider, measures)
        driver: Driver | None = replay
        if mode is StartMode.PAST:
            driver = _past_driver(bus, clock, day, feed, monitor, recovered.minute_ns)
        return Tasks(
            bus,
            self._listener(source, inbox, bus, clock, day, replay, mode),
            commands,
            self._command_audit(measures),
            decider,
            manager,
            feed_task,
            monitor,
            await self._sentinel(bus, lead, day, mode, measures),
            driver,
            recorder,
        )

    def _measures(self, day: Day, decider: Decider) -> Measures:
        measures = Measures(day.context.kill_limits, decider.position.state.levels)
        self._meter.laps.report_to(measures)
        loop = asyncio.get_running_loop()

        def on_lost(_loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
            """Count what no task awaits: the exception of a callback or of a lost task."""
            error = about.get("exception") or RuntimeError(about["message"])
            self._log.error("exception_lost", text=about["message"], error=repr(error))
            measures.fault("the event loop", error)

        loop.set_exception_handler(on_lost)
        self._stack.callback(loop.set_exception_handler, None)
        return measures

    async def _order_manager(
        self,
        bus: Bus,
        broker: PaperBroker | SteppedDhan,
        outbox: IntentRepo,
        clock: Clock,
        decider: Decider,
        measures: Measures,
    ) -> OrderManager:
        levels = decider.position.state.levels
        return OrderManager(
            bus,
            broker,
            outbox,
            clock,
            self._log,
            self._meter.laps,
            has_access=not levels.is_open(ACCOUNT_SCOPE, Cause.ACCESS_REFUSED),
            sent_ns=await outbox.sent_since(clock.now_ns() - NS_PER_DAY),
            on_fault=measures.fault,
        )

    async def _require_preflight(self, trade_date: date) -> None:
        """Let real money be traded only today, by a newest preflight that passed here a short while ago."""
        now_ns = self._system_clock.now_ns()
        if trade_date != ist_date(now_ns):
            raise ConfigFault(
                f"PROPDESK_TRADING_MODE=live trades today ({ist_date(now_ns)}), not {trade_date}."
            )
        connection = await self._connection("preflight")
        found = await newest_preflight(connection, self._settings.account_id, trade_date)
        fault = _preflight_fault(found, self._settings, now_ns)
        if fault is not None:
            raise ConfigFault(
                f"PROPDESK_TRADING_MODE=live needs a passed preflight of {trade_date} ({fault}): run "
                "`propdesk preflight` and mend what it names."
            )

    async def _commands(self, bus: Bus, mode: StartMode) -> CommandListener | None:
        if mode is StartMode.PAST:
            return None
        valid_ns = self._settings.command_valid_s * NS_PER_SECOND
        connection = await self._connection("commands")
        return CommandListener(bus, CommandRepo(connection, self._settings.account_id, valid_ns))

    def _command_audit(self, measures: Measures) -> CommandAuditor:
        url = self._settings.database_url("daemon")
        repo = CommandAuditRepo(lambda: connect(url, "propdesk-command-audit"), self._settings.account_id)
        self._stack.push_async_callback(repo.close)
        return CommandAuditor(repo, self._log, measures.fault)

    async def _connection(self, role: str) -> LiveConnection:
        connection = await connect(
            self._settings.database_url("daemon"), f"propdesk-{role}", outlives_power=self._outlives_power
        )
        self._stack.push_async_callback(connection.close)
        return connection

    async def _lead(self, trade_date: date, mode: StartMode) -> Leadership:
        """Take the lead, for a running day with real money only where it may be traded."""
        if mode is StartMode.LIVE and self._settings.trading_mode == "live":
            await self._require_preflight(trade_date)
        connection = await self._connection("lead")
        holder = f"pid {os.getpid()} on {platform.node()}"
        deadline = time.monotonic() + LEAD_WAIT_S
        while True:
            at = from_ns(self._system_clock.now_ns())
            lead = await take_leadership(connection, self._settings.account_id, holder, at)
            if lead is not None:
                self._log.info("leading", epoch=lead.epoch)
                return lead
            if time.monotonic() > deadline:
                raise await refusal(connection, self._settings.account_id)
            await asyncio.sleep(LEAD_RETRY_S)

    async def _recover(
        self, journal: JournalRepo, trade_date: date, mode: StartMode
    ) -> tuple[Day, Recovered]:
        """Load the day and fold its journal; a past day goes on under what it was last decided under."""
        carried = await self._carried(journal, trade_date, mode)
        stored = await journal.contexts(trade_date)
        contexts = restore_contexts(self._settings, stored)
        is_past = mode is StartMode.PAST
        day = None if is_past and contexts else load_day(self._settings, trade_date, is_over=is_past)
        opening = next(iter(contexts.values())) if day is None else day.context
        recovered = recover(await journal.rows(trade_date), contexts, opening, carried)
        self._log.info("recovered", journal_rows=recovered.seq, chain_hash=recovered.chain_hash)
        if day is None:
            last = next(one for one in stored if one.context_hash == recovered.context_hash)
            day = restore_day(self._settings, trade_date, last)
        return day, recovered

    async def _carried(self, journal: JournalRepo, before: date, mode: StartMode) -> CarryOver | None:
        """Find what the day before handed over; of an unfinished replay, what it came to."""
        traded = await journal.last_day(before)
        if traded is None:
            return None
        stored = await journal.carried(before)
        if stored is not None and stored[0] == traded:
            return decode_carry_over(stored[1])
        if mode is not StartMode.REPLAY:
            raise InvariantViolated(f"{before} cannot begin before {traded} is brought to its end")
        contexts = restore_contexts(self._settings, await journal.contexts(traded))
        if not contexts:
            raise InvariantViolated(f"the journal of {traded} names no context it was decided under")
        opening = next(iter(contexts.values()))
        earlier = await self._carried(journal, traded, mode)
        return carry_over(recover(await journal.rows(traded), contexts, opening, earlier).state)

    async def _clock(
        self,
        plan: ReplayPlan | None,
        journal: JournalRepo,
        recovered: Recovered,
        trade_date: date,
        mode: StartMode,
    ) -> Clock:
        if mode is StartMode.PAST:
            opening_ns = ist_midnight_ns(trade_date) + OPENING_MINUTE * NS_PER_MINUTE
            return ManualClock(recovered.now_ns or opening_ns)
        if plan is None:
            return self._system_clock
        mark = await journal.replay_mark(trade_date)
        if mark is not None and mark.timeline_hash != plan.timeline.timeline_hash:
            raise ConfigFault(
                f"The replay of {trade_date} was begun with other signals or other hours: finish it with "
                "the same "
                "ones, or begin anew with --fresh."
            )
        done = -1 if mark is None else mark.position
        return ManualClock(plan.timeline.items[max(done, 0)].at_ns)

    async def _prices(
        self, day: Day, plan: ReplayPlan | None, clock: Clock, recovered: Recovered, mode: StartMode
    ) -> tuple[ReplayFeed | PastFeed | StoreFeed, PriceRecorder | None]:
        recorder = await self._recorder(day, mode)
        feed = self._feed(day, plan, clock, recovered.minute_ns, mode, recorder)
        trade_date = day.context.trade_date
        if mode is StartMode.PAST and trade_date.isoformat() not in self._settings.days_without_prices:
            first, last = _session(day)
            # what was seen may end where the watcher died: it says nothing of what followed
            stored = StoredDay(
                ParquetPriceStore(self._settings.price_store_url, day.context.calendar), trade_date
            )
            require_prices(stored, recovered.state, max(first, recovered.minute_ns), last)
        return feed, recorder

    async def _recorder(self, day: Day, mode: StartMode) -> PriceRecorder | None:
        """Watch a real feed where the settings name one; stored prices of a past day are not recorded."""
        if mode is not StartMode.LIVE or self._settings.price_feed == "store":
            return None
        recorder = make_recorder(self._settings, day, self._system_clock, self._meter.recording, self._log)
        self._stack.callback(recorder.close)
        await recorder.begin()  # what an earlier life saw is there before the missed minutes are looked for
        return recorder

    def _feed(
        self,
        day: Day,
        plan: ReplayPlan | None,
        clock: Clock,
        done_ns: int,
        mode: StartMode,
        recorder: PriceRecorder | None,
    ) -> ReplayFeed | PastFeed | StoreFeed:
        store = ParquetPriceStore(self._settings.price_store_url, day.context.calendar)
        if mode is StartMode.REPLAY:
            feed = ReplayFeed(store, day.context.trade_date)
            feed.load(() if plan is None else plan.keys_hint)
            return feed
        first, last = _session(day)
        if mode is StartMode.PAST:
            prices = FilledPrices(store, earlier_bars(self._settings, day, self._log))
            return PastFeed(prices, day.context.trade_date, max(first, done_ns))
        if recorder is None:
            return StoreFeed(store, day.context.trade_date, clock, first, last, done_ns=done_ns)
        seen = FilledPrices(store, recorder.bars)
        return StoreFeed(
            seen, day.context.trade_date, clock, first, last, done_ns=done_ns, on_follow=recorder.follow
        )

    async def _broker(
        self,
        trade_date: date,
        clock: Clock,
        recovered: Recovered,
        plan: ReplayPlan | None,
        sheet: StateSheet,
    ) -> tuple[PaperBroker | SteppedDhan, int]:
        if self._settings.trading_mode != "paper":
            raise ConfigFault(
                f"PROPDESK_TRADING_MODE={self._settings.trading_mode} needs a live broker, which this "
                "version does "
                "not have: set it to paper."
            )
        if self._settings.broker == "dhan":
            if plan is None:
                raise ConfigFault(
                    "PROPDESK_BROKER=dhan trades past days in a sandbox only in this version "
                    "(`propdesk replay DAY`): set it to paper for the running day."
                )
            return await stepped_dhan(self._settings, sheet, clock, recovered.update_ids, self._stack), 0
        exchange = PaperExchangeRepo(
            await self._connection("paper-exchange"), self._settings.account_id, trade_date
        )
        broker = PaperBroker(exchange, SimBroker(FillModel(seed=self._settings.seed)), clock)
        return broker, await broker.open(recovered.update_ids)

    def _listener(
        self,
        source: SignalSource,
        inbox: InboxRepo,
        bus: Bus,
        clock: Clock,
        day: Day,
        replay: ReplayDriver | None,
        mode: StartMode,
    ) -> SignalListener:
        """Listen; what comes while a past day is brought to its end waits in the inbox for its own."""
        if replay is not None:
            stamp = Stamp.DOCUMENT
            return SignalListener(
                source, inbox, clock, replay.deliver, self._log, self._meter.laps, stamp=stamp
            )
        deliver = _leave if mode is StartMode.PAST else _to_bus(bus, day.aliases)
        return SignalListener(
            source, inbox, self._system_clock, deliver, self._log, self._meter.laps, stamp=Stamp.CLOCK
        )

    async def _replay_driver(
        self,
        plan: ReplayPlan | None,
        bus: Bus,
        clock: Clock,
        day: Day,
        feed: StoredDay,
        monitor: PositionMonitor,
        journal: JournalRepo,
        waiting: Sequence[InboxRow],
        sink: Sink,
        advance: Callable[[int], Awaitable[None]] | None,
    ) -> ReplayDriver | None:
        if plan is None:
            return None
        assert isinstance(clock, ManualClock)  # noqa: S101 - made in _clock
        assert isinstance(feed, ReplayFeed)  # noqa: S101 - made in _feed
        mark = await journal.replay_mark(day.context.trade_date)
        return ReplayDriver(
            bus,
            clock,
            plan.timeline,
            feed,
            monitor,
            sink,
            day.aliases,
            opened=day.opened,
            done=-1 if mark is None else mark.position,
            waiting=waiting,
            pace=self._pace,
            advance=advance,
        )

    def _source(self, plan: ReplayPlan | None) -> tuple[Sink, SignalSource]:
        settings = self._settings
        direct = DirectSink()
        if settings.mongo_url is None:
            return direct, DirectSource(direct)
        collection = settings.mongo_collection
        if plan is not None and plan.collection is not None:
            collection = plan.collection
        elif plan is not None:
            return direct, DirectSource(direct)
        url, database = settings.mongo_dsn(), settings.mongo_database
        sink = MongoSignalSink(url, database, collection, self._log)
        self._stack.push_async_callback(sink.close)
        return sink, MongoSignalSource(url, database, collection, self._log)

    async def _sentinel(
        self, bus: Bus, lead: Leadership, day: Day, mode: StartMode, measures: Measures
    ) -> Sentinel:
        settings = self._settings
        flags = RedisFlags(
            None if settings.redis_url is None else settings.redis_dsn(), settings.account_id, self._log
        )
        self._stack.push_async_callback(flags.close)
        connection = await self._connection("sentinel")
        heartbeats = HeartbeatRepo(connection, settings.account_id, lead.epoch)

        async def readiness() -> str:
            return await present_version(connection, settings.account_id, day.context.trade_date)

        return Sentinel(
            bus,
            lead,
            heartbeats,
            flags,
            self._system_clock,
            self._log,
            measures,
            describe=lambda: {
                "trade_date": day.context.trade_date.isoformat(),
                "mode": "replay" if mode is StartMode.REPLAY else settings.trading_mode,
                "ready": day.opened.ready,
                "events_waiting": bus.events.unfinished,
                "intents_waiting": bus.intents.unfinished,
                "journal_rows": self._meter.journal_rows,
            },
            readiness=readiness if mode is StartMode.LIVE else None,
            loaded_readiness=day.readiness,
            is_current=lambda: mode is not StartMode.LIVE or self._is_current(day),
        )

    def _is_current(self, day: Day) -> bool:
        now_ns = self._system_clock.now_ns()
        return day_to_trade(day.context.calendar, now_ns) == day.context.trade_date

    def _observe(self, batch: Batch) -> None:
        self._meter.observe(batch)


class DirectSource:
    """Signal source of a process without MongoDB: what `DirectSink` was given, and nothing else."""

    name = "direct"

    def __init__(self, sink: DirectSink) -> None:
        self._sink = sink

    async def documents(self, position: SourcePosition) -> AsyncIterator[SourceDocument]:
        """Pass documents on for ever."""
        del position
        while True:
            yield SourceDocument(await self._sink.queue.get(), None)


def _mode(plan: ReplayPlan | None, *, is_past: bool) -> StartMode:
    if plan is not None:
        return StartMode.REPLAY
    return StartMode.PAST if is_past else StartMode.LIVE


def _session(day: Day) -> tuple[int, int]:
    return session_of(day.context.calendar, day.context.trade_date)


def _past_driver(
    bus: Bus, clock: Clock, day: Day, feed: StoredDay, monitor: PositionMonitor, minute_ns: int
) -> PastDayDriver:
    assert isinstance(clock, ManualClock)  # noqa: S101 - made in _clock
    assert isinstance(feed, PastFeed)  # noqa: S101 - made in _feed
    first, last = _session(day)
    return PastDayDriver(bus, clock, feed, monitor, done_ns=max(first, minute_ns), close_ns=last)


def _advance(
    broker: PaperBroker | SteppedDhan, manager: Callable[[], OrderManager]
) -> Callable[[int], Awaitable[None]] | None:
    """Say how the time of a broker is moved that somebody else's clock drives; None = by itself."""
    if not isinstance(broker, SteppedDhan):
        return None

    async def advance(now_ns: int) -> None:
        await broker.advance_to(now_ns)
        await manager().probe()

    return advance


async def _leave(row: InboxRow) -> None:
    """Leave a row in the inbox."""
    del row


def _to_bus(bus: Bus, aliases: Aliases) -> Callable[[InboxRow], Awaitable[None]]:
    async def deliver(row: InboxRow) -> None:
        await bus.events.put(envelope_of(row, aliases))

    return deliver


def _preflight_fault(found: PreflightRecord | None, settings: Settings, now_ns: int) -> str | None:
    """Say why a preflight is not good enough for real money now; None if it is."""
    if found is None:
        return "none was made"
    if (found.mode, found.broker) != ("live", settings.broker_identity):
        return f"the newest, in {found.mode} mode, is for {found.broker}"
    if found.outcome is not Outcome.PASSED:
        return "the newest has not ended" if found.outcome is None else f"the newest is {found.outcome}"
    if not 0 <= now_ns - found.checked_ns <= settings.preflight_age_max_s * NS_PER_SECOND:
        return f"the newest began at {ist_text(found.checked_ns)}, which is too long ago or to come"
    return None

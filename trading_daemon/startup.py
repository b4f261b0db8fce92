"""From the folded journal to a running day: what was under way is taken up before anything new (§5.7)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Protocol

from propdesk.core.clock import Clock
from propdesk.engine.orders import is_news
from propdesk.engine.recover import Recovered
from propdesk.intake.aliases import Aliases
from propdesk.model.live import InboxRow
from propdesk.model.messages import (
    BarObserved,
    BrokerUpdate,
    CommandAsked,
    ContextChanged,
    DayOpened,
    Event,
)
from propdesk.ports import Broker
from trading_daemon.bus import Bus, Envelope, TrackRequest
from trading_daemon.day import Day
from trading_daemon.documents import event_of
from trading_daemon.feeds import DeliveredDay, StoredDay, StoreFeed
from trading_daemon.ports import Log, PaperMarket
from trading_daemon.recovery import Reconciled, ReconcileOutbox, carried_orders, reconcile
from trading_daemon.tasks.decider import BATCH_ENVELOPES_MAX, Decider
from trading_daemon.tasks.order_feed import OrderFeed
from trading_daemon.tasks.position_monitor import meet_minute, minute_events


class StartMode(Enum):
    """Which day is taken up: today's, one that is replayed, or a past one that is brought to its end."""

    LIVE = auto()
    REPLAY = auto()
    PAST = auto()


class PaperExchange(Broker, PaperMarket, Protocol):
    """A broker whose market is shown to it."""

    async def refresh(self, bars: Sequence[BarObserved]) -> None:
        """Show the newest bar of each series that it had met before its process died."""
        ...


@dataclass(frozen=True, slots=True)
class Startup:
    """Everything that is needed to take a day up where the journal ends.

    ``mode`` says who closes the minutes that are left: the running market, or a driver.
    """

    bus: Bus
    decider: Decider
    outbox: ReconcileOutbox
    broker: PaperExchange
    order_feed: OrderFeed
    feed: StoredDay
    clock: Clock
    day: Day
    recovered: Recovered
    log: Log
    mode: StartMode

    async def run(self, waiting: Sequence[InboxRow], asked: Sequence[CommandAsked] = ()) -> None:
        """Take up the day; ``waiting`` are inbox rows that no journal row holds yet.

        ``asked`` are commands that came while nobody listened: a stop counts before anything enters.

        In replay the driver opens the day, closes its minutes and hands the waiting rows over, each when
        its moment comes. On a past day it closes the minutes; the rows wait for the day that is traded.
        """
        reconciled = await self._hand_over_open()
        await self._begin_segment()
        if self.mode is StartMode.REPLAY:
            for update in reconciled.untold:
                await self.bus.events.put(Envelope((update,)))
            return
        await self._decide(tuple(asked))
        await self._decide((*await self._news_of_carried(reconciled), *reconciled.untold))
        await self._decide(await self._unheard())
        if isinstance(self.feed, DeliveredDay):
            self._resume(self.feed)
        if not isinstance(self.feed, StoreFeed):
            return
        await self._catch_up(self.feed)
        # Not over the bus: nobody reads it yet, and more may wait than it holds.
        for place in range(0, len(waiting), BATCH_ENVELOPES_MAX):
            rows = waiting[place : place + BATCH_ENVELOPES_MAX]
            await self.decider.decide([envelope_of(row, self.day.aliases) for row in rows])

    def _resume(self, feed: DeliveredDay) -> None:
        """Let every series go on after its own last bar; one without any has met nothing of the day."""
        state = self.decider.position.state
        keys = tuple(state.subscriptions)
        feed.follow(keys)
        feed.resume({key: self._met_ns(key) for key in keys})

    def _met_ns(self, price_key: str) -> int:
        """End of the last bar of a series that the journal is sure to hold (0: none).

        A price may be newer than the last minute, as a quote; a recorder that stalled leaves it older.
        """
        last = self.recovered.state.prices.get(price_key)
        return 0 if last is None else min(self.recovered.minute_ns, last.at_ns)

    async def _catch_up(self, feed: StoreFeed) -> None:
        """Let exchange and reducer meet every minute that ended while nobody watched, in order (§5.7).

        Prices of these minutes are as old as they are: none of them lets an entry through.
        """
        count = 0
        for minute in feed.missed():
            await meet_minute(self.broker, minute)
            await self._decide((*await self._unheard(), *minute_events(minute)))
            count += 1
        self.log.info("caught_up", minutes=count)

    async def _news_of_carried(self, reconciled: Reconciled) -> tuple[BrokerUpdate, ...]:
        """Give what outbox and broker know of carried orders since an earlier day, and the book does not.

        It moves money, so it waits until the day has its corpus.
        """
        state = self.decider.position.state
        orders = carried_orders(state)
        if not orders or not state.corpus.accounts:
            return ()
        today = {fact.update_id for fact in await self.broker.snapshot()}
        earlier = tuple(
            fact
            for fact in await self.broker.snapshot(orders.keys())
            if fact.update_id not in today
            and fact.correlation_id in orders  # what came between the two snapshots may be of any order
            and is_news(orders[fact.correlation_id], fact)
        )
        if earlier or reconciled.untold_earlier:
            facts = len(earlier) + len(reconciled.untold_earlier)
            self.log.warning("carried_news", facts=facts, orders=len(orders))
        return (*earlier, *reconciled.untold_earlier)

    async def _unheard(self) -> tuple[BrokerUpdate, ...]:
        known = self.order_feed.heard | self.recovered.update_ids
        facts = tuple(fact for fact in await self.broker.snapshot() if fact.update_id not in known)
        self.order_feed.heard.update(fact.update_id for fact in facts)
        return facts

    async def _decide(self, events: tuple[Event, ...]) -> None:
        if events:
            await self.decider.decide([Envelope(events)])

    async def _begin_segment(self) -> None:
        event = segment_event(self.day.opened, self.recovered, self.clock.now_ns())
        if event is not None and (self.recovered.seq > 0 or self.mode is not StartMode.REPLAY):
            self.log.info("context", context_hash=event.context_hash, event_name=type(event).__name__)
            await self._decide((event,))

    async def _hand_over_open(self) -> Reconciled:
        """Continue what was committed: intents not yet sent, prices not yet asked for.

        Gives what the outbox knows of intents and the journal does not.
        """
        day, now_ns, state = self.day.context.trade_date, self.clock.now_ns(), self.recovered.state
        reconciled = await reconcile(
            self.outbox,
            self.broker,
            day,
            now_ns,
            self.log,
            told=self.recovered.update_ids,
            fresh_ns=None if self.mode is StartMode.PAST else self.day.context.signal_fresh_ns,
            carried=carried_orders(state),
        )
        for intent in reconciled.to_send:
            self.bus.intents.put(intent)
        keys = tuple(sorted(state.subscriptions))
        if keys:
            self.feed.follow(keys)
            # No bar beyond what was delivered: the exchange ignores whatever is older than what it has seen.
            met = (self.feed.latest(key, self._met_ns(key)) for key in keys)
            await self.broker.refresh([bar for bar in met if bar is not None])
            quote = tuple(key for key in keys if key not in state.prices)
            await self.bus.tracks.put(TrackRequest(keys, quote))
        return reconciled


def segment_event(opened: DayOpened, recovered: Recovered, now_ns: int) -> DayOpened | ContextChanged | None:
    """Give the event with which a restart goes on: none where it found what was decided under so far.

    Parameters
    ----------
    opened : DayOpened
        The day as it is found now.
    """
    is_without_corpus = opened.opening_corpus_paise > 0 and not recovered.state.opening_corpus_paise
    if recovered.seq == 0 or opened.ready != recovered.state.ready or is_without_corpus:
        return replace(opened, ts_ns=now_ns)
    if opened.context_hash != recovered.context_hash:
        return ContextChanged(opened.context_hash, now_ns)
    return None


def envelope_of(row: InboxRow, aliases: Aliases) -> Envelope:
    """Put an inbox row into the form the decider takes."""
    event: Event | None = event_of(row, aliases)
    return Envelope(() if event is None else (event,), (row.inbox_id,))

"""From the folded journal to a running day: what was under way is taken up before anything new (§5.7)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from propdesk.core.clock import Clock
from propdesk.engine.recover import Recovered
from propdesk.intake.aliases import Aliases
from propdesk.model.live import InboxRow
from propdesk.model.messages import BarObserved, ContextChanged, DayOpened, Event
from propdesk.ports import Broker
from trading_daemon.bus import Bus, Envelope, TrackRequest
from trading_daemon.day import Day
from trading_daemon.documents import event_of
from trading_daemon.feeds import StoredDay
from trading_daemon.ports import Log, PaperMarket
from trading_daemon.recovery import ReconcileOutbox, reconcile
from trading_daemon.tasks.decider import Decider


class PaperExchange(Broker, PaperMarket, Protocol):
    """A broker whose market is shown to it."""

    async def refresh(self, bars: Sequence[BarObserved]) -> None:
        """Show the newest bars it had met before its process died."""
        ...


@dataclass(frozen=True, slots=True)
class Startup:
    """Everything that is needed to take a day up where the journal ends."""

    bus: Bus
    decider: Decider
    outbox: ReconcileOutbox
    broker: PaperExchange
    feed: StoredDay
    clock: Clock
    day: Day
    recovered: Recovered
    log: Log

    async def run(self, waiting: Sequence[InboxRow], *, is_replay: bool) -> None:
        """Take up the day; ``waiting`` are inbox rows that no journal row holds yet.

        In replay the driver opens the day and hands the waiting rows over when their moment comes.
        """
        await self._hand_over_open()
        await self._begin_segment(is_replay=is_replay)
        if not is_replay:
            for row in waiting:
                await self.bus.events.put(envelope_of(row, self.day.aliases))

    async def _begin_segment(self, *, is_replay: bool) -> None:
        event = segment_event(self.day.opened, self.recovered, self.clock.now_ns())
        if event is not None and (self.recovered.seq > 0 or not is_replay):
            self.log.info("context", context_hash=event.context_hash, event_name=type(event).__name__)
            await self.decider.decide([Envelope((event,))])

    async def _hand_over_open(self) -> None:
        """Continue what was committed: intents not yet sent, prices not yet asked for."""
        day, now_ns, state = self.day.context.trade_date, self.clock.now_ns(), self.recovered.state
        reconciled = await reconcile(
            self.outbox, self.broker, day, now_ns, self.log, told=self.recovered.update_ids
        )
        for intent in reconciled.to_send:
            self.bus.intents.put(intent)
        for update in reconciled.untold:
            await self.bus.events.put(Envelope((update,)))
        keys = tuple(sorted(state.subscriptions))
        if keys:
            self.feed.follow(keys)
            met = (self.feed.latest(key, now_ns) for key in keys)
            await self.broker.refresh([bar for bar in met if bar is not None])
            quote = tuple(key for key in keys if key not in state.prices)
            await self.bus.tracks.put(TrackRequest(keys, quote))


def segment_event(opened: DayOpened, recovered: Recovered, now_ns: int) -> DayOpened | ContextChanged | None:
    """Give the event with which a restart goes on: none where it found what was decided under so far.

    Parameters
    ----------
    opened : DayOpened
        The day as it is found now.
    """
    if recovered.seq == 0 or opened.ready != recovered.state.ready:
        return replace(opened, ts_ns=now_ns)
    if opened.context_hash != recovered.context_hash:
        return ContextChanged(opened.context_hash, now_ns)
    return None


def envelope_of(row: InboxRow, aliases: Aliases) -> Envelope:
    """Put an inbox row into the form the decider takes."""
    event: Event | None = event_of(row, aliases)
    return Envelope(() if event is None else (event,), (row.inbox_id,))

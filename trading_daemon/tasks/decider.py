"""The only owner of state: runs the reducer, commits what it says, then lets others act (§5.1, §5.7)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from propdesk.core.calendar import Segment
from propdesk.core.clock import Clock
from propdesk.core.invariant import require
from propdesk.engine.batch import Batch, Folded, build_batch, context_named, fold_events
from propdesk.engine.codec import encode_carry_over
from propdesk.engine.context import DayContext
from propdesk.engine.recover import Recovered, last_minute
from propdesk.engine.resolution import Question, Resolution, news
from propdesk.engine.snapshot import StoredContext
from propdesk.engine.state import EngineState
from propdesk.engine.step import carry_over
from propdesk.model.messages import BarObserved, BrokerUpdate, EntryVerdict, Track
from trading_daemon.bus import Bus, Envelope, TrackRequest, end_if_cancelled
from trading_daemon.metrics import Laps
from trading_daemon.ports import Journal

BATCH_ENVELOPES_MAX = 256
"""Envelopes of one journal row: bounds the transaction and the wait of the first of them."""


@dataclass(frozen=True, slots=True)
class Ledgered:
    """Where the journal of the day stands; ``resolutions`` are the master's answers it holds.

    ``minute_ns`` is the end of the last minute that was reported, 0 before the first.
    """

    seq: int
    chain_hash: str
    state: EngineState
    resolutions: Mapping[Question, Resolution] = field(default_factory=dict)
    minute_ns: int = 0

    @classmethod
    def of(cls, recovered: Recovered) -> "Ledgered":
        """Stand where a start found the journal."""
        return cls(
            recovered.seq,
            recovered.chain_hash,
            recovered.state,
            recovered.resolutions,
            recovered.minute_ns,
        )


class Decider:
    """Folds envelopes into the state, one journal row per batch.

    Parameters
    ----------
    journal : Journal
        Its connection belongs to this task.
    clock : Clock
        Gives the moment of each batch; in replay the driver moves it.
    context : DayContext
        What pre-market froze.
    stored : StoredContext
        The same as it is stored with the event that names it.
    start : Ledgered
        State recovered from the journal (or the day's first state with seq 0).
    observe : callable
        Told each committed batch (metrics).
    laps : Laps
        Times the way of each idea.
    """

    def __init__(
        self,
        bus: Bus,
        journal: Journal,
        clock: Clock,
        context: DayContext,
        stored: StoredContext,
        start: Ledgered,
        epoch: int,
        observe: Callable[[Batch], None],
        laps: Laps,
    ) -> None:
        self._bus = bus
        self._journal = journal
        self._clock = clock
        self._context = context
        self._stored = stored
        self._epoch = epoch
        self._observe = observe
        self._laps = laps
        self.position = start
        day = context.trade_date
        self._day_end_ns = max(context.calendar.hours(day, segment).close_ns for segment in Segment)

    async def run(self) -> None:
        """Decide until cancelled."""
        while True:
            first = await self._bus.events.get()
            # In lockstep everything that is still under way belongs into this batch.
            await self._bus.settled()
            envelopes = [first, *self._bus.events.take_waiting(BATCH_ENVELOPES_MAX - 1)]
            if self._bus.lockstep:
                envelopes.sort(key=lockstep_order)
            await self.decide(envelopes)
            self._bus.events.done(len(envelopes))
            end_if_cancelled()

    async def decide(self, envelopes: list[Envelope]) -> Batch:
        """Fold one batch, commit it, and only then hand over what it asks for."""
        events = [event for envelope in envelopes for event in envelope.events]
        marks = [envelope.mark for envelope in envelopes if envelope.mark is not None]
        require(len(marks) <= 1, "two items of a replayed day never share a journal row")
        named = context_named(events)
        require(named in (None, self._stored.context_hash), "events name a context that is not the day's")
        begun, now_ns, known = self._laps.now(), self._clock.now_ns(), self.position.resolutions
        folded = fold_events(self.position.state, events, now_ns, self._context)
        minute_ns = last_minute(events, self.position.minute_ns)
        learnt = news(folded.resolutions, known)
        batch = build_batch(
            folded,
            events,
            account_id=self._context.account_id,
            trade_date=self._context.trade_date,
            seq=self.position.seq + 1,
            now_ns=now_ns,
            epoch=self._epoch,
            previous_chain_hash=self.position.chain_hash,
            resolutions=learnt,
            context=None if named is None else self._stored,
            inbox_ids=tuple(i for envelope in envelopes for i in envelope.inbox_ids),
            mark=marks[0] if marks else None,
            carried=self._carried(folded.state, minute_ns),
        )
        done = self._laps.now()
        await self._journal.commit(batch)
        self._laps.decided(batch, begun, done)
        if learnt:
            known = {**known, **{answer.question: answer for answer in learnt}}
        self.position = Ledgered(batch.seq, batch.chain_hash, folded.state, known, minute_ns)
        self._observe(batch)
        await self._hand_over(batch, folded)
        return batch

    def _carried(self, state: EngineState, minute_ns: int) -> bytes | None:
        """Once the last minute is decided the next day may begin with what this batch leaves.

        The clock says nothing about it: a late start meets the minutes of the day after they are over.
        """
        return encode_carry_over(carry_over(state)) if minute_ns >= self._day_end_ns else None

    async def _hand_over(self, batch: Batch, folded: Folded) -> None:
        # Before the intents: a cancel of the same batch must find the entry it withdraws.
        for command in folded.commands:
            if isinstance(command, EntryVerdict):
                self._bus.judge(command)
        for intent in batch.intents:
            self._bus.intents.put(intent)
        follow = tuple(sorted({c.price_key for c in folded.commands if isinstance(c, Track) and c.on}))
        if follow:
            await self._bus.tracks.put(track_request(follow, self.position.state))


def lockstep_order(envelope: Envelope) -> tuple[int, str]:
    """Order what one batch of a replay led to, whoever was quicker to say it (§5.9).

    Quotes come first, then facts in the order the broker made them, then what was answered without the
    broker, by name: after a restart these are told from the outbox.
    """
    event = envelope.events[0] if envelope.events else None
    if isinstance(event, BarObserved):
        return 0, ""
    if isinstance(event, BrokerUpdate) and not event.broker_order_id:
        return 2, event.update_id
    return 1, ""


def track_request(keys: tuple[str, ...], state: EngineState) -> TrackRequest:
    """Ask for series, and for a quote of those the state has no price of yet.

    Notes
    -----
    Worked out from the state alone, so that a restart asks for the same.
    """
    return TrackRequest(keys, tuple(key for key in keys if key not in state.prices))

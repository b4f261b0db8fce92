import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from propdesk.core.clock import ManualClock
from propdesk.core.limits import BUS_QUEUE_SIZE
from propdesk.engine.recover import Recovered
from propdesk.engine.state import EngineState
from propdesk.model.live import InboxRow
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, CommandAsked, ContextChanged, DayOpened
from tests.unit.propdesk.engine.test_protection import fact, swing_carried
from tests.unit.trading_daemon.tasks.test_order_manager import Quiet
from tests.unit.trading_daemon.test_feeds import CLOSE, DAY, OPEN, Growing, minute
from trading_daemon.bus import Bus, Envelope
from trading_daemon.feeds import StoreFeed
from trading_daemon.startup import StartMode, Startup, segment_event
from trading_daemon.tasks.decider import BATCH_ENVELOPES_MAX

OPENED = DayOpened("2025-07-01", "v1", 100, True, 0, "a")
NOT_READY = replace(OPENED, ready=False)


def recovered(seq: int, context_hash: str, *, ready: bool) -> Recovered:
    state = EngineState("test", "2025-07-01", ready=ready, opening_corpus_paise=100)
    return Recovered(state, seq, 0, "", context_hash)


@pytest.mark.parametrize(
    ("opened", "start", "expected"),
    [
        (OPENED, recovered(0, "", ready=False), replace(OPENED, ts_ns=5)),
        (NOT_READY, recovered(0, "", ready=False), replace(NOT_READY, ts_ns=5)),
        (OPENED, recovered(3, "a", ready=True), None),
        (NOT_READY, recovered(3, "a", ready=False), None),
        (OPENED, recovered(3, "b", ready=False), replace(OPENED, ts_ns=5)),
        (NOT_READY, recovered(3, "a", ready=True), replace(NOT_READY, ts_ns=5)),
        (OPENED, recovered(3, "b", ready=True), ContextChanged("a", 5)),
        (NOT_READY, recovered(3, "b", ready=False), ContextChanged("a", 5)),
    ],
)
def test_a_restart_begins_a_segment_only_where_something_changed(
    opened: DayOpened, start: Recovered, expected: DayOpened | ContextChanged | None
) -> None:
    assert segment_event(opened, start, 5) == expected


def test_a_corpus_that_is_known_later_opens_the_day_once() -> None:
    """What is carried is followed, and its facts are booked, before pre-market is over."""
    before = Recovered(EngineState("test", "2025-07-01"), 3, 0, "", "a")
    assert segment_event(NOT_READY, before, 5) == replace(NOT_READY, ts_ns=5)
    assert segment_event(NOT_READY, recovered(3, "a", ready=False), 5) is None
    assert segment_event(replace(NOT_READY, opening_corpus_paise=0), before, 5) is None


class Decider:
    """Remembers what it was to decide."""

    def __init__(self) -> None:
        self.position = SimpleNamespace(state=EngineState("test", "2025-07-01"))
        self.batches: list[list[Envelope]] = []

    async def decide(self, envelopes: list[Envelope]) -> None:
        self.batches.append(envelopes)


class Silent:
    """Outbox and broker of an account that has nothing under way."""

    async def read(self, *_: object, **__: object) -> list[object]:
        return []

    answers = earlier_answers = read

    async def snapshot(self) -> tuple[()]:
        return ()


async def start_with(
    waiting: Sequence[InboxRow], *asked: CommandAsked, decider: Decider | None = None, broker: Any = None
) -> tuple[Decider, Bus]:
    bus, clock, decider = Bus(), ManualClock(minute(OPEN)), decider or Decider()
    feed = StoreFeed(Growing(clock), DAY, clock, minute(OPEN), minute(CLOSE))
    context = SimpleNamespace(trade_date=DAY, signal_fresh_ns=60)
    day = SimpleNamespace(opened=OPENED, aliases=None, context=context)
    parts: list[Any] = [
        bus,
        decider,
        Silent(),
        broker or Silent(),
        SimpleNamespace(heard=set()),
        feed,
        clock,
        day,
    ]
    startup = Startup(*parts, recovered(0, "", ready=False), Quiet(), StartMode.LIVE)
    await asyncio.wait_for(startup.run(waiting, asked), 5)
    return decider, bus


async def test_more_waiting_rows_than_the_bus_holds_are_decided_in_batches() -> None:
    count = BUS_QUEUE_SIZE + BATCH_ENVELOPES_MAX // 2
    rows = [InboxRow(n, f"k{n}", 1, "h", {}, n, "UNREADABLE") for n in range(count)]
    decider, bus = await start_with(rows)
    assert [list(envelope.events) for envelope in decider.batches[0]] == [
        [replace(OPENED, ts_ns=minute(OPEN))]
    ]
    taken = [envelope.inbox_ids for batch in decider.batches[1:] for envelope in batch]
    assert taken == [(n,) for n in range(count)]
    assert max(len(batch) for batch in decider.batches) == BATCH_ENVELOPES_MAX
    assert bus.is_quiescent()


class Carrying(Silent):
    """A broker that hears something between two snapshots, and tells of all orders whatever it is asked."""

    def __init__(self, *facts: BrokerUpdate) -> None:
        self.facts: tuple[BrokerUpdate, ...] = ()
        self._later = facts

    async def snapshot(self, orders: Collection[str] = ()) -> tuple[BrokerUpdate, ...]:  # type: ignore[override]
        told = self.facts
        self.facts = self._later
        return told


async def test_news_of_todays_orders_is_no_news_of_carried_ones() -> None:
    _, day, order = swing_carried()
    decider = Decider()
    decider.position.state = day.state
    carried = fact(BrokerUpdateKind.STOP_FILLED, order, 1, 9_800)
    today = fact(BrokerUpdateKind.ENTRY_FILLED, "of-today", 1, 9_800)
    await start_with((), decider=decider, broker=Carrying(today, carried))
    told = [event for batch in decider.batches for envelope in batch for event in envelope.events]
    assert told[1:] == [carried, today, carried], "once as news, then with all that is unheard"


async def test_what_was_asked_while_the_daemon_was_away_is_decided_before_what_was_heard() -> None:
    stop = CommandAsked(1, "PAUSE", {}, "asha", "TRADER", "API", 1, 2, 3)
    decider, _ = await start_with([InboxRow(1, "k", 1, "h", {}, 1, "UNREADABLE")], stop)
    told = [[*envelope.events, *envelope.inbox_ids] for batch in decider.batches for envelope in batch]
    assert told == [[replace(OPENED, ts_ns=minute(OPEN))], [stop], [1]]

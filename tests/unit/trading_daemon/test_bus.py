import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.errors import LimitFault
from propdesk.model.enums import Side
from propdesk.model.messages import IntentKind, OrderIntent
from propdesk.risk.throttle import Urgency
from trading_daemon.bus import Bus, Envelope, IntentQueue, Pulse, TrackRequest, Withdrawal, end_if_cancelled


def make_intent(
    number: int, *, is_entry: bool, kind: IntentKind | None = None, order: str | None = None
) -> OrderIntent:
    return OrderIntent(
        f"i{number}",
        kind or (IntentKind.PLACE if is_entry else IntentKind.EXIT),
        order or f"c{number}",
        "g",
        1,
        "NSE_EQ:A",
        Side.BUY,
        1,
        "LIMIT",
        100,
        100,
        90,
        110,
        110,
        0,
        1,
        None,
        is_entry,
        0,
    )


async def test_exits_leave_before_entries_and_otherwise_in_order() -> None:
    queue = IntentQueue(Pulse())
    for number, is_entry in enumerate([True, True, False, False]):
        queue.put(make_intent(number, is_entry=is_entry))
    assert [await taken(queue) for _ in range(4)] == ["i2", "i3", "i0", "i1"]


async def taken(queue: IntentQueue) -> str | list[str]:
    found = await asyncio.wait_for(queue.get(), 1)
    if isinstance(found, Withdrawal):
        return [intent.intent_id for intent in found.intents]
    return found.intent_id


def change(number: int, kind: IntentKind, order: str) -> OrderIntent:
    return make_intent(number, is_entry=False, kind=kind, order=order)


@pytest.mark.parametrize("kind", [IntentKind.MODIFY_STOP, IntentKind.MODIFY_TARGET, IntentKind.EXIT])
async def test_a_change_never_overtakes_its_own_order(kind: IntentKind) -> None:
    queue = IntentQueue(Pulse())
    queue.put(make_intent(1, is_entry=True, order="a"))
    queue.put(make_intent(2, is_entry=True, order="b"))
    queue.put(change(3, kind, "b"))
    queue.put(change(4, kind, "b"))
    queue.put(change(5, kind, "other"))
    assert [await taken(queue) for _ in range(5)] == ["i5", "i1", "i2", "i3", "i4"]


async def test_a_cancel_annihilates_an_entry_that_still_waits() -> None:
    queue = IntentQueue(Pulse())
    queue.put(make_intent(1, is_entry=True, order="a"))
    queue.put(make_intent(2, is_entry=True, order="b"))
    queue.put(change(3, IntentKind.MODIFY_STOP, "b"))
    queue.put(change(4, IntentKind.CANCEL_ENTRY, "b"))
    queue.put(change(5, IntentKind.MODIFY_TARGET, "b"))
    assert await taken(queue) == ["i2", "i3", "i4", "i5"]
    assert await taken(queue) == "i1"
    assert queue.unfinished == 5
    queue.done(4)
    queue.done()
    assert queue.unfinished == 0
    queue.put(make_intent(6, is_entry=True, order="c"))
    assert await taken(queue) == "i6", "what is left of the withdrawn lane disturbs nothing"


async def test_a_cancel_of_an_order_that_was_taken_is_sent() -> None:
    queue = IntentQueue(Pulse())
    queue.put(make_intent(1, is_entry=True, order="a"))
    assert await taken(queue) == "i1"
    queue.put(change(2, IntentKind.CANCEL_ENTRY, "a"))
    assert await taken(queue) == "i2"


async def test_behind_five_hundred_entries_an_exit_and_a_withdrawal_leave_first() -> None:
    queue = IntentQueue(Pulse())
    for number in range(500):
        queue.put(make_intent(number, is_entry=True))
    assert queue.urgency is Urgency.ENTRY
    queue.put(make_intent(899, is_entry=False, kind=IntentKind.MODIFY_STOP))
    assert queue.urgency is Urgency.CHANGE
    queue.put(make_intent(900, is_entry=False, kind=IntentKind.EXIT))
    assert queue.urgency is Urgency.EXIT
    queue.put(change(901, IntentKind.CANCEL_ENTRY, "c499"))
    assert [await taken(queue) for _ in range(4)] == ["i900", ["i499", "i901"], "i899", "i0"]


async def test_a_change_before_an_exit_of_its_own_order_is_as_urgent_as_the_exit() -> None:
    queue = IntentQueue(Pulse())
    queue.put(make_intent(1, is_entry=False, kind=IntentKind.MODIFY_STOP, order="a"))
    queue.put(make_intent(2, is_entry=False, kind=IntentKind.MODIFY_STOP, order="b"))
    queue.put(make_intent(3, is_entry=False, kind=IntentKind.EXIT, order="b"))
    assert [await taken(queue) for _ in range(3)] == ["i2", "i3", "i1"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40))
def test_whatever_is_put_each_order_keeps_its_order_and_nothing_is_lost(steps: list[tuple[int, int]]) -> None:
    queue = IntentQueue(Pulse())
    kinds = [IntentKind.MODIFY_STOP, IntentKind.CANCEL_ENTRY]
    put: dict[str, list[str]] = {}
    out: dict[str, list[str]] = {}

    def take() -> None:
        coroutine = queue.get()
        with pytest.raises(StopIteration) as end:
            coroutine.send(None)
        found = end.value.value
        several = found.intents if isinstance(found, Withdrawal) else (found,)
        for intent in several:
            out.setdefault(intent.correlation_id, []).append(intent.intent_id)

    for number, (order, action) in enumerate(steps):
        name = f"o{order}"
        if action == 2 and sum(map(len, put.values())) > sum(map(len, out.values())):
            take()
            continue
        first = name not in put
        kind = IntentKind.PLACE if first else kinds[action % 2]
        queue.put(make_intent(number, is_entry=first, kind=kind, order=name))
        put.setdefault(name, []).append(f"i{number}")
    while sum(map(len, put.values())) > sum(map(len, out.values())):
        take()
    assert out == put


async def test_more_intents_than_the_bus_holds_is_a_fault() -> None:
    queue = IntentQueue(Pulse(), size=1)
    queue.put(make_intent(1, is_entry=True))
    with pytest.raises(LimitFault, match="takes none"):
        queue.put(make_intent(2, is_entry=True))


async def test_a_taken_item_counts_as_under_way_until_it_is_done() -> None:
    bus = Bus(lockstep=True)
    await bus.events.put(Envelope(()))
    await bus.events.get()
    assert not bus.is_quiescent()
    bus.events.done()
    assert bus.is_quiescent()


async def test_lockstep_waits_for_intents_tracks_and_probes() -> None:
    bus = Bus(lockstep=True)
    under_way = [1]
    bus.watch(lambda: under_way[0])
    bus.intents.put(make_intent(1, is_entry=True))
    await bus.tracks.put(TrackRequest(("a",), ()))
    waiting = asyncio.create_task(bus.settled())
    await bus.intents.get()
    bus.intents.done()
    await bus.tracks.get()
    bus.tracks.done()
    await asyncio.sleep(0)
    assert not waiting.done()
    under_way[0] = 0
    bus.pulse.beat()
    await asyncio.wait_for(waiting, 1)


async def test_a_live_bus_never_waits_for_what_is_downstream() -> None:
    bus = Bus()
    bus.intents.put(make_intent(1, is_entry=True))
    await asyncio.wait_for(bus.settled(), 1)


async def test_a_full_queue_makes_its_producer_wait() -> None:
    from trading_daemon.bus import Channel

    channel: Channel[int] = Channel(Pulse(), size=1)
    await channel.put(1)
    second = asyncio.create_task(channel.put(2))
    await asyncio.sleep(0)
    assert not second.done()
    assert channel.take_waiting(5) == [1]
    await asyncio.wait_for(second, 1)
    assert channel.unfinished == 2


async def test_a_cancelled_producer_leaves_nothing_counted() -> None:
    from trading_daemon.bus import Channel

    channel: Channel[int] = Channel(Pulse(), size=1)
    await channel.put(1)
    second = asyncio.create_task(channel.put(2))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert channel.unfinished == 1


async def test_a_swallowed_cancellation_is_found() -> None:
    async def swallows() -> None:
        with contextlib.suppress(asyncio.CancelledError):  # as a library may do
            await asyncio.Event().wait()
        end_if_cancelled()

    task = asyncio.create_task(swallows())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_parked_entry_waits_for_its_verdict_and_then_goes_before_later_entries() -> None:
    queue = IntentQueue(Pulse())
    queue.park(make_intent(1, is_entry=True))
    queue.put(make_intent(2, is_entry=True))
    queue.put(make_intent(3, is_entry=False, kind=IntentKind.MODIFY_STOP, order="c1"))
    assert queue.unfinished == 3
    assert queue.resume("i1")
    assert not queue.resume("i1"), "once"
    taken = [_take(queue) for _ in range(3)]
    assert [one.intent_id for one in taken if isinstance(one, OrderIntent)] == ["i1", "i3", "i2"]


async def test_nothing_of_a_parked_entrys_order_is_served_before_it() -> None:
    queue = IntentQueue(Pulse())
    queue.park(make_intent(1, is_entry=True))
    queue.put(make_intent(2, is_entry=False, kind=IntentKind.MODIFY_STOP, order="c1"))
    assert _take(queue) is None


@pytest.mark.parametrize("comes_first", [True, False])
def test_a_cancel_withdraws_a_parked_entry(comes_first: bool) -> None:
    queue = IntentQueue(Pulse())
    place = make_intent(1, is_entry=True)
    cancel = make_intent(2, is_entry=False, kind=IntentKind.CANCEL_ENTRY, order="c1")
    if comes_first:
        queue.put(cancel)
    queue.park(place)
    if not comes_first:
        queue.put(cancel)
    assert _take(queue) == Withdrawal((place, cancel))
    assert not queue.resume("i1")


def _take(queue: IntentQueue) -> OrderIntent | Withdrawal | None:
    """What can be taken at this moment."""
    taking = queue.get()
    try:
        taking.send(None)
    except StopIteration as taken:
        found: OrderIntent | Withdrawal = taken.value
        return found
    finally:
        taking.close()
    return None


async def test_drained_waits_for_what_is_in_the_bus_now_and_for_nothing_later() -> None:
    bus = Bus()
    await bus.drained()
    for _ in range(3):
        await bus.events.put(Envelope(()))
    waiting = asyncio.create_task(bus.drained())
    bus.events.take_waiting(2)
    bus.events.done(2)
    await asyncio.sleep(0)
    await bus.events.put(Envelope(()))
    assert not waiting.done()
    bus.events.take_waiting(1)
    bus.events.done()
    await asyncio.wait_for(waiting, 1)
    assert bus.events.unfinished == 1


async def test_lockstep_goes_no_further_once_nothing_is_sent() -> None:
    bus = Bus(lockstep=True)
    await asyncio.wait_for(bus.settled(), 1)
    bus.stop_sending()
    for waits in (bus.settled(), bus.quiescent()):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waits, 0.01)
    await asyncio.wait_for(bus.drained(), 1)

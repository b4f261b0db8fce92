import asyncio
import contextlib

import pytest

from propdesk.core.errors import LimitFault
from propdesk.model.enums import Side
from propdesk.model.messages import IntentKind, OrderIntent
from trading_daemon.bus import Bus, Envelope, IntentQueue, Pulse, TrackRequest, end_if_cancelled


def make_intent(number: int, *, is_entry: bool) -> OrderIntent:
    return OrderIntent(
        f"i{number}",
        IntentKind.PLACE if is_entry else IntentKind.EXIT,
        f"c{number}",
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
    assert [(await queue.get()).intent_id for _ in range(4)] == ["i2", "i3", "i0", "i1"]


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

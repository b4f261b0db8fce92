import asyncio
from collections.abc import AsyncIterator, Sequence

from propdesk.core.clock import NS_PER_MINUTE, ManualClock
from propdesk.model.messages import BarObserved, TimerFired
from trading_daemon.bus import Bus, TrackRequest
from trading_daemon.ports import MinuteClosed
from trading_daemon.tasks.position_monitor import PositionMonitor

BAR = BarObserved("A", 0, NS_PER_MINUTE, 1, 1, 1, 1, 1)


class Feed:
    def __init__(self) -> None:
        self.followed: list[str] = []

    def follow(self, price_keys: Sequence[str]) -> None:
        self.followed += price_keys

    def latest(self, price_key: str, now_ns: int) -> BarObserved | None:
        return BAR if price_key == "A" and now_ns >= NS_PER_MINUTE else None

    async def minutes(self) -> AsyncIterator[MinuteClosed]:
        await asyncio.Event().wait()
        yield MinuteClosed(0, ())


class Market:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.seen: list[str] = []

    async def on_bars(self, bars: Sequence[BarObserved], end_ns: int) -> None:
        assert self.bus.events.unfinished == 0, "the exchange sees a minute before the decider"
        self.seen.append("bars")

    async def end_session(self, now_ns: int) -> None:
        self.seen.append("end")


async def test_the_exchange_sees_the_minute_before_the_decider() -> None:
    bus = Bus()
    market = Market(bus)
    monitor = PositionMonitor(bus, Feed(), market, ManualClock(0))
    await monitor.close_minute(MinuteClosed(NS_PER_MINUTE, (BAR,)))
    envelope = await bus.events.get()
    assert envelope.events == (BAR, TimerFired("MINUTE", NS_PER_MINUTE))
    bus.events.done()
    await monitor.close_minute(MinuteClosed(NS_PER_MINUTE, (), is_last=True))
    assert market.seen == ["bars", "bars", "end"]
    assert (await bus.events.get()).events == (TimerFired("SESSION_CLOSE", NS_PER_MINUTE),)


async def test_a_new_series_is_quoted_at_once_if_it_has_a_complete_bar() -> None:
    bus, feed = Bus(), Feed()
    task = asyncio.create_task(PositionMonitor(bus, feed, None, ManualClock(NS_PER_MINUTE)).run())
    await bus.tracks.put(TrackRequest(("A", "B"), ("A", "B")))
    await asyncio.wait_for(bus.pulse.until(lambda: bus.tracks.unfinished == 0), 1)
    task.cancel()
    assert feed.followed == ["A", "B"]
    assert (await bus.events.get()).events == (BAR,)

"""Subscriptions, prices, timers → events (§5.1)."""

import asyncio

from propdesk.core.clock import Clock
from propdesk.model.messages import Event, TimerFired
from trading_daemon.bus import Bus, Envelope
from trading_daemon.ports import MarketFeed, MinuteClosed, PaperMarket

MINUTE_TIMER = "MINUTE"
SESSION_CLOSE = "SESSION_CLOSE"


class PositionMonitor:
    """Follows the series the reducer asks for and reports each closed minute.

    Parameters
    ----------
    feed : MarketFeed
    market : PaperMarket or None
        A paper broker's own view of the market; it sees a minute's bars before the decider does, since its
        fills happened within that minute.
    """

    def __init__(self, bus: Bus, feed: MarketFeed, market: PaperMarket | None, clock: Clock) -> None:
        self._bus = bus
        self._feed = feed
        self._market = market
        self._clock = clock

    async def run(self) -> None:
        """Follow and watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._watch())

    async def _follow(self) -> None:
        while True:
            request = await self._bus.tracks.get()
            self._feed.follow(request.follow)
            now_ns = self._clock.now_ns()
            # As a quote asked for at subscription: the newest bar that is complete at this moment.
            quotes = (self._feed.latest(key, now_ns) for key in request.quote)
            bars = tuple(bar for bar in quotes if bar is not None)
            if bars:
                await self._bus.events.put(Envelope(bars))
            self._bus.tracks.done()

    async def _watch(self) -> None:
        async for minute in self._feed.minutes():
            await self.close_minute(minute)

    async def close_minute(self, minute: MinuteClosed) -> None:
        """Report one minute: first to the paper broker, then, once its fills are known, to the decider."""
        if self._market is not None:
            await meet_minute(self._market, minute)
            if self._bus.lockstep:
                await self._bus.quiescent()
        await self._bus.events.put(Envelope(minute_events(minute), mark=minute.mark))


async def meet_minute(market: PaperMarket, minute: MinuteClosed) -> None:
    """Show a minute to a paper exchange, with the last one the end of its day."""
    await market.on_bars(minute.bars, minute.end_ns)
    if minute.is_last:
        await market.end_session(minute.end_ns)


def minute_events(minute: MinuteClosed) -> tuple[Event, ...]:
    """Give what the decider hears of a minute: its bars, then its timer."""
    timer = TimerFired(SESSION_CLOSE if minute.is_last else MINUTE_TIMER, minute.end_ns)
    return (*minute.bars, timer)

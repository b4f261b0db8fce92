"""Minute bars of the price store as a market feed: of a replayed day, and of the running one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final, Protocol

import numpy as np

from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND, Clock
from propdesk.intake.minutes import filled
from propdesk.model.messages import BarObserved
from propdesk.ports import BarArrays
from trading_daemon.ports import MinuteClosed

GRACE_NS: Final = 2 * NS_PER_SECOND
"""How long after a minute's end its bar may take to be written."""
LAST_GRACE_NS: Final = 60 * NS_PER_SECOND
"""How long the session's last minute waits for a series whose last bar is missing: none comes after it."""


class MinuteSource(Protocol):
    """The part of a `PriceSource` that a day's feed reads."""

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        """Minute bars of the closed interval of IST days; a key without data is absent."""
        ...


class FilledPrices:
    """Stored minutes of a day, and what a watcher saw of those that the store lacks.

    Parameters
    ----------
    prices : MinuteSource
        The better source: of a minute that both have its bar counts.
    seen : callable
        Gives the watched bars of a series on that day; None = none.
    """

    def __init__(self, prices: MinuteSource, seen: Callable[[str], BarArrays | None]) -> None:
        self._prices = prices
        self._seen = seen

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        """Minute bars of the day; a key without data is absent."""
        found = dict(self._prices.minute_bars(price_keys, first, last))
        for key in price_keys:
            seen = self._seen(key)
            if seen is not None:
                found[key] = filled(found[key], seen) if key in found else seen
        return found


class StoredDay:
    """Minute bars of one day, read once per series.

    Parameters
    ----------
    prices : MinuteSource
    day : date
        IST day.
    """

    def __init__(self, prices: MinuteSource, day: date) -> None:
        self._prices = prices
        self._day = day
        self._bars: dict[str, BarArrays | None] = {}
        self._place: dict[str, dict[int, int]] = {}
        self._followed: list[str] = []

    def load(self, price_keys: Sequence[str]) -> None:
        """Read series in one pass over the store; those known already are left alone."""
        wanted = sorted(key for key in set(price_keys) if key not in self._bars)
        if not wanted:
            return
        found = self._prices.minute_bars(wanted, self._day, self._day)
        for key in wanted:
            self.hold(key, found.get(key))

    def hold(self, price_key: str, bars: BarArrays | None) -> None:
        """Take what the store has of a series; None = nothing."""
        self._bars[price_key] = bars
        if bars is not None:
            ends = (bars.start_ns + bars.interval_ns).tolist()
            self._place[price_key] = {end: index for index, end in enumerate(ends)}

    def follow(self, price_keys: Sequence[str]) -> None:
        """Deliver these series from now on."""
        self.load(price_keys)
        self._followed = sorted({*self._followed, *price_keys})

    def latest(self, price_key: str, now_ns: int) -> BarObserved | None:
        """Newest bar of the day that is complete at ``now_ns``; None before the first."""
        self.load([price_key])
        bars = self._bars.get(price_key)
        if bars is None:
            return None
        count = int(np.searchsorted(bars.start_ns + bars.interval_ns, now_ns, side="right"))
        return None if count == 0 else _bar(price_key, bars, count - 1)

    def ending(self, end_ns: int) -> tuple[BarObserved, ...]:
        """Bars of the followed series that end at ``end_ns``, by key."""
        found = []
        for key in self._followed:
            index = self._place.get(key, {}).get(end_ns)
            bars = self._bars[key]
            if index is not None and bars is not None:
                found.append(_bar(key, bars, index))
        return tuple(found)

    def forget(self) -> None:
        """Read the store anew the next time (the running day grows)."""
        self._bars.clear()
        self._place.clear()


class ReplayFeed(StoredDay):
    """Feed of a replayed day: the driver closes the minutes, nothing happens by itself."""

    async def minutes(self) -> AsyncIterator[MinuteClosed]:
        """Wait for ever: minutes come from the driver."""
        await asyncio.Event().wait()
        yield MinuteClosed(0, ())


class DeliveredDay(StoredDay):
    """A day whose every bar is delivered once, however late it was written.

    Parameters
    ----------
    done_ns : int
        End of the last minute that needs no report any more (the open before the first).

    Notes
    -----
    Each series has a mark up to which it was delivered. Every complete bar beyond it goes out with the next
    minute, oldest first: a bar that is passed over would be a stop that never filled.
    """

    def __init__(self, prices: MinuteSource, day: date, done_ns: int) -> None:
        super().__init__(prices, day)
        self._done_ns = done_ns
        self._delivered: dict[str, int] = {}

    def follow(self, price_keys: Sequence[str]) -> None:
        """Deliver these series from the next minute on."""
        super().follow(price_keys)
        for key in price_keys:
            self._delivered.setdefault(key, self._done_ns)

    def resume(self, known_ns: Mapping[str, int]) -> None:
        """Take up followed series after the last bar that is journalled of each (at a restart)."""
        for key, end_ns in known_ns.items():
            if key in self._delivered:
                self._delivered[key] = min(self._delivered[key], end_ns)

    def close(self, end_ns: int) -> tuple[BarObserved, ...]:
        """End a minute: bars of the followed series that no minute held so far, oldest first, then by key."""
        self._done_ns = end_ns
        found: list[BarObserved] = []
        for key in self._followed:
            bars = self._bars.get(key)
            if bars is None:
                continue
            ends = bars.start_ns + bars.interval_ns
            first, last = np.searchsorted(ends, [self._delivered[key], end_ns], side="right")
            found.extend(_bar(key, bars, index) for index in range(int(first), int(last)))
            if last > first:
                self._delivered[key] = int(ends[last - 1])
        return tuple(sorted(found, key=lambda bar: (bar.start_ns, bar.price_key)))


class PastFeed(DeliveredDay):
    """Feed of a past day that is brought to its end: a driver closes its minutes."""

    async def minutes(self) -> AsyncIterator[MinuteClosed]:
        """Wait for ever: minutes come from the driver."""
        await asyncio.Event().wait()
        yield MinuteClosed(0, ())


class StoreFeed(DeliveredDay):
    """Feed of the running day from what is written into the price store, or seen, while it goes on.

    Parameters
    ----------
    clock : Clock
        System clock.
    open_ns, close_ns : int
        Session; outside it no minute is reported.
    done_ns : int
        End of the last minute that needs no report any more (after a restart).
    on_follow : callable
        Told the series that are followed from now on.
    sleep : callable
        Waits so many seconds.

    Notes
    -----
    Minutes are reported one after the other without a gap, however late the loop or the process is. A bar
    that is written later than `GRACE_NS` is delivered with the first minute after it is there. The last
    minute has none after it: it waits until every followed series has its bar, up to `LAST_GRACE_NS`.

    The store is read in a thread: a slow disk must not hold up the event loop.
    """

    def __init__(
        self,
        prices: MinuteSource,
        day: date,
        clock: Clock,
        open_ns: int,
        close_ns: int,
        *,
        done_ns: int = 0,
        on_follow: Callable[[Sequence[str]], None] = lambda _keys: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(prices, day, max(open_ns, done_ns))
        self._clock = clock
        self._close_ns = close_ns
        self._read_ns = 0
        self._on_follow = on_follow
        self._sleep = sleep

    def follow(self, price_keys: Sequence[str]) -> None:
        """Deliver these series from the next minute on."""
        super().follow(price_keys)
        self._on_follow(price_keys)

    def missed(self) -> Iterator[MinuteClosed]:
        """Report at once, in order, the minutes that are over by now."""
        while self._done_ns < self._close_ns and self._due_ns <= self._clock.now_ns():
            if self._must_read():
                self._take(self._prices.minute_bars(self._followed, self._day, self._day))
            if self._must_hold():
                return
            yield self._next()

    async def minutes(self) -> AsyncIterator[MinuteClosed]:
        """Report each minute of the session shortly after its end, with whatever bars were written."""
        while self._done_ns < self._close_ns:
            wait_ns = self._due_ns - self._clock.now_ns()
            if wait_ns > 0:
                await self._sleep(wait_ns / NS_PER_SECOND)
                continue
            if self._must_read():
                wanted = list(self._followed)
                self._take(await asyncio.to_thread(self._prices.minute_bars, wanted, self._day, self._day))
            if self._must_hold():
                await self._sleep(GRACE_NS / NS_PER_SECOND)
                continue
            yield self._next()
        await asyncio.Event().wait()

    @property
    def _due_ns(self) -> int:
        return self._done_ns + NS_PER_MINUTE + GRACE_NS

    def _must_read(self) -> bool:
        """Say whether what was read may lack the due bar: it was read before that had to be there."""
        now_ns = self._clock.now_ns()
        # Of the last minute the newest is read until nothing is waited for any more.
        is_awaited = self._is_last and self._read_ns < min(now_ns, self._close_ns + LAST_GRACE_NS)
        if self._due_ns <= self._read_ns and not is_awaited:
            return False
        self._read_ns = now_ns
        return True

    @property
    def _is_last(self) -> bool:
        return self._done_ns + NS_PER_MINUTE >= self._close_ns

    def _must_hold(self) -> bool:
        """Say whether the last minute waits for a bar that a recorder may still write."""
        if not self._is_last or self._clock.now_ns() >= self._close_ns + LAST_GRACE_NS:
            return False
        return any(self._close_ns not in self._place.get(key, {}) for key in self._followed)

    def _take(self, found: Mapping[str, BarArrays]) -> None:
        """Hold what was read now; a series that began to be followed meanwhile is read when it is asked."""
        self.forget()
        for key, bars in found.items():
            self.hold(key, bars)
        self.load(self._followed)

    def _next(self) -> MinuteClosed:
        end_ns = self._done_ns + NS_PER_MINUTE
        return MinuteClosed(end_ns, self.close(end_ns), is_last=end_ns == self._close_ns)


def _bar(price_key: str, bars: BarArrays, index: int) -> BarObserved:
    return BarObserved(
        price_key,
        int(bars.start_ns[index]),
        bars.interval_ns,
        int(bars.open_paise[index]),
        int(bars.high_paise[index]),
        int(bars.low_paise[index]),
        int(bars.close_paise[index]),
        int(bars.volume[index]),
    )

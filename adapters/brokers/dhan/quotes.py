"""Dhan's market feed in our own names: prices of the series asked for, for a process that only listens."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Final

from websockets import ConnectionClosed

from adapters.brokers.dhan.auth import GivenToken
from adapters.brokers.dhan.config import DhanConfig
from adapters.brokers.dhan.feed import FeedMode, MarketFeed
from adapters.brokers.dhan.packets import DayQuote, DepthRow, Disconnected, Packet, Tick
from adapters.brokers.dhan.prices import INDEX_IDS, INDEX_SEGMENT
from adapters.brokers.dhan.stream import StreamTiming
from propdesk.core.clock import NS_PER_SECOND, Clock
from propdesk.core.limits import PRICE_PAISE_MAX
from propdesk.intake.minutes import SILENCE_NS, UNKNOWN, PriceSeen

INDEX_LISTINGS = {f"INDEX:{name}": (INDEX_SEGMENT, number) for name, number in INDEX_IDS.items()}
"""(segment, security id) of the index levels by price key."""

PULSE: Final = ("INDEX:NIFTY", "INDEX_FUT:NIFTY:")
"""Always asked for, the second as the contract that expires next: they change every second while cash and
derivatives trade, so that silence means a feed that is dead."""

TIMING: Final = StreamTiming(mute_s=SILENCE_NS / NS_PER_SECOND)
"""A process that listens to few series waits longer than one that trades before it connects anew."""


class DhanQuotes:
    """Last trades with the best bid and ask, under price keys.

    Parameters
    ----------
    config : DhanConfig
        Its token is used as it is (`GivenToken`).
    listings : mapping of str to (str, str)
        (segment, security id) by price key; index levels are known.
    clock : Clock
        Tells when something was heard.
    is_open : callable
        Whether the market is open: only then does silence mean a dead socket.
    """

    def __init__(
        self,
        config: DhanConfig,
        listings: Mapping[str, tuple[str, str]],
        clock: Clock,
        *,
        is_open: Callable[[], bool],
        timing: StreamTiming | None = None,
    ) -> None:
        self._listings = {**listings, **INDEX_LISTINGS}
        self._keys: dict[tuple[str, str], str] = {}
        self._clock = clock
        self._is_broken = False
        self.trouble = ""
        self._feed = MarketFeed(
            config,
            GivenToken(config, clock),
            is_open=is_open,
            on_change=self._changed,
            timing=timing or TIMING,
        )

    @property
    def is_connected(self) -> bool:
        """Whether it is there, and nothing was missed since the last price given."""
        return self._feed.stream.socket is not None and not self._is_broken

    async def subscribe(self, price_keys: Sequence[str]) -> tuple[str, ...]:
        """Want prices of series, now and after every reconnect; gives those that Dhan has no name for.

        Raises
        ------
        ConfigFault
            If that is more than one connection carries.
        """
        named = {self._listings[key]: key for key in price_keys if key in self._listings}
        self._keys.update(named)
        levels = [place for place in named if place[0] == INDEX_SEGMENT]
        traded = [place for place in named if place[0] != INDEX_SEGMENT]
        for places, mode in ((levels, FeedMode.TICKER), (traded, FeedMode.FULL)):  # an index has no book
            with contextlib.suppress(ConnectionClosed):  # the next connection asks for all of them
                await self._feed.subscribe(places, mode)
        return tuple(key for key in price_keys if key not in self._listings)

    async def prices(self) -> AsyncGenerator[PriceSeen | None]:
        """Give what is heard until cancelled; None: something may have been missed before the next.

        That is a connection that was lost, and a frame that cannot be read.
        """
        level, contracts = PULSE
        await self.subscribe([level, *sorted(key for key in self._listings if key.startswith(contracts))[:1]])
        unreadable = self._feed.unreadable
        async for packet in self._feed.packets():
            if self._is_broken or self._feed.unreadable != unreadable:
                self._is_broken, unreadable = False, self._feed.unreadable
                yield None
            seen = self._seen(packet)
            if seen is not None:
                yield seen

    def _seen(self, packet: Packet) -> PriceSeen | None:
        if isinstance(packet, Disconnected):
            return None
        named = packet.tick if isinstance(packet, DayQuote) else packet
        key = self._keys.get((named.exchange_segment, named.security_id))
        if key is None:
            return None
        best = packet.depth[0] if isinstance(packet, DayQuote) and packet.depth else _NO_BOOK
        tick = named if isinstance(named, Tick) and 0 < named.price_paise <= PRICE_PAISE_MAX else _NO_TRADE
        return PriceSeen(
            key,
            self._clock.now_ns(),
            tick.at_ns,
            tick.price_paise,
            UNKNOWN if tick.volume is None else tick.volume,
            _price(best.bid_paise),
            _price(best.ask_paise),
        )

    def _changed(self, _name: str, is_connected: bool, reason: str) -> None:
        self._is_broken |= not is_connected
        self.trouble = reason


_NO_BOOK = DepthRow(0, 0, 0, 0, 0, 0)
_NO_TRADE = Tick("", "", 0, None)


def _price(paise: int) -> int:
    return paise if 0 < paise <= PRICE_PAISE_MAX else UNKNOWN

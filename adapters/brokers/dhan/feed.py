"""Market-feed WebSocket: subscribes anew after each connect, leaves a mute socket."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from enum import IntEnum
from typing import Final
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection

from adapters.brokers.dhan.auth import Tokens
from adapters.brokers.dhan.config import DhanConfig
from adapters.brokers.dhan.packets import Disconnected, Packet, packets
from adapters.brokers.dhan.stream import Stream, StreamTiming
from propdesk.core.errors import BrokerFault, ConfigFault, SchemaFault

BATCH: Final = 100
"""Instruments of one subscribe message."""

SUBSCRIPTIONS_MAX: Final = 5_000
"""Instruments of one connection."""

_TOKEN_CODES: Final = frozenset({807, 808, 809, 810})


class FeedMode(IntEnum):
    """How much is sent per instrument; the value is the request code, one more switches it off."""

    TICKER = 15
    QUOTE = 17
    FULL = 21


class MarketFeed:
    """Streams packets of the subscribed instruments.

    Parameters
    ----------
    is_open : callable
        Whether the market is open: only then does silence mean a mute socket.
    on_change : callable, optional
        Told ``("market", connected, reason)`` at each connect and loss.
    """

    def __init__(
        self,
        config: DhanConfig,
        session: Tokens,
        *,
        is_open: Callable[[], bool],
        on_change: Callable[[str, bool, str], None] | None = None,
        timing: StreamTiming | None = None,
    ) -> None:
        self._config = config
        self._session = session
        self._wanted: dict[tuple[str, str], FeedMode] = {}
        self._token = ""
        self.unreadable = 0
        self.stream = Stream(
            "market",
            self._address,
            self._greet,
            is_due=lambda: bool(self._wanted) and is_open(),
            on_refused=self._refused,
            on_change=on_change or (lambda _name, _connected, _reason: None),
            timing=timing or StreamTiming(),
        )

    @property
    def subscribed(self) -> frozenset[tuple[str, str]]:
        """(segment, security id) of what is wanted."""
        return frozenset(self._wanted)

    async def subscribe(
        self, instruments: Iterable[tuple[str, str]], mode: FeedMode = FeedMode.TICKER
    ) -> None:
        """Want prices of instruments, now and after every reconnect.

        Raises
        ------
        ConfigFault
            If that is more than one connection carries.
        """
        fresh = [one for one in instruments if self._wanted.get(one) is not mode]
        if len(self._wanted | dict.fromkeys(fresh, mode)) > SUBSCRIPTIONS_MAX:
            raise ConfigFault(f"Dhan's feed carries {SUBSCRIPTIONS_MAX} instruments per connection.")
        self._wanted |= dict.fromkeys(fresh, mode)
        if self.stream.socket is not None:
            await _send(self.stream.socket, int(mode), fresh)

    async def unsubscribe(self, instruments: Iterable[tuple[str, str]]) -> None:
        """Want no more prices of instruments."""
        by_mode: dict[FeedMode, list[tuple[str, str]]] = {}
        for one in instruments:
            mode = self._wanted.pop(one, None)
            if mode is not None:
                by_mode.setdefault(mode, []).append(one)
        if self.stream.socket is not None:
            for mode, gone in by_mode.items():
                await _send(self.stream.socket, int(mode) + 1, gone)

    async def packets(self) -> AsyncIterator[Packet]:
        """Give packets until cancelled; what is unreadable is counted and left out."""
        async for frame in self.stream.frames():
            if isinstance(frame, str):
                continue
            try:
                for packet in packets(frame):
                    if isinstance(packet, Disconnected):
                        await self._ended(packet.code)
                    else:
                        yield packet
            except SchemaFault:
                self.unreadable += 1

    async def _ended(self, code: int) -> None:
        if code in _TOKEN_CODES:
            await self._refused()
        await self.stream.drop(f"Dhan ended the feed with code {code}")

    async def _refused(self) -> None:
        # that no other token is to be had yet is met again when connecting, which has a back-off
        with contextlib.suppress(BrokerFault):
            await self._session.refuse(self._token)

    async def _address(self) -> str:
        self._token = await self._session.token()
        query = {"version": "2", "token": self._token, "clientId": self._config.client_id, "authType": "2"}
        return f"{self._config.feed_url}?{urlencode(query)}"

    async def _greet(self, socket: ClientConnection) -> None:
        for mode in FeedMode:
            await _send(socket, int(mode), [one for one, wanted in self._wanted.items() if wanted is mode])


async def _send(socket: ClientConnection, code: int, instruments: list[tuple[str, str]]) -> None:
    for start in range(0, len(instruments), BATCH):
        part = instruments[start : start + BATCH]
        listed = [{"ExchangeSegment": segment, "SecurityId": name} for segment, name in part]
        message = {"RequestCode": code, "InstrumentCount": len(part), "InstrumentList": listed}
        await socket.send(json.dumps(message))

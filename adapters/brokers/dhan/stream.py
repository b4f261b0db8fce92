"""What both WebSockets share: connecting with back-off, a watchdog for mute sockets, silence in the logs."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import websockets
from websockets.asyncio.client import ClientConnection, connect

from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.errors import AuthExpired, BrokerFault

_FRAME_BYTES_MAX: Final = 4_000_000
_REFUSED: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """Seconds.

    Attributes
    ----------
    back_off_s, back_off_s_max : float
        First and longest pause before connecting again; it doubles in between.
    mute_s : float
        A socket silent for longer, while messages are due, is dead whatever TCP says.
    open_s, ping_s : float
        Time-outs of connecting and of a ping's answer.
    """

    back_off_s: float = 0.5
    back_off_s_max: float = 15.0
    mute_s: float = 5.0
    open_s: float = 5.0
    ping_s: float = 10.0


class Stream:
    """Reads frames for ever, over as many connections as it takes.

    Parameters
    ----------
    name : str
        For `on_change`.
    address : callable
        Gives the address of the next connection; asks for a token every time.
    greet : callable
        Sends what the server expects after connecting.
    is_due : callable
        Whether messages are expected now (market hours, something subscribed); outside silence is normal.
    on_refused : callable
        Told that the server refused the token; must not raise.
    on_change : callable
        Told the reason of each connect (empty text) and loss (one sentence).
    """

    def __init__(
        self,
        name: str,
        address: Callable[[], Awaitable[str]],
        greet: Callable[[ClientConnection], Awaitable[None]],
        *,
        is_due: Callable[[], bool],
        on_refused: Callable[[], Awaitable[None]],
        on_change: Callable[[str, bool, str], None],
        timing: StreamTiming,
    ) -> None:
        self._name = name
        self._address = address
        self._greet = greet
        self._is_due = is_due
        self._on_refused = on_refused
        self._on_change = on_change
        self._timing = timing
        self._socket: ClientConnection | None = None
        self._log = logging.getLogger("propdesk.dhan.silent")
        self._log.disabled = True  # the library logs addresses, which carry the token
        self.connects = 0
        self.last_frame_ns: int | None = None

    @property
    def socket(self) -> ClientConnection | None:
        """The present connection; None between two."""
        return self._socket

    async def drop(self, reason: str) -> None:
        """Give the present connection up, e.g. because a message is known to be missing."""
        if self._socket is not None:
            self._on_change(self._name, False, reason)
            await self._socket.close()

    async def frames(self) -> AsyncIterator[str | bytes]:
        """Give frames until cancelled."""
        pause = self._timing.back_off_s
        while True:
            reason = ""
            try:
                async with contextlib.aclosing(self._one_connection()) as frames:
                    async for frame in frames:
                        pause = self._timing.back_off_s
                        yield frame
                reason = "closed by the server"
            except websockets.InvalidStatus as fault:
                reason = f"HTTP {fault.response.status_code}"
                if fault.response.status_code in _REFUSED:
                    await self._on_refused()
            except (OSError, websockets.WebSocketException, TimeoutError) as fault:
                reason = type(fault).__name__
            except AuthExpired as fault:
                reason, pause = str(fault), self._timing.back_off_s_max
            except BrokerFault as fault:
                reason = str(fault)
            self._on_change(self._name, False, reason)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._timing.back_off_s_max)

    async def _one_connection(self) -> AsyncGenerator[str | bytes]:
        address = await self._address()
        timing = self._timing
        async with connect(
            address,
            open_timeout=timing.open_s,
            ping_interval=timing.ping_s,
            ping_timeout=timing.ping_s,
            close_timeout=1.0,
            max_size=_FRAME_BYTES_MAX,
            logger=self._log,
            compression=None,
            proxy=None,
        ) as socket:
            self._socket = socket
            try:
                # a server that refuses closes at once, but what it said before tells why
                with contextlib.suppress(websockets.ConnectionClosed):
                    await self._greet(socket)
                    self.connects += 1
                    self._on_change(self._name, True, "")
                async for frame in self._watched(socket):
                    yield frame
            finally:
                self._socket = None

    async def _watched(self, socket: ClientConnection) -> AsyncIterator[str | bytes]:
        """Give frames; a mute socket ends by `TimeoutError`."""
        heard = time.monotonic_ns()
        while True:
            try:
                async with asyncio.timeout(self._timing.mute_s / 2):
                    frame = await socket.recv()
            except TimeoutError:
                silent_s = (time.monotonic_ns() - heard) / NS_PER_SECOND
                if not self._is_due():
                    heard = time.monotonic_ns()
                elif silent_s >= self._timing.mute_s:
                    raise TimeoutError("mute socket") from None
                continue
            except websockets.ConnectionClosedOK:
                return
            heard = time.monotonic_ns()
            self.last_frame_ns = heard
            yield frame

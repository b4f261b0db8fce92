"""The adapter on a local sandbox whose time somebody else moves: a past day through real wire formats.

Nothing here waits for a clock: time is moved, the books are read, and what they say is told, in that order.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

import httpx

from adapters.brokers.dhan.broker import DhanBroker
from adapters.settings import is_loopback
from propdesk.core.errors import ConfigFault
from propdesk.model.messages import BarObserved, BrokerUpdate, OrderIntent
from propdesk.ports import BrokerAck, Capabilities

_TIMEOUT_S: Final = 60.0
"""A day of ticks passes within it."""


class SandboxClock:
    """Moves a sandbox's time over its control interface, and tells it: the clock that tokens live by.

    Parameters
    ----------
    rest_url : str
        The sandbox's REST address; its control interface is on the same port.

    Raises
    ------
    ConfigFault
        If the address is not on this machine: a real broker's time is nobody's to move.
    """

    def __init__(self, rest_url: str) -> None:
        if not is_loopback(rest_url):
            raise ConfigFault(f"{rest_url} is no sandbox on this machine; its time cannot be moved.")
        place = urlsplit(rest_url)
        self._url = f"{place.scheme}://{place.netloc}/_control/clock"
        self._http = httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S)
        self._now_ns = 0

    async def advance_to(self, now_ns: int) -> int:
        """Let time pass up to ``now_ns``, which changes nothing if it has passed; gives the truth's length.

        Raises
        ------
        ConfigFault
            If no sandbox answers.
        """
        try:
            answer = await self._http.post(self._url, json={"to_ns": now_ns})
            found = answer.raise_for_status().json()
            # it may be ahead of who asks: a sandbox starts with its day, a replay with the day's first idea
            self._now_ns = int(found["now_ns"])
            return int(found["ledger_rows"])
        except (httpx.HTTPError, KeyError, ValueError):
            raise ConfigFault(
                f"No sandbox answers at {self._url}: start one with `propdesk sandbox run --speed 0`."
            ) from None

    def now_ns(self) -> int:
        """Give the sandbox's time as last heard, ns UTC; 0 before any."""
        return self._now_ns

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()


class SteppedDhan:
    """`DhanBroker` whose market and clock are a sandbox's, moved by the driver of a replayed day.

    Parameters
    ----------
    broker : DhanBroker
    clock : SandboxClock

    Notes
    -----
    The books are read when the sandbox's truth has grown, never by the hour: what nothing happened to is not
    asked for, unless time alone may make news of it. A book that cannot be read ends the process; a start
    reads it again.
    """

    def __init__(self, broker: DhanBroker, clock: SandboxClock) -> None:
        self._broker = broker
        self._clock = clock
        self._facts: list[BrokerUpdate] = []
        self._rows = -1
        self._news = asyncio.Event()

    @property
    def capabilities(self) -> Capabilities:
        """Those of Dhan, without its rates: no time passes between two calls."""
        return replace(self._broker.capabilities, order_rates=None)

    @property
    def writes(self) -> int:
        """Calls so far that could have changed something."""
        return self._broker.writes

    @property
    def facts_known(self) -> int:
        """Facts read so far."""
        return len(self._facts)

    async def place(self, intent: OrderIntent, *, leave_by_ns: int | None = None) -> BrokerAck:
        """Place a super order."""
        return await self._broker.place(intent, leave_by_ns=leave_by_ns)

    async def modify(self, intent: OrderIntent) -> BrokerAck:
        """Move a stop or a target."""
        return await self._broker.modify(intent)

    async def cancel(self, intent: OrderIntent) -> BrokerAck:
        """Withdraw an entry."""
        return await self._broker.cancel(intent)

    async def exit(self, intent: OrderIntent) -> BrokerAck:
        """Close what is filled."""
        return await self._broker.exit(intent)

    async def protect(self, intent: OrderIntent) -> BrokerAck:
        """Put a stop under what lost its own."""
        return await self._broker.protect(intent)

    async def neutralise(self, intent: OrderIntent) -> BrokerAck:
        """End what repeats an order of ours."""
        return await self._broker.neutralise(intent)

    async def check_access(self) -> None:
        """Find out whether orders are taken from here."""
        await self._broker.check_access()

    async def find(self, intent: OrderIntent) -> BrokerAck | None:
        """Look up what an intent did."""
        return await self._broker.find(intent)

    async def snapshot(self, orders: Collection[str] = ()) -> tuple[BrokerUpdate, ...]:
        """All facts about our orders."""
        return await self._broker.snapshot(orders)

    async def updates(self) -> AsyncIterator[BrokerUpdate]:
        """Give each fact once, when it was read."""
        place = 0
        while True:
            while place < len(self._facts):
                place += 1
                yield self._facts[place - 1]
            self._news.clear()
            await self._news.wait()

    async def advance_to(self, now_ns: int) -> None:
        """Let the market and the broker live up to a moment, and hear what became of our orders."""
        rows = await self._clock.advance_to(now_ns)
        if rows != self._rows or self._broker.is_waiting:
            self._rows = rows
            self._facts.extend(await self._broker.news())
            self._news.set()

    async def on_bars(self, bars: Sequence[BarObserved], end_ns: int) -> None:
        """Let the minute pass; the sandbox has prices of its own."""
        del bars
        await self.advance_to(end_ns)

    async def end_session(self, now_ns: int) -> None:
        """Let the day end."""
        await self.advance_to(now_ns)

    async def refresh(self, bars: Sequence[BarObserved]) -> None:
        """Do nothing: the sandbox has lived on while we were away."""
        del bars

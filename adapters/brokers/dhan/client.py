"""Everything Dhan offers, over one long-lived connection pool and one token."""

import time
from types import TracebackType
from typing import Self

import httpx

from adapters.brokers.dhan.auth import Session, TokenStore
from adapters.brokers.dhan.config import DhanConfig
from adapters.brokers.dhan.control import Control
from adapters.brokers.dhan.http import DhanHttp
from adapters.brokers.dhan.orders import Orders
from adapters.brokers.dhan.portfolio import Portfolio
from adapters.brokers.dhan.prices import Prices
from adapters.brokers.dhan.super_orders import SuperOrders
from adapters.brokers.dhan.transport import TimeOuts, Transport
from propdesk.core.clock import Clock


class DhanClient:
    """The REST side; use as an async context manager, one per process.

    Parameters
    ----------
    config : DhanConfig
    clock : Clock
    store : TokenStore, optional
        Where tokens outlive the process.
    time_outs : TimeOuts, optional
    transport : httpx.AsyncBaseTransport, optional
        Stands in for the network in tests.
    is_stepped : bool
        The broker is a sandbox whose time moves with ``clock``: pauses are measured in it, and none is made
        between calls, for time stands still meanwhile.
    """

    def __init__(
        self,
        config: DhanConfig,
        clock: Clock,
        *,
        store: TokenStore | None = None,
        time_outs: TimeOuts | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        is_stepped: bool = False,
    ) -> None:
        self.config = config
        self._transport = Transport(clock, time_outs=time_outs, transport=transport)
        elapsed_ns = clock.now_ns if is_stepped else time.monotonic_ns
        self.session = Session(config, self._transport, clock, store, elapsed_ns=elapsed_ns)
        self.http = DhanHttp(config, self._transport, self.session, is_paced=not is_stepped)
        self.super_orders = SuperOrders(self.http)
        self.orders = Orders(self.http)
        self.portfolio = Portfolio(self.http)
        self.control = Control(self.http)
        self.prices = Prices(self.http)

    @property
    def skew_ns(self) -> int | None:
        """Dhan's clock minus ours by the last answer's Date header (whole seconds); None before any."""
        return self._transport.skew_ns

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

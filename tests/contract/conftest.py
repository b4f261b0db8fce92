"""A sandbox in the test's own loop, moved by hand, and the adapter pointed at it."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from pydantic import SecretStr

from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.config import DhanConfig
from adapters.brokers.dhan.transport import TimeOuts
from propdesk.core.calendar import ist_to_ns
from sandbox.catalogue import Catalogue, index_listing, listing_of
from sandbox.knobs import Knobs
from sandbox.server import Sandbox, addresses
from sandbox.world import World, make_world
from tests.support.instruments import equity

START = ist_to_ns(datetime(2025, 7, 1, 10, 0))  # noqa: DTZ001 - read as IST
KEY = "NSE_EQ:TCS"


class SimulatedClock:
    """The sandbox's time for the adapter, unless somebody sets it."""

    ahead_ns = 0

    def __init__(self, world: World) -> None:
        self._world = world

    def now_ns(self) -> int:
        return self._world.now_ns + self.ahead_ns


class Desk:
    """A sandbox, where it listens, and a client of it."""

    def __init__(self, sandbox: Sandbox, place: str, time_outs: TimeOuts) -> None:
        knobs = sandbox.world.knobs
        self.sandbox = sandbox
        self.world = sandbox.world
        self.place = place
        self.clock = SimulatedClock(self.world)
        named = addresses(place)
        self.config = DhanConfig(
            client_id=knobs.client_id,
            rest_url=named["dhan_rest_url"],
            auth_url=named["dhan_auth_url"],
            order_update_url=named["dhan_order_update_url"],
            feed_url=named["dhan_feed_url"],
            master_url=named["dhan_master_url"],
            access_token=None,
            pin=SecretStr(knobs.pin),
            totp_secret=SecretStr(knobs.totp_secret),
            may_trade=True,
        )
        self.client = DhanClient(self.config, self.clock, time_outs=time_outs)

    def price(self, rupees: float) -> None:
        """Let TCS trade."""
        self.world.trade(KEY, round(rupees * 100))


@pytest.fixture
def knobs() -> Knobs:
    """Knobs of the test's sandbox; overridden where a test needs others."""
    return Knobs(transit_ms=0, rate_limits=False)


@pytest.fixture
async def desk(knobs: Knobs) -> AsyncIterator[Desk]:
    """A running sandbox with one share at 100 rupees and an index."""
    catalogue = Catalogue([listing_of(equity(freeze_quantity=1_001)), index_listing("NIFTY")])
    world = make_world(catalogue, START, knobs=knobs, previous_close={KEY: 10_000, "INDEX:NIFTY": 2_500_000})
    sandbox = Sandbox(world)
    async with sandbox.serving() as place:
        found = Desk(sandbox, place, TimeOuts(order_s=0.5, read_s=2.0))
        found.price(100)
        async with found.client:
            yield found

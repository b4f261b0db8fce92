"""The sandbox fills a super order as the matching core of the paper broker and of outcomes does."""

from datetime import datetime

from hypothesis import assume, given
from hypothesis import strategies as st

from propdesk.core.calendar import ist_to_ns
from propdesk.execution.matching import SuperOrder, match_tick
from propdesk.model.enums import EntryType, Side
from propdesk.model.messages import TickObserved
from propdesk.model.order import LegEventKind
from sandbox.book import Role
from sandbox.catalogue import Catalogue, listing_of
from sandbox.knobs import Knobs
from sandbox.world import make_world
from tests.support.instruments import equity

KEY = "NSE_EQ:TCS"
START = ist_to_ns(datetime(2025, 7, 1, 10, 0))  # noqa: DTZ001 - read as IST
ROLES = {
    LegEventKind.ENTRY_FILLED: Role.ENTRY,
    LegEventKind.TARGET_FILLED: Role.TARGET,
    LegEventKind.STOP_FILLED: Role.STOP,
}

paths = st.lists(st.integers(-40, 40), min_size=1, max_size=40).map(
    lambda steps: [10_000 + 5 * step for step in steps]
)
distances = st.one_of(st.none(), st.integers(1, 30).map(lambda n: 5 * n))


@given(prices=paths, side=st.sampled_from(Side), stop=distances, target=distances)
def test_fills_are_those_of_the_matching_core(
    prices: list[int], side: Side, stop: int | None, target: int | None
) -> None:
    order = SuperOrder(
        order_key="x",
        leg_number=1,
        side=side,
        quantity=9,
        entry_type=EntryType.LIMIT,
        entry_low_paise=10_000,
        entry_high_paise=10_000,
        stop_paise=None if stop is None else 10_000 - side.sign * stop,
        target_paise=None if target is None else 10_000 + side.sign * target,
        first_target_paise=None,
        active_from_ns=0,
        valid_until_ns=2**62,
    )
    expected = []
    for n, price in enumerate(prices, start=1):
        order, events = match_tick(order, TickObserved(KEY, START + n, price))
        # no exchange asks whether the entry makes sense: it would fill, and then stop it out
        assume(all(event.kind is not LegEventKind.GAPPED_THROUGH for event in events))
        expected += [(ROLES[event.kind], event.quantity, event.price_paise) for event in events]

    world = make_world(Catalogue([listing_of(equity())]), START, knobs=Knobs(transit_ms=0))
    exchange, listing = world.exchange, world.catalogue.by_key(KEY)
    assert listing is not None
    entry = exchange.new_order(Role.ENTRY, listing, side=side, quantity=9, price=10_000)
    exchange.new_super(entry, target=order.target_paise or 0, stop=order.stop_paise or 0, trailing=0)
    exchange.send(entry)
    for n, price in enumerate(prices, start=1):
        exchange.tick(KEY, price, START + n)
    found = [(fill.order.role, fill.quantity, fill.price_paise) for fill in exchange.fills]
    assert found == expected

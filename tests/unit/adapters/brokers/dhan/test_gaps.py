"""Where the price stands to a guard that rests."""

from dataclasses import replace

import pytest

from adapters.brokers.dhan.facts import Guard
from adapters.brokers.dhan.gaps import is_beyond
from adapters.brokers.dhan.model import OrderStatus
from propdesk.model.enums import Side
from tests.unit.adapters.brokers.dhan.test_facts import head, parent


@pytest.mark.parametrize(
    ("side", "last", "trigger", "expected"),
    [
        (Side.BUY, 9_900, 9_900, True),
        (Side.BUY, 9_901, 9_900, False),
        (Side.BUY, 0, 9_900, False),
        (Side.SELL, 9_900, 9_900, True),
        (Side.SELL, 9_899, 9_900, False),
        (Side.SELL, 9_900, 0, False),
    ],
    ids=["long at", "long above", "no price", "short at", "short below", "a limit has no trigger"],
)
def test_whether_the_price_is_beyond_a_guard(side: Side, last: int, trigger: int, expected: bool) -> None:
    entry = parent(OrderStatus.TRADED, OrderStatus.CANCELLED, OrderStatus.CANCELLED)
    held = replace(entry, order=replace(entry.order, side=side), last_price_paise=last)
    row = replace(head(OrderStatus.PENDING), side=side.opposite, trigger_paise=trigger)
    assert is_beyond(held, Guard(row, 1, 0)) is expected

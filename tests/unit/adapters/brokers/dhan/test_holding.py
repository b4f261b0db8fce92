"""What others closed of our orders: two witnesses, shared out once, never of a fill that may be ours."""

from dataclasses import replace

import pytest

from adapters.brokers.dhan.facts import Books
from adapters.brokers.dhan.holding import closed_elsewhere, may_be_closed_elsewhere
from adapters.brokers.dhan.model import LegName, OrderRow, OrderStatus, PositionRow, SuperOrderRow, TradeRow
from propdesk.model.enums import Side
from tests.unit.adapters.brokers.dhan.test_facts import NAME, fill, head, parent

OTHER = "pABCBBBBBBBBBBBBBBBB"


def order(order_id: str, name: str, created_ns: int) -> SuperOrderRow:
    row = parent(OrderStatus.TRADED, OrderStatus.PENDING, OrderStatus.PENDING)
    own = replace(row.order, order_id=order_id, correlation_id=name, created_ns=created_ns)
    return replace(row, order=own, legs=tuple(replace(leg, order_id=order_id) for leg in row.legs))


def stranger(name: str = "manual", leg: LegName = LegName.NONE) -> OrderRow:
    row = head(OrderStatus.TRADED, 10, "77")
    return replace(row, correlation_id=name, side=Side.SELL, leg=leg)


def position(net: int) -> PositionRow:
    return PositionRow("NSE_EQ", "11536", "INTRADAY", "TCS", net, 20, 20 - net, 0, 0, 0, 0)


FIRST, SECOND = order("1", NAME, 1), order("2", OTHER, 2)
BOUGHT = (fill("1", Side.BUY, 10, 10_000, "t1", 3), fill("2", Side.BUY, 10, 10_000, "t2", 4))
SOLD = fill("77", Side.SELL, 12, 10_100, "t9", 9)


def books(net: int, *sold: TradeRow, row: OrderRow | None = None) -> Books:
    found = stranger() if row is None else row
    return Books((SECOND, FIRST), (found,), (*BOUGHT, *sold), positions=(position(net),))


def test_what_others_closed_is_shared_out_by_age_and_only_once() -> None:
    gone = closed_elsewhere(books(8, SOLD))
    assert {name: (one.quantity, one.average_paise) for name, one in gone.items()} == {
        "1": (10, 10_100),
        "2": (2, 10_100),
    }


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (books(20, SOLD), "the position is as large as ours"),
        (books(8), "nobody sold"),
        (books(8, replace(SOLD, at_ns=2)), "sold before ours was bought"),
        (books(8, replace(SOLD, at_ns=None)), "sold nobody knows when"),
        (books(8, replace(SOLD, product="CNC")), "of another product"),
        (books(8, replace(SOLD, order_id="78")), "of an order that is not listed"),
        (books(8, SOLD, row=stranger(NAME)), "of an order that bears our name"),
        (books(8, SOLD, row=stranger(f"{OTHER}g1")), "of our guard"),
        (books(8, SOLD, row=stranger(leg=LegName.STOP)), "of an exit of a super order"),
        (replace(books(8, SOLD), positions=None), "the positions were not read"),
        (replace(books(8, SOLD), positions=()), "they lack the security"),
    ],
)
def test_one_witness_proves_nothing(found: Books, why: str) -> None:
    assert closed_elsewhere(found) == {}, why


def test_positions_are_asked_for_where_others_traded_against_what_is_open() -> None:
    assert may_be_closed_elsewhere(books(0, SOLD))
    assert not may_be_closed_elsewhere(books(0))
    assert not may_be_closed_elsewhere(books(0, replace(SOLD, side=Side.BUY)))

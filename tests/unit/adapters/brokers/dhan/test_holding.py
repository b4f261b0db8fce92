"""What others closed of our orders: two witnesses, shared out once, never of a fill that may be ours."""

from dataclasses import replace

import pytest

from adapters.brokers.dhan.facts import Books
from adapters.brokers.dhan.holding import closed_elsewhere, held_of, may_be_closed_elsewhere
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
        (books(8, replace(SOLD, quantity=10), row=stranger(f"{OTHER}g1")), "of our guard"),
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


def test_each_order_that_others_closed_one_after_the_other_is_seen() -> None:
    """The second was bought after the first had been sold by hand, and is sold by hand, too."""
    early, late = replace(SOLD, quantity=10, at_ns=3), replace(SOLD, quantity=10, at_ns=9, price_paise=9_000)
    gone = closed_elsewhere(books(0, early, late))
    assert {name: (one.quantity, one.average_paise, one.at_ns) for name, one in gone.items()} == {
        "1": (10, 10_100, 3),
        "2": (10, 9_000, 9),
    }
    assert list(closed_elsewhere(books(10, early))) == ["1"], "sold before the second was bought"


def test_what_a_position_falls_short_of_is_taken_off_each_order_once() -> None:
    """First off what others closed, else off what has no exit that would sell it all the same."""
    bare = replace(FIRST, legs=()), replace(SECOND, legs=())
    told = replace(books(10, replace(SOLD, quantity=10)), supers=(FIRST, bare[1]))
    assert [held_of(row, told) for row in told.supers] == [0, 10]
    for supers, held in ((bare, [0, 10]), ((FIRST, bare[1]), [10, 0]), ((bare[0], SECOND), [0, 10])):
        untold = replace(books(10), supers=supers)
        assert [held_of(row, untold) for row in supers] == held
    assert held_of(FIRST, replace(books(0), positions=())) is None


def test_what_a_position_falls_short_of_takes_no_live_guard_away() -> None:
    bare = replace(FIRST, legs=()), replace(SECOND, legs=())
    resting = replace(stranger(f"{NAME}g1"), status=OrderStatus.PENDING, filled_quantity=0)
    guarded = replace(books(10, row=resting), supers=bare)
    assert [held_of(row, guarded) for row in bare] == [10, 0], "though the first is the older one"


def twice_closed(net: int, at_ns: int = 9) -> Books:
    """Both exits of the first order have filled, of which the position alone shows whom they sold."""
    exits = fill("11", Side.SELL, 10, 10_200, "t8", 8), fill("12", Side.SELL, 10, 9_800, "t9", at_ns)
    target, stop = (
        replace(stranger(NAME, leg), order_id=order_id, algo_id="1")
        for leg, order_id in ((LegName.TARGET, "11"), (LegName.STOP, "12"))
    )
    return Books((SECOND, FIRST), (target, stop), (*BOUGHT, *exits), positions=(position(net),))


def test_what_an_order_sold_twice_closes_its_sibling() -> None:
    """The account is flat though the second order filled and never left: the first one's stop sold it."""
    gone = closed_elsewhere(twice_closed(0))
    assert {name: (one.quantity, one.average_paise, one.at_ns) for name, one in gone.items()} == {
        "2": (10, 9_800, 9)
    }
    assert may_be_closed_elsewhere(replace(twice_closed(0), positions=None)), "only the positions tell"


def test_what_an_order_sold_twice_closes_nothing_that_is_still_held_or_came_later() -> None:
    assert closed_elsewhere(twice_closed(10)) == {}, "a person bought it back"
    assert closed_elsewhere(replace(twice_closed(0), trades=(*BOUGHT, *twice_closed(0).trades[2:3]))) == {}
    late = replace(BOUGHT[1], at_ns=10)
    assert (
        closed_elsewhere(replace(twice_closed(0), trades=(BOUGHT[0], late, *twice_closed(0).trades[2:])))
        == {}
    )

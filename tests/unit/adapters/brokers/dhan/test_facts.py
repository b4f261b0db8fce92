"""The books in any state and spelling of leg ids give the same facts; statuses alone close nothing."""

import itertools
from dataclasses import replace

import pytest

from adapters.brokers.dhan.facts import Books, facts_of, surplus
from adapters.brokers.dhan.model import LegName, OrderRow, OrderStatus, SuperLeg, SuperOrderRow, TradeRow
from adapters.brokers.dhan.protection import protected_price
from propdesk.core.ids import correlation_id, is_ours
from propdesk.model.enums import Category, Side
from propdesk.model.instrument import Instrument
from propdesk.model.messages import BrokerUpdateKind
from tests.support.instruments import equity

NAME = "pABCAAAAAAAAAAAAAAAA"


def head(status: OrderStatus, filled: int = 0, order_id: str = "1") -> OrderRow:
    return OrderRow(
        order_id=order_id,
        correlation_id=NAME,
        algo_id="",
        status=status,
        status_text=status.value,
        side=Side.BUY,
        exchange_segment="NSE_EQ",
        security_id="11536",
        product="INTRADAY",
        order_type="LIMIT",
        leg=LegName.ENTRY,
        quantity=10,
        filled_quantity=filled,
        remaining_quantity=10 - filled,
        price_paise=10_000,
        trigger_paise=0,
        average_paise=10_000 if filled else 0,
        reason="",
        created_ns=1,
        updated_ns=2,
    )


def leg(name: LegName, status: OrderStatus, order_id: str = "1") -> SuperLeg:
    price = 9_900 if name is LegName.STOP else 10_100
    return SuperLeg(order_id, name, status, price, 10, 10, 0, 0)


def fill(order_id: str, side: Side, quantity: int, price: int, name: str, at_ns: int = 5) -> TradeRow:
    return TradeRow(name, order_id, side, "NSE_EQ", "11536", "INTRADAY", quantity, price, at_ns)


def parent(
    status: OrderStatus, stop: OrderStatus, target: OrderStatus, *, filled: int = 10, own_ids: bool = False
) -> SuperOrderRow:
    ids = ("2", "3") if own_ids else ("1", "1")
    legs = (leg(LegName.STOP, stop, ids[0]), leg(LegName.TARGET, target, ids[1]))
    return SuperOrderRow(head(status, filled), legs, 10_050)


def kinds(row: SuperOrderRow, *trades: TradeRow, orders: tuple[OrderRow, ...] = ()) -> list[BrokerUpdateKind]:
    return [fact.kind for fact in facts_of(row, Books((row,), orders, trades), {}, 0)]


ENTERED = [BrokerUpdateKind.ACKNOWLEDGED, BrokerUpdateKind.ENTRY_FILLED]
SEEN = [BrokerUpdateKind.ACKNOWLEDGED, BrokerUpdateKind.FILL_UNPRICED]
BOUGHT = fill("1", Side.BUY, 10, 10_000, "t1")


@pytest.mark.parametrize("status", list(OrderStatus))
def test_no_status_alone_tells_an_exit(status: OrderStatus) -> None:
    row = parent(status, OrderStatus.TRIGGERED, OrderStatus.CANCELLED)
    assert not {
        BrokerUpdateKind.TARGET_FILLED,
        BrokerUpdateKind.STOP_FILLED,
        BrokerUpdateKind.EXIT_FILLED,
    } & set(kinds(row, BOUGHT))


@pytest.mark.parametrize(
    ("stop", "target", "price", "kind"),
    [
        (OrderStatus.TRIGGERED, OrderStatus.CANCELLED, 9_900, BrokerUpdateKind.STOP_FILLED),
        (OrderStatus.CANCELLED, OrderStatus.TRIGGERED, 10_100, BrokerUpdateKind.TARGET_FILLED),
        (OrderStatus.PENDING, OrderStatus.PENDING, 10_099, BrokerUpdateKind.TARGET_FILLED),
    ],
)
def test_an_exit_is_told_alike_under_the_parents_id_and_under_its_own(
    stop: OrderStatus, target: OrderStatus, price: int, kind: BrokerUpdateKind
) -> None:
    shared = parent(OrderStatus.CLOSED, stop, target)
    assert kinds(shared, BOUGHT, fill("1", Side.SELL, 10, price, "t2")) == [*ENTERED, kind]
    own = parent(OrderStatus.CLOSED, stop, target, own_ids=True)
    order_id = "2" if kind is BrokerUpdateKind.STOP_FILLED else "3"
    assert kinds(own, BOUGHT, fill(order_id, Side.SELL, 10, price, "t2")) == [*ENTERED, kind]


def test_an_exit_known_only_from_the_order_book_is_matched_by_correlation_id() -> None:
    row = parent(OrderStatus.CLOSED, OrderStatus.CANCELLED, OrderStatus.TRIGGERED)
    exit_row = replace(head(OrderStatus.TRADED, order_id="9"), leg=LegName.TARGET, side=Side.SELL)
    sold = fill("9", Side.SELL, 10, 10_100, "t2")
    assert kinds(row, BOUGHT, sold, orders=(exit_row,)) == [*ENTERED, BrokerUpdateKind.TARGET_FILLED]
    stranger = replace(exit_row, correlation_id="someone-else")
    assert kinds(row, BOUGHT, sold, orders=(stranger,)) == ENTERED


def test_facts_are_the_same_whatever_the_order_and_repeats_of_the_evidence() -> None:
    row = parent(OrderStatus.CLOSED, OrderStatus.CANCELLED, OrderStatus.TRIGGERED)
    trades = (
        fill("1", Side.BUY, 4, 10_000, "t1", 3),
        fill("1", Side.BUY, 6, 10_001, "t2", 4),
        fill("1", Side.SELL, 10, 10_100, "t3", 6),
    )
    answers = {
        tuple(facts_of(row, Books((row,), (), order), {}, 0)) for order in itertools.permutations(trades)
    }
    assert len(answers) == 1
    (facts,) = answers
    assert [(f.quantity, f.price_paise) for f in facts[1:]] == [(10, 10_001), (10, 10_100)]


def test_a_fill_has_a_price_from_the_trade_book_or_none() -> None:
    row = parent(OrderStatus.TRADED, OrderStatus.PENDING, OrderStatus.PENDING)
    late = (fill("1", Side.BUY, 3, 10_000, "t1"), fill("1", Side.BUY, 4, 10_001, "t2"))
    for average in (0, 10_003):  # missing, or rounded to the paisa
        shown = replace(row, order=replace(row.order, average_paise=average))
        facts = facts_of(shown, Books((shown,), (), late), {}, 0)[1:]
        assert [(f.kind, f.quantity, f.price_paise, f.fill_notional_paise) for f in facts[:1]] == [
            (BrokerUpdateKind.ENTRY_FILLED, 7, 10_001, 70_004)
        ]
        assert [(f.kind, f.quantity, f.price_paise) for f in facts[1:]] == [
            (BrokerUpdateKind.FILL_UNPRICED, 10, 0)
        ]


def test_an_order_that_was_being_closed_tells_an_exit_with_its_reason() -> None:
    row = parent(OrderStatus.CLOSED, OrderStatus.CANCELLED, OrderStatus.TRIGGERED)
    books = Books((row,), (), (BOUGHT, fill("1", Side.SELL, 10, 9_990, "t2")))
    last = facts_of(row, books, {NAME: "SQUARE_OFF"}, 0)[-1]
    assert (last.kind, last.reason) == (BrokerUpdateKind.EXIT_FILLED, "SQUARE_OFF")


@pytest.mark.parametrize(
    ("status", "filled", "expected"),
    [
        (OrderStatus.TRANSIT, 0, ENTERED[:1]),
        (OrderStatus.UNKNOWN, 0, ENTERED[:1]),
        (OrderStatus.REJECTED, 0, [BrokerUpdateKind.REJECTED]),
        (OrderStatus.CANCELLED, 0, [ENTERED[0], BrokerUpdateKind.CANCELLED]),
        (OrderStatus.EXPIRED, 4, [*SEEN, BrokerUpdateKind.CANCELLED]),
        (OrderStatus.PART_TRADED, 4, SEEN),
    ],
)
def test_the_entrys_own_life(status: OrderStatus, filled: int, expected: list[BrokerUpdateKind]) -> None:
    row = parent(status, OrderStatus.PENDING, OrderStatus.PENDING, filled=filled)
    assert kinds(row) == expected


def test_a_repeated_correlation_id_is_seen_and_strangers_are_not_ours() -> None:
    from datetime import date

    assert is_ours(correlation_id(date(2025, 1, 15), "g", 1, 0, 0))
    assert not is_ours("manual-order")
    assert not is_ours("")
    first, second = (
        parent(OrderStatus.PENDING, OrderStatus.PENDING, OrderStatus.PENDING),
        parent(OrderStatus.PENDING, OrderStatus.PENDING, OrderStatus.PENDING),
    )
    late = replace(second, order=replace(second.order, order_id="2", created_ns=9))
    assert surplus([late, first]) == {NAME: (late,)}
    assert surplus([first]) == {}


@pytest.mark.parametrize(
    ("last", "side", "category", "price"),
    [
        (9_000, Side.BUY, Category.NSE_EQ, 9_180),
        (20_000, Side.SELL, Category.NSE_EQ, 19_800),
        (100_000, Side.BUY, Category.NSE_EQ, 100_500),
        (900, Side.SELL, Category.INDEX_OPT, 855),
        (5, Side.SELL, Category.INDEX_OPT, 5),
    ],
)
def test_a_protected_price_is_marketable_bounded_and_on_tick(
    last: int, side: Side, category: Category, price: int
) -> None:
    instrument: Instrument = equity(category=category)
    assert protected_price(last, side, instrument) == price


def exit_row(order_id: str, name: LegName) -> OrderRow:
    return replace(head(OrderStatus.TRADED, order_id=order_id), leg=name, side=Side.SELL)


def twice() -> tuple[SuperOrderRow, SuperOrderRow]:
    """Two filled orders of one correlation id; the target of the second has triggered."""
    first = parent(OrderStatus.TRADED, OrderStatus.PENDING, OrderStatus.PENDING)
    second = parent(OrderStatus.CLOSED, OrderStatus.CANCELLED, OrderStatus.TRIGGERED)
    return first, replace(second, order=replace(second.order, order_id="5", created_ns=9))


@pytest.mark.parametrize("exits", [("3", "7"), ("7",)], ids=["paired by age", "by what triggered"])
def test_exits_of_two_orders_under_one_name_are_told_apart(exits: tuple[str, ...]) -> None:
    first, second = twice()
    orders = tuple(exit_row(order_id, LegName.TARGET) for order_id in exits)
    trades = (
        BOUGHT,
        fill("5", Side.BUY, 10, 10_000, "t2"),
        fill("7", Side.SELL, 10, 10_100, "t3"),
    )
    books = Books((second, first), orders, trades)
    told = [[fact.kind for fact in facts_of(row, books, {}, 0)] for row in (first, second)]
    assert told == [ENTERED, [*ENTERED, BrokerUpdateKind.TARGET_FILLED]]


def test_an_exit_is_nobodys_while_one_of_two_orders_is_left_out() -> None:
    first, _ = twice()
    orders = (head(OrderStatus.TRADED), head(OrderStatus.TRADED, order_id="5"), exit_row("7", LegName.TARGET))
    trades = (BOUGHT, fill("7", Side.SELL, 10, 10_100, "t3"))
    assert [fact.kind for fact in facts_of(first, Books((first,), orders, trades), {}, 0)] == ENTERED

"""Positions of earlier days at Dhan, whose lists know nothing of the orders that opened them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.brokers.dhan.broker import DhanBroker
from adapters.brokers.dhan.carried import CarriedOrder
from adapters.brokers.dhan.guard import LATE_NS
from adapters.brokers.dhan.model import HoldingRow, Listing, OrderStatus, TradeRow, UnreadableRow
from adapters.brokers.dhan.orders import OrderRequest
from propdesk.core.calendar import ist_date
from propdesk.core.clock import NS_PER_DAY, NS_PER_SECOND
from propdesk.core.errors import Rejected, Retryable, SchemaFault
from propdesk.engine.turn import GUARD_LEAD_NS
from propdesk.model.enums import Product, Side
from propdesk.model.messages import CLOSED_ELSEWHERE, BrokerUpdate, BrokerUpdateKind, IntentKind
from sandbox.book import Position
from tests.contract.conftest import KEY, START, Desk
from tests.contract.test_broker_matrix import NAME, dhan_broker, intent
from tests.contract.test_protection import EXIT, FIT, GUARD, OUT, _always, guards, lasting, net
from tests.support.instruments import equity

NAKED, STOP_FILLED = BrokerUpdateKind.NAKED, BrokerUpdateKind.STOP_FILLED
CARRIED = CarriedOrder(
    NAME, "111000000007", Side.BUY, equity(freeze_quantity=1_001), Product.MARGIN, 14, 4, 40_600
)
"""Fourteen bought days ago, of which four were sold at 101.50."""


def carrying(desk: Desk, units: int = 10, product: Product = Product.MARGIN, **sheet: Any) -> DhanBroker:
    """The adapter on a morning on which the account holds ``units``."""
    if units:
        listing = desk.world.catalogue.by_key(KEY)
        held = Position(listing, product.value, bought=units, buy_notional=units * 10_000)
        desk.world.exchange.positions[listing.segment, listing.security_id, product.value] = held
    order = replace(CARRIED, product=product)
    return dhan_broker(desk, carried=lambda: (order,), product=lambda _: product, **sheet)


def words(facts: list[BrokerUpdate]) -> list[tuple[BrokerUpdateKind, int]]:
    return [(fact.kind, fact.quantity) for fact in facts]


async def test_a_carried_position_is_naked_until_a_stop_rests_for_it(desk: Desk) -> None:
    broker = carrying(desk)
    told = await lasting(desk, broker)
    assert (words(told), told[-1].guard) == ([(NAKED, 10)], 1)
    assert (await broker.protect(GUARD)).guard == 1
    assert words(await lasting(desk, broker))[-1] == (BrokerUpdateKind.COVERED, 0)
    desk.price(99)
    desk.price(98.9)
    assert (net(desk), guards(desk)) == (0, [f"{NAME}g1"])
    (fact,) = [fact for fact in await broker.snapshot() if fact.kind is STOP_FILLED]
    assert (fact.quantity, fact.fill_notional_paise) == (14, 40_600 + 10 * 9_900)


async def test_a_gap_beyond_the_stop_is_left_at_once(desk: Desk) -> None:
    broker = carrying(desk)
    await lasting(desk, broker)
    desk.price(97)
    with pytest.raises(Rejected, match="beyond its stop"):
        await broker.protect(GUARD)
    await broker.exit(OUT)
    desk.price(97)
    assert net(desk) == 0
    last = [fact for fact in await broker.snapshot() if fact.kind is BrokerUpdateKind.EXIT_FILLED][-1]
    assert (last.quantity, last.reason) == (14, "SQUARE_OFF")


async def test_a_stop_is_put_before_the_first_price_of_the_day(desk: Desk) -> None:
    broker = carrying(desk, last_price=lambda _: None)
    assert (await broker.protect(GUARD)).guard == 1


async def test_the_stop_of_a_carried_position_is_moved_and_no_leg_of_yesterday(desk: Desk) -> None:
    broker = carrying(desk)
    move = intent(IntentKind.MODIFY_STOP, stop_paise=9_950)
    with pytest.raises(Retryable, match="No stop rests"):
        await broker.modify(move)
    await broker.protect(GUARD)
    await broker.modify(move)
    desk.price(99.45)
    assert net(desk) == 0


async def test_a_carried_position_that_the_account_lacks_is_told_and_nothing_is_sold(desk: Desk) -> None:
    broker = carrying(desk, units=0)
    assert words(await lasting(desk, broker)) == [(NAKED, 10)]
    for call in (broker.protect(GUARD), broker.exit(OUT)):
        with pytest.raises(Rejected, match="no position"):
            await call
    with pytest.raises(Retryable, match="may still appear"):
        await broker.exit(EXIT)
    assert (net(desk), guards(desk)) == (0, [])


async def test_what_a_person_sells_of_a_carried_position_is_over(desk: Desk) -> None:
    broker = carrying(desk)
    segment, security, product = next(iter(desk.world.exchange.positions))
    await desk.client.orders.place(
        OrderRequest("manual", Side.SELL, segment, security, Product(product), 10, 9_900)
    )
    told = await lasting(desk, broker)
    assert [(fact.kind, fact.quantity, fact.reason) for fact in told] == [
        (BrokerUpdateKind.EXIT_FILLED, 14, CLOSED_ELSEWHERE)
    ]


@pytest.mark.parametrize("ordered", [14, 20])
async def test_of_an_entry_that_filled_in_part_the_rest_is_over_the_next_day(
    desk: Desk, ordered: int
) -> None:
    """The process died before its rest lapsed at the close, which no list of today tells."""
    told = words(await lasting(desk, carrying(desk, ordered=lambda _: ordered)))
    assert told == ([(BrokerUpdateKind.CANCELLED, 14)] if ordered == 20 else []) + [(NAKED, 10)]


def bought_days_ago(desk: Desk, monkeypatch: pytest.MonkeyPatch, *units: int) -> list[tuple[str, str]]:
    """Let the trade history show fills of the carried entry at 100.00; gives the spans it is asked for."""
    order, asked = CARRIED, list[tuple[str, str]]()
    listed = order.instrument.exchange_segment, order.instrument.security_id, order.product.value
    rows = tuple(
        TradeRow(f"t{index}", order.order_id, order.side, *listed, each, 10_000, START - NS_PER_DAY)
        for index, each in enumerate(units)
    )

    async def history(first: str, last: str) -> tuple[TradeRow, ...]:
        asked.append((first, last))
        return rows

    monkeypatch.setattr(desk.client.orders, "trade_history", history)
    return asked


@pytest.mark.parametrize("units", [0, 9, 11, 16])
async def test_a_rest_is_not_held_for_lapsed_where_the_account_holds_something_else(
    desk: Desk, units: int
) -> None:
    """The process heard of 14 of 20 and died; what it did not hear of may have filled before the close."""
    told = await lasting(desk, carrying(desk, units=units, ordered=lambda _: 20))
    assert words(told) == [(NAKED, 10)]
    more = f"no live stop, and {units - 10} units more are held than the books know"
    assert told[0].reason == (more if units > 10 else "")


async def test_a_rest_that_filled_unheard_is_told_from_the_trade_history_and_guarded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = bought_days_ago(desk, monkeypatch, 14, 6)
    broker = carrying(desk, units=16, ordered=lambda _: 20)
    told = await lasting(desk, broker)
    assert words(told) == [(BrokerUpdateKind.ENTRY_FILLED, 20), (NAKED, 16)]
    assert told[0].fill_notional_paise == 20 * 10_000
    await broker.protect(GUARD)
    (order,) = desk.world.exchange.orders.values()
    assert order.quantity == 16
    today = ist_date(START)
    assert asked == [((today - timedelta(14)).isoformat(), (today - timedelta(1)).isoformat())]


@pytest.mark.parametrize(
    ("filled", "units", "is_over"),
    [((14,), 10, True), ((14,), 7, True), ((14,), 16, False), ((9,), 10, True), ((9,), 7, False)],
)
async def test_a_rest_is_over_by_the_history_but_never_against_the_account(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, filled: tuple[int, ...], units: int, is_over: bool
) -> None:
    """A history that lacks fills which were told proves nothing: it may lack others."""
    bought_days_ago(desk, monkeypatch, *filled)
    told = words(await lasting(desk, carrying(desk, units=units, ordered=lambda _: 20)))
    assert ((BrokerUpdateKind.CANCELLED, 14) in told) is is_over


async def test_a_trade_history_that_cannot_be_read_is_asked_for_again_by_the_minute(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    async def history(first: str, last: str) -> tuple[TradeRow, ...]:
        asked.append(first)
        raise SchemaFault(f"odd since {first}, until {last}")

    monkeypatch.setattr(desk.client.orders, "trade_history", history)
    broker = carrying(desk, units=16, ordered=lambda _: 20)
    assert words(await lasting(desk, broker, 59)) == [(NAKED, 10)]
    assert len(asked) == 1
    bought_days_ago(desk, monkeypatch, 20)
    assert words(await lasting(desk, broker, 60))[-1] == (NAKED, 16)


async def test_the_account_is_looked_at_for_a_rest_where_nothing_is_open_any_more(desk: Desk) -> None:
    broker = carrying(desk, ordered=lambda _: 20)
    await broker.protect(GUARD)
    desk.price(99)
    desk.price(98.9)
    assert net(desk) == 0
    assert words(await broker.snapshot()) == [(STOP_FILLED, 14), (BrokerUpdateKind.CANCELLED, 14)]


@pytest.mark.parametrize(("shares", "guarded"), [(25, 10), (7, 7), (0, 0)])
async def test_delivered_shares_are_guarded_as_far_as_they_are_there(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, shares: int, guarded: int
) -> None:
    """On the second day shares are holdings, among which may be a person's own."""
    broker = carrying(desk, units=0, product=Product.CNC)
    odd = UnreadableRow("holdings", "", "", "999", "Dhan sent 1.5 as a quantity.")

    async def holdings() -> Listing[HoldingRow]:
        row = HoldingRow(CARRIED.instrument.security_id, "TCS", "", shares, shares, 10_000)
        return Listing((row,) if shares else (), (odd,))

    monkeypatch.setattr(desk.client.portfolio, "holdings", holdings)
    if guarded:
        await broker.protect(GUARD)
    else:
        with pytest.raises(Rejected, match="no position"):
            await broker.protect(GUARD)
    rows = (await desk.client.orders.read()).whole()
    assert [(row.product, row.quantity) for row in rows] == ([("CNC", guarded)] if guarded else [])


@pytest.mark.parametrize("is_early", [False, True])
async def test_what_guards_before_the_open_rests_for_it(desk: Desk, is_early: bool) -> None:
    broker = carrying(desk, open_ns=START + (3_600 * NS_PER_SECOND if is_early else 0))
    await lasting(desk, broker)
    await broker.protect(GUARD)
    (order,) = desk.world.exchange.orders.values()
    assert (order.is_after_market, order.trigger_paise) == (is_early, 9_900)
    assert (await lasting(desk, broker))[-1].kind is BrokerUpdateKind.COVERED
    await broker.modify(intent(IntentKind.MODIFY_STOP, stop_paise=9_950))
    desk.world.advance_by(3_600)
    desk.price(99.45)
    assert (net(desk), guards(desk)) == (0, [f"{NAME}g1"])


def test_by_the_open_it_is_known_whether_a_stop_of_the_morning_is_there() -> None:
    assert LATE_NS < GUARD_LEAD_NS, "none is placed beside one that may still appear"


async def test_a_stop_for_the_open_whose_state_nobody_knows_stays_a_stop(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states of an after-market order are not documented; as a limit it would sell at the open."""
    broker = carrying(desk, open_ns=START + 3_600 * NS_PER_SECOND)
    await lasting(desk, broker)
    await broker.protect(GUARD)
    listed = await desk.client.orders.read()
    rows = tuple(replace(row, status=OrderStatus.UNKNOWN) for row in listed.rows)
    monkeypatch.setattr(desk.client.orders, "read", _always(replace(listed, rows=rows)))
    assert (await lasting(desk, broker, 10))[-1].kind is NAKED
    await broker.protect(FIT)
    desk.price(100)
    assert net(desk) == 10
    desk.price(98.9)
    assert net(desk) == 0


async def test_an_open_far_beyond_a_stop_that_rests_is_left_at_its_price(desk: Desk) -> None:
    """The limit of the stop is two per cent below its trigger, and the market lower: nobody takes it."""
    broker = carrying(desk, open_ns=START + 3_600 * NS_PER_SECOND)
    await lasting(desk, broker)
    await broker.protect(GUARD)
    desk.world.advance_by(3_600)
    desk.price(93)
    assert net(desk) == 10
    assert (await lasting(desk, broker, 10))[-1].kind is NAKED
    with pytest.raises(Rejected, match="beyond its stop"):
        await broker.protect(FIT)
    await broker.exit(EXIT)
    desk.price(93)
    assert (net(desk), guards(desk)) == (0, [f"{NAME}g1"])


async def test_a_guard_that_the_price_has_passed_is_fitted_to_what_is_held(desk: Desk) -> None:
    """Refused, it would sell at the open what is not held any more."""
    broker = carrying(desk, open_ns=START + 3_600 * NS_PER_SECOND)
    await lasting(desk, broker)
    await broker.protect(GUARD)
    (order,) = desk.world.exchange.orders.values()
    desk.world.exchange.last[KEY] = (9_850, *desk.world.exchange.last[KEY][1:])  # seen, not traded against
    listing = desk.world.catalogue.by_key(KEY)
    key = listing.segment, listing.security_id, Product.MARGIN.value
    desk.world.exchange.positions[key] = Position(
        listing, Product.MARGIN.value, bought=4, buy_notional=40_000
    )
    await broker.protect(FIT)
    assert (order.quantity, order.trigger_paise) == (4, 9_900)
    with pytest.raises(Rejected, match="beyond its stop"):
        await broker.protect(FIT)


async def test_what_is_naked_before_the_open_is_told_anew_at_the_open(desk: Desk) -> None:
    broker = carrying(desk, open_ns=START + 40 * NS_PER_SECOND)
    assert len(await lasting(desk, broker)) == 1
    assert len(await lasting(desk, broker, 37)) == 1
    assert len(await lasting(desk, broker, 1)) == 2

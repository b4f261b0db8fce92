"""What a person or the broker closes of ours is over in our books, and nothing of ours sells it again."""

from dataclasses import replace

import pytest

from adapters.brokers.dhan.broker import DhanBroker
from adapters.brokers.dhan.model import LegName
from adapters.brokers.dhan.orders import OrderRequest
from propdesk.core import ids
from propdesk.core.calendar import ist_date
from propdesk.core.errors import Rejected, Retryable, SchemaFault
from propdesk.model.enums import Product, Side
from propdesk.model.messages import CLOSED_ELSEWHERE, BrokerUpdate, BrokerUpdateKind, IntentKind
from sandbox.faults import Fault, FaultKind
from tests.contract.conftest import START, Desk
from tests.contract.test_broker_matrix import NAME, PLACE, dhan_broker, intent
from tests.contract.test_protection import EXIT, FIT, GUARD, OUT, kinds, lasting, naked, net

EXIT_FILLED, EXCESS, NAKED = BrokerUpdateKind.EXIT_FILLED, BrokerUpdateKind.EXCESS, BrokerUpdateKind.NAKED
STOP_FILLED = BrokerUpdateKind.STOP_FILLED


@pytest.fixture
def broker(desk: Desk) -> DhanBroker:
    return dhan_broker(desk)


async def by_hand(desk: Desk, side: Side, quantity: int) -> None:
    """A person trades TCS in the broker's own app, at the market of 100 or 98."""
    segment, security, _ = next(iter(desk.world.exchange.positions))
    limit = 9_700 if side is Side.SELL else 10_300
    await desk.client.orders.place(
        OrderRequest("manual", side, segment, security, Product.INTRADAY, quantity, limit)
    )


def exits_of(facts: list[BrokerUpdate]) -> list[tuple[int, str]]:
    return [(fact.quantity, fact.reason) for fact in facts if fact.kind is EXIT_FILLED]


@pytest.mark.parametrize("way", ["by hand", "squared off"])
@pytest.mark.parametrize("price", [100, 98], ids=["above the stop", "beyond the stop"])
async def test_a_naked_position_that_others_closed_is_over(
    desk: Desk, broker: DhanBroker, way: str, price: int
) -> None:
    await naked(desk, broker)
    if way == "by hand":
        await by_hand(desk, Side.SELL, 10)
    else:
        desk.world.exchange.square_off()
    desk.price(price)
    assert exits_of(list(await broker.snapshot())) == [], "one reading may be wrong"
    told = await lasting(desk, broker)
    assert exits_of(told) == [(10, CLOSED_ELSEWHERE)]
    assert {fact.fill_notional_paise for fact in told if fact.kind is EXIT_FILLED} == {100_000}
    for call in (broker.protect(FIT), broker.exit(OUT)):
        await call
    told = await lasting(desk, broker, 60)
    assert NAKED not in kinds(told)
    assert kinds(told)[-1] is not EXCESS, "its target is gone, too"
    for later in (97, 100, 101, 103):
        desk.price(later)
    assert net(desk) == 0


@pytest.mark.parametrize("units", [10, 6])
async def test_positions_that_cannot_be_read_bring_nothing_back_that_others_closed(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    """Told as naked it would block entries, and what is left would be closed for want of a stop."""
    await broker.place(PLACE)
    await by_hand(desk, Side.SELL, units)
    await lasting(desk, broker)
    await broker.protect(FIT)
    await lasting(desk, broker)
    if units < 10:
        await broker.protect(GUARD)
        assert (await lasting(desk, broker))[-1].kind is BrokerUpdateKind.COVERED
    before = {fact.update_id for fact in await broker.snapshot()}

    async def positions() -> None:
        raise SchemaFault("odd")

    monkeypatch.setattr(desk.client.portfolio, "positions", positions)
    told = [fact.kind for fact in await lasting(desk, broker, 70) if fact.update_id not in before]
    assert told == []


async def test_the_exits_of_what_was_closed_by_hand_are_taken_away(desk: Desk, broker: DhanBroker) -> None:
    await broker.place(PLACE)
    await by_hand(desk, Side.SELL, 10)
    await broker.snapshot()
    with pytest.raises(Retryable, match="Others closed"):
        await broker.exit(EXIT)  # its target would open the other side
    told = await lasting(desk, broker)
    assert exits_of(told) == [(10, CLOSED_ELSEWHERE)]
    assert (told[-1].kind, told[-1].quantity) == (EXCESS, 10)
    await broker.protect(FIT)
    assert EXCESS not in kinds(await lasting(desk, broker, 60))[-1:]
    for price in (101, 99, 98):
        desk.price(price)
    assert net(desk) == 0


@pytest.mark.parametrize("way", ["guarded", "left"])
async def test_what_is_left_after_a_sale_by_hand_is_guarded_or_left_for_its_size(
    desk: Desk, broker: DhanBroker, way: str
) -> None:
    await broker.place(PLACE)
    await by_hand(desk, Side.SELL, 6)
    told = await lasting(desk, broker)
    assert exits_of(told) == [(6, CLOSED_ELSEWHERE)]
    assert (told[-1].kind, told[-1].quantity) == (EXCESS, 6)
    await broker.protect(FIT)
    told = await lasting(desk, broker)
    assert (told[-1].kind, told[-1].quantity, told[-1].guard) == (NAKED, 4, 1)
    call = broker.protect(GUARD) if way == "guarded" else broker.exit(replace(OUT, quantity=4))
    assert (await call).guard == 1
    for price in (100, 99, 98, 97):
        desk.price(price)
    assert net(desk) == 0
    told = [fact for fact in await lasting(desk, broker) if fact.kind in (EXIT_FILLED, STOP_FILLED)]
    by_others, ours = told
    assert (by_others.quantity, by_others.reason, by_others.ts_ns) == (6, CLOSED_ELSEWHERE, START)
    kind, reason = (STOP_FILLED, "") if way == "guarded" else (EXIT_FILLED, "SQUARE_OFF")
    assert (ours.kind, ours.quantity, ours.reason) == (kind, 10, reason)
    assert ours.ts_ns > START


async def test_what_others_close_after_an_exit_of_ours_is_the_last_word(
    desk: Desk, broker: DhanBroker
) -> None:
    await naked(desk, broker)
    await lasting(desk, broker)
    await broker.protect(GUARD)
    (guard,) = [row for row in (await desk.client.orders.read()).rows if row.correlation_id == f"{NAME}g1"]
    await desk.client.orders.modify(guard.order_id, order_type="LIMIT", quantity=4, price_paise=9_900)
    desk.price(100)
    assert net(desk) == 6
    desk.world.advance_by(5)
    await by_hand(desk, Side.SELL, 6)
    assert net(desk) == 0
    last = [fact for fact in await lasting(desk, broker) if fact.kind in (EXIT_FILLED, STOP_FILLED)][-1]
    assert (last.kind, last.quantity, last.reason) == (EXIT_FILLED, 10, CLOSED_ELSEWHERE)


@pytest.mark.parametrize(("first", "then"), [(Side.SELL, None), (Side.BUY, Side.SELL), (Side.SELL, Side.BUY)])
async def test_what_a_person_trades_beside_us_closes_nothing_of_ours(
    desk: Desk, broker: DhanBroker, first: Side, then: Side | None
) -> None:
    """A short position opened before ours, or a round trip while ours is open."""
    if then is None:
        await broker.place(replace(PLACE, correlation_id="pABCBBBBBBBBBBBBBBBB"))
        await broker.exit(replace(EXIT, correlation_id="pABCBBBBBBBBBBBBBBBB"))
        await by_hand(desk, first, 10)
        desk.world.advance_by(60)
    desk.price(100)
    await broker.place(PLACE)
    if then is not None:
        await by_hand(desk, first, 10)
        await by_hand(desk, then, 10)
    told = [fact for fact in await lasting(desk, broker) if fact.correlation_id == PLACE.correlation_id]
    assert kinds(told) == [BrokerUpdateKind.ENTRY_FILLED]


async def test_positions_alone_close_nothing(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be older than the trades: flat from the trade before, while ours has filled again."""
    await broker.place(replace(PLACE, correlation_id="pABCBBBBBBBBBBBBBBBB"))
    await broker.exit(replace(EXIT, correlation_id="pABCBBBBBBBBBBBBBBBB"))
    desk.price(100)
    assert net(desk) == 0
    flat = await desk.client.portfolio.positions()
    ack = await broker.place(PLACE)
    await desk.client.super_orders.cancel(ack.broker_order_id, LegName.STOP)

    async def positions() -> object:
        return flat

    with monkeypatch.context() as patch:
        patch.setattr(desk.client.portfolio, "positions", positions)
        told = await lasting(desk, broker)
        with pytest.raises(Rejected, match="no position"):
            await broker.protect(GUARD)
    assert (told[-1].kind, told[-1].quantity) == (NAKED, 10)
    assert len(exits_of(told)) == 1, "of the other order"


async def test_a_sale_by_hand_ends_what_repeats_an_order_before_ours(desk: Desk, broker: DhanBroker) -> None:
    await broker.place(PLACE)
    await broker.place(PLACE)
    await by_hand(desk, Side.SELL, 10)
    told = await lasting(desk, broker)
    assert exits_of(told) == []
    await broker.neutralise(intent(IntentKind.NEUTRALISE))
    desk.price(100)
    assert net(desk) == 10
    desk.price(99)
    assert net(desk) == 0


OTHER = "pABCBBBBBBBBBBBBBBBB"


async def test_the_second_order_of_a_security_that_a_person_closes_is_seen(
    desk: Desk, broker: DhanBroker
) -> None:
    await broker.place(PLACE)
    await by_hand(desk, Side.SELL, 10)
    assert exits_of(await lasting(desk, broker)) == [(10, CLOSED_ELSEWHERE)]
    await broker.protect(FIT)
    desk.world.advance_by(600)
    desk.price(100)
    await broker.place(replace(PLACE, correlation_id=OTHER))
    desk.world.advance_by(60)
    await by_hand(desk, Side.SELL, 10)
    told = [fact for fact in await lasting(desk, broker) if fact.correlation_id == OTHER]
    assert (exits_of(told), told[-1].kind) == ([(10, CLOSED_ELSEWHERE)], EXCESS)
    with pytest.raises(Retryable, match="Others closed"):
        await broker.exit(replace(EXIT, correlation_id=OTHER))
    await broker.protect(replace(FIT, correlation_id=OTHER))
    for price in (101, 99, 98):
        desk.price(price)
    assert net(desk) == 0


async def test_a_guard_stays_where_a_person_closed_another_order(desk: Desk, broker: DhanBroker) -> None:
    await broker.place(PLACE)
    desk.world.faults.arm(Fault(FaultKind.STOP_MISSING))
    await broker.place(replace(PLACE, correlation_id=OTHER))
    await lasting(desk, broker)
    await broker.protect(replace(GUARD, correlation_id=OTHER))
    await by_hand(desk, Side.SELL, 10)
    told = await lasting(desk, broker)
    await broker.protect(FIT)
    assert [fact.correlation_id for fact in told if fact.kind is EXCESS] == [PLACE.correlation_id]
    await broker.protect(replace(FIT, correlation_id=OTHER))
    desk.price(100)
    assert net(desk) == 10
    desk.price(98)
    assert net(desk) == 0, "by its guard"


async def test_what_a_person_left_of_a_repeat_is_never_held_for_ended(desk: Desk, broker: DhanBroker) -> None:
    """Its exits would sell more than is left of it, and a repeat has no guard."""
    await broker.place(PLACE)
    await broker.place(PLACE)
    await by_hand(desk, Side.SELL, 4)
    end, told = intent(IntentKind.NEUTRALISE), set()
    for _ in range(2):
        with pytest.raises(Retryable, match="stays open"):
            await broker.neutralise(end)
        facts = await lasting(desk, broker, 60)
        told |= {fact.update_id for fact in facts if fact.kind is BrokerUpdateKind.SURPLUS}
    assert len(told) == 2, "told anew"
    desk.price(100)
    assert net(desk) == 16
    await by_hand(desk, Side.SELL, 6)
    await broker.neutralise(end)
    desk.price(98)
    assert net(desk) == 0, "ours goes on under its own stop"


@pytest.mark.parametrize("is_repeat", [False, True], ids=["exit", "neutralise"])
async def test_no_exit_is_moved_while_nobody_knows_what_others_closed(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, is_repeat: bool
) -> None:
    for _ in range(1 + is_repeat):
        await broker.place(PLACE)
    await by_hand(desk, Side.SELL, 10)

    async def positions() -> object:
        raise SchemaFault("A row of the positions cannot be read.")

    call = broker.neutralise(intent(IntentKind.NEUTRALISE)) if is_repeat else broker.exit(EXIT)
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.portfolio, "positions", positions)
        with pytest.raises(Retryable, match="cannot be read"):
            await call
    desk.price(100)
    assert net(desk) == 10 * is_repeat


async def test_an_order_that_its_sibling_sold_is_over_within_five_seconds(
    desk: Desk, broker: DhanBroker
) -> None:
    """Both exits of the one fill: the other one's units are gone, and its exits leave."""
    sibling = ids.correlation_id(ist_date(START), "g", 2, 1, 0)
    await broker.place(replace(PLACE, target_paise=10_300))
    await broker.place(replace(PLACE, correlation_id=sibling))
    await lasting(desk, broker)
    assert net(desk) == 20
    desk.world.faults.arm(Fault(FaultKind.BOTH_EXITS_FILL, path=sibling))
    desk.price(101)
    assert net(desk) == 0
    told = await lasting(desk, broker, 4)
    closed = [fact for fact in told if fact.reason == CLOSED_ELSEWHERE]
    assert [(fact.correlation_id, fact.kind, fact.quantity) for fact in closed] == [(NAME, EXIT_FILLED, 10)]
    await broker.protect(FIT)
    for later in (97, 103):
        desk.price(later)
    assert net(desk) == 0, "nothing of it is sold again"

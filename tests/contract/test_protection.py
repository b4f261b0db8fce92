"""What must never happen to a position at Dhan, whatever its lists say and however late they are."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.brokers.dhan.broker import DhanBroker, Remembered, WantedExit
from adapters.brokers.dhan.faults import Refusal, RefusalKind
from adapters.brokers.dhan.model import LegName, Listing, OrderStatus, Placed, UnreadableRow
from adapters.brokers.dhan.orders import OrderRequest
from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.errors import OutcomeUnknown, Rejected, Retryable
from propdesk.model.enums import ExitReason, Product, Side
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, IntentKind
from sandbox.faults import Fault, FaultKind
from tests.contract.conftest import KEY, Desk
from tests.contract.test_broker_matrix import NAME, PLACE, dhan_broker, intent

EXIT = intent(IntentKind.EXIT, reason=ExitReason.SQUARE_OFF)
CANCEL = intent(IntentKind.CANCEL_ENTRY)
GUARD = intent(IntentKind.EMERGENCY_STOP, is_entry=False, guard=1)
FIT = replace(GUARD, guard=0)
OUT = replace(EXIT, guard=1)


def net(desk: Desk) -> int:
    return sum(position.net for position in desk.world.exchange.positions.values())


def kinds(facts: Any) -> list[BrokerUpdateKind]:
    return [fact.kind for fact in facts if fact.kind is not BrokerUpdateKind.ACKNOWLEDGED]


def freeze_supers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[None]]:
    """Let ``/super/orders`` show from now on what it shows now."""

    async def freeze() -> None:
        shown = await desk.client.super_orders.read()

        async def read() -> Any:
            return shown

        monkeypatch.setattr(desk.client.super_orders, "read", read)

    return freeze


@pytest.fixture
def broker(desk: Desk) -> DhanBroker:
    return dhan_broker(desk)


async def lasting(desk: Desk, broker: DhanBroker, seconds: int = 2) -> list[BrokerUpdate]:
    """What two readings say that lie so far apart."""
    await broker.snapshot()
    desk.world.advance_by(seconds)
    return list(await broker.snapshot())


async def real_supers(desk: Desk) -> Any:
    """What ``/super/orders`` shows, whatever a test has put in its place."""
    return await type(desk.client.super_orders).read(desk.client.super_orders)


def show_price(monkeypatch: pytest.MonkeyPatch, desk: Desk, shown: Any, price_paise: int) -> None:
    """Let the list stand still and name another last price."""
    rows = tuple(replace(row, last_price_paise=price_paise) for row in shown.rows)
    monkeypatch.setattr(desk.client.super_orders, "read", _always(replace(shown, rows=rows)))


def guards(desk: Desk) -> list[str]:
    """Correlation ids of every guard that ever reached the broker."""
    names = [row.detail["correlation_id"] for row in desk.world.ledger.of("ORDER")]
    return [name for name in names if name.startswith(f"{NAME}g")]


async def naked(desk: Desk, broker: DhanBroker, kind: FaultKind = FaultKind.STOP_MISSING) -> None:
    """Ten shares bought whose stop leg never came to life."""
    desk.world.faults.arm(Fault(kind))
    await broker.place(PLACE)


@pytest.mark.parametrize("call", ["cancel", "exit"])
async def test_nothing_is_cancelled_on_a_list_older_than_the_trades(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    desk.price(101)
    await broker.place(PLACE)
    await freeze_supers(desk, monkeypatch)()
    desk.price(100)  # fills; the list does not show it yet
    await (broker.cancel(CANCEL) if call == "cancel" else broker.exit(EXIT))
    stop = desk.world.exchange.supers[next(iter(desk.world.exchange.supers))].exits
    if call == "cancel":
        assert (net(desk), stop is not None and stop.stop_paise) == (10, 9_900)
    else:
        desk.price(100)
        assert net(desk) == 0


async def test_an_entry_that_a_person_enlarged_leaves_whole(desk: Desk, broker: DhanBroker) -> None:
    """What was added is in no book: with the exits of an order all of it goes."""
    desk.price(101)
    await broker.place(PLACE)
    (row,) = (await desk.client.super_orders.read()).rows
    await desk.client.super_orders.modify_entry(row, quantity=15, price_paise=row.order.price_paise)
    desk.price(100)
    assert net(desk) == 15
    await broker.exit(EXIT)
    desk.price(100)
    told = [(fact.kind, fact.quantity) for fact in await broker.snapshot() if fact.quantity]
    assert (net(desk), told) == (
        0, [(BrokerUpdateKind.ENTRY_FILLED, 15), (BrokerUpdateKind.EXIT_FILLED, 15)],
    )  # fmt: skip


@pytest.mark.parametrize("effect", [None, False, True], ids=["refused", "lost", "carried-out"])
async def test_a_target_hit_is_no_exit_of_ours_unless_the_move_was_accepted(
    desk: Desk, broker: DhanBroker, effect: bool | None
) -> None:
    await broker.place(PLACE)
    fault = FaultKind.IP_REFUSED if effect is None else FaultKind.TIME_OUT
    words = {} if effect is None else {"effect": effect}
    desk.world.faults.arm(Fault(fault, path="/super/orders", method="PUT", count=2, values=words))
    with pytest.raises(Rejected if effect is None else OutcomeUnknown):
        await broker.exit(EXIT)
    desk.price(101)
    last = [fact for fact in await broker.snapshot() if fact.quantity][-1]
    expected = BrokerUpdateKind.EXIT_FILLED if effect else BrokerUpdateKind.TARGET_FILLED
    assert (last.kind, last.reason) == (expected, "SQUARE_OFF" if effect else "")


async def test_a_level_that_a_person_moved_away_is_no_exit_of_ours(desk: Desk, broker: DhanBroker) -> None:
    ack = await broker.place(PLACE)
    wanted = {NAME: WantedExit(ExitReason.SQUARE_OFF, 10_100, 9_900)}
    broker.remember(frozenset(), Remembered(exiting=wanted))
    await desk.client.super_orders.modify_target(ack.broker_order_id, 10_200)
    await broker.snapshot()
    desk.price(102)
    last = [fact for fact in await broker.snapshot() if fact.quantity][-1]
    assert (last.kind, last.reason) == (BrokerUpdateKind.TARGET_FILLED, "")


async def test_a_target_that_stood_where_the_exit_would_have_put_it_proves_no_exit(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.place(replace(PLACE, target_paise=10_195))
    shown = await desk.client.super_orders.read()
    stale = replace(shown, rows=tuple(replace(row, last_price_paise=10_300) for row in shown.rows))
    lost = Fault(FaultKind.TIME_OUT, path="/super/orders", method="PUT", count=2, values={"effect": False})
    desk.world.faults.arm(lost)
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.super_orders, "read", _always(stale))
        with pytest.raises(OutcomeUnknown):
            await broker.exit(EXIT)
    await broker.snapshot()
    desk.price(101.95)
    last = [fact for fact in await broker.snapshot() if fact.quantity][-1]
    assert (last.kind, last.reason) == (BrokerUpdateKind.TARGET_FILLED, "")


@pytest.mark.parametrize("target_paise", [10_100, None], ids=["known", "refused"])
@pytest.mark.parametrize("is_sent", [False, True], ids=["unsent", "accepted"])
async def test_a_restart_takes_no_wish_for_an_exit(
    desk: Desk, broker: DhanBroker, is_sent: bool, target_paise: int | None
) -> None:
    await broker.place(PLACE)
    if is_sent:
        await broker.exit(EXIT)
    again = dhan_broker(desk)
    wanted = {NAME: WantedExit(ExitReason.SQUARE_OFF, target_paise, 9_900)}
    again.remember(frozenset(), Remembered(exiting=wanted))
    desk.price(101)
    last = [fact for fact in await again.snapshot() if fact.quantity][-1]
    is_known = is_sent and target_paise is not None
    assert last.kind is (BrokerUpdateKind.EXIT_FILLED if is_known else BrokerUpdateKind.TARGET_FILLED)


async def test_a_part_fill_that_the_list_does_not_show_is_not_stripped(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.price(101)
    desk.world.faults.arm(Fault(FaultKind.PARTIAL_ENTRY, values={"pieces": 2}))
    await broker.place(PLACE)
    await freeze_supers(desk, monkeypatch)()
    desk.price(100)
    assert net(desk) == 5
    with pytest.raises(Retryable, match="older than its trades"):
        await broker.cancel(CANCEL)
    desk.price(99)
    assert net(desk) == 0, "its stop was taken away"


@pytest.mark.parametrize("way", ["cancel", "target"])
async def test_a_partly_filled_order_ends_in_our_books(desk: Desk, broker: DhanBroker, way: str) -> None:
    desk.world.faults.arm(Fault(FaultKind.PARTIAL_ENTRY, values={"pieces": 2}))
    await broker.place(PLACE)
    assert net(desk) == 5
    assert kinds(await broker.snapshot()) == [BrokerUpdateKind.ENTRY_FILLED]
    if way == "cancel":
        await broker.cancel(CANCEL)  # shrinks it to what has filled
        told = await broker.snapshot()
        assert kinds(told) == [BrokerUpdateKind.ENTRY_FILLED, BrokerUpdateKind.CANCELLED]
        assert told[-1].quantity == 5
    desk.world.trade(KEY, 10_100)  # the target withdraws what has not filled
    assert net(desk) == 0
    assert set(kinds(await broker.snapshot())) == {
        BrokerUpdateKind.ENTRY_FILLED,
        BrokerUpdateKind.TARGET_FILLED,
        BrokerUpdateKind.CANCELLED,
    }


@pytest.mark.parametrize("kind", [FaultKind.STOP_MISSING, FaultKind.STOP_REJECTED])
async def test_a_stop_that_stays_lost_is_a_fact_of_its_own(
    desk: Desk, broker: DhanBroker, kind: FaultKind
) -> None:
    await naked(desk, broker, kind)
    assert kinds(await broker.snapshot()) == [BrokerUpdateKind.ENTRY_FILLED], "one reading may be wrong"
    told = await lasting(desk, broker)
    assert kinds(told) == [BrokerUpdateKind.ENTRY_FILLED, BrokerUpdateKind.NAKED]
    assert (told[-1].quantity, told[-1].guard) == (10, 1)
    assert [fact.update_id for fact in await broker.snapshot()] == [fact.update_id for fact in told]
    assert [fact.guard for fact in await lasting(desk, broker, 60) if fact.guard] == [1, 1], "told anew"


async def test_a_clock_that_is_set_back_hides_no_lost_stop(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    await broker.snapshot()
    desk.clock.ahead_ns = -3_600 * NS_PER_SECOND
    await broker.snapshot()
    assert kinds(await lasting(desk, broker))[-1] is BrokerUpdateKind.NAKED


async def test_a_leg_cancelled_by_hand_is_a_lost_stop(desk: Desk, broker: DhanBroker) -> None:
    ack = await broker.place(PLACE)
    assert kinds(await lasting(desk, broker)) == [BrokerUpdateKind.ENTRY_FILLED]
    await desk.client.super_orders.cancel(ack.broker_order_id, LegName.STOP)
    assert kinds(await lasting(desk, broker)) == [BrokerUpdateKind.ENTRY_FILLED, BrokerUpdateKind.NAKED]


async def test_a_stop_that_one_list_leaves_out_is_not_lost_and_a_later_loss_is_told(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ack = await broker.place(PLACE)
    shown = await desk.client.super_orders.read()
    bare = replace(shown, rows=tuple(replace(row, legs=()) for row in shown.rows))
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.super_orders, "read", _always(bare))
        assert BrokerUpdateKind.NAKED in kinds(await lasting(desk, broker))
    assert kinds(await broker.snapshot())[-1] is BrokerUpdateKind.COVERED
    await desk.client.super_orders.cancel(ack.broker_order_id, LegName.STOP)
    told = [fact for fact in await lasting(desk, broker) if fact.kind is BrokerUpdateKind.NAKED]
    assert len({fact.update_id for fact in told}) == 2


def _always(value: Any) -> Callable[[], Awaitable[Any]]:
    async def read() -> Any:
        return value

    return read


@pytest.mark.parametrize("every_s", [1, 2], ids=["always", "every other second"])
async def test_an_order_that_a_list_leaves_out_is_neither_covered_nor_forgotten(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, every_s: int
) -> None:
    await naked(desk, broker)
    shown = await desk.client.super_orders.read()
    if every_s == 1:
        assert BrokerUpdateKind.NAKED in kinds(await lasting(desk, broker))
    told: list[BrokerUpdateKind] = []
    for second in range(1, 10):
        desk.world.advance_by(1)
        with monkeypatch.context() as patch:
            if second % every_s == 0:
                patch.setattr(desk.client.super_orders, "read", _always(replace(shown, rows=())))
            told += kinds(await broker.snapshot())
    assert BrokerUpdateKind.NAKED in told
    assert BrokerUpdateKind.COVERED not in told


async def test_exits_that_a_list_leaves_out_are_taken_away_before_a_guard_is_put(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.place(PLACE)
    shown = await desk.client.super_orders.read()
    bare = replace(shown, rows=tuple(replace(row, legs=()) for row in shown.rows))
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.super_orders, "read", _always(bare))
        await broker.protect(GUARD)
    for price in (99, 97, 96):
        desk.price(price)
    assert net(desk) == 0


async def test_an_emergency_stop_closes_what_lost_its_own_and_no_more(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    assert (await broker.protect(GUARD)).guard == 1
    assert (await broker.protect(replace(GUARD, guard=2))).guard == 0, "once is enough"
    assert await broker.find(GUARD) is not None
    assert await broker.find(replace(GUARD, guard=2)) is None
    assert kinds(await lasting(desk, broker)) == [BrokerUpdateKind.ENTRY_FILLED]
    desk.price(102)  # beyond the target that was taken away
    assert net(desk) == 10
    desk.price(99)
    desk.price(98)
    assert net(desk) == 0
    assert kinds(await broker.snapshot()) == [BrokerUpdateKind.ENTRY_FILLED, BrokerUpdateKind.STOP_FILLED]
    assert guards(desk) == [f"{NAME}g1"]


async def test_a_guard_is_moved_and_never_doubled(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    await broker.protect(GUARD)
    await broker.modify(intent(IntentKind.MODIFY_STOP, stop_paise=9_950))
    await broker.modify(intent(IntentKind.MODIFY_TARGET, target_paise=10_300))
    desk.price(99.45)
    assert net(desk) == 0


async def test_a_guarded_position_leaves_by_its_guard(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    await broker.protect(GUARD)
    await broker.exit(EXIT)
    desk.price(100)
    desk.price(95)
    assert net(desk) == 0
    last = (await broker.snapshot())[-1]
    assert (last.kind, last.reason) == (BrokerUpdateKind.EXIT_FILLED, "SQUARE_OFF")


async def test_a_guard_that_ends_leaves_room_for_the_next_one(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    guard = await broker.protect(GUARD)
    await desk.client.orders.cancel(guard.broker_order_id)
    last = (await lasting(desk, broker))[-1]
    assert (last.kind, last.guard) == (BrokerUpdateKind.NAKED, 2)
    with pytest.raises(Retryable, match="is there"):
        await broker.protect(GUARD)
    await broker.exit(replace(EXIT, guard=2))
    desk.price(100)
    assert net(desk) == 0
    assert guards(desk) == [f"{NAME}g1", f"{NAME}g2"]


async def test_no_guard_is_put_while_a_cancel_is_under_way(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dhan took the cancel and goes on listing the leg: a guard beside it would sell twice."""
    await naked(desk, broker)

    async def under_way(order_id: str, leg: LegName) -> Placed:
        del leg
        return Placed(order_id, OrderStatus.TRANSIT)

    with monkeypatch.context() as patch:
        patch.setattr(desk.client.super_orders, "cancel", under_way)
        with pytest.raises(Retryable, match="still shows an exit"):
            await broker.protect(GUARD)
    assert guards(desk) == []
    await broker.protect(GUARD)
    assert guards(desk) == [f"{NAME}g1"]


async def test_a_guard_that_the_exchange_refuses_is_told_at_once(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    told = await lasting(desk, broker)
    desk.world.faults.arm(Fault(FaultKind.EXCHANGE_REJECT, values={"reason": "RMS"}))
    await broker.protect(GUARD)
    desk.world.advance_by(1)  # refused before the next reading: no moment of cover lies between
    last = (await lasting(desk, broker))[-1]
    assert (last.kind, last.guard) == (BrokerUpdateKind.NAKED, 2)
    assert BrokerUpdateKind.COVERED not in kinds(await broker.snapshot()), "it never was"
    assert last.update_id not in {fact.update_id for fact in told}
    await broker.exit(replace(EXIT, guard=2))
    desk.price(100)
    assert net(desk) == 0


async def test_what_has_no_exit_left_is_closed_by_an_order_of_its_own(desk: Desk, broker: DhanBroker) -> None:
    ack = await broker.place(PLACE)
    for leg in (LegName.STOP, LegName.TARGET):
        await desk.client.super_orders.cancel(ack.broker_order_id, leg)
    with pytest.raises(Retryable, match="no exit to move"):
        await broker.exit(EXIT)
    assert (await broker.exit(OUT)).guard == 1
    desk.price(100)
    assert net(desk) == 0
    await broker.exit(EXIT)  # nothing is left to close
    assert net(desk) == 0


async def test_no_guard_is_put_under_a_position_that_the_account_does_not_hold(
    desk: Desk, broker: DhanBroker
) -> None:
    await naked(desk, broker)
    desk.world.exchange.square_off()  # the broker's own, under no name of ours
    assert (await broker.protect(GUARD)).guard == 0
    assert (net(desk), guards(desk)) == (0, [])


async def test_a_position_netted_by_another_order_of_ours_is_guarded_whole(
    desk: Desk, broker: DhanBroker
) -> None:
    await naked(desk, broker)
    other = {"correlation_id": "pABCBBBBBBBBBBBBBBBB", "side": Side.SELL, "quantity": 7}
    await broker.place(intent(IntentKind.PLACE, **other, stop_paise=10_300, target_paise=9_700))
    assert net(desk) == 3
    guard = await broker.protect(GUARD)
    (row,) = [
        row for row in (await desk.client.orders.read()).whole() if row.order_id == guard.broker_order_id
    ]
    assert row.quantity == 10


async def test_an_exit_that_needs_no_guard_leaves_by_its_own_target(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    assert (await broker.exit(OUT)).guard == 0
    assert (net(desk), guards(desk)) == (0, [])


async def test_below_the_stop_there_is_only_the_way_out(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    desk.price(98)
    with pytest.raises(Rejected, match="beyond its stop"):
        await broker.protect(GUARD)
    await broker.exit(EXIT)
    assert net(desk) == 0


@pytest.mark.parametrize("delay_s", [20, 120, 300])
@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_guard_without_an_answer_is_never_sent_twice(
    desk: Desk, broker: DhanBroker, delay_s: int, is_restarted: bool
) -> None:
    await naked(desk, broker)
    late = Fault(FaultKind.LATE_ACCEPT, path="/orders", method="POST", values={"delay_s": delay_s})
    desk.world.faults.arm(late)
    with pytest.raises(OutcomeUnknown):
        await broker.protect(GUARD)
    broker = dhan_broker(desk) if is_restarted else broker
    desk.world.advance_by(delay_s - 1)
    for call in (broker.exit(EXIT), broker.protect(FIT)):
        with pytest.raises(Retryable, match="may still appear"):
            await call
    desk.world.advance_by(2)
    await broker.exit(EXIT)
    desk.price(100)
    assert (net(desk), guards(desk)) == (0, [f"{NAME}g1"])


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_guard_that_never_came_bars_the_way_out_for_minutes_only(
    desk: Desk, broker: DhanBroker, is_restarted: bool
) -> None:
    await naked(desk, broker)
    lost = Fault(FaultKind.TIME_OUT, path="/orders", method="POST", values={"effect": False})
    desk.world.faults.arm(lost)
    with pytest.raises(OutcomeUnknown):
        await broker.protect(GUARD)
    if is_restarted:
        desk.world.advance_by(300)
        broker = dhan_broker(desk)
        broker.remember(frozenset(), Remembered(uncovered=(NAME,), guards={NAME: 1}))
    assert {fact.guard for fact in await lasting(desk, broker, 359)} <= {0, 1}
    desk.world.advance_by(1)
    last = (await lasting(desk, broker))[-1]
    assert (last.kind, last.guard) == (BrokerUpdateKind.NAKED, 2)
    await broker.exit(replace(OUT, guard=2))
    desk.price(100)
    assert (net(desk), guards(desk)) == (0, [f"{NAME}g2"])


@pytest.mark.parametrize("price", [100, 98], ids=["out", "by its stop"])
async def test_a_guard_that_comes_later_than_it_was_waited_for_is_ended(
    desk: Desk, broker: DhanBroker, price: float
) -> None:
    await naked(desk, broker)
    late = Fault(FaultKind.LATE_ACCEPT, path="/orders", method="POST", values={"delay_s": 900})
    desk.world.faults.arm(late)
    with pytest.raises(OutcomeUnknown):
        await broker.protect(GUARD)
    await lasting(desk, broker, 400)
    if price == 100:
        await broker.exit(replace(OUT, guard=2))
        desk.price(100)
    else:
        await broker.protect(replace(GUARD, guard=2))
    desk.world.advance_by(500)
    assert guards(desk) == [f"{NAME}g2", f"{NAME}g1"]
    told = kinds(await lasting(desk, broker))
    assert BrokerUpdateKind.EXCESS in told or BrokerUpdateKind.SURPLUS in told
    await broker.protect(FIT)
    await broker.neutralise(intent(IntentKind.NEUTRALISE))
    for later in (price, 99, 98, 97):
        desk.price(later)
    assert net(desk) == 0


async def test_a_guard_that_is_not_listed_yet_is_not_sent_twice(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await naked(desk, broker)
    before = await desk.client.orders.read()
    await broker.protect(GUARD)
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.orders, "read", _always(before))
        with pytest.raises(Retryable, match="may still appear"):
            await broker.exit(EXIT)
    for price in (100, 99, 97, 96):
        desk.price(price)
    assert (net(desk), guards(desk)) == (0, [f"{NAME}g1"])


async def test_two_guards_that_live_are_told(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await naked(desk, broker)
    before = await desk.client.orders.read()
    await broker.protect(GUARD)
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.orders, "read", _always(before))
        await broker.protect(replace(GUARD, guard=2))  # what the reducer never asks for
    surplus = [fact for fact in await broker.snapshot() if fact.kind is BrokerUpdateKind.SURPLUS]
    assert [fact.correlation_id for fact in surplus] == [NAME]
    await broker.neutralise(intent(IntentKind.NEUTRALISE))
    for price in (99, 97, 96):
        desk.price(price)
    assert net(desk) == 0


@pytest.mark.parametrize("pieces", [1, 2], ids=["filled", "filled in part"])
async def test_what_two_guards_sold_beyond_what_was_held_is_told_apart(
    desk: Desk, broker: DhanBroker, pieces: int
) -> None:
    """The first guard came later than anything was ever waited for; both sold before one was withdrawn."""
    if pieces == 2:
        desk.world.faults.arm(Fault(FaultKind.PARTIAL_ENTRY, values={"pieces": 2}))
    await naked(desk, broker)
    held = net(desk)
    await broker.cancel(CANCEL)
    head = (await desk.client.super_orders.read()).rows[0].order
    await desk.client.super_orders.cancel(head.order_id, LegName.TARGET)
    for number, limit in ((1, 9_900), (2, 9_800)):
        guard = f"{NAME}g{number}"
        segment, security, product = head.exchange_segment, head.security_id, Product.INTRADAY
        await desk.client.orders.place(
            OrderRequest(guard, Side.SELL, segment, security, product, held, limit)
        )
    desk.price(100)
    assert net(desk) == -held
    told = {fact.kind: fact for fact in await broker.snapshot()}
    sold = told[BrokerUpdateKind.STOP_FILLED]
    assert (sold.quantity, sold.fill_notional_paise) == (held, held * 10_000)
    assert told[BrokerUpdateKind.OVERSOLD].quantity == held


async def test_a_fault_before_the_guard_is_not_the_fault_of_the_guard(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    lost = Fault(FaultKind.TIME_OUT, path="/super/orders", method="DELETE", values={"effect": True})
    desk.world.faults.arm(lost)
    with pytest.raises(Retryable, match="No order was placed"):
        await broker.protect(GUARD)
    assert guards(desk) == []
    await broker.protect(GUARD)
    assert guards(desk) == [f"{NAME}g1"]


async def test_a_guard_goes_with_the_position_that_a_person_closes(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    head = (await desk.client.super_orders.read()).rows[0].order
    await broker.protect(GUARD)
    by_hand = OrderRequest(
        "manual", Side.SELL, head.exchange_segment, head.security_id, Product.INTRADAY, 6, 9_900
    )
    await desk.client.orders.place(by_hand)
    assert net(desk) == 4
    told = (await lasting(desk, broker))[-1]
    assert (told.kind, told.quantity) == (BrokerUpdateKind.EXCESS, 6)
    await broker.protect(FIT)
    assert kinds(await broker.snapshot())[-1] is not BrokerUpdateKind.EXCESS
    for price in (99, 97, 96):
        desk.price(price)
    assert net(desk) == 0


async def test_a_guard_of_nothing_is_taken_away(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    head = (await desk.client.super_orders.read()).rows[0].order
    await broker.protect(GUARD)
    by_hand = OrderRequest(
        "manual", Side.SELL, head.exchange_segment, head.security_id, Product.INTRADAY, 10, 9_900
    )
    await desk.client.orders.place(by_hand)
    assert (await lasting(desk, broker))[-1].kind is BrokerUpdateKind.EXCESS
    await broker.protect(FIT)
    for price in (99, 97, 96):
        desk.price(price)
    assert net(desk) == 0


async def test_a_list_without_the_position_takes_no_guard_away_and_puts_none(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await naked(desk, broker)
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.portfolio, "positions", _always(Listing((), ())))
        with pytest.raises(Rejected, match="no position"):
            await broker.protect(GUARD)
    await broker.protect(GUARD)
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.portfolio, "positions", _always(Listing((), ())))
        assert BrokerUpdateKind.EXCESS not in kinds(await lasting(desk, broker))
        await broker.protect(FIT)
    for price in (99, 97):
        desk.price(price)
    assert net(desk) == 0


async def test_exits_stay_where_no_guard_can_take_their_place(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await naked(desk, broker)
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.portfolio, "positions", _always(Listing((), ())))
        with pytest.raises(Rejected, match="no position"):
            await broker.protect(GUARD)
    desk.price(101)
    assert net(desk) == 0, "its target was taken away for nothing"


async def test_what_fills_after_the_guard_is_withdrawn_before_it(desk: Desk, broker: DhanBroker) -> None:
    desk.world.faults.arm(Fault(FaultKind.STOP_MISSING))
    desk.world.faults.arm(Fault(FaultKind.PARTIAL_ENTRY, values={"pieces": 2}))
    await broker.place(PLACE)
    await broker.protect(GUARD)
    desk.price(100)
    assert net(desk) == 5
    for price in (99, 97, 96):
        desk.price(price)
    assert net(desk) == 0


@pytest.mark.parametrize("way", ["guard", "exit"])
async def test_a_guard_grows_with_what_fills_all_the_same(
    desk: Desk, broker: DhanBroker, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.world.faults.arm(Fault(FaultKind.STOP_MISSING))
    desk.world.faults.arm(Fault(FaultKind.PARTIAL_ENTRY, values={"pieces": 2}))
    await broker.place(PLACE)
    refused = Fault(FaultKind.IP_REFUSED, path="/super/orders", method="PUT")
    desk.world.faults.arm(refused)
    await broker.protect(GUARD)  # the rest could not be withdrawn
    desk.price(100)
    assert net(desk) == 10
    told = (await lasting(desk, broker))[-1]
    assert (told.kind, told.quantity, told.guard) == (BrokerUpdateKind.NAKED, 5, 1)
    await (broker.protect(FIT) if way == "guard" else broker.exit(EXIT))
    for price in (100, 99, 97, 96):
        desk.price(price)
    assert net(desk) == 0


async def test_a_way_out_that_does_not_fill_protects_nothing_and_is_priced_anew(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await naked(desk, broker)
    await broker.protect(GUARD)
    shown = await desk.client.super_orders.read()
    stale = replace(shown, rows=tuple(replace(row, last_price_paise=10_900) for row in shown.rows))
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.super_orders, "read", _always(stale))
        await broker.exit(EXIT)  # at 107.91: the price has run away below meanwhile
    desk.price(97)
    assert BrokerUpdateKind.NAKED not in kinds(await lasting(desk, broker, 9)), "it needs some time to fill"
    told = (await lasting(desk, broker, 1))[-1]
    assert (told.kind, told.guard, net(desk)) == (BrokerUpdateKind.NAKED, 1, 10)
    await broker.exit(EXIT)
    desk.price(97)
    assert net(desk) == 0


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_an_exit_by_its_own_target_that_does_not_fill_is_told_and_priced_anew(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, is_restarted: bool
) -> None:
    await broker.place(PLACE)
    shown = await desk.client.super_orders.read()
    stale = replace(shown, rows=tuple(replace(row, last_price_paise=10_900) for row in shown.rows))
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.super_orders, "read", _always(stale))
        await broker.exit(EXIT)  # at 107.91: the price has run away below meanwhile
    if is_restarted:
        broker = dhan_broker(desk)
        wanted = {NAME: WantedExit(ExitReason.SQUARE_OFF, 10_100, 9_900)}
        broker.remember(frozenset(), Remembered(exiting=wanted))
    assert BrokerUpdateKind.NAKED not in kinds(await lasting(desk, broker, 9)), "it needs some time to fill"
    told = (await lasting(desk, broker, 1))[-1]
    assert (told.kind, told.quantity, told.reason) == (
        BrokerUpdateKind.NAKED,
        10,
        "the way out has not filled",
    )
    assert (await broker.exit(OUT)).guard == 0
    desk.price(100)
    assert (net(desk), guards(desk)) == (0, [])


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guard", "own target"])
async def test_a_way_out_that_nobody_takes_is_not_written_again_at_the_same_price(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    """A circuit holds the price for ten minutes: the calls of an hour are for every order of the account."""
    if is_guarded:
        await naked(desk, broker)
        await lasting(desk, broker)
        await broker.protect(GUARD)
    else:
        await broker.place(PLACE)
    show_price(monkeypatch, desk, await desk.client.super_orders.read(), 10_900)
    await broker.exit(EXIT)
    show_price(monkeypatch, desk, await real_supers(desk), 10_900)
    written, told = broker.writes, 0
    for _ in range(60):
        before = [fact.update_id for fact in await broker.snapshot()]
        desk.world.advance_by(10)
        if [fact for fact in await broker.snapshot() if fact.update_id not in before and fact.guard]:
            told += 1
            assert (await broker.exit(EXIT)).guard == 0
    assert broker.writes == written
    assert 12 <= told <= 15, "in ten minutes: every 10 s at first, then more and more seldom"
    show_price(monkeypatch, desk, await real_supers(desk), 9_800)
    await broker.exit(EXIT)
    desk.price(98)
    assert (net(desk), broker.writes) == (0, written + 1), "another price is written"


async def test_an_accepted_guard_is_held_for_there_while_the_list_may_be_late(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told as bare a second time its position would be closed, which has its stop."""
    await naked(desk, broker)
    await lasting(desk, broker)
    shown = await desk.client.orders.read()
    await broker.protect(GUARD)
    told = []
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.orders, "read", _always(shown))
        for seconds in (10, 60, 288, 2):
            told += [kinds(await lasting(desk, broker, seconds)).count(BrokerUpdateKind.NAKED)]
    assert told == [1, 1, 1, 2], "what is missing for six minutes is missing"
    assert (await broker.snapshot())[-1].kind is BrokerUpdateKind.COVERED


async def test_a_guard_that_lives_is_due_however_long_after_a_restart(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told as the next one, it would make the reducer close what a fit of the guard protects."""
    await naked(desk, broker)
    await lasting(desk, broker)
    await broker.protect(GUARD)
    again = dhan_broker(desk)
    again.remember(frozenset(), Remembered(guards={NAME: 1}))
    await again.snapshot()
    desk.world.advance_by(400)
    show_price(monkeypatch, desk, await real_supers(desk), 9_900)  # at its trigger, and not triggered
    told = [fact for fact in await lasting(desk, again, 10) if fact.kind is BrokerUpdateKind.NAKED]
    assert [fact.guard for fact in told] == [1]


@pytest.mark.parametrize("is_restarted", [True, False])
async def test_a_guard_that_was_seen_is_waited_for_from_the_last_list_that_showed_it(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, is_restarted: bool
) -> None:
    """Nobody knew of it, then it was listed for long: one list without it makes room for no other one."""
    await naked(desk, broker)
    await lasting(desk, broker)
    if is_restarted:
        await broker.protect(GUARD)
        broker = dhan_broker(desk)
        broker.remember(frozenset(), Remembered(guards={NAME: 1}))
    else:
        (row,) = (await desk.client.super_orders.read()).rows
        await desk.client.super_orders.cancel(row.order.order_id, LegName.TARGET)
        desk.world.faults.arm(
            Fault(FaultKind.TIME_OUT, path="/orders", method="POST", values={"effect": True})
        )
        with pytest.raises(OutcomeUnknown):
            await broker.protect(GUARD)
    for _ in range(10):
        desk.world.advance_by(60)
        await broker.snapshot()
    shown = await desk.client.orders.read()
    hidden = replace(shown, rows=tuple(r for r in shown.rows if r.correlation_id != f"{NAME}g1"))
    monkeypatch.setattr(desk.client.orders, "read", _always(hidden))
    told = [fact for fact in await lasting(desk, broker, 3) if fact.kind is BrokerUpdateKind.NAKED]
    assert told[-1].guard == 1
    with pytest.raises(Retryable, match="may still appear"):
        await broker.exit(EXIT)
    assert guards(desk) == [f"{NAME}g1"]
    for _ in range(6):
        told = [fact for fact in await lasting(desk, broker, 60) if fact.kind is BrokerUpdateKind.NAKED]
    assert told[-1].guard == 2, "missing for longer than anything was ever late"


async def test_a_guard_that_the_broker_refused_is_not_waited_for(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    await lasting(desk, broker)
    desk.world.faults.arm(Fault(FaultKind.RATE_LIMIT, path="/orders", method="POST", count=9))
    with pytest.raises(Retryable):
        await broker.protect(GUARD)
    desk.world.faults.disarm()
    told = await lasting(desk, broker, 400)
    assert (told[-1].kind, told[-1].guard) == (BrokerUpdateKind.NAKED, 1)


async def test_an_accepted_guard_that_died_is_held_for_dead(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    await lasting(desk, broker)
    guard = await broker.protect(GUARD)
    await desk.client.orders.cancel(guard.broker_order_id)
    last = (await lasting(desk, broker))[-1]
    assert (last.kind, last.guard) == (BrokerUpdateKind.NAKED, 2)


async def test_a_guard_that_a_list_shows_in_its_old_size_is_no_lost_stop_at_once(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await naked(desk, broker)
    await lasting(desk, broker)
    await broker.protect(GUARD)
    shown = await desk.client.orders.read()
    small = replace(
        shown,
        rows=tuple(
            replace(row, quantity=4) if row.correlation_id == f"{NAME}g1" else row for row in shown.rows
        ),
    )
    await lasting(desk, broker)
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.orders, "read", _always(small))
        before = len(await lasting(desk, broker))
        await broker.protect(FIT)
        told = [len(await lasting(desk, broker, seconds)) - before for seconds in (15, 45)]
    assert told == [0, 1], "told anew by the minute"


async def test_a_part_that_cannot_be_closed_makes_no_exit_of_the_whole(
    desk: Desk, broker: DhanBroker
) -> None:
    await broker.place(PLACE)
    with pytest.raises(Rejected, match="cannot close a part"):
        await broker.exit(replace(EXIT, quantity=5))
    assert kinds(await lasting(desk, broker, 30)) == [BrokerUpdateKind.ENTRY_FILLED]


@pytest.mark.parametrize("reason", ["MODIFICATIONS", "BAND"])
async def test_an_exit_whose_legs_cannot_be_moved_any_more_leaves_by_an_order_of_its_own(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """What is refused for another reason keeps its stop: an order of its own may be refused as well."""
    await broker.place(PLACE)

    async def refuse(*_: Any) -> Placed:
        raise Refusal(f"{reason}: no", RefusalKind(reason), "DH-906")

    monkeypatch.setattr(desk.client.super_orders, "modify_target", refuse)
    monkeypatch.setattr(desk.client.super_orders, "modify_stop", refuse)
    with pytest.raises(Rejected):
        await broker.exit(EXIT)
    told = (await lasting(desk, broker, 10))[-1]
    assert (told.kind, told.guard) == (BrokerUpdateKind.NAKED, 1)
    if reason == "MODIFICATIONS":
        assert (await broker.exit(OUT)).guard == 1
        desk.price(100)
        assert (net(desk), guards(desk)) == (0, [f"{NAME}g1"])
    else:
        with pytest.raises(Rejected, match="BAND"):
            await broker.exit(OUT)
        desk.price(99)
        assert (net(desk), guards(desk)) == (0, []), "by its stop"


@pytest.mark.parametrize("fault", [FaultKind.RATE_LIMIT, FaultKind.IP_REFUSED])
async def test_what_stays_naked_is_tried_again_in_seconds_unless_everything_is_refused(
    desk: Desk, broker: DhanBroker, fault: FaultKind
) -> None:
    await naked(desk, broker)
    before = len(await lasting(desk, broker))
    desk.world.faults.arm(Fault(fault, count=9))
    with pytest.raises((Rejected, Retryable)):
        await broker.exit(OUT)
    desk.world.faults.disarm()
    told = [len(await lasting(desk, broker, seconds)) - before for seconds in (4, 2, 54)]
    assert told == ([0, 1, 1] if fault is FaultKind.RATE_LIMIT else [0, 0, 1])


async def test_an_exit_placed_and_not_filled_is_closed_by_an_order_of_its_own(
    desk: Desk, broker: DhanBroker
) -> None:
    desk.world.faults.arm(Fault(FaultKind.EXIT_UNFILLED))
    await broker.place(PLACE)
    desk.price(98.9)
    desk.price(98)
    assert kinds(await lasting(desk, broker, 9)) == [BrokerUpdateKind.ENTRY_FILLED]
    assert (await lasting(desk, broker, 1))[-1].kind is BrokerUpdateKind.NAKED
    await broker.exit(OUT)
    for price in (98, 97, 99.5):
        desk.price(price)
    assert net(desk) == 0


ENDED, ALIVE = (OrderStatus.CANCELLED,), (OrderStatus.PENDING,)


@pytest.mark.parametrize(
    ("orders", "has_own_id"),
    [(ENDED, False), (ENDED, True), (ALIVE, True), ((), False), ((*ENDED, *ALIVE), False)],
    ids=["ended", "ended, by its id", "alive", "not listed", "one of two alive"],
)
async def test_beside_an_exit_at_the_exchange_nothing_is_sold_unless_its_order_has_ended(
    desk: Desk,
    broker: DhanBroker,
    monkeypatch: pytest.MonkeyPatch,
    orders: tuple[OrderStatus, ...],
    has_own_id: bool,
) -> None:
    """The leg says TRIGGERED, its order CLOSED, and Dhan takes no cancel: only the order book tells."""
    ack = await broker.place(PLACE)
    for leg in (LegName.STOP, LegName.TARGET):
        await desk.client.super_orders.cancel(ack.broker_order_id, leg)  # a second one is refused
    shown = await desk.client.super_orders.read()
    (row,) = shown.rows
    states = {LegName.STOP: OrderStatus.TRIGGERED, LegName.TARGET: OrderStatus.CANCELLED}
    leg_id = "777" if has_own_id else ack.broker_order_id
    legs = tuple(replace(leg, status=states[leg.name], order_id=leg_id) for leg in row.legs)
    closed = replace(row, order=replace(row.order, status=OrderStatus.CLOSED), legs=legs)

    async def read() -> Any:
        listed = await type(desk.client.orders).read(desk.client.orders)
        (stop,) = (one for one in listed.rows if one.leg is LegName.STOP)
        name = "" if has_own_id else NAME
        exits = (
            replace(stop, order_id=f"77{7 + number}", correlation_id=name, status=status)
            for number, status in enumerate(orders)
        )
        return replace(listed, rows=(*(one for one in listed.rows if one is not stop), *exits))

    monkeypatch.setattr(desk.client.super_orders, "read", _always(replace(shown, rows=(closed,))))
    monkeypatch.setattr(desk.client.orders, "read", read)
    assert (await lasting(desk, broker, 10))[-1].kind is BrokerUpdateKind.NAKED
    if orders == ENDED:
        await broker.exit(OUT)
        desk.price(100)
        assert net(desk) == 0
    else:
        with pytest.raises(Retryable, match="still shows an exit"):
            await broker.exit(OUT)
        assert (net(desk), guards(desk)) == (10, [])


@pytest.mark.parametrize("status", [OrderStatus.CLOSED, OrderStatus.CONFIRM, OrderStatus.UNKNOWN])
async def test_an_exit_whose_word_is_no_end_is_held_for_alive_where_its_cancel_is_refused(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, status: OrderStatus
) -> None:
    await broker.place(PLACE)
    shown = await desk.client.super_orders.read()
    (row,) = shown.rows
    states = {LegName.STOP: status, LegName.TARGET: OrderStatus.CANCELLED}
    legs = tuple(replace(leg, status=states[leg.name]) for leg in row.legs)
    monkeypatch.setattr(
        desk.client.super_orders, "read", _always(replace(shown, rows=(replace(row, legs=legs),)))
    )

    async def refuse(order_id: str, leg: LegName) -> Placed:
        raise Refusal(f"cannot cancel {leg} of {order_id}", RefusalKind.ORDER, "DH-906")

    async def stuck(order_id: str, price_paise: int) -> Placed:
        raise Refusal(f"cannot move {order_id} to {price_paise}", RefusalKind.ORDER, "DH-906")

    monkeypatch.setattr(desk.client.super_orders, "cancel", refuse)
    monkeypatch.setattr(desk.client.super_orders, "modify_stop", stuck)
    with pytest.raises(Retryable, match="still shows an exit"):
        await broker.exit(OUT)
    assert guards(desk) == []


@pytest.mark.parametrize("way", ["doubt", "stale", "refused"])
async def test_an_exit_is_taken_although_the_rest_cannot_be_withdrawn(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    desk.price(101)
    desk.world.faults.arm(Fault(FaultKind.PARTIAL_ENTRY, values={"pieces": 2}))
    await broker.place(PLACE)
    if way == "stale":
        await freeze_supers(desk, monkeypatch)()
    desk.price(100)
    assert net(desk) == 5
    if way == "doubt":
        shown = await desk.client.orders.read()
        row = UnreadableRow("order book", "77", "", "", "bad")
        monkeypatch.setattr(desk.client.orders, "read", _always(replace(shown, unreadable=(row,))))
    if way == "refused":
        desk.world.faults.arm(Fault(FaultKind.RATE_LIMIT, path="/super/orders", method="PUT"))
    await broker.exit(EXIT)
    desk.price(100)
    assert net(desk) == 0


@pytest.mark.parametrize("pieces", [0, 1, 2], ids=["waiting", "filled", "filled in part"])
async def test_an_order_that_repeats_one_of_ours_is_ended_and_ours_goes_on(
    desk: Desk, broker: DhanBroker, pieces: int
) -> None:
    ack = await broker.place(PLACE)
    if pieces == 0:
        desk.price(100.5)  # the second one waits below
    if pieces == 2:
        desk.world.faults.arm(Fault(FaultKind.PARTIAL_ENTRY, values={"pieces": 2}))
    await broker.place(PLACE)
    held = {0: 0, 1: 10, 2: 5}[pieces]
    surplus = [fact for fact in await broker.snapshot() if fact.kind is BrokerUpdateKind.SURPLUS]
    assert [fact.quantity for fact in surplus] == [held]
    assert net(desk) == 10 + held
    again = await broker.neutralise(intent(IntentKind.NEUTRALISE))
    assert again.broker_order_id == ack.broker_order_id
    desk.price(100)
    assert net(desk) == 10
    await broker.neutralise(intent(IntentKind.NEUTRALISE))
    desk.price(100)
    assert net(desk) == 10
    desk.price(99)
    assert net(desk) == 0


async def test_what_a_guard_sold_counts_although_its_order_was_repeated(
    desk: Desk, broker: DhanBroker
) -> None:
    await naked(desk, broker)
    await broker.protect(GUARD)
    desk.price(100.5)
    await broker.place(PLACE)  # a second one, which waits at 100
    await broker.neutralise(intent(IntentKind.NEUTRALISE))
    for price in (99, 98):
        desk.price(price)
    assert net(desk) == 0
    told = {fact.kind: fact.quantity for fact in await lasting(desk, broker)}
    assert told[BrokerUpdateKind.STOP_FILLED] == 10
    assert BrokerUpdateKind.NAKED not in told


def surpluses(facts: Any) -> set[str]:
    return {fact.update_id for fact in facts if fact.kind is BrokerUpdateKind.SURPLUS}


async def test_an_order_that_repeats_one_of_ours_is_told_anew_until_it_is_flat(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broker.place(PLACE)
    again = await broker.place(PLACE)
    await desk.client.super_orders.cancel(again.broker_order_id, LegName.STOP)
    first = surpluses(await broker.snapshot())
    shown = await desk.client.super_orders.read()
    stale = replace(shown, rows=tuple(replace(row, last_price_paise=10_900) for row in shown.rows))
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.super_orders, "read", _always(stale))
        await broker.neutralise(intent(IntentKind.NEUTRALISE))  # at 107.91: it does not fill
    assert surpluses(await lasting(desk, broker, 9)) == first, "it needs some time to fill"
    second = surpluses(await lasting(desk, broker, 1))
    assert len(second - first) == 1
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.super_orders, "read", _always(replace(shown, rows=shown.rows[:1])))
        await broker.snapshot()  # a list that leaves it out ends nothing
    assert len(surpluses(await lasting(desk, broker, 60)) - second) == 1
    await broker.neutralise(intent(IntentKind.NEUTRALISE))
    desk.price(100)
    assert net(desk) == 10
    last = surpluses(await lasting(desk, broker, 60))
    assert surpluses(await lasting(desk, broker, 60)) == last, "it is flat"
    desk.price(99)
    assert net(desk) == 0
    told = {fact.kind: fact.quantity for fact in await lasting(desk, broker)}
    assert told[BrokerUpdateKind.STOP_FILLED] == 10, "of ours"
    assert BrokerUpdateKind.TARGET_FILLED not in told


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_repeat_does_not_pass_for_ours_where_a_list_leaves_ours_out(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, is_restarted: bool
) -> None:
    ours = await broker.place(PLACE)
    await broker.place(PLACE)
    await broker.neutralise(intent(IntentKind.NEUTRALISE))
    if is_restarted:
        broker = dhan_broker(desk)
        broker.remember(frozenset(), Remembered(order_ids={NAME: ours.broker_order_id}))
    desk.price(100)
    shown = await desk.client.super_orders.read()
    younger = max(shown.rows, key=lambda row: row.order.order_id)
    with monkeypatch.context() as patch:
        patch.setattr(desk.client.super_orders, "read", _always(replace(shown, rows=(younger,))))
        assert kinds(await lasting(desk, broker)) == []
        with pytest.raises(Rejected, match="lists no super order"):
            await broker.exit(EXIT)
    assert BrokerUpdateKind.TARGET_FILLED not in kinds(await broker.snapshot())
    assert net(desk) == 10

"""What must never happen to a position at Dhan, whatever its lists say and however late they are."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.brokers.dhan.broker import DhanBroker, WantedExit
from adapters.brokers.dhan.model import LegName
from propdesk.core.errors import OutcomeUnknown, Rejected, Retryable
from propdesk.model.enums import ExitReason, Side
from propdesk.model.messages import BrokerUpdateKind, IntentKind
from sandbox.faults import Fault, FaultKind
from tests.contract.conftest import KEY, Desk
from tests.contract.test_broker_matrix import NAME, PLACE, dhan_broker, intent

EXIT = intent(IntentKind.EXIT, reason=ExitReason.SQUARE_OFF)
CANCEL = intent(IntentKind.CANCEL_ENTRY)
GUARD = intent(IntentKind.EMERGENCY_STOP, is_entry=False)


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


@pytest.mark.parametrize("is_sent", [False, True], ids=["unsent", "accepted"])
async def test_a_restart_takes_no_wish_for_an_exit(desk: Desk, broker: DhanBroker, is_sent: bool) -> None:
    await broker.place(PLACE)
    if is_sent:
        await broker.exit(EXIT)
    again = dhan_broker(desk)
    again.remember(frozenset(), {NAME: WantedExit(ExitReason.SQUARE_OFF, 10_100, 9_900)}, {})
    desk.price(101)
    last = [fact for fact in await again.snapshot() if fact.quantity][-1]
    assert last.kind is (BrokerUpdateKind.EXIT_FILLED if is_sent else BrokerUpdateKind.TARGET_FILLED)


async def test_a_part_fill_that_the_list_does_not_show_is_not_stripped(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.price(101)
    desk.world.faults.arm(Fault(FaultKind.PARTIAL_ENTRY, values={"pieces": 2}))
    await broker.place(PLACE)
    await freeze_supers(desk, monkeypatch)()
    desk.price(100)
    assert net(desk) == 5
    for call in (broker.cancel(CANCEL), broker.exit(EXIT)):
        with pytest.raises(Retryable, match="older than its trades"):
            await call
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
async def test_a_lost_stop_is_a_fact_of_its_own(desk: Desk, broker: DhanBroker, kind: FaultKind) -> None:
    await naked(desk, broker, kind)
    told = await broker.snapshot()
    assert kinds(told) == [BrokerUpdateKind.ENTRY_FILLED, BrokerUpdateKind.NAKED]
    assert told[-1].quantity == 10
    assert [fact.update_id for fact in await broker.snapshot()] == [fact.update_id for fact in told]


async def test_a_leg_cancelled_by_hand_is_a_lost_stop(desk: Desk, broker: DhanBroker) -> None:
    ack = await broker.place(PLACE)
    assert kinds(await broker.snapshot()) == [BrokerUpdateKind.ENTRY_FILLED]
    await desk.client.super_orders.cancel(ack.broker_order_id, LegName.STOP)
    assert kinds(await broker.snapshot()) == [BrokerUpdateKind.ENTRY_FILLED, BrokerUpdateKind.NAKED]


async def test_an_emergency_stop_closes_what_lost_its_own_and_no_more(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    await broker.protect(GUARD)
    await broker.protect(GUARD)  # once is enough
    assert await broker.find(GUARD) is not None
    assert kinds(await broker.snapshot()) == [BrokerUpdateKind.ENTRY_FILLED]
    desk.price(102)  # beyond the target that was taken away
    assert net(desk) == 10
    desk.price(99)
    desk.price(98)
    assert net(desk) == 0
    assert kinds(await broker.snapshot()) == [BrokerUpdateKind.ENTRY_FILLED, BrokerUpdateKind.STOP_FILLED]


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


async def test_a_guard_that_ends_is_told_again(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    first = (await broker.snapshot())[-1]
    guard = await broker.protect(GUARD)
    await desk.client.orders.cancel(guard.broker_order_id)
    again = (await broker.snapshot())[-1]
    assert again.kind is BrokerUpdateKind.NAKED
    assert again.update_id != first.update_id


async def test_what_has_no_exit_left_is_closed_by_an_order_of_its_own(desk: Desk, broker: DhanBroker) -> None:
    ack = await broker.place(PLACE)
    for leg in (LegName.STOP, LegName.TARGET):
        await desk.client.super_orders.cancel(ack.broker_order_id, leg)
    await broker.exit(EXIT)
    desk.price(100)
    assert net(desk) == 0
    await broker.exit(EXIT)  # nothing is left to close
    assert net(desk) == 0


async def test_no_guard_is_put_under_a_position_that_the_account_does_not_hold(
    desk: Desk, broker: DhanBroker
) -> None:
    await naked(desk, broker)
    desk.world.exchange.square_off()  # the broker's own, under no name of ours
    with pytest.raises(Rejected, match="no position"):
        await broker.protect(GUARD)
    assert net(desk) == 0


async def test_a_position_netted_by_another_order_of_ours_is_guarded_whole(
    desk: Desk, broker: DhanBroker
) -> None:
    await naked(desk, broker)
    other = {"correlation_id": "pABCBBBBBBBBBBBBBBBB", "side": Side.SELL, "quantity": 7}
    await broker.place(intent(IntentKind.PLACE, **other, stop_paise=10_300, target_paise=9_700))
    assert net(desk) == 3
    guard = await broker.protect(GUARD)
    row = await desk.client.orders.get(guard.broker_order_id)
    assert row is not None
    assert row.quantity == 10


async def test_below_the_stop_there_is_only_the_way_out(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    desk.price(98)
    with pytest.raises(Rejected, match="beyond its stop"):
        await broker.protect(GUARD)
    await broker.exit(EXIT)
    assert net(desk) == 0


async def test_a_guard_without_an_answer_is_not_sent_twice(desk: Desk, broker: DhanBroker) -> None:
    await naked(desk, broker)
    desk.world.faults.arm(Fault(FaultKind.LATE_ACCEPT, path="/orders", method="POST", values={"delay_s": 20}))
    with pytest.raises(OutcomeUnknown):
        await broker.protect(GUARD)
    with pytest.raises(Rejected, match="may still appear"):
        await broker.exit(EXIT)
    desk.world.advance_by(21)
    await broker.exit(EXIT)
    desk.price(100)
    assert net(desk) == 0
    assert len([o for o in desk.world.ledger.of("ORDER") if o.detail["correlation_id"] == f"{NAME}g"]) == 1

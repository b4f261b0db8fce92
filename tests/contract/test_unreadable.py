"""One row that makes no sense is neither a success nor a failure, and ends nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.brokers.dhan.broker import DhanBroker, Remembered
from adapters.brokers.dhan.http import DhanHttp
from propdesk.core.errors import Retryable
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, IntentKind
from tests.contract.conftest import Desk
from tests.contract.test_broker_matrix import NAME, PLACE, dhan_broker, intent
from tests.contract.test_protection import EXIT, GUARD, naked, net

OTHER = "pABCBBBBBBBBBBBBBBBB"
CANCEL = intent(IntentKind.CANCEL_ENTRY)
Spoil = Callable[..., None]


@pytest.fixture
def broker(desk: Desk) -> DhanBroker:
    return dhan_broker(desk)


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Make the last row of a list unreadable from now on; without a path no list any more."""
    real = DhanHttp.read

    def spoil(path: str = "", **fields: Any) -> None:
        async def read(self: DhanHttp, asked: str, **words: Any) -> Any:
            body = await real(self, asked, **words)
            return [*body[:-1], {**body[-1], **fields}] if asked == path and body else body

        monkeypatch.setattr(DhanHttp, "read", read)

    return spoil


def by_kind(facts: tuple[BrokerUpdate, ...], kind: BrokerUpdateKind) -> list[str]:
    return [fact.correlation_id for fact in facts if fact.kind is kind]


async def two_orders(broker: DhanBroker) -> None:
    await broker.place(PLACE)
    await broker.place(intent(IntentKind.PLACE, correlation_id=OTHER, price_low_paise=9_900,
                              price_high_paise=9_900, stop_paise=9_800))  # fmt: skip


@pytest.mark.parametrize("path", ["/super/orders", "/orders"])
async def test_an_unreadable_row_freezes_its_own_order_and_no_other(
    broker: DhanBroker, spoil: Spoil, path: str
) -> None:
    await two_orders(broker)
    spoil(path, quantity="ten and a half")
    told = await broker.snapshot()
    assert by_kind(told, BrokerUpdateKind.UNREADABLE) == [OTHER]
    assert by_kind(told, BrokerUpdateKind.ENTRY_FILLED) == [NAME]
    assert await broker.snapshot() == told, "told once"
    spoil()
    after = await broker.snapshot()
    assert by_kind(after, BrokerUpdateKind.READABLE) == [OTHER]
    assert by_kind(after, BrokerUpdateKind.UNREADABLE) == []


async def test_a_fill_that_cannot_be_read_ends_nothing(broker: DhanBroker, desk: Desk, spoil: Spoil) -> None:
    await broker.place(PLACE)
    desk.price(101)
    spoil("/trades", tradedQuantity="?", transactionType="?")
    told = await broker.snapshot()
    assert by_kind(told, BrokerUpdateKind.UNREADABLE) == [NAME]
    assert {fact.kind for fact in told} <= {
        BrokerUpdateKind.UNREADABLE, BrokerUpdateKind.ACKNOWLEDGED, BrokerUpdateKind.ENTRY_FILLED,
    }  # fmt: skip


async def test_a_row_that_names_nobody_may_be_of_any_order(broker: DhanBroker, spoil: Spoil) -> None:
    await two_orders(broker)
    spoil("/trades", orderId=None, securityId=None, transactionType="?")
    assert set(by_kind(await broker.snapshot(), BrokerUpdateKind.UNREADABLE)) == {NAME, OTHER, ""}


@pytest.mark.parametrize("security", [None, "999"], ids=["ours", "foreign"])
async def test_a_row_that_names_a_security_may_be_of_any_order_in_it(
    broker: DhanBroker, spoil: Spoil, security: str | None
) -> None:
    await two_orders(broker)
    changes = {} if security is None else {"securityId": security}
    spoil("/trades", orderId="777", correlationId=None, transactionType="?", **changes)
    expected = {NAME, OTHER} if security is None else set()
    assert set(by_kind(await broker.snapshot(), BrokerUpdateKind.UNREADABLE)) == expected


async def test_nothing_is_taken_away_or_added_while_in_doubt_but_the_way_out_stays_open(
    broker: DhanBroker, desk: Desk, spoil: Spoil
) -> None:
    await two_orders(broker)
    spoil("/trades", orderId=None, transactionType="?")
    for call in (broker.cancel(intent(IntentKind.CANCEL_ENTRY, correlation_id=OTHER)), broker.protect(GUARD)):
        with pytest.raises(Retryable, match="unreadable"):
            await call
    await broker.exit(EXIT)
    desk.price(100)
    assert net(desk) == 0


async def test_a_restart_knows_what_was_in_doubt(desk: Desk, broker: DhanBroker, spoil: Spoil) -> None:
    await broker.place(PLACE)
    spoil("/orders", quantity="?!", transactionType="?")
    (doubt,) = [f for f in await broker.snapshot() if f.kind is BrokerUpdateKind.UNREADABLE]
    again = dhan_broker(desk)
    again.remember(frozenset(), Remembered(in_doubt={NAME: doubt.update_id}))
    assert by_kind(await again.snapshot(), BrokerUpdateKind.UNREADABLE) == []
    spoil()
    assert by_kind(await again.snapshot(), BrokerUpdateKind.READABLE) == [NAME]


@pytest.mark.parametrize("legs", [[{"legName": "SL_LEG", "orderStatus": "PENDING"}], ["?"]])
async def test_a_leg_that_cannot_be_read_is_no_lost_stop(
    desk: Desk, broker: DhanBroker, spoil: Spoil, legs: list[Any]
) -> None:
    await broker.place(PLACE)
    spoil("/super/orders", legDetails=legs)
    await broker.snapshot()
    desk.world.advance_by(3)
    told = await broker.snapshot()
    assert by_kind(told, BrokerUpdateKind.UNREADABLE) == [NAME]
    assert by_kind(told, BrokerUpdateKind.NAKED) == []


@pytest.mark.parametrize(("security", "is_ours"), [("999", False), ("", True), (None, True)])
async def test_an_unreadable_position_bars_what_is_held_of_its_own_security_only(
    desk: Desk, broker: DhanBroker, monkeypatch: pytest.MonkeyPatch, security: str | None, is_ours: bool
) -> None:
    """Without a position no guard is put, and no exit of what others may have closed is moved."""
    await naked(desk, broker)
    await broker.snapshot()
    real = DhanHttp.read

    async def read(self: DhanHttp, asked: str, **words: Any) -> Any:
        body = await real(self, asked, **words)
        if asked != "/positions":
            return body
        odd = {**body[0], "netQty": "1.5"}
        return [*body, odd if security is None else {**odd, "securityId": security}]

    monkeypatch.setattr(DhanHttp, "read", read)
    if is_ours:
        with pytest.raises(Retryable, match=r"1\.5"):
            await broker.protect(GUARD)
    else:
        assert (await broker.protect(GUARD)).guard == 1

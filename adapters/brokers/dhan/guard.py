"""Plain orders for what a super order holds without a stop: the emergency stop and the way out (§5.7)."""

from typing import Final

from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.facts import Books, is_ours, standing_of
from adapters.brokers.dhan.model import LegName, OrderRow, OrderStatus, SuperOrderRow
from adapters.brokers.dhan.orders import OrderRequest
from adapters.brokers.dhan.protection import protected_price
from adapters.brokers.dhan.reading import read_books, require_certain, row_named
from propdesk.core.clock import NS_PER_SECOND, Clock
from propdesk.core.errors import OutcomeUnknown, Rejected, Retryable
from propdesk.core.ids import guard_id
from propdesk.model.enums import Product
from propdesk.model.instrument import Instrument

QUARANTINE_NS: Final = 75 * NS_PER_SECOND
"""How long a guard whose placing got no answer may still appear in the books."""


class Guards:
    """Places and moves the plain order that stands in for the exits of a super order.

    Parameters
    ----------
    client : DhanClient
    clock : Clock

    Notes
    -----
    A plain order against a position can reverse it, an exit of a super order cannot. So it leaves only when
    both exits are proved dead and the position was read again, for no more than is held; there is one per
    super order, which is moved and never doubled.
    """

    def __init__(self, client: DhanClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._unanswered: dict[str, int] = {}

    async def protect(self, name: str, stop_paise: int, instrument: Instrument, last_paise: int) -> str:
        """Put a stop under what is held of super order ``name``; gives the id of the order that guards it.

        Raises
        ------
        Rejected
            If nothing can guard it any more: an exit under way, no position, a price beyond the stop.
        Retryable
            If the books do not show yet that both exits are gone.
        """
        books = await read_books(self._client)
        require_certain(books, name)
        row = row_named(books, name)
        standing = standing_of(row, books)
        if standing.open_quantity == 0:
            return row.order.order_id
        if standing.guard is not None:
            return standing.guard.order_id
        stop = row.leg(LegName.STOP)
        if stop is not None and not stop.status.is_dead:
            # only a stop that lives can be moved, to where it should be
            return (await self._client.super_orders.modify_stop(row.order.order_id, stop_paise)).order_id
        if row.order.side.sign * (last_paise - stop_paise) <= 0:
            raise Rejected(f"The price of {name} is beyond its stop: there is only the way out.")
        row, books = await self._without_exits(row)
        return await self._place(row, books, instrument, stop_paise, trigger_paise=stop_paise)

    async def move(self, guard: OrderRow, stop_paise: int, instrument: Instrument) -> None:
        """Move a guard's trigger."""
        await self._client.orders.modify(
            guard.order_id,
            order_type="STOP_LOSS",
            quantity=guard.quantity,
            price_paise=protected_price(stop_paise, guard.side, instrument),
            trigger_paise=stop_paise,
        )

    async def close(self, row: SuperOrderRow, price_paise: int, instrument: Instrument) -> None:
        """Close what is held of a super order without live exits, at a marketable price.

        Raises
        ------
        Rejected, Retryable
            As `protect`.
        """
        row, books = await self._without_exits(row)
        guard = standing_of(row, books).guard
        if guard is not None:
            await self._client.orders.modify(
                guard.order_id, order_type="LIMIT", quantity=guard.quantity, price_paise=price_paise
            )
            return
        await self._place(row, books, instrument, price_paise, trigger_paise=None)

    async def _without_exits(self, row: SuperOrderRow) -> tuple[SuperOrderRow, Books]:
        """Take a target that is left away and read everything again."""
        target = row.leg(LegName.TARGET)
        if target is not None and not target.status.is_dead:
            if target.status in (OrderStatus.TRIGGERED, OrderStatus.TRADED):
                raise Rejected(f"An exit of super order {row.order.order_id} is under way.")
            await self._client.super_orders.cancel(row.order.order_id, LegName.TARGET)
        books = await read_books(self._client)
        require_certain(books, row.order.correlation_id)
        row = row_named(books, row.order.correlation_id)
        if any(not leg.status.is_dead for leg in row.legs):
            raise Retryable(f"Super order {row.order.order_id} still shows an exit; nothing was sent.")
        return row, books

    async def _place(
        self,
        row: SuperOrderRow,
        books: Books,
        instrument: Instrument,
        price_paise: int,
        *,
        trigger_paise: int | None,
    ) -> str:
        head, now_ns = row.order, self._clock.now_ns()
        since_ns = self._unanswered.get(head.correlation_id)
        if since_ns is not None and now_ns - since_ns < QUARANTINE_NS:
            raise Rejected(f"A guard of super order {head.order_id} may still appear: no second one is sent.")
        units = await self._held(row, books)
        if units <= 0:
            raise Rejected(f"Dhan shows no position of super order {head.order_id}.")
        side = head.side.opposite
        limit = price_paise if trigger_paise is None else protected_price(price_paise, side, instrument)
        request = OrderRequest(
            guard_id(head.correlation_id),
            side,
            head.exchange_segment,
            head.security_id,
            Product(head.product),
            units,
            limit,
            trigger_paise,
        )
        try:
            placed = await self._client.orders.place(request)
        except OutcomeUnknown:
            self._unanswered[head.correlation_id] = now_ns
            raise
        return placed.order_id

    async def _held(self, row: SuperOrderRow, books: Books) -> int:
        """Units of a super order that the account's position still has room for.

        The position is one number for all our orders in a security, long and short: what it falls short of
        their sum was closed by somebody else, and is taken off this order.
        """
        key = _security(row.order)
        expected = sum(
            one.order.side.sign * standing_of(one, books).open_quantity
            for one in books.supers
            if _security(one.order) == key and is_ours(one.order.correlation_id)
        )
        net = sum(
            one.net_quantity
            for one in await self._client.portfolio.positions()
            if (one.exchange_segment, one.security_id, one.product) == key
        )
        closed_elsewhere = max(0, row.order.side.sign * (expected - net))
        return max(0, standing_of(row, books).open_quantity - closed_elsewhere)


def _security(order: OrderRow) -> tuple[str, str, str]:
    return order.exchange_segment, order.security_id, order.product

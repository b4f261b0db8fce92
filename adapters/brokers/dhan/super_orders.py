"""Super orders: entry, target and stop under one order id."""

from dataclasses import dataclass
from typing import Any

from adapters.brokers.dhan import parse
from adapters.brokers.dhan.http import DhanHttp
from adapters.brokers.dhan.model import LegName, Listing, Placed, SuperOrderRow
from adapters.brokers.dhan.orders import rupees
from propdesk.core.invariant import require
from propdesk.core.limits import CORRELATION_ID_LENGTH_MAX
from propdesk.model.enums import Product, Side


@dataclass(frozen=True, slots=True)
class SuperOrderRequest:
    """A limit entry with its exits; prices in paise, None where an exit is not wanted.

    There is no trigger entry and no market entry: the first cannot be expressed at Dhan, the second is turned
    into a limit by the broker, so the caller names the limit.
    """

    correlation_id: str
    side: Side
    exchange_segment: str
    security_id: str
    product: Product
    quantity: int
    price_paise: int
    target_paise: int | None
    stop_paise: int | None


class SuperOrders:
    """Calls around ``/super/orders``."""

    def __init__(self, http: DhanHttp) -> None:
        self._http = http

    async def place(self, order: SuperOrderRequest, *, leave_by_ns: int | None = None) -> Placed:
        """Place a super order; raises `Refusal`, `OutcomeUnknown`, or `TooLate` where it could not leave."""
        require(0 < len(order.correlation_id) <= CORRELATION_ID_LENGTH_MAX, "correlation id out of bounds")
        require(order.quantity > 0 and order.price_paise > 0, "a super order has a quantity and a price")
        body = {
            "correlationId": order.correlation_id,
            "transactionType": order.side.value,
            "exchangeSegment": order.exchange_segment,
            "productType": order.product.value,
            "orderType": "LIMIT",
            "securityId": order.security_id,
            "quantity": order.quantity,
            "price": rupees(order.price_paise),
            "targetPrice": rupees(order.target_paise or 0),
            "stopLossPrice": rupees(order.stop_paise or 0),
            "trailingJump": 0.0,
        }
        return parse.placed(await self._http.write("POST", "/super/orders", body, leave_by_ns=leave_by_ns))

    async def modify_entry(self, row: SuperOrderRow, *, quantity: int, price_paise: int) -> Placed:
        """Change quantity and price of an entry that has not filled; the exits stay where ``row`` has them.

        Notes
        -----
        Every number left out of this call is taken as 0, so all of them are repeated.
        """
        target, stop = row.leg(LegName.TARGET), row.leg(LegName.STOP)
        body = {
            "orderType": row.order.order_type or "LIMIT",
            "quantity": quantity,
            "price": rupees(price_paise),
            "targetPrice": rupees(target.price_paise if target else 0),
            "stopLossPrice": rupees(stop.price_paise if stop else 0),
            "trailingJump": rupees(stop.trailing_paise if stop else 0),
        }
        return await self._modify(row.order.order_id, LegName.ENTRY, body)

    async def modify_target(self, order_id: str, target_paise: int) -> Placed:
        """Move the target to an absolute price."""
        return await self._modify(order_id, LegName.TARGET, {"targetPrice": rupees(target_paise)})

    async def modify_stop(self, order_id: str, stop_paise: int, *, trailing_paise: int = 0) -> Placed:
        """Move the stop to an absolute price; ``trailing_paise`` 0 ends the broker's own trailing."""
        body = {"stopLossPrice": rupees(stop_paise), "trailingJump": rupees(trailing_paise)}
        return await self._modify(order_id, LegName.STOP, body)

    async def cancel(self, order_id: str, leg: LegName = LegName.ENTRY) -> Placed:
        """Cancel a leg; a cancelled exit can never come back, ENTRY cancels everything.

        Never a way to close a position: of a filled entry it would only take the exits away.
        """
        require(leg is not LegName.NONE, "a leg has a name")
        return parse.placed(await self._http.write("DELETE", f"/super/orders/{order_id}/{leg.value}"))

    async def read(self) -> Listing[SuperOrderRow]:
        """Read today's super orders, and which rows could not be read."""
        body = await self._http.read_soon("/super/orders")
        return parse.listing(
            parse.rows_of(body, "super order list"), parse.super_order_row, "super order list"
        )

    async def _modify(self, order_id: str, leg: LegName, fields: dict[str, Any]) -> Placed:
        body = {"orderId": order_id, "legName": leg.value, **fields}
        return parse.placed(await self._http.write("PUT", f"/super/orders/{order_id}", body))

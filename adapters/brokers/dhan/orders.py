"""Plain orders and the books."""

from dataclasses import dataclass
from typing import Any, Final

from adapters.brokers.dhan import parse
from adapters.brokers.dhan.http import DhanHttp
from adapters.brokers.dhan.model import Listing, OrderRow, Placed, TradeRow
from propdesk.core.invariant import require
from propdesk.core.limits import CORRELATION_ID_LENGTH_MAX
from propdesk.model.enums import Product, Side

HISTORY_PAGES_MAX: Final = 500
"""Pages of the trade history read at most."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A plain order; prices in paise. ``trigger_paise`` makes it a stop order with a limit."""

    correlation_id: str
    side: Side
    exchange_segment: str
    security_id: str
    product: Product
    quantity: int
    price_paise: int | None
    trigger_paise: int | None = None
    validity: str = "DAY"
    is_after_market: bool = False

    @property
    def order_type(self) -> str:
        """LIMIT, MARKET (no price) or STOP_LOSS; a stop without limit is never sent.

        The broker turns STOP_LOSS_MARKET into a limit order that is marketable at once.
        """
        if self.trigger_paise is not None:
            return "STOP_LOSS"
        return "MARKET" if self.price_paise is None else "LIMIT"


def rupees(paise: int) -> float:
    """Give paise as the JSON number of rupees; exact as text for any price."""
    return paise / 100


def order_body(order: OrderRequest) -> dict[str, Any]:
    """Write the body of a placement: a field that does not apply has no key (an empty one is refused)."""
    require(0 < len(order.correlation_id) <= CORRELATION_ID_LENGTH_MAX, "correlation id out of bounds")
    require(order.quantity > 0, "an order has a quantity")
    require(order.trigger_paise is None or order.price_paise is not None, "a stop order has a limit")
    body: dict[str, Any] = {
        "correlationId": order.correlation_id,
        "transactionType": order.side.value,
        "exchangeSegment": order.exchange_segment,
        "productType": order.product.value,
        "orderType": order.order_type,
        "validity": order.validity,
        "securityId": order.security_id,
        "quantity": order.quantity,
        "price": rupees(order.price_paise or 0),
    }
    if order.trigger_paise is not None:
        body["triggerPrice"] = rupees(order.trigger_paise)
    if order.is_after_market:
        body |= {"afterMarketOrder": True, "amoTime": "OPEN"}
    return body


class Orders:
    """Calls around ``/orders`` and ``/trades``."""

    def __init__(self, http: DhanHttp) -> None:
        self._http = http

    async def place(self, order: OrderRequest) -> Placed:
        """Place one order; raises `Refusal` or `OutcomeUnknown`."""
        return parse.placed(await self._http.write("POST", "/orders", order_body(order)))

    async def modify(
        self,
        order_id: str,
        *,
        order_type: str,
        quantity: int,
        price_paise: int,
        trigger_paise: int | None = None,
    ) -> Placed:
        """Replace all terms of a resting order; ``quantity`` is the order's total, not what is left."""
        body: dict[str, Any] = {
            "orderId": order_id,
            "orderType": order_type,
            "quantity": quantity,
            "price": rupees(price_paise),
            "validity": "DAY",
        }
        if trigger_paise is not None:
            body["triggerPrice"] = rupees(trigger_paise)
        return parse.placed(await self._http.write("PUT", f"/orders/{order_id}", body))

    async def cancel(self, order_id: str) -> Placed:
        """Cancel a resting order."""
        return parse.placed(await self._http.write("DELETE", f"/orders/{order_id}"))

    async def read(self) -> Listing[OrderRow]:
        """Read today's orders, and which rows could not be read."""
        return _orders(await self._http.read_soon("/orders"))

    async def read_trades(self) -> Listing[TradeRow]:
        """Read today's fills, each once, and which rows could not be read."""
        return _trades(await self._http.read_soon("/trades"))

    async def trade_history(self, first: str, last: str) -> tuple[TradeRow, ...]:
        """Read the fills of a closed interval of ISO days, page after page."""
        found: dict[str, TradeRow] = {}
        for page in range(HISTORY_PAGES_MAX):
            rows = _trades(await self._http.read(f"/trades/{first}/{last}/{page}")).whole()
            fresh = {row.trade_id: row for row in rows if row.trade_id not in found}
            if not fresh:
                break
            found |= fresh
        return tuple(found.values())


def _orders(body: Any) -> Listing[OrderRow]:
    return parse.listing(parse.rows_of(body, "order book"), parse.order_row, "order book")


def _trades(body: Any) -> Listing[TradeRow]:
    found = parse.listing(parse.rows_of(body, "trade book"), parse.trade_row, "trade book")
    return Listing(tuple({row.trade_id: row for row in found.rows}.values()), found.unreadable)

"""Positions, holdings, funds and margins."""

from collections.abc import Sequence
from typing import Any, Final

from adapters.brokers.dhan import parse
from adapters.brokers.dhan.faults import Refusal
from adapters.brokers.dhan.http import DhanHttp, Pace
from adapters.brokers.dhan.model import Funds, HoldingRow, Listing, Margin, PositionRow
from adapters.brokers.dhan.orders import OrderRequest, rupees
from propdesk.model.enums import Product

_NO_HOLDINGS: Final = "DH-1111"


class Portfolio:
    """What the account holds and could afford."""

    def __init__(self, http: DhanHttp) -> None:
        self._http = http

    async def positions(self) -> Listing[PositionRow]:
        """Read the day's positions, flat ones included, and which rows could not be read."""
        body = await self._http.read_soon("/positions")
        return parse.listing(parse.rows_of(body, "positions"), parse.position_row, "positions")

    async def exit_all(self) -> None:
        """Ask the broker to close every position; verify by `positions`, its answer proves nothing."""
        await self._http.write("DELETE", "/positions")

    async def convert(self, position: PositionRow, quantity: int, to: Product) -> None:
        """Convert a position to another product."""
        body = {
            "fromProductType": position.product,
            "exchangeSegment": position.exchange_segment,
            "positionType": "LONG" if position.net_quantity > 0 else "SHORT",
            "securityId": position.security_id,
            "convertQty": quantity,
            "toProductType": to.value,
        }
        await self._http.write("POST", "/positions/convert", body)

    async def holdings(self) -> Listing[HoldingRow]:
        """Read the demat holdings, and which rows could not be read; Dhan words "none" as an error."""
        try:
            body = await self._http.read_soon("/holdings")
        except Refusal as refusal:
            if refusal.code == _NO_HOLDINGS:
                return Listing((), ())
            raise
        return parse.listing(parse.rows_of(body, "holdings"), parse.holding_row, "holdings")

    async def funds(self) -> Funds:
        """Read the account's money."""
        return parse.funds(await self._http.read("/fundlimit"))

    async def margin(self, order: OrderRequest) -> Margin:
        """Ask what an order would block."""
        return parse.margin(await self._http.ask("/margincalculator", _margin_body(order), pace=Pace.BOOK))

    async def basket_margin(self, orders: Sequence[OrderRequest], *, with_positions: bool = True) -> Margin:
        """Ask what several orders would block together, hedges credited."""
        body = {
            "includePosition": with_positions,
            "includeOrder": with_positions,
            "scripList": [_margin_body(order) for order in orders],
        }
        return parse.margin(await self._http.ask("/margincalculator/multi", body, pace=Pace.BOOK))


def _margin_body(order: OrderRequest) -> dict[str, Any]:
    return {
        "exchangeSegment": order.exchange_segment,
        "transactionType": order.side.value,
        "quantity": order.quantity,
        "productType": order.product.value,
        "securityId": order.security_id,
        "price": rupees(order.price_paise or 0),
        "triggerPrice": rupees(order.trigger_paise or 0),
    }

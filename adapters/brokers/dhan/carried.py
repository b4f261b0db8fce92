"""Orders of earlier days that are still open: Dhan lists them no more, so the books are told of them.

Super orders live one day. What one of them left open is held on, and is wanted under a stop today: seen as an
order that has filled and whose exits have lapsed, it is naked until a plain stop rests for it, as any other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from adapters.brokers.dhan.facts import Filled
from adapters.brokers.dhan.model import (
    HoldingRow,
    LegName,
    OrderRow,
    OrderStatus,
    PositionRow,
    SuperLeg,
    SuperOrderRow,
    TradeRow,
)
from propdesk.model.enums import Product, Side
from propdesk.model.instrument import Instrument

_DELIVERED: Final = (Product.CNC, Product.MTF)
"""Products whose positions become holdings over night."""


@dataclass(frozen=True, slots=True)
class CarriedOrder:
    """What an order of an earlier day left open when today began.

    Attributes
    ----------
    order_id : str
        The broker's, of that day.
    filled, exited : int
        Units that the entry filled, and those of them that were closed before today.
    exited_paise : int
        Sum of price x quantity of the latter.
    """

    correlation_id: str
    order_id: str
    side: Side
    instrument: Instrument
    product: Product
    filled: int
    exited: int
    exited_paise: int

    @property
    def closed(self) -> Filled:
        """What was closed of it before today."""
        return Filled(self.exited, self.exited_paise, 0)

    @property
    def is_delivered(self) -> bool:
        """Whether what it holds is a holding by now, no position."""
        return self.product in _DELIVERED


def carried_row(order: CarriedOrder, last_paise: int) -> SuperOrderRow:
    """Write the row that Dhan would list of an order if it listed those of earlier days."""
    units = order.filled - order.exited
    head = OrderRow(
        order_id=order.order_id,
        correlation_id=order.correlation_id,
        algo_id="",
        status=OrderStatus.TRADED,
        status_text="",
        side=order.side,
        exchange_segment=order.instrument.exchange_segment,
        security_id=order.instrument.security_id,
        product=order.product.value,
        order_type="LIMIT",
        leg=LegName.ENTRY,
        quantity=units,
        filled_quantity=units,
        remaining_quantity=0,
        price_paise=0,
        trigger_paise=0,
        average_paise=0,
        reason="",
        created_ns=None,
        updated_ns=None,
    )
    exits = (LegName.STOP, LegName.TARGET)
    legs = (SuperLeg(order.order_id, name, OrderStatus.EXPIRED, 0, units, 0, 0, 0) for name in exits)
    return SuperOrderRow(head, tuple(legs), last_paise)


def with_history(order: CarriedOrder, trades: Iterable[TradeRow]) -> tuple[CarriedOrder, Filled | None]:
    """Add what the trade history of earlier days shows of an entry; None where it shows less than is known.

    It may fill up to its close without anybody to hear it. A history that lacks fills which were told is
    none to go by.
    """
    own = [one for one in trades if one.order_id == order.order_id and one.side is order.side]
    units = sum(one.quantity for one in own)
    if not own or units < order.filled:
        return order, None
    notional = sum(one.quantity * one.price_paise for one in own)
    bought = Filled(units, notional, max(one.at_ns or 0 for one in own))
    return replace(order, filled=units), bought


def with_holdings(
    positions: Sequence[PositionRow], holdings: Sequence[HoldingRow], carried: Sequence[CarriedOrder]
) -> tuple[PositionRow, ...]:
    """Add shares to the positions that were bought on an earlier day and are carried.

    From the second day on delivery shares are holdings; what is sold of them today is a short position.
    """
    shares = {row.security_id: row.quantity for row in holdings}
    found = list(positions)
    for order in carried:
        segment, security = order.instrument.exchange_segment, order.instrument.security_id
        units = shares.pop(security, None) if order.is_delivered else None
        if units is not None:
            name = order.instrument.instrument_key
            product = order.product.value
            found.append(PositionRow(segment, security, product, name, units, units, 0, 0, 0, 0, 0))
    return tuple(found)

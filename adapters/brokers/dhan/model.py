"""What Dhan tells, as typed values: prices in paise, quantities in units, moments in ns UTC."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Generic, TypeVar

from propdesk.core.errors import SchemaFault
from propdesk.model.enums import OptionType, Side

T = TypeVar("T")


class OrderStatus(StrEnum):
    """State of an order as Dhan words it; a word we do not know is UNKNOWN and ends nothing.

    Notes
    -----
    TRANSIT: did not reach the exchange yet, may still be refused. CLOSED: entry done and an exit leg
    *placed*, which proves no flat position. TRIGGERED: the leg was sent to the exchange, not filled.
    """

    TRANSIT = "TRANSIT"
    PENDING = "PENDING"
    PART_TRADED = "PART_TRADED"
    TRADED = "TRADED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    CLOSED = "CLOSED"
    TRIGGERED = "TRIGGERED"
    CONFIRM = "CONFIRM"
    UNKNOWN = "UNKNOWN"

    @property
    def is_dead(self) -> bool:
        """Whether nothing more of it can fill, on the broker's own word."""
        return self in (OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.EXPIRED)


class LegName(StrEnum):
    """Parts of a super order; NA stands on ordinary orders and for words we do not know."""

    ENTRY = "ENTRY_LEG"
    TARGET = "TARGET_LEG"
    STOP = "STOP_LOSS_LEG"
    NONE = "NA"


@dataclass(frozen=True, slots=True)
class Placed:
    """Dhan's answer to placing, modifying or cancelling."""

    order_id: str
    status: OrderStatus


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One row of the order book. ``status_text`` is the word on the wire; texts are empty where unknown."""

    order_id: str
    correlation_id: str
    algo_id: str
    status: OrderStatus
    status_text: str
    side: Side
    exchange_segment: str
    security_id: str
    product: str
    order_type: str
    leg: LegName
    quantity: int
    filled_quantity: int
    remaining_quantity: int
    price_paise: int
    trigger_paise: int
    average_paise: int
    reason: str
    created_ns: int | None
    updated_ns: int | None


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row of a book that could not be read, with what of it names an order; ``text`` says what is wrong."""

    book: str
    order_id: str
    correlation_id: str
    security_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list as Dhan sent it: what could be read, and what not."""

    rows: tuple[T, ...]
    unreadable: tuple[UnreadableRow, ...]

    def whole(self) -> tuple[T, ...]:
        """Give the rows of a list without holes.

        Raises
        ------
        SchemaFault
            If a row is unreadable: a list with a hole must not pass for the whole.
        """
        if self.unreadable:
            hole = self.unreadable[0]
            raise SchemaFault(f"Dhan sent an unreadable row of the {hole.book}: {hole.text}")
        return self.rows

    def whole_of(self, securities: Collection[str]) -> tuple[T, ...]:
        """Give the rows of a list without holes where these securities may be.

        Raises
        ------
        SchemaFault
            If a row is unreadable that names one of them, or none at all.
        """
        near = (hole for hole in self.unreadable if not hole.security_id or hole.security_id in securities)
        return Listing(self.rows, tuple(near)).whole()


@dataclass(frozen=True, slots=True)
class SuperLeg:
    """An exit leg of a super order. ``triggered_quantity`` is how much was placed, not filled."""

    order_id: str
    name: LegName
    status: OrderStatus
    price_paise: int
    quantity: int
    remaining_quantity: int
    triggered_quantity: int
    trailing_paise: int


@dataclass(frozen=True, slots=True)
class SuperOrderRow:
    """One super order with its exit legs; ``last_price_paise`` is 0 where Dhan told none."""

    order: OrderRow
    legs: tuple[SuperLeg, ...]
    last_price_paise: int

    def leg(self, name: LegName) -> SuperLeg | None:
        """Give an exit leg; None where there is none (any more)."""
        return next((leg for leg in self.legs if leg.name is name), None)


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One fill; ``trade_id`` (the exchange's) is its key."""

    trade_id: str
    order_id: str
    side: Side
    exchange_segment: str
    security_id: str
    product: str
    quantity: int
    price_paise: int
    at_ns: int | None


@dataclass(frozen=True, slots=True)
class PositionRow:
    """A net position; key = (exchange_segment, security_id, product); flat ones stay listed for the day."""

    exchange_segment: str
    security_id: str
    product: str
    trading_symbol: str
    net_quantity: int
    buy_quantity: int
    sell_quantity: int
    buy_average_paise: int
    sell_average_paise: int
    realised_paise: int
    unrealised_paise: int


@dataclass(frozen=True, slots=True)
class HoldingRow:
    """Shares in the demat account."""

    security_id: str
    trading_symbol: str
    isin: str
    quantity: int
    available_quantity: int
    average_paise: int


@dataclass(frozen=True, slots=True)
class Funds:
    """Money of the account, paise; ``available_paise`` includes pledged collateral."""

    available_paise: int
    start_of_day_paise: int
    collateral_paise: int
    utilised_paise: int
    withdrawable_paise: int

    @property
    def cash_paise(self) -> int:
        """Available money without collateral."""
        return self.available_paise - self.collateral_paise


@dataclass(frozen=True, slots=True)
class Margin:
    """Margin of an order or a basket, paise; ``insufficient_paise`` > 0 = would be refused."""

    total_paise: int
    span_paise: int
    exposure_paise: int
    available_paise: int
    insufficient_paise: int
    brokerage_paise: int


@dataclass(frozen=True, slots=True)
class PnlExit:
    """Broker-side back-stop: flatten at this profit or loss of the day (absolute, paise)."""

    is_active: bool
    profit_paise: int
    loss_paise: int
    enables_kill_switch: bool


@dataclass(frozen=True, slots=True)
class Candle:
    """One bar; start in ns UTC, prices in paise."""

    start_ns: int
    open_paise: int
    high_paise: int
    low_paise: int
    close_paise: int
    volume: int
    open_interest: int


@dataclass(frozen=True, slots=True)
class ChainSide:
    """A call or put of an option chain; ``security_id`` empty where Dhan sends none."""

    strike_paise: int
    option_type: OptionType
    security_id: str
    last_paise: int
    previous_close_paise: int
    bid_paise: int
    ask_paise: int
    bid_quantity: int
    ask_quantity: int
    open_interest: int
    previous_open_interest: int
    volume: int
    implied_volatility: float
    delta: float
    theta: float
    gamma: float
    vega: float


@dataclass(frozen=True, slots=True)
class OptionChain:
    """Options of one expiry; ``sides`` by strike, call before put."""

    underlying_paise: int
    expiry: date
    sides: tuple[ChainSide, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """Last price and day's range of one instrument; 0 where Dhan told none."""

    exchange_segment: str
    security_id: str
    last_paise: int
    open_paise: int
    high_paise: int
    low_paise: int
    close_paise: int
    volume: int
    lower_circuit_paise: int
    upper_circuit_paise: int


@dataclass(frozen=True, slots=True)
class OrderAlert:
    """One message of the order-update stream; may be lost, repeated and late.

    ``parent_order_id`` names the entry's order for an exit leg, else empty.
    """

    order_id: str
    parent_order_id: str
    correlation_id: str
    status: OrderStatus
    status_text: str
    leg: LegName
    quantity: int
    traded_quantity: int
    average_paise: int
    reason: str
    updated_ns: int | None

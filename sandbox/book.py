"""Orders, super orders, fills and positions of the simulated account: plain mutable state."""

from dataclasses import dataclass, field
from enum import StrEnum

from propdesk.execution.matching import SuperOrder
from propdesk.model.enums import Side
from sandbox.catalogue import Listing


class Role(StrEnum):
    """What an order is; the value is the leg's name on the wire."""

    PLAIN = "NA"
    ENTRY = "ENTRY_LEG"
    TARGET = "TARGET_LEG"
    STOP = "STOP_LOSS_LEG"


class Status(StrEnum):
    """Words on the wire."""

    TRANSIT = "TRANSIT"
    PENDING = "PENDING"
    PART_TRADED = "PART_TRADED"
    TRADED = "TRADED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    CLOSED = "CLOSED"
    TRIGGERED = "TRIGGERED"


LIVE = frozenset({Status.TRANSIT, Status.PENDING, Status.PART_TRADED})
"""States in which an order may still fill."""


@dataclass(slots=True)
class Order:
    """One order at the exchange; prices in paise, 0 = none.

    Attributes
    ----------
    resting : SuperOrder or None
        Its side in the matching core; None until it reaches the exchange.
    pieces : int
        In how many fills it will be done, one per price that reaches it.
    is_blocked : bool
        It rests but never fills (a fault).
    """

    order_id: str
    role: Role
    correlation_id: str
    side: Side
    listing: Listing
    product: str
    order_type: str
    validity: str
    quantity: int
    price_paise: int
    trigger_paise: int
    source: str
    created_ns: int
    updated_ns: int
    status: Status = Status.TRANSIT
    parent: "Super | None" = None
    filled: int = 0
    notional: int = 0
    triggered: int = 0
    modifications: int = 0
    reason: str = ""
    exchange_id: str = "0"
    resting: SuperOrder | None = None
    pieces: int = 1
    is_blocked: bool = False
    is_hidden: bool = False
    is_after_market: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it may still fill."""
        return self.status in LIVE

    @property
    def left(self) -> int:
        """Units not filled."""
        return self.quantity - self.filled

    @property
    def average_paise(self) -> int:
        """Average fill price, halves up; 0 without fills."""
        return (2 * self.notional + self.filled) // (2 * self.filled) if self.filled else 0


@dataclass(slots=True)
class Super:
    """Entry and exits of a super order.

    Attributes
    ----------
    exits : SuperOrder or None
        What is filled, with its stop and target, in the matching core; None before any fill.
    trailing_paise : int
        0 = the stop does not trail.
    trail_base : (int, int) or None
        Price and stop from which whole jumps are counted.
    """

    entry: Order
    legs: dict[Role, Order] = field(default_factory=dict)
    exits: SuperOrder | None = None
    trailing_paise: int = 0
    trail_base: tuple[int, int] | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing of it can fill any more."""
        legs_live = any(leg.is_live for leg in self.legs.values())
        return not self.entry.is_live and not (self.entry.filled and legs_live)


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution."""

    trade_id: str
    order: Order
    quantity: int
    price_paise: int
    at_ns: int


@dataclass(slots=True)
class Position:
    """Units and money of one security under one product, today."""

    listing: Listing
    product: str
    bought: int = 0
    sold: int = 0
    buy_notional: int = 0
    sell_notional: int = 0

    @property
    def net(self) -> int:
        """Signed open units."""
        return self.bought - self.sold

    @property
    def realised_paise(self) -> int:
        """Profit of the matched units, paise."""
        matched = min(self.bought, self.sold)
        if not matched:
            return 0
        return matched * self.sell_notional // self.sold - matched * self.buy_notional // self.bought

    def unrealised_paise(self, last_paise: int) -> int:
        """Profit of the open units at a price, paise."""
        if not self.net:
            return 0
        if self.net > 0:
            return self.net * last_paise - self.net * self.buy_notional // self.bought
        return -self.net * self.sell_notional // self.sold + self.net * last_paise


def average(notional: int, quantity: int) -> float:
    """Average in rupees; 0 without units."""
    return round(notional / quantity / 100, 2) if quantity else 0.0

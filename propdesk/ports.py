"""What the domain and the daemon's tasks ask of the outside world."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from propdesk.core.clock import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from propdesk.model.messages import BrokerUpdate, OrderIntent

Spread: TypeAlias = Callable[..., Iterable[Any]]
"""`map`, or what gives the same in the same order but works on several items at once."""


@dataclass(frozen=True, slots=True)
class BarArrays:
    """Bars of one symbol, oldest first; one contiguous array per column.

    Attributes
    ----------
    start_ns : ndarray of int64, shape (n,)
        Start of each bar, ns UTC, strictly rising.
    open_paise, high_paise, low_paise, close_paise : ndarray of int64, shape (n,)
        Prices, paise.
    volume : ndarray of int64, shape (n,)
        Units traded; -1 where unknown.
    interval_ns : int
        Length of a bar.
    """

    start_ns: NDArray[np.int64]
    open_paise: NDArray[np.int64]
    high_paise: NDArray[np.int64]
    low_paise: NDArray[np.int64]
    close_paise: NDArray[np.int64]
    volume: NDArray[np.int64]
    interval_ns: int

    def take(self, rows: "NDArray[np.int64] | slice") -> "BarArrays":
        """Pick bars by position: of a slice parts of the same arrays, of positions copies."""
        return BarArrays(
            self.start_ns[rows],
            self.open_paise[rows],
            self.high_paise[rows],
            self.low_paise[rows],
            self.close_paise[rows],
            self.volume[rows],
            self.interval_ns,
        )


class PriceSource(Protocol):
    """Stored prices; keys as in `propdesk.model.instrument`."""

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        """Minute bars of the closed interval of IST days; a key without data is absent."""
        ...

    def ticks(
        self, price_keys: Sequence[str], first: date, last: date
    ) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Ticks (ns UTC rising, paise) of the closed interval of IST days; a key without data is absent."""
        ...

    def daily_bars(
        self, price_keys: Sequence[str], first: date, last: date, *, from_minutes: bool = True
    ) -> dict[str, BarArrays]:
        """Daily bars (start = IST midnight); a key without data is absent.

        A day without a daily row has one built from its minutes, unless ``from_minutes`` is false.
        """
        ...


@dataclass(frozen=True, slots=True)
class BrokerAck:
    """The broker took an order; ``guard`` is the generation placed for it (`OrderIntent`), 0 = none."""

    correlation_id: str
    broker_order_id: str
    guard: int = 0


@dataclass(frozen=True, slots=True)
class OrderRates:
    """Calls to the broker allowed per window (§5.7); ``reserve_share`` is kept for exits and protection."""

    per_second: int = 9
    per_minute: int = 240
    per_hour: int = 950
    per_day: int = 6_800
    reserve_share: float = 0.2

    @property
    def windows(self) -> tuple[tuple[int, int], ...]:
        """Window length in ns and calls allowed in it."""
        return (
            (NS_PER_SECOND, self.per_second),
            (NS_PER_MINUTE, self.per_minute),
            (NS_PER_HOUR, self.per_hour),
            (NS_PER_DAY, self.per_day),
        )


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker can do, so that the daemon does the rest itself (§5.8).

    ``order_rates``: how often it may be called; None = as often as one likes.
    ``absence_is_proof``: a call of a dead process that is not in the broker's lists was never accepted and
    never will be (a broker inside this process); of a real broker absence proves nothing.
    """

    has_super_orders: bool
    has_trigger_entries: bool
    absence_is_proof: bool = False
    order_rates: OrderRates | None = None


class Broker(Protocol):
    """Small broker interface (§5.8). Faults: `propdesk.core.errors.BrokerFault` and its children."""

    @property
    def capabilities(self) -> Capabilities:
        """What this broker can do."""
        ...

    @property
    def writes(self) -> int:
        """Calls so far that could have changed something there: an intent may take none, or several."""
        ...

    async def place(self, intent: OrderIntent, *, leave_by_ns: int | None = None) -> BrokerAck:
        """Place a super order (entry, stop, target).

        It leaves by ``leave_by_ns`` of the process's own time (`time.monotonic_ns`) or not at all: `TooLate`.
        """
        ...

    async def modify(self, intent: OrderIntent) -> BrokerAck:
        """Move the stop or target of a super order to an absolute price."""
        ...

    async def cancel(self, intent: OrderIntent) -> BrokerAck:
        """Cancel an unfilled entry."""
        ...

    async def exit(self, intent: OrderIntent) -> BrokerAck:
        """Close what is filled at a marketable price."""
        ...

    async def protect(self, intent: OrderIntent) -> BrokerAck:
        """Put a stop under what is filled of an order that has none any more."""
        ...

    async def neutralise(self, intent: OrderIntent) -> BrokerAck:
        """End every order but the oldest that carries the correlation id, and close what it holds."""
        ...

    async def check_access(self) -> None:
        """Find out whether orders are taken from here at all; raises `AccessRefused` or `AuthExpired`."""
        ...

    async def find(self, intent: OrderIntent) -> BrokerAck | None:
        """Look in the broker's full lists for what an intent did; None = not there."""
        ...

    async def snapshot(self, orders: Collection[str] = ()) -> tuple[BrokerUpdate, ...]:
        """All of today's orders as updates, for reconciliation.

        Of ``orders`` (correlation ids) those of earlier days come first.
        """
        ...

    def updates(self) -> AsyncIterator[BrokerUpdate]:
        """Stream of order updates; may lose, repeat and reorder."""
        ...

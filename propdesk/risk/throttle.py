"""Sliding windows over moments: counters of the kill switches and the client-side order limits."""

from bisect import bisect_right
from dataclasses import dataclass, field

from propdesk.core.clock import NS_PER_DAY
from propdesk.ports import OrderRates


def keep_recent(stamps_ns: tuple[int, ...], now_ns: int, window_ns: int) -> tuple[int, ...]:
    """Drop what lies outside (now - window, now]; the stamps rise."""
    first = bisect_right(stamps_ns, now_ns - window_ns)
    return stamps_ns[first:] if first else stamps_ns


def count_recent(stamps_ns: tuple[int, ...], now_ns: int, window_ns: int) -> int:
    """Count the stamps in (now - window, now]; the stamps rise."""
    return bisect_right(stamps_ns, now_ns) - bisect_right(stamps_ns, now_ns - window_ns)


@dataclass(frozen=True, slots=True)
class OrderThrottle:
    """Client-side rate limit in which exits always find room before entries.

    Entries may use each window only up to ``1 - reserve_share`` of it, so that an exit never queues
    behind them.
    """

    rates: OrderRates = field(default_factory=OrderRates)
    sent_ns: tuple[int, ...] = ()

    def wait_ns(self, now_ns: int, *, is_entry: bool) -> int:
        """How long a call must wait; 0 = it may leave now."""
        wait = 0
        for window, allowed in self.rates.windows:
            limit = max(1, int(allowed * (1 - self.rates.reserve_share))) if is_entry else allowed
            recent = keep_recent(self.sent_ns, now_ns, window)
            if len(recent) >= limit:
                wait = max(wait, recent[len(recent) - limit] + window - now_ns)
        return wait

    def sent(self, now_ns: int) -> "OrderThrottle":
        """Record a call that leaves at ``now_ns``."""
        return OrderThrottle(self.rates, (*keep_recent(self.sent_ns, now_ns, NS_PER_DAY), now_ns))

"""Sliding windows over moments: counters of the kill switches and the client-side order limits."""

from bisect import bisect_right
from dataclasses import dataclass, field
from enum import IntEnum

from propdesk.core.clock import NS_PER_DAY
from propdesk.model.messages import IntentKind, OrderIntent
from propdesk.ports import OrderRates


def keep_recent(stamps_ns: tuple[int, ...], now_ns: int, window_ns: int) -> tuple[int, ...]:
    """Drop what lies outside (now - window, now]; the stamps rise."""
    first = bisect_right(stamps_ns, now_ns - window_ns)
    return stamps_ns[first:] if first else stamps_ns


def count_recent(stamps_ns: tuple[int, ...], now_ns: int, window_ns: int) -> int:
    """Count the stamps in (now - window, now]; the stamps rise."""
    return bisect_right(stamps_ns, now_ns) - bisect_right(stamps_ns, now_ns - window_ns)


class Urgency(IntEnum):
    """Who leaves first: ways out, withdrawals and emergency stops; then changes of levels; then entries."""

    EXIT = 0
    CHANGE = 1
    ENTRY = 2


def urgency_of(intent: OrderIntent) -> Urgency:
    """Say how urgent an intent is."""
    if intent.is_entry:
        return Urgency.ENTRY
    is_change = intent.kind in (IntentKind.MODIFY_STOP, IntentKind.MODIFY_TARGET)
    return Urgency.CHANGE if is_change else Urgency.EXIT


@dataclass(frozen=True, slots=True)
class OrderThrottle:
    """Client-side rate limit in which exits always find room before changes, and both before entries.

    Entries may use each window only up to ``1 - reserve_share`` of it, changes half of the reserve besides,
    so that an exit never queues behind either.
    """

    rates: OrderRates = field(default_factory=OrderRates)
    sent_ns: tuple[int, ...] = ()

    def wait_ns(self, now_ns: int, urgency: Urgency) -> int:
        """How long a call must wait; 0 = it may leave now."""
        wait = 0
        kept = self.rates.reserve_share * urgency / Urgency.ENTRY
        for window, allowed in self.rates.windows:
            limit = max(1, int(allowed * (1 - kept)))
            recent = keep_recent(self.sent_ns, now_ns, window)
            if len(recent) >= limit:
                wait = max(wait, recent[len(recent) - limit] + window - now_ns)
        return wait

    def sent(self, now_ns: int, calls: int = 1) -> "OrderThrottle":
        """Record calls that left by ``now_ns``."""
        return OrderThrottle(self.rates, (*keep_recent(self.sent_ns, now_ns, NS_PER_DAY), *[now_ns] * calls))

"""Rate limits over sliding windows of simulated time."""

from collections import deque
from enum import StrEnum

from propdesk.core.clock import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from sandbox.knobs import Knobs


class CallClass(StrEnum):
    """Calls that are counted together."""

    ORDER = "ORDER"
    DATA = "DATA"
    QUOTE = "QUOTE"
    CHAIN = "CHAIN"
    READ = "READ"
    FREE = "FREE"


class RateLimits:
    """Counts calls; a call above a limit is refused and not counted."""

    def __init__(self, knobs: Knobs) -> None:
        chain_ns = knobs.chain_interval_ms * 1_000_000
        self._windows = {
            CallClass.ORDER: (
                (NS_PER_SECOND, knobs.orders_per_second),
                (NS_PER_MINUTE, knobs.orders_per_minute),
                (NS_PER_HOUR, knobs.orders_per_hour),
                (NS_PER_DAY, knobs.orders_per_day),
            ),
            CallClass.DATA: ((NS_PER_SECOND, knobs.data_per_second),),
            CallClass.QUOTE: ((NS_PER_SECOND, knobs.quotes_per_second),),
            CallClass.CHAIN: ((chain_ns, 1),),
            CallClass.READ: ((NS_PER_SECOND, knobs.reads_per_second),),
            CallClass.FREE: (),
        }
        self._is_on = knobs.rate_limits
        self._calls: dict[CallClass, deque[int]] = {kind: deque(maxlen=10_000) for kind in CallClass}
        self.refused = 0

    def admit(self, kind: CallClass, now_ns: int) -> bool:
        """Count a call; False = too many."""
        calls = self._calls[kind]
        windows = self._windows[kind]
        if self._is_on and any(_count(calls, now_ns - width) >= most for width, most in windows):
            self.refused += 1
            return False
        calls.append(now_ns)
        return True


def _count(calls: deque[int], since_ns: int) -> int:
    found = 0
    for stamp in reversed(calls):
        if stamp <= since_ns:
            break
        found += 1
    return found

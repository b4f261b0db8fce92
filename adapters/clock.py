"""The system clock: the one place where the present moment is read."""

import time


class SystemClock:
    """Tell the time of this machine; implements `propdesk.core.clock.Clock`."""

    def now_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC."""
        return time.time_ns()

"""Time as data: a clock is always handed in."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from propdesk.core.invariant import require

NS_PER_MICROSECOND = 1_000
NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Whoever can tell the time."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        ...


class ManualClock:
    """A clock that moves only when told; for tests and replay."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Return the time last set, ns UTC."""
        return self._now_ns

    def advance_to(self, now_ns: int) -> None:
        """Move forward to ``now_ns`` (ns UTC); going back breaks an invariant."""
        require(now_ns >= self._now_ns, "a manual clock never runs backwards")
        self._now_ns = now_ns


class RisingClock:
    """Another clock whose time never falls and goes on where it was set back: for measuring how long.

    Parameters
    ----------
    clock : Clock
        Set back, it counts as standing still at that moment.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen_ns = self._now_ns = clock.now_ns()

    def now_ns(self) -> int:
        """Time of the other clock plus all that it was set back by, ns UTC."""
        seen_ns = self._clock.now_ns()
        self._now_ns += max(0, seen_ns - self._seen_ns)
        self._seen_ns = seen_ns
        return self._now_ns


def to_ns(moment: datetime) -> int:
    """Turn an aware datetime into ns UTC, exactly.

    Raises
    ------
    InvariantViolated
        If ``moment`` has no time zone.
    """
    require(moment.tzinfo is not None, "a naive datetime has no place in propdesk")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS_PER_SECOND + delta.microseconds * 1_000


def from_ns(ns: int) -> datetime:
    """Turn ns UTC into an aware UTC datetime (microseconds kept, the rest cut)."""
    return _EPOCH + timedelta(microseconds=ns // 1_000)

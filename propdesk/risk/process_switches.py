"""What the process measures of itself, and when that throws a switch or lets it go (§6.2).

Each watch is a value: it takes a measurement and a moment and gives the next watch, with a finding where
there is something to say. The moments are of a clock that never turns back, so no change of the time of day
makes a switch stand longer or shorter than it should.
"""

from dataclasses import dataclass, replace

from propdesk.core.clock import NS_PER_MS, NS_PER_SECOND
from propdesk.model.messages import Measured
from propdesk.risk.kill_switch import Cause, KillLimits
from propdesk.risk.throttle import keep_recent


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be told of the account: an alarm, a switch that is thrown, or that all is well again."""

    cause: Cause
    verdict: Measured
    reason: str


def percentile_99(values: tuple[int, ...]) -> int:
    """Give the 99th percentile by nearest rank: of a hundred values or fewer their largest, of none 0.

    Examples
    --------
    >>> percentile_99((3, 9, 1))
    9
    >>> percentile_99(tuple(range(1, 201)))
    198
    """
    if not values:
        return 0
    return sorted(values)[-(-99 * len(values) // 100) - 1]


@dataclass(frozen=True, slots=True)
class LatencyWatch:
    """How long ideas take from their receipt to their order.

    Attributes
    ----------
    ways_ns : tuple of int
        The last ways, ns, oldest first; forgotten when the switch is let go.
    is_open : bool
        The switch is thrown.
    is_slow : bool
        The alarm was told and holds.
    bad_ns : int
        Moment of the last way beyond the measure of the switch.
    """

    ways_ns: tuple[int, ...] = ()
    is_open: bool = False
    is_slow: bool = False
    bad_ns: int = 0

    def sent(self, way_ns: int, now_ns: int, limits: KillLimits) -> tuple["LatencyWatch", Finding | None]:
        """Take the way of one entry that left.

        A switch that a person let go early is thrown again by the next way that is too long, not by those
        of before.
        """
        is_bad = way_ns > limits.latency_halt_ns
        ways = (*self.ways_ns, way_ns)[-limits.latency_window :]
        high_ns = percentile_99(ways)
        after = replace(self, ways_ns=ways, bad_ns=now_ns if is_bad else self.bad_ns)
        said = f"99 of 100 entries take up to {high_ns // NS_PER_MS} ms from idea to order"
        if is_bad if self.is_open else high_ns > limits.latency_halt_ns:
            thrown = replace(after, is_open=True, is_slow=True, bad_ns=now_ns)
            return thrown, Finding(Cause.LATENCY, Measured.TRIPPED, said)
        is_slow = high_ns > limits.latency_alarm_ns
        after = replace(after, is_slow=is_slow or self.is_open)
        if is_slow and not self.is_slow:
            return after, Finding(Cause.LATENCY, Measured.ALARM, said)
        return after, None

    def decided(self, way_ns: int, now_ns: int, limits: KillLimits) -> "LatencyWatch":
        """Take the way of an idea to its decision: while no entry leaves it tells whether all is well."""
        return replace(self, bad_ns=now_ns) if way_ns > limits.latency_halt_ns else self

    def passed(self, now_ns: int, limits: KillLimits) -> tuple["LatencyWatch", Finding | None]:
        """Let time pass; the switch goes once nothing took too long for a while."""
        if not self.is_open or now_ns - self.bad_ns < limits.latency_good_ns:
            return self, None
        span = f"nothing took too long for {limits.latency_good_ns / NS_PER_SECOND:g} s"
        return LatencyWatch(), Finding(Cause.LATENCY, Measured.GOOD, span)


@dataclass(frozen=True, slots=True)
class FaultWatch:
    """Exceptions that nobody expected and the process outlived: their moments, ns."""

    stamps_ns: tuple[int, ...] = ()

    def happened(self, what: str, now_ns: int, limits: KillLimits) -> tuple["FaultWatch", Finding | None]:
        """Take one more; counted anew once the switch is thrown, which a person resets."""
        stamps = (*keep_recent(self.stamps_ns, now_ns, limits.exceptions_window_ns), now_ns)
        if len(stamps) <= limits.exceptions_max:
            return FaultWatch(stamps), None
        span = f"{limits.exceptions_window_ns / NS_PER_SECOND:g} s"
        said = f"{len(stamps)} unexpected exceptions within {span}, the last one {what}"
        return FaultWatch(), Finding(Cause.EXCEPTIONS, Measured.TRIPPED, said)


def least_skew_ns(before_ns: int, after_ns: int, other_ns: int) -> int:
    """Say by how much another clock, read between two looks at ours, is at least ahead of ours.

    Returns
    -------
    int
        ns, below 0 where it is behind; 0 where it may be the same.

    Examples
    --------
    >>> [least_skew_ns(100, 120, other) for other in (90, 100, 110, 125)]
    [-10, 0, 0, 5]
    """
    return max(0, other_ns - after_ns) + min(0, other_ns - before_ns)


@dataclass(frozen=True, slots=True)
class SkewWatch:
    """Our clock against others.

    Attributes
    ----------
    is_open : bool
        The switch is thrown.
    bad : frozenset of str
        Clocks that differed too much when they were last read.
    bad_ns, told_ns : int
        When one last did, and when that was told: anew as long as it lasts, since a person may let it go.
    """

    is_open: bool = False
    bad: frozenset[str] = frozenset()
    bad_ns: int = 0
    told_ns: int = 0

    def measured(
        self, whose: str, skew_ns: int, now_ns: int, limits: KillLimits
    ) -> tuple["SkewWatch", Finding | None]:
        """Take the difference from one clock (`least_skew_ns`)."""
        if abs(skew_ns) > limits.clock_skew_ns:
            after = replace(self, is_open=True, bad=self.bad | {whose}, bad_ns=now_ns)
            if self.is_open and self.bad and now_ns - self.told_ns < limits.clock_good_ns:
                return after, None
            way = "behind" if skew_ns > 0 else "ahead of"
            said = f"this machine's clock is {abs(skew_ns) / NS_PER_SECOND:.1f} s {way} the {whose}'s"
            return replace(after, told_ns=now_ns), Finding(Cause.CLOCK_SKEW, Measured.TRIPPED, said)
        bad = self.bad - {whose}
        if not self.is_open or bad or now_ns - self.bad_ns < limits.clock_good_ns:
            return replace(self, bad=bad), None
        span = f"the clocks agreed for {limits.clock_good_ns / NS_PER_SECOND:g} s"
        return SkewWatch(), Finding(Cause.CLOCK_SKEW, Measured.GOOD, span)

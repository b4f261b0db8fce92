"""What the tasks notice about the process itself, on its way to the kill switches (§6.2)."""

import asyncio
import time
from collections.abc import Callable

from propdesk.core.clock import NS_PER_SECOND
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause, KillLimits, RiskLevels
from propdesk.risk.process_switches import FaultWatch, Finding, LatencyWatch, SkewWatch


class Measures:
    """Gathers measurements from the tasks and gives the sentinel what they come to.

    Always by the process's own clock, also where a replay moves the day's time: a fast replay is no slow
    process (§5.9).

    Parameters
    ----------
    limits : KillLimits
        Of the day.
    levels : RiskLevels
        As recovered: a switch that an earlier life threw is let go by this one.
    ticks_ns : callable
        A clock that never turns back, ns.
    """

    def __init__(
        self, limits: KillLimits, levels: RiskLevels, ticks_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._limits = limits
        self._ticks_ns = ticks_ns
        self._findings: asyncio.Queue[Finding] = asyncio.Queue()
        now_ns = ticks_ns()
        self._latency = LatencyWatch(is_open=levels.is_open(ACCOUNT_SCOPE, Cause.LATENCY), bad_ns=now_ns)
        self._skew = SkewWatch(is_open=levels.is_open(ACCOUNT_SCOPE, Cause.CLOCK_SKEW), bad_ns=now_ns)
        self._faults = FaultWatch()

    def sent(self, seconds: float) -> None:
        """Note how long an idea took to its order, without waiting for the broker's rates."""
        way_ns = round(seconds * NS_PER_SECOND)
        self._latency, finding = self._latency.sent(way_ns, self._ticks_ns(), self._limits)
        self._find(finding)

    def decided(self, seconds: float) -> None:
        """Note how long an idea took to its decision."""
        way_ns = round(seconds * NS_PER_SECOND)
        self._latency = self._latency.decided(way_ns, self._ticks_ns(), self._limits)

    def fault(self, where: str, error: BaseException) -> None:
        """Note an exception that nobody expected and that ends nothing.

        Its text stays in the log: what a library puts into it may hold a secret.
        """
        what = f"a {type(error).__name__} in {where}"
        self._faults, finding = self._faults.happened(what, self._ticks_ns(), self._limits)
        self._find(finding)

    def skew(self, whose: str, skew_ns: int) -> None:
        """Note by how much our clock is at least behind another one, ns (`least_skew_ns`)."""
        self._skew, finding = self._skew.measured(whose, skew_ns, self._ticks_ns(), self._limits)
        self._find(finding)

    def passed(self) -> None:
        """Look whether what was bad has been good for long enough; called about once a second."""
        self._latency, finding = self._latency.passed(self._ticks_ns(), self._limits)
        self._find(finding)

    def _find(self, finding: Finding | None) -> None:
        if finding is not None:
            self._findings.put_nowait(finding)

    async def next(self) -> Finding:
        """Wait for the next finding; each is given once."""
        return await self._findings.get()

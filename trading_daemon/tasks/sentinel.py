"""Signs of life, leadership, stalls and readiness, by the process's own clock (§5.1, §8.4)."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from propdesk.core.clock import Clock, from_ns
from propdesk.core.errors import PropdeskError
from propdesk.model.messages import SwitchMeasured
from propdesk.risk.process_switches import least_skew_ns
from trading_daemon.bus import Bus, Envelope, end_if_cancelled
from trading_daemon.measures import Measures
from trading_daemon.ports import Flags, Heartbeats, Lead, Log

BEAT_S = 1.0
"""Seconds between two signs of life; a watcher takes the daemon for dead after 30."""
FLAG_EXPIRY_S = 30
STALL_S = 0.02
"""An event loop that wakes this much late was blocked by something (§5.10)."""
READINESS_EVERY = 5
"""Beats between two looks at the readiness record."""


class DayChanged(PropdeskError):
    """Pre-market finished while the daemon ran, or a new day began: the day is to be loaded anew."""


class Sentinel:
    """Watches the process from inside.

    Parameters
    ----------
    clock : Clock
        The process clock, also in replay: a sign of life is about this process.
    measures : Measures
        What the tasks notice about the process.
    describe : callable
        Gives what the heartbeat says (position, queues …).
    readiness : callable or None
        Gives the present version of the day's readiness; another one than was loaded ends the run so that
        it starts anew with it. None in replay.
    loaded_readiness : str
        Version the day was loaded by: pre-market may finish before the first look.
    is_current : callable
        Whether the day being traded is still the one to trade.
    """

    def __init__(
        self,
        bus: Bus,
        lead: Lead,
        heartbeats: Heartbeats,
        flags: Flags,
        clock: Clock,
        log: Log,
        measures: Measures,
        *,
        describe: Callable[[], dict[str, object]],
        readiness: Callable[[], Awaitable[str]] | None = None,
        loaded_readiness: str = "",
        is_current: Callable[[], bool] = lambda: True,
    ) -> None:
        self._bus = bus
        self._lead = lead
        self._heartbeats = heartbeats
        self._flags = flags
        self._clock = clock
        self._log = log
        self._measures = measures
        self._describe = describe
        self._readiness = readiness
        self._is_current = is_current
        self._loaded_readiness = loaded_readiness
        self.stalls = 0

    async def run(self) -> None:
        """Beat until cancelled; a lost leadership stops order sending before anything else."""
        beats = 0
        while True:
            try:
                await self._lead.verify()
            except PropdeskError:
                self._bus.stop_sending()
                raise
            await self.beat()
            self._measures.passed()
            end_if_cancelled()
            if not self._is_current():
                raise DayChanged("A new trading day begins.")
            if self._readiness is not None and beats % READINESS_EVERY == 0:
                await self._look_at_readiness(self._readiness)
            beats += 1
            await self._rest()

    async def tell(self) -> None:
        """Tell the decider what the measures come to, until cancelled; a task of its own.

        Where somebody else moves the day's time only the log hears of it: how quick a machine is today is
        no part of a past day, whose journal is the same in every run.
        """
        while True:
            found = await self._measures.next()
            end_if_cancelled()
            if self._bus.lockstep:
                self._log.warning(
                    "measured", cause=found.cause.value, verdict=found.verdict.value, reason=found.reason
                )
                continue
            event = SwitchMeasured(found.cause.value, found.verdict, found.reason, self._clock.now_ns())
            await self._bus.events.put(Envelope((event,)))

    async def beat(self) -> None:
        """Record one sign of life in PostgreSQL and mirror it."""
        before_ns = self._clock.now_ns()
        at = from_ns(before_ns)
        detail = {**self._describe(), "stalls": self.stalls, "sending": self._bus.sending}
        server_ns = await self._heartbeats.beat("daemon", at, detail)
        self._measures.skew("database", least_skew_ns(before_ns, self._clock.now_ns(), server_ns))
        await self._flags.mirror("heartbeat", {"beat_at": at.isoformat(), **detail}, FLAG_EXPIRY_S)

    async def _rest(self) -> None:
        before = time.monotonic()
        await asyncio.sleep(BEAT_S)
        late = time.monotonic() - before - BEAT_S
        if late > STALL_S:
            self.stalls += 1
            if not self._bus.lockstep:
                self._log.warning("event_loop_stalled", late_ms=round(late * 1000))

    async def _look_at_readiness(self, readiness: Callable[[], Awaitable[str]]) -> None:
        if await readiness() != self._loaded_readiness:
            raise DayChanged("Pre-market has changed the day's readiness; its rules are loaded now.")

"""Run the trading daemon: one TaskGroup; a task that dies ends the process (§5.1)."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server

from adapters.calendar import load_calendar
from adapters.clock import SystemClock
from adapters.db.repos.leader import AlreadyRunning
from adapters.log import get_logger
from adapters.settings import Settings
from propdesk.core.clock import NS_PER_SECOND, Clock
from propdesk.core.errors import ConfigFault, InvariantViolated
from propdesk.model.trade_event import EventKind
from trading_daemon.bootstrap import Bootstrap, ReplayPlan, Tasks
from trading_daemon.day import day_to_trade
from trading_daemon.metrics import Meter
from trading_daemon.notices import leave_word, words_of
from trading_daemon.past_day import settled_ns
from trading_daemon.tasks.sentinel import DayChanged

FINISH_S: Final = 5.0
"""Longest wait for the sends in flight when the process is asked to end; the whole end takes < 10 s."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    ``chain_hash`` names the journal of the day byte for byte; ``is_done`` says that a replayed day reached
    its end.
    """

    trade_date: date
    journal_rows: int
    chain_hash: str
    is_done: bool


class _Stop(Exception):
    """Asked to end, or the replayed day is over."""


class _TaskEnded(InvariantViolated):
    """A task that must run for ever came to an end."""


def run_daemon(
    settings: Settings,
    trade_date: date | None = None,
    plan: ReplayPlan | None = None,
    pace: float | None = None,
) -> RunResult:
    """Run the daemon until it is asked to end, or until the replayed day is over.

    Parameters
    ----------
    settings : Settings
    trade_date : date, optional
        Default: today in IST, on a day without trading the next market day; then day after day.
    plan : ReplayPlan, optional
        A past day.
    pace : float, optional
        How many times faster than the real day a replay runs; None = as fast as it can.

    Returns
    -------
    RunResult
        After SIGTERM, SIGINT or the end of the replay.

    Raises
    ------
    PropdeskError, InvariantViolated
        The first fault of any task; what is committed stays, and a new start recovers it.
    """
    clock = SystemClock()
    day = plan.timeline.trade_date if plan is not None else trade_date
    registry = CollectorRegistry()
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr="127.0.0.1", registry=registry)
    meter = Meter(registry)
    # asyncio's own loop: uvloop waits for ever at its close for a socket that a library closed under it.
    try:
        return asyncio.run(_run(settings, day, plan, clock, meter, pace))
    except (AlreadyRunning, ConfigFault):
        raise  # nothing ran that could halt
    except Exception as fault:
        asyncio.run(_tell_halt(settings, clock, fault))
        raise


async def _tell_halt(settings: Settings, clock: Clock, fault: Exception) -> None:
    """Leave word for people that the process ends by a fault."""
    while isinstance(fault, ExceptionGroup):
        fault = fault.exceptions[0]
    reason = words_of(settings, fault)
    text = f"the trading daemon ended ({reason}); no entry leaves until it has started anew"
    await leave_word(settings, EventKind.HALT, text, clock.now_ns())


async def _run(
    settings: Settings,
    given: date | None,
    plan: ReplayPlan | None,
    clock: Clock,
    meter: Meter,
    pace: float | None,
) -> RunResult:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bootstrap = Bootstrap(settings, clock, meter, pace)
    calendar = load_calendar()
    while True:
        day = given or day_to_trade(calendar, clock.now_ns())
        # A day that died before its close, or that nobody traded while something was carried, comes first.
        owed = None if plan is not None else await bootstrap.owed_day(day)
        if owed == day and await _is_stopped(stop, settled_ns(calendar, day) - clock.now_ns()):
            return RunResult(day, 0, "", is_done=False)
        try:
            result = await run_day(bootstrap, owed or day, plan, stop, is_past=owed is not None)
            if owed is None or stop.is_set():
                return result
        except* DayChanged as changed:
            reason = str(changed.exceptions[0])
            get_logger(account_id=settings.account_id).info("day_changed", reason=reason)


async def _is_stopped(stop: asyncio.Event, wait_ns: int) -> bool:
    """Wait for so long; say whether the process was asked to end meanwhile."""
    try:
        async with asyncio.timeout(max(wait_ns, 0) / NS_PER_SECOND):
            return await stop.wait()
    except TimeoutError:
        return stop.is_set()


async def run_day(
    bootstrap: Bootstrap,
    day: date,
    plan: ReplayPlan | None,
    stop: asyncio.Event,
    *,
    is_past: bool = False,
) -> RunResult:
    """Run one day until it is over, it changes, or the process is asked to end.

    ``is_past``: it is only brought to its end (`Bootstrap.owed_day`).
    """
    async with AsyncExitStack() as stack:
        tasks = await bootstrap.build(day, plan, stack, is_past=is_past)
        try:
            await _run_tasks(tasks, stop)
        except* _Stop:
            pass
        position = tasks.decider.position
        driver = tasks.driver
        is_done = driver is not None and driver.is_done
        return RunResult(day, position.seq, position.chain_hash, is_done)


async def _run_tasks(tasks: Tasks, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        for name, run in tasks.runs().items():
            group.create_task(_for_ever(name, run), name=name)
        if tasks.driver is not None:
            group.create_task(_until_replayed(tasks), name="replay_driver")
        group.create_task(_until_stopped(tasks, stop), name="stop")


async def _for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    await run()
    raise _TaskEnded(f"task {name} came to an end, which no task may do")


async def _until_replayed(tasks: Tasks) -> None:
    assert tasks.driver is not None  # noqa: S101 - started only with a driver
    await tasks.driver.run()
    await tasks.sentinel.beat()
    raise _Stop


async def _until_stopped(tasks: Tasks, stop: asyncio.Event) -> None:
    await stop.wait()
    # No new entry leaves from here on; what is on the wire gets its answer recorded, and what was heard
    # is journalled: a start would have to find it out again.
    tasks.bus.stop_sending()
    try:
        async with asyncio.timeout(FINISH_S):
            await tasks.order_manager.idle()
            await tasks.bus.drained()
    except TimeoutError:
        get_logger().warning("still_in_flight", waited_s=FINISH_S, events=tasks.bus.events.unfinished)
    raise _Stop

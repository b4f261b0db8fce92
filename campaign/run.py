"""One schedule from its first idea to rest: a broker that lives on, and daemons that come and go."""

import asyncio
import contextvars
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import psycopg

from adapters.brokers.dhan.auth import SKEW_NS_MAX
from adapters.db.repos.leader import LeadershipLost
from campaign import market
from campaign.disk import Disk
from campaign.fate import ANY, Edge, Ending
from campaign.life import DocumentList, Life, Surroundings
from campaign.loop import OWNER, VirtualLoop, process_time
from campaign.oracle import Findings, Oracle
from campaign.points import POINTS
from campaign.schedule import SETTLE_S, At, Schedule
from campaign.wire import Line
from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.errors import BrokerFault, ConfigFault, DataFault, TooLate
from propdesk.engine.state import EngineState, OrderState
from propdesk.model.messages import CommandAsked
from sandbox.faults import Fault, FaultKind
from sandbox.knobs import Knobs
from sandbox.market import MarketTick
from sandbox.world import World, make_world
from trading_daemon.tasks.order_manager import Deposed

RESTART_S: Final = 1.0
"""Until the supervisor starts a daemon that ended by itself."""
LIVES_MAX: Final = 120
CALM_S: Final = 8
"""Everything must have been at rest for so long before it is compared."""
_EXPECTED: Final = (psycopg.OperationalError, LeadershipLost, Deposed, BrokerFault, DataFault, TooLate)
"""Ends of a process that a supervisor is there for; anything else is a fault of ours."""


@dataclass(slots=True)
class Outcome:
    """What became of a schedule.

    ``digest`` is over journal and truth: equal for equal runs. ``points`` counts the crash points that were
    struck, ``faults`` what went wrong at the broker.
    """

    seed: int
    findings: Findings
    digest: str
    lives: int
    seconds: float
    points: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    trace: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        """Broken promises."""
        return self.findings.broken


class TrueClock:
    """The daemon's wall clock: the true time plus whatever it was set wrong by."""

    def __init__(self, true_ns: Callable[[], int]) -> None:
        self._true_ns = true_ns
        self.ahead_ns = 0

    def now_ns(self) -> int:
        """Tell what the wall clock shows, ns UTC."""
        return self._true_ns() + self.ahead_ns


def run_schedule(schedule: Schedule, *, keeps_trace: bool = False) -> Outcome:
    """Run a schedule in a loop of its own.

    Parameters
    ----------
    keeps_trace : bool
        Whether what happens is written down line by line.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)  # noqa: S101 - made by the factory above
        with process_time(loop):
            return runner.run(_Stage(schedule, loop, keeps_trace=keeps_trace).play())


class _Stage:
    """Everything of one schedule."""

    def __init__(self, schedule: Schedule, loop: VirtualLoop, *, keeps_trace: bool) -> None:
        self._schedule = schedule
        self._loop = loop
        self._trace: list[str] | None = [] if keeps_trace else None
        self._rng = np.random.default_rng([schedule.seed, 0xD1CE])
        self._knobs = Knobs(seed=schedule.seed % 2**31, transit_ms=int(self._rng.choice([0, 100, 400])))
        self._clock = TrueClock(self._true_ns)
        self._disk = Disk(self._true_ns)
        self._world = self._make_world()
        self._documents = DocumentList()
        self._edges: list[Edge] = []
        self._life: Life | None = None
        self._oracle = Oracle(self._world, self._disk, self._true_ns, self._is_served)
        self._line = Line(self._world, self._true_ns, self._rng, self._oracle.on_write)
        self._healed = False
        self._points: list[str] = []
        if self._trace is not None:
            self._world.ledger.listeners.append(
                lambda entry: self._note(f"truth {entry.what} {entry.detail}")
            )
        self._around = Surroundings(
            self._disk,
            self._line,
            self._documents,
            market.MemoryPrices(dict(schedule.paths), self._true_ns),
            self._clock,
            self._knobs,
            self._note,
            self._oracle.on_start,
        )

    def _true_ns(self) -> int:
        return market.START_NS + self._loop.elapsed_ns

    def _note(self, text: str) -> None:
        if self._trace is not None:
            self._trace.append(f"{self._loop.elapsed_ns / NS_PER_SECOND:9.3f} {text}")

    def _make_world(self) -> World:
        ticks = []
        for key, path in self._schedule.paths.items():
            first = market.LEAD_S
            ticks += [
                MarketTick(market.START_NS + second * NS_PER_SECOND, key, int(price))
                for second, price in enumerate(path[first:])
            ]
        closes = dict.fromkeys(self._schedule.paths, market.PRICE_PAISE)
        return make_world(
            market.catalogue(), market.START_NS, knobs=self._knobs, ticks=ticks, previous_close=closes
        )

    def _is_served(self) -> bool:
        return self._life is not None and self._life.is_ready and not self._line.is_down

    # ------------------------------------------------------------------ play

    async def play(self) -> Outcome:
        """Run everything to rest and judge it."""
        self._loop.set_exception_handler(self._on_lost)
        helpers = [asyncio.create_task(one()) for one in (self._trade, self._act, self._supervise)]
        watch = asyncio.create_task(self._until_calm())
        await asyncio.wait([*helpers, watch], return_when=asyncio.FIRST_COMPLETED)
        while not watch.done():
            failed = next((one for one in helpers if one.done() and one.exception()), None)
            if failed is not None:
                break
            await asyncio.wait(
                [watch, *(h for h in helpers if not h.done())], return_when=asyncio.FIRST_COMPLETED
            )
        for edge in self._edges:
            edge.kill()
        for task in (*helpers, watch):
            task.cancel()
        results = await asyncio.gather(*helpers, watch, return_exceptions=True)
        self._line.hang_up()
        fault = next((r for r in results if isinstance(r, Exception)), None)
        if fault is not None:
            raise fault
        return self._outcome()

    def _on_lost(self, loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        del loop
        self._around.lost.append(f"{about.get('message')}: {about.get('exception')!r}")

    async def _trade(self) -> None:
        """Let the market live second by second."""
        while True:
            self._world.advance(self._true_ns())
            self._oracle.look()
            await asyncio.sleep(0.5)

    async def _act(self) -> None:
        begun = self._loop.time()
        for act in self._schedule.acts:
            await asyncio.sleep(max(0.0, begun + act.at_s - self._loop.time()))
            self._do(act)
        await asyncio.sleep(max(0.0, begun + self._schedule.end_s - self._loop.time()))
        self._heal()

    def _do(self, act: At) -> None:
        self._note(f"act {act.what} {act.value}")
        match act.what:
            case "document":
                self._documents.put(act.value)
            case "fault":
                self._world.faults.arm(replace(act.value, values=dict(act.value.values)))
            case "token_revoke":
                self._world.revoke_tokens()
            case "ip_refused":
                self._world.faults.arm(Fault(FaultKind.IP_REFUSED, count=3))
            case "outage":
                self._line.is_down = True
                self._loop.call_later(act.value, self._reconnect)
            case "step":
                self._clock.ahead_ns += round(act.value * NS_PER_SECOND)
            case _:
                self._ask(act.what)

    def _reconnect(self) -> None:
        self._line.is_down = False

    def _ask(self, kind: str) -> None:
        now_ns = self._true_ns()
        number = len(self._disk.commands) + 1
        kind, _, level = kind.partition(" ")
        arguments = {"reason": "campaign", **({"level": level} if level else {})}
        self._disk.ask(
            CommandAsked(number, kind, arguments, "anna", "ADMIN", "CLI", now_ns, now_ns, 300 * NS_PER_SECOND)
        )

    def _heal(self) -> None:
        """From here on nothing goes wrong any more."""
        self._note("heal")
        self._healed = True
        self._world.faults.disarm()
        self._line.is_down = False
        self._clock.ahead_ns = 0
        if self._schedule.leaves:
            self._ask("FLATTEN")

    # ------------------------------------------------------------------ lives

    async def _supervise(self) -> None:
        fates = list(self._schedule.fates)
        olds: list[asyncio.Task[None]] = []
        while True:
            fate = fates.pop(0) if fates and not self._healed else None
            edge = Edge(fate, self._note, self._stand)
            self._edges.append(edge)
            if len(self._edges) > LIVES_MAX:
                self._oracle.found.breach("no rest", f"{LIVES_MAX} processes were started")
                await asyncio.Event().wait()
            life = self._life = Life(self._around, edge)
            own = contextvars.copy_context()
            own.run(OWNER.set, edge)
            task = asyncio.create_task(self._live(life), context=own)
            ended = asyncio.create_task(edge.ended.wait())
            await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            self._count_point(edge, fate.point if fate else "", fate.ending if fate else None)
            rest_s = (
                fate.rest_s if fate is not None and edge.struck is not None and not task.done() else RESTART_S
            )
            if edge.ended.is_set() and not edge.is_dead:
                # it stands still; another one takes over, and then it goes on
                self._loop.call_later(rest_s, edge.thaw)
                olds.append(task)
                await asyncio.sleep(min(RESTART_S, rest_s / 2))
                continue
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(rest_s)

    def _stand(self, edge: Edge, is_still: bool) -> None:
        if is_still:
            self._loop.freeze(edge)
        else:
            self._loop.thaw(edge)

    def _count_point(self, edge: Edge, point: str, ending: Ending | None) -> None:
        if ending is None or not (edge.ended.is_set() or edge.struck):
            return
        names = [name for name in edge.struck if name in POINTS]
        self._points.append(f"{ending}")
        self._points += [point] if point in POINTS else names
        if point == ANY and not names:
            self._points.append("elsewhere")

    async def _live(self, life: Life) -> None:
        begun = self._loop.time()
        watch = asyncio.create_task(self._note_start(life, begun))
        try:
            await life.run()
        except* _EXPECTED as group:
            self._note(f"life {life.edge.epoch} ended: {_words(group)}")
        except* ConfigFault as group:
            if abs(self._clock.ahead_ns) > SKEW_NS_MAX:  # no login by a wrong clock, until it is set right
                self._note(f"life {life.edge.epoch} ended: {_words(group)}")
            else:
                self._crash(life, group)
        except* Exception as group:
            self._crash(life, group)
        finally:
            watch.cancel()

    def _crash(self, life: Life, group: BaseException) -> None:
        words = _words(group)
        self._note(f"life {life.edge.epoch} CRASHED: {words}")
        self._oracle.found.breach("crashes", words)

    async def _note_start(self, life: Life, begun: float) -> None:
        await life.started.wait()
        if life.recovered is not None and life.recovered.seq:
            found = self._oracle.found
            found.slowest_recovery_s = max(found.slowest_recovery_s, self._loop.time() - begun)

    # ------------------------------------------------------------------- end

    async def _until_calm(self) -> None:
        """Wait until the schedule is over and nothing is under way any more."""
        await asyncio.sleep(self._schedule.end_s)
        calm = 0
        for _ in range(SETTLE_S):
            await asyncio.sleep(1.0)
            calm = calm + 1 if self._is_calm() else 0
            if calm >= CALM_S:
                self._judge()  # before the market goes on: what it does next nobody can have heard of
                return
        self._judge()
        self._oracle.found.breach("no rest", f"{SETTLE_S} s after the last fault {self._restless()}")

    def _judge(self) -> None:
        self._oracle.look()
        self._oracle.judge(self._state(), self._documents)

    def _state(self) -> EngineState | None:
        life = self._life
        return (
            None if life is None or life.decider is None or not life.is_ready else life.decider.position.state
        )

    def _is_calm(self) -> bool:
        return not self._restless()

    def _restless(self) -> str:
        """Say what is still under way."""
        state = self._state()
        if state is None:
            return "no daemon is ready"
        if any(row.seq is None for row in self._disk.inbox):
            return "a document is not decided"
        differs = self._oracle.differences(state)
        if differs:
            return differs[0]
        return self._left_open(state) if self._schedule.leaves else ""

    def _left_open(self, state: EngineState) -> str:
        """Say what is left of closing everything; an entry that nobody found is watched on."""
        net = {key: units for key, units in self._oracle.held().items() if units}
        if net:
            return f"still held: {net}"
        for live in state.groups.values():
            if not live.is_closed and not live.is_shadow:
                waits = [order.state for order in live.orders]
                if OrderState.UNKNOWN not in waits:
                    return f"a group is open with {waits}"
        return ""

    def _outcome(self) -> Outcome:
        for words in self._around.lost:
            self._oracle.found.breach("crashes", words)
        digest = hashlib.sha256()
        for row in self._disk.journal:
            digest.update(row.chain_hash.encode())
        digest.update(self._world.ledger.digest.encode())
        points: dict[str, int] = {}
        for point in self._points:
            points[point] = points.get(point, 0) + 1
        return Outcome(
            self._schedule.seed,
            self._oracle.found,
            digest.hexdigest(),
            len(self._edges),
            self._loop.elapsed_ns / NS_PER_SECOND,
            points,
            {kind.value: count for kind, count in self._world.faults.hits.items() if count},
            self._trace or [],
        )


def _words(group: BaseException) -> str:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return f"{type(group).__name__}: {group}"

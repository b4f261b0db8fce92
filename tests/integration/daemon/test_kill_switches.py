"""Kill switches fired through the real daemon, by the rows of §6.2."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest

from adapters.brokers.paper import PaperBroker
from adapters.clock import SystemClock
from adapters.db.repos.commands import NewCommand
from adapters.db.repos.heartbeat import HeartbeatRepo
from adapters.db.repos.intents import IntentRepo
from adapters.settings import Settings
from propdesk.core.clock import NS_PER_SECOND, ManualClock, to_ns
from propdesk.core.errors import Rejected
from propdesk.core.ids import correlation_id
from propdesk.model.command import Door
from propdesk.model.enums import KillLevel
from propdesk.model.live import SourceDocument
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind
from propdesk.model.user import UserRole
from propdesk.ports import BarArrays
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause
from tests.integration.daemon.starts import FIRST, alive, at, document_at, settle, stalled, until
from tests.integration.daemon.test_commands import asked
from tests.support.daemon_day import ADVISORS, DAY, STOCKS
from trading_daemon.bootstrap import Tasks
from trading_daemon.measures import Measures
from trading_daemon.metrics import Laps

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[Any, ...]]
WATCHING = ("sentinel", "measures", "command_listener")


class Stopwatch:
    """The process's own clock, turned by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds, self.skew_ns = 1_000.0, 0
        monkeypatch.setattr(Laps, "now", staticmethod(lambda: self.seconds))
        monkeypatch.setattr("trading_daemon.bootstrap.Measures", self._measures)
        monkeypatch.setattr("trading_daemon.tasks.sentinel.BEAT_S", 0.01)
        beat = HeartbeatRepo.beat

        async def skewed(repo: HeartbeatRepo, component: str, beat_at: datetime, detail: Any) -> int:
            """The database's clock: the test's own day, and by so much ahead of ours."""
            server_ns = await beat(repo, component, beat_at, detail)
            assert abs(server_ns - SystemClock().now_ns()) < 60 * NS_PER_SECOND
            return to_ns(beat_at) + self.skew_ns

        monkeypatch.setattr(HeartbeatRepo, "beat", skewed)

    def _measures(self, *given: Any) -> Measures:
        return Measures(*given, ticks_ns=lambda: round(self.seconds * NS_PER_SECOND))


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    return Stopwatch(monkeypatch)


@asynccontextmanager
async def watched(settings: Settings) -> AsyncIterator[Tasks]:
    """A daemon in the session, its sentinel included."""
    async with alive(settings, ManualClock(at(FIRST, 3)), also=WATCHING) as tasks:
        yield tasks


async def hear(tasks: Tasks, *documents: dict[str, object]) -> None:
    """Let ideas come in by the signal listener, one after the other, and wait for what they lead to."""
    for document in documents:
        await tasks.listener.take(SourceDocument(document, None))
        await settle(tasks)


def idea(bars: dict[str, BarArrays], number: int, stock: str = "TSTA") -> dict[str, object]:
    """An idea of the advisor of that number, so that none repeats another's."""
    return document_at(bars, number, at(FIRST, 3), stock, advisor_id=ADVISORS[(number - 1) % len(ADVISORS)])


async def press(settings: Settings, tasks: Tasks, kind: str, **arguments: str) -> None:
    """Ask a command as an administrator and let the running daemon answer it."""
    new = NewCommand("cli:asha", UserRole.ADMIN, Door.CLI, kind, arguments, f"{kind} {settings.account_id}")
    number = await asyncio.to_thread(asked, settings, settings.account_id, new)
    await tasks.bus.pulse.until(lambda: str(number) in tasks.decider.position.state.commands_answered)


async def until_level(tasks: Tasks, scope: str, cause: Cause, *, is_open: bool = True) -> None:
    """Wait until a cause holds a scope, or does no longer."""

    def is_so() -> bool:
        return tasks.decider.position.state.levels.is_open(scope, cause) is is_open

    await asyncio.wait_for(tasks.bus.pulse.until(is_so), 30)


def codes(connection: Connection, settings: Settings) -> list[str]:
    """Last decisions in the order made; an idea whose series has no price yet waits for one first."""
    rows = connection.execute(
        "SELECT code FROM trading.decisions WHERE account_id = %s AND code <> 'PENDING_ENTRY' "
        "ORDER BY journal_seq, decision_id",
        (settings.account_id,),
    )
    return [code for (code,) in rows.fetchall()]


def told(connection: Connection, settings: Settings) -> list[str]:
    """Events of switches in the order told."""
    rows = connection.execute(
        "SELECT kind FROM trading.trade_events WHERE account_id = %s AND kind IN "
        "('MEASURE_ALARM', 'KILL_SWITCH', 'KILL_SWITCH_CLEARED') ORDER BY event_id",
        (settings.account_id,),
    )
    return [kind for (kind,) in rows.fetchall()]


def history(connection: Connection, settings: Settings) -> list[tuple[Any, ...]]:
    """Every cause that was opened: scope, cause, level, whether it was let go."""
    return connection.execute(
        "SELECT scope, cause, level, cleared_ns IS NOT NULL FROM trading.risk_levels WHERE account_id = %s "
        "ORDER BY cause_id",
        (settings.account_id,),
    ).fetchall()


def test_critical_path_latency_halts_entries_and_lets_go_after_five_good_minutes(
    make_account: Callable[[], Settings],
    bars: dict[str, BarArrays],
    connection: Connection,
    stopwatch: Stopwatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The alarm at 0.3 s, the halt at 1.1 s, over a restart; entries again after five good minutes."""
    settings = make_account()
    waits = iter((0.0, 0.3, 1.1, 0.0))  # the first idea waits for a price and is not timed
    claim = IntentRepo.claim

    async def slow(repo: IntentRepo, *given: Any) -> Any:
        stopwatch.seconds += next(waits)
        return await claim(repo, *given)

    monkeypatch.setattr(IntentRepo, "claim", slow)

    async def first_life() -> None:
        async with watched(settings) as tasks:
            for number in (1, 2, 3):
                await hear(tasks, idea(bars, number))
            await until_level(tasks, ACCOUNT_SCOPE, Cause.LATENCY)
            await hear(tasks, idea(bars, 4))

    async def second_life() -> None:
        async with watched(settings) as tasks:
            assert tasks.decider.position.state.level() is KillLevel.ENTRIES_BLOCKED
            stopwatch.seconds += 300
            await until_level(tasks, ACCOUNT_SCOPE, Cause.LATENCY, is_open=False)
            await hear(tasks, idea(bars, 5, "TSTB"))

    asyncio.run(first_life())
    asyncio.run(second_life())
    assert codes(connection, settings) == ["TRADED"] * 3 + ["KILL_SWITCH", "TRADED"]
    assert history(connection, settings) == [(ACCOUNT_SCOPE, "LATENCY", "ENTRIES_BLOCKED", True)]
    assert told(connection, settings) == ["MEASURE_ALARM", "KILL_SWITCH", "KILL_SWITCH_CLEARED"]


def test_unexpected_exceptions_halt_entries_until_a_person_resets_them(
    make_account: Callable[[], Settings],
    bars: dict[str, BarArrays],
    connection: Connection,
    stopwatch: Stopwatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten within a minute are borne; the eleventh is a call of the broker that fails below it."""
    settings = make_account()

    async def broken(*_given: object, **_named: object) -> None:
        raise OSError("no way out")

    def boom() -> None:
        raise ZeroDivisionError

    async def life() -> None:
        async with watched(settings) as tasks:
            for _ in range(10):
                asyncio.get_running_loop().call_soon(boom)
            await hear(tasks, idea(bars, 1))
            assert tasks.decider.position.state.level() is KillLevel.ACTIVE
            monkeypatch.setattr(PaperBroker, "place", broken)
            await hear(tasks, idea(bars, 2))
            await until_level(tasks, ACCOUNT_SCOPE, Cause.EXCEPTIONS)
            stopwatch.seconds += 3_600
            await hear(tasks, idea(bars, 3))
            await press(settings, tasks, "RESUME", reason="mended")

    asyncio.run(life())
    assert codes(connection, settings) == ["TRADED", "TRADED", "KILL_SWITCH"]
    assert history(connection, settings) == [(ACCOUNT_SCOPE, "EXCEPTIONS", "ENTRIES_BLOCKED", True)]


def test_clock_skew_halts_entries_and_lets_go_once_the_clocks_agree(
    make_account: Callable[[], Settings],
    bars: dict[str, BarArrays],
    connection: Connection,
    stopwatch: Stopwatch,
) -> None:
    settings = make_account()

    async def life() -> None:
        async with watched(settings) as tasks:
            await hear(tasks, idea(bars, 1))
            stopwatch.skew_ns = -1_100_000_000
            await until_level(tasks, ACCOUNT_SCOPE, Cause.CLOCK_SKEW)
            await hear(tasks, idea(bars, 2))
            stopwatch.skew_ns = 900_000_000
            stopwatch.seconds += 61
            await until_level(tasks, ACCOUNT_SCOPE, Cause.CLOCK_SKEW, is_open=False)
            await hear(tasks, idea(bars, 3))

    asyncio.run(life())
    assert codes(connection, settings) == ["TRADED", "KILL_SWITCH", "TRADED"]
    assert history(connection, settings) == [(ACCOUNT_SCOPE, "CLOCK_SKEW", "ENTRIES_BLOCKED", True)]


def test_stale_market_data_of_a_held_instrument_takes_no_entries_on_it(
    make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection
) -> None:
    """Its feed stops after the fill and comes back: by the day's own clock."""
    key = "NSE_EQ:TSTA"
    whole = make_account()
    settings = stalled(whole, {**bars, key: until(bars[key], at(FIRST + 2))})

    async def life() -> None:
        clock = ManualClock(at(FIRST, 3))
        async with alive(settings, clock) as tasks:
            await hear(tasks, document_at(bars, 1, at(FIRST, 3)), document_at(bars, 2, at(FIRST, 3), "TSTB"))
            for minute in (1, 2, 3, 4):
                clock.advance_to(at(FIRST + minute, 3))
                await settle(tasks, at(FIRST + minute))
            levels = tasks.decider.position.state.levels
            assert {cause.scope: cause.level for cause in levels.causes.values()} == {
                f"INSTRUMENT:{key}": KillLevel.ENTRIES_BLOCKED
            }
            await hear(tasks, document_at(bars, 3, at(FIRST + 4, 3), advisor_id="A02"))
            stalled(whole, bars)
            clock.advance_to(at(FIRST + 5, 3))
            await settle(tasks, at(FIRST + 5))
            assert tasks.decider.position.state.levels.causes == {}

    asyncio.run(life())
    assert codes(connection, settings) == ["TRADED", "TRADED", "KILL_SWITCH"]
    assert history(connection, settings) == [(f"INSTRUMENT:{key}", "MARKET_STALE", "ENTRIES_BLOCKED", True)]


def test_an_order_at_the_broker_that_no_book_explains_halts_entries_until_a_person_resets_them(
    make_account: Callable[[], Settings],
    bars: dict[str, BarArrays],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One with our mark, of a book that was lost; a person's own is told and blocks nothing."""
    settings = make_account()
    told_first = [
        BrokerUpdate(f"f{number}", BrokerUpdateKind.ENTRY_FILLED, name, f"b{number}", 100, 5, at(FIRST))
        for number, name in enumerate(("by hand", correlation_id(DAY, "a lost group", 1, 1, 0)))
    ]
    updates = PaperBroker.updates

    async def with_strangers(broker: PaperBroker) -> AsyncIterator[BrokerUpdate]:
        for update in told_first:
            yield update
        async for update in updates(broker):
            yield update

    monkeypatch.setattr(PaperBroker, "updates", with_strangers)

    async def life() -> None:
        async with alive(settings, ManualClock(at(FIRST, 3)), also=("command_listener",)) as tasks:
            await until_level(tasks, ACCOUNT_SCOPE, Cause.UNEXPLAINED)
            await hear(tasks, idea(bars, 1))
            await press(settings, tasks, "RESUME", reason="closed by hand")
            await hear(tasks, idea(bars, 2))

    asyncio.run(life())
    assert codes(connection, settings)[-1] == "TRADED"
    assert history(connection, settings) == [(ACCOUNT_SCOPE, "UNEXPLAINED", "ENTRIES_BLOCKED", True)]
    foreign = connection.execute(
        "SELECT count(*) FROM trading.trade_events WHERE account_id = %s AND kind = 'FOREIGN_ORDER'",
        (settings.account_id,),
    ).fetchone()
    assert foreign == (2,)


def test_entries_that_the_broker_refuses_one_after_the_other_block_their_category(
    make_account: Callable[[], Settings],
    bars: dict[str, BarArrays],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = make_account()

    async def refusing(*_given: object, **_named: object) -> None:
        raise Rejected("margin")

    monkeypatch.setattr(PaperBroker, "place", refusing)

    async def life() -> None:
        async with alive(settings, ManualClock(at(FIRST, 3))) as tasks:
            for number, stock in enumerate(STOCKS, 1):
                await hear(tasks, idea(bars, number, stock))
            await hear(tasks, idea(bars, 8, STOCKS[0]))

    asyncio.run(life())
    assert codes(connection, settings) == ["TRADED"] * len(STOCKS) + ["KILL_SWITCH"]
    assert history(connection, settings) == [("CATEGORY:NSE_EQ", "REJECTIONS", "ENTRIES_BLOCKED", False)]


def test_an_advisor_who_floods_is_traded_no_more_and_others_are(
    make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection
) -> None:
    settings = make_account()
    flood = [
        document_at(bars, number, at(FIRST, 3), STOCKS[number % len(STOCKS)], advisor_id="A04")
        for number in range(11)
    ]

    async def life() -> None:
        async with alive(settings, ManualClock(at(FIRST, 3))) as tasks:
            await hear(tasks, *flood)
            await hear(tasks, idea(bars, 101))

    asyncio.run(life())
    assert codes(connection, settings)[-2:] == ["KILL_SWITCH", "TRADED"]
    assert history(connection, settings) == [("ADVISOR:A04", "SIGNAL_FLOOD", "ENTRIES_BLOCKED", False)]

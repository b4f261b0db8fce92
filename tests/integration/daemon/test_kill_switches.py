"""Kill switches fired through the real daemon, by the rows of §6.2."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
import yaml

from adapters.brokers.paper import PaperBroker
from adapters.clock import SystemClock
from adapters.config_risk import RISK_FILE
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
from tests.integration.daemon.starts import (
    FIRST,
    alive,
    at,
    bar_at,
    document_at,
    settle,
    stalled,
    trades,
    until,
)
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


async def until_level(tasks: Tasks, scope: str, cause: Cause, *, is_open: bool = True) -> None:
    """Wait until a cause holds a scope, or does no longer."""

    def is_so() -> bool:
        return tasks.decider.position.state.levels.is_open(scope, cause) is is_open

    await asyncio.wait_for(tasks.bus.pulse.until(is_so), 30)


@dataclass(frozen=True)
class Desk:
    """A live paper account whose day is ready, and what it came to."""

    settings: Settings
    bars: dict[str, BarArrays]
    connection: Connection

    def idea(self, number: int, stock: str = "TSTA") -> dict[str, object]:
        """An idea of the advisor of that number, so that none repeats another's."""
        advisor = ADVISORS[(number - 1) % len(ADVISORS)]
        return document_at(self.bars, number, at(FIRST, 3), stock, advisor_id=advisor)

    async def press(self, tasks: Tasks, kind: str, **arguments: str) -> None:
        """Ask a command as an administrator and let the running daemon answer it."""
        account = self.settings.account_id
        new = NewCommand("cli:asha", UserRole.ADMIN, Door.CLI, kind, arguments, f"{kind} {account}")
        number = await asyncio.to_thread(asked, self.settings, account, new)
        await tasks.bus.pulse.until(lambda: str(number) in tasks.decider.position.state.commands_answered)

    def codes(self) -> list[str]:
        """Last decisions in the order made; an idea whose series has no price yet waits for one first."""
        return self._column(
            "SELECT code FROM trading.decisions WHERE account_id = %s AND code <> 'PENDING_ENTRY' "
            "ORDER BY journal_seq, decision_id"
        )

    def told(self) -> list[str]:
        """Events of switches in the order told."""
        return self._column(
            "SELECT kind FROM trading.trade_events WHERE account_id = %s AND kind IN "
            "('MEASURE_ALARM', 'KILL_SWITCH', 'KILL_SWITCH_CLEARED') ORDER BY event_id"
        )

    def history(self) -> list[tuple[Any, ...]]:
        """Every cause that was opened: scope, cause, level, whether it was let go."""
        return self.connection.execute(
            "SELECT scope, cause, level, cleared_ns IS NOT NULL FROM trading.risk_levels "
            "WHERE account_id = %s ORDER BY cause_id",
            (self.settings.account_id,),
        ).fetchall()

    def _column(self, query: LiteralString) -> list[str]:
        rows = self.connection.execute(query, (self.settings.account_id,))
        return [value for (value,) in rows.fetchall()]


@pytest.fixture
def desk(make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection) -> Desk:
    return Desk(make_account(), bars, connection)


def test_critical_path_latency_halts_entries_and_lets_go_after_five_good_minutes(
    desk: Desk,
    stopwatch: Stopwatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The alarm at 0.3 s, the halt at 1.1 s, over a restart; entries again after five good minutes."""
    waits = iter((0.0, 0.3, 1.1, 0.0))  # the first idea waits for a price and is not timed
    claim = IntentRepo.claim

    async def slow(repo: IntentRepo, *given: Any) -> Any:
        stopwatch.seconds += next(waits)
        return await claim(repo, *given)

    monkeypatch.setattr(IntentRepo, "claim", slow)

    async def first_life() -> None:
        async with watched(desk.settings) as tasks:
            for number in (1, 2, 3):
                await hear(tasks, desk.idea(number))
            await until_level(tasks, ACCOUNT_SCOPE, Cause.LATENCY)
            await hear(tasks, desk.idea(4))

    async def second_life() -> None:
        async with watched(desk.settings) as tasks:
            assert tasks.decider.position.state.level() is KillLevel.ENTRIES_BLOCKED
            stopwatch.seconds += 300
            await until_level(tasks, ACCOUNT_SCOPE, Cause.LATENCY, is_open=False)
            await hear(tasks, desk.idea(5, "TSTB"))

    asyncio.run(first_life())
    asyncio.run(second_life())
    assert desk.codes() == ["TRADED"] * 3 + ["KILL_SWITCH", "TRADED"]
    assert desk.history() == [(ACCOUNT_SCOPE, "LATENCY", "ENTRIES_BLOCKED", True)]
    assert desk.told() == ["MEASURE_ALARM", "KILL_SWITCH", "KILL_SWITCH_CLEARED"]


def test_unexpected_exceptions_halt_entries_until_a_person_resets_them(
    desk: Desk,
    stopwatch: Stopwatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten within a minute are borne; the eleventh is a call of the broker that fails below it."""

    async def broken(*_given: object, **_named: object) -> None:
        raise OSError("no way out")

    def boom() -> None:
        raise ZeroDivisionError

    async def life() -> None:
        async with watched(desk.settings) as tasks:
            for _ in range(10):
                asyncio.get_running_loop().call_soon(boom)
            await hear(tasks, desk.idea(1))
            assert tasks.decider.position.state.level() is KillLevel.ACTIVE
            monkeypatch.setattr(PaperBroker, "place", broken)
            await hear(tasks, desk.idea(2))
            await until_level(tasks, ACCOUNT_SCOPE, Cause.EXCEPTIONS)
            stopwatch.seconds += 3_600
            await hear(tasks, desk.idea(3))
            await desk.press(tasks, "RESUME", reason="mended")

    asyncio.run(life())
    assert desk.codes() == ["TRADED", "TRADED", "KILL_SWITCH"]
    assert desk.history() == [(ACCOUNT_SCOPE, "EXCEPTIONS", "ENTRIES_BLOCKED", True)]


def test_clock_skew_halts_entries_and_lets_go_once_the_clocks_agree(
    desk: Desk,
    stopwatch: Stopwatch,
) -> None:

    async def life() -> None:
        async with watched(desk.settings) as tasks:
            await hear(tasks, desk.idea(1))
            stopwatch.skew_ns = -1_100_000_000
            await until_level(tasks, ACCOUNT_SCOPE, Cause.CLOCK_SKEW)
            await hear(tasks, desk.idea(2))
            stopwatch.skew_ns = 900_000_000
            stopwatch.seconds += 61
            await until_level(tasks, ACCOUNT_SCOPE, Cause.CLOCK_SKEW, is_open=False)
            await hear(tasks, desk.idea(3))

    asyncio.run(life())
    assert desk.codes() == ["TRADED", "KILL_SWITCH", "TRADED"]
    assert desk.history() == [(ACCOUNT_SCOPE, "CLOCK_SKEW", "ENTRIES_BLOCKED", True)]


def test_stale_market_data_of_held_instruments_takes_no_entries_on_them(desk: Desk, tmp_path: Path) -> None:
    """The feed stops after the fills and comes back, by the day's clock; one quiet share stops nothing."""
    keys = ("NSE_EQ:TSTA", "NSE_EQ:TSTB")
    settings = limited(desk, tmp_path, market_series_min=2, market_stale_s=3_600)
    quiet = {**desk.bars, keys[0]: until(desk.bars[keys[0]], at(FIRST + 2))}
    silent = {key: until(bars, at(FIRST + 4)) for key, bars in quiet.items()}
    stopped = stalled(settings, silent)

    async def life() -> None:
        clock = ManualClock(at(FIRST, 3))
        async with alive(stopped, clock) as tasks:
            await hear(tasks, desk.idea(1), desk.idea(2, "TSTB"))
            for minute in (1, 2, 3, 4):
                clock.advance_to(at(FIRST + minute, 3))
                await settle(tasks, at(FIRST + minute))
            assert tasks.decider.position.state.levels.causes == {}
            clock.advance_to(at(FIRST + 6, 3))
            for key in keys:
                await until_level(tasks, f"INSTRUMENT:{key}", Cause.MARKET_STALE)
            await hear(tasks, document_at(desk.bars, 3, at(FIRST + 6, 3), advisor_id="A02"))
            assert tasks.decider.position.state.level() is KillLevel.ACTIVE
            stalled(settings, desk.bars)
            clock.advance_to(at(FIRST + 7, 3))
            await settle(tasks, at(FIRST + 7))
            assert tasks.decider.position.state.levels.causes == {}

    asyncio.run(life())
    assert desk.codes() == ["TRADED", "TRADED", "KILL_SWITCH"]
    assert sorted(desk.history()) == [
        (f"INSTRUMENT:{key}", "MARKET_STALE", "ENTRIES_BLOCKED", True) for key in keys
    ]


def test_an_order_at_the_broker_that_no_book_explains_halts_entries_until_a_person_resets_them(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One with our mark, of a book that was lost; a person's own is told and blocks nothing."""
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
        async with alive(desk.settings, ManualClock(at(FIRST, 3)), also=("command_listener",)) as tasks:
            await until_level(tasks, ACCOUNT_SCOPE, Cause.UNEXPLAINED)
            await hear(tasks, desk.idea(1))
            await desk.press(tasks, "RESUME", reason="closed by hand")
            await hear(tasks, desk.idea(2))

    asyncio.run(life())
    assert desk.codes()[-1] == "TRADED"
    assert desk.history() == [(ACCOUNT_SCOPE, "UNEXPLAINED", "ENTRIES_BLOCKED", True)]
    foreign = desk.connection.execute(
        "SELECT count(*) FROM trading.trade_events WHERE account_id = %s AND kind = 'FOREIGN_ORDER'",
        (desk.settings.account_id,),
    ).fetchone()
    assert foreign == (2,)


def test_entries_that_the_broker_refuses_one_after_the_other_block_their_category(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    async def refusing(*_given: object, **_named: object) -> None:
        raise Rejected("margin")

    monkeypatch.setattr(PaperBroker, "place", refusing)

    async def life() -> None:
        async with alive(desk.settings, ManualClock(at(FIRST, 3))) as tasks:
            for number, stock in enumerate(STOCKS, 1):
                await hear(tasks, desk.idea(number, stock))
            await hear(tasks, desk.idea(8, STOCKS[0]))

    asyncio.run(life())
    assert desk.codes() == ["TRADED"] * len(STOCKS) + ["KILL_SWITCH"]
    assert desk.history() == [("CATEGORY:NSE_EQ", "REJECTIONS", "ENTRIES_BLOCKED", False)]


def test_an_advisor_who_floods_is_traded_no_more_and_others_are(desk: Desk) -> None:
    flood = [
        document_at(desk.bars, number, at(FIRST, 3), STOCKS[number % len(STOCKS)], advisor_id="A04")
        for number in range(11)
    ]

    async def life() -> None:
        async with alive(desk.settings, ManualClock(at(FIRST, 3))) as tasks:
            await hear(tasks, *flood)
            await hear(tasks, desk.idea(101))

    asyncio.run(life())
    assert desk.codes()[-2:] == ["KILL_SWITCH", "TRADED"]
    assert desk.history() == [("ADVISOR:A04", "SIGNAL_FLOOD", "ENTRIES_BLOCKED", False)]


def limited(desk: Desk, folder: Path, **kill: float) -> Settings:
    """The account under other measures of its switches."""
    stated = yaml.safe_load(RISK_FILE.read_text(encoding="utf-8"))
    stated["kill"] |= kill
    file = folder / "risk.yaml"
    file.write_text(yaml.safe_dump(stated), encoding="utf-8")
    return desk.settings.model_copy(update={"risk_file": file})


def losing(desk: Desk, until_minute: int) -> str:
    """The stock that falls most from the second minute after the ideas on."""

    def fall(stock: str) -> float:
        last, first = (
            bar_at(desk.bars, f"NSE_EQ:{stock}", at(minute)) for minute in (until_minute, FIRST + 2)
        )
        return last.close_paise / first.open_paise

    return min(STOCKS, key=fall)


def lose(desk: Desk, settings: Settings) -> None:
    """Buy what falls, hold it for some minutes, and hear of one more idea."""
    last = FIRST + 12
    stock = losing(desk, last)

    async def life() -> None:
        clock = ManualClock(at(FIRST, 3))
        async with alive(settings, clock) as tasks:
            await hear(tasks, document_at(desk.bars, 1, at(FIRST, 3), stock, stop=0.95))
            for minute in range(FIRST + 1, last + 1):
                clock.advance_to(at(minute, 3))
                await settle(tasks, at(minute))
            await hear(tasks, document_at(desk.bars, 2, at(last, 3), stock, advisor_id="A02"))

    asyncio.run(life())


def test_a_day_loss_blocks_entries_and_keeps_what_is_held(desk: Desk, tmp_path: Path) -> None:
    lose(desk, limited(desk, tmp_path, day_loss_block=1e-6))
    assert desk.codes() == ["TRADED", "KILL_SWITCH"]
    assert desk.history() == [(ACCOUNT_SCOPE, "DAY_LOSS", "ENTRIES_BLOCKED", False)]
    assert [trade[4] for trade in trades(desk.connection, desk.settings)] == [0], "nothing of it was sold"


def test_a_greater_day_loss_closes_everything_and_locks(desk: Desk, tmp_path: Path) -> None:
    lose(desk, limited(desk, tmp_path, day_loss_block=1e-6, day_loss_halt=1e-6))
    assert desk.codes() == ["TRADED", "KILL_SWITCH"]
    levels = [(cause, level) for _, cause, level, _ in desk.history()]
    assert levels == [("DAY_LOSS_HALT", "LIQUIDATING"), ("DAY_LOSS_HALT", "LOCKED")]
    assert [trade[7] for trade in trades(desk.connection, desk.settings)] == ["SQUARE_OFF"]


def test_a_group_that_loses_more_than_its_risk_allows_is_closed(desk: Desk, tmp_path: Path) -> None:
    lose(desk, limited(desk, tmp_path, group_loss_r=1e-3))
    assert desk.codes() == ["TRADED", "TRADED"]
    assert desk.history() == []
    assert [trade[7] for trade in trades(desk.connection, desk.settings)] == ["SQUARE_OFF"]


def test_too_many_entries_within_the_window_pause_entries(desk: Desk, tmp_path: Path) -> None:
    settings = limited(desk, tmp_path, groups_max=2)

    async def life() -> None:
        async with alive(settings, ManualClock(at(FIRST, 3))) as tasks:
            await hear(tasks, *(desk.idea(number) for number in (1, 2, 3, 4)))

    asyncio.run(life())
    # the third throws the switch and is kept back by its own claim; the fourth is refused at the gate
    assert desk.codes() == ["TRADED"] * 3 + ["KILL_SWITCH"] * 2
    assert desk.history() == [(ACCOUNT_SCOPE, "ENTRY_RATE", "ENTRIES_BLOCKED", False)]


def test_a_protection_pauses_its_scope_after_the_end_of_a_trade(desk: Desk, tmp_path: Path) -> None:
    settings = limited(desk, tmp_path, group_loss_r=1e-3)
    assert settings.risk_file is not None
    stated = yaml.safe_load(settings.risk_file.read_text(encoding="utf-8"))
    stated["protections"] = [{"kind": "COOL_DOWN", "per": "UNDERLYING", "block_min": 60}]
    settings.risk_file.write_text(yaml.safe_dump(stated), encoding="utf-8")
    lose(desk, settings)
    assert desk.codes() == ["TRADED", "KILL_SWITCH"]
    scopes = [(scope.partition(":")[0], cause) for scope, cause, _, _ in desk.history()]
    assert scopes == [("UNDERLYING", "PROTECTION")]

"""A paper day that is interrupted: what ended while nobody watched is met at the start, in order."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from adapters.settings import Settings
from propdesk.core.clock import NS_PER_MINUTE, ManualClock
from propdesk.engine.state import EngineState
from propdesk.ports import BarArrays
from tests.integration.daemon.starts import (
    FIRST,
    OPEN,
    alive,
    at,
    bar_at,
    decide,
    heard,
    ideas,
    live,
    settle,
    signal_at,
    stalled,
    started,
    trades,
    until,
)
from tests.support.daemon_day import DAY
from trading_daemon.bus import Envelope
from trading_daemon.session import ensure_ready
from trading_daemon.tasks.order_manager import OrderManager

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[Any, ...]]
LAST = 600


def test_a_downtime_of_minutes_leads_to_the_same_trades(
    make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection
) -> None:
    unharmed, harmed = make_account(), make_account()
    live(unharmed, FIRST, LAST, *ideas(bars))
    live(harmed, FIRST, FIRST, *ideas(bars))  # dies with both orders resting
    live(harmed, LAST - 1, LAST)
    expected = trades(connection, unharmed)
    assert any(trade[4] for trade in expected), "a stop or a target must have filled meanwhile"
    assert trades(connection, harmed) == expected
    minutes, facts = heard(connection, harmed)
    assert minutes == [at(minute) for minute in range(OPEN + 1, LAST + 1)]
    assert len(facts) == len(set(facts)), "what was told at the start is not streamed again"


def test_facts_that_nobody_heard_are_told_at_the_start(
    make_account: Callable[[], Settings],
    bars: dict[str, BarArrays],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exchange has met a minute and filled; the process dies before its journal says so."""
    settings = make_account()
    live(settings, FIRST, FIRST + 1, *ideas(bars))
    with monkeypatch.context() as dying:
        dying.setattr("trading_daemon.startup.minute_events", _die)
        with pytest.raises(_Died):
            live(settings, FIRST + 2, FIRST + 2)
    assert trades(connection, settings) == []
    live(settings, FIRST + 2, FIRST + 2)
    assert [trade[0] for trade in trades(connection, settings)] == ["NSE_EQ:TSTA", "NSE_EQ:TSTB"]
    minutes, facts = heard(connection, settings)
    assert minutes == [at(minute) for minute in range(OPEN + 1, FIRST + 3)]
    assert len(facts) == len(set(facts))


def test_a_start_hands_on_when_earlier_processes_sent_what(
    make_account: Callable[[], Settings],
    bars: dict[str, BarArrays],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They count towards the rates of the minute, the hour and the day."""
    settings = make_account()
    live(settings, FIRST, FIRST, *ideas(bars))
    handed: list[tuple[int, ...]] = []

    class Watched(OrderManager):
        def __init__(self, *parts: Any, sent_ns: tuple[int, ...], **words: Any) -> None:
            handed.append(sent_ns)
            super().__init__(*parts, sent_ns=sent_ns, **words)

    monkeypatch.setattr("trading_daemon.bootstrap.OrderManager", Watched)

    async def start() -> None:
        async with started(settings, ManualClock(at(FIRST + 1))):
            pass

    asyncio.run(start())
    sent = connection.execute(
        "SELECT sent_ns FROM trading.order_intents WHERE account_id = %s AND sent_ns IS NOT NULL ORDER BY 1",
        (settings.account_id,),
    ).fetchall()
    assert sent, "something must have left"
    assert handed == [tuple(moment for (moment,) in sent)]


class _Died(Exception):
    pass


def _die(*_: object) -> tuple[()]:
    raise _Died


def test_a_recovered_bar_lets_no_entry_through(
    make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection
) -> None:
    """The recorder died too: the newest bar that is met at the start is old, and so is its price."""
    known = FIRST + 5
    cut = stalled(make_account(), {key: until(one, at(known)) for key, one in bars.items()})
    live(cut, FIRST, FIRST, *ideas(bars))

    async def late() -> None:
        async with alive(cut, ManualClock(at(LAST, 3))) as tasks:
            assert tasks.decider.position.state.prices["NSE_EQ:TSTA"].at_ns == at(known)
            late_idea = signal_at(bars, 9, at(LAST, 3), advisor_id="A02")
            await tasks.bus.events.put(Envelope((late_idea,)))
            await settle(tasks)

    asyncio.run(late())
    found = connection.execute(
        "SELECT code FROM trading.decisions WHERE account_id = %s ORDER BY journal_seq DESC LIMIT 1",
        (cut.account_id,),
    ).fetchone()
    assert found == ("PRICE_STALE",)


def test_bars_written_while_nobody_watched_act_though_their_minutes_were_over(
    make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection
) -> None:
    """The recorder stalls for one series before the stop, the process dies, the rest is written after."""
    unharmed, harmed = make_account(), make_account()
    live(unharmed, FIRST, LAST, *ideas(bars))
    expected = trades(connection, unharmed)
    key, entry_ns, exit_ns = (expected[1][place] for place in (0, 3, 6))
    assert exit_ns > entry_ns
    minute = FIRST + (exit_ns - at(FIRST)) // NS_PER_MINUTE
    cut = stalled(harmed, {**bars, key: until(bars[key], at(minute))})
    live(cut, FIRST, minute + 4, *ideas(bars))  # has met three minutes without a bar of this series
    assert not trades(connection, harmed)[1][4]
    live(harmed, minute + 5, LAST)
    assert trades(connection, harmed) == expected


# ------------------------------------------------------- entries nobody sent


def decide_only(settings: Settings, bars: dict[str, BarArrays]) -> None:
    """An idea is traded at 9:30:03, and the process dies before its entry is claimed."""

    async def life() -> None:
        async with started(settings, ManualClock(at(FIRST, 3))) as tasks:
            await decide(tasks, bar_at(bars, "NSE_EQ:TSTA", at(FIRST)), ideas(bars)[0])

    asyncio.run(life())


def restart(settings: Settings, minute: int, second: int) -> EngineState:
    """Start at a moment, let everything settle, and give the state."""

    async def life() -> EngineState:
        async with alive(settings, ManualClock(at(minute, second))) as tasks:
            await settle(tasks)
            return tasks.decider.position.state

    return asyncio.run(life())


def entries(connection: Connection, settings: Settings) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT state, reason FROM trading.order_intents WHERE account_id = %s "
        "ORDER BY journal_seq, position",
        (settings.account_id,),
    ).fetchall()


def asked(connection: Connection, settings: Settings) -> int:
    rows = connection.execute(
        "SELECT events FROM trading.journal WHERE account_id = %s", (settings.account_id,)
    ).fetchall()
    return sum(bytes(row[0]).count(b'"EntryWaited"') for row in rows)


def test_an_entry_found_unsent_within_the_freshness_limit_is_judged_and_sent(
    make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection
) -> None:
    settings = make_account()
    decide_only(settings, bars)
    assert entries(connection, settings) == [("PREPARED", "")]
    state = restart(settings, FIRST, 25)
    assert entries(connection, settings) == [("WORKING", "")]
    assert asked(connection, settings) == 1
    assert state.corpus.deployed_paise > 0


def test_an_entry_found_unsent_after_the_freshness_limit_is_stale(
    make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection
) -> None:
    settings = make_account()
    decide_only(settings, bars)
    state = restart(settings, FIRST + 1, 4)
    assert entries(connection, settings) == [("REJECTED", "STALE")]
    assert state.corpus.deployed_paise == 0
    assert all(live_group.is_closed for live_group in state.groups.values())
    assert restart(settings, FIRST + 1, 20).corpus == state.corpus
    signal_id = ideas(bars)[0].signal.signal_id
    told = connection.execute(
        "SELECT code, detail FROM trading.decisions WHERE account_id = %s AND signal_id = %s "
        "ORDER BY journal_seq",
        (settings.account_id, signal_id),
    ).fetchall()
    assert [code for code, _ in told] == ["TRADED", "STALE"]
    assert told[-1][1] == "before its entry was sent"
    assert asked(connection, settings) == 0


def test_an_entry_that_no_longer_passes_after_a_restart_is_not_sent(
    make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection
) -> None:
    settings = make_account()
    decide_only(settings, bars)
    connection.execute("DELETE FROM ref.readiness WHERE account_id = %s", (settings.account_id,))
    connection.execute("UPDATE marts.mini_rules SET desk_passes = false, desk_failed_gates = '{n}'")
    ensure_ready(settings, DAY)
    state = restart(settings, FIRST, 25)
    (entry,) = entries(connection, settings)
    assert entry[0] == "WITHDRAWN"
    assert "RULE_FAILED" in entry[1] or "NO_MATCH" in entry[1]
    assert state.corpus.deployed_paise == 0
    assert restart(settings, FIRST, 40).corpus == state.corpus

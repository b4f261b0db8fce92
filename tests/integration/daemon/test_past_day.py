"""A day that died before its close is brought to its end before the next market day begins (§5.7)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from adapters.calendar import load_calendar
from adapters.db.engine import psycopg_dsn
from adapters.db.repos.journal import JournalRepo
from adapters.db.repos.readiness import Readiness, closing_corpus, read_readiness, write_readiness
from adapters.settings import Settings
from adapters.ticks.store import ParquetPriceStore, bars_table
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE, ManualClock, from_ns
from propdesk.core.errors import GapFault
from propdesk.engine.batch import Batch
from propdesk.engine.state import EngineState
from propdesk.model.enums import KillLevel
from propdesk.model.messages import OperatorCommand, SignalReceived
from propdesk.ports import BarArrays
from propdesk.risk.kill_switch import ACCOUNT_SCOPE
from tests.integration.daemon.starts import (
    CLOSE,
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
from trading_daemon.ports import MinuteClosed
from trading_daemon.tasks.position_monitor import meet_minute

pytestmark = [pytest.mark.integration, pytest.mark.slow]

Connection = psycopg.Connection[tuple[Any, ...]]
Bars = dict[str, BarArrays]
MakeAccount = Callable[[], Settings]
NEXT, FRIDAY = date(2025, 7, 2), date(2025, 7, 4)


def day_ideas(bars: Bars) -> list[SignalReceived]:
    """Two ideas that end at a stop or a target, one that is squared off."""
    return [*ideas(bars), signal_at(bars, 3, at(FIRST, 3), "TSTC", advisor_id="A02")]


def begin(settings: Settings, day: date = NEXT, *, minute: int = OPEN - 30) -> EngineState:
    """Start on a later day, let everything settle, and give the state."""

    async def life() -> EngineState:
        async with alive(settings, ManualClock(at(minute, day=day)), day) as tasks:
            await settle(tasks)
            return tasks.decider.position.state

    return asyncio.run(life())


def outcome(connection: Connection, settings: Settings) -> dict[str, Any]:
    """What the books say of the day: trades, corpus, crowd, and whatever is not over."""
    name = (settings.account_id,)

    def ask(statement: str) -> list[tuple[Any, ...]]:
        return connection.execute(statement.encode(), name).fetchall()

    return {
        "trades": trades(connection, settings),
        "corpus": ask(
            "SELECT kind, category, sum(free_delta_paise), sum(deployed_delta_paise), sum(pnl_paise) "
            "FROM trading.corpus_ledger WHERE account_id = %s AND trade_date = '2025-07-01' "
            "GROUP BY 1, 2 ORDER BY 1, 2"
        ),
        "crowd": ask(
            "SELECT signal_id, state, reason, changed_ns / 60000000000 FROM trading.crowd_positions "
            "WHERE account_id = %s ORDER BY 1"
        ),
        "open": ask("SELECT signal_id FROM trading.trade_groups WHERE account_id = %s AND NOT is_closed"),
        "unanswered": ask(
            "SELECT kind, state FROM trading.order_intents WHERE account_id = %s "
            "AND state IN ('PREPARED', 'SENT', 'UNKNOWN')"
        ),
        "carried": ask(
            "SELECT trade_date FROM trading.carry_overs WHERE account_id = %s AND trade_date = '2025-07-01'"
        ),
    }


@pytest.mark.parametrize("day", [NEXT, FRIDAY], ids=["next-day", "days-later"])
def test_a_day_that_died_ends_like_one_that_did_not(
    make_account: MakeAccount, bars: Bars, connection: Connection, day: date
) -> None:
    unharmed, harmed = make_account(), make_account()
    live(unharmed, FIRST, CLOSE, *day_ideas(bars))
    live(harmed, FIRST, FIRST + 3, *day_ideas(bars))  # dies with open positions
    expected = outcome(connection, unharmed)
    assert {trade[-1] for trade in expected["trades"]} >= {"SQUARE_OFF"}
    assert len({trade[-1] for trade in expected["trades"]}) > 1
    assert expected["open"] == expected["unanswered"] == []
    assert outcome(connection, harmed)["open"]
    state = begin(harmed, day)
    assert outcome(connection, harmed) == expected
    assert not state.groups
    minutes, facts = heard(connection, harmed)
    assert minutes == [at(minute) for minute in range(OPEN + 1, CLOSE + 1)]
    assert len(facts) == len(set(facts))


def test_a_start_after_the_close_of_the_same_day_carries_nothing_that_was_to_be_squared_off(
    make_account: MakeAccount, bars: Bars, connection: Connection
) -> None:
    unharmed, harmed = make_account(), make_account()
    live(unharmed, FIRST, CLOSE, *day_ideas(bars))
    live(harmed, FIRST, FIRST + 3, *day_ideas(bars))
    state = begin(harmed, DAY, minute=CLOSE + 30)
    expected = outcome(connection, unharmed)
    assert {trade[-1] for trade in expected["trades"]} >= {"SQUARE_OFF"}
    assert outcome(connection, harmed) == expected
    assert all(group.is_closed for group in state.groups.values())
    rows = len(heard(connection, harmed)[0])
    begin(harmed, DAY, minute=CLOSE + 40)
    assert len(heard(connection, harmed)[0]) == rows, "the day is handed over once"


def test_bars_that_were_late_when_a_day_died_act_at_its_end(
    make_account: MakeAccount, bars: Bars, connection: Connection
) -> None:
    """The recorder stalls before a stop, the process dies minutes later, the rest is written at night."""
    unharmed, harmed = make_account(), make_account()
    live(unharmed, FIRST, CLOSE, *ideas(bars))
    expected = trades(connection, unharmed)
    key, exit_ns = expected[1][0], expected[1][6]
    minute = FIRST + (exit_ns - at(FIRST)) // NS_PER_MINUTE
    cut = stalled(harmed, {**bars, key: until(bars[key], at(minute))})
    live(cut, FIRST, minute + 4, *ideas(bars))
    assert not trades(connection, harmed)[1][4]
    begin(harmed)
    assert trades(connection, harmed) == expected
    assert outcome(connection, harmed)["open"] == []


def test_a_day_whose_prices_are_missing_is_closed_only_where_a_person_names_it(
    make_account: MakeAccount, bars: Bars, connection: Connection
) -> None:
    harmed = make_account()
    cut = stalled(harmed, {key: until(series, at(FIRST + 3)) for key, series in bars.items()})
    live(cut, FIRST, FIRST + 3, *day_ideas(bars))
    with pytest.raises(GapFault, match=r"2025-07-01 .* NSE_EQ:TST"):
        begin(cut)
    assert outcome(connection, harmed)["carried"] == []
    begin(cut.model_copy(update={"unpriced_days": "2025-06-30, 2025-07-01"}))
    assert outcome(connection, harmed)["carried"] == [(DAY,)]


def test_what_the_exchange_filled_and_no_journal_holds_is_booked_on_its_day(
    make_account: MakeAccount, bars: Bars, connection: Connection
) -> None:
    """The exchange has met every minute up to 10:00; the process dies before the journal says so."""
    unharmed, harmed = make_account(), make_account()
    live(unharmed, FIRST, CLOSE, *ideas(bars))
    live(harmed, FIRST, FIRST + 1, *ideas(bars))

    async def ahead() -> None:
        async with started(harmed, ManualClock(at(FIRST + 1, 3))) as tasks:
            market = tasks.monitor._market
            assert market is not None
            for minute in range(FIRST + 2, 601):
                found = tuple(bar_at(bars, key, at(minute)) for key in ("NSE_EQ:TSTA", "NSE_EQ:TSTB"))
                await meet_minute(market, MinuteClosed(at(minute), found))

    asyncio.run(ahead())
    kinds = connection.execute(
        "SELECT fact ->> 'kind' FROM trading.paper_updates WHERE account_id = %s", (harmed.account_id,)
    ).fetchall()
    assert {"STOP_FILLED", "TARGET_FILLED"} & {kind for (kind,) in kinds}
    before = trades(connection, harmed)
    assert not any(trade[4] for trade in before), "the books know of no exit"
    state = begin(harmed)
    assert outcome(connection, harmed) == outcome(connection, unharmed)
    assert not state.groups


def test_an_entry_nobody_sent_is_over_with_its_day(
    make_account: MakeAccount, bars: Bars, connection: Connection
) -> None:
    settings = make_account()

    async def life() -> None:
        async with started(settings, ManualClock(at(FIRST, 3))) as tasks:
            await decide(tasks, bar_at(bars, "NSE_EQ:TSTA", at(FIRST)), ideas(bars)[0])

    asyncio.run(life())
    state = begin(settings)
    found = connection.execute(
        "SELECT kind, state, reason FROM trading.order_intents WHERE account_id = %s", (settings.account_id,)
    ).fetchall()
    assert found == [("PLACE", "REJECTED", "STALE")]
    assert not state.groups
    released = outcome(connection, settings)
    assert sum(line[3] for line in released["corpus"]) == 0
    assert released["open"] == released["unanswered"] == []


def test_an_end_that_dies_itself_goes_on_where_it_was(
    make_account: MakeAccount, bars: Bars, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    unharmed, harmed = make_account(), make_account()
    live(unharmed, FIRST, CLOSE, *day_ideas(bars))
    live(harmed, FIRST, FIRST + 3, *day_ideas(bars))
    real = JournalRepo.commit
    for last in (80, 250):

        async def commit(self: JournalRepo, batch: Batch, last: int = last) -> None:
            if batch.seq == last:
                raise _Died
            await real(self, batch)

        with monkeypatch.context() as dying:
            dying.setattr(JournalRepo, "commit", commit)
            with pytest.raises(ExceptionGroup) as ended:
                begin(harmed)
            assert ended.group_contains(_Died)
        assert outcome(connection, harmed)["carried"] == [], "nothing is handed over before the last minute"
    begin(harmed)
    assert outcome(connection, harmed) == outcome(connection, unharmed)
    again = begin(harmed)
    assert outcome(connection, harmed) == outcome(connection, unharmed)
    assert not again.groups


class _Died(Exception):
    pass


# ------------------------------------------------------- what is carried


@pytest.fixture
def swing(make_account: MakeAccount, settings: Settings, bars: Bars) -> MakeAccount:
    """Accounts that may hold overnight; on the next day TSTA falls through its stop."""
    with psycopg.connect(psycopg_dsn(settings.database_url())) as owner:
        owner.execute(
            "INSERT INTO marts.mini_rules SELECT as_of_date, level, advisor_id, category, 'SWING', regime, "
            "weekday, session, replace(rule_text, 'INTRADAY', 'SWING'), n, n_days, post_mean_r, prob_edge, "
            "trust_flag, trust_is_noise, wse_p90, mean_post_sl_extension, stopped_trades, desk_passes, "
            "original_passes, desk_failed_gates, original_failed_gates, gates_version FROM marts.mini_rules"
        )
    store = ParquetPriceStore(settings.price_store_url, load_calendar())
    store.write_minutes(NEXT, bars_table({"NSE_EQ:TSTA": _fall(bars["NSE_EQ:TSTA"])}.items()))
    return make_account


def _fall(bars: BarArrays) -> BarArrays:
    """The same day once more, a day later, with a slide of a fifth from 11:00 on."""
    prices = {}
    for name in ("open_paise", "high_paise", "low_paise", "close_paise"):
        column = getattr(bars, name).copy()
        column[105:] = column[105:] * 80 // 100 // 5 * 5
        prices[name] = column
    return replace(bars, start_ns=bars.start_ns + NS_PER_DAY, **prices)


def swing_idea(bars: Bars) -> SignalReceived:
    return signal_at(bars, 1, at(FIRST, 3), "TSTA", stop=0.9, target=1.3, period="SWING")


def test_a_position_carried_over_days_without_a_daemon_ends_at_its_stop(
    swing: MakeAccount, bars: Bars, connection: Connection
) -> None:
    unharmed, harmed = swing(), swing()
    live(unharmed, FIRST, CLOSE, swing_idea(bars))
    live(unharmed, OPEN, CLOSE, day=NEXT)
    live(harmed, FIRST, FIRST + 3, swing_idea(bars))
    state = begin(harmed, FRIDAY)
    (trade,) = trades(connection, unharmed)
    assert trade[-1] == "STOPLOSS"
    assert from_ns(trade[6]).date() == NEXT
    assert trades(connection, harmed) == [trade]
    assert not state.groups
    days = connection.execute(
        "SELECT DISTINCT trade_date FROM trading.journal WHERE account_id = %s ORDER BY 1",
        (harmed.account_id,),
    ).fetchall()
    assert days[:2] == [(DAY,), (NEXT,)]


def test_the_opening_corpus_follows_a_day_that_ended_after_premarket(
    swing: MakeAccount, bars: Bars, connection: Connection
) -> None:
    harmed = swing()
    live(harmed, FIRST, FIRST + 3, *day_ideas(bars))
    early = closing_corpus(connection, harmed.account_id, NEXT)
    steps = {"corpus": {"opening_paise": early}}
    record = Readiness(harmed.account_id, NEXT, steps, from_ns(at(525, day=NEXT)), None, early)
    write_readiness(connection, record)
    state = begin(harmed)
    late = closing_corpus(connection, harmed.account_id, NEXT)
    assert late != early
    assert state.opening_corpus_paise == late
    assert read_readiness(connection, harmed.account_id, NEXT).opening_corpus_paise == late


def test_an_exit_decided_after_the_hand_over_is_sent_on_the_next_day(
    swing: MakeAccount, bars: Bars, connection: Connection
) -> None:
    """A person liquidates in the evening; the process dies before the exit is claimed."""
    settings = swing()
    live(settings, FIRST, CLOSE, swing_idea(bars))

    async def evening() -> None:
        async with started(settings, ManualClock(at(CLOSE + 30))) as tasks:
            command = OperatorCommand(KillLevel.LIQUIDATING, ACCOUNT_SCOPE, "me", "test", at(CLOSE + 30))
            await decide(tasks, command)
            await tasks.monitor.close_minute(MinuteClosed(at(CLOSE + 31), ()))
            events = await asyncio.wait_for(tasks.bus.events.get(), 5)
            await tasks.decider.decide([events])

    asyncio.run(evening())
    live(settings, OPEN, OPEN + 3, day=NEXT)
    (trade,) = trades(connection, settings)
    assert trade[-1] == "SQUARE_OFF"
    assert from_ns(trade[6]).date() == NEXT
    assert outcome(connection, settings)["open"] == []


def test_nothing_carried_leaves_days_without_a_daemon_alone(
    make_account: MakeAccount, bars: Bars, connection: Connection
) -> None:
    settings = make_account()
    live(settings, FIRST, CLOSE, *ideas(bars))
    begin(settings, NEXT + timedelta(days=5))
    days = connection.execute(
        "SELECT DISTINCT trade_date FROM trading.journal WHERE account_id = %s ORDER BY 1",
        (settings.account_id,),
    ).fetchall()
    assert days == [(DAY,), (NEXT + timedelta(days=5),)]

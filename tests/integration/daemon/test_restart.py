"""A restart finds another context than the day was decided under so far: it folds, goes on, and says so."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg
import pytest

from adapters.db.engine import create_engine, psycopg_dsn
from adapters.db.repos.instruments import load_instruments
from adapters.db.repos.journal import JournalRepo
from adapters.settings import Settings
from propdesk.core.clock import ManualClock
from propdesk.core.errors import InvariantViolated
from propdesk.engine import codec
from propdesk.engine.batch import Batch
from propdesk.intake.aliases import Aliases
from propdesk.model.messages import ContextChanged, DayOpened
from propdesk.ports import BarArrays
from tests.integration.daemon.starts import at, bar_at, decide, signal_at, started
from tests.support.daemon_day import DAY, STOCKS, make_instrument, prepare_day
from trading_daemon.main import RunResult
from trading_daemon.session import ensure_ready
from trading_daemon.tasks.sentinel import DayChanged

pytestmark = pytest.mark.integration

Connection = psycopg.Connection[tuple[Any, ...]]
ACCOUNTS = iter(range(1, 1_000))


@pytest.fixture
def bars(settings: Settings) -> dict[str, BarArrays]:
    """Prices of a day whose rules and instruments are there, but whose pre-market has not run."""
    return prepare_day(settings)


@pytest.fixture
def live(settings: Settings, bars: dict[str, BarArrays]) -> Iterator[Settings]:
    """Settings of a live paper account of its own."""
    del bars
    account = f"restart-{next(ACCOUNTS)}"
    yield settings.model_copy(update={"account_id": account, "mongo_url": None, "log_level": "error"})
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        connection.execute("UPDATE ref.regimes SET label = 'SIDEWAYS' WHERE trade_date = %s", (DAY,))
        connection.execute("DELETE FROM ref.ruleset_rules")
        connection.execute("DELETE FROM ref.rulesets")
    engine = create_engine(settings.database_url(), "tests")
    load_instruments(engine, [make_instrument(stock) for stock in STOCKS], "test")
    engine.dispose()


def segments(connection: Connection, settings: Settings) -> list[str]:
    """Events that name a context, in order."""
    rows = connection.execute(
        "SELECT events FROM trading.journal WHERE account_id = %s ORDER BY trade_date, seq",
        (settings.account_id,),
    ).fetchall()
    events = [event for row in rows for event in codec.decode_events(bytes(row[0]))]
    return [type(event).__name__ for event in events if isinstance(event, DayOpened | ContextChanged)]


def codes(connection: Connection, settings: Settings) -> list[str]:
    """Decision on each signal, in order, apart from what became of its entry: these lives send none."""
    rows = connection.execute(
        "SELECT code FROM trading.decisions WHERE account_id = %s AND code <> 'PENDING_ENTRY' "
        "AND detail NOT LIKE 'before its entry was sent%%' ORDER BY trade_date, journal_seq",
        (settings.account_id,),
    )
    return [code for (code,) in rows]


def trade(settings: Settings, bars: dict[str, BarArrays], number: int, minute: int) -> None:
    """Start, see a price and a signal, and die."""
    seen = bar_at(bars, "NSE_EQ:TSTA", at(minute)), signal_at(bars, number, at(minute, 5))

    async def life() -> None:
        async with started(settings, ManualClock(at(minute, 5))) as tasks:
            await decide(tasks, *seen)

    asyncio.run(life())


def open_keys(settings: Settings, day: date) -> list[str]:
    """Instruments of the open groups a start on a day finds."""

    async def life() -> list[str]:
        async with started(settings, ManualClock(at(530, day=day)), day) as tasks:
            groups = tasks.decider.position.state.groups.values()
            return [one.group.instrument_key for one in groups]

    return asyncio.run(life())


def test_started_before_premarket_the_day_goes_on_with_its_rules(
    live: Settings, bars: dict[str, BarArrays], connection: Connection
) -> None:
    trade(live, bars, 1, 570)
    ensure_ready(live, DAY)
    trade(live, bars, 2, 575)
    trade(live, bars, 3, 640)
    assert codes(connection, live) == ["NOT_READY", "TRADED", "TRADED"]
    assert segments(connection, live) == ["DayOpened", "DayOpened"]


def test_premarket_that_ends_after_the_day_was_loaded_is_seen_at_the_first_look(
    live: Settings, bars: dict[str, BarArrays], connection: Connection
) -> None:
    """Between load and first look, and once more when only the opening corpus is another one."""
    del bars

    async def life(meanwhile: Callable[[], object]) -> None:
        async with started(live, ManualClock(at(540))) as tasks:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(tasks.sentinel.run(), 0.5)
            await asyncio.to_thread(meanwhile)
            with pytest.raises(DayChanged, match="readiness"):
                await asyncio.wait_for(tasks.sentinel.run(), 10)

    asyncio.run(life(lambda: ensure_ready(live, DAY)))
    other = "UPDATE ref.readiness SET opening_corpus_paise = opening_corpus_paise + 1 WHERE account_id = %s"
    asyncio.run(life(lambda: connection.execute(other, (live.account_id,))))


def _setting(settings: Settings) -> Settings:
    return settings.model_copy(update={"analytical_capital_paise": 1, "size_model": "analytical"})


def _regime(settings: Settings) -> Settings:
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        connection.execute("UPDATE ref.regimes SET label = 'TRENDING_BULLISH' WHERE trade_date = %s", (DAY,))
    return settings


def _ruleset(settings: Settings) -> Settings:
    """Rules of which none passes any more, frozen in place of the first ones."""
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        connection.execute("DELETE FROM ref.readiness WHERE account_id = %s", (settings.account_id,))
        connection.execute("UPDATE marts.mini_rules SET desk_passes = false, desk_failed_gates = '{n}'")
    ensure_ready(settings, DAY)
    return settings


def _master(settings: Settings) -> Settings:
    """A master loaded anew: other ticks and lots, and one share less."""
    engine = create_engine(settings.database_url(), "tests")
    rows = [replace(make_instrument(stock), tick_paise=50, lot_size=7) for stock in STOCKS]
    load_instruments(engine, rows, "test")
    engine.dispose()
    return settings


def _aliases(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    other = Aliases.build({}, {"TSTB": ["TSTA"]})
    monkeypatch.setattr("trading_daemon.day.load_aliases", lambda: other)
    return settings


@pytest.mark.parametrize(
    ("change", "begins_a_segment"),
    [(_setting, True), (_regime, True), (_ruleset, True), (_master, False), (_aliases, False)],
    ids=["setting", "regime", "ruleset", "instruments", "aliases"],
)
def test_whatever_changed_between_two_starts_the_day_goes_on(
    live: Settings,
    bars: dict[str, BarArrays],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[..., Settings],
    begins_a_segment: bool,
) -> None:
    ensure_ready(live, DAY)
    trade(live, bars, 1, 570)
    before = connection.execute(
        "SELECT * FROM trading.decisions WHERE account_id = %s", (live.account_id,)
    ).fetchall()
    changed = change(live, monkeypatch) if change is _aliases else change(live)
    trade(changed, bars, 2, 640)
    trade(changed, bars, 3, 710)
    expected = ["DayOpened", "ContextChanged"] if begins_a_segment else ["DayOpened"]
    assert segments(connection, live) == expected
    assert (
        before[0]
        in connection.execute(
            "SELECT * FROM trading.decisions WHERE account_id = %s", (live.account_id,)
        ).fetchall()
    )
    found = codes(connection, live)
    assert len(found) == 3
    assert found[0] == "TRADED"
    stored = connection.execute(
        "SELECT count(*) FROM trading.day_contexts WHERE account_id = %s", (live.account_id,)
    ).fetchone()
    assert stored == (len(expected),)


def test_a_day_without_its_close_is_ended_under_its_own_context(
    live: Settings, bars: dict[str, BarArrays], connection: Connection
) -> None:
    ensure_ready(live, DAY)
    trade(live, bars, 1, 570)
    changed = _setting(_master(live))
    assert open_keys(changed, date(2025, 7, 2)) == [], "its entry was never sent and is over with its day"
    assert segments(connection, live) == ["DayOpened"] * 3, "ready, no longer ready, and the next day"
    stored = connection.execute(
        "SELECT trade_date, count(*) FROM trading.day_contexts WHERE account_id = %s GROUP BY 1 ORDER BY 1",
        (live.account_id,),
    ).fetchall()
    assert stored == [(DAY, 1), (date(2025, 7, 2), 1)]


def test_a_context_or_ruleset_that_was_tampered_with_stops_the_start(
    live: Settings, bars: dict[str, BarArrays], connection: Connection
) -> None:
    ensure_ready(live, DAY)
    trade(live, bars, 1, 570)
    name = (live.account_id,)
    connection.execute(
        "UPDATE trading.day_contexts SET content = content || ' '::bytea WHERE account_id = %s", name
    )
    with pytest.raises(InvariantViolated, match=r"stored context .* was changed"):
        trade(live, bars, 2, 640)
    connection.execute("DELETE FROM trading.day_contexts WHERE account_id = %s", name)
    with pytest.raises(InvariantViolated, match="not stored"):
        trade(live, bars, 2, 640)
    connection.execute("UPDATE ref.ruleset_rules SET rule = jsonb_set(rule, '{post_mean_r}', '0.9')")
    with pytest.raises(InvariantViolated, match=r"frozen ruleset .* was changed"):
        trade(live, bars, 2, 640)


class _Died(Exception):
    pass


@pytest.mark.slow
def test_a_replayed_day_goes_on_under_a_changed_setting(
    replay: Callable[..., RunResult],
    daemon_settings: Settings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It dies half-way; with the same setting nothing shows of it, and with another one it ends too."""
    direct = daemon_settings.model_copy(update={"mongo_url": None})
    changed = direct.model_copy(update={"crowd_min_advisors": 1, "crowd_mode": "on"})
    unharmed = replay(fresh=True, settings=direct)
    for settings, expected in ((direct, ["DayOpened"]), (changed, ["DayOpened", "ContextChanged"])):
        with monkeypatch.context() as dying:
            dying.setattr(JournalRepo, "commit", _dies_at(unharmed.journal_rows // 2))
            with pytest.raises(ExceptionGroup) as ended:
                replay(fresh=True, settings=direct)
            assert ended.group_contains(_Died)
        result = replay(fresh=False, settings=settings)
        assert result.is_done
        assert (result.chain_hash == unharmed.chain_hash) == (settings is direct)
        assert segments(connection, direct) == expected
        assert replay(fresh=False, settings=settings).chain_hash == result.chain_hash


def _dies_at(seq: int) -> Callable[[JournalRepo, Batch], Awaitable[None]]:
    real = JournalRepo.commit

    async def commit(self: JournalRepo, batch: Batch) -> None:
        if batch.seq == seq:
            raise _Died
        await real(self, batch)

    return commit

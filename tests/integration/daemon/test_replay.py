"""A past day through the real daemon: the same every time, whatever dies on the way."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest

from adapters.brokers.paper.broker import PaperBroker
from adapters.db.repos.inbox import InboxRepo
from adapters.db.repos.intents import IntentRepo
from adapters.db.repos.journal import JournalRepo
from adapters.db.repos.report import DayReport
from adapters.settings import Settings
from tests.support.daemon_day import DAY
from tests.support.deaths import Died, arm_deaths
from trading_daemon.main import RunResult

pytestmark = [pytest.mark.integration, pytest.mark.slow]

Replay = Callable[..., RunResult]
Report = Callable[[], DayReport]


# Dying about as often each: there are many more journal rows than orders.
WRITES = (
    (JournalRepo, "commit", 0.015),
    (InboxRepo, "store", 0.15),
    (IntentRepo, "claim", 0.06),
    (IntentRepo, "answer", 0.06),
    (PaperBroker, "_commit", 0.06),
)


def test_a_second_run_and_one_without_mongodb_write_the_same_journal_byte_for_byte(
    replay: Replay, report: Report, daemon_settings: Settings
) -> None:
    first = replay(fresh=True)
    before = report()
    second = replay(fresh=True)
    assert (first.is_done, second.is_done) == (True, True)
    assert first.chain_hash == second.chain_hash
    assert report() == before
    assert before.trades, "the invented day must trade"
    assert all(trade.exit_paise is not None for trade in before.trades)
    direct = replay(fresh=True, settings=daemon_settings.model_copy(update={"mongo_url": None}))
    assert direct.chain_hash == first.chain_hash


def test_dying_at_any_write_ends_with_the_same_trades(
    replay: Replay, report: Report, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    unharmed = replay(fresh=True)
    expected = report()
    deaths = arm_deaths(monkeypatch, np.random.default_rng(seed), WRITES, most=40)
    result: RunResult | None = None
    fresh = True
    while result is None:
        try:
            result = replay(fresh=fresh)
        except ExceptionGroup as group:
            if group.subgroup(Died) is None:
                raise
        except Died:
            pass
        fresh = False
    assert len(deaths) >= 20, "too few deaths to prove anything"
    assert len(set(deaths)) >= 8, "deaths must hit different writes, before and after they took effect"
    assert report() == expected
    assert result.chain_hash == unharmed.chain_hash


def test_a_replayed_day_decides_every_signal_once_sends_each_intent_once_and_its_books_add_up(
    replay: Replay, report: Report, connection: "psycopg.Connection[tuple[Any, ...]]", settings: Settings
) -> None:
    """One replay, which three parts look at."""
    replay(fresh=True)
    assert_every_signal_has_exactly_one_last_word(report(), connection, settings)
    assert_books_add_up_at_the_end_of_the_day(connection, settings)
    assert_no_intent_was_sent_twice(connection, settings)


def assert_every_signal_has_exactly_one_last_word(
    found: DayReport, connection: "psycopg.Connection[tuple[Any, ...]]", settings: Settings
) -> None:
    assert sum(count for _, count in found.decisions) == found.signals
    assert found.rejected_documents == 1
    rows = connection.execute(
        "SELECT count(*) FROM trading.inbox WHERE account_id = %s AND journal_seq IS NULL",
        (settings.account_id,),
    ).fetchone()
    assert rows == (0,)


def assert_books_add_up_at_the_end_of_the_day(
    connection: "psycopg.Connection[tuple[Any, ...]]", settings: Settings
) -> None:
    row = connection.execute(
        "SELECT sum(total_paise), sum(free_paise), sum(deployed_paise) FROM trading.corpus_accounts "
        "WHERE account_id = %s",
        (settings.account_id,),
    ).fetchone()
    net = connection.execute(
        "SELECT sum(net_pnl_paise) FROM trading.executed_trades WHERE account_id = %s AND trade_date = %s",
        (settings.account_id, DAY),
    ).fetchone()
    assert row is not None
    assert net is not None
    total, free, deployed = row
    assert total == settings.corpus_paise + net[0]
    assert (free, deployed) == (total, 0)
    assert_events_tell_the_trades_and_sum_them_up_last(connection, settings)


def assert_events_tell_the_trades_and_sum_them_up_last(
    connection: "psycopg.Connection[tuple[Any, ...]]", settings: Settings
) -> None:
    events = connection.execute(
        "SELECT kind, payload FROM trading.trade_events WHERE account_id = %s ORDER BY event_id",
        (settings.account_id,),
    ).fetchall()
    kinds = Counter(kind for kind, _ in events)
    filled = {(p["group_id"], p["leg_number"]) for kind, p in events if kind == "ENTRY_FILLED"}
    placed = {(p["group_id"], p["leg_number"]) for kind, p in events if kind == "ENTRY_PLACED"}
    closed = kinds["TARGET_HIT"] + kinds["STOPLOSS_HIT"] + kinds["EXIT_COMPLETED"]
    assert filled
    assert filled <= placed
    assert kinds["DAILY_SUMMARY"] == 1
    last, facts = events[-1]
    assert last == "DAILY_SUMMARY"
    assert (facts["legs_entered"], facts["legs_closed"]) == (len(filled), closed)


def assert_no_intent_was_sent_twice(
    connection: "psycopg.Connection[tuple[Any, ...]]", settings: Settings
) -> None:
    doubled = connection.execute(
        "SELECT correlation_id, count(DISTINCT broker_order_id) FROM trading.broker_orders "
        "WHERE account_id = %s AND broker_order_id <> '' GROUP BY 1 HAVING count(DISTINCT "
        "broker_order_id) > 1",
        (settings.account_id,),
    ).fetchall()
    assert doubled == []

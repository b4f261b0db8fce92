"""A past day traded through the Dhan adapter on a sandbox: our books are the sandbox's truth."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, time
from typing import Any

import numpy as np
import psycopg
import pytest
from pydantic import SecretStr

from adapters.brokers.dhan.stepped import SteppedDhan
from adapters.calendar import load_calendar
from adapters.db.repos.intents import IntentRepo
from adapters.db.repos.journal import JournalRepo
from adapters.db.repos.report import DayReport
from adapters.settings import Settings
from adapters.ticks.store import ParquetPriceStore
from propdesk.core.calendar import ist_to_ns
from propdesk.core.errors import ConfigFault, Retryable
from propdesk.core.ids import split_guard_id
from sandbox.catalogue import Catalogue, listing_of
from sandbox.faults import Fault, FaultKind
from sandbox.knobs import Knobs
from sandbox.market import ticks_of_store
from sandbox.server import Sandbox, addresses
from sandbox.world import World, make_world
from tests.support.daemon_day import DAY, STOCKS, make_instrument
from tests.support.deaths import Died, arm_deaths
from tests.support.sandbox_thread import RunningSandbox, running
from trading_daemon.main import RunResult, run_daemon

pytestmark = [pytest.mark.integration, pytest.mark.slow]

Replay = Callable[..., RunResult]
Legs = dict[str, list[tuple[int, int]]]


@pytest.fixture
def served(daemon_settings: Settings) -> Iterator[RunningSandbox]:
    """A sandbox that has the day's prices and is moved by the daemon."""
    instruments = [make_instrument(stock) for stock in STOCKS]
    prices = ParquetPriceStore(daemon_settings.price_store_url, load_calendar())
    keys = [one.instrument_key for one in instruments]
    world = make_world(
        Catalogue(listing_of(one) for one in instruments),
        ist_to_ns(datetime.combine(DAY, time(8, 45))),
        knobs=Knobs(rate_limits=False, token_life_s=4 * 3_600),
        ticks=ticks_of_store(prices, keys, DAY),
    )
    with running(Sandbox(world)) as found:
        yield found


@pytest.fixture
def at_sandbox(daemon_settings: Settings, served: RunningSandbox) -> Settings:
    """Settings of a daemon that trades there."""
    knobs = served.sandbox.world.knobs
    account = {
        "broker": "dhan",
        "dhan_client_id": knobs.client_id,
        "dhan_pin": SecretStr(knobs.pin),
        "dhan_totp_secret": SecretStr(knobs.totp_secret),
    }
    return daemon_settings.model_copy(update=account | addresses(served.place))


def truth(world: World) -> Legs:
    """Units and average price (paise) of entry and exit of every order of ours that filled."""
    found: dict[str, list[list[int]]] = defaultdict(lambda: [[0, 0], [0, 0]])
    for fill in world.exchange.fills:
        parent = fill.order.parent
        entry = None if parent is None else parent.entry
        # a plain order is the guard of a super order that lost its stop
        name = split_guard_id(fill.order.correlation_id)[0] if entry is None else entry.correlation_id
        side = found[name][0 if fill.order is entry else 1]
        side[0] += fill.quantity
        side[1] += fill.quantity * fill.price_paise
    return {
        name: [(units, (2 * money + units) // (2 * units)) for units, money in sides]
        for name, sides in found.items()
    }


def books(connection: "psycopg.Connection[tuple[Any, ...]]", account_id: str) -> Legs:
    """The same of our own books; no leg of this day is sliced."""
    rows = connection.execute(
        "SELECT i.correlation_id, t.quantity, t.entry_paise, t.exited_quantity, t.exit_paise "
        "FROM trading.executed_trades t JOIN trading.order_intents i "
        "USING (account_id, trade_date, group_id, leg_number) "
        "WHERE account_id = %s AND trade_date = %s AND i.kind = 'PLACE'",
        (account_id, DAY),
    ).fetchall()
    return {name: [(units, entry), (gone, out)] for name, units, entry, gone, out in rows}


def assert_equal_books(
    connection: "psycopg.Connection[tuple[Any, ...]]", settings: Settings, served: RunningSandbox
) -> None:
    world = served.sandbox.world
    ours, theirs = books(connection, settings.account_id), served.do(lambda: truth(world))
    assert ours, "the invented day must trade"
    assert ours == theirs
    assert served.do(lambda: world.exchange.is_flat)


def test_the_books_of_a_day_are_the_sandboxs_truth(
    replay: Replay,
    at_sandbox: Settings,
    served: RunningSandbox,
    report: Callable[[], DayReport],
    connection: "psycopg.Connection[tuple[Any, ...]]",
) -> None:
    assert replay(fresh=True, settings=at_sandbox).is_done
    assert_equal_books(connection, at_sandbox, served)
    found = report()
    assert sum(count for _, count in found.decisions) == found.signals
    # each order once, by the broker's own word
    placed = [e.detail["correlation_id"] for e in served.sandbox.world.ledger.of("ORDER")]
    assert len(placed) == len(set(placed))
    assert {trade.exit_reason for trade in found.trades} >= {"STOPLOSS", "TARGET"}
    assert len(served.sandbox.world.ledger.of("LOGIN")) == 1
    assert served.sandbox.world.ledger.of("RENEWED"), "the token ends within the day"


WRITES = (
    (JournalRepo, "commit", 0.006),
    (IntentRepo, "claim", 0.02),
    (IntentRepo, "answer", 0.02),
    *((SteppedDhan, name, 0.02) for name in ("place", "modify", "cancel", "exit")),
)


def test_deaths_lost_answers_and_a_dead_token_leave_the_books_equal(
    replay: Replay,
    at_sandbox: Settings,
    served: RunningSandbox,
    connection: "psycopg.Connection[tuple[Any, ...]]",
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    world = served.sandbox.world
    for method in ("POST", "PUT"):
        for effect in (True, False):
            arm_fault(served, FaultKind.ERROR_STATUS, share=0.15, method=method, values={"effect": effect})
    arm_fault(served, FaultKind.RESET_MID_BODY, share=0.1, method="POST")
    noon = ist_to_ns(datetime.combine(DAY, time(12, 0)))
    served.do(lambda: world.exchange.at(noon, world.revoke_tokens))
    deaths = arm_deaths(monkeypatch, np.random.default_rng(seed), WRITES, most=6)
    lives, is_done = 0, False
    while not is_done:
        lives += 1
        try:
            is_done = replay(fresh=lives == 1, settings=at_sandbox).is_done
        except ExceptionGroup as group:
            if group.subgroup((Died, Retryable)) is None:
                raise
        except (Died, Retryable):
            pass
    assert len(set(deaths)) >= 4, "too few deaths to prove anything"
    assert world.faults.hits[FaultKind.ERROR_STATUS] > 5
    assert_equal_books(connection, at_sandbox, served)
    placed = [entry.detail["correlation_id"] for entry in world.ledger.of("ORDER")]
    assert len(placed) == len(set(placed)), "an entry was sent twice"


def test_a_day_on_which_stops_vanish_ends_with_equal_books_and_nothing_naked(
    replay: Replay,
    at_sandbox: Settings,
    served: RunningSandbox,
    connection: "psycopg.Connection[tuple[Any, ...]]",
) -> None:
    world = served.sandbox.world
    for kind in (FaultKind.STOP_MISSING, FaultKind.STOP_REJECTED):
        served.do(lambda kind=kind: world.faults.arm(Fault(kind, count=-1, every=3)))
    assert replay(fresh=True, settings=at_sandbox).is_done
    assert_equal_books(connection, at_sandbox, served)
    guards = [e for e in world.ledger.of("ORDER") if split_guard_id(e.detail["correlation_id"])[1]]
    assert guards, "no stop was replaced"
    assert len({e.detail["correlation_id"] for e in guards}) == len(guards)


def arm_fault(served: RunningSandbox, kind: FaultKind, **words: Any) -> None:
    fault = Fault(kind, count=-1, path="/super/orders", **words)
    served.do(lambda: served.sandbox.world.faults.arm(fault))


@pytest.mark.parametrize(
    "changes",
    [
        {"dhan_rest_url": "https://api.dhan.co/v2"},
        {"dhan_pin": None},
        {"dhan_rest_url": "http://127.0.0.1:1/v2"},
    ],
)
def test_without_a_sandbox_on_this_machine_nothing_is_traded(
    replay: Replay, at_sandbox: Settings, changes: dict[str, object]
) -> None:
    with pytest.raises(ConfigFault):
        replay(fresh=True, settings=at_sandbox.model_copy(update=changes))


def test_the_running_day_is_not_traded_at_dhan_yet(at_sandbox: Settings) -> None:
    with pytest.raises(ConfigFault, match="past days"):
        run_daemon(at_sandbox, DAY)

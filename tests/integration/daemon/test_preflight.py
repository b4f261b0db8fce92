"""The verdict before the open on real servers and a prepared day, with each of our own faults."""

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from adapters.calendar import load_calendar
from adapters.clock import SystemClock
from adapters.settings import Settings
from cli.main import main
from cli.output import EXIT_FAILURE, EXIT_OK
from propdesk.core.calendar import ist_to_ns
from propdesk.core.clock import NS_PER_DAY, ManualClock
from propdesk.core.errors import ConfigFault
from propdesk.ports import BarArrays
from propdesk.risk.preflight import Verdict
from runtime.servers import ServerSet
from sandbox.catalogue import Catalogue, listing_of
from sandbox.faults import Fault, FaultKind
from sandbox.server import Sandbox, addresses
from sandbox.world import make_world
from tests.integration.daemon.starts import FIRST, at, ideas, live, started
from tests.support.daemon_day import DAY, STOCKS, add_bars, make_bars, make_instrument
from tests.support.sandbox_thread import RunningSandbox, running
from trading_daemon.session import ensure_ready

pytestmark = pytest.mark.integration

BEFORE = date(2025, 6, 30)
Connection = psycopg.Connection[tuple[Any, ...]]
Checks = dict[str, dict[str, str]]


@pytest.fixture
def desk(daemon_settings: Settings, servers: ServerSet, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A day in order: ready, with yesterday's prices; commands find it in their environment."""
    add_bars(daemon_settings, BEFORE, {"INDEX:NIFTY": next(iter(make_bars(day=BEFORE).values()))})
    ensure_ready(daemon_settings, DAY)
    put(monkeypatch, daemon_settings, "postgres_url", "postgres_daemon_url", "postgres_reader_url")
    put(monkeypatch, daemon_settings, "redis_url", "mongo_url", "account_id", "home")
    return daemon_settings


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, Checks]]:
    """Run the command; gives the outcome and every check that is not green."""

    def run(day: date = DAY) -> tuple[str, Checks]:
        capsys.readouterr()
        code = main(["preflight", day.isoformat(), "--json"])
        told = json.loads(capsys.readouterr().out)
        assert code == (EXIT_OK if told["outcome"] == "PASSED" else EXIT_FAILURE)
        return told["outcome"], {c["name"]: c for c in told["checks"] if c["verdict"] != Verdict.GREEN}

    return run


@pytest.fixture
def sandbox(desk: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    """A sandbox on the morning of the day, which the settings trade at."""
    listings = Catalogue(listing_of(make_instrument(stock)) for stock in STOCKS)
    world = make_world(listings, ist_to_ns(datetime.combine(DAY, time(8, 50))))
    with running(Sandbox(world)) as found:
        account = {
            "broker": "dhan",
            "dhan_client_id": world.knobs.client_id,
            "dhan_pin": SecretStr(world.knobs.pin),
            "dhan_totp_secret": SecretStr(world.knobs.totp_secret),
            **addresses(found.place),
        }
        put(monkeypatch, desk.model_copy(update=account), *account)
        yield found


def put(monkeypatch: pytest.MonkeyPatch, settings: Settings, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        monkeypatch.setenv(f"PROPDESK_{name.upper()}", text)


Ask = Callable[..., tuple[str, Checks]]


def test_a_day_in_order_passes_and_is_recorded(desk: Settings, ask: Ask, connection: Connection) -> None:
    assert ask() == ("PASSED", {})
    row = connection.execute(
        "SELECT mode, broker, outcome, jsonb_array_length(checks) FROM trading.preflights "
        "WHERE account_id = %s AND trade_date = %s ORDER BY checked_ns DESC LIMIT 1",
        (desk.account_id, DAY),
    ).fetchone()
    assert row is not None
    assert row[:3] == ("paper", "paper", "PASSED")
    assert row[3] >= 12


def test_a_person_sees_each_check_with_its_remedy(
    desk: Settings, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    connection.execute("DELETE FROM ref.readiness")
    assert main(["preflight", DAY.isoformat()]) == EXIT_FAILURE
    told = capsys.readouterr()
    assert "propdesk premarket all" in told.out
    assert f"{DAY} may NOT be traded" in told.err


def test_what_the_books_lack_is_named(desk: Settings, ask: Ask, connection: Connection) -> None:
    connection.execute("UPDATE ref.rulesets SET as_of_date = '2025-06-27'")
    connection.execute(
        "INSERT INTO trading.risk_levels "
        "(account_id, scope, level, severity, cause, actor, reason, raised_ns) "
        "VALUES (%s, 'ACCOUNT', 'ENTRIES_BLOCKED', 1, 'OPERATOR', 'test', 'test', 1)",
        (desk.account_id,),
    )
    outcome, found = ask()
    assert (outcome, set(found)) == ("FAILED", {"ruleset", "kill levels"})
    assert "2025-06-27" in found["ruleset"]["found"]
    connection.execute("UPDATE ref.rulesets SET as_of_date = %s", (BEFORE,))
    connection.execute("DELETE FROM trading.risk_levels")
    connection.execute("DELETE FROM ref.readiness")
    outcome, found = ask()
    assert (outcome, set(found)) == ("FAILED", {"readiness", "ruleset"})
    assert "token, scrip, symbols, regime, corpus" in found["readiness"]["found"]


def test_a_position_without_a_stop_and_used_up_calls_are_named(
    desk: Settings,
    ask: Ask,
    connection: Connection,
    bars: dict[str, BarArrays],
    make_account: Callable[[], Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = make_account()
    live(account, FIRST, FIRST + 2, *ideas(bars))
    monkeypatch.setenv("PROPDESK_ACCOUNT_ID", account.account_id)
    held = [
        key
        for (key,) in connection.execute(
            "SELECT instrument_key FROM trading.trade_groups WHERE account_id = %s AND NOT is_closed",
            (account.account_id,),
        )
    ]
    assert held
    outcome, found = ask()
    assert set(found) == {"prices"}, "what is held has no price of the day before in this store"
    assert all(key in found["prices"]["found"] for key in held)
    connection.execute(
        "UPDATE trading.legs SET stop_paise = NULL WHERE account_id = %s", (account.account_id,)
    )
    now_ns = SystemClock().now_ns()
    connection.execute(
        "UPDATE trading.order_intents SET sent_ns = %s WHERE account_id = %s", (now_ns, account.account_id)
    )
    monkeypatch.setattr("propdesk.ports.OrderRates.windows", property(lambda _: ((NS_PER_DAY, 1),)))
    outcome, found = ask()
    assert (outcome, set(found)) == ("FAILED", {"prices", "protection", "rate limits"})
    assert any(key in found["protection"]["found"] for key in held)


def test_a_day_without_trading_is_no_day_to_pass(desk: Settings, ask: Ask) -> None:
    outcome, found = ask(date(2025, 7, 5))
    assert (outcome, set(found)) == ("FAILED", {"calendar"})


def test_prices_that_end_too_early_are_named(
    desk: Settings, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPDESK_PRICE_STORE_URL", str(desk.home / "elsewhere"))
    outcome, found = ask()
    assert (outcome, set(found)) == ("FAILED", {"prices"})
    assert "INDEX:NIFTY" in found["prices"]["found"]


def test_a_full_disk_and_servers_that_are_away_are_named_and_what_they_hold_is_unknown(
    desk: Settings, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.doctor_checks.DISK_FREE_MIN", 1 << 62)
    monkeypatch.setenv("PROPDESK_REDIS_URL", "redis://:x@127.0.0.1:9/0")
    for role in ("", "_DAEMON", "_READER"):
        monkeypatch.setenv(f"PROPDESK_POSTGRES{role}_URL", "postgresql+psycopg://x:hidden@127.0.0.1:9/x")
    outcome, found = ask()
    assert outcome == "FAILED"
    verdicts = {name: check["verdict"] for name, check in found.items()}
    assert {name for name, one in verdicts.items() if one == "RED"} == {
        "disk",
        "PostgreSQL",
        "Redis",
        "daemon's books",
    }
    unknown = {"readiness", "ruleset", "protection", "kill levels", "rate limits", "prices"}
    assert {name for name, one in verdicts.items() if one == "UNKNOWN"} == unknown
    assert "hidden" not in json.dumps(found)


def test_the_sandbox_is_asked_and_its_faults_are_told(
    ask: Ask, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sandbox.sandbox.world
    morning_ns = world.now_ns
    assert ask() == ("PASSED", {})
    assert world.now_ns == morning_ns, "asking moves no time"
    sandbox.do(lambda: world.faults.arm(Fault(FaultKind.IP_REFUSED, path="/orders")))
    outcome, found = ask()
    assert (outcome, set(found)) == ("FAILED", {"static IP"})
    sandbox.do(
        lambda: world.faults.arm(Fault(FaultKind.ERROR_STATUS, 9, path="/profile", values={"status": 503}))
    )
    outcome, found = ask()
    assert (outcome, found["segments"]["verdict"]) == ("PASSED", "UNKNOWN"), "no real money is at stake"
    monkeypatch.setenv("PROPDESK_TRADING_MODE", "live")
    assert ask()[0] == "UNKNOWN", "the same is not good enough for real money"


class Gate:
    """An account with real money at nine o'clock, and the refusals that it gets."""

    def __init__(self, desk: Settings, connection: Connection) -> None:
        changes = {
            "trading_mode": "live",
            "broker": "dhan",
            "account_id": "gate",
            "dhan_client_id": "1000000001",
        }
        self.live = desk.model_copy(update=changes)
        self._connection = connection

    def add(self, outcome: str | None, day: date = DAY, **changes: Any) -> None:
        """Record a preflight of ten minutes ago."""
        row = {"checked_ns": at(8 * 60 + 50), "mode": "live", "broker": self.live.broker_identity, **changes}
        self._connection.execute(
            "INSERT INTO trading.preflights "
            "(account_id, trade_date, checked_ns, mode, broker, outcome, checks) "
            "VALUES (%s, %s, %s, %s, %s, %s, '[]')",
            (self.live.account_id, day, row["checked_ns"], row["mode"], row["broker"], outcome),
        )

    async def is_shut(self, now_ns: int = at(9 * 60), **changes: Any) -> bool:
        """What is beyond the gate is that this version trades none."""
        with pytest.raises(ConfigFault) as caught:
            async with started(self.live.model_copy(update=changes), ManualClock(now_ns)):
                pass
        told = str(caught.value)
        is_shut = f"needs a passed preflight of {DAY}" in told or f"not {DAY}" in told
        assert is_shut != ("needs a live broker" in told)
        return is_shut


async def test_real_money_needs_a_preflight_of_the_day_that_passed(
    desk: Settings, connection: Connection
) -> None:
    gate = Gate(desk, connection)
    assert await gate.is_shut()
    gate.add("PASSED", load_calendar().previous_day(DAY))
    assert await gate.is_shut()
    gate.add("PASSED", broker="paper")
    assert await gate.is_shut()
    gate.add("PASSED", mode="paper")
    assert await gate.is_shut()
    gate.add("PASSED")
    assert not await gate.is_shut()
    for outcome in ("UNKNOWN", "FAILED", None):
        gate.add(outcome, checked_ns=at(8 * 60))
        assert await gate.is_shut(), "the newest decides, though a clock that was set back says otherwise"


async def test_a_passed_preflight_holds_for_a_while_for_its_day_and_for_its_account_at_the_broker(
    desk: Settings, connection: Connection
) -> None:
    gate = Gate(desk, connection)
    gate.add("PASSED")
    assert await gate.is_shut(dhan_client_id="2000000002")
    assert await gate.is_shut(dhan_feed_url="wss://elsewhere.invalid")
    assert await gate.is_shut(preflight_age_max_s=599)
    assert not await gate.is_shut(preflight_age_max_s=600)
    assert await gate.is_shut(at(8 * 60 + 49)), "made in the future: the clock was set back"
    gate.add("PASSED", checked_ns=at(8 * 60 + 50) - NS_PER_DAY)
    assert await gate.is_shut(at(8 * 60 + 55) - NS_PER_DAY), "another day than today"


def outcomes(connection: Connection, desk: Settings) -> list[str | None]:
    rows = connection.execute(
        "SELECT outcome FROM trading.preflights WHERE account_id = %s AND trade_date = %s ORDER BY number",
        (desk.account_id, DAY),
    )
    return [outcome for (outcome,) in rows]


def test_what_failed_is_recorded_as_failed(desk: Settings, ask: Ask, connection: Connection) -> None:
    connection.execute("DELETE FROM ref.readiness")
    assert ask()[0] == "FAILED"
    assert outcomes(connection, desk)[-1:] == ["FAILED"]


def test_a_verdict_that_cannot_be_recorded_is_red_and_no_older_one_stands(
    desk: Settings, ask: Ask, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask() == ("PASSED", {})

    def lost(*_: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as broken:
        broken.setattr("adapters.db.repos.preflights.end_preflight", lost)
        outcome, found = ask()
    assert (outcome, set(found)) == ("FAILED", {"daemon's books"})
    assert outcomes(connection, desk)[-2:] == ["PASSED", None]
    monkeypatch.setenv("PROPDESK_POSTGRES_DAEMON_URL", "postgresql+psycopg://x:hidden@127.0.0.1:9/x")
    outcome, found = ask()
    assert (outcome, set(found)) == ("FAILED", {"daemon's books"})
    assert found["daemon's books"]["verdict"] == Verdict.RED


def test_without_mongodb_no_signal_comes_which_real_money_does_not_bear(
    desk: Settings, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROPDESK_MONGO_URL", "")
    outcome, found = ask()
    assert (outcome, found["MongoDB"]["verdict"]) == ("PASSED", Verdict.NOTE)
    monkeypatch.setenv("PROPDESK_TRADING_MODE", "live")
    outcome, found = ask()
    assert (outcome, found["MongoDB"]["verdict"]) == ("FAILED", Verdict.RED)

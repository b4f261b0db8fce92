"""Commands of people, from the table to the answer, on a real PostgreSQL."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import psycopg
import pytest

from adapters.db.engine import psycopg_dsn
from adapters.db.live import LiveConnection, connect
from adapters.db.repos.command_audit import CommandAuditRepo
from adapters.db.repos.commands import KeyReused, NewCommand, ask, read_command
from adapters.db.repos.intents import IntentRepo, insert_intents
from adapters.db.repos.leader import take_leadership
from adapters.db.repos.verify import verify_audit_log
from adapters.settings import Settings
from cli.main import main
from cli.output import EXIT_OK
from propdesk.core.clock import ManualClock
from propdesk.core.errors import SchemaFault
from propdesk.model.command import Door
from propdesk.model.enums import KillLevel
from propdesk.model.live import ClaimOutcome
from propdesk.model.user import UserRole
from propdesk.ports import BarArrays
from tests.integration.daemon.starts import FIRST, alive, at, live, signal_at, started, trades
from tests.integration.daemon.test_books import NOW, _intent
from tests.support.daemon_day import DAY
from tests.support.desk_commands import answer, write_audit

pytestmark = pytest.mark.integration

KEYS = count(1)
Connection = psycopg.Connection[tuple[Any, ...]]


def command(kind: str, key: str = "", **arguments: str) -> NewCommand:
    return NewCommand("cli:asha", UserRole.TRADER, Door.CLI, kind, arguments, key or f"key {next(KEYS)}")


def asked(settings: Settings, account_id: str, new: NewCommand) -> int:
    with psycopg.connect(psycopg_dsn(settings.database_url("access"))) as connection:
        return ask(connection, account_id, new)


def shown(connection: Connection, settings: Settings, number: int) -> dict[str, Any]:
    with connection.transaction():
        return read_command(connection, settings.account_id, number)


INSERT = (
    "INSERT INTO trading.commands (account_id, asked_by, role, door, kind, arguments, idempotency_key) "
    "VALUES ('rights', 'x', 'TRADER', 'CLI', 'PAUSE', '{}', 'k')"
)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("reader", INSERT),
        ("pipeline", INSERT),
        ("daemon", INSERT),
        ("access", INSERT.replace("'k'", "'k', now()").replace("_key)", "_key, asked_at)")),
        ("access", "UPDATE trading.commands SET state = 'DONE'"),
        ("access", "DELETE FROM trading.commands"),
        ("daemon", "UPDATE trading.commands SET kind = 'RESUME'"),
        ("daemon", "DELETE FROM trading.commands"),
    ],
)  # fmt: skip
def test_who_asks_cannot_answer_and_who_answers_cannot_ask(
    pg_role_urls: dict[str, str], role: str, statement: str
) -> None:
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(psycopg_dsn(pg_role_urls[role])) as connection, refused:
        connection.execute(statement)


def test_a_command_is_asked_once_and_answered_once(settings: Settings, connection: Connection) -> None:
    new = command("PAUSE", "once", scope="advisor:A01")
    number = asked(settings, "once", new)
    assert asked(settings, "once", new) == number
    assert asked(settings, "twice", new) != number, "a key names a command of its account"
    for other in (replace(new, kind="CANCEL"), replace(new, asked_by="cli:ravi"), replace(new, arguments={})):
        with pytest.raises(KeyReused):
            asked(settings, "once", other)
    with pytest.raises(SchemaFault, match="no scope"):
        asked(settings, "once", command("PAUSE", scope="nobody"))
    with connection.transaction():
        assert read_command(connection, "once", number)["arguments"] == {"scope": "ADVISOR:A01"}
    answer(connection, "once", number, "DONE")
    for change in ("state = 'REFUSED'", "kind = 'RESUME'", "arguments = '{}'"):
        with pytest.raises(psycopg.errors.RaiseException, match="answered once"):
            connection.execute(f"UPDATE trading.commands SET {change} WHERE account_id = 'once'")
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute("DELETE FROM trading.commands WHERE account_id = 'once'")


def _ask_earlier(connection: Connection, account_id: str, key: str, age: str) -> int:
    row = connection.execute(
        "INSERT INTO trading.commands (account_id, asked_by, role, asked_at, door, kind, arguments, "
        "idempotency_key) VALUES (%s, 'cli:asha', 'TRADER', now() - %s::interval, 'CLI', 'FLATTEN', '{}', "
        "%s) "
        "RETURNING command_id",
        (account_id, age, key),
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_key_of_an_earlier_day_asks_nothing_and_says_so(settings: Settings, connection: Connection) -> None:
    number = _ask_earlier(connection, "eod", "eod", "25 hours")
    answer(connection, "eod", number, "DONE")
    with pytest.raises(KeyReused, match=f"NOTHING was asked.* command {number} of 20.*, which is DONE"):
        asked(settings, "eod", command("FLATTEN", "eod"))


def test_an_answer_never_fails_for_want_of_a_journal_row(settings: Settings, connection: Connection) -> None:
    """A deposed daemon's row of the journal is not written: it fails for that, not for this."""
    number = asked(settings, "deposed", command("PAUSE"))
    connection.execute(
        "UPDATE trading.commands SET state = 'REFUSED', answer = 'x', answered_at = '2025-07-01T04:00:00Z', "
        "journal_date = %s, journal_seq = 5 WHERE account_id = 'deposed' AND command_id = %s",
        (DAY, number),
    )
    events = connection.execute(
        "SELECT severity, event_ns FROM trading.trade_events WHERE account_id = 'deposed'"
    )
    assert events.fetchall() == [("critical", 1_751_342_400_000_000_000)], "a stop that was refused"


def test_an_answer_stands_where_its_event_cannot_be_told(settings: Settings, connection: Connection) -> None:
    number = asked(settings, "untold", command("CANCEL"))
    with connection.transaction():
        connection.execute(
            "ALTER TABLE trading.trade_events ADD CONSTRAINT broken CHECK (account_id <> 'untold')"
        )
    try:
        answer(connection, "untold", number, "DONE")
    finally:
        connection.execute("ALTER TABLE trading.trade_events DROP CONSTRAINT broken")
    with connection.transaction():
        assert read_command(connection, "untold", number)["state"] == "DONE"
    assert (
        connection.execute("SELECT 1 FROM trading.trade_events WHERE account_id = 'untold'").fetchall() == []
    )


async def test_no_entry_is_claimed_from_the_moment_a_stop_is_asked(
    settings: Settings, connection: Connection
) -> None:
    """Whatever the decider is busy with: the claim sees the command itself."""
    account = "fenced"
    live = await connect(settings.database_url("daemon"), "tests")
    lead = await take_leadership(live, account, "pid 1", NOW)
    assert lead is not None
    scopes = ("ADVISOR:A01", "INSTRUMENT:NSE_EQ:TSTA")
    intents = [replace(_intent(n), kill_scopes=scopes) for n in range(1, 5)]
    await insert_intents(live, account, DAY, 1, [*intents, _intent(9, is_entry=False)])
    repo = IntentRepo(live, account, lead.epoch)
    for harmless in (command("PAUSE", scope="ADVISOR:A02"), command("CANCEL"), command("EXIT", trade="g123")):
        asked(settings, account, harmless)
    assert await repo.claim(intents[0], 1) is ClaimOutcome.CLAIMED
    stop = asked(settings, account, command("KILL", level="REDUCE_ONLY", scope="advisor:a01"))
    assert await repo.claim(intents[1], 2) is ClaimOutcome.BLOCKED, "in whatever case it is typed"
    answer(connection, account, stop, "REFUSED")
    stop = asked(settings, account, command("KILL", level="REDUCE_ONLY", scope="UNDERLYING:TSTA"))
    begun = time.perf_counter()
    assert await repo.claim(intents[1], 2) is ClaimOutcome.BLOCKED
    assert time.perf_counter() - begun < 0.25
    assert await repo.claim(_intent(9, is_entry=False), 2) is ClaimOutcome.CLAIMED, "an exit leaves"
    answer(connection, account, stop, "REFUSED")
    assert await repo.claim(intents[1], 3) is ClaimOutcome.CLAIMED
    asked(settings, account, command("FLATTEN"))
    assert await repo.claim(intents[2], 4) is ClaimOutcome.BLOCKED
    await live.close()


def test_a_stop_pressed_while_the_daemon_is_away_counts_before_anything_enters(
    make_account: Callable[[], Settings], connection: Connection
) -> None:
    settings = make_account()
    account = settings.account_id

    async def begin(*, dies: bool) -> None:
        async with started(settings, ManualClock(at(FIRST))) as tasks:
            level = tasks.decider.position.state.level()
            assert level is (KillLevel.ACTIVE if dies else KillLevel.REDUCE_ONLY)

    asyncio.run(begin(dies=True))
    first = asked(settings, account, command("KILL", level="REDUCE_ONLY"))
    second = asked(settings, account, command("RESUME", reason="looked"))
    asyncio.run(begin(dies=False))
    asyncio.run(begin(dies=False))  # the journal folds to the same, and nothing is answered again
    assert shown(connection, settings, first)["state"] == "DONE"
    assert "An ADMIN must lift" in shown(connection, settings, second)["answer"]
    levels = connection.execute(
        "SELECT level, actor FROM trading.risk_levels WHERE account_id = %s AND cleared_ns IS NULL",
        (account,),
    ).fetchall()
    assert levels == [("REDUCE_ONLY", "cli:asha")]


def test_a_stop_of_the_evening_before_holds_in_the_morning(
    make_account: Callable[[], Settings], bars: dict[str, BarArrays], connection: Connection
) -> None:
    settings = make_account()
    connection.execute(
        "INSERT INTO trading.commands (account_id, asked_by, role, asked_at, door, kind, arguments, "
        "idempotency_key) VALUES (%s, 'cli:asha', 'ADMIN', now() - interval '25 hours', 'CLI', 'KILL', "
        """'{"level": "LOCKED"}', 'k')""",
        (settings.account_id,),
    )
    connection.commit()
    live(settings, FIRST, FIRST + 2, signal_at(bars, 1, at(FIRST, 3), "TSTA"))
    whose = (settings.account_id,)
    intents = connection.execute("SELECT 1 FROM trading.order_intents WHERE account_id = %s", whose)
    assert intents.fetchall() == []
    levels = connection.execute(
        "SELECT level, cause, cleared_ns FROM trading.risk_levels WHERE account_id = %s", whose
    )
    assert levels.fetchall() == [("ENTRIES_BLOCKED", "MANUAL", None)]
    events = connection.execute(
        "SELECT kind, severity FROM trading.trade_events WHERE account_id = %s "
        "AND kind = ANY('{KILL_SWITCH,COMMAND_ANSWERED}')",
        whose,
    )
    assert sorted(events.fetchall()) == [("COMMAND_ANSWERED", "critical"), ("KILL_SWITCH", "critical")]


def test_a_running_daemon_answers_at_once_with_event_and_audit(
    make_account: Callable[[], Settings], connection: Connection
) -> None:
    settings = make_account()
    account = settings.account_id

    async def press() -> tuple[int, float]:
        async with alive(settings, ManualClock(at(FIRST))) as tasks:
            listener = tasks.commands
            assert listener is not None
            listening = asyncio.create_task(listener.run())
            auditing = asyncio.create_task(tasks.command_audit.run())
            number = await asyncio.to_thread(
                asked, settings, account, command("PAUSE", scope="category:nse_eq")
            )
            begun = time.perf_counter()
            await tasks.bus.pulse.until(lambda: str(number) in tasks.decider.position.state.commands_answered)
            took = time.perf_counter() - begun
            await asyncio.to_thread(_until_audited, settings, number)
            listening.cancel()
            auditing.cancel()
            return number, took

    number, took = asyncio.run(press())
    assert took < 1.0, "woken, not found by the slow look"
    found = shown(connection, settings, number)
    assert (found["state"], found["answer"][:28]) == ("DONE", "CATEGORY:NSE_EQ is ENTRIES_B")
    event = connection.execute(
        "SELECT payload ->> 'command_id', severity, event_ns FROM trading.trade_events "
        "WHERE account_id = %s AND kind = 'COMMAND_ANSWERED'",
        (account,),
    ).fetchall()
    assert event == [(str(number), "info", at(FIRST))]
    log = connection.execute(
        "SELECT actor, action, detail ->> 'state' FROM audit.log WHERE account_id = %s "
        "AND action LIKE 'COMMAND%%' ORDER BY seq",
        (account,),
    ).fetchall()
    assert log == [("cli:asha", "COMMAND_ASKED", None), ("daemon", "COMMAND_ANSWERED", "DONE")]
    with connection.transaction():
        assert verify_audit_log(connection, account).broken is None


@contextmanager
def held_audit_log(settings: Settings, account_id: str) -> Iterator[None]:
    """Hold the audit log's turn, as a process that hangs in a transaction does."""
    with psycopg.connect(psycopg_dsn(settings.database_url())) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 11))", (account_id,))
        yield


def _audited(connection: Connection, account_id: str) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT actor, action, detail ->> 'kind' FROM audit.log WHERE account_id = %s ORDER BY seq",
        (account_id,),
    ).fetchall()


async def test_no_stop_waits_for_the_audit_log_and_its_rows_are_caught_up(
    settings: Settings, connection: Connection
) -> None:
    url = settings.database_url("daemon")
    with held_audit_log(settings, "held"):
        begun = time.perf_counter()
        number = asked(settings, "held", command("FLATTEN"))
        assert await write_audit(url, "held") is False
        assert time.perf_counter() - begun < 2
    assert _audited(connection, "held") == []
    answer(connection, "held", number, "DONE")
    asked(settings, "held", command("PAUSE"))
    connection.commit()
    assert await write_audit(url, "held")
    assert await write_audit(url, "held")
    assert _audited(connection, "held") == [
        ("cli:asha", "COMMAND_ASKED", "FLATTEN"),
        ("daemon", "COMMAND_ANSWERED", "FLATTEN"),
        ("cli:asha", "COMMAND_ASKED", "PAUSE"),
    ]
    with connection.transaction():
        assert verify_audit_log(connection, "held").broken is None


async def test_two_daemons_audit_a_command_once(settings: Settings, connection: Connection) -> None:
    for _ in range(5):
        answer(connection, "twice-audited", asked(settings, "twice-audited", command("PAUSE")), "DONE")
    connection.commit()
    url = settings.database_url("daemon")
    await asyncio.gather(*(write_audit(url, "twice-audited") for _ in range(4)))
    assert await write_audit(url, "twice-audited")
    found = [action for _, action, _ in _audited(connection, "twice-audited")]
    assert sorted(found) == ["COMMAND_ANSWERED"] * 5 + ["COMMAND_ASKED"] * 5


async def test_an_auditor_that_hangs_holds_no_answer_up_for_long(
    settings: Settings, connection: Connection
) -> None:
    """Its session ends by itself, and the next look uses a new one."""
    asked(settings, "hangs", command("PAUSE"))
    opened = []

    async def opening() -> LiveConnection:
        opened.append(await connect(settings.database_url("daemon"), "tests"))
        return opened[-1]

    repo = CommandAuditRepo(opening, "hangs")
    assert await repo.write_rows()
    row = await (await opened[0].execute("SHOW idle_in_transaction_session_timeout")).fetchone()
    assert row == ("5s",)
    await opened[0].close()
    with pytest.raises(psycopg.OperationalError):
        await repo.write_rows()
    assert await repo.write_rows()
    assert len(opened) == 2
    await repo.close()
    assert len(_audited(connection, "hangs")) == 1


def test_a_flat_desk_is_what_flatten_leads_to(
    make_account: Callable[[], Settings],
    bars: dict[str, BarArrays],
    connection: Connection,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked while the daemon was away; shown by ``positions`` and ``orders`` before and after."""
    settings = make_account()
    monkeypatch.setenv("PROPDESK_POSTGRES_READER_URL", settings.database_url("reader"))
    wide = [signal_at(bars, n, at(FIRST, 3), stock) for n, stock in enumerate(("TSTA", "TSTB"), start=1)]
    live(settings, FIRST, FIRST + 2, *wide)
    held = sorted(_rows("positions", settings, capsys), key=lambda leg: str(leg["instrument_key"]))
    assert [(leg["instrument_key"], leg["waiting_quantity"]) for leg in held] == [
        ("NSE_EQ:TSTA", 0),
        ("NSE_EQ:TSTB", 0),
    ]
    booked = trades(connection, settings)
    assert [(leg["held_quantity"], leg["entry_paise"]) for leg in held] == [(t[1], t[2]) for t in booked]
    assert {order["state"] for order in _rows("orders", settings, capsys)} == {"WORKING"}
    asked(settings, settings.account_id, command("FLATTEN"))
    live(settings, FIRST + 2, FIRST + 4)
    assert _rows("positions", settings, capsys) == []
    assert {trade[7] for trade in trades(connection, settings)} == {"SQUARE_OFF"}
    orders = _rows("orders", settings, capsys)
    assert [order["kind"] for order in orders] == ["PLACE", "PLACE", "EXIT", "EXIT"]
    assert {order["state"] for order in orders} == {"DONE"}
    levels = connection.execute(
        "SELECT level FROM trading.risk_levels WHERE account_id = %s ORDER BY cause_id",
        (settings.account_id,),
    ).fetchall()
    assert levels == [("LIQUIDATING",), ("LOCKED",)]


def _rows(name: str, settings: Settings, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main([name, "--account", settings.account_id, "--json"]) == EXIT_OK
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)[name]
    return found


def _until_audited(settings: Settings, number: int) -> None:
    deadline = time.monotonic() + 5
    while shown_audit(settings, number) is None:
        assert time.monotonic() < deadline


def shown_audit(settings: Settings, number: int) -> object:
    with psycopg.connect(psycopg_dsn(settings.database_url())) as connection:
        row = connection.execute(
            "SELECT audited_at FROM trading.commands WHERE account_id = %s AND command_id = %s",
            (settings.account_id, number),
        ).fetchone()
    return None if row is None else row[0]

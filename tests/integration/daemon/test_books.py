"""Leadership, claims, corpus, triggers and audit on a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from adapters.db.engine import psycopg_dsn
from adapters.db.live import LiveConnection, connect
from adapters.db.repos.alerts import Alert, raise_alert
from adapters.db.repos.audit import append_audit
from adapters.db.repos.corpus import apply_entry
from adapters.db.repos.inbox import InboxRepo
from adapters.db.repos.intents import IntentRepo, insert_intents
from adapters.db.repos.leader import LeadershipLost, refusal, take_leadership
from adapters.db.repos.verify import verify_audit_log
from adapters.settings import Settings
from propdesk.core.errors import InvariantViolated
from propdesk.model.enums import Side
from propdesk.model.live import ClaimOutcome, IntentState, NewInboxRow
from propdesk.model.messages import CorpusEntry, IntentKind, OrderIntent
from tests.support.daemon_day import DAY
from trading_daemon.main import run_daemon

pytestmark = pytest.mark.integration

ACCOUNT = "books"
NOW = datetime(2025, 7, 1, 4, 0, tzinfo=UTC)


@pytest.fixture
async def live(settings: Settings) -> AsyncIterator[LiveConnection]:
    connection = await connect(settings.database_url("daemon"), "tests")
    yield connection
    await connection.close()


async def test_a_connection_that_may_lose_its_last_moments_says_so_to_the_server(
    settings: Settings, live: LiveConnection
) -> None:
    await live.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = 'on'")
    loose = await connect(settings.database_url("daemon"), "tests-loose", outlives_power=False)
    firm = await connect(settings.database_url("daemon"), "tests-firm")
    shown = [await (await one.execute("SHOW synchronous_commit")).fetchone() for one in (loose, firm)]
    await live.execute("ALTER ROLE CURRENT_USER RESET synchronous_commit")
    for one in (loose, firm):
        await one.close()
    assert shown == [("off",), ("on",)]


async def _second(settings: Settings) -> LiveConnection:
    return await connect(settings.database_url("daemon"), "tests-second")


def _intent(number: int, *, is_entry: bool = True) -> OrderIntent:
    kind = IntentKind.PLACE if is_entry else IntentKind.EXIT
    return OrderIntent(
        intent_id=f"i{number}",
        kind=kind,
        correlation_id=f"c{number}",
        group_id="g1",
        leg_number=1,
        instrument_key="NSE_EQ:TSTA",
        side=Side.BUY,
        quantity=10,
        entry_type="LIMIT",
        price_low_paise=10_000,
        price_high_paise=10_000,
        stop_paise=9_900,
        target_paise=10_200,
        first_target_paise=10_200,
        active_from_ns=1,
        valid_until_ns=2,
        reason=None,
        is_entry=is_entry,
        created_ns=1,
    )


async def test_only_one_daemon_leads_and_the_other_is_told_who_does(
    live: LiveConnection, settings: Settings
) -> None:
    first = await take_leadership(live, "alone", "pid 1 on here", NOW)
    second = await _second(settings)
    assert first is not None
    assert await take_leadership(second, "alone", "pid 2 on here", NOW) is None
    assert "pid 1 on here" in str(await refusal(second, "alone"))
    await live.close()
    taken = None
    while taken is None:  # the server frees the lock once it notices the closed connection
        taken = await take_leadership(second, "alone", "pid 2 on here", NOW)
    assert taken.epoch == first.epoch + 1
    await second.close()


async def test_a_leader_whose_lock_connection_was_ended_hears_of_it(
    live: LiveConnection, settings: Settings, servers: Any
) -> None:
    lead = await take_leadership(live, "ended", "pid 1", NOW)
    assert lead is not None
    await lead.verify()
    pid = live.info.backend_pid
    database = live.info.dbname
    with psycopg.connect(servers.superuser_dsn, autocommit=True, dbname=database) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(LeadershipLost):
        await lead.verify()
    del settings


async def test_a_claim_is_fenced_by_epoch_and_kill_level(live: LiveConnection, settings: Settings) -> None:
    second = await _second(settings)
    lead = await take_leadership(live, ACCOUNT, "pid 1", NOW)
    assert lead is not None
    await insert_intents(
        second, ACCOUNT, DAY, 1, [_intent(1), _intent(2), _intent(3, is_entry=False), _intent(4)]
    )
    mine = IntentRepo(second, ACCOUNT, lead.epoch)
    stale = IntentRepo(second, ACCOUNT, lead.epoch - 1)
    assert await stale.claim(_intent(1), 5) is ClaimOutcome.DEPOSED
    assert await mine.claim(_intent(1), 5) is ClaimOutcome.CLAIMED
    assert await mine.claim(_intent(1), 6) is ClaimOutcome.NOT_PREPARED
    await second.execute(
        "INSERT INTO trading.risk_levels (account_id, scope, level, severity, cause, actor, reason, "
        "raised_ns) "
        "VALUES (%s, 'ACCOUNT', 'ENTRIES_BLOCKED', 1, 'MANUAL', 'test', 'test', 1)",
        (ACCOUNT,),
    )
    assert await mine.claim(_intent(2), 7) is ClaimOutcome.BLOCKED
    assert await mine.claim(_intent(3), 7) is ClaimOutcome.CLAIMED, "an exit is never blocked"
    assert (await mine.sent_since(4), await mine.sent_since(5)) == ((5, 7), (7,))
    sent = await mine.read(DAY, IntentState.SENT)
    assert [intent.intent_id for intent in sent] == ["i1", "i3"]
    assert sent[0] == _intent(1)
    await second.close()


@pytest.mark.parametrize(
    "scope", ["CATEGORY:NSE_EQ", "ADVISOR:A01", "INSTRUMENT:NSE_EQ:TSTA", "STRATEGY:NORMAL", "RULE:r"]
)
async def test_a_claim_is_kept_back_by_the_kill_level_of_each_of_its_scopes(
    live: LiveConnection, settings: Settings, scope: str
) -> None:
    account = f"scoped-{scope}"
    second = await _second(settings)
    lead = await take_leadership(live, account, "pid 1", NOW)
    assert lead is not None
    scopes = ("CATEGORY:NSE_EQ", "ADVISOR:A01", "INSTRUMENT:NSE_EQ:TSTA", "STRATEGY:NORMAL", "RULE:r")
    other = tuple(f"{name}x" for name in scopes)
    intents = [
        replace(_intent(1), kill_scopes=scopes),
        replace(_intent(2, is_entry=False), kill_scopes=scopes),
        replace(_intent(3), kill_scopes=other),
    ]
    await insert_intents(second, account, DAY, 1, intents)
    await second.execute(
        "INSERT INTO trading.risk_levels (account_id, scope, level, severity, cause, actor, reason, "
        "raised_ns) VALUES (%s, %s, 'ENTRIES_BLOCKED', 1, 'MANUAL', 'test', 'test', 1)",
        (account, scope),
    )
    mine = IntentRepo(second, account, lead.epoch)
    stored = {intent.intent_id: intent for intent in await mine.read(DAY, IntentState.PREPARED)}
    assert await mine.claim(stored["i1"], 7) is ClaimOutcome.BLOCKED
    assert await mine.claim(stored["i2"], 7) is ClaimOutcome.CLAIMED, "an exit is never blocked"
    assert await mine.claim(stored["i3"], 7) is ClaimOutcome.CLAIMED, "a scope that is not its own"
    await second.execute("UPDATE trading.risk_levels SET cleared_ns = 8 WHERE account_id = %s", (account,))
    assert await mine.claim(stored["i1"], 9) is ClaimOutcome.CLAIMED
    await second.close()


async def test_a_withdrawal_takes_back_an_entry_and_its_changes_or_nothing(
    live: LiveConnection, settings: Settings
) -> None:
    account = "withdrawn"
    second = await _second(settings)
    lead = await take_leadership(live, account, "pid 1", NOW)
    assert lead is not None
    first, sent = [_intent(1), _intent(2, is_entry=False)], [_intent(3), _intent(4, is_entry=False)]
    await insert_intents(second, account, DAY, 1, [*first, *sent])
    mine = IntentRepo(second, account, lead.epoch)
    assert await IntentRepo(second, account, lead.epoch - 1).withdraw(first, 5) is ClaimOutcome.DEPOSED
    assert await mine.withdraw(first, 5) is ClaimOutcome.CLAIMED
    assert await mine.claim(first[0], 6) is ClaimOutcome.NOT_PREPARED
    assert await mine.claim(sent[0], 6) is ClaimOutcome.CLAIMED
    assert await mine.withdraw(sent, 7) is ClaimOutcome.NOT_PREPARED
    assert [i.intent_id for i in await mine.read(DAY, IntentState.PREPARED)] == ["i4"]
    answers = await mine.answers(DAY, IntentState.WITHDRAWN)
    assert [(a.intent, a.state) for a in answers] == [(i, IntentState.WITHDRAWN) for i in first]
    await second.close()


async def test_an_intent_that_was_never_committed_cannot_be_sent(live: LiveConnection) -> None:
    with pytest.raises(InvariantViolated, match="never committed"):
        await IntentRepo(live, ACCOUNT, 1).claim(_intent(99), 1)


async def test_fifty_callers_at_once_cannot_overspend(live: LiveConnection, settings: Settings) -> None:
    account = "crowded"
    await apply_entry(live, account, DAY, 1, _entry("open", "OPENING", 1_000, 0))
    connections = [await _second(settings) for _ in range(10)]

    async def caller(connection: LiveConnection, number: int) -> list[bool]:
        answers = []
        for step in range(5):
            async with connection.transaction():
                entry = _entry(f"r{number}-{step}", "RESERVE", -30, 30)
                answers.append(await apply_entry(connection, account, DAY, 1, entry))
        return answers

    answers = await asyncio.gather(*(caller(c, n) for n, c in enumerate(connections)))
    assert sum(ok for several in answers for ok in several) == 33
    row = await (
        await live.execute(
            "SELECT free_paise, deployed_paise, total_paise FROM trading.corpus_accounts WHERE "
            "account_id = %s",
            (account,),
        )
    ).fetchone()
    assert row == (10, 990, 1_000)
    lines = await (
        await live.execute(
            "SELECT count(*), sum(deployed_delta_paise) FROM trading.corpus_ledger WHERE account_id = %s",
            (account,),
        )
    ).fetchone()
    assert lines == (34, 990)
    for connection in connections:
        await connection.close()


async def test_a_booked_loss_may_take_free_below_zero_but_never_adds_up_wrongly(
    live: LiveConnection,
) -> None:
    account = "loser"
    await apply_entry(live, account, DAY, 1, _entry("o", "OPENING", 100, 0))
    assert await apply_entry(live, account, DAY, 1, _entry("p", "PNL", -150, 0))
    assert not await apply_entry(live, account, DAY, 1, _entry("q", "RESERVE", -1, 1))
    with pytest.raises(psycopg.errors.CheckViolation):
        await live.execute(
            "UPDATE trading.corpus_accounts SET free_paise = 0 WHERE account_id = %s", (account,)
        )


async def test_the_inbox_takes_a_document_once_and_a_change_as_revision(live: LiveConnection) -> None:
    inbox = InboxRepo(live, "inbox")
    first = await inbox.store("s", [_row("k1", "h1"), _row("k2", "h1")], "t1", NOW)
    again = await inbox.store("s", [_row("k1", "h1")], "t2", NOW)
    changed = await inbox.store("s", [_row("k1", "h2")], None, NOW)
    assert [(r.inbox_id, r.revision) for r in first] == [(1, 1), (2, 1)]
    assert again == []
    assert [(r.inbox_id, r.revision) for r in changed] == [(3, 2)]
    position = await inbox.position("s")
    assert (position.token, position.last_posted_at) == ("t2", NOW)
    assert [r.inbox_id for r in await inbox.open_rows()] == [1, 2, 3]
    cursor = await live.execute(
        "SELECT seq, change, record_id, revision, origin FROM raw.signal_log"
        " WHERE chain = 'inbox:inbox' ORDER BY seq"
    )
    assert await cursor.fetchall() == [
        (1, "POSTED", "k1", 1, "1"),
        (2, "POSTED", "k2", 1, "2"),
        (3, "EDITED", "k1", 2, "3"),
    ]


async def test_an_executed_trade_announces_itself_by_id(live: LiveConnection, settings: Settings) -> None:
    listener = await _second(settings)
    await listener.execute("LISTEN trade_event")
    await live.execute(
        "INSERT INTO trading.executed_trades (account_id, group_id, leg_number, trade_date, signal_id, "
        "advisor_id, "
        "instrument_key, category, side, product, rule_text, is_reverse, quantity, entry_paise, "
        "entry_ns, entry_at, "
        "exited_quantity, is_closed, changed_ns) VALUES ('told', 'g', 1, %s, 's', 'A01', 'NSE_EQ:TSTA', "
        "'NSE_EQ', "
        "'BUY', 'INTRADAY', 'r', false, 10, 100, 1, %s, 0, false, 7)",
        (DAY, NOW),
    )
    await live.execute(
        "UPDATE trading.executed_trades SET is_closed = true, exit_reason = 'STOPLOSS', exit_paise = 90, "
        "exit_ns = 9, "
        "changed_ns = 9 WHERE account_id = 'told'"
    )
    rows = await (
        await live.execute(
            "SELECT event_id, kind, severity, event_ns, payload, message FROM trading.trade_events "
            "WHERE account_id = 'told' ORDER BY event_id"
        )
    ).fetchall()
    assert [(kind, severity, at) for _, kind, severity, at, _, _ in rows] == [
        ("ENTRY_FILLED", "info", 7),
        ("STOPLOSS_HIT", "warning", 9),
    ]
    assert rows[1][4]["exit_paise"] == 90
    assert rows[1][5] == "STOPLOSS_HIT BUY NSE_EQ:TSTA, leg 1"
    heard = [json.loads(notice.payload) async for notice in listener.notifies(timeout=5, stop_after=2)]
    assert heard == [row[0] for row in rows]
    await listener.close()


async def _events(live: LiveConnection, account: str) -> list[tuple[Any, ...]]:
    cursor = await live.execute(
        "SELECT kind, severity, event_ns, payload FROM trading.trade_events "
        "WHERE account_id = %s ORDER BY event_id",
        (account,),
    )
    return await cursor.fetchall()


async def _put(live: LiveConnection, table: str, **row: object) -> None:
    columns = ", ".join(row)
    await live.execute(
        f"INSERT INTO trading.{table} ({columns}) VALUES ({', '.join(['%s'] * len(row))})".encode(),
        list(row.values()),
    )


_TRADE = {
    "trade_date": DAY, "signal_id": "s", "advisor_id": "A01", "category": "NSE_EQ", "side": "BUY",
    "instrument_key": "NSE_EQ:TSTA", "product": "INTRADAY", "rule_text": "r", "is_reverse": False,
    "quantity": 10, "entry_paise": 100, "entry_ns": 1, "entry_at": NOW, "exited_quantity": 0,
    "is_closed": False, "changed_ns": 7, "leg_number": 1,
}  # fmt: skip


async def test_an_accepted_entry_is_told_once_and_no_other_order(live: LiveConnection) -> None:
    group = {"account_id": "placed", "group_id": "g1"}
    await insert_intents(live, "placed", DAY, 1, [_intent(1), _intent(2, is_entry=False)])
    await _put(
        live, "trade_groups", **group, trade_date=DAY, signal_id="s", advisor_id="A01", category="NSE_EQ",
        instrument_key="NSE_EQ:TSTA", period="INTRADAY", product="INTRADAY", side="BUY", entry_type="LIMIT",
        entry_low_paise=9_990, entry_high_paise=10_000, stop_paise=9_900, targets_paise=[10_200], lot_size=1,
        margin_paise=1, active_from_ns=1, valid_until_ns=2, is_reverse=False, rule_text="r", targets_hit=0,
        ambiguous_bar=False, gapped_through=False, is_shadow=False, is_closed=False, pool="NSE_EQ",
        planned_risk_paise=1, opened_ns=1, gross_pnl_paise=0, charges_paise=0, net_pnl_paise=0, journal_seq=1,
    )  # fmt: skip
    await _put(
        live, "legs", **group, leg_number=1, state="WORKING", lots=10, quantity=10, stop_paise=9_900,
        target_paise=10_200, filled_quantity=0, exited_quantity=0, entry_notional_paise=0,
        exit_notional_paise=0, generation=0,
    )  # fmt: skip
    for correlation, kind in (("c1", "ACKNOWLEDGED"), ("c2", "ACKNOWLEDGED"), ("c3", "REJECTED")):
        await _put(
            live, "broker_orders", account_id="placed", correlation_id=correlation, broker_order_id="b",
            trade_date=DAY, last_kind=kind, quantity=0, price_paise=0, updated_ns=5, reason="",
        )  # fmt: skip
    (told,) = await _events(live, "placed")
    assert told[:3] == ("ENTRY_PLACED", "info", 5)
    assert (told[3]["side"], told[3]["quantity"], told[3]["entry_high_paise"]) == ("BUY", 10, 10_000)


async def test_the_day_is_summed_up_once_with_the_trades_of_its_last_transaction(
    live: LiveConnection,
) -> None:
    closed = {
        "exit_reason": "TARGET", "exit_at": NOW, "exit_ns": 1, "gross_pnl_paise": 500, "charges_paise": 20,
        "net_pnl_paise": 480, "is_closed": True,
    }  # fmt: skip
    hand_over = {"account_id": "summed", "trade_date": DAY, "carried": b"", "journal_seq": 1}
    async with live.transaction():
        await _put(live, "carry_overs", **hand_over)
        await _put(live, "executed_trades", **{**_TRADE, **closed}, account_id="summed", group_id="g1")
        await _put(live, "executed_trades", **_TRADE, account_id="summed", group_id="g2")
    await live.execute("UPDATE trading.carry_overs SET journal_seq = 2 WHERE account_id = 'summed'")
    told = [event for event in await _events(live, "summed") if event[0] == "DAILY_SUMMARY"]
    assert [event[3] for event in told] == [
        {
            "trade_date": DAY.isoformat(), "legs_entered": 2, "legs_closed": 1, "legs_won": 1, "legs_open": 1,
            "gross_pnl_paise": 500, "charges_paise": 20, "net_pnl_paise": 480, "signals_decided": 0,
        }
    ]  # fmt: skip


async def test_a_trade_stands_though_its_event_cannot_be_written(
    live: LiveConnection, connection: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    broken = "ALTER TABLE trading.trade_events ADD CONSTRAINT broken CHECK (account_id <> 'untold')"
    connection.execute(broken)
    await _put(live, "executed_trades", **_TRADE, account_id="untold", group_id="g")
    connection.execute("ALTER TABLE trading.trade_events DROP CONSTRAINT broken")
    cursor = await live.execute("SELECT count(*) FROM trading.executed_trades WHERE account_id = 'untold'")
    assert await cursor.fetchone() == (1,)
    assert await _events(live, "untold") == []


async def test_an_alert_of_the_pipeline_is_an_event_of_its_account(
    live: LiveConnection, settings: Settings
) -> None:
    lost = Alert("alerted", "HEARTBEAT_LOST", "alerted/decider/1", "critical", "decider is silent.", NOW)
    with psycopg.connect(psycopg_dsn(settings.database_url("pipeline"))) as pipeline:
        assert raise_alert(pipeline, lost)
        assert not raise_alert(pipeline, lost)
    events = await _events(live, "alerted")
    assert [event[:3] for event in events] == [
        ("HEARTBEAT_LOST", "critical", int(NOW.timestamp()) * 1_000_000_000)
    ]


async def test_who_sends_messages_sees_events_and_nothing_of_the_books(
    live: LiveConnection, settings: Settings
) -> None:
    await _put(
        live, "trade_events", account_id="seen", kind="HALT", severity="critical", message="m", payload="{}",
        event_ns=1, is_sent=False,
    )  # fmt: skip
    with psycopg.connect(psycopg_dsn(settings.database_url("notifier")), autocommit=True) as notifier:
        notifier.execute("UPDATE trading.trade_events SET is_sent = true WHERE account_id = 'seen'")
        for forbidden in (
            "UPDATE trading.trade_events SET message = 'x'",
            "DELETE FROM trading.trade_events",
            "DELETE FROM trading.notifications",
            "SELECT 1 FROM trading.executed_trades",
            "SELECT 1 FROM trading.risk_levels",
            "SELECT 1 FROM ref.alerts",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                notifier.execute(forbidden.encode())


def test_a_daemon_that_ends_by_a_fault_leaves_word(
    settings: Settings, connection: "psycopg.Connection[tuple[Any, ...]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise ExceptionGroup("tasks", [InvariantViolated("the books do not add up")])

    monkeypatch.setattr("trading_daemon.main._run", die)
    account = settings.model_copy(update={"account_id": "halted"})
    with pytest.raises(ExceptionGroup):
        run_daemon(account)
    rows = connection.execute(
        "SELECT kind, severity, message FROM trading.trade_events WHERE account_id = 'halted'"
    ).fetchall()
    assert [row[:2] for row in rows] == [("HALT", "critical")]
    assert "the books do not add up" in str(rows[0][2])


def test_the_audit_log_is_a_chain_that_nobody_can_rewrite(
    settings: Settings, connection: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    del settings
    with connection.transaction():
        for number in range(3):
            append_audit(
                connection, "audited", actor="me", action="TEST", detail={"n": number}, logged_at=NOW
            )
    with connection.transaction():
        assert verify_audit_log(connection, "audited").broken is None
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute("UPDATE audit.log SET actor = 'you' WHERE account_id = 'audited' AND seq = 2")
    connection.execute("ALTER TABLE audit.log DISABLE TRIGGER append_only")
    connection.execute("UPDATE audit.log SET actor = 'you' WHERE account_id = 'audited' AND seq = 2")
    connection.execute("ALTER TABLE audit.log ENABLE TRIGGER append_only")
    with connection.transaction():
        broken = verify_audit_log(connection, "audited").broken
    assert broken is not None
    assert broken.row == "seq 2"


def _entry(name: str, kind: str, free: int, deployed: int) -> CorpusEntry:
    pnl = free if kind == "PNL" else 0
    return CorpusEntry(name, kind, "NSE_EQ", False, "g", free, deployed, pnl, 1)


def _row(key: str, digest: str) -> NewInboxRow:
    return NewInboxRow(key, "SIGNAL", digest, {"a": 1}, NOW, 1, key)

"""From the table to the chat: order, fallback, limits, deaths, dead letters, on a real PostgreSQL."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from adapters.db.engine import create_engine, psycopg_dsn
from adapters.db.repos.notifications import hand_out, pass_over, retry_dead
from adapters.notify.sender import Outcome, Sender
from adapters.settings import Settings
from cli.main import main
from propdesk.core.clock import NS_PER_SECOND, ManualClock
from tests.support.chat_server import TELEGRAM_OK, WUZAPI_OK, ChatServer, chat_server
from tests.support.marts import fill
from trading_daemon import notifier as module
from trading_daemon.notifier import (
    REST_FIRST_S,
    UNKNOWN_MAX,
    AlreadySending,
    Lane,
    Notifier,
    open_senders,
    recipients_of,
)

pytestmark = pytest.mark.integration

BOT = "123456:canary-of-telegram"
BOTH = {"asha": {"wuzapi": "919812345678", "telegram": "42"}}
START_NS = 1_751_341_500 * NS_PER_SECOND


@pytest.fixture
def telegram() -> Iterator[ChatServer]:
    with chat_server(TELEGRAM_OK) as server:
        yield server


@pytest.fixture
def wuzapi() -> Iterator[ChatServer]:
    with chat_server(WUZAPI_OK) as server:
        yield server


class Desk:
    """An account with people to tell, and a clock that a test moves."""

    def __init__(self, settings: Settings, senders: dict[str, Sender]) -> None:
        self.settings = settings
        self.senders = senders
        self.clock = ManualClock(START_NS)
        self.engine = create_engine(settings.database_url("notifier"), "tests")

    def happen(self, *events: tuple[str, str]) -> None:
        """Raise events given by severity and message, and hand them out."""
        self.raise_events(*events)
        severities = dict.fromkeys(self.settings.notify_recipients, ("critical", "warning", "info"))
        with self.look() as connection:
            hand_out(connection, self.settings.account_id, 2**62, severities, self.clock.now_ns())

    def raise_events(self, *events: tuple[str, str], event_ns: int = START_NS) -> None:
        with psycopg.connect(psycopg_dsn(self.settings.database_url("daemon"))) as connection:
            fill(
                connection,
                "trading.trade_events",
                [
                    {
                        "account_id": self.settings.account_id, "kind": "HALT", "severity": severity,
                        "message": message, "payload": "{}", "event_ns": event_ns, "is_sent": False,
                    }
                    for severity, message in events
                ],
            )  # fmt: skip

    def look(self) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(psycopg_dsn(self.settings.database_url("notifier")))

    def states(self) -> list[tuple[Any, ...]]:
        with self.look() as connection:
            return connection.execute(
                "SELECT n.state, n.channel, n.attempts, e.is_sent FROM trading.notifications n "
                "JOIN trading.trade_events e USING (account_id, event_id) WHERE n.account_id = %s "
                "ORDER BY n.event_id",
                (self.settings.account_id,),
            ).fetchall()

    def lane(self, **senders: Sender) -> Lane:
        used = {**self.senders, **senders}
        (recipient,) = recipients_of(self.settings, used)
        limit = self.settings.notify_attempts_max
        secrets = self.settings.secret_values()
        return Lane(self.engine, self.settings.account_id, recipient, used, self.clock, limit, secrets)

    async def drain(self, lane: Lane) -> None:
        """Step until nothing waits, each time at the moment that the lane asks for."""
        for _ in range(100):
            due_ns = await lane.step()
            if due_ns is None:
                return
            self.clock.advance_to(max(due_ns, self.clock.now_ns()))
        raise AssertionError("the lane never came to rest")


@pytest.fixture
async def desk(
    settings: Settings, telegram: ChatServer, wuzapi: ChatServer, request: pytest.FixtureRequest
) -> AsyncIterator[Desk]:
    name = f"a{zlib.crc32(request.node.name.encode())}"
    more: dict[str, Any] = {
        "account_id": name, "notify_recipients": BOTH, "telegram_bot_token": BOT,
        "telegram_url": telegram.url, "wuzapi_url": wuzapi.url, "wuzapi_token": "canary-of-wuzapi",
        "notify_attempts_max": 4,
    }  # fmt: skip
    given = Settings(_env_file=None, **{**settings.model_dump(), **more})
    async with AsyncExitStack() as stack:
        found = Desk(given, await open_senders(given, stack))
        stack.callback(found.engine.dispose)
        yield found


async def test_messages_leave_in_the_order_of_the_events_at_the_pace_of_the_chat(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    desk.happen(("critical", "one"), ("warning", "two"), ("critical", "three"))
    lane = desk.lane()
    assert await lane.step() == START_NS + desk.senders["wuzapi"].pause_ns("919812345678")
    assert await lane.step() == START_NS + desk.senders["wuzapi"].pause_ns("919812345678")
    assert len(wuzapi.calls) == 1
    await desk.drain(lane)
    assert [text.splitlines()[1] for text in wuzapi.texts] == ["one", "two", "three"]
    assert wuzapi.texts[0].splitlines()[0] == "CRITICAL HALT, 2025-07-01 09:15:00 IST"
    assert desk.states() == [("SENT", "wuzapi", 1, True)] * 3
    assert telegram.calls == []


async def test_telegram_takes_what_whatsapp_does_not_until_that_is_rested(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    wuzapi.replies.append((500, {}, "broken"))
    desk.happen(("critical", "one"), ("critical", "two"))
    lane = desk.lane()
    await lane.step()
    assert [state[:2] for state in desk.states()] == [("SENT", "telegram"), ("WAITING", None)]
    await desk.drain(lane)  # the pause of the chat is shorter than the rest
    assert (len(wuzapi.calls), len(telegram.calls)) == (1, 2)
    desk.clock.advance_to(START_NS + round(3 * REST_FIRST_S) * NS_PER_SECOND)
    desk.happen(("critical", "three"))
    await desk.drain(lane)
    assert (len(wuzapi.calls), len(telegram.calls)) == (2, 2)


async def test_a_critical_message_does_not_wait_for_the_channel_of_information(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    routes = {"critical": ["wuzapi"], "warning": ["wuzapi"], "info": ["telegram"]}
    desk.settings = desk.settings.model_copy(update={"notify_channels": routes})
    telegram.replies.append((429, {"Retry-After": "3600"}, "{}"))
    desk.happen(("info", "one"), ("critical", "two"), ("info", "three"))
    lane = desk.lane()
    await lane.step()
    desk.clock.advance_to(START_NS + desk.senders["telegram"].pause_ns("42"))
    await lane.step()
    assert [text.splitlines()[1] for text in wuzapi.texts] == ["two"]
    await desk.drain(lane)
    assert [text.splitlines()[1] for text in telegram.texts] == ["one", "one", "three"]
    assert desk.states()[0] == ("SENT", "telegram", 2, True)


async def test_what_failed_gives_way_to_what_is_critical(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    wuzapi.replies.append((500, {}, ""))
    telegram.replies.append((502, {}, ""))
    desk.happen(("warning", "one"), ("critical", "two"))
    lane = desk.lane()
    await lane.step()
    desk.clock.advance_to(START_NS + NS_PER_SECOND * 3 // 2)
    assert await lane.step() == START_NS + round(REST_FIRST_S) * NS_PER_SECOND  # all rest: nothing is tried
    assert [state[2] for state in desk.states()] == [1, 0]
    await desk.drain(lane)
    assert [text.splitlines()[1] for text in wuzapi.texts] == ["one", "two", "one"]


async def test_mere_information_goes_to_telegram_and_makes_no_sound(desk: Desk, telegram: ChatServer) -> None:
    desk.happen(("info", "one"), ("warning", "two"))
    await desk.drain(desk.lane())
    assert [call.body["disable_notification"] for call in telegram.calls] == [True]


async def test_a_chat_that_limits_is_left_alone_for_as_long_as_it_says(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    wuzapi.replies.append((429, {"Retry-After": "30"}, "{}"))
    limited = {"ok": False, "description": "slow", "parameters": {"retry_after": 7}}
    telegram.replies.append((429, {}, json.dumps(limited)))
    desk.happen(("critical", "one"), ("critical", "two"))
    lane = desk.lane()
    await lane.step()
    desk.clock.advance_to(START_NS + 6 * NS_PER_SECOND)
    assert await lane.step() == START_NS + 7 * NS_PER_SECOND
    assert (len(wuzapi.calls), len(telegram.calls)) == (1, 1)
    await desk.drain(lane)
    assert [text.splitlines()[1] for text in telegram.texts] == ["one", "one", "two"]
    assert desk.states() == [("SENT", "telegram", 2, True), ("SENT", "telegram", 1, True)]


class Dying:
    """A sender whose process dies when its message was taken, once."""

    def __init__(self, sender: Sender) -> None:
        self.name = sender.name
        self._sender = sender

    def pause_ns(self, address: str) -> int:
        return self._sender.pause_ns(address)

    async def send(self, address: str, text: str, *, message_id: str, is_silent: bool) -> Outcome:
        await self._sender.send(address, text, message_id=message_id, is_silent=is_silent)
        raise asyncio.CancelledError


async def test_a_death_between_sending_and_putting_it_down_costs_one_repeat_under_the_same_name(
    desk: Desk, wuzapi: ChatServer
) -> None:
    desk.happen(("critical", "one"), ("critical", "two"))
    with pytest.raises(asyncio.CancelledError):
        await desk.lane(wuzapi=Dying(desk.senders["wuzapi"])).step()
    assert [state[0] for state in desk.states()] == ["SENDING", "WAITING"]
    desk.happen(
        *[("info", f"later {number}") for number in range(12)]
    )  # changes nothing of what is under way
    lane = desk.lane()
    await lane.step()
    desk.clock.advance_to(START_NS + 2 * NS_PER_SECOND)
    await lane.step()
    assert [text.splitlines()[1] for text in wuzapi.texts] == ["one", "one", "two"]
    names = [call.body["Id"] for call in wuzapi.calls]
    assert names[0] == names[1] != names[2]


async def test_a_message_whose_event_cannot_be_marked_leaves_once_and_the_event_is_marked_later(
    desk: Desk, wuzapi: ChatServer
) -> None:
    desk.happen(("critical", "one"))
    with psycopg.connect(psycopg_dsn(desk.settings.database_url())) as holder:
        holder.execute(
            "SELECT 1 FROM trading.trade_events WHERE account_id = %s FOR SHARE", (desk.settings.account_id,)
        )
        await desk.drain(desk.lane())
        assert desk.states() == [("SENT", "wuzapi", 1, False)]
    assert len(wuzapi.calls) == 1
    worker = Notifier(desk.settings, desk.clock, desk.senders)
    assert await worker.run_once()
    worker.close()
    assert desk.states() == [("SENT", "wuzapi", 1, True)]
    assert len(wuzapi.calls) == 1


async def test_a_message_that_cannot_be_put_down_is_not_sent_for_ever(
    desk: Desk, wuzapi: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise psycopg.errors.InsufficientPrivilege("permission denied")

    desk.happen(("critical", "one"), ("critical", "two"))
    lane = desk.lane()
    with monkeypatch.context() as patch:
        patch.setattr(module, "settle", fail)
        for _ in range(UNKNOWN_MAX + 2):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await lane.step()
            desk.clock.advance_to(desk.clock.now_ns() + 2 * NS_PER_SECOND)
    assert len(wuzapi.calls) == UNKNOWN_MAX
    await desk.drain(lane)
    assert [state[0] for state in desk.states()] == ["DEAD", "SENT"]
    assert [text.splitlines()[1] for text in wuzapi.texts] == ["one"] * UNKNOWN_MAX + ["two"]


async def test_what_no_channel_will_take_is_a_dead_letter_until_a_person_has_it_retried(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    refusal = json.dumps({"ok": False, "description": f"no chat for {BOT}"})
    wuzapi.replies.append((400, {}, '{"error": "no such number"}'))
    telegram.replies.append((400, {}, refusal))
    desk.happen(("critical", "one"), ("critical", "two"))
    lane = desk.lane()
    await desk.drain(lane)
    assert desk.states() == [("DEAD", None, 1, False), ("SENT", "wuzapi", 1, True)]
    with desk.look() as connection:
        row = connection.execute(
            "SELECT reason FROM trading.notifications WHERE account_id = %s AND state = 'DEAD'",
            (desk.settings.account_id,),
        ).fetchone()
        assert row == ("wuzapi: HTTP 400: no such number; telegram: HTTP 400: no chat for ***",)
        assert retry_dead(connection, desk.settings.account_id, [0], desk.clock.now_ns()) == 0
        assert retry_dead(connection, desk.settings.account_id, None, desk.clock.now_ns()) == 1
    await desk.drain(lane)
    assert desk.states() == [("SENT", "wuzapi", 1, True)] * 2


async def test_what_may_have_arrived_is_tried_less_often_than_what_has_not(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    wuzapi.usual = (500, {}, "")
    telegram.replies.extend([(200, {}, "garbage")] * UNKNOWN_MAX)
    desk.happen(("critical", "one"))
    lane = desk.lane()
    await desk.drain(lane)
    assert desk.states() == [("DEAD", None, UNKNOWN_MAX, False)]
    assert len(telegram.calls) == UNKNOWN_MAX < desk.settings.notify_attempts_max
    telegram.usual = (502, {}, "")
    desk.happen(("critical", "two"))
    await desk.drain(lane)
    assert desk.states()[-1] == ("DEAD", None, desk.settings.notify_attempts_max, False)


async def test_attempts_that_sent_nothing_do_not_count_as_messages_that_may_have_arrived(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    desk.settings = desk.settings.model_copy(update={"notify_attempts_max": 30})
    wuzapi.usual = (500, {}, "")
    away, lost = (502, {}, ""), (200, {}, "garbage")
    telegram.replies.extend([away, away, lost, away, lost])
    desk.happen(("critical", "one"))
    lane = desk.lane()
    await desk.drain(lane)
    assert (desk.states()[0][:2], len(telegram.calls)) == (("SENT", "telegram"), 6)
    telegram.replies.extend([away, lost, away, lost, away, lost])
    desk.happen(("critical", "two"))
    await desk.drain(lane)
    assert (desk.states()[1][:2], len(telegram.calls)) == (("DEAD", None), 12)
    with desk.look() as connection:  # a person may have it tried as often again
        retry_dead(connection, desk.settings.account_id, None, desk.clock.now_ns())
    telegram.replies.extend([lost, lost])
    await desk.drain(lane)
    assert (desk.states()[1][:2], len(telegram.calls)) == (("SENT", "telegram"), 15)


async def test_where_many_wait_mere_information_is_put_together_and_nothing_else(
    desk: Desk, telegram: ChatServer, wuzapi: ChatServer
) -> None:
    desk.happen(*[("info", f"i{n}") for n in range(12)], ("warning", "w"), ("info", "last"))
    await desk.drain(desk.lane())
    bodies = [[line for line in text.splitlines() if line[:1] in {"i", "w", "l"}] for text in telegram.texts]
    assert bodies == [[f"i{n}" for n in range(12)], ["last"]]
    assert len(wuzapi.calls) == 1
    assert {state[0] for state in desk.states()} == {"SENT"}


async def test_somebody_who_is_no_longer_told_holds_up_no_event(desk: Desk) -> None:
    desk.happen(("critical", "one"))
    with desk.look() as connection:
        hand_out(connection, desk.settings.account_id, 2**62, {"ravi": ("info",)}, START_NS)
    assert [state[0] for state in desk.states()] == ["DEAD"]
    assert await desk.lane().step() is None


async def test_what_waits_for_a_channel_without_a_token_goes_on_waiting_until_there_is_one(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    people = {"asha": {"wuzapi": "919812345678"}, "ravi": {"telegram": "43"}}
    desk.settings = desk.settings.model_copy(update={"notify_recipients": people})
    desk.happen(("critical", "one"))
    partly = Notifier(desk.settings, desk.clock, {"telegram": desk.senders["telegram"]})
    assert "no_channel_has_a_token" in capsys.readouterr().out
    desk.raise_events(("warning", "raised without a token"))
    await asyncio.to_thread(partly._hand_out)
    await desk.drain(partly._lanes[0])
    assert not await partly.run_once()  # nothing is left to send, but two messages wait
    partly.close()
    assert sorted(state[0] for state in desk.states()) == ["SENT", "SENT", "WAITING", "WAITING"]
    assert wuzapi.calls == []
    wholly = Notifier(desk.settings, desk.clock, desk.senders)
    await desk.drain(wholly._lanes[0])
    assert await wholly.run_once()
    wholly.close()
    assert [text.splitlines()[1] for text in wuzapi.texts] == ["one", "raised without a token"]
    assert desk.states() == [(*state[:3], True) for state in desk.states()]
    assert len(telegram.calls) == 2


async def test_what_waits_is_kept_where_only_some_severities_have_a_channel(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    routes = {"critical": ["wuzapi"], "warning": [], "info": ["telegram"]}
    desk.settings = desk.settings.model_copy(update={"notify_channels": routes})
    desk.raise_events(("critical", "one"), ("info", "two"), ("warning", "nobody hears it"))
    worker = Notifier(desk.settings, desk.clock, {"telegram": desk.senders["telegram"]})
    await asyncio.to_thread(worker._hand_out)
    await desk.drain(worker._lanes[0])
    assert not await worker.run_once()
    worker.close()
    assert [state[0] for state in desk.states()] == ["WAITING", "SENT"]
    assert (len(wuzapi.calls), len(telegram.calls)) == (0, 1)


async def test_a_first_start_on_an_old_account_sends_one_message_of_what_is_too_old(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    many = [("info", f"trade {number}") for number in range(30)]
    desk.raise_events(("critical", "LOCKED"), *many, ("critical", "NAKED"), ("warning", "late"))
    backlog_ns = desk.settings.notify_backlog_s * NS_PER_SECOND
    desk.clock.advance_to(START_NS + backlog_ns + 1)
    desk.raise_events(("critical", "today"), event_ns=desk.clock.now_ns())
    worker = Notifier(desk.settings, desk.clock, desk.senders)
    assert await asyncio.to_thread(worker._hand_out) is False
    await desk.drain(worker._lanes[0])
    worker.close()
    digest, today = wuzapi.texts
    assert "31 of 33 events before 2025-07-01 09:15:00 IST were passed over" in digest
    assert "2 of them all were critical" in digest
    assert ("LOCKED" in digest, "NAKED" in digest, "late" in digest) == (True, True, False)
    assert today.splitlines()[1] == "today"
    assert telegram.calls == []
    states = [state[0] for state in desk.states()]
    assert (states.count("PASSED"), states.count("SENT")) == (31, 3)
    assert all(state[3] for state in desk.states())


async def test_what_is_not_too_old_or_was_retried_is_sent_as_it_is(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer
) -> None:
    wuzapi.usual = telegram.usual = (400, {}, '{"error": "no such number"}')
    desk.happen(("critical", "one"), ("critical", "two"))
    await desk.drain(desk.lane())
    backlog_ns = desk.settings.notify_backlog_s * NS_PER_SECOND
    desk.raise_events(("critical", "three"), event_ns=START_NS + NS_PER_SECOND)
    desk.clock.advance_to(START_NS + NS_PER_SECOND + backlog_ns)
    with desk.look() as connection:
        assert retry_dead(connection, desk.settings.account_id, None, desk.clock.now_ns()) == 2
    wuzapi.usual = WUZAPI_OK
    wuzapi.calls.clear()
    worker = Notifier(desk.settings, desk.clock, desk.senders)
    await asyncio.to_thread(worker._hand_out)
    await desk.drain(worker._lanes[0])
    worker.close()
    assert [text.splitlines()[1] for text in wuzapi.texts] == ["one", "two", "three"]


async def test_what_a_lane_holds_is_left_to_it(desk: Desk) -> None:
    """Waiting for it would be half of a circle: a lane takes rows by severity, this by number."""
    desk.happen(("info", "one"), ("critical", "two"), ("info", "three"))
    account, now_ns = desk.settings.account_id, desk.clock.now_ns()
    with desk.look() as lane, desk.look() as worker:
        worker.execute("SET lock_timeout = '2s'")
        held = lane.execute(
            "SELECT n.event_id FROM trading.notifications n JOIN trading.trade_events e "
            "USING (account_id, event_id) WHERE n.account_id = %s AND e.message = 'two' FOR UPDATE OF n",
            (account,),
        ).fetchone()
        reached = [("asha", "info"), ("asha", "critical")]
        assert pass_over(worker, account, reached, now_ns + 1, now_ns) == 1
        states = worker.execute(
            "SELECT event_id, state FROM trading.notifications WHERE account_id = %s ORDER BY event_id",
            (account,),
        ).fetchall()
    assert held is not None
    assert [(number == held[0], state) for number, state in states] == [
        (False, "PASSED"), (True, "WAITING"), (False, "WAITING"),
    ]  # fmt: skip


async def test_the_worker_hears_of_an_event_at_once_and_is_alone(
    desk: Desk, wuzapi: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 60.0)  # what arrives sooner was heard, not found
    desk.happen(("critical", "while it was away"))
    worker = Notifier(desk.settings, desk.clock, desk.senders)
    other = Notifier(desk.settings, desk.clock, desk.senders)
    task = asyncio.create_task(worker.run())
    first = await asyncio.to_thread(wuzapi.arrived.get, timeout=20)
    with pytest.raises(AlreadySending):
        await other.run_once()
    desk.clock.advance_to(START_NS + 60 * NS_PER_SECOND)
    with psycopg.connect(psycopg_dsn(desk.settings.database_url("daemon"))) as connection:
        row = {
            "kind": "HALT",
            "severity": "critical",
            "message": "now",
            "payload": "{}",
            "event_ns": START_NS,
        }
        account = desk.settings.account_id
        fill(connection, "trading.trade_events", [{**row, "account_id": account, "is_sent": False}])
    second = await asyncio.to_thread(wuzapi.arrived.get, timeout=20)
    worker.stop()
    await asyncio.wait_for(task, 20)
    worker.close()
    other.close()
    assert {state[0] for state in desk.states()} == {"SENT"}
    assert "while it was away" in first.body["Body"]
    assert "now" in second.body["Body"]


async def test_the_command_sends_what_waits_and_looks_after_dead_letters(
    desk: Desk, wuzapi: ChatServer, telegram: ChatServer, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    settings = desk.settings
    for name, value in (
        ("ACCOUNT_ID", settings.account_id),
        ("POSTGRES_NOTIFIER_URL", settings.database_url("notifier")),
        ("NOTIFY_RECIPIENTS", json.dumps(BOTH)),
        ("TELEGRAM_BOT_TOKEN", BOT),
        ("TELEGRAM_URL", telegram.url),
        ("NOTIFY_BACKLOG_S", "10000000000"),  # the events of this desk are of the past
    ):
        monkeypatch.setenv(f"PROPDESK_{name}", value)
    desk.happen(("critical", "one"))
    assert await asyncio.to_thread(main, ["notify", "--once"]) == 0
    telegram.usual = (403, {}, '{"ok": false, "description": "blocked"}')
    desk.happen(("critical", "two"))
    assert await asyncio.to_thread(main, ["notify", "--once"]) == 1
    assert await asyncio.to_thread(main, ["notify", "--once"]) == 0  # nothing waits any more
    assert await asyncio.to_thread(main, ["notify", "test"]) == 1
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["notify", "dead", "list", "--json"]) == 0
    (dead,) = json.loads(capsys.readouterr().out)["dead"]
    assert (dead["recipient"], dead["reason"]) == ("asha", "telegram: HTTP 403: blocked")
    telegram.usual = TELEGRAM_OK
    assert await asyncio.to_thread(main, ["notify", "dead", "retry"]) == 0
    assert await asyncio.to_thread(main, ["notify", "--once"]) == 0
    assert [text.splitlines()[1] for text in telegram.texts if "#" in text] == ["one", "two", "two"]
    assert wuzapi.calls == []

"""Questions and commands by Telegram, from a local server in its place to the table of commands."""

import asyncio
import json
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
import pytest

from adapters.db.engine import create_engine, psycopg_dsn
from adapters.db.repos.users import Actor, add_user, set_disabled, set_role
from adapters.notify.guarded import GuardedClient
from adapters.notify.sender import Delivered
from adapters.notify.telegram import TelegramBot
from adapters.settings import Settings
from propdesk.core.clock import NS_PER_SECOND, ManualClock, from_ns
from propdesk.core.errors import ConfigFault
from propdesk.model.user import UserRole
from tests.support.chat_server import TELEGRAM_OK, ChatServer, chat_server
from tests.support.desk_commands import answering
from trading_daemon import telegram_door
from trading_daemon.telegram_door import CONFIRM_S, STALE_S, TelegramDoor, run_door

pytestmark = pytest.mark.integration

START_NS = 1_751_341_500 * NS_PER_SECOND
BOT = "42:canary-of-telegram"
ASHA, RAVI, STRANGER, GROUP = 1001, 1002, 6, -100
NUMBERS = count(1)


@pytest.fixture
def telegram() -> Iterator[ChatServer]:
    with chat_server(TELEGRAM_OK) as server:
        yield server


class Chat:
    """The door, the server before it and the people who write."""

    def __init__(self, settings: Settings, server: ChatServer, bot: TelegramBot) -> None:
        self.settings, self.server = settings, server
        self.clock = ManualClock(START_NS)
        self.door = TelegramDoor(settings, self.clock, bot)
        self.asha, self.ravi = settings.telegram_people[str(ASHA)], settings.telegram_people[str(RAVI)]

    def message(
        self, text: str, sender: int = ASHA, chat: int | None = None, *, age_s: int = 0, number: int = 0
    ) -> dict[str, Any]:
        message = {
            "date": self.clock.now_ns() // NS_PER_SECOND - age_s,
            "text": text,
            "from": {"id": sender},
            "chat": {"id": sender if chat is None else chat},
        }
        return {"update_id": number or next(NUMBERS), "message": message}

    async def hears(self, *updates: object) -> list[str]:
        """Let the door take updates; give what it says to them."""
        self.server.calls.clear()
        self.server.replies.append((200, {}, json.dumps({"ok": True, "result": list(updates)})))
        assert await self.door.look(0) is None
        await self.door.settle()
        return [str(call.body["text"]) for call in self.server.calls if call.path.endswith("/sendMessage")]

    async def says(self, text: str, sender: int = ASHA, *, age_s: int = 0) -> str:
        (said,) = await self.hears(self.message(text, sender, age_s=age_s))
        return said

    def commands(self) -> list[tuple[Any, ...]]:
        with psycopg.connect(psycopg_dsn(self.settings.database_url("reader"))) as connection:
            return connection.execute(
                "SELECT kind, arguments, asked_by, role, door FROM trading.commands WHERE account_id = %s "
                "ORDER BY command_id",
                (self.settings.account_id,),
            ).fetchall()

    def change(self, login: str, role: UserRole | None) -> None:
        by = Actor("tests", self.settings.account_id, from_ns(START_NS) + timedelta(seconds=next(NUMBERS)))
        with psycopg.connect(psycopg_dsn(self.settings.database_url("access"))) as connection:
            if role is None:
                set_disabled(connection, login, by, is_disabled=True)
            else:
                set_role(connection, login, role, by)


@pytest.fixture
async def chat(
    settings: Settings, telegram: ChatServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Chat]:
    monkeypatch.setattr(telegram_door, "WAIT_S", 0.2)
    name = f"t{zlib.crc32(request.node.name.encode())}"
    people = {str(ASHA): f"{name}-asha", str(RAVI): f"{name}-ravi"}
    more: dict[str, Any] = {
        "account_id": name, "telegram_bot_token": BOT, "telegram_url": telegram.url, "telegram_people": people
    }  # fmt: skip
    given = Settings(_env_file=None, **{**settings.model_dump(), **more})
    by = Actor("tests", name, from_ns(START_NS))
    with psycopg.connect(psycopg_dsn(given.database_url("access"))) as connection:
        add_user(connection, people[str(ASHA)], UserRole.TRADER, "no hash", by)
        add_user(connection, people[str(RAVI)], UserRole.VIEWER, "no hash", by)
    async with AsyncExitStack() as stack:
        client = GuardedClient(telegram.url)
        stack.push_async_callback(client.close)
        found = Chat(given, telegram, TelegramBot(client, BOT))
        stack.callback(found.door.close)
        yield found


async def test_a_pause_is_asked_at_once_under_the_persons_login_and_the_answer_told(chat: Chat) -> None:
    dsn = psycopg_dsn(chat.settings.database_url("daemon"))
    telegram_door.WAIT_S = 10.0  # the fixture puts it back
    with answering(dsn, chat.settings.account_id, "DONE", "ACCOUNT is ENTRIES_BLOCKED."):
        said = await chat.says("/pause too wild")
    assert said.startswith("PAUSE, command ")
    assert said.endswith(": DONE. ACCOUNT is ENTRIES_BLOCKED.")
    assert chat.commands() == [("PAUSE", {"reason": "too wild"}, chat.asha, "TRADER", "TELEGRAM")]


async def test_what_costs_money_is_asked_back_and_done_once_for_the_right_number(chat: Chat) -> None:
    asked = await chat.says("/flatten")
    code = asked.rsplit("yes ", 1)[1]
    assert chat.commands() == []
    assert "was NOT done" in await chat.says(f"yes {int(code) + 1:05d}")
    assert "Nothing waits for a yes" in await chat.says(f"yes {code}"), "a wrong number ends it"
    code = (await chat.says("/kill reduce_only")).rsplit("yes ", 1)[1]
    assert "Nothing waits for a yes" in await chat.says(f"yes {code}", RAVI), "nobody confirms for another"
    assert "has not answered" in await chat.says(f"yes {code}")
    assert "Nothing waits for a yes" in await chat.says(f"yes {code}")
    assert [(kind, arguments) for kind, arguments, *_ in chat.commands()] == [
        ("KILL", {"level": "REDUCE_ONLY"})
    ]


async def test_a_yes_comes_too_late(chat: Chat) -> None:
    code = (await chat.says("/exit 4f2a")).rsplit("yes ", 1)[1]
    chat.clock.advance_to(START_NS + (CONFIRM_S + 1) * NS_PER_SECOND)
    assert "nothing was done (EXIT of trade 4f2a)" in await chat.says(f"yes {code}")
    assert chat.commands() == []


async def test_a_message_that_comes_twice_asks_once(chat: Chat) -> None:
    first = chat.message("/pause", number=next(NUMBERS))
    await chat.hears(first)
    await chat.hears(first, chat.message("/status"))
    assert len(chat.commands()) == 1
    last = chat.server.calls[0].body
    assert "offset" in last
    await chat.hears()
    assert chat.server.calls[0].body["offset"] > last["offset"]


async def test_what_waited_too_long_is_asked_back(chat: Chat) -> None:
    assert "Write it anew" in await chat.says("/status", age_s=STALE_S + 1)
    assert "nothing was done" in await chat.says("yes 0000", age_s=STALE_S + 1)
    asked = await chat.says("/pause", age_s=3_600)
    assert asked.startswith("Written 3600 s ago, when nobody listened. PAUSE of EVERYTHING.")
    assert chat.commands() == []
    await chat.says(f"yes {asked.rsplit('yes ', 1)[1]}")
    assert [kind for kind, *_ in chat.commands()] == ["PAUSE"]


async def test_a_yes_that_is_read_again_after_a_death_names_what_stands(chat: Chat) -> None:
    code = (await chat.says("/flatten")).rsplit("yes ", 1)[1]
    confirmed = chat.message(f"yes {code}")
    await chat.hears(confirmed)
    again = TelegramDoor(chat.settings, chat.clock, chat.door._bot)
    chat.door, first = again, chat.door
    (said,) = await chat.hears(confirmed)
    again.close()
    chat.door = first
    assert said.startswith("FLATTEN stands as command ")
    assert len(chat.commands()) == 1


async def test_a_stop_waits_for_no_answer_to_anybody(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead daemon answers nothing, a hanging Telegram takes nothing: what is asked stands before both."""
    held, sent = asyncio.Event(), asyncio.Event()

    async def hang(*_: object, **__: object) -> Delivered:
        sent.set()
        await held.wait()
        return Delivered()

    monkeypatch.setattr(chat.door._bot, "send", hang)
    updates = [chat.message("/help"), *(chat.message("/pause") for _ in range(9))]
    chat.server.replies.append((200, {}, json.dumps({"ok": True, "result": updates})))
    await chat.door.look(0)
    assert len(chat.commands()) == 9
    await asyncio.wait_for(sent.wait(), 10)
    held.set()
    await chat.door.settle()


async def test_asked_to_end_the_door_first_puts_down_and_answers_what_it_took(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, held = threading.Event(), threading.Event()
    put_down = telegram_door.ask

    def slowly(*given: Any) -> int:
        asking.set()
        assert held.wait(10)
        return put_down(*given)

    monkeypatch.setattr(telegram_door, "ask", slowly)
    chat.server.replies.append((200, {}, json.dumps({"ok": True, "result": [chat.message("/pause")]})))
    running = asyncio.create_task(chat.door.run())
    assert await asyncio.to_thread(asking.wait, 10)
    chat.door.stop()
    held.set()
    await asyncio.wait_for(running, 10)
    assert len(chat.commands()) == 1
    assert "PAUSE stands as command" in str(chat.server.calls[-1].body["text"])


async def test_an_odd_message_and_a_refused_key_shut_no_door(chat: Chat) -> None:
    assert "Nothing waits for a yes" in await chat.says("yes \ud800")
    first = chat.message("/pause", number=next(NUMBERS))
    await chat.hears(first)
    other = {**first, "message": {**first["message"], "text": "/pause advisor:A01"}}
    (said,) = await chat.hears(other)
    assert said.startswith("This idempotency key stands for another command")
    chat.door._role = lambda login: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    assert (await chat.says("/pause")).startswith("It is NOT KNOWN what became of this message")


async def test_a_role_is_read_with_each_message(chat: Chat) -> None:
    assert "needs the role TRADER; yours is VIEWER" in await chat.says("/pause", RAVI)
    assert "Account t" in await chat.says("/status", RAVI)
    chat.change(chat.ravi, UserRole.TRADER)
    await chat.says("/pause", RAVI)
    code = (await chat.says("/flatten")).rsplit("yes ", 1)[1]
    chat.change(chat.asha, None)
    assert "is closed" in await chat.says(f"yes {code}")
    assert [(kind, by) for kind, _, by, *_ in chat.commands()] == [("PAUSE", chat.ravi)]


async def test_strangers_groups_and_odd_shapes_get_no_answer(chat: Chat) -> None:
    odd: list[object] = [
        chat.message("/status", STRANGER),
        chat.message("/flatten", ASHA, GROUP),
        {"update_id": next(NUMBERS), "message": {"date": 1, "chat": {"id": GROUP}, "text": "/status"}},
        {"update_id": next(NUMBERS), "edited_message": {"text": "/flatten"}},
        {"update_id": "7", "message": {}},
        "nothing",
    ]
    assert await chat.hears(*odd) == []
    (said,) = await chat.hears({**chat.message(""), "ignored": 1})
    assert said.startswith("That is no text.")
    assert chat.commands() == []


async def test_the_desk_is_shown_in_words(chat: Chat) -> None:
    account = chat.settings.account_id
    assert await chat.says("/positions") == "Nothing is held, and nothing waits to enter."
    assert await chat.says("/pnl") == "nothing was traded yet"
    assert "Nobody spoke of NIFTY" in await chat.says("/crowd nifty")
    assert (await chat.says("/status")).splitlines()[:4] == [
        f"Account {account}", "nothing is blocked", "no daemon was ever seen", "no day was prepared",
    ]  # fmt: skip
    with psycopg.connect(psycopg_dsn(chat.settings.database_url())) as connection:
        connection.execute(
            "INSERT INTO trading.crowd_positions (account_id, signal_id, trade_date, underlying, advisor_id, "
            "direction, cluster_id, state, reason, changed_ns, journal_seq) "
            "SELECT %s, n::text, '2025-07-01', 'NIFTY', 'A', 'BULLISH', 'c', 'OPENED', '', 1, 1 "
            "FROM generate_series(1, 3) n",
            (account,),
        )
        connection.execute(
            "INSERT INTO trading.risk_levels (account_id, scope, level, severity, cause, actor, reason, "
            "raised_ns) VALUES (%s, 'ACCOUNT', 'LOCKED', 4, 'MANUAL', 'ravi', 'fire', 1)",
            (account,),
        )
    assert await chat.says("/crowd nifty") == "NIFTY on 2025-07-01\nBULLISH OPENED: 3"
    assert "ACCOUNT LOCKED: MANUAL by ravi, fire" in await chat.says("/status")
    assert "/flatten" in await chat.says("/help")


async def test_a_database_that_is_away_is_told(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    away = create_engine("postgresql+psycopg://nobody:x@127.0.0.1:1/propdesk", "tests")
    monkeypatch.setattr(chat.door, "_access", away)
    assert (await chat.says("/flatten")).startswith("NOTHING was done")
    monkeypatch.setattr(chat.door, "_role", lambda login: UserRole.TRADER)
    assert (await chat.says("/pause")).startswith("It is NOT KNOWN whether this was asked")
    assert (await chat.says("/positions")).startswith("Nothing is held")


async def test_telegram_away_is_waited_for_and_the_door_ends_when_asked(chat: Chat) -> None:
    chat.server.usual = (429, {}, json.dumps({"ok": False, "parameters": {"retry_after": 7}}))
    assert await chat.door.look(0) == 7.0
    chat.server.usual = (409, {}, json.dumps({"ok": False, "description": "Conflict"}))
    assert await chat.door.look(0) == 0.0
    running = asyncio.create_task(chat.door.run())
    await asyncio.to_thread(chat.server.arrived.get, timeout=10)
    chat.door.stop()
    await asyncio.wait_for(running, 10)


def test_a_door_without_token_or_people_is_refused(settings: Settings, telegram: ChatServer) -> None:
    with pytest.raises(ConfigFault, match="TELEGRAM_BOT_TOKEN"):
        run_door(settings, ManualClock(START_NS))
    given = settings.model_copy(
        update={"telegram_bot_token": Settings(telegram_bot_token=BOT).telegram_bot_token}
    )
    with pytest.raises(ConfigFault, match="TELEGRAM_PEOPLE"):
        run_door(given, ManualClock(START_NS))

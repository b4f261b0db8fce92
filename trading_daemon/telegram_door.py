"""Take questions and commands from people by Telegram (§7.1).

A process of its own, which asks Telegram for what was written; nothing calls it from outside. Commands go
the way of all doors: a row of ``trading.commands``, judged by the daemon. Telegram hands a message out again
until the next look names the one after it, and a message names its command, so a death in between asks
nothing twice. A command is put down before anything is said: it waits for no answer of Telegram's, of the
daemon's, or of the database to somebody else's question.
"""

import asyncio
import secrets
import signal
from collections.abc import Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from adapters.db.engine import DatabaseUnreachable, begin, create_engine, listening
from adapters.db.repos.books import read_positions
from adapters.db.repos.commands import CHANNEL, NewCommand, ask, await_answer, find_command
from adapters.db.repos.overview import read_crowd, read_overview
from adapters.db.repos.users import read_role
from adapters.log import get_logger
from adapters.notify.guarded import GuardedClient
from adapters.notify.sender import Delivered, Refused, Undelivered
from adapters.notify.telegram import TelegramBot
from adapters.settings import ENV_PREFIX, Settings
from propdesk.core.clock import NS_PER_SECOND, Clock, from_ns
from propdesk.core.errors import ConfigFault, PropdeskError
from propdesk.model.command import CommandState, Door
from propdesk.model.event_text import plain
from propdesk.model.user import UserRole
from propdesk.risk.chat import HELP, Asking, Commanding, Confirming, Question, read_chat
from propdesk.risk.desk_commands import Unusable
from trading_daemon.desk_words import crowd_words, positions_words, result_words, status_words

APPLICATION: Final = "propdesk-telegram"
"""Name of its connections, as PostgreSQL shows it."""
LOOK_S: Final = 25
"""How long Telegram keeps a look open while nothing is written, s."""
_LOOK_MARGIN_S: Final = 10.0
_MOST: Final = 10
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Ten messages at their longest, with what they reply to: what strangers write must not close the door."""
STALE_S: Final = 60
"""A command that waited longer is asked back: its writer, and others, have looked elsewhere since."""
CONFIRM_S: Final = 60
WAIT_S: Final = 10.0
"""How long the daemon's answer is waited for."""
_REST_FIRST_S: Final = 2.0
_REST_MAX_S: Final = 60.0
_WAITERS: Final = 8


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a person.

    Parameters
    ----------
    key : str
        Names it for good.
    sender, chat : int
        Equal in a conversation of a person with the bot.
    sent_s : int
        s UTC, by Telegram's clock.
    text : str
        Empty where it is a picture or the like.
    """

    key: str
    sender: int
    chat: int
    sent_s: int
    text: str


@dataclass(frozen=True, slots=True)
class _Pending:
    """A command that a person has been asked back about."""

    code: str
    command: Commanding
    until_ns: int


def read_update(update: Mapping[str, Any]) -> Message | None:
    """Read one update of the Bot API; None for one that is no message of a person."""
    message = update.get("message")
    try:
        assert isinstance(message, dict)  # noqa: S101 - one way out for every odd shape
        sent_s, text = int(message["date"]), message.get("text", "")
        return Message(
            f"telegram-{int(update['update_id'])}-{sent_s}",
            int(message["from"]["id"]),
            int(message["chat"]["id"]),
            sent_s,
            text.encode(errors="replace").decode() if isinstance(text, str) else "",
        )
    except (AssertionError, KeyError, TypeError, ValueError):
        return None


class TelegramDoor:
    """Answers the people of one account.

    Parameters
    ----------
    settings : Settings
        Name the people.
    clock : Clock
    bot : TelegramBot

    Raises
    ------
    ConfigFault
        If nobody is named.
    """

    def __init__(self, settings: Settings, clock: Clock, bot: TelegramBot) -> None:
        if not settings.telegram_people:
            raise ConfigFault(f"Nobody may ask: set {ENV_PREFIX}TELEGRAM_PEOPLE (docs/notifications.md).")
        self._settings = settings
        self._people = settings.telegram_people
        self._account_id = settings.account_id
        self._clock = clock
        self._bot = bot
        self._access = create_engine(settings.database_url("access"), APPLICATION)
        self._reader = create_engine(settings.database_url("reader"), APPLICATION)
        self._pending: dict[int, _Pending] = {}
        self._turns: dict[int, asyncio.Lock] = {}
        self._said: set[asyncio.Task[None]] = set()
        # Of their own: with a daemon that answers nothing they are full, and commands must not wait for them.
        self._waiters = ThreadPoolExecutor(_WAITERS, "answers")
        self._next: int | None = None
        self._stop = asyncio.Event()

    def close(self) -> None:
        """Close the connections to the database."""
        self._waiters.shutdown()
        self._access.dispose()
        self._reader.dispose()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    async def run(self) -> None:
        """Answer until asked to stop; what was taken is put down and answered before it ends."""
        failures = 0
        stopped = asyncio.create_task(self._stop.wait())
        while not self._stop.is_set():
            fetching = asyncio.create_task(self._fetch(LOOK_S))
            await asyncio.wait((fetching, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not fetching.done():  # nothing of it was taken: Telegram hands it out again
                fetching.cancel()
                await asyncio.gather(fetching, return_exceptions=True)
                break
            found = fetching.result()
            if isinstance(found, list):
                failures = 0
                await self._take_all(found)
                continue
            failures += 1
            rest_s = min(_REST_FIRST_S * 2 ** (failures - 1), _REST_MAX_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(rest_s, found)):
                    await self._stop.wait()
        await self.settle()

    async def settle(self) -> None:
        """Wait until everything is said."""
        while self._said:
            await asyncio.gather(*self._said)

    async def look(self, keep_open_s: int = LOOK_S) -> float | None:
        """Ask once for what was written, and take it.

        Parameters
        ----------
        keep_open_s : int
            How long to wait for a message, s.

        Returns
        -------
        float or None
            None if Telegram answered; else how long it asks to be left alone at least, s.
        """
        found = await self._fetch(keep_open_s)
        if not isinstance(found, list):
            return found
        await self._take_all(found)
        return None

    async def _fetch(self, keep_open_s: int) -> list[Any] | float:
        body: dict[str, Any] = {"timeout": keep_open_s, "limit": _MOST, "allowed_updates": ["message"]}
        if self._next is not None:
            body["offset"] = self._next
        outcome, updates = await self._bot.call("getUpdates", body, timeout_s=keep_open_s + _LOOK_MARGIN_S)
        if isinstance(outcome, Delivered) and isinstance(updates, list):
            return updates
        reason = "the answer is no list" if isinstance(outcome, Delivered) else outcome.reason
        get_logger().warning("telegram_does_not_answer", reason=reason)
        return (outcome.wait_s or 0.0) if isinstance(outcome, Undelivered) else 0.0

    async def _take_all(self, updates: list[Any]) -> None:
        for update in updates:
            if not isinstance(update, dict) or not isinstance(update.get("update_id"), int):
                continue
            message = read_update(update)
            if message is not None:
                await self._take(message)
            self._next = update["update_id"] + 1

    async def _take(self, message: Message) -> None:
        login = self._people.get(str(message.sender))
        if login is None or message.chat != message.sender:
            # No answer: a bot can be found by anybody, and in a group everybody reads along.
            get_logger().warning("telegram_stranger", sender=message.sender, chat=message.chat)
            return
        try:
            words = await self._answer(message, login)
        except (DatabaseUnreachable, psycopg.Error) as fault:
            get_logger(login=login).warning("telegram_message_failed", error=str(fault))
            words = "NOTHING was done: the database does not answer. Use another door."
        except PropdeskError as fault:
            words = str(fault)
        except Exception:  # one odd message must not shut the door for everybody, at every start anew
            get_logger(login=login).exception("telegram_message_odd")
            words = "It is NOT KNOWN what became of this message. Look by another door."
        if isinstance(words, str):
            self._say(message.chat, words)

    def _say(self, chat: int, words: "str | Awaitable[str]") -> None:
        """Say something in a chat, behind what is being said there; nobody waits for it."""
        turn = self._turns.setdefault(chat, asyncio.Lock())
        task = asyncio.create_task(self._tell(chat, words, turn))
        self._said.add(task)
        task.add_done_callback(self._said.discard)

    async def _tell(self, chat: int, words: "str | Awaitable[str]", turn: asyncio.Lock) -> None:
        async with turn:
            try:
                text = words if isinstance(words, str) else await words
            except Exception as fault:  # whatever could not be read must not leave a person without a word
                get_logger().warning("telegram_reading_failed", error=str(fault))
                text = "That cannot be read now: the database does not answer."
            outcome = await self._bot.send(str(chat), text, message_id="", is_silent=False)
        if isinstance(outcome, Undelivered | Refused):
            get_logger().warning("telegram_answer_failed", chat=chat, reason=outcome.reason)

    async def _answer(self, message: Message, login: str) -> str | None:
        """Do what a message asks for; None where something else says what became of it."""
        role = await asyncio.to_thread(self._role, login)
        if role is None:
            return f"The login {login} does not exist or is closed: `propdesk users` says more."
        said = read_chat(message.text)
        if isinstance(said, Unusable):
            return said.words
        age_s = self._clock.now_ns() // NS_PER_SECOND - message.sent_s
        is_stale = age_s > STALE_S
        if isinstance(said, Confirming):
            return await self._confirmed(message, login, role, said, is_stale=is_stale)
        if isinstance(said, Asking):
            if is_stale:
                return f"Written {age_s} s ago, when nobody listened. Write it anew."
            self._say(message.chat, asyncio.to_thread(self._look_up, said))
            return None
        if not role.includes(UserRole.TRADER):
            return f"{said.kind} needs the role {UserRole.TRADER}; yours is {role}."
        if is_stale or said.is_confirmed:
            late = f"Written {age_s} s ago, when nobody listened. " if is_stale else ""
            return late + await self._ask_back(message, said)
        return await self._ask(message, login, role, said)

    async def _ask_back(self, message: Message, command: Commanding) -> str:
        if (number := await self._asked_before(message)) is not None:
            return f"It stands already, as command {number}."
        code = f"{secrets.randbelow(10_000):04d}"
        until_ns = self._clock.now_ns() + CONFIRM_S * NS_PER_SECOND
        self._pending[message.sender] = _Pending(code, command, until_ns)
        asked = f"{command}. Account {self._account_id}."
        return f"{asked} If that is meant, answer within {CONFIRM_S} s:\nyes {code}"

    async def _confirmed(
        self, message: Message, login: str, role: UserRole, said: Confirming, *, is_stale: bool
    ) -> str | None:
        # Read again after a death, or handed out twice: what it confirmed stands, and is no longer pending.
        if (number := await self._asked_before(message)) is not None:
            self._say(message.chat, self._answer_of(number))
            return None
        pending = self._pending.pop(message.sender, None)
        if pending is None:
            return "Nothing waits for a yes: nothing was done."
        if is_stale or self._clock.now_ns() > pending.until_ns:
            return f"Too late, nothing was done ({pending.command}). Ask anew."
        if not secrets.compare_digest(said.code.encode(), pending.code.encode()):
            return f"Another number: this was NOT done ({pending.command}). Ask anew."
        return await self._ask(message, login, role, pending.command)

    async def _asked_before(self, message: Message) -> int | None:
        """Find the command that a message has asked already."""

        def look() -> int | None:
            with begin(self._access) as connection:
                return find_command(connection, self._account_id, message.key)

        return await asyncio.to_thread(look)

    async def _ask(self, message: Message, login: str, role: UserRole, command: Commanding) -> str | None:
        new = NewCommand(login, role, Door.TELEGRAM, command.kind, command.arguments, message.key)

        def put_down() -> int:
            with begin(self._access) as connection:
                return ask(connection, self._account_id, new)

        try:
            number = await asyncio.to_thread(put_down)
        except (DatabaseUnreachable, psycopg.Error) as fault:
            get_logger(login=login).warning("telegram_command_unknown", key=new.key, error=str(fault))
            return (
                f"It is NOT KNOWN whether this was asked, the database went away: {command}. "
                "Look by another door, or write it again."
            )
        get_logger(login=login).info("telegram_command", command_id=number, kind=command.kind.value)
        self._say(message.chat, self._answer_of(number))
        return None

    async def _answer_of(self, number: int) -> str:
        """Wait for what the daemon says to a command; say so if it says nothing yet."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._waiters, self._await_answer, number)
        except (PropdeskError, psycopg.Error) as fault:
            get_logger().warning("telegram_answer_lost", command_id=number, error=str(fault))
            return f"Command {number} stands, but its answer cannot be read: the database does not answer."
        if found["state"] == CommandState.ASKED:
            return (
                f"{found['kind']} stands as command {number}, but the daemon has not answered for "
                f"{WAIT_S:.0f} s. See /status."
            )
        return plain(f"{found['kind']}, command {number}: {found['state']}. {found['answer'] or ''}")

    def _await_answer(self, number: int) -> dict[str, Any]:
        with listening(self._settings.database_url("reader"), APPLICATION, CHANNEL) as connection:
            return await_answer(connection, self._account_id, number, WAIT_S)

    def _role(self, login: str) -> UserRole | None:
        with begin(self._access) as connection:
            return read_role(connection, login)

    def _look_up(self, asked: Asking) -> str:
        now: datetime = from_ns(self._clock.now_ns())
        with begin(self._reader) as connection:
            match asked.question:
                case Question.STATUS:
                    return status_words(read_overview(connection, self._account_id, now))
                case Question.PNL:
                    return result_words(read_overview(connection, self._account_id, now))
                case Question.POSITIONS:
                    return positions_words(read_positions(connection, self._account_id))
                case Question.CROWD:
                    rows = read_crowd(connection, self._account_id, asked.about)
                    return crowd_words(asked.about, rows)
                case Question.HELP:
                    return HELP


def run_door(settings: Settings, clock: Clock) -> None:
    """Answer people until asked to end.

    Raises
    ------
    ConfigFault
        If the bot has no token, or nobody is named who may ask.
    """
    asyncio.run(_run(settings, clock))


async def _run(settings: Settings, clock: Clock) -> None:
    token = settings.telegram_bot_token
    if token is None:
        raise ConfigFault(
            f"The bot has no token: set {ENV_PREFIX}TELEGRAM_BOT_TOKEN (docs/notifications.md)."
        )
    async with AsyncExitStack() as stack:
        client = GuardedClient(settings.telegram_url, answer_bytes_max=ANSWER_BYTES_MAX)
        stack.push_async_callback(client.close)
        door = TelegramDoor(settings, clock, TelegramBot(client, token.get_secret_value()))
        stack.callback(door.close)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, door.stop)
        await door.run()
        get_logger().info("telegram_door_closed")

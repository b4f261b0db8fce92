"""Take questions and commands from people by Telegram (§7.1).

A process of its own, which asks Telegram for what was written; nothing calls it from outside. Commands go
the way of all doors: a row of ``trading.commands``, judged by the daemon. Telegram hands a message out again
until the next look names the one after it, and a message names its command, so a death in between asks
nothing twice.
"""

import asyncio
import secrets
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from adapters.db.engine import DatabaseUnreachable, begin, create_engine, listening
from adapters.db.repos.books import read_positions
from adapters.db.repos.commands import CHANNEL, NewCommand, ask, await_answer
from adapters.db.repos.overview import read_crowd, read_overview
from adapters.db.repos.users import read_role
from adapters.log import get_logger
from adapters.notify.guarded import GuardedClient
from adapters.notify.sender import Delivered, Refused, Undelivered
from adapters.notify.telegram import TelegramBot
from adapters.settings import ENV_PREFIX, Settings
from propdesk.core.clock import NS_PER_SECOND, Clock, from_ns
from propdesk.core.errors import ConfigFault, PropdeskError
from propdesk.model.command import CommandKind, CommandState, Door
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
"""A message that waited longer does nothing, a pause excepted: its writer has looked elsewhere since."""
CONFIRM_S: Final = 60
WAIT_S: Final = 10.0
"""How long the daemon's answer is waited for."""
_REST_FIRST_S: Final = 2.0
_REST_MAX_S: Final = 60.0


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
            text if isinstance(text, str) else "",
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
        self._answers: set[asyncio.Task[None]] = set()
        self._next: int | None = None
        self._stop = asyncio.Event()

    def close(self) -> None:
        """Close the connections to the database."""
        self._access.dispose()
        self._reader.dispose()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    async def run(self) -> None:
        """Answer until asked to stop; answers under way are told before it ends."""
        failures = 0
        stopped = asyncio.create_task(self._stop.wait())
        while not self._stop.is_set():
            look = asyncio.create_task(self.look())
            await asyncio.wait((look, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not look.done():
                look.cancel()
                break
            wait_s = look.result()
            failures = failures + 1 if wait_s is not None else 0
            if wait_s is not None:
                rest_s = min(_REST_FIRST_S * 2 ** (failures - 1), _REST_MAX_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(rest_s, wait_s)):
                        await self._stop.wait()
        await self.settle()

    async def settle(self) -> None:
        """Wait until every answer under way is told."""
        while self._answers:
            await asyncio.gather(*self._answers)

    async def look(self, keep_open_s: int = LOOK_S) -> float | None:
        """Ask for what was written, and deal with it.

        Parameters
        ----------
        keep_open_s : int
            How long to wait for a message, s.

        Returns
        -------
        float or None
            None if Telegram answered; else how long it asks to be left alone at least, s.
        """
        body: dict[str, Any] = {"timeout": keep_open_s, "limit": _MOST, "allowed_updates": ["message"]}
        if self._next is not None:
            body["offset"] = self._next
        outcome, updates = await self._bot.call("getUpdates", body, timeout_s=keep_open_s + _LOOK_MARGIN_S)
        if not isinstance(outcome, Delivered) or not isinstance(updates, list):
            reason = "the answer is no list" if isinstance(outcome, Delivered) else outcome.reason
            get_logger().warning("telegram_does_not_answer", reason=reason)
            return (outcome.wait_s or 0.0) if isinstance(outcome, Undelivered) else 0.0
        for update in updates:
            if not isinstance(update, dict) or not isinstance(update.get("update_id"), int):
                continue
            self._next = update["update_id"] + 1
            message = read_update(update)
            if message is not None:
                await self._take(message)
        return None

    async def _take(self, message: Message) -> None:
        login = self._people.get(str(message.sender))
        if login is None or message.chat != message.sender:
            # No answer: a bot can be found by anybody, and in a group everybody reads along.
            get_logger().warning("telegram_stranger", sender=message.sender, chat=message.chat)
            return
        try:
            words = await self._answer(message, login)
        except (PropdeskError, psycopg.Error) as fault:
            get_logger(login=login).warning("telegram_message_failed", error=str(fault))
            words = "NOTHING was done: the database does not answer. Use another door."
        if words:
            await self._tell(message.chat, words)

    async def _answer(self, message: Message, login: str) -> str:
        role = await asyncio.to_thread(self._role, login)
        if role is None:
            return f"The login {login} does not exist or is closed: `propdesk users` says more."
        said = read_chat(message.text)
        if isinstance(said, Unusable):
            return said.words
        age_s = self._clock.now_ns() // NS_PER_SECOND - message.sent_s
        is_pause = isinstance(said, Commanding) and said.kind is CommandKind.PAUSE
        if age_s > STALE_S and not is_pause:
            return f"Written {age_s} s ago, when nobody listened: nothing was done. Write it anew."
        if isinstance(said, Asking):
            return await asyncio.to_thread(self._look_up, said)
        if isinstance(said, Confirming):
            return await self._confirmed(message, login, role, said)
        if not role.includes(UserRole.TRADER):
            return f"{said.kind} needs the role {UserRole.TRADER}; yours is {role}."
        if said.is_confirmed:
            return self._ask_back(message, said)
        return await self._ask(message, login, role, said)

    def _ask_back(self, message: Message, command: Commanding) -> str:
        code = f"{secrets.randbelow(10_000):04d}"
        until_ns = self._clock.now_ns() + CONFIRM_S * NS_PER_SECOND
        self._pending[message.sender] = _Pending(code, command, until_ns)
        return f"{command} of account {self._account_id}? Answer within {CONFIRM_S} s:\nyes {code}"

    async def _confirmed(self, message: Message, login: str, role: UserRole, said: Confirming) -> str:
        pending = self._pending.pop(message.sender, None)
        if pending is None:
            return "Nothing waits for a yes: nothing was done."
        if self._clock.now_ns() > pending.until_ns:
            return f"Too late for {pending.command}: nothing was done. Ask anew."
        if not secrets.compare_digest(said.code.encode(), pending.code.encode()):
            return f"Another number: {pending.command} was NOT done. Ask anew."
        return await self._ask(message, login, role, pending.command)

    async def _ask(self, message: Message, login: str, role: UserRole, command: Commanding) -> str:
        new = NewCommand(login, role, Door.TELEGRAM, command.kind, command.arguments, message.key)

        def put_down() -> int:
            with begin(self._access) as connection:
                return ask(connection, self._account_id, new)

        try:
            number = await asyncio.to_thread(put_down)
        except (DatabaseUnreachable, psycopg.Error) as fault:
            get_logger(login=login).warning("telegram_command_unknown", key=new.key, error=str(fault))
            return (
                f"It is NOT KNOWN whether {command} was asked: the database went away. "
                "Look by another door, or write it again."
            )
        get_logger(login=login).info("telegram_command", command_id=number, kind=command.kind.value)
        task = asyncio.create_task(self._tell_answer(message.chat, number))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        return ""

    async def _tell_answer(self, chat: int, number: int) -> None:
        """Tell what the daemon says to a command, or that it says nothing yet."""
        try:
            found = await asyncio.to_thread(self._await_answer, number)
        except (PropdeskError, psycopg.Error) as fault:
            get_logger().warning("telegram_answer_lost", command_id=number, error=str(fault))
            words = f"Command {number} stands, but its answer cannot be read: the database does not answer."
        else:
            words = f"{found['kind']}, command {number}: {found['state']}. {found['answer'] or ''}"
            if found["state"] == CommandState.ASKED:
                words = (
                    f"{found['kind']} stands as command {number}, but the daemon has not answered for "
                    f"{WAIT_S:.0f} s. See /status."
                )
        await self._tell(chat, plain(words))

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

    async def _tell(self, chat: int, words: str) -> None:
        outcome = await self._bot.send(str(chat), words, message_id="", is_silent=False)
        if isinstance(outcome, Undelivered | Refused):
            get_logger().warning("telegram_answer_failed", chat=chat, reason=outcome.reason)


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

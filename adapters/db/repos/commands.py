"""Commands of people: asked at the doors, read and answered by the daemon (docs/decisions/0030)."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeAlias

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection
from propdesk.core.calendar import ist_date
from propdesk.core.clock import to_ns
from propdesk.core.errors import GapFault, SchemaFault
from propdesk.model.command import CommandState, Door
from propdesk.model.messages import CommandAnswer, CommandAsked
from propdesk.model.user import UserRole
from propdesk.risk.desk_commands import Unusable, parse

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

CHANNEL: Final = "command"
"""What the trigger on the table announces new commands and answers on."""
KEY_LENGTH_MAX: Final = 200

_ASK: Final = """
    INSERT INTO trading.commands (account_id, asked_by, role, door, kind, arguments, idempotency_key)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, idempotency_key) DO NOTHING RETURNING command_id
"""
_SAME: Final = """
    SELECT asked_by, door, kind, arguments, command_id, state, asked_at, clock_timestamp()
    FROM trading.commands WHERE account_id = %s AND idempotency_key = %s
"""
_ROWS: Final = """
    SELECT command_id, kind, arguments, asked_by, role, door, asked_at, state, answer, answered_at
    FROM trading.commands WHERE account_id = %s
"""
_SHOWN: Final = f"{_ROWS} AND command_id = %s"
_NEWEST: Final = f"{_ROWS} ORDER BY command_id DESC LIMIT %s"
_LOOK_S: Final = 1.0
"""Longest wait between two looks for an answer, should its announcement be lost, s."""
_OPEN: Final = """
    SELECT command_id, kind, arguments, asked_by, role, door, asked_at, clock_timestamp()
    FROM trading.commands WHERE account_id = %s AND state = 'ASKED' ORDER BY command_id LIMIT %s
"""
_ANSWER: Final = """
    UPDATE trading.commands SET state = %s, answer = %s, answered_at = clock_timestamp(), journal_date = %s,
        journal_seq = %s
    WHERE account_id = %s AND command_id = %s AND state = 'ASKED'
"""


class KeyReused(SchemaFault):
    """An idempotency key stands for another command already."""


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A command about to be asked.

    ``key`` names it for good within the account: asked again on the same IST day, it is the same command.
    """

    asked_by: str
    role: UserRole
    door: Door
    kind: str
    arguments: Mapping[str, str]
    key: str


def ask(connection: Connection, account_id: str, new: NewCommand) -> int:
    """Put a command into the table in the current transaction; the daemon writes its row of the audit log.

    Returns
    -------
    int
        Its number; that of the first time where the same is asked again under the same key.

    Raises
    ------
    SchemaFault
        If it cannot be understood; the sentence is for the person.
    KeyReused
        If the key stands for another command, another person's, or one of an earlier IST day: its old answer
        must not pass for today's.
    """
    meant = parse(new.kind, new.arguments)
    if isinstance(meant, Unusable):
        raise SchemaFault(meant.words)
    if not 0 < len(new.key) <= KEY_LENGTH_MAX or not new.key.isprintable():
        raise SchemaFault(f"An idempotency key has 1 to {KEY_LENGTH_MAX} printable characters.")
    arguments = dict(new.arguments)
    if "scope" in arguments:
        arguments["scope"] = meant.scope  # as the claim of an entry compares it
    values = (account_id, new.asked_by, new.role, new.door, new.kind, Jsonb(arguments), new.key)
    row = connection.execute(_ASK, values).fetchone()
    if row is None:
        return _asked_before(connection, account_id, new, arguments)
    return int(row[0])


def _asked_before(
    connection: Connection, account_id: str, new: NewCommand, arguments: Mapping[str, str]
) -> int:
    row = connection.execute(_SAME, (account_id, new.key)).fetchone()
    if row is None or row[:4] != (new.asked_by, new.door, new.kind, arguments):
        raise KeyReused("This idempotency key stands for another command: make a new key for a new command.")
    number, state, asked_at, now = row[4:]
    asked_on = ist_date(to_ns(asked_at))
    if asked_on != ist_date(to_ns(now)):
        raise KeyReused(
            f"NOTHING was asked: this idempotency key stands for command {number} of {asked_on}, which is "
            f"{state}. Make a new key for today's command."
        )
    return int(number)


def find_command(connection: Connection, account_id: str, key: str) -> int | None:
    """Find the number of the command that an idempotency key stands for; None if it stands for none."""
    row = connection.execute(
        "SELECT command_id FROM trading.commands WHERE account_id = %s AND idempotency_key = %s",
        (account_id, key),
    ).fetchone()
    return None if row is None else int(row[0])


def read_command(connection: Connection, account_id: str, command_id: int) -> dict[str, Any]:
    """Read a command with its answer, as surfaces show it.

    Raises
    ------
    GapFault
        If there is none of that number.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SHOWN, (account_id, command_id)).fetchone()
    if row is None:
        raise GapFault(f"There is no command {command_id}.")
    return row


def transaction_start(connection: Connection) -> datetime:
    """Tell when the current transaction began, by the database's clock: what was asked before is a repeat."""
    row = connection.execute("SELECT transaction_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - one row without a table
    found: datetime = row[0]
    return found


def read_commands(connection: Connection, account_id: str, most: int) -> list[dict[str, Any]]:
    """Read the newest commands, the newest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_NEWEST, (account_id, most)).fetchall()


def await_answer(
    connection: Connection, account_id: str, command_id: int, timeout_s: float
) -> dict[str, Any]:
    """Read a command once it is answered, or as it stands after ``timeout_s``.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode; it hears `CHANNEL` (`adapters.db.engine.listening`).
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = read_command(connection, account_id, command_id)
        left_s = deadline - time.monotonic()
        if found["state"] != CommandState.ASKED or left_s <= 0:
            return found
        for _ in connection.notifies(timeout=min(left_s, _LOOK_S), stop_after=1):
            pass


class CommandRepo:
    """The daemon's side, over one connection: what is open.

    Parameters
    ----------
    connection : AsyncConnection
        Used by one task only; it listens.
    account_id : str
    valid_ns : int
        How long a command of the moment is good for.
    """

    def __init__(self, connection: LiveConnection, account_id: str, valid_ns: int) -> None:
        self._connection = connection
        self._account_id = account_id
        self._valid_ns = valid_ns

    async def listen(self) -> None:
        """Hear announcements from now on."""
        await self._connection.execute(f"LISTEN {CHANNEL}".encode())

    async def wait(self, timeout_s: float) -> None:
        """Return at the next announcement, or after ``timeout_s`` without one."""
        async for _ in self._connection.notifies(timeout=timeout_s, stop_after=1):
            pass

    async def open_commands(self, most: int) -> list[CommandAsked]:
        """Commands without an answer, in the order asked, at most ``most``."""
        cursor = await self._connection.execute(_OPEN, (self._account_id, most))
        return [
            CommandAsked(
                command_id=row[0],
                kind=row[1],
                arguments={name: _words(value) for name, value in row[2].items()},
                actor=row[3],
                role=row[4],
                door=row[5],
                asked_ns=to_ns(row[6]),
                read_ns=to_ns(row[7]),
                valid_ns=self._valid_ns,
            )
            for row in await cursor.fetchall()
        ]


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


async def write_answers(
    connection: LiveConnection,
    account_id: str,
    trade_date: date,
    seq: int,
    answers: Sequence[CommandAnswer],
) -> None:
    """Answer commands in the current transaction, which is that of everything they led to."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _ANSWER,
            [(a.state.value, a.text, trade_date, seq, account_id, a.command_id) for a in answers],
        )

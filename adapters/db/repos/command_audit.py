"""Rows of the audit log for commands of people: written apart from them, each once (docs/decisions/0030)."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from adapters.db.live import LiveConnection
from adapters.db.repos.audit import append_audit_live, take_turn_live

_PATIENCE_MS: Final = 5_000
"""How long a statement, or a pause within a transaction, may last: a process that hangs holds a row of
``trading.commands`` no longer, ms."""
_NEXT: Final = """
    SELECT command_id, kind, arguments, asked_by, door, asked_at, ask_audited_at, state, answer, answered_at,
        journal_date, journal_seq
    FROM trading.commands
    WHERE account_id = %s AND (ask_audited_at IS NULL OR state <> 'ASKED' AND audited_at IS NULL)
    ORDER BY command_id LIMIT 1
"""
_ASK_WRITTEN: Final = """
    UPDATE trading.commands SET ask_audited_at = clock_timestamp()
    WHERE account_id = %s AND command_id = %s AND ask_audited_at IS NULL
"""
_ANSWER_WRITTEN: Final = """
    UPDATE trading.commands SET audited_at = clock_timestamp()
    WHERE account_id = %s AND command_id = %s AND audited_at IS NULL
"""


class CommandAuditRepo:
    """Writes what the audit log still lacks of commands, over a connection of its own.

    Parameters
    ----------
    connect : callable
        Opens a connection; called again after a fault.
    account_id : str
    """

    def __init__(self, connect: Callable[[], Awaitable[LiveConnection]], account_id: str) -> None:
        self._connect = connect
        self._account_id = account_id
        self._connection: LiveConnection | None = None

    async def write_rows(self) -> bool:
        """Write the row of every ask and every answer that has none.

        Waits for nobody: the audit log has one writer at a time, and while another one has its turn the rows
        stay for later. What a process that dies leaves out, the next one writes.

        Returns
        -------
        bool
            Whether none is left.
        """
        try:
            connection = self._connection
            if connection is None:
                self._connection = connection = await self._opened()
            while True:
                async with connection.transaction():
                    if not await take_turn_live(connection, self._account_id):
                        return False
                    # read after the turn was taken, so that the rows of whoever had it before are seen
                    row = await (await connection.execute(_NEXT, (self._account_id,))).fetchone()
                    if row is None:
                        return True
                    await self._write(connection, row)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _opened(self) -> LiveConnection:
        connection = await self._connect()
        await connection.execute(f"SET statement_timeout = {_PATIENCE_MS}".encode())
        await connection.execute(f"SET idle_in_transaction_session_timeout = {_PATIENCE_MS}".encode())
        return connection

    async def _write(self, connection: LiveConnection, row: tuple[Any, ...]) -> None:
        is_ask = row[6] is None
        actor, action, logged_at, detail = _asked(row) if is_ask else _answered(row)
        await append_audit_live(
            connection, self._account_id, actor=actor, action=action, detail=detail, logged_at=logged_at
        )
        # last, since an answer to the command waits for whoever holds its row
        written = _ASK_WRITTEN if is_ask else _ANSWER_WRITTEN
        await connection.execute(written, (self._account_id, row[0]))


def _asked(row: tuple[Any, ...]) -> tuple[str, str, datetime, dict[str, object]]:
    detail = {"command_id": row[0], "kind": row[1], "arguments": row[2], "door": row[4]}
    return row[3], "COMMAND_ASKED", row[5], detail


def _answered(row: tuple[Any, ...]) -> tuple[str, str, datetime, dict[str, object]]:
    detail = {
        "command_id": row[0],
        "kind": row[1],
        "asked_by": row[3],
        "door": row[4],
        "state": row[7],
        "answer": row[8],
        "journal": [row[10].isoformat(), row[11]],
    }
    return "daemon", "COMMAND_ANSWERED", row[9], detail

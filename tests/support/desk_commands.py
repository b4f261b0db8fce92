"""Commands to a daemon that a test plays."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg

from adapters.db.live import connect
from adapters.db.repos.command_audit import CommandAuditRepo

DAY = date(2025, 7, 1)
Connection = psycopg.Connection[tuple[Any, ...]]


def ask_anything(connection: Connection, account_id: str, key: str = "k") -> int:
    """Put a pause into the table."""
    row = connection.execute(
        "INSERT INTO trading.commands "
        "(account_id, asked_by, role, door, kind, arguments, idempotency_key) "
        "VALUES (%s, 'x', 'TRADER', 'CLI', 'PAUSE', '{}', %s) RETURNING command_id",
        (account_id, key),
    ).fetchone()
    assert row is not None
    return int(row[0])


def answer(connection: Connection, account_id: str, number: int, state: str, words: str = "x") -> None:
    """Answer as the daemon does, with a journal row of the command's number."""
    connection.execute(
        "INSERT INTO trading.journal VALUES (%s, %s, %s, 7, '', '', '', '', 1)", (account_id, DAY, number)
    )
    connection.execute(
        "UPDATE trading.commands SET state = %s, answer = %s, answered_at = now(), journal_date = %s, "
        "journal_seq = command_id WHERE account_id = %s AND command_id = %s",
        (state, words, DAY, account_id, number),
    )


async def write_audit(url: str, account_id: str) -> bool:
    """Write the audit rows of commands as the daemon's task does; tells whether none is left."""
    repo = CommandAuditRepo(lambda: connect(url, "tests"), account_id)
    try:
        return await repo.write_rows()
    finally:
        await repo.close()


@contextmanager
def answering(dsn: str, account_id: str, state: str, words: str) -> Iterator[None]:
    """Answer the first command asked within a block."""
    ready = threading.Event()

    def serve() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("LISTEN command")
            ready.set()
            assert list(connection.notifies(timeout=10, stop_after=1))  # which holds the connection
            row = connection.execute(
                "SELECT command_id FROM trading.commands WHERE account_id = %s AND state = 'ASKED'",
                (account_id,),
            ).fetchone()
            assert row is not None
            answer(connection, account_id, row[0], state, words)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield
    finally:
        thread.join(10)

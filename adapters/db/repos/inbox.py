"""The inbox: every live document once, with the resume token in the same transaction (§1.4)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection
from adapters.db.repos.signal_log import APPEND_LIVE, Change, inbox_chain
from propdesk.core.clock import from_ns
from propdesk.model.live import InboxRow, NewInboxRow, SourcePosition

_INSERT = """
    INSERT INTO trading.inbox (account_id, inbox_id, source_key, revision, kind, content_hash, document,
        posted_at, received_ns, record_id, rejected_code, rejected_text)
    SELECT %(account)s,
        (SELECT coalesce(max(inbox_id), 0) + 1 FROM trading.inbox WHERE account_id = %(account)s),
        %(key)s,
        (SELECT coalesce(max(revision), 0) + 1 FROM trading.inbox
         WHERE account_id = %(account)s AND source_key = %(key)s),
        %(kind)s, %(hash)s, %(document)s, %(posted)s, %(received)s, %(record)s, %(code)s, %(text)s
    WHERE NOT EXISTS (
        SELECT 1 FROM trading.inbox
        WHERE account_id = %(account)s AND source_key = %(key)s AND content_hash = %(hash)s)
    RETURNING inbox_id, revision
"""
_SAVE_POSITION = """
    INSERT INTO trading.resume_tokens (account_id, source, token, last_posted_at, updated_at)
    VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (account_id, source) DO UPDATE SET
        token = coalesce(EXCLUDED.token, trading.resume_tokens.token),
        last_posted_at = greatest(EXCLUDED.last_posted_at, trading.resume_tokens.last_posted_at),
        updated_at = EXCLUDED.updated_at
"""
_OPEN = """
    SELECT inbox_id, source_key, revision, content_hash, document, received_ns, rejected_code
    FROM trading.inbox WHERE account_id = %s AND journal_seq IS NULL ORDER BY inbox_id
"""


class InboxRepo:
    """Inbox of one account over one connection.

    Parameters
    ----------
    connection : AsyncConnection
        Used by one task only.
    account_id : str
    """

    def __init__(self, connection: LiveConnection, account_id: str) -> None:
        self._connection = connection
        self._account_id = account_id

    async def position(self, source: str) -> SourcePosition:
        """Where ``source`` was left; both fields None at the very beginning."""
        cursor = await self._connection.execute(
            "SELECT token ->> 'data', last_posted_at FROM trading.resume_tokens "
            "WHERE account_id = %s AND source = %s",
            (self._account_id, source),
        )
        row = await cursor.fetchone()
        return SourcePosition(None, None) if row is None else SourcePosition(row[0], row[1])

    async def store(
        self, source: str, rows: Sequence[NewInboxRow], token: str | None, stored_at: datetime
    ) -> list[InboxRow]:
        """Store documents and the token after them in ONE transaction.

        Parameters
        ----------
        source : str
            Whose token it is.
        rows : sequence of NewInboxRow
            In order of arrival.
        token : str or None
            Resume token after the last row; None keeps the stored one.
        stored_at : datetime
            Aware UTC.

        Returns
        -------
        list of InboxRow
            What was new: a repeat of known content is left out, changed content is a further revision. Each
            is logged in the account's chain of the signal log, in the same transaction.
        """
        stamps = [row.posted_at for row in rows if row.posted_at is not None]
        saved = None if token is None else Jsonb({"data": token})
        stored: list[InboxRow] = []
        async with self._connection.pipeline(), self._connection.transaction():
            answers = [await self._connection.execute(_INSERT, self._values(row)) for row in rows]
            await self._connection.execute(
                _SAVE_POSITION, (self._account_id, source, saved, max(stamps, default=None), stored_at)
            )
            for row, answer in zip(rows, answers, strict=True):
                new = await answer.fetchone()
                if new is not None:
                    stored.append(_stored(row, new[0], new[1]))
                    await self._connection.execute(APPEND_LIVE, self._logged(row, new[0], new[1], stored_at))
        return stored

    async def open_rows(self) -> list[InboxRow]:
        """Rows that no journal row contains yet, oldest first."""
        cursor = await self._connection.execute(_OPEN, (self._account_id,))
        return [InboxRow(*row) for row in await cursor.fetchall()]

    def _logged(self, row: NewInboxRow, inbox_id: int, revision: int, stored_at: datetime) -> dict[str, Any]:
        advisor = row.document.get("advisor_id")
        return {
            "chain": inbox_chain(self._account_id),
            "logged_at": stored_at,
            "origin": str(inbox_id),
            "change": Change.POSTED.value if revision == 1 else Change.EDITED.value,
            "kind": row.kind,
            "record": row.record_id or row.source_key,
            "revision": revision,
            "advisor": advisor if isinstance(advisor, str) else None,
            "posted": row.posted_at,
            "received": from_ns(row.received_ns),
            "hash": row.content_hash,
        }

    def _values(self, row: NewInboxRow) -> dict[str, Any]:
        return {
            "account": self._account_id,
            "key": row.source_key,
            "kind": row.kind,
            "hash": row.content_hash,
            "document": Jsonb(dict(row.document)),
            "posted": row.posted_at,
            "received": row.received_ns,
            "record": row.record_id,
            "code": row.rejected_code,
            "text": row.rejected_text,
        }


def _stored(row: NewInboxRow, inbox_id: int, revision: int) -> InboxRow:
    return InboxRow(
        inbox_id,
        row.source_key,
        revision,
        row.content_hash,
        row.document,
        row.received_ns,
        row.rejected_code,
    )


async def mark_journalled(
    connection: LiveConnection, account_id: str, inbox_ids: Sequence[int], trade_date: date, seq: int
) -> None:
    """Note in the current transaction which journal row took these inbox rows."""
    await connection.execute(
        "UPDATE trading.inbox SET journal_date = %s, journal_seq = %s "
        "WHERE account_id = %s AND inbox_id = ANY(%s)",
        (trade_date, seq, account_id, list(inbox_ids)),
    )

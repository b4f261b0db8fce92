"""The journal: every batch of events the decider took, in one transaction with what it led to (§5.7)."""

from datetime import date

import psycopg

from adapters.db.live import LiveConnection
from adapters.db.repos.commands import write_answers
from adapters.db.repos.corpus import apply_entries
from adapters.db.repos.inbox import mark_journalled
from adapters.db.repos.intents import insert_intents
from adapters.db.repos.leader import LeadershipLost
from adapters.db.repos.projections import write_projections
from propdesk.engine.batch import Batch
from propdesk.engine.recover import JournalRow
from propdesk.engine.snapshot import StoredContext
from propdesk.model.live import ReplayMark

_JOURNAL = """
    INSERT INTO trading.journal (account_id, trade_date, seq, now_ns, events, resolutions, outputs_hash,
        chain_hash, epoch)
    SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s
    WHERE (SELECT epoch FROM trading.leader_epochs WHERE account_id = %s FOR SHARE) = %s
    RETURNING 1
"""
_MARK = """
    INSERT INTO trading.replay_positions (account_id, trade_date, timeline_hash, position, journal_seq,
        is_done)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, trade_date) DO UPDATE SET timeline_hash = EXCLUDED.timeline_hash,
        position = EXCLUDED.position, journal_seq = EXCLUDED.journal_seq, is_done = EXCLUDED.is_done
"""
_CONTEXT = """
    INSERT INTO trading.day_contexts (account_id, trade_date, context_hash, content) VALUES (%s, %s, %s, %s)
    ON CONFLICT (account_id, trade_date, context_hash) DO NOTHING
"""
_CARRY = """
    INSERT INTO trading.carry_overs (account_id, trade_date, carried, journal_seq) VALUES (%s, %s, %s, %s)
    ON CONFLICT (account_id, trade_date) DO UPDATE SET carried = EXCLUDED.carried,
        journal_seq = EXCLUDED.journal_seq
"""


class JournalRepo:
    """Journal of one account over one connection; only the decider writes it."""

    def __init__(self, connection: LiveConnection, account_id: str) -> None:
        self._connection = connection
        self._account_id = account_id

    async def commit(self, batch: Batch) -> None:
        """Commit one batch and all its projections, fenced by the epoch.

        Raises
        ------
        LeadershipLost
            If a newer daemon leads; nothing was written.
        InvariantViolated
            If the database's corpus cannot take the batch's ledger lines; nothing was written.
        """
        try:
            # One round trip for what needs no answer in between.
            async with self._connection.pipeline(), self._connection.transaction():
                await self._write(batch)
        except psycopg.errors.UniqueViolation as error:
            raise LeadershipLost(
                f"Journal row {batch.seq} of {batch.trade_date} or what belongs to it exists already: "
                "another "
                f"daemon wrote it ({error})."
            ) from error

    async def _write(self, batch: Batch) -> None:
        account_id, day, seq = batch.account_id, batch.trade_date, batch.seq
        appended = await self._connection.execute(
            _JOURNAL,
            (
                account_id,
                day,
                seq,
                batch.now_ns,
                batch.events,
                batch.resolutions,
                batch.outputs_hash,
                batch.chain_hash,
                batch.epoch,
                account_id,
                batch.epoch,
            ),
        )
        if batch.context is not None:
            await self._connection.execute(
                _CONTEXT, (account_id, day, batch.context.context_hash, batch.context.content)
            )
        if batch.inbox_ids:
            await mark_journalled(self._connection, account_id, batch.inbox_ids, day, seq)
        await write_projections(self._connection, batch)
        if batch.answers:
            await write_answers(self._connection, account_id, day, seq, batch.answers)
        if batch.intents:
            await insert_intents(self._connection, account_id, day, seq, batch.intents)
        if batch.carried is not None:
            await self._connection.execute(_CARRY, (account_id, day, batch.carried, seq))
        if batch.mark is not None:
            mark = batch.mark
            await self._connection.execute(
                _MARK, (account_id, day, mark.timeline_hash, mark.position, seq, mark.is_done)
            )
        await apply_entries(self._connection, account_id, day, seq, batch.ledger)
        if await appended.fetchone() is None:
            raise LeadershipLost(
                f"Another daemon took over account {account_id}; ours had epoch {batch.epoch}."
            )

    async def rows(self, trade_date: date) -> list[JournalRow]:
        """Rows of a day in order."""
        cursor = await self._connection.execute(
            "SELECT seq, now_ns, events, outputs_hash, chain_hash, resolutions FROM trading.journal "
            "WHERE account_id = %s AND trade_date = %s ORDER BY seq",
            (self._account_id, trade_date),
        )
        return [JournalRow(r[0], r[1], bytes(r[2]), r[3], r[4], bytes(r[5])) async for r in cursor]

    async def contexts(self, trade_date: date) -> list[StoredContext]:
        """Every context that rows of a day were decided under."""
        cursor = await self._connection.execute(
            "SELECT context_hash, content FROM trading.day_contexts "
            "WHERE account_id = %s AND trade_date = %s ORDER BY context_hash",
            (self._account_id, trade_date),
        )
        return [StoredContext(r[0], bytes(r[1])) async for r in cursor]

    async def carried(self, before: date) -> tuple[date, bytes] | None:
        """Newest hand-over of a day before ``before``; None where there is none."""
        cursor = await self._connection.execute(
            "SELECT trade_date, carried FROM trading.carry_overs WHERE account_id = %s AND trade_date < %s "
            "ORDER BY trade_date DESC LIMIT 1",
            (self._account_id, before),
        )
        row = await cursor.fetchone()
        return None if row is None else (row[0], bytes(row[1]))

    async def replay_mark(self, trade_date: date) -> ReplayMark | None:
        """How far a replayed day came; None if it was never begun."""
        cursor = await self._connection.execute(
            "SELECT timeline_hash, position, is_done FROM trading.replay_positions "
            "WHERE account_id = %s AND trade_date = %s",
            (self._account_id, trade_date),
        )
        row = await cursor.fetchone()
        return None if row is None else ReplayMark(row[0], row[1], row[2])

    async def last_day(self, before: date) -> date | None:
        """Newest journalled trading day before ``before``."""
        cursor = await self._connection.execute(
            "SELECT max(trade_date) FROM trading.journal WHERE account_id = %s AND trade_date < %s",
            (self._account_id, before),
        )
        row = await cursor.fetchone()
        return row[0] if row else None

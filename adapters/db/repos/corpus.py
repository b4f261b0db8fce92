"""Corpus accounts and their append-only ledger (§5.6)."""

from collections.abc import Sequence
from datetime import date

from adapters.db.live import LiveConnection
from propdesk.core.errors import InvariantViolated
from propdesk.model.messages import CorpusEntry

_OPEN = """
    INSERT INTO trading.corpus_accounts (account_id, category, is_adverse, total_paise, free_paise,
        deployed_paise)
    VALUES (%(account)s, %(category)s, %(adverse)s, %(free)s + %(deployed)s, %(free)s, %(deployed)s)
    ON CONFLICT (account_id, category, is_adverse) DO UPDATE SET
        total_paise = EXCLUDED.total_paise, free_paise = EXCLUDED.free_paise,
        deployed_paise = EXCLUDED.deployed_paise
    RETURNING 1
"""
_MOVE = """
    UPDATE trading.corpus_accounts SET free_paise = free_paise + %(free)s,
        deployed_paise = deployed_paise + %(deployed)s,
        total_paise = total_paise + %(free)s + %(deployed)s
    WHERE account_id = %(account)s AND category = %(category)s AND is_adverse = %(adverse)s
      AND (%(deployed)s <= 0 OR %(kind)s <> 'RESERVE' OR free_paise + %(free)s >= 0)
    RETURNING 1
"""
_LEDGER = """
    INSERT INTO trading.corpus_ledger (account_id, entry_id, trade_date, journal_seq, kind, category,
        is_adverse,
        group_id, free_delta_paise, deployed_delta_paise, pnl_paise, entry_ns)
    VALUES (%(account)s, %(entry)s, %(day)s, %(seq)s, %(kind)s, %(category)s, %(adverse)s, %(group)s,
        %(free)s, %(deployed)s, %(pnl)s, %(at)s)
"""


async def apply_entry(
    connection: LiveConnection, account_id: str, trade_date: date, seq: int, entry: CorpusEntry
) -> bool:
    """Apply one ledger line to its account row, under the row's lock, in the current transaction.

    Returns
    -------
    bool
        False if a reservation would take the free money below 0; nothing was changed then.
    """
    values = {
        "account": account_id,
        "entry": entry.entry_id,
        "day": trade_date,
        "seq": seq,
        "kind": entry.kind,
        "category": entry.category,
        "adverse": int(entry.is_adverse),
        "group": entry.group_id,
        "free": entry.free_delta_paise,
        "deployed": entry.deployed_delta_paise,
        "pnl": entry.pnl_paise,
        "at": entry.ts_ns,
    }
    cursor = await connection.execute(_OPEN if entry.kind == "OPENING" else _MOVE, values)
    if await cursor.fetchone() is None:
        return False
    await connection.execute(_LEDGER, values)
    return True


async def apply_entries(
    connection: LiveConnection, account_id: str, trade_date: date, seq: int, entries: Sequence[CorpusEntry]
) -> None:
    """Apply the ledger lines of one batch in the current transaction.

    Raises
    ------
    InvariantViolated
        If the account rows do not have what the reducer counted on: book and database differ.
    """
    for entry in entries:
        if not await apply_entry(connection, account_id, trade_date, seq, entry):
            raise InvariantViolated(
                f"corpus account {entry.category} cannot take ledger line {entry.entry_id} ({entry.kind}): "
                "the reducer's book and the database differ"
            )

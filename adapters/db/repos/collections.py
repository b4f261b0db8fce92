"""How far the batch reader of a MongoDB collection is, and which of its documents are known."""

from datetime import datetime
from typing import Any

import psycopg

from propdesk.model.live import CollectionPosition


def read_position(connection: psycopg.Connection[Any], chain: str) -> CollectionPosition | None:
    """Where the reader was left; None if the collection was never read."""
    row = connection.execute(
        "SELECT token, last_key FROM raw.collection_positions WHERE chain = %s", (chain,)
    ).fetchone()
    return None if row is None else CollectionPosition(row[0], row[1])


def save_position(
    connection: psycopg.Connection[Any], chain: str, position: CollectionPosition, saved_at: datetime
) -> None:
    """Note in the current transaction, beside what was read, where to go on."""
    connection.execute(
        "INSERT INTO raw.collection_positions (chain, token, last_key, updated_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (chain) DO UPDATE SET token = EXCLUDED.token, last_key = EXCLUDED.last_key,"
        " updated_at = EXCLUDED.updated_at",
        (chain, position.token, position.last_key, saved_at),
    )


def known_keys(connection: psycopg.Connection[Any], chain: str, after: str, size: int) -> list[str]:
    """Give the keys, beyond ``after`` and at most ``size``, of documents that ever came through a chain."""
    rows = connection.execute(
        "SELECT DISTINCT source_key FROM raw.signal_log WHERE chain = %s AND source_key IS NOT NULL"
        " AND source_key > %s ORDER BY source_key LIMIT %s",
        (chain, after, size),
    ).fetchall()
    return [row[0] for row in rows]

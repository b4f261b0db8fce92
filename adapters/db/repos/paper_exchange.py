"""What the paper exchange knows, kept apart from our books and in transactions of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection
from adapters.db.repos.leader import LeadershipLost

_SAVE = """
    INSERT INTO trading.paper_exchange (account_id, trade_date, version, state) VALUES (%s, %s, %s, %s)
    ON CONFLICT (account_id, trade_date) DO UPDATE SET version = EXCLUDED.version, state = EXCLUDED.state
    WHERE trading.paper_exchange.version = EXCLUDED.version - 1
    RETURNING 1
"""
_FACT = """
    INSERT INTO trading.paper_updates (account_id, trade_date, seq, update_id, known_ns, fact)
    VALUES (%s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class Fact:
    """One update the exchange has made, with the moment it was known."""

    seq: int
    known_ns: int
    content: dict[str, Any]


class PaperExchangeRepo:
    """State and facts of one account's paper exchange on one day, over one connection."""

    def __init__(self, connection: LiveConnection, account_id: str, trade_date: date) -> None:
        self._connection = connection
        self._key = (account_id, trade_date)
        self._version = 0

    async def load(self) -> dict[str, Any] | None:
        """State as last saved, on a fresh day that of the newest day before; None for a new exchange."""
        cursor = await self._connection.execute(
            "SELECT trade_date, version, state FROM trading.paper_exchange "
            "WHERE account_id = %s AND trade_date <= %s ORDER BY trade_date DESC LIMIT 1",
            self._key,
        )
        row = await cursor.fetchone()
        if row is None:
            return None
        self._version = row[1] if row[0] == self._key[1] else 0
        state: dict[str, Any] = row[2]
        return state

    async def facts(self) -> list[Fact]:
        """Every fact of the day, in the order it was made."""
        cursor = await self._connection.execute(
            "SELECT seq, known_ns, fact FROM trading.paper_updates "
            "WHERE account_id = %s AND trade_date = %s ORDER BY seq",
            self._key,
        )
        return [Fact(*row) for row in await cursor.fetchall()]

    async def save(
        self, state: dict[str, Any], facts: Sequence[tuple[int, str, int, dict[str, Any]]]
    ) -> None:
        """Save the state and the new facts (seq, update id, known at, content) in one transaction.

        Raises
        ------
        LeadershipLost
            If another process has changed the exchange: only one may act on it.
        """
        async with self._connection.pipeline(), self._connection.transaction():
            cursor = await self._connection.execute(_SAVE, (*self._key, self._version + 1, Jsonb(state)))
            if facts:
                async with self._connection.cursor() as writer:
                    await writer.executemany(
                        _FACT,
                        [
                            (*self._key, seq, name, known, Jsonb(content))
                            for seq, name, known, content in facts
                        ],
                    )
            if await cursor.fetchone() is None:
                raise LeadershipLost("Another process acts on this account's paper exchange; this one ends.")
        self._version += 1

"""The readiness record of an account and day: what pre-market did (§5.2)."""

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

import psycopg
from psycopg.types.json import Jsonb

from adapters.db.live import LiveConnection
from propdesk.indicators.regime import RegimeReading
from propdesk.model.enums import Regime

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Steps done, each with what it found; ``ready_at`` only when all are green."""

    account_id: str
    trade_date: date
    steps: dict[str, dict[str, Any]]
    ready_at: datetime | None
    ruleset_version: str | None
    opening_corpus_paise: int | None

    @property
    def is_ready(self) -> bool:
        """Whether the day may be traded."""
        return self.ready_at is not None

    @property
    def version(self) -> str:
        """What a running day reads of the record, as one word: another one is another day to load."""
        return readiness_version(
            self.ruleset_version, is_ready=self.is_ready, opening_paise=self.opening_corpus_paise
        )


def readiness_version(ruleset_version: str | None, *, is_ready: bool, opening_paise: int | None) -> str:
    """Name what a running day reads of a readiness record (`Readiness.version`)."""
    corpus = "" if opening_paise is None else str(opening_paise)
    return f"{ruleset_version or ''}|{'ready' if is_ready else ''}|{corpus}"


async def present_version(connection: LiveConnection, account_id: str, trade_date: date) -> str:
    """Read `Readiness.version` of the record as it stands now."""
    cursor = await connection.execute(
        "SELECT ruleset_version, ready_at IS NOT NULL, opening_corpus_paise FROM ref.readiness "
        "WHERE account_id = %s AND trade_date = %s",
        (account_id, trade_date),
    )
    row = await cursor.fetchone() or (None, False, None)
    return readiness_version(row[0], is_ready=row[1], opening_paise=row[2])


def read_readiness(
    connection: Connection, account_id: str, trade_date: date, *, is_locked: bool = False
) -> Readiness:
    """Read the record; an empty one where pre-market has not begun.

    ``is_locked``: nobody else changes it before this transaction ends, so it may be written as a whole.
    """
    statement = (
        "SELECT steps, ready_at, ruleset_version, opening_corpus_paise FROM ref.readiness "
        "WHERE account_id = %s AND trade_date = %s"
    )
    lock = " FOR UPDATE" if is_locked else ""
    row = connection.execute((statement + lock).encode(), (account_id, trade_date)).fetchone()
    if row is None:
        return Readiness(account_id, trade_date, {}, None, None, None)
    return Readiness(account_id, trade_date, row[0], row[1], row[2], row[3])


def write_readiness(connection: Connection, record: Readiness) -> None:
    """Write the record in the current transaction."""
    connection.execute(
        "INSERT INTO ref.readiness (account_id, trade_date, steps, ready_at, ruleset_version, "
        "opening_corpus_paise) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (account_id, trade_date) DO UPDATE SET "
        "steps = EXCLUDED.steps, ready_at = EXCLUDED.ready_at, ruleset_version = EXCLUDED.ruleset_version, "
        "opening_corpus_paise = EXCLUDED.opening_corpus_paise",
        (
            record.account_id,
            record.trade_date,
            Jsonb(record.steps),
            record.ready_at,
            record.ruleset_version,
            record.opening_corpus_paise,
        ),
    )


def read_regimes(connection: Connection, trade_date: date) -> dict[str, Regime | None]:
    """Labels of the day by scope (``MARKET`` or an underlying); empty where none were computed."""
    rows = connection.execute("SELECT scope, label FROM ref.regimes WHERE trade_date = %s", (trade_date,))
    return {scope: None if label is None else Regime(label) for scope, label in rows}


def needed_underlyings(connection: Connection, first: date, last: date) -> list[str]:
    """List the price keys of the underlyings that the ideas of [first, last] were about."""
    rows = connection.execute(
        "SELECT DISTINCT underlying_key FROM research.trades WHERE trade_date BETWEEN %s AND %s ORDER BY 1",
        (first, last),
    )
    return [key for (key,) in rows]


def add_regime(connection: Connection, trade_date: date, scope: str, reading: RegimeReading) -> None:
    """Store the label of a day and scope unless one stands there already."""
    connection.execute(
        "INSERT INTO ref.regimes (trade_date, scope, label, reason, adx, slope, close_to_ema20, "
        "log_return_20, "
        "lean_threshold) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (trade_date, scope) DO UPDATE SET label = EXCLUDED.label, reason = EXCLUDED.reason, "
        "adx = EXCLUDED.adx, slope = EXCLUDED.slope, close_to_ema20 = EXCLUDED.close_to_ema20, "
        "log_return_20 = EXCLUDED.log_return_20, lean_threshold = EXCLUDED.lean_threshold "
        "WHERE regimes.label IS NULL",
        (
            trade_date,
            scope,
            None if reading.label is None else reading.label.value,
            reading.reason,
            _number(reading.adx),
            _number(reading.slope),
            _number(reading.close_to_ema20),
            _number(reading.log_return_20),
            _number(reading.lean_threshold),
        ),
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def closing_corpus(connection: Connection, account_id: str, before: date) -> int | None:
    """Corpus after the newest traded day before ``before``, paise: every pool, free and deployed.

    None where the account has never traded.
    """
    row = connection.execute(
        "SELECT sum(free_delta_paise + deployed_delta_paise) FROM trading.corpus_ledger "
        "WHERE account_id = %s AND trade_date = ("
        "SELECT max(trade_date) FROM trading.corpus_ledger WHERE account_id = %s AND trade_date < %s)",
        (account_id, account_id, before),
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])

"""A row for any table, made from what the database says of its columns."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

_DAY = date(2025, 6, 30)
_VALUES: dict[str, Any] = {
    "text": lambda n: f"text {n}",
    "int4": lambda n: n,
    "int8": lambda n: n,
    "float8": lambda n: (0.5, float("inf"), float("nan"))[n % 3],
    "bool": lambda n: n % 2 == 0,
    "date": lambda n: _DAY + timedelta(n),
    "timestamptz": lambda n: datetime(2025, 6, 30, 4, n, tzinfo=UTC),
    "_text": lambda n: ["a", "b"][: n % 3],
    "_int8": lambda n: [n, n + 1],
    "_date": lambda n: [_DAY],
    "jsonb": lambda n: Jsonb({"n": n}),
    "bytea": lambda n: bytes([n]),
}
_WORDS = {
    "account_id": "paper",
    "as_of_date": date(2025, 7, 9),
}
"""Columns that all rows share."""


def drop_checks(connection: psycopg.Connection[Any]) -> None:
    """Let tables take any value of a column's type, whether another table has it or not; as their owner."""
    found = connection.execute(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype IN ('c', 'f') "
        "AND conrelid <> 0 AND connamespace::regnamespace::text IN ('raw', 'ref', 'research', 'trading')"
    ).fetchall()
    for table, name in found:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def any_row(connection: psycopg.Connection[Any], table: str, number: int) -> dict[str, object]:
    """Give values for every column of a table; the first row has none where none is needed.

    Parameters
    ----------
    connection : psycopg.Connection
    table : str
        With its schema.
    number : int
        Rows of different numbers have different keys.
    """
    columns = connection.execute(
        "SELECT a.attname, t.typname, a.attnotnull FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
        "WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped",
        (table,),
    ).fetchall()
    row: dict[str, object] = {}
    for name, kind, is_needed in columns:
        word = _WORDS.get(name)
        fits = word is not None and isinstance(word, type(_VALUES[kind](0)))
        value = word if fits else _VALUES[kind](number)
        row[name] = None if number == 0 and not is_needed and name not in _WORDS else value
    return row

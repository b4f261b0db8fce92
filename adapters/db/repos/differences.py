"""Rows in which two databases of one schema differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql

from propdesk.core.invariant import require

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a table that are compared.

    Parameters
    ----------
    table : str
        With its schema.
    keys : tuple of str
        Columns that name a row.
    day_column : str or None
        Its days; None where all rows belong to every day.
    condition : str
        Further condition of SQL on the table's columns.
    """

    table: str
    keys: tuple[str, ...]
    day_column: str | None
    condition: str = "true"


@dataclass(frozen=True, slots=True)
class Pair:
    """A row that is not the same in both: its key, and its values in either; None where it is missing."""

    key: str
    left: Row | None
    right: Row | None


def compare_rows(
    left: psycopg.Connection[Any], right: psycopg.Connection[Any], part: Part, first: date, last: date
) -> tuple[int, list[Pair]]:
    """Compare the rows of a closed range of days by their keys.

    Parameters
    ----------
    left, right : psycopg.Connection
        Both with one time zone; only read.
    part : Part
    first, last : date

    Returns
    -------
    int
        Keys that were compared.
    list of Pair
        Those that differ in any column, by key. Values are those of JSON: days and moments as text.

    Raises
    ------
    InvariantViolated
        If the columns of the key name two rows.
    """
    a, b = (_digests(one, part, first, last) for one in (left, right))
    keys = sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
    before, after = (_rows(one, part, first, last, keys) for one in (left, right))
    return len(a.keys() | b.keys()), [Pair(key, before.get(key), after.get(key)) for key in keys]


def _digests(connection: psycopg.Connection[Any], part: Part, first: date, last: date) -> dict[str, str]:
    rows = connection.execute(
        _select(part, sql.SQL("md5(t::text)")), {"first": first, "last": last}
    ).fetchall()
    found: dict[str, str] = dict(rows)
    require(len(found) == len(rows), f"{', '.join(part.keys)} do not name one row of {part.table}")
    return found


def _rows(
    connection: psycopg.Connection[Any], part: Part, first: date, last: date, keys: Sequence[str]
) -> dict[str, Row]:
    if not keys:
        return {}
    query = sql.SQL("SELECT * FROM ({}) AS found WHERE key = ANY (%(keys)s)").format(
        _select(part, sql.SQL("to_jsonb(t)"))
    )
    params = {"first": first, "last": last, "keys": list(keys)}
    return dict(connection.execute(query, params).fetchall())


def _select(part: Part, what: sql.Composable) -> sql.Composed:
    column = sql.SQL("%(first)s::date") if part.day_column is None else sql.Identifier("t", part.day_column)
    key = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier("t", name)) for name in part.keys)
    return sql.SQL(
        "SELECT concat_ws(' ', {key}) AS key, {what} FROM {table} AS t"
        " WHERE {column} BETWEEN %(first)s AND %(last)s AND ({condition})"
    ).format(
        key=key,
        what=what,
        table=sql.Identifier(*part.table.split(".")),
        column=column,
        condition=sql.SQL(part.condition),
    )

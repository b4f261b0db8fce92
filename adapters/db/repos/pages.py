"""One page of a listing: filters, a total order, and the rows behind a cursor (keyset pagination).

The order always ends in the listing's key, so rows that sort equal have one place, and a page begins where
the last one ended even if rows were added meanwhile. Names come from the listing and are quoted as
identifiers, values are bound: text of a request never becomes SQL.
"""

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import sql

from adapters.db.repos.listings import FILTERABLE, SORTABLE, Kind, ListedColumn, Listing
from propdesk.core.errors import DataFault

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

PAGE_ROWS_MAX: Final = 1_000
PAGE_ROWS_DEFAULT: Final = 100
FILTERS_MAX: Final = 12
SORTS_MAX: Final = 4
NULL_WORD: Final = "null"
_FILTER: Final = re.compile(r"([a-z0-9_]{1,63})(!=|>=|<=|=|>|<)(.{0,200})", re.DOTALL)
CURSOR_LENGTH_MAX: Final = 8_000
SORTED_TEXT_MAX: Final = 120
"""Characters of a text that its order looks at, beyond which the key decides: a cursor carries them.

Keys are sorted by whole; an index holds them, which bounds their length.
"""
_INT64: Final = 2**63
_OPERATORS: Final = {"=": "=", "!=": "IS DISTINCT FROM", ">=": ">=", "<=": "<=", ">": ">", "<": "<"}


class BadQuery(DataFault):
    """A filter, an order or a cursor cannot be used; leads to status 422."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; ``value`` None asks for rows without a value."""

    column: ListedColumn
    operator: str
    value: object


@dataclass(frozen=True, slots=True)
class Term:
    """One column of the order; ``is_cut`` = only the beginning of its text counts."""

    column: ListedColumn
    is_descending: bool
    is_cut: bool = False

    @property
    def expression(self) -> sql.Composable:
        """What stands in the order, and is compared with a cursor."""
        name = sql.Identifier(self.column.name)
        return sql.SQL("left({}, {})").format(name, sql.Literal(SORTED_TEXT_MAX)) if self.is_cut else name

    def place(self, value: object) -> object:
        """Give the value of the expression for a row's value of the column."""
        return value[:SORTED_TEXT_MAX] if self.is_cut and isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What is asked of a listing, checked against it."""

    listing: Listing
    filters: tuple[Filter, ...]
    order: tuple[Term, ...]
    limit: int
    fingerprint: str
    day: date | None
    after: tuple[object, ...] | None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as dictionaries; ``day`` is the newest one where only that is listed, else None."""

    rows: list[dict[str, object]]
    next_cursor: str | None
    day: date | None


def make_query(
    listing: Listing,
    *,
    filters: Sequence[str] = (),
    sort: str | None = None,
    limit: int = PAGE_ROWS_DEFAULT,
    cursor: str | None = None,
) -> PageQuery:
    """Check what a request asks for against the listing.

    Parameters
    ----------
    listing : Listing
    filters : sequence of str
        ``column=value``, also with ``!=``, ``<``, ``<=``, ``>``, ``>=``; the value ``null`` with ``=`` and
        ``!=`` asks for absence. Of a list, ``=`` asks whether it holds the value. All must hold.
    sort : str, optional
        Columns by commas, the first decides; ``-`` turns one round. Rows without a value come last. Of a text
        outside of the key the first `SORTED_TEXT_MAX` characters count.
    limit : int
        1 to `PAGE_ROWS_MAX`.
    cursor : str, optional
        ``next_cursor`` of a page with the same filters and order.

    Raises
    ------
    BadQuery
        With a sentence that names what cannot be used.
    """
    if not 1 <= limit <= PAGE_ROWS_MAX:
        raise BadQuery(f"limit must lie between 1 and {PAGE_ROWS_MAX}.")
    if len(filters) > FILTERS_MAX:
        raise BadQuery(f"More than {FILTERS_MAX} filters cannot be combined.")
    words = sort or listing.order
    fingerprint = hashlib.sha256(json.dumps([listing.name, sorted(filters), words]).encode()).hexdigest()[:16]
    order = _order(listing, words)
    day, after = _read_cursor(cursor, fingerprint, order) if cursor is not None else (None, None)
    conditions = tuple(_filter(listing, text) for text in filters)
    return PageQuery(listing, conditions, order, limit, fingerprint, day, after)


def read_page(connection: Connection, query: PageQuery, account_id: str) -> Page:
    """Read one page.

    Parameters
    ----------
    connection : psycopg.Connection
        As the reader.
    query : PageQuery
        Of `make_query`.
    account_id : str
        Whose rows, where rows belong to an account.

    Returns
    -------
    Page
        Empty where the table was never made (no dbt run yet).
    """
    try:
        with connection.transaction():
            day = query.day or _newest(connection, query)
            rows = connection.execute(*_statement(query, account_id, day)).fetchall()
    except psycopg.errors.UndefinedTable:
        return Page([], None, None)
    names = [column.name for column in query.listing.columns]
    shown = [dict(zip(names, row, strict=True)) for row in rows[: query.limit]]
    cursor = None
    if len(rows) > query.limit:
        cursor = _write_cursor(query, day, [shown[-1][term.column.name] for term in query.order])
    return Page(shown, cursor, day)


def _newest(connection: Connection, query: PageQuery) -> date | None:
    column = query.listing.newest_of
    if column is None or any(f.column.name == column for f in query.filters):
        return None
    # Marts are made day by day together, and the smallest has an index on the day: a second against 20 ms.
    row = connection.execute("SELECT max(as_of_date) FROM marts.advisor_leaderboard").fetchone()
    return row[0] if row else None


def _statement(query: PageQuery, account_id: str, day: date | None) -> tuple[sql.Composed, list[object]]:
    listing = query.listing
    conditions: list[sql.Composable] = []
    values: list[object] = []
    if listing.is_of_account:
        conditions.append(sql.SQL("account_id = %s"))
        values.append(account_id)
    if day is not None and listing.newest_of is not None:
        conditions.append(sql.SQL("{} = %s").format(sql.Identifier(listing.newest_of)))
        values.append(day)
    for condition, bound in map(_condition, query.filters):
        conditions.append(condition)
        values += bound
    if query.after is not None:
        condition, bound = _behind(query.order, query.after)
        conditions.append(condition)
        values += bound
    statement = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT %s").format(
        sql.SQL(", ").join(sql.Identifier(column.name) for column in listing.columns),
        _source(listing),
        sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"),
        sql.SQL(", ").join(map(_ordering, query.order)),
    )
    return statement, [*values, query.limit + 1]


def _source(listing: Listing) -> sql.SQL:
    return sql.SQL(listing.source)  # a constant of the catalogue, never of a request


# --- order and place ----------------------------------------------------------------------------------------


def _order(listing: Listing, words: str) -> tuple[Term, ...]:
    names = words.split(",")
    if len(names) > SORTS_MAX:
        raise BadQuery(f"More than {SORTS_MAX} columns to sort by cannot be combined.")
    terms: dict[str, Term] = {}
    for word in names:
        column = _known(listing, word.removeprefix("-"), SORTABLE, "sorted by")
        is_cut = column.kind is Kind.TEXT and column.name not in listing.key
        terms.setdefault(column.name, Term(column, word.startswith("-"), is_cut))
    # In one direction with the first column an index of the key serves both.
    is_descending = next(iter(terms.values())).is_descending
    for name in listing.key:
        terms.setdefault(name, Term(listing.column(name), is_descending))
    return tuple(terms.values())


def _ordering(term: Term) -> sql.Composed:
    direction = sql.SQL(" DESC" if term.is_descending else "")
    # Only where there can be any: an index fits the order as it stands otherwise.
    nulls = sql.SQL(" NULLS LAST" if term.column.is_nullable else "")
    return term.expression + direction + nulls


def _behind(order: tuple[Term, ...], values: tuple[object, ...]) -> tuple[sql.Composable, list[object]]:
    """Say that a row comes after the one with these values."""
    directions = {term.is_descending for term in order}
    if len(directions) == 1 and not any(term.column.is_nullable for term in order):
        names = sql.SQL(", ").join(term.expression for term in order)
        marks = sql.SQL(", ").join(sql.Placeholder() * len(order))
        sign = sql.SQL("<" if directions == {True} else ">")
        return sql.SQL("({}) {} ({})").format(names, sign, marks), list(values)
    cases: list[sql.Composable] = []
    bound: list[object] = []
    for index, term in enumerate(order):
        if values[index] is None:
            continue  # rows without a value are last: nothing comes after them by this column
        parts: list[sql.Composable] = []
        for before, value in zip(order[:index], values[:index], strict=True):
            parts.append(sql.SQL("{} IS NOT DISTINCT FROM %s").format(before.expression))
            bound.append(value)
        name = term.expression
        sign = sql.SQL("<" if term.is_descending else ">")
        later = sql.SQL("{} {} %s").format(name, sign)
        parts.append(sql.SQL("({} OR {} IS NULL)").format(later, name) if term.column.is_nullable else later)
        bound.append(values[index])
        cases.append(sql.SQL("({})").format(sql.SQL(" AND ").join(parts)))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(cases)), bound


def _write_cursor(query: PageQuery, day: date | None, values: Sequence[object]) -> str:
    places = [_word(term.place(value)) for term, value in zip(query.order, values, strict=True)]
    content = json.dumps([query.fingerprint, _word(day), places], ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _read_cursor(
    cursor: str, fingerprint: str, order: tuple[Term, ...]
) -> tuple[date | None, tuple[object, ...]]:
    try:
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise ValueError
        padded = cursor + "=" * (-len(cursor) % 4)
        of, day, words = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if of != fingerprint or len(words) != len(order):
            raise ValueError
        values = tuple(_place(term.column, word) for term, word in zip(order, words, strict=True))
        return None if day is None else date.fromisoformat(day), values
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise BadQuery("cursor is none of this listing with these filters and this order.") from None


def _place(column: ListedColumn, word: object) -> object:
    if word is None:
        if not column.is_nullable:
            raise ValueError
        return None
    if not isinstance(word, str):
        raise TypeError
    return parse_value(column.kind, word)


def _word(value: object) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


# --- filters ------------------------------------------------------------------------------------------------


def _filter(listing: Listing, text: str) -> Filter:
    matched = _FILTER.fullmatch(text)
    if matched is None:
        raise BadQuery(f"{text[:80]!r} is no filter: write it like category=NSE_EQ or n>=20.")
    name, operator, word = matched.groups()
    column = _known(listing, name, FILTERABLE, "filtered by")
    if (word == NULL_WORD or column.kind is Kind.TEXTS) and operator not in ("=", "!="):
        raise BadQuery(f"{text[:80]!r}: only = and != can be used here.")
    kind = Kind.TEXT if column.kind is Kind.TEXTS else column.kind
    try:
        return Filter(column, operator, None if word == NULL_WORD else parse_value(kind, word))
    except ValueError:
        raise BadQuery(f"{text[:80]!r}: {column.name} is compared with {_WRITTEN[kind]}.") from None


def _condition(condition: Filter) -> tuple[sql.Composable, list[object]]:
    name = sql.Identifier(condition.column.name)
    if condition.value is None:
        absent = "IS NULL" if condition.operator == "=" else "IS NOT NULL"
        return sql.SQL("{} {}").format(name, sql.SQL(absent)), []
    if condition.column.kind is Kind.TEXTS:
        # As `IS DISTINCT FROM` has it for the other kinds: a row without a list does not hold the value.
        holds = "%s = ANY({})" if condition.operator == "=" else "(%s = ANY({})) IS NOT TRUE"
        return sql.SQL(holds).format(name), [condition.value]
    return sql.SQL("{} {} %s").format(name, sql.SQL(_OPERATORS[condition.operator])), [condition.value]


def _known(listing: Listing, name: str, kinds: frozenset[Kind], what: str) -> ListedColumn:
    try:
        column = listing.column(name)
    except DataFault as fault:
        raise BadQuery(str(fault)) from None
    if column.kind not in kinds:
        raise BadQuery(f"{listing.name} cannot be {what} {column.name}.")
    return column


def parse_value(kind: Kind, word: str) -> object:
    """Read a value of a filter or cursor; `ValueError` if it is none of that kind."""
    return _PARSERS[kind](word)


def _text(word: str) -> str:
    if "\x00" in word:
        raise ValueError("PostgreSQL keeps no NUL character")
    word.encode()  # raises on half a surrogate pair, which is no text
    return word


def _integer(word: str) -> int:
    value = int(word) if re.fullmatch(r"-?[0-9]{1,19}", word) else math.inf
    if not -_INT64 <= value < _INT64:
        raise ValueError("outside of 64 bits")
    return int(value)


def _boolean(word: str) -> bool:
    if word.lower() not in ("true", "false"):
        raise ValueError("neither true nor false")
    return word.lower() == "true"


def _moment(word: str) -> datetime:
    value = datetime.fromisoformat(word)
    if value.tzinfo is None:
        raise ValueError("a moment needs its offset")
    return value


_PARSERS: Final[dict[Kind, Callable[[str], object]]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.NUMBER: float,
    Kind.BOOLEAN: _boolean,
    Kind.DAY: date.fromisoformat,
    Kind.MOMENT: _moment,
}
_WRITTEN: Final = {
    Kind.TEXT: "text",
    Kind.INTEGER: "a whole number",
    Kind.NUMBER: "a number",
    Kind.BOOLEAN: "true or false",
    Kind.DAY: "a day like 2025-06-30",
    Kind.MOMENT: "a moment with offset like 2025-06-30T09:15:00+05:30 (+ is written %2B in an address)",
}

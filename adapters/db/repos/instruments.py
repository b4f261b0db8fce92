"""Instruments as of a date: dated rows in, a range out; `instrument_files` takes files in."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import Engine

from adapters.contract_sizes import load_contract_sizes
from adapters.db.engine import begin
from propdesk.intake import DerivativeListings
from propdesk.intake.freeze import with_freeze
from propdesk.intake.listings import mark_listed
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument

PRICES_SOURCE = "prices"
"""Rows that price imports add for shares no master covers."""

LOCK_KEY = 7_215_500_012
"""Advisory lock of whoever changes the history of instruments."""

_COLUMNS = (
    "instrument_key",
    "category",
    "underlying",
    "expiry",
    "strike_paise",
    "option_type",
    "exchange_segment",
    "security_id",
    "lot_size",
    "tick_paise",
    "freeze_quantity",
    "series",
    "has_derivatives",
    "valid_from",
    "valid_to",
)
_COPY = f"COPY ref.instruments ({', '.join(_COLUMNS)}, last_seen, lacking, source) FROM STDIN"
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM ref.instruments "  # noqa: S608 -- our own constants
_LISTINGS = """
SELECT underlying, lower(span), upper(span) - 1
FROM (
    SELECT underlying, unnest(range_agg(daterange(valid_from, valid_to, '[]'))) AS span
    FROM (
        SELECT underlying, valid_from, valid_to
        FROM ref.instruments
        WHERE category IN ('STOCK_FUT', 'STOCK_OPT') OR (category = 'NSE_EQ' AND has_derivatives)
        UNION ALL
        SELECT underlying, valid_from, valid_to
        FROM ref.contract_lots
    ) AS said
    WHERE valid_from <= %s AND valid_to >= %s AND (%s::text[] IS NULL OR underlying = ANY (%s))
    GROUP BY underlying
) AS listed
ORDER BY 1, 2
"""

PRECEDENCE = (PRICES_SOURCE, "nse_equity_bhavcopy", "dhan_reduced", "nse_fo_bhavcopy")
"""Sources from the weakest on; every other one is a broker's master and wins over these. Among masters the
later name wins. A source speaks only for the days on which it holds: where the strong one is silent, the weak
one counts."""

Sighted: TypeAlias = tuple[Instrument, date | None, tuple[date, ...]]
"""A row, the newest file day that carried it, and the file days before that one that lacked it."""


@dataclass(frozen=True, slots=True)
class LoadedInstruments:
    """What loading a master changed, in rows."""

    added: int
    closed: int
    unchanged: int


def load_instruments(engine: Engine, rows: Sequence[Instrument], source: str) -> LoadedInstruments:
    """Put rows that carry their own validity into the history of a source, in one transaction.

    Parameters
    ----------
    rows : sequence of Instrument
        They replace the source's history of their keys.
    source : str
        Whose rows; histories of different sources do not touch each other.

    Returns
    -------
    LoadedInstruments
        Loading the same rows twice changes nothing.
    """
    with begin(engine) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        return replace_dated(connection, rows, source)


def replace_dated(
    connection: psycopg.Connection[Any], rows: Sequence[Instrument], source: str
) -> LoadedInstruments:
    """Replace the history of the rows' keys within a source by the rows."""
    keys = sorted({row.instrument_key for row in rows})
    found = connection.execute(_SELECT + "WHERE source = %s AND instrument_key = ANY (%s)", (source, keys))
    before, after = {instrument_of(row) for row in found}, set(rows)
    loaded = LoadedInstruments(len(after - before), len(before - after), len(after & before))
    if loaded.added or loaded.closed:
        connection.execute(
            "DELETE FROM ref.instruments WHERE source = %s AND instrument_key = ANY (%s)", (source, keys)
        )
        copy_instruments(connection, [(row, row.valid_to, ()) for row in after], source)
    return loaded


def add_price_instruments(engine: Engine, rows: Sequence[Instrument]) -> int:
    """Add shares that prices were imported for and no master covers then.

    Parameters
    ----------
    rows : sequence of Instrument
        One per key, valid from the first to the last imported day.

    Returns
    -------
    int
        Rows that stand for them now; an earlier import's interval is widened, never shortened.
    """
    keys = [row.instrument_key for row in rows]
    with begin(engine) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        known = connection.execute(
            "SELECT instrument_key, valid_from, valid_to, source = %s FROM ref.instruments"
            " WHERE instrument_key = ANY (%s)",
            (PRICES_SOURCE, keys),
        ).fetchall()
        covered: dict[str, list[tuple[date, date]]] = {}
        own: dict[str, list[tuple[date, date]]] = {}
        for key, first, last, is_own in known:
            (own if is_own else covered).setdefault(key, []).append((first, last))
        merged = []
        for row in rows:
            spans = own.get(row.instrument_key, [])
            first = min([row.valid_from, *(span[0] for span in spans)])
            last = max([row.valid_to, *(span[1] for span in spans)])
            if not any(a <= first and last <= b for a, b in covered.get(row.instrument_key, [])):
                merged.append(replace(row, valid_from=first, valid_to=last))
        connection.execute(
            "DELETE FROM ref.instruments WHERE source = %s AND instrument_key = ANY (%s)",
            (PRICES_SOURCE, keys),
        )
        copy_instruments(connection, [(row, None, ()) for row in merged], PRICES_SOURCE)
    return len(merged)


def read_derivative_listings(
    connection: psycopg.Connection[Any],
    first: date = date.min,
    last: date = date.max,
    *,
    underlyings: Collection[str] | None = None,
) -> DerivativeListings:
    """Read when stocks had listed derivatives, by any master, bhavcopy or lot table.

    Parameters
    ----------
    first, last : date
        Listings that end before or begin after the closed range may be left out.
    underlyings : collection of str, optional
        Only these.
    """
    wanted = None if underlyings is None else sorted(underlyings)
    spans: dict[str, list[tuple[date, date]]] = {}
    found = connection.execute(_LISTINGS, (last, first, wanted, wanted))
    for symbol, listed_from, listed_to in found:
        spans.setdefault(symbol, []).append((listed_from, listed_to))
    return DerivativeListings(spans)


def read_instruments(
    connection: psycopg.Connection[Any],
    first: date,
    last: date,
    *,
    underlyings: Collection[str] | None = None,
) -> list[Instrument]:
    """Read every row valid on any day of the closed range.

    Parameters
    ----------
    first, last : date
        Widen the range by a few months where a contract listed later is to be told from one unknown.
    underlyings : collection of str, optional
        Only these.

    Returns
    -------
    list of Instrument
        In an order in which the later row wins (`PRECEDENCE`). A share is marked on every day on which any
        source lists derivatives on it (`read_derivative_listings`); a contract whose file names no freeze
        quantity has that of the exchange's dated table on each day.
    """
    wanted = None if underlyings is None else sorted(underlyings)
    rows = connection.execute(
        _SELECT
        + "WHERE valid_from <= %s AND valid_to >= %s AND (%s::text[] IS NULL OR underlying = ANY (%s))"
        " ORDER BY coalesce(array_position(%s::text[], source), 1000), source, instrument_key, valid_from",
        (last, first, wanted, wanted, list(PRECEDENCE)),
    )
    instruments = [instrument_of(row) for row in rows]
    listings = read_derivative_listings(connection, first, last, underlyings=underlyings)
    complete = with_freeze(mark_listed(instruments, listings), load_contract_sizes().freeze)
    # What lies outside the range was cut by listings of the range alone.
    return [one for one in complete if one.valid_from <= last and one.valid_to >= first]


def count_instruments(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Count rows per source."""
    rows = connection.execute("SELECT source, count(*) FROM ref.instruments GROUP BY source ORDER BY source")
    return dict(rows.fetchall())


def select_columns() -> str:
    """Name the columns of `instrument_of`."""
    return ", ".join(_COLUMNS)


def copy_instruments(connection: psycopg.Connection[Any], rows: Iterable[Sighted], source: str) -> None:
    """Write rows of a source, in key order."""
    ordered = sorted(rows, key=lambda row: (row[0].instrument_key, row[0].valid_from))
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for one, seen, lacking in ordered:
            copy.write_row((*(getattr(one, name) for name in _COLUMNS), seen, list(lacking), source))


def instrument_of(row: tuple[Any, ...]) -> Instrument:
    """Build an instrument from the columns of `select_columns`."""
    values = dict(zip(_COLUMNS, row, strict=True))
    values["category"] = Category(values["category"])
    values["option_type"] = None if values["option_type"] is None else OptionType(values["option_type"])
    return Instrument(**values)

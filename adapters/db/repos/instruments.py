"""Instruments as of a date: loading masters into history and reading a range."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import psycopg
from sqlalchemy import Engine

from adapters.db.engine import begin
from propdesk.intake import DerivativeListings
from propdesk.model.enums import Category, OptionType
from propdesk.model.instrument import Instrument

PRICES_SOURCE = "prices"
"""Rows that price imports add for shares no master covers."""

_LOCK_KEY = 7_215_500_012
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
_COPY = """
COPY ref.instruments (instrument_key, category, underlying, expiry, strike_paise, option_type,
    exchange_segment, security_id, lot_size, tick_paise, freeze_quantity, series,
    has_derivatives, valid_from, valid_to, source)
FROM STDIN
"""
_SELECT = """
SELECT instrument_key, category, underlying, expiry, strike_paise, option_type, exchange_segment, security_id,
       lot_size, tick_paise, freeze_quantity, series, has_derivatives, valid_from, valid_to
FROM ref.instruments
"""
_LISTINGS = """
SELECT underlying, lower(span), upper(span) - 1
FROM (
    SELECT underlying, unnest(range_agg(daterange(valid_from, valid_to, '[]'))) AS span
    FROM ref.instruments
    WHERE (category IN ('STOCK_FUT', 'STOCK_OPT') OR (category = 'NSE_EQ' AND has_derivatives))
      AND valid_from <= %s AND valid_to >= %s
    GROUP BY underlying
) AS listed
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class LoadedInstruments:
    """What loading a master changed, in rows."""

    added: int
    closed: int
    unchanged: int


def load_instruments(
    engine: Engine, rows: Sequence[Instrument], source: str, *, day: date | None = None
) -> LoadedInstruments:
    """Put a master into history, in one transaction.

    Parameters
    ----------
    rows : sequence of Instrument
        The whole master.
    source : str
        Whose master; histories of different sources do not touch each other.
    day : date, optional
        Day of a snapshot: from then on its values hold, what it no longer lists ends the day before.
        None = the rows carry their own validity and replace the source's history of their keys.

    Returns
    -------
    LoadedInstruments
        Loading the same master twice changes nothing.
    """
    with begin(engine) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        existing = [_instrument(row) for row in connection.execute(_SELECT + "WHERE source = %s", (source,))]
        if day is None:
            kept, loaded = _replace_history(existing, rows)
        else:
            kept, loaded = merge_snapshot(existing, rows, day)
        if loaded.added or loaded.closed:
            connection.execute("DELETE FROM ref.instruments WHERE source = %s", (source,))
            _copy(connection, kept, source)
        return loaded


def merge_snapshot(
    existing: Iterable[Instrument], snapshot: Sequence[Instrument], day: date
) -> tuple[list[Instrument], LoadedInstruments]:
    """Merge a day's master into a history of closed intervals.

    Parameters
    ----------
    existing : iterable of Instrument
        History of the source.
    snapshot : sequence of Instrument
        Everything listed on ``day``; ``valid_to`` is how long it would last.
    day : date
        May lie before what is known already: older masters may be loaded later.

    Returns
    -------
    list of Instrument, LoadedInstruments
        The new history; intervals of one instrument do not overlap.
    """
    history: dict[str, list[Instrument]] = {}
    for one in existing:
        history.setdefault(one.instrument_key, []).append(one)
    eve = day - timedelta(days=1)
    added = closed = unchanged = 0
    listed = set()
    for one in snapshot:
        listed.add(one.instrument_key)
        rows = history.setdefault(one.instrument_key, [])
        holding = next((row for row in rows if row.valid_from <= day <= row.valid_to), None)
        if holding is not None and _same_values(holding, one):
            unchanged += 1
            continue
        later = min((row.valid_from for row in rows if row.valid_from > day), default=None)
        end = one.valid_to if later is None else min(one.valid_to, later - timedelta(days=1))
        if holding is not None:
            closed += 1
            rows.remove(holding)
            if holding.valid_from <= eve:
                rows.append(replace(holding, valid_to=eve))
        rows.append(replace(one, valid_from=day, valid_to=max(end, day)))
        added += 1
    for key, rows in history.items():
        if key in listed:
            continue
        for place, row in enumerate(rows):
            if row.valid_from < day <= row.valid_to:
                rows[place] = replace(row, valid_to=eve)
                closed += 1
    return [row for rows in history.values() for row in rows], LoadedInstruments(added, closed, unchanged)


def _replace_history(
    existing: Iterable[Instrument], rows: Sequence[Instrument]
) -> tuple[list[Instrument], LoadedInstruments]:
    keys = {row.instrument_key for row in rows}
    before = {row for row in existing if row.instrument_key in keys}
    after = set(rows)
    loaded = LoadedInstruments(len(after - before), len(before - after), len(after & before))
    return [*(row for row in existing if row.instrument_key not in keys), *after], loaded


def _same_values(a: Instrument, b: Instrument) -> bool:
    return replace(a, valid_from=b.valid_from, valid_to=b.valid_to) == b


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
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
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
        _copy(connection, merged, PRICES_SOURCE)
    return len(merged)


def read_derivative_listings(
    connection: psycopg.Connection[Any], first: date = date.min, last: date = date.max
) -> DerivativeListings:
    """Read when stocks had listed derivatives, by any master.

    Parameters
    ----------
    first, last : date
        Listings that end before or begin after the closed range may be left out.
    """
    spans: dict[str, list[tuple[date, date]]] = {}
    for symbol, listed_from, listed_to in connection.execute(_LISTINGS, (last, first)):
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
        In an order in which the later row wins: masters after rows made from prices.
    """
    rows = connection.execute(
        _SELECT
        + "WHERE valid_from <= %s AND valid_to >= %s AND (%s::text[] IS NULL OR underlying = ANY (%s))"
        " ORDER BY source <> %s, source, instrument_key, valid_from",
        (
            last,
            first,
            None if underlyings is None else sorted(underlyings),
            None if underlyings is None else sorted(underlyings),
            PRICES_SOURCE,
        ),
    )
    return [_instrument(row) for row in rows]


def count_instruments(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Count rows per source."""
    rows = connection.execute("SELECT source, count(*) FROM ref.instruments GROUP BY source ORDER BY source")
    return dict(rows.fetchall())


def _copy(connection: psycopg.Connection[Any], rows: Iterable[Instrument], source: str) -> None:
    ordered = sorted(rows, key=lambda one: (one.instrument_key, one.valid_from))
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for one in ordered:
            copy.write_row((*(getattr(one, name) for name in _COLUMNS), source))


def _instrument(row: tuple[Any, ...]) -> Instrument:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["category"] = Category(values["category"])
    values["option_type"] = None if values["option_type"] is None else OptionType(values["option_type"])
    return Instrument(**values)

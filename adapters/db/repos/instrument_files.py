"""Instrument files into history: kept apart by source, every change on record."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid5

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from adapters.db.engine import begin
from adapters.db.repos.instruments import (
    LOCK_KEY,
    PRICES_SOURCE,
    LoadedInstruments,
    Sighted,
    copy_instruments,
    instrument_of,
    replace_dated,
    select_columns,
)
from propdesk.core.errors import DataFault
from propdesk.intake.history import (
    OPEN_END,
    Contradiction,
    Coverage,
    Merged,
    Run,
    as_known,
    intervals,
    merge_file,
)
from propdesk.intake.instrument_file import InstrumentFile, RejectedRow, message_of
from propdesk.model.instrument import ContractLot, Instrument

LOT_CATEGORY: Final = "LOT"
"""What a lot table speaks of, beside the categories of instruments."""
LOT_TABLE_DAYS: Final = 93
"""A lot table's word holds for the three monthly contracts it was made for; far months are changed later."""

_TRADED_SOURCES: Final = frozenset({"nse_fo_bhavcopy", "nse_equity_bhavcopy"})
"""Bhavcopies, which name what traded; `load_file` takes none under another name."""

_LotRow: TypeAlias = tuple[str, date, date, date, int, date | None]
"""Underlying, month of expiry, first and last day, units, newest file day (None = the source's newest)."""

_NAMESPACE: Final = UUID("8f2c5f0e-6a0b-5b7e-9d57-3e1f0c6a2d41")
_FILE_COLUMNS: Final = (
    "file_id",
    "source",
    "layout",
    "day",
    "is_dated",
    "categories",
    "file_name",
    "sha256",
    "loaded_at",
    "revision_reason",
    "count_read",
    "count_taken",
    "count_rejected",
    "skipped",
    "count_added",
    "count_closed",
    "count_unchanged",
)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """An instrument file that was taken; counts in rows of the file, then of the history.

    Attributes
    ----------
    categories : list of str
        What the file speaks of; the absence of anything else in it means nothing.
    revision_reason : str or None
        Why it was allowed to change a day that was fixed.
    """

    file_id: str
    source: str
    layout: str
    day: date
    is_dated: bool
    categories: list[str]
    file_name: str
    sha256: str
    loaded_at: datetime
    revision_reason: str | None
    count_read: int
    count_taken: int
    count_rejected: int
    skipped: dict[str, int]
    count_added: int
    count_closed: int
    count_unchanged: int


def load_file(
    engine: Engine,
    file: InstrumentFile,
    *,
    file_name: str,
    loaded_at: datetime,
    source: str | None = None,
    revision_reason: str | None = None,
) -> FileRecord:
    """Put an instrument file into the history of its source, in one transaction.

    Parameters
    ----------
    file : InstrumentFile
        What was read.
    source : str, optional
        Whose word it is; default: what the layout says. Histories of different sources do not touch. A
        bhavcopy is the exchange's word alone: any other name would rank as a broker's master.
    revision_reason : str, optional
        Take the file as a correction of a day that another file fixed: it takes that day whole, and what it
        replaces is kept in ``ref.instrument_revisions``. Without it values fixed for that day stay, those
        of the file are rejected as CONTRADICTION, and only what is new is added.

    Returns
    -------
    FileRecord
        Loading the same file twice changes nothing.

    Raises
    ------
    DataFault
        If a bhavcopy is given another source.

    Notes
    -----
    A dated file carries validity of its own: it says from when it speaks, and replaces the history of its
    keys.
    """
    whose = source or file.source
    if file.coverage is Coverage.TRADED and whose != file.source:
        raise DataFault(
            f"{file_name} is a bhavcopy and counts as {file.source}, not as {whose}: name no source."
        )
    with begin(engine) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        file_id = str(uuid5(_NAMESPACE, f"{whose}|{file.layout}|{file.day}|{file.sha256}"))
        if file.is_dated:
            loaded = replace_dated(connection, file.instruments, whose)
            changes: list[Contradiction[Any]] = []
        else:
            loaded, changes = _merge(connection, file, whose, revise=revision_reason is not None)
        rejected = file.rejected if revision_reason else [*file.rejected, *_contradicting(file, changes)]
        record = _record(file, whose, file_id, file_name, loaded_at, revision_reason, loaded, rejected)
        _write_record(connection, record, rejected)
        if revision_reason is not None:
            _write_revisions(connection, file_id, changes)
    return record


def read_lot_table(connection: psycopg.Connection[Any], day: date) -> dict[tuple[str, date], int]:
    """Read the units per lot by underlying and month of expiry that hold on a day."""
    rows = connection.execute(
        "SELECT underlying, expiry_month, lot_size FROM ref.contract_lots"
        " WHERE valid_from <= %s AND valid_to >= %s ORDER BY source",
        (day, day),
    )
    return {(underlying, month): lot for underlying, month, lot in rows}


def list_files(connection: psycopg.Connection[Any], source: str | None = None) -> list[FileRecord]:
    """List the files taken, by source and day."""
    rows = connection.execute(
        f"SELECT {', '.join(_FILE_COLUMNS)} FROM ref.instrument_files"  # noqa: S608 -- our own constants
        " WHERE %s::text IS NULL OR source = %s ORDER BY source, day, loaded_at, file_id",
        (source, source),
    )
    return [FileRecord(*row) for row in rows]


def list_rejects(
    connection: psycopg.Connection[Any], file_id: str | None = None
) -> list[tuple[str, RejectedRow]]:
    """List rejected rows: name of the file and row, of one file or of all."""
    rows = connection.execute(
        "SELECT f.file_name, r.row_number, r.reason, r.message, r.content FROM ref.instrument_rejects r"
        " JOIN ref.instrument_files f USING (file_id) WHERE %s::text IS NULL OR file_id = %s"
        " ORDER BY f.source, f.day, f.file_name, r.reject_number",
        (file_id, file_id),
    )
    return [(name, RejectedRow(*rest)) for name, *rest in rows]


# ------------------------------------------------------------------------------------------ as known then


def copy_as_known(connection: psycopg.Connection[Any], target: psycopg.Connection[Any], day: date) -> None:
    """Put the history of instruments and lots as the files up to a day made it into another database.

    Parameters
    ----------
    connection : psycopg.Connection
        Database with the whole history; only read.
    target : psycopg.Connection
        Database whose history is replaced.
    day : date
        Last file day that counts.
    """
    kinds = connection.execute("SELECT DISTINCT source, category FROM ref.instruments ORDER BY 1, 2")
    target.execute("DELETE FROM ref.instruments")
    for source, category in kinds.fetchall():
        copy_instruments(target, _instruments_as_known(connection, source, category, day), source)
    target.execute("DELETE FROM ref.contract_lots")
    for (source,) in connection.execute(
        "SELECT DISTINCT source FROM ref.contract_lots ORDER BY 1"
    ).fetchall():
        days = _file_days(connection, source, LOT_CATEGORY)
        runs = {key: as_known(rows, days, day) for key, rows in _lot_runs(connection, source, days).items()}
        _copy_lots(target, source, _lot_rows(runs, [one for one in days if one <= day], Coverage.LISTED))


def _instruments_as_known(
    connection: psycopg.Connection[Any], source: str, category: str, day: date
) -> list[Sighted]:
    stored = _stored(connection, source, category, date.min)
    if source == PRICES_SOURCE:  # no file speaks for them: a share is there on the days with its prices
        return [
            (replace(one, valid_to=min(one.valid_to, day)), None, ())
            for one, _, _ in stored
            if one.valid_from <= day
        ]
    days = _file_days(connection, source, category)
    coverage = Coverage.TRADED if source in _TRADED_SOURCES else Coverage.LISTED
    known = [one for one in days if one <= day]
    return [
        (replace(run.value, valid_from=first, valid_to=last), run.last_seen, run.lacking)
        for rows in _runs(stored, days).values()
        for first, last, run in intervals(as_known(rows, days, day), known, coverage)
    ]


# ------------------------------------------------------------------------------------------------ merging


def _merge(
    connection: psycopg.Connection[Any], file: InstrumentFile, source: str, *, revise: bool
) -> tuple[LoadedInstruments, list[Contradiction[Any]]]:
    """Merge per category: a file without any stock option says nothing about stock options."""
    if file.lots:
        return _merge_lots(connection, file, source, revise=revise)
    total = LoadedInstruments(0, 0, 0)
    changes: list[Contradiction[Any]] = []
    for category in sorted({one.category.value for one in file.instruments}):
        named = [one for one in file.instruments if one.category.value == category]
        days = _file_days(connection, source, category)
        stored = _stored(connection, source, category, file.day)
        merged = merge_file(
            _runs(stored, days),
            {one.instrument_key: Run(_timeless(one), file.day, file.day, _until(one)) for one in named},
            days,
            file.day,
            file.coverage,
            revise=revise,
        )
        changes += merged.contradictions
        loaded = _store(connection, source, stored, merged, file.coverage)
        kept = 0 if revise else len(merged.contradictions)
        total = LoadedInstruments(
            total.added + merged.count_new,
            total.closed + loaded,
            total.unchanged + len(named) - merged.count_new - kept,
        )
    return total, changes


def _store(
    connection: psycopg.Connection[Any],
    source: str,
    stored: Sequence[Sighted],
    merged: Merged[Instrument],
    coverage: Coverage,
) -> int:
    """Write what changed; the number of rows that hold shorter than before or not at all."""
    before = {(row[0].instrument_key, row[0].valid_from): row for row in stored}
    after: dict[tuple[str, date], Sighted] = {}
    for rows in merged.runs.values():
        for first, last, run in intervals(rows, merged.days, coverage):
            one = replace(run.value, valid_from=first, valid_to=last)
            after[one.instrument_key, first] = (
                one,
                None if run.last_seen == merged.days[-1] else run.last_seen,
                run.lacking,
            )
    gone = [name for name, row in before.items() if after.get(name) != row]
    fresh = [row for name, row in after.items() if before.get(name) != row]
    _delete(connection, source, gone)
    copy_instruments(connection, fresh, source)
    return sum(name not in after or after[name][0].valid_to < before[name][0].valid_to for name in gone)


def _delete(connection: psycopg.Connection[Any], source: str, names: Sequence[tuple[str, date]]) -> None:
    if names:
        connection.execute(
            "DELETE FROM ref.instruments USING unnest(%s::text[], %s::date[]) AS gone (key, first)"
            " WHERE source = %s AND instrument_key = gone.key AND valid_from = gone.first",
            ([key for key, _ in names], [first for _, first in names], source),
        )


def _stored(connection: psycopg.Connection[Any], source: str, category: str, day: date) -> list[Sighted]:
    """Rows that a file of that day can touch: not the contracts that had expired before."""
    rows = connection.execute(
        f"SELECT {select_columns()}, last_seen, lacking FROM ref.instruments"  # noqa: S608 -- our own constants
        " WHERE source = %s AND category = %s AND (last_seen IS NULL OR valid_to >= %s OR expiry IS NULL)",
        (source, category, day),
    )
    return [(instrument_of(row[:-2]), row[-2], tuple(row[-1])) for row in rows]


def _file_days(connection: psycopg.Connection[Any], source: str, category: str) -> list[date]:
    rows = connection.execute(
        "SELECT DISTINCT day FROM ref.instrument_files"
        " WHERE source = %s AND %s = ANY (categories) AND NOT is_dated ORDER BY day",
        (source, category),
    )
    return [day for (day,) in rows]


def _runs(stored: Iterable[Sighted], days: Sequence[date]) -> dict[str, list[Run[Instrument]]]:
    runs: dict[str, list[Run[Instrument]]] = {}
    file_days = set(days)
    for one, seen, lacking in sorted(stored, key=lambda row: row[0].valid_from):
        newest = days[-1] if days else one.valid_from
        last = max(newest, one.valid_from) if seen is None else seen
        run = Run(_timeless(one), one.valid_from, last, _run_until(one, seen, file_days), lacking)
        runs.setdefault(one.instrument_key, []).append(run)
    return runs


def _run_until(one: Instrument, seen: date | None, days: Collection[date]) -> date:
    """Give the end of what a dated file stored; what a later file's lack ended may come back."""
    if seen is None or seen < one.valid_to:
        return _until(one)
    ended_by_file = one.valid_to < OPEN_END and one.valid_to + timedelta(days=1) in days
    return _until(one) if ended_by_file else one.valid_to


def _timeless(one: Instrument) -> Instrument:
    """Strip the validity, so that two days' values compare."""
    return replace(one, valid_from=date.min, valid_to=OPEN_END)


def _until(one: Instrument) -> date:
    return one.expiry or OPEN_END


# --------------------------------------------------------------------------------------------- lot tables


def _merge_lots(
    connection: psycopg.Connection[Any], file: InstrumentFile, source: str, *, revise: bool
) -> tuple[LoadedInstruments, list[Contradiction[Any]]]:
    days = _file_days(connection, source, LOT_CATEGORY)
    runs = _lot_runs(connection, source, days)
    before = _lot_rows(runs, days, file.coverage)
    named = {_lot_key(one): Run(one, file.day, file.day) for one in file.lots}
    merged = merge_file(runs, named, days, file.day, file.coverage, revise=revise)
    after = _lot_rows(merged.runs, merged.days, file.coverage)
    connection.execute("DELETE FROM ref.contract_lots WHERE source = %s", (source,))
    _copy_lots(connection, source, after)
    ends = {(row[0], row[1], row[2]): row[3] for row in after}
    closed = sum(ends.get((row[0], row[1], row[2]), date.min) < row[3] for row in before)
    kept = 0 if revise else len(merged.contradictions)
    unchanged = len(file.lots) - merged.count_new - kept
    return LoadedInstruments(merged.count_new, closed, unchanged), merged.contradictions


def _lot_runs(
    connection: psycopg.Connection[Any], source: str, days: Sequence[date]
) -> dict[str, list[Run[ContractLot]]]:
    rows = connection.execute(
        "SELECT underlying, expiry_month, valid_from, lot_size, last_seen FROM ref.contract_lots"
        " WHERE source = %s ORDER BY valid_from",
        (source,),
    )
    runs: dict[str, list[Run[ContractLot]]] = {}
    for underlying, month, first, lot, seen in rows:
        value = ContractLot(underlying, month, lot)
        runs.setdefault(_lot_key(value), []).append(Run(value, first, seen or days[-1]))
    return runs


def _lot_rows(
    runs: Mapping[str, Sequence[Run[ContractLot]]], days: Sequence[date], coverage: Coverage
) -> list[_LotRow]:
    """Say from when to when each lot holds."""
    return [
        (
            run.value.underlying, run.value.expiry_month, first,
            min(last, max(run.last_seen, first) + timedelta(days=LOT_TABLE_DAYS)),
            run.value.lot_size, None if run.last_seen == days[-1] else run.last_seen,
        )
        for key in sorted(runs)
        for first, last, run in intervals(runs[key], days, coverage)
    ]  # fmt: skip


def _copy_lots(connection: psycopg.Connection[Any], source: str, rows: Iterable[_LotRow]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY ref.contract_lots (underlying, expiry_month, valid_from, valid_to, lot_size, last_seen,"
            " source) FROM STDIN"
        ) as copy,
    ):
        for row in rows:
            copy.write_row((*row, source))


def _lot_key(lot: ContractLot) -> str:
    return f"{LOT_CATEGORY}:{lot.underlying}:{lot.expiry_month:%Y-%m}"


# ------------------------------------------------------------------------------------------------- records


def _contradicting(file: InstrumentFile, changes: Sequence[Contradiction[Any]]) -> list[RejectedRow]:
    found = []
    for change in changes:
        fixed, named = _values(change.fixed), _values(change.named)
        differing = sorted(name for name in fixed if named.get(name) != fixed[name])
        shown = ", ".join(f"{name} {fixed[name]} -> {named.get(name)}" for name in differing)
        message = f"{change.key} on {file.day}: {shown}; give --revise with a reason to take it"
        number = file.row_numbers.get(change.key, 0)
        found.append(RejectedRow(number, "CONTRADICTION", message, {n: str(v) for n, v in named.items()}))
    return found


def _values(value: Any) -> dict[str, Any]:
    """Show an instrument or lot as a document; validity apart, which is the file's day."""
    if value is None:
        return {}
    return {
        name: item if isinstance(item, int | str | None) else str(item)
        for name, item in asdict(value).items()
        if name not in ("valid_from", "valid_to")
    }


def _record(
    file: InstrumentFile,
    source: str,
    file_id: str,
    file_name: str,
    loaded_at: datetime,
    revision_reason: str | None,
    loaded: LoadedInstruments,
    rejected: Sequence[RejectedRow],
) -> FileRecord:
    categories = sorted({one.category.value for one in file.instruments})
    contradicted = sum(row.reason == "CONTRADICTION" for row in rejected)
    skipped = dict(file.skipped)
    if contradicted and not file.lots:
        skipped[message_of("CONTRADICTION")] = contradicted
    return FileRecord(
        file_id=file_id,
        source=source,
        layout=file.layout,
        day=file.day,
        is_dated=file.is_dated,
        categories=categories or [LOT_CATEGORY],
        file_name=file_name,
        sha256=file.sha256,
        loaded_at=loaded_at,
        revision_reason=revision_reason,
        count_read=file.rows_read,
        count_taken=file.rows_taken - (0 if file.lots else contradicted),
        count_rejected=len(rejected),
        skipped=skipped,
        count_added=loaded.added,
        count_closed=loaded.closed,
        count_unchanged=loaded.unchanged,
    )


def _write_record(
    connection: psycopg.Connection[Any], record: FileRecord, rejected: Iterable[RejectedRow]
) -> None:
    earlier = connection.execute(
        "DELETE FROM ref.instrument_files WHERE file_id = %s RETURNING revision_reason", (record.file_id,)
    ).fetchone()
    values: Mapping[str, Any] = {name: getattr(record, name) for name in _FILE_COLUMNS} | {
        "skipped": Jsonb(record.skipped),
        # A correction that is loaded again is one still.
        "revision_reason": record.revision_reason or (earlier and earlier[0]),
    }
    connection.execute("DELETE FROM ref.instrument_rejects WHERE file_id = %s", (record.file_id,))
    connection.execute(
        f"INSERT INTO ref.instrument_files ({', '.join(_FILE_COLUMNS)}) VALUES "  # noqa: S608 -- our constants
        f"({', '.join(f'%({name})s' for name in _FILE_COLUMNS)})",
        values,
    )
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY ref.instrument_rejects (file_id, reject_number, row_number, reason, message, content)"
            " FROM STDIN"
        ) as copy,
    ):
        for place, row in enumerate(rejected, 1):
            content = Jsonb(row.content)
            copy.write_row((record.file_id, place, row.row_number, row.reason, row.message, content))


def _write_revisions(
    connection: psycopg.Connection[Any], file_id: str, changes: Iterable[Contradiction[Any]]
) -> None:
    for change in changes:
        after = None if change.named is None else Jsonb(_values(change.named))
        connection.execute(
            "INSERT INTO ref.instrument_revisions (file_id, instrument_key, before, after)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (file_id, change.key, Jsonb(_values(change.fixed)), after),
        )

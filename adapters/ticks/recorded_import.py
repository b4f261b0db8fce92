"""Brings the recording of a past day into the price store, beside what is imported.

Only a series that was watched for its whole session becomes prices (`recorded`): a part of a day says nothing
of the rest of it, and would stand for all of it wherever a day is read (docs/decisions/0034).
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from adapters.ticks.columns import Batch, Defect, Int64Array, no_prices, nothing_marked
from adapters.ticks.file_reports import FileReport, Rejects, count_defects, judge, note_report
from adapters.ticks.recordings import Recording, read_recording, recorded_origin
from adapters.ticks.store import Kind, ParquetPriceStore, Stage, bars_table
from propdesk.core.calendar import MarketCalendar
from propdesk.core.errors import DataFault
from propdesk.intake.minutes import SILENCE_NS, MinuteSeen, bars_of, session_parts

LAYOUT: Final = "recording"
SANDBOX: Final = "sandbox"
"""Origin of prices that a simulated exchange made up."""


class SandboxPrices(DataFault):
    """A recording of a sandbox, which goes into a store on demand only."""


def import_recording(
    store: ParquetPriceStore,
    path: Path,
    calendar: MarketCalendar,
    today: date,
    *,
    is_sandbox_taken: bool = False,
) -> FileReport:
    """Import one recording as a whole, or not at all; a second time changes nothing.

    Parameters
    ----------
    today : date
        IST day; a recording of it, or of a later one, is refused: what is left of the day would be judged as
        if nothing more had happened.
    is_sandbox_taken : bool
        Whether prices of a sandbox may go into this store.

    Returns
    -------
    FileReport
        A row per minute and series. Taken are minutes with a trade, a bid or an ask within the session;
        noted are PART_OF_SESSION (minutes of series that were not watched for all of it, or whose daily bar
        holds a price beyond them), PART_OF_MINUTE,
        QUOTE_ONLY and CROSSED_QUOTE.

    Raises
    ------
    SandboxPrices
        If it comes from a sandbox and may not.
    DataFault
        If it is no recording, its day is not over, or the store cannot be written.
    """
    if recorded_origin(path) == SANDBOX and not is_sandbox_taken:
        raise SandboxPrices(
            f"{path} was recorded from a sandbox, whose prices no market made: "
            "`prices import --sandbox` takes them all the same."
        )
    recording = read_recording(path)
    if recording.day >= today:
        raise DataFault(f"{path} is of {recording.day}, which is not over: import it from the next day on.")
    report = FileReport(str(path), LAYOUT, rows=len(recording.minutes) + len(recording.unreadable))
    defect = _judged(recording.minutes, calendar)
    report.defects.update(count_defects(defect))
    taken = [one for one, code in zip(recording.minutes, defect.tolist(), strict=True) if not code]
    try:
        with (
            tempfile.TemporaryDirectory(prefix="propdesk-import-") as folder,
            Rejects(Path(folder)) as rejects,
        ):
            rejects.add(_batch(recording.minutes), defect, 0)
            if recording.unreadable:
                rejects.add_ragged(recording.unreadable)
                report.defects[Defect.RAGGED.name] = len(recording.unreadable)
            with store.stage() as stage:
                whole = _uncontradicted(store, recording, taken, whole_series(recording, calendar))
                _publish(stage, recording, taken, whole, report)
                note_report(stage, rejects, report, path)
    except OSError as error:
        raise DataFault(
            f"{path} could not be imported into {store.url} ({error.strerror or error}); "
            "make room or choose another folder, nothing of this file was taken."
        ) from error
    return report


def import_recordings(
    store: ParquetPriceStore,
    paths: Iterable[Path],
    calendar: MarketCalendar,
    today: date,
    *,
    is_sandbox_taken: bool = False,
) -> tuple[list[FileReport], list[tuple[Path, DataFault]]]:
    """Import recordings one after the other; one that cannot be taken stops no other.

    Returns
    -------
    tuple of (list of FileReport, list of (Path, DataFault))
        What became of those that were taken, and why the others were not.
    """
    reports, faults = [], []
    for path in paths:
        try:
            report = import_recording(store, path, calendar, today, is_sandbox_taken=is_sandbox_taken)
        except DataFault as fault:
            faults.append((path, fault))
        else:
            reports.append(report)
    return reports, faults


def new_recordings(store: ParquetPriceStore, paths: Sequence[Path]) -> list[Path]:
    """Leave out what the store has a report of: a past day's recording does not change any more."""
    known = {str(one["file"]) for one in store.imports()}
    return [path for path in paths if str(path) not in known]


def whole_series(recording: Recording, calendar: MarketCalendar) -> frozenset[str]:
    """Tell which series were watched for every part of their session, from its start to its end.

    A series counts as watched from its first quote on, so long as the feed told something of any series with
    no hole of more than `SILENCE_NS`, and of this one with none of more than `QUIET_NS` (each of its minutes
    says since when). Lines that cannot be read may be what a minute lacks: then none was.
    """
    if recording.unreadable or not calendar.is_market_day(recording.day):
        return frozenset()
    series = groupby(recording.minutes, lambda one: one.price_key)
    return frozenset(
        key
        for key, minutes in ((key, list(found)) for key, found in series)
        if all(
            _is_watched(recording.watches, minutes, part)
            for part in session_parts(key, recording.day, calendar)
        )
    )


def _is_watched(
    watches: Sequence[tuple[int, int]], minutes: Sequence[MinuteSeen], part: tuple[int, int]
) -> bool:
    since = [one.since_ns for one in minutes if part[0] <= one.start_ns < part[1]]
    return any(
        last >= part[1] - SILENCE_NS and first <= min(since) and max(since) <= part[0]
        for first, last in watches
        if since
    )


def _uncontradicted(
    store: ParquetPriceStore, recording: Recording, taken: Sequence[MinuteSeen], whole: frozenset[str]
) -> frozenset[str]:
    """Leave out series of which the day's own bar tells a price that the feed did not."""
    traded = [one for one in taken if one.is_traded and one.price_key in whole]
    seen = {key: bars_of(list(found)) for key, found in groupby(traded, lambda one: one.price_key)}
    return whole - store.contradicted(recording.day, seen)


def _publish(
    stage: Stage, recording: Recording, taken: list[MinuteSeen], whole: frozenset[str], report: FileReport
) -> None:
    traded, quoted = [one for one in taken if one.is_traded], [one for one in taken if one.is_quoted]
    in_part = [one for one in traded if one.price_key not in whole]
    # of a whole session the last minute is whole as well, though nothing need be told at its very end
    in_full = [replace(one, is_broken=False) for one in traded if one.price_key in whole]
    tables: list[tuple[Kind, pa.Table]] = [
        ("recorded", _bars(in_full)),
        ("recorded_in_part", _bars(in_part)),
        ("quote", _quotes(quoted)),
    ]
    for kind, table in tables:
        if table.num_rows:
            stage.add(kind, recording.day, table)
    report.accepted = len(taken)
    report.days |= {recording.day} if taken else set()
    report.spans = {one.price_key: (recording.day, recording.day) for one in taken}
    notes = {
        "PART_OF_SESSION": len(in_part),
        "PART_OF_MINUTE": sum(not one.is_whole for one in traded),
        "QUOTE_ONLY": len(taken) - len(traded),
        "CROSSED_QUOTE": sum(0 < one.ask_paise < one.bid_paise for one in quoted),
    }
    report.notes.update({name: count for name, count in notes.items() if count})


def _bars(traded: Sequence[MinuteSeen]) -> pa.Table:
    """Make bars of minutes by key and start; `bars_table` keeps their order."""
    series = groupby(traded, lambda one: one.price_key)
    return bars_table((key, bars_of(list(found))) for key, found in series)


def _quotes(quoted: Sequence[MinuteSeen]) -> pa.Table:
    columns = {"ts": "start_ns", "bid": "bid_paise", "ask": "ask_paise"}
    arrays = {name: pa.array(_column(quoted, field)) for name, field in columns.items()}
    return pa.table({"symbol": pa.array([one.price_key for one in quoted], pa.string()), **arrays})


def _judged(minutes: Sequence[MinuteSeen], calendar: MarketCalendar) -> NDArray[np.int8]:
    """Tell what is wrong with each minute; one without trade, bid and ask says nothing."""
    defect = judge(_batch(minutes), "minute", calendar)
    silent = np.array([not (one.is_traded or one.is_quoted) for one in minutes], np.bool_)
    return np.where(silent & (defect == Defect.NONE), Defect.UNTRADED, defect).astype(np.int8)


def _batch(minutes: Sequence[MinuteSeen]) -> Batch:
    keys = sorted({one.price_key for one in minutes})
    place = {key: code for code, key in enumerate(keys)}
    return Batch(
        keys,
        np.array([place[one.price_key] for one in minutes], np.int64),
        _column(minutes, "start_ns"),
        tuple(_column(minutes, f"{name}_paise") for name in ("open", "high", "low", "close")),
        no_prices(len(minutes)),
        nothing_marked(len(minutes)),
        no_prices(len(minutes)),
    )


def _column(minutes: Sequence[MinuteSeen], field: str) -> Int64Array:
    return np.array([getattr(one, field) for one in minutes], np.int64)

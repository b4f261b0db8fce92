"""Brings price files into the store: streaming, refused rows counted and kept, all of a file or nothing."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from adapters.ticks.columns import (
    IST_OFFSET_NS,
    Batch,
    Context,
    Defect,
    Int64Array,
    Kind,
)
from adapters.ticks.file_reports import FileReport, Rejects, count_defects, judge, note_report
from adapters.ticks.layouts import Layout, count_rows, find_layout, read_tables
from adapters.ticks.store import COLUMNS, ParquetPriceStore, Stage
from propdesk.core.calendar import MarketCalendar
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
from propdesk.core.errors import DataFault
from propdesk.intake.aliases import Aliases
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument

Progress = Callable[[str, int, int], None]
"""Takes the file, the rows read and the rows it has (0 = not known)."""

SPILL_ROWS = 3_000_000
"""Rows of open days held in memory; more go to temporary files until their day is written."""

_ENDINGS = (".parquet", ".csv", ".csv.gz", ".csv.zip", ".zip")
_GAP_NS = 15 * NS_PER_MINUTE
_LEAP_RATIO = 0.03


def expand(paths: Sequence[Path]) -> list[Path]:
    """List the price files named by files and folders.

    Raises
    ------
    DataFault
        If a path does not exist or a folder holds no price file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.name.endswith(_ENDINGS)]
            if not inside:
                raise DataFault(f"{path} holds no {', '.join(_ENDINGS)} file; name the folder that does.")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataFault(f"{path} does not exist; check the path.")
    return found


def import_prices(
    store: ParquetPriceStore,
    paths: Sequence[Path],
    calendar: MarketCalendar,
    aliases: Aliases,
    *,
    kind: str = "auto",
    progress: Progress | None = None,
) -> list[FileReport]:
    """Import files one after the other; each is published as a whole or not at all.

    Parameters
    ----------
    store : ParquetPriceStore
        Where to.
    paths : sequence of Path
        Files and folders.
    calendar : MarketCalendar
        Rows on other days or outside the hours are refused.
    aliases : Aliases
        Tells which names are indices.
    kind : str
        ``auto`` or the layout every file must have.
    progress : callable, optional
        Told after each batch.

    Returns
    -------
    list of FileReport
        One per file.

    Raises
    ------
    DataFault
        If a file cannot be read, fits no layout or cannot be written; earlier files stay imported.
    """
    files = [(path, find_layout(path, kind)) for path in expand(paths)]  # all are known before one is written
    tell = progress or (lambda _path, _done, _total: None)
    return [_import_file(store, path, layout, calendar, aliases, tell) for path, layout in files]


def _import_file(
    store: ParquetPriceStore,
    path: Path,
    layout: Layout,
    calendar: MarketCalendar,
    aliases: Aliases,
    tell: Progress,
) -> FileReport:
    report = FileReport(str(path), layout.name)
    total = count_rows(path)
    context = Context(path.name.split(".")[0], aliases, calendar)
    ragged: list[str] = []
    try:
        with (
            tempfile.TemporaryDirectory(prefix="propdesk-import-") as folder,
            Rejects(Path(folder)) as rejects,
        ):
            buckets = _DayBuckets(Path(folder), layout.kind)
            for table in read_tables(path, ragged):
                batch = layout.read(table, context)
                defect = judge(batch, layout.kind, calendar)
                rejects.add(batch, defect, report.rows)
                buckets.add(batch, defect == Defect.NONE, report.rows)
                report.rows += len(batch.codes)
                report.defects.update(count_defects(defect))
                report.notes.update(batch.notes)
                report.has_base_prices |= bool((batch.prev_close > 0).any())
                tell(str(path), report.rows, total)
            if not report.rows:
                raise DataFault(f"{path} has no rows; copy it again.")
            if ragged:
                rejects.add_ragged(ragged)
                report.rows += len(ragged)
                report.defects[Defect.RAGGED.name] = len(ragged)
            with store.stage() as stage:
                _publish(stage, buckets, rejects, layout.kind, report)
                report.notes += Counter()  # without what was looked for and not found
                note_report(stage, rejects, report, path)
    except OSError as error:
        raise DataFault(
            f"{path} could not be imported into {store.url} ({error.strerror or error}); "
            "make room or choose another folder, nothing of this file was taken."
        ) from error
    return report


def _publish(stage: Stage, buckets: "_DayBuckets", rejects: Rejects, kind: Kind, report: FileReport) -> None:
    for day, columns in buckets.days():
        kept, repeated = _without_repeats(columns, kind)
        rejects.add_repeats(buckets.keys, columns, repeated)
        report.notes.update(_notes_of(columns, kind))
        if repeated.any():
            report.defects[Defect.DUPLICATE.name] += int(repeated.sum())
        stage.add(kind, day, _table(buckets.keys, kept, kind))
        report.accepted += len(kept["code"])
        report.days.add(day)
        for code in np.unique(kept["code"]).tolist():
            first, last = report.spans.get(buckets.keys[code], (day, day))
            report.spans[buckets.keys[code]] = (min(first, day), max(last, day))


def _notes_of(columns: dict[str, Int64Array], kind: Kind) -> Counter[str]:
    """Count what is odd in a day's rows although each of them can be taken.

    OUT_OF_ORDER: a row older than the one before it in the file; ticks: SHARED_SECOND, VOLUME_BACKWARDS
    (the cumulative volume falls); minutes: LEAP_OVER_GAP, an open 3 % or more from a close 15 minutes before.
    """
    found: Counter[str] = Counter()
    arrived = np.lexsort((columns["row"], columns["code"]))
    same = np.diff(columns["code"][arrived]) == 0
    found["OUT_OF_ORDER"] = int((same & (np.diff(columns["ts"][arrived]) < 0)).sum())
    if kind == "daily":
        return found
    order = np.lexsort((columns["row"], columns["ts"], columns["code"]))
    same = np.diff(columns["code"][order]) == 0
    passed = np.diff(columns["ts"][order])
    if kind == "tick":
        volume = columns["volume"][order]
        known = same & (volume[1:] >= 0) & (volume[:-1] >= 0)
        found["SHARED_SECOND"] = int((same & (passed == 0)).sum())
        found["VOLUME_BACKWARDS"] = int((known & (np.diff(volume) < 0)).sum())
    else:
        opened, closed = columns["open"][order][1:], columns["close"][order][:-1]
        leapt = np.abs(opened - closed) >= _LEAP_RATIO * closed
        found["LEAP_OVER_GAP"] = int((same & (passed > _GAP_NS) & leapt).sum())
    return found


def price_instruments(reports: Sequence[FileReport]) -> list[Instrument]:
    """Make instrument rows for the cash stocks that prices were imported for.

    Parameters
    ----------
    reports : sequence of FileReport
        What was imported.

    Returns
    -------
    list of Instrument
        NSE_EQ, lot 1, tick 5 paise, valid from the first to the last imported day; by key.
    """
    spans: dict[str, tuple[date, date]] = {}
    for report in reports:
        for key, (first, last) in report.spans.items():
            low, high = spans.get(key, (first, last))
            spans[key] = (min(low, first), max(high, last))
    prefix = f"{Category.NSE_EQ.value}:"
    return [
        Instrument(
            instrument_key=key,
            category=Category.NSE_EQ,
            underlying=key.removeprefix(prefix),
            expiry=None,
            strike_paise=None,
            option_type=None,
            exchange_segment="NSE_EQ",
            security_id=key.removeprefix(prefix),
            lot_size=1,
            tick_paise=5,
            freeze_quantity=0,
            series="EQ",
            has_derivatives=False,
            valid_from=first,
            valid_to=last,
        )
        for key, (first, last) in sorted(spans.items())
        if key.startswith(prefix)
    ]


def _columns_of(kind: Kind) -> tuple[str, ...]:
    return ("code", "row", *COLUMNS[kind])


def _without_repeats(
    columns: dict[str, Int64Array], kind: Kind
) -> tuple[dict[str, Int64Array], NDArray[np.bool_]]:
    """Order a day by (key, time, place in the file) and tell repeats: the first of equal ones stays.

    Two bars of one moment are repeats whatever they say; two ticks only if they follow each other and price
    and volume are equal too.
    """
    order = np.lexsort((columns["row"], columns["ts"], columns["code"]))
    ordered = {name: values[order] for name, values in columns.items()}
    compared = ("code", "ts", "price", "volume") if kind == "tick" else ("code", "ts")
    same = np.ones(len(order) - 1, np.bool_)
    for name in compared:
        same &= ordered[name][1:] == ordered[name][:-1]
    repeated = np.concatenate([[False], same])
    back = np.zeros(len(order), np.bool_)
    back[order] = repeated
    return {name: values[~repeated] for name, values in ordered.items()}, back


def _table(keys: list[str], columns: dict[str, Int64Array], kind: Kind) -> pa.Table:
    symbol = pa.DictionaryArray.from_arrays(
        pa.array(columns["code"].astype(np.int32)), pa.array(keys, pa.string())
    )
    return pa.table({"symbol": symbol, **{name: columns[name] for name in COLUMNS[kind]}})


class _DayBuckets:
    """Collects rows by day; what does not fit into memory waits in temporary files."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self._folder = folder
        self._names = _columns_of(kind)
        self._pending: dict[int, list[dict[str, Int64Array]]] = {}
        self._spilled: dict[int, list[Path]] = {}
        self._rows = 0
        self._files = 0
        self._number: dict[str, int] = {}
        self.keys: list[str] = []

    def add(self, batch: Batch, wanted: NDArray[np.bool_], first_row: int) -> None:
        """Take the wanted rows of a batch whose first row is number ``first_row`` of the file."""
        at = np.flatnonzero(wanted)
        if not len(at):
            return
        code = np.array([self._code(key) for key in batch.keys], np.int64)[batch.codes[at]]
        values = (
            code,
            at + first_row,
            batch.ts[at],
            *(price[at] for price in batch.prices),
            batch.volume[at],
            *((batch.prev_close[at],) if "prev_close" in self._names else ()),
        )
        day = (batch.ts[at] + IST_OFFSET_NS) // NS_PER_DAY
        order = np.argsort(day, kind="stable")
        edges = np.flatnonzero(np.diff(day[order])) + 1
        for part in np.split(order, edges):
            columns = {name: value[part] for name, value in zip(self._names, values, strict=True)}
            self._pending.setdefault(int(day[part[0]]), []).append(columns)
        self._rows += len(at)
        if self._rows > SPILL_ROWS:
            self._spill()

    def _code(self, key: str) -> int:
        if key not in self._number:
            self._number[key] = len(self.keys)
            self.keys.append(key)
        return self._number[key]

    def _spill(self) -> None:
        for number, parts in self._pending.items():
            path = self._folder / f"{self._files}.parquet"
            self._files += 1
            pq.write_table(pa.table({n: np.concatenate([p[n] for p in parts]) for n in self._names}), path)
            self._spilled.setdefault(number, []).append(path)
        self._pending, self._rows = {}, 0

    def days(self) -> Iterator[tuple[date, dict[str, Int64Array]]]:
        """Give the rows of each day, days rising."""
        for number in sorted({*self._pending, *self._spilled}):
            parts = list(self._pending.get(number, []))
            for path in self._spilled.get(number, []):
                table = pq.read_table(path)
                parts.append({name: table[name].to_numpy() for name in self._names})
            day = date(1970, 1, 1) + timedelta(days=number)
            yield day, {name: np.concatenate([part[name] for part in parts]) for name in self._names}

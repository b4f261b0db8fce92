"""What becomes of the rows of a price file: which are refused and why, and the report the store keeps."""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from adapters.ticks.columns import (
    COUNTED_ONLY,
    IST_OFFSET_NS,
    NO_PRICE,
    NO_TIME,
    Batch,
    Defect,
    Int64Array,
    Kind,
)
from adapters.ticks.store import Stage
from propdesk.core.calendar import MarketCalendar, Segment, ist_date, ist_text
from propdesk.core.clock import NS_PER_DAY


@dataclass(slots=True)
class FileReport:
    """What became of one file.

    Attributes
    ----------
    rows, accepted : int
        Rows read and written.
    defects : Counter of str
        Refused rows by reason; all but `COUNTED_ONLY` stand in the file ``rejects`` with their row number.
    notes : Counter of str
        Oddities of rows that were taken all the same (`_notes_of`).
    rejects : str
        Address of that file; empty where nothing was refused.
    spans : dict of str to (date, date)
        First and last imported day per price key.
    has_base_prices : bool
        Daily rows named the exchange's previous close: corporate actions can be looked for in them.
    """

    path: str
    layout: str
    rows: int = 0
    accepted: int = 0
    defects: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    rejects: str = ""
    days: set[date] = field(default_factory=set)
    spans: dict[str, tuple[date, date]] = field(default_factory=dict)
    has_base_prices: bool = False

    def as_dict(self) -> dict[str, object]:
        """Say the same in plain values, as the store's manifest keeps it."""
        days = sorted(self.days)
        return {
            "file": self.path,
            "layout": self.layout,
            "rows": self.rows,
            "accepted": self.accepted,
            "defects": dict(sorted(self.defects.items())),
            "notes": dict(sorted(self.notes.items())),
            "rejects": self.rejects or None,
            "first": days[0].isoformat() if days else None,
            "last": days[-1].isoformat() if days else None,
            "days": len(days),
            "symbols": len(self.spans),
        }


def judge(batch: Batch, kind: Kind, calendar: MarketCalendar) -> NDArray[np.int8]:
    """Tell what is wrong with each row of a batch.

    Parameters
    ----------
    batch : Batch
        n rows.
    kind : str
        minute, daily or tick.
    calendar : MarketCalendar
        Days and hours.

    Returns
    -------
    ndarray of int8, shape (n,)
        `Defect` per row; 0 = nothing found. Repeats are found later, when a whole day is known.
    """
    result = np.zeros(len(batch.codes), np.int8)
    no_time = batch.ts == NO_TIME
    ts = np.where(no_time, 0, batch.ts)
    day_number = (ts + IST_OFFSET_NS) // NS_PER_DAY
    for number in np.unique(day_number[~no_time]).tolist():
        day = ist_date(number * NS_PER_DAY - IST_OFFSET_NS)
        on_day = (day_number == number) & ~no_time
        if not calendar.is_market_day(day):
            result[on_day] = Defect.OFF_DAY
        elif kind != "daily":
            inside = np.zeros(len(ts), bool)
            for first, last in calendar.hours(day, Segment.DERIVATIVES).parts:
                inside |= (ts >= first) & (ts < last)
            result[on_day & ~inside] = Defect.OUT_OF_HOURS
    if len(batch.prices) > 1:
        opened, high, low, close = batch.prices
        result[(high < np.maximum(opened, close)) | (low > np.minimum(opened, close))] = (
            Defect.IMPOSSIBLE_OHLC
        )
    for price in batch.prices:
        result[price == NO_PRICE] = Defect.BAD_PRICE
    result[no_time] = Defect.BAD_TIME
    result[batch.marked != Defect.NONE] = batch.marked[batch.marked != Defect.NONE]
    return result


def count_defects(defect: NDArray[np.int8]) -> dict[str, int]:
    """Count refused rows by the name of their `Defect`."""
    codes, counts = np.unique(defect[defect != Defect.NONE], return_counts=True)
    return {
        Defect(code).name: int(count) for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
    }


class Rejects:
    """Writes refused rows to a CSV file beside the day's manifest."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "rejects.csv"
        self._count = 0
        self._file: io.TextIOWrapper | None = None

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(("row", "reason", "key", "time", "prices_paise"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, batch: Batch, defect: NDArray[np.int8], first_row: int) -> None:
        """Write the refused rows of a batch; those of `COUNTED_ONLY` are counted only."""
        at = np.flatnonzero(~np.isin(defect, (Defect.NONE, *COUNTED_ONLY)))
        for n in at.tolist():
            time = "" if batch.ts[n] == NO_TIME else ist_text(int(batch.ts[n]))
            prices = "/".join(str(int(price[n])) for price in batch.prices)
            reason = Defect(int(defect[n])).name
            self._writer.writerow((first_row + n + 1, reason, batch.keys[batch.codes[n]], time, prices))
        self._count += len(at)

    def add_repeats(
        self, keys: list[str], columns: dict[str, Int64Array], repeated: NDArray[np.bool_]
    ) -> None:
        """Write the repeats of a day."""
        names = [name for name in columns if name not in ("code", "row", "ts", "volume", "prev_close")]
        for n in np.flatnonzero(repeated).tolist():
            prices = "/".join(str(int(columns[name][n])) for name in names)
            key, time = keys[int(columns["code"][n])], ist_text(int(columns["ts"][n]))
            self._writer.writerow((int(columns["row"][n]) + 1, Defect.DUPLICATE.name, key, time, prices))
            self._count += 1

    def add_ragged(self, rows: Sequence[str]) -> None:
        """Write rows that have another number of cells than the header, whole; their place is not known."""
        for text in rows:
            self._writer.writerow(("", Defect.RAGGED.name, "", "", text.strip()))
        self._count += len(rows)

    def payload(self) -> bytes:
        """Give the file as bytes; empty where nothing was refused."""
        if not self._count or self._file is None:
            return b""
        self._file.flush()
        return self._path.read_bytes()


def note_report(stage: Stage, rejects: Rejects, report: FileReport, path: Path) -> None:
    """Keep what became of the file in the manifest, with the rows that were refused."""
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]  # equal names in two folders
    refused = rejects.payload()
    if refused:
        report.rejects = stage.add_file(f"manifest/rejects/{path.name}-{place}.csv", refused)
    told = json.dumps(report.as_dict(), indent=1)
    stage.add_file(f"manifest/imports/{path.name}-{place}.json", told.encode())

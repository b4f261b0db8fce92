"""Bars, ticks and quotes as Parquet files by (kind, date), in a folder or an object store.

Layout: ``<root>/<kind>/<YYYY-MM-DD>.parquet`` (kind: see `Kind`; the date is the IST day), rows
sorted by (symbol, ts), plus ``<root>/manifest/<kind>/<YYYY-MM-DD>.json`` with what is missing in that day and
``<root>/actions/<source>.json`` with the corporate actions. Bars are kept and read as they traded.
Days written together are staged beside their places, and a list of moves is the moment from which they count:
a writer that dies before it leaves nothing, one that dies after it is finished by the next. A reader sees the
old file or the new one, never half. Writers take turns, and move nothing while a step reads (`turns`).
"""

import contextlib
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from types import TracebackType
from typing import Any, Literal, Self, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from adapters.calendar import load_calendar
from adapters.ticks.place import Place, staging_name
from adapters.ticks.turns import FolderTurns, FreeTurns, Turn, Turns
from propdesk.core.calendar import MarketCalendar, Segment, ist_date, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
from propdesk.core.errors import DataFault, SchemaFault
from propdesk.core.invariant import require
from propdesk.intake.minutes import filled
from propdesk.model.corporate_action import Actions, CorporateAction
from propdesk.ports import BarArrays

Kind = Literal["minute", "daily", "tick", "recorded", "recorded_in_part", "quote"]
KINDS: tuple[Kind, ...] = get_args(Kind)
IMPORTED_KINDS: tuple[Kind, ...] = ("minute", "daily", "tick")
"""What files and the broker's candles bring: only these say how far the market is known."""
BESIDE_KINDS: tuple[Kind, ...] = ("recorded", "recorded_in_part", "quote")
"""What a daemon saw: minute bars of series that it watched for a whole session, those of the others, and
last bids and asks. Of these only the first are read as prices (`ParquetPriceStore.minute_bars`)."""
Int64Array = NDArray[np.int64]

OUTAGE_NS = 30 * NS_PER_MINUTE
"""A silence of the whole feed of at least this length in market hours is an outage (§2.5)."""

GAP_MINUTES = 15
"""A silence of one symbol of at least this many minutes between two of its rows is listed in the manifest."""

ROW_GROUP_ROWS = 100_000
"""Rows of a Parquet row group (§2.8): its symbol statistics let a reader skip what it does not ask for."""

_BAR_PRICES = ("open", "high", "low", "close")
BAR_COLUMNS = ("ts", *_BAR_PRICES, "volume")
TICK_COLUMNS = ("ts", "price", "volume")
PREV_CLOSE = "prev_close"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "minute": BAR_COLUMNS,
    "daily": (*BAR_COLUMNS, PREV_CLOSE),
    "tick": TICK_COLUMNS,
    "recorded": BAR_COLUMNS,
    "recorded_in_part": BAR_COLUMNS,
    "quote": ("ts", "bid", "ask"),
}
"""Columns of a file beside ``symbol``; ``prev_close`` may be left out when writing (-1, unknown)."""
_ACTION_SOURCES = ("prev_close", "file")
"""Where corporate actions come from; of two of one share and day the later source counts."""
_staged = itertools.count()


@dataclass(frozen=True, slots=True)
class DayCoverage:
    """What one day of one kind holds.

    Attributes
    ----------
    rows, symbols : int
        Counts.
    outages : tuple of (int, int)
        Spans [from_ns, to_ns) of market hours in which the whole feed was silent for 30 minutes or longer.
    gaps : mapping of symbol to tuple of (int, int)
        Spans between two rows of one symbol of 15 minutes or longer (minute bars and ticks).
    """

    day: date
    rows: int
    symbols: int
    outages: tuple[tuple[int, int], ...]
    gaps: Mapping[str, tuple[tuple[int, int], ...]]


class ParquetPriceStore:
    """Stored prices behind `propdesk.ports.PriceSource`.

    Parameters
    ----------
    url : str
        Folder or address of an object store (`adapters.ticks.place.Place`).
    calendar : MarketCalendar, optional
        Market hours for the outages; the exchange's own by default.
    until : date, optional
        Show the store as it was at the end of this IST day: a later day has no file, what was learnt
        later is no corporate action, and nothing can be written.
    turns : Turns, optional
        How processes take turns; by locks in the folder by default. An object store has no such thing:
        `adapters.ticks.opening.open_store` brings the database's.
    """

    def __init__(
        self,
        url: str,
        calendar: MarketCalendar | None = None,
        *,
        until: date | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._place = Place(url)
        self._calendar = calendar
        self._until = until
        self.url = self._place.url
        folder = self._place.folder
        self._turns: Turns = turns or (FreeTurns() if folder is None else FolderTurns(folder))
        self._turn: Turn | None = None

    # --------------------------------------------------------------------------------------------- turns

    @contextmanager
    def writing(self) -> Iterator[Turn]:
        """Hold the one turn to write: what is read within it stands until the end; may be nested.

        Raises
        ------
        DataFault
            If another process holds it for too long, or it cannot be taken.
        """
        if self._turn is not None:
            yield self._turn
            return
        with self._turns.writing() as self._turn:
            try:
                yield self._turn
            finally:
                self._turn = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep every file as it is while several are read; an import goes on and waits with its moves.

        Not to be nested: the inner one would wait for an import that waits for the outer one.

        Raises
        ------
        DataFault
            If files are being replaced for too long, or the turn cannot be taken; in the end, if it was lost
            meanwhile, so that what was read may be half of before an import and half of after it.
        """
        with self._turns.reading() as turn:
            yield
            turn.verify()

    # ------------------------------------------------------------------------------------------- writing

    def write_minutes(self, day: date, table: pa.Table) -> None:
        """Replace the minute bars of the table's symbols on one IST day; see `stage` for the columns."""
        self._write_one("minute", day, table)

    def write_daily(self, day: date, table: pa.Table) -> None:
        """Replace the daily bars of the table's symbols on one IST day; see `stage` for the columns."""
        self._write_one("daily", day, table)

    def write_ticks(self, day: date, table: pa.Table) -> None:
        """Replace the ticks of the table's symbols on one IST day; see `stage` for the columns."""
        self._write_one("tick", day, table)

    def _write_one(self, kind: Kind, day: date, table: pa.Table) -> None:
        with self.stage() as stage:
            stage.add(kind, day, table)

    def stage(self) -> "Stage":
        """Collect many days and publish them together: leaving the block by an error publishes none."""
        require(self._until is None, "a store shown as of a past day cannot be written")
        return Stage(self)

    def _merged(self, kind: Kind, day: date, table: pa.Table) -> pa.Table:
        """Join the table with the day's other symbols and put it into the store's order."""
        table = _conform(table, kind, day)
        name = _data_name(kind, day)
        if self._place.exists(name):
            old = _conform(self._open(name).read(), kind, day)
            names = pa.array(table["symbol"].unique().to_pylist(), pa.string())
            replaced = pc.is_in(old["symbol"].cast(pa.string()), value_set=names)
            kept = old.filter(pc.invert(replaced))
            if kind in BESIDE_KINDS:
                table = _filled_up(old.filter(replaced), table, kind)
            if kept.num_rows:
                table = pa.concat_tables([kept, table])
        return _sorted(table)

    # ------------------------------------------------------------------------------------------- reading

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        """Read minute bars of the closed interval of IST days; a key without data is absent.

        Recorded bars of a series that a daemon watched for a whole session stand for days of which nothing
        was imported, unless a daily bar tells of a price that they lack (`contradicted`).

        Parameters
        ----------
        price_keys : sequence of str
            As in `propdesk.model.instrument`.
        first, last : date
            IST days, both included.

        Returns
        -------
        dict of str to BarArrays
            Contiguous arrays, ns UTC strictly rising, paise.

        Raises
        ------
        DataFault
            If a file of the range cannot be read.
        """
        gathered = self._gather("minute", price_keys, first, last)
        found = {key: _bar_arrays(columns, NS_PER_MINUTE) for key, columns in gathered.items()}
        for key, parts in self._recorded(price_keys, first, last, found).items():
            columns = {name: np.concatenate([part[name] for part in parts]) for name in BAR_COLUMNS}
            seen = _bar_arrays(columns, NS_PER_MINUTE)
            found[key] = filled(found[key], seen) if key in found else seen
        return found

    def _recorded(
        self, keys: Sequence[str], first: date, last: date, imported: Mapping[str, BarArrays]
    ) -> dict[str, list[dict[str, Int64Array]]]:
        """Columns per key of the recorded days that nothing speaks against, a part per day."""
        found: dict[str, list[dict[str, Int64Array]]] = {}
        for day in self._days_between("recorded", first, last):
            midnight, stands = ist_midnight_ns(day), self._read("recorded", day, keys, BAR_COLUMNS)
            missing = {
                key: part
                for key, part in stands.items()
                if key not in imported or not _has_bars(imported[key], midnight)
            }
            seen = {key: _bar_arrays(part, NS_PER_MINUTE) for key, part in missing.items()}
            for key in sorted(missing.keys() - self.contradicted(day, seen)):
                found.setdefault(key, []).append(missing[key])
        return found

    def contradicted(self, day: date, seen: Mapping[str, BarArrays]) -> frozenset[str]:
        """Tell of which series the day's own bar holds a higher or a lower price than any of its minutes.

        Parameters
        ----------
        day : date
            IST day.
        seen : mapping of str to BarArrays
            Minutes of that day, paise, each with a bar at least; what has no daily bar is not contradicted.

        Raises
        ------
        DataFault
            If the day's file cannot be read.
        """
        if not self._shows(day):
            return frozenset()
        stands = self._read("daily", day, list(seen), ("high", "low"))
        return frozenset(
            key
            for key, row in stands.items()
            if row["high"].max() > seen[key].high_paise.max() or row["low"].min() < seen[key].low_paise.min()
        )

    def ticks(
        self, price_keys: Sequence[str], first: date, last: date
    ) -> dict[str, tuple[Int64Array, Int64Array]]:
        """Read ticks (ns UTC, not falling; paise) of the closed interval of IST days."""
        found = self._gather("tick", price_keys, first, last)
        return {key: (columns["ts"], columns["price"]) for key, columns in found.items()}

    def quotes(
        self, price_keys: Sequence[str], first: date, last: date
    ) -> dict[str, tuple[Int64Array, Int64Array, Int64Array]]:
        """Read start (ns UTC, rising), last bid and last ask (paise, -1 unknown) of recorded minutes."""
        found = self._gather("quote", price_keys, first, last)
        return {key: (columns["ts"], columns["bid"], columns["ask"]) for key, columns in found.items()}

    def daily_bars(
        self, price_keys: Sequence[str], first: date, last: date, *, from_minutes: bool = True
    ) -> dict[str, BarArrays]:
        """Read daily bars (start = IST midnight), built from imported minutes where no daily row stands.

        Parameters
        ----------
        price_keys, first, last
            As of `minute_bars`.
        from_minutes : bool
            False leaves out the days without a daily row: nothing but the daily files is read.

        Raises
        ------
        DataFault
            If a file of the range cannot be read.
        """
        found: dict[str, list[dict[str, Int64Array]]] = {}
        for day in self._days_between("daily", first, last):
            for key, part in self._read("daily", day, price_keys, BAR_COLUMNS).items():
                found.setdefault(key, []).append(part)
        stamps = {key: {int(part["ts"][0]) for part in found.get(key, ())} for key in price_keys}
        for day in self._days_between("minute", first, last) if from_minutes else ():
            midnight = ist_midnight_ns(day)
            missing = [key for key, known in stamps.items() if midnight not in known]
            if missing:
                for key, part in self._read("minute", day, missing, BAR_COLUMNS).items():
                    found.setdefault(key, []).append(_daily_from_minutes(part, midnight))
        for parts in found.values():
            parts.sort(key=lambda part: int(part["ts"][0]))
        joined = {
            key: {name: np.concatenate([part[name] for part in parts]) for name in BAR_COLUMNS}
            for key, parts in found.items()
        }
        return {key: _bar_arrays(columns, NS_PER_DAY) for key, columns in joined.items()}

    def market_minutes(
        self, price_keys: Sequence[str], day: date
    ) -> Iterator[tuple[int, dict[str, tuple[int, int, int, int, int]]]]:
        """Go through one day minute by minute, for replay.

        Yields
        ------
        tuple of (int, dict)
            Start of the minute in ns UTC, rising, and per key with a bar in it
            ``(open, high, low, close, volume)`` in paise and units.
        """
        found = self._read("minute", day, price_keys, BAR_COLUMNS) if self._shows(day) else {}
        by_minute: dict[int, dict[str, tuple[int, int, int, int, int]]] = {}
        for key in sorted(found):
            columns = [found[key][name].tolist() for name in BAR_COLUMNS]
            for ts, opened, high, low, close, volume in zip(*columns, strict=True):
                by_minute.setdefault(ts, {})[key] = (opened, high, low, close, volume)
        for ts in sorted(by_minute):
            yield ts, by_minute[ts]

    def days(self, kind: Kind) -> list[date]:
        """List the IST days that have a file of this kind, rising."""
        names = self._place.names(kind)
        stored = (date.fromisoformat(n.removesuffix(".parquet")) for n in names if n.endswith(".parquet"))
        return sorted(day for day in stored if self._shows(day))

    def symbols(self, kind: Kind, day: date) -> list[str]:
        """List the keys that one day of this kind holds, by code point; empty without a file."""
        name = _data_name(kind, day)
        if not self._shows(day) or not self._place.exists(name):
            return []
        return sorted(self._open(name).read(columns=["symbol"])["symbol"].unique().to_pylist())

    def outages(self, first: date, last: date) -> dict[date, list[tuple[int, int]]]:
        """Spans [from_ns, to_ns) in which the whole feed was silent for 30 minutes of market hours or more.

        A day that has minute bars is judged by them, else by its ticks; a day without any is absent.
        """
        result: dict[date, list[tuple[int, int]]] = {}
        for kind in ("tick", "minute"):
            for day in self._days_between(kind, first, last):
                found = list(self.day_coverage(kind, day).outages)
                result.pop(day, None)
                if found:
                    result[day] = found
        return dict(sorted(result.items()))

    def day_coverage(self, kind: Kind, day: date) -> DayCoverage:
        """Read the manifest of one day.

        Raises
        ------
        DataFault
            If the day has no readable manifest.
        """
        name = _manifest_name(kind, day)
        if not self._shows(day):
            raise DataFault(
                f"{self._place.path(name)} lies after {self._until}, up to which the store is shown"
            )
        try:
            data = json.loads(self._place.read(name))
            return DayCoverage(
                day,
                data["rows"],
                data["symbols"],
                tuple((a, b) for a, b in data["outages"]),
                {key: tuple((a, b) for a, b in spans) for key, spans in data["gaps"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataFault(
                f"{self._place.path(name)} is not a readable manifest ({error}); import the prices of {day} "
                "again to rebuild it"
            ) from error

    def coverage(self, kind: Kind, first: date, last: date) -> list[DayCoverage]:
        """Read the manifests of the days of a closed interval that have data, rising."""
        return [self.day_coverage(kind, day) for day in self._days_between(kind, first, last)]

    def daily_rows(self, day: date) -> list[tuple[str, int, int, int]]:
        """List (key, open, close, previous close) of every daily row of one day, paise; by key.

        The exchange's previous close is -1 where the file it came from names none.
        """
        table = _conform(self._open(_data_name("daily", day)).read(), "daily", day)
        names, codes = _encoded(table["symbol"])
        columns = (table[name].to_pylist() for name in ("open", "close", PREV_CLOSE))
        return list(zip((names[code] for code in codes), *columns, strict=True))

    def actions(self) -> Actions:
        """Give all corporate actions; what a person's file says counts before what prices suggest."""
        return Actions(one for source in _ACTION_SOURCES for one in self.actions_of(source))

    def actions_of(self, source: str) -> list[CorporateAction]:
        """List the corporate actions of one source.

        Raises
        ------
        DataFault
            If the store's list cannot be read.
        """
        name = f"actions/{source}.json"
        if not self._place.exists(name):
            return []
        try:
            found = [_action_from(row, source) for row in json.loads(self._place.read(name))]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataFault(
                f"{self._place.path(name)} is no readable list of corporate actions ({error}); "
                "load or detect them again (`propdesk prices actions`)."
            ) from error
        return [one for one in found if self._shows(one.known_on)]

    def write_actions(self, source: str, actions: Iterable[CorporateAction]) -> None:
        """Replace the corporate actions of one source; of two of one share and day the later counts."""
        require(source in _ACTION_SOURCES, f"{source} is a source of corporate actions")
        rows = [_action_row(one) for one in Actions(actions).all()]
        with self.stage() as stage:
            stage.add_file(f"actions/{source}.json", json.dumps(rows, indent=0).encode())

    def imports(self) -> list[dict[str, Any]]:
        """Tell what became of each imported file, by name (`adapters.ticks.importers.FileReport.as_dict`)."""
        folder = "manifest/imports"
        return [json.loads(self._place.read(f"{folder}/{name}")) for name in self._place.names(folder)]

    # ------------------------------------------------------------------------------------------- helpers

    @property
    def calendar(self) -> MarketCalendar:
        """The market's hours."""
        if self._calendar is None:
            self._calendar = load_calendar()
        return self._calendar

    def _shows(self, day: date) -> bool:
        return self._until is None or day <= self._until

    def _days_between(self, kind: Kind, first: date, last: date) -> list[date]:
        return [day for day in self.days(kind) if first <= day <= last]

    def _open(self, name: str) -> pq.ParquetFile:
        try:
            source, is_mapped = self._place.source(name)
            return pq.ParquetFile(source, read_dictionary=["symbol"], memory_map=is_mapped)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self._place.path(name), error) from error

    def _gather(
        self, kind: Kind, keys: Sequence[str], first: date, last: date
    ) -> dict[str, dict[str, Int64Array]]:
        """Columns per key over all days, filled in place: counting first keeps the memory at one copy."""
        columns = COLUMNS[kind]
        days = self._days_between(kind, first, last)
        sizes: dict[str, int] = {}
        for day in days:
            for key, part in self._read(kind, day, keys, ()).items():
                sizes[key] = sizes.get(key, 0) + len(part["row"])
        found = {key: {name: np.empty(size, np.int64) for name in columns} for key, size in sizes.items()}
        filled = dict.fromkeys(sizes, 0)
        for day in days:
            for key, part in self._read(kind, day, keys, columns).items():
                at = slice(filled[key], filled[key] + len(part["ts"]))
                filled[key] = at.stop
                for name in columns:
                    found[key][name][at] = part[name]
        return found

    def _read(
        self, kind: Kind, day: date, keys: Sequence[str], columns: tuple[str, ...]
    ) -> dict[str, dict[str, Int64Array]]:
        """Slices of one day's file per wanted key; without columns only ``row``, to be counted.

        The file is sorted, so a key is one run of rows.
        """
        name = _data_name(kind, day)
        if not keys or not self._place.exists(name):
            return {}
        wanted = set(keys)
        file = self._open(name)
        groups = [g for g in range(file.num_row_groups) if _may_hold(file, g, wanted)]
        if not groups:
            return {}
        try:
            table = file.read_row_groups(groups, columns=["symbol", *columns], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(self._place.path(name), error) from error
        arrays = {name: table[name].to_numpy() for name in columns}
        if not columns:
            arrays["row"] = np.arange(table.num_rows)
        return {
            symbol: {name: array[start:end] for name, array in arrays.items()}
            for symbol, start, end in _runs(table["symbol"])
            if symbol in wanted
        }


def _data_name(kind: str, day: date) -> str:
    return f"{kind}/{day.isoformat()}.parquet"


def _manifest_name(kind: str, day: date) -> str:
    return f"manifest/{kind}/{day.isoformat()}.json"


def _action_row(one: CorporateAction) -> dict[str, str]:
    return {
        "price_key": one.price_key,
        "ex_date": one.ex_date.isoformat(),
        "factor": str(one.factor),
        "kind": one.kind,
        "known_on": one.known_on.isoformat(),
    }


def _action_from(row: dict[str, str], source: str) -> CorporateAction:
    return CorporateAction(
        row["price_key"],
        date.fromisoformat(row["ex_date"]),
        Fraction(row["factor"]),
        row["kind"],
        source,
        date.fromisoformat(row["known_on"]),
    )


def _unreadable(path: str, error: Exception) -> DataFault:
    return DataFault(f"{path} is not a readable price file ({error}); import the prices of that day again")


class Stage:
    """Days written together; use as a context manager (`ParquetPriceStore.stage`)."""

    def __init__(self, store: ParquetPriceStore) -> None:
        self._store = store
        self._place = store._place
        self._folder = staging_name(next(_staged))
        self._spooled: list[tuple[str, str]] = []
        self._known: set[tuple[Kind, date]] = set()
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as held:
            self._turn = held.enter_context(self._store.writing())
            try:
                if self._place.is_left_behind():
                    with self._store._turns.replacing():
                        self._place.finish_commits()
            except OSError as error:
                raise _unwritable(self._place.url, error) from error
            self._held = held.pop_all()
        return self

    def add(self, kind: Kind, day: date, table: pa.Table) -> None:
        """Prepare one day: the table's symbols are replaced on it, or of `BESIDE_KINDS` filled up.

        Parameters
        ----------
        kind : {"minute", "daily", "tick"}
            What the rows are.
        day : date
            IST day of every row.
        table : pyarrow.Table
            ``symbol`` (price key), ``ts`` (int64 ns UTC; bar start, IST midnight for daily), bars:
            ``open high low close`` (int64 paise), ticks: ``price`` (int64 paise); ``volume`` (int64, -1
            unknown).

        Raises
        ------
        SchemaFault
            If columns, types, the day, the prices or the order of the stamps are not as promised.
        """
        require((kind, day) not in self._known, f"the {kind} rows of {day} were staged twice")
        self._known.add((kind, day))
        merged = self._store._merged(kind, day, table)
        if kind != "tick":
            _check_unique(merged, kind, day)
        missing = _manifest(merged, kind, day, self._store.calendar)
        self._spool(_data_name(kind, day), _parquet_bytes(merged))
        self._spool(_manifest_name(kind, day), json.dumps(missing).encode())

    def add_file(self, name: str, payload: bytes) -> str:
        """Put a file at a place in the store (a report, refused rows, a list); returns its address."""
        self._spool(name, payload)
        return self._place.path(name)

    def _spool(self, name: str, payload: bytes) -> None:
        staged = f"{self._folder}/{len(self._spooled)}"
        try:
            self._place.put(staged, payload)
        except OSError as error:
            raise _unwritable(self._place.url, error) from error
        self._spooled.append((staged, name))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            try:
                if kind is None and self._spooled:
                    self._publish()
                else:
                    self._place.remove(self._folder)
            except OSError as fault:
                raise self._unpublished(fault) from fault

    def _publish(self) -> None:
        try:
            with self._store._turns.replacing() as content:
                self._turn.verify()
                content.verify()
                self._place.commit(self._folder, self._spooled)
        except DataFault:  # no turn: nothing was moved
            self._place.remove(self._folder)
            raise

    def _unpublished(self, fault: OSError) -> DataFault:
        """Clean up after a commit that failed, or say that the next writer finishes it."""
        if self._place.is_committed(self._folder):
            return DataFault(
                f"The price store {self._place.url} broke off while files were put into place "
                f"({fault.strerror or fault}); the next import or download finishes that first."
            )
        with contextlib.suppress(OSError):
            self._place.remove(self._folder)
        return _unwritable(self._place.url, fault)


def _unwritable(url: str, error: OSError) -> DataFault:
    return DataFault(
        f"The price store {url} cannot be written ({error.strerror or error}); make room or move it."
    )


def bars_table(rows: Iterable[tuple[str, BarArrays]]) -> pa.Table:
    """Put bars of several keys into one table as `Stage.add` takes it.

    Returns
    -------
    pyarrow.Table
        Rows in the order given; ``symbol`` dictionary-encoded.
    """
    pairs = list(rows)
    keys = [key for key, _ in pairs]
    lengths = [len(bars.start_ns) for _, bars in pairs]
    codes = np.repeat(np.arange(len(keys), dtype=np.int32), lengths)
    fields = ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise", "volume")
    columns = {
        name: np.concatenate([getattr(bars, field) for _, bars in pairs]) if pairs else np.empty(0, np.int64)
        for name, field in zip(BAR_COLUMNS, fields, strict=True)
    }
    symbol = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(keys, pa.string()))
    return pa.table({"symbol": symbol, **columns})


def _filled_up(held: pa.Table, table: pa.Table, kind: Kind) -> pa.Table:
    """Join what a day holds of some symbols with more of them; what is there stays.

    Of a whole session the one who saw it first tells all: volumes of two watchers do not add up.
    """
    if kind == "recorded":
        known = pa.array(held["symbol"].unique().to_pylist(), pa.string())
        table = table.filter(pc.invert(pc.is_in(table["symbol"].cast(pa.string()), value_set=known)))
    both = _sorted(pa.concat_tables([held, table]))
    _, codes = _encoded(both["symbol"])
    is_first = (np.diff(codes, prepend=-1) != 0) | (np.diff(both["ts"].to_numpy(), prepend=-1) != 0)
    return both.filter(pa.array(is_first))


def _conform(table: pa.Table, kind: Kind, day: date) -> pa.Table:
    names = ("symbol", *COLUMNS[kind])
    if kind == "daily" and PREV_CLOSE not in table.column_names:
        table = table.append_column(PREV_CLOSE, pa.array(np.full(table.num_rows, -1, np.int64)))
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise SchemaFault(f"a {kind} table of {day} lacks the column {', '.join(missing)}")
    try:
        columns = [table[name].cast(pa.int64()) for name in names[1:]]
        symbol = table["symbol"]
        if not pa.types.is_dictionary(symbol.type):
            symbol = symbol.cast(pa.string()).dictionary_encode()
        symbol = symbol.cast(pa.dictionary(pa.int32(), pa.string()))
    except pa.ArrowException as error:
        raise SchemaFault(f"a {kind} table of {day} has a column of the wrong type: {error}") from error
    result = pa.table([symbol, *columns], names=list(names)).unify_dictionaries()
    nulls = [name for name in names if result[name].null_count]
    if nulls:
        raise SchemaFault(f"a {kind} table of {day} has empty values in {', '.join(nulls)}")
    _check_values(result, kind, day)
    return result


def _check_values(table: pa.Table, kind: Kind, day: date) -> None:
    if not table.num_rows:
        return
    ts = table["ts"].to_numpy()
    if ist_date(int(ts.min())) != day or ist_date(int(ts.max())) != day:
        raise SchemaFault(f"a {kind} table of {day} has rows of another IST day")
    if kind == "quote":
        _check_quotes(table, day)
        return
    prices = [table[name].to_numpy() for name in (("price",) if kind == "tick" else _BAR_PRICES)]
    if any(int(column.min()) <= 0 for column in prices):
        raise SchemaFault(f"a {kind} table of {day} has a price that is not positive")
    if kind != "tick":
        opened, high, low, close = prices
        if (high < np.maximum(opened, close)).any() or (low > np.minimum(opened, close)).any():
            raise SchemaFault(f"a {kind} table of {day} has a bar whose high or low does not hold its prices")


def _check_quotes(table: pa.Table, day: date) -> None:
    bid, ask = (table[name].to_numpy() for name in ("bid", "ask"))
    if (((bid <= 0) & (bid != -1)) | ((ask <= 0) & (ask != -1)) | (np.maximum(bid, ask) <= 0)).any():
        raise SchemaFault(f"a quote table of {day} has a row without a positive bid or ask")


def _check_unique(table: pa.Table, kind: Kind, day: date) -> None:
    if not table.num_rows:
        return
    names, codes = _encoded(table["symbol"])
    repeated = (np.diff(codes) == 0) & (np.diff(table["ts"].to_numpy()) <= 0)
    if repeated.any():
        key = names[codes[int(np.argmax(repeated))]]
        raise SchemaFault(f"a {kind} table of {day} has two bars of {key} at one moment")


def _sorted(table: pa.Table) -> pa.Table:
    """Order by (symbol, ts), keeping the order of arrival of equal ticks."""
    table = table.combine_chunks().unify_dictionaries()
    symbol = table["symbol"].chunk(0) if table.num_rows else None
    if symbol is None:
        return table
    names = np.asarray(symbol.dictionary.to_pylist(), dtype=object)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(names, kind="stable")] = np.arange(len(names))
    place = rank[symbol.indices.to_numpy()]
    ts = table["ts"].to_numpy()
    falls = (np.diff(place) < 0) | ((np.diff(place) == 0) & (np.diff(ts) < 0))
    return table.take(pa.array(np.lexsort((ts, place)))) if falls.any() else table


def _parquet_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP_ROWS,
        compression="zstd",
        compression_level=1,
        use_dictionary=["symbol"],
        column_encoding={name: "DELTA_BINARY_PACKED" for name in table.column_names if name != "symbol"},
        store_schema=False,
    )
    return sink.getvalue()


def _may_hold(file: pq.ParquetFile, group: int, wanted: set[str]) -> bool:
    stats = file.metadata.row_group(group).column(0).statistics
    if stats is None or not stats.has_min_max:
        return True
    return any(stats.min <= key <= stats.max for key in wanted)


def _runs(symbol: pa.ChunkedArray) -> Iterator[tuple[str, int, int]]:
    names, codes = _encoded(symbol)
    if not len(codes):
        return
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    for start, end in itertools.pairwise(edges):
        yield names[codes[start]], start, end


def _encoded(symbol: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int32]]:
    """Different symbols of a column, and the place of each row's own among them."""
    combined = symbol.unify_dictionaries().combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        if not combined.num_chunks:
            return [], np.empty(0, np.int32)
        combined = combined.chunk(0)
    return combined.dictionary.to_pylist(), combined.indices.to_numpy()


def _bar_arrays(columns: Mapping[str, Int64Array], interval_ns: int) -> BarArrays:
    return BarArrays(
        start_ns=columns["ts"],
        open_paise=columns["open"],
        high_paise=columns["high"],
        low_paise=columns["low"],
        close_paise=columns["close"],
        volume=columns["volume"],
        interval_ns=interval_ns,
    )


def _has_bars(bars: BarArrays, midnight_ns: int) -> bool:
    first, end = np.searchsorted(bars.start_ns, [midnight_ns, midnight_ns + NS_PER_DAY])
    return bool(end > first)


def _daily_from_minutes(part: dict[str, Int64Array], midnight_ns: int) -> dict[str, Int64Array]:
    volume = part["volume"]
    known = volume[volume >= 0]
    values = {
        "ts": midnight_ns,
        "open": part["open"][0],
        "high": part["high"].max(),
        "low": part["low"].min(),
        "close": part["close"][-1],
        "volume": known.sum() if len(known) else -1,
    }
    return {name: np.array([value], np.int64) for name, value in values.items()}


def _manifest(table: pa.Table, kind: Kind, day: date, calendar: MarketCalendar) -> dict[str, Any]:
    ts = table["ts"].to_numpy()
    runs = list(_runs(table["symbol"]))
    gaps: dict[str, list[tuple[int, int]]] = {}
    if kind not in ("daily", "quote"):
        for key, start, end in runs:
            spans = _silences(ts[start:end] // NS_PER_MINUTE * NS_PER_MINUTE, GAP_MINUTES * NS_PER_MINUTE)
            if spans:
                gaps[key] = spans
    return {
        "rows": table.num_rows,
        "symbols": len(runs),
        "outages": _outages(ts, day, calendar) if kind in ("minute", "tick") else [],
        "gaps": gaps,
    }


def _outages(ts: Int64Array, day: date, calendar: MarketCalendar) -> list[tuple[int, int]]:
    """Silent spans of market hours; the feed's first and last minutes count from open and close."""
    if not calendar.is_market_day(day):
        return []
    minutes = np.unique(ts // NS_PER_MINUTE * NS_PER_MINUTE)
    found: list[tuple[int, int]] = []
    # The break between the two sessions of a drill day is no outage.
    for first, last in calendar.hours(day, Segment.CASH).parts:
        inside = minutes[(minutes >= first) & (minutes < last)]
        found += _silences(np.concatenate([[first - NS_PER_MINUTE], inside, [last]]), OUTAGE_NS)
    return found


def _silences(minutes: Int64Array, length_ns: int) -> list[tuple[int, int]]:
    require(bool((np.diff(minutes) >= 0).all()), "stamps of a price file must not fall")
    starts, ends = minutes[:-1] + NS_PER_MINUTE, minutes[1:]
    long = ends - starts >= length_ns
    return list(zip(starts[long].tolist(), ends[long].tolist(), strict=True))

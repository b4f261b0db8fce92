"""Layouts of price files and how each becomes (key, time, prices, volume); nothing is judged here."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from adapters.ticks import bhavcopies
from adapters.ticks.columns import (
    NO_PRICE,
    PRICES,
    Batch,
    Context,
    Defect,
    Kind,
    coded,
    is_unnamed,
    ist_days,
    ist_stamps,
    no_prices,
    nothing_marked,
    numbers,
    price_key,
    prices,
    texts,
    units,
    unnamed,
)
from adapters.ticks.contract_names import contract_of_name
from propdesk.core.errors import DataFault, SchemaFault

BATCH_ROWS = 200_000
"""Rows read at once: a file of any length needs the memory of one batch and of the days still open."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout: told apart by its columns."""

    name: str
    kind: Kind
    columns: tuple[str, ...]
    read: Callable[[pa.Table, Context], Batch]


def find_layout(path: Path, kind: str = "auto") -> Layout:
    """Tell a file's layout by its columns.

    Parameters
    ----------
    path : Path
        Parquet or CSV, plain or gzip.
    kind : str
        ``auto``, or the name of the layout the file must have.

    Raises
    ------
    DataFault
        If the file cannot be read.
    SchemaFault
        If no layout, or not the one asked for, fits its columns.
    """
    names = _column_names(path)
    fitting = [layout for layout in LAYOUTS if set(layout.columns) <= set(names)]
    if kind != "auto":
        asked = next((layout for layout in LAYOUTS if layout.name == kind), None)
        if asked is None:
            known = ", ".join(layout.name for layout in LAYOUTS)
            raise SchemaFault(f"There is no layout {kind!r}; use auto or one of {known}.")
        missing = [name for name in asked.columns if name not in names]
        if missing:
            raise SchemaFault(
                f"{path} lacks the column {', '.join(missing)} of the layout {kind}; "
                f"it has {', '.join(names[:20])}. Rename the columns or leave --kind out."
            )
        return asked
    if not fitting:
        needed = "; ".join(f"{layout.name}: {', '.join(layout.columns)}" for layout in LAYOUTS)
        raise SchemaFault(
            f"{path} has the columns {', '.join(names[:20])} and fits no known price layout ({needed}). "
            "Rename its columns to those of one layout."
        )
    return fitting[0]


def count_rows(path: Path) -> int:
    """Rows of a Parquet file; 0 where only reading would tell."""
    return int(pq.ParquetFile(path).metadata.num_rows) if _is_parquet(path) else 0


def read_tables(path: Path, ragged: list[str]) -> Iterator[pa.Table]:
    """Read a file batch by batch; CSV comes as text only, so that no guess of a type can lose a digit.

    Parameters
    ----------
    path : Path
        Parquet or CSV, plain, gzip or a zip of one file.
    ragged : list of str
        Takes the rows of a CSV that have another number of cells than its header (a footer, for one).

    Raises
    ------
    DataFault
        If the file breaks off or is no file of its kind.
    """

    def keep(row: pacsv.InvalidRow) -> str:
        ragged.append(row.text)
        return "skip"

    try:
        if _is_parquet(path):
            for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH_ROWS):
                yield pa.Table.from_batches([batch])
            return
        with _csv_input(path) as stream:
            raw_names = _raw_csv_names(path)
            with pacsv.open_csv(
                stream,
                convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(raw_names, pa.string())),
                read_options=pacsv.ReadOptions(block_size=16 << 20),
                parse_options=pacsv.ParseOptions(invalid_row_handler=keep),
            ) as reader:
                for batch in reader:
                    table = pa.Table.from_batches([batch])
                    yield table.rename_columns([name.strip() for name in table.column_names])
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, pa.ArrowException) as error:
        raise DataFault(
            f"{path} cannot be read to its end ({_first_line(error)}); copy it again; nothing was taken."
        ) from error


def _column_names(path: Path) -> list[str]:
    try:
        if not path.stat().st_size:
            raise DataFault(f"{path} is empty; copy it again.")
        if _is_parquet(path):
            return list(pq.ParquetFile(path).schema_arrow.names)
        return [name.strip() for name in _raw_csv_names(path)]
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, pa.ArrowException) as error:
        raise DataFault(
            f"{path} is no readable Parquet or CSV file ({_first_line(error)}); copy it again or convert it."
        ) from error


def _raw_csv_names(path: Path) -> list[str]:
    skip = pacsv.ParseOptions(invalid_row_handler=lambda _row: "skip")
    with _csv_input(path) as stream, pacsv.open_csv(stream, parse_options=skip) as reader:
        return list(reader.schema.names)


@contextmanager
def _csv_input(path: Path) -> Iterator[pa.NativeFile]:
    if path.suffix != ".zip":
        with pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None) as stream:
            yield stream
        return
    with zipfile.ZipFile(path) as archive:
        inside = [name for name in archive.namelist() if not name.endswith("/")]
        if len(inside) != 1:
            raise DataFault(f"{path} holds {len(inside)} files; unpack it and name the one that is meant.")
        with archive.open(inside[0]) as member:
            yield pa.PythonFile(member, mode="r")


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


# ------------------------------------------------------------------------------------------------ layouts


def _read_minutes(table: pa.Table, context: Context) -> Batch:
    keys, codes = coded(table["symbol"], lambda symbol: price_key(symbol, context.aliases))
    marked = nothing_marked(table.num_rows)
    if "filled" in table.column_names:
        column = table["filled"]
        if not pa.types.is_boolean(column.type):
            column = pc.equal(pc.utf8_lower(texts(column)), "true")
        filled = column.fill_null(False).combine_chunks().to_numpy(zero_copy_only=False)
        marked[filled] = Defect.FILLED
    volume = units(table, "volume")
    volume[np.char.startswith(np.array(keys, dtype=str)[codes], "INDEX:")] = -1  # an index trades no units
    return Batch(
        keys,
        codes,
        ist_stamps(table["ts_ist"]),
        tuple(prices(table[name]) for name in PRICES),
        volume,
        marked,
        no_prices(table.num_rows),
    )


def _read_ticks(table: pa.Table, context: Context) -> Batch:
    if "symbol" in table.column_names:
        keys, codes = coded(table["symbol"], lambda symbol: price_key(symbol, context.aliases))
    else:
        keys, codes = [price_key(context.stem, context.aliases)], np.zeros(table.num_rows, np.int64)
    paise = numbers(table["ltp_paise"])
    sane = np.isfinite(paise) & (paise > 0) & (paise <= 1e9)
    traded = np.where(sane, np.where(sane, paise, 0.0), NO_PRICE).astype(np.int64)
    count = table.num_rows
    return Batch(
        keys,
        codes,
        ist_stamps(table["ts_ist"]),
        (traded,),
        units(table, "cum_volume"),
        nothing_marked(count),
        no_prices(count),
    )


def _read_quotes(table: pa.Table, context: Context) -> Batch:
    """Read snapshots of a contract's book: the last traded price is the tick."""
    keys, codes = coded(table["symbol"], lambda name: contract_of_name(name, context) or unnamed(name))
    count = table.num_rows
    marked = nothing_marked(count)
    marked[np.array([is_unnamed(key) for key in keys], bool)[codes]] = Defect.BAD_CONTRACT
    batch = Batch(
        keys,
        codes,
        ist_stamps(table["ts_ist"]),
        (prices(table["ltp"]),),
        units(table, "cum_volume"),
        marked,
        no_prices(count),
    )
    bid, ask = prices(table["bid"]), prices(table["ask"])
    batch.notes["CROSSED_QUOTE"] += int(((bid >= ask) & (ask > 0)).sum())
    return batch


def _read_daily(table: pa.Table, context: Context) -> Batch:
    keys, codes = coded(table["symbol"], lambda symbol: price_key(symbol, context.aliases))
    opened, high, low, close = (prices(table[name]) for name in ("Open", "High", "Low", "Close"))
    # sources in single precision round each price on its own: an open may stick out by less than a tick
    high = np.where(
        (high > 0) & (np.maximum(opened, close) - high <= 1), np.maximum.reduce([opened, high, close]), high
    )
    low = np.where(
        (low > 0) & (low - np.minimum(opened, close) <= 1), np.minimum.reduce([opened, low, close]), low
    )
    volume = np.full(table.num_rows, -1, np.int64)
    is_stock = ~np.char.startswith(np.array(keys, dtype=str)[codes], "INDEX:")
    volume[is_stock] = units(table, "Volume")[is_stock]
    return Batch(
        keys,
        codes,
        ist_days(table["Date"]),
        (opened, high, low, close),
        volume,
        nothing_marked(table.num_rows),
        no_prices(table.num_rows),
    )


LAYOUTS = (
    Layout("minute", "minute", ("symbol", "ts_ist", *PRICES), _read_minutes),
    Layout("tick", "tick", ("ts_ist", "ltp_paise"), _read_ticks),
    Layout("quote", "tick", ("symbol", "ts_ist", "ltp", "cum_volume", "bid", "ask"), _read_quotes),
    # of two layouts whose columns include each other's, the one that asks for more stands first
    *(Layout(name, "daily", columns, read) for name, columns, read in bhavcopies.LAYOUTS),
    Layout("daily", "daily", ("symbol", "Date", "Open", "High", "Low", "Close"), _read_daily),
)

"""Layouts of price files and how each becomes (key, time, prices, volume); nothing is judged here."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
from propdesk.core.errors import DataFault, SchemaFault
from propdesk.intake.aliases import Aliases, fold_symbol

Kind = Literal["minute", "daily", "tick"]
Int64Array = NDArray[np.int64]

BATCH_ROWS = 200_000
"""Rows read at once: a file of any length needs the memory of one batch and of the days still open."""

IST_OFFSET_NS = 330 * NS_PER_MINUTE
NO_TIME = np.iinfo(np.int64).min
NO_PRICE = -1
_SERIES = ("EQ", "BE", "BZ")
_PLAIN_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INDEX_PREFIXES = ("NIFTY_", "NIFTY ")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one stretch of a file.

    Attributes
    ----------
    keys : list of str
        Price key per code.
    codes : ndarray of int64, shape (n,)
        Position in ``keys``.
    ts : ndarray of int64, shape (n,)
        ns UTC; `NO_TIME` where it could not be read.
    prices : tuple of ndarray of int64, shape (n,)
        Open, high, low, close, or the tick's price; paise; `NO_PRICE` where it could not be read.
    volume : ndarray of int64, shape (n,)
        Units; -1 where unknown.
    is_filled, is_other_series : ndarray of bool, shape (n,)
        Marked by the file as invented; a share class that is not traded as equity.
    """

    keys: list[str]
    codes: Int64Array
    ts: Int64Array
    prices: tuple[Int64Array, ...]
    volume: Int64Array
    is_filled: NDArray[np.bool_]
    is_other_series: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout: told apart by its columns."""

    name: str
    kind: Kind
    columns: tuple[str, ...]
    read: Callable[[pa.Table, str, Aliases], Batch]


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


def read_tables(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read a file batch by batch; CSV comes as text only, so that no guess of a type can lose a digit.

    Raises
    ------
    DataFault
        If the file breaks off or is no file of its kind.
    """
    try:
        if _is_parquet(path):
            file = pq.ParquetFile(path)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns) if columns else None):
                yield pa.Table.from_batches([batch])
            return
        raw_names = _raw_csv_names(path)
        options = pacsv.ConvertOptions(column_types={name: pa.string() for name in raw_names})
        with pacsv.open_csv(
            _csv_input(path), convert_options=options, read_options=pacsv.ReadOptions(block_size=16 << 20)
        ) as reader:
            for batch in reader:
                table = pa.Table.from_batches([batch])
                yield table.rename_columns([name.strip() for name in table.column_names])
    except (OSError, EOFError, pa.ArrowException) as error:
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
    except (OSError, EOFError, pa.ArrowException) as error:
        raise DataFault(
            f"{path} is no readable Parquet or CSV file ({_first_line(error)}); copy it again or convert it."
        ) from error


def _raw_csv_names(path: Path) -> list[str]:
    with pacsv.open_csv(_csv_input(path)) as reader:
        return list(reader.schema.names)


def _csv_input(path: Path) -> pa.NativeFile:
    return pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None)


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


# ------------------------------------------------------------------------------------------------ columns


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Floats; NaN for everything that is no plain number."""
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        text = _text(column)
        plain = pc.match_substring_regex(text, _PLAIN_NUMBER)
        column = pc.if_else(plain, text, pa.scalar(None, pa.string()))
    floats = column.cast(pa.float64()).combine_chunks()
    return np.asarray(floats.to_numpy(zero_copy_only=False), np.float64)


def _paise(column: pa.ChunkedArray) -> Int64Array:
    rupees = _numbers(column)
    sane = np.isfinite(rupees) & (rupees > 0) & (rupees <= 1e7)  # the largest accepted price, §1.3
    return np.where(sane, np.rint(np.where(sane, rupees, 0.0) * 100), NO_PRICE).astype(np.int64)


def _units(table: pa.Table, name: str) -> Int64Array:
    if name not in table.column_names:
        return np.full(table.num_rows, -1, np.int64)
    values = _numbers(table[name])
    sane = np.isfinite(values) & (values >= 0) & (values < 1e15)
    return np.where(sane, np.where(sane, values, 0.0), -1).astype(np.int64)


def _ist_stamps(column: pa.ChunkedArray) -> Int64Array:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        plain = pc.replace_substring(_text(column), "T", " ")
        column = pc.strptime(plain, format="%Y-%m-%d %H:%M:%S", unit="ns", error_is_null=True)
    stamps = column.cast(pa.timestamp("ns"))
    values = stamps.cast(pa.int64()).fill_null(NO_TIME).combine_chunks().to_numpy(zero_copy_only=False)
    return np.where(values == NO_TIME, NO_TIME, values - IST_OFFSET_NS)


def _ist_days(column: pa.ChunkedArray) -> Int64Array:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = _text(column)
        iso = pc.strptime(text, format="%Y-%m-%d", unit="s", error_is_null=True)
        named = pc.strptime(text, format="%d-%b-%Y", unit="s", error_is_null=True)
        column = pc.coalesce(iso, named)
    days = column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
    values = days.fill_null(NO_TIME).combine_chunks().to_numpy(zero_copy_only=False)
    return np.where(
        values == NO_TIME, NO_TIME, np.where(values == NO_TIME, 0, values) * NS_PER_DAY - IST_OFFSET_NS
    )


def price_key(symbol: str, aliases: Aliases, *, may_be_index: bool = True) -> str:
    """Name the price series of a symbol as a file spells it.

    Examples
    --------
    >>> price_key("M&M", Aliases())
    'NSE_EQ:M&M'
    >>> price_key("NIFTY_AUTO", Aliases())
    'INDEX:NIFTY_AUTO'
    """
    plain = "".join(symbol.split()).upper()
    if may_be_index:
        canonical = aliases.names.get(fold_symbol(symbol), plain)
        if aliases.is_index(canonical):
            return f"INDEX:{canonical}"
        if symbol.upper().startswith(_INDEX_PREFIXES):
            return f"INDEX:{re.sub(r'[^A-Z0-9]+', '_', symbol.upper().strip())}"
    return f"NSE_EQ:{plain}"


def _codes(column: pa.ChunkedArray, name: Callable[[str], str]) -> tuple[list[str], Int64Array]:
    encoded = _text(column).fill_null("").dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    keys = [name(symbol) for symbol in encoded.dictionary.to_pylist()]
    return keys, np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)


def _no(count: int) -> NDArray[np.bool_]:
    return np.zeros(count, np.bool_)


# ------------------------------------------------------------------------------------------------ layouts


def _read_minutes(table: pa.Table, stem: str, aliases: Aliases) -> Batch:
    del stem
    keys, codes = _codes(table["symbol"], lambda symbol: price_key(symbol, aliases))
    filled = _no(table.num_rows)
    if "filled" in table.column_names:
        column = table["filled"]
        if not pa.types.is_boolean(column.type):
            column = pc.equal(pc.utf8_lower(_text(column)), "true")
        filled = column.fill_null(False).combine_chunks().to_numpy(zero_copy_only=False)
    volume = _units(table, "volume")
    volume[np.char.startswith(np.array(keys, dtype=str)[codes], "INDEX:")] = -1  # an index trades no units
    return Batch(
        keys,
        codes,
        _ist_stamps(table["ts_ist"]),
        tuple(_paise(table[name]) for name in ("open", "high", "low", "close")),
        volume,
        filled,
        _no(table.num_rows),
    )


def _read_ticks(table: pa.Table, stem: str, aliases: Aliases) -> Batch:
    if "symbol" in table.column_names:
        keys, codes = _codes(table["symbol"], lambda symbol: price_key(symbol, aliases))
    else:
        keys, codes = [price_key(stem, aliases)], np.zeros(table.num_rows, np.int64)
    paise = _numbers(table["ltp_paise"])
    sane = np.isfinite(paise) & (paise > 0) & (paise <= 1e9)
    prices = np.where(sane, np.where(sane, paise, 0.0), NO_PRICE).astype(np.int64)
    stamps = _ist_stamps(table["ts_ist"])
    return Batch(
        keys, codes, stamps, (prices,), _units(table, "cum_volume"), _no(len(prices)), _no(len(prices))
    )


def _read_bhavcopy(table: pa.Table, stem: str, aliases: Aliases) -> Batch:
    del stem
    keys, codes = _codes(table["SYMBOL"], lambda symbol: price_key(symbol, aliases, may_be_index=False))
    day = "DATE1" if "DATE1" in table.column_names else "Date"
    if day not in table.column_names:
        raise SchemaFault("A bhavcopy needs a column DATE1 (or Date); this one has neither.")
    known = pc.is_in(_text(table["SERIES"]), value_set=pa.array(_SERIES))
    return Batch(
        keys,
        codes,
        _ist_days(table[day]),
        tuple(_paise(table[f"{name}_PRICE"]) for name in ("OPEN", "HIGH", "LOW", "CLOSE")),
        _units(table, "TTL_TRD_QNTY"),
        _no(table.num_rows),
        ~known.combine_chunks().to_numpy(zero_copy_only=False),
    )


def _read_daily(table: pa.Table, stem: str, aliases: Aliases) -> Batch:
    del stem
    keys, codes = _codes(table["symbol"], lambda symbol: price_key(symbol, aliases))
    opened, high, low, close = (_paise(table[name]) for name in ("Open", "High", "Low", "Close"))
    # sources in single precision round each price on its own: an open may stick out by less than a tick
    high = np.where(
        (high > 0) & (np.maximum(opened, close) - high <= 1), np.maximum.reduce([opened, high, close]), high
    )
    low = np.where(
        (low > 0) & (low - np.minimum(opened, close) <= 1), np.minimum.reduce([opened, low, close]), low
    )
    volume = np.full(table.num_rows, -1, np.int64)
    is_stock = ~np.char.startswith(np.array(keys, dtype=str)[codes], "INDEX:")
    volume[is_stock] = _units(table, "Volume")[is_stock]
    days = _ist_days(table["Date"])
    return Batch(keys, codes, days, (opened, high, low, close), volume, _no(len(codes)), _no(len(codes)))


LAYOUTS = (
    Layout("minute", "minute", ("symbol", "ts_ist", "open", "high", "low", "close"), _read_minutes),
    Layout("tick", "tick", ("ts_ist", "ltp_paise"), _read_ticks),
    Layout(
        "bhavcopy",
        "daily",
        ("SYMBOL", "SERIES", "OPEN_PRICE", "HIGH_PRICE", "LOW_PRICE", "CLOSE_PRICE"),
        _read_bhavcopy,
    ),
    Layout("daily", "daily", ("symbol", "Date", "Open", "High", "Low", "Close"), _read_daily),
)

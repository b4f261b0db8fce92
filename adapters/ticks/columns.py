"""Columns of price files as arrays: text, numbers, paise, moments and price keys; nothing is judged here."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
from propdesk.intake.aliases import Aliases, fold_symbol

Kind = Literal["minute", "daily", "tick"]
Int64Array = NDArray[np.int64]

IST_OFFSET_NS = 330 * NS_PER_MINUTE
NO_TIME = np.iinfo(np.int64).min
NO_PRICE = -1
PRICES = ("open", "high", "low", "close")
_PLAIN_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INDEX_PREFIXES = ("NIFTY_", "NIFTY ")


class Defect(IntEnum):
    """Why a row was not taken."""

    NONE = 0
    BAD_TIME = 1
    BAD_PRICE = 2
    IMPOSSIBLE_OHLC = 3
    FILLED = 4
    OFF_DAY = 5
    OUT_OF_HOURS = 6
    DUPLICATE = 7
    OTHER_SERIES = 8
    OTHER_MARKET = 9
    UNTRADED = 10
    BAD_CONTRACT = 11
    RAGGED = 12


COUNTED_ONLY = (Defect.OTHER_SERIES, Defect.OTHER_MARKET, Defect.UNTRADED)
"""What is no fault of a row but no bar of ours either: another share class, another market, no trade."""


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
    marked : ndarray of int8, shape (n,)
        `Defect` that the layout itself tells (a row marked as invented, another series, no trade that day).
    prev_close : ndarray of int64, shape (n,)
        The exchange's close of the day before, paise; `NO_PRICE` where the file names none.
    notes : Counter of str
        Oddities of rows that are taken all the same, by name.
    """

    keys: list[str]
    codes: Int64Array
    ts: Int64Array
    prices: tuple[Int64Array, ...]
    volume: Int64Array
    marked: NDArray[np.int8]
    prev_close: Int64Array
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Context:
    """What a reader knows beside the rows: the file's name without endings, names, market days."""

    stem: str
    aliases: Aliases
    calendar: MarketCalendar


def nothing_marked(count: int) -> NDArray[np.int8]:
    """`Batch.marked` of rows in which the layout finds no fault."""
    return np.zeros(count, np.int8)


def no_prices(count: int) -> Int64Array:
    """`Batch.prev_close` of a layout without that column."""
    return np.full(count, NO_PRICE, np.int64)


def texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without blanks around it."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Floats; NaN for everything that is no plain number."""
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        text = texts(column)
        plain = pc.match_substring_regex(text, _PLAIN_NUMBER)
        column = pc.if_else(plain, text, pa.scalar(None, pa.string()))
    floats = column.cast(pa.float64()).combine_chunks()
    return np.asarray(floats.to_numpy(zero_copy_only=False), np.float64)


def prices(column: pa.ChunkedArray) -> Int64Array:
    """Rupees as paise; `NO_PRICE` for what is no price."""
    rupees = numbers(column)
    sane = np.isfinite(rupees) & (rupees > 0) & (rupees <= 1e7)  # the largest accepted price, §1.3
    return np.where(sane, np.rint(np.where(sane, rupees, 0.0) * 100), NO_PRICE).astype(np.int64)


def units(table: pa.Table, name: str) -> Int64Array:
    """Whole units of a column; -1 where there is no such column or no number."""
    if name not in table.column_names:
        return np.full(table.num_rows, -1, np.int64)
    values = numbers(table[name])
    sane = np.isfinite(values) & (values >= 0) & (values < 1e15)
    return np.where(sane, np.where(sane, values, 0.0), -1).astype(np.int64)


def ist_stamps(column: pa.ChunkedArray) -> Int64Array:
    """IST clock times as ns UTC; `NO_TIME` for what is none."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        plain = pc.replace_substring(texts(column), "T", " ")
        column = pc.strptime(plain, format="%Y-%m-%d %H:%M:%S", unit="ns", error_is_null=True)
    stamps = column.cast(pa.timestamp("ns"))
    values = stamps.cast(pa.int64()).fill_null(NO_TIME).combine_chunks().to_numpy(zero_copy_only=False)
    return np.where(values == NO_TIME, NO_TIME, values - IST_OFFSET_NS)


def ist_days(column: pa.ChunkedArray) -> Int64Array:
    """Days (2021-04-05 or 05-Apr-2021) as ns UTC of IST midnight; `NO_TIME` for what is none."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = texts(column)
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


def unnamed(text: str) -> str:
    """Stand-in for the price key of a contract that cannot be read."""
    return f"?{text}"


def is_unnamed(key: str) -> bool:
    """Whether a key is such a stand-in."""
    return key.startswith("?")


def coded(column: pa.ChunkedArray, name: Callable[[str], str]) -> tuple[list[str], Int64Array]:
    """Name each different text of a column once: names, and per row the place of its own."""
    encoded = texts(column).fill_null("").dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    keys = [name(symbol) for symbol in encoded.dictionary.to_pylist()]
    return keys, np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)


def is_one_of(column: pa.ChunkedArray, known: Iterable[str]) -> NDArray[np.bool_]:
    """Tell which rows hold one of the texts."""
    found = pc.is_in(texts(column), value_set=pa.array(list(known), pa.string())).combine_chunks()
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)

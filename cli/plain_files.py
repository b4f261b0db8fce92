"""Plain tables of `propdesk analyze`: read, typed and refused with one sentence."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

import pandas as pd

from propdesk.core.errors import SchemaFault

Value = TypeVar("Value")

_OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_PARQUET = (".parquet", ".pq")


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV or Parquet file with every cell as text.

    Parameters
    ----------
    path : Path
        ``.parquet`` and ``.pq`` are Parquet, everything else CSV in UTF-8.
    columns : sequence of str
        Columns that must be there; others are kept.

    Returns
    -------
    DataFrame
        Stripped text, empty where there was nothing. Row 1 is the first row after the header.

    Raises
    ------
    SchemaFault
        If the file cannot be read or lacks a column.
    """
    try:
        if path.suffix.lower() in _PARQUET:
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise SchemaFault(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, pd.errors.ParserError) as error:
        raise SchemaFault(f"{path} is no readable table: {str(error).splitlines()[0]}.") from error
    frame.columns = pd.Index([str(name).strip() for name in frame.columns])
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SchemaFault(f"{path} has no column {missing[0]}; it needs {', '.join(columns)}.")
    return pd.DataFrame({name: _as_text(frame[name]) for name in frame.columns})


def _as_text(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.map(lambda value: "" if pd.isna(value) else value.isoformat())
    return column.map(lambda value: "" if pd.isna(value) else str(value).strip())


def bad_cell(path: Path, row: int, column: str, what: str) -> SchemaFault:
    """Say what is wrong with a cell; ``row`` counts from 1 below the header."""
    return SchemaFault(f"{path}, row {row}, column {column}: {what}.")


def read_column(path: Path, frame: pd.DataFrame, name: str, read: Callable[[str], Value]) -> list[Value]:
    """Read every cell of a column.

    Raises
    ------
    SchemaFault
        Naming the first cell that ``read`` refuses with ValueError.
    """
    values: list[Value] = []
    for number, text in enumerate(frame[name], start=1):
        try:
            values.append(read(text))
        except ValueError as error:
            raise bad_cell(path, number, name, str(error)) from error
    return values


def needed_text(text: str) -> str:
    """Read text that must be there."""
    if not text:
        raise ValueError("is empty")
    return text


def price(text: str) -> float:
    """Read a positive finite number."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not 0 < value < float("inf"):
        raise ValueError(f"{text!r} is not a positive price")
    return value


def optional_price(text: str) -> float:
    """Read a positive finite number, NaN where the cell is empty."""
    return price(text) if text else float("nan")


def moment_ns(text: str) -> int:
    """Read an ISO stamp with an offset as ns UTC."""
    if not _OFFSET.search(text):
        raise ValueError(f"{text!r} is no time with an offset, like 2025-01-02T09:20:00+05:30")
    try:
        stamp = pd.Timestamp(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time, write it like 2025-01-02T09:20:00+05:30") from None
    return int(stamp.tz_convert("UTC").as_unit("ns").value)


def day(text: str) -> date:
    """Read a day like 2025-01-02."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise ValueError(f"{text!r} is no day, write it like 2025-01-02") from None


def side_sign(text: str) -> int:
    """Read BUY as 1 and SELL as -1."""
    if text not in ("BUY", "SELL"):
        raise ValueError(f"{text!r} is no side; use BUY or SELL")
    return 1 if text == "BUY" else -1


def check_unique(path: Path, ids: Sequence[str]) -> None:
    """Refuse a ``trade_id`` that stands there twice, with a `SchemaFault` naming its row."""
    seen: set[str] = set()
    for number, trade_id in enumerate(ids, start=1):
        if trade_id in seen:
            raise SchemaFault(f"{path}, row {number}, column trade_id: {trade_id} stands there twice.")
        seen.add(trade_id)

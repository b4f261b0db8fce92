"""Column types that all steps share.

Whole numbers that may be missing are ``Int64``, texts ``str`` with NaN, days `datetime.date` or None, stamps
``datetime64[ns, UTC]``: what `adapters.db.frames.copy.read_frame` gives back.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

REJECTED_COLUMNS = (
    "stage",
    "upload_id",
    "row_number",
    "trade_date",
    "record_id",
    "reason_codes",
    "message",
    "content",
)


def to_ns(stamps: "pd.Series[Any]") -> NDArray[np.int64]:
    """Give stamps as ns UTC, shape (n,); whatever the resolution of the column.

    Parameters
    ----------
    stamps : Series of datetime64[*, UTC]
        Without missing values.
    """
    return np.asarray(stamps.astype("datetime64[ns, UTC]").astype("int64"), dtype=np.int64)


def stamps(ns: "Sequence[int | None] | NDArray[np.int64]") -> "pd.Series[Any]":
    """Give ns UTC as stamps; None becomes NaT."""
    whole = pd.Series(pd.array(ns, dtype="Int64"))
    return pd.to_datetime(whole, unit="ns", utc=True).astype("datetime64[ns, UTC]")


def whole(values: Sequence[int | None]) -> "pd.Series[Any]":
    """Whole numbers, missing ones allowed (``Int64``)."""
    return pd.Series(pd.array(values, dtype="Int64"))


def texts(values: Sequence[str | None]) -> "pd.Series[Any]":
    """Texts, missing ones allowed (``str`` with NaN)."""
    return pd.Series(values, dtype="str")


def objects(values: Sequence[object]) -> "pd.Series[Any]":
    """Keep lists, days or documents as they are."""
    held = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        held[place] = value  # one by one: numpy would take lists of one length for a matrix
    return pd.Series(held)


def or_none(column: "pd.Series[Any]") -> list[Any]:
    """Give a column's values as plain Python, missing ones as None."""
    plain = column.astype("object")
    return plain.where(plain.notna(), None).tolist()


def rejected_frame(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    """Build the frame of refused records from tuples in the order of `REJECTED_COLUMNS`."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(REJECTED_COLUMNS)
    made: dict[str, Any] = dict(zip(REJECTED_COLUMNS, columns, strict=True))
    return pd.DataFrame(
        {
            "stage": texts(list(made["stage"])),
            "upload_id": texts(list(made["upload_id"])),
            "row_number": pd.Series(list(made["row_number"]), dtype="int64"),
            "trade_date": objects(list(made["trade_date"])),
            "record_id": texts(list(made["record_id"])),
            "reason_codes": objects(list(made["reason_codes"])),
            "message": texts(list(made["message"])),
            "content": texts(list(made["content"])),
        }
    )


def split_evenly(frame: pd.DataFrame, column: str, count: int) -> list[pd.DataFrame]:
    """Split rows into at most ``count`` parts of about the same size; equal values stay together.

    Parameters
    ----------
    frame : DataFrame
    column : str
        Its values are not null.
    count : int
        At least 1.

    Returns
    -------
    list of DataFrame
        Rows in their order and with their index; none is empty, but for the one part of an empty frame.
        Equal frames are split alike.
    """
    sizes = frame[column].value_counts()
    loads = [0] * count
    part_of: dict[object, int] = {}
    for value in sorted(sizes.index, key=lambda one: (-int(sizes[one]), str(one))):
        part_of[value] = loads.index(min(loads))
        loads[part_of[value]] += int(sizes[value])
    part = frame[column].map(part_of)
    return [frame[part == number] for number in range(count) if loads[number]] or [frame]


def by_partition(frame: pd.DataFrame, key: str, day: str = "trade_date") -> pd.DataFrame:
    """Put rows into the order of their primary key, index from 0."""
    return frame.sort_values([day, key], kind="stable", ignore_index=True)

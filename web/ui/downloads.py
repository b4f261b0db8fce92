"""Tables as CSV that no spreadsheet takes for a formula."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What spreadsheets begin to compute at, in full width too."""


def line(cells: Iterable[object]) -> str:
    """Write one line.

    Parameters
    ----------
    cells : iterable
        None becomes empty; numbers stay as they are, a text that a spreadsheet would compute gets an
        apostrophe before it.

    Examples
    --------
    >>> line(["=1+1", -5, None, "a"]).split(",")[:2]
    ["'=1+1", '-5']
    """
    buffer = io.StringIO()
    csv.writer(buffer).writerow([_cell(value) for value in cells])
    return buffer.getvalue()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table with its header."""
    return line(columns) + "".join(map(line, rows))


def _cell(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, date | datetime):
        return value.isoformat()
    text = value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False, default=str)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value

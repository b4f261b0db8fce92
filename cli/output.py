"""How commands speak: results on standard output, progress and faults on standard error."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from propdesk.core.errors import ConfigFault, PropdeskError
from propdesk.core.money import format_inr

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_NOT_RUNNING: Final = 3
EXIT_INTERRUPTED: Final = 130

JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object.")]
"""Type of every command's ``--json`` parameter: ``as_json: JsonOption = False``."""

_PIPE_COLUMNS: Final = 200
_DECIMALS: Final = 3

_progress: Final = Console(stderr=True, highlight=False, soft_wrap=True)


class NotRunning(PropdeskError):
    """The command needs a running system; leads to exit code 3."""


def say(sentence: str) -> None:
    """Tell progress on standard error; square brackets are text, not markup."""
    _progress.print(escape(sentence))


def progress_console() -> Console:
    """Give the console of standard error, for progress bars."""
    return _progress


def result_console() -> Console:
    """Give a console on standard output, for tables; a file or pipe gets wide lines, not a screen's 80."""
    wide = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(highlight=False, width=wide)


def parse_day(text: str, option: str) -> date:
    """Read a day given on the command line.

    Parameters
    ----------
    text : str
        ``2025-06-12``.
    option : str
        Which option it is, for the message.

    Raises
    ------
    ConfigFault
        If it is no such day; leads to exit code 2.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigFault(f"{option}: {text!r} is no day; write it like 2025-06-12.") from None


def emit(payload: Mapping[str, object]) -> None:
    """Print one JSON object on standard output; NaN and infinities become null.

    Parameters
    ----------
    payload : mapping
        Numbers, text, dates, paths and nestings of those.
    """
    sys.stdout.write(json.dumps(_plain(payload), ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table on standard output; columns whose values are numbers are set to the right.

    Parameters
    ----------
    title : str
    columns : sequence of str
        Headings.
    rows : iterable of sequences
        Cells in the order of ``columns``; None is shown as a dash, a float with three decimals.
    """
    body = [list(row) for row in rows]
    table = Table(header_style="bold")
    for index, heading in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in body)
        table.add_column(escape(heading), justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*(escape(_shown(cell)) for cell in row))
    console = result_console()
    # As a title of the table it would be broken to the width of the columns.
    console.print(escape(title), style="italic", soft_wrap=True)
    console.print(table)


def show_figures(
    title: str, found: Mapping[str, Mapping[str, float]], names: Sequence[str], *, as_json: bool
) -> None:
    """Print the figures of each ``trade_id``: as JSON, or as a table with a dash where one is NaN."""
    if as_json:
        emit(found)
        return
    rows = [
        (trade_id, *(None if value != value else round(value, 4) for value in figures.values()))
        for trade_id, figures in found.items()
    ]
    show_table(title, ("trade_id", *names), rows)


def rupees(paise: int | None) -> str | None:
    """Write money for a person; None where there is none."""
    return None if paise is None else format_inr(paise)


def _shown(cell: object) -> str:
    if cell is None:
        return "–"
    return f"{cell:,.{_DECIMALS}f}" if isinstance(cell, float) else str(cell)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    item = getattr(value, "item", None)  # numpy's scalars
    return _plain(item()) if callable(item) else value

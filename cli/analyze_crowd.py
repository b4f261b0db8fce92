"""`propdesk analyze crowd`: the crowd score of a plain file of open positions (§5.5, §7.4)."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from cli.output import JsonOption, emit, say, show_table
from propdesk.core.errors import SchemaFault
from propdesk.model.enums import Category, OptionType, Side
from propdesk.model.signal import sentiment
from propdesk.strategy.crowd import (
    CrowdChange,
    CrowdChangeKind,
    CrowdConfig,
    CrowdReading,
    fold_changes,
    read_crowd,
)

COLUMNS = ("advisor_id", "underlying", "category", "side", "option_type")


def read_positions(path: Path) -> list[CrowdChange]:
    """Read open positions, one per row.

    Parameters
    ----------
    path : Path
        CSV with the columns ``advisor_id, underlying, category, side, option_type``.

    Returns
    -------
    list of CrowdChange
        One opening per row; every row is a position of its own.

    Raises
    ------
    SchemaFault
        With one sentence naming file, row and column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise SchemaFault(f"{path} has no column {missing[0]}; it needs {', '.join(COLUMNS)}.")
            return [_position(path, number, row) for number, row in enumerate(reader, start=1)]
    except OSError as error:
        raise SchemaFault(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SchemaFault(f"{path} is no readable CSV in UTF-8: {error}.") from error


def _position(path: Path, number: int, row: dict[str, str | None]) -> CrowdChange:
    values = {name: (row.get(name) or "").strip() for name in COLUMNS}
    for name in ("advisor_id", "underlying"):
        if not values[name]:
            raise _bad(path, number, name, "is empty")
    if values["category"] not in Category.__members__:
        raise _bad(path, number, "category", f"is {values['category']!r}; use {', '.join(Category)}")
    if values["side"] not in Side.__members__:
        raise _bad(path, number, "side", f"is {values['side']!r}; use BUY or SELL")
    is_option = Category(values["category"]).is_option
    if is_option and values["option_type"] not in OptionType.__members__:
        raise _bad(path, number, "option_type", f"is {values['option_type']!r}; an option has CE or PE")
    if not is_option and values["option_type"]:
        raise _bad(path, number, "option_type", "must be empty for what is no option")
    option = OptionType(values["option_type"]) if is_option else None
    return CrowdChange(
        CrowdChangeKind.OPENED,
        f"row-{number}",
        values["advisor_id"],
        values["underlying"],
        sentiment(Side(values["side"]), option),
        f"row-{number}",
        number,
    )


def _bad(path: Path, number: int, column: str, what: str) -> SchemaFault:
    return SchemaFault(f"{path}, row {number}, column {column}: {what}.")


def score_positions(changes: list[CrowdChange]) -> dict[str, CrowdReading]:
    """Score every underlying of a list of openings, in the order of the names."""
    ledger = fold_changes(changes)
    return {name: read_crowd(ledger, name, CrowdConfig()) for name in sorted(ledger.open)}


def crowd(
    positions: Annotated[Path, typer.Option("--positions", help="CSV of open positions.")],
    as_json: JsonOption = False,
) -> None:
    """Count bullish and bearish open positions per underlying and score them."""
    readings = score_positions(read_positions(positions))
    say(f"{len(readings)} underlyings in {positions}")
    found = {
        name: {
            "bullish": reading.bullish_positions,
            "bearish": reading.bearish_positions,
            "score": reading.score,
            "direction": None if reading.direction is None else reading.direction.value,
        }
        for name, reading in readings.items()
    }
    if as_json:
        emit(found)
        return
    rows = [(name, f["bullish"], f["bearish"], f["score"], f["direction"]) for name, f in found.items()]
    show_table("Crowd", ("underlying", "bullish", "bearish", "score", "direction"), rows)


def register(group: typer.Typer) -> None:
    """Add the command to ``propdesk analyze``."""
    group.command("crowd")(crowd)

"""`propdesk analyze regime`: the label known before each day's open, from a plain file (§2.7, §7.4)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import JsonOption, emit, say, show_table
from propdesk.core.errors import SchemaFault

if TYPE_CHECKING:
    from propdesk.indicators.regime import RegimeReading

COLUMNS = ("date", "open", "high", "low", "close")


def label_days(path: Path) -> dict[str, "RegimeReading"]:
    """Label every day of a file of daily bars from the bars before it.

    Parameters
    ----------
    path : Path
        CSV or Parquet with the columns ``date, open, high, low, close``, any order of days.

    Returns
    -------
    dict of str to RegimeReading
        By ISO date, rising.

    Raises
    ------
    SchemaFault
        With one sentence naming file, row and column.
    """
    import numpy as np

    from cli import plain_files as files
    from propdesk.indicators.regime import RegimeConfig, regime_series

    frame = files.read_table(path, COLUMNS)
    days = files.read_column(path, frame, "date", files.day)
    levels = {name: np.array(files.read_column(path, frame, name, files.price)) for name in COLUMNS[1:]}
    inside = np.minimum(levels["open"], levels["close"]), np.maximum(levels["open"], levels["close"])
    wrong = np.flatnonzero((levels["low"] > inside[0]) | (levels["high"] < inside[1]))
    if len(wrong):
        raise files.bad_cell(path, int(wrong[0]) + 1, "high", "high and low do not hold open and close")
    order = np.argsort(np.array(days, dtype="datetime64[D]"), kind="stable")
    ordered = [days[i] for i in order]
    for before, after, row in zip(ordered, ordered[1:], order[1:], strict=False):
        if before == after:
            raise SchemaFault(f"{path}, row {int(row) + 1}, column date: {after} stands there twice.")
    config = RegimeConfig()
    series = regime_series(levels["high"][order], levels["low"][order], levels["close"][order], config)
    return {day.isoformat(): series.reading(i - 1, config) for i, day in enumerate(ordered)}


def regime(
    bars: Annotated[Path, typer.Option("--bars", help="CSV or Parquet of daily bars.")],
    as_json: JsonOption = False,
) -> None:
    """Tell the market's state known before each day's open."""
    readings = label_days(bars)
    say(f"{len(readings)} days in {bars}")
    if as_json:
        emit({day: _shown(reading) for day, reading in readings.items()})
        return
    rows = [(day, *_shown(reading).values()) for day, reading in readings.items()]
    show_table("Regime known before the open", ("date", "label", "reason"), rows)


def _shown(reading: "RegimeReading") -> dict[str, object]:
    return {"label": None if reading.label is None else reading.label.value, "reason": reading.reason}


def register(group: typer.Typer) -> None:
    """Add the command to ``propdesk analyze``."""
    group.command("regime")(regime)

"""`propdesk analyze options`: what premiums said and where their results came from, from a plain file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import JsonOption, say, show_figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd

COLUMNS = (
    *("trade_id", "underlying", "option_type", "side", "strike", "expiry"),
    *("entry_at", "entry_premium", "entry_forward", "exit_at", "exit_premium", "exit_forward"),
)
FIGURES = (
    *("days_to_expiry", "moneyness_pct", "iv_pct", "iv_rank_pct"),
    *("gross_per_unit", "time_per_unit", "forward_per_unit", "volatility_per_unit", "theta_share_pct"),
)
_CLOSE_MINUTE = 15 * 60 + 30


def measure(path: Path, risk_free: float = 0.0) -> dict[str, dict[str, float]]:
    """Measure every option trade of a file.

    Parameters
    ----------
    path : Path
        CSV or Parquet with `COLUMNS`; exit columns may be empty. ``entry_forward`` is the price of the future
        of the same expiry, or what stands for it. Prices in rupees.
    risk_free : float
        Yearly rate, fraction.

    Returns
    -------
    dict of str to dict
        `FIGURES` by trade_id, in the order of the file, NaN where undefined. ``theta_share_pct`` is the part
        of the gross result that the passing of time gave or took; the three ``_per_unit`` parts add up to
        the gross result of a unit.

    Raises
    ------
    SchemaFault
        With one sentence naming file, row and column.

    Notes
    -----
    Contracts expire at 15:30 IST. The IV rank is among earlier days of the same underlying in this file, by
    the median of each day's entries: nothing later is looked at.
    """
    import numpy as np

    from cli import plain_files as files
    from propdesk.metrics.options import explain_move, implied_volatility

    frame = files.read_table(path, COLUMNS)
    ids = files.read_column(path, frame, "trade_id", files.needed_text)
    files.check_unique(path, ids)
    underlyings = files.read_column(path, frame, "underlying", files.needed_text)
    calls = np.array(files.read_column(path, frame, "option_type", _is_call), bool)
    sign = np.array(files.read_column(path, frame, "side", files.side_sign), np.float64)
    strike = np.array(files.read_column(path, frame, "strike", files.price))
    days, entry_years, exit_years = _read_times(path, frame)
    prices = {
        name: np.array(
            files.read_column(path, frame, name, files.price if "entry" in name else files.optional_price)
        )
        for name in ("entry_premium", "entry_forward", "exit_premium", "exit_forward")
    }
    entry = prices["entry_premium"], prices["entry_forward"], entry_years
    exit_ = prices["exit_premium"], prices["exit_forward"], exit_years
    volatility = implied_volatility(calls, entry[0], entry[1], strike, entry_years, risk_free)
    moves = explain_move(calls, strike, entry, exit_, risk_free)
    gross = sign * (exit_[0] - entry[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        theta = np.where(gross != 0.0, sign * moves.time / gross, np.nan)
    moneyness = (entry[1] - strike) / strike * np.where(calls, 1.0, -1.0)
    columns = (
        days[1],
        moneyness * 100.0,
        volatility * 100.0,
        _ranks(underlyings, days[0], volatility) * 100.0,
        gross,
        sign * moves.time,
        sign * moves.forward,
        sign * moves.volatility,
        theta * 100.0,
    )
    return {
        name: {figure: float(column[row]) for figure, column in zip(FIGURES, columns, strict=True)}
        for row, name in enumerate(ids)
    }


def _read_times(
    path: Path, frame: "pd.DataFrame"
) -> "tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]":
    """Read entry days and calendar days to expiry; years to expiry at entry and at exit."""
    import numpy as np

    from cli import plain_files as files
    from propdesk.core.calendar import ist_date, ist_midnight_ns
    from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
    from propdesk.metrics.options import YEAR_DAYS

    expiry = files.read_column(path, frame, "expiry", files.day)
    entry_ns = files.read_column(path, frame, "entry_at", files.moment_ns)
    exit_ns = files.read_column(path, frame, "exit_at", _optional_moment)
    ends = [ist_midnight_ns(day) + _CLOSE_MINUTE * NS_PER_MINUTE for day in expiry]
    for row, (begun, left, end) in enumerate(zip(entry_ns, exit_ns, ends, strict=True), start=1):
        if begun > end:
            raise files.bad_cell(path, row, "entry_at", "lies after the expiry")
        if left is not None and not begun <= left <= end:
            raise files.bad_cell(path, row, "exit_at", "lies before entry_at or after the expiry")
    year_ns = YEAR_DAYS * NS_PER_DAY
    at_entry = [(end - begun) / year_ns for begun, end in zip(entry_ns, ends, strict=True)]
    at_exit = [
        np.nan if left is None else (end - left) / year_ns for left, end in zip(exit_ns, ends, strict=True)
    ]
    entry_days = [ist_date(begun) for begun in entry_ns]
    left_days = [(day - begun).days for day, begun in zip(expiry, entry_days, strict=True)]
    ordinals = np.array([day.toordinal() for day in entry_days])
    return (ordinals, np.array(left_days, np.float64)), np.array(at_entry), np.array(at_exit)


def _ranks(underlyings: "Sequence[str]", days: "np.ndarray", volatility: "np.ndarray") -> "np.ndarray":
    """Rank each trade's volatility among the earlier days of its underlying."""
    import numpy as np

    from propdesk.metrics.options import iv_rank

    names = np.array(underlyings, object)
    ranks = np.full(len(volatility), np.nan)
    for name in sorted(set(underlyings)):
        mine = np.flatnonzero((names == name) & ~np.isnan(volatility))
        known = sorted(set(days[mine].tolist()))
        medians = np.array([np.median(volatility[mine][days[mine] == day]) for day in known])
        for row in mine:
            earlier = int(np.searchsorted(known, days[row], side="left"))
            ranks[row] = iv_rank(medians[:earlier], float(volatility[row]))
    return ranks


def _is_call(text: str) -> bool:
    if text not in ("CE", "PE"):
        raise ValueError(f"{text!r} is no option type; use CE or PE")
    return text == "CE"


def _optional_moment(text: str) -> int | None:
    from cli import plain_files as files

    return files.moment_ns(text) if text else None


def options(
    trades: Annotated[Path, typer.Option("--trades", help="CSV or Parquet of option trades.")],
    risk_free: Annotated[float, typer.Option("--risk-free", min=-0.5, max=0.5, help="Yearly rate.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Measure implied volatility, its rank, and what time, forward and volatility brought."""
    found = measure(trades, risk_free)
    say(f"{len(found)} option trades in {trades}")
    show_figures("Options", found, FIGURES, as_json=as_json)


def register(group: typer.Typer) -> None:
    """Add the command to ``propdesk analyze``."""
    group.command("options")(options)

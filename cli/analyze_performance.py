"""`propdesk analyze performance`: return statistics of a plain file, their conventions as options."""

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import JsonOption, emit, say, show_table
from propdesk.core.errors import ConfigFault
from propdesk.metrics.equity import MIN_SHARPE_DAYS, TRADING_DAYS_PER_YEAR, SortinoSpread

if TYPE_CHECKING:
    from propdesk.metrics.performance import Convention

TRADE_COLUMNS = ("group_id", "exit_at", "net_pnl")
RETURN_COLUMNS = ("group_id", "date", "return")
_FRACTIONS = ("total_return", "annual_return", "annual_volatility", "max_drawdown")
"""Shown in percent, under a name ending in ``_pct``."""
_SHOWN = {
    "n_periods": "periods",
    "annual_return_pct": "return %/y",
    "annual_volatility_pct": "volatility %/y",
    "max_drawdown_pct": "MDD %",
    "sharpe": "Sharpe",
    "sortino": "Sortino",
    "calmar": "Calmar",
    "ulcer_index": "ulcer",
    "bernardo_ledoit": "gains/losses",
}


class Order(StrEnum):
    """In which order trades make the curve."""

    EXIT = "exit"
    FILE = "file"


class Base(StrEnum):
    """What a day's result is divided by."""

    CORPUS = "corpus"
    CAPITAL = "capital"


class Days(StrEnum):
    """Which days have a return."""

    MARKET = "market"
    TRADED = "traded"


class CalmarReturn(StrEnum):
    """Which return Calmar compares with the drawdown."""

    YEARLY = "yearly"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class TradeReading:
    """How trades become a curve and daily returns."""

    capital: float
    order: Order = Order.EXIT
    base: Base = Base.CORPUS
    days: Days = Days.MARKET


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def _return(text: str) -> float:
    value = _number(text)
    if value < -1.0:
        raise ValueError(f"{text!r} loses more than everything")
    return value


def performance_of_returns(path: Path, convention: "Convention") -> dict[str, dict[str, Any]]:
    """Compute the statistics of every group of a file of returns.

    Parameters
    ----------
    path : Path
        Columns ``group_id, date, return`` (fraction), one row per period, in any order.
    convention : Convention

    Returns
    -------
    dict of group to dict

    Raises
    ------
    SchemaFault
        Naming file, row and column.
    """
    import numpy as np

    from cli.plain_files import bad_cell, day, needed_text, read_column, read_table
    from propdesk.metrics.performance import performance

    frame = read_table(path, RETURN_COLUMNS)
    groups = read_column(path, frame, "group_id", needed_text)
    dates = read_column(path, frame, "date", day)
    values = read_column(path, frame, "return", _return)
    rows: dict[str, dict[Any, float]] = {group: {} for group in groups}
    for number, (group, at, value) in enumerate(zip(groups, dates, values, strict=True), start=1):
        if at in rows[group]:
            raise bad_cell(path, number, "date", f"{at} stands there twice for {group}")
        rows[group][at] = value
    out: dict[str, dict[str, Any]] = {}
    for group in sorted(rows):
        series = np.array([rows[group][at] for at in sorted(rows[group])])
        out[group] = {"n_periods": len(series), **_published(performance(series, convention))}
    return out


def performance_of_trades(
    path: Path, reading: TradeReading, convention: "Convention"
) -> dict[str, dict[str, Any]]:
    """Compute the statistics of every group of a file of trades.

    Parameters
    ----------
    path : Path
        Columns ``group_id, exit_at`` (empty = open, not counted), ``net_pnl`` (rupees).
    reading : TradeReading
        Capital, order of the curve, days and base of the returns.
    convention : Convention

    Returns
    -------
    dict of group to dict
        As for returns of days, with the drawdown trade by trade (``max_drawdown_pct``, which Calmar
        reads) and at day ends.

    Raises
    ------
    SchemaFault
        Naming file, row and column.
    """
    from cli.plain_files import moment_ns, needed_text, read_column, read_table

    frame = read_table(path, TRADE_COLUMNS)
    groups = read_column(path, frame, "group_id", needed_text)
    exits = read_column(path, frame, "exit_at", lambda text: moment_ns(text) if text else None)
    results = read_column(path, frame, "net_pnl", lambda text: _number(text) if text else 0.0)
    rows: dict[str, list[tuple[int, float]]] = {group: [] for group in groups}
    for group, ns, result in zip(groups, exits, results, strict=True):
        if ns is not None:
            rows[group].append((ns, result))
    return {group: _of_group(rows[group], reading, convention) for group in sorted(rows)}


def _of_group(
    rows: list[tuple[int, float]], reading: TradeReading, convention: "Convention"
) -> dict[str, Any]:
    import numpy as np

    from adapters.calendar import load_calendar
    from propdesk.core.calendar import ist_date
    from propdesk.metrics.equity import max_drawdown
    from propdesk.metrics.performance import curve_of_results, performance

    in_order = rows if reading.order is Order.FILE else sorted(rows, key=lambda row: row[0])
    curve = curve_of_results(np.array([result for _, result in in_order]), reading.capital)
    traded = sorted({ist_date(ns) for ns, _ in rows})
    days = traded
    if traded and reading.days is Days.MARKET:
        days = sorted({*load_calendar().market_days(traded[0], traded[-1]), *traded})
    of_day = dict.fromkeys(days, 0.0)
    for ns, result in rows:
        of_day[ist_date(ns)] += result
    ends = curve_of_results(np.array(list(of_day.values())), reading.capital)
    base = ends[:-1] if reading.base is Base.CORPUS else np.full(len(days), reading.capital)
    # what a corpus of nothing earns is no return; the curve still shows it
    returns = np.where(base > 0.0, np.diff(ends) / np.where(base > 0.0, base, 1.0), 0.0)
    growth = float(curve[-1]) / reading.capital
    found = performance(returns, convention, growth=growth, mdd=max_drawdown(curve))
    return {
        "n_trades": len(rows),
        "n_periods": len(days),
        "max_drawdown_day_ends_pct": 100.0 * max_drawdown(ends),
        **_published(found),
    }


def _published(found: dict[str, float]) -> dict[str, float]:
    return {
        (f"{name}_pct" if name in _FRACTIONS else name): 100.0 * value if name in _FRACTIONS else value
        for name, value in found.items()
    }


def performance_command(
    trades: Annotated[
        Path | None, typer.Option("--trades", help="CSV or Parquet: group_id, exit_at, net_pnl.")
    ] = None,
    returns: Annotated[
        Path | None, typer.Option("--returns", help="CSV or Parquet: group_id, date, return (fraction).")
    ] = None,
    capital: Annotated[float, typer.Option("--capital", help="Starting corpus of --trades, rupees.")] = 1e7,
    order: Annotated[Order, typer.Option("--order", help="Order of the trades' curve.")] = Order.EXIT,
    base: Annotated[
        Base, typer.Option("--base", help="A day's result over the corpus or the capital.")
    ] = Base.CORPUS,
    days: Annotated[
        Days, typer.Option("--days", help="Days of --trades that have a return: market days, or traded ones.")
    ] = Days.MARKET,
    periods_per_year: Annotated[
        float, typer.Option("--periods-per-year", min=1.0, help="252 days, 52 weeks, 12 months.")
    ] = TRADING_DAYS_PER_YEAR,
    risk_free: Annotated[float, typer.Option("--risk-free", help="Yearly rate, fraction.")] = 0.0,
    target: Annotated[
        float, typer.Option("--target", help="Minimum acceptable return of a period, fraction.")
    ] = 0.0,
    sortino: Annotated[
        SortinoSpread, typer.Option("--sortino", help="Spread of the losses over all periods, or of losses.")
    ] = SortinoSpread.ALL_PERIODS,
    calmar: Annotated[
        CalmarReturn, typer.Option("--calmar", help="Calmar of the yearly or the total return.")
    ] = CalmarReturn.YEARLY,
    min_periods: Annotated[
        int, typer.Option("--min-periods", min=2, help="Fewer have no Sharpe and no Sortino.")
    ] = MIN_SHARPE_DAYS,
    as_json: JsonOption = False,
) -> None:
    """Compute return, risk and shape of each group's results or returns."""
    from propdesk.metrics.performance import Convention

    if (trades is None) == (returns is None):
        raise ConfigFault("Name one file: --trades FILE or --returns FILE.")
    if not 0 < capital < math.inf:
        raise ConfigFault(f"--capital: {capital} is not above 0.")
    convention = Convention(
        periods_per_year, risk_free, target, sortino, calmar is CalmarReturn.YEARLY, min_periods
    )
    if trades is not None:
        found = performance_of_trades(trades, TradeReading(capital, order, base, days), convention)
    else:
        assert returns is not None  # noqa: S101 - narrows a type: exactly one of the two is there
        found = performance_of_returns(returns, convention)
    say(f"{len(found)} groups in {trades or returns}")
    if as_json:
        emit(found)
        return
    rows = [(group, *(values[name] for name in _SHOWN)) for group, values in found.items()]
    show_table("Performance", ("group", *_SHOWN.values()), rows)


def register(group: typer.Typer) -> None:
    """Add the command to ``propdesk analyze``."""
    group.command("performance")(performance_command)

"""`propdesk analyze corpus`: the corpus replay of a plain file of trades (§3.4, §7.4)."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import JsonOption, emit, parse_day, say, show_table
from propdesk.core.errors import ConfigFault

if TYPE_CHECKING:
    from propdesk.replay.corpus import ReplayResult
    from propdesk.replay.inputs import CorpusTrades

COLUMNS = ("trade_id", "group_id", "entry_at", "exit_at", "margin", "net_pnl")
DEFAULT_CAPITAL = "10000000"
_SHOWN = ("final_corpus", "return_pct", "mdd_pct", "sharpe", "trades_executed", "trades_skipped_capital")
_DESK_SHOWN = ("marked_mdd_pct", "peak_utilisation_pct", "rules_eligible", "rules_used", "ideas_taken")


@dataclass(frozen=True, slots=True)
class _Row:
    trade_id: str
    entry_ns: int
    exit_ns: int | None
    margin_paise: int
    net_pnl_paise: int


def _paise(text: str) -> int:
    from decimal import Decimal, InvalidOperation

    try:
        value = Decimal(text)
        exact = value * 100
        if not value.is_finite() or abs(value) > Decimal(10) ** 14:
            raise ValueError(f"{text!r} is not a possible amount")
        return int(exact.to_integral_value())
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None


def _margin(text: str) -> int:
    value = _paise(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not above 0")
    return value


def _result(text: str) -> int | None:
    return _paise(text) if text else None


def _exit(text: str) -> int | None:
    from cli.plain_files import moment_ns

    return moment_ns(text) if text else None


def read_trades(path: Path) -> dict[str, list[_Row]]:
    """Read trades by group.

    Raises
    ------
    SchemaFault
        Naming file, row and column of the first cell that cannot be used.
    """
    from cli.plain_files import bad_cell, moment_ns, needed_text, read_column, read_table

    frame = read_table(path, COLUMNS)
    ids = read_column(path, frame, "trade_id", needed_text)
    groups = read_column(path, frame, "group_id", needed_text)
    entries = read_column(path, frame, "entry_at", moment_ns)
    exits = read_column(path, frame, "exit_at", _exit)
    margins = read_column(path, frame, "margin", _margin)
    results = read_column(path, frame, "net_pnl", _result)
    out: dict[str, list[_Row]] = {group: [] for group in groups}
    seen: set[str] = set()
    for number, (key, group, entry, ends, margin, pnl) in enumerate(
        zip(ids, groups, entries, exits, margins, results, strict=True), start=1
    ):
        if key in seen:
            raise bad_cell(path, number, "trade_id", f"{key!r} stands there twice")
        if ends is not None and ends < entry:
            raise bad_cell(path, number, "exit_at", "lies before entry_at")
        if ends is not None and pnl is None:
            raise bad_cell(path, number, "net_pnl", "is empty though the trade has an exit")
        seen.add(key)
        out[group].append(_Row(key, entry, ends, margin, pnl or 0))
    return out


def _arrays(rows: list[_Row]) -> "CorpusTrades":
    import numpy as np

    from propdesk.replay.inputs import NEVER_DAY, NEVER_NS, CorpusTrades

    ordered = sorted(rows, key=lambda row: row.trade_id)
    return CorpusTrades(
        np.array([row.entry_ns for row in ordered], dtype=np.int64),
        np.array([NEVER_NS if row.exit_ns is None else row.exit_ns for row in ordered], dtype=np.int64),
        np.array([row.margin_paise for row in ordered], dtype=np.int64),
        np.array([row.net_pnl_paise for row in ordered], dtype=np.int64),
        np.arange(len(ordered), dtype=np.int64),
        np.zeros(len(ordered) + 1, dtype=np.int64),
        np.zeros(0, dtype=np.int64),
        np.zeros(0, dtype=np.int64),
        np.full(len(ordered), NEVER_DAY, dtype=np.int64),
    )


def replay_file(
    path: Path, as_of: date | None, capital_paise: int, window_days: int
) -> dict[str, dict[str, Any]]:
    """Replay every group of a file.

    Parameters
    ----------
    path : Path
        Columns of ``COLUMNS``; rupees, stamps with offset.
    as_of : date, optional
        IST day at whose end to judge; the last entry's by default.
    capital_paise, window_days : int
        Starting corpus and calendar days of the window.

    Returns
    -------
    dict of group to dict
        Outputs by their published names; money in rupees, ``_pct`` in percent.

    Raises
    ------
    SchemaFault
        Naming file, row and column.
    """
    from adapters.calendar import load_calendar
    from propdesk.core.calendar import ist_date
    from propdesk.replay.corpus import replay_corpus
    from propdesk.replay.inputs import epoch_day, market_days

    groups = read_trades(path)
    if not groups:
        return {}
    day = as_of or max(ist_date(row.entry_ns) for rows in groups.values() for row in rows)
    market = market_days(load_calendar(), day - timedelta(days=window_days - 1), day)
    out: dict[str, dict[str, Any]] = {}
    for group in sorted(groups):
        r = replay_corpus(
            _arrays(groups[group]),
            market,
            as_of=epoch_day(day),
            capital_paise=capital_paise,
            window_days=window_days,
        )
        out[group] = _published(r)
    return out


def _published(r: "ReplayResult") -> dict[str, Any]:
    """Name the outputs of a replay as they are published: rupees, percent."""
    return {
        "final_corpus": r.final_corpus_paise / 100,
        "return_pct": 100 * r.return_ratio,
        "mdd_pct": 100 * r.mdd_ratio,
        "sharpe": r.sharpe,
        "volatility_pct": 100 * r.volatility_ratio,
        "trades_executed": r.trades_executed,
        "trades_skipped_capital": r.trades_skipped_capital,
        "margin_shortfalls": r.margin_shortfalls,
        "open_at_end": r.open_at_end,
        "peak_utilisation_pct": 100 * r.peak_utilisation_ratio,
        "max_concurrency": r.max_concurrency,
        "blown_at": _stamp(r.blown_ns),
    }


def replay_desk(
    as_of: date | None, capital_paise: int | None, window_days: int | None
) -> tuple[date, dict[str, dict[str, Any]]]:
    """Replay the desk book of each profile from the tables of the pipeline.

    Parameters
    ----------
    as_of : date, optional
        The newest of the marts by default.
    capital_paise, window_days : int, optional
        The settings' by default.

    Returns
    -------
    date
        The as-of date.
    dict of profile to dict
        As `replay_file`, with ``marked_mdd_pct``, the counts of `propdesk.pipeline.desk_book.DeskBook`, the
        market days of the window and the corpus at the end of each (open trades at their marks), rupees.

    Raises
    ------
    GapFault
        If the marts hold no rules of that date, or were judged by other gates than are stored.
    """
    from dataclasses import replace

    from adapters.calendar import load_calendar
    from adapters.config_gates import load_gates
    from adapters.db.frames.rules import group_config, read_group_inputs
    from adapters.db.repos.rules import newest_as_of, require_day
    from adapters.db.repos.rulesets import read_mart_ruleset
    from adapters.settings import load_settings
    from cli.database import open_transaction
    from propdesk.model.enums import GateProfile
    from propdesk.pipeline.desk_book import desk_book
    from propdesk.pipeline.groups_prepare import prepare

    settings, calendar = load_settings(), load_calendar()
    config = group_config(settings, load_gates(settings.gates_file))
    config = replace(
        config,
        capital_paise=capital_paise or config.capital_paise,
        window_days=window_days or config.window_days,
        skill_window_days=1,  # evidence of older trades is in the rules already
        skill_window_days_positional=1,
    )
    with open_transaction(settings, "reader", "propdesk-desk-book") as connection:
        day = as_of or newest_as_of(connection)
        require_day(connection, day)
        read = read_group_inputs(connection, calendar, day, day, config)
        rules = {profile: read_mart_ruleset(connection, day, profile) for profile in GateProfile}
    data = prepare(read.trades, read.excursions, read.marks, calendar, [day], config)
    out: dict[str, dict[str, Any]] = {}
    for profile, ruleset in rules.items():
        book = desk_book(data, ruleset, day, config)
        out[profile.value] = {
            **_published(book.replay),
            "marked_mdd_pct": 100 * book.replay.marked_mdd_ratio,
            "rules_eligible": book.rules_eligible,
            "rules_used": book.rules_used,
            "ideas": book.ideas,
            "ideas_taken": book.ideas_taken,
            "days": calendar.market_days(day - timedelta(days=config.window_days - 1), day),
            "daily_corpus": [value / 100 for value in book.replay.daily_marked_paise.tolist()],
        }
    return day, out


def _stamp(ns: int | None) -> str | None:
    from datetime import datetime

    from propdesk.core.calendar import IST

    if ns is None:
        return None
    return datetime.fromtimestamp(ns // 1_000_000_000, tz=IST).isoformat()


def corpus(
    trades: Annotated[Path | None, typer.Option("--trades", help="CSV or Parquet of trades.")] = None,
    desk: Annotated[
        bool, typer.Option("--desk", help="The desk's own book: all eligible rules of a day together.")
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="IST day; the last entry's or newest rules' by default."),
    ] = None,
    capital: Annotated[
        str | None,
        typer.Option("--capital", help=f"Starting corpus, rupees: {DEFAULT_CAPITAL} or the desk's."),
    ] = None,
    window_days: Annotated[
        int | None, typer.Option("--window-days", min=1, help="Calendar days; 90, or the desk's.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Replay each group's trades on a shared pool of capital, or the desk book from the database (--desk)."""
    try:
        capital_paise = _margin(capital) if capital else None
    except ValueError as error:
        raise ConfigFault(f"--capital: {error}.") from None
    day = parse_day(as_of, "--as-of") if as_of else None
    if desk == (trades is not None):
        raise ConfigFault("Give either --trades FILE or --desk.")
    if trades is None:
        day, found = replay_desk(day, capital_paise, window_days)
        if as_json:
            emit({"as_of_date": day, "profiles": found})
            return
        _show(f"Desk book at the end of {day}", "profile", (*_SHOWN, *_DESK_SHOWN), found)
        return
    from propdesk.replay.corpus import WINDOW_DAYS

    found = replay_file(trades, day, capital_paise or _margin(DEFAULT_CAPITAL), window_days or WINDOW_DAYS)
    say(f"{len(found)} groups in {trades}")
    if as_json:
        emit(found)
        return
    _show("Corpus replay", "group", _SHOWN, found)


def _show(title: str, what: str, names: tuple[str, ...], found: dict[str, dict[str, Any]]) -> None:
    rows = [
        (group, *(f"{values[n]:.2f}" if isinstance(values[n], float) else values[n] for n in names))
        for group, values in found.items()
    ]
    show_table(title, (what, *names), rows)


def register(group: typer.Typer) -> None:
    """Add the command to ``propdesk analyze``."""
    group.command("corpus")(corpus)

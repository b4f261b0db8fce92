"""``propdesk prices``: bring prices in, show what is there, what is missing and what changed a price."""

import csv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.candles import download
from cli.output import JsonOption, emit, parse_day, progress_console, say, show_table
from propdesk.core.errors import ConfigFault

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from adapters.ticks.file_reports import FileReport
    from adapters.ticks.importers import Progress
    from adapters.ticks.store import DayCoverage, Kind, ParquetPriceStore

_ROWS_SHOWN = 60
_RECORDED: "tuple[Kind, ...]" = ("recorded", "recorded_in_part")
_LOOKING = "Looking for corporate actions in the daily bars"
_Store = Annotated[str, typer.Option("--store", help="Price store; the one of the settings by default.")]
_First = Annotated[str, typer.Option("--first", help="First day; the store's first by default.")]
_Last = Annotated[str, typer.Option("--last", help="Last day; the store's last by default.")]
_Kind = Annotated[
    str, typer.Option("--kind", help="minute, tick, daily, recorded, recorded_in_part or quote.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    prices = typer.Typer(no_args_is_help=True, help="Stored minute bars, daily bars and ticks.")
    prices.command("import")(import_files)
    prices.command("download")(download)
    prices.command("gaps")(gaps)
    prices.command("coverage")(coverage)
    prices.command("actions")(actions)
    app.add_typer(prices, name="prices")


def import_files(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Parquet or CSV files, plain or gzip, recordings, or folders.")
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="auto, or the name of a layout (docs/data.md).")
    ] = "auto",
    store: _Store = "",
    instruments: Annotated[
        bool, typer.Option(help="Add NSE_EQ rows to the instrument master for stocks it lacks.")
    ] = True,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Also what the daemons recorded on past days and is new.")
    ] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Recordings of a sandbox may go into this store.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import price files; refused rows are counted by reason and kept in the store's manifest."""
    from adapters.calendar import load_calendar
    from adapters.ticks.importers import import_prices, price_instruments
    from adapters.ticks.recordings import split_recordings
    from adapters.uploads.profiles import load_aliases

    files, named = split_recordings(paths or ())
    if not files and not named and not recorded:
        raise ConfigFault("Nothing to import: name files or folders, or give --recorded.")
    with ExitStack() as stack:
        # without the database the instrument rows could not follow: ask before anything is written
        engine = stack.enter_context(_database()) if instruments and files else None
        target = _open_store(store)
        reports: list[FileReport] = []
        if files:
            with _progress() as tell:
                reports = import_prices(
                    target, files, load_calendar(), load_aliases(), kind=kind, progress=tell
                )
        events = _find_events(target, reports)
        added = 0
        if engine is not None:
            from adapters.db.repos.instruments import add_price_instruments

            added = add_price_instruments(engine, price_instruments(reports))
    found, faults = _import_recordings(target, named, is_sandbox_taken=sandbox, is_all=recorded)
    reports += found
    if as_json:
        emit(
            {
                "store": target.url,
                "files": [r.as_dict() for r in reports],
                "count_instruments": added,
                "count_actions": events,
                "faults": faults,
            }
        )
    else:
        _tell_import(target, reports, added, events, faults)
    if faults:
        raise typer.Exit(1)


def _import_recordings(
    target: "ParquetPriceStore", named: list[Path], *, is_sandbox_taken: bool, is_all: bool
) -> "tuple[list[FileReport], list[str]]":
    """Import the recordings named, and of all those that are new; one that cannot be taken stops no other."""
    from adapters.clock import SystemClock
    from adapters.settings import load_settings
    from adapters.ticks.recorded_import import SandboxPrices, import_recordings, new_recordings
    from adapters.ticks.recordings import past_recordings
    from propdesk.core.calendar import ist_date

    today = ist_date(SystemClock().now_ns())
    new = new_recordings(target, past_recordings(load_settings().home, today)) if is_all else []
    reports, faults = import_recordings(
        target, dict.fromkeys((*named, *new)), target.calendar, today, is_sandbox_taken=is_sandbox_taken
    )
    told = [str(fault) for path, fault in faults if path in named or not isinstance(fault, SandboxPrices)]
    return reports, told


def _tell_import(
    target: "ParquetPriceStore", reports: "list[FileReport]", added: int, events: int, faults: list[str]
) -> None:
    _show_reports(reports)
    for fault in faults:
        say(fault)
    outages = _outage_days(target, reports)
    say(
        f"{sum(r.accepted for r in reports)} of {sum(r.rows for r in reports)} rows are in {target.url}; "
        f"{added} instrument rows stand for them; {outages} days have an outage of the whole feed "
        f"(`propdesk prices gaps`); base prices of these days tell of {events} corporate actions "
        "(`propdesk prices actions --check` shows leaps that nothing explains)."
    )


def gaps(
    store: _Store = "",
    kind: _Kind = "minute",
    first: _First = "",
    last: _Last = "",
    symbol: Annotated[str, typer.Option("--symbol", help="Also list the gaps of this price key.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List outages of the whole feed, market days without a file, and the gaps of one symbol."""
    from propdesk.core.calendar import ist_text

    target = _open_store(store)
    found = _coverage(target, kind, first, last)
    missing = _missing_days(target, found)
    rows = [(str(c.day), "whole feed", ist_text(a), ist_text(b), (b - a) // 60_000_000_000)
            for c in found for a, b in c.outages]  # fmt: skip
    if symbol:
        rows += [(str(c.day), symbol, ist_text(a), ist_text(b), (b - a) // 60_000_000_000)
                 for c in found for a, b in c.gaps.get(symbol, ())]  # fmt: skip
    rows.sort()
    lacking = _days_without(target, kind, [c.day for c in found], symbol) if symbol else []
    watched = {
        str(kind): [day for day in lacking if symbol in target.symbols(kind, day)] for kind in _RECORDED
    }
    if as_json:
        names = ("day", "what", "from", "to", "minutes")
        emit({"store": target.url, "gaps": [dict(zip(names, row, strict=True)) for row in rows],
              "missing_days": missing, "days_without_symbol": lacking, **watched})  # fmt: skip
        return
    if rows or kind in ("minute", "tick"):
        show_table("Silence in market hours", ("day", "what", "from", "to", "minutes"), rows)
    _say_days(missing, f"market days between the first and the last one have no {kind} file")
    _say_days(lacking, f"days with a {kind} file between the first and the last one of {symbol} lack it")
    for what, days in watched.items():
        _say_days(days, f"of these days are {what.replace('_', ' ')}")
    if not rows and not missing and not lacking:
        say("Nothing is missing.")


def _find_events(target: "ParquetPriceStore", reports: "list[FileReport]") -> int:
    """Judge the imported daily rows for corporate actions; returns how many they tell of."""
    from adapters.ticks.actions import refresh_actions

    days = sorted({day for report in reports if report.has_base_prices for day in report.days})
    if not days:
        return 0
    with progress_console().status(_LOOKING):
        return len(refresh_actions(target, target.calendar, days).actions)


def actions(
    store: _Store = "",
    load: Annotated[
        Path | None, typer.Option("--load", help="CSV: symbol, ex_date, factor, kind, known_on.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Judge all daily bars anew and show leaps that nothing explains.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --check: write these leaps as a file for --load.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List corporate actions by share and ex-date; take a file of them, or look for them in daily bars."""
    from adapters.ticks.actions import Findings, leaps_csv, load_actions, refresh_actions, unexplained

    target = _open_store(store)
    if load is not None:
        load_actions(target, load)
    days = target.days("daily")
    with progress_console().status(_LOOKING):
        found = refresh_actions(target, target.calendar, days) if check and days else Findings()
    known = target.actions().all()
    leaps = unexplained(found, known)
    if out is not None:
        with out.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, lineterminator="\n").writerows(leaps_csv(leaps))
    rows = [(a.price_key, a.ex_date, str(a.factor), a.kind, a.source, a.known_on) for a in known]
    names = ("share", "ex-date", "factor", "kind", "source", "known on")
    leap_rows = [
        (
            o.price_key,
            o.day,
            o.close_paise / 100,
            o.open_paise / 100,
            "?" if o.factor is None else str(o.factor),
        )
        for o in leaps
    ]
    leap_names = ("share", "day", "close before", "open", "likely factor")
    if as_json:
        emit({"store": target.url, "actions": [dict(zip(names, row, strict=True)) for row in rows],
              "leaps": [dict(zip(leap_names, row, strict=True)) for row in leap_rows],
              "unjudged": len(found.unjudged)})  # fmt: skip
        return
    show_table(f"Corporate actions of {target.url}", names, rows)
    if check:
        show_table("Leaps that no corporate action explains", leap_names, leap_rows)
        say(f"{len(found.unjudged)} base prices cannot be judged: the market day before has no bar.")


def _say_days(days: list[date], what: str) -> None:
    if days:
        shown = ", ".join(str(day) for day in days[:10])
        say(f"{len(days)} {what}: {shown}{' …' if len(days) > 10 else ''}.")


def _days_without(target: "ParquetPriceStore", kind: str, days: list[date], symbol: str) -> list[date]:
    """List the stored days between a symbol's first and last one that lack it."""
    held = [symbol in target.symbols(_kind_of(kind), day) for day in days]
    if True not in held:
        raise ConfigFault(f"{target.url} has no {kind} prices of {symbol} in that range.")
    begin, end = held.index(True), len(held) - held[::-1].index(True)
    return [day for day, has in zip(days[begin:end], held[begin:end], strict=True) if not has]


def coverage(
    store: _Store = "",
    kind: _Kind = "minute",
    first: _First = "",
    last: _Last = "",
    files: Annotated[
        bool, typer.Option("--files", help="What the imported files gave instead, with counts by reason.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show rows and symbols per day, and recorded series beside minutes; or what each imported file gave."""
    target = _open_store(store)
    if files:
        _show_files(target, as_json)
        return
    names, rows = (
        _minute_rows(target, first, last) if kind == "minute" else _kind_rows(target, kind, first, last)
    )
    if as_json:
        days = [dict(zip(names, row, strict=True)) for row in rows]
        emit({"store": target.url, "kind": kind, "days": days})
        return
    show_table(f"Coverage of {target.url} ({kind})", names, rows[-_ROWS_SHOWN:])
    if len(rows) > _ROWS_SHOWN:
        say(f"The last {_ROWS_SHOWN} of {len(rows)} days; --json gives all.")


_COUNTED = ("day", "rows", "symbols", "symbols with gaps", "outages")


def _kind_rows(
    target: "ParquetPriceStore", kind: str, first: str, last: str
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    found = _coverage(target, kind, first, last)
    return _COUNTED, [(str(c.day), c.rows, c.symbols, len(c.gaps), len(c.outages)) for c in found]


def _minute_rows(
    target: "ParquetPriceStore", first: str, last: str
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Count imported minutes, and the series that were recorded, for each day that has any."""
    beside = [{c.day: c.symbols for c in target.coverage(kind, *_range(first, last))} for kind in _RECORDED]
    recorded_days = {day for counts in beside for day in counts}
    found = {
        c.day: (c.rows, c.symbols, len(c.gaps), len(c.outages))
        for c in _coverage(target, "minute", first, last, is_needed=not recorded_days)
    }
    rows = [
        (str(day), *found.get(day, (0, 0, 0, 0)), *(counts.get(day, 0) for counts in beside))
        for day in sorted(recorded_days | found.keys())
    ]
    return (*_COUNTED, "series recorded", "recorded in part"), rows


def _show_files(target: "ParquetPriceStore", as_json: bool) -> None:
    found = target.imports()
    if as_json:
        emit({"store": target.url, "files": found})
        return
    rows = []
    for one in found:
        days = f"{one['first']} … {one['last']}" if one["days"] else "–"
        counts = [_counts_text(one[name]) for name in ("defects", "notes")]
        rows.append((Path(str(one["file"])).name, one["layout"], one["rows"], one["accepted"], days, *counts))
    show_table(
        f"Imported into {target.url}", ("file", "layout", "rows", "taken", "days", "refused", "odd"), rows
    )


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "–"


def _open_store(url: str) -> "ParquetPriceStore":
    from adapters.settings import load_settings
    from adapters.ticks.opening import open_store

    return open_store(load_settings(), url=url, say=say)


@contextmanager
def _database() -> "Iterator[Engine]":
    """Give an engine of a database that answers."""
    from adapters.db.engine import begin
    from adapters.settings import load_settings
    from cli.database import open_engine

    with open_engine(load_settings(), "pipeline", "propdesk-prices") as engine:
        with begin(engine):
            pass
        yield engine


def _coverage(
    target: "ParquetPriceStore", kind: str, first: str, last: str, *, is_needed: bool = True
) -> "list[DayCoverage]":
    found = target.coverage(_kind_of(kind), *_range(first, last))
    if not found and is_needed:
        raise ConfigFault(
            f"{target.url} has no {kind} prices in that range; use `propdesk prices import PATH` first."
        )
    return found


def _range(first: str, last: str) -> tuple[date, date]:
    return (
        parse_day(first, "--first") if first else date.min,
        parse_day(last, "--last") if last else date.max,
    )


def _kind_of(text: str) -> "Kind":
    from adapters.ticks.store import KINDS

    found = next((kind for kind in KINDS if kind == text), None)
    if found is None:
        raise ConfigFault(f"--kind: {text!r} is not stored; use {', '.join(KINDS)}.")
    return found


def _missing_days(target: "ParquetPriceStore", found: "list[DayCoverage]") -> list[date]:
    present = {c.day for c in found}
    return [day for day in target.calendar.market_days(found[0].day, found[-1].day) if day not in present]


def _outage_days(target: "ParquetPriceStore", reports: "list[FileReport]") -> int:
    days = sorted({day for report in reports for day in report.days})
    return len([d for d in target.outages(days[0], days[-1]) if d in set(days)]) if days else 0


def _show_reports(reports: "list[FileReport]") -> None:
    rows = []
    for report in reports:
        days = sorted(report.days)
        refused, odd = _counts_text(report.defects), _counts_text(report.notes)
        span = f"{days[0]} … {days[-1]}" if days else "–"
        name = Path(report.path).name
        rows.append(
            (name, report.layout, report.rows, report.accepted, len(report.spans), span, refused, odd)
        )
    show_table("Imported", ("file", "layout", "rows", "taken", "symbols", "days", "refused", "odd"), rows)
    for report in reports:
        if report.rejects:
            say(f"Refused rows of {Path(report.path).name}: {report.rejects}")


@contextmanager
def _progress() -> "Iterator[Progress]":
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} rows"),
        TimeElapsedColumn(), console=progress_console(), transient=True,
    )  # fmt: skip
    task = bar.add_task("Reading", total=None)

    def tell(path: str, done: int, total: int) -> None:
        bar.update(task, description=Path(path).name, completed=done, total=total or None)

    with bar:
        yield tell

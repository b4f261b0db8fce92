"""``instruments``: masters, bhavcopies and lot tables into the history of instruments, and what it says."""

from collections import defaultdict
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import open_engine
from cli.output import JsonOption, emit, parse_day, say, show_table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from adapters.db.repos.instrument_files import FileRecord
    from propdesk.intake.expiries import ExpiryDay
    from propdesk.model.instrument import Instrument

_DAY = Annotated[str | None, typer.Option("--day", help="As of this day; default: today.")]
_SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    instruments = typer.Typer(no_args_is_help=True, help="The instrument master as of date.")
    instruments.command("load")(load)
    instruments.command("files")(files)
    instruments.command("rejected")(rejected)
    instruments.command("show")(show)
    instruments.command("expiries")(expiries)
    app.add_typer(instruments, name="instruments")


def load(
    sources: Annotated[
        list[str],
        typer.Argument(help="Scrip masters, NSE bhavcopies, NSE lot tables: CSV, gzip, zip, or an address."),
    ],
    day: Annotated[
        str | None,
        typer.Option("--day", help="Day of which the file speaks, where it does not say so; masters: today."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--source", help="Whose word it is, of no bhavcopy; default: by the layout."),
    ] = None,
    revise: Annotated[
        str | None,
        typer.Option("--revise", help="Why the file may change a day that another file has fixed."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put instrument files into history; the layout is recognised.

    Lot tables on disk go first; what comes from an address keeps its place.
    """
    from adapters.clock import SystemClock
    from adapters.instruments import recognise
    from propdesk.core.calendar import ist_date

    given = parse_day(day, "--day") if day else None
    today = ist_date(SystemClock().now_ns())
    # The contracts of a bhavcopy take their lots from the tables loaded before it.
    ordered = sorted(sources, key=lambda one: recognise(Path(one)) != "lot_table")
    records = []
    with _engine() as engine:
        for source in ordered:
            record = _load_one(engine, source, given, today, name, revise)
            records.append(record)
            if not as_json:
                _tell(record)
    if as_json:
        emit({"files": [_record_document(record) for record in records]})


def _load_one(
    engine: "Engine", source: str, given: date | None, today: date, name: str | None, revise: str | None
) -> "FileRecord":
    from adapters.clock import SystemClock
    from adapters.db.engine import begin
    from adapters.db.repos.instrument_files import load_file, read_lot_table
    from adapters.instruments import read_instrument_file
    from propdesk.core.clock import from_ns

    def lot_table_on(when: date) -> dict[tuple[str, date], int]:
        with begin(engine) as connection:
            return read_lot_table(connection, when)

    found = read_instrument_file(source, given, today=today, lot_table_on=lot_table_on)
    return load_file(
        engine,
        found,
        file_name=Path(source).name,
        loaded_at=from_ns(SystemClock().now_ns()),
        source=name,
        revision_reason=revise,
    )


def _tell(record: "FileRecord") -> None:
    say(
        f"{record.file_name}: {record.layout} of {record.day}, source {record.source}: "
        f"{record.count_read} rows, {record.count_taken} taken; "
        f"{record.count_added} added, {record.count_closed} closed, "
        f"{record.count_unchanged} unchanged."
    )
    if record.skipped:
        show_table("Left out", ("what", "rows"), sorted(record.skipped.items()))
    if record.count_rejected:
        say(f"{record.count_rejected} of them are wrong: `instruments rejected {record.file_id}` shows them.")


def files(
    name: Annotated[str | None, typer.Option("--source", help="Only this source.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the files taken, with the day each speaks of and what it changed."""
    from adapters.db.engine import begin
    from adapters.db.repos.instrument_files import list_files

    with _engine() as engine, begin(engine) as connection:
        records = list_files(connection, name)
    if as_json:
        emit({"files": [_record_document(record) for record in records]})
        return
    columns = ("file id", "source", "day", "layout", "file", "rows", "taken", "wrong", "added", "correction")
    rows = [
        (
            one.file_id,
            one.source,
            one.day,
            one.layout,
            one.file_name,
            one.count_read,
            one.count_taken,
            one.count_rejected,
            one.count_added,
            one.revision_reason,
        )
        for one in records
    ]
    show_table("Instrument files", columns, rows)


def rejected(
    file_id: Annotated[str | None, typer.Argument(help="Only this file; default: all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rows of instrument files that could not be taken, whole, with the reason."""
    from adapters.db.engine import begin
    from adapters.db.repos.instrument_files import list_rejects

    with _engine() as engine, begin(engine) as connection:
        rows = list_rejects(connection, file_id)
    if as_json:
        emit(
            {
                "rows": [
                    {
                        "file": name,
                        "row_number": one.row_number,
                        "reason": one.reason,
                        "message": one.message,
                        "content": one.content,
                    }
                    for name, one in rows
                ]
            }
        )
        return
    shown = [(name, one.row_number, one.reason, one.message) for name, one in rows[:_SHOWN]]
    show_table("Rejected rows", ("file", "row", "reason", "why"), shown)
    if len(rows) > _SHOWN:
        say(f"{len(rows) - _SHOWN} more; --json shows all.")


def show(
    symbol: Annotated[str, typer.Argument(help="Share, index or underlying, in any known spelling.")],
    day: _DAY = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is listed on a symbol on a day: expiries, lots, ticks, most lots of one order."""
    from adapters.clock import SystemClock
    from adapters.db.engine import begin
    from adapters.db.repos.instruments import read_instruments
    from adapters.uploads.profiles import load_aliases
    from propdesk.core.calendar import ist_date
    from propdesk.intake import InstrumentLookup

    on_date = parse_day(day, "--day") if day else ist_date(SystemClock().now_ns())
    underlying = load_aliases().canonical(symbol, on_date)
    with _engine() as engine, begin(engine) as connection:
        lookup = InstrumentLookup(read_instruments(connection, on_date, on_date, underlyings={underlying}))
    rows = _listed(lookup.listed(on_date))
    if as_json:
        emit({"symbol": underlying, "day": on_date, "listed": rows})
        return
    columns = (
        "category",
        "expiry",
        "instruments",
        "lot",
        "tick (paise)",
        "freeze",
        "lots per order",
        "series",
    )
    show_table(f"{underlying} on {on_date}", columns, [tuple(row.values()) for row in rows])


def expiries(
    symbol: Annotated[str, typer.Argument(help="Index or share, in any known spelling.")],
    first: Annotated[str, typer.Argument(help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Argument(help="Last day.")],
    as_json: JsonOption = False,
) -> None:
    """Show the days on which a symbol's contracts expire, by the contracts listed then and its name then."""
    from adapters.calendar import load_calendar
    from adapters.db.engine import begin
    from adapters.db.repos.instruments import read_instruments
    from adapters.uploads.profiles import load_aliases
    from propdesk.intake.expiries import MONTH, expiry_calendar

    days = (parse_day(first, "FIRST"), parse_day(last, "LAST"))
    calendar, spans = load_calendar(), load_aliases().spans(symbol, *days)
    rows = []
    with _engine() as engine, begin(engine) as connection:
        for name, begins, ends in spans:
            listed = read_instruments(connection, begins, ends + MONTH, underlyings={name})
            rows += [_expiry_document(one) for one in expiry_calendar(listed, calendar, begins, ends)]
    underlying = spans[-1][0]
    if as_json:
        emit({"symbol": underlying, "first": days[0], "last": days[1], "expiries": rows})
        return
    columns = ("day", "weekday", "category", "kind", "contracts", "trades until", "remark")
    show_table(f"Expiries of {underlying}", columns, [tuple(row.values()) for row in rows])


def _expiry_document(one: "ExpiryDay") -> dict[str, Any]:
    from propdesk.core.calendar import ist_text

    moved = f"holiday since announced: expires on {one.moved_to}" if one.moved_to else None
    return {
        "day": one.day,
        "weekday": f"{one.day:%A}",
        "category": one.category.value,
        "kind": "monthly" if one.is_monthly else "weekly",
        "contracts": one.count_contracts,
        "trades_until": None if one.trades_until_ns is None else ist_text(one.trades_until_ns)[11:16],
        "remark": moved or one.session_name,
    }


def _listed(instruments: "list[Instrument]") -> list[dict[str, Any]]:
    from propdesk.model.instrument import freeze_lots

    grouped: dict[tuple[str, date | None, int, int, int, str], int] = defaultdict(int)
    for one in instruments:
        name = (
            one.category.value,
            one.expiry,
            one.lot_size,
            one.tick_paise,
            one.freeze_quantity,
            one.series + (" +F&O" if one.has_derivatives else ""),
        )
        grouped[name] += 1
    return [
        {
            "category": category,
            "expiry": expiry,
            "instruments": count,
            "lot_size": lot,
            "tick_paise": tick,
            "freeze_quantity": freeze or None,
            "lots_per_order": freeze_lots(freeze, lot) if freeze else None,
            "series": series,
        }
        for (category, expiry, lot, tick, freeze, series), count in sorted(
            grouped.items(), key=lambda item: (item[0][0], item[0][1] or date.max, item[0][2:])
        )
    ]


def _record_document(record: "FileRecord") -> dict[str, Any]:
    return {name: getattr(record, name) for name in type(record).__slots__}


def _engine() -> "AbstractContextManager[Engine]":
    from adapters.settings import load_settings

    return open_engine(load_settings(), "pipeline", "propdesk-cli")

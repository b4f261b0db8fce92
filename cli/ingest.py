"""``ingest`` and ``quarantine``: what comes in, and what could not be taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import open_engine
from cli.output import JsonOption, emit, parse_day, progress_console, say, show_table
from propdesk.core.clock import Clock, ManualClock
from propdesk.core.errors import ConfigFault

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from adapters.db.repos.uploads import QuarantineFilter
    from adapters.settings import Settings
    from adapters.uploads import ProgressCallback, UploadSummary
    from adapters.uploads.collection import CollectionSummary

_LIST_LIMIT = 50
_UPLOAD = Annotated[str | None, typer.Option("--upload", help="Only this upload id.")]
_STAGE = Annotated[
    str | None, typer.Option("--stage", help="Only this stage: INGEST, VALIDATE, NORMALISE or RESOLVE.")
]
_REASON = Annotated[str | None, typer.Option("--reason", help="Only rows with this reason code.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    app.command()(ingest)
    quarantine = typer.Typer(no_args_is_help=True, help="Rows that could not be taken, and why.")
    quarantine.command("list")(quarantine_list)
    quarantine.command("show")(quarantine_show)
    quarantine.command("retry")(quarantine_retry)
    quarantine.command("export")(quarantine_export)
    app.add_typer(quarantine, name="quarantine")


def ingest(
    file: Annotated[
        Path | None, typer.Argument(help="CSV, JSON, JSON lines or Parquet, plain or gzip.")
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", help="Source profile of config/source_profiles.")
    ] = "sample",
    mongo: Annotated[
        str | None, typer.Option("--mongo", help="Collection of MongoDB to read instead of a file.")
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="With --mongo: only what was posted from this day on.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="With --mongo: only up to this day.")] = None,
    now: Annotated[
        str | None,
        typer.Option(
            "--now", help="Moment that counts as that of ingestion, e.g. 2025-07-01T08:00:00+05:30."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a signal file or a MongoDB collection in: all of it, or nothing and the reason why."""
    if (file is None) == (mongo is None):
        raise ConfigFault("Give either a file or --mongo COLLECTION.")
    if file is not None:
        if first or last:
            raise ConfigFault("--from and --to go with --mongo; a file is taken whole.")
        _ingest_file(file, profile, now, as_json=as_json)
        return
    if bool(first) != bool(last):
        raise ConfigFault("Give both --from and --to, or neither.")
    days = (parse_day(first, "--from"), parse_day(last, "--to")) if first and last else None
    _ingest_collection(str(mongo), profile, now, days, as_json=as_json)


def _ingest_file(file: Path, profile: str, now: str | None, *, as_json: bool) -> None:
    from adapters.calendar import load_calendar
    from adapters.uploads import ingest_file
    from adapters.uploads.ingest import as_plain

    with _engine() as (engine, settings), _progress(file.name) as report:
        summary = ingest_file(engine, file, profile, load_calendar(), _clock(now), settings, report)
    if as_json:
        emit(as_plain(summary))
        return
    if summary.rows_unnamed:
        say(
            f"Refused rows that name no message: {summary.rows_unnamed}. The export was not searched for "
            "what was taken back: correct them (`quarantine list`) and send it again."
        )
    title = f"{summary.file_name} ({summary.format}, {summary.seconds:.1f} s)"
    _show_counts(title, summary, summary.trade_dates, (summary.upload_id,))


def _ingest_collection(
    collection: str, profile: str, now: str | None, days: tuple[date, date] | None, *, as_json: bool
) -> None:
    from adapters.calendar import load_calendar
    from adapters.settings import NotConfigured
    from adapters.uploads.collection import ingest_collection

    with _engine() as (engine, settings), _progress(collection) as report:
        if settings.mongo_url is None:
            raise NotConfigured("No MongoDB is known: set PROPDESK_MONGO_URL or use `python3 run.py up`.")
        summary = ingest_collection(
            engine, collection, profile, load_calendar(), _clock(now), settings, report, days=days
        )
    if as_json:
        emit({name: getattr(summary, name) for name in type(summary).__slots__})
        return
    if summary.history_lost:
        say("The history of the collection was lost: it was read through anew and compared.")
    title = f"{collection} (batches: {summary.batches})"
    _show_counts(title, summary, summary.trade_dates, summary.upload_ids)


def _show_counts(
    title: str,
    summary: "UploadSummary | CollectionSummary",
    trade_dates: tuple[date, ...],
    upload_ids: tuple[str, ...],
) -> None:
    show_table(
        title,
        ("rows", "count"),
        [
            ("read", summary.rows_read),
            ("accepted", summary.rows_accepted),
            ("repeated", summary.rows_duplicate),
            ("revised", summary.rows_revised),
            ("quarantined", summary.rows_quarantined),
            ("taken back by the source", summary.rows_deleted),
        ],
    )
    if trade_dates:
        first, last = trade_dates[0], trade_dates[-1]
        say(f"{len(trade_dates)} partitions changed: run `propdesk backfill {first} {last}`.")
    if summary.rows_quarantined and upload_ids:
        say(f"See why with `propdesk quarantine list --upload {upload_ids[-1]}`.")


def quarantine_list(
    upload: _UPLOAD = None,
    stage: _STAGE = None,
    reason: _REASON = None,
    first: Annotated[str | None, typer.Option("--from", help="Trade dates from this day on.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Trade dates up to this day.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows shown.")] = _LIST_LIMIT,
    as_json: JsonOption = False,
) -> None:
    """List quarantined rows and count them by reason."""
    from adapters.db.engine import begin
    from adapters.db.repos.uploads import count_quarantine, list_quarantine

    where = _filter(upload, stage, reason, first, last)
    with _engine() as (engine, _), begin(engine) as connection:
        rows = list(list_quarantine(connection, where, limit=limit))
        counts = count_quarantine(connection)
    if as_json:
        emit({"rows": rows, "counts": [{"stage": s, "reason": r, "count": n} for s, r, n in counts]})
        return
    show_table("Open rows by reason", ("stage", "reason", "count"), counts)
    show_table(
        f"Quarantined rows (at most {limit})",
        ("id", "file", "row", "stage", "day", "reasons", "message"),
        [
            (
                row["quarantine_id"][:8],
                row["file_name"],
                row["row_number"],
                row["stage"],
                row["trade_date"],
                " ".join(row["reason_codes"]),
                row["message"],
            )
            for row in rows
        ],
    )


def quarantine_show(
    quarantine_id: Annotated[str, typer.Argument(help="Its id or the start of it.")],
    as_json: JsonOption = False,
) -> None:
    """Show one quarantined row completely."""
    from adapters.db.engine import begin
    from adapters.db.repos.uploads import find_quarantined

    with _engine() as (engine, _), begin(engine) as connection:
        found = find_quarantined(connection, quarantine_id)
    if len(found) != 1:
        what = "no row" if not found else "several rows"
        raise ConfigFault(f"{what} begin with {quarantine_id!r}: take an id from `propdesk quarantine list`.")
    if as_json:
        emit(found[0])
        return
    show_table(
        f"Quarantined row {found[0]['quarantine_id']}",
        ("field", "value"),
        [(name, " ".join(v) if isinstance(v, list) else v) for name, v in found[0].items()],
    )


def quarantine_retry(
    upload: _UPLOAD = None,
    reason: _REASON = None,
    now: Annotated[str | None, typer.Option("--now", help="Moment that counts as now.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the rows that uploads refused anew, after a profile or rule was corrected."""
    from adapters.calendar import load_calendar
    from adapters.uploads.quarantine import retry_rows

    where = _filter(upload, "INGEST", reason, None, None)
    with _engine() as (engine, settings):
        result = retry_rows(engine, where, load_calendar(), _clock(now), settings)
    if as_json:
        emit(
            {
                "retried": result.retried,
                "landed": result.landed,
                "still_quarantined": result.still_quarantined,
                "trade_dates": list(result.trade_dates),
            }
        )
        return
    say(f"{result.retried} rows tried, {result.landed} landed, {result.still_quarantined} stay quarantined.")
    if result.trade_dates:
        say(f"Run `propdesk backfill {result.trade_dates[0]} {result.trade_dates[-1]}`.")
    say("Rows refused by later stages are tried again by materialising their day (`propdesk backfill`).")


def quarantine_export(
    out: Annotated[Path, typer.Argument(help="CSV file to write.")],
    upload: _UPLOAD = None,
    stage: _STAGE = None,
    reason: _REASON = None,
    as_json: JsonOption = False,
) -> None:
    """Write quarantined rows as CSV; cells that a spreadsheet would run are marked as text."""
    from adapters.db.engine import begin
    from adapters.db.repos.uploads import list_quarantine
    from adapters.uploads.quarantine import export_rows

    with _engine() as (engine, _), begin(engine) as connection:
        rows = list_quarantine(connection, _filter(upload, stage, reason, None, None))
        count = export_rows(rows, out)
    if as_json:
        emit({"rows": count, "file": out})
    else:
        say(f"{count} rows written to {out}.")


@contextmanager
def _engine() -> "Iterator[tuple[Engine, Settings]]":
    from adapters.settings import load_settings

    settings = load_settings()
    with open_engine(settings, "pipeline", "propdesk-cli") as engine:
        yield engine, settings


@contextmanager
def _progress(title: str) -> "Iterator[ProgressCallback]":
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from adapters.uploads import UploadProgress

    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=progress_console(), transient=True) as bar:
        task = bar.add_task(f"{title}: reading")

        def report(state: UploadProgress) -> None:
            bar.update(
                task,
                description=f"{title}: {state.rows_read:,} rows, {state.rows_per_second:,.0f}/s, "
                f"{state.rows_quarantined:,} quarantined",
            )

        yield report


def _clock(now: str | None) -> Clock:
    from adapters.clock import SystemClock
    from propdesk.intake.fields import parse_time

    if now is None:
        return SystemClock()
    now_ns = parse_time(now, (), 330)
    if now_ns is None:
        raise ConfigFault(f"--now: {now!r} is no moment; write it like 2025-07-01T08:00:00+05:30.")
    return ManualClock(now_ns)


def _filter(
    upload: str | None, stage: str | None, reason: str | None, first: str | None, last: str | None
) -> "QuarantineFilter":
    from adapters.db.repos.uploads import QuarantineFilter

    def day(text: str | None, option: str) -> date | None:
        return parse_day(text, option) if text else None

    return QuarantineFilter(
        upload_id=upload,
        stage=stage.upper() if stage else None,
        reason=reason.upper() if reason else None,
        first=day(first, "--from"),
        last=day(last, "--to"),
    )

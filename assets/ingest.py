"""Step 1: of all rows that landed, those that count."""

from collections.abc import Iterator

from dagster import AssetExecutionContext, MaterializeResult, ResourceParam, multi_asset

from adapters.db.frames import signals
from adapters.settings import Settings
from assets._shared import pictures
from assets._shared.collect import collect_documents
from assets._shared.dress import GROUPS, spec, step
from assets._shared.partitions import worked_range
from assets._shared.report import report, rows_by_day
from assets._shared.resources import Database, Market
from assets.quality import judge
from propdesk.pipeline.raw import current_revisions

RAW_SIGNALS = spec(
    1,
    "raw_signals",
    "raw.raw_signals",
    "Every signal and follow-up as received, in the revision that counts; older revisions stay in "
    "`raw.landed_rows`, and what could not be read in `raw.quarantine`.",
    deps=["uploads", "signal_collection"],
    kinds={"csv", "mongodb"},
)


@multi_asset(name=GROUPS[1], **step([RAW_SIGNALS], judged=["raw_signals"]))
def raw_signals(
    context: AssetExecutionContext,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> Iterator[MaterializeResult[None]]:
    """Land what the live collection holds and choose the newest revision of each record."""
    days = worked_range(context, market.today())
    collected = collect_documents(database, market, settings, days)
    with database.writing() as work:
        landed = signals.read_landed(work.connection, days.first, days.last)
        raw = current_revisions(landed)
        work.later(signals.write_raw_signals, raw, days.first, days.last)
        check = judge(context, work, "raw_signals", raw, days)
        parts = {kind: raw[raw["kind"] == kind] for kind in ("SIGNAL", "FOLLOWUP")}
        by_day = {kind: rows_by_day(part, "trade_date") for kind, part in parts.items()}
        keys = sorted({day for counts in by_day.values() for day in counts})
        picture = pictures.stacked_days(
            keys, {k: [c.get(d, 0) for d in keys] for k, c in by_day.items()}, "Rows received per day"
        )
    yield report(
        context,
        days,
        "raw_signals",
        raw,
        rows_in=len(landed),
        picture=picture,
        check=check,
        newly_collected=collected,
    )

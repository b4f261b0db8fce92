"""Step 2: rows become typed signals and follow-ups, or go to the quarantine with a reason."""

from collections.abc import Iterator
from datetime import timedelta

from dagster import AssetExecutionContext, MaterializeResult, ResourceParam, multi_asset

from adapters.db.frames import signals
from assets._shared import pictures
from assets._shared.dress import GROUPS, spec, step
from assets._shared.partitions import worked_range
from assets._shared.report import report
from assets._shared.resources import Database, Market
from assets.quality import judge
from propdesk.core.clock import from_ns
from propdesk.pipeline.validate import FOLLOWUP_REACH_DAYS, validate_signals

VALIDATED_SIGNALS = spec(
    2,
    "validated_signals",
    "research.validated_signals",
    "One row per signal that reads as one: typed fields, prices in paise, times in UTC. A Great Expectations "
    "suite stops what follows if the table is not fit.",
    deps=["raw_signals"],
)
FOLLOWUPS = spec(
    2,
    "followups",
    "research.followups",
    "Later changes by the advisor (new stop, exit, cancel …), each with the signal it refers to; one that "
    "matches nothing is kept as an orphan.",
    deps=["raw_signals"],
)


@multi_asset(name=GROUPS[2], **step([VALIDATED_SIGNALS, FOLLOWUPS], judged=["validated_signals"]))
def validated_signals(
    context: AssetExecutionContext, database: ResourceParam[Database], market: ResourceParam[Market]
) -> Iterator[MaterializeResult[None]]:
    """Type every record, link follow-ups, quarantine what does not read."""
    days = worked_range(context, market.today())
    with database.writing() as work:
        raw = signals.read_raw_signals(work.connection, days.first, days.last)
        oldest = days.first - timedelta(days=FOLLOWUP_REACH_DAYS)
        earlier = signals.read_earlier_signals(work.connection, days.first, oldest)
        done = validate_signals(raw, from_ns(market.clock.now_ns()), earlier)
        work.later(signals.write_validated_signals, done.signals, days.first, days.last)
        work.later(signals.write_followups, done.followups, days.first, days.last)
        work.later(signals.write_rejected, "VALIDATE", done.rejected, days.first, days.last)
        check = judge(context, work, "validated_signals", done.signals, days)
        refused = signals.rejected_by_reason(done.rejected)
        picture = pictures.bars(list(refused), list(refused.values()), "Rows refused by reason")
        kinds = done.followups["kind"].value_counts()
        drawn = pictures.bars(
            [str(k) for k in kinds.index], kinds.tolist(), "Follow-ups by kind", "follow-ups"
        )
    yield report(
        context,
        days,
        "validated_signals",
        done.signals,
        rows_in=len(raw),
        rejected=refused,
        picture=picture,
        check=check,
    )
    orphans = int(done.followups["signal_id"].isna().sum())
    yield report(context, days, "followups", done.followups, rows_in=len(raw), picture=drawn, orphans=orphans)

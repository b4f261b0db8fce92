"""Step 4: the instrument as of the day; reposts and copies linked."""

from collections.abc import Iterator

from dagster import AssetExecutionContext, MaterializeResult, ResourceParam, multi_asset

from adapters.db.frames import signals
from adapters.db.repos.instruments import read_instruments
from adapters.settings import Settings
from assets._shared import pictures
from assets._shared.configs import duplicate_rule
from assets._shared.dress import GROUPS, spec, step
from assets._shared.partitions import worked_range
from assets._shared.report import report
from assets._shared.resources import Database, Market
from assets.quality import judge
from propdesk.intake.resolve import LISTED_AROUND
from propdesk.pipeline.resolve import resolve_signals

RESOLVED_SIGNALS = spec(
    4,
    "resolved_signals",
    "research.resolved_signals",
    "Each signal with the instrument as it was on its day (lot, tick, freeze quantity), prices on the tick "
    "grid, reposts linked to the first idea and copies between advisors flagged.",
    deps=["normalised_signals", "instruments"],
)


@multi_asset(name=GROUPS[4], **step([RESOLVED_SIGNALS], judged=["resolved_signals"]))
def resolved_signals(
    context: AssetExecutionContext,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> Iterator[MaterializeResult[None]]:
    """Give every signal its instrument, or the reason why it has none."""
    days, rule = worked_range(context, market.today()), duplicate_rule(settings)
    with database.writing() as work:
        normalised = signals.read_normalised_signals(work.connection, days.first, days.last)
        listed = read_instruments(work.connection, days.first - LISTED_AROUND, days.last + LISTED_AROUND)
        earlier = signals.read_earlier_resolved(work.connection, days.first, days.last, rule.reach_minutes)
        done = resolve_signals(normalised, listed, earlier, rule)
        work.later(signals.write_resolved_signals, done.signals, days.first, days.last)
        work.later(signals.write_rejected, "RESOLVE", done.rejected, days.first, days.last)
        check = judge(context, work, "resolved_signals", done.signals, days)
        counts = done.signals["category"].value_counts()
        picture = pictures.bars(
            [str(k) for k in counts.index], counts.tolist(), "Signals by category", "signals"
        )
    refused = signals.rejected_by_reason(done.rejected)
    yield report(
        context,
        days,
        "resolved_signals",
        done.signals,
        rows_in=len(normalised),
        rejected=refused,
        picture=picture,
        check=check,
        reposts=int(done.signals["duplicate_of"].notna().sum()),
        copies=int(done.signals["copied_from"].notna().sum()),
    )

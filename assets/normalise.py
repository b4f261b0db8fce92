"""Step 3: one name per underlying, and the dimensions that IST decides."""

from collections.abc import Iterator
from datetime import timedelta

from dagster import AssetExecutionContext, MaterializeResult, ResourceParam, multi_asset

from adapters.db.frames import signals
from adapters.db.repos.instruments import read_derivative_listings
from adapters.uploads import load_aliases
from assets._shared import pictures
from assets._shared.dress import GROUPS, spec, step
from assets._shared.partitions import worked_range
from assets._shared.report import report
from assets._shared.resources import Database, Market
from assets.quality import judge
from propdesk.pipeline.normalise import normalise_signals

RECEIVED_BEFORE = timedelta(days=30)
"""A signal is received on the market day before its trade date at the earliest; no closure is as long."""

NORMALISED_SIGNALS = spec(
    3,
    "normalised_signals",
    "research.normalised_signals",
    "Canonical underlying, period known at posting, weekday and session of the IST calendar.",
    deps=["validated_signals"],
)


@multi_asset(name=GROUPS[3], **step([NORMALISED_SIGNALS], judged=["normalised_signals"]))
def normalised_signals(
    context: AssetExecutionContext, database: ResourceParam[Database], market: ResourceParam[Market]
) -> Iterator[MaterializeResult[None]]:
    """Add the dimensions to every typed signal."""
    days = worked_range(context, market.today())
    with database.writing() as work:
        validated = signals.read_validated_signals(work.connection, days.first, days.last)
        listed = read_derivative_listings(work.connection, days.first - RECEIVED_BEFORE, days.last)
        done = normalise_signals(validated, market.calendar, load_aliases(), listed)
        work.later(signals.write_normalised_signals, done.signals, days.first, days.last)
        work.later(signals.write_rejected, "NORMALISE", done.rejected, days.first, days.last)
        check = judge(context, work, "normalised_signals", done.signals, days)
        shares = done.signals.groupby(["period", "session"]).size()
        picture = pictures.bars(
            [" / ".join(map(str, key)) for key in shares.index],
            shares.tolist(),
            "Signals by period and session",
            "signals",
        )
    refused = signals.rejected_by_reason(done.rejected)
    yield report(
        context,
        days,
        "normalised_signals",
        done.signals,
        rows_in=len(validated),
        rejected=refused,
        picture=picture,
        check=check,
    )

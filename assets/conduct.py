"""Step 5, beside the trades: how each idea was published, judged on stored prices and the signal log."""

from collections.abc import Iterator

from dagster import AssetExecutionContext, MaterializeResult, ResourceParam, multi_asset

from adapters.db.frames import signals
from adapters.settings import Settings
from assets._shared import pictures
from assets._shared.configs import conduct_rule
from assets._shared.dress import spec, step
from assets._shared.partitions import worked_range
from assets._shared.report import report
from assets._shared.resources import Database, Market
from propdesk.pipeline.conduct import flag_conduct

SIGNAL_FLAGS = spec(
    5,
    "signal_flags",
    "research.signal_flags",
    "One row per idea: how long before its receipt it claims to have been posted, how far the price had "
    "gone by then, whether it was edited or taken back afterwards. Nothing is removed by a flag: vanished "
    "ideas and advisors stay in every count.",
    deps=["resolved_signals", "price_store", "uploads"],
)


@multi_asset(name="step_5_signal_flags", **step([SIGNAL_FLAGS]))
def signal_flags(
    context: AssetExecutionContext,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> Iterator[MaterializeResult[None]]:
    """Flag ideas that were claimed late, posted after the move, edited or taken back."""
    days = worked_range(context, market.today())
    with database.transaction() as connection:
        resolved = signals.read_resolved_signals(connection, days.first, days.last)
        versions = signals.read_versions(connection, days.first, days.last)
        flagged = flag_conduct(
            resolved,
            versions,
            market.prices,
            market.calendar,
            conduct_rule(settings),
            market.known_until_ns(),
            market.prices.actions(),
        )
        signals.write_signal_flags(connection, flagged, days.first, days.last)
    counts = flagged["flags"].explode().value_counts()
    yield report(
        context,
        days,
        "signal_flags",
        flagged,
        rows_in=len(resolved),
        picture=pictures.bars([str(k) for k in counts.index], counts.tolist(), "Ideas by flag", "ideas"),
        flagged_ideas=int(flagged["flags"].map(len).gt(0).sum()),
    )

"""Step 7: how far each trade went against and with it, and what came after its end."""

from collections.abc import Iterator

from dagster import AssetExecutionContext, MaterializeResult, ResourceParam, multi_asset

from adapters.db.frames import trades
from assets._shared import pictures
from assets._shared.dress import GROUPS, spec, step
from assets._shared.partitions import worked_range
from assets._shared.report import report
from assets._shared.resources import Database, Market
from assets.quality import judge
from propdesk.pipeline.excursions import compute_excursions

EXCURSIONS = spec(
    7,
    "excursions",
    "research.excursions",
    "Worst and best move while open in R (MAE, MFE), and how far price ran on after a stop or target was "
    "hit.",
    deps=["trades", "price_store"],
    kinds={"numba"},
)


@multi_asset(name=GROUPS[7], **step([EXCURSIONS], judged=["excursions"]))
def excursions(
    context: AssetExecutionContext, database: ResourceParam[Database], market: ResourceParam[Market]
) -> Iterator[MaterializeResult[None]]:
    """Measure every trade that was entered."""
    days = worked_range(context, market.today())
    with database.writing() as work:
        entered = trades.read_trades(work.connection, days.first, days.last)
        with market.prices.reading():
            found = compute_excursions(
                entered, market.prices, market.calendar, market.known_until_ns(), market.prices.actions()
            )
        work.later(trades.write_excursions, found, days.first, days.last)
        check = judge(context, work, "excursions", found, days)
        picture = pictures.histogram(
            found["mae_r"].tolist(), "Worst move while open (MAE)", "R (risk of the idea)", "ideas"
        )
    yield report(context, days, "excursions", found, rows_in=len(entered), picture=picture, check=check)

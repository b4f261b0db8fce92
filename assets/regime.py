"""Step 6: the market's and each underlying's regime, known before the open."""

from collections.abc import Iterator
from datetime import timedelta

from dagster import AssetExecutionContext, MaterializeResult, ResourceParam, multi_asset

from adapters.db.frames import regimes as needed_by
from adapters.db.frames import trades
from assets._shared import pictures
from assets._shared.dress import GROUPS, spec, step
from assets._shared.partitions import worked_range
from assets._shared.report import report
from assets._shared.resources import Database, Market
from propdesk.indicators.regime import RegimeConfig
from propdesk.pipeline.regime import MARKET_KEY, compute_regimes
from propdesk.pipeline.regime_scopes import keep_needed

REGIMES = spec(
    6,
    "regimes",
    "ref.regimes",
    "Regime of each market day by scope (`MARKET` and the underlyings of its ideas): `label` reads bars "
    "up to the day before only, `realised_label` the day itself, for study. Without 150 bars up to "
    "the market day before the label is empty, with its reason.",
    deps=["trades", "price_store"],
    kinds={"talib"},
)


@multi_asset(name=GROUPS[6], **step([REGIMES]))
def regimes(
    context: AssetExecutionContext, database: ResourceParam[Database], market: ResourceParam[Market]
) -> Iterator[MaterializeResult[None]]:
    """Label every day of the range from the bars before it."""
    days, config = worked_range(context, market.today()), RegimeConfig()
    with database.transaction() as connection:
        needed = needed_by.read_needed_scopes(connection, days.first, days.last)
        keys = sorted({MARKET_KEY, *needed["underlying_key"].astype(str)})
        with market.prices.reading():
            daily = market.prices.daily_bars(
                keys, days.first - timedelta(days=config.history_days), days.last
            )
            actions = market.prices.actions()
        dates = market.calendar.market_days(days.first, days.last)
        labels = compute_regimes(daily, dates, market.calendar, config, actions)
        kept = keep_needed(labels, needed)
        trades.write_regimes(connection, kept, days.first, days.last)
    counts = kept[kept["scope"] == "MARKET"]["label"].fillna("no label").value_counts()
    picture = pictures.bars(
        [str(k) for k in counts.index],
        counts.tolist(),
        "Regime of the market (NIFTY 50) over the run",
        "days",
    )
    bars_read = sum(len(bars.start_ns) for bars in daily.values())
    yield report(context, days, "regimes", kept, rows_in=bars_read, picture=picture)

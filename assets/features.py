"""Step 5: what the market says became of each idea, and the features known with it."""

from collections.abc import Iterator

from dagster import AssetExecutionContext, MaterializeResult, ResourceParam, multi_asset

from adapters.db.frames import signals, trades
from adapters.settings import Settings
from assets._shared import pictures
from assets._shared.configs import trade_config
from assets._shared.dress import GROUPS, spec, step
from assets._shared.partitions import worked_range
from assets._shared.report import report, rows_by_day
from assets._shared.resources import Database, Market
from assets.quality import judge
from propdesk.pipeline.trades import build_trades

READ = ("resolved_signals", "followups", "price_store")

TRADES = spec(
    5,
    "trades",
    "research.trades",
    "One row per idea: outcome by the trade-group state machine on stored prices, never by the advisor's "
    "claim; costs, margin, size and features. An idea belongs to the day of its signal, though it may end "
    "days later.",
    deps=READ,
    kinds={"numba"},
)
TRADE_LEGS = spec(
    5,
    "trade_legs",
    "research.trade_legs",
    "One row per target slice of an idea, with its own entry and exit.",
    deps=READ,
)
TRADE_MARKS = spec(
    5,
    "trade_marks",
    "research.trade_marks",
    "One row per idea and market day at whose end it was open: marked profit or loss, as the rolling "
    "replays need it.",
    deps=READ,
)
OUTCOME_AUDIT = spec(
    5,
    "outcome_audit",
    "research.outcome_audit",
    "Reported against verified outcome: an advisor who misreports is visible here.",
    deps=READ,
)


@multi_asset(name=GROUPS[5], **step([TRADES, TRADE_LEGS, TRADE_MARKS, OUTCOME_AUDIT], judged=["trades"]))
def verified_trades(
    context: AssetExecutionContext,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> Iterator[MaterializeResult[None]]:
    """Resolve every idea against stored prices."""
    days = worked_range(context, market.today())
    with database.transaction() as connection:
        resolved = signals.read_resolved_signals(connection, days.first, days.last)
        followups = signals.read_followups_of_signals(connection, days.first, days.last)
        done = build_trades(
            resolved,
            followups,
            market.prices,
            market.calendar,
            trade_config(settings),
            market.known_until_ns(),
            market.prices.actions(),
        )
        trades.write_trade_tables(connection, done, days.first, days.last)
        check = judge(context, connection, "trades", done.trades, days)
    by_reason = {str(k): rows_by_day(part, "trade_date") for k, part in done.trades.groupby("exit_reason")}
    keys = sorted({day for counts in by_reason.values() for day in counts})
    picture = pictures.stacked_days(
        keys,
        {name: [c.get(day, 0) for day in keys] for name, c in by_reason.items()},
        "Ideas by outcome",
        "ideas",
    )
    ambiguous = round(float(done.trades["ambiguous_bar"].mean()), 4) if len(done.trades) else None
    yield report(
        context,
        days,
        "trades",
        done.trades,
        rows_in=len(resolved),
        picture=picture,
        check=check,
        ambiguous_share=ambiguous,
    )
    for name, frame in (
        ("trade_legs", done.legs),
        ("trade_marks", done.marks),
        ("outcome_audit", done.audit),
    ):
        yield report(context, days, name, frame, rows_in=len(resolved))

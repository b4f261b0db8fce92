"""Step 5: what the market says became of each idea, the features known with it, and how it was published."""

import os
from collections.abc import Iterator
from functools import partial

import pandas as pd
from dagster import (
    AssetExecutionContext,
    MarkdownMetadataValue,
    MaterializeResult,
    ResourceParam,
    multi_asset,
)

from adapters.db.frames import signals, trades
from adapters.forks import in_forks
from adapters.settings import Settings
from adapters.ticks.held import HeldPrices
from assets._shared import pictures
from assets._shared.configs import conduct_rule, trade_config
from assets._shared.dress import GROUPS, spec, step
from assets._shared.partitions import worked_range
from assets._shared.report import report, rows_by_day
from assets._shared.resources import Database, Market
from assets.quality import coverage, judge
from propdesk.pipeline.columns import by_partition, split_evenly
from propdesk.pipeline.conduct import flag_conduct
from propdesk.pipeline.trade_frames import TradeTables, merge
from propdesk.pipeline.trades import build_trades

IDEAS_PER_PROCESS = 5_000
"""One more process than one takes a tenth of a second to fork and to hear from."""

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


SIGNAL_FLAGS = spec(
    5,
    "signal_flags",
    "research.signal_flags",
    "One row per idea: how long before its receipt it claims to have been posted, how far the price had "
    "gone by then, whether it was edited or taken back afterwards. Nothing is removed by a flag: vanished "
    "ideas and advisors stay in every count.",
    deps=["resolved_signals", "price_store", "uploads"],
)


@multi_asset(
    name=GROUPS[5],
    **step(
        [TRADES, TRADE_LEGS, TRADE_MARKS, OUTCOME_AUDIT, SIGNAL_FLAGS],
        judged=["trades"],
        watched=[coverage.SPEC],
    ),
)
def verified_trades(
    context: AssetExecutionContext,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> Iterator[MaterializeResult[None]]:
    """Resolve every idea against stored prices, and judge how it was published."""
    days = worked_range(context, market.today())
    with database.writing() as work:
        resolved = signals.read_resolved_signals(work.connection, days.first, days.last)
        followups = signals.read_followups_of_signals(work.connection, days.first, days.last)
        versions = signals.read_versions(work.connection, days.first, days.last)
        alive = trades.read_alive(work.connection, days.first)
        done, flagged = _verified(resolved, followups, versions, market, settings)
        work.later(trades.write_trade_tables, done, days.first, days.last)
        work.later(signals.write_signal_flags, flagged, days.first, days.last)
        check = judge(context, work, "trades", done.trades, days)
        covered = coverage.judge_prices(context, work, alive, done.trades, market.prices, days)
        outcomes = _outcomes(done.trades)
        counts = flagged["flags"].explode().value_counts()
        drawn = pictures.bars([str(k) for k in counts.index], counts.tolist(), "Ideas by flag", "ideas")
    tell = partial(report, context, days, rows_in=len(resolved))
    ambiguous = round(float(done.trades["ambiguous_bar"].mean()), 4) if len(done.trades) else None
    yield tell(
        "trades",
        done.trades,
        picture=outcomes,
        check=check,
        watched=covered,
        ambiguous_share=ambiguous,
    )
    for name, frame in (
        ("trade_legs", done.legs),
        ("trade_marks", done.marks),
        ("outcome_audit", done.audit),
    ):
        yield tell(name, frame)
    odd = int(flagged["flags"].map(len).gt(0).sum())
    yield tell("signal_flags", flagged, picture=drawn, flagged_ideas=odd)


def _verified(
    resolved: pd.DataFrame,
    followups: pd.DataFrame,
    versions: pd.DataFrame,
    market: Market,
    settings: Settings,
) -> tuple[TradeTables, pd.DataFrame]:
    """Verify and flag the ideas, each underlying's apart from the others'; their minutes are read once."""
    with market.prices.reading():
        calendar, known = market.calendar, market.known_until_ns()
        actions, rule, config = market.prices.actions(), conduct_rule(settings), trade_config(settings)

        def verify(part: pd.DataFrame) -> tuple[TradeTables, pd.DataFrame]:
            prices, flagged = HeldPrices(market.prices), []

            def flag(block: pd.DataFrame) -> None:
                flagged.append(flag_conduct(block, versions, prices, calendar, rule, known, actions))

            done = build_trades(part, followups, prices, calendar, config, known, actions, flag)
            return done, pd.concat(flagged, ignore_index=True)

        processes = min(os.cpu_count() or 1, 1 + len(resolved) // IDEAS_PER_PROCESS)
        done = in_forks(verify, split_evenly(resolved, "underlying_key", processes))
    tables, flags = zip(*done, strict=True)
    return merge(list(tables)), by_partition(pd.concat(flags, ignore_index=True), "signal_id")


def _outcomes(frame: pd.DataFrame) -> MarkdownMetadataValue:
    """Draw the outcomes of each day."""
    by_reason = {str(k): rows_by_day(part, "trade_date") for k, part in frame.groupby("exit_reason")}
    keys = sorted({day for counts in by_reason.values() for day in counts})
    lines = {name: [counts.get(day, 0) for day in keys] for name, counts in by_reason.items()}
    return pictures.stacked_days(keys, lines, "Ideas by outcome", "ideas")

"""Coverage of the prices that a day's ideas are judged by, as an asset check with results kept per day."""

from datetime import date
from typing import Any, Final

import pandas as pd
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetExecutionContext,
    MetadataValue,
)

from adapters.db.frames.quality import write_daily_results
from adapters.ticks.store import IMPORTED_KINDS, Kind, ParquetPriceStore
from assets._shared.partitions import DayRange, worked_days
from assets._shared.report import Judged
from assets._shared.resources import Writing
from assets.quality import day_sentence
from propdesk.pipeline.coverage import ALIVE_COLUMNS, DayPrices, judge_coverage, needed_series

CHECK: Final = "price_coverage"
JUDGED: Final = "price_store"
"""Asset under whose name the results stand in research.quality_results: what is judged are its prices."""
SHOWN_DAYS: Final = 30

SPEC: Final = AssetCheckSpec(
    CHECK,
    asset="trades",
    description="Whether the price store holds what the ideas of each day are judged by: a file of the day, "
    "no outage of the feed, prices of every needed series, no silence of an underlying. Each day's results "
    "are kept in research.quality_results under `price_store`.",
)


def judge_prices(
    context: AssetExecutionContext,
    work: Writing,
    alive: pd.DataFrame,
    trades: pd.DataFrame,
    store: ParquetPriceStore,
    days: DayRange,
) -> Judged:
    """Judge every day of a run, keep each day's results and give the run's verdict.

    Parameters
    ----------
    context : AssetExecutionContext
    work : Writing
        The step's transaction.
    alive : DataFrame
        Ideas of earlier days that live on the first one, from `adapters.db.frames.trades.read_alive`.
    trades : DataFrame
        What step 5 writes for the days.
    store : ParquetPriceStore
    days : DayRange
        What the run worked on.

    Returns
    -------
    Judged
        A warning where something is missing: outcomes say so themselves (NO_PRICE_DATA, INCOMPLETE).
    """
    worked = worked_days(context, days)
    parts = [alive, trades[list(ALIVE_COLUMNS)]]
    needed = needed_series(pd.concat([part for part in parts if len(part)] or parts[1:]), worked)
    found = {day: _day_prices(store, day) for day in worked}
    daily = {day: judge_coverage(found[day], *needed[day]) for day in worked}
    work.later(write_daily_results, days.first, days.last, JUDGED, CHECK, context.run_id, daily)
    broken = {day: day_sentence(results) for day, results in daily.items() if _is_broken(results)}
    figures = {
        day.isoformat(): {
            "rows": prices.rows,
            "symbols": prices.symbols,
            "outages": len(prices.outages),
            "symbols_with_gaps": len(prices.gaps),
            "needed": len(needed[day][0] | needed[day][1]),
            "missing": daily[day][2]["count_unexpected"],
        }
        for day, prices in found.items()
    }
    check = AssetCheckResult(
        check_name=CHECK,
        asset_key="trades",
        passed=not broken,
        severity=AssetCheckSeverity.WARN,
        description=f"prices of {len(worked) - len(broken)} of {len(worked)} days are complete",
        metadata={
            "days": MetadataValue.json(dict(list(figures.items())[-SHOWN_DAYS:])),
            "incomplete": MetadataValue.json({str(d): broken[d] for d in sorted(broken)[-SHOWN_DAYS:]}),
        },
    )
    return Judged(check, {day.isoformat(): day_sentence(results) for day, results in daily.items()})


def _is_broken(results: list[dict[str, Any]]) -> bool:
    return not all(one["success"] for one in results)


def _day_prices(store: ParquetPriceStore, day: date) -> DayPrices:
    """Read the manifest of a day: of its minutes, else of its ticks, as outages are judged."""
    kinds: tuple[Kind, ...] = (*IMPORTED_KINDS, "recorded")
    known = {kind: store.symbols(kind, day) for kind in kinds}
    held = {key for symbols in known.values() for key in symbols}
    kind: Kind = "minute" if known["minute"] else "tick"
    if not known[kind]:
        return DayPrices(0, 0, (), {}, held)
    coverage = store.day_coverage(kind, day)
    return DayPrices(coverage.rows, coverage.symbols, coverage.outages, coverage.gaps, held)

"""Step 8: corpus replay and group metrics of every as-of day, from the window before it."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial

import pandas as pd
from dagster import AssetExecutionContext, MaterializeResult, ResourceParam, multi_asset

from adapters.config_gates import load_gates
from adapters.db.frames import rules
from adapters.memory import give_back_memory
from adapters.settings import Settings
from assets._shared import pictures
from assets._shared.dress import GROUPS, spec, step
from assets._shared.partitions import DayRange, worked_range
from assets._shared.report import report
from assets._shared.resources import Database, Market, Writing
from assets._shared.windows import window_of
from assets.quality import judge
from propdesk.pipeline.groups import GroupTables, group_facts_in_parts, joined_parts
from propdesk.pipeline.trial_ledger import trials

READ = ("trades", "trade_marks", "excursions", "regimes")
CURVES_SHOWN = 5
PAISE_PER_CRORE = 1_000_000_000

CORPUS_REPLAYS = spec(
    8,
    "corpus_replays",
    "research.corpus_replays",
    "A fixed corpus traded through every idea of an advisor or rule in the window, as known at the end of "
    "the as-of day: final value, drawdown, Sharpe ratio, shortfalls, utilisation.",
    deps=window_of(*READ),
    kinds={"numba"},
)
EQUITY_CURVES = spec(
    8,
    "equity_curves",
    "research.equity_curves",
    "The replays' curves, by event and by market day, realised and with open trades at their marks.",
    deps=window_of(*READ),
    kinds={"numba"},
)
GROUP_METRICS = spec(
    8,
    "group_metrics",
    "research.group_metrics",
    "Sums, path, percentile and skill columns of every advisor, and of every mini rule and six-dimensional "
    "rule with at least half the closed ideas that its gate wants.",
    deps=window_of(*READ),
    kinds={"numba"},
)
THIN_GROUPS = spec(
    8,
    "thin_groups",
    "research.thin_groups",
    "Counts and skill of the mini rules and six-dimensional rules with fewer closed ideas: no gate can pass.",
    deps=window_of(*READ),
    kinds={"numba"},
)
GATE_THRESHOLDS = spec(
    8,
    "gate_thresholds",
    "ref.gate_thresholds",
    "The thresholds of both gate profiles, from the YAML file of the settings.",
    kinds={"yaml"},
)


@multi_asset(
    name=GROUPS[8],
    **step(
        [CORPUS_REPLAYS, EQUITY_CURVES, GROUP_METRICS, THIN_GROUPS, GATE_THRESHOLDS],
        judged=["group_metrics", "thin_groups"],
    ),
)
def group_facts(
    context: AssetExecutionContext,
    database: ResourceParam[Database],
    market: ResourceParam[Market],
    settings: ResourceParam[Settings],
) -> Iterator[MaterializeResult[None]]:
    """Replay and measure every group at every as-of day of the range."""
    days, calendar = worked_range(context, market.today()), market.calendar
    gates = load_gates(settings.gates_file)
    config = rules.group_config(settings, gates)
    give_back_memory()
    with database.writing() as work:
        read = rules.read_group_inputs(work.connection, calendar, days.first, days.last, config)
        as_of = calendar.market_days(days.first, days.last)
        rows_in = len(read.trades)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = group_facts_in_parts(
                read.trades, read.excursions, read.marks, calendar, as_of, config, pool.map
            )
            del read
            done = joined_parts(list(_written(found, work, days, as_of[-1])))
        work.later(rules.write_gate_thresholds, gates)
        work.later(rules.append_trials, trials(done, gates, config))
        checked = partial(judge, context, work, days=days, day_column="as_of_date")
        both = (("group_metrics", done.metrics), ("thin_groups", done.thin))
        checks = {name: checked(name=name, frame=frame) for name, frame in both}
        drawn = pictures.curves(
            best_curves(done.curves, days.last),
            f"Corpus of the best, as of {days.last}",
            "crore INR",
            "market days",
        )
        title = f"Net R per idea after shrinkage, as of {days.last}"
        skill = {name: pictures.histogram(_newest(frame, days), title, "R", "groups") for name, frame in both}
    tell = partial(report, context, days, rows_in=rows_in, day_column="as_of_date")
    yield tell("corpus_replays", done.replays, picture=drawn)
    yield tell("equity_curves", done.curves)
    for name, frame in both:
        yield tell(name, frame, picture=skill[name], check=checks[name])
    yield MaterializeResult(asset_key="gate_thresholds", metadata={"gates_version": gates.version})


def _written(
    found: Iterable[tuple[list[date], GroupTables]], work: Writing, days: DayRange, newest: date
) -> Iterator[GroupTables]:
    """Pass parts on and have each written while the next is computed; together they replace the range."""
    first = days.first
    for dates, part in found:
        last = days.last if dates[-1] == newest else dates[-1]
        for name, frame in part.by_table().items():
            work.later(rules.write_group_table, name, frame, first, last)
        first = last + timedelta(days=1)
        yield part


def _newest(frame: pd.DataFrame, days: DayRange) -> list[float]:
    """Give the groups' net R per idea after shrinkage on the range's last as-of day."""
    found: list[float] = frame.loc[frame["as_of_date"] == days.last, "post_mean_r"].tolist()
    return found


def best_curves(curves: pd.DataFrame, as_of: date) -> dict[str, list[float]]:
    """Pick the curves that end highest on one as-of day, in crore rupees by market day.

    Parameters
    ----------
    curves : DataFrame
        Rows of research.equity_curves.
    as_of : date

    Returns
    -------
    dict
        By rule, the best first; empty where the day has no curve.
    """
    newest = curves[curves["as_of_date"] == as_of] if len(curves) else curves
    lines = {
        str(rule): [value / PAISE_PER_CRORE for value in values]
        for rule, values in zip(newest["rule_text"], newest["daily_marked_paise"], strict=True)
        if len(values)
    }
    return dict(sorted(lines.items(), key=lambda line: -line[1][-1])[:CURVES_SHOWN])

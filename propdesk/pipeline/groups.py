"""Step 8: corpus replays, curves and group metrics of every as-of date (§3.4-3.8)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from propdesk.core.calendar import MarketCalendar
from propdesk.metrics import discovery, track_record
from propdesk.metrics.equity import MIN_SHARPE_DAYS
from propdesk.metrics.shrinkage import intraclass_correlation, probability_above, shrink_level
from propdesk.metrics.skill import NoSkillTable, pain_reward_without_skill
from propdesk.model.enums import RuleLevel
from propdesk.pipeline import groups_kernels as kernels
from propdesk.pipeline.groups_frames import CellNames, MetricRows, metrics_frames, moments
from propdesk.pipeline.groups_known import Known, advisor_q_values, known_at, reverse_chances
from propdesk.pipeline.groups_prepare import (
    BoolArray,
    FloatArray,
    GroupConfig,
    IntArray,
    Level,
    Prepared,
    as_of_numbers,
    prepare,
)
from propdesk.ports import Spread
from propdesk.replay.batch import (
    CurveReplayer,
    continuing_order,
    group_bounds,
    kernel_trades,
    outputs_of,
    replay_jobs,
)
from propdesk.replay.kernel import FLOAT_OUTPUTS, INT_OUTPUTS

__all__ = ["GroupConfig", "GroupTables", "build_group_facts", "group_facts_in_parts", "joined_parts"]

DAYS_AT_ONCE = 25
"""As-of dates of one part: a replay goes on from the date before it but for the first of its part."""

_MOMENTS = {
    "mdd_peak_ns": "mdd_peak_at",
    "mdd_trough_ns": "mdd_trough_at",
    "mdd_recovery_ns": "mdd_recovery_at",
    "blown_ns": "blown_at",
}


@dataclass(frozen=True, slots=True)
class GroupTables:
    """Frames of step 8: ``research.corpus_replays, equity_curves, group_metrics, thin_groups``."""

    replays: pd.DataFrame
    curves: pd.DataFrame
    metrics: pd.DataFrame
    thin: pd.DataFrame

    def by_table(self) -> dict[str, pd.DataFrame]:
        """Give each frame under the name of its table in ``research``, the one with most to write first."""
        return {
            "group_metrics": self.metrics,
            "thin_groups": self.thin,
            "corpus_replays": self.replays,
            "equity_curves": self.curves,
        }


@dataclass(frozen=True, slots=True)
class _Ordered:
    """One sorting of a level's trades with the slice of each cell."""

    order: IntArray
    low: IntArray
    high: IntArray


@dataclass(frozen=True, slots=True)
class _Orders:
    """The sortings of one level that its passes need."""

    by_cluster: _Ordered
    by_day: _Ordered
    by_exit: _Ordered
    by_value: dict[str, _Ordered]


_CURVES = ("point_ns", "corpus_paise", "daily_corpus_paise", "daily_marked_paise")
# input → quantiles, and names of count, mean, lowest, highest and the quantiles (None: not kept)
_STATISTICS: dict[str, tuple[tuple[float, ...], tuple[str | None, ...]]] = {
    "r_multiple": ((0.5,), (None, None, "worst_r", "best_r", "median_r")),
    "return_ratio": ((0.5,), (None, None, "worst_return", "best_return", "median_return")),
    "mae_r": ((0.75, 0.9), (None, "mean_mae_r", None, None, "mae_r_p75", "mae_r_p90")),
    "mfe_r": ((0.75, 0.9), (None, "mean_mfe_r", None, None, "mfe_r_p75", "mfe_r_p90")),
    "stop_extension": (
        (0.5,),
        ("stopped_trades", "mean_post_sl_extension", None, None, "median_post_sl_extension"),
    ),
    "positive_stop_extension": ((0.75,), (None, None, None, None, "positive_post_sl_extension_p75")),
    "stop_recovery": ((), (None, "mean_post_sl_recovery", None, None)),
    "stop_hunt": ((), (None, "stop_hunt_rate", None, None)),
    "post_target_extension": (
        (0.5,),
        (None, "mean_post_target_extension", None, None, "median_post_target_extension"),
    ),
    "wse": ((0.9,), (None, "mean_wse", None, None, "wse_p90")),
    "wte": ((), (None, "mean_wte", None, None)),
    "traded_value_share": ((0.5,), (None, None, None, None, "median_traded_value_share")),
}
_EVERY_CELL = ("n_unsettled", "skill_n", "post_mean_r", "post_sd_r", "shrink", "prob_edge")
"""Columns of every cell, beside its counts."""
_FULL_CELLS = (
    "weighted_n", "cluster_n_eff", "design_effect", "mean_r_weighted", "hits", "expected_hits",
    "excess_hits", "excess_z", "best_r", "worst_r", "median_r", "best_return", "worst_return",
    "median_return", "losing_streak_max", "pain_reward", "pain_reward_no_skill", "mae_r_p75", "mae_r_p90",
    "mfe_r_p75", "mfe_r_p90", "stopped_trades", "mean_post_sl_extension", "median_post_sl_extension",
    "positive_post_sl_extension_p75", "mean_post_sl_recovery", "stop_hunt_rate",
    "mean_post_target_extension", "median_post_target_extension", "mean_wse", "wse_p90", "mean_wte",
    "median_traded_value_share", "advisor_q", "mdd_p95", "reverse_q", *kernels.ADDITIVE,
)  # fmt: skip
"""Columns that a cell below half its minimum does not store."""


def build_group_facts(
    trades: pd.DataFrame,
    excursions: pd.DataFrame,
    marks: pd.DataFrame,
    calendar: MarketCalendar,
    as_of_dates: list[date],
    config: GroupConfig,
    spread: Spread = map,
) -> GroupTables:
    """Compute what is known about every group at the end of each as-of date; see `group_facts_in_parts`."""
    ((_, whole),) = group_facts_in_parts(
        trades, excursions, marks, calendar, as_of_dates, config, spread, days_at_once=len(as_of_dates)
    )
    return whole


def group_facts_in_parts(
    trades: pd.DataFrame,
    excursions: pd.DataFrame,
    marks: pd.DataFrame,
    calendar: MarketCalendar,
    as_of_dates: list[date],
    config: GroupConfig,
    spread: Spread = map,
    *,
    days_at_once: int = DAYS_AT_ONCE,
) -> Iterator[tuple[list[date], GroupTables]]:
    """Compute what is known about every group at the end of each as-of date, some dates after the other.

    Parameters
    ----------
    trades : DataFrame
        ``research.trades`` with the joined ``regime`` of the trade date; only ``is_counted`` rows
        take part. Trades entered after an as-of date are absent for it, later exits are open; from their
        ``unsettled_date`` on the unsettled ones are only counted.
    excursions, marks : DataFrame
        ``research.excursions`` and ``research.trade_marks``.
    calendar : MarketCalendar
        The exchange's.
    as_of_dates : list of date
        Any dates, at least one; usually the market days of the partition range.
    config : GroupConfig
        Settings.
    spread : callable
        As-of dates, and replays by level, do not depend on each other: a thread pool's ``map`` uses several
        processors (the kernels release the interpreter). The result is the same.
    days_at_once : int
        As-of dates of one part, so that one can be written while the next is computed.

    Yields
    ------
    list of date, GroupTables
        The next dates, rising, and their rows sorted by (as_of_date, …, rule_text); empty frames with the
        same columns where nothing traded. Days and texts are categorical, with the same categories in every
        part: they repeat, and a frame of a year would otherwise take several times its memory.

    Notes
    -----
    A cell has a row where it has a closed trade in the window: in ``metrics`` where it has at least half its
    minimum trades, in ``thin``, with counts and skill alone, where it has fewer. Path, percentile and replay
    figures exist for the former only, replays for every advisor.
    Source: spec §3.4-3.8.
    """
    data = prepare(trades, excursions, marks, calendar, as_of_dates, config)
    del trades, excursions, marks  # the arrays hold what is needed of them
    values = _values(data)
    orders = [_orders(data, level, values) for level in data.levels]
    numbers = as_of_numbers(as_of_dates)
    names = CellNames(data.levels, numbers)
    fixed = _Fixed(data, values, orders, NoSkillTable(config.seed).table(data.shapes), names)
    dates = sorted(set(as_of_dates))
    for start in range(0, len(dates), days_at_once):
        some = slice(start, start + days_at_once)
        yield dates[some], _facts_of(fixed, config, numbers[some], spread)


def joined_parts(parts: Sequence[GroupTables]) -> GroupTables:
    """Put the parts of `group_facts_in_parts` one below the other."""
    if len(parts) == 1:
        return parts[0]
    names = (field.name for field in fields(GroupTables))
    return GroupTables(
        **{name: pd.concat([getattr(part, name) for part in parts], ignore_index=True) for name in names}
    )


def _facts_of(fixed: "_Fixed", config: GroupConfig, numbers: IntArray, spread: Spread) -> GroupTables:
    """Give the tables of some as-of dates."""
    days = list(spread(partial(_one_day, fixed, config), numbers.tolist()))
    jobs = [np.concatenate([day[1][place] for day in days]) for place in range(len(fixed.data.levels))]
    replayed = _replay_levels(fixed, jobs, config, spread)  # a pool goes on with them beside what follows
    metrics, thin = metrics_frames(fixed.names, [part for day in days for part in day[0]])
    del days
    replays, curves = zip(*replayed, strict=True)
    return GroupTables(
        _in_order(list(replays), fixed.names, config),
        _in_order(list(curves), fixed.names, config),
        metrics,
        thin,
    )


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What is the same on every as-of date."""

    data: Prepared
    values: dict[str, FloatArray]
    orders: list[_Orders]
    table: FloatArray
    names: CellNames


def _one_day(fixed: _Fixed, config: GroupConfig, number: int) -> tuple[list[MetricRows], list[IntArray]]:
    """Give the metrics of one as-of date and what is to be replayed for it, per level."""
    data = fixed.data
    metrics: list[MetricRows] = []
    jobs: list[IntArray] = []
    known = known_at(data, number, config)
    icc = _desk_icc(data, known)
    posterior = _desk_posterior(data, known, fixed.orders[0], icc)
    records = _reshuffled_days(data, number, config)
    q_value: FloatArray = np.zeros(0)
    for place, (level, ordered) in enumerate(zip(data.levels, fixed.orders, strict=True)):
        skill, posterior = _skill(data, level, ordered, known, posterior, icc, config)
        by = ordered.by_day
        count = kernels.counts(by.order, by.low, by.high, data.entry_day, known.closed, known.is_open)
        live = np.flatnonzero(count[:, kernels.N] > 0)
        full = (count[:, kernels.N] >= level.half_minimum) & (count[:, kernels.N] > 0)
        paths = _paths(data, ordered, known, fixed.values, full, fixed.table)
        # a cell has its advisor's q: advisors first, then each level by its parents
        effect = np.where(full, skill["design_effect"], np.nan)
        q_value = advisor_q_values(data, known, effect) if _is_advisor(level) else q_value[level.parent]
        paths["advisor_q"] = q_value
        paths["mdd_p95"] = _tails(data, level, ordered.by_exit, known, full, records, config)
        # p-values for now; nobody trades against an advisor as such, so that he is no hypothesis
        none = np.full(level.size, np.nan)
        paths["reverse_q"] = none if _is_advisor(level) else reverse_chances(data, known, level, effect)
        row = fixed.names.row(place, live)
        unsettled = {"n_unsettled": _count_cells(level, known.is_unsettled)}
        sums = _additive(data, by, known, full, config)
        metrics.append(_metric_rows(number, row, live, full, count, {**unsettled, **skill, **paths, **sums}))
        replayed = np.flatnonzero(full | (_is_advisor(level) & (count.sum(axis=1) > 0)))
        jobs.append(np.stack([replayed, np.full(len(replayed), number)], axis=1))
    _deflate(metrics, "reverse_q")
    return metrics, jobs


def _deflate(metrics: list[MetricRows], name: str) -> None:
    """Turn p-values into false-discovery rates among all cells of the day, whatever their level."""
    p_value = np.concatenate([rows.detail[name] for rows in metrics])
    ends = np.cumsum([len(rows.detail[name]) for rows in metrics])[:-1]
    for rows, q_value in zip(metrics, np.split(discovery.q_values(p_value), ends), strict=True):
        rows.detail[name] = q_value


def _count_cells(level: Level, rows: BoolArray) -> FloatArray:
    """Count the marked trades of each cell."""
    return np.bincount(level.cell[rows & (level.cell >= 0)], minlength=level.size).astype(np.float64)


def _additive(
    data: Prepared, by: _Ordered, known: Known, full: BoolArray, config: GroupConfig
) -> dict[str, FloatArray]:
    """Give sums and weighted sums of the cells with enough trades (§3.5)."""
    early = data.entry_day <= known.day - config.window_days // 2
    found = kernels.additive_sums(
        by.order, by.low, by.high, full, known.closed, data.facts, known.recency, early
    )
    return {name: found[:, k] for k, name in enumerate(kernels.ADDITIVE)}


def _reshuffled_days(data: Prepared, day: int, config: GroupConfig) -> IntArray:
    """Draw the days of the reshuffled records, the same ones for every cell, so that cells compare."""
    first, end = data.market.index_range(day - config.window_days + 1, day)
    rng = np.random.default_rng(config.seed)
    return track_record.block_starts(
        max(end - first, 1), config.drawdown_block_days, config.drawdown_draws, rng
    )


def _tails(
    data: Prepared,
    level: Level,
    by: _Ordered,
    known: Known,
    full: BoolArray,
    records: IntArray,
    config: GroupConfig,
) -> FloatArray:
    """Give the P95 drawdown of each cell's reshuffled record; NaN without trades or days enough.

    Every closed idea of the window takes part, also one that the replay had no capital for.
    """
    n_days = records.shape[1]
    out = np.full(len(full), np.nan)
    if n_days < MIN_SHARPE_DAYS:
        return out
    rows = by.order[known.closed[by.order] & full[level.cell[by.order]]]
    low, high = group_bounds(level.cell[rows], level.size)
    first = data.market.index_range(known.day - config.window_days + 1, known.day)[0]
    out[full] = track_record.reshuffled_tails(
        data.corpus[config.size_models[0]].net_pnl_paise[rows].astype(np.float64),
        np.clip(data.exit_index[rows] - first, 0, n_days - 1),
        low[full],
        high[full],
        records,
        float(config.capital_paise),
    )
    return out


def _is_advisor(level: Level) -> bool:
    return level.level is RuleLevel.ADVISOR


def _values(data: Prepared) -> dict[str, FloatArray]:
    """Per-trade inputs of the order statistics."""
    stopped = data.frame["exit_reason"].to_numpy(dtype=object) == "STOPLOSS"
    extension = np.where(stopped, data.column("post_sl_extension"), np.nan)
    crossed = data.frame["crossed_entry_after_stop"].astype("boolean")
    hunted = crossed.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    return {
        "r_multiple": data.r,
        "return_ratio": data.column("return_ratio"),
        "mae_r": np.where(np.isnan(data.column("mfe_r")), np.nan, data.column("mae_r")),
        "mfe_r": data.column("mfe_r"),
        "stop_extension": extension,
        "positive_stop_extension": np.where(extension > 0, extension, np.nan),
        "stop_recovery": np.where(stopped, data.column("post_sl_recovery"), np.nan),
        "stop_hunt": np.where(stopped, hunted, np.nan),
        "post_target_extension": data.column("post_target_extension"),
        "wse": data.column("wse"),
        "wte": data.column("wte"),
        "traded_value_share": data.column("traded_value_share"),
    }


def _ordered(cell: IntArray, size: int, keys: tuple[Any, ...], use: BoolArray) -> _Ordered:
    rows = np.flatnonzero((cell >= 0) & use)
    order = rows[np.lexsort((*(key[rows] for key in keys), cell[rows]))]
    low, high = group_bounds(cell[order], size)
    return _Ordered(order.astype(np.int64), low, high)


def _orders(data: Prepared, level: Level, values: dict[str, FloatArray]) -> _Orders:
    everyone = np.ones(len(level.cell), dtype=bool)

    def sort(*keys: Any, use: BoolArray = everyone) -> _Ordered:
        return _ordered(level.cell, level.size, keys, use)

    return _Orders(
        sort(data.cluster),
        sort(data.entry_day),
        sort(data.exit_ns),
        {name: sort(value, use=~np.isnan(value)) for name, value in values.items()},
    )


def _desk_icc(data: Prepared, known: Known) -> float:
    rows = data.by_cluster[(known.skill & ~np.isnan(known.r))[data.by_cluster]]
    return float(intraclass_correlation(known.r[rows], data.cluster[rows]))


def _effective(sums: FloatArray, icc: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Weighted mean R, weighted size, design effect and clustered size per cell."""
    weight, squares = sums[:, kernels.WEIGHT], sums[:, kernels.WEIGHT2]
    has = weight > 0
    size = np.where(has, weight**2 / np.where(has, squares, 1.0), 0.0)
    mean = np.where(has, sums[:, kernels.WEIGHT_R] / np.where(has, weight, 1.0), np.nan)
    clusters = np.maximum(sums[:, kernels.CLUSTERS], 1.0)
    effect = np.where(has, 1.0 + (sums[:, kernels.R_COUNT] / clusters - 1.0) * icc, np.nan)
    return mean, size, effect, np.where(has, size / effect, 0.0)


@dataclass(frozen=True, slots=True)
class _Posterior:
    """Estimates one level up, and the desk's pooled variance of one idea's R."""

    mean: FloatArray
    variance: FloatArray
    pooled: float


def _sums(data: Prepared, known: Known, by_cluster: _Ordered) -> FloatArray:
    return np.asarray(
        kernels.skill_sums(
            by_cluster.order,
            by_cluster.low,
            by_cluster.high,
            data.cluster,
            known.skill,
            known.skill_closed,
            known.r,
            known.weight,
            data.p0,
            data.hit,
        )
    )


def _desk_posterior(data: Prepared, known: Known, advisors: _Orders, icc: float) -> _Posterior:
    by = advisors.by_cluster
    pooled = float(kernels.pooled_variance(by.order, by.low, by.high, known.skill, known.r, known.weight))
    everyone = data.by_cluster
    whole = _Ordered(everyone, np.zeros(1, dtype=np.int64), np.array([len(everyone)], dtype=np.int64))
    mean, _, _, n_eff = _effective(_sums(data, known, whole), icc)
    if n_eff[0] <= 0:
        return _Posterior(np.zeros(1), np.zeros(1), pooled)
    return _Posterior(mean, pooled / n_eff, pooled)


def _skill(
    data: Prepared,
    level: Level,
    ordered: _Orders,
    known: Known,
    parents: _Posterior,
    icc: float,
    config: GroupConfig,
) -> tuple[dict[str, FloatArray], _Posterior]:
    """Skill columns of one level and what its children shrink toward (§3.8)."""
    sums = _sums(data, known, ordered.by_cluster)
    mean, size, effect, n_eff = _effective(sums, icc)
    post = shrink_level(
        mean, n_eff, parents.mean[level.parent], parents.variance[level.parent], parents.pooled
    )
    expected, variance = sums[:, kernels.EXPECTED], sums[:, kernels.HIT_VARIANCE]
    has = expected > 0
    excess = np.where(has, sums[:, kernels.HITS] - expected, np.nan)
    spread = np.sqrt(np.where(variance > 0, variance * np.nan_to_num(effect, nan=1.0), np.nan))
    columns = {
        "skill_n": sums[:, kernels.SKILL_N],
        "weighted_n": size,
        "cluster_n_eff": n_eff,
        "design_effect": effect,
        "mean_r_weighted": mean,
        "post_mean_r": post.mean,
        "post_sd_r": np.sqrt(post.variance),
        "shrink": post.shrink,
        "prob_edge": probability_above(post.mean, post.variance, config.hurdle_r),
        "hits": np.where(has, sums[:, kernels.HITS], np.nan),
        "expected_hits": np.where(has, expected, np.nan),
        "excess_hits": excess,
        # half a hit toward zero: the count is whole, the normal curve is not
        "excess_z": np.sign(excess) * np.maximum(np.abs(excess) - 0.5, 0.0) / spread,
    }
    return columns, _Posterior(post.mean, post.variance, parents.pooled)


def _paths(
    data: Prepared,
    ordered: _Orders,
    known: Known,
    values: dict[str, FloatArray],
    full: BoolArray,
    table: FloatArray,
) -> dict[str, FloatArray]:
    """Path and percentile columns of the cells with enough trades."""
    out: dict[str, FloatArray] = {}
    for name, (quantiles, names) in _STATISTICS.items():
        by = ordered.by_value[name]
        found = kernels.order_statistics(
            by.order, by.low, by.high, full, known.closed, values[name], np.array(quantiles, dtype=np.float64)
        )
        out.update({label: found[:, k] for k, label in enumerate(names) if label is not None})
    by = ordered.by_exit
    streak = kernels.losing_streaks(by.order, by.low, by.high, full, known.closed, data.is_win)
    out["losing_streak_max"] = np.where(full, streak, np.nan)
    mfe = out.pop("mean_mfe_r")
    with np.errstate(invalid="ignore", divide="ignore"):
        out["pain_reward"] = np.where(mfe > 0, out.pop("mean_mae_r") / mfe, np.nan)
    curves, timed = kernels.shape_means(
        by.order, by.low, by.high, full, known.closed, data.shape, data.by_level, table
    )
    out["pain_reward_no_skill"] = pain_reward_without_skill(curves, timed)
    return out


def _metric_rows(
    day: int, row: IntArray, live: IntArray, full: BoolArray, count: IntArray, columns: dict[str, FloatArray]
) -> MetricRows:
    counted = {name: count[live, k].astype(np.float64) for k, name in enumerate(("n", "n_open", "n_days"))}
    return MetricRows(
        np.full(len(live), day),
        row,
        {**counted, **{name: columns[name][live] for name in _EVERY_CELL}},
        np.flatnonzero(full[live]),
        {name: columns[name][full] for name in _FULL_CELLS},
    )


def _replay_levels(
    fixed: _Fixed, jobs: list[IntArray], config: GroupConfig, spread: Spread
) -> Iterable[tuple[pd.DataFrame, pd.DataFrame]]:
    # the level with the most cells first, so that nobody waits for it in the end
    todo = [(model, place) for model in config.size_models for place in reversed(range(len(jobs)))]
    return spread(lambda one: _replay_level(fixed, jobs[one[1]], one[1], one[0], config), todo)


def _in_order(parts: list[pd.DataFrame], names: CellNames, config: GroupConfig) -> pd.DataFrame:
    """Join frames with numbers of days and cells, sort them by their key and write it out."""
    models = pd.Index(sorted(config.size_models))
    joined = pd.concat(parts, ignore_index=True)
    model = joined["size_model"].to_numpy(dtype=np.int64)
    row, day = (joined.pop(name).to_numpy(dtype=np.int64) for name in ("row", "day"))
    order = np.lexsort((names.rank[row], model, day))
    joined = joined.iloc[order].reset_index(drop=True)
    joined["size_model"] = pd.Categorical.from_codes(model[order], models)
    joined.insert(0, "as_of_date", pd.Series(names.days(day[order])))
    joined.insert(2, "rule_text", pd.Series(names.text(row[order])))
    return joined


def _replay_level(
    fixed: _Fixed, todo: IntArray, place: int, model: str, config: GroupConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    data, level = fixed.data, fixed.data.levels[place]
    prepared, order = kernel_trades(data.corpus[model], level.cell, data.market)
    bounds = group_bounds(level.cell[order], level.size)
    settings = {
        "capital_paise": config.capital_paise,
        "risk_free": config.risk_free,
        "window_days": config.window_days,
    }
    head = {
        "size_model": np.full(len(todo), sorted(config.size_models).index(model)),
        "row": fixed.names.row(place, todo[:, 0]),
        "day": todo[:, 1],
    }
    if _is_advisor(level):
        replayer = CurveReplayer(prepared, bounds, data.market, **settings)  # type: ignore[arg-type]  # int and float by name
        order = continuing_order(todo)
        replayed = [replayer.replay(int(cell), int(day)) for cell, day in todo[order]]
        results = [replayed[place] for place in np.argsort(order)]
        found = outputs_of(results)
        lines = pd.DataFrame(
            {
                **head,
                **{n: pd.Series([getattr(r, n) for r in results], dtype=object) for n in _CURVES},
            }
        )
    else:
        found = replay_jobs(prepared, bounds, data.market, todo, **settings)  # type: ignore[arg-type]  # as above
        lines = pd.DataFrame({**head, **dict.fromkeys(_CURVES)}).iloc[:0]
    columns: dict[str, Any] = dict(head)
    for name in (*INT_OUTPUTS, *FLOAT_OUTPUTS):
        if name in _MOMENTS:
            columns[_MOMENTS[name]] = moments(found[name].astype(np.int64))
        else:
            columns[name] = found[name]
    return pd.DataFrame(columns), lines

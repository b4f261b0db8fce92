"""Skill or luck of every advisor and of the desk at the end of an as-of date (§3.8).

Step 8 keeps sums, the shrinkage cascade, advisors' q and reshuffled drawdowns; this adds what else needs
single ideas or days: clustered t, exact excess hits, e-processes, deflated Sharpe ratios, the search, stages.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from propdesk.core.errors import GapFault
from propdesk.metrics import discovery, evidence, track_record
from propdesk.metrics.equity import TRADING_DAYS_PER_YEAR, sample_std, sharpe
from propdesk.metrics.performance import kurtosis, skewness
from propdesk.pipeline.groups_known import Known, clustered_means, excess_chances, known_at, tested_ideas
from propdesk.pipeline.groups_prepare import BoolArray, FloatArray, GroupConfig, IntArray, Level, Prepared
from propdesk.rules.stages import StageLimits, Standing, stage_of

_KEPT = (
    "n", "n_open", "skill_n", "weighted_n", "design_effect", "cluster_n_eff", "mean_r_weighted", "hits",
    "expected_hits", "excess_hits", "excess_z", "post_mean_r", "post_sd_r", "shrink", "prob_edge",
)  # fmt: skip
"""Columns of ``research.group_metrics`` that are carried over."""
_BETS = ("e_value", "e_peak", "e_against", "e_decline", "e_days")


@dataclass(frozen=True, slots=True)
class SkillConfig:
    """Settings of the skill layer beyond step 8's.

    Attributes
    ----------
    rate : float
        False-discovery rate among advisors and rules.
    edge : float
        Points of win chance (fraction) that `trades_needed` asks to be found.
    limits : StageLimits
        Thresholds of the stages.
    settings_tried : int
        Settings under which the records were made (trial ledger), ≥ 1: the deflated ratios count each as as
        many trials again.
    """

    rate: float = 0.10
    edge: float = 0.08
    limits: StageLimits = field(default_factory=StageLimits)
    settings_tried: int = 1


@dataclass(frozen=True, slots=True)
class DeskFacts:
    """What holds for all advisors together.

    Attributes
    ----------
    truth : DeskTruth
        Shares with, without and with a negative edge; how many luck would show.
    found_by_q, found_by_e : int
        Advisors named at the rate: by p-values, and by e-values.
    n_trials_eff, lucky_sharpe : float
        Independent records among the replays times the settings tried, and the yearly Sharpe ratio that
        luck's best would show.
    rules : DataFrame
        ``level, rule_text, p_value`` of the groups that the search down the levels names.
    """

    truth: discovery.DeskTruth
    found_by_q: int
    found_by_e: int
    n_trials_eff: float
    lucky_sharpe: float
    rules: pd.DataFrame


@dataclass(frozen=True, slots=True)
class SkillTables:
    """One row per advisor of ``research.group_metrics``, sorted by advisor, and the desk's facts.

    ``daily_r``: net R of the ideas that ended on each market day of the evidence window, by advisor.
    """

    advisors: pd.DataFrame
    desk: DeskFacts
    daily_r: pd.DataFrame


class _Line(NamedTuple):
    """One row of ``research.equity_curves``."""

    daily_marked_paise: NDArray[Any]


class _Records(NamedTuple):
    """What the replayed records of the advisors are worth, one value per advisor."""

    psr: FloatArray
    dsr: FloatArray
    min_track_days: FloatArray
    n_trials_eff: float
    lucky_sharpe: float


def skill_facts(
    data: Prepared,
    day: int,
    metrics: pd.DataFrame,
    curves: pd.DataFrame,
    config: GroupConfig,
    skill: SkillConfig,
) -> SkillTables:
    """Judge all advisors at the end of one as-of date.

    Parameters
    ----------
    data : Prepared
        Counted trades since the first; older ones than the evidence window serve the e-processes alone.
    day : int
        Epoch day of the as-of date.
    metrics, curves : DataFrame
        Rows of ``research.group_metrics`` and ``research.equity_curves`` of that date, one size model.
    config, skill
        Settings of step 8 and of this layer.

    Returns
    -------
    SkillTables
        NaN where something is undefined.
    """
    known, level = known_at(data, day, config), data.levels[0]
    rows = metrics[metrics["level"] == level.level.value].sort_values("advisor_id", kind="stable")
    place = pd.Index(level.rule_text).get_indexer(pd.Index(rows["rule_text"].astype(object)))
    if bool((place < 0).any()):
        raise GapFault("the group metrics name advisors without trades: run steps 5 to 9 over the day again")
    means = clustered_means(data, known, level)
    effect = pd.Series(metrics["design_effect"].to_numpy(), index=metrics["rule_text"].astype(object))
    p_excess = excess_chances(data, known, level, _of_cells(effect, level), np.ones(level.size, dtype=bool))
    bets = pd.DataFrame([_bets(data, level.cell == cell, day) for cell in place], columns=_BETS)
    records = _records(rows["rule_text"].tolist(), curves, config, skill.settings_tried)
    out = rows[["advisor_id", *_KEPT]].reset_index(drop=True)
    out["n_days"] = means.clusters[place]
    out["se_cluster"], out["t_cluster"] = means.error[place], means.t[place]
    out["p_excess"], out["p_cluster"] = p_excess[place], means.p_value[place]
    out["p_value"] = out["p_excess"].where(out["p_excess"].notna(), out["p_cluster"])
    out["q_value"], out["mdd_p95"] = rows["advisor_q"].to_numpy(), rows["mdd_p95"].to_numpy()
    out = pd.concat([out, bets], axis=1)
    out["found_by_e"] = discovery.select_by_e(out["e_value"].to_numpy(), skill.rate)
    out = out.assign(psr=records.psr, dsr=records.dsr, min_track_days=records.min_track_days)
    out["p_breakeven"] = _mean_chances(data, known, level)[place]
    out["trades_needed"] = evidence.trades_needed(
        out["p_breakeven"].to_numpy(), out["design_effect"].to_numpy(), skill.edge
    )
    judged = [stage_of(standing, skill.limits) for standing in _standings(out)]
    out["stage"] = [stage.value for stage, _ in judged]
    out["reasons"] = [list(reasons) for _, reasons in judged]
    desk = DeskFacts(
        discovery.desk_truth(scores(out)),
        int((out["q_value"] <= skill.rate).sum()),
        int(out["found_by_e"].sum()),
        records.n_trials_eff,
        records.lucky_sharpe,
        _named(data, known, effect, p_excess, skill.rate),
    )
    return SkillTables(out, desk, _daily_r(data, known, rows["advisor_id"].tolist(), place, config))


def _daily_r(
    data: Prepared, known: Known, advisors: list[str], place: IntArray, config: GroupConfig
) -> pd.DataFrame:
    """Add up the net R of closed ideas by the market day of their exit, from the first such day on."""
    today = int(np.searchsorted(data.market.day, known.day, side="right")) - 1
    level = data.levels[0]
    since = today - config.skill_window_days
    rows = np.flatnonzero(
        known.skill_closed & ~np.isnan(data.r) & (level.cell >= 0) & (data.exit_index > since)
    )
    begin = int(data.exit_index[rows].min()) if len(rows) else today + 1
    out = np.zeros((max(today + 1 - begin, 0), level.size))
    np.add.at(out, (np.minimum(data.exit_index[rows], today) - begin, level.cell[rows]), data.r[rows])
    return pd.DataFrame(out[:, place], columns=advisors)


def _of_cells(effect: "pd.Series[float]", level: Level) -> FloatArray:
    """Give the design effect of each cell; NaN where step 8 has none."""
    return np.asarray(effect.reindex(level.rule_text).to_numpy(), dtype=np.float64)


def _mean_chances(data: Prepared, known: Known, level: Level) -> FloatArray:
    rows = np.flatnonzero(tested_ideas(data, known) & (level.cell >= 0))
    count = np.bincount(level.cell[rows], minlength=level.size)
    total = np.bincount(level.cell[rows], weights=data.p0[rows], minlength=level.size)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _bets(data: Prepared, member: BoolArray, day: int) -> tuple[float, float, float, float, int]:
    """Run the e-process of one advisor since his first idea; its four wealths and the days it bet on.

    The days count in their order up to the first with an idea that is still open: which ideas end early
    depends on how they end, so that those at hand would not be a fair sample of their day.
    """
    begun = member & (data.entry_day <= day) & (data.unsettled_day > day)
    waiting = begun & (data.exit_day > day) & (data.shape >= 0)
    until = int(data.entry_day[waiting].min()) if bool(waiting.any()) else day + 1
    rows = np.flatnonzero(begun & (data.entry_day < until) & (data.p0 > 0.0) & (data.p0 < 1.0))
    surplus = evidence.daily_surplus(data.hit[rows], data.p0[rows], data.entry_day[rows])
    return (*evidence.e_process(surplus), len(surplus))


def _records(rules: list[str], curves: pd.DataFrame, config: GroupConfig, settings_tried: int) -> _Records:
    columns = zip(*(curves[name] for name in ("rule_text", *_Line._fields)), strict=True)
    by_rule = {str(rule): _Line(*(np.asarray(value) for value in line)) for rule, *line in columns}
    lines = [by_rule.get(rule) for rule in rules]
    daily = [_daily_returns(line, config.capital_paise) for line in lines]
    ratio = np.array([_daily_sharpe(returns) for returns in daily])
    known = ratio[~np.isnan(ratio)]
    present = [returns for returns in daily if len(returns)]
    independent = discovery.effective_trials(np.stack(present, axis=1)) if present else 0.0
    # records under other settings are much alike; to count each as independent errs to the safe side
    trials = independent * max(settings_tried, 1)
    lucky = track_record.lucky_sharpe(sample_std(known), trials) if len(known) > 1 else np.nan
    shape = [(skewness(returns), kurtosis(returns)) for returns in daily]
    return _Records(
        np.array([_psr(*one) for one in zip(ratio, daily, shape, strict=True)]),
        np.array([_psr(*one, lucky) for one in zip(ratio, daily, shape, strict=True)]),
        np.array([track_record.min_track_periods(r, *s) for r, s in zip(ratio, shape, strict=True)]),
        trials,
        lucky * np.sqrt(TRADING_DAYS_PER_YEAR),
    )


def _daily_returns(line: _Line | None, capital_paise: int) -> FloatArray:
    """Give the replay's returns by market day, open trades at their marks; none from a corpus of nothing."""
    if line is None:
        return np.zeros(0)
    value = np.concatenate([[capital_paise], line.daily_marked_paise.astype(np.float64)])
    base = value[:-1]
    return np.where(base > 0.0, np.diff(value) / np.where(base > 0.0, base, 1.0), 0.0)


def scores(advisors: pd.DataFrame) -> FloatArray:
    """Give each advisor a z that is standard normal where there is no edge.

    Parameters
    ----------
    advisors : DataFrame
        Columns excess_z, and p_cluster for those without one.

    Returns
    -------
    ndarray of float64
        A t over few days is wider than the normal curve; its p puts it where it belongs.
    """
    by_mean = -ndtri(advisors["p_cluster"].to_numpy(dtype=np.float64))
    return np.asarray(advisors["excess_z"].where(advisors["excess_z"].notna(), by_mean), np.float64)


def _daily_sharpe(returns: FloatArray) -> float:
    return sharpe(returns, periods_per_year=1.0)


def _psr(ratio: float, returns: FloatArray, shape: tuple[float, float], benchmark: float = 0.0) -> float:
    return track_record.probabilistic_sharpe(ratio, len(returns), *shape, benchmark)


def _named(
    data: Prepared, known: Known, effect: "pd.Series[float]", of_advisors: FloatArray, rate: float
) -> pd.DataFrame:
    """List what the search down the levels names, level by level, surest first."""
    p_value, parents = [of_advisors], [level.parent for level in data.levels]
    for level in data.levels[1:]:
        chosen = discovery.select_tree(p_value, parents[: len(p_value)], rate)
        p_value.append(excess_chances(data, known, level, _of_cells(effect, level), chosen[-1][level.parent]))
    chosen = discovery.select_tree(p_value, parents, rate)
    parts = [
        pd.DataFrame({"level": level.level.value, "rule_text": level.rule_text[found], "p_value": p[found]})
        for level, found, p in zip(data.levels, chosen, p_value, strict=True)
    ]
    return pd.concat([part.sort_values(["p_value", "rule_text"], kind="stable") for part in parts])


def _standings(rows: pd.DataFrame) -> Iterator[Standing]:
    columns = (
        "n_days",
        "post_mean_r",
        "prob_edge",
        "q_value",
        "mdd_p95",
        "t_cluster",
        *_BETS[:1],
        *_BETS[2:4],
    )
    for ideas, *values in zip(rows["skill_n"], *(rows[name] for name in columns), strict=True):
        yield Standing(int(ideas), int(values[0]), *(float(value) for value in values[1:]))

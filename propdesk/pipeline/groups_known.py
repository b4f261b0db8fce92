"""What of the trades counts at the end of an as-of date, and what it says against luck (§3.4, §3.8)."""

from dataclasses import dataclass

import numpy as np

from propdesk.metrics import discovery, evidence
from propdesk.metrics.recency import recency_weights
from propdesk.pipeline.groups_prepare import BoolArray, FloatArray, GroupConfig, Level, Prepared


@dataclass(frozen=True, slots=True)
class Known:
    """Which trades count at the end of one as-of date, and at which R."""

    day: int
    closed: BoolArray  # window of §3.4, exit known
    is_open: BoolArray  # window of §3.4, still open
    is_unsettled: BoolArray  # window of §3.4, known to be unsettled: in no figure but its own count
    skill: BoolArray  # evidence window of §3.8
    skill_closed: BoolArray
    r: FloatArray  # net R, open trades at their mark
    weight: FloatArray  # of the evidence window, §3.8
    recency: FloatArray  # of the metric window, §3.5


def known_at(data: Prepared, day: int, config: GroupConfig) -> Known:
    """Tell which trades count at the end of an epoch day, at which R and weight (§3.4, §3.8)."""
    begun = data.entry_day <= day
    unsettled = data.unsettled_day <= day
    entered = begun & ~unsettled
    ended = data.exit_day <= day
    recent = data.entry_day > day - config.window_days
    window = entered & recent
    today = int(np.searchsorted(data.market.day, day, side="right")) - 1
    skill = entered & (data.entry_index > today - data.skill_window)
    age = np.where(ended, today - data.exit_index, 0)
    weight = np.exp2(-np.maximum(age, 0) / config.skill_half_life_days)
    r = np.where(ended, data.r, np.nan)
    for t in np.flatnonzero(skill & ~ended):
        span = slice(int(data.mark_offset[t]), int(data.mark_offset[t + 1]))
        at = int(np.searchsorted(data.mark_day[span], day, side="right")) - 1
        if at >= 0 and data.risk_total[t] > 0:
            r[t] = float(data.mark_pnl[span][at]) / data.risk_total[t]
    lost = begun & unsettled & recent
    recency = recency_weights(
        np.where(ended, day - data.exit_day, 0).astype(np.float64), config.half_life_days
    )
    return Known(day, window & ended, window & ~ended, lost, skill, skill & ended, r, weight, recency)


def clustered_means(data: Prepared, known: Known, level: Level) -> evidence.MeanEvidence:
    """Weigh each cell's mean R, open ideas at their mark, against its error; a day is one observation."""
    rows = np.flatnonzero(known.skill & ~np.isnan(known.r) & (level.cell >= 0))
    return evidence.clustered_means(
        known.r[rows], known.weight[rows], level.cell[rows], data.entry_day[rows], level.size
    )


def tested_ideas(data: Prepared, known: Known) -> BoolArray:
    """Mark the closed ideas of the evidence window that have a chance without skill."""
    return known.skill_closed & (data.p0 > 0.0) & (data.p0 < 1.0)


def excess_chances(
    data: Prepared, known: Known, level: Level, effect: FloatArray, wanted: BoolArray
) -> FloatArray:
    """Give the p of the excess hits of the wanted cells; NaN for those without a design effect."""
    rows = np.flatnonzero(tested_ideas(data, known) & (level.cell >= 0))
    rows = rows[wanted[level.cell[rows]]]
    return evidence.excess_hit_chances(data.hit[rows], data.p0[rows], level.cell[rows], effect)


def advisor_q_values(data: Prepared, known: Known, effect: FloatArray) -> FloatArray:
    """Give the false-discovery rate at which each advisor would just be named (§3.8).

    Parameters
    ----------
    data, known
        Trades, and what of them counts.
    effect : ndarray of float64, shape (n_advisors,)
        Design effect; NaN leaves an advisor out, of the family too.

    Returns
    -------
    ndarray of float64, shape (n_advisors,)
        By the p of the excess hits, or by that of the mean where no idea has a chance without skill; NaN
        where neither can be tested.
    """
    level = data.levels[0]
    p_excess = excess_chances(data, known, level, effect, np.ones(level.size, dtype=bool))
    p_value = np.where(np.isnan(p_excess), clustered_means(data, known, level).p_value, p_excess)
    return discovery.q_values(np.where(np.isnan(effect), np.nan, p_value))


def reverse_chances(data: Prepared, known: Known, level: Level, effect: FloatArray) -> FloatArray:
    """Give the p of the hits of the reversed ideas of the wanted cells against their own break-even (§4.4).

    Parameters
    ----------
    data, known
        Trades, and what of them counts.
    level : Level
        Whose cells.
    effect : ndarray of float64, shape (n_cells,)
        Design effect; NaN leaves a cell out.

    Returns
    -------
    ndarray of float64, shape (n_cells,)
        Chance that ideas without skill in either direction are missed as often; NaN where nothing can be
        tested.

    Notes
    -----
    An idea that is still open counts as a reversal that lost: which ideas are over by now depends on how they
    end, and the nearer level is met first. Its chance is that before costs: what closing it will cost is not
    known yet.
    """
    is_open = known.skill & ~known.skill_closed
    p0 = np.where(is_open, data.reverse.p0_free, data.reverse.p0)
    hit = np.where(is_open, 0.0, data.reverse.hit)
    rows = np.flatnonzero(known.skill & (level.cell >= 0) & (p0 > 0.0) & (p0 < 1.0))
    rows = rows[~np.isnan(effect[level.cell[rows]])]
    return evidence.excess_hit_chances(hit[rows], p0[rows], level.cell[rows], effect)

"""What trading against an idea would have met: its chance to win without skill, and whether it won (§4.4).

The reversed trade has the idea's nearest target as its stop and the idea's stop as its only target (§5.4).
Its outcome follows from the idea's own, because both enter at one event and end at the same two levels.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from propdesk.core.invariant import require
from propdesk.metrics.skill import Chains, break_even_chances, break_even_drifts, remaining_chances

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Ended(NamedTuple):
    """How ideas ended, as arrays of shape (n,).

    ``targets_hit`` reached, ``stopped`` at the stop that the idea came with, ``ambiguous`` where one bar met
    two of its prices; ``at_r`` exit, ``mae_r`` and ``mfe_r`` worst and best move, in R of the idea.
    """

    targets_hit: IntArray
    stopped: BoolArray
    ambiguous: BoolArray
    at_r: FloatArray
    mae_r: FloatArray
    mfe_r: FloatArray


class Reversals(NamedTuple):
    """The reversed trades, as arrays of shape (n,).

    ``p0``: chance to win without skill in either direction, costs of the reversed trade paid; ``hit``: 1 won,
    0 lost, between them the chance that it still had. NaN where either is not known. ``p0_free`` is the
    chance before costs, which is known at the entry. A reversal whose costs are all of its reward or more
    breaks even on no path: it lost, whatever happened, at the chance before costs.
    """

    p0: FloatArray
    hit: FloatArray
    p0_free: FloatArray


def reversals(chains: Chains, cost_r: FloatArray, reach_r: FloatArray, ended: Ended) -> Reversals:
    """Judge every idea from the other side.

    Parameters
    ----------
    chains : Chains
        The ideas, targets by distance.
    cost_r : ndarray of float64, shape (n,)
        Slippage and charges in R of the idea; the reversed trade pays as much again.
    reach_r : ndarray of float64, shape (n,)
        How far from the entry a level of a reversed trade may lie, in R of the idea.
    ended : Ended
        What became of the ideas.

    Returns
    -------
    Reversals
        NaN for an idea without stop or target, which is never reversed.

    Notes
    -----
    What cannot be told is a loss: a bar in which two prices were met, and a level brought nearer to the entry
    that may have been met before the other. An idea closed by time or by hand counts the chance that its
    reversal still had, as excess hits do. Source: spec §4.4, §5.4; reference/skill.md 4.8.
    """
    require(bool((ended.targets_hit >= 0).all()), "a number of targets is negative")
    has = chains.legs > 0
    nearest = np.where(has, chains.levels[:, 0], np.nan)
    stop, target = np.minimum(nearest, reach_r), np.minimum(1.0, reach_r)
    legs = (has & (stop > 0.0) & (target > 0.0)).astype(np.int64)
    safe = np.where(legs > 0, stop, 1.0)
    levels, share = np.zeros_like(chains.levels), np.zeros_like(chains.share)
    levels[:, 0], share[:, 0] = np.where(legs > 0, target / safe, 0.0), legs
    mirrored = Chains(levels, share, legs)
    cost = cost_r / safe
    drift = break_even_drifts(mirrored, cost)
    p0 = break_even_chances(mirrored, cost, drift)
    nothing_hit = np.zeros(len(legs), dtype=np.int64)
    left = remaining_chances(mirrored, cost, drift, nothing_hit, -ended.at_r / safe)
    nearer = (stop < nearest) | (target < 1.0)
    against = (ended.targets_hit > 0) | (nearer & (ended.mfe_r >= stop)) | ended.ambiguous
    reached = (ended.stopped & (ended.targets_hit == 0)) | (nearer & (ended.mae_r >= target))
    hit = np.where(against, 0.0, np.where(reached, 1.0, left))
    free = np.where(legs > 0, safe / (safe + target), np.nan)
    unpayable = (legs > 0) & (cost > 0.0) & (np.isnan(drift) | (p0 >= 1.0))
    p0, hit = np.where(unpayable, free, p0), np.where(unpayable, 0.0, hit)
    unknown = (
        np.isnan(p0) | np.isnan(hit) | (nearer & ~unpayable & (np.isnan(ended.mae_r) | np.isnan(ended.mfe_r)))
    )
    return Reversals(np.where(unknown, np.nan, p0), np.where(unknown, np.nan, hit), free)

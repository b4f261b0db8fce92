"""How much the best of several records owes to having been chosen (§3.8, report only)."""

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from propdesk.core.invariant import require

FloatArray = NDArray[np.float64]

BLOCKS = 16
"""Parts that a record is cut into; every half of them is once the past and once the future."""


class Overfit(NamedTuple):
    """What choosing by the past is worth.

    ``odds``: chance that the record which is best in one half of the days ranks below the median in the
    other (PBO), in [0, 1]; ``loss_odds``: chance that it loses there; both NaN where it cannot be told.
    ``records`` that differ, ``splits`` looked at.
    """

    odds: float
    loss_odds: float
    records: int
    splits: int


def overfit_odds(returns: FloatArray, blocks: int = BLOCKS) -> Overfit:
    """Estimate the probability of backtest overfitting among several records of the same days.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_days, n_records)
        Result of each day, any unit, finite. Records that are equal count as one.
    blocks : int
        Even number of parts, ≥ 2.

    Returns
    -------
    Overfit
        NaN under two records that differ, or two days a block.

    Notes
    -----
    Combinatorially symmetric cross-validation (Bailey, Borwein, López de Prado and Zhu 2017): for every
    choice of half the blocks, the record with the best ratio of mean to standard deviation is ranked by that
    ratio in the other half; the odds are the share of choices in which its rank is below the middle, a rank
    in the middle counting half. Days that do not fill the blocks are left out at the beginning.
    """
    require(blocks >= 2 and blocks % 2 == 0, "a record is cut into an even number of parts")
    require(bool(np.isfinite(returns).all()), "a result is missing")
    distinct = np.unique(returns, axis=1) if returns.size else returns[:, :0]
    n_days, records = distinct.shape
    per_block = n_days // blocks
    if records < 2 or per_block < 2:
        return Overfit(math.nan, math.nan, records, 0)
    parts = distinct[n_days - per_block * blocks :].reshape(blocks, per_block, records)
    chosen = list(combinations(range(blocks), blocks // 2))
    past = np.zeros((len(chosen), blocks))
    past[np.arange(len(chosen))[:, None], np.array(chosen)] = 1.0
    inside, outside = (_ratios(half, parts) for half in (past, 1.0 - past))
    best = np.argmax(inside, axis=1)[:, None]
    found = np.take_along_axis(outside, best, axis=1)
    behind = (outside < found).sum(axis=1) + 0.5 * ((outside == found).sum(axis=1) - 1)
    middle = (records - 1) / 2.0
    below = np.where(behind < middle, 1.0, np.where(behind == middle, 0.5, 0.0))
    return Overfit(float(below.mean()), float((found < 0.0).mean()), records, len(chosen))


def _ratios(half: FloatArray, parts: FloatArray) -> FloatArray:
    """Mean over standard deviation of each record in each half; 0 where nothing varies."""
    n = half.sum(axis=1, keepdims=True) * parts.shape[1]
    mean = half @ parts.sum(axis=1) / n
    spread = np.sqrt(np.maximum(half @ (parts * parts).sum(axis=1) / n - mean * mean, 0.0))
    varies = spread > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    return np.where(varies, mean / np.where(varies, spread, 1.0), 0.0)

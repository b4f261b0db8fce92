"""What the reversed trades of a group would have earned, costs on both sides (§4.4)."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from propdesk.core.limits import LEVEL_SHARE_MAX

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Ideas(NamedTuple):
    """Ideas that entered, as arrays of shape (n,); prices and money in paise, NaN where there is none.

    ``low_paise`` and ``high_paise`` of the entry that was asked for, NaN at market; ``nearest_paise`` target
    and ``stop_paise`` as the ideas came; ``mae_r``, ``mfe_r`` worst and best move in R; ``is_stopped`` at
    that stop, ``is_target`` ended at a target; ``is_ambiguous`` where one bar met two prices of an idea;
    ``cost_paise`` slippage and charges.
    """

    sign: FloatArray
    quantity: FloatArray
    entry_paise: FloatArray
    low_paise: FloatArray
    high_paise: FloatArray
    stop_paise: FloatArray
    nearest_paise: FloatArray
    exit_paise: FloatArray
    targets_hit: FloatArray
    is_stopped: BoolArray
    is_target: BoolArray
    is_ambiguous: BoolArray
    mae_r: FloatArray
    mfe_r: FloatArray
    cost_paise: FloatArray


def reversed_net(ideas: Ideas) -> FloatArray:
    """Give the net result of each idea's reversed trade.

    Parameters
    ----------
    ideas : Ideas
        Closed or not.

    Returns
    -------
    ndarray of float64, shape (n,)
        Paise. 0 without a target: such an idea is never reversed (REVERSE_NO_STOP). NaN while the idea is
        open.

    Notes
    -----
    The reversed trade holds the whole quantity in one part, its stop at the idea's nearest target, its target
    at the idea's stop, both at most 30 % from the entry (`propdesk.execution.reverse`). It enters at the
    idea's event, a range at its other end, so that its end follows from the idea's: the first target reached
    stops it, whatever the idea's other parts still earned or lost; the idea's stop is its target, at the
    price that the idea got; time or hand closes both at one price. What cannot be told counts as stopped.
    Exact and inexact cases: docs/decisions/0043.
    """
    is_range = ideas.low_paise < ideas.high_paise
    entry = np.where(is_range, ideas.low_paise + ideas.high_paise - ideas.entry_paise, ideas.entry_paise)
    reach = LEVEL_SHARE_MAX * entry
    risk, reward = np.abs(entry - ideas.stop_paise), np.abs(ideas.nearest_paise - entry)
    stop, target = np.minimum(reward, reach), np.fmin(risk, reach)
    at = (ideas.exit_paise - entry) * ideas.sign
    is_nearer_stop, is_nearer_target = stop < reward, risk > reach
    # worst and best move, from the entry of the reversed trade
    own_risk, apart = np.abs(ideas.entry_paise - ideas.stop_paise), (ideas.entry_paise - entry) * ideas.sign
    worst, best = ideas.mae_r * own_risk - apart, ideas.mfe_r * own_risk + apart
    known = ~(np.isnan(worst) | np.isnan(best))
    is_lost = (ideas.targets_hit > 0) | ideas.is_ambiguous
    is_lost |= is_nearer_stop & ~(known & (best < stop))
    is_lost |= is_nearer_target & ~known
    is_won = is_nearer_target & known & (ideas.is_stopped | (worst >= target))
    # all of the idea ended at its nearest target: where the market jumped over it, its own price is known
    jumped = ideas.is_target & (ideas.targets_hit == 1) & ~is_nearer_stop
    loss = np.where(jumped, np.maximum(at, stop), stop)
    move = np.where(is_lost, -loss, np.where(is_won, target, -at))
    net = move * ideas.quantity - ideas.cost_paise
    net = np.where(np.isnan(at), np.nan, net)
    return np.where(np.isnan(ideas.nearest_paise), 0.0, np.round(net))


def first_targets(targets: "pd.Series[Any]") -> FloatArray:
    """Give the nearest target of each idea as it came, paise; NaN without one."""
    lists = targets.to_numpy(dtype=object)
    return np.array(
        [
            float(one[0]) if isinstance(one, (list, tuple, np.ndarray)) and len(one) else np.nan
            for one in lists
        ],
        dtype=np.float64,
    )

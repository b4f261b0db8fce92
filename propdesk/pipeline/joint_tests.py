"""Is the best of all advisors more than the luckiest? Joint tests of the leaderboard (§3.8, report only).

The one module that loads `arch` (and with it statsmodels, a second or two): only the command that reports the
desk imports it, never a step, the daemon or the API.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from arch.bootstrap import SPA, StepM, optimal_block_length
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MIN_DAYS = 20
DRAWS = 1_000


class JointTests(NamedTuple):
    """Outcome of the joint tests.

    ``spa_p``: chance that the best of as many advisors without edge looks as good (Hansen's consistent p);
    NaN where nothing can be tested. ``superior``: advisors that stepwise testing names, in order of name.
    ``advisors`` and ``days`` tested, ``block_days`` of the bootstrap.
    """

    spa_p: float
    superior: tuple[str, ...]
    advisors: int
    days: int
    block_days: int


def joint_tests(
    daily_r: pd.DataFrame, *, level: float = 0.05, draws: int = DRAWS, seed: int = 1
) -> JointTests:
    """Test all advisors at once against doing nothing.

    Parameters
    ----------
    daily_r : DataFrame, shape (n_days, n_advisors)
        Net R of the ideas that ended on each market day, one column per advisor, 0 without any. Columns
        without spread are no records and are left out.
    level : float
        Chance to name anybody wrongly.
    draws, seed : int
        Bootstrap samples, and where they come from: same seed, same result.

    Returns
    -------
    JointTests
        NaN and nobody under `MIN_DAYS` days or without a column that varies.

    Notes
    -----
    Hansen (2005) and Romano and Wolf (2005) by `arch`, on losses = −R, with the stationary bootstrap; its
    mean block is the largest of the automatic lengths of the columns, at most a tenth of the days.
    """
    moving = daily_r.loc[:, (daily_r != daily_r.iloc[:1].to_numpy()).any()]
    n_days, n_advisors = moving.shape
    if n_days < MIN_DAYS or n_advisors == 0:
        return JointTests(math.nan, (), n_advisors, n_days, 0)
    losses = -moving.astype(np.float64)
    lengths = optimal_block_length(losses)["stationary"].to_numpy(dtype=np.float64)
    longest = float(np.nanmax(lengths)) if bool(np.isfinite(lengths).any()) else 1.0
    block = int(min(max(math.ceil(longest), 1), n_days // 10))
    nothing = np.zeros(n_days)
    spa = SPA(nothing, losses, block_size=block, reps=draws, seed=seed)
    spa.compute()
    steps = StepM(nothing, losses, size=level, block_size=block, reps=draws, seed=seed)
    steps.compute()
    superior = tuple(sorted(str(name) for name in steps.superior_models))
    return JointTests(float(spa.pvalues["consistent"]), superior, n_advisors, n_days, block)

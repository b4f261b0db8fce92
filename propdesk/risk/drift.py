"""A rule's live result against what its history promised (§6.2, drift)."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from propdesk.core.invariant import require

_BAND_Z: Final = NormalDist().inv_cdf(0.99)
"""A result as low as the band's edge comes once in a hundred where the rule is what it promised."""

SPREAD_R_MIN: Final = 1.0
"""Least standard deviation of one trade's result, R: a history that was narrow by luck promises no more."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a rule's trades came to since it was judged last: their number and the sum of their results, R."""

    trades: int = 0
    sum_r: float = 0.0

    def plus(self, result_r: float) -> "RuleResult":
        """Add one trade's net result, R."""
        return RuleResult(self.trades + 1, self.sum_r + result_r)


def lower_band_r(post_mean_r: float, prob_edge: float, n: int, trades: int) -> float:
    """Give the sum of results below which one in a hundred such rules would be after so many trades.

    Parameters
    ----------
    post_mean_r : float
        Expected net result of a trade, R.
    prob_edge : float
        Probability that the true one is above 0; with the mean it says how sure that is.
    n : int
        Trades behind the expectation; >= 1.
    trades : int
        Live ones; >= 0.

    Returns
    -------
    float
        R. 0 trades have a band of 0. Where mean and probability contradict each other (or the mean is
        0), only the spread of single trades counts.

    Notes
    -----
    Normal: k trades of mean m and spread s have the sum k m with the variance k s² + k² t², where t is the
    uncertainty of m, of which prob_edge = Φ(m / t), and s = t √n, at least `SPREAD_R_MIN`.

    Examples
    --------
    >>> round(lower_band_r(0.2, 0.95, 100, 10), 2)
    -7.38
    """
    require(n >= 1, "an expectation stands on at least one trade")
    require(trades >= 0, "a rule cannot have traded less than nothing")
    z = NormalDist().inv_cdf(min(max(prob_edge, 1e-9), 1 - 1e-9))
    unsure_r = post_mean_r / z if post_mean_r * z > 0 else 0.0
    spread_r = max(SPREAD_R_MIN, unsure_r * math.sqrt(n))
    deviation_r = math.sqrt(trades * spread_r**2 + (trades * unsure_r) ** 2)
    return trades * post_mean_r - _BAND_Z * deviation_r

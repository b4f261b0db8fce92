"""A rule's live result against what its history promised (§6.2, drift)."""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

from propdesk.core.invariant import require

_BAND_Z: Final = NormalDist().inv_cdf(0.99)
"""A result as low as the band's edge comes once in a hundred where the rule is what it promised."""

SPREAD_R_MIN: Final = 1.0
"""Least standard deviation of one trade's result, R: a history that was narrow by luck promises no more."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a rule promised of one trade when it was entered, R.

    Attributes
    ----------
    mean_r : float
        Expected net result.
    unsure_r : float
        Standard deviation of that expectation; >= 0.
    spread_r : float
        Standard deviation of one trade's result about the true expectation; > 0.
    """

    mean_r: float
    unsure_r: float
    spread_r: float


def promise_of(post_mean_r: float, prob_edge: float, n: int, hurdle_r: float) -> Promise:
    """Say what a rule promises of its next trade.

    Parameters
    ----------
    post_mean_r : float
        Expected net result of a trade, R.
    prob_edge : float
        Probability that the true one is above the hurdle; with the mean it says how sure that is.
    n : int
        Trades behind the expectation; >= 1.
    hurdle_r : float
        The hurdle that the probability was judged by, R.

    Returns
    -------
    Promise
        Where mean and probability contradict each other (or the mean is the hurdle), the mean counts as
        sure: only the spread of single trades is left.

    Notes
    -----
    prob_edge = Φ((m - h) / t) gives the uncertainty t of the mean m, and s = t √n, at least `SPREAD_R_MIN`,
    the spread of single trades.

    Examples
    --------
    >>> promise_of(0.25, 0.95, 100, 0.05).spread_r.__round__(2)
    1.22
    """
    require(n >= 1, "an expectation stands on at least one trade")
    z = NormalDist().inv_cdf(min(max(prob_edge, 1e-9), 1 - 1e-9))
    ahead_r = post_mean_r - hurdle_r
    unsure_r = ahead_r / z if ahead_r * z > 0 else 0.0
    return Promise(post_mean_r, unsure_r, max(SPREAD_R_MIN, unsure_r * math.sqrt(n)))


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a rule's trades came to since it was judged last, beside what each was promised at its entry.

    Attributes
    ----------
    trades : int
    sum_r : float
        Sum of their net results, R.
    promised_r : float
        Sum of the promised means, R.
    unsure_r : float
        Sum of the means' standard deviations, R: they all stand on one history and are wrong together.
    spread_r2 : float
        Sum of the variances of single trades, R².
    """

    trades: int = 0
    sum_r: float = 0.0
    promised_r: float = 0.0
    unsure_r: float = 0.0
    spread_r2: float = 0.0

    def plus(self, result_r: float, promise: Promise) -> "RuleResult":
        """Add one trade's net result, R, and what was promised of it."""
        return RuleResult(
            self.trades + 1,
            self.sum_r + result_r,
            self.promised_r + promise.mean_r,
            self.unsure_r + promise.unsure_r,
            self.spread_r2 + promise.spread_r**2,
        )

    def corrected(self, by_r: float) -> "RuleResult":
        """Change the result of a trade that is counted already; of none where the count began anew since."""
        return replace(self, sum_r=self.sum_r + by_r) if self.trades else self

    @property
    def band_r(self) -> float:
        """Result below which one in a hundred such rules would be after these trades, R; 0 of none.

        Normal: k trades of mean m and spread s come to k m with the variance k s² + k² t².
        """
        return self.promised_r - _BAND_Z * math.sqrt(self.spread_r2 + self.unsure_r**2)

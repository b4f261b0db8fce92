"""How far an advisor may be followed: LEARN → PAPER → CANARY → LIVE → REDUCED → OFF (§3.8)."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far an advisor is followed; sizing shrinks CANARY and REDUCED (§4.7)."""

    LEARN = "LEARN"
    PAPER = "PAPER"
    CANARY = "CANARY"
    LIVE = "LIVE"
    REDUCED = "REDUCED"
    OFF = "OFF"


@dataclass(frozen=True, slots=True)
class StageLimits:
    """Thresholds of the stages; defaults from reference/skill.md.

    Attributes
    ----------
    min_ideas, min_days : int
        Closed ideas and days with ideas below which an advisor is still learnt about.
    hurdle_r, prob_edge, q_value, mdd_p95 : float
        What the estimate, its probability, the false-discovery rate and the reshuffled drawdown must beat.
    live_t : float
        Clustered t that makes up for a trial with small money.
    live_e : float
        E-value that does.
    decline : float
        Wealth against an advisor since his last good time at which he counts as declining: with 250 one
        false alarm a market year.
    refuted_e, refuted_prob : float
        Wealth against him, or probability of an edge, at which he is off.
    """

    min_ideas: int = 20
    min_days: int = 10
    hurdle_r: float = 0.05
    prob_edge: float = 0.8
    q_value: float = 0.10
    mdd_p95: float = -0.15
    live_t: float = 3.0
    live_e: float = 20.0
    decline: float = 250.0
    refuted_e: float = 20.0
    refuted_prob: float = 0.05


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known about one advisor; NaN is unknown and passes nothing."""

    n_ideas: int
    n_days: int
    post_mean_r: float
    prob_edge: float
    q_value: float
    mdd_p95: float
    t_cluster: float
    e_value: float
    e_against: float
    e_decline: float


def stage_of(known: Standing, limits: StageLimits) -> tuple[Stage, tuple[str, ...]]:
    """Judge one advisor from his results in research.

    Parameters
    ----------
    known : Standing
        What is known at the end of an as-of date.
    limits : StageLimits
        Thresholds.

    Returns
    -------
    Stage
        PAPER until all evidence holds, then CANARY, and LIVE at once where t or e-value is so high that
        no trial is needed.
    tuple of str
        Why it is not higher, one phrase each; empty for LIVE.

    Notes
    -----
    This only removes or shrinks: the gates stay as they are. What an advisor earned with our own money is
    not looked at here.
    """
    if known.e_against >= limits.refuted_e:
        return Stage.OFF, ("hits less than ideas without skill",)
    if known.n_ideas < limits.min_ideas or known.n_days < limits.min_days:
        return Stage.LEARN, (f"{known.n_ideas} ideas on {known.n_days} days are too few",)
    if known.prob_edge <= limits.refuted_prob:
        return Stage.OFF, (f"an edge has a probability of {known.prob_edge:.2f} only",)
    missing = _missing(known, limits)
    if missing:
        return Stage.PAPER, missing
    if known.e_decline >= limits.decline:
        return Stage.REDUCED, ("has hit less than before of late",)
    if not (known.t_cluster >= limits.live_t or known.e_value >= limits.live_e):
        return Stage.CANARY, (f"t below {limits.live_t:g} and e-value below {limits.live_e:g}",)
    return Stage.LIVE, ()


def _missing(known: Standing, limits: StageLimits) -> tuple[str, ...]:
    asked = (
        (f"estimate not above {limits.hurdle_r:g} R", known.post_mean_r, known.post_mean_r > limits.hurdle_r),
        (
            f"probability of an edge not above {limits.prob_edge:g}",
            known.prob_edge,
            known.prob_edge > limits.prob_edge,
        ),
        (f"false-discovery rate above {limits.q_value:g}", known.q_value, known.q_value <= limits.q_value),
        (
            f"reshuffled drawdown not inside {100 * limits.mdd_p95:g} %",
            known.mdd_p95,
            known.mdd_p95 > limits.mdd_p95,
        ),
    )
    return tuple(
        f"{phrase} (unknown)" if math.isnan(value) else phrase for phrase, value, holds in asked if not holds
    )

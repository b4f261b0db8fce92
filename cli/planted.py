"""Planted skill against what the pipeline found: only for generated advisors, whose truth is known."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from propdesk.core.errors import SchemaFault

SKILLED_POINTS: Final = 0.20
"""Advisors planted with at least so many points of hit probability must be found."""

CLOSED_IDEAS_MIN: Final = 300
"""With fewer closed ideas a verdict on +20 points is not asked for."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What is true about one generated advisor.

    Parameters
    ----------
    advisor_id, kind : str
    points : float
        Hit probability above what chance gives, averaged over the time; 0.2 = +20 points.
    is_constant : bool
        The same skill all the time and everywhere; only those are ranked.
    """

    advisor_id: str
    kind: str
    points: float
    is_constant: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What the pipeline says about an advisor: closed ideas, post_mean_r (net R), prob_edge."""

    closed: int
    post_mean_r: float
    prob_edge: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Planted against found.

    Parameters
    ----------
    rows : tuple of (Planted, Found or None)
        By found post_mean_r, best first; advisors without a verdict last.
    spearman : float
        Rank correlation of true points and post_mean_r over all advisors with a verdict; NaN under 3.
    lowest_skilled, highest_unskilled : float
        post_mean_r of the weakest advisor with at least +20 points and enough closed ideas, and of the
        strongest one of no skill; NaN where there is none.
    """

    rows: tuple[tuple[Planted, Found | None], ...]
    spearman: float
    lowest_skilled: float
    highest_unskilled: float

    @property
    def is_separated(self) -> bool:
        """Whether every clearly skilled advisor stands above every unskilled one."""
        return self.lowest_skilled > self.highest_unskilled


def read_truth(path: Path) -> list[Planted]:
    """Read the truth file of a generated sample.

    Raises
    ------
    SchemaFault
        If it is no such file.
    """
    try:
        advisors: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["advisors"]
        return [
            Planted(a["advisor_id"], a["kind"], float(a["mean_points"]), a["points"] == a["mean_points"])
            for a in advisors
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SchemaFault(f"{path} is no truth file of a generated sample: {error}.") from error


def compare(truth: Sequence[Planted], found: Mapping[str, Found]) -> Verdict:
    """Set what was planted against what was found.

    Parameters
    ----------
    truth : sequence of Planted
    found : mapping of str to Found
        By advisor id; an advisor may be missing.
    """
    rows = [(planted, found.get(planted.advisor_id)) for planted in truth]
    rows.sort(key=lambda row: -row[1].post_mean_r if row[1] else float("inf"))
    judged = [(planted, verdict) for planted, verdict in rows if verdict]
    skilled = [
        verdict.post_mean_r
        for planted, verdict in judged
        if planted.points >= SKILLED_POINTS and verdict.closed >= CLOSED_IDEAS_MIN
    ]
    unskilled = [verdict.post_mean_r for planted, verdict in judged if planted.points == 0]
    return Verdict(
        rows=tuple(rows),
        spearman=_spearman([(p.points, f.post_mean_r) for p, f in judged]),
        lowest_skilled=min(skilled, default=float("nan")),
        highest_unskilled=max(unskilled, default=float("nan")),
    )


def _spearman(pairs: Sequence[tuple[float, float]]) -> float:
    import pandas as pd  # scipy's own takes a second to import

    if len(pairs) < 3:  # two points are always in perfect order
        return float("nan")
    one, other = (pd.Series(column).rank() for column in zip(*pairs, strict=True))
    return float(one.corr(other))

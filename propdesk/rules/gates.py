"""The gates a rule has to pass (§4.3) and their inverted form for reverse rules (§4.4)."""

import hashlib
import json
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from propdesk.core.errors import InvariantViolated
from propdesk.core.invariant import require
from propdesk.model.enums import Category, GateProfile, RuleLevel, TrustFlag
from propdesk.model.rule import CellMinimums, GateResult

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}

RULE_LEVELS = (RuleLevel.RULE_6D, RuleLevel.MINI_REGIME, RuleLevel.MINI)
"""Levels that trade, fine to coarse."""


@dataclass(frozen=True, slots=True)
class GateDefinition:
    """What one gate compares and how; the number it compares with is a setting."""

    name: str
    comparison: str
    meaning: str


def _table(*rows: tuple[str, str, str]) -> dict[str, GateDefinition]:
    return {name: GateDefinition(name, comparison, meaning) for name, comparison, meaning in rows}


GATES = _table(
    ("min_trades", ">=", "closed trades in the window"),
    ("min_days", ">=", "distinct days with a closed trade's entry"),
    ("win_rate", ">=", "wins / closed trades, fraction"),
    ("excess_hits", ">", "hits above what breaking even would bring"),
    ("sharpe", ">=", "yearly Sharpe ratio of the daily corpus"),
    ("profit_factor", ">=", "gains / losses; infinite without a loss"),
    ("mdd", ">=", "the worse of the realised and the marked drawdown, fraction <= 0"),
    ("pain_reward", "<", "mean MAE / mean MFE"),
    ("pain_reward_ratio", "<=", "Pain/Reward as a multiple of its value without skill"),
    ("trust", ">=", "2 trusted or noise, 1 watchlist, 0 untrusted"),
    ("skipped_share", "<=", "share of ideas the corpus could not pay for"),
    ("traded_value_share", "<=", "median order value / five-minute traded value"),
    ("post_mean_r", ">", "shrunk mean net R"),
    ("prob_edge", ">", "chance that the true mean exceeds the hurdle"),
    ("advisor_q", "<=", "false-discovery rate at which its advisor would just be named"),
    ("mdd_p95", ">", "drawdown that 95 of 100 reshuffled records stay inside, fraction <= 0"),
)
"""Gates of the rules that trade with an advisor, in the order they are shown."""

ADVERSE_GATES = _table(
    ("min_trades", ">=", "closed trades in the window"),
    ("mean_return", "<", "mean return on margin, fraction"),
    ("profit_factor", "<", "gains / losses"),
    ("volatility", ">", "volatility as a multiple of its category's median"),
    ("win_rate", "<", "wins / closed trades, fraction"),
    ("reverse_q", "<=", "false-discovery rate at which the reversed trades would just be named"),
    ("first_half", "<", "net result of the window's first half, paise"),
    ("second_half", "<", "net result of the window's second half, paise"),
    ("reverse_net", ">", "net result of the mirrored trades after costs, paise"),
)
"""Gates of the rules that trade against an advisor."""

ADVERSE_PREFIX = "adverse_"


@dataclass(frozen=True, slots=True)
class GateTable:
    """Thresholds of both profiles.

    Attributes
    ----------
    rules : mapping of (profile, level, category) to mapping of gate to threshold
        Gates of the rules that trade with an advisor.
    adverse : mapping of profile to mapping of gate to threshold
        Gates of the rules that trade against one.
    version : str
        Hash of all thresholds.
    """

    rules: Mapping[tuple[GateProfile, RuleLevel, Category], Mapping[str, float]]
    adverse: Mapping[GateProfile, Mapping[str, float]]
    version: str

    def minimum_trades(self) -> dict[tuple[RuleLevel, Category], int]:
        """Give the smallest minimum of both profiles per level and category; advisors have none."""
        out = {(RuleLevel.ADVISOR, category): 0 for category in Category}
        for (_, level, category), gates in self.rules.items():
            minimum = int(gates["min_trades"])
            out[level, category] = min(out.get((level, category), minimum), minimum)
        return out

    def match_minimums(self, profile: GateProfile) -> dict[tuple[RuleLevel, Category], CellMinimums]:
        """Give what matching asks under one profile."""
        mine = {(level, c): gates for (p, level, c), gates in self.rules.items() if p is profile}
        return {cell: cell_minimums(gates) for cell, gates in mine.items()}

    def rows(self) -> list[dict[str, object]]:
        """Lay the thresholds out as rows of ``ref.gate_thresholds``."""
        out: list[dict[str, object]] = []
        for (profile, level, category), gates in self.rules.items():
            out += [_row(profile, level, category, GATES[g], t, self.version) for g, t in gates.items()]
            out += [
                _row(profile, level, category, ADVERSE_GATES[g], t, self.version, ADVERSE_PREFIX)
                for g, t in self.adverse[profile].items()
            ]
        return out


def cell_minimums(gates: Mapping[str, float]) -> CellMinimums:
    """Read what matching asks of a cell from the gates that judge it, so that both can never differ (§4.6).

    Examples
    --------
    >>> cell_minimums({"min_trades": 8, "prob_edge": 0.8})
    CellMinimums(trades=8, post_mean_r=None, prob_edge=0.8)
    """
    return CellMinimums(int(gates["min_trades"]), gates.get("post_mean_r"), gates.get("prob_edge"))


def _row(
    profile: GateProfile,
    level: RuleLevel,
    category: Category,
    gate: GateDefinition,
    threshold: float,
    version: str,
    prefix: str = "",
) -> dict[str, object]:
    return {
        "profile": profile.value,
        "rule_level": level.value,
        "category": category.value,
        "gate": prefix + gate.name,
        "comparison": gate.comparison,
        "threshold": threshold,
        "gates_version": version,
    }


def make_gate_table(
    rules: Mapping[tuple[GateProfile, RuleLevel, Category], Mapping[str, float]],
    adverse: Mapping[GateProfile, Mapping[str, float]],
) -> GateTable:
    """Build a table and derive its version from every threshold.

    Raises
    ------
    InvariantViolated
        If a gate has no definition, or a profile, level or category has no minimum of trades.
    """
    for gates in rules.values():
        require(set(gates) <= set(GATES), "a gate without definition")
        require("min_trades" in gates, "every rule level needs a minimum of trades")
    for gates in adverse.values():
        require(set(gates) <= set(ADVERSE_GATES), "an adverse gate without definition")
    content = {
        "rules": {"|".join(key): dict(sorted(gates.items())) for key, gates in sorted(rules.items())},
        "adverse": {key: dict(sorted(gates.items())) for key, gates in sorted(adverse.items())},
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return GateTable(rules, adverse, digest[:16])


def holds(comparison: str, value: float | None, threshold: float) -> bool:
    """Compare a value with its threshold; an undefined value holds nothing (§3).

    Examples
    --------
    >>> holds(">=", 8, 8), holds("<", 0.4, 0.4), holds(">=", float("nan"), 0.0)
    (True, False, False)
    """
    if value is None or math.isnan(value):
        return False
    return bool(_comparison(comparison)(value, threshold))


def holds_each(comparison: str, values: FloatArray, thresholds: FloatArray) -> BoolArray:
    """Compare many values, each with its threshold, as `holds` does; NaN on either side holds nothing.

    Examples
    --------
    >>> holds_each(">=", np.array([8.0, np.nan]), np.array([8.0, 0.0])).tolist()
    [True, False]
    """
    return np.asarray(_comparison(comparison)(values, thresholds), dtype=np.bool_)


def _comparison(text: str) -> Callable[[Any, Any], Any]:
    found = _COMPARISONS.get(text)
    if found is None:
        raise InvariantViolated(f"no comparison {text}")
    return found


def evaluate(
    values: Mapping[str, float | None],
    thresholds: Mapping[str, float],
    definitions: Mapping[str, GateDefinition] | None = None,
) -> tuple[GateResult, ...]:
    """Judge one rule.

    Parameters
    ----------
    values : mapping of gate to float or None
        What was found; missing, None and NaN are undefined and fail.
    thresholds : mapping of gate to float
        What is asked; a gate that is not here is not asked.
    definitions : mapping, optional
        ``GATES`` (default) or ``ADVERSE_GATES``.

    Returns
    -------
    tuple of GateResult
        In the order of the definitions.
    """
    known = GATES if definitions is None else definitions
    results = []
    for name, definition in known.items():
        if name in thresholds:
            value = values.get(name)
            passed = holds(definition.comparison, value, thresholds[name])
            results.append(GateResult(name, value, thresholds[name], passed))
    return tuple(results)


def trust_value(flag: TrustFlag | None, is_noise: bool, profile: GateProfile) -> float | None:
    """Give the trust gate's value: a flag that is noise counts as trusted in profile desk (§4.3)."""
    if flag is None:
        return None
    if profile is GateProfile.DESK and is_noise:
        return 2.0
    return {TrustFlag.TRUSTED: 2.0, TrustFlag.WATCHLIST: 1.0, TrustFlag.UNTRUSTED: 0.0}[flag]

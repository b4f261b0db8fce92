"""Matching: which rule, if any, a signal trades under (§4.6). Pure and shared by simulation and live."""

import math
from dataclasses import dataclass
from enum import StrEnum

from propdesk.model.enums import Category, GateProfile, Period, Regime, RuleLevel, Session, Weekday
from propdesk.model.messages import CandidateTrace
from propdesk.model.rule import Rule, RuleKey, RuleSet


@dataclass(frozen=True, slots=True)
class SignalDims:
    """What of a signal the rule cells are made of (§4.1); None where it is not known."""

    advisor_id: str
    category: Category
    period: Period
    regime: Regime | None
    weekday: Weekday | None
    session: Session


@dataclass(frozen=True, slots=True)
class MatchMinimums:
    """Hurdles of the search (§4.3, §4.6).

    ``post_mean_r`` (R, net) and ``prob_edge`` must be exceeded by the finest cell in profile desk;
    ``trades_*`` say in profile original from how many trades on a cell speaks for itself.
    """

    post_mean_r: float = 0.05
    prob_edge: float = 0.8
    trades_6d: int = 8
    trades_mini: int = 20

    def trades(self, level: RuleLevel) -> int:
        """Minimum number of trades of a level."""
        return self.trades_6d if level is RuleLevel.RULE_6D else self.trades_mini


class MatchOutcome(StrEnum):
    """How a search ended."""

    MATCHED = "MATCHED"
    MATCHED_ADVERSE = "MATCHED_ADVERSE"
    RULE_FAILED = "RULE_FAILED"
    NO_MATCH = "NO_MATCH"


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Answer of the search.

    Attributes
    ----------
    rule : Rule or None
        The rule the trade runs under: normal for MATCHED, adverse for MATCHED_ADVERSE, else None.
    finest_post_mean_r : float
        post_mean_r of the finest cell with a closed trade, which sizes the trade; NaN without one.
    candidates : tuple of CandidateTrace
        Every rule looked at, in the order of the search, and why it won or lost.
    normal_outcome : MatchOutcome
        How the search among the normal rules ended (kept when an adverse rule then matched).
    """

    rule: Rule | None
    outcome: MatchOutcome
    candidates: tuple[CandidateTrace, ...]
    finest_post_mean_r: float
    normal_outcome: MatchOutcome


def candidate_keys(dims: SignalDims) -> tuple[RuleKey, ...]:
    """Name the cells a signal falls into, finest first, without those that need an unknown dimension."""
    keys = []
    advisor, category, period, regime = dims.advisor_id, dims.category, dims.period, dims.regime
    if regime is not None:
        if dims.weekday is not None and dims.session is not Session.AFTER_HOURS:
            keys.append(
                RuleKey(RuleLevel.RULE_6D, advisor, category, period, regime, dims.weekday, dims.session)
            )
        keys.append(RuleKey(RuleLevel.MINI_REGIME, advisor, category, period, regime))
    keys.append(RuleKey(RuleLevel.MINI, advisor, category, period))
    return tuple(keys)


def match_rule(
    signal_dims: SignalDims, ruleset: RuleSet, profile: GateProfile, minimums: MatchMinimums
) -> MatchResult:
    """Find the rule a signal trades under.

    Parameters
    ----------
    signal_dims : SignalDims
        Cell coordinates of the signal.
    ruleset : RuleSet
        The day's frozen rules of the same profile.
    profile : GateProfile
        ``desk``: the finest cell with a closed trade must clear both hurdles, then the finest of the cells
        that passes its gates is taken. ``original``: the finest cell with enough trades decides.
    minimums : MatchMinimums
        Hurdles and minimum trades.

    Returns
    -------
    MatchResult
        With the adverse rules looked at only where no normal rule matched (§4.6, §5.3).

    Notes
    -----
    A cell with enough evidence that fails is never overridden by a coarser one. Source: §4.6.
    """
    keys = candidate_keys(signal_dims)
    cells = [rule for key in keys if (rule := ruleset.rules.get(key)) is not None and rule.n >= 1]
    search = _search_desk if profile is GateProfile.DESK else _search_original
    rule, outcome, traces = search(cells, minimums)
    finest = cells[0].post_mean_r if cells else math.nan
    if rule is not None:
        return MatchResult(rule, outcome, tuple(traces), finest, outcome)
    for key in keys:
        adverse = ruleset.adverse.get(key)
        if adverse is not None:
            traces.append(_trace(adverse, "ADVERSE_TAKEN" if adverse.passes else "ADVERSE_GATE_FAILED"))
            if adverse.passes:
                return MatchResult(adverse, MatchOutcome.MATCHED_ADVERSE, tuple(traces), finest, outcome)
    return MatchResult(None, outcome, tuple(traces), finest, outcome)


def _search_desk(
    cells: list[Rule], minimums: MatchMinimums
) -> tuple[Rule | None, MatchOutcome, list[CandidateTrace]]:
    if not cells:
        return None, MatchOutcome.NO_MATCH, []
    finest = cells[0]
    # Written so that NaN fails: an undefined value never clears a hurdle (§4.3).
    if not (finest.post_mean_r > minimums.post_mean_r and finest.prob_edge > minimums.prob_edge):
        return None, MatchOutcome.RULE_FAILED, [_trace(finest, "BELOW_HURDLE")]
    traces = []
    for rule in cells:
        traces.append(_trace(rule, "TAKEN" if rule.passes else "GATE_FAILED"))
        if rule.passes:
            return rule, MatchOutcome.MATCHED, traces
    return None, MatchOutcome.RULE_FAILED, traces


def _search_original(
    cells: list[Rule], minimums: MatchMinimums
) -> tuple[Rule | None, MatchOutcome, list[CandidateTrace]]:
    traces = []
    for rule in cells:
        if rule.n < minimums.trades(rule.key.level):
            traces.append(_trace(rule, "TOO_FEW_TRADES"))
            continue
        if rule.passes:
            traces.append(_trace(rule, "TAKEN"))
            return rule, MatchOutcome.MATCHED, traces
        traces.append(_trace(rule, "GATE_FAILED"))
        return None, MatchOutcome.RULE_FAILED, traces
    return None, MatchOutcome.NO_MATCH, traces


def _trace(rule: Rule, outcome: str) -> CandidateTrace:
    # a rule that passes has no failed gate: the common case costs no loop
    failed = () if rule.passes else tuple(gate.gate for gate in rule.gates if not gate.passed)
    return CandidateTrace(
        rule.key.text, outcome, _known(rule.post_mean_r), _known(rule.prob_edge), rule.n, failed
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value

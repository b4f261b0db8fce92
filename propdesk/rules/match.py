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


def dims_of_texts(
    advisor_id: str, category: str, period: str, regime: object, weekday: object, session: str
) -> SignalDims:
    """Read the coordinates from a row of a frame; what is no text (None, NaN) is not known."""
    return SignalDims(
        advisor_id,
        Category(category),
        Period(period),
        Regime(regime) if isinstance(regime, str) else None,
        Weekday(weekday) if isinstance(weekday, str) else None,
        Session(session),
    )


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
    hurdle_r : float or None
        What the finest cell's post_mean_r had to exceed; None where nothing is asked or there is no cell.
    """

    rule: Rule | None
    outcome: MatchOutcome
    candidates: tuple[CandidateTrace, ...]
    finest_post_mean_r: float
    normal_outcome: MatchOutcome
    hurdle_r: float | None = None


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


def match_rule(signal_dims: SignalDims, ruleset: RuleSet) -> MatchResult:
    """Find the rule a signal trades under.

    Parameters
    ----------
    signal_dims : SignalDims
        Cell coordinates of the signal.
    ruleset : RuleSet
        The day's frozen rules. Profile ``desk``: the finest cell with a closed trade must clear both
        hurdles, then the finest of the cells that passes its gates is taken. ``original``: the finest cell
        with enough trades decides. Hurdles and minimum trades are those the rules were judged by.

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
    search = _search_desk if ruleset.profile is GateProfile.DESK else _search_original
    rule, outcome, traces = search(cells, ruleset)
    finest = cells[0].post_mean_r if cells else math.nan
    if rule is not None:
        hurdle = ruleset.minimums_of(cells[0].key).post_mean_r
        return MatchResult(rule, outcome, tuple(traces), finest, outcome, hurdle)
    for key in keys:
        adverse = ruleset.adverse.get(key)
        if adverse is not None:
            traces.append(_trace(adverse, "ADVERSE_TAKEN" if adverse.passes else "ADVERSE_GATE_FAILED"))
            if adverse.passes:
                return MatchResult(adverse, MatchOutcome.MATCHED_ADVERSE, tuple(traces), finest, outcome)
    return MatchResult(None, outcome, tuple(traces), finest, outcome)


def _search_desk(
    cells: list[Rule], ruleset: RuleSet
) -> tuple[Rule | None, MatchOutcome, list[CandidateTrace]]:
    if not cells:
        return None, MatchOutcome.NO_MATCH, []
    finest = cells[0]
    asked = ruleset.minimums_of(finest.key)
    clears = _exceeds(finest.post_mean_r, asked.post_mean_r) and _exceeds(finest.prob_edge, asked.prob_edge)
    if not clears:
        return None, MatchOutcome.RULE_FAILED, [_trace(finest, "BELOW_HURDLE")]
    traces = []
    for rule in cells:
        traces.append(_trace(rule, "TAKEN" if rule.passes else "GATE_FAILED"))
        if rule.passes:
            return rule, MatchOutcome.MATCHED, traces
    return None, MatchOutcome.RULE_FAILED, traces


def _exceeds(value: float, hurdle: float | None) -> bool:
    """Clear a hurdle that is asked; an undefined value (NaN) clears none (§4.3)."""
    return hurdle is None or value > hurdle


def _search_original(
    cells: list[Rule], ruleset: RuleSet
) -> tuple[Rule | None, MatchOutcome, list[CandidateTrace]]:
    traces = []
    for rule in cells:
        if rule.n < ruleset.minimums_of(rule.key).trades:
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

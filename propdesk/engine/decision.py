"""The one row that answers a signal (§5.3)."""

from dataclasses import replace

from propdesk.engine.entry_size import traded_value, widen_stop
from propdesk.engine.idea import Idea, Plan, Refusal, Scored
from propdesk.engine.state import LiveGroup
from propdesk.engine.turn import Turn
from propdesk.model.enums import GateProfile
from propdesk.model.messages import Decision, DecisionCode
from propdesk.model.signal import Signal
from propdesk.strategy.sizing import Size


def decide(
    turn: Turn,
    signal: Signal,
    refusal: Refusal | None,
    idea: Idea | None,
    scored: Scored | None = None,
    plan: Plan | None = None,
    live: LiveGroup | None = None,
    size: Size | None = None,
    *,
    is_unsent: bool = False,
) -> None:
    """Write the one row that answers the signal (for a waiting one: the row that says so).

    ``is_unsent``: a further row for what was to be traded and never left.
    """
    scored = scored or Scored()
    code = refusal.code if refusal is not None else _trade_code(plan)
    stage = "PENDING" if code is DecisionCode.PENDING_ENTRY else "UNSENT" if is_unsent else "FINAL"
    reading, match = scored.crowd, scored.match
    decision = Decision(
        decision_id=turn.id_of("decision", signal.signal_id, stage, turn.base.trade_date),
        signal_id=signal.signal_id,
        code=code,
        detail=refusal.detail if refusal is not None else _detail(turn, idea, plan, size),
        decided_ns=turn.now_ns,
        ruleset_version=turn.context.ruleset.ruleset_version,
        rule_text=match.rule.key.text if match is not None and match.rule is not None else "",
        is_reverse=plan is not None and plan.is_reverse,
        group_id=None if live is None else live.group.group_id,
        lots=0 if size is None else size.lots,
        quantity=0 if size is None else size.quantity,
        margin_paise=0 if size is None else size.margin_paise,
        planned_risk_paise=0 if size is None else size.planned_risk_paise,
        crowd_score=None if reading is None else reading.score,
        crowd_direction=None if reading is None or reading.direction is None else reading.direction.value,
        crowd_multiplier=scored.crowd_factor,
        regime=None if idea is None or idea.dims.regime is None else idea.dims.regime.value,
        candidates=() if match is None else match.candidates,
    )
    turn.out.decisions.append(decision)
    seen = turn.seen.get(signal.signal_id)
    if seen is not None:
        turn.seen.put(signal.signal_id, replace(seen, code=code))


def _trade_code(plan: Plan | None) -> DecisionCode:
    if plan is not None and plan.is_reverse:
        return DecisionCode.SHADOW_REVERSE if plan.is_shadow else DecisionCode.TRADED_REVERSE
    return DecisionCode.TRADED


def _detail(turn: Turn, idea: Idea | None, plan: Plan | None, size: Size | None) -> str:
    if idea is None or plan is None or size is None:
        return ""
    text = f"{size.lots} lots"
    if traded_value(turn, idea.instrument) is None:
        text += "; what is traded of it is not known, so that does not cap it"
    if turn.context.profile is GateProfile.DESK and turn.context.sizing.widening == "shadow":
        widened = None if plan.is_reverse else widen_stop(turn, idea, plan, size)
        if widened is not None:
            text += f"; widened it would be {widened[1]} lots with stop {widened[0]} paise"
    return text

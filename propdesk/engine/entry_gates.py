"""The gates of a signal, one after the other; the first that refuses decides (§5.3)."""

from propdesk.engine.context import price_key_of, segment_for
from propdesk.engine.decision import decide
from propdesk.engine.entry_plan import plan_trade
from propdesk.engine.entry_reserve import size_and_send
from propdesk.engine.idea import Idea, Refusal, Scored, fresh_price, kill_scopes, lifetime_of_idea
from propdesk.engine.orders import blocks_entries
from propdesk.engine.turn import Turn
from propdesk.model.enums import Period
from propdesk.model.messages import DecisionCode
from propdesk.model.order import TradeGroup
from propdesk.rules.match import match_rule
from propdesk.strategy.crowd import crowd_factor, read_crowd
from propdesk.strategy.eligibility import is_multi_leg
from propdesk.strategy.normal import check_price


def gate(turn: Turn, idea: Idea, duplicate_of: str | None, stale: Refusal | None) -> None:
    """Send an idea through every gate in order; the first that refuses gives the decision."""
    refusal = (
        _gate_account(turn, idea)
        or stale
        or _gate_cutoff(turn, idea)
        or _gate_duplicate(duplicate_of)
        or _gate_instrument(idea)
        or _gate_price(turn, idea)
    )
    if refusal is not None:
        decide(turn, idea.signal, refusal, idea)
        return
    context = turn.context
    found = match_rule(idea.dims, context.ruleset)
    reading = read_crowd(
        turn.crowd, idea.instrument.underlying, context.crowd, excluding=idea.signal.signal_id
    )
    scored = Scored(found, reading, crowd_factor(reading, idea.signal.direction, context.crowd))
    planned = plan_trade(turn, idea, found)
    if isinstance(planned, Refusal):
        decide(turn, idea.signal, planned, idea, scored)
        return
    size_and_send(turn, idea, planned, scored)


def check_again(turn: Turn, idea: Idea, group: TradeGroup) -> Refusal | None:
    """Judge an idea anew that was accepted and has not left yet; None = it may.

    Size, limits and budget are not asked again: its group is in the book already and holds its margin.

    Parameters
    ----------
    group : TradeGroup
        What it was accepted as: its rule must still be the one that decides, and for the same side and for
        real.
    """
    refusal = _gate_account(turn, idea) or _gate_cutoff(turn, idea) or _gate_price(turn, idea)
    if refusal is not None:
        return refusal
    found = match_rule(idea.dims, turn.context.ruleset)
    planned = plan_trade(turn, idea, found)
    if isinstance(planned, Refusal):
        return planned
    if planned.rule.key.text != group.rule_text or planned.is_reverse != group.is_reverse:
        return Refusal(DecisionCode.RULE_FAILED, f"{group.rule_text} decides no longer")
    if planned.is_shadow:
        return Refusal(DecisionCode.RULE_FAILED, "such trades are only recorded now")
    return None


def _gate_account(turn: Turn, idea: Idea) -> Refusal | None:
    if not turn.scalar("ready"):
        return Refusal(DecisionCode.NOT_READY, "pre-market is not complete for this day")
    level = turn.levels.level_of(kill_scopes(idea))
    if blocks_entries(level):
        return Refusal(DecisionCode.KILL_SWITCH, f"kill level {level.value}")
    return None


def _gate_cutoff(turn: Turn, idea: Idea) -> Refusal | None:
    segment = segment_for(idea.instrument)
    hours = turn.context.calendar.hours(turn.context.trade_date, segment)
    last = hours.square_off_ns - turn.context.entry_cutoff_ns
    lifetime = lifetime_of_idea(turn, idea)
    if not lifetime.expiry_too_near and turn.now_ns >= lifetime.valid_until_ns:
        return Refusal(DecisionCode.ENTRY_CUTOFF, "its validity is over")
    if idea.period is Period.INTRADAY and turn.now_ns >= last:
        return Refusal(DecisionCode.ENTRY_CUTOFF, "too late for an intraday entry")
    return None


def _gate_duplicate(duplicate_of: str | None) -> Refusal | None:
    if duplicate_of is None:
        return None
    return Refusal(DecisionCode.DUPLICATE, f"repeats signal {duplicate_of}")


def _gate_instrument(idea: Idea) -> Refusal | None:
    if is_multi_leg(idea.signal.group_key):
        return Refusal(
            DecisionCode.MULTI_LEG_UNSUPPORTED, "one leg of an idea that is traded only as a whole"
        )
    return None


def _gate_price(turn: Turn, idea: Idea) -> Refusal | None:
    if turn.prices.get(price_key_of(idea.instrument)) is None:
        return Refusal(DecisionCode.NO_PRICE, f"no price of {idea.instrument.instrument_key} is known")
    last = fresh_price(turn, idea)
    if last is None:
        return Refusal(
            DecisionCode.PRICE_STALE, f"the last price of {idea.instrument.instrument_key} is too old"
        )
    limit = turn.context.drift_limits[idea.instrument.category]
    found = check_price(idea.signal, last.price_paise, limit)
    return None if found is None else Refusal(*found)

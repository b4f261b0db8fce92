"""Rule, levels and product of a trade: what a matched idea would be ordered as (§4.6, §5.3)."""

from dataclasses import replace

from propdesk.engine.context import price_key_of
from propdesk.engine.idea import Idea, Plan, Refusal, lifetime_of_idea
from propdesk.engine.orders import blocks_entries
from propdesk.engine.turn import Turn
from propdesk.execution.reverse import TradePlan, reverse_plan
from propdesk.model.enums import Product, ReverseMode, TradingMode
from propdesk.model.messages import DecisionCode
from propdesk.model.rule import Rule
from propdesk.risk.kill_switch import rule_scope
from propdesk.rules.match import MatchOutcome, MatchResult
from propdesk.strategy.decide import reverse_permission
from propdesk.strategy.eligibility import recheck_rule
from propdesk.strategy.normal import protective_stop, reference_entry


def plan_trade(turn: Turn, idea: Idea, found: MatchResult) -> Plan | Refusal:
    """Choose the rule, turn the idea round where only an adverse rule matches, check that it can be held."""
    context = turn.context
    reverse = found.outcome is MatchOutcome.MATCHED_ADVERSE
    permission = ReverseMode.LIVE
    if reverse:
        permission = reverse_permission(
            context.reverse_mode,
            context.trading_mode,
            idea.instrument.category,
            context.reverse_option_mode,
        )
    if found.rule is None or permission is ReverseMode.OFF:
        outcome = found.normal_outcome
        return Refusal(DecisionCode(outcome.value), _no_rule(idea, found))
    # A rule is demoted for the day by a kill level of its own scope; promotion never happens intraday.
    text = found.rule.key.text
    demoted = (text,) if blocks_entries(turn.levels.level(rule_scope(text))) else ()
    failed = recheck_rule(found.rule, found.finest_post_mean_r, found.hurdle_r, demoted)
    if failed is not None:
        return Refusal(DecisionCode.RULE_FAILED, failed)
    lifetime = lifetime_of_idea(turn, idea)
    if lifetime.expiry_too_near:
        return Refusal(DecisionCode.EXPIRY_TOO_NEAR, "no entry this close to the contract's expiry")
    last = turn.prices[price_key_of(idea.instrument)]
    entry = reference_entry(idea.signal, last.price_paise)
    levels = _levels(idea, found.rule, entry, reverse=reverse)
    if isinstance(levels, Refusal):
        return levels
    product = context.product_rule(
        idea.instrument.category, idea.period, levels.side, idea.instrument.series, context.trade_date
    )
    if product not in Product.__members__:
        return Refusal(DecisionCode(product), "the product does not allow this trade")
    is_shadow = permission is ReverseMode.SHADOW or context.trading_mode is TradingMode.SHADOW
    return Plan(found.rule, reverse, is_shadow, levels, entry, Product(product), lifetime)


def _no_rule(idea: Idea, found: MatchResult) -> str:
    if not found.candidates:
        return f"no rule knows {idea.signal.advisor_id} in this category and period"
    last = found.candidates[-1]
    return f"{last.rule_text}: {last.outcome} {', '.join(last.failed_gates)}".rstrip()


def _levels(idea: Idea, rule: Rule, entry: int, *, reverse: bool) -> TradePlan | Refusal:
    signal, tick = idea.signal, idea.instrument.tick_paise
    plan = TradePlan(
        signal.side,
        signal.entry_type,
        signal.entry_low_paise,
        signal.entry_high_paise,
        signal.stoploss_paise,
        signal.targets_paise,
    )
    if reverse:
        turned = reverse_plan(plan, reference_paise=entry, tick_paise=tick)
        if turned is None or turned.stop_paise is None:
            return Refusal(DecisionCode.REVERSE_NO_STOP, "an idea without target gives the reverse no stop")
        return turned
    if plan.stop_paise is not None:
        return plan
    stop = protective_stop(signal.side, entry, rule.wse_p90, tick)
    if stop is None:
        return Refusal(DecisionCode.NO_STOP, "no stop was given and the rule has no history to place one")
    return replace(plan, stop_paise=stop)

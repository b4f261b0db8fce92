"""How many lots of a planned trade fit the rule, the corpus and the market (§4.7)."""

from propdesk.engine.context import price_key_of, underlying_key_of
from propdesk.engine.idea import Idea, Plan, Scored
from propdesk.engine.turn import Turn
from propdesk.model.instrument import Instrument
from propdesk.model.messages import DecisionCode
from propdesk.model.rule import Rule
from propdesk.strategy.sizing import Size, SizeRequest, size_trade, widened_lots, widened_stop


def margin_per_lot(turn: Turn, idea: Idea, plan: Plan) -> int:
    """Margin of one lot at the planned entry, paise, >= 1."""
    underlying = turn.prices.get(underlying_key_of(idea.instrument))
    return max(
        1,
        turn.context.margin(
            instrument=idea.instrument,
            product=plan.product,
            side=plan.levels.side,
            price_paise=plan.entry_paise,
            quantity=idea.instrument.lot_size,
            underlying_paise=None if underlying is None else underlying.price_paise,
            on_date=turn.context.trade_date,
        ),
    )


def size_idea(turn: Turn, idea: Idea, plan: Plan, scored: Scored, pool: str, margin: int) -> Size:
    """Size a planned trade against corpus, pool and market; an adverse rule by its expected loss."""
    context, rule = turn.context, plan.rule
    stop = plan.levels.stop_paise
    if stop is None or stop == plan.entry_paise:
        return Size(0, 0, 0, 0, DecisionCode.NO_STOP, "the stop lies at the entry")
    crowd = scored.crowd_factor if context.crowd.is_applied and not plan.is_reverse else 1.0
    expected = rule.post_mean_r if plan.is_reverse else _finest(scored, rule)
    # A reverse rule earns by its advisor's losses: the size of the expected loss is its skill.
    skill = -expected if plan.is_reverse else expected
    return size_trade(
        SizeRequest(
            profile=context.profile,
            side=plan.levels.side,
            entry_paise=plan.entry_paise,
            stop_paise=stop,
            lot_size=idea.instrument.lot_size,
            margin_per_lot_paise=margin,
            corpus_paise=turn.scalar("opening_corpus_paise"),
            budget_free_paise=turn.corpus.free_in(pool),
            trust_flag=None if plan.is_reverse else rule.trust_flag,
            trust_is_noise=rule.trust_is_noise,
            post_mean_r=skill,
            crowd_factor=crowd,
            traded_value_paise=traded_value(turn, idea.instrument),
        ),
        context.sizing,
    )


def _finest(scored: Scored, rule: Rule) -> float:
    return rule.post_mean_r if scored.match is None else scored.match.finest_post_mean_r


def traded_value(turn: Turn, instrument: Instrument) -> int | None:
    """Average five-minute traded value of the market day before, paise; None where it is not known."""
    return turn.context.average_traded_value.get(price_key_of(instrument))


def widen_stop(turn: Turn, idea: Idea, plan: Plan, size: Size) -> tuple[int, int] | None:
    """Stop-hunt-widened stop and the lots that keep the rupee risk; None where nothing is widened."""
    stop = plan.levels.stop_paise
    if stop is None:
        return None
    level = widened_stop(
        plan.rule,
        plan.levels.side,
        plan.entry_paise,
        stop,
        idea.instrument.tick_paise,
        turn.context.sizing,
    )
    if level is None:
        return None
    lots = widened_lots(size.lots, plan.entry_paise, stop, level)
    return (level, lots) if lots > 0 else None

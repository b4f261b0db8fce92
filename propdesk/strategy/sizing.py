"""How much of an idea is bought (§4.7)."""

import math
from dataclasses import dataclass

from propdesk.core.limits import LEVEL_SHARE_MAX
from propdesk.core.money import Rounding, round_to_tick
from propdesk.model.enums import GateProfile, Side, TrustFlag
from propdesk.model.instrument import freeze_lots
from propdesk.model.messages import DecisionCode
from propdesk.model.rule import Rule
from propdesk.risk.liquidity import TRADED_VALUE_SHARE, cap_by_traded_value


@dataclass(frozen=True, slots=True)
class SizingConfig:
    """Numbers of the size (§4.7); ratios are fractions, money is paise.

    Attributes
    ----------
    risk_share : float
        Largest planned risk of one idea, of the corpus.
    analytical_capital_paise : int
        Capital of the analytical size of §2.6.
    traded_value_share, depth_share : float
        Largest share of the average five-minute traded value, and of the visible depth.
    spread_premium_max, spread_r_max : float
        A wider spread (of the price, in R) is ILLIQUID.
    widening : {"off", "shadow", "on"}
        Stop-hunt widening: shadow records it only.
    is_live : bool
        Stages CANARY and REDUCED shrink only live money.
    """

    size_model: str = "desk"
    risk_share: float = 0.0025
    analytical_capital_paise: int = 50_000_000
    watchlist_factor: float = 0.5
    skill_full_r: float = 0.20
    skill_floor: float = 0.25
    canary_factor: float = 0.05
    reduced_factor: float = 0.5
    is_live: bool = False
    traded_value_share: float = TRADED_VALUE_SHARE
    depth_share: float = 0.20
    spread_premium_max: float = 0.02
    spread_r_max: float = 0.10
    widening: str = "shadow"
    widening_trigger: float = -0.005
    widening_stopped_min: int = 10


@dataclass(frozen=True, slots=True)
class SizeRequest:
    """Everything a size depends on. Prices and money in paise; None = not known.

    ``stop_paise`` is set (a protective one where the advisor gave none); ``crowd_factor`` >= 1;
    ``traded_value_paise`` is the average of five minutes of the market day before
    (`propdesk.risk.liquidity`); ``depth_quantity`` units at the best prices.
    """

    profile: GateProfile
    side: Side
    entry_paise: int
    stop_paise: int
    lot_size: int
    margin_per_lot_paise: int
    corpus_paise: int
    budget_free_paise: int
    trust_flag: TrustFlag | None
    trust_is_noise: bool
    post_mean_r: float
    crowd_factor: float
    stage: str = "LIVE"
    traded_value_paise: int | None = None
    depth_quantity: int | None = None
    spread_paise: int | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """A size, or why there is none.

    ``code`` is None where ``lots`` > 0; else UNAFFORDABLE, SIZE_ZERO, ILLIQUID or NO_BUDGET.
    ``planned_risk_paise`` is the loss at the stop of the whole quantity.
    """

    lots: int
    quantity: int
    planned_risk_paise: int
    margin_paise: int
    code: DecisionCode | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WidenedStop:
    """Shadow record of stop-hunt widening: the stop it would use and the lots that keep the rupee risk."""

    stop_paise: int
    lots: int


def trust_factor(flag: TrustFlag | None, is_noise: bool, profile: GateProfile, config: SizingConfig) -> float:
    """Shrink WATCHLIST to half; UNTRUSTED trades nothing; in profile desk NOISE neither gates nor shrinks."""
    if flag is None or flag is TrustFlag.TRUSTED or (profile is GateProfile.DESK and is_noise):
        return 1.0
    return config.watchlist_factor if flag is TrustFlag.WATCHLIST else 0.0


def skill_factor(post_mean_r: float, config: SizingConfig) -> float:
    """Grow with the expected R: clip(post_mean_r / 0.20, 0.25, 1); unknown skill takes the floor."""
    if math.isnan(post_mean_r):
        return config.skill_floor
    return min(1.0, max(config.skill_floor, post_mean_r / config.skill_full_r))


def stage_factor(stage: str, config: SizingConfig) -> float:
    """Factor of the rule's stage; 1 outside live trading."""
    if not config.is_live:
        return 1.0
    return {"CANARY": config.canary_factor, "REDUCED": config.reduced_factor}.get(stage, 1.0)


def size_trade(request: SizeRequest, config: SizingConfig) -> Size:
    """Size one idea.

    Parameters
    ----------
    request : SizeRequest
        Idea, rule, corpus, market.
    config : SizingConfig
        Numbers of §4.7.

    Returns
    -------
    Size
        Never beyond the free budget, the traded-value share or the visible depth.

    Notes
    -----
    desk: min(0.25 % of corpus, loss at the stop of the analytical lots) × trust × skill × stage × crowd,
    over the risk of a lot; one lot where that gives none and one lot's own risk is within 0.25 % of the
    corpus. original: analytical lots × trust × stage × crowd, floored. Source: §4.7.
    """
    risk_per_lot = abs(request.entry_paise - request.stop_paise) * request.lot_size
    refusal = _illiquid(request, config)
    if refusal is not None:
        return refusal
    analytical = config.analytical_capital_paise // request.margin_per_lot_paise
    if analytical < 1:
        return _none(DecisionCode.UNAFFORDABLE, "one lot's margin exceeds the analytical capital")
    trust = trust_factor(request.trust_flag, request.trust_is_noise, request.profile, config)
    factor = trust * stage_factor(request.stage, config) * request.crowd_factor
    if request.profile is GateProfile.ORIGINAL or config.size_model == "analytical":
        lots = math.floor(analytical * factor + 1e-9)
    else:
        lots = desk_lots(
            corpus_paise=request.corpus_paise,
            risk_share=config.risk_share,
            analytical_lots=analytical,
            risk_per_lot_paise=risk_per_lot,
            factor=factor,
            skill=skill_factor(request.post_mean_r, config),
        )
    if lots < 1:
        return _none(DecisionCode.SIZE_ZERO, "the planned risk does not pay for one lot")
    return _capped(request, config, lots, risk_per_lot)


def desk_lots(
    *,
    corpus_paise: int,
    risk_share: float,
    analytical_lots: int,
    risk_per_lot_paise: int,
    factor: float = 1.0,
    skill: float = 1.0,
) -> int:
    """Lots whose loss at the stop the desk plans for, before market and budget cap them (§4.7).

    Parameters
    ----------
    corpus_paise, risk_share
        Corpus, and the largest share of it that one idea may lose.
    analytical_lots : int
        Lots of the analytical capital (§2.6), >= 1.
    risk_per_lot_paise : int
        Loss of one lot at the stop, > 0.
    factor : float
        Product of trust, stage and crowd factor; 0 trades nothing.
    skill : float
        Skill factor, in (0, 1].

    Returns
    -------
    int
        At least one lot where one lot's own risk is within the share of the corpus and ``factor`` > 0.

    Notes
    -----
    Step 5 asks it with both factors 1: they belong to the day of the decision.
    """
    ceiling = risk_share * corpus_paise
    risk = min(ceiling, float(analytical_lots * risk_per_lot_paise)) * factor * skill
    lots = math.floor(risk / risk_per_lot_paise + 1e-9)
    if lots == 0 and factor > 0 and risk_per_lot_paise <= ceiling:
        return 1
    return lots


def _illiquid(request: SizeRequest, config: SizingConfig) -> Size | None:
    spread = request.spread_paise
    if spread is None:
        return None
    distance = abs(request.entry_paise - request.stop_paise)
    if spread > config.spread_premium_max * request.entry_paise or spread > config.spread_r_max * distance:
        return _none(DecisionCode.ILLIQUID, f"the spread of {spread} paise is too wide")
    return None


def _capped(request: SizeRequest, config: SizingConfig, lots: int, risk_per_lot: int) -> Size:
    by_budget = max(0, request.budget_free_paise) // request.margin_per_lot_paise
    if by_budget < 1:
        return _none(DecisionCode.NO_BUDGET, "the category's free corpus does not cover one lot's margin")
    lots = min(lots, by_budget)
    lot_value = request.entry_paise * request.lot_size
    lots = cap_by_traded_value(lots, lot_value, request.traded_value_paise, config.traded_value_share)
    if request.depth_quantity is not None:
        lots = min(lots, math.floor(config.depth_share * request.depth_quantity / request.lot_size))
    if lots < 1:
        return _none(DecisionCode.ILLIQUID, "one lot is too large for what is traded in five minutes")
    return Size(lots, lots * request.lot_size, lots * risk_per_lot, lots * request.margin_per_lot_paise)


def _none(code: DecisionCode, detail: str) -> Size:
    return Size(0, 0, 0, 0, code, detail)


def slice_quantities(quantity: int, lot_size: int, freeze_quantity: int) -> tuple[int, ...]:
    """Cut a quantity into orders the exchange accepts.

    Parameters
    ----------
    quantity : int
        Units, a multiple of ``lot_size``, > 0.
    lot_size : int
        Units per lot.
    freeze_quantity : int
        Largest units of one order; 0 = not limited.

    Returns
    -------
    tuple of int
        Whole lots each, the largest first, together ``quantity``.

    Examples
    --------
    >>> slice_quantities(3900, 65, 1800)
    (1755, 1755, 390)
    """
    largest = freeze_lots(freeze_quantity, lot_size) * lot_size
    if largest <= 0 or quantity <= largest:
        return (quantity,)
    full, rest = divmod(quantity, largest)
    return (largest,) * full + ((rest,) if rest else ())


def widened_stop(
    rule: Rule, side: Side, entry_paise: int, stop_paise: int, tick_paise: int, config: SizingConfig
) -> int | None:
    """Give the stop-hunt-widened stop of a rule whose stops are hunted.

    Returns
    -------
    int or None
        |entry - stop| + entry × |mean post-stop extension|, at most 30 % of the entry, on tick, rounded
        away from the entry; None where the rule gives no reason to widen (§4.7).
    """
    extension = rule.mean_post_sl_extension
    if config.widening == "off" or rule.stopped_trades < config.widening_stopped_min:
        return None
    if not extension < config.widening_trigger:
        return None
    reach = int(entry_paise * LEVEL_SHARE_MAX)
    distance = min(reach, abs(entry_paise - stop_paise) + int(entry_paise * -extension))
    if distance <= abs(entry_paise - stop_paise):
        return None
    sign = side.sign
    away = Rounding.DOWN if sign > 0 else Rounding.UP
    level = round_to_tick(entry_paise - sign * distance, tick_paise, away)
    return level if level > 0 else None


def widened_lots(lots: int, entry_paise: int, stop_paise: int, widened_paise: int) -> int:
    """Lots under a widened stop so that the rupee risk stays; 0 where not even one lot fits."""
    return lots * abs(entry_paise - stop_paise) // abs(entry_paise - widened_paise)

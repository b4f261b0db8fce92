"""What a fill costs beyond its price: half the spread, and impact by share of the traded value."""

from collections.abc import Mapping
from dataclasses import dataclass

from propdesk.core.invariant import require
from propdesk.model.enums import Category

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class SlippageRate:
    """Costs of one category, parts per million of the price.

    Attributes
    ----------
    half_spread_ppm : int
        Paid by every order that takes liquidity.
    impact_ppm : int
        Paid on top by an order as large as the whole average 5-minute traded value, in proportion below.
    """

    half_spread_ppm: int
    impact_ppm: int


@dataclass(frozen=True, slots=True)
class SlippageModel:
    """Rates by category.

    Resting orders (LIMIT entries, targets) and RANGE entries, which already fill at their worse end,
    pay nothing; MARKET and STOP entries, stops and timed exits pay.
    """

    rates: Mapping[Category, SlippageRate]
    share_max: float
    version: str


def slippage_per_unit_paise(
    model: SlippageModel, category: Category, price_paise: int, traded_value_share: float | None
) -> int:
    """Slippage of one unit of an order that takes liquidity, paise, rounded up.

    Parameters
    ----------
    model : SlippageModel
        Rates by category.
    category : Category
        Of the instrument.
    price_paise : int
        Fill price, >= 0.
    traded_value_share : float or None
        Order value / average 5-minute traded value; None where unknown: then the impact is that of
        ``share_max``, since what nobody is seen to trade is not cheap to trade.

    Returns
    -------
    int
        Paise, >= 0.
    """
    require(price_paise >= 0, "a price is not negative")
    rate = model.rates[category]
    share = model.share_max if traded_value_share is None else min(traded_value_share, model.share_max)
    ppm = rate.half_spread_ppm + int(rate.impact_ppm * share)
    return -(-price_paise * ppm // PPM)

"""Limits of orders that must fill now: bounded by the widths of market-price protection."""

from typing import Final

from propdesk.core.money import Rounding, round_to_tick
from propdesk.model.enums import Side
from propdesk.model.instrument import Instrument

_EQUITY_WIDTHS: Final = ((10_000, 200), (50_000, 100))
_EQUITY_WIDTH_ABOVE: Final = 50
_OPTION_WIDTHS: Final = ((1_000, 500), (10_000, 300), (50_000, 200))
_OPTION_WIDTH_ABOVE: Final = 100


def protected_price(last_paise: int, side: Side, instrument: Instrument) -> int:
    """Price at which an order of ``side`` is marketable but bounded, on tick, > 0.

    Notes
    -----
    The widths are those used in the industry for market-price protection: equity and futures 2 % below
    100 rupees, 1 % to 500, 0.5 % above; options 5 % below 10, 3 % to 100, 2 % to 500, 1 % above.
    """
    is_option = instrument.category.is_option
    widths = _OPTION_WIDTHS if is_option else _EQUITY_WIDTHS
    above = _OPTION_WIDTH_ABOVE if is_option else _EQUITY_WIDTH_ABOVE
    width_bp = next((bp for limit, bp in widths if last_paise < limit), above)
    away = max(instrument.tick_paise, last_paise * width_bp // 10_000)
    rounding = Rounding.UP if side is Side.BUY else Rounding.DOWN
    price = round_to_tick(last_paise + side.sign * away, instrument.tick_paise, rounding)
    return max(instrument.tick_paise, price)

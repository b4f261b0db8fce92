"""Instruments for tests that need only a few of their fields."""

from datetime import date

from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument


def equity(
    symbol: str = "TCS",
    security_id: str = "11536",
    *,
    category: Category = Category.NSE_EQ,
    lot_size: int = 1,
    freeze_quantity: int = 0,
) -> Instrument:
    """An instrument with a tick of 5 paise; a share unless told otherwise."""
    return Instrument(
        instrument_key=f"{category.value}:{symbol}",
        category=category,
        underlying=symbol,
        expiry=None,
        strike_paise=None,
        option_type=None,
        exchange_segment="NSE_EQ" if category is Category.NSE_EQ else "NSE_FNO",
        security_id=security_id,
        lot_size=lot_size,
        tick_paise=5,
        freeze_quantity=freeze_quantity,
        series="EQ",
        has_derivatives=False,
        valid_from=date(2020, 1, 1),
        valid_to=date(9999, 12, 31),
    )

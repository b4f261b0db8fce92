"""Instruments as of a date."""

from dataclasses import dataclass
from datetime import date

from propdesk.model.enums import Category, OptionType


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable contract with the values of its day (§1.5).

    Attributes
    ----------
    instrument_key : str
        Our name, see `instrument_key`; stable over time.
    exchange_segment, security_id : str
        The broker's address of it (``NSE_EQ``/``NSE_FNO`` …).
    tick_paise : int
        Smallest price step, paise.
    lot_size : int
        Units per lot, > 0.
    freeze_quantity : int
        Largest quantity of one order in units, 0 = not limited.
    has_derivatives : bool
        A cash stock with listed derivatives closes in the closing auction since 2026-08-03.
    valid_from, valid_to : date
        Closed interval in which these values hold.
    """

    instrument_key: str
    category: Category
    underlying: str
    expiry: date | None
    strike_paise: int | None
    option_type: OptionType | None
    exchange_segment: str
    security_id: str
    lot_size: int
    tick_paise: int
    freeze_quantity: int
    series: str
    has_derivatives: bool
    valid_from: date
    valid_to: date


def instrument_key(
    category: Category,
    underlying: str,
    expiry: date | None = None,
    strike_paise: int | None = None,
    option_type: OptionType | None = None,
) -> str:
    """Name a contract by what it is.

    Returns
    -------
    str
        ``NSE_EQ:RELIANCE``, ``INDEX_FUT:NIFTY:2025-01-30`` or ``INDEX_OPT:NIFTY:2025-01-30:2350000:CE``
        (strike in paise).
    """
    parts: list[str] = [category.value, underlying]
    if expiry is not None:
        parts.append(expiry.isoformat())
    if strike_paise is not None and option_type is not None:
        parts += [str(strike_paise), option_type.value]
    return ":".join(parts)


def underlying_price_key(underlying: str, *, is_index: bool) -> str:
    """Name the price series of an underlying: ``INDEX:NIFTY`` or ``NSE_EQ:RELIANCE``."""
    return f"INDEX:{underlying}" if is_index else f"{Category.NSE_EQ.value}:{underlying}"

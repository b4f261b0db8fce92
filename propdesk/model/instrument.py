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


@dataclass(frozen=True, slots=True)
class ContractLot:
    """Units per lot of the contracts of one underlying that expire in one month.

    Attributes
    ----------
    expiry_month : date
        First day of the month in which the contracts expire.
    lot_size : int
        Units per lot, > 0.
    """

    underlying: str
    expiry_month: date
    lot_size: int


def freeze_lots(freeze_quantity: int, lot_size: int) -> int:
    """Most whole lots one order may have.

    Parameters
    ----------
    freeze_quantity : int
        Largest quantity of one order, units, from the exchange's dated table, >= 0.
    lot_size : int
        Units per lot, > 0.

    Returns
    -------
    int
        floor(freeze / lot) (§1.5).

    Examples
    --------
    >>> freeze_lots(1800, 65), freeze_lots(600, 30)
    (27, 20)
    """
    return freeze_quantity // lot_size


def freeze_quantity_of_field(field: int, lot_size: int) -> int:
    """Read a master's freeze field, which holds (max lots x lot) + 1: the first quantity refused.

    Parameters
    ----------
    field : int
        The master's number, > 0.
    lot_size : int
        Units per lot, > 0.

    Returns
    -------
    int
        Largest quantity of one order: floor((field - 1) / lot) whole lots (§1.5), units.

    Examples
    --------
    >>> freeze_quantity_of_field(1756, 65), freeze_quantity_of_field(601, 30)
    (1755, 600)
    """
    return (field - 1) // lot_size * lot_size


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

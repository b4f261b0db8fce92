"""Money and prices as integer paise; Decimal only at the boundary."""

import decimal
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

from propdesk.core.errors import SchemaFault
from propdesk.core.limits import PRICE_PAISE_MAX

Paise: TypeAlias = int
"""Integer hundredths of a rupee."""

PAISE_PER_RUPEE = 100
_RUPEE_EXPONENT_MAX = 15


class Rounding(Enum):
    """Direction of a rounding to the tick grid."""

    DOWN = "down"
    UP = "up"
    NEAREST = "nearest"


def rupees_to_paise(value: str | int | Decimal) -> Paise:
    """Convert rupees to paise, exactly, halves away from zero.

    Parameters
    ----------
    value : str, int or Decimal
        Rupees. Binary floats are refused on purpose: ``int(1.15 * 100)`` is 114.

    Returns
    -------
    int
        Paise.

    Raises
    ------
    SchemaFault
        If the text is not a finite decimal number or its size is absurd.

    Examples
    --------
    >>> rupees_to_paise("1.15")
    115
    >>> rupees_to_paise("-0.005")
    -1
    """
    if isinstance(value, float):
        raise SchemaFault("a binary float cannot become money; pass text or Decimal")
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except decimal.InvalidOperation as error:
        raise SchemaFault(f"{value!r} is not a number") from error
    if not number.is_finite():
        raise SchemaFault(f"{value!r} is not a finite number")
    # Keeps 1e308 from becoming an integer of 309 digits.
    if number and number.adjusted() > _RUPEE_EXPONENT_MAX:
        raise SchemaFault(f"{value!r} is out of range")
    return int((number * PAISE_PER_RUPEE).to_integral_value(rounding=decimal.ROUND_HALF_UP))


def price_to_paise(value: str | int | Decimal) -> Paise:
    """Convert a price in rupees to paise and check its range.

    Parameters
    ----------
    value : str, int or Decimal
        Rupees, > 0 and at most 10,000,000 (§1.3).

    Returns
    -------
    int
        Paise, > 0.

    Raises
    ------
    SchemaFault
        If it is not a finite number, not positive, or absurdly large.
    """
    paise = rupees_to_paise(value)
    if paise <= 0:
        raise SchemaFault(f"price {value!r} is not positive")
    if paise > PRICE_PAISE_MAX:
        raise SchemaFault(f"price {value!r} is above the largest accepted price")
    return paise


def round_to_tick(paise: Paise, tick_paise: int, rounding: Rounding = Rounding.NEAREST) -> Paise:
    """Move a price onto the tick grid.

    Parameters
    ----------
    paise : int
        Price, >= 0.
    tick_paise : int
        Tick size, > 0.
    rounding : Rounding
        Direction; NEAREST takes halves up.

    Returns
    -------
    int
        A multiple of ``tick_paise``.

    Examples
    --------
    >>> round_to_tick(10_003, 5)
    10005
    >>> round_to_tick(10_003, 5, Rounding.DOWN)
    10000
    """
    if rounding is Rounding.DOWN:
        return paise // tick_paise * tick_paise
    if rounding is Rounding.UP:
        return -(-paise // tick_paise) * tick_paise
    return (2 * paise + tick_paise) // (2 * tick_paise) * tick_paise


def format_inr(paise: Paise, *, decimals: int = 2) -> str:
    """Show money in rupees with Indian digit groups.

    Parameters
    ----------
    paise : int
        Amount, any sign.
    decimals : int
        0 or 2 digits after the point; 0 rounds half away from zero.

    Returns
    -------
    str
        For example ``12,34,567.80``.

    Examples
    --------
    >>> format_inr(123456780)
    '12,34,567.80'
    >>> format_inr(-50, decimals=0)
    '-1'
    """
    sign = "-" if paise < 0 else ""
    magnitude = abs(paise)
    if decimals == 0:
        rupees, rest = (magnitude + PAISE_PER_RUPEE // 2) // PAISE_PER_RUPEE, ""
    else:
        rupees, rest = magnitude // PAISE_PER_RUPEE, f".{magnitude % PAISE_PER_RUPEE:02d}"
    digits = str(rupees)
    head, tail = digits[:-3], digits[-3:]
    groups: list[str] = []
    while head:
        groups.insert(0, head[-2:])
        head = head[:-2]
    return sign + ",".join([*groups, tail]) + rest

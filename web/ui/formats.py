"""How numbers, money and moments are written for people: Indian groups, lakh and crore, IST."""

import math
from datetime import date, datetime
from typing import Final

from propdesk.core.calendar import IST
from propdesk.core.clock import from_ns
from propdesk.core.money import PAISE_PER_RUPEE, format_inr

ABSENT: Final = "–"
_LAKH: Final = 100_000
_CRORE: Final = 10_000_000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400


def inr_short(paise: int | None) -> str:
    """Write money to be read at a glance.

    Examples
    --------
    >>> inr_short(1_093_332_214), inr_short(-43_451_000), inr_short(4_500), inr_short(None)
    ('₹1.09 crore', '−₹4.35 lakh', '₹45.00', '–')
    """
    if paise is None:
        return ABSENT
    rupees, sign = abs(paise) / PAISE_PER_RUPEE, "−" if paise < 0 else ""
    if rupees >= _CRORE:
        return f"{sign}₹{rupees / _CRORE:.2f} crore"
    if rupees >= _LAKH:
        return f"{sign}₹{rupees / _LAKH:.2f} lakh"
    return f"{sign}₹{format_inr(abs(paise))}"


def inr(paise: int | None) -> str:
    """Write money to the paisa; `ABSENT` for None."""
    if paise is None:
        return ABSENT
    return f"{'−' if paise < 0 else ''}₹{format_inr(abs(paise))}"


def signed(paise: int | None) -> str:
    """Write a result: its sign says what a colour alone would.

    Examples
    --------
    >>> signed(100), signed(0), signed(-100), signed(None)
    ('+₹1.00', '₹0.00', '−₹1.00', '–')
    """
    return f"+{inr_short(paise)}" if paise is not None and paise > 0 else inr_short(paise)


def count(value: int | None) -> str:
    """Write a whole number in Indian groups.

    Examples
    --------
    >>> count(1234567), count(-5), count(None)
    ('12,34,567', '-5', '–')
    """
    return ABSENT if value is None else format_inr(value * PAISE_PER_RUPEE, decimals=0)


def number(value: float | None, digits: int = 2) -> str:
    """Write a ratio.

    Examples
    --------
    >>> number(0.25), number(float("inf")), number(float("nan")), number(None)
    ('0.25', '∞', '–', '–')
    """
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.{digits}f}".replace("-", "−")


def percent(value: float | None) -> str:
    """Write a number of percent; `ABSENT` where it is undefined."""
    text = number(value)
    return text if text == ABSENT else f"{text} %"


def moment(value: datetime | None) -> str:
    """Write a moment in IST, which it names."""
    return ABSENT if value is None else f"{value.astimezone(IST):%d %b %Y %H:%M:%S} IST"


def moment_ns(value: int | None) -> str:
    """Write a moment given in ns."""
    return ABSENT if value is None else moment(from_ns(value))


def day(value: date | None) -> str:
    """Write a day with its weekday."""
    return ABSENT if value is None else f"{value:%a %d %b %Y}"


def age(seconds: float) -> str:
    """Write how long ago something was.

    Examples
    --------
    >>> age(3), age(150), age(7_300), age(200_000)
    ('3 s', '2 min', '2 h', '2 days')
    """
    if seconds < _MINUTE_S:
        return f"{max(0, seconds):.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S:.0f} min"
    if seconds < 2 * _DAY_S:
        return f"{seconds // _HOUR_S:.0f} h"
    return f"{seconds // _DAY_S:.0f} days"

"""Prices of one share in the terms of one day: corporate actions applied on read (§2.8)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from propdesk.core.calendar import ist_midnight_ns
from propdesk.model.corporate_action import CorporateAction
from propdesk.ports import BarArrays

Int = NDArray[np.int64]

BREAK_RATIO: Final = 0.005
"""A base price that differs from the close before it by less is a correction of that close, no event."""
LEAP_RATIO: Final = 0.2
"""An open so far from the close before it, without a known event, deserves a look."""

_ROUNDING_PAISE: Final = 5
_SIMPLE_MOST: Final = 20
_LIKELY: Final = tuple(
    Fraction(old, new)
    for old, new in ((1, 2), (1, 3), (1, 4), (1, 5), (1, 10), (2, 3), (3, 4), (2, 5), (3, 5))
)
_LIKELY_RATIO: Final = 0.06


def in_terms_of(bars: BarArrays, actions: Sequence[CorporateAction], day: date) -> BarArrays:
    """Restate bars as if every share had been and stayed what it is on a day.

    Parameters
    ----------
    bars : BarArrays
        As traded.
    actions : sequence of CorporateAction
        Of this share.
    day : date
        Bars before an ex-date that is not after it get the factor, bars from a later ex-date on lose it.

    Returns
    -------
    BarArrays
        Prices rounded to paise, at least one; volumes rounded the other way round, -1 kept. The bars of the
        day itself, and of all days without an ex-date between, are untouched.

    Examples
    --------
    >>> ex_date = date(2025, 1, 2)
    >>> split = CorporateAction("NSE_EQ:A", ex_date, Fraction(1, 5), "SPLIT", "file", ex_date)
    >>> start = np.array([ist_midnight_ns(date(2025, 1, n)) for n in (1, 2)])
    >>> old, new = np.array([100_000, 20_500]), np.array([100, 600])
    >>> bars = BarArrays(start, old, old, old, old, new, 0)
    >>> in_terms_of(bars, [split], ex_date).close_paise.tolist()
    [20000, 20500]
    >>> in_terms_of(bars, [split], date(2025, 1, 1)).volume.tolist()
    [100, 120]
    """
    factor = price_factors(bars.start_ns, actions, day)
    if factor is None:
        return bars
    volume = np.where(bars.volume < 0, bars.volume, np.rint(bars.volume / factor)).astype(np.int64)
    return replace(
        bars,
        open_paise=scaled(bars.open_paise, factor),
        high_paise=scaled(bars.high_paise, factor),
        low_paise=scaled(bars.low_paise, factor),
        close_paise=scaled(bars.close_paise, factor),
        volume=volume,
    )


def price_factors(moments: Int, actions: Sequence[CorporateAction], day: date) -> NDArray[np.float64] | None:
    """Factor for the price of each moment (ns UTC) into the terms of a day; None where all are 1."""
    factor = np.ones(len(moments), np.float64)
    is_changed = False
    for one in actions:
        begins = moments >= ist_midnight_ns(one.ex_date)
        if one.ex_date <= day:
            factor[~begins] *= float(one.factor)
            is_changed |= not begins.all()
        else:
            factor[begins] /= float(one.factor)
            is_changed |= bool(begins.any())
    return factor if is_changed else None


def scaled(paise: Int, factor: NDArray[np.float64]) -> Int:
    """Multiply prices, to whole paise and at least one; what has factor 1 stays as it is."""
    return np.where(factor == 1.0, paise, np.maximum(np.rint(paise * factor), 1)).astype(np.int64)


def factor_of_break(close_paise: int, base_paise: int) -> Fraction | None:
    """Read the exchange's base price of a day against the close of the day before.

    Parameters
    ----------
    close_paise, base_paise : int
        Close of the market day before and the previous close that the bhavcopy of the day names, paise, > 0.

    Returns
    -------
    Fraction or None
        New price / old price: a ratio of small numbers where one explains the base price to its rounding,
        else the ratio of the two; None where they agree.

    Examples
    --------
    >>> factor_of_break(265_570, 132_785), factor_of_break(100_000, 81_250), factor_of_break(10_000, 10_005)
    (Fraction(1, 2), Fraction(13, 16), None)
    """
    if abs(base_paise - close_paise) < BREAK_RATIO * close_paise:
        return None
    exact = Fraction(base_paise, close_paise)
    simple = exact.limit_denominator(_SIMPLE_MOST)
    return simple if abs(simple * close_paise - base_paise) <= _ROUNDING_PAISE else exact


def likely_factor(open_paise: int, base_paise: int) -> Fraction | None:
    """Guess the event behind a leap of the open: the next common ratio, None where none is near.

    Examples
    --------
    >>> likely_factor(133_700, 265_570), likely_factor(95_600, 933_100), likely_factor(98_00, 268_95)
    (Fraction(1, 2), Fraction(1, 10), None)
    """
    ratio = open_paise / base_paise
    nearest = min(_LIKELY, key=lambda one: abs(ratio / float(one) - 1))
    return nearest if abs(ratio / float(nearest) - 1) <= _LIKELY_RATIO else None

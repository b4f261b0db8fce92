"""How much of an instrument the market takes: the traded value that caps a size (§2.6, §4.7)."""

import math

import numpy as np

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.ports import BarArrays

FIVE_MINUTES_NS = 5 * NS_PER_MINUTE
"""Span that traded value is averaged over."""

TRADED_VALUE_SHARE = 0.05
"""Largest share of the average five-minute traded value that an order may be, unless another is set."""


def average_traded_value(bars: BarArrays | None, open_ns: int, close_ns: int) -> int | None:
    """Average traded value of five minutes of one session.

    Parameters
    ----------
    bars : BarArrays or None
        Bars of the instrument; those starting outside the session do not count.
    open_ns, close_ns : int
        The session, ns UTC.

    Returns
    -------
    int or None
        Paise: close x volume of the session's bars, over its number of five minutes, rounded down. Minutes
        without a bar are minutes without a trade. None where no bar of the session has a known volume:
        unknown is not 0.

    Notes
    -----
    What caps a size is this of the whole market day before: it is known before the open, the same at every
    moment of the day and for whoever asks (the daemon sees an instrument only from its first signal on),
    and the smile of the day's volume does not make mornings look liquid. Source: §2.6, §4.7.
    """
    if bars is None:
        return None
    first, end = np.searchsorted(bars.start_ns, (open_ns, close_ns), side="left")
    volume = bars.volume[first:end]
    known = volume >= 0
    if not known.any():
        return None
    value = int((bars.close_paise[first:end][known] * volume[known]).sum())
    return value * FIVE_MINUTES_NS // (close_ns - open_ns)


def cap_by_traded_value(lots: int, lot_value_paise: int, traded_value_paise: int | None, share: float) -> int:
    """Keep an order within its share of what is traded.

    Parameters
    ----------
    lots : int
        Wanted, >= 0.
    lot_value_paise : int
        Value of one lot at the entry, > 0.
    traded_value_paise : int or None
        Average of five minutes; None = not known, which caps nothing.
    share : float
        Largest share, fraction.

    Returns
    -------
    int
        Lots, 0 where not even one lot fits.

    Examples
    --------
    >>> cap_by_traded_value(10, 1_000, 100_000, 0.05), cap_by_traded_value(10, 1_000, None, 0.05)
    (5, 10)
    """
    if traded_value_paise is None:
        return lots
    return min(lots, math.floor(share * traded_value_paise / lot_value_paise))

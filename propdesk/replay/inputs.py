"""What a corpus replay reads, as arrays."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar, Segment
from propdesk.core.invariant import require

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

NEVER_NS = int(np.iinfo(np.int64).max)
"""Exit of a trade that has none yet."""
NEVER_DAY = 2_000_000
"""Epoch day beyond all calendars."""

_EPOCH = date(1970, 1, 1).toordinal()


def epoch_day(day: date) -> int:
    """Days from 1970-01-01 to ``day``."""
    return day.toordinal() - _EPOCH


@dataclass(frozen=True, slots=True)
class CorpusTrades:
    """Trades of one group, in any order.

    Attributes
    ----------
    entry_ns, exit_ns : ndarray of int64, shape (n,)
        Moments of entry and exit, ns UTC; ``NEVER_NS`` where there is no exit yet.
    margin_paise, net_pnl_paise : ndarray of int64, shape (n,)
        Cash blocked (> 0) and net result; the result of an open trade is not read.
    rank : ndarray of int64, shape (n,)
        Place of the trade id among all ids by code point; unique.
    mark_offset : ndarray of int64, shape (n + 1,)
        Marks of trade i are ``mark_offset[i]:mark_offset[i + 1]``, by rising day.
    mark_day, mark_pnl_paise : ndarray of int64, shape (n_marks,)
        Epoch day (IST) at whose close the trade stood at that result.
    unsettled_day : ndarray of int64, shape (n,)
        First as-of epoch day that knows that prices cannot settle the trade (§2.5), which is then left out;
        ``NEVER_DAY`` for the others.
    """

    entry_ns: IntArray
    exit_ns: IntArray
    margin_paise: IntArray
    net_pnl_paise: IntArray
    rank: IntArray
    mark_offset: IntArray
    mark_day: IntArray
    mark_pnl_paise: IntArray
    unsettled_day: IntArray

    def __post_init__(self) -> None:
        n = len(self.entry_ns)
        lengths = {len(a) for a in (self.exit_ns, self.margin_paise, self.net_pnl_paise, self.rank)}
        lengths.add(len(self.unsettled_day))
        require(lengths <= {n}, "the columns of a replay differ in length")
        require(len(self.mark_offset) == n + 1, "mark_offset needs one entry more than there are trades")
        require(bool(np.all(self.exit_ns >= self.entry_ns)), "a trade exits before its entry")
        require(bool(np.all(self.margin_paise > 0)), "a margin is not positive")
        settled = (self.unsettled_day == NEVER_DAY) | (self.exit_ns == NEVER_NS)
        require(bool(np.all(settled)), "an unsettled trade has an exit")


@dataclass(frozen=True, slots=True)
class MarketDays:
    """Market days in rising order with the cash segment's hours.

    Attributes
    ----------
    day, open_ns, close_ns, end_ns : ndarray of int64, shape (n_days,)
        Epoch day (IST), opening, close, and the end of the IST day, ns UTC.
    """

    day: IntArray
    open_ns: IntArray
    close_ns: IntArray
    end_ns: IntArray

    def index_range(self, first: int, last: int) -> tuple[int, int]:
        """Half-open range of the market days in the closed interval of epoch days [first, last]."""
        return int(np.searchsorted(self.day, first)), int(np.searchsorted(self.day, last, side="right"))


_DAY_NS = 86_400_000_000_000
_IST_NS = 19_800_000_000_000


def end_of_day_ns(day: int) -> int:
    """Give the moment at which the IST day ``day`` (epoch day) is over, ns UTC."""
    return (day + 1) * _DAY_NS - _IST_NS


def start_of_day_ns(day: int) -> int:
    """Give the moment at which the IST day ``day`` (epoch day) begins, ns UTC."""
    return day * _DAY_NS - _IST_NS


def epoch_days_of(ns: IntArray) -> IntArray:
    """IST epoch day of each moment; ``NEVER_NS`` gives a day beyond all calendars."""
    safe = np.minimum(ns, NEVER_NS - _IST_NS)
    return np.asarray((safe + _IST_NS) // _DAY_NS, dtype=np.int64)


def market_days(calendar: MarketCalendar, first: date, last: date) -> MarketDays:
    """Read the market days in [first, last] from the calendar.

    Parameters
    ----------
    calendar : MarketCalendar
        The exchange's.
    first, last : date
        Closed interval.

    Returns
    -------
    MarketDays
        Empty arrays where the interval holds none.
    """
    days = calendar.market_days(first, last)
    hours = [calendar.hours(day, Segment.CASH) for day in days]
    number = np.array([epoch_day(day) for day in days], dtype=np.int64)
    return MarketDays(
        number,
        np.array([h.open_ns for h in hours], dtype=np.int64),
        np.array([h.close_ns for h in hours], dtype=np.int64),
        (number + 1) * _DAY_NS - _IST_NS,
    )

"""What a trade's surroundings were: bars laid side by side, sessions, prices before a moment (§2.6)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar, Segment
from propdesk.pipeline.costs import ist_days
from propdesk.ports import BarArrays, PriceSource

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

_SLOT_MINUTES = 5
_NS_PER_SLOT = _SLOT_MINUTES * 60 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class KeyBars:
    """Bars of one key: minutes, and a daily bar for each day that has no minute.

    ``end_ns`` is the moment from which each is known, ``is_daily`` tells the daily ones; their length is
    theirs, not ``bars.interval_ns``.
    """

    bars: BarArrays
    end_ns: Int
    is_daily: Bool

    def known_before(self, moments: Int) -> Int:
        """Index of the last bar that is complete at each moment, -1 where none is."""
        return np.searchsorted(self.end_ns, moments, side="right") - 1

    def close_before(self, moments: Int, since: Int | int = 0) -> Int:
        """Last known close before each moment, paise; -1 where no bar started at or after ``since``."""
        at = self.known_before(moments)
        return np.where((at >= 0) & (self.bars.start_ns[at] >= since), self.bars.close_paise[at], -1)


BarBook = dict[str, KeyBars]
"""Bars by price key; a key without any price is absent."""


def load_bars(
    prices: PriceSource, keys: Iterable[str], calendar: MarketCalendar, first: date, last: date
) -> BarBook:
    """Read the bars of all keys: minutes, and a daily bar for each day of a key that has no minute.

    Parameters
    ----------
    prices : PriceSource
        The store.
    keys : iterable of str
        Price keys; duplicates are read once.
    calendar : MarketCalendar
        Hours, to place daily bars into their sessions.
    first, last : date
        Closed range of IST days.

    Returns
    -------
    BarBook
        Contiguous, writable arrays (the compiled kernels know no other kind).

    Notes
    -----
    Minutes or daily bar is asked of each key and day by itself: what a day shows must not depend on which
    other days are read with it.
    """
    wanted = sorted(set(keys))
    minutes = prices.minute_bars(wanted, first, last) if wanted else {}
    hours = day_sessions(calendar, Segment.CASH, first, last)
    bare = {key: _days_without(minutes.get(key), hours.days) for key in wanted}
    thin = [key for key, days in bare.items() if days.any()]
    daily = prices.daily_bars(thin, first, last, from_minutes=False) if thin else {}
    book: BarBook = {}
    for key in wanted:
        parts = []
        if key in minutes:
            parts.append(_on_minutes(minutes[key]))
        if key in daily:
            parts.append(_in_sessions(daily[key], hours, bare[key]))
        found = _joined([part for part in parts if len(part.end_ns)])
        if found is not None:
            book[key] = found
    return book


def _days_without(minutes: BarArrays | None, days: Int) -> Bool:
    """Tell which of the market days have no bar."""
    if minutes is None:
        return np.ones(len(days), bool)
    numbers = ist_days(minutes.start_ns)
    return np.asarray(~np.isin(days, numbers[np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))]))


def _on_minutes(bars: BarArrays) -> KeyBars:
    return KeyBars(_writable(bars), bars.start_ns + bars.interval_ns, np.zeros(len(bars.start_ns), bool))


def _writable(bars: BarArrays) -> BarArrays:
    if bars.close_paise.flags.writeable:
        return bars
    return bars.take(np.arange(len(bars.start_ns)))


def _in_sessions(bars: BarArrays, hours: "DaySessions", wanted: Bool) -> KeyBars:
    """Move the daily bars of the wanted days from midnight to their session's open."""
    numbers = ist_days(bars.start_ns)
    place = np.minimum(np.searchsorted(hours.days, numbers), len(hours.days) - 1)
    rows = np.flatnonzero((hours.days[place] == numbers) & wanted[place])
    at = place[rows]
    moved = replace(bars.take(rows), start_ns=hours.open_ns[at])
    return KeyBars(moved, hours.close_ns[at], np.ones(len(rows), bool))


def _joined(parts: list[KeyBars]) -> KeyBars | None:
    """Lay the parts of one key into one series, by time."""
    if len(parts) < 2:
        return parts[0] if parts else None
    bars = [part.bars for part in parts]
    whole = BarArrays(
        np.concatenate([one.start_ns for one in bars]),
        np.concatenate([one.open_paise for one in bars]),
        np.concatenate([one.high_paise for one in bars]),
        np.concatenate([one.low_paise for one in bars]),
        np.concatenate([one.close_paise for one in bars]),
        np.concatenate([one.volume for one in bars]),
        bars[0].interval_ns,
    )
    order = np.argsort(whole.start_ns, kind="stable")
    end_ns = np.concatenate([part.end_ns for part in parts])
    is_daily = np.concatenate([part.is_daily for part in parts])
    return KeyBars(whole.take(order), end_ns[order], is_daily[order])


@dataclass(frozen=True, slots=True)
class DaySessions:
    """Hours of one segment on many market days, as arrays.

    ``days`` holds days since 1970-01-01, rising; the others ns UTC, one per day.
    """

    days: Int
    open_ns: Int
    close_ns: Int

    def index_at_or_before(self, ns: Int) -> Int:
        """Position of the last session that has opened at each moment; -1 before the first."""
        return np.searchsorted(self.open_ns, ns, side="right") - 1

    def holding(self, ns: Int) -> tuple[Int, Int]:
        """Session (open, close) that each moment lies in, its close included; 0 and 0 outside hours."""
        at = np.maximum(self.index_at_or_before(ns), 0)
        inside = (self.open_ns[at] <= ns) & (ns <= self.close_ns[at])
        return np.where(inside, self.open_ns[at], 0), np.where(inside, self.close_ns[at], 0)


def day_sessions(calendar: MarketCalendar, segment: Segment, first: date, last: date) -> DaySessions:
    """Lay out the sessions of a segment over a closed range of days."""
    days = calendar.market_days(first, last)
    hours = [calendar.hours(day, segment) for day in days]
    epoch = date(1970, 1, 1).toordinal()
    return DaySessions(
        np.array([day.toordinal() - epoch for day in days], np.int64),
        np.array([h.open_ns for h in hours], np.int64),
        np.array([h.close_ns for h in hours], np.int64),
    )


def average_slot_value(key_bars: KeyBars | None, moments: Int, sessions: DaySessions) -> Float:
    """Average 5-minute traded value of the last full trading day before each moment.

    Parameters
    ----------
    key_bars : KeyBars or None
        Bars of the instrument.
    moments : ndarray of int64, shape (n,)
        ns UTC, in or after a session.
    sessions : DaySessions
        Hours of the instrument.

    Returns
    -------
    ndarray of float64, shape (n,)
        Paise per 5 minutes of market time, counting from the same clock time of the market day before; NaN
        without any bar of known volume in that time.

    Notes
    -----
    One whole day back, so that the smile of the day's volume does not make mornings look liquid. Minutes
    without a bar are minutes without a trade, before the first known bar too: which one that is depends on
    how far back was read. Summed in whole paise: a sum of floats would depend on it too, in its last bits.
    Source: §2.6 (traded_value_share).
    """
    if key_bars is None or not len(key_bars.end_ns):
        return np.full(len(moments), np.nan)
    bars = key_bars.bars
    known = bars.volume >= 0
    value = _running(np.where(known, bars.close_paise * bars.volume, 0))
    measured = _running(known.astype(np.int64))
    today = np.maximum(sessions.index_at_or_before(moments), 0)
    before = np.maximum(today - 1, 0)
    elapsed = np.clip(
        moments - sessions.open_ns[today], 0, sessions.close_ns[today] - sessions.open_ns[today]
    )
    since = np.where(today > 0, sessions.open_ns[before] + elapsed, sessions.open_ns[today])
    end = key_bars.known_before(moments) + 1
    begin = np.minimum(np.searchsorted(bars.start_ns, since, side="left"), end)
    # market time between the two moments: the rest of the day before plus what has passed today
    rest = np.clip(sessions.close_ns[before] - since, 0, None) * (today > 0)
    passed = np.minimum(moments, sessions.close_ns[today]) - np.maximum(sessions.open_ns[today], since)
    slots = (rest + np.clip(passed, 0, None)) / _NS_PER_SLOT
    usable = (measured[end] > measured[begin]) & (slots > 0)
    return np.where(usable, (value[end] - value[begin]) / np.where(usable, slots, 1.0), np.nan)


def _running(values: Int) -> Int:
    """Sum the values before each position; the total stands last.

    What overflows wraps around and comes out right in the difference of two sums.
    """
    total = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=total[1:])
    return total

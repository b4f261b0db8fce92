"""Minutes of the market as one watcher of a price feed saw them: built quote by quote, joined after a break.

A minute holds what was traded in it and the last bid and ask seen in it. Everything is a fold over the quotes
in the order they came, so a minute is the same whether they were taken in one go, or by several lives of a
process that took up what the last one had written.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np

from propdesk.core.calendar import MarketCalendar, segment_of
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND
from propdesk.core.invariant import require
from propdesk.model.enums import Category
from propdesk.ports import BarArrays

UNKNOWN: Final = -1
"""A volume, bid or ask that the feed did not tell."""

LAG_NS: Final = NS_PER_MINUTE
"""Minutes of a trade and of its being told may lie this far apart: a feed repeats old trades for hours."""

LATE_NS: Final = NS_PER_SECOND
"""Told later than this after the end of its minute, a trade may be missing in the bar that was handed on."""

SILENCE_NS: Final = 15 * NS_PER_SECOND
"""Longest hole of a session in what a feed tells of all its series; beyond it something may be missed."""

QUIET_NS: Final = NS_PER_MINUTE
"""Longest hole of a session in what a feed tells of one series; beyond it its own watch has ended."""

_LOOK_NS: Final = 5 * NS_PER_SECOND
"""How often it is looked for series that went quiet."""

Spans = Sequence[tuple[int, int]]
"""Spans [from, to) in ns UTC, rising and apart."""

_DERIVATIVES: Final = frozenset(str(one) for one in Category if one.is_derivative)

UNWRITTEN_MAX: Final = 200_000
"""Minutes that wait to be written: those of 500 series over a whole session."""


@dataclass(frozen=True, slots=True)
class PriceSeen:
    """What a feed tells of one series at one moment.

    Attributes
    ----------
    price_key : str
    seen_ns : int
        When it was heard, ns UTC.
    traded_ns : int or None
        Moment of the last trade, ns UTC; None where the feed tells none: then no trade is told, since a price
        without a moment may be that of the day before.
    price_paise : int
        Price of that trade, > 0; without a moment it is not looked at.
    volume : int
        Units traded on this day up to it, `UNKNOWN` where not told.
    bid_paise, ask_paise : int
        Best prices of the book, `UNKNOWN` where there is none or the feed tells none.
    """

    price_key: str
    seen_ns: int
    traded_ns: int | None
    price_paise: int
    volume: int = UNKNOWN
    bid_paise: int = UNKNOWN
    ask_paise: int = UNKNOWN


@dataclass(frozen=True, slots=True)
class MinuteSeen:
    """One minute of one series as far as it was watched.

    Attributes
    ----------
    price_key : str
    start_ns : int
        Start of the minute, ns UTC.
    since_ns : int
        From when the series was watched without a break up to the last quote in here.
    open_paise, high_paise, low_paise, close_paise : int
        0 while no trade of the minute was told.
    volume_to : int
        Units traded on the day up to the last trade in here, or `UNKNOWN`.
    bid_paise, ask_paise : int
        Last ones seen in the minute, or `UNKNOWN`.
    is_broken : bool
        The watch broke off before the minute was over.
    """

    price_key: str
    start_ns: int
    since_ns: int
    open_paise: int = 0
    high_paise: int = 0
    low_paise: int = 0
    close_paise: int = 0
    volume_to: int = UNKNOWN
    bid_paise: int = UNKNOWN
    ask_paise: int = UNKNOWN
    is_broken: bool = False

    @property
    def is_traded(self) -> bool:
        """Whether it makes a bar."""
        return self.open_paise > 0

    @property
    def is_quoted(self) -> bool:
        """Whether a bid or an ask was seen."""
        return self.bid_paise > 0 or self.ask_paise > 0

    @property
    def is_whole(self) -> bool:
        """Whether it was watched from its first moment to its last: only then do high and low hold."""
        return not self.is_broken and self.since_ns <= self.start_ns


def join(earlier: MinuteSeen, later: MinuteSeen) -> MinuteSeen:
    """Put together what was seen of one minute first and then.

    Raises
    ------
    InvariantViolated
        If they are not of one series and minute.

    Notes
    -----
    Associative, so it does not matter where a stream of quotes was cut into parts.
    """
    require(
        (earlier.price_key, earlier.start_ns) == (later.price_key, later.start_ns),
        "only parts of one minute of one series can be joined",
    )
    traded = [one for one in (earlier, later) if one.is_traded] or [earlier]
    quoted = later if later.is_quoted else earlier
    return MinuteSeen(
        earlier.price_key,
        earlier.start_ns,
        max(earlier.since_ns, later.since_ns),
        traded[0].open_paise,
        max(one.high_paise for one in traded),
        min(one.low_paise for one in traded),
        traded[-1].close_paise,
        max(earlier.volume_to, later.volume_to),
        quoted.bid_paise,
        quoted.ask_paise,
        earlier.is_broken or later.is_broken,
    )


def session_parts(
    price_key: str, day: date, calendar: MarketCalendar, *, has_derivatives: bool = False
) -> Spans:
    """Give the parts of a market day in which a series trades; before and between them prices are indicative.

    Parameters
    ----------
    price_key : str
        A tradable's, or that of an index level, which keeps the hours of cash.
    has_derivatives : bool
        Whether a share has listed derivatives: its continuous trading may end earlier.
    """
    is_derivative = price_key.partition(":")[0] in _DERIVATIVES
    segment = segment_of(is_derivative=is_derivative, has_derivatives=has_derivatives)
    return calendar.hours(day, segment).parts


def cut_off(minutes: Iterable[MinuteSeen], alive_ns: int) -> list[MinuteSeen]:
    """Mark the minutes that were not over when the watch broke off at ``alive_ns``."""
    return [
        replace(one, is_broken=True) if one.start_ns + NS_PER_MINUTE > alive_ns else one for one in minutes
    ]


class MinuteBook:
    """The minutes of one day's sessions, and which of them are still to be written.

    Parameters
    ----------
    parts_of : callable
        Gives the spans in which a series trades (`session_parts`). What lies outside makes no minute: before
        the open orders are collected, and the prices shown are none at which anybody could trade.
    unwritten_max : int
        Most minutes that wait to be written; beyond it the one that has waited longest is given up.

    Attributes
    ----------
    given_up : int
        Changes that were never handed out to be written.
    old_trades : int
        Quotes whose trade was too old, or too new, to say which minute it belongs to.
    lost_trades : int
        Those of them that nobody had told before: trades of the watch that are in no bar.

    Notes
    -----
    A trade counts in the minute in which it was made. Of one that is told more than `LATE_NS` after that
    minute, and changes it, only what is written says so: `bars` show it in the minute in which it is told,
    since the bar may have been handed on already, and a trade that reached no bar would be a stop that never
    filled.

    The watch of one series ends alone where a trade of it was lost, or where more than `QUIET_NS` of its
    session went by without a word of it, though others were heard.
    """

    def __init__(self, parts_of: Callable[[str], Spans], *, unwritten_max: int = UNWRITTEN_MAX) -> None:
        self._parts_of = parts_of
        self._unwritten_max = unwritten_max
        self._minutes: dict[str, dict[int, MinuteSeen]] = {}
        self._shown: dict[str, dict[int, MinuteSeen]] = {}
        self._since: dict[str, int] = {}
        self._heard: dict[str, int] = {}
        self._traded: dict[str, int] = {}
        self._look_ns = 0
        self._watch: tuple[int, int] | None = None
        self._unwritten: OrderedDict[tuple[str, int], None] = OrderedDict()
        self.given_up = 0
        self.old_trades = 0
        self.lost_trades = 0

    @property
    def watch(self) -> tuple[int, int] | None:
        """First and last moment heard since the last break, ns UTC; None while nothing was heard since."""
        return self._watch

    def add(self, seen: PriceSeen) -> None:
        """Take one quote, in the order heard.

        A break is more than `SILENCE_NS` of session without any, and a clock that was set back: how long
        nothing was heard is not known then.
        """
        if self._is_after_silence(seen) or (self._watch is not None and seen.seen_ns < self._watch[1]):
            self.break_off()
        self._watch = (self._watch or (seen.seen_ns, 0))[0], seen.seen_ns
        self._look_for_quiet(seen)
        is_lost = self._is_lost(seen)
        if is_lost:
            self.lost_trades += 1
            self._end_watch_of(seen.price_key, seen.seen_ns)
        since_ns = self._since.setdefault(seen.price_key, seen.seen_ns)
        self._heard[seen.price_key] = seen.seen_ns
        if seen.traded_ns is not None:
            known_ns = self._traded.get(seen.price_key, seen.traded_ns)
            self._traded[seen.price_key] = max(known_ns, min(seen.traded_ns, seen.seen_ns))
        told_ns = _minute_of(seen.seen_ns)
        quote = MinuteSeen(
            seen.price_key, told_ns, since_ns, bid_paise=seen.bid_paise, ask_paise=seen.ask_paise
        )
        if quote.is_quoted:
            self._put(quote)
        if seen.traded_ns is None:
            return
        traded_ns = _minute_of(seen.traded_ns)
        if _is_out_of_time(seen.traded_ns, seen.seen_ns):
            self.old_trades += 1
            return
        price = seen.price_paise
        part = MinuteSeen(seen.price_key, traded_ns, since_ns, price, price, price, price, seen.volume)
        self._put_trade(part, seen.seen_ns, told_ns)

    def _is_after_silence(self, seen: PriceSeen) -> bool:
        if self._watch is None or seen.seen_ns - self._watch[1] <= SILENCE_NS:
            return False
        last_ns = self._watch[1]
        return any(
            min(seen.seen_ns, end) - max(last_ns, first) > SILENCE_NS
            for key in (*self._since, seen.price_key)
            for first, end in self._parts_of(key)
        )

    def _look_for_quiet(self, seen: PriceSeen) -> None:
        """End the watch of each series of which nothing was heard for too long, and of this one at once."""
        is_due = not 0 <= seen.seen_ns - self._look_ns < _LOOK_NS
        if is_due:
            self._look_ns = seen.seen_ns
        for key in list(self._heard) if is_due else [seen.price_key]:
            heard_ns = self._heard.get(key, seen.seen_ns)
            if seen.seen_ns - heard_ns > QUIET_NS and any(
                min(seen.seen_ns, end) - max(heard_ns, first) > QUIET_NS for first, end in self._parts_of(key)
            ):
                self._end_watch_of(key, seen.seen_ns)

    def _is_lost(self, seen: PriceSeen) -> bool:
        """Say whether a trade of this watch is first told too late, or by a clock that goes wrong."""
        if seen.traded_ns is None or not _is_out_of_time(seen.traded_ns, seen.seen_ns):
            return False
        if seen.traded_ns > seen.seen_ns:
            return True
        known_ns = self._traded.get(seen.price_key)
        since_ns = self._since.get(seen.price_key, seen.seen_ns)
        is_new = seen.traded_ns >= since_ns if known_ns is None else seen.traded_ns > known_ns
        return is_new and self._is_in_session(seen.price_key, _minute_of(seen.traded_ns))

    def _end_watch_of(self, price_key: str, at_ns: int) -> None:
        """Begin a series anew, and leave word in its last minute: nothing more may ever be told of it."""
        for known in (self._since, self._heard, self._traded):
            known.pop(price_key, None)
        held = self._minutes.get(price_key)
        if held:
            last_ns = max(held)
            held[last_ns] = replace(held[last_ns], since_ns=at_ns, is_broken=True)
            self._is_to_write(price_key, last_ns)

    def _put_trade(self, part: MinuteSeen, seen_ns: int, told_ns: int) -> None:
        key, start_ns = part.price_key, part.start_ns
        known = self._shown_at(key, start_ns)
        is_late = seen_ns - start_ns - NS_PER_MINUTE > LATE_NS
        # after the session's end nothing was handed on yet: its last minute waits for such a trade
        is_late = is_late and self._is_in_session(key, told_ns)
        if known is None or not (is_late and known.is_traded):
            self._put(part)
        elif _bar_of(join(known, part)) != _bar_of(known):
            shown, moved = self._shown.setdefault(key, {}), replace(part, start_ns=told_ns)
            there = self._shown_at(key, told_ns)
            shown[start_ns] = known
            shown[told_ns] = moved if there is None else join(there, moved)
            self._keep(part)

    def _shown_at(self, price_key: str, start_ns: int) -> MinuteSeen | None:
        kept = self._minutes.get(price_key, {}).get(start_ns)
        return self._shown.get(price_key, {}).get(start_ns, kept)

    def break_off(self) -> None:
        """Note that something may have been missed since the last quote: what is seen next is a new watch."""
        if self._watch is None:
            return
        alive_ns = self._watch[1]
        self._begin_anew()
        for price_key, held in self._minutes.items():
            open_still = [one for one in held.values() if one.start_ns + NS_PER_MINUTE > alive_ns]
            for minute in cut_off(open_still, alive_ns):
                if held[minute.start_ns] != minute:
                    held[minute.start_ns] = minute
                    self._is_to_write(price_key, minute.start_ns)

    def _begin_anew(self) -> None:
        for known in (self._since, self._heard, self._traded):
            known.clear()
        self._watch = None

    def restore(self, minutes: Iterable[MinuteSeen]) -> None:
        """Take up what an earlier life wrote of the day and broke off (`cut_off`)."""
        for minute in minutes:
            if not self._is_in_session(minute.price_key, minute.start_ns):
                continue
            held = self._minutes.setdefault(minute.price_key, {})
            known = held.get(minute.start_ns)
            held[minute.start_ns] = minute if known is None else join(minute, known)
            shown = self._shown.get(minute.price_key, {})
            if minute.start_ns in shown:
                shown[minute.start_ns] = join(minute, shown[minute.start_ns])
            if minute.is_broken:  # nothing that is written says so yet
                self._is_to_write(minute.price_key, minute.start_ns)

    def take_unwritten(self) -> list[MinuteSeen]:
        """Give the minutes that changed since they were last given, the longest waiting first."""
        taken = [self._minutes[key][start_ns] for key, start_ns in self._unwritten]
        self._unwritten.clear()
        return taken

    def give_back(self, minutes: Sequence[MinuteSeen]) -> None:
        """Take back minutes that could not be written; they come first the next time."""
        waiting = OrderedDict.fromkeys((one.price_key, one.start_ns) for one in minutes)
        waiting.update(self._unwritten)
        self._unwritten = waiting
        self._give_up()

    def bars(self, price_key: str) -> BarArrays | None:
        """Give the minutes in which a series traded; None without any."""
        minutes = [one for one in self._held(price_key) if one.is_traded]
        return bars_of(minutes) if minutes else None

    def _held(self, price_key: str) -> Iterator[MinuteSeen]:
        # A copy in one step of the interpreter: a feed is read in a thread beside the one that adds quotes.
        # What is kept comes before what is shown in its place, which is changed first.
        held = self._minutes.get(price_key, {}).copy()
        held |= self._shown.get(price_key, {}).copy()
        return (held[start_ns] for start_ns in sorted(held))

    def _put(self, part: MinuteSeen) -> None:
        if not self._is_in_session(part.price_key, part.start_ns):
            return
        shown = self._shown.get(part.price_key, {})
        if part.start_ns in shown:
            shown[part.start_ns] = join(shown[part.start_ns], part)
        self._keep(part)

    def _keep(self, part: MinuteSeen) -> None:
        held = self._minutes.setdefault(part.price_key, {})
        known = held.get(part.start_ns)
        joined = part if known is None else join(known, part)
        if joined != known:
            held[part.start_ns] = joined
            self._is_to_write(part.price_key, part.start_ns)

    def _is_in_session(self, price_key: str, at_ns: int) -> bool:
        return any(first <= at_ns < last for first, last in self._parts_of(price_key))

    def _is_to_write(self, price_key: str, start_ns: int) -> None:
        self._unwritten[price_key, start_ns] = None
        self._give_up()

    def _give_up(self) -> None:
        while len(self._unwritten) > self._unwritten_max:
            self._unwritten.popitem(last=False)
            self.given_up += 1
            self._begin_anew()  # what is written lacks it: nobody may read one watch without a break there


def filled(better: BarArrays, other: BarArrays) -> BarArrays:
    """Join bars of one series; ``other`` counts where ``better`` has none."""
    other = other.take(np.flatnonzero(~np.isin(other.start_ns, better.start_ns)))
    names = ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise", "volume")
    joined = {name: np.concatenate([getattr(better, name), getattr(other, name)]) for name in names}
    return BarArrays(**joined, interval_ns=better.interval_ns).take(np.argsort(joined["start_ns"]))


def bars_of(minutes: Sequence[MinuteSeen]) -> BarArrays:
    """Make bars of the traded minutes of one series.

    Parameters
    ----------
    minutes : sequence of MinuteSeen
        Each with a trade, start strictly rising.

    Returns
    -------
    BarArrays
        Volume -1 where it is not known what was traded before: the first bar of each watch, also of one from
        before the open on, since the day's count holds what the opening auction traded.
    """
    names = ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise")
    columns = {name: np.array([getattr(one, name) for one in minutes], np.int64) for name in names}
    volume = np.array(list(_volumes(minutes)), np.int64)
    return BarArrays(**columns, volume=volume, interval_ns=NS_PER_MINUTE)


def _volumes(minutes: Sequence[MinuteSeen]) -> Iterator[int]:
    """Give the units of each bar: the rise of the day's count since the bar before, where none was missed."""
    before: MinuteSeen | None = None
    for one in minutes:
        is_known = (
            before is not None
            and before.since_ns == one.since_ns
            and not (before.is_broken or one.is_broken)
            and before.volume_to >= 0
            and one.volume_to >= before.volume_to
        )
        yield one.volume_to - before.volume_to if is_known and before is not None else UNKNOWN
        before = one


def _bar_of(minute: MinuteSeen) -> tuple[int, ...]:
    return minute.open_paise, minute.high_paise, minute.low_paise, minute.close_paise, minute.volume_to


def _is_out_of_time(traded_ns: int, seen_ns: int) -> bool:
    return abs(_minute_of(traded_ns) - _minute_of(seen_ns)) > LAG_NS


def _minute_of(at_ns: int) -> int:
    return at_ns // NS_PER_MINUTE * NS_PER_MINUTE

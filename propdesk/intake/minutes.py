"""Minutes of the market as one watcher of a price feed saw them: built quote by quote, joined after a break.

A minute holds what was traded in it and the last bid and ask seen in it. Everything is a fold over the quotes
in the order they came, so a minute is the same whether they were taken in one go, or by several lives of a
process that took up what the last one had written.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.invariant import require
from propdesk.ports import BarArrays

UNKNOWN: Final = -1
"""A volume, bid or ask that the feed did not tell."""

LAG_NS: Final = NS_PER_MINUTE
"""Minutes of a trade and of its being told may lie this far apart: a feed repeats old trades for hours."""

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
        Moment of the last trade, ns UTC; None where the feed tells none: then it was now.
    price_paise : int
        Price of that trade, > 0.
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


def cut_off(minutes: Iterable[MinuteSeen], alive_ns: int) -> list[MinuteSeen]:
    """Mark the minutes that were not over when the watch broke off at ``alive_ns``."""
    return [
        replace(one, is_broken=True) if one.start_ns + NS_PER_MINUTE > alive_ns else one for one in minutes
    ]


class MinuteBook:
    """The minutes of one day, and which of them are still to be written.

    Parameters
    ----------
    from_ns, to_ns : int
        The day, [from, to) in ns UTC; what belongs to another one is left out.
    unwritten_max : int
        Most minutes that wait to be written; beyond it the one that has waited longest is given up.

    Attributes
    ----------
    given_up : int
        Changes that were never handed out to be written.
    old_trades : int
        Quotes whose trade was too old, or too new, to say which minute it belongs to.
    """

    def __init__(self, from_ns: int, to_ns: int, *, unwritten_max: int = UNWRITTEN_MAX) -> None:
        self._from_ns = from_ns
        self._to_ns = to_ns
        self._unwritten_max = unwritten_max
        self._minutes: dict[str, dict[int, MinuteSeen]] = {}
        self._since: dict[str, int] = {}
        self._unwritten: OrderedDict[tuple[str, int], None] = OrderedDict()
        self.given_up = 0
        self.old_trades = 0

    def add(self, seen: PriceSeen) -> None:
        """Take one quote, in the order heard."""
        since_ns = self._since.setdefault(seen.price_key, seen.seen_ns)
        told_ns = _minute_of(seen.seen_ns)
        traded_ns = told_ns if seen.traded_ns is None else _minute_of(seen.traded_ns)
        quote = MinuteSeen(
            seen.price_key, told_ns, since_ns, bid_paise=seen.bid_paise, ask_paise=seen.ask_paise
        )
        if quote.is_quoted:
            self._put(quote)
        if abs(traded_ns - told_ns) > LAG_NS:
            self.old_trades += 1
            return
        price = seen.price_paise
        self._put(MinuteSeen(seen.price_key, traded_ns, since_ns, price, price, price, price, seen.volume))

    def break_off(self, alive_ns: int) -> None:
        """Note that nothing was heard after ``alive_ns``: what is seen from now on is another watch."""
        self._since.clear()
        for held in self._minutes.values():
            for minute in cut_off(held.values(), alive_ns):
                if held[minute.start_ns] != minute:
                    held[minute.start_ns] = minute
                    self._is_to_write(minute.price_key, minute.start_ns)

    def restore(self, minutes: Iterable[MinuteSeen]) -> None:
        """Take up what an earlier life wrote of the day and broke off (`cut_off`)."""
        for minute in minutes:
            held = self._minutes.setdefault(minute.price_key, {})
            known = held.get(minute.start_ns)
            held[minute.start_ns] = minute if known is None else join(minute, known)
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
        held = self._minutes.get(price_key, {}).copy()
        return (held[start_ns] for start_ns in sorted(held))

    def _put(self, part: MinuteSeen) -> None:
        if not self._from_ns <= part.start_ns < self._to_ns:
            return
        held = self._minutes.setdefault(part.price_key, {})
        known = held.get(part.start_ns)
        joined = part if known is None else join(known, part)
        if joined != known:
            held[part.start_ns] = joined
            self._is_to_write(part.price_key, part.start_ns)

    def _is_to_write(self, price_key: str, start_ns: int) -> None:
        self._unwritten[price_key, start_ns] = None
        self._give_up()

    def _give_up(self) -> None:
        while len(self._unwritten) > self._unwritten_max:
            self._unwritten.popitem(last=False)
            self.given_up += 1


def bars_of(minutes: Sequence[MinuteSeen]) -> BarArrays:
    """Make bars of the traded minutes of one series.

    Parameters
    ----------
    minutes : sequence of MinuteSeen
        Each with a trade, start strictly rising.

    Returns
    -------
    BarArrays
        Volume -1 where it is not known what was traded before: the first bar of a watch.
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


def _minute_of(at_ns: int) -> int:
    return at_ns // NS_PER_MINUTE * NS_PER_MINUTE

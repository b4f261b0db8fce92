"""A past day that has no end in the books yet: which one it is, and who brings it to its end (§5.7)."""

from datetime import date
from typing import Final, Protocol

from propdesk.core.calendar import MarketCalendar, Segment
from propdesk.core.clock import NS_PER_HOUR, NS_PER_MINUTE, ManualClock
from propdesk.core.errors import GapFault
from propdesk.engine.codec import decode_carry_over
from propdesk.engine.context import price_key_of
from propdesk.engine.state import EngineState
from trading_daemon.bus import Bus, end_if_cancelled
from trading_daemon.feeds import GRACE_NS, LAST_GRACE_NS, PastFeed, StoredDay
from trading_daemon.ports import MinuteClosed
from trading_daemon.tasks.position_monitor import PositionMonitor


class Days(Protocol):
    """What the journal says of days as a whole."""

    async def last_day(self, before: date) -> date | None:
        """Newest journalled day before ``before``."""
        ...

    async def carried(self, before: date) -> tuple[date, bytes] | None:
        """Newest hand-over of a day before ``before``."""
        ...


def session_of(calendar: MarketCalendar, day: date) -> tuple[int, int]:
    """First open and last close of a market day's segments, ns UTC."""
    hours = [calendar.hours(day, segment) for segment in Segment]
    return min(h.open_ns for h in hours), max(h.close_ns for h in hours)


def settled_ns(calendar: MarketCalendar, day: date) -> int:
    """Moment from which a day's last bars are there or will not come."""
    return session_of(calendar, day)[1] + LAST_GRACE_NS


async def owed_day(journal: Days, trade_date: date, calendar: MarketCalendar, now_ns: int) -> date | None:
    """Give the oldest day to bring to its end before ``trade_date`` may begin, or go on.

    Parameters
    ----------
    now_ns : int
        From its last close on, ``trade_date`` itself is a past day while it has no end: what a running day
        asks for after the close (a square-off) would find no market.

    Returns
    -------
    date or None
        The last journalled day where it died before its close; else the market day after the last hand-over
        if that carries anything: its orders rested at the exchange while nobody watched. None once the day
        before is done.
    """
    if now_ns >= session_of(calendar, trade_date)[1]:
        trade_date = calendar.next_day(trade_date)
    traded, stored = await journal.last_day(trade_date), await journal.carried(trade_date)
    if traded is None:
        return None
    if stored is None or stored[0] < traded:
        return traded
    following = calendar.next_day(stored[0])
    carried = decode_carry_over(stored[1])
    is_idle = not (carried.groups or carried.pending or carried.tracked)
    return None if following >= trade_date or is_idle else following


UNPRICED_NS_MAX: Final = NS_PER_HOUR
"""A rest of a session up to this long may lack prices: the last close is near enough."""


def require_prices(feed: StoredDay, state: EngineState, done_ns: int, close_ns: int) -> None:
    """Refuse to bring a day to its end that the price store cannot tell of.

    Without bars no stop, no target and no square-off of the day is met: everything open would be closed at
    a price that the market did not have, or not at all, without a word.

    Parameters
    ----------
    feed : StoredDay
        The day's bars of the price store alone, without what a daemon's recording of it holds.
    state : EngineState
        As the journal ends.
    done_ns, close_ns : int
        End of the last minute that is journalled, and of the session.

    Raises
    ------
    GapFault
        If an instrument of an open group has no bar of the day, or more than `UNPRICED_NS_MAX` of the
        session is left after ``done_ns`` and after its last bar.
    """
    if done_ns >= close_ns:
        return
    open_keys = {price_key_of(live.instrument) for live in state.groups.values() if not live.is_closed}
    missing = []
    for key in sorted(open_keys):
        last = feed.latest(key, close_ns)
        end_ns = 0 if last is None else last.start_ns + last.interval_ns
        if last is None or close_ns - max(end_ns, done_ns) > UNPRICED_NS_MAX:
            missing.append(key)
    if missing:
        raise GapFault(
            f"{state.trade_date} cannot be brought to its end: the price store lacks what followed in "
            f"{', '.join(missing)}. Bring the prices in (`propdesk prices download {state.trade_date} "
            f"{state.trade_date}` or `propdesk prices import`), or name the day in PROPDESK_UNPRICED_DAYS "
            "to close it without them."
        )


class PastDayDriver:
    """Closes the minutes of a past day that nobody has met, one after the other, up to its last.

    Its clock tells the moment at which each would have been reported, so what time asks for (square-off,
    trailing stops, the end of an entry) is asked for then; the exchange is at that minute, too. Nothing
    enters: the day is opened as one that is not ready.

    Parameters
    ----------
    bus : Bus
        In lockstep: a minute is closed once everything the last one led to has come back.
    clock : ManualClock
        Nobody else moves it.
    feed : PastFeed
        Delivers with the first minute whatever was written too late for the minutes that are journalled.
    done_ns, close_ns : int
        End of the last minute that is journalled (the open where there is none), and of the last one of all.
    """

    def __init__(
        self,
        bus: Bus,
        clock: ManualClock,
        feed: PastFeed,
        monitor: PositionMonitor,
        *,
        done_ns: int,
        close_ns: int,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._feed = feed
        self._monitor = monitor
        self._done_ns = done_ns
        self._close_ns = close_ns

    @property
    def is_done(self) -> bool:
        """Whether the last minute is decided, with all it led to."""
        return self._done_ns >= self._close_ns

    async def run(self) -> None:
        """Close what is left of the day."""
        await self._bus.quiescent()
        for end_ns in range(self._done_ns + NS_PER_MINUTE, self._close_ns + 1, NS_PER_MINUTE):
            self._clock.advance_to(max(self._clock.now_ns(), end_ns + GRACE_NS))
            is_last = end_ns == self._close_ns
            await self._monitor.close_minute(MinuteClosed(end_ns, self._feed.close(end_ns), is_last=is_last))
            await self._bus.quiescent()
            self._done_ns = end_ns
            end_if_cancelled()

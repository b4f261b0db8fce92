"""Market days, session hours and IST; the only module that knows the zone.

Holidays, special sessions and hours are data handed in (they change within days);
`adapters.calendar` builds the calendar of the exchange from them.
"""

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum

from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE, to_ns
from propdesk.core.errors import GapFault
from propdesk.core.invariant import require
from propdesk.core.vocabulary import Session, Weekday

IST = timezone(timedelta(hours=5, minutes=30), "IST")
"""Asia/Kolkata: +05:30 all year, no daylight saving."""

IST_OFFSET_MINUTES = 330
"""IST is so far ahead of UTC."""

_IST_OFFSET_NS = IST_OFFSET_MINUTES * NS_PER_MINUTE
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MORNING_END = 11 * 60 + 30
_MIDDAY_END = 13 * 60 + 30
_SQUARE_OFF_BEFORE_CLOSE = 15
_WEEKDAYS = tuple(Weekday)


class Segment(StrEnum):
    """Group of instruments that shares hours."""

    CASH = "CASH"
    CASH_FNO = "CASH_FNO"
    DERIVATIVES = "DERIVATIVES"


def segment_of(*, is_derivative: bool, has_derivatives: bool) -> Segment:
    """Tell which hours an instrument keeps."""
    if is_derivative:
        return Segment.DERIVATIVES
    return Segment.CASH_FNO if has_derivatives else Segment.CASH


@dataclass(frozen=True, slots=True)
class HoursRule:
    """Hours of one segment from a date on; minutes of the IST day.

    ``square_off_minute`` is the latest minute at which intraday trades are closed.
    """

    segment: Segment
    since: date
    open_minute: int
    close_minute: int
    square_off_minute: int


@dataclass(frozen=True, slots=True)
class SpecialSession:
    """A day the regular calendar does not have, or whose hours are its own.

    Attributes
    ----------
    name : str
        Why the exchange trades: Muhurat, Union Budget, a drill.
    parts : tuple of (int, int)
        Opening and close of each part in minutes of the IST day, rising and apart, the same for every
        segment. Empty = the regular hours of each segment.
    """

    name: str
    parts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class AuctionRule:
    """Closing auction of one segment from a date on; minutes of the IST day.

    The first minute calculates the reference price, the last one matches; nothing trades continuously.
    """

    segment: Segment
    since: date
    open_minute: int
    close_minute: int


@dataclass(frozen=True, slots=True)
class SessionHours:
    """Hours of one segment on one day, ns UTC; [open, close).

    ``parts`` are the stretches in which trading goes on: one on nearly every day, two on the Saturdays on
    which the exchange moves to its recovery site in between.
    """

    open_ns: int
    close_ns: int
    square_off_ns: int
    parts: tuple[tuple[int, int], ...]

    def is_open(self, ns: int) -> bool:
        """Whether trading goes on at a moment in ns UTC."""
        return any(first <= ns < last for first, last in self.parts)


@dataclass(frozen=True, slots=True)
class CalendarData:
    """What a `MarketCalendar` is made of, as a value; see there."""

    days: tuple[date, ...]
    hours: tuple[HoursRule, ...]
    special: Mapping[date, SpecialSession]
    auctions: tuple[AuctionRule, ...]


class MarketCalendar:
    """Market days and hours of the exchange.

    Parameters
    ----------
    days : sequence of date
        Every market day in rising order, special weekend sessions included.
    hours : sequence of HoursRule
        Regular hours; at least one rule per segment that starts at or before the first day.
    special : mapping of date to SpecialSession
        Market days outside the regular calendar or with hours of their own (drills, Muhurat).
    auctions : sequence of AuctionRule
        Closing auctions; none = no segment has one.
    """

    def __init__(
        self,
        days: Sequence[date],
        hours: Sequence[HoursRule],
        special: Mapping[date, SpecialSession] | None = None,
        auctions: Sequence[AuctionRule] = (),
    ) -> None:
        require(bool(days), "a calendar needs at least one market day")
        require(all(a < b for a, b in itertools.pairwise(days)), "market days must rise")
        self._days = list(days)
        self._set = frozenset(days)
        self._special = dict(special or {})
        for session in self._special.values():
            bounds = [minute for part in session.parts for minute in part]
            require(all(a < b for a, b in itertools.pairwise(bounds)), f"parts of {session.name} must rise")
        self._auctions = sorted(auctions, key=lambda rule: rule.since)
        self._hours: dict[Segment, list[HoursRule]] = {}
        for rule in sorted(hours, key=lambda r: r.since):
            self._hours.setdefault(rule.segment, []).append(rule)
        self._cache: dict[tuple[date, Segment], SessionHours] = {}

    @classmethod
    def of(cls, data: CalendarData) -> "MarketCalendar":
        """Build the calendar that gave ``data``."""
        return cls(data.days, data.hours, data.special, data.auctions)

    @property
    def data(self) -> CalendarData:
        """Give what the calendar is made of."""
        hours = tuple(rule for rules in self._hours.values() for rule in rules)
        return CalendarData(tuple(self._days), hours, dict(self._special), tuple(self._auctions))

    @property
    def first_day(self) -> date:
        """First market day known."""
        return self._days[0]

    @property
    def last_day(self) -> date:
        """Last market day known."""
        return self._days[-1]

    def is_market_day(self, day: date) -> bool:
        """Whether the exchange trades on ``day``."""
        return day in self._set

    def market_days(self, first: date, last: date) -> list[date]:
        """Market days in the closed interval [first, last], rising; empty if first > last."""
        return self._days[bisect.bisect_left(self._days, first) : bisect.bisect_right(self._days, last)]

    def shift(self, day: date, count: int) -> date:
        """Go ``count`` market days forward (back if negative).

        From a day that is no market day the first step forward reaches the next market day,
        the first step back the previous one; 0 asks for a market day.

        Raises
        ------
        GapFault
            If the calendar does not reach that far.
        """
        at = bisect.bisect_left(self._days, day)
        if count == 0:
            require(day in self._set, f"{day} is no market day")
            return day
        index = at + count if day in self._set or count < 0 else at + count - 1
        if not 0 <= index < len(self._days):
            raise GapFault(
                f"the market calendar ends on {self.last_day} (it starts on {self.first_day}) and does not "
                f"reach {count} market days from {day}; extend config/market_calendar.yaml"
            )
        return self._days[index]

    def next_day(self, day: date) -> date:
        """First market day after ``day``."""
        return self.shift(day, 1)

    def previous_day(self, day: date) -> date:
        """Last market day before ``day``."""
        return self.shift(day, -1)

    def index_of(self, day: date) -> int:
        """Rank of the first market day at or after ``day`` (0 = first day of the calendar)."""
        return bisect.bisect_left(self._days, day)

    def hours(self, day: date, segment: Segment) -> SessionHours:
        """Return opening, close and intraday square-off of ``segment`` on the market day ``day``, ns UTC."""
        cached = self._cache.get((day, segment))
        if cached is not None:
            return cached
        require(day in self._set, f"{day} is no market day")
        rule = self._rule(day, segment)
        session = self._special.get(day)
        parts = session.parts if session is not None and session.parts else None
        parts = parts or ((rule.open_minute, rule.close_minute),)
        last = parts[-1][1]
        square_off = last - _SQUARE_OFF_BEFORE_CLOSE
        if last <= rule.close_minute:
            # An evening session has no 15:10; one within the regular hours keeps it.
            square_off = min(square_off, rule.square_off_minute)
        midnight = ist_midnight_ns(day)
        spans = tuple((midnight + a * NS_PER_MINUTE, midnight + b * NS_PER_MINUTE) for a, b in parts)
        hours = SessionHours(spans[0][0], spans[-1][1], midnight + square_off * NS_PER_MINUTE, spans)
        self._cache[day, segment] = hours
        return hours

    def hearing_span(self, day: date) -> tuple[int, int]:
        """Return when a market day's own messages are received: start and end (exclusive), ns UTC.

        From the last close of any segment on the market day before to the day's own. Spans join without a
        gap, whatever segments close when: a cash idea between the closes of cash and derivatives is heard
        by the day that still runs, though `trade_date` gives it to the next one.
        """
        end = max(self.hours(day, segment).close_ns for segment in Segment)
        if day <= self.first_day:
            return ist_midnight_ns(day), end
        previous = self.previous_day(day)
        return max(self.hours(previous, segment).close_ns for segment in Segment), end

    def special_session(self, day: date) -> SpecialSession | None:
        """Tell what is special about a market day; None for a regular one."""
        return self._special.get(day)

    def closing_auction(self, day: date, segment: Segment) -> tuple[int, int] | None:
        """Return start and end of the segment's closing auction on a market day, ns UTC.

        None where the segment has none: before its rule, and on days with hours of their own.
        """
        require(day in self._set, f"{day} is no market day")
        special = self._special.get(day)
        found = [rule for rule in self._auctions if rule.segment is segment and rule.since <= day]
        if not found or (special is not None and special.parts):
            return None
        midnight = ist_midnight_ns(day)
        rule = found[-1]
        return midnight + rule.open_minute * NS_PER_MINUTE, midnight + rule.close_minute * NS_PER_MINUTE

    def _rule(self, day: date, segment: Segment) -> HoursRule:
        found = [rule for rule in self._hours.get(segment, []) if rule.since <= day]
        require(bool(found), f"no session hours for {segment} on {day}")
        return found[-1]

    def trade_date(self, received_ns: int, segment: Segment) -> date:
        """First market day on which something received at ``received_ns`` can be acted on (§1)."""
        day = ist_date(received_ns)
        if day in self._set and received_ns < self.hours(day, segment).close_ns:
            return day
        return self.next_day(day)

    def session(self, received_ns: int, segment: Segment) -> Session:
        """Part of the day by the moment of receipt (§2.6); outside market hours AFTER_HOURS."""
        day = ist_date(received_ns)
        if day not in self._set:
            return Session.AFTER_HOURS
        hours = self.hours(day, segment)
        if not hours.open_ns <= received_ns < hours.close_ns:
            return Session.AFTER_HOURS
        minute = (received_ns - ist_midnight_ns(day)) // NS_PER_MINUTE
        if minute < _MORNING_END:
            return Session.MORNING
        return Session.MIDDAY if minute < _MIDDAY_END else Session.AFTERNOON


def weekday_of(day: date) -> Weekday | None:
    """Weekday dimension of a trade date; None for a weekend session (§1)."""
    number = day.weekday()
    return _WEEKDAYS[number] if number < len(_WEEKDAYS) else None


def ist_midnight_ns(day: date) -> int:
    """Start of the IST day ``day``, ns UTC."""
    return (day.toordinal() - _EPOCH_DAY) * NS_PER_DAY - _IST_OFFSET_NS


def ist_date(ns: int) -> date:
    """IST calendar day of a moment in ns UTC."""
    return date.fromordinal((ns + _IST_OFFSET_NS) // NS_PER_DAY + _EPOCH_DAY)


def ist_minute(ns: int) -> int:
    """Minute of the IST day, 0..1439."""
    return (ns + _IST_OFFSET_NS) % NS_PER_DAY // NS_PER_MINUTE


def ist_to_ns(naive: datetime) -> int:
    """Read a wall-clock time without zone as IST, ns UTC."""
    require(naive.tzinfo is None, "only a time without zone can be read as IST")
    return to_ns(naive.replace(tzinfo=IST))


def ist_text(ns: int) -> str:
    """Show a moment to a person: ``2025-07-01 09:15:00 IST``."""
    moment = datetime.fromtimestamp(ns // 1_000_000_000, tz=UTC).astimezone(IST)
    return moment.strftime("%Y-%m-%d %H:%M:%S IST")

"""How long an idea may wait and how long its trade may live, known when it is received (§2.5)."""

from dataclasses import dataclass
from datetime import date

from propdesk.core.calendar import MarketCalendar, Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.model.enums import Category, ExitReason, Period

_PRE_EXPIRY_MINUTE = 15 * 60
_NO_ENTRY_DAYS = 2


@dataclass(frozen=True, slots=True)
class LifetimeRules:
    """Trading days an entry may wait and a trade may last; the trade date counts as day 1 of waiting.

    ``timeout_days`` are market days after the trade date, so that the latest moment is known in advance.
    """

    swing_validity_days: int = 5
    positional_validity_days: int = 15
    swing_timeout_days: int = 10
    positional_timeout_days: int = 40

    def validity_days(self, period: Period) -> int:
        """Market days, the trade date included, in which the entry may fill."""
        if period is Period.SWING:
            return self.swing_validity_days
        return self.positional_validity_days if period is Period.POSITIONAL else 1

    def timeout_days(self, period: Period) -> int:
        """Market days after the trade date at which a carried trade is closed."""
        return self.swing_timeout_days if period is Period.SWING else self.positional_timeout_days


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Moments of one idea, ns UTC.

    Attributes
    ----------
    active_from_ns, valid_until_ns : int
        Bars starting in [active_from_ns, valid_until_ns) can fill the entry.
    exit_at_ns : int or None
        Latest moment of the trade; None where the calendar does not reach that far yet.
    exit_at_reason : ExitReason or None
        SQUARE_OFF, TIME_OUT, PRE_EXPIRY or EXPIRY.
    expiry_too_near : bool
        A stock derivative from two trading days before its expiry on: no entry.
    """

    active_from_ns: int
    valid_until_ns: int
    exit_at_ns: int | None
    exit_at_reason: ExitReason | None
    expiry_too_near: bool


def lifetime(
    calendar: MarketCalendar,
    segment: Segment,
    trade_date: date,
    actionable_ns: int,
    *,
    category: Category,
    period: Period,
    expiry: date | None,
    rules: LifetimeRules | None = None,
) -> Lifetime:
    """Work out the moments that bound an idea.

    Parameters
    ----------
    calendar, segment
        Hours that the instrument keeps.
    trade_date : date
        First market day on which the idea can be acted on.
    actionable_ns : int
        Moment of receipt plus latency, ns UTC; before the open it waits for the open.
    category, period, expiry
        Of the idea; expiry None for cash.
    rules : LifetimeRules, optional
        Defaults of §2.5.

    Returns
    -------
    Lifetime
        Intraday: valid until, and closed at, the square-off of the trade date. Stock derivatives: flat by
        15:00 of the trading day before expiry. Index derivatives: settled at the close of their expiry.

    Notes
    -----
    A time-out falls on the square-off minute of its day, so that it meets a market. Source: §2.5.
    """
    rules = rules or LifetimeRules()
    hours = calendar.hours(trade_date, segment)
    active = max(actionable_ns, hours.open_ns)
    if period is Period.INTRADAY:
        valid, ends = hours.square_off_ns, [(hours.square_off_ns, ExitReason.SQUARE_OFF)]
    else:
        last = _shift(calendar, trade_date, rules.validity_days(period) - 1) or calendar.last_day
        valid = calendar.hours(last, segment).close_ns
        final = _shift(calendar, trade_date, rules.timeout_days(period))
        ends = [(calendar.hours(final, segment).square_off_ns, ExitReason.TIME_OUT)] if final else []
    too_near = False
    if expiry is not None:
        settles = _market_day_at_or_before(calendar, expiry)
        if category.is_stock_derivative:
            closed = calendar.shift(settles, -_NO_ENTRY_DAYS)
            too_near = trade_date >= closed
            valid = min(valid, calendar.hours(closed, segment).open_ns)
            flat = ist_midnight_ns(calendar.previous_day(settles)) + _PRE_EXPIRY_MINUTE * NS_PER_MINUTE
            ends.append((flat, ExitReason.PRE_EXPIRY))
        else:
            settlement = calendar.hours(settles, segment).close_ns
            valid = min(valid, settlement)
            ends.append((settlement, ExitReason.EXPIRY))
    exit_at, reason = min(ends, key=lambda end: end[0]) if ends else (None, None)
    return Lifetime(active, valid, exit_at, reason, too_near)


def _shift(calendar: MarketCalendar, day: date, count: int) -> date | None:
    """Go forward by market days; None where the calendar is not known that far."""
    at = calendar.index_of(day) + count
    days_known = calendar.index_of(calendar.last_day)
    return calendar.shift(day, count) if at <= days_known else None


def _market_day_at_or_before(calendar: MarketCalendar, day: date) -> date:
    return day if calendar.is_market_day(day) else calendar.previous_day(day)

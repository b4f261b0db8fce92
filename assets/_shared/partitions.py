"""Market days as partitions: one object that every asset shares."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Final

from dagster import AssetExecutionContext, DailyPartitionsDefinition, Failure, TimeWindow

from adapters.calendar import load_calendar
from adapters.settings import load_settings
from propdesk.core.calendar import MarketCalendar

TIMEZONE: Final = "Asia/Kolkata"
_LAST_WEEK: Final = 24
"""The exchange trades on some day after this one in every December."""


@dataclass(frozen=True, slots=True)
class DayRange:
    """Closed range of days that a run works on; dates of the IST calendar."""

    first: date
    last: date

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


class MarketDayPartitions(DailyPartitionsDefinition):
    """Dagster's daily partitions that remember what is asked of them a thousand times a run.

    The stock class spells its exclusions out each time for its hash, several milliseconds with a calendar of
    years, and looks for the day before by going through them.
    """

    @cached_property
    def _hash(self) -> int:
        return int(super().__hash__())  # type: ignore[no-untyped-call]  # Dagster annotates it not

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _windows_before(self) -> dict[float, TimeWindow]:
        return {}

    def get_prev_partition_window(self, start_dt: datetime, respect_bounds: bool = True) -> TimeWindow | None:
        """Give the window before a moment; a step that reads 250 days back asks for each of them."""
        if respect_bounds:
            return super().get_prev_partition_window(start_dt, respect_bounds)
        moment = start_dt.timestamp()
        if moment not in self._windows_before:
            found = super().get_prev_partition_window(start_dt, respect_bounds=False)
            if found is None:
                return None
            self._windows_before[moment] = found
        return self._windows_before[moment]


def build_market_days(calendar: MarketCalendar, first_day: date) -> MarketDayPartitions:
    """Make one partition per market day, special weekend sessions included.

    Parameters
    ----------
    calendar : MarketCalendar
        Knows the market days.
    first_day : date
        Nothing before it is a partition; not earlier than needed, since every exclusion costs about 95 bytes
        wherever the definition is stored.

    Returns
    -------
    MarketDayPartitions
        Today is a partition from midnight IST on, so that the run after the close can fill it. On a closed
        day the next market day is listed too (`worked_range` keeps runs out of it).

    Notes
    -----
    The closed days are listed up to the end of the last year that the calendar knows whole: its own end moves
    with every day, and the definition must stay equal from one start to the next. A weekday rule instead
    would shut out the weekend sessions.
    """
    known_whole = calendar.last_day >= date(calendar.last_day.year, 12, _LAST_WEEK)
    end = date(calendar.last_day.year if known_whole else calendar.last_day.year - 1, 12, 31)
    length = max(0, (end - first_day).days + 1)
    closed = [
        datetime.combine(day, time())
        for day in (first_day + timedelta(days=n) for n in range(length))
        if not calendar.is_market_day(day)
    ]
    return MarketDayPartitions(
        start_date=first_day.isoformat(), timezone=TIMEZONE, end_offset=1, exclusions=closed or None
    )


def worked_range(context: AssetExecutionContext, today: date) -> DayRange:
    """Give the days this run works on, cut off at today.

    Parameters
    ----------
    context : AssetExecutionContext
        Of a run over one partition or a range of them.
    today : date
        IST calendar day; nothing later may be written.

    Returns
    -------
    DayRange
        Closed.

    Raises
    ------
    Failure
        If the whole range lies in the future.
    """
    keys = context.partition_key_range
    first, last = date.fromisoformat(keys.start), date.fromisoformat(keys.end)
    if first > today:
        raise Failure(
            description=f"{first} lies after today ({today}): choose market days up to today.",
            allow_retries=False,
        )
    if last > today:
        context.log.warning(f"Days after today ({today}) are left out; they stay empty until they come.")
    return DayRange(first, min(last, today))


MARKET_DAYS: Final = build_market_days(load_calendar(), load_settings().first_day)
"""Read from the settings at import, since Dagster asks for it where an asset is declared; all assets must
share one definition, or a run over a range falls apart into several."""


def worked_days(context: AssetExecutionContext, days: DayRange) -> list[date]:
    """Give the partitions of a run that lie in the days it works on, rising."""
    keys = (date.fromisoformat(key) for key in context.partition_keys)
    return [day for day in keys if days.first <= day <= days.last]

"""Is a table as new as the market calendar asks? Dagster's own policies know no holidays."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from dagster import AssetKey, DagsterInstance

from propdesk.core.calendar import MarketCalendar, ist_date, ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE

DUE_MINUTE: Final = 20 * 60
"""20:00 IST: half an hour after the evening true-up."""
LIVE_DAYS: Final = 10
"""Market days up to the due one of which at least one has ideas, where a desk is live. Where none has, the
tables hold a past market (a sample, a backfill for study), which does not grow stale. A desk that no idea
reaches any more is told on each of these days."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How new the tables are.

    Parameters
    ----------
    due : date
        Newest market day that a table must hold.
    newest : date or None
        Newest day with ideas, up to the due one; None if there is none.
    is_live : bool
        Whether ideas come day by day, so that a missing day is a fault.
    late : tuple of AssetKey
        Tables that hold some day but not the due one; empty unless `is_live`.
    count_tables : int
        Tables that hold any day.
    """

    due: date
    newest: date | None
    is_live: bool
    late: tuple[AssetKey, ...]
    count_tables: int

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        if self.newest is None:
            return "No idea was taken in yet."
        if not self.is_live:
            return (
                f"The newest ideas are of {self.newest}: a past market, not judged. A missing day is an "
                f"alert where one of the last {LIVE_DAYS} market days has ideas."
            )
        if not self.late:
            return f"All {self.count_tables} tables hold {self.due}."
        names = ", ".join(sorted(key.to_user_string() for key in self.late))
        return (
            f"{len(self.late)} of {self.count_tables} tables lack {self.due}, which was due at 20:00 IST; "
            f"look at the runs of that day: {names}."
        )


def due_day(calendar: MarketCalendar, now_ns: int) -> date:
    """Name the newest market day that every table must hold by now.

    Parameters
    ----------
    calendar : MarketCalendar
    now_ns : int
        Present moment, ns UTC.

    Returns
    -------
    date
        Today from 20:00 IST on if the market trades today, else the last market day before.
    """
    today = ist_date(now_ns)
    if calendar.is_market_day(today) and now_ns >= ist_midnight_ns(today) + DUE_MINUTE * NS_PER_MINUTE:
        return today
    return calendar.previous_day(today)


def judge_freshness(
    instance: DagsterInstance,
    keys: Iterable[AssetKey],
    calendar: MarketCalendar,
    due: date,
    newest: date | None,
) -> Freshness:
    """Compare what the tables hold with the day that is due.

    Parameters
    ----------
    instance : DagsterInstance
    keys : iterable of AssetKey
        Partitioned by market day.
    calendar : MarketCalendar
    due : date
        By `due_day`.
    newest : date or None
        Newest day with ideas, up to the due one.

    Returns
    -------
    Freshness
        Late tables in the given order. A table that was never made is not late: nobody has asked for it yet.
    """
    held = {key: days for key in keys if (days := instance.get_materialized_partitions(key))}
    is_live = newest is not None and len(calendar.market_days(newest, due)) <= LIVE_DAYS
    late = tuple(key for key, days in held.items() if is_live and due.isoformat() not in days)
    return Freshness(due, newest, is_live, late, len(held))

"""Is a table as new as the market calendar asks? Dagster's own policies know no holidays."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from dagster import AssetKey, DagsterInstance

from propdesk.core.calendar import MarketCalendar, ist_date, ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE

DUE_MINUTE: Final = 20 * 60
"""20:00 IST: half an hour after the evening true-up."""


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


def missing_assets(instance: DagsterInstance, keys: Iterable[AssetKey], day: date) -> Sequence[AssetKey]:
    """List the assets that hold some day but not ``day``.

    Parameters
    ----------
    instance : DagsterInstance
    keys : iterable of AssetKey
        Partitioned by market day.
    day : date

    Returns
    -------
    sequence of AssetKey
        In the given order. An asset that was never made is not late: nobody has started the pipeline yet.
    """
    late = []
    for key in keys:
        held = instance.get_materialized_partitions(key)
        if held and day.isoformat() not in held:
            late.append(key)
    return late

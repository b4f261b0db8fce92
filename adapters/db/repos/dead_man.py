"""Trading daemons that fell silent in market hours: one look for the sensor and the watchdog (§6.2)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import psycopg

from adapters.db.repos.alerts import Alert, raise_alert
from adapters.db.repos.pipeline import last_heartbeats
from propdesk.core.calendar import MarketCalendar, Segment, ist_date
from propdesk.core.clock import from_ns

SILENT_S: Final = 30
"""A daemon that was silent for longer in market hours is lost."""
_BEFORE_OPEN: Final = timedelta(hours=1)
"""A daemon that lived this shortly before the open was to trade the day."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: how many tasks were to live, and a sentence for each that is silent."""

    watched: int
    silent: tuple[str, ...]


def tell_silent(
    connection: "psycopg.Connection[Any]", calendar: MarketCalendar, now_ns: int, silent_s: int = SILENT_S
) -> Look | None:
    """Store a critical alert for each daemon that has lived today and is silent, once per silence.

    Parameters
    ----------
    connection : psycopg.Connection
        The caller commits.
    calendar : MarketCalendar
    now_ns : int
        Present moment, ns UTC.
    silent_s : int
        Longest silence that is borne, s.

    Returns
    -------
    Look or None
        None outside market hours: then nothing has to live.
    """
    today, now = ist_date(now_ns), from_ns(now_ns)
    if not calendar.is_market_day(today):
        return None
    hours = calendar.hours(today, Segment.DERIVATIVES)
    if not hours.open_ns <= now_ns < hours.close_ns:
        return None
    since = from_ns(hours.open_ns) - _BEFORE_OPEN
    beats = [beat for beat in last_heartbeats(connection) if beat[2] >= since]
    found = []
    for account, component, beat_at in beats:
        if beat_at >= now - timedelta(seconds=silent_s):
            continue
        message = f"{component} of account {account} has been silent since {beat_at:%H:%M:%S} UTC."
        subject = f"{account}/{component}/{beat_at.isoformat()}"
        raise_alert(connection, Alert(account, "HEARTBEAT_LOST", subject, "critical", message, now))
        found.append(message)
    return Look(len(beats), tuple(found))

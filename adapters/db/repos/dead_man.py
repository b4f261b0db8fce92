"""Trading daemons that fell silent in market hours: one look for the sensor and the watchdog (§6.2)."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
_START_S: Final = 300
"""So long after pre-market, or the open, a daemon may take until its first heartbeat."""
_DESK_DAYS: Final = 30
"""Positions of an account made ready within so many days are a desk's; others are of a past replay."""
_EXPECTED: Final = """
    SELECT account_id, max(ready_at) FILTER (WHERE trade_date = %(today)s)
    FROM ref.readiness r
    WHERE trade_date BETWEEN %(since)s AND %(today)s AND (
        (trade_date = %(today)s AND ready_at IS NOT NULL)
        OR EXISTS (
            SELECT FROM trading.trade_groups g
            WHERE g.account_id = r.account_id AND NOT g.is_closed AND NOT g.is_shadow
        )
    )
    GROUP BY account_id ORDER BY account_id"""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: how many tasks were to live, and a sentence for each that is silent or missing."""

    watched: int
    silent: tuple[str, ...]


def tell_silent(
    connection: "psycopg.Connection[Any]", calendar: MarketCalendar, now_ns: int, silent_s: int = SILENT_S
) -> Look | None:
    """Store a critical alert, once per silence, for each daemon that is silent or should live and never did.

    One should live that has lived today, and one of each account that pre-market made ready for today or
    that carries positions.

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
    missing = _missing(connection, {beat[0] for beat in beats}, now, from_ns(hours.open_ns), today)
    for account in missing:
        message = f"No trading daemon of account {account} has lived today; it is ready or carries positions."
        raise_alert(
            connection, Alert(account, "HEARTBEAT_LOST", f"{account}/{today}", "critical", message, now)
        )
        found.append(message)
    return Look(len(beats) + len(missing), tuple(found))


def _missing(
    connection: "psycopg.Connection[Any]", alive: set[str], now: datetime, opened: datetime, today: date
) -> list[str]:
    """List the accounts that a daemon should trade by now and that none has traded today."""
    since = today - timedelta(days=_DESK_DAYS)
    rows = connection.execute(_EXPECTED, {"today": today, "since": since}).fetchall()
    patience = timedelta(seconds=_START_S)
    return [
        name for name, ready in rows if name not in alive and now >= max(opened, ready or opened) + patience
    ]

"""The exchange's calendar: a maintained package plus a dated override file."""

import warnings
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from propdesk.core.calendar import HoursRule, MarketCalendar, Segment
from propdesk.core.errors import ConfigFault

CALENDAR_FILE = Path(__file__).resolve().parents[1] / "config" / "market_calendar.yaml"
_FIRST_YEAR = "2018-01-01"


def load_calendar(override_file: Path = CALENDAR_FILE) -> MarketCalendar:
    """Build the calendar of NSE.

    Parameters
    ----------
    override_file : Path
        YAML with ``hours``, ``special_sessions`` and ``holidays``.

    Returns
    -------
    MarketCalendar
        From 2018 to the last year the package knows.

    Raises
    ------
    ConfigFault
        If the file is missing or malformed.

    Notes
    -----
    ``exchange_calendars``' XBOM equals NSE's published holiday lists but lacks weekend and
    Muhurat sessions and the closing hours since August 2026 (docs/decisions).
    """
    return _load(override_file, override_file.stat().st_mtime_ns if override_file.exists() else 0)


@lru_cache(maxsize=4)
def _load(override_file: Path, _version: int) -> MarketCalendar:
    import exchange_calendars  # 1.3 s to import: only who needs the calendar pays

    try:
        data: dict[str, Any] = yaml.safe_load(override_file.read_text(encoding="utf-8"))
        special = {
            row["date"]: (_minute(row["open"]), _minute(row["close"])) for row in data["special_sessions"]
        }
        hours = [
            HoursRule(
                Segment(row["segment"]),
                row["since"],
                _minute(row["open"]),
                _minute(row["close"]),
                _minute(row["square_off"]),
            )
            for row in data["hours"]
        ]
        closed: set[date] = set(data.get("holidays") or [])
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigFault(f"{override_file} is not a usable market calendar: {error}") from error
    with warnings.catch_warnings():
        # The package still uses a pandas idiom that pandas 3.1 announces to change; not ours to mend.
        warnings.simplefilter("ignore")
        sessions = exchange_calendars.get_calendar("XBOM", start=_FIRST_YEAR).sessions
    days = ({stamp.date() for stamp in sessions} | set(special)) - closed
    return MarketCalendar(sorted(days), hours, special)


def _minute(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)

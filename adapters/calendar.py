"""The exchange's calendar: a maintained package plus a dated override file."""

import warnings
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from propdesk.core.calendar import AuctionRule, HoursRule, MarketCalendar, Segment, SpecialSession
from propdesk.core.errors import ConfigFault

CALENDAR_FILE = Path(__file__).resolve().parents[1] / "config" / "market_calendar.yaml"
_FIRST_YEAR = "2018-01-01"


def load_calendar(override_file: Path = CALENDAR_FILE) -> MarketCalendar:
    """Build the calendar of NSE.

    Parameters
    ----------
    override_file : Path
        YAML with ``hours``, ``closing_auctions``, ``special_sessions``, ``awaiting_hours`` and ``holidays``.

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
    Muhurat sessions, the closing hours and the closing auction since August 2026 (docs/decisions). A
    session under ``awaiting_hours`` is announced without hours: it is no market day until they are
    entered, since trading at guessed hours would be worse than not trading.
    """
    return _load(override_file, override_file.stat().st_mtime_ns if override_file.exists() else 0)


@lru_cache(maxsize=4)
def _load(override_file: Path, _version: int) -> MarketCalendar:
    import exchange_calendars  # 1.3 s to import: only who needs the calendar pays

    try:
        data: dict[str, Any] = yaml.safe_load(override_file.read_text(encoding="utf-8"))
        special = {
            row["date"]: SpecialSession(row["name"], tuple(_part(text) for text in row.get("hours", ())))
            for row in data["special_sessions"]
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
        auctions = [
            AuctionRule(Segment(row["segment"]), row["since"], _minute(row["open"]), _minute(row["close"]))
            for row in data["closing_auctions"]
        ]
        closed: set[date] = set(data.get("holidays") or [])
        waiting = {row["date"] for row in data.get("awaiting_hours") or []}
        if both := sorted(set(special) & (closed | waiting)):
            raise ValueError(f"{both[0]} is a special session and closed at once")
    except (OSError, KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise ConfigFault(f"{override_file} is not a usable market calendar: {error}") from error
    with warnings.catch_warnings():
        # The package still uses a pandas idiom that pandas 3.1 announces to change; not ours to mend.
        warnings.simplefilter("ignore")
        sessions = exchange_calendars.get_calendar("XBOM", start=_FIRST_YEAR).sessions
    days = ({stamp.date() for stamp in sessions} | set(special)) - closed - waiting
    return MarketCalendar(sorted(days), hours, special, auctions)


def _part(text: str) -> tuple[int, int]:
    first, last = text.split("-")
    return _minute(first), _minute(last)


def _minute(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)

"""A small market for tests of the pipeline: minute bars in memory, one signal row at a time."""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from propdesk.core.calendar import HoursRule, MarketCalendar, Segment, ist_date, ist_midnight_ns, weekday_of
from propdesk.core.clock import NS_PER_DAY, NS_PER_MINUTE
from propdesk.ports import BarArrays

FIRST = date(2025, 1, 1)
LAST = date(2025, 4, 30)


def weekdays(first: date = FIRST, last: date = LAST) -> list[date]:
    """Every Monday to Friday."""
    return [
        first + timedelta(days=n)
        for n in range((last - first).days + 1)
        if (first + timedelta(days=n)).weekday() < 5
    ]


def small_calendar(first: date = FIRST, last: date = LAST) -> MarketCalendar:
    """Weekdays, 09:15 to 15:30, square-off 15:10."""
    hours = [HoursRule(segment, date(2000, 1, 1), 555, 930, 910) for segment in Segment]
    return MarketCalendar(weekdays(first, last), hours)


def at(day: date, clock: str) -> int:
    """Moment of an IST wall-clock time, ns UTC."""
    hour, minute = clock.split(":")
    return ist_midnight_ns(day) + (int(hour) * 60 + int(minute)) * NS_PER_MINUTE


def bars(day: date, rows: list[tuple[str, int, int, int, int]], volume: int = 1_000) -> list[tuple[int, ...]]:
    """Minute bars of a day from (clock, open, high, low, close) rows."""
    return [(at(day, clock), *levels, volume) for clock, *levels in rows]


class MemoryPrices:
    """A price source over plain lists of (start, open, high, low, close, volume)."""

    def __init__(
        self,
        minutes: dict[str, list[tuple[int, ...]]],
        daily: dict[str, list[tuple[int, ...]]] | None = None,
        spans: dict[date, list[tuple[int, int]]] | None = None,
    ) -> None:
        self._minutes = minutes
        self._daily = daily or {}
        self._spans = spans or {}

    def minute_bars(self, price_keys: list[str], first: date, last: date) -> dict[str, BarArrays]:
        return self._read(self._minutes, price_keys, first, last, NS_PER_MINUTE)

    def daily_bars(
        self, price_keys: list[str], first: date, last: date, *, from_minutes: bool = True
    ) -> dict[str, BarArrays]:
        return self._read(self._daily, price_keys, first, last, NS_PER_DAY)

    def ticks(
        self, price_keys: list[str], first: date, last: date
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {}

    def outages(self, first: date, last: date) -> dict[date, list[tuple[int, int]]]:
        return {day: spans for day, spans in self._spans.items() if first <= day <= last}

    @staticmethod
    def _read(
        source: dict[str, list[tuple[int, ...]]], keys: list[str], first: date, last: date, interval: int
    ) -> dict[str, BarArrays]:
        found = {}
        for key in keys:
            rows = [row for row in source.get(key, []) if first <= ist_date(row[0]) <= last]
            if rows:
                columns = [np.array(column, np.int64) for column in zip(*sorted(rows), strict=True)]
                found[key] = BarArrays(*columns, interval_ns=interval)
        return found


def signal_row(signal_id: str, day: date, clock: str, **changes: object) -> dict[str, object]:
    """One resolved signal: BUY a stock at 100.00, stop 98.00, target 104.00, intraday."""
    row: dict[str, object] = {
        "trade_date": day,
        "signal_id": signal_id,
        "advisor_id": "A01",
        "category": "NSE_EQ",
        "underlying": "ACME",
        "underlying_key": "NSE_EQ:ACME",
        "instrument_key": "NSE_EQ:ACME",
        "price_key": "NSE_EQ:ACME",
        "side": "BUY",
        "period": "INTRADAY",
        "session": "MORNING",
        "weekday": weekday_of(day),
        "entry_type": "LIMIT",
        "entry_low_paise": 10_000,
        "entry_high_paise": 10_000,
        "stoploss_paise": 9_800,
        "targets_paise": [10_400],
        "group_key": None,
        "duplicate_of": None,
        "copied_from": None,
        "received_at": pd.Timestamp(at(day, clock), unit="ns", tz="UTC"),
        "expiry": None,
        "strike_paise": None,
        "option_type": None,
        "lot_size": 1,
        "tick_paise": 5,
        "series": "EQ",
        "has_derivatives": True,
        "reported_status": None,
        "reported_exit_paise": None,
        "reported_exit_at": None,
    }
    row.update(changes)
    for name in ("entry_low_paise", "entry_high_paise"):
        if row["entry_type"] == "MARKET":
            row[name] = None
    return row


def signal_frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Rows of step 4 as they come from the database."""
    frame = pd.DataFrame(rows)
    for name in (
        "entry_low_paise",
        "entry_high_paise",
        "stoploss_paise",
        "strike_paise",
        "reported_exit_paise",
    ):
        frame[name] = frame[name].astype("Int64")
    return frame


def followup_frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Follow-ups as they come from the database; missing fields are null."""
    blank: dict[str, object] = {
        "trade_date": FIRST,
        "followup_id": "",
        "signal_id": None,
        "kind": "UNCLEAR",
        "received_at": pd.NaT,
        "stoploss_paise": None,
        "targets_paise": [],
        "fraction": None,
    }
    return pd.DataFrame([{**blank, **row} for row in rows], columns=list(blank))

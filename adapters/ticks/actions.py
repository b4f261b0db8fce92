"""Corporate actions of the price store: found in the daily files, or read from a file of a person's."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Final

from adapters.ticks.store import ParquetPriceStore
from propdesk.core.calendar import MarketCalendar
from propdesk.core.errors import SchemaFault
from propdesk.indicators.adjustment import LEAP_RATIO, factor_of_break, likely_factor
from propdesk.model.corporate_action import CorporateAction
from propdesk.model.enums import Category

PREV_CLOSE_SOURCE: Final = "prev_close"
FILE_SOURCE: Final = "file"
KINDS: Final = ("SPLIT", "BONUS", "RIGHTS", "DEMERGER", "DIVIDEND", "OTHER")
FILE_COLUMNS: Final = ("symbol", "ex_date", "factor", "kind", "known_on")
_LOOK_BACK_DAYS: Final = 30
"""Calendar days before the first judged day in which a share's last close is looked for."""
_FACTOR_LEAST, _FACTOR_MOST = Fraction(1, 1000), Fraction(1000)


@dataclass(frozen=True, slots=True)
class Leap:
    """An open far from the close before it that no known event explains; ``factor`` is a guess or None."""

    price_key: str
    day: date
    close_paise: int
    open_paise: int
    factor: Fraction | None


@dataclass(slots=True)
class Findings:
    """What the daily files say.

    Attributes
    ----------
    actions : list of CorporateAction
        Base prices that differ from the close of the market day before.
    unjudged : list of (str, date)
        The same where that day has no row of the share: the difference may be that day's own move.
    leaps : list of Leap
        Of shares whose base price the exchange left as it was.
    """

    actions: list[CorporateAction] = field(default_factory=list)
    unjudged: list[tuple[str, date]] = field(default_factory=list)
    leaps: list[Leap] = field(default_factory=list)


def find_actions(store: ParquetPriceStore, calendar: MarketCalendar, first: date, last: date) -> Findings:
    """Judge the daily rows of a closed interval of days, and of the next stored day after it.

    Parameters
    ----------
    store : ParquetPriceStore
        Daily rows that carry the exchange's previous close count; others name no base price.
    calendar : MarketCalendar
        Tells the market day before each.

    Returns
    -------
    Findings
        By day and share. An event is known on the day after its ex-date: the file is published that evening.
    """
    found = Findings()
    closes: dict[str, tuple[date, int]] = {}
    later = [day for day in store.days("daily") if day > last][:1]
    for day in store.days("daily"):
        if not first - timedelta(days=_LOOK_BACK_DAYS) <= day <= (later[0] if later else last):
            continue
        rows = store.daily_rows(day)
        if day >= first:
            before = calendar.previous_day(day) if day > calendar.first_day else None
            _judge_day(found, day, before, rows, closes)
        for key, _opened, close, _base in rows:
            closes[key] = (day, close)
    return found


def _judge_day(
    found: Findings,
    day: date,
    before: date | None,
    rows: Sequence[tuple[str, int, int, int]],
    closes: dict[str, tuple[date, int]],
) -> None:
    for key, opened, _close, base in rows:
        if base <= 0:
            continue
        if abs(opened - base) >= LEAP_RATIO * base:
            found.leaps.append(Leap(key, day, base, opened, likely_factor(opened, base)))
        if key not in closes:
            continue
        seen, close = closes[key]
        factor = factor_of_break(close, base)
        if factor is None:
            continue
        if seen == before:
            found.actions.append(
                CorporateAction(key, day, factor, "OTHER", PREV_CLOSE_SOURCE, day + timedelta(days=1))
            )
        else:
            found.unjudged.append((key, day))


def refresh_actions(store: ParquetPriceStore, calendar: MarketCalendar, days: Sequence[date]) -> Findings:
    """Judge imported days anew and keep what was found in place of what was found on them before.

    Parameters
    ----------
    days : sequence of date
        Days with new daily rows, rising; not empty.
    """
    first, last = days[0], days[-1]
    with store.writing():
        found = find_actions(store, calendar, first, last)
        after = next((day for day in store.days("daily") if day > last), last)
        kept = [one for one in store.actions_of(PREV_CLOSE_SOURCE) if not first <= one.ex_date <= after]
        store.write_actions(PREV_CLOSE_SOURCE, [*kept, *found.actions])
    return found


def unexplained(found: Findings, known: Sequence[CorporateAction]) -> list[Leap]:
    """Leaps on days for which no event is known."""
    explained = {(one.price_key, one.ex_date) for one in known}
    return [leap for leap in found.leaps if (leap.price_key, leap.day) not in explained]


def read_actions(path: Path) -> list[CorporateAction]:
    """Read a file of corporate actions.

    Parameters
    ----------
    path : Path
        CSV with ``symbol, ex_date, factor`` and, if wished, ``kind, known_on``. The factor is new price / old
        price, ``1/5`` or ``0.2``; 1 says that there was no event. Without ``known_on`` it counts as known on
        the day after the ex-date.

    Raises
    ------
    SchemaFault
        If a row cannot be read: nothing of the file is taken.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SchemaFault(f"{path} is no readable CSV file ({error}); nothing was taken.") from error
    missing = [name for name in FILE_COLUMNS[:3] if not rows or name not in rows[0]]
    if missing:
        raise SchemaFault(f"{path} has no rows or lacks the column {', '.join(missing)}; nothing was taken.")
    return [_action_of(row, number, path) for number, row in enumerate(rows, start=2)]


def _action_of(row: dict[str, str | None], number: int, path: Path) -> CorporateAction:
    cells = {name: (row.get(name) or "").strip() for name in FILE_COLUMNS}
    symbol, kind = "".join(cells["symbol"].split()).upper(), cells["kind"].upper() or "OTHER"
    try:
        ex_date, factor = date.fromisoformat(cells["ex_date"]), Fraction(cells["factor"])
        known_on = date.fromisoformat(cells["known_on"]) if cells["known_on"] else ex_date + timedelta(days=1)
    except (ValueError, ZeroDivisionError) as error:
        raise SchemaFault(f"{path}, line {number}: {error}; nothing was taken.") from error
    if not symbol or kind not in KINDS or not _FACTOR_LEAST <= factor <= _FACTOR_MOST:
        raise SchemaFault(
            f"{path}, line {number}: it needs a symbol, a factor between 1/1000 and 1000 and, if any, a kind "
            f"({', '.join(KINDS)}); nothing was taken."
        )
    key = f"{Category.NSE_EQ.value}:{symbol}"
    return CorporateAction(key, ex_date, factor, kind, FILE_SOURCE, known_on)


def load_actions(store: ParquetPriceStore, path: Path) -> list[CorporateAction]:
    """Take a file's actions into the store; of one share and day the newest file counts."""
    read = read_actions(path)
    with store.writing():
        store.write_actions(FILE_SOURCE, [*store.actions_of(FILE_SOURCE), *read])
    return read


def leaps_csv(leaps: Sequence[Leap]) -> Iterator[tuple[str, str, str, str, str]]:
    """Put leaps into rows of the file format, to be looked at and loaded; an unknown factor is empty."""
    yield ("symbol", "ex_date", "factor", "kind", "known_on")
    for leap in leaps:
        symbol = leap.price_key.removeprefix(f"{Category.NSE_EQ.value}:")
        yield (symbol, leap.day.isoformat(), "" if leap.factor is None else str(leap.factor), "", "")

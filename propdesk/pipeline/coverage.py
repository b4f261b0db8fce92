"""Whether the prices of a day are there that its ideas are judged by."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pandas as pd

from propdesk.core.calendar import ist_text
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.model.enums import ExitReason

EXAMPLES_MAX: Final = 5
ALIVE_COLUMNS: Final = (
    *("trade_date", "price_key", "underlying_key", "exit_reason", "exit_date", "unsettled_date"),
)
"""What `needed_series` reads of research.trades."""

Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class DayPrices:
    """What a price store has of one day.

    Attributes
    ----------
    rows : int
        Of the day's minute file, or of its ticks where it has no minutes; 0 = no file.
    symbols : int
        In that file.
    outages : sequence of (int, int)
        Spans of market hours in which the whole feed was silent for half an hour or longer, ns UTC.
    gaps : mapping of str to sequence of (int, int)
        Per series its silences of a quarter of an hour or longer, ns UTC.
    held : collection of str
        Series with a price of whatever kind on the day.
    """

    rows: int
    symbols: int
    outages: Spans
    gaps: Mapping[str, Spans]
    held: Collection[str]


def needed_series(
    trades: pd.DataFrame, days: Sequence[date]
) -> dict[date, tuple[frozenset[str], frozenset[str]]]:
    """Name the series that the ideas alive on each day are judged by.

    Parameters
    ----------
    trades : DataFrame
        `ALIVE_COLUMNS` of every idea that may be alive on one of the days, older ones included.
    days : sequence of date
        Market days, rising.

    Returns
    -------
    dict
        Per day the price keys of its ideas, and those of what these derive from. An idea is alive from its
        trade date to the day it was over or known to be unsettled; one that never traded on its trade date
        only, for how long it waited is not kept.
    """
    found = {day: (set[str](), set[str]()) for day in days}
    if not len(trades) or not days:
        return {day: (frozenset(), frozenset()) for day in days}
    is_open = trades["exit_reason"].eq(ExitReason.OPEN.value)
    over = trades["exit_date"].fillna(trades["unsettled_date"]).fillna(trades["trade_date"])
    ends = pd.DataFrame(
        {
            "first": trades["trade_date"],
            "last": over.where(~is_open, days[-1]),
            "key": trades["price_key"],
            "under": trades["underlying_key"],
        }
    ).drop_duplicates()
    known = ends[ends["key"].notna()]
    for first, last, key, under in zip(*(known[name] for name in known.columns), strict=True):
        for day in days[bisect_left(days, first) : bisect_right(days, last)]:
            found[day][0].add(key)
            if isinstance(under, str) and under != key:
                found[day][1].add(under)
    return {day: (frozenset(keys), frozenset(under)) for day, (keys, under) in found.items()}


def judge_coverage(
    prices: DayPrices, needed: Collection[str], underlyings: Collection[str]
) -> list[dict[str, Any]]:
    """Judge the prices of one day.

    Parameters
    ----------
    prices : DayPrices
    needed, underlyings : collection of str
        By `needed_series`.

    Returns
    -------
    list of dict
        Per expectation ``expectation, success, is_blocking, count_rows, count_unexpected, examples, error``,
        as of a quality suite. A contract may be silent for long without anything missing; what it derives
        from may not.
    """
    wanted = sorted({*needed, *underlyings})
    missing = [key for key in wanted if key not in prices.held]
    silent = [key for key in sorted(underlyings) if prices.gaps.get(key)]
    minutes = sum(end - begin for begin, end in prices.outages) // NS_PER_MINUTE
    outages = [f"{ist_text(begin)} to {ist_text(end)}" for begin, end in prices.outages]
    no_file = [] if prices.rows else ["no minute bars and no ticks"]
    return [
        _result("day_has_prices", prices.rows, len(no_file), no_file),
        _result("feed_has_no_outage", prices.rows, minutes, outages),
        _result("needed_series_have_prices", len(wanted), len(missing), missing),
        _result("underlyings_have_no_gap", len(underlyings), len(silent), silent),
    ]


def _result(name: str, rows: int, unexpected: int, examples: Sequence[str]) -> dict[str, Any]:
    return {
        "expectation": name,
        "success": unexpected == 0,
        "is_blocking": False,
        "count_rows": rows,
        "count_unexpected": int(unexpected),
        "examples": list(examples[:EXAMPLES_MAX]),
        "error": None,
    }

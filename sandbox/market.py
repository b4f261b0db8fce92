"""Prices that drive a sandbox: a script, or a day of the price store; in time order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.errors import SchemaFault
from propdesk.core.money import price_to_paise
from propdesk.ports import PriceSource

_OFFSETS_NS: Final = (0, 15 * NS_PER_SECOND, 35 * NS_PER_SECOND, 59 * NS_PER_SECOND)
"""Moments within a minute at which a bar's open, first and second extreme, and close are traded."""


@dataclass(frozen=True, slots=True, order=True)
class MarketTick:
    """One traded price; ordered by time, then key."""

    ts_ns: int
    price_key: str
    price_paise: int


class Market:
    """Ticks still to come, in time order."""

    def __init__(self, ticks: Iterable[MarketTick] = ()) -> None:
        self._ticks = sorted(ticks)
        self._next = 0

    def until(self, now_ns: int) -> list[MarketTick]:
        """Take the ticks up to and including a moment."""
        start = self._next
        while self._next < len(self._ticks) and self._ticks[self._next].ts_ns <= now_ns:
            self._next += 1
        return self._ticks[start : self._next]

    def add(self, ticks: Iterable[MarketTick]) -> None:
        """Put further ticks in."""
        self._ticks = sorted([*self._ticks[self._next :], *ticks])
        self._next = 0

    @property
    def next_ns(self) -> int | None:
        """Moment of the next tick; None where none is left."""
        return self._ticks[self._next].ts_ns if self._next < len(self._ticks) else None


def ticks_of_store(store: PriceSource, keys: Sequence[str], day: date) -> list[MarketTick]:
    """Read a day's ticks; a key without ticks gets four a minute from its bars (open, extremes, close).

    The nearer extreme to the open comes first, so that a rising bar dips before it rises.
    """
    traded = store.ticks(keys, day, day)
    found = [
        MarketTick(int(ts), key, int(price))
        for key, (stamps, prices) in traded.items()
        for ts, price in zip(stamps, prices, strict=True)
    ]
    bars = store.minute_bars([key for key in keys if key not in traded], day, day)
    for key, rows in bars.items():
        columns = (rows.start_ns, rows.open_paise, rows.high_paise, rows.low_paise, rows.close_paise)
        for start, opened, high, low, close in zip(*(column.tolist() for column in columns), strict=True):
            extremes = (low, high) if close >= opened else (high, low)
            for offset, price in zip(_OFFSETS_NS, (opened, *extremes, close), strict=True):
                found.append(MarketTick(start + offset, key, price))
    return found


def ticks_of_script(lines: Iterable[dict[str, object]], start_ns: int) -> list[MarketTick]:
    """Read a script: rows of ``at_s`` (seconds after the start), ``key``, ``price`` (rupees).

    Raises
    ------
    SchemaFault
        If a row lacks a field or a price is none.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            at_ns = start_ns + int(float(str(line["at_s"])) * NS_PER_SECOND)
            found.append(MarketTick(at_ns, str(line["key"]), price_to_paise(str(line["price"]))))
        except (KeyError, ValueError, SchemaFault) as error:
            raise SchemaFault(
                f"Row {number} of the script is unusable: it needs at_s, key, price."
            ) from error
    return found

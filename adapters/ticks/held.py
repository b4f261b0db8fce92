"""Prices that are read once and looked at by several."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from adapters.ticks.store import ParquetPriceStore
from propdesk.core.calendar import ist_midnight_ns
from propdesk.ports import BarArrays

Int64Array = NDArray[np.int64]


class HeldPrices:
    """A price store that keeps the minute bars it has read, for the next reader of the same days.

    Parameters
    ----------
    store : ParquetPriceStore
        Where they are read.

    Notes
    -----
    The newest reading that went to the store is kept. One inside it, in keys and days, is answered by parts
    of its arrays; they are shared, so nobody may write into them.
    """

    def __init__(self, store: ParquetPriceStore) -> None:
        self._store = store
        self._asked: tuple[frozenset[str], date, date] | None = None
        self._held: dict[str, BarArrays] = {}

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        """As `ParquetPriceStore.minute_bars`."""
        keys = frozenset(price_keys)
        if self._asked is None or not (
            keys <= self._asked[0] and self._asked[1] <= first and last <= self._asked[2]
        ):
            self._asked, self._held = None, {}  # before the next is read: both at once take twice the memory
            self._held = self._store.minute_bars(price_keys, first, last)
            self._asked = (keys, first, last)
        begin, end = ist_midnight_ns(first), ist_midnight_ns(last + timedelta(days=1))
        parts = {key: _between(self._held[key], begin, end) for key in sorted(keys & self._held.keys())}
        return {key: part for key, part in parts.items() if len(part.start_ns)}

    def ticks(
        self, price_keys: Sequence[str], first: date, last: date
    ) -> dict[str, tuple[Int64Array, Int64Array]]:
        """As `ParquetPriceStore.ticks`; not kept."""
        return self._store.ticks(price_keys, first, last)

    def daily_bars(
        self, price_keys: Sequence[str], first: date, last: date, *, from_minutes: bool = True
    ) -> dict[str, BarArrays]:
        """As `ParquetPriceStore.daily_bars`; not kept."""
        return self._store.daily_bars(price_keys, first, last, from_minutes=from_minutes)

    def outages(self, first: date, last: date) -> dict[date, list[tuple[int, int]]]:
        """As `ParquetPriceStore.outages`."""
        return self._store.outages(first, last)


def _between(bars: BarArrays, begin_ns: int, end_ns: int) -> BarArrays:
    """Give the bars that start in [begin, end): parts of the arrays, no copies."""
    low, high = np.searchsorted(bars.start_ns, (begin_ns, end_ns))
    if low == 0 and high == len(bars.start_ns):
        return bars
    return bars.take(slice(int(low), int(high)))

"""Prices held in memory: the same answers as the store's, and the store is asked only where it must be."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ticks.held import HeldPrices
from adapters.ticks.store import ParquetPriceStore, bars_table
from propdesk.core.calendar import HoursRule, MarketCalendar, Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.ports import BarArrays

FIRST = date(2025, 1, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(5)]
KEYS = ["NSE_EQ:A", "NSE_EQ:B", "NSE_EQ:C"]
OPEN = 9 * 60 + 15
CALENDAR = MarketCalendar(DAYS, [HoursRule(segment, date(2000, 1, 1), OPEN, 930, 910) for segment in Segment])


def bars(day: date, seed: int) -> BarArrays:
    n = 1 + seed % 4
    start = ist_midnight_ns(day) + (OPEN + np.arange(n, dtype=np.int64)) * NS_PER_MINUTE
    close = np.arange(seed * 1_000, seed * 1_000 + n, dtype=np.int64)
    return BarArrays(start, close, close + 9, close - 9, close, close + 1, NS_PER_MINUTE)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> "Counted":
    store = Counted(str(tmp_path_factory.mktemp("prices")), CALENDAR)
    for n, day in enumerate(DAYS[:4]):  # nothing on the last one
        rows = [(key, bars(day, 1 + n + 7 * k)) for k, key in enumerate(KEYS[:2]) if (n + k) % 3]
        store.write_minutes(day, bars_table(rows))
    return store


class Counted(ParquetPriceStore):
    """A store that counts how often it is read."""

    readings = 0

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        self.readings += 1
        return super().minute_bars(price_keys, first, last)


def same(left: dict[str, BarArrays], right: dict[str, BarArrays]) -> None:
    assert left.keys() == right.keys()
    for key, held in left.items():
        for name in ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise", "volume"):
            column = getattr(held, name)
            assert column.tolist() == getattr(right[key], name).tolist()
            assert column.flags.c_contiguous
            assert column.flags.writeable  # else the kernels would be given copies
        assert held.interval_ns == right[key].interval_ns


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(KEYS)), st.integers(0, 4), st.integers(0, 4)),
        min_size=1,
        max_size=6,
    )
)
def test_any_series_of_questions_is_answered_as_by_the_store(
    store: Counted, asked: list[tuple[set[str], int, int]]
) -> None:
    held = HeldPrices(store)
    for keys, one, other in asked:
        first, last = DAYS[min(one, other)], DAYS[max(one, other)]
        same(held.minute_bars(sorted(keys), first, last), store.minute_bars(sorted(keys), first, last))


def test_what_is_held_is_not_read_again(store: Counted) -> None:
    held, before = HeldPrices(store), store.readings
    held.minute_bars(KEYS, DAYS[0], DAYS[3])
    held.minute_bars(KEYS[:1], DAYS[1], DAYS[2])
    held.minute_bars([], DAYS[0], DAYS[0])
    assert store.readings == before + 1
    held.minute_bars(KEYS, DAYS[1], DAYS[4])  # beyond
    held.minute_bars([*KEYS, "NSE_EQ:D"], DAYS[1], DAYS[4])  # a key of which nothing is known
    assert store.readings == before + 3
    held.minute_bars(["NSE_EQ:D"], DAYS[1], DAYS[4])
    assert store.readings == before + 3


def test_the_rest_is_the_stores(store: Counted) -> None:
    held = HeldPrices(store)
    same(held.daily_bars(KEYS, DAYS[0], DAYS[4]), store.daily_bars(KEYS, DAYS[0], DAYS[4]))
    assert held.daily_bars(KEYS, DAYS[0], DAYS[4], from_minutes=False) == {}
    assert held.ticks(KEYS, DAYS[0], DAYS[4]) == {}
    assert held.outages(DAYS[0], DAYS[4]) == store.outages(DAYS[0], DAYS[4])
    assert held.outages(DAYS[0], DAYS[4])

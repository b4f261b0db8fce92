from collections.abc import Sequence
from datetime import date

import numpy as np

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.ports import BarArrays
from trading_daemon.feeds import ReplayFeed

DAY = date(2025, 7, 1)


class Prices:
    """Two series; the second has a gap."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, ...]] = []

    def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
        assert first == last == DAY
        self.reads.append(tuple(price_keys))
        minutes = {"A": [0, 1, 2], "B": [0, 2]}
        return {key: _bars(minutes[key]) for key in price_keys if key in minutes}

    def ticks(self, *_: object) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        raise AssertionError("a replay of bars asks for no ticks")

    def daily_bars(self, *_: object) -> dict[str, BarArrays]:
        raise AssertionError("a replay asks for no daily bars")


def _bars(minutes: list[int]) -> BarArrays:
    start = np.array(minutes, np.int64) * NS_PER_MINUTE
    price = np.array(minutes, np.int64) + 100
    return BarArrays(start, price, price, price, price, price, NS_PER_MINUTE)


def test_only_followed_series_are_delivered_and_only_complete_bars() -> None:
    feed = ReplayFeed(Prices(), DAY)
    assert feed.ending(NS_PER_MINUTE) == ()
    feed.follow(["B", "A"])
    assert [bar.price_key for bar in feed.ending(NS_PER_MINUTE)] == ["A", "B"]
    assert [bar.price_key for bar in feed.ending(2 * NS_PER_MINUTE)] == ["A"]


def test_the_latest_bar_is_known_at_its_end_only() -> None:
    feed = ReplayFeed(Prices(), DAY)
    assert feed.latest("B", NS_PER_MINUTE - 1) is None
    first = feed.latest("B", NS_PER_MINUTE)
    later = feed.latest("B", 3 * NS_PER_MINUTE - 1)
    assert first == later
    assert first is not None
    assert first.start_ns == 0
    assert feed.latest("unknown", 10 * NS_PER_MINUTE) is None


def test_a_series_is_read_once() -> None:
    prices = Prices()
    feed = ReplayFeed(prices, DAY)
    feed.load(["A", "B"])
    feed.follow(["A"])
    feed.latest("B", 5)
    assert prices.reads == [("A", "B")]

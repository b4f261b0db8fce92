import threading
from collections.abc import Sequence
from datetime import date
from typing import ClassVar

import numpy as np
import pytest

from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND, ManualClock
from propdesk.intake.minutes import LATE_NS, MinuteBook, PriceSeen
from propdesk.model.messages import BarObserved
from propdesk.ports import BarArrays
from trading_daemon.feeds import GRACE_NS, LAST_GRACE_NS, FilledPrices, PastFeed, ReplayFeed, StoreFeed
from trading_daemon.ports import MinuteClosed

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


# ------------------------------------------------------------ the running day

OPEN, CLOSE = 10, 15
"""Session of these tests, minutes since the epoch."""


class Growing:
    """A store that a recorder fills: a minute's bar is there some seconds after its end."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.reads = 0

    def minute_bars(self, price_keys: Sequence[str], _first: date, _last: date) -> dict[str, BarArrays]:
        self.reads += 1
        complete = (self.clock.now_ns() - NS_PER_SECOND) // NS_PER_MINUTE
        return {key: _bars(list(range(OPEN, complete))) for key in price_keys if complete > OPEN}

    def ticks(self, *_: object) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        raise AssertionError("a feed of bars asks for no ticks")

    def daily_bars(self, *_: object) -> dict[str, BarArrays]:
        raise AssertionError("a feed of bars asks for no daily bars")


class Slept(Exception):
    """The feed waits; the test looks at what it has reported so far."""


def minute(number: float) -> int:
    return int(number * NS_PER_MINUTE)


def running(clock: ManualClock, prices: Growing, *, late_s: int = 0, done: int = 0) -> StoreFeed:
    """A feed whose every wait lasts ``late_s`` seconds longer than asked for."""

    async def sleep(seconds: float) -> None:
        clock.advance_to(clock.now_ns() + round(seconds * NS_PER_SECOND) + late_s * NS_PER_SECOND)

    return StoreFeed(prices, DAY, clock, minute(OPEN), minute(CLOSE), done_ns=minute(done), sleep=sleep)


async def take(feed: StoreFeed, count: int) -> list[MinuteClosed]:
    found = []
    async for one in feed.minutes():
        found.append(one)
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize("late_s", [0, 45, 61, 150, 1_000])
async def test_minutes_follow_one_another_without_a_gap_however_late_the_loop_is(late_s: int) -> None:
    clock = ManualClock(minute(OPEN - 3))
    feed = running(clock, Growing(clock), late_s=late_s)
    feed.follow(["A"])
    found = await take(feed, CLOSE - OPEN)
    assert [one.end_ns for one in found] == [minute(n) for n in range(OPEN + 1, CLOSE + 1)]
    assert [[bar.start_ns for bar in one.bars] for one in found] == [[minute(n)] for n in range(OPEN, CLOSE)]
    assert [one.is_last for one in found] == [False] * (CLOSE - OPEN - 1) + [True]


async def test_a_minute_is_reported_once_its_bar_must_have_been_written() -> None:
    clock = ManualClock(minute(OPEN + 1))
    await take(running(clock, Growing(clock)), 1)
    assert clock.now_ns() == minute(OPEN + 1) + GRACE_NS


def test_after_a_downtime_every_minute_since_the_last_one_is_missed() -> None:
    clock = ManualClock(minute(CLOSE - 1) + GRACE_NS - 1)
    prices = Growing(clock)
    feed = running(clock, prices, done=OPEN + 1)
    feed.follow(["A"])
    prices.reads = 0
    assert [one.end_ns for one in feed.missed()] == [minute(OPEN + 2), minute(OPEN + 3)]
    assert prices.reads == 1, "late minutes are in the store already"
    assert list(feed.missed()) == []
    clock.advance_to(minute(CLOSE + 60))
    last = list(feed.missed())
    assert [one.end_ns for one in last] == [minute(CLOSE - 1), minute(CLOSE)]
    assert [len(one.bars) for one in last] == [1, 1], "the store is read anew for what it lacked before"
    assert last[-1].is_last


class Late(Growing):
    """One minute's bar is written five seconds after its end, when its minute is reported already."""

    def minute_bars(self, price_keys: Sequence[str], _first: date, _last: date) -> dict[str, BarArrays]:
        self.reads += 1
        late = {OPEN + 1: 5}
        ends = [(n, minute(n + 1) + late.get(n, 1) * NS_PER_SECOND) for n in range(OPEN, CLOSE)]
        have = [n for n, written_ns in ends if written_ns <= self.clock.now_ns()]
        return {key: _bars(have) for key in price_keys if have}


async def test_a_bar_that_is_written_late_goes_out_with_the_next_minute_once() -> None:
    clock = ManualClock(minute(OPEN))
    feed = running(clock, Late(clock))
    feed.follow(["A"])
    found = await take(feed, CLOSE - OPEN)
    assert [[bar.start_ns for bar in one.bars] for one in found] == [
        [minute(OPEN)],
        [],
        [minute(OPEN + 1), minute(OPEN + 2)],
        [minute(OPEN + 3)],
        [minute(OPEN + 4)],
    ]


def test_a_bar_that_was_late_when_the_process_died_is_delivered_after_the_restart() -> None:
    clock = ManualClock(minute(OPEN + 3) + GRACE_NS)
    feed = running(clock, Late(clock), done=OPEN + 2)
    feed.follow(["A"])
    feed.resume({"A": minute(OPEN + 1), "B": minute(OPEN)})
    (one,) = feed.missed()
    assert [bar.start_ns for bar in one.bars] == [minute(OPEN + 1), minute(OPEN + 2)]


class LastLate(Growing):
    """The session's last bar of A is written so many seconds after its end; B trades no more at the end."""

    late_s = 20

    def minute_bars(self, price_keys: Sequence[str], _first: date, _last: date) -> dict[str, BarArrays]:
        self.reads += 1
        late = {CLOSE - 1: self.late_s}
        ends = [(n, minute(n + 1) + late.get(n, 1) * NS_PER_SECOND) for n in range(OPEN, CLOSE)]
        have = [n for n, written_ns in ends if written_ns <= self.clock.now_ns()]
        minutes = {"A": have, "B": [n for n in have if n < CLOSE - 2]}
        return {key: _bars(minutes[key]) for key in price_keys if minutes[key]}


async def test_the_last_minute_waits_for_the_bar_that_is_not_there_yet() -> None:
    clock = ManualClock(minute(CLOSE - 1))
    feed = running(clock, LastLate(clock), done=CLOSE - 1)
    feed.follow(["A"])
    (last,) = await take(feed, 1)
    assert last.is_last
    assert [bar.start_ns for bar in last.bars] == [minute(CLOSE - 1)]
    assert clock.now_ns() == minute(CLOSE) + LastLate.late_s * NS_PER_SECOND


@pytest.mark.parametrize("late_s", [LastLate.late_s, 3_600])
async def test_the_last_minute_waits_no_longer_than_it_may(
    late_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LastLate, "late_s", late_s)
    clock = ManualClock(minute(CLOSE - 1))
    feed = running(clock, LastLate(clock), done=CLOSE - 1)
    feed.follow(["A", "B"])
    (last,) = await take(feed, 1)
    assert clock.now_ns() == minute(CLOSE) + LAST_GRACE_NS, "nobody can say that B has no last bar"
    assert len(last.bars) == (late_s < 60)
    assert last.is_last


def test_a_start_leaves_the_last_minute_to_the_running_day_while_it_waits() -> None:
    clock = ManualClock(minute(CLOSE) + GRACE_NS)
    feed = running(clock, LastLate(clock), done=CLOSE - 2)
    feed.follow(["A"])
    assert [one.end_ns for one in feed.missed()] == [minute(CLOSE - 1)]
    clock.advance_to(minute(CLOSE) + LAST_GRACE_NS)
    (last,) = feed.missed()
    assert [bar.start_ns for bar in last.bars] == [minute(CLOSE - 1)]


def test_a_past_day_goes_on_after_the_last_bar_of_each_series() -> None:
    feed = PastFeed(Prices(), DAY, 2 * NS_PER_MINUTE)
    feed.follow(["A", "B"])
    feed.resume({"A": NS_PER_MINUTE, "B": 0})
    found = [(bar.price_key, bar.start_ns // NS_PER_MINUTE) for bar in feed.close(3 * NS_PER_MINUTE)]
    assert found == [("B", 0), ("A", 1), ("A", 2), ("B", 2)]
    assert feed.close(4 * NS_PER_MINUTE) == ()


async def test_a_series_followed_later_brings_no_history_along() -> None:
    clock = ManualClock(minute(OPEN))
    feed = running(clock, Growing(clock))
    await take(feed, 2)
    feed.follow(["A"])
    (one,) = await take(feed, 1)
    assert [bar.start_ns for bar in one.bars] == [minute(OPEN + 2)]


async def test_the_store_is_read_outside_the_event_loop() -> None:
    class Watched(Growing):
        threads: ClassVar[set[int]] = set()

        def minute_bars(self, price_keys: Sequence[str], first: date, last: date) -> dict[str, BarArrays]:
            self.threads.add(threading.get_ident())
            return super().minute_bars(price_keys, first, last)

    clock = ManualClock(minute(OPEN))
    feed = running(clock, Watched(clock))
    feed.follow(["A"])
    Watched.threads.clear()
    assert len(await take(feed, 3)) == 3
    assert Watched.threads
    assert threading.get_ident() not in Watched.threads


def test_before_the_open_nothing_is_missed() -> None:
    clock = ManualClock(minute(OPEN))
    assert list(running(clock, Growing(clock)).missed()) == []


# ------------------------------------------------------------ a watched day


def test_what_was_seen_fills_the_minutes_that_the_store_lacks() -> None:
    seen = {"B": _bars([0, 1, 3]), "C": _bars([2])}
    seen["B"].close_paise[:] = 7
    found = FilledPrices(Prices(), seen.get).minute_bars(["A", "B", "C", "D"], DAY, DAY)
    assert {key: (one.start_ns // NS_PER_MINUTE).tolist() for key, one in found.items()} == {
        "A": [0, 1, 2],
        "B": [0, 1, 2, 3],
        "C": [2],
    }
    assert found["B"].close_paise.tolist() == [100, 7, 102, 7], (
        "of a minute that both have the store's counts"
    )


def test_whoever_watches_is_told_what_is_followed() -> None:
    told: list[Sequence[str]] = []
    clock = ManualClock(minute(OPEN))
    feed = StoreFeed(Growing(clock), DAY, clock, minute(OPEN), minute(CLOSE), on_follow=told.append)
    feed.follow(["A", "B"])
    assert told == [["A", "B"]]


async def test_nothing_told_before_the_open_and_every_late_trade_reaches_the_decider() -> None:
    """Two minutes before the open orders are collected; a trade is told 3 s after the end of its minute."""
    open_ns, close_ns = minute(OPEN), minute(CLOSE)
    book = MinuteBook(lambda _key: ((open_ns, close_ns),))
    clock = ManualClock(open_ns - 5 * NS_PER_MINUTE)
    feed = StoreFeed(FilledPrices(Prices(), book.bars), DAY, clock, open_ns, close_ns)
    feed.follow(["X"])
    feed.resume({"X": 0})  # carried, without a bar today
    delivered: list[BarObserved] = []
    minutes = feed.minutes()
    for told_s, traded_s, price in (
        (-120, -120, 5_000),
        (65, 65, 10_000),
        (123, 119, 9_700),
        (130, 130, 9_990),
    ):
        while clock.now_ns() < open_ns + told_s * NS_PER_SECOND:
            clock.advance_to(min(_due(feed), open_ns + told_s * NS_PER_SECOND))
            if clock.now_ns() == _due(feed):
                delivered += (await anext(minutes)).bars
        at_ns, traded_ns = (open_ns + second * NS_PER_SECOND for second in (told_s, traded_s))
        book.add(PriceSeen("X", at_ns, traded_ns, price, told_s + 1_000))
    clock.advance_to(_due(feed))
    delivered += (await anext(minutes)).bars
    assert [((bar.start_ns - open_ns) // NS_PER_MINUTE, bar.low_paise) for bar in delivered] == [
        (1, 10_000),
        (2, 9_700),
    ]
    assert LATE_NS < GRACE_NS, "what is told before a bar is handed on must be in it"


def _due(feed: StoreFeed) -> int:
    return feed._due_ns

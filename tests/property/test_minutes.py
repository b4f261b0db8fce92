"""Minutes of a feed: the same from one go, from any parts, and from what was written between them."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND
from propdesk.intake.minutes import UNKNOWN, MinuteBook, MinuteSeen, PriceSeen, cut_off, join

DAY_NS = 20_000 * 24 * 60 * NS_PER_MINUTE
KEYS = ("NSE_EQ:TCS", "INDEX:NIFTY")


@st.composite
def quotes(draw: st.DrawFn) -> list[PriceSeen]:
    """Draw what a feed tells in a few minutes, as heard: late trades, empty books, unknown volumes."""
    found = []
    now_ns = DAY_NS
    for step in draw(st.lists(st.integers(0, 50), min_size=1, max_size=40)):
        now_ns += step * NS_PER_SECOND
        ago_s = draw(st.none() | st.integers(-5, 200))
        paise = st.just(UNKNOWN) | st.integers(1, 30)
        found.append(
            PriceSeen(
                draw(st.sampled_from(KEYS)),
                now_ns,
                None if ago_s is None else now_ns - ago_s * NS_PER_SECOND,
                draw(st.integers(1, 20)),
                draw(st.just(UNKNOWN) | st.integers(0, 1_000)),
                draw(paise),
                draw(paise),
            )
        )
    return found


def book_of(told: Sequence[PriceSeen]) -> MinuteBook:
    book = empty_book()
    for one in told:
        book.add(one)
    return book


def empty_book() -> MinuteBook:
    return MinuteBook(DAY_NS, DAY_NS + 24 * 60 * NS_PER_MINUTE)


def by_place(minutes: Sequence[MinuteSeen]) -> dict[tuple[str, int], MinuteSeen]:
    """As a log is read: of two of one minute the later one counts."""
    return {(one.price_key, one.start_ns): one for one in minutes}


def prices(minutes: Sequence[MinuteSeen]) -> set[tuple[object, ...]]:
    """What must not depend on breaks: everything but how long was watched."""
    return {
        (
            one.price_key, one.start_ns, one.open_paise, one.high_paise, one.low_paise, one.close_paise,
            one.volume_to, one.bid_paise, one.ask_paise,
        )
        for one in minutes
    }  # fmt: skip


@given(quotes(), st.lists(st.integers(0, 40)))
def test_what_is_written_in_any_portions_is_what_one_go_gives(told: list[PriceSeen], cuts: list[int]) -> None:
    whole = book_of(told).take_unwritten()
    book, written = empty_book(), []
    for place, one in enumerate(told):
        book.add(one)
        if place in cuts:
            written += book.take_unwritten()
    written += book.take_unwritten()
    assert by_place(written) == by_place(whole)


@given(quotes(), st.integers(0, 40))
def test_a_new_life_that_takes_up_the_log_gives_the_same_prices(told: list[PriceSeen], cut: int) -> None:
    first, second = book_of(told[:cut]), empty_book()
    log = first.take_unwritten()
    second.restore(cut_off(by_place(log).values(), told[min(max(cut, 1), len(told)) - 1].seen_ns))
    for one in told[cut:]:
        second.add(one)
    log += second.take_unwritten()
    assert prices(list(by_place(log).values())) == prices(book_of(told).take_unwritten())


@given(quotes())
def test_bars_are_those_of_a_plain_reading(told: list[PriceSeen]) -> None:
    book = book_of(told)
    for key in KEYS:
        trades: dict[int, list[int]] = {}
        for one in told:
            heard = one.seen_ns // NS_PER_MINUTE
            traded = heard if one.traded_ns is None else one.traded_ns // NS_PER_MINUTE
            if one.price_key == key and abs(traded - heard) <= 1 and traded * NS_PER_MINUTE >= DAY_NS:
                trades.setdefault(traded, []).append(one.price_paise)
        bars = book.bars(key)
        if not trades:
            assert bars is None
            continue
        assert bars is not None
        minutes = sorted(trades)
        assert (bars.start_ns // NS_PER_MINUTE).tolist() == minutes
        assert bars.open_paise.tolist() == [trades[m][0] for m in minutes]
        assert bars.high_paise.tolist() == [max(trades[m]) for m in minutes]
        assert bars.low_paise.tolist() == [min(trades[m]) for m in minutes]
        assert bars.close_paise.tolist() == [trades[m][-1] for m in minutes]


@given(quotes(), st.integers(1, 5))
def test_joining_parts_does_not_depend_on_how_they_are_bracketed(told: list[PriceSeen], size: int) -> None:
    parts: dict[tuple[str, int], list[MinuteSeen]] = {}
    for start in range(0, len(told), size):
        for one in book_of(told[start : start + size]).take_unwritten():
            parts.setdefault((one.price_key, one.start_ns), []).append(one)
    for several in parts.values():
        from_the_right = reduce(lambda later, earlier: join(earlier, later), reversed(several))
        assert reduce(join, several) == from_the_right


@given(st.lists(st.integers(0, 100), min_size=2, max_size=30))
def test_volumes_add_up_to_what_the_day_counted_while_nothing_was_missed(rises: list[int]) -> None:
    counted = np.cumsum(rises)
    told = [
        PriceSeen(KEYS[0], at := DAY_NS + place * 20 * NS_PER_SECOND, at, 5, int(total))
        for place, total in enumerate(counted)
    ]
    bars = book_of(told).bars(KEYS[0])
    assert bars is not None
    assert bars.volume[0] == UNKNOWN  # what had traded in its minute before the first quote nobody told
    assert bars.volume[1:].sum() == counted[-1] - counted[min(2, len(counted) - 1)]


def test_a_bar_after_a_break_has_no_volume_and_the_minutes_around_it_are_not_whole() -> None:
    book = empty_book()
    for minute, total in enumerate((10, 30, 60)):
        at = DAY_NS + minute * NS_PER_MINUTE
        book.add(PriceSeen(KEYS[0], at, at, 5, total))
    book.break_off(DAY_NS + 2 * NS_PER_MINUTE + 10 * NS_PER_SECOND)
    for minute, total in ((3, 70), (4, 90)):
        at = DAY_NS + minute * NS_PER_MINUTE + 30 * NS_PER_SECOND
        book.add(PriceSeen(KEYS[0], at, at, 5, total))
    bars = book.bars(KEYS[0])
    assert bars is not None
    assert bars.volume.tolist() == [UNKNOWN, 20, UNKNOWN, UNKNOWN, 20]
    whole = [one.is_whole for one in sorted(book.take_unwritten(), key=lambda one: one.start_ns)]
    assert whole == [True, True, False, False, True]


def test_a_log_that_can_be_read_late_only_comes_before_what_was_seen_meanwhile() -> None:
    earlier, book = empty_book(), empty_book()
    earlier.add(PriceSeen(KEYS[0], DAY_NS, None, 7, bid_paise=6))
    book.add(PriceSeen(KEYS[0], DAY_NS + 40 * NS_PER_SECOND, None, 5))
    book.restore(cut_off(earlier.take_unwritten(), DAY_NS + NS_PER_SECOND))
    (minute,) = book.take_unwritten()
    assert (minute.open_paise, minute.close_paise, minute.bid_paise) == (7, 5, 6)
    assert not minute.is_whole


def test_of_what_waits_too_long_the_oldest_is_given_up_and_counted() -> None:
    book = MinuteBook(DAY_NS, DAY_NS + 24 * 60 * NS_PER_MINUTE, unwritten_max=2)
    for minute in range(4):
        book.add(PriceSeen(KEYS[0], DAY_NS + minute * NS_PER_MINUTE, None, 5))
    taken = book.take_unwritten()
    assert [one.start_ns - DAY_NS for one in taken] == [2 * NS_PER_MINUTE, 3 * NS_PER_MINUTE]
    assert book.given_up == 2
    book.add(PriceSeen(KEYS[0], DAY_NS + 4 * NS_PER_MINUTE, None, 5))
    book.give_back(taken)
    left = [one.start_ns - DAY_NS for one in book.take_unwritten()]
    assert left == [3 * NS_PER_MINUTE, 4 * NS_PER_MINUTE]
    assert book.given_up == 3


@pytest.mark.parametrize("ago_s", [121, -121])
def test_a_trade_of_another_time_is_no_bar_but_its_book_is_kept(ago_s: int) -> None:
    book = empty_book()
    now_ns = DAY_NS + 10 * NS_PER_MINUTE
    book.add(PriceSeen(KEYS[0], now_ns, now_ns - ago_s * NS_PER_SECOND, 5, bid_paise=4, ask_paise=6))
    assert book.bars(KEYS[0]) is None
    assert book.old_trades == 1
    assert [(one.bid_paise, one.ask_paise, one.is_traded) for one in book.take_unwritten()] == [(4, 6, False)]


def test_what_belongs_to_another_day_is_left_out() -> None:
    book = empty_book()
    book.add(PriceSeen(KEYS[0], DAY_NS - 1, None, 5))
    book.add(PriceSeen(KEYS[0], DAY_NS + 24 * 60 * NS_PER_MINUTE, None, 5))
    assert book.take_unwritten() == []

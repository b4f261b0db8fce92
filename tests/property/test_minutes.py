"""Minutes of a feed: the same from one go, from any parts, and from what was written between them."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND
from propdesk.intake.minutes import UNKNOWN, MinuteBook, MinuteSeen, PriceSeen, bars_of, cut_off, join

DAY_NS = 20_000 * 24 * 60 * NS_PER_MINUTE
PARTS = ((DAY_NS, DAY_NS + 24 * 60 * NS_PER_MINUTE),)
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


def empty_book(unwritten_max: int = 1_000) -> MinuteBook:
    return MinuteBook(lambda _key: PARTS, unwritten_max=unwritten_max)


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
    second.restore(cut_off(by_place(log).values(), first.watch[1] if first.watch else 0))
    for one in told[cut:]:
        second.add(one)
    log += second.take_unwritten()
    assert prices(list(by_place(log).values())) == prices(book_of(told).take_unwritten())


@given(quotes())
def test_bars_are_those_of_a_plain_reading(told: list[PriceSeen]) -> None:
    book = book_of(told)
    for key in KEYS:
        trades: dict[int, list[PriceSeen]] = {}
        for one in told:
            if one.price_key != key or one.traded_ns is None:
                continue
            heard, traded = one.seen_ns // NS_PER_MINUTE, one.traded_ns // NS_PER_MINUTE
            if abs(traded - heard) > 1 or traded * NS_PER_MINUTE < DAY_NS:
                continue
            if one.seen_ns > (traded + 1) * NS_PER_MINUTE + NS_PER_SECOND and traded in trades:
                if shown([*trades[traded], one]) == shown(trades[traded]):
                    continue
                traded = heard
            trades.setdefault(traded, []).append(one)
        bars = book.bars(key)
        if not trades:
            assert bars is None
            continue
        assert bars is not None
        minutes = sorted(trades)
        assert (bars.start_ns // NS_PER_MINUTE).tolist() == minutes
        columns = (bars.open_paise, bars.high_paise, bars.low_paise, bars.close_paise)
        expected = [shown(trades[minute])[:4] for minute in minutes]
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected


def shown(trades: list[PriceSeen]) -> tuple[int, ...]:
    """Open, high, low, close and the day's volume of some trades."""
    prices = [one.price_paise for one in trades]
    return prices[0], max(prices), min(prices), prices[-1], max(one.volume for one in trades)


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
        PriceSeen(KEYS[0], at := DAY_NS + place * 12 * NS_PER_SECOND, at, 5, int(total))
        for place, total in enumerate(counted)
    ]
    book = book_of(told)
    bars = book.bars(KEYS[0])
    assert bars is not None
    assert bars.volume[0] == UNKNOWN  # what had traded in its minute before the first quote nobody told
    assert bars.volume[1:].sum() == counted[-1] - counted[min(4, len(counted) - 1)]
    kept = bars_of(sorted(book.take_unwritten(), key=lambda one: one.start_ns))
    assert kept.volume.tolist() == bars.volume.tolist()


def at(minute: int, second: int = 0) -> int:
    return DAY_NS + minute * NS_PER_MINUTE + second * NS_PER_SECOND


def beat(book: MinuteBook, first: int, last: int) -> None:
    """Let another series be heard every ten seconds of [first, last) in seconds of the day."""
    for second in range(first, last, 10):
        book.add(PriceSeen(KEYS[1], at(0, second), None, 0))


def whole_minutes(book: MinuteBook) -> list[bool]:
    found = [one for one in book.take_unwritten() if one.price_key == KEYS[0]]
    return [one.is_whole for one in sorted(found, key=lambda one: one.start_ns)]


def test_a_bar_after_a_break_has_no_volume_and_the_minutes_around_it_are_not_whole() -> None:
    book = empty_book()
    for minute, total in enumerate((10, 30, 60)):
        book.add(PriceSeen(KEYS[0], at(minute), at(minute), 5, total))
        beat(book, 60 * minute, 60 * minute + 60 if minute < 2 else 130)
    book.break_off()
    for minute, total in ((3, 70), (4, 90)):
        beat(book, 210 if minute == 3 else 240, 60 * minute + 30)
        book.add(PriceSeen(KEYS[0], at(minute, 30), at(minute, 30), 5, total))
        beat(book, 60 * minute + 30, 60 * minute + 60)
    bars = book.bars(KEYS[0])
    assert bars is not None
    assert bars.volume.tolist() == [UNKNOWN, 20, UNKNOWN, UNKNOWN, 20]
    assert whole_minutes(book) == [True, True, False, False, True]


@pytest.mark.parametrize(("hole_s", "is_whole"), [(15, True), (16, False)])
def test_a_hole_in_what_is_heard_is_a_break_of_all_series(*, hole_s: int, is_whole: bool) -> None:
    book = empty_book()
    book.add(PriceSeen(KEYS[0], at(0), at(0), 5))
    beat(book, 0, 31)
    beat(book, 30 + hole_s, 60)
    assert book.watch == (at(0) if is_whole else at(0, 30 + hole_s), at(0, 50 + hole_s % 10))
    book.add(PriceSeen(KEYS[1], at(1), None, 0))
    assert whole_minutes(book) == [is_whole]


@pytest.mark.parametrize(("quiet_s", "is_whole"), [(60, True), (61, False)])
def test_the_watch_of_a_series_that_went_quiet_ends_alone(*, quiet_s: int, is_whole: bool) -> None:
    book = empty_book()
    for second in range(80):
        if second in (0, quiet_s):
            book.add(PriceSeen(KEYS[0], at(0, second), at(0, second), 5))
        book.add(PriceSeen(KEYS[1], at(0, second), at(0, second), 7))
    found = book.take_unwritten()
    newest = {key: max(one.since_ns for one in found if one.price_key == key) for key in KEYS}
    assert newest == {KEYS[0]: at(0) if is_whole else at(0, quiet_s), KEYS[1]: at(0)}
    assert book.watch == (at(0), at(0, 79))


def test_a_series_of_which_nothing_more_is_told_is_marked_in_its_last_minute() -> None:
    book = empty_book()
    book.add(PriceSeen(KEYS[0], at(0), at(0), 5))
    for second in range(0, 70, 5):
        book.add(PriceSeen(KEYS[1], at(0, second), at(0, second), 7))
    (minute,) = [one for one in book.take_unwritten() if one.price_key == KEYS[0]]
    assert (minute.since_ns, minute.is_broken) == (at(1, 5), True)


def test_a_series_may_be_quiet_outside_its_session() -> None:
    book = MinuteBook(lambda _key: ((at(10), at(20)), (at(30), at(40))))
    for second in range(9 * 60, 31 * 60, 5):
        book.add(PriceSeen(KEYS[1], at(0, second), None, 0))
        if not (20 * 60 <= second < 30 * 60 + 5 or (second < 10 * 60 + 55 and second > 9 * 60)):
            book.add(PriceSeen(KEYS[0], at(0, second), at(0, second), 5))
    assert {one.since_ns for one in book.take_unwritten()} == {at(9)}


@pytest.mark.parametrize(("ago_s", "is_lost"), [(59, False), (130, True), (-130, True)])
def test_a_trade_that_is_told_too_late_for_a_bar_ends_the_watch_of_its_series(
    *, ago_s: int, is_lost: bool
) -> None:
    book = empty_book()
    for second in range(0, 400, 10):
        book.add(PriceSeen(KEYS[1], at(0, second), at(0, second), 7))
        book.add(PriceSeen(KEYS[0], at(0, second), at(0, second) if second < 200 else at(0, 190), 5))
    for _ in range(3):  # told again with each change of its book
        book.add(PriceSeen(KEYS[0], at(0, 395), at(0, 395 - ago_s), 3))
    assert (book.lost_trades > 0) is is_lost
    assert book.lost_trades == (0 if not is_lost else 1 if ago_s > 0 else 3)
    assert book.old_trades > 0
    found = book.take_unwritten()
    last = max((one for one in found if one.price_key == KEYS[0]), key=lambda one: one.start_ns)
    assert last.is_broken is is_lost
    assert last.since_ns == (at(0, 395) if is_lost else at(0))
    assert max(one.since_ns for one in found if one.price_key == KEYS[1]) == at(0)


def test_an_old_trade_of_before_the_watch_or_of_no_session_is_not_lost() -> None:
    book = MinuteBook(lambda _key: ((at(10), at(20)),))
    book.add(PriceSeen(KEYS[0], at(8), at(1), 5))  # the day before, as it were
    book.add(PriceSeen(KEYS[0], at(8, 10), at(5), 5))  # nobody could trade
    book.add(PriceSeen(KEYS[1], at(15), at(12), 5))
    book.break_off()
    book.add(PriceSeen(KEYS[1], at(16), at(13), 5))  # of the hole, which is known as one
    assert (book.old_trades, book.lost_trades) == (4, 0)


def test_a_clock_that_was_set_back_is_a_break() -> None:
    book = empty_book()
    book.add(PriceSeen(KEYS[0], at(0, 30), at(0, 30), 5))
    book.add(PriceSeen(KEYS[0], at(0, 30), at(0, 30), 5))
    assert book.watch == (at(0, 30), at(0, 30))
    book.add(PriceSeen(KEYS[0], at(0, 29), at(0, 29), 5))
    assert book.watch == (at(0, 29), at(0, 29))
    assert [one.is_broken for one in book.take_unwritten()] == [True]


def test_silence_outside_the_session_is_no_break() -> None:
    book = MinuteBook(lambda _key: ((at(10), at(20)), (at(30), at(40))))
    book.add(PriceSeen(KEYS[0], at(0), None, 0))
    for minute, second in ((10, 5), (19, 50), (30, 4)):
        if minute == 19:
            for later in range(10 * 60 + 15, 19 * 60 + 50, 10):
                book.add(PriceSeen(KEYS[1], at(0, later), None, 0))
        book.add(PriceSeen(KEYS[0], at(minute, second), at(minute, second), 5))
    assert book.watch == (at(0), at(30, 4))


def test_a_minute_whose_end_nobody_saw_is_not_whole_although_nobody_noticed_the_loss() -> None:
    book = empty_book()
    book.add(PriceSeen(KEYS[0], at(0), at(0), 5))
    book.add(PriceSeen(KEYS[0], at(1, 30), at(1, 30), 5))
    found = cut_off(book.take_unwritten(), book.watch[1] if book.watch else 0)
    assert [one.is_whole for one in found] == [False, False]


def test_what_is_shown_before_between_and_after_the_parts_of_a_session_is_no_bar() -> None:
    parts = ((at(10), at(12)), (at(20), at(22)))
    book = MinuteBook(lambda _key: parts)
    for minute in (9, 10, 11, 12, 19, 20, 21, 22):
        book.add(PriceSeen(KEYS[0], at(minute, 59), at(minute, 59), 5, bid_paise=4))
    bars = book.bars(KEYS[0])
    assert bars is not None
    assert ((bars.start_ns - DAY_NS) // NS_PER_MINUTE).tolist() == [10, 11, 20, 21]
    taken = book.take_unwritten()
    assert len(taken) == 4
    taken_up = MinuteBook(lambda _key: parts[:1])
    taken_up.restore(taken)
    bars = taken_up.bars(KEYS[0])
    assert bars is not None
    assert ((bars.start_ns - DAY_NS) // NS_PER_MINUTE).tolist() == [10, 11]


def test_a_trade_that_is_told_late_is_shown_once_when_it_is_told_and_kept_where_it_was() -> None:
    book = empty_book()
    book.add(PriceSeen(KEYS[0], at(0, 10), at(0, 10), 100, 10))
    for told in (at(1, 3), at(1, 20)):  # its book changes, the trade is repeated
        book.add(PriceSeen(KEYS[0], told, at(0, 59), 97, 20))
    book.add(PriceSeen(KEYS[0], at(1, 40), at(1, 40), 100, 30))
    book.add(PriceSeen(KEYS[0], at(2, 20), at(1, 40), 100, 30))  # nothing new
    bars = book.bars(KEYS[0])
    assert bars is not None
    assert bars.low_paise.tolist() == [100, 97]
    assert bars.close_paise.tolist() == [100, 100]
    kept = bars_of(sorted(book.take_unwritten(), key=lambda one: one.start_ns))
    assert kept.low_paise.tolist() == [97, 100], "what is written says when it was traded"
    assert kept.close_paise.tolist() == [97, 100]


def test_a_late_trade_of_a_minute_without_a_bar_or_of_the_last_one_stays_where_it_was() -> None:
    book = MinuteBook(lambda _key: ((at(0), at(2)),))
    book.add(PriceSeen(KEYS[0], at(1, 3), at(0, 59), 97, 20))
    book.add(PriceSeen(KEYS[0], at(1, 30), at(1, 30), 98, 21))
    book.add(PriceSeen(KEYS[0], at(2, 3), at(1, 59), 96, 22))
    bars = book.bars(KEYS[0])
    assert bars is not None
    assert bars.low_paise.tolist() == [97, 96]


def test_a_price_without_the_moment_of_its_trade_is_no_trade_and_its_book_is_kept() -> None:
    book = empty_book()
    book.add(PriceSeen(KEYS[0], at(0, 10), None, 50_000, 0, 9_900, 10_100))
    assert book.bars(KEYS[0]) is None
    (minute,) = book.take_unwritten()
    assert (minute.bid_paise, minute.ask_paise, minute.volume_to) == (9_900, 10_100, UNKNOWN)


def test_what_was_given_up_ends_the_watch() -> None:
    book = empty_book(unwritten_max=1)
    for minute in (0, 1):
        book.add(PriceSeen(KEYS[0], at(minute, 59), at(minute, 59), 5))
        beat(book, 60 * minute + 60, 60 * minute + 110)
    assert book.given_up == 1
    assert book.watch is not None
    assert book.watch[0] > at(1, 59)


def test_a_log_that_can_be_read_late_only_comes_before_what_was_seen_meanwhile() -> None:
    earlier, book = empty_book(), empty_book()
    earlier.add(PriceSeen(KEYS[0], DAY_NS, DAY_NS, 7, bid_paise=6))
    book.add(PriceSeen(KEYS[0], at(0, 40), at(0, 40), 5))
    book.restore(cut_off(earlier.take_unwritten(), DAY_NS + NS_PER_SECOND))
    (minute,) = book.take_unwritten()
    assert (minute.open_paise, minute.close_paise, minute.bid_paise) == (7, 5, 6)
    assert not minute.is_whole


def test_of_what_waits_too_long_the_oldest_is_given_up_and_counted() -> None:
    book = empty_book(unwritten_max=2)
    for minute in range(4):
        book.add(PriceSeen(KEYS[0], at(minute), at(minute), 5))
    taken = book.take_unwritten()
    assert [one.start_ns - DAY_NS for one in taken] == [2 * NS_PER_MINUTE, 3 * NS_PER_MINUTE]
    assert book.given_up == 2
    book.add(PriceSeen(KEYS[0], at(4), at(4), 5))
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

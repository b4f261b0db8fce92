"""A gap is told if it lasts, anew while it stays, and so is its end; what cannot be read says nothing."""

from dataclasses import replace
from itertools import pairwise

from adapters.brokers.dhan.cover import Cover
from adapters.brokers.dhan.gaps import Gap
from propdesk.core.clock import NS_PER_SECOND
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind

NAKED, EXCESS, COVERED = BrokerUpdateKind.NAKED, BrokerUpdateKind.EXCESS, BrokerUpdateKind.COVERED
LOST = Gap("1", 10, 0, is_leaving=False, what="naked", guard=1)
LEAVING = replace(LOST, is_leaving=True, what="7|9900")


class Readings:
    """A cover that is shown one reading after the other."""

    def __init__(self) -> None:
        self.cover = Cover()
        self.told: list[BrokerUpdate] = []

    def at(self, second: float, gap: Gap | None, *, unseen: bool = False) -> list[BrokerUpdateKind]:
        """What a reading adds to what was told."""
        facts = self.cover.facts({} if unseen else {"p": gap}, round(second * NS_PER_SECOND))
        assert facts[: len(self.told)] == self.told, "what was told stays told"
        fresh, self.told = facts[len(self.told) :], facts
        return [fact.kind for fact in fresh]


def test_a_gap_is_told_once_it_lasts_and_anew_every_minute() -> None:
    readings = Readings()
    moments = [readings.at(second, LOST) for second in (0, 1.9, 2, 3, 61.9, 62, 63)]
    assert moments == [[], [], [NAKED], [], [], [NAKED], []]
    assert readings.at(64, None) == [COVERED]
    assert not readings.cover.is_waiting
    stamps = [fact.ts_ns for fact in readings.told]
    assert stamps == sorted(set(stamps))
    assert len({fact.update_id for fact in readings.told}) == 3


def test_another_guard_due_is_told_soon_and_covers_nothing_meanwhile() -> None:
    readings = Readings()
    second_due = replace(LOST, guard=2)
    assert [readings.at(second, LOST) for second in (0, 2)] == [[], [NAKED]]
    assert [readings.at(second, second_due) for second in (3, 4.9, 5, 6, 64, 65)] == [
        [], [], [NAKED], [], [], [NAKED],
    ]  # fmt: skip
    assert readings.told[-1].guard == 2
    assert readings.at(66, replace(LOST, guard=3)) == []
    assert readings.at(67, None) == [COVERED], "it ended before the third was told"


def test_a_gap_that_one_reading_shows_is_none() -> None:
    readings = Readings()
    assert [readings.at(*one) for one in ((0, LOST), (1, None), (2, LOST), (3, LOST))] == [[], [], [], []]
    assert readings.at(4, LOST) == [NAKED]


def test_a_way_out_has_time_to_fill_and_more_with_each_new_price() -> None:
    readings = Readings()
    anew = replace(LEAVING, what="7|9800")
    assert [readings.at(second, LEAVING) for second in (0, 9.9)] == [[], []]
    assert readings.at(9.95, anew) == []
    assert [readings.at(second, anew) for second in (15, 19.95)] == [[], [NAKED]]
    assert readings.at(20, LEAVING) == [COVERED]


def test_a_gap_of_the_other_kind_ends_the_one_before() -> None:
    readings = Readings()
    excess = replace(LOST, naked=0, excess=4, what="excess")
    readings.at(0, LOST)
    assert readings.at(2, LOST) == [NAKED]
    assert readings.at(3, excess) == [COVERED]
    assert readings.at(5, excess) == [EXCESS]
    assert readings.told[-1].quantity == 4


def test_a_reading_without_the_order_neither_begins_nor_ends_a_gap() -> None:
    readings = Readings()
    assert [readings.at(second, None, unseen=True) for second in (0, 5)] == [[], []]
    readings.at(10, LOST)
    assert readings.at(11, None, unseen=True) == [], "left out once, it grows older all the same"
    assert readings.at(12, LOST) == [NAKED]
    assert readings.at(13, None, unseen=True) == []
    assert readings.at(14, None) == [COVERED]


def test_the_end_of_a_gap_that_a_process_before_told_is_told() -> None:
    readings = Readings()
    readings.cover.remember({"p"}, 0, 77 * NS_PER_SECOND)  # the clock was set back meanwhile
    assert [readings.at(9, LOST), readings.at(10, LOST), readings.at(11, None)] == [[], [NAKED], [COVERED]]
    assert min(fact.ts_ns for fact in readings.told) > 77 * NS_PER_SECOND


def test_a_gap_of_which_the_way_out_was_refused_is_told_anew_in_seconds_then_more_seldom() -> None:
    readings = Readings()
    assert [readings.at(second, LOST) for second in (0, 2)] == [[], [NAKED]]
    now, waits = 3.0, []
    for _ in range(6):
        readings.cover.tried("p", round(now * NS_PER_SECOND), is_refused=True)
        readings.cover.tried("q", round(now * NS_PER_SECOND), is_refused=True)  # it is covered
        waits.append(next(wait for wait in range(1, 70) if readings.at(now + wait, LOST)))
        now += waits[-1]
    assert waits == [5, 10, 20, 40, 60, 60]
    readings.cover.tried("p", round(now * NS_PER_SECOND), is_refused=False)
    assert [readings.at(now + wait, LOST) for wait in (9, 10)] == [[], [NAKED]]


def test_what_is_naked_before_the_session_is_told_anew_when_it_begins() -> None:
    readings = Readings()
    readings.cover = Cover(30 * NS_PER_SECOND)
    assert [readings.at(second, LOST) for second in (0, 2, 29.9, 30, 89, 90)] == [
        [], [NAKED], [], [NAKED], [], [NAKED],
    ]  # fmt: skip


def test_what_is_refused_before_the_session_is_tried_three_times_and_is_fresh_when_it_begins() -> None:
    """Refusals use up the calls of the hour, which at the open belong to the ways out."""
    readings, opened = Readings(), 1_800
    readings.cover = Cover(opened * NS_PER_SECOND)
    told = []
    for second in range(opened + 20):
        if readings.at(second, LOST):
            told.append(second)
            readings.cover.tried("p", second * NS_PER_SECOND, is_refused=True)
    assert told == [2, 62, 362, 1_800, 1_805, 1_815]


def test_no_refusal_before_the_session_delays_what_is_told_when_it_begins() -> None:
    readings = Readings()
    readings.cover = Cover(30 * NS_PER_SECOND)
    assert [readings.at(second, LOST) for second in (0, 2)] == [[], [NAKED]]
    readings.cover.tried("p", 2 * NS_PER_SECOND, is_refused=True)
    assert [readings.at(second, LOST) for second in (29, 30)] == [[], [NAKED]]


def test_ways_out_that_do_not_fill_are_told_more_seldom_although_their_price_moves() -> None:
    readings, moments = Readings(), []
    for second in range(0, 300, 10):
        gap = replace(LEAVING, what=f"7|{9_900 - len(moments)}")
        if NAKED in readings.at(second, gap):
            moments.append(second)
            readings.cover.tried("p", second * NS_PER_SECOND, is_refused=False)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (20, 70), "each begins with the reading after the way out was moved"
    readings.at(300, None)
    readings.cover.tried("p", 300 * NS_PER_SECOND, is_refused=False)
    assert [readings.at(second, LEAVING) for second in (301, 310, 311)] == [[], [], [NAKED]], "begun anew"

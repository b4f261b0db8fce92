from dataclasses import replace

import pytest

from propdesk.execution.matching import (
    SuperOrder,
    SuperOrderState,
    cancel_entry,
    exit_at,
    match_bar,
    match_tick,
    modify,
    super_orders_of,
)
from propdesk.model.enums import EntryType, ExitReason, Side
from propdesk.model.messages import BarObserved, TickObserved
from propdesk.model.order import LegEventKind
from tests.support.groups import bar, group, order

BUY, SELL = Side.BUY, Side.SELL
ENTRY, STOP, TARGET = LegEventKind.ENTRY_FILLED, LegEventKind.STOP_FILLED, LegEventKind.TARGET_FILLED
GAP = LegEventKind.GAPPED_THROUGH


@pytest.mark.parametrize(
    ("case", "minute", "expected"),
    [
        # entries
        (order(), bar(103, 104, 101, 102), []),
        (order(), bar(103, 104, 99, 101), [(ENTRY, 100)]),
        (order(), bar(98, 101, 97, 100), [(ENTRY, 98)]),
        (order(kind=EntryType.STOP), bar(97, 99, 96, 98), []),
        (order(kind=EntryType.STOP), bar(98, 103, 97, 102), [(ENTRY, 100)]),
        (order(kind=EntryType.STOP), bar(102, 103, 101, 102), [(ENTRY, 102)]),
        (order(kind=EntryType.MARKET, low=None), bar(101, 103, 99, 102), [(ENTRY, 101)]),
        (order(kind=EntryType.RANGE, low=100, high=102), bar(105, 106, 102, 104), [(ENTRY, 102)]),
        (order(kind=EntryType.RANGE, low=100, high=102), bar(98, 99, 97, 98), []),
        (order(SELL, low=100, stop=105, target=90), bar(98, 99, 97, 98), []),
        (order(SELL, low=100, stop=105, target=90), bar(98, 101, 97, 98), [(ENTRY, 100)]),
        (order(SELL, EntryType.RANGE, 100, 102, 105, 90), bar(99, 101, 98, 99), [(ENTRY, 100)]),
        # the entry's own bar
        (order(), bar(103, 104, 94, 96), [(ENTRY, 100), (STOP, 95)]),
        (order(), bar(99, 111, 98, 105), [(ENTRY, 99), (TARGET, 110)]),
        (order(), bar(103, 111, 99, 105), [(ENTRY, 100)]),
        (order(), bar(103, 111, 99, 110), [(ENTRY, 100), (TARGET, 110)]),
        (order(), bar(103, 111, 94, 110), [(ENTRY, 100), (STOP, 95)]),
        # through the levels at once
        (order(), bar(95, 96, 94, 95), [(GAP, 95)]),
        (order(kind=EntryType.STOP), bar(110, 112, 109, 111), [(GAP, 110)]),
    ],
)
def test_entry_and_its_bar(case: SuperOrder, minute: BarObserved, expected: list[object]) -> None:
    _, events = match_bar(case, minute)
    assert [(e.kind, e.price_paise) for e in events] == expected


@pytest.mark.parametrize(
    ("minute", "expected"),
    [
        (bar(101, 109, 96, 100), []),
        (bar(101, 102, 95, 96), (STOP, 95, False)),
        (bar(93, 99, 92, 96), (STOP, 93, False)),
        (bar(101, 110, 96, 109), (TARGET, 110, False)),
        (bar(112, 113, 94, 100), (TARGET, 112, False)),
        (bar(101, 111, 94, 100), (STOP, 95, True)),
        (bar(94, 111, 94, 100), (STOP, 94, False)),
    ],
)
def test_open_order_meets_its_levels(minute: BarObserved, expected: object) -> None:
    held = replace(order(), state=SuperOrderState.OPEN, entry_paise=100, entry_ns=0)
    after, events = match_bar(held, minute)
    if not expected:
        assert (after, events) == (held, ())
        return
    assert [(e.kind, e.price_paise, e.ambiguous) for e in events] == [expected]
    assert after.state is SuperOrderState.DONE


def test_entry_with_stop_in_its_bar_is_ambiguous() -> None:
    _, events = match_bar(order(), bar(103, 104, 94, 96))
    assert [e.ambiguous for e in events] == [False, True]


def test_entry_lives_from_its_moment_to_its_deadline() -> None:
    waiting = replace(order(), active_from_ns=60, valid_until_ns=180)
    assert match_bar(waiting, bar(99, 99, 99, 99, start=0))[1] == ()
    assert match_bar(waiting, bar(99, 99, 99, 99, start=60))[1][0].kind is ENTRY
    after, events = match_bar(waiting, bar(99, 99, 99, 99, start=180))
    assert [e.kind for e in events] == [LegEventKind.ENTRY_CANCELLED]
    assert after.state is SuperOrderState.DONE


def test_moved_stop_acts_on_the_next_bar() -> None:
    held, _ = match_bar(order(), bar(100, 104, 99, 103))
    held = modify(held, stop=102)
    _, events = match_bar(held, bar(103, 104, 101, 103, start=60))
    assert [(e.kind, e.price_paise) for e in events] == [(STOP, 102)]


def test_tick_fills_at_its_own_price() -> None:
    held, events = match_tick(order(), TickObserved("K", 5, 99))
    assert [(e.kind, e.price_paise, e.at_ns) for e in events] == [(ENTRY, 99, 5)]
    _, events = match_tick(held, TickObserved("K", 6, 94))
    assert [(e.kind, e.price_paise) for e in events] == [(STOP, 94)]


def test_exit_in_parts_tells_cumulative_quantity_at_its_average() -> None:
    held, _ = match_bar(order(quantity=10), bar(100, 101, 99, 100))
    held, first = exit_at(held, 103, 60, ExitReason.FOLLOWUP_EXIT, 4)
    assert held.open_quantity == 6
    held, second = exit_at(held, 108, 120, ExitReason.SQUARE_OFF)
    assert [(e.quantity, e.price_paise) for e in (*first, *second)] == [(4, 103), (10, 106)]
    assert held.exit_notional_paise == 4 * 103 + 6 * 108
    assert exit_at(held, 1, 180, ExitReason.SQUARE_OFF) == (held, ())


def test_a_group_rests_one_super_order_per_leg() -> None:
    made = super_orders_of(group(lots=4))
    assert [(o.order_key, o.leg_number, o.quantity, o.target_paise) for o in made] == [
        ("g|1", 1, 150, 142),
        ("g|2", 2, 75, 171),
        ("g|3", 3, 75, 200),
    ]
    assert {(o.stop_paise, o.first_target_paise, o.state) for o in made} == {
        (110, 142, SuperOrderState.PENDING)
    }
    (plain,) = super_orders_of(group(targets=(), stop=None))
    assert (plain.stop_paise, plain.target_paise, plain.first_target_paise) == (None, None, None)


def test_cancel_leaves_a_fill_alone() -> None:
    held, _ = match_bar(order(), bar(100, 101, 99, 100))
    assert cancel_entry(held, 70) == (held, ())
    waiting, events = exit_at(order(), 100, 5, ExitReason.SQUARE_OFF)
    assert [e.kind for e in events] == [LegEventKind.ENTRY_CANCELLED]
    assert match_bar(waiting, bar(99, 99, 99, 99)) == (waiting, ())

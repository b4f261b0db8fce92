"""Lots of one order: from the exchange's table and from a master's field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.model.instrument import freeze_lots, freeze_quantity_of_field
from propdesk.strategy.sizing import slice_quantities

lots = st.integers(1, 100_000)
counts = st.integers(1, 500)


@pytest.mark.parametrize(
    ("freeze", "lot", "expected"),
    # NIFTY and BANKNIFTY of 2026, of 2025, MIDCPNIFTY of 2025, NIFTYNXT50
    [
        (1800, 65, 27),
        (600, 30, 20),
        (1800, 75, 24),
        (900, 35, 25),
        (2800, 140, 20),
        (600, 25, 24),
        (0, 65, 0),
    ],
)
def test_lots_of_one_order_by_the_exchanges_table(freeze: int, lot: int, expected: int) -> None:
    assert freeze_lots(freeze, lot) == expected


@pytest.mark.parametrize(
    ("field", "lot", "expected"),
    [(1756, 65, 1755), (601, 30, 600), (1801, 75, 1800), (600, 30, 570), (1, 65, 0)],
)
def test_a_masters_field_is_the_first_quantity_refused(field: int, lot: int, expected: int) -> None:
    assert freeze_quantity_of_field(field, lot) == expected


@given(counts, lots)
def test_a_field_of_max_lots_times_lot_plus_one_gives_max_lots(count: int, lot: int) -> None:
    assert freeze_lots(freeze_quantity_of_field(count * lot + 1, lot), lot) == count


@given(st.integers(1, 10**9), lots)
def test_neither_reading_ever_exceeds_what_the_exchange_takes(number: int, lot: int) -> None:
    assert freeze_lots(number, lot) * lot <= number < (freeze_lots(number, lot) + 1) * lot
    assert freeze_quantity_of_field(number, lot) < number
    assert freeze_quantity_of_field(number, lot) % lot == 0


@given(counts, counts, lots)
def test_an_order_is_cut_into_slices_of_at_most_the_frozen_lots(total: int, count: int, lot: int) -> None:
    slices = slice_quantities(total * lot, lot, count * lot)
    assert sum(slices) == total * lot
    assert max(slices) <= count * lot

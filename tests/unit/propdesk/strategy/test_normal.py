"""Price checks and prices on the tick grid (§1.1, §5.3)."""

from typing import Any

import pytest

from propdesk.model.enums import EntryType, Side
from propdesk.model.messages import DecisionCode
from propdesk.strategy.normal import check_price, entry_drift, on_tick_grid, reference_entry
from tests.support.engine_day import make_signal


def market() -> Any:
    return make_signal(entry_type=EntryType.MARKET, entry_low_paise=None, entry_high_paise=None)


def span(side: Side = Side.BUY) -> Any:
    return make_signal(entry_type=EntryType.RANGE, entry_low_paise=9_900, entry_high_paise=10_100, side=side)


def test_reference_entry_is_the_price_it_would_be_sized_at() -> None:
    assert reference_entry(make_signal(), 10_050) == 10_000
    assert reference_entry(market(), 10_050) == 10_050
    assert reference_entry(span(), 10_000) == 10_100
    assert reference_entry(span(Side.SELL), 10_000) == 9_900


def test_drift_is_the_distance_to_the_nearest_entry() -> None:
    assert entry_drift(make_signal(), 10_100) == 0.01
    assert entry_drift(span(), 10_000) == 0.0
    assert entry_drift(span(), 10_201) == pytest.approx(0.01)
    assert entry_drift(market(), 1) == 0.0


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (10_199, None),
        (10_200, DecisionCode.THROUGH_LEVEL),
        (9_801, None),
        (9_800, DecisionCode.THROUGH_LEVEL),
    ],
)
def test_levels_are_closed_ends(last: int, code: DecisionCode | None) -> None:
    found = check_price(make_signal(), last, 0.5)
    assert (None if found is None else found[0]) is code


def test_the_drift_limit_is_inclusive() -> None:
    assert check_price(make_signal(), 10_100, 0.01) is None
    found = check_price(make_signal(), 10_101, 0.01)
    assert found is not None
    assert found[0] is DecisionCode.PRICE_DRIFT


def test_sell_is_the_mirror_image() -> None:
    signal = make_signal(side=Side.SELL, stoploss_paise=10_200, targets_paise=(9_800,))
    assert check_price(signal, 9_800, 0.5) is not None
    assert check_price(signal, 10_200, 0.5) is not None
    assert check_price(signal, 10_000, 0.5) is None


def test_prices_move_to_the_nearest_tick_and_equal_targets_become_one() -> None:
    signal = make_signal(entry_low_paise=10_003, stoploss_paise=9_801, targets_paise=(10_199, 10_201, 10_400))
    moved = on_tick_grid(signal, 5)
    assert (moved.entry_low_paise, moved.stoploss_paise, moved.targets_paise) == (
        10_005,
        9_800,
        (10_200, 10_400),
    )
    assert on_tick_grid(moved, 5) is moved

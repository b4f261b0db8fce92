"""Money: exact conversion, range checks, tick grid, display."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.errors import SchemaFault
from propdesk.core.money import Rounding, format_inr, price_to_paise, round_to_tick, rupees_to_paise


@pytest.mark.parametrize(
    ("text", "paise"),
    [("1.15", 115), ("0", 0), ("-0.005", -1), ("0.005", 1), (" 12 ", 1200), ("1e3", 100_000)],
)
def test_rupees_become_paise_exactly(text: str, paise: int) -> None:
    assert rupees_to_paise(text) == paise


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-inf", "", "abc", "1e308", "1e400", "0x10"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(SchemaFault):
        rupees_to_paise(text)


def test_binary_floats_never_become_money() -> None:
    with pytest.raises(SchemaFault):
        rupees_to_paise(1.15)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["0", "-1", "10000000.01"])
def test_absurd_prices_are_refused(text: str) -> None:
    with pytest.raises(SchemaFault):
        price_to_paise(text)


def test_largest_price_is_accepted() -> None:
    assert price_to_paise("10000000") == 1_000_000_000


@given(st.integers(0, 10**9), st.integers(1, 10_000))
def test_rounding_brackets_the_price(paise: int, tick: int) -> None:
    low = round_to_tick(paise, tick, Rounding.DOWN)
    high = round_to_tick(paise, tick, Rounding.UP)
    near = round_to_tick(paise, tick)
    assert low <= paise <= high
    assert high - low in (0, tick)
    assert near in (low, high)
    assert abs(near - paise) * 2 <= tick
    assert near % tick == 0


@given(st.integers(-(10**12), 10**12))
def test_display_and_parsing_agree(paise: int) -> None:
    assert rupees_to_paise(format_inr(paise).replace(",", "")) == paise


def test_indian_grouping() -> None:
    assert format_inr(1_000_000_000) == "1,00,00,000.00"
    assert format_inr(99) == "0.99"
    assert format_inr(-50, decimals=0) == "-1"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9))
def test_two_decimals_are_never_rounded(value: Decimal) -> None:
    assert Decimal(rupees_to_paise(value)) == value * 100

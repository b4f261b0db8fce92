from datetime import date
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY
from propdesk.indicators.adjustment import factor_of_break, in_terms_of, likely_factor
from propdesk.model.corporate_action import Actions, CorporateAction
from propdesk.ports import BarArrays

DAYS = [date(2025, 1, n) for n in range(1, 11)]
KEY = "NSE_EQ:A"


def action(
    day: date, factor: Fraction, known_on: date | None = None, source: str = "file"
) -> CorporateAction:
    return CorporateAction(KEY, day, factor, "OTHER", source, known_on or day)


def bars(closes: list[int]) -> BarArrays:
    start = np.array([ist_midnight_ns(day) for day in DAYS[: len(closes)]], np.int64)
    close = np.array(closes, np.int64)
    return BarArrays(start, close, close + 10, close - 10, close, np.full(len(close), 90), NS_PER_DAY)


def test_two_actions_multiply_on_both_sides_of_the_day() -> None:
    actions = [action(DAYS[1], Fraction(1, 2)), action(DAYS[2], Fraction(1, 3))]
    held = bars([6_000, 3_000, 1_000])
    assert in_terms_of(held, actions, DAYS[2]).close_paise.tolist() == [1_000, 1_000, 1_000]
    assert in_terms_of(held, actions, DAYS[0]).close_paise.tolist() == [6_000, 6_000, 6_000]
    assert in_terms_of(held, actions, DAYS[0]).volume.tolist() == [90, 45, 15]
    assert in_terms_of(held, actions, DAYS[1]).close_paise.tolist() == [3_000, 3_000, 3_000]


def test_without_an_ex_date_between_nothing_is_copied() -> None:
    held = bars([6_000, 3_000])
    assert in_terms_of(held, [], DAYS[0]) is held
    assert in_terms_of(held, [action(DAYS[0], Fraction(1, 2))], DAYS[5]) is held
    assert in_terms_of(held, [action(DAYS[5], Fraction(1, 2))], DAYS[2]) is held


@given(
    st.lists(st.integers(100, 10**8), min_size=2, max_size=10),
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([Fraction(1, 2), Fraction(1, 10), Fraction(3, 2)])),
        max_size=3,
    ),
    st.integers(0, 9),
)
def test_bars_of_the_day_stay_and_every_bar_holds_its_prices(
    closes: list[int], events: list[tuple[int, Fraction]], day: int
) -> None:
    actions = Actions(action(DAYS[n], factor) for n, factor in events).of(KEY, date.min, date.max)
    held = bars(closes)
    found = in_terms_of(held, actions, DAYS[day])
    assert (found.high_paise >= found.close_paise).all()
    assert (found.low_paise <= found.open_paise).all()
    assert (found.low_paise > 0).all()
    if day < len(closes):
        assert found.close_paise[day] == held.close_paise[day]


@pytest.mark.parametrize(
    ("close", "base", "factor"),
    [
        (265_570, 132_785, Fraction(1, 2)),
        (109_800, 73_200, Fraction(2, 3)),
        (10_000, 10_000, None),
        (10_000, 10_049, None),
        (10_000, 9_950, Fraction(199, 200)),
        (66_075, 40_000, Fraction(40_000, 66_075)),
    ],
)
def test_a_base_price_is_read_as_the_simplest_ratio_that_explains_it(
    close: int, base: int, factor: Fraction | None
) -> None:
    assert factor_of_break(close, base) == factor


def test_a_leap_is_guessed_only_near_a_common_ratio() -> None:
    assert likely_factor(20_513, 102_500) == Fraction(1, 5)
    assert likely_factor(87_000, 100_000) is None


def test_the_later_given_source_counts_and_a_factor_of_one_takes_an_event_back() -> None:
    found = action(DAYS[3], Fraction(1, 2), DAYS[4], "prev_close")
    sure = action(DAYS[3], Fraction(1), DAYS[4])
    assert Actions([found]).of(KEY, DAYS[0], DAYS[9]) == [found]
    both = Actions([found, sure])
    assert both.all() == [sure]
    assert both.of(KEY, DAYS[0], DAYS[9]) == []
    assert not Actions([found]).known_on(DAYS[3])
    assert Actions([found]).known_on(DAYS[4])
    assert Actions([found]).of(KEY, DAYS[3], DAYS[9]) == []

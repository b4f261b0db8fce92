"""Black (1976) by published and hand-worked values, and what a premium's change is made of."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from propdesk.metrics.options import RANK_DAYS, black_price, explain_move, implied_volatility, iv_rank


def one(value: float) -> np.ndarray:
    return np.array([float(value)])


def price(
    forward: float, strike: float, years: float, volatility: float, *, call: bool = True, rate: float = 0.0
) -> float:
    found = black_price(np.array([call]), one(forward), one(strike), one(years), one(volatility), rate)
    return float(found[0])


def implied(
    premium: float, forward: float, strike: float, years: float, *, call: bool = True, rate: float = 0.0
) -> float:
    found = implied_volatility(np.array([call]), one(premium), one(forward), one(strike), one(years), rate)
    return float(found[0])


def test_published_value_of_a_put_on_a_future() -> None:
    # Hull, Options, Futures and Other Derivatives: F 20, K 20, 4 months, 9 %, 25 %: 1.12
    assert price(20, 20, 4 / 12, 0.25, call=False, rate=0.09) == pytest.approx(1.1166, abs=5e-5)


def test_at_the_money_is_two_normal_tails() -> None:
    # F [N(s/2) - N(-s/2)], s = 0.2: 100 x 0.0796557
    assert price(100, 100, 1, 0.2) == pytest.approx(7.96557, abs=1e-5)


def test_without_time_or_volatility_it_is_what_it_pays() -> None:
    assert price(110, 100, 0.0, 0.3) == 10
    assert price(110, 100, 1.0, 0.0, rate=0.05) == pytest.approx(10 * math.exp(-0.05))
    assert price(110, 100, 0.0, 0.3, call=False) == 0
    assert math.isnan(price(math.nan, 100, 0.0, 0.3))


LEVELS = st.floats(50, 200)


@given(LEVELS, LEVELS, st.floats(0.01, 2), st.floats(0.01, 2), st.floats(-0.05, 0.15))
def test_put_and_call_keep_their_parity(
    forward: float, strike: float, years: float, volatility: float, rate: float
) -> None:
    call = price(forward, strike, years, volatility, rate=rate)
    put = price(forward, strike, years, volatility, call=False, rate=rate)
    assert call - put == pytest.approx(math.exp(-rate * years) * (forward - strike), abs=1e-9)
    assert min(call, put) >= -1e-12


@given(LEVELS, LEVELS, st.floats(0.01, 2), st.floats(0.05, 2), st.booleans(), st.floats(-0.05, 0.15))
def test_the_implied_volatility_gives_the_premium_back(
    forward: float, strike: float, years: float, volatility: float, call: bool, rate: float
) -> None:
    premium = price(forward, strike, years, volatility, call=call, rate=rate)
    floor = price(forward, strike, years, 0.0, call=call, rate=rate)
    assume(premium - floor > 1e-6)  # below, any volatility fits
    found = implied(premium, forward, strike, years, call=call, rate=rate)
    assert price(forward, strike, years, found, call=call, rate=rate) == pytest.approx(premium, abs=1e-9)


@pytest.mark.parametrize(
    ("premium", "years", "call"),
    [(10.0, 0.5, True), (9.0, 0.5, True), (110.0, 0.5, True), (100.0, 0.5, False), (12.0, 0.0, True)],
)
def test_a_premium_that_no_volatility_explains_has_none(premium: float, years: float, call: bool) -> None:
    assert math.isnan(implied(premium, 110, 100, years, call=call))


def test_unknown_prices_have_no_volatility() -> None:
    assert math.isnan(implied(math.nan, 110, 100, 0.5))
    assert math.isnan(implied(12.0, math.nan, 100, 0.5))


def test_time_alone_takes_what_the_option_is_worth_less() -> None:
    premium, after = price(100, 100, 0.04, 0.2), price(100, 100, 0.01, 0.2)
    moves = explain_move(
        np.array([True]), one(100), (one(premium), one(100), one(0.04)), (one(after), one(100), one(0.01))
    )
    # at the money a premium falls with the square root of time: half is gone after three quarters
    assert float(moves.time[0]) == pytest.approx(-premium / 2, rel=1e-3)
    assert [float(moves.forward[0]), float(moves.volatility[0])] == pytest.approx([0, 0], abs=1e-9)


@given(LEVELS, LEVELS, LEVELS, st.floats(0.05, 1), st.floats(0, 1), st.floats(0.5, 80), st.booleans())
def test_the_parts_add_up_to_the_change(
    strike: float, forward: float, later: float, years: float, left: float, after: float, call: bool
) -> None:
    premium = price(forward, strike, years, 0.4, call=call)
    assume(premium > price(forward, strike, years, 0.0, call=call) + 1e-6)
    moves = explain_move(
        np.array([call]), one(strike), (one(premium), one(forward), one(years)),
        (one(after), one(later), one(years * left)),
    )  # fmt: skip
    whole = float(moves.time[0] + moves.forward[0] + moves.volatility[0])
    assert whole == pytest.approx(after - premium, abs=1e-9)
    assert float(moves.time[0]) <= 1e-9, "without a rate time only takes"


def test_a_rank_needs_twenty_days_and_a_range() -> None:
    assert math.isnan(iv_rank(np.linspace(0.1, 0.3, 19), 0.2))
    assert iv_rank(np.linspace(0.1, 0.3, 20), 0.2) == 0.5
    assert iv_rank(np.linspace(0.1, 0.3, 20), 0.9) == 1.0
    assert iv_rank(np.linspace(0.1, 0.3, 20), 0.05) == 0.0
    assert math.isnan(iv_rank(np.full(40, 0.2), 0.2))
    assert math.isnan(iv_rank(np.linspace(0.1, 0.3, 20), math.nan))
    gaps = np.where(np.arange(40) % 2 == 0, np.linspace(0.1, 0.3, 40), np.nan)
    assert iv_rank(gaps, 0.1) == 0.0


def test_a_rank_forgets_what_is_too_old() -> None:
    old = np.concatenate([[9.0], np.linspace(0.1, 0.3, RANK_DAYS)])
    assert iv_rank(old, 0.3) == 1.0

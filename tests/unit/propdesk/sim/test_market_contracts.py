import itertools
import math
from collections import defaultdict
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from adapters.contract_rules import load_contract_rules
from propdesk.core.errors import InvariantViolated
from propdesk.model.enums import Category, OptionType
from propdesk.sim.market_contracts import black76, contract_bars, contract_volume, stock_lot, strike_step
from propdesk.sim.market_rules import MONTHLY, WEEKLY, expiries
from propdesk.sim.market_stocks import INDICES, underlyings
from tests.support.generated import calendar, instruments, market

FIRST, LAST = date(2025, 4, 7), date(2025, 4, 22)


def test_expiries_move_to_the_market_day_before_a_holiday() -> None:
    rules, days = load_contract_rules().expiries, calendar()
    found = expiries(rules, "NIFTY", WEEKLY, date(2025, 4, 1), date(2025, 4, 30), days)
    assert found == [date(2025, 4, 3), date(2025, 4, 9), date(2025, 4, 17), date(2025, 4, 24)]
    september = expiries(rules, "NIFTY", WEEKLY, date(2025, 9, 1), date(2025, 9, 10), days)
    assert september == [date(2025, 9, 2), date(2025, 9, 9)]
    assert expiries(rules, "BANKNIFTY", MONTHLY, date(2025, 8, 1), date(2025, 9, 30), days) == [
        date(2025, 8, 28),
        date(2025, 9, 30),
    ]
    assert expiries(rules, "BANKNIFTY", WEEKLY, date(2025, 8, 1), date(2025, 9, 30), days) == []


def test_lots_and_ticks_follow_their_dates() -> None:
    rules = load_contract_rules()
    assert [rules.lot("BANKNIFTY", d) for d in (date(2025, 6, 26), date(2025, 7, 31))] == [30, 35]
    assert rules.lot("NIFTY", date(2025, 1, 30)) == 75
    ticks = [rules.tick("CASH", date(2025, 4, 14), 120_000), rules.tick("CASH", date(2025, 4, 15), 120_000)]
    assert ticks == [5, 10]
    assert rules.tick("CASH", date(2025, 4, 15), 24_999) == 1
    assert rules.freeze("BANKNIFTY", date(2025, 7, 1)) == 600
    with pytest.raises(InvariantViolated, match="no lot size"):
        rules.lot("NIFTY", date(2015, 1, 1))


def test_the_master_has_one_row_per_contract_and_moment() -> None:
    rows = defaultdict(list)
    for item in instruments(FIRST, LAST):
        rows[item.instrument_key].append(item)
        assert item.valid_from <= item.valid_to
        assert item.expiry is None or item.valid_to <= item.expiry
    for found in rows.values():
        for before, after in itertools.pairwise(found):
            assert before.valid_to < after.valid_from
            assert before.security_id == after.security_id
    ids = [(items[0].exchange_segment, items[0].security_id) for items in rows.values()]
    assert len(set(ids)) == len(ids)


def test_the_master_of_a_day_tells_nothing_about_later_days() -> None:
    early = date(2025, 4, 11)
    short, long = (
        {
            (i.instrument_key, i.valid_from, i.lot_size)
            for i in instruments(FIRST, last)
            if i.valid_from <= early
        }
        for last in (early, LAST)
    )
    assert long == short
    assert len({i.instrument_key for i in instruments(FIRST, LAST)}) > len({key for key, _, _ in short})


def test_contracts_carry_the_tick_of_their_time() -> None:
    futures = [
        i for i in instruments(FIRST, LAST) if i.category is Category.INDEX_FUT and i.underlying == "NIFTY"
    ]
    april = [i for i in futures if i.expiry == date(2025, 4, 24)]
    assert [(i.valid_from, i.tick_paise) for i in april] == [(FIRST, 5), (date(2025, 4, 15), 10)]
    assert {i.lot_size for i in futures} == {75}


def test_strike_steps_and_lots_are_round() -> None:
    assert [strike_step(index, 2_300_000) for index in INDICES] == [5_000, 10_000]
    stock = underlyings(1)[2]
    assert [strike_step(stock, price) for price in (20_000, 100_000, 300_000)] == [500, 2_500, 5_000] or [
        strike_step(stock, price) for price in (20_000, 100_000, 300_000)
    ] == [500, 2_500, 10_000]
    assert stock_lot(142_000) == 500
    assert stock_lot(70_000_000 * 3) == 1


@given(
    forward=st.floats(1_000, 5_000_000),
    ratio=st.floats(0.7, 1.4),
    volatility=st.floats(0.05, 1.2),
    years=st.floats(0.0005, 0.5),
)
def test_black76_obeys_parity_and_the_textbook(
    forward: float, ratio: float, volatility: float, years: float
) -> None:
    strike, rate = forward * ratio, 0.065
    call = black76(forward, strike, volatility, years, rate, True)
    put = black76(forward, strike, volatility, years, rate, False)
    discount = math.exp(-rate * years)
    assert call - put == pytest.approx(discount * (forward - strike), abs=1e-6 * forward)
    d1 = (math.log(forward / strike) + 0.5 * volatility**2 * years) / (volatility * math.sqrt(years))
    book = discount * (forward * norm.cdf(d1) - strike * norm.cdf(d1 - volatility * math.sqrt(years)))
    assert call == pytest.approx(book, abs=1e-6 * forward)
    assert call >= 0
    assert put >= -1e-9 * forward


def test_an_option_without_time_is_worth_its_inner_value() -> None:
    assert black76(110.0, 100.0, 0.2, 0.0, 0.06, True) == pytest.approx(10.0)
    assert black76(110.0, 100.0, 0.2, 0.0, 0.06, False) == 0.0


def test_contract_bars_follow_their_underlying() -> None:
    made = market(FIRST, LAST)
    index = made.days.index(date(2025, 4, 9))
    spot = made.close_paise[0, int(made.offsets[index]) : int(made.offsets[index + 1])]
    expiring = [
        i
        for i in instruments(FIRST, LAST)
        if i.category is Category.INDEX_OPT and i.underlying == "NIFTY" and i.expiry == date(2025, 4, 9)
    ]
    for item in expiring[::7]:
        opened, high, low, close = contract_bars(made, item, index)
        assert (high >= np.maximum(opened, close)).all()
        assert (low <= np.minimum(opened, close)).all()
        assert (low >= 5).all()
        assert (close % 5 == 0).all()
        sign = 1 if item.option_type is OptionType.CE else -1
        inner = max(sign * (int(spot[-1]) - (item.strike_paise or 0)), 0)
        assert abs(int(close[-1]) - inner) <= max(0.01 * inner, 30)
        assert (contract_volume(made, item, index) % item.lot_size == 0).all()


def test_a_future_lies_above_its_spot_and_an_expired_contract_has_no_price() -> None:
    made = market(FIRST, LAST)
    future = next(
        i
        for i in instruments(FIRST, LAST)
        if i.category is Category.INDEX_FUT and i.underlying == "NIFTY" and i.expiry == date(2025, 5, 29)
    )
    close = contract_bars(made, future, 0)[3]
    assert (close > made.close_paise[0, : len(close)]).all()
    expired = next(i for i in instruments(FIRST, LAST) if i.expiry == date(2025, 4, 9))
    with pytest.raises(InvariantViolated, match="has expired"):
        contract_bars(made, expired, len(made.days) - 1)
    stock = next(i for i in instruments(FIRST, LAST) if i.category is Category.NSE_EQ)
    with pytest.raises(InvariantViolated, match="derivative"):
        contract_bars(made, stock, 0)

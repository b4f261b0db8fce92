from datetime import date

import numpy as np
import pytest

from adapters.contract_rules import load_contract_rules
from propdesk.core.calendar import HoursRule, MarketCalendar, Segment, SpecialSession
from propdesk.core.errors import InvariantViolated
from propdesk.sim.market import MarketSpec, generate_market
from propdesk.sim.market_stocks import STOCKS_MAX, underlyings
from tests.support.generated import calendar, market

FIRST, LAST = date(2025, 4, 7), date(2025, 4, 22)


def test_the_same_seed_gives_the_same_market_and_another_seed_another_one() -> None:
    rules = load_contract_rules()
    spec = MarketSpec(date(2025, 4, 7), date(2025, 4, 8), 7, 12, 160)
    again = generate_market(spec, calendar(), rules)
    one = market(date(2025, 4, 7), date(2025, 4, 8))
    assert np.array_equal(one.close_paise, again.close_paise)
    assert np.array_equal(one.volume, again.volume)
    other = market(date(2025, 4, 7), date(2025, 4, 8), 8)
    assert not np.array_equal(one.close_paise, other.close_paise)


def test_a_longer_range_does_not_change_the_days_before() -> None:
    short, long = market(FIRST, date(2025, 4, 11)), market(FIRST, LAST)
    end = int(short.offsets[-1])
    assert np.array_equal(short.high_paise, long.high_paise[:, :end])
    assert np.array_equal(short.daily.close_paise, long.daily.close_paise[:, : len(short.daily.days)])


def test_bars_hold_their_prices_and_lie_on_the_tick() -> None:
    made = market(FIRST, LAST)
    opened, high, low, close = made.open_paise, made.high_paise, made.low_paise, made.close_paise
    assert (high >= np.maximum(opened, close)).all()
    assert (low <= np.minimum(opened, close)).all()
    assert (low > 0).all()
    ticks = np.repeat(made.ticks, np.diff(made.offsets), axis=1)
    for prices in (opened, high, low, close):
        assert (prices % ticks == 0).all()


def test_daily_bars_reach_back_160_days_and_sum_up_the_minutes() -> None:
    made = market(FIRST, LAST)
    lead_in = len(made.daily.days) - len(made.days)
    assert lead_in == 160
    assert made.daily.days[lead_in:] == made.days
    first = slice(0, int(made.offsets[1]))
    assert np.array_equal(made.daily.high_paise[:, lead_in], made.high_paise[:, first].max(axis=1))
    assert np.array_equal(made.daily.low_paise[:, lead_in], made.low_paise[:, first].min(axis=1))
    assert np.array_equal(made.daily.open_paise[:, lead_in], made.open_paise[:, 0])
    bars = made.daily_bars(2)
    assert bars.volume[lead_in] == made.minute_bars(2, 0).volume.sum()
    assert made.close_before(0, FIRST) == made.daily.close_paise[0, lead_in - 1]


def test_holidays_have_no_bars_and_special_sessions_keep_their_hours() -> None:
    made = market(FIRST, LAST)
    assert date(2025, 4, 10) not in made.days  # Mahavir Jayanti
    hours = [HoursRule(segment, date(2000, 1, 1), 555, 930, 910) for segment in Segment]
    days = calendar().market_days(date(2024, 1, 1), date(2024, 11, 1))
    short = MarketCalendar(days, hours, {date(2024, 11, 1): SpecialSession("Muhurat", ((18 * 60, 19 * 60),))})
    spec = MarketSpec(date(2024, 11, 1), date(2024, 11, 1), 7, 3, 160)
    assert len(generate_market(spec, short, load_contract_rules()).minute) == 60


def test_cash_stops_when_its_own_session_ends() -> None:
    made = generate_market(
        MarketSpec(date(2026, 8, 3), date(2026, 8, 3), 7, 3, 160), calendar(), load_contract_rules()
    )
    assert int(made.offsets[-1]) == 385
    assert len(made.minute_bars(2, 0).start_ns) == 360


def test_thin_stocks_miss_minutes_and_indices_have_no_volume() -> None:
    made = market(FIRST, LAST)
    thin = next(row for row, u in enumerate(made.underlyings) if not u.has_derivatives)
    assert len(made.minute_bars(thin, 0).start_ns) < 300
    assert (made.minute_bars(thin, 0).volume > 0).all()
    assert (made.minute_bars(0, 0).volume == -1).all()


def test_prices_move_like_a_market() -> None:
    made = market(date(2025, 1, 1), date(2025, 6, 30), 7, 12)
    closes = np.log(made.daily.close_paise.astype(float))
    returns = np.diff(closes, axis=1)
    assert 0.005 < returns[0].std() < 0.013
    assert 0.010 < np.median(returns[2:14].std(axis=1)) < 0.028
    assert np.corrcoef(returns[0], returns[1])[0, 1] > 0.7
    assert np.median([np.corrcoef(returns[0], r)[0, 1] for r in returns[2:14]]) > 0.25
    assert set(made.states.tolist()) == {0, 1, 2}
    minute = np.diff(np.log(made.close_paise[2, :375].astype(float)))
    assert np.abs(minute[:20]).mean() > 1.4 * np.abs(minute[120:240]).mean()


def test_a_market_needs_days_and_a_lead_in() -> None:
    rules = load_contract_rules()
    with pytest.raises(InvariantViolated, match="no market day"):
        generate_market(MarketSpec(date(2025, 4, 12), date(2025, 4, 13), 7), calendar(), rules)
    with pytest.raises(InvariantViolated, match="160"):
        generate_market(MarketSpec(FIRST, LAST, 7, 3, 159), calendar(), rules)
    with pytest.raises(InvariantViolated, match="no underlying"):
        market(FIRST, LAST).row("RELIANCE")


def test_the_number_of_stocks_is_bounded() -> None:
    assert sum(u.has_derivatives and not u.is_index for u in underlyings(STOCKS_MAX)) == STOCKS_MAX
    with pytest.raises(InvariantViolated):
        underlyings(STOCKS_MAX + 1)

import math
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY
from propdesk.indicators.regime import STALE_BARS, RegimeConfig, label_for, regime_series
from propdesk.model.enums import Regime
from propdesk.pipeline.regime import compute_regimes
from propdesk.ports import BarArrays
from tests.support.market import small_calendar, weekdays

FIRST = date(2024, 1, 1)
CALENDAR = small_calendar(FIRST, date(2027, 12, 31))
NAMES = ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise", "volume")


def walk(seed: int, size: int, drift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = np.round(2_000_000 * np.exp(np.cumsum(rng.normal(drift, 0.01, size))))
    high = close + rng.integers(0, 30_000, size)
    low = close - rng.integers(0, 30_000, size)
    return high, low, close


def daily(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> BarArrays:
    days = weekdays(FIRST, FIRST + timedelta(days=2 * len(close)))[: len(close)]
    start = np.array([ist_midnight_ns(day) for day in days], np.int64)
    columns = [np.array(c, np.int64) for c in (close, high, low, close, np.zeros(len(close)))]
    return BarArrays(start, *columns, interval_ns=NS_PER_DAY)


def day_of(number: int) -> date:
    """Day of a bar of `daily` by its number."""
    return weekdays(FIRST, FIRST + timedelta(days=2 * number + 7))[number]


def plain_adx(high: list[float], low: list[float], close: list[float], period: int = 14) -> float:
    """Wilder's ADX as TA-Lib seeds it: sums of the first period - 1 moves, then smoothing."""

    def moves(i: int) -> tuple[float, float, float]:
        up, down = high[i] - high[i - 1], low[i - 1] - low[i]
        plus = up if up > down and up > 0 else 0.0
        minus = down if down > up and down > 0 else 0.0
        true_range = max(high[i] - low[i], abs(high[i] - close[i - 1]), abs(low[i] - close[i - 1]))
        return plus, minus, true_range

    def dx(plus: float, minus: float, span: float) -> float:
        a, b = 100 * plus / span, 100 * minus / span
        return 0.0 if a + b == 0 else 100 * abs(a - b) / (a + b)

    sums = [0.0, 0.0, 0.0]
    for i in range(1, period):
        sums = [s + m for s, m in zip(sums, moves(i), strict=True)]
    strengths = []
    for i in range(period, len(close)):
        sums = [s - s / period + m for s, m in zip(sums, moves(i), strict=True)]
        strengths.append(dx(*sums))
    value = sum(strengths[:period]) / period
    for strength in strengths[period:]:
        value = (value * (period - 1) + strength) / period
    return value


def plain_label(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> Regime | None:
    """§2.7 word by word."""
    if len(close) < 150:
        return None
    logs = [math.log(c) for c in close]
    average = sum(close[:20]) / 20
    for c in close[20:]:
        average += (c - average) * 2 / 21
    x = [i - 9.5 for i in range(20)]
    slope = sum(a * b for a, b in zip(x, logs[-20:], strict=True)) / sum(a * a for a in x)
    adx = plain_adx(list(high), list(low), list(close))
    if adx >= 25 and slope > 0 and close[-1] > average:
        return Regime.TRENDING_BULLISH
    if adx >= 25 and slope < 0 and close[-1] < average:
        return Regime.TRENDING_BEARISH
    returns = [b - a for a, b in zip(logs[-21:], logs[-20:], strict=False)]
    mean = sum(returns) / 20
    threshold = 0.5 * math.sqrt(sum((r - mean) ** 2 for r in returns) / 19) * math.sqrt(20)
    lean = logs[-1] - logs[-21]
    if lean > threshold:
        return Regime.SIDEWAYS_BULLISH
    return Regime.SIDEWAYS_BEARISH if lean < -threshold else Regime.SIDEWAYS


@pytest.mark.parametrize("seed", range(4))
def test_labels_equal_the_plain_twin(seed: int) -> None:
    high, low, close = walk(seed, 320)
    series, config = regime_series(high, low, close), RegimeConfig()
    seen = set()
    for i in range(140, 320):
        wanted = plain_label(high[: i + 1], low[: i + 1], close[: i + 1])
        reading = series.reading(i, config)
        assert reading.label == wanted
        if wanted is not None:
            assert reading.adx == pytest.approx(
                plain_adx(list(high[: i + 1]), list(low[: i + 1]), list(close[: i + 1])), rel=1e-9
            )
        seen.add(wanted)
    assert len(seen) >= 4


def test_trends_are_named_by_their_direction() -> None:
    up, down = walk(1, 200, 0.01), walk(1, 200, -0.01)
    assert label_for(daily(*up), day_of(199)).label is Regime.TRENDING_BULLISH
    assert label_for(daily(*down), day_of(199)).label is Regime.TRENDING_BEARISH


def test_short_history_has_a_reason_and_no_label() -> None:
    reading = label_for(daily(*walk(1, 149)), day_of(148))
    assert reading.label is None
    assert reading.reason == "149 daily bars, 150 needed"
    assert math.isnan(reading.adx)
    assert label_for(daily(*walk(1, 150)), day_of(149)).label is not None


def test_bars_that_end_before_the_previous_market_day_give_no_label() -> None:
    bars = daily(*walk(1, 200))
    fresh, stale = label_for(bars, day_of(199)), label_for(bars, day_of(200))
    assert fresh.label is not None
    assert (stale.label, str(stale.reason).split(":")[0]) == (None, STALE_BARS)
    assert math.isnan(stale.adx)


def test_a_missing_day_empties_the_label_after_it_alone() -> None:
    whole = {"INDEX:NIFTY": daily(*walk(2, 300))}
    hole = 220
    kept = np.arange(300) != hole
    part = BarArrays(*(getattr(whole["INDEX:NIFTY"], n)[kept] for n in NAMES), interval_ns=NS_PER_DAY)
    dates = [day_of(i) for i in (hole, hole + 1, hole + 2)]
    found = compute_regimes({"INDEX:NIFTY": part}, dates, CALENDAR)
    market = found[found["scope"] == "MARKET"]
    assert market["label"].isna().tolist() == [False, True, False]
    assert market["reason"].tolist()[1] == (
        f"STALE_BARS: newest daily bar {day_of(hole - 1)}, market day before {day_of(hole)}"
    )
    assert market["realised_label"].isna().tolist() == [True, False, False]


def test_moving_the_future_moves_no_earlier_label() -> None:
    high, low, close = walk(2, 300)
    days = weekdays(FIRST, FIRST + timedelta(days=600))[:300]
    dates = days[200:260]
    before = compute_regimes({"INDEX:NIFTY": daily(high, low, close)}, dates, CALENDAR)
    cut = 250
    shifted = [np.where(np.arange(300) >= cut, column * 3, column) for column in (high, low, close)]
    after = compute_regimes({"INDEX:NIFTY": daily(*shifted)}, dates, CALENDAR)
    known = before["trade_date"] <= days[cut]
    pd.testing.assert_frame_equal(
        before[known].drop(columns="realised_label"), after[known].drop(columns="realised_label")
    )
    assert not before[~known].equals(after[~known])
    # the day's own bar shows in the realised label only
    assert before.loc[before["trade_date"] < days[cut], "realised_label"].notna().all()


def test_a_day_is_labelled_alike_in_any_range() -> None:
    high, low, close = walk(3, 500)
    days = weekdays(FIRST, FIRST + timedelta(days=900))[:500]
    bars = {"INDEX:NIFTY": daily(high, low, close), "NSE_EQ:ACME": daily(*walk(4, 500))}
    many = compute_regimes(bars, days[400:450], CALENDAR)
    one = compute_regimes(bars, days[420:421], CALENDAR)
    part = many[many["trade_date"] == days[420]].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, one)
    assert one["scope"].tolist() == ["ACME", "MARKET", "NIFTY"]
    assert one.loc[1, "label"] == one.loc[2, "label"]


def test_market_has_a_row_even_without_bars() -> None:
    found = compute_regimes({}, [day_of(1)], CALENDAR)
    assert found[["scope", "label", "reason"]].values.tolist() == [
        ["MARKET", None, "0 daily bars, 150 needed"]
    ]

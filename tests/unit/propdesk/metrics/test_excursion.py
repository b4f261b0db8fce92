import numpy as np
import pytest

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.errors import InvariantViolated
from propdesk.metrics.excursion import (
    CROSSED,
    EXIT_OTHER,
    EXIT_STOP,
    EXIT_TARGET,
    MAE,
    MFE,
    POST_SL,
    POST_TARGET,
    RECOVERY,
    WSE,
    WTE,
    PricePath,
    Spans,
    excursions,
    first_touch,
)

M = NS_PER_MINUTE
NAN = float("nan")


def ticks(*prices: tuple[float, float]) -> PricePath:
    """Ticks of (minute, price)."""
    ts = np.array([int(minute * M) for minute, _ in prices], np.int64)
    level = np.array([price for _, price in prices], np.float64)
    return PricePath(ts, ts, level, level, is_ticks=True)


def minute_bars(*rows: tuple[int, float, float]) -> PricePath:
    """Bars of (minute, high, low)."""
    start = np.array([minute * M for minute, *_ in rows], np.int64)
    return PricePath(
        start,
        start + M,
        np.array([high for _, high, _ in rows], np.float64),
        np.array([low for *_, low in rows], np.float64),
        is_ticks=False,
    )


def span(
    *,
    sign: int = 1,
    entry: float = 100.0,
    leaves: float = 95.0,
    stop: float = 95.0,
    target: float = 110.0,
    kind: int = EXIT_STOP,
    begin: int = 10,
    end: int = 20,
    close: int = 375,
) -> Spans:
    def one(value: float) -> np.ndarray:
        return np.array([value], np.float64)

    def stamp(minute: int) -> np.ndarray:
        return np.array([minute * M], np.int64)

    return Spans(
        np.array([sign], np.int64),
        one(entry),
        one(leaves),
        one(stop),
        one(target),
        np.array([kind], np.int64),
        stamp(begin),
        stamp(end),
        stamp(close),
    )


def test_pain_and_opportunity_in_r_by_ticks_with_both_ends_closed() -> None:
    path = ticks((9.9, 200), (10, 100), (12, 104), (15, 97), (20, 95), (20.1, 1))
    found = excursions(path, span())[0]
    assert found[MAE] == 1.0
    assert found[MFE] == pytest.approx(0.8)
    assert np.isnan(found[WSE])
    assert np.isnan(found[WTE])


def test_of_entry_and_exit_bars_only_the_fills_count() -> None:
    path = minute_bars((10, 130, 70), (11, 103, 99), (20, 140, 60), (21, 100, 100))
    found = excursions(path, span(leaves=98, kind=EXIT_OTHER))[0]
    assert found[MAE] == pytest.approx(0.4)
    assert found[MFE] == pytest.approx(0.6)


def test_a_sale_mirrors() -> None:
    path = ticks((10, 100), (12, 96), (15, 103), (20, 105))
    found = excursions(path, span(sign=-1, leaves=105, stop=105, target=90))[0]
    assert (found[MAE], found[MFE]) == (1.0, pytest.approx(0.8))


def test_after_the_stop_the_hunt_shows_as_a_negative_extension() -> None:
    hunted = excursions(ticks((10, 100), (20, 95), (21, 96), (40, 101)), span())[0]
    assert hunted[POST_SL] == pytest.approx(-0.01)
    assert hunted[RECOVERY] == pytest.approx(0.06)
    assert hunted[CROSSED] == 1.0
    deeper = excursions(ticks((10, 100), (20, 95), (30, 90), (40, 99)), span())[0]
    assert deeper[POST_SL] == pytest.approx(0.05)
    assert deeper[CROSSED] == 0.0
    assert np.isnan(deeper[POST_TARGET])


def test_window_starts_after_the_exit_and_ends_after_thirty_minutes_or_at_the_close() -> None:
    path = ticks((10, 100), (20, 95), (50, 94), (50.01, 10))
    assert excursions(path, span())[0][POST_SL] == pytest.approx(0.01)
    path = ticks((10, 100), (20, 95), (30, 94), (31, 10))
    assert excursions(path, span(close=30))[0][POST_SL] == pytest.approx(0.01)
    bars = minute_bars((19, 99, 95), (20, 99, 10), (21, 97, 96), (50, 97, 94), (51, 97, 1))
    assert excursions(bars, span())[0][POST_SL] == pytest.approx(0.01)


def test_no_price_in_the_window_is_null() -> None:
    found = excursions(ticks((10, 100), (20, 95)), span())[0]
    assert np.isnan(found[[POST_SL, RECOVERY, CROSSED]]).all()


def test_after_the_target_in_the_trades_favour() -> None:
    path = ticks((10, 100), (20, 110), (25, 113), (30, 105))
    found = excursions(path, span(leaves=110, kind=EXIT_TARGET))[0]
    assert found[POST_TARGET] == pytest.approx(0.03)
    assert np.isnan(found[POST_SL])


def test_without_levels_moves_are_shares_of_the_entry() -> None:
    path = ticks((10, 100), (12, 108), (15, 91), (20, 103))
    found = excursions(path, span(stop=NAN, target=NAN, leaves=103, kind=EXIT_OTHER))[0]
    assert found[WSE] == pytest.approx(0.09)
    assert found[WTE] == pytest.approx(0.08)
    assert np.isnan(found[[MAE, MFE]]).all()


def test_a_trade_ends_after_it_starts() -> None:
    with pytest.raises(InvariantViolated):
        excursions(ticks((1, 1)), span(begin=20, end=10))


@pytest.mark.parametrize(("level", "minute"), [(99, 1), (98, 1.5), (97, None), (101, 1.2)])
def test_first_touch_comes_from_the_side_of_the_first_tick(level: int, minute: float | None) -> None:
    path = ticks((0.5, 97), (1, 99), (1.2, 102), (1.5, 98), (2, 97))
    found = first_touch(path.start_ns, path.high, M, 2 * M, float(level))
    assert found == (-1 if minute is None else int(minute * M))


def slow(path: PricePath, trade: Spans) -> np.ndarray:
    """The definitions word by word, one price at a time."""
    sign, entry, stop, target = (
        trade.sign[0],
        trade.entry[0],
        trade.stop[0],
        trade.target[0],
    )
    life, after = [entry, trade.exit[0]], []
    for start, end, high, low in zip(path.start_ns, path.end_ns, path.high, path.low, strict=True):
        begins, ends = trade.entry_ns[0], trade.exit_ns[0]
        inside = begins <= start and end <= ends if path.is_ticks else begins < start and end <= ends
        if inside:
            life += [high, low]
        limit = trade.close_ns[0]
        if start > ends and start <= ends + 30 * M and (start <= limit if path.is_ticks else start < limit):
            after += [high, low]
    adverse = max(sign * (entry - p) for p in life)
    favourable = max(sign * (p - entry) for p in life)
    out = np.full(8, NAN)
    if abs(entry - stop) > 0:
        out[MAE], out[MFE] = adverse / abs(entry - stop), favourable / abs(entry - stop)
    if np.isnan(stop):
        out[WSE] = adverse / entry
    if np.isnan(target):
        out[WTE] = favourable / entry
    if after and trade.exit_kind[0] == EXIT_STOP and not np.isnan(stop):
        out[POST_SL] = max(sign * (stop - p) for p in after) / entry
        out[RECOVERY] = max(sign * (p - stop) for p in after) / entry
        out[CROSSED] = float(any(sign * (p - entry) >= 0 for p in after))
    if after and trade.exit_kind[0] == EXIT_TARGET and not np.isnan(target):
        out[POST_TARGET] = max(sign * (p - target) for p in after) / entry
    return out


@pytest.mark.parametrize("is_ticks", [True, False])
def test_kernel_equals_the_slow_twin(is_ticks: bool) -> None:
    rng = np.random.default_rng(11)
    for _ in range(300):
        size = int(rng.integers(1, 60))
        minutes = np.sort(rng.choice(120, size, replace=False))
        low = rng.integers(80, 120, size).astype(float)
        high = low + rng.integers(0, 6, size)
        if is_ticks:
            path = ticks(*zip(minutes.tolist(), low.tolist(), strict=True))
        else:
            path = minute_bars(*zip(minutes.tolist(), high.tolist(), low.tolist(), strict=True))
        begin = int(rng.integers(0, 80))
        trade = span(
            sign=1 if rng.random() < 0.5 else -1,
            leaves=float(rng.integers(85, 115)),
            stop=NAN if rng.random() < 0.2 else float(rng.integers(85, 115)),
            target=NAN if rng.random() < 0.2 else float(rng.integers(85, 115)),
            kind=int(rng.integers(0, 3)),
            begin=begin,
            end=begin + int(rng.integers(0, 30)),
            close=int(rng.integers(60, 130)),
        )
        np.testing.assert_allclose(excursions(path, trade)[0], slow(path, trade), rtol=1e-12)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.sim import advisor_paths
from propdesk.sim.advisor_paths import (
    LIMIT,
    MARKET,
    RANGE,
    STOP,
    STOP_FIRST,
    TARGET_FIRST,
    TIMED_OUT,
    first_at_or_after,
    set_levels,
)
from propdesk.sim.market_book import BLOCK, block_extremes


def path(*bars: tuple[int, int, int, int]) -> np.ndarray:
    return np.array(bars, np.int32).T.copy()


def find_entry(bars: np.ndarray, *words: int) -> tuple[int, int, bool]:
    return advisor_paths.find_entry(bars, block_extremes(bars), *words)


def levels(reference: int, sign: int, entry_type: int, reward: float = 1.5) -> list[int] | None:
    out = np.zeros(6, np.int64)
    fine = set_levels(reference, 5, sign, entry_type, 0.002, 0.01, reward, out)
    return out.tolist() if fine else None


def test_levels_lie_around_the_last_price_on_the_tick() -> None:
    assert levels(100_000, 1, LIMIT) == [99_800, 99_800, 98_800, 101_295, 102_345, 103_690]
    assert levels(100_000, -1, LIMIT) == [100_200, 100_200, 101_200, 98_695, 97_645, 96_290]
    assert levels(100_000, 1, STOP)[0] == 100_200  # type: ignore[index]
    low, high, stop, target = levels(100_000, 1, RANGE)[:4]  # type: ignore[index]
    assert stop < low < 100_000 < high < target


def test_levels_that_would_touch_or_fall_below_zero_are_refused() -> None:
    assert levels(5, 1, LIMIT) is None
    assert levels(20, -1, LIMIT, 3.0) is None


def test_a_limit_fills_at_its_price_or_better_and_a_stop_at_its_price_or_worse() -> None:
    bars = path((100, 101, 99, 100), (100, 104, 97, 103), (105, 106, 104, 105))
    assert find_entry(bars, 0, 3, 1, LIMIT, 98, 98) == (1, 98, False)
    assert find_entry(bars, 0, 3, 1, LIMIT, 102, 102) == (0, 100, True)
    assert find_entry(bars, 0, 3, 1, STOP, 102, 102) == (1, 102, False)
    assert find_entry(bars, 2, 3, 1, STOP, 102, 102) == (2, 105, True)
    assert find_entry(bars, 0, 3, -1, STOP, 98, 98) == (1, 98, False)
    assert find_entry(bars, 0, 3, 1, MARKET, 0, 0) == (0, 100, True)
    assert find_entry(bars, 0, 3, 1, RANGE, 96, 98) == (1, 98, False)
    assert find_entry(bars, 0, 3, 1, LIMIT, 90, 90) == (-1, 0, False)
    assert find_entry(bars, 0, 0, 1, MARKET, 0, 0) == (-1, 0, False)


def chain(
    bars: np.ndarray, targets: list[int], stop: int, sign: int = 1, deadline: int = 99, at_open: bool = True
) -> tuple[int, int, float]:
    three = np.array([*targets, *[0] * (3 - len(targets))], np.int64)
    last = bars.shape[1] - 1
    return advisor_paths.follow_chain(
        bars, block_extremes(bars), 0, deadline, last, sign, 100, at_open, stop, three, len(targets)
    )


def test_the_stop_goes_first_in_a_bar_that_holds_both() -> None:
    assert chain(path((100, 120, 80, 100)), [110], 90) == (STOP_FIRST, 0, -10.0)


def test_a_target_counts_in_the_entry_bar_only_after_a_fill_at_the_open_or_beyond_by_the_close() -> None:
    assert chain(path((100, 112, 99, 105)), [110], 90) == (TARGET_FIRST, 0, 10.0)
    assert chain(path((100, 112, 99, 105)), [110], 90, at_open=False) == (TIMED_OUT, 0, 5.0)
    assert chain(path((100, 112, 99, 111)), [110], 90, at_open=False) == (TARGET_FIRST, 0, 10.0)


def test_gaps_fill_at_the_open() -> None:
    assert chain(path((100, 101, 99, 100), (85, 86, 80, 81)), [110], 90) == (STOP_FIRST, 1, -15.0)
    assert chain(path((100, 101, 99, 100), (115, 116, 114, 115)), [110], 90) == (TARGET_FIRST, 1, 15.0)


def test_the_trailing_chain_protects_what_was_reached() -> None:
    up = [(100, 111, 99, 110), (110, 112, 99, 100)]
    assert chain(path(*up), [110, 120], 90) == (TARGET_FIRST, 1, 5.0)  # half at 110, half at cost
    three = [(100, 111, 99, 110), (110, 121, 109, 120), (120, 121, 108, 109)]
    assert chain(path(*three), [110, 120, 130], 90) == (TARGET_FIRST, 2, pytest.approx((10 + 20 + 10) / 3))


def test_a_timed_exit_takes_the_open_of_its_bar_or_the_last_close() -> None:
    bars = path((100, 101, 99, 100), (104, 105, 103, 104))
    assert chain(bars, [110], 90, deadline=1) == (TIMED_OUT, 1, 4.0)
    assert chain(bars, [110], 90, deadline=5) == (TIMED_OUT, 1, 4.0)
    assert chain(bars, [110], 0, deadline=5)[0] == TIMED_OUT


def slow_twin(
    rows: list[tuple[int, int, int, int]], sign: int, stop: int, target: int
) -> tuple[int, int, int]:
    """One target, entry at the first open; every step spelled out."""
    fill = rows[0][0]
    for number, (opened, high, low, _) in enumerate(rows):
        worst, best = (low, high) if sign > 0 else (high, low)
        if (worst <= stop) if sign > 0 else (worst >= stop):
            beyond = (opened < stop) if sign > 0 else (opened > stop)
            price = opened if number and beyond else stop
            return STOP_FIRST, number, (price - fill) * sign
        if (best >= target) if sign > 0 else (best <= target):
            beyond = (opened > target) if sign > 0 else (opened < target)
            price = opened if number and beyond else target
            return TARGET_FIRST, number, (price - fill) * sign
    return TIMED_OUT, len(rows) - 1, (rows[-1][3] - fill) * sign


@st.composite
def random_bars(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    rows, last = [], 1_000
    for _ in range(draw(st.integers(1, 12) | st.integers(2 * BLOCK, 4 * BLOCK))):
        opened = max(last + draw(st.integers(-20, 20)), 50)
        close = max(opened + draw(st.integers(-20, 20)), 50)
        rows.append(
            (
                opened,
                max(opened, close) + draw(st.integers(0, 10)),
                min(opened, close) - draw(st.integers(0, 10)),
                close,
            )
        )
        last = close
    return rows


@given(
    rows=random_bars(),
    start=st.integers(0, BLOCK + 3),
    sign=st.sampled_from([1, -1]),
    risk=st.integers(1, 40) | st.integers(100, 400),
    reward=st.integers(1, 60) | st.integers(100, 400),
)
def test_the_kernel_agrees_with_the_obvious_loop(
    rows: list[tuple[int, int, int, int]], start: int, sign: int, risk: int, reward: int
) -> None:
    start = min(start, len(rows) - 1)
    fill = rows[start][0]
    stop, target = fill - sign * risk, fill + sign * reward
    three = np.array([target, 0, 0], np.int64)
    bars = path(*rows)
    status, at, gain = advisor_paths.follow_chain(
        bars, block_extremes(bars), start, 999, len(rows) - 1, sign, fill, True, stop, three, 1
    )
    assert (status, at - start, gain) == slow_twin(rows[start:], sign, stop, target)


@given(
    rows=random_bars(),
    start=st.integers(0, BLOCK + 3),
    sign=st.sampled_from([1, -1]),
    entry_type=st.sampled_from([LIMIT, STOP, MARKET, RANGE]),
    low=st.integers(700, 1_300),
    width=st.integers(0, 20),
)
def test_passing_over_blocks_finds_the_same_entries_and_ends(
    rows: list[tuple[int, int, int, int]], start: int, sign: int, entry_type: int, low: int, width: int
) -> None:
    bars = path(*rows)
    near, last = block_extremes(bars), len(rows) - 1
    nowhere = np.stack([np.full(near.shape[1], 2**30, np.int32), np.full(near.shape[1], -(2**30), np.int32)])
    high = low + width if entry_type == RANGE else low
    words = (start, len(rows), sign, entry_type, low, high)
    found = advisor_paths.find_entry(bars, near, *words)
    assert found == advisor_paths.find_entry(bars, nowhere, *words)
    entry_at, fill, at_open = found
    if entry_at >= 0:
        targets = np.array([fill + sign * far for far in (60, 102, 156)], np.int64)
        for stop in (fill - sign * 50, 0):
            rest = (entry_at, len(rows), last, sign, fill, at_open, stop, targets, 3)
            ends = [advisor_paths.follow_chain(bars, some, *rest) for some in (near, nowhere)]
            assert ends[0] == ends[1]


def test_searching_minutes_respects_its_bounds() -> None:
    minute = np.array([5, 7, 9, 5, 6], np.int32)
    assert first_at_or_after(minute, 0, 3, 6) == 1
    assert first_at_or_after(minute, 0, 3, 10) == 3
    assert first_at_or_after(minute, 3, 5, 1) == 3

"""Excursions found through the index are those found by looking at every price."""

import numpy as np
import pytest

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.metrics import excursion
from propdesk.metrics.excursion import WINDOW_NS, PricePath, Spans, excursions


def drawn(rng: np.random.Generator, count: int, kind: type, *, is_ticks: bool) -> PricePath:
    """Prices with gaps, ties and equal stamps."""
    gaps = rng.choice([0, 1, 1, 1, 2, 40], count) if is_ticks else rng.choice([1, 1, 1, 3, 900], count)
    start = np.cumsum(gaps).astype(np.int64) * NS_PER_MINUTE
    # a walk: each extreme stands once, so that a block that is left out is missed
    low = 100_000 + np.cumsum(rng.integers(-500, 501, count))
    high = low if is_ticks else low + rng.integers(0, 4, count)
    end = start if is_ticks else start + NS_PER_MINUTE
    return PricePath(start, end, high.astype(kind), low.astype(kind), is_ticks)


def trades(rng: np.random.Generator, path: PricePath, count: int) -> Spans:
    """Trades in no order, some before, after and beside all prices."""
    whole = int(path.start_ns[-1]) + 50 * NS_PER_MINUTE
    entry_ns = rng.integers(0, whole, count)
    on_stamp = rng.random(count) < 0.5
    entry_ns = np.where(on_stamp, rng.choice(path.start_ns, count), entry_ns)
    exit_ns = entry_ns + rng.choice([0, NS_PER_MINUTE, whole // 50, whole], count)
    level = rng.choice(path.low, (4, count)).astype(np.float64)
    level[2:, :][rng.random((2, count)) < 0.3] = np.nan
    close_ns = exit_ns + rng.integers(0, 2 * WINDOW_NS, count)
    sign, kinds = rng.choice([-1, 1], count), rng.integers(0, 3, count)
    return Spans(sign, level[0], level[1], level[2], level[3], kinds, entry_ns, exit_ns, close_ns)


def one_by_one(path: PricePath, spans: Spans, known: int) -> np.ndarray:
    """Ask for each trade which prices lie in it and after it, and measure on these alone."""
    found = []
    for row in range(len(spans.sign)):
        one = Spans(*(getattr(spans, name)[row : row + 1] for name in Spans.__slots__))
        start, end = path.start_ns[:known], path.end_ns[:known]
        latest = min(int(one.exit_ns[0]) + WINDOW_NS, int(one.close_ns[0]) - (not path.is_ticks))
        is_after = start >= one.entry_ns[0] if path.is_ticks else start > one.entry_ns[0]
        inside = is_after & (end <= one.exit_ns[0])
        after = (start > one.exit_ns[0]) & (start <= latest)
        mine = np.flatnonzero(inside | after)
        # so few prices that no index is made
        short = PricePath(start[mine], end[mine], path.high[mine], path.low[mine], path.is_ticks)
        found.append(excursions(short, one)[0])
    return np.array(found)


@pytest.mark.parametrize("is_ticks", [False, True])
@pytest.mark.parametrize("kind", [np.int64, np.float64])
@pytest.mark.parametrize("count", [64, 130, 700, 4_500])
def test_the_index_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, count: int, kind: type, is_ticks: bool
) -> None:
    rng = np.random.default_rng(count)
    path = drawn(rng, count, kind, is_ticks=is_ticks)
    spans = trades(rng, path, 60)
    built: list[int] = []
    build = excursion._block_extremes
    monkeypatch.setattr(
        excursion, "_block_extremes", lambda high, low, n: built.append(n) or build(high, low, n)
    )
    for known in (count, count * 2 // 3):
        built.clear()
        found = excursions(path, spans, known)
        assert built == [known]
        np.testing.assert_array_equal(found, one_by_one(path, spans, known))

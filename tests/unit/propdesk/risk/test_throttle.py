"""Sliding windows equal a recount; exits find room before entries."""

from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.clock import NS_PER_SECOND
from propdesk.ports import OrderRates
from propdesk.risk.throttle import OrderThrottle, count_recent, keep_recent

STAMPS = st.lists(st.integers(0, 1_000), max_size=40).map(lambda xs: tuple(sorted(xs)))


@given(STAMPS, st.integers(0, 1_200), st.integers(1, 500))
def test_the_count_equals_a_recount(stamps: tuple[int, ...], now: int, window: int) -> None:
    expected = [s for s in stamps if now - window < s <= now]
    assert count_recent(stamps, now, window) == len(expected)
    assert keep_recent(stamps, now, window) == tuple(s for s in stamps if s > now - window)


def test_entries_wait_while_an_exit_still_leaves() -> None:
    throttle = OrderThrottle(OrderRates(per_second=10))
    for _ in range(8):
        assert throttle.wait_ns(0, is_entry=True) == 0
        throttle = throttle.sent(0)
    assert throttle.wait_ns(0, is_entry=True) == NS_PER_SECOND
    assert throttle.wait_ns(0, is_entry=False) == 0
    throttle = throttle.sent(0).sent(0)
    assert throttle.wait_ns(0, is_entry=False) == NS_PER_SECOND
    assert throttle.wait_ns(NS_PER_SECOND, is_entry=True) == 0


@given(st.lists(st.tuples(st.integers(0, 300_000_000), st.booleans()), min_size=1, max_size=120))
def test_no_window_is_ever_exceeded(calls: list[tuple[int, bool]]) -> None:
    rates = OrderRates(per_second=9, per_minute=30)
    throttle, now = OrderThrottle(rates), 0
    for gap, is_entry in calls:
        now += gap
        now += throttle.wait_ns(now, is_entry=is_entry)
        throttle = throttle.sent(now)
        for window, allowed in rates.windows:
            assert count_recent(throttle.sent_ns, now, window) <= allowed

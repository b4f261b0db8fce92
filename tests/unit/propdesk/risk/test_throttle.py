"""Sliding windows equal a recount; exits find room before entries."""

from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.clock import NS_PER_SECOND
from propdesk.model.messages import IntentKind
from propdesk.ports import OrderRates
from propdesk.risk.throttle import OrderThrottle, Urgency, count_recent, keep_recent, urgency_of
from tests.unit.trading_daemon.test_bus import make_intent

STAMPS = st.lists(st.integers(0, 1_000), max_size=40).map(lambda xs: tuple(sorted(xs)))


@given(STAMPS, st.integers(0, 1_200), st.integers(1, 500))
def test_the_count_equals_a_recount(stamps: tuple[int, ...], now: int, window: int) -> None:
    expected = [s for s in stamps if now - window < s <= now]
    assert count_recent(stamps, now, window) == len(expected)
    assert keep_recent(stamps, now, window) == tuple(s for s in stamps if s > now - window)


def test_entries_wait_then_changes_while_an_exit_still_leaves() -> None:
    throttle = OrderThrottle(OrderRates(per_second=10))
    for _ in range(8):
        assert throttle.wait_ns(0, Urgency.ENTRY) == 0
        throttle = throttle.sent(0)
    assert throttle.wait_ns(0, Urgency.ENTRY) == NS_PER_SECOND
    assert throttle.wait_ns(0, Urgency.CHANGE) == 0
    throttle = throttle.sent(0)
    assert throttle.wait_ns(0, Urgency.CHANGE) == NS_PER_SECOND
    assert throttle.wait_ns(0, Urgency.EXIT) == 0
    throttle = throttle.sent(0)
    assert throttle.wait_ns(0, Urgency.EXIT) == NS_PER_SECOND
    assert throttle.wait_ns(NS_PER_SECOND, Urgency.ENTRY) == 0


def test_a_call_that_took_several_counts_as_several() -> None:
    throttle = OrderThrottle(OrderRates(per_second=10)).sent(0, 9).sent(0, 0)
    assert throttle.wait_ns(0, Urgency.EXIT) == 0
    assert throttle.sent(0, 1).wait_ns(0, Urgency.EXIT) == NS_PER_SECOND


def test_ways_out_come_before_changes_and_both_before_entries() -> None:
    order = [urgency_of(make_intent(1, is_entry=kind is IntentKind.PLACE, kind=kind)) for kind in IntentKind]
    assert dict(zip(IntentKind, order, strict=True)) == {
        IntentKind.PLACE: Urgency.ENTRY,
        IntentKind.MODIFY_STOP: Urgency.CHANGE,
        IntentKind.MODIFY_TARGET: Urgency.CHANGE,
        IntentKind.CANCEL_ENTRY: Urgency.EXIT,
        IntentKind.EXIT: Urgency.EXIT,
        IntentKind.EMERGENCY_STOP: Urgency.EXIT,
        IntentKind.NEUTRALISE: Urgency.EXIT,
    }


@given(st.lists(st.tuples(st.integers(0, 300_000_000), st.sampled_from(Urgency)), min_size=1, max_size=120))
def test_no_window_is_ever_exceeded(calls: list[tuple[int, Urgency]]) -> None:
    rates = OrderRates(per_second=9, per_minute=30)
    throttle, now = OrderThrottle(rates), 0
    for gap, urgency in calls:
        now += gap
        now += throttle.wait_ns(now, urgency)
        throttle = throttle.sent(now)
        for window, allowed in rates.windows:
            assert count_recent(throttle.sent_ns, now, window) <= allowed

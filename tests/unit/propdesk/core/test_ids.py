"""Ids: pure functions of what they name."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.clock import ManualClock
from propdesk.core.errors import InvariantViolated
from propdesk.core.ids import content_hash, content_signal_id, correlation_id, derived_id, signal_id


def test_the_same_input_gives_the_same_id() -> None:
    assert signal_id("telegram", "42", 0) == signal_id("telegram", "42", 0)
    assert signal_id("telegram", "42", 0) != signal_id("telegram", "42", 1)
    assert content_signal_id("upload", "a") != content_signal_id("mongo", "a")
    assert derived_id("group", "x", 1) != derived_id("leg", "x", 1)
    assert content_hash("a") != content_hash("b")


@given(
    st.dates(date(2020, 1, 1), date(2099, 12, 31)),
    st.text(min_size=1, max_size=40),
    st.integers(1, 10),
    st.integers(0, 200),
    st.integers(0, 9),
)
def test_correlation_ids_fit_the_broker(day: date, group: str, leg: int, part: int, generation: int) -> None:
    text = correlation_id(day, group, leg, part, generation)
    assert len(text) == 20
    assert text.isascii()
    assert text.isalnum()
    assert text == correlation_id(day, group, leg, part, generation)
    assert text != correlation_id(day, group, leg, part, generation + 1)


def test_a_manual_clock_only_moves_forward() -> None:
    clock = ManualClock(10)
    clock.advance_to(20)
    assert clock.now_ns() == 20
    try:
        clock.advance_to(19)
    except InvariantViolated:
        return
    raise AssertionError("the clock went back")

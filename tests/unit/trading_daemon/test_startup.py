from dataclasses import replace

import pytest

from propdesk.engine.recover import Recovered
from propdesk.engine.state import EngineState
from propdesk.model.messages import ContextChanged, DayOpened
from trading_daemon.startup import segment_event

OPENED = DayOpened("2025-07-01", "v1", 100, True, 0, "a")
NOT_READY = replace(OPENED, ready=False)


def recovered(seq: int, context_hash: str, *, ready: bool) -> Recovered:
    state = EngineState("test", "2025-07-01", ready=ready, opening_corpus_paise=100)
    return Recovered(state, seq, 0, "", context_hash)


@pytest.mark.parametrize(
    ("opened", "start", "expected"),
    [
        (OPENED, recovered(0, "", ready=False), replace(OPENED, ts_ns=5)),
        (NOT_READY, recovered(0, "", ready=False), replace(NOT_READY, ts_ns=5)),
        (OPENED, recovered(3, "a", ready=True), None),
        (NOT_READY, recovered(3, "a", ready=False), None),
        (OPENED, recovered(3, "b", ready=False), replace(OPENED, ts_ns=5)),
        (NOT_READY, recovered(3, "a", ready=True), replace(NOT_READY, ts_ns=5)),
        (OPENED, recovered(3, "b", ready=True), ContextChanged("a", 5)),
        (NOT_READY, recovered(3, "b", ready=False), ContextChanged("a", 5)),
    ],
)
def test_a_restart_begins_a_segment_only_where_something_changed(
    opened: DayOpened, start: Recovered, expected: DayOpened | ContextChanged | None
) -> None:
    assert segment_event(opened, start, 5) == expected


def test_a_corpus_that_is_known_later_opens_the_day_once() -> None:
    """What is carried is followed, and its facts are booked, before pre-market is over."""
    before = Recovered(EngineState("test", "2025-07-01"), 3, 0, "", "a")
    assert segment_event(NOT_READY, before, 5) == replace(NOT_READY, ts_ns=5)
    assert segment_event(NOT_READY, recovered(3, "a", ready=False), 5) is None
    assert segment_event(replace(NOT_READY, opening_corpus_paise=0), before, 5) is None

"""What the process measures of itself: when a switch is thrown, and when it is let go."""

import pytest

from propdesk.core.clock import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from propdesk.model.messages import Measured
from propdesk.risk.kill_switch import Cause, KillLimits
from propdesk.risk.process_switches import FaultWatch, Finding, LatencyWatch, SkewWatch, percentile_99

LIMITS = KillLimits()
ALARM, TRIPPED, GOOD = Measured.ALARM, Measured.TRIPPED, Measured.GOOD


def sent(watch: LatencyWatch, *ways_ms: int, now_ns: int = 0) -> tuple[LatencyWatch, list[Measured]]:
    """Send entries that took so long; gives the verdicts told meanwhile."""
    told = []
    for way_ms in ways_ms:
        watch, found = watch.sent(way_ms * NS_PER_MS, now_ns, LIMITS)
        if found is not None:
            assert found.cause is Cause.LATENCY
            told.append(found.verdict)
    return watch, told


@pytest.mark.parametrize(
    ("values", "expected"),
    [((), 0), ((7,), 7), (tuple(range(100, 0, -1)), 99), (tuple(range(1, 202)), 199), ((5,) * 50, 5)],
)
def test_the_percentile_is_one_of_the_values(values: tuple[int, ...], expected: int) -> None:
    assert percentile_99(values) == expected


@pytest.mark.parametrize(
    ("ways_ms", "told"),
    [
        ((), []),
        ((10, 250), []),
        ((10, 251), [ALARM]),
        ((251, 300, 10, 900), [ALARM]),
        ((10, 1_000), [ALARM]),
        ((10, 1_001), [TRIPPED]),
        ((300, 1_001), [ALARM, TRIPPED]),
        ((1_001, 300, 10), [TRIPPED]),
    ],
)
def test_entries_that_take_long_are_told_and_those_too_long_halt(
    ways_ms: tuple[int, ...], told: list[Measured]
) -> None:
    assert sent(LatencyWatch(), *ways_ms)[1] == told


def test_an_alarm_that_ended_with_its_window_is_told_again() -> None:
    watch, told = sent(LatencyWatch(), 300, *[10] * LIMITS.latency_window, 300)
    assert told == [ALARM, ALARM]
    assert len(watch.ways_ns) == LIMITS.latency_window


def test_the_halt_ends_after_five_minutes_in_which_nothing_took_too_long() -> None:
    good = LIMITS.latency_good_ns
    assert good == 5 * NS_PER_MINUTE
    watch, _ = sent(LatencyWatch(), 1_001, now_ns=NS_PER_SECOND)
    assert watch.passed(good, LIMITS) == (watch, None)
    late = watch.decided(1_001 * NS_PER_MS, good, LIMITS)  # an idea that was refused took as long
    assert watch.decided(1_000 * NS_PER_MS, good, LIMITS) == watch
    assert late.passed(good + NS_PER_SECOND, LIMITS)[1] is None
    watch, found = late.passed(2 * good, LIMITS)
    assert found == Finding(Cause.LATENCY, GOOD, "nothing took too long for 300 s")
    assert sent(watch, 10)[1] == [], "what was before is forgotten"
    assert sent(watch, 1_001)[1] == [TRIPPED]
    assert watch.passed(9 * good, LIMITS)[1] is None, "told once"


def test_a_halt_that_a_person_lifted_early_comes_back_only_by_a_new_way_too_long() -> None:
    watch, _ = sent(LatencyWatch(), 1_001)
    assert sent(watch, 900, 10)[1] == []
    assert sent(watch, 10, 1_001)[1] == [TRIPPED]


def test_more_exceptions_than_are_borne_within_a_minute_throw_the_switch_once() -> None:
    watch, told = FaultWatch(), []
    for second in [*range(0, 70, 7), 70, 71, *[72] * 11]:
        watch, found = watch.happened("a Fault in a test", second * NS_PER_SECOND, LIMITS)
        told.append(found)
    # ten within the minute are borne at second 71, one more is not; then ten more are again
    assert [place for place, found in enumerate(told) if found] == [12]
    found = told[12]
    assert found is not None
    assert (found.cause, found.verdict) == (Cause.EXCEPTIONS, TRIPPED)
    assert found.reason.endswith("within 60 s, the last one a Fault in a test")


SECOND = NS_PER_SECOND


@pytest.mark.parametrize("skew_ns", [SECOND + 1, -SECOND - 1])
def test_a_clock_that_differs_halts_until_all_have_agreed_for_a_while(skew_ns: int) -> None:
    good = LIMITS.clock_good_ns
    watch, found = SkewWatch().measured("database", skew_ns, 0, LIMITS)
    assert found is not None
    assert (found.cause, found.verdict) == (Cause.CLOCK_SKEW, TRIPPED)
    assert ("behind" if skew_ns > 0 else "ahead") in found.reason
    watch, found = watch.measured("database", skew_ns, good - 1, LIMITS)
    assert found is None, "told once a minute"
    watch, found = watch.measured("database", skew_ns, good, LIMITS)
    assert found is not None, "a person may have let it go"
    watch, found = watch.measured("broker", 0, 3 * good, LIMITS)
    assert found is None, "another clock's word is no word of this one"
    watch, found = watch.measured("database", SECOND, 3 * good, LIMITS)
    assert found == Finding(Cause.CLOCK_SKEW, GOOD, "the clocks agreed for 60 s")
    assert watch == SkewWatch()


def test_clocks_that_agree_say_nothing_and_a_short_agreement_is_not_enough() -> None:
    assert SkewWatch().measured("database", SECOND, 9, LIMITS) == (SkewWatch(), None)
    watch, _ = SkewWatch().measured("database", 2 * SECOND, 0, LIMITS)
    watch, found = watch.measured("database", 0, LIMITS.clock_good_ns - 1, LIMITS)
    assert found is None
    assert watch.measured("database", 0, LIMITS.clock_good_ns, LIMITS)[1] is not None

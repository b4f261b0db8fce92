"""Pauses after bad trades: by hand-worked sequences, and what no sequence may do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.core.clock import NS_PER_HOUR, NS_PER_MINUTE
from propdesk.risk.protections import (
    ClosedTrade,
    Pause,
    Per,
    Protection,
    ProtectionKind,
    keep_closed,
    pauses_after,
)

OPENING = 1_000_000
HOUR = NS_PER_HOUR
STREAK = Protection(ProtectionKind.STOP_STREAK, Per.ADVISOR, 2 * HOUR, HOUR, trades=3)
LOW = Protection(ProtectionKind.LOW_PROFIT, Per.UNDERLYING, HOUR, HOUR, trades=2, limit=-0.01)
DRAWDOWN = Protection(ProtectionKind.DRAWDOWN, Per.SIDE, HOUR, HOUR, trades=2, limit=0.02)


def trade(minute: int, net: int = -1_000, *, stopped: bool = True, **changes: str) -> ClosedTrade:
    base = ClosedTrade(f"g{minute}", "A01", "ALPHA", "BUY", minute * NS_PER_MINUTE, stopped, net)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_no_trade_and_no_protection_pause_nothing() -> None:
    assert pauses_after([], [STREAK], OPENING) == ()
    assert pauses_after([trade(1)], [], OPENING) == ()


@pytest.mark.parametrize("per", list(Per))
def test_a_cool_down_follows_every_trade_of_its_scope(per: Per) -> None:
    rule = Protection(ProtectionKind.COOL_DOWN, per, 30 * NS_PER_MINUTE)
    (found,) = pauses_after([trade(10, 500, stopped=False)], [rule], OPENING)
    name = {"ADVISOR": "A01", "UNDERLYING": "ALPHA", "SIDE": "BUY"}[per.value]
    assert (found.scope, found.until_ns) == (f"{per.value}:{name}", 40 * NS_PER_MINUTE)


@pytest.mark.parametrize(
    ("trades", "paused"),
    [
        ([trade(1), trade(2)], False),
        ([trade(1), trade(2), trade(3)], True),
        ([trade(1), trade(2), trade(3, stopped=False)], False),
        ([trade(1), trade(2), trade(3), trade(4, 500, stopped=False)], False),
        ([trade(1), trade(2), trade(3, stopped=False), trade(4)], True),
        ([trade(1), trade(2), trade(61)], False),
        ([trade(2), trade(3), trade(61)], True),
        ([trade(1), trade(2, advisor_id="A02"), trade(3)], False),
    ],
)
def test_a_streak_of_stops_counts_the_advisors_own_within_the_window(
    trades: list[ClosedTrade], paused: bool
) -> None:
    found = pauses_after(trades, [STREAK], OPENING)
    assert bool(found) is paused
    assert all(one.scope == "ADVISOR:A01" and one.until_ns == trades[-1].ended_ns + 2 * HOUR for one in found)


@pytest.mark.parametrize(
    ("results", "paused"),
    [([-20_000], False), ([-5_000, -5_000], False), ([-5_000, -5_001], True), ([-20_000, 11_000], False)],
)
def test_a_low_profit_is_judged_from_so_many_trades_on(results: list[int], paused: bool) -> None:
    trades = [trade(minute, net) for minute, net in enumerate(results, 1)]
    assert bool(pauses_after(trades, [LOW], OPENING)) is paused
    assert pauses_after(trades, [LOW], 0) == ()


@pytest.mark.parametrize(
    ("results", "paused"),
    [
        ([30_000, -20_000], False),
        ([30_000, -20_001], True),
        ([-15_000, -6_000], True),
        ([-21_000], False),
        ([-25_000, 25_000], True),
        ([-25_000, 40_000, -1_000], True),
    ],
)
def test_a_drawdown_is_from_the_peak_within_the_window(results: list[int], paused: bool) -> None:
    trades = [trade(minute, net) for minute, net in enumerate(results, 1)]
    assert bool(pauses_after(trades, [DRAWDOWN], OPENING)) is paused


def test_what_is_kept_is_what_the_longest_look_back_may_ask_for() -> None:
    trades = [trade(1), trade(61), trade(100)]
    assert keep_closed(trades, [STREAK, LOW], 121 * NS_PER_MINUTE) == (trades[2],)
    assert keep_closed(trades, [], 100 * NS_PER_MINUTE) == ()


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    trades = [trade(2), trade(61), trade(60)]
    (found,) = pauses_after(trades, [STREAK], OPENING)
    assert found.until_ns == 180 * NS_PER_MINUTE
    cool_down = Protection(ProtectionKind.COOL_DOWN, Per.SIDE, HOUR)
    assert [one.until_ns for one in pauses_after(trades, [cool_down], OPENING)] == [120 * NS_PER_MINUTE]


STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(-30_000, 30_000), st.booleans(), st.sampled_from("AB")),
    max_size=25,
)


@given(STEPS)
def test_trades_of_others_and_forgotten_ones_change_nothing(steps: list[tuple[int, int, bool, str]]) -> None:
    minute, trades = 0, []
    for wait, net, stopped, who in steps:
        minute += wait
        name = f"{who}1"
        trades.append(trade(minute, net, stopped=stopped, advisor_id=name, underlying=name, side=name))
    rules = [STREAK, LOW, DRAWDOWN]
    found = pauses_after(trades, rules, OPENING)
    own = [one for one in trades if one.advisor_id == trades[-1].advisor_id]
    assert pauses_after(own, rules, OPENING) == found
    if trades:
        assert pauses_after(keep_closed(trades, rules, trades[-1].ended_ns), rules, OPENING) == found
    assert all(isinstance(one, Pause) and one.until_ns > trades[-1].ended_ns for one in found)

from datetime import date, datetime
from typing import Any

import pytest

from adapters.calendar import load_calendar
from propdesk.core.calendar import ist_to_ns
from propdesk.core.clock import NS_PER_HOUR, NS_PER_SECOND
from propdesk.core.errors import InvariantViolated
from propdesk.ports import OrderRates
from propdesk.risk.preflight import (
    TOKEN_MARGIN_NS,
    Check,
    Outcome,
    Verdict,
    judge_calendar,
    judge_levels,
    judge_prices,
    judge_protection,
    judge_rates,
    judge_readiness,
    judge_ruleset,
    judge_segments,
    judge_skew,
    judge_token,
    outcome_of,
)

DAY, BEFORE = date(2025, 7, 1), date(2025, 6, 30)
NOW = ist_to_ns(datetime(2025, 7, 1, 8, 50))  # noqa: DTZ001 - read as IST
CLOSE = ist_to_ns(datetime(2025, 7, 1, 15, 30))  # noqa: DTZ001 - read as IST
GREEN, NOTE, UNKNOWN, RED = Verdict.GREEN, Verdict.NOTE, Verdict.UNKNOWN, Verdict.RED


@pytest.mark.parametrize(
    ("verdicts", "paper", "live"),
    [
        ([GREEN], Outcome.PASSED, Outcome.PASSED),
        ([GREEN, NOTE], Outcome.PASSED, Outcome.PASSED),
        ([GREEN, UNKNOWN], Outcome.PASSED, Outcome.UNKNOWN),
        ([UNKNOWN, RED], Outcome.FAILED, Outcome.FAILED),
        ([GREEN, RED], Outcome.FAILED, Outcome.FAILED),
    ],
)
def test_unknown_is_not_good_enough_for_real_money(
    verdicts: list[Verdict], paper: Outcome, live: Outcome
) -> None:
    checks = [Check("c", one, "") for one in verdicts]
    assert (outcome_of(checks, is_live=False), outcome_of(checks, is_live=True)) == (paper, live)


def test_nothing_checked_is_no_verdict() -> None:
    with pytest.raises(InvariantViolated):
        outcome_of([], is_live=False)


@pytest.mark.parametrize(
    ("expiry", "can_login", "verdict"),
    [
        (None, True, UNKNOWN),
        (NOW - 1, True, RED),
        (NOW, True, RED),
        (NOW + NS_PER_HOUR, True, NOTE),
        (NOW + NS_PER_HOUR, False, RED),
        (CLOSE + TOKEN_MARGIN_NS - 1, False, RED),
        (CLOSE + TOKEN_MARGIN_NS, False, GREEN),
    ],
)
def test_a_token_lives_past_the_close_or_is_renewed_by_itself(
    expiry: int | None, can_login: bool, verdict: Verdict
) -> None:
    check = judge_token(expiry, NOW, CLOSE, can_login=can_login)
    assert check.verdict is verdict
    assert bool(check.remedy) == (verdict in (RED, UNKNOWN))


@pytest.mark.parametrize(
    ("skew", "verdict"),
    [
        (None, UNKNOWN),
        (0, GREEN),
        (-2 * NS_PER_SECOND, GREEN),
        (2 * NS_PER_SECOND, GREEN),
        (2 * NS_PER_SECOND + 1, RED),
        (-3 * NS_PER_SECOND, RED),
    ],
)
def test_clocks_are_in_step_within_two_seconds(skew: int | None, verdict: Verdict) -> None:
    assert judge_skew("clock", skew).verdict is verdict


@pytest.mark.parametrize(
    ("active", "allocations", "verdict"),
    [
        ((), {"NSE_EQ": 0.3}, UNKNOWN),
        (("Equity",), {"NSE_EQ": 0.3}, GREEN),
        (("EQUITY", " derivative "), {"NSE_EQ": 0.3, "STOCK_OPT": 0.1}, GREEN),
        (("Equity",), {"NSE_EQ": 0.3, "STOCK_OPT": 0.1}, RED),
        (("Equity",), {"NSE_EQ": 0.3, "STOCK_OPT": 0.0}, GREEN),
        (("Derivative",), {"NSE_EQ": 0.3}, RED),
    ],
)
def test_what_has_capital_needs_its_segment(
    active: tuple[str, ...], allocations: dict[str, float], verdict: Verdict
) -> None:
    assert judge_segments(active, allocations).verdict is verdict


@pytest.mark.parametrize(("count", "verdict"), [(0, GREEN), (79, GREEN), (80, RED), (100, RED)])
def test_of_every_window_more_than_the_reserve_is_left(count: int, verdict: Verdict) -> None:
    rates = OrderRates(per_second=1_000, per_minute=1_000, per_hour=100, per_day=1_000, reserve_share=0.2)
    sent = [NOW - NS_PER_HOUR + 1] * count + [NOW - NS_PER_HOUR] * 50
    check = judge_rates(sent, NOW, rates)
    assert check.verdict is verdict
    assert ("3600 s" in check.found) == (verdict is RED)


@pytest.mark.parametrize(
    ("day", "verdict"),
    [
        (DAY, GREEN),
        (date(2025, 7, 5), RED),
        (date(1990, 1, 2), UNKNOWN),
        (date(2990, 1, 2), UNKNOWN),
    ],
)
def test_the_calendar_knows_the_day(day: date, verdict: Verdict) -> None:
    assert judge_calendar(load_calendar(), day).verdict is verdict


def test_a_calendar_that_ends_soon_is_no_calendar_to_trade_by() -> None:
    calendar = load_calendar()
    days = calendar.market_days(date(calendar.last_day.year, 1, 1), calendar.last_day)
    assert judge_calendar(calendar, days[-11]).verdict is GREEN
    assert judge_calendar(calendar, days[-10]).verdict is RED


def test_premarket_is_done_or_its_missing_steps_are_named() -> None:
    assert judge_readiness([], is_ready=True).verdict is GREEN
    check = judge_readiness(["scrip", "corpus"], is_ready=False)
    assert check.verdict is RED
    assert "scrip, corpus" in check.found


@pytest.mark.parametrize(
    ("version", "as_of", "is_pinned", "verdict"),
    [
        (None, None, False, RED),
        ("v", BEFORE, False, GREEN),
        ("v", date(2025, 6, 27), True, NOTE),
        ("v", date(2025, 6, 27), False, RED),
    ],
)
def test_rules_are_of_the_day_before_or_a_person_chose_them(
    version: str | None, as_of: date | None, is_pinned: bool, verdict: Verdict
) -> None:
    assert judge_ruleset(version, as_of, BEFORE, is_pinned=is_pinned).verdict is verdict


def test_series_without_the_day_before_are_named() -> None:
    assert judge_prices([], 3, BEFORE).verdict is GREEN
    check = judge_prices([f"NSE_EQ:S{number}" for number in range(7)], 9, BEFORE)
    assert check.verdict is RED
    assert check.found.endswith("NSE_EQ:S4 and 2 more")


def test_a_trade_without_a_stop_is_named() -> None:
    assert judge_protection([], 2).verdict is GREEN
    naked: dict[str, Any] = {"group_id": "abcdef0123", "held_quantity": 5, "instrument_key": "NSE_EQ:TCS"}
    check = judge_protection([naked], 2)
    assert check.verdict is RED
    assert "abcdef01 (5 of NSE_EQ:TCS)" in check.found


@pytest.mark.parametrize(
    ("scopes", "verdict"), [([], GREEN), (["ADVISOR:A01"], NOTE), (["ADVISOR:A01", "ACCOUNT"], RED)]
)
def test_a_kill_level_of_the_account_stops_the_day(scopes: list[str], verdict: Verdict) -> None:
    levels = [{"level": "ENTRIES_BLOCKED", "scope": scope, "cause": "OPERATOR"} for scope in scopes]
    assert judge_levels(levels).verdict is verdict

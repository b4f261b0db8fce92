"""Latched levels (§6.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.model.enums import GateProfile, KillLevel
from propdesk.risk.kill_switch import (
    ACCOUNT_SCOPE,
    Cause,
    KillLimits,
    RiskLevels,
    clear,
    day_loss_level,
    group_loss_exceeded,
    lapsed,
    next_day,
    rejections_reason,
    reset_by_person,
    trip,
)

LIMITS = KillLimits()
BLOCKED = KillLevel.ENTRIES_BLOCKED


def tripped(*causes: tuple[str, Cause, KillLevel]) -> RiskLevels:
    levels = RiskLevels()
    for scope, cause, level in causes:
        levels, _ = trip(levels, scope, cause, level, "engine", "test", 1)
    return levels


def test_day_loss_thresholds_are_strict() -> None:
    assert day_loss_level(-30_000, 1_000_000, LIMITS) is None
    assert day_loss_level(-30_001, 1_000_000, LIMITS) is BLOCKED
    assert day_loss_level(-50_000, 1_000_000, LIMITS) is BLOCKED
    assert day_loss_level(-50_001, 1_000_000, LIMITS) is KillLevel.LIQUIDATING
    assert day_loss_level(-50_001, 0, LIMITS) is None
    assert day_loss_level(60_000, 1_000_000, LIMITS) is None


def test_group_loss_by_profile() -> None:
    assert not group_loss_exceeded(-1_250, 1_000, 50_000, GateProfile.DESK, LIMITS)
    assert group_loss_exceeded(-1_251, 1_000, 50_000, GateProfile.DESK, LIMITS)
    assert not group_loss_exceeded(-2_500, 1_000, 50_000, GateProfile.ORIGINAL, LIMITS)
    assert group_loss_exceeded(-2_501, 1_000, 50_000, GateProfile.ORIGINAL, LIMITS)


def test_the_level_is_the_highest_open_cause_of_the_scopes() -> None:
    levels = tripped(
        ("ADVISOR:A", Cause.MANUAL, KillLevel.REDUCE_ONLY), (ACCOUNT_SCOPE, Cause.DAY_LOSS, BLOCKED)
    )
    assert levels.level() is BLOCKED
    assert levels.level("ADVISOR:A") is KillLevel.REDUCE_ONLY
    assert levels.level_of(("ADVISOR:B", "CATEGORY:X")) is BLOCKED
    assert RiskLevels().level("ADVISOR:A") is KillLevel.ACTIVE


def test_clearing_one_cause_leaves_the_others() -> None:
    levels = tripped((ACCOUNT_SCOPE, Cause.DAY_LOSS, BLOCKED), (ACCOUNT_SCOPE, Cause.DISCONNECTED, BLOCKED))
    levels, changes = clear(levels, ACCOUNT_SCOPE, Cause.DISCONNECTED, "engine", "back", 2)
    assert [c.is_open for c in changes] == [False]
    assert levels.level() is BLOCKED
    assert clear(levels, ACCOUNT_SCOPE, Cause.DISCONNECTED, "engine", "back", 3) == (levels, ())


def test_only_the_broker_lifts_what_it_refuses_us() -> None:
    levels = tripped((ACCOUNT_SCOPE, Cause.ACCESS_REFUSED, BLOCKED))
    assert reset_by_person(levels, ACCOUNT_SCOPE, "anna", "looked", 2) == (levels, ())
    assert next_day(levels, 50, 60)[0].level() is BLOCKED
    assert clear(levels, ACCOUNT_SCOPE, Cause.ACCESS_REFUSED, "engine", "taken", 3)[0] == RiskLevels()


def test_a_person_cannot_lift_a_day_loss_within_the_day() -> None:
    levels = tripped((ACCOUNT_SCOPE, Cause.DAY_LOSS, BLOCKED), (ACCOUNT_SCOPE, Cause.MANUAL, BLOCKED))
    levels, changes = reset_by_person(levels, ACCOUNT_SCOPE, "anna", "looked", 2)
    assert [c.cause for c in changes] == [Cause.MANUAL]
    assert levels.level() is BLOCKED


def test_what_outlives_the_day() -> None:
    levels = tripped(
        (ACCOUNT_SCOPE, Cause.DAY_LOSS, BLOCKED),
        (ACCOUNT_SCOPE, Cause.MARKET_STALE, BLOCKED),
        ("ADVISOR:A", Cause.MANUAL, BLOCKED),
    )
    after, changes = next_day(levels, midnight_ns=10**18, ts_ns=10**18)
    assert set(after.causes) == {"ADVISOR:A|MANUAL"}
    assert {(c.cause, c.is_open) for c in changes} == {
        (cause.cause, False) for key, cause in levels.causes.items() if key not in after.causes
    }
    assert next_day(levels, midnight_ns=0, ts_ns=10**18) == (levels, ())
    locked = tripped((ACCOUNT_SCOPE, Cause.DAY_LOSS_HALT, KillLevel.LOCKED))
    halted, told = next_day(locked, midnight_ns=10**18, ts_ns=10**18)
    assert [(c.cause, c.is_open) for c in told] == [(Cause.DAY_LOSS_HALT, False), (Cause.HALT, True)]
    assert halted.level() is BLOCKED
    assert reset_by_person(halted, ACCOUNT_SCOPE, "anna", "morning", 3)[0].level() is KillLevel.ACTIVE


@given(st.lists(st.tuples(st.sampled_from(list(Cause)), st.sampled_from(list(KillLevel)[1:])), max_size=20))
def test_without_a_reset_the_level_only_rises(steps: list[tuple[Cause, KillLevel]]) -> None:
    levels = RiskLevels()
    for cause, level in steps:
        before = levels.level().severity
        levels, _ = trip(levels, ACCOUNT_SCOPE, cause, level, "engine", "test", 1)
        assert levels.level().severity == max(before, level.severity)


@pytest.mark.parametrize(
    ("fates", "is_account", "said"),
    [
        ([True] * 5, False, None),
        ([True] * 6, False, "refused 6 entries one after the other"),
        ([True] * 5 + [False] + [True], False, None),
        ([True] * 9, True, None),
        ([True] * 10, True, "refused 10 entries one after the other"),
        (([True] + [False] * 2) * 6, False, None),
        (([True] + [False] * 2) * 6 + [True, False], False, "refused 7 of the last 20"),
        (([True] + [False] * 2) * 6 + [False, False], False, None),
        (([True] + [False] * 2) * 7, True, None),
        ([], False, None),
    ],
)
def test_refused_entries_block_after_a_row_or_a_share(
    fates: list[bool], is_account: bool, said: str | None
) -> None:
    found = rejections_reason(fates, LIMITS, is_account=is_account)
    assert found is None if said is None else (found is not None and said in found)


def test_a_cause_with_an_end_is_let_go_then_and_its_end_only_moves_on() -> None:
    levels, changes = trip(
        RiskLevels(), "ADVISOR:A", Cause.PROTECTION, BLOCKED, "engine", "x", 1, until_ns=50
    )
    assert len(changes) == 1
    for until_ns, expected in ((40, 50), (60, 60), (0, 60)):
        levels, changes = trip(
            levels, "ADVISOR:A", Cause.PROTECTION, BLOCKED, "engine", "y", 2, until_ns=until_ns
        )
        assert changes == ()
        (cause,) = levels.causes.values()
        assert (cause.until_ns, cause.reason) == (expected, "x")
    assert lapsed(levels, 59) == ()
    assert [cause.scope for cause in lapsed(levels, 60)] == ["ADVISOR:A"]
    assert next_day(levels, 30, 59) == (levels, ())
    assert next_day(levels, 30, 60)[0] == RiskLevels()
    endless = tripped((ACCOUNT_SCOPE, Cause.MANUAL, BLOCKED))
    assert lapsed(endless, 10**18) == ()
    assert trip(endless, ACCOUNT_SCOPE, Cause.MANUAL, BLOCKED, "a", "x", 2, until_ns=9) == (endless, ())

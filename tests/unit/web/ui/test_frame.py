from datetime import UTC, datetime
from typing import Any

import pytest

from web.ui.frame import STALE_S, warnings_of

BEAT = datetime(2025, 7, 1, 4, 0, tzinfo=UTC)
LEVEL = {
    "level": "LOCKED",
    "scope": "ALL",
    "raised_ns": 1_751_342_400_000_000_000,
    "actor": "asha",
    "reason": "drill",
}


def overview(age_s: float | None, *levels: dict[str, Any]) -> dict[str, Any]:
    beats = [] if age_s is None else [{"component": "daemon", "beat_at": BEAT, "age_s": age_s}]
    return {"heartbeats": beats, "risk_levels": list(levels)}


@pytest.mark.parametrize(
    ("age_s", "warned"), [(0.0, False), (STALE_S, False), (STALE_S + 0.1, True), (None, True)]
)
def test_a_silent_daemon_is_named(age_s: float | None, warned: bool) -> None:
    assert [tone for tone, _ in warnings_of(overview(age_s))] == (["stale"] if warned else [])


def test_a_silent_daemon_is_told_by_moment_and_age() -> None:
    ((_, sentence),) = warnings_of(overview(150.0))
    assert sentence.endswith("was at 01 Jul 2025 09:30:00 IST, 2 min ago.")


def test_a_kill_level_stands_first_with_who_when_and_why() -> None:
    (tone, sentence), _ = warnings_of(overview(None, LEVEL))
    assert tone == "fault"
    assert sentence == "LOCKED for ALL since 01 Jul 2025 09:30:00 IST, by asha: drill"

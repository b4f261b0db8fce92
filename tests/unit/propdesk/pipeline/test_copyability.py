"""Copyability: figures by hand, and nothing that a day could not know."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propdesk.execution.lifetime import LifetimeRules
from propdesk.pipeline.copyability import CopyConfig, copyability
from tests.support.rule_frames import weekday_calendar

CALENDAR = weekday_calendar(date(2025, 1, 1), date(2025, 12, 31))
CONFIG = CopyConfig(window_days=30, lifetime=LifetimeRules(), share_limit=0.2)
DAY = date(2025, 6, 27)  # a Friday


def idea(number: int, **changes: Any) -> dict[str, Any]:
    """A bought share, entry stated at 100 to 101, filled at 102, closed at once with 1.6 R net."""
    return {
        "trade_id": f"t{number}", "trade_date": date(2025, 6, 24), "advisor_id": "A", "side": "BUY",
        "period": "INTRADAY", "entry_low_paise": 10_000, "entry_high_paise": 10_100, "entry_paise": 10_200,
        "entry_date": date(2025, 6, 24), "exit_date": date(2025, 6, 24), "exit_reason": "TARGET",
        "unsettled_date": None, "product_reason": None, "risk_paise": 400, "gross_r": 1.75, "r_multiple": 1.6,
        "traded_value_paise": 5_000_000, "traded_value_share": 0.1, **changes,
    }  # fmt: skip


NOT_MADE = {
    "entry_paise": None, "entry_date": None, "exit_date": None, "exit_reason": "NOT_TRIGGERED",
    "risk_paise": None, "gross_r": None, "r_multiple": None,
}  # fmt: skip


def flag(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "signal_id": f"t{number}", "claim_lag_s": 60.0, "moved_at_posting_r": 0.1, "moved_at_receipt_r": 0.3,
        "flags": [], "deleted_at": None, **changes,
    }  # fmt: skip


def claim(number: int, *, agrees: bool | None, flattering: float | None = None) -> dict[str, Any]:
    return {
        "trade_id": f"t{number}", "reported_status": "Target 1", "verified_reason": "TARGET",
        "agrees": agrees,
        "flattering_ratio": flattering,
    }  # fmt: skip


def judge(
    ideas: list[dict[str, Any]], flags: list[dict[str, Any]], claims: list[dict[str, Any]], day: date = DAY
) -> pd.DataFrame:
    audit = pd.DataFrame(claims, columns=list(claim(0, agrees=None)))
    audit["agrees"] = audit["agrees"].astype("boolean")
    return copyability(
        pd.DataFrame(ideas, columns=list(idea(0))), pd.DataFrame(flags, columns=list(flag(0))), audit,
        CALENDAR, day, CONFIG,
    ).set_index("advisor_id")  # fmt: skip


def test_figures_by_hand() -> None:
    ideas = [
        idea(1),
        idea(2, side="SELL", entry_paise=9_900, risk_paise=200, gross_r=-1.0, r_multiple=-1.2),
        idea(3, **NOT_MADE),
        idea(4, **{**NOT_MADE, "period": "SWING", "trade_date": date(2025, 6, 26)}),
        idea(5, exit_reason="INCOMPLETE", unsettled_date=date(2025, 6, 25), gross_r=None, r_multiple=None),
        idea(6, product_reason="UNSHORTABLE", **NOT_MADE),
        idea(7, exit_reason="OPEN", exit_date=None, gross_r=None, r_multiple=None),
    ]
    flags = [
        flag(1),
        flag(2, claim_lag_s=20.0, moved_at_receipt_r=1.5, flags=["RECEIVED_AFTER_MOVE"]),
        *[flag(n) for n in range(3, 7)],
        flag(7, deleted_at=pd.Timestamp("2025-06-27 20:00", tz="Asia/Kolkata")),
    ]
    claims = [
        claim(1, agrees=True, flattering=0.01),
        claim(2, agrees=False, flattering=0.03),
        claim(3, agrees=False),
    ]
    row = judge(ideas, flags, claims).loc["A"]
    assert [row[name] for name in ("ideas", "reached", "missed", "pending", "undecided")] == [7, 3, 1, 1, 2]
    assert row["reach_rate"] == 3 / 4
    assert (row["delay_s"], row["delay_p90_s"]) == (60.0, 60.0)
    assert row["moved_at_receipt_r"] == 0.3
    assert row["delay_cost_r"] == pytest.approx((6 * 0.2 + 1.4) / 7)
    assert row["late_share"] == 1 / 7
    # bought 1.00 above the stated 101 at a risk of 4; sold 1.00 below the stated 100 at a risk of 2
    assert row["entry_slip_r"] == pytest.approx((0.25 + 0.5) / 2)
    assert row["cost_r"] == pytest.approx((0.15 + 0.2) / 2)
    assert row["shortfall_r"] == pytest.approx((0.4 + 0.7) / 2)
    assert row["net_r_per_idea"] == pytest.approx((1.6 - 1.2) / 3)
    assert (row["audited"], row["claimed_untriggered"]) == (3, 1)
    assert row["agreement_rate"] == pytest.approx(1 / 3)
    assert row["flattering_ratio"] == pytest.approx(0.02)
    assert row["order_share"] == pytest.approx(0.1)
    assert row["capacity_paise"] == pytest.approx(1_000_000)
    assert row["withdrawn"] == 1


def test_whoever_keeps_most_per_idea_stands_first_and_the_unknown_last() -> None:
    ideas = [
        idea(1, advisor_id="poor", r_multiple=0.1),
        idea(2, advisor_id="rich"),
        idea(3, advisor_id="silent", exit_reason="OPEN", exit_date=None, gross_r=None, r_multiple=None),
    ]
    found = judge(ideas, [], [])
    assert list(found.index) == ["rich", "poor", "silent"]
    assert np.isnan(found.loc["silent", "net_r_per_idea"])
    without_stop = {"risk_paise": None, "gross_r": None, "r_multiple": None}
    bare = judge([idea(1, **without_stop), idea(2, **NOT_MADE)], [], []).loc["A"]
    assert (bare["reached"], bare["missed"]) == (1, 1)
    assert np.isnan(bare[["net_r_per_idea", "entry_slip_r", "cost_r"]].astype(float)).all()
    assert np.isnan(found.loc["rich", "delay_s"]), "nothing is known of its publishing"
    assert np.isnan(found.loc["rich", "agreement_rate"]), "nothing is claimed"


@pytest.mark.parametrize(
    ("period", "trade_date", "is_missed"),
    [
        ("INTRADAY", date(2025, 6, 27), True),
        ("SWING", date(2025, 6, 23), True),  # five market days, today the last
        ("SWING", date(2025, 6, 24), False),
        ("POSITIONAL", date(2025, 6, 9), True),
        ("POSITIONAL", date(2025, 6, 10), False),
    ],
)
def test_an_idea_is_missed_once_its_validity_is_over(period: str, trade_date: date, is_missed: bool) -> None:
    row = judge([idea(1, **{**NOT_MADE, "period": period, "trade_date": trade_date})], [], []).loc["A"]
    assert (row["missed"], row["pending"]) == (int(is_missed), int(not is_missed))


def test_a_day_knows_no_later_entry_exit_claim_or_withdrawal() -> None:
    """What comes after the day may be changed at will."""
    later, much_later = date(2025, 6, 30), date(2025, 7, 4)
    ideas = [
        idea(1),
        idea(2, period="SWING", exit_date=later),
        idea(3, period="SWING", trade_date=date(2025, 6, 26), entry_date=later, exit_date=later),
        idea(4, trade_date=later, entry_date=later, exit_date=later),
    ]
    flags = [flag(n, deleted_at=pd.Timestamp("2025-06-28 00:00", tz="Asia/Kolkata")) for n in range(1, 5)]
    claims = [claim(n, agrees=True, flattering=0.5) for n in range(1, 5)]
    known = judge(ideas, flags, claims)
    assert known.loc["A", ["ideas", "reached", "pending", "audited", "withdrawn"]].tolist() == [3, 2, 1, 1, 0]
    other = [
        idea(1),
        idea(2, period="SWING", exit_date=much_later, exit_reason="STOPLOSS", gross_r=-1.0, r_multiple=-1.1),
        idea(3, **{**NOT_MADE, "period": "SWING", "trade_date": date(2025, 6, 26)}),
    ]
    changed = judge(other, [flag(n) for n in range(1, 4)], [claim(1, agrees=True, flattering=0.5)])
    pd.testing.assert_frame_equal(known, changed)


def test_without_ideas_in_the_window_there_is_no_row() -> None:
    assert judge([idea(1, trade_date=date(2025, 1, 2))], [], []).empty

"""Ideas claimed late, posted after the move, edited or taken back are flagged; nothing is removed."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from propdesk.core.clock import NS_PER_SECOND
from propdesk.pipeline.conduct import ConductRule, flag_conduct
from tests.support.market import MemoryPrices, at, bars, small_calendar

DAY = date(2025, 1, 8)
KEY = "NSE_EQ:ACME"
PRICES = MemoryPrices(
    {
        KEY: bars(
            DAY,
            [
                ("09:15", 10_000, 10_010, 9_990, 10_000),
                ("09:16", 10_000, 10_120, 10_000, 10_110),
                ("09:17", 10_110, 10_420, 10_100, 10_400),
                ("09:18", 10_400, 10_400, 9_700, 9_750),
            ],
        )
    }
)
NO_VERSIONS = pd.DataFrame(
    {
        "record_id": pd.Series([], dtype="str"),
        "change": pd.Series([], dtype="str"),
        "changed_at": pd.Series([], dtype="datetime64[ns, UTC]"),
    }
)


def stamp(clock: str, seconds: int = 0) -> pd.Timestamp:
    return pd.Timestamp(at(DAY, clock) + seconds * NS_PER_SECOND, unit="ns", tz="UTC")


def idea(posted: str, received: str | None = None, **changes: object) -> pd.DataFrame:
    row = {
        "trade_date": DAY,
        "signal_id": "s",
        "advisor_id": "A",
        "revision": 1,
        "price_key": KEY,
        "underlying_key": KEY,
        "side": "BUY",
        "entry_low_paise": 10_000,
        "entry_high_paise": 10_000,
        "stoploss_paise": 9_900,
        "targets_paise": [10_400],
        "posted_at": stamp(posted),
        "received_at": stamp(received or posted, 0 if received else 30),
    }
    frame = pd.DataFrame([{**row, **changes}])
    for name in ("entry_low_paise", "entry_high_paise", "stoploss_paise"):
        frame[name] = frame[name].astype("Int64")
    return frame


def versions(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "record_id": ["s"] * len(rows),
            "change": [change for change, _ in rows],
            "changed_at": pd.Series([stamp(clock) for _, clock in rows], dtype="datetime64[ns, UTC]"),
        }
    )


def flagged(ideas: pd.DataFrame, changes: pd.DataFrame = NO_VERSIONS, known: str = "16:00") -> pd.Series:
    frame = flag_conduct(ideas, changes, PRICES, small_calendar(), ConductRule(), at(DAY, known))
    assert len(frame) == len(ideas)
    return frame.iloc[0]


def test_an_idea_in_time_carries_no_flag() -> None:
    row = flagged(idea("09:16"))
    assert row["flags"] == []
    assert (row["moved_at_posting_r"], row["claim_lag_s"]) == (0.0, 30.0)
    assert pd.isna(row["deleted_at"])


@pytest.mark.parametrize(
    ("posted", "moved", "flags"),
    [
        ("09:15", np.nan, []),  # no bar is complete yet
        ("09:17", 1.1, ["POSTED_AFTER_MOVE", "RECEIVED_AFTER_MOVE"]),
        ("09:18", 4.0, ["POSTED_AFTER_MOVE", "RECEIVED_AFTER_MOVE"]),
        ("09:19", -2.5, []),  # it has come back below the entry
    ],
)
def test_the_move_before_the_posting_is_measured_in_r(posted: str, moved: float, flags: list[str]) -> None:
    row = flagged(idea(posted))
    assert row["moved_at_posting_r"] == pytest.approx(moved, nan_ok=True)
    assert row["flags"] == flags


def test_a_sale_is_mirrored() -> None:
    sale = {"side": "SELL", "stoploss_paise": 10_100, "targets_paise": [9_800]}
    assert flagged(idea("09:18", **sale))["flags"] == []
    assert "POSTED_AFTER_MOVE" in flagged(idea("09:19", **sale))["flags"], "9,750 lies beyond its target"


def test_without_a_stop_r_is_the_distance_to_the_target_and_without_either_there_is_none() -> None:
    assert flagged(idea("09:17", stoploss_paise=None))["moved_at_posting_r"] == pytest.approx(110 / 400)
    bare = flagged(idea("09:17", stoploss_paise=None, targets_paise=[]))
    assert np.isnan(bare["moved_at_posting_r"])
    assert bare["flags"] == []


def test_a_market_entry_is_late_once_its_target_was_passed() -> None:
    market = {"entry_low_paise": None, "entry_high_paise": None}
    assert flagged(idea("09:17", **market))["flags"] == []
    assert "POSTED_AFTER_MOVE" in flagged(idea("09:18", **market))["flags"]


def test_a_claim_long_before_its_receipt_is_back_dated() -> None:
    row = flagged(idea("09:16", "09:27"))
    assert row["flags"] == ["BACK_DATED"]
    assert row["claim_lag_s"] == 660.0
    assert flagged(idea("09:16", "09:26"))["flags"] == []
    assert flagged(idea("09:17", "09:16"))["flags"][0] == "RECEIVED_BEFORE_CLAIM"


def test_an_edit_is_told_from_an_edit_after_the_move() -> None:
    assert flagged(idea("09:15"), versions(("EDITED", "09:16")))["flags"] == ["EDITED"]
    late = flagged(idea("09:15"), versions(("EDITED", "09:18")))
    assert late["flags"] == ["EDITED", "EDITED_AFTER_MOVE"]
    assert late["edited_at"] == stamp("09:18")


def test_a_deletion_stands_until_the_idea_is_back() -> None:
    gone = flagged(idea("09:16"), versions(("DELETED", "09:40")))
    assert (gone["flags"], gone["deleted_at"]) == (["DELETED"], stamp("09:40"))
    assert flagged(idea("09:16"), versions(("DELETED", "09:40"), ("RESTORED", "09:50")))["flags"] == []


def test_what_was_taken_back_after_the_last_price_is_flagged() -> None:
    """A call vanishes on a Saturday; the prices end on Friday."""
    assert flagged(idea("09:16"), versions(("DELETED", "09:40")), known="09:30")["flags"] == ["DELETED"]


def test_a_price_later_than_the_known_moment_is_not_used() -> None:
    assert flagged(idea("09:15"), versions(("EDITED", "09:18")), known="09:16")["flags"] == ["EDITED"]
    assert np.isnan(flagged(idea("09:17"), known="09:15")["moved_at_posting_r"])


def test_an_idea_without_any_price_is_kept() -> None:
    row = flagged(idea("09:18", price_key="NSE_EQ:NOBODY"))
    assert row["flags"] == []
    assert np.isnan(row["moved_at_posting_r"])


def test_no_ideas_give_an_empty_frame_of_the_same_columns() -> None:
    empty = flag_conduct(
        idea("09:16").iloc[:0], NO_VERSIONS, PRICES, small_calendar(), ConductRule(), at(DAY, "16:00")
    )
    assert list(empty.columns) == list(
        flag_conduct(
            idea("09:16"), NO_VERSIONS, PRICES, small_calendar(), ConductRule(), at(DAY, "16:00")
        ).columns
    )


def test_flags_do_not_depend_on_the_range() -> None:
    """An old price, and a move between the trade date and an edit days later, count alike in any range."""
    calendar, old, later = small_calendar(), date(2025, 1, 3), date(2025, 1, 10)
    beyond = [("09:15", 10_500, 10_500, 10_500, 10_500)]
    prices = MemoryPrices(
        {KEY: bars(old, beyond), "NSE_EQ:BOLT": bars(DAY, [("15:00", 10_000, 10_010, 9_990, 10_000)])
         + bars(DAY + timedelta(days=1), beyond)}
    )  # fmt: skip

    def at_day(name: str, day: date, key: str) -> pd.DataFrame:
        moment = pd.Timestamp(at(day, "09:14"), unit="ns", tz="UTC")
        return idea(
            "09:14", trade_date=day, signal_id=name, price_key=key, posted_at=moment, received_at=moment
        )

    rows = [
        at_day("a", old, KEY),
        at_day("b", DAY, KEY),
        at_day("s", DAY, "NSE_EQ:BOLT"),
        at_day("z", later, KEY),
    ]
    edited_at = pd.Timestamp(at(later, "10:00"), unit="ns", tz="UTC")
    edits = versions(("EDITED", "09:15")).assign(changed_at=edited_at)

    def flags(frames: list[pd.DataFrame]) -> pd.DataFrame:
        whole = pd.concat(frames, ignore_index=True)
        return flag_conduct(whole, edits, prices, calendar, ConductRule(), at(later, "16:00"))

    together = flags(rows)
    pd.testing.assert_frame_equal(
        together, pd.concat([flags([one]) for one in rows], ignore_index=True), check_dtype=False
    )
    assert [list(found) for found in together["flags"]] == [[], [], ["EDITED", "EDITED_AFTER_MOVE"], []]

"""What Today says of the legs that are open."""

from typing import Any

import pytest

from web.ui.pages import overview
from web.ui.words import define

LEG: dict[str, Any] = {
    "instrument_key": "INDEX_OPT:NIFTY:2025-07-03:2520000:PE",
    "side": "BUY",
    "is_reverse": False,
    "advisor_id": "ADV030",
    "leg_number": 2,
    "held_quantity": 75,
    "waiting_quantity": 0,
    "entry_type": "LIMIT",
    "entry_low_paise": 28_000,
    "entry_high_paise": 29_000,
    "entry_paise": 28_495,
    "stop_paise": 28_495,
    "target_paise": 37_145,
    "opened_ns": 1_751_342_400_000_000_000,
    "signal_id": "a/b?c",
}


def row_of(**changed: object) -> tuple[Any, ...]:
    return overview._open_row({**LEG, **changed})


def test_a_leg_shows_its_own_stop_and_target_with_what_they_make() -> None:
    _, side, advisor, *shown, opened = row_of()
    assert (side, advisor, opened) == ("BUY", "ADV030", "01 Jul 2025 09:30:00 IST")
    assert shown == [2, "75", "0", "₹284.95", "₹284.95 (0.00 %)", "₹371.45 (30.36 %)"]


@pytest.mark.parametrize(("side", "stop", "move"), [("BUY", 90, "−10.00 %"), ("SELL", 90, "10.00 %")])
def test_a_stop_says_by_its_sign_whether_it_loses(side: str, stop: int, move: str) -> None:
    assert row_of(side=side, entry_paise=100, stop_paise=stop)[7] == f"₹0.90 ({move})"


def test_a_position_entered_at_the_market_has_an_entry_and_a_distance() -> None:
    shown = row_of(entry_type="MARKET", entry_low_paise=None, entry_high_paise=None, stop_paise=24_670)
    assert shown[6:8] == ("₹284.95", "₹246.70 (−13.42 %)")


@pytest.mark.parametrize(
    ("low", "high", "entry"),
    [(None, None, "waits, MARKET"), (100, 100, "waits, ₹1.00"), (100, 200, "waits, ₹1.00 to ₹2.00")],
)
def test_what_waits_says_for_what(low: int | None, high: int | None, entry: str) -> None:
    waits = {"entry_paise": None, "entry_low_paise": low, "entry_high_paise": high, "entry_type": "MARKET"}
    assert row_of(**waits)[6] == entry


def test_an_address_is_quoted() -> None:
    assert row_of()[0] == (LEG["instrument_key"], "/signals/a%2Fb%3Fc")


def test_the_crowd_score_is_defined_as_it_is_computed() -> None:
    """`strategy.crowd.CrowdReading.score` is the larger share, whatever side the idea is on."""
    assert "stronger side" in define("crowd_score").text
    assert "own side" not in define("crowd_score").text

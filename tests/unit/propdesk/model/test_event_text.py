"""Messages: Indian digit groups, times in IST, nothing that turns or formats text, no payload that breaks."""

import pytest

from propdesk.model.event_text import WORDS_MAX, TradeEvent, event_text, plain

NS = 1_751_341_500_000_000_000
"""2025-07-01 09:15 IST"""
TRADE = {
    "instrument_key": "INDEX_OPT:NIFTY:2025-07-03:2550000:CE", "side": "BUY", "quantity": 1_500,
    "leg_number": 2, "advisor_id": "A01", "entry_paise": 12_345, "exit_paise": 13_000,
    "exit_reason": "TARGET",
    "net_pnl_paise": 12_34_567_80, "stop_paise": 11_000, "entry_low_paise": None, "entry_high_paise": None,
    "target_paise": None,
}  # fmt: skip
SUMMARY = {
    "trade_date": "2025-07-01", "net_pnl_paise": -12_34_567_80, "gross_pnl_paise": 0, "charges_paise": 99,
    "legs_entered": 4, "legs_closed": 3, "legs_won": 2, "legs_open": 1, "signals_decided": 400,
}  # fmt: skip
BOUGHT = "BUY 1500 INDEX_OPT:NIFTY:2025-07-03:2550000:CE"
WHO = "leg 2, advisor A01"


def text(kind: str, payload: object, message: str = "as it is", severity: str = "info") -> str:
    return event_text(TradeEvent("paper", 7, kind, severity, message, payload, NS))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "payload", "body"),
    [
        ("ENTRY_FILLED", TRADE, f"{BOUGHT} at ₹123.45, stop ₹110.00, {WHO}"),
        ("SL_UPDATED", {**TRADE, "stop_paise": None}, f"{BOUGHT} at ₹123.45, {WHO}"),
        ("ENTRY_PLACED", TRADE, f"{BOUGHT} at the market, stop ₹110.00, {WHO}"),
        (
            "ENTRY_PLACED",
            {**TRADE, "entry_low_paise": 100_00_000, "entry_high_paise": 100_00_500, "target_paise": 1},
            f"{BOUGHT} at ₹1,00,000.00 to ₹1,00,005.00, stop ₹110.00, target ₹0.01, {WHO}",
        ),
        ("ENTRY_PLACED", {**TRADE, "entry_low_paise": 5}, f"{BOUGHT} at ₹0.05, stop ₹110.00, {WHO}"),
        (
            "TARGET_HIT",
            TRADE,
            f"{BOUGHT}: in at ₹123.45, out at ₹130.00 (TARGET), net ₹12,34,567.80, {WHO}",
        ),
        (
            "DAILY_SUMMARY",
            SUMMARY,
            "2025-07-01: net -₹12,34,567.80 (gross ₹0.00, charges ₹0.99); "
            "legs: 4 entered, 3 closed, 2 of them won, 1 open; signals decided: 400",
        ),
        ("DAILY_SUMMARY", {}, "as it is"),
        ("TARGET_HIT", {"instrument_key": "x"}, "as it is"),
        ("HALT", 5, "as it is"),
    ],
)
def test_what_is_told_of_each_kind(kind: str, payload: object, body: str) -> None:
    assert text(kind, payload) == f"{kind}, 2025-07-01 09:15:00 IST\n{body}\npaper #7"


def test_what_is_grave_says_so_first() -> None:
    assert text("HALT", {}, severity="critical").startswith("CRITICAL HALT, ")
    assert text("STALE", {}, severity="warning").startswith("WARNING STALE, ")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("", ""),
        ("a\n\tb\x00\x1b[31m", "a b[31m"),
        ("buy\u202eyub\u200b!", "buyyub!"),
        ("x" * 2_000, "x" * 699 + "…"),
    ],
)
def test_words_from_outside_become_one_plain_line(given: str, shown: str) -> None:
    assert plain(given) == shown
    assert len(plain(given)) <= WORDS_MAX

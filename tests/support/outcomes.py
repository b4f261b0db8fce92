"""Days and trades of simulated desks, made by hand."""

from datetime import date, timedelta
from typing import Any

from propdesk.model.enums import Category, ExitReason
from propdesk.sim.results import DayOutcome, SimulatedTrade

FIRST = date(2025, 6, 2)


def make_trade(net_paise: int = 100, **changes: Any) -> SimulatedTrade:
    """A share bought and sold under one rule; a charge of 10 paise."""
    base: dict[str, Any] = {
        "group_id": "g1",
        "leg_number": 1,
        "signal_id": "s1",
        "advisor_id": "A01",
        "category": Category.NSE_EQ,
        "rule_text": "MINI|A01|NSE_EQ|INTRADAY",
        "is_reverse": False,
        "instrument_key": "NSE_EQ:TSTA",
        "side": "BUY",
        "quantity": 1,
        "entry_ns": 0,
        "entry_paise": 10_000,
        "exit_ns": 1,
        "exit_paise": 10_000 + net_paise + 10,
        "exit_reason": ExitReason.SQUARE_OFF,
        "gross_pnl_paise": net_paise + 10,
        "charges_paise": 10,
        "net_pnl_paise": net_paise,
        "risk_paise": 200,
    }
    return SimulatedTrade(**{**base, **changes})


def make_days(*closings: int, capital: int = 1_000, first: date = FIRST, **changes: Any) -> list[DayOutcome]:
    """Days that end at these realised corpora, in paise; the marked one is the same unless given."""
    days = []
    for number, closing in enumerate(closings):
        base: dict[str, Any] = {
            "trade_date": first + timedelta(days=number),
            "rules_of": None,
            "ruleset_version": "v1",
            "opening_paise": capital if number == 0 else closings[number - 1],
            "closing_paise": closing,
            "marked_paise": closing,
            "peak_utilisation_ratio": 0.25,
            "open_groups": 0,
            "decisions": {},
            "trades": (),
            "switches": (),
            "digest": f"d{number}",
        }
        days.append(DayOutcome(**{**base, **changes}))
    return days

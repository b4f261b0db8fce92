"""What a person reads of an event: plain text, rupees in Indian groups, times in IST."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from propdesk.core.calendar import ist_text
from propdesk.core.money import Paise, format_inr
from propdesk.model.trade_event import EventKind, Severity

WORDS_MAX: Final = 700
"""Characters of an event's own words: what a broker or a page says may be of any length."""

_EXITS: Final = (EventKind.STOPLOSS_HIT, EventKind.TARGET_HIT, EventKind.EXIT_COMPLETED)
_SPACES: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class TradeEvent:
    """One row of ``trade_events``; ``event_ns`` UTC."""

    account_id: str
    event_id: int
    kind: str
    severity: str
    message: str
    payload: Mapping[str, Any]
    event_ns: int


def event_text(event: TradeEvent) -> str:
    """Write an event as a message.

    Parameters
    ----------
    event : TradeEvent

    Returns
    -------
    str
        Three lines: what and when, what of it, whose account and which number. The number is that of the
        event, so whoever gets a message twice can tell. No markup.

    Examples
    --------
    >>> print(event_text(TradeEvent("paper", 7, "HALT", "critical", "it ended", {}, 0)))
    CRITICAL HALT, 1970-01-01 05:30:00 IST
    it ended
    paper #7
    """
    grave = "" if event.severity == Severity.INFO else f"{event.severity.upper()} "
    head = f"{grave}{event.kind}, {ist_text(event.event_ns)}"
    try:
        body = _body(event)
    except (KeyError, TypeError):
        body = event.message  # a payload of another shape must not keep the event from people
    return f"{plain(head)}\n{plain(body)}\n{event.account_id} #{event.event_id}"


def plain(text: str) -> str:
    """Make one line of plain characters: no controls, no marks that turn the direction of writing."""
    kept = (c for c in text if c.isspace() or not unicodedata.category(c).startswith("C"))
    line = _SPACES.sub(" ", "".join(kept)).strip()
    return line if len(line) <= WORDS_MAX else f"{line[: WORDS_MAX - 1]}…"


def _body(event: TradeEvent) -> str:
    facts = event.payload
    if event.kind == EventKind.DAILY_SUMMARY:
        return _summary(facts)
    if "instrument_key" not in facts:
        return event.message
    traded = f"{facts['side']} {facts['quantity']} {facts['instrument_key']}"
    if event.kind == EventKind.ENTRY_PLACED:
        words = f"{traded} {_entry(facts)}{_part('stop', facts['stop_paise'])}"
        words += _part("target", facts["target_paise"])
    elif event.kind in _EXITS:
        net = facts["net_pnl_paise"]
        words = f"{traded}: in at {_rupees(facts['entry_paise'])}, out at {_rupees(facts['exit_paise'])}"
        words += f" ({facts['exit_reason']}){_part('net', net)}"
    else:
        words = f"{traded} at {_rupees(facts['entry_paise'])}{_part('stop', facts['stop_paise'])}"
    return f"{words}, leg {facts['leg_number']}, advisor {facts['advisor_id']}"


def _summary(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['trade_date']}: net {_rupees(facts['net_pnl_paise'])} "
        f"(gross {_rupees(facts['gross_pnl_paise'])}, charges {_rupees(facts['charges_paise'])}); "
        f"legs: {facts['legs_entered']} entered, {facts['legs_closed']} closed, "
        f"{facts['legs_won']} of them won, {facts['legs_open']} open; "
        f"signals decided: {facts['signals_decided']}"
    )


def _entry(facts: Mapping[str, Any]) -> str:
    low, high = facts["entry_low_paise"], facts["entry_high_paise"]
    if low is None and high is None:
        return "at the market"
    if low is None or high is None or low == high:
        return f"at {_rupees(high if low is None else low)}"
    return f"at {_rupees(low)} to {_rupees(high)}"


def _part(name: str, paise: Paise | None) -> str:
    return "" if paise is None else f", {name} {_rupees(paise)}"


def _rupees(paise: Paise) -> str:
    return f"{'-' if paise < 0 else ''}₹{format_inr(abs(paise))}"

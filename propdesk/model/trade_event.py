"""Events that people hear of: every kind, how grave it is, what it means (§7.1)."""

from enum import StrEnum
from typing import Final, NamedTuple


class Severity(StrEnum):
    """How grave an event is; it decides which channel is tried first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class EventKind(StrEnum):
    """Every kind of event in ``trade_events``."""

    ENTRY_PLACED = "ENTRY_PLACED"
    ENTRY_FILLED = "ENTRY_FILLED"
    ENTRY_REJECTED = "ENTRY_REJECTED"
    STOPLOSS_HIT = "STOPLOSS_HIT"
    TARGET_HIT = "TARGET_HIT"
    EXIT_COMPLETED = "EXIT_COMPLETED"
    SL_UPDATED = "SL_UPDATED"
    KILL_SWITCH = "KILL_SWITCH"
    KILL_SWITCH_CLEARED = "KILL_SWITCH_CLEARED"
    MEASURE_ALARM = "MEASURE_ALARM"
    HALT = "HALT"
    HEARTBEAT_LOST = "HEARTBEAT_LOST"
    DAILY_SUMMARY = "DAILY_SUMMARY"
    RUN_FAILURE = "RUN_FAILURE"
    STALE = "STALE"
    FEED_TROUBLE = "FEED_TROUBLE"
    NAKED = "NAKED"
    UNPROTECTED = "UNPROTECTED"
    EXCESS = "EXCESS"
    OVERSOLD = "OVERSOLD"
    SURPLUS = "SURPLUS"
    CHANGES_SPENT = "CHANGES_SPENT"
    CHANGE_REFUSED = "CHANGE_REFUSED"
    UNREADABLE = "UNREADABLE"
    CLOSED_ELSEWHERE = "CLOSED_ELSEWHERE"
    LATE_FILL = "LATE_FILL"
    MISSED_AMBIGUOUS = "MISSED_AMBIGUOUS"
    FOREIGN_ORDER = "FOREIGN_ORDER"
    GROUP_LOSS = "GROUP_LOSS"
    ORPHAN_FOLLOWUP = "ORPHAN_FOLLOWUP"
    FOLLOWUP_RECORDED = "FOLLOWUP_RECORDED"
    REVISED_AFTER_DECISION = "REVISED_AFTER_DECISION"
    CONTEXT_CHANGED = "CONTEXT_CHANGED"
    COMMAND_ANSWERED = "COMMAND_ANSWERED"


class EventFacts(NamedTuple):
    """What is known of a kind: its usual severity, and what it means to a person."""

    severity: Severity
    meaning: str


_CRITICAL, _WARNING, _INFO = Severity.CRITICAL, Severity.WARNING, Severity.INFO

EVENTS: Final[dict[EventKind, EventFacts]] = {
    EventKind.ENTRY_PLACED: EventFacts(_INFO, "the broker accepted an entry"),
    EventKind.ENTRY_FILLED: EventFacts(_INFO, "an entry filled, or began to"),
    EventKind.ENTRY_REJECTED: EventFacts(_WARNING, "the broker refused an entry"),
    EventKind.STOPLOSS_HIT: EventFacts(_WARNING, "a leg left at its stop; info where the stop was trailed"),
    EventKind.TARGET_HIT: EventFacts(_INFO, "a leg left at its target"),
    EventKind.EXIT_COMPLETED: EventFacts(_INFO, "a leg left for any other reason, which is named"),
    EventKind.SL_UPDATED: EventFacts(_INFO, "the stop of an open leg moved"),
    EventKind.KILL_SWITCH: EventFacts(_CRITICAL, "a kill level rose: of what, to which level, why"),
    EventKind.KILL_SWITCH_CLEARED: EventFacts(_INFO, "a cause of a kill level was cleared"),
    EventKind.MEASURE_ALARM: EventFacts(
        _WARNING, "the daemon measured something of itself that comes close to a kill switch"
    ),
    EventKind.HALT: EventFacts(
        _CRITICAL, "the trading daemon ended by a fault; no entry leaves until it has started anew"
    ),
    EventKind.HEARTBEAT_LOST: EventFacts(_CRITICAL, "a task of the daemon is silent in market hours"),
    EventKind.DAILY_SUMMARY: EventFacts(_INFO, "the day is closed: trades, result, what stays open"),
    EventKind.RUN_FAILURE: EventFacts(
        _WARNING, "a run of the pipeline failed; critical where pre-market did"
    ),
    EventKind.STALE: EventFacts(_WARNING, "tables lack the newest market day that is due"),
    EventKind.FEED_TROUBLE: EventFacts(
        _WARNING,
        "the price feed is away, its trades come too late for a bar, or what it shows cannot be recorded; "
        "trading goes on",
    ),
    EventKind.NAKED: EventFacts(_CRITICAL, "something is held under no live stop"),
    EventKind.UNPROTECTED: EventFacts(
        _CRITICAL, "changes of a group are refused again and again: it is closed"
    ),
    EventKind.EXCESS: EventFacts(_CRITICAL, "an order would sell more than is held: it is cut"),
    EventKind.OVERSOLD: EventFacts(
        _CRITICAL, "more of an order was closed than it held: entries are blocked until a person has looked"
    ),
    EventKind.SURPLUS: EventFacts(_CRITICAL, "an order of ours is at the broker twice"),
    EventKind.CHANGES_SPENT: EventFacts(_CRITICAL, "the broker takes no further change of an order"),
    EventKind.CHANGE_REFUSED: EventFacts(_WARNING, "the broker refused a change of an order"),
    EventKind.UNREADABLE: EventFacts(_CRITICAL, "the broker says something of an order that cannot be read"),
    EventKind.CLOSED_ELSEWHERE: EventFacts(_CRITICAL, "somebody else closed a position of ours"),
    EventKind.LATE_FILL: EventFacts(_CRITICAL, "a leg filled after its end"),
    EventKind.MISSED_AMBIGUOUS: EventFacts(
        _CRITICAL, "an entry of unknown fate never appeared at the broker"
    ),
    EventKind.FOREIGN_ORDER: EventFacts(_WARNING, "the broker reports an order that is not ours"),
    EventKind.GROUP_LOSS: EventFacts(_WARNING, "a trade group is closed for its loss"),
    EventKind.ORPHAN_FOLLOWUP: EventFacts(_WARNING, "a follow-up fits no open signal"),
    EventKind.FOLLOWUP_RECORDED: EventFacts(_INFO, "a follow-up of a kind that is only recorded"),
    EventKind.REVISED_AFTER_DECISION: EventFacts(_INFO, "a signal was revised after it was decided"),
    EventKind.CONTEXT_CHANGED: EventFacts(_WARNING, "the day goes on under other rules or settings"),
    EventKind.COMMAND_ANSWERED: EventFacts(
        _INFO,
        "a command was carried out; warning where it was refused, critical where a stop was or it expired",
    ),
}
"""Facts of every kind; the reducer takes the severity of what it tells from here."""

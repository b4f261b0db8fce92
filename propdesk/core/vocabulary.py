"""The two vocabularies that the calendar itself speaks."""

from enum import StrEnum


class Session(StrEnum):
    """Part of the day in which a signal was received (§2.6)."""

    MORNING = "MORNING"
    MIDDAY = "MIDDAY"
    AFTERNOON = "AFTERNOON"
    AFTER_HOURS = "AFTER_HOURS"


class Weekday(StrEnum):
    """Weekday of the trade date; special weekend sessions have none (§1)."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"

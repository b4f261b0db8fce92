"""What a person asks of the daemon: words of the table ``trading.commands`` (§6.2, §7.4)."""

from enum import StrEnum
from typing import Final


class CommandKind(StrEnum):
    """What is asked for."""

    PAUSE = "PAUSE"
    RESUME = "RESUME"
    KILL = "KILL"
    FLATTEN = "FLATTEN"
    EXIT = "EXIT"
    CANCEL = "CANCEL"


STOPS: Final = (CommandKind.PAUSE, CommandKind.KILL, CommandKind.FLATTEN)
"""Raise a kill level: they hold entries back from the moment they stand in the table, answered or not."""


class CommandState(StrEnum):
    """What became of it; only ASKED changes, once."""

    ASKED = "ASKED"
    DONE = "DONE"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"


class Door(StrEnum):
    """Where it was asked."""

    CLI = "CLI"
    API = "API"
    UI = "UI"
    TELEGRAM = "TELEGRAM"

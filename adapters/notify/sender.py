"""How messages leave: what every channel does and how its answers are read."""

import json
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from adapters.notify.guarded import Answer, NothingSent, OutcomeLost

TOO_MANY: Final = 429
RETRY_MAX_S: Final = 3_600.0
"""Longest wait that an answer may ask for."""
_WORDS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Delivered:
    """The channel took the message."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """The channel did not take the message now; ``is_unknown``: it may have."""

    reason: str
    wait_s: float | None = None
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The channel will never take this message; ``reason`` says what a person has to do."""

    reason: str


Outcome: TypeAlias = Delivered | Undelivered | Refused


class Sender(Protocol):
    """One channel."""

    name: str

    def pause_ns(self, address: str) -> int:
        """Least time between two messages to an address, ns."""
        ...

    async def send(self, address: str, text: str, *, message_id: str, is_silent: bool) -> Outcome:
        """Send one message, once.

        Parameters
        ----------
        address : str
        text : str
        message_id : str
            The same for a repeat, where the channel can tell by it; empty = none.
        is_silent : bool
            Without a sound, where the channel can.
        """
        ...


def lost(fault: NothingSent | OutcomeLost) -> Undelivered:
    """Read a call without an answer."""
    return Undelivered(str(fault), is_unknown=isinstance(fault, OutcomeLost))


def document_of(answer: Answer) -> dict[str, Any] | None:
    """Read the JSON object of an answer; None if there is none."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def refusal(answer: Answer, words: object, wait_s: object = None) -> Outcome:
    """Read an answer that is no success.

    Parameters
    ----------
    answer : Answer
    words : object
        What the channel says of it.
    wait_s : object, optional
        Seconds to wait that the body names; the header ``Retry-After`` by default.
    """
    reason = f"HTTP {answer.status}: {str(words or 'no reason given')[:_WORDS_MAX]}"
    if answer.status == TOO_MANY:
        return Undelivered(reason, wait_s=_seconds(wait_s) or _seconds(answer.headers.get("retry-after")))
    if 400 <= answer.status < 500 and answer.status != 408:
        return Refused(reason)
    is_unknown = 200 <= answer.status < 300
    return Undelivered(reason, wait_s=_seconds(answer.headers.get("retry-after")), is_unknown=is_unknown)


def _seconds(value: object) -> float | None:
    try:
        seconds = float(str(value))
    except ValueError:
        return None  # a date, which no channel of ours sends, or nothing
    return min(seconds, RETRY_MAX_S) if seconds > 0 else None

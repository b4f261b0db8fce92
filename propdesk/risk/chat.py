"""What a person types into a chat: a question, a command, or the word that confirms one (§7.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from propdesk.model.command import CommandKind
from propdesk.risk.desk_commands import Unusable, parse
from propdesk.risk.kill_switch import ACCOUNT_SCOPE


class Question(StrEnum):
    """What can be looked at."""

    HELP = "help"
    STATUS = "status"
    POSITIONS = "positions"
    PNL = "pnl"
    CROWD = "crowd"


_WITHOUT_SCOPE: Final = (CommandKind.EXIT, CommandKind.FLATTEN)
CONFIRMED: Final = frozenset(set(CommandKind) - {CommandKind.PAUSE})
"""Asked back before they are carried out. A pause is not: it can wait for nothing, and costs only entries."""

HELP: Final = """/status  the desk at a glance
/positions  what is held, and what waits to enter
/pnl  result of the newest day, and the corpus
/crowd NIFTY  the crowd's ideas on an underlying
/pause [SCOPE] [why]  nothing enters any more
/resume SCOPE why  lift what you may lift
/kill LEVEL [SCOPE [why]]  ENTRIES_BLOCKED, REDUCE_ONLY, LIQUIDATING or LOCKED
/flatten [why]  close everything
/exit TRADE [why]  close one trade
/cancel [SCOPE [why]]  withdraw every entry that waits
SCOPE is ACCOUNT (if nothing follows), ADVISOR:A01, UNDERLYING:NIFTY …
All but /pause are asked back: answer with the word and number that the bot names."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A question; ``about`` is an underlying for CROWD, else empty."""

    question: Question
    about: str = ""


@dataclass(frozen=True, slots=True)
class Commanding:
    """A command as the table of commands takes it."""

    kind: CommandKind
    arguments: Mapping[str, str]

    @property
    def is_confirmed(self) -> bool:
        """Whether the person is asked back first."""
        return self.kind in CONFIRMED

    def __str__(self) -> str:
        """Say what is done, and always to how much: whoever confirms it reads no manual."""
        scope = self.arguments.get("scope", ACCOUNT_SCOPE)
        of = "EVERYTHING" if scope == ACCOUNT_SCOPE else scope
        words = {
            CommandKind.KILL: f"KILL {self.arguments.get('level')} of {of}",
            CommandKind.FLATTEN: "FLATTEN: close EVERYTHING",
            CommandKind.EXIT: f"EXIT of trade {self.arguments.get('trade')}",
        }.get(self.kind, f"{self.kind} of {of}")
        reason = self.arguments.get("reason")
        return f"{words}, because: {reason}" if reason else words


@dataclass(frozen=True, slots=True)
class Confirming:
    """``yes 4821``; the number is that of the command asked back."""

    code: str


Said: TypeAlias = Asking | Commanding | Confirming | Unusable


def read_chat(text: str) -> Said:
    """Read one message.

    Parameters
    ----------
    text : str
        As typed; ``/status@name_of_bot``, which a group's keyboard writes, is ``/status``.

    Returns
    -------
    Asking, Commanding, Confirming or Unusable
        The last with a sentence for the person.

    Examples
    --------
    >>> read_chat("/crowd nifty")
    Asking(question=<Question.CROWD: 'crowd'>, about='NIFTY')
    >>> read_chat("/pause advisor:A01 lost his voice").arguments
    {'scope': 'ADVISOR:A01', 'reason': 'lost his voice'}
    >>> read_chat("Yes 4821")
    Confirming(code='4821')
    """
    words = text.split()
    if not words:
        return Unusable(f"That is no text. {_see()}")
    first, rest = words[0].partition("@")[0].lower(), words[1:]
    if first == "yes" and len(rest) == 1:
        return Confirming(rest[0])
    if not first.startswith("/"):
        return Unusable(f"Commands begin with a slash. {_see()}")
    name = first[1:]
    if name == "start":
        return Asking(Question.HELP)
    if name in list(Question):
        return _question(Question(name), rest)
    if name.upper() not in list(CommandKind):
        return Unusable(f"There is no /{name[:32]}. {_see()}")
    return _command(CommandKind(name.upper()), rest)


def _question(question: Question, rest: list[str]) -> Said:
    if question is not Question.CROWD:
        return Asking(question)
    return (
        Asking(question, rest[0].upper()) if len(rest) == 1 else Unusable("Of which underlying? /crowd NIFTY")
    )


def _command(kind: CommandKind, rest: list[str]) -> Said:
    arguments: dict[str, str] = {}
    if kind is CommandKind.KILL:
        arguments["level"] = rest.pop(0).upper() if rest else ""
    elif kind is CommandKind.EXIT:
        arguments["trade"] = rest.pop(0) if rest else ""
    if rest and (fault := _reaches_too_far(kind, rest[0])):
        return Unusable(fault)
    if kind not in _WITHOUT_SCOPE and rest and _is_scope(rest[0]):
        arguments["scope"] = rest.pop(0)
    if rest:
        arguments["reason"] = " ".join(rest)
    meant = parse(kind, arguments)
    if isinstance(meant, Unusable):
        return meant
    return Commanding(kind, {**arguments, "scope": meant.scope} if "scope" in arguments else arguments)


def _reaches_too_far(kind: CommandKind, word: str) -> str | None:
    """Tell what is wrong where a word was meant as a part, and the command would take all.

    Only a pause takes a reason without a scope: it errs towards safety, and is never refused for its words.
    """
    if kind is CommandKind.PAUSE or _is_scope(word) is (kind not in _WITHOUT_SCOPE):
        return None
    if kind is CommandKind.FLATTEN:
        return f"FLATTEN closes everything; of a part: /kill LIQUIDATING {word[:64]}."
    if kind is CommandKind.EXIT:
        return None
    return f"{word[:64]!r} is no scope: write {ACCOUNT_SCOPE} or ADVISOR:…, UNDERLYING:…, then the reason."


def _is_scope(word: str) -> bool:
    """Tell a scope from the first word of a reason: nobody's reason begins with ``ADVISOR:A01``."""
    return word.upper() == ACCOUNT_SCOPE or ":" in word.rstrip(":")


def _see() -> str:
    return "/help lists what there is."

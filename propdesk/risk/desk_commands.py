"""Desk commands: what the words of a person mean, and how long they are good for (§6.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from propdesk.core.calendar import ist_date
from propdesk.model.command import STOPS, CommandKind
from propdesk.model.enums import Category, KillLevel, Side
from propdesk.risk.kill_switch import ACCOUNT_SCOPE

WORDS_MAX: Final = 200
"""Characters of one argument."""
TRADE_MIN: Final = 4
"""Characters of the beginning that names a trade."""
_SCOPES: Final = ("CATEGORY", "STRATEGY", "ADVISOR", "UNDERLYING", "INSTRUMENT", "RULE", "SIDE")
_STRATEGIES: Final = ("NORMAL", "REVERSE")
_ARGUMENTS: Final[Mapping[CommandKind, tuple[str, ...]]] = {
    CommandKind.PAUSE: ("scope", "reason"),
    CommandKind.RESUME: ("scope", "reason"),
    CommandKind.KILL: ("level", "scope", "reason"),
    CommandKind.FLATTEN: ("reason",),
    CommandKind.EXIT: ("trade", "reason"),
    CommandKind.CANCEL: ("scope", "reason"),
}


@dataclass(frozen=True, slots=True)
class DeskCommand:
    """A command that can be carried out.

    Attributes
    ----------
    scope : str
        What it bears on, as kill levels name it: ``ACCOUNT``, ``ADVISOR:A01`` …
    level : KillLevel
        Which a stop raises the scope to; ACTIVE for all others.
    trade : str
        Beginning of the id of a trade group or of its signal (EXIT); else empty.
    reason : str
        In the person's own words; may be empty but for RESUME.
    """

    kind: CommandKind
    scope: str = ACCOUNT_SCOPE
    level: KillLevel = KillLevel.ACTIVE
    trade: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why no command can be made of what was typed; one sentence for that person."""

    words: str


def parse(kind: str, arguments: Mapping[str, str]) -> DeskCommand | Unusable:
    """Read a command as typed.

    Parameters
    ----------
    kind : str
        A `CommandKind`.
    arguments : mapping of str to str
        Words by name; see docs/cli.md for those of each kind.

    Returns
    -------
    DeskCommand or Unusable
        The same at every door and in the reducer, which trusts no door.

    Examples
    --------
    >>> parse("PAUSE", {"scope": "advisor:A01"}).scope
    'ADVISOR:A01'
    >>> parse("KILL", {"level": "ACTIVE"}).words[:38]
    'A kill level is one of ENTRIES_BLOCKED'
    """
    if kind not in list(CommandKind):
        return Unusable(f"There is no command {kind[:WORDS_MAX]!r}: use one of {', '.join(CommandKind)}.")
    known = CommandKind(kind)
    fault = _fault_of(known, arguments)
    if fault is not None:
        return Unusable(fault)
    scope = _scope_of(arguments.get("scope", ACCOUNT_SCOPE))
    if isinstance(scope, Unusable):
        return scope
    level = _level_of(known, arguments.get("level", ""))
    if isinstance(level, Unusable):
        return level
    return DeskCommand(known, scope, level, arguments.get("trade", ""), arguments.get("reason", "").strip())


def is_expired(kind: CommandKind, asked_ns: int, read_ns: int, valid_ns: int) -> bool:
    """Tell whether a command of the moment (RESUME, EXIT, CANCEL) is too old to be carried out.

    Parameters
    ----------
    asked_ns, read_ns : int
        When it was asked and when the daemon read it, by the database's clock, ns UTC.
    valid_ns : int
        How long a command of the moment is good for, ns, >= 0.

    Returns
    -------
    bool
        Never for a stop: whoever pressed it relies on it, however long the daemon was away.

    Notes
    -----
    docs/decisions/0030.
    """
    return kind not in STOPS and read_ns - asked_ns > valid_ns


def is_of_an_earlier_day(asked_ns: int, read_ns: int, valid_ns: int) -> bool:
    """Tell whether a stop was asked on an earlier IST day than it was read on.

    Such a stop blocks entries until a person lifts it, and does no more: nothing is closed or withdrawn today
    for yesterday's word. One pressed within ``valid_ns`` before midnight is still what was asked.
    """
    return read_ns - asked_ns > valid_ns and ist_date(asked_ns) != ist_date(read_ns)


def _fault_of(kind: CommandKind, arguments: Mapping[str, str]) -> str | None:
    allowed = _ARGUMENTS[kind]
    for name, words in arguments.items():
        if name not in allowed:
            return f"{kind} takes no {name[:WORDS_MAX]!r}, only {', '.join(allowed)}."
        if len(words) > WORDS_MAX or not words.isprintable():
            return f"{name} has at most {WORDS_MAX} printable characters."
    if kind is CommandKind.RESUME and not arguments.get("reason", "").strip():
        return "A reason is needed to let the desk trade again: who looked at what?"
    if kind is CommandKind.EXIT and len(arguments.get("trade", "")) < TRADE_MIN:
        return f"EXIT needs the first {TRADE_MIN} characters or more of the trade's id or its signal's."
    return None


def _level_of(kind: CommandKind, typed: str) -> KillLevel | Unusable:
    if kind is CommandKind.PAUSE:
        return KillLevel.ENTRIES_BLOCKED
    if kind is CommandKind.FLATTEN:
        return KillLevel.LIQUIDATING
    if kind is not CommandKind.KILL:
        return KillLevel.ACTIVE
    levels = [level.value for level in KillLevel if level is not KillLevel.ACTIVE]
    if typed.upper() not in levels:
        return Unusable(f"A kill level is one of {', '.join(levels)}; RESUME is what leads back.")
    return KillLevel(typed.upper())


def _scope_of(typed: str) -> str | Unusable:
    name, _, value = typed.partition(":")
    name = name.upper()
    if name == ACCOUNT_SCOPE and not value:
        return ACCOUNT_SCOPE
    if name not in _SCOPES or not value:
        written = ", ".join(f"{scope}:…" for scope in _SCOPES)
        return Unusable(f"{typed!r} is no scope: write {ACCOUNT_SCOPE} or {written}.")
    among = {
        "CATEGORY": [category.value for category in Category],
        "STRATEGY": list(_STRATEGIES),
        "SIDE": [side.value for side in Side],
    }.get(name)
    if among is None:
        return f"{name}:{value}"
    if value.upper() not in among:
        return Unusable(f"{name} is one of {', '.join(among)}, not {value!r}.")
    return f"{name}:{value.upper()}"

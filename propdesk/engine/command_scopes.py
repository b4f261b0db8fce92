"""Which scope a person means: the name as this day's rules, trades, ideas and instruments write it (§6.2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from propdesk.engine.orders import kill_scopes
from propdesk.engine.turn import Turn
from propdesk.model.enums import Category, EntryType, OptionType, Side
from propdesk.model.instrument import Instrument
from propdesk.model.signal import Signal
from propdesk.risk.desk_commands import Unusable
from propdesk.risk.kill_switch import idea_scopes, rule_scope, with_wider

_CHECKED: Final = ("ADVISOR", "UNDERLYING", "INSTRUMENT", "RULE")
_OF_RULES: Final = ("ADVISOR", "RULE")
_UNKNOWN: Final = "UNKNOWN_SYMBOL"


@dataclass(frozen=True, slots=True)
class MeantScope:
    """A scope by its canonical name; ``doubt`` says in words what could not be checked of it."""

    name: str
    doubt: str = ""


def meant_scope(turn: Turn, typed: str) -> MeantScope | Unusable:
    """Find what a scope as typed names, without case.

    Parameters
    ----------
    typed : str
        As `propdesk.risk.desk_commands.parse` gives it.

    Returns
    -------
    MeantScope or Unusable
        A name that nobody knows today is unusable: a stop on it would stop nothing and look as if it did.
        Before the day has any rules, names of advisors and rules are taken as typed, with words that say so.
    """
    name, _, value = typed.partition(":")
    if name not in _CHECKED:
        return MeantScope(typed)
    known = {scope for scope in _scopes_of_the_day(turn) if scope.casefold() == typed.casefold()}
    if typed in known:
        return MeantScope(typed)
    if len(known) > 1:
        return Unusable(f"{typed} may be {' or '.join(sorted(known))}: write one of them.")
    if known:
        return MeantScope(known.pop())
    listed = _listed(turn, name, value.upper())
    if listed is not None:
        return MeantScope(f"{name}:{listed}")
    ruleset = turn.context.ruleset
    if name in _OF_RULES and not ruleset.rules and not ruleset.adverse:
        return MeantScope(typed, f" The day has no rules yet: nobody could check the name {value!r}.")
    return Unusable(
        f"Nobody knows {typed} today, so NOTHING was done: look at its spelling, or take {_wider(name)}."
    )


def _wider(name: str) -> str:
    return "its UNDERLYING or the ACCOUNT" if name == "INSTRUMENT" else "the ACCOUNT"


def _scopes_of_the_day(turn: Turn) -> Iterator[str]:
    yield from (cause.scope for cause in turn.levels.causes.values())
    for table in (turn.context.ruleset.rules, turn.context.ruleset.adverse):
        for key in table:
            yield rule_scope(key.text)
            yield f"ADVISOR:{key.advisor_id}"
    for live in turn.groups.values():
        yield from with_wider(kill_scopes(live.group))
    for idea in turn.tracked.values():
        yield from with_wider(kill_scopes(idea.group))
    for entry in turn.pending.values():
        signal = entry.signal
        yield from with_wider(idea_scopes(signal.category, signal.advisor_id, entry.price_key))
    for advisor_id in turn.ideas_by_advisor:
        yield f"ADVISOR:{advisor_id}"


def _listed(turn: Turn, name: str, value: str) -> str | None:
    """Ask the day's instruments, as a signal would; the journal keeps what they said."""
    if name == "INSTRUMENT":
        asked = _contract(value)
        found = _UNKNOWN if asked is None else _ask(turn, asked)
        return found.instrument_key if isinstance(found, Instrument) else None
    if name != "UNDERLYING":
        return None
    for category in Category:
        found = _ask(turn, _question(category, value))
        if isinstance(found, Instrument):
            return found.underlying
        if found != _UNKNOWN:
            return value
    return None


def _ask(turn: Turn, question: Signal) -> Instrument | str:
    return turn.context.resolve(question, turn.context.trade_date)


def _contract(key: str) -> Signal | None:
    """Read ``<category>:<underlying>[:<expiry>[:<strike, paise>:<CE or PE>]]``."""
    category, underlying, *rest = [*key.split(":"), ""]
    expiry, strike, option = (*rest[:-1], "", "", "")[:3]
    try:
        return _question(
            Category(category),
            underlying,
            date.fromisoformat(expiry) if expiry else None,
            int(strike) if strike else None,
            OptionType(option) if option else None,
        )
    except ValueError:
        return None


def _question(
    category: Category,
    underlying: str,
    expiry: date | None = None,
    strike_paise: int | None = None,
    option_type: OptionType | None = None,
) -> Signal:
    words = (category.value, underlying, expiry, strike_paise, option_type)
    return Signal(
        signal_id="scope:" + ":".join(str(word) for word in words if word is not None),
        revision=1,
        source="command",
        source_message_id="",
        advisor_id="",
        advisor_name="",
        sebi_reg_no=None,
        posted_ns=0,
        received_ns=0,
        category=category,
        underlying=underlying,
        expiry=expiry,
        strike_paise=strike_paise,
        option_type=option_type,
        side=Side.BUY,
        entry_type=EntryType.MARKET,
        entry_low_paise=None,
        entry_high_paise=None,
        stoploss_paise=None,
        targets_paise=(),
        declared_period=None,
        group_key=None,
    )

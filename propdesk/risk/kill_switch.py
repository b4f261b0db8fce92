"""Latched trading levels and the measures that raise them (§6.2)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from propdesk.core.clock import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from propdesk.model.enums import Category, GateProfile, KillLevel
from propdesk.model.messages import ADDED
from propdesk.risk.protections import Protection

ACCOUNT_SCOPE = "ACCOUNT"
"""Scope of the whole account; it counts for every narrower scope too."""


def idea_scopes(category: Category, advisor_id: str, instrument_key: str) -> tuple[str, ...]:
    """Name the scopes that an idea falls under whatever rule trades it."""
    return f"CATEGORY:{category.value}", f"ADVISOR:{advisor_id}", f"INSTRUMENT:{instrument_key}"


def strategy_scope(*, is_reverse: bool) -> str:
    """Name the scope of all trades with, or all against, their advisors."""
    return f"STRATEGY:{'REVERSE' if is_reverse else 'NORMAL'}"


def rule_scope(rule_text: str) -> str:
    """Name the scope in which one rule is demoted for the day."""
    return f"RULE:{rule_text}"


def with_wider(scopes: Iterable[str]) -> tuple[str, ...]:
    """Add to scopes the wider ones that they lie in: an instrument's underlying.

    Examples
    --------
    >>> with_wider(("ADVISOR:A01", "INSTRUMENT:INDEX_FUT:NIFTY:2025-01-30"))
    ('ADVISOR:A01', 'INSTRUMENT:INDEX_FUT:NIFTY:2025-01-30', 'UNDERLYING:NIFTY')
    """
    named = tuple(scopes)
    instruments = (scope.split(":") for scope in named if scope.startswith("INSTRUMENT:"))
    # INSTRUMENT:<category>:<underlying>[:…] (`propdesk.model.instrument.instrument_key`)
    return (*named, *(f"UNDERLYING:{parts[2]}" for parts in instruments if len(parts) > 2))


class Cause(StrEnum):
    """Why a level was raised."""

    DAY_LOSS = "DAY_LOSS"
    DAY_LOSS_HALT = "DAY_LOSS_HALT"
    ENTRY_RATE = "ENTRY_RATE"
    REJECTIONS = "REJECTIONS"
    SIGNAL_FLOOD = "SIGNAL_FLOOD"
    DISCONNECTED = "DISCONNECTED"
    MARKET_STALE = "MARKET_STALE"
    UNREADABLE = "UNREADABLE"
    ACCESS_REFUSED = "ACCESS_REFUSED"
    SURPLUS_ORDER = "SURPLUS_ORDER"
    OVERSOLD = "OVERSOLD"
    UNEXPLAINED = "UNEXPLAINED"
    NAKED = "NAKED"
    LATENCY = "LATENCY"
    EXCEPTIONS = "EXCEPTIONS"
    CLOCK_SKEW = "CLOCK_SKEW"
    PROTECTION = "PROTECTION"
    DRIFT = "DRIFT"
    HALT = "HALT"
    MANUAL = "MANUAL"


class ResetRule(StrEnum):
    """Who or what may clear a cause.

    What AUTOMATIC lifts a person may lift before; BROKER: only that the broker takes orders again.
    """

    NEXT_DAY = "NEXT_DAY"
    NEXT_DAY_PERSON = "NEXT_DAY_PERSON"
    PERSON = "PERSON"
    AUTOMATIC = "AUTOMATIC"
    BROKER = "BROKER"


RESET_RULES: Mapping[Cause, ResetRule] = {
    Cause.DAY_LOSS: ResetRule.NEXT_DAY,
    Cause.DAY_LOSS_HALT: ResetRule.NEXT_DAY_PERSON,
    Cause.ENTRY_RATE: ResetRule.PERSON,
    Cause.REJECTIONS: ResetRule.PERSON,
    Cause.SIGNAL_FLOOD: ResetRule.PERSON,
    Cause.DISCONNECTED: ResetRule.AUTOMATIC,
    Cause.MARKET_STALE: ResetRule.AUTOMATIC,
    Cause.UNREADABLE: ResetRule.AUTOMATIC,
    Cause.ACCESS_REFUSED: ResetRule.BROKER,
    Cause.SURPLUS_ORDER: ResetRule.PERSON,
    Cause.OVERSOLD: ResetRule.PERSON,
    Cause.UNEXPLAINED: ResetRule.PERSON,
    Cause.NAKED: ResetRule.AUTOMATIC,
    Cause.LATENCY: ResetRule.AUTOMATIC,
    Cause.EXCEPTIONS: ResetRule.PERSON,
    Cause.CLOCK_SKEW: ResetRule.AUTOMATIC,
    Cause.PROTECTION: ResetRule.AUTOMATIC,
    Cause.DRIFT: ResetRule.NEXT_DAY,
    Cause.HALT: ResetRule.PERSON,
    Cause.MANUAL: ResetRule.PERSON,
}


@dataclass(frozen=True, slots=True)
class KillLimits:
    """Measures at which a switch trips; ratios are fractions.

    ``group_loss_r`` is in planned risk (profile desk), ``group_loss_capital`` of the group's capital
    (profile original); ``market_stale_ns`` comes on top of the feed's interval
    and is judged only while at least ``market_series_min`` series are followed: one quiet instrument is no
    silent feed. ``position_stale_ns``, beyond its interval too, is for a series of which something is held.
    ``rejections_row`` entries refused by the broker one after the other are borne, and ``rejections_share``
    of the last ``rejections_window``; for the whole account ``rejections_row_account``. An advisor may
    publish ``advisor_signals_max`` ideas within ``advisor_window_ns``.

    Of the way from an idea to its order the 99th percentile over the last ``latency_window`` is told beyond
    ``latency_alarm_ns`` and halts entries beyond ``latency_halt_ns``, until ``latency_good_ns`` have passed
    without one that long. ``exceptions_max`` unexpected exceptions are borne within ``exceptions_window_ns``.
    Our clock may differ by ``clock_skew_ns`` from another's; one that differed more must have been good
    for ``clock_good_ns``. ``protections`` pause what went badly. A
    rule is judged by ``drift_trades_min`` live trades or more; ``drift_hurdle_r`` is the one that its
    ``prob_edge`` was judged by, R.
    """

    day_loss_block: float = 0.03
    day_loss_halt: float = 0.05
    group_loss_r: float = 1.25
    group_loss_capital: float = 0.05
    groups_max: int = 50
    legs_max: int = 150
    window_ns: int = 5 * NS_PER_MINUTE
    disconnect_ns: int = 30 * NS_PER_SECOND
    market_stale_ns: int = 15 * NS_PER_SECOND
    market_series_min: int = 5
    position_stale_ns: int = field(default=5 * NS_PER_SECOND, metadata=ADDED)
    rejections_row: int = field(default=5, metadata=ADDED)
    rejections_row_account: int = field(default=9, metadata=ADDED)
    rejections_share: float = field(default=0.30, metadata=ADDED)
    rejections_window: int = field(default=20, metadata=ADDED)
    advisor_signals_max: int = field(default=10, metadata=ADDED)
    advisor_window_ns: int = field(default=NS_PER_MINUTE, metadata=ADDED)
    latency_alarm_ns: int = field(default=250 * NS_PER_MS, metadata=ADDED)
    latency_halt_ns: int = field(default=NS_PER_SECOND, metadata=ADDED)
    latency_window: int = field(default=50, metadata=ADDED)
    latency_good_ns: int = field(default=5 * NS_PER_MINUTE, metadata=ADDED)
    exceptions_max: int = field(default=10, metadata=ADDED)
    exceptions_window_ns: int = field(default=NS_PER_MINUTE, metadata=ADDED)
    clock_skew_ns: int = field(default=NS_PER_SECOND, metadata=ADDED)
    clock_good_ns: int = field(default=NS_PER_MINUTE, metadata=ADDED)
    drift_trades_min: int = field(default=5, metadata=ADDED)
    drift_hurdle_r: float = field(default=0.05, metadata=ADDED)
    protections: tuple[Protection, ...] = field(default=(), metadata=ADDED)


@dataclass(frozen=True, slots=True)
class OpenCause:
    """A cause that holds a scope at a level; from ``until_ns`` on it holds no more, 0 = no end is set."""

    scope: str
    cause: str
    level: KillLevel
    since_ns: int
    actor: str
    reason: str
    until_ns: int = field(default=0, metadata=ADDED)


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A cause was opened or cleared: one append-only row."""

    scope: str
    cause: str
    level: KillLevel
    is_open: bool
    actor: str
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class RiskLevels:
    """Every open cause; the level of a scope is the highest of them."""

    causes: Mapping[str, OpenCause] = field(default_factory=dict)

    def level(self, scope: str = ACCOUNT_SCOPE) -> KillLevel:
        """Level of one scope, the account's causes included."""
        return self.level_of((scope,))

    def level_of(self, scopes: Iterable[str]) -> KillLevel:
        """Highest level of the account and the scopes named."""
        if not self.causes:
            return KillLevel.ACTIVE
        wanted = {ACCOUNT_SCOPE, *with_wider(scopes)}
        found = [c.level for c in self.causes.values() if c.scope in wanted]
        return max(found, key=lambda level: level.severity, default=KillLevel.ACTIVE)

    def is_open(self, scope: str, cause: str) -> bool:
        """Whether this cause holds the scope."""
        return _key(scope, cause) in self.causes


def trip(
    levels: RiskLevels,
    scope: str,
    cause: str,
    level: KillLevel,
    actor: str,
    reason: str,
    ts_ns: int,
    *,
    until_ns: int = 0,
) -> tuple[RiskLevels, tuple[LevelChange, ...]]:
    """Open a cause or raise it; a lower level of an open cause changes nothing (latched).

    ``until_ns`` sets its end (`lapsed`); one that stands at that level already ends later, never earlier.
    """
    old = levels.causes.get(_key(scope, cause))
    if old is not None and old.level.severity >= level.severity:
        if not old.until_ns < until_ns or old.until_ns == 0:
            return levels, ()
        longer = replace(old, until_ns=until_ns)
        return RiskLevels({**levels.causes, _key(scope, cause): longer}), ()
    opened = OpenCause(scope, cause, level, ts_ns, actor, reason, until_ns)
    causes = {**levels.causes, _key(scope, cause): opened}
    return RiskLevels(causes), (LevelChange(scope, cause, level, True, actor, reason, ts_ns),)


def lapsed(levels: RiskLevels, now_ns: int) -> tuple[OpenCause, ...]:
    """Give the causes whose end has come."""
    return tuple(cause for cause in levels.causes.values() if 0 < cause.until_ns <= now_ns)


def clear(
    levels: RiskLevels, scope: str, cause: str, actor: str, reason: str, ts_ns: int
) -> tuple[RiskLevels, tuple[LevelChange, ...]]:
    """Clear one cause; a cause that is not open changes nothing."""
    old = levels.causes.get(_key(scope, cause))
    if old is None:
        return levels, ()
    causes = {key: value for key, value in levels.causes.items() if key != _key(scope, cause)}
    return RiskLevels(causes), (LevelChange(scope, cause, old.level, False, actor, reason, ts_ns),)


def reset_by_person(
    levels: RiskLevels, scope: str, actor: str, reason: str, ts_ns: int
) -> tuple[RiskLevels, tuple[LevelChange, ...]]:
    """Clear every cause of a scope that a person may clear within the day."""
    changes: tuple[LevelChange, ...] = ()
    for open_cause in tuple(levels.causes.values()):
        rule = RESET_RULES.get(Cause(open_cause.cause), ResetRule.PERSON)
        if open_cause.scope == scope and rule in (ResetRule.PERSON, ResetRule.AUTOMATIC):
            levels, more = clear(levels, scope, open_cause.cause, actor, reason, ts_ns)
            changes += more
    return levels, changes


def next_day(levels: RiskLevels, midnight_ns: int, ts_ns: int) -> tuple[RiskLevels, tuple[LevelChange, ...]]:
    """Clear what a new day clears; what only a person may clear stays.

    Parameters
    ----------
    levels : RiskLevels
        As the day before left them.
    midnight_ns : int
        Start of the new day, ns UTC: causes opened since then are the new day's own.
    ts_ns : int
        Stamp of the changes.

    Returns
    -------
    tuple of (RiskLevels, tuple of LevelChange)
        What locked the account for a day becomes an ordinary halt that a person lifts in the morning. Every
        change is told, since the books hold a cause open until they are.
    """
    changes: tuple[LevelChange, ...] = ()
    for old in tuple(levels.causes.values()):
        rule = RESET_RULES.get(Cause(old.cause), ResetRule.PERSON)
        if old.since_ns >= midnight_ns or rule in (ResetRule.PERSON, ResetRule.BROKER):
            continue
        if old.until_ns > ts_ns:
            continue  # its end is set
        levels, more = clear(levels, old.scope, old.cause, "engine", "a new day", ts_ns)
        changes += more
        if rule is ResetRule.NEXT_DAY_PERSON:
            reason = f"after {old.cause}: {old.reason}"
            levels, more = trip(
                levels, old.scope, Cause.HALT, KillLevel.ENTRIES_BLOCKED, old.actor, reason, ts_ns
            )
            changes += more
    return levels, changes


def day_loss_level(pnl_paise: int, opening_paise: int, limits: KillLimits) -> KillLevel | None:
    """Level the day's result (realised + open) asks for.

    Parameters
    ----------
    pnl_paise : int
        Day's realised and open result, paise.
    opening_paise : int
        Corpus at the day's start, paise; 0 or less asks for nothing (there is nothing to lose yet).

    Returns
    -------
    KillLevel or None
        LIQUIDATING beyond ``day_loss_halt``, ENTRIES_BLOCKED beyond ``day_loss_block``, else None.
    """
    if opening_paise <= 0:
        return None
    loss = -pnl_paise / opening_paise
    if loss > limits.day_loss_halt:
        return KillLevel.LIQUIDATING
    return KillLevel.ENTRIES_BLOCKED if loss > limits.day_loss_block else None


def rejections_reason(fates: Sequence[bool], limits: KillLimits, *, is_account: bool) -> str | None:
    """Why entries of a scope are not worth sending any more; None while they are.

    Parameters
    ----------
    fates : sequence of bool
        Of its last entries that the broker answered, oldest first: True = refused.
    is_account : bool
        Whether the scope is the whole account, for which only the row counts, and a longer one.

    Notes
    -----
    A freeze quantity, a margin or a band that is wrong is refused each time: what sends on blindly spends
    the day's calls and, where two of three legs pass, takes less than was planned.
    """
    row = 0
    for was_refused in reversed(fates):
        if not was_refused:
            break
        row += 1
    if row > (limits.rejections_row_account if is_account else limits.rejections_row):
        return f"the broker refused {row} entries one after the other"
    recent = fates[-limits.rejections_window :]
    if is_account or len(recent) < limits.rejections_window:
        return None
    refused = sum(recent)
    if refused > limits.rejections_share * len(recent):
        return f"the broker refused {refused} of the last {len(recent)} entries"
    return None


def group_loss_exceeded(
    open_pnl_paise: int,
    planned_risk_paise: int,
    capital_paise: int,
    profile: GateProfile,
    limits: KillLimits,
) -> bool:
    """Whether one group loses so much that it is closed (§6.2 row 3)."""
    loss = -open_pnl_paise
    if profile is GateProfile.ORIGINAL:
        return capital_paise > 0 and loss > limits.group_loss_capital * capital_paise
    return planned_risk_paise > 0 and loss > limits.group_loss_r * planned_risk_paise


def _key(scope: str, cause: str) -> str:
    return f"{scope}|{cause}"

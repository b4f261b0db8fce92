"""Working copy of the state during one step: maps are copied when first written, never before."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar

from propdesk.core.calendar import Segment, SessionHours, ist_date
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.ids import derived_id
from propdesk.engine.context import DayContext
from propdesk.engine.state import (
    EngineState,
    ExecutedTrade,
    LastPrice,
    LiveGroup,
    PendingChange,
    PendingEntry,
    SeenSignal,
    StepResult,
    TrackedIdea,
)
from propdesk.model.enums import KillLevel
from propdesk.model.messages import Command, CorpusEntry, Decision, Notify, Track, TripSwitch
from propdesk.model.trade_event import EVENTS, EventKind
from propdesk.risk import kill_switch
from propdesk.risk.drift import RuleResult
from propdesk.risk.kill_switch import LevelChange
from propdesk.strategy.crowd import CrowdChange, apply_change

GUARD_LEAD_NS: Final = 10 * NS_PER_MINUTE
"""How long before the session the last stop is asked for that is to rest at its begin."""

K = TypeVar("K")
V = TypeVar("V")


class Draft(Generic[K, V]):
    """A mapping that copies itself before its first change and leaves the original alone."""

    __slots__ = ("_base", "_own")

    def __init__(self, base: Mapping[K, V]) -> None:
        self._base = base
        self._own: dict[K, V] | None = None

    def get(self, key: K) -> V | None:
        """Value of a key, None where there is none."""
        return (self._base if self._own is None else self._own).get(key)

    def __getitem__(self, key: K) -> V:
        return (self._base if self._own is None else self._own)[key]

    def __contains__(self, key: object) -> bool:
        return key in (self._base if self._own is None else self._own)

    def __len__(self) -> int:
        return len(self._base if self._own is None else self._own)

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._base if self._own is None else self._own))

    def values(self) -> tuple[V, ...]:
        """Present values, as they are now: later changes do not disturb the loop."""
        return tuple((self._base if self._own is None else self._own).values())

    def put(self, key: K, value: V) -> None:
        """Set a value."""
        if self._own is None:
            self._own = dict(self._base)
        self._own[key] = value

    def drop(self, key: K) -> None:
        """Remove a key that is there."""
        if self._own is None:
            self._own = dict(self._base)
        del self._own[key]

    def result(self) -> Mapping[K, V]:
        """Give the mapping for the new state."""
        return self._base if self._own is None else self._own


@dataclass(slots=True)
class _Out:
    commands: list[Command] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    groups: dict[str, LiveGroup] = field(default_factory=dict)
    ledger: list[CorpusEntry] = field(default_factory=list)
    crowd: list[CrowdChange] = field(default_factory=list)
    trades: list[ExecutedTrade] = field(default_factory=list)
    levels: list[LevelChange] = field(default_factory=list)
    pending: list[PendingChange] = field(default_factory=list)


class Turn:
    """One step in the making: reads and writes go through it, `finish` gives the result."""

    def __init__(self, state: EngineState, now_ns: int, context: DayContext) -> None:
        self.base = state
        self.now_ns = now_ns
        self.context = context
        self.prices: Draft[str, LastPrice] = Draft(state.prices)
        self.seen: Draft[str, SeenSignal] = Draft(state.seen)
        self.pending: Draft[str, PendingEntry] = Draft(state.pending)
        self.groups: Draft[str, LiveGroup] = Draft(state.groups)
        self.order_index: Draft[str, str] = Draft(state.order_index)
        self.signal_groups: Draft[str, str] = Draft(state.signal_groups)
        self.ideas_by_advisor: Draft[str, tuple[str, ...]] = Draft(state.ideas_by_advisor)
        self.tracked: Draft[str, TrackedIdea] = Draft(state.tracked)
        self.tracked_by_key: Draft[str, tuple[str, ...]] = Draft(state.tracked_by_key)
        self.subscriptions: Draft[str, bool] = Draft(state.subscriptions)
        self.connections: Draft[str, tuple[bool, int]] = Draft(state.connections)
        self.entry_fates: Draft[str, tuple[bool, ...]] = Draft(state.entry_fates)
        self.advisor_stamps_ns: Draft[str, tuple[int, ...]] = Draft(state.advisor_stamps_ns)
        self.rule_results: Draft[str, RuleResult] = Draft(state.rule_results)
        self.trades_by_rule: Draft[str, int] = Draft(state.trades_by_rule)
        self.followups_seen: Draft[str, bool] = Draft(state.followups_seen)
        self.commands_answered: Draft[str, bool] = Draft(state.commands_answered)
        self.crowd = state.crowd
        self.corpus = state.corpus
        self.levels = state.levels
        self.scalars: dict[str, Any] = {}
        self.out = _Out()

    # ------------------------------------------------------------ reading

    def scalar(self, name: str) -> Any:
        """Present value of a field of the state that is no map."""
        return self.scalars.get(name, getattr(self.base, name))

    def open_groups(self) -> list[LiveGroup]:
        """List the groups with a leg that waits or is open."""
        return [live for live in self.groups.values() if not live.is_closed]

    @property
    def is_session(self) -> bool:
        """Whether the cash segment trades now."""
        return self.open_ns <= self.now_ns < self._hours.close_ns

    @property
    def may_guard(self) -> bool:
        """Whether a stop may be asked for now: in the session, or this morning for its begin.

        Not in the last minutes before it: of a stop that nobody answers for it must be known by then whether
        it is there, since no other one is asked for meanwhile.
        """
        is_morning = ist_date(self.now_ns) == self.context.trade_date
        return self.is_session or (is_morning and self.now_ns < self.open_ns - GUARD_LEAD_NS)

    @property
    def is_over(self) -> bool:
        """Whether the cash segment trades no more today."""
        return self.now_ns >= self._hours.close_ns

    @property
    def open_ns(self) -> int:
        """When the cash segment begins to trade, ns UTC."""
        return self._hours.open_ns

    @property
    def _hours(self) -> SessionHours:
        return self.context.calendar.hours(self.context.trade_date, Segment.CASH)

    # ------------------------------------------------------------ writing

    def command(self, command: Command) -> None:
        """Put a command out."""
        self.out.commands.append(command)

    def notify(self, kind: EventKind, text: str) -> None:
        """Tell a person."""
        self.out.commands.append(Notify(kind.value, EVENTS[kind].severity.value, text, self.now_ns))

    def put_group(self, live: LiveGroup) -> None:
        """Store a group and report it as changed."""
        self.groups.put(live.group.group_id, live)
        self.out.groups[live.group.group_id] = live

    def record_shadow(self, live: LiveGroup) -> None:
        """Report a group that is only recorded: it is not part of the live book."""
        self.out.groups[live.group.group_id] = live

    def put_pending(self, entry: PendingEntry) -> None:
        """Put an entry into the pending-entry book."""
        self.pending.put(entry.signal.signal_id, entry)
        self.out.pending.append(PendingChange(entry.signal.signal_id, True, entry))

    def drop_pending(self, signal_id: str) -> None:
        """Take an entry out of the pending-entry book."""
        entry = self.pending[signal_id]
        self.pending.drop(signal_id)
        self.out.pending.append(PendingChange(signal_id, False, entry))

    def change_crowd(self, change: CrowdChange) -> None:
        """Fold one event into the crowd ledger."""
        after = apply_change(self.crowd, change)
        if after is not self.crowd:
            self.crowd = after
            self.out.crowd.append(change)

    def subscribe(self, price_key: str) -> None:
        """Ask for the prices of a series, once."""
        if price_key not in self.subscriptions:
            self.subscriptions.put(price_key, True)
            self.command(Track(price_key, True))

    def trip(
        self, scope: str, cause: str, level: KillLevel, actor: str, reason: str, *, until_ns: int = 0
    ) -> None:
        """Raise a kill level, with an end if one is given; a level that already stands changes nothing."""
        self.levels, changes = kill_switch.trip(
            self.levels, scope, cause, level, actor, reason, self.now_ns, until_ns=until_ns
        )
        for change in changes:
            self.out.levels.append(change)
            self.command(TripSwitch(change.level, scope, cause, self.now_ns))
            self.notify(EventKind.KILL_SWITCH, f"{scope} is {change.level.value}: {reason}")

    def clear(self, scope: str, cause: str, actor: str, reason: str) -> None:
        """Clear a cause of a kill level."""
        self.levels, changes = kill_switch.clear(self.levels, scope, cause, actor, reason, self.now_ns)
        for change in changes:
            self.out.levels.append(change)
            self.notify(EventKind.KILL_SWITCH_CLEARED, f"{scope}: {cause} cleared, {reason}")

    def id_of(self, kind: str, *parts: str | int) -> str:
        """Name something of this account."""
        return derived_id(kind, self.base.account_id, *parts)

    # ------------------------------------------------------------- result

    def finish(self, count_events: int) -> StepResult:
        """Build the new state and the result."""
        state = replace(
            self.base,
            sequence=self.base.sequence + count_events,
            prices=self.prices.result(),
            seen=self.seen.result(),
            pending=self.pending.result(),
            groups=self.groups.result(),
            order_index=self.order_index.result(),
            signal_groups=self.signal_groups.result(),
            ideas_by_advisor=self.ideas_by_advisor.result(),
            tracked=self.tracked.result(),
            tracked_by_key=self.tracked_by_key.result(),
            subscriptions=self.subscriptions.result(),
            connections=self.connections.result(),
            entry_fates=self.entry_fates.result(),
            advisor_stamps_ns=self.advisor_stamps_ns.result(),
            rule_results=self.rule_results.result(),
            trades_by_rule=self.trades_by_rule.result(),
            followups_seen=self.followups_seen.result(),
            commands_answered=self.commands_answered.result(),
            crowd=self.crowd,
            corpus=self.corpus,
            levels=self.levels,
            **self.scalars,
        )
        out = self.out
        return StepResult(
            state,
            tuple(out.commands),
            tuple(out.decisions),
            tuple(out.groups.values()),
            tuple(out.ledger),
            tuple(out.crowd),
            tuple(out.trades),
            tuple(out.levels),
            tuple(out.pending),
        )

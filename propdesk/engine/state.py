"""State of one account on one trading day, as values.

Nothing in here is changed in place: `propdesk.engine.step.step` builds a new state that shares what did
not change. Maps are plain dicts that nobody writes to after they were put into a state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from propdesk.execution.matching import SuperOrder
from propdesk.model.enums import Direction, ExitReason, KillLevel, Product
from propdesk.model.instrument import Instrument
from propdesk.model.messages import ADDED, Command, CorpusEntry, Decision, DecisionCode, LegView
from propdesk.model.order import TradeGroup
from propdesk.model.signal import Signal
from propdesk.risk.corpus_ledger import CorpusBook
from propdesk.risk.drift import Promise, RuleResult
from propdesk.risk.kill_switch import LevelChange, RiskLevels
from propdesk.risk.protections import ClosedTrade
from propdesk.rules.match import SignalDims
from propdesk.strategy.crowd import CrowdChange, CrowdLedger


@dataclass(frozen=True, slots=True)
class LastPrice:
    """Newest price of one series.

    ``at_ns`` is the moment it was known (bar end, tick stamp); ``interval_ns`` 0 for ticks.
    """

    price_paise: int
    at_ns: int
    interval_ns: int


@dataclass(frozen=True, slots=True)
class SeenSignal:
    """What is remembered of a signal for duplicates and follow-ups."""

    signal_id: str
    revision: int
    advisor_id: str
    underlying: str
    instrument_key: str
    side: str
    reference_paise: int | None
    received_ns: int
    code: DecisionCode


@dataclass(frozen=True, slots=True)
class PendingEntry:
    """A signal that waits: for its session, for its first price, or for a new session (§5.3).

    ``why`` is OUT_OF_HOURS, AWAITING_PRICE or UNFILLED; ``deadline_ns`` ends the wait. ``trade_date`` is the
    idea's own and ``labels`` what it was matched by (None until it is gated the first time): both stay
    what they were when the entry is armed again in a later session.
    """

    signal: Signal
    why: str
    since_ns: int
    deadline_ns: int
    trade_date: date
    price_key: str
    labels: SignalDims | None = None


class OrderState:
    """What we know of one super order at the broker."""

    PREPARED = "PREPARED"
    WORKING = "WORKING"
    UNKNOWN = "UNKNOWN"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class LegOrder:
    """One super order of ours: a slice of a leg (reliability: entities).

    Quantities are the maximum over all evidence; ``priced_quantity`` is the part of the fill whose entry
    price is known (an exit heard of first proves a fill, not its price). ``wanted_*`` are the levels last
    asked for, so that a change is sent once and an older one never overtakes it. ``naked_units`` are held
    under no live stop, ``excess_units`` guarded beyond what is held, both as told at ``cover_ns``; with
    ``guard_wanted`` something was asked for against it. ``guard_due`` is the newest generation of guards that
    the broker's lists leave room for, ``guard_asked`` the newest that was asked for and not refused: none is
    asked for twice. ``surplus_fact`` names the fact that told last of an order repeating this one, with
    ``surplus_wanted`` its end was asked for; ``surplus_orders`` are the broker's ids of all that repeated it.
    ``doubt_fact`` names the fact that something unreadable may
    concern it: it is frozen. ``changes`` counts the stop and target changes asked for. ``oversold_units``
    were closed beyond what it held, ``overbought_units`` filled beyond what was ordered: they are in no leg
    and in no result.
    """

    correlation_id: str
    leg_number: int
    slice_number: int
    quantity: int
    state: str = OrderState.PREPARED
    broker_order_id: str = ""
    filled_quantity: int = 0
    priced_quantity: int = 0
    filled_notional_paise: int = 0
    exited_quantity: int = 0
    exited_notional_paise: int = 0
    wanted_stop_paise: int | None = None
    wanted_target_paise: int | None = None
    cancel_wanted: bool = False
    exit_wanted: ExitReason | None = None
    intents: int = 0
    refusals: int = 0
    naked_units: int = field(default=0, metadata=ADDED)
    excess_units: int = field(default=0, metadata=ADDED)
    cover_ns: int = field(default=0, metadata=ADDED)
    guard_wanted: bool = field(default=False, metadata=ADDED)
    guard_due: int = field(default=0, metadata=ADDED)
    guard_asked: int = field(default=0, metadata=ADDED)
    surplus_fact: str = field(default="", metadata=ADDED)
    surplus_wanted: bool = field(default=False, metadata=ADDED)
    surplus_orders: tuple[str, ...] = field(default=(), metadata=ADDED)
    doubt_fact: str = field(default="", metadata=ADDED)
    changes: int = field(default=0, metadata=ADDED)
    oversold_units: int = field(default=0, metadata=ADDED)
    overbought_units: int = field(default=0, metadata=ADDED)


@dataclass(frozen=True, slots=True)
class Booked:
    """What of one leg is in the corpus already, so that a late fill books the difference only."""

    leg_number: int
    gross_pnl_paise: int
    charges_paise: int


@dataclass(frozen=True, slots=True)
class LiveGroup:
    """A trade group with what ties it to the broker and to the corpus.

    Attributes
    ----------
    leg_margins_paise : tuple of int
        Margin reserved per leg; released once, when the leg is over.
    settled : tuple of bool
        Per leg: margin released and P&L booked.
    charges_paise, net_pnl_paise : int
        Booked so far.
    is_shadow : bool
        Planned and recorded only: never sent, never in the corpus.
    entry_paise : int
        Price the entry was sized at.
    last_entry_ns : int
        End of the idea's validity; the group's own ``valid_until_ns`` ends with the day.
    source_stop_paise, source_targets_paise
        The advisor's own levels (they differ for a reverse group).
    exit_goal : ExitReason or None
        The group is being left (follow-up, kill switch, group loss): asked for again until it is flat.
    cancel_goal : bool
        What waits of it is being withdrawn (follow-up): asked for again until nothing waits.
    promise : Promise or None
        What its rule promised of it at its entry; None where the rule promises nothing of such a trade.
    judged_pnl_paise : int or None
        Net result that the trades to come were judged by, once the group was over; a late fill changes the
        difference only.
    """

    group: TradeGroup
    instrument: Instrument
    product: Product
    trade_date: str
    is_shadow: bool
    pool: str
    planned_risk_paise: int
    leg_margins_paise: tuple[int, ...]
    settled: tuple[bool, ...]
    orders: tuple[LegOrder, ...]
    opened_ns: int
    entry_paise: int
    source_stop_paise: int | None
    source_targets_paise: tuple[int, ...]
    last_entry_ns: int
    signal: Signal
    labels: SignalDims
    exit_goal: ExitReason | None = None
    cancel_goal: bool = field(default=False, metadata=ADDED)
    gross_pnl_paise: int = 0
    charges_paise: int = 0
    net_pnl_paise: int = 0
    booked: tuple[Booked, ...] = ()
    promise: Promise | None = field(default=None, metadata=ADDED)
    judged_pnl_paise: int | None = field(default=None, metadata=ADDED)

    @property
    def is_closed(self) -> bool:
        """Whether every leg is over and booked."""
        return all(self.settled)

    @property
    def leg_views(self) -> tuple[LegView, ...]:
        """State of each super order for the projection tables."""
        states = {leg.leg_number: leg.state for leg in self.group.legs}
        return tuple(
            LegView(self.group.group_id, o.leg_number, states[o.leg_number], o.correlation_id)
            for o in self.orders
        )


@dataclass(frozen=True, slots=True)
class TrackedIdea:
    """A signal of any advisor, followed on paper so that the crowd knows whether it is open (§5.5).

    Nothing can happen to it while a bar stays strictly inside (``quiet_low_paise``, ``quiet_high_paise``).
    """

    signal_id: str
    advisor_id: str
    underlying: str
    direction: Direction
    cluster_id: str
    price_key: str
    group: TradeGroup
    orders: tuple[SuperOrder, ...]
    is_open: bool
    quiet_low_paise: int
    quiet_high_paise: int


@dataclass(frozen=True, slots=True)
class ExecutedTrade:
    """One leg from fill to exit, as booked (`trading.executed_trades`).

    Averages are rounded to the nearest paisa for display; P&L comes from the exact notionals.
    """

    trade_id: str
    group_id: str
    signal_id: str
    leg_number: int
    instrument_key: str
    side: str
    is_reverse: bool
    quantity: int
    entry_paise: int
    exit_paise: int
    entry_ns: int
    exit_ns: int
    exit_reason: ExitReason
    exit_target: int | None
    gross_pnl_paise: int
    charges_paise: int
    net_pnl_paise: int
    rule_text: str


@dataclass(frozen=True, slots=True)
class PendingChange:
    """An entry of the pending-entry book was put in (``on``) or taken out."""

    signal_id: str
    on: bool
    entry: PendingEntry


@dataclass(frozen=True, slots=True)
class EngineState:
    """Everything the reducer remembers. Build the first one with `initial_state`.

    ``entry_fates`` tells by scope which of the last entries the broker refused; ``advisor_stamps_ns`` when
    each advisor's last ideas were received; ``feed_heard_ns`` when the feed last brought
    anything, new or old.

    ``sequence`` counts the events folded; ``opening_corpus_paise`` is 0 until DayOpened; ``doubt_fact`` names
    the fact that the broker sent something unreadable that may be of any order; ``closed_trades`` are those
    that the day's protections may still look back at; ``rule_results`` what the live trades of each rule came
    to, over days.
    """

    account_id: str
    trade_date: str
    sequence: int = 0
    ready: bool = False
    opening_corpus_paise: int = 0
    prices: Mapping[str, LastPrice] = field(default_factory=dict)
    market_seen_ns: int = 0
    feed_interval_ns: int = 0
    feed_heard_ns: int = 0
    seen: Mapping[str, SeenSignal] = field(default_factory=dict)
    pending: Mapping[str, PendingEntry] = field(default_factory=dict)
    groups: Mapping[str, LiveGroup] = field(default_factory=dict)
    order_index: Mapping[str, str] = field(default_factory=dict)
    signal_groups: Mapping[str, str] = field(default_factory=dict)
    ideas_by_advisor: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tracked: Mapping[str, TrackedIdea] = field(default_factory=dict)
    tracked_by_key: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    subscriptions: Mapping[str, bool] = field(default_factory=dict)
    crowd: CrowdLedger = field(default_factory=CrowdLedger)
    corpus: CorpusBook = field(default_factory=CorpusBook)
    levels: RiskLevels = field(default_factory=RiskLevels)
    connections: Mapping[str, tuple[bool, int]] = field(default_factory=dict)
    entry_stamps_ns: tuple[int, ...] = ()
    leg_stamps_ns: tuple[int, ...] = ()
    entry_fates: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    advisor_stamps_ns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    rule_results: Mapping[str, RuleResult] = field(default_factory=dict)
    trades_by_rule: Mapping[str, int] = field(default_factory=dict)
    followups_seen: Mapping[str, bool] = field(default_factory=dict)
    commands_answered: Mapping[str, bool] = field(default_factory=dict)
    realised_pnl_paise: int = 0
    doubt_fact: str = ""
    closed_trades: tuple[ClosedTrade, ...] = ()

    def level(self, scope: str = "ACCOUNT") -> KillLevel:
        """Present kill level of a scope (the account's counts for every scope)."""
        return self.levels.level(scope)


@dataclass(frozen=True, slots=True)
class StepResult:
    """New state and everything that must be committed together with the event.

    Attributes
    ----------
    commands : tuple of Command
        OrderIntent (commit, then send), TripSwitch, Notify, Track, in the order they arose.
    decisions : tuple of Decision
        Rows of ``trading.decisions``; PENDING_ENTRY ones are followed later by the final one.
    groups_changed : tuple of LiveGroup
        New values of the trade groups this event touched (rows of trade_groups, legs, broker_orders).
    ledger_entries : tuple of CorpusEntry
        Lines of the corpus ledger; applying them to the accounts gives ``state.corpus``.
    crowd_changes : tuple of CrowdChange
        Positions opened or closed in the crowd ledger.
    trades : tuple of ExecutedTrade
        Legs that ended with a fill.
    level_changes : tuple of LevelChange
        Causes of kill levels opened or cleared (append-only rows).
    pending_changes : tuple of PendingChange
        The pending-entry book.
    """

    state: EngineState
    commands: tuple[Command, ...] = ()
    decisions: tuple[Decision, ...] = ()
    groups_changed: tuple[LiveGroup, ...] = ()
    ledger_entries: tuple[CorpusEntry, ...] = ()
    crowd_changes: tuple[CrowdChange, ...] = ()
    trades: tuple[ExecutedTrade, ...] = ()
    level_changes: tuple[LevelChange, ...] = ()
    pending_changes: tuple[PendingChange, ...] = ()


@dataclass(frozen=True, slots=True)
class CarryOver:
    """What one trading day hands to the next.

    Carried groups, waiting entries, tracked ideas, open causes, trades that protections look back at, what
    the live trades of each rule came to by the rule's name.
    """

    groups: tuple[LiveGroup, ...] = ()
    pending: tuple[PendingEntry, ...] = ()
    tracked: tuple[TrackedIdea, ...] = ()
    seen: tuple[SeenSignal, ...] = ()
    levels: RiskLevels = field(default_factory=RiskLevels)
    closed_trades: tuple[ClosedTrade, ...] = field(default=(), metadata=ADDED)
    rule_results: tuple[tuple[str, RuleResult], ...] = field(default=(), metadata=ADDED)

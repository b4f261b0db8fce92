"""Events that go into the reducer and commands that come out (style: how the pieces run).

Every message is immutable and carries what is needed to journal and replay it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from propdesk.model.command import CommandState
from propdesk.model.enums import ExitReason, KillLevel, Side
from propdesk.model.order import LegState
from propdesk.model.signal import Followup, Signal

ADDED: Final[Mapping[str, Any]] = MappingProxyType({"is_added": True})
"""Metadata of a field that earlier documents lack: it is written only where it says more than its default.

So a document without it stays the same, byte for byte, and is read as before.
"""

# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """A signal is in the inbox."""

    signal: Signal
    inbox_id: int


@dataclass(frozen=True, slots=True)
class FollowupReceived:
    """A follow-up is in the inbox."""

    followup: Followup
    inbox_id: int


@dataclass(frozen=True, slots=True)
class BarObserved:
    """A bar is complete; known at ``start_ns + interval_ns`` (§2.5)."""

    price_key: str
    start_ns: int
    interval_ns: int
    open_paise: int
    high_paise: int
    low_paise: int
    close_paise: int
    volume: int


@dataclass(frozen=True, slots=True)
class TickObserved:
    """A last traded price."""

    price_key: str
    ts_ns: int
    price_paise: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A moment passed; ``name`` says which (MINUTE, ENTRY_CUTOFF, SQUARE_OFF, SESSION_CLOSE …)."""

    name: str
    ts_ns: int


class IntentKind(StrEnum):
    """One broker call each (reliability: entities)."""

    PLACE = "PLACE"
    MODIFY_STOP = "MODIFY_STOP"
    MODIFY_TARGET = "MODIFY_TARGET"
    CANCEL_ENTRY = "CANCEL_ENTRY"
    EXIT = "EXIT"
    EMERGENCY_STOP = "EMERGENCY_STOP"
    NEUTRALISE = "NEUTRALISE"


class BrokerUpdateKind(StrEnum):
    """What the broker says about one super order."""

    ACKNOWLEDGED = "ACKNOWLEDGED"
    REJECTED = "REJECTED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    ENTRY_FILLED = "ENTRY_FILLED"
    TARGET_FILLED = "TARGET_FILLED"
    STOP_FILLED = "STOP_FILLED"
    EXIT_FILLED = "EXIT_FILLED"
    OVERSOLD = "OVERSOLD"
    CANCELLED = "CANCELLED"
    GAPPED_THROUGH = "GAPPED_THROUGH"
    MODIFIED = "MODIFIED"
    FILL_UNPRICED = "FILL_UNPRICED"
    NAKED = "NAKED"
    EXCESS = "EXCESS"
    COVERED = "COVERED"
    GUARD_UNUSED = "GUARD_UNUSED"
    SURPLUS = "SURPLUS"
    UNREADABLE = "UNREADABLE"
    READABLE = "READABLE"


CLOSED_ELSEWHERE: Final = "CLOSED_ELSEWHERE"
"""Reason of an EXIT_FILLED without an order of ours: a person, or the broker, closed the position."""


@dataclass(frozen=True, slots=True)
class BrokerUpdate:
    """One fact from the broker about the order named by our correlation id.

    ``quantity`` is cumulative for fills; ``price_paise`` the average price of it, ``notional_paise`` the
    exact sum where the average had to be rounded. OVERSOLD: so many units more were closed than it can have
    held. FILL_UNPRICED: so much of the entry has filled at a price
    that is not known yet. NAKED: that many filled units have no live stop at the broker, EXCESS: its guards
    would sell that many more than are held; COVERED ends both. Of these three a later one (``ts_ns``) stands
    for all before. GUARD_UNUSED: the call was done without the guard that it might have placed. SURPLUS: the
    order ``broker_order_id`` repeats the correlation id and holds ``quantity`` units. UNREADABLE: the broker
    sent something that may concern this order (without a correlation id: any order) and cannot be read;
    READABLE ends it.
    ``update_id`` is unique per fact, so a repeat is recognised.
    ``answers`` is the call of ours that a fault answers: only of a PLACE, or where it is None (the broker
    speaks of the order itself), is REJECTED the fate of the entry; a refused change leaves the order alone.
    ``guard`` is a generation of plain orders that guard this one: in NAKED the one that is due, in an answer
    the one that was to be placed; 0 = none.
    """

    update_id: str
    kind: BrokerUpdateKind
    correlation_id: str
    broker_order_id: str
    price_paise: int
    quantity: int
    ts_ns: int
    reason: str = ""
    ambiguous: bool = False
    answers: IntentKind | None = None
    notional_paise: int | None = field(default=None, metadata=ADDED)
    guard: int = field(default=0, metadata=ADDED)

    @property
    def fill_notional_paise(self) -> int:
        """Sum of price x quantity over all fills told."""
        return self.price_paise * self.quantity if self.notional_paise is None else self.notional_paise


@dataclass(frozen=True, slots=True)
class BrokerSnapshotTaken:
    """All of today's orders as facts, after a start or for reconciliation."""

    updates: tuple[BrokerUpdate, ...]
    ts_ns: int


ACCESS = "access"
"""Whether the broker takes any order from here: token, address, lock of the account."""


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """A connection came or went; ``name`` is broker, orders, market, signals, or `ACCESS`."""

    name: str
    connected: bool
    ts_ns: int
    reason: str = field(default="", metadata=ADDED)


class Measured(StrEnum):
    """What a measure of the process asks for: a word to people, its switch, or the end of it."""

    ALARM = "ALARM"
    TRIPPED = "TRIPPED"
    GOOD = "GOOD"


@dataclass(frozen=True, slots=True)
class SwitchMeasured:
    """The process measured something of itself that a kill switch looks at (§6.2).

    An input like a price: what was measured is journalled and never measured anew in a fold. ``cause`` names
    the switch (`propdesk.risk.kill_switch.Cause`), of the whole account.
    """

    cause: str
    verdict: Measured
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OperatorCommand:
    """A person pauses, resumes, flattens or sets a kill level."""

    level: KillLevel
    scope: str
    actor: str
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class CommandAsked:
    """A person's command as it stands in ``trading.commands``; `CommandAnswer` answers it, once.

    ``kind`` and ``arguments`` are as typed, ``role`` is that of ``actor`` at the ``door``. ``asked_ns`` and
    ``read_ns`` are by the database's clock; ``valid_ns`` is how long a command of the moment is good for.
    """

    command_id: int
    kind: str
    arguments: Mapping[str, str]
    actor: str
    role: str
    door: str
    asked_ns: int
    read_ns: int
    valid_ns: int


@dataclass(frozen=True, slots=True)
class DayOpened:
    """The trading day starts: what pre-market froze (§4.5, §5.2).

    ``opening_corpus_paise`` is 0 where it is not known or used up, below 0 where more than all of it is lost.
    ``context_hash`` names the stored snapshot of all that is read from here on (`ContextSnapshot`); empty
    where nothing is stored (a simulation in memory).
    """

    trade_date: str
    ruleset_version: str
    opening_corpus_paise: int
    ready: bool
    ts_ns: int
    context_hash: str = ""


@dataclass(frozen=True, slots=True)
class ContextChanged:
    """A restart found another context than the one decided under so far: from here on it counts."""

    context_hash: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class EntryWaited:
    """An entry has waited so long to be sent that it is judged again first; `EntryVerdict` answers (§5.3)."""

    intent_id: str
    correlation_id: str
    ts_ns: int


Event: TypeAlias = (
    SignalReceived
    | FollowupReceived
    | BarObserved
    | TickObserved
    | TimerFired
    | BrokerUpdate
    | BrokerSnapshotTaken
    | ConnectionChanged
    | OperatorCommand
    | CommandAsked
    | DayOpened
    | ContextChanged
    | EntryWaited
    | SwitchMeasured
)

# -------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """One broker call that must be committed before it is sent (§5.7).

    Attributes
    ----------
    intent_id : str
        Derived from correlation id, kind and sequence: the same after a restart.
    correlation_id : str
        Names the super order at the broker.
    price_low_paise, price_high_paise : int or None
        Entry (PLACE): equal but for RANGE; None for MARKET. Otherwise unused.
    stop_paise, target_paise : int or None
        Absolute levels; for MODIFY_* the new one.
    active_from_ns, valid_until_ns : int
        Life of the entry (PLACE).
    kill_scopes : tuple of str
        Scopes besides the account's whose kill levels bear on it (§6.2): category, advisor, instrument,
        strategy, rule, side. The claim checks them all.
    guard : int
        Generation under which a plain order may be placed where no exit of the super order is left (EXIT,
        EMERGENCY_STOP); 0 = none may. No two intents name the same one unless the first was refused.
    """

    intent_id: str
    kind: IntentKind
    correlation_id: str
    group_id: str
    leg_number: int
    instrument_key: str
    side: Side
    quantity: int
    entry_type: str
    price_low_paise: int | None
    price_high_paise: int | None
    stop_paise: int | None
    target_paise: int | None
    first_target_paise: int | None
    active_from_ns: int
    valid_until_ns: int
    reason: ExitReason | None
    is_entry: bool
    created_ns: int
    kill_scopes: tuple[str, ...] = ()
    guard: int = field(default=0, metadata=ADDED)


@dataclass(frozen=True, slots=True)
class TripSwitch:
    """Raise a kill level."""

    level: KillLevel
    scope: str
    cause: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell a person; fire and forget."""

    event: str
    severity: str
    text: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class Track:
    """Subscribe to (or, with ``on`` false, leave) the prices of an instrument."""

    price_key: str
    on: bool


@dataclass(frozen=True, slots=True)
class EntryVerdict:
    """Whether an entry that waited may still leave: it may where ``refusal`` is empty."""

    intent_id: str
    refusal: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What became of a person's command; committed with everything it led to."""

    command_id: int
    state: CommandState
    text: str
    ts_ns: int


Command: TypeAlias = OrderIntent | EntryVerdict | TripSwitch | Notify | Track | CommandAnswer

# -------------------------------------------------------------- records


class DecisionCode(StrEnum):
    """Why a signal became a trade or not; one row per signal (§5.3)."""

    TRADED = "TRADED"
    TRADED_REVERSE = "TRADED_REVERSE"
    SHADOW_REVERSE = "SHADOW_REVERSE"
    PENDING_ENTRY = "PENDING_ENTRY"
    NOT_READY = "NOT_READY"
    KILL_SWITCH = "KILL_SWITCH"
    OUT_OF_HOURS = "OUT_OF_HOURS"
    ENTRY_CUTOFF = "ENTRY_CUTOFF"
    STALE = "STALE"
    DUPLICATE = "DUPLICATE"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    EXPIRED = "EXPIRED"
    AMBIGUOUS = "AMBIGUOUS"
    NOT_YET_LISTED = "NOT_YET_LISTED"
    MULTI_LEG_UNSUPPORTED = "MULTI_LEG_UNSUPPORTED"
    NO_PRICE = "NO_PRICE"
    PRICE_STALE = "PRICE_STALE"
    PRICE_DRIFT = "PRICE_DRIFT"
    THROUGH_LEVEL = "THROUGH_LEVEL"
    UNSHORTABLE = "UNSHORTABLE"
    TRADE_FOR_TRADE = "TRADE_FOR_TRADE"
    EXPIRY_TOO_NEAR = "EXPIRY_TOO_NEAR"
    NO_MATCH = "NO_MATCH"
    RULE_FAILED = "RULE_FAILED"
    REVERSE_NO_STOP = "REVERSE_NO_STOP"
    NO_STOP = "NO_STOP"
    UNAFFORDABLE = "UNAFFORDABLE"
    SIZE_ZERO = "SIZE_ZERO"
    ILLIQUID = "ILLIQUID"
    RISK_LIMIT = "RISK_LIMIT"
    NO_BUDGET = "NO_BUDGET"


@dataclass(frozen=True, slots=True)
class CandidateTrace:
    """One rule that was looked at and why it lost or won (§4.6)."""

    rule_text: str
    outcome: str
    post_mean_r: float | None
    prob_edge: float | None
    n: int
    failed_gates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """The one answer to one signal (§5.3); stored with its inputs."""

    decision_id: str
    signal_id: str
    code: DecisionCode
    detail: str
    decided_ns: int
    ruleset_version: str
    rule_text: str
    is_reverse: bool
    group_id: str | None
    lots: int
    quantity: int
    margin_paise: int
    planned_risk_paise: int
    crowd_score: float | None
    crowd_direction: str | None
    crowd_multiplier: float
    regime: str | None
    candidates: tuple[CandidateTrace, ...]


@dataclass(frozen=True, slots=True)
class LegView:
    """A leg's state after an event, for the projection tables."""

    group_id: str
    leg_number: int
    state: LegState
    correlation_id: str


@dataclass(frozen=True, slots=True)
class CorpusEntry:
    """One line of the corpus ledger (§5.6). Amounts in paise, signed as they change ``free``/``deployed``."""

    entry_id: str
    kind: str
    category: str
    is_adverse: bool
    group_id: str | None
    free_delta_paise: int
    deployed_delta_paise: int
    pnl_paise: int
    ts_ns: int

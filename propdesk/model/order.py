"""Trade groups, legs and what happens to them."""

from dataclasses import dataclass
from enum import StrEnum

from propdesk.model.enums import Category, EntryType, ExitReason, Period, Product, Side


class LegState(StrEnum):
    """Life of a leg. WORKING = entry wanted, not filled; OPEN = filled and protected."""

    WORKING = "WORKING"
    OPEN = "OPEN"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class Leg:
    """One target's share of a trade group (§5.4). Prices in paise, stamps in ns UTC.

    Attributes
    ----------
    leg_number : int
        1..T, nearest target first.
    quantity : int
        Units ordered, a multiple of the lot size.
    target_paise, stop_paise : int or None
        Present levels; the stop is the *desired* one.
    filled_quantity, exited_quantity : int
        Maximum over all evidence; never fall.
    entry_notional_paise, exit_notional_paise : int
        Sum of price x quantity of the fills, so that averages need no rounding before the end.
    exit_reason : ExitReason or None
        Set with state CLOSED.
    generation : int
        Part of the correlation id; rises only when the earlier order is proved dead.
    """

    leg_number: int
    lots: int
    quantity: int
    target_paise: int | None
    stop_paise: int | None
    state: LegState = LegState.WORKING
    filled_quantity: int = 0
    exited_quantity: int = 0
    entry_notional_paise: int = 0
    exit_notional_paise: int = 0
    entry_ns: int | None = None
    exit_ns: int | None = None
    exit_reason: ExitReason | None = None
    exit_target: int | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class TradeGroup:
    """Our orders (or, in outcome resolution, the verified trade) born of one signal (§5.4).

    Attributes
    ----------
    active_from_ns : int
        Decision moment: only bars starting, and ticks stamped, at or after it count.
    valid_until_ns : int
        An entry not filled by then is cancelled (end of the validity of §2.5).
    exit_at_ns : int or None
        Latest moment: intraday square-off, time-out or flat-before-expiry, whichever is first.
    exit_at_reason : ExitReason or None
        SQUARE_OFF, TIME_OUT, PRE_EXPIRY or EXPIRY, the reason behind ``exit_at_ns``.
    targets_hit : int
        Highest target filled so far, 0 = none; drives the trailing chain.
    ambiguous_bar : bool
        A bar held stop and target, or entry and stop (§2.5).
    """

    group_id: str
    signal_id: str
    advisor_id: str
    instrument_key: str
    category: Category
    period: Period
    product: Product
    side: Side
    entry_type: EntryType
    entry_low_paise: int | None
    entry_high_paise: int | None
    stop_paise: int | None
    targets_paise: tuple[int, ...]
    lot_size: int
    tick_paise: int
    margin_paise: int
    active_from_ns: int
    valid_until_ns: int
    exit_at_ns: int | None
    exit_at_reason: ExitReason | None
    legs: tuple[Leg, ...]
    is_reverse: bool = False
    rule_text: str = ""
    targets_hit: int = 0
    ambiguous_bar: bool = False
    gapped_through: bool = False


class LegEventKind(StrEnum):
    """Facts about one leg."""

    ENTRY_FILLED = "ENTRY_FILLED"
    TARGET_FILLED = "TARGET_FILLED"
    STOP_FILLED = "STOP_FILLED"
    EXIT_FILLED = "EXIT_FILLED"
    ENTRY_CANCELLED = "ENTRY_CANCELLED"
    GAPPED_THROUGH = "GAPPED_THROUGH"


@dataclass(frozen=True, slots=True)
class LegEvent:
    """A fact that moves a leg; cumulative quantity, so a repeat changes nothing."""

    kind: LegEventKind
    leg_number: int
    price_paise: int
    quantity: int
    at_ns: int
    reason: ExitReason | None = None
    ambiguous: bool = False


class LegActionKind(StrEnum):
    """What a trade group wants done."""

    MODIFY_STOP = "MODIFY_STOP"
    MODIFY_TARGET = "MODIFY_TARGET"
    CANCEL_ENTRY = "CANCEL_ENTRY"
    EXIT = "EXIT"


@dataclass(frozen=True, slots=True)
class LegAction:
    """A wish of the trade-group machine; the price is absolute (level-triggered)."""

    kind: LegActionKind
    leg_number: int
    price_paise: int | None = None
    reason: ExitReason | None = None
    quantity: int | None = None

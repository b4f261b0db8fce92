"""The one gate every order intent passes (§6): a pure function of plan, book, limits and clock."""

from dataclasses import dataclass
from typing import TypeAlias

from propdesk.model.enums import Category, Direction, KillLevel
from propdesk.risk.exposure import BookView


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Limits of an account (§6.1). Shares are of the day's opening corpus; exposure counts notional.

    Attributes
    ----------
    order_value_max_share : float
        Value of one group's entry.
    order_quantity_max : int
        Units of one group's entry.
    price_band : float
        Largest |entry - last price| / last price.
    exposure_*_max : float
        Notional, total and under one key.
    margin_utilisation_max : float
        Margin in use after the entry, of the corpus.
    planned_risk_group_max, all_stops_loss_max : float
        Loss at the stop of one group, and of all open groups together.
    trades_per_rule_max, open_groups_max : int
        Entries of a day per rule; groups open at once.
    entry_cutoff_ns : int or None
        Moment after which no entry leaves; None = the session's own cut-off decides.
    banned : frozenset of str
        Underlyings that are not traded (exchange ban list, a person's list).
    """

    order_value_max_share: float = 2.0
    order_quantity_max: int = 1_000_000
    price_band: float = 0.20
    exposure_total_max: float = 12.0
    exposure_underlying_max: float = 4.0
    exposure_advisor_max: float = 4.0
    exposure_rule_max: float = 4.0
    exposure_direction_max: float = 8.0
    margin_utilisation_max: float = 0.80
    planned_risk_group_max: float = 0.01
    all_stops_loss_max: float = 0.05
    trades_per_rule_max: int = 20
    open_groups_max: int = 60
    entry_cutoff_ns: int | None = None
    banned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CategoryLimits:
    """All limits that hold for the entries of one category, in place of the account's."""

    category: Category
    limits: RiskLimits


@dataclass(frozen=True, slots=True)
class IntentPlan:
    """What is about to be ordered. Entry: the whole group. Exit: only ``quantity`` is read.

    ``level`` is the highest kill level over every scope the intent belongs to; per-lot figures in paise.
    """

    is_entry: bool
    quantity: int
    lot_size: int
    level: KillLevel
    category: Category | None = None
    underlying: str = ""
    advisor_id: str = ""
    rule_text: str = ""
    direction: Direction | None = None
    price_paise: int = 0
    last_paise: int = 0
    margin_per_lot_paise: int = 0
    risk_per_lot_paise: int = 0


@dataclass(frozen=True, slots=True)
class Allow:
    """The intent leaves as it is."""


@dataclass(frozen=True, slots=True)
class Reduce:
    """The intent leaves with fewer units (whole lots, > 0)."""

    quantity: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """The intent does not leave."""

    reason: str


@dataclass(frozen=True, slots=True)
class Halt:
    """The intent does not leave, and neither does any entry after it: a kill level stands."""

    reason: str


Verdict: TypeAlias = Allow | Reduce | Reject | Halt


def check(intent_plan: IntentPlan, book: BookView, limits: RiskLimits, now_ns: int) -> Verdict:
    """Judge one intent.

    Parameters
    ----------
    intent_plan : IntentPlan
        Entry of a group, or an exit.
    book : BookView
        What is open now, without the plan.
    limits : RiskLimits
        The account's limits.
    now_ns : int
        Decider's clock, ns UTC.

    Returns
    -------
    Allow, Reduce, Reject or Halt
        An exit is never refused for a limit or a level: it is cut to what is open, and rejected only when
        nothing is.

    Notes
    -----
    Making any limit stricter never lets more through. Source: §6.
    """
    plan = intent_plan
    if not plan.is_entry:
        return _check_exit(plan, book)
    if plan.level.severity >= KillLevel.ENTRIES_BLOCKED.severity:
        return Halt(f"kill level {plan.level.value}")
    refusal = _refuse_entry(plan, book, limits, now_ns)
    if refusal is not None:
        return Reject(refusal)
    lots, reason = _lots_allowed(plan, book, limits)
    if lots < 1:
        return Reject(reason)
    quantity = lots * plan.lot_size
    return Allow() if quantity >= plan.quantity else Reduce(quantity, reason)


def _check_exit(plan: IntentPlan, book: BookView) -> Verdict:
    if book.position_quantity <= 0:
        return Reject("nothing is open that could be closed")
    if plan.quantity > book.position_quantity:
        return Reduce(book.position_quantity, "an exit never turns the position round")
    return Allow()


def _refuse_entry(plan: IntentPlan, book: BookView, limits: RiskLimits, now_ns: int) -> str | None:
    if plan.underlying in limits.banned:
        return f"{plan.underlying} is on the ban list"
    if limits.entry_cutoff_ns is not None and now_ns >= limits.entry_cutoff_ns:
        return "entries have ended for the day"
    if abs(plan.price_paise - plan.last_paise) > limits.price_band * plan.last_paise:
        return f"the entry lies outside the price band of {limits.price_band:.2f}"
    if book.open_groups >= limits.open_groups_max:
        return f"{book.open_groups} groups are open"
    if book.trades_by_rule.get(plan.rule_text, 0) >= limits.trades_per_rule_max:
        return f"{plan.rule_text} has traded {limits.trades_per_rule_max} times today"
    return None


def _lots_allowed(plan: IntentPlan, book: BookView, limits: RiskLimits) -> tuple[int, str]:
    """Smallest number of lots any limit leaves, and that limit's name."""
    corpus = book.corpus_paise
    lot_value = max(1, plan.price_paise * plan.lot_size)
    direction = book.by_direction.get(plan.direction, 0) if plan.direction is not None else 0
    rooms = (
        ("order quantity", limits.order_quantity_max, plan.lot_size),
        ("order value", limits.order_value_max_share * corpus, lot_value),
        ("total exposure", limits.exposure_total_max * corpus - book.notional_paise, lot_value),
        (
            "exposure of the underlying",
            limits.exposure_underlying_max * corpus - book.by_underlying.get(plan.underlying, 0),
            lot_value,
        ),
        (
            "exposure of the advisor",
            limits.exposure_advisor_max * corpus - book.by_advisor.get(plan.advisor_id, 0),
            lot_value,
        ),
        (
            "exposure of the rule",
            limits.exposure_rule_max * corpus - book.by_rule.get(plan.rule_text, 0),
            lot_value,
        ),
        ("exposure of the direction", limits.exposure_direction_max * corpus - direction, lot_value),
        (
            "margin utilisation",
            limits.margin_utilisation_max * corpus - book.margin_paise,
            max(1, plan.margin_per_lot_paise),
        ),
        ("planned risk of a group", limits.planned_risk_group_max * corpus, max(1, plan.risk_per_lot_paise)),
        (
            "loss if all stops are hit",
            limits.all_stops_loss_max * corpus - book.planned_risk_paise,
            max(1, plan.risk_per_lot_paise),
        ),
    )
    lots, reason = plan.quantity // plan.lot_size, ""
    for name, room, per_lot in rooms:
        allowed = max(0, int(room // per_lot))
        if allowed < lots:
            lots, reason = allowed, f"limit: {name}"
    return lots, reason

"""Dhan's books → facts about our super orders; pure, so that any order of evidence gives the same facts.

Fills come from the trade book, never from a status: TRIGGERED and CLOSED mean that an exit was placed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from adapters.brokers.dhan.model import (
    LegName,
    OrderRow,
    OrderStatus,
    PositionRow,
    SuperLeg,
    SuperOrderRow,
    TradeRow,
    UnreadableRow,
)
from propdesk.core.ids import derived_id, is_ours, split_guard_id
from propdesk.model.enums import ExitReason
from propdesk.model.messages import CLOSED_ELSEWHERE, BrokerUpdate, BrokerUpdateKind


@dataclass(frozen=True, slots=True)
class Books:
    """One reading of the three lists; ``unreadable`` are the rows that could not be read.

    ``positions`` were read besides where a plain order of ours rests that could reverse one; None = not read.
    ``carried`` is what earlier days closed of orders that they left open, by correlation id; such an order is
    among ``supers`` though no list has it any more (`carried_row`). ``bought`` is what the trade history
    shows of their entries, where it shows no less than was known.
    """

    supers: tuple[SuperOrderRow, ...]
    orders: tuple[OrderRow, ...]
    trades: tuple[TradeRow, ...]
    unreadable: tuple[UnreadableRow, ...] = ()
    positions: tuple[PositionRow, ...] | None = None
    carried: Mapping[str, "Filled"] = field(default_factory=dict)
    bought: Mapping[str, "Filled"] = field(default_factory=dict)
    index: "Index" = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", _index(self))


@dataclass(frozen=True, slots=True)
class Index:
    """Where the rows of a reading are, so that each order looks at its own alone.

    Attributes
    ----------
    supers : mapping of str to list of SuperOrderRow
        By correlation id.
    named : mapping of str to list of OrderRow
        Orders by the correlation id that theirs names, a guard's by that of what it guards.
    linked : mapping of str to list of OrderRow
        Orders by their own order id and by that of their super order.
    trades : mapping of str to list of TradeRow
        Fills by order id.
    """

    supers: Mapping[str, list[SuperOrderRow]]
    named: Mapping[str, list[OrderRow]]
    linked: Mapping[str, list[OrderRow]]
    trades: Mapping[str, list[TradeRow]]

    def near(self, head: OrderRow) -> list[OrderRow]:
        """Give every order that may belong to a super order, some perhaps twice."""
        return [*self.named.get(head.correlation_id, ()), *self.linked.get(head.order_id, ())]


def _index(books: Books) -> Index:
    supers: dict[str, list[SuperOrderRow]] = {}
    named: dict[str, list[OrderRow]] = {}
    linked: dict[str, list[OrderRow]] = {}
    trades: dict[str, list[TradeRow]] = {}
    for parent in books.supers:
        supers.setdefault(parent.order.correlation_id, []).append(parent)
    for row in books.orders:
        named.setdefault(split_guard_id(row.correlation_id)[0], []).append(row)
        for order_id in {row.order_id, row.algo_id}:
            linked.setdefault(order_id, []).append(row)
    for trade in books.trades:
        trades.setdefault(trade.order_id, []).append(trade)
    return Index(supers, named, linked, trades)


@dataclass(frozen=True, slots=True)
class Filled:
    """Fills of one part of a super order: units, sum of price x quantity in paise, last and first moment."""

    quantity: int
    notional_paise: int
    at_ns: int
    first_ns: int = 0

    @property
    def average_paise(self) -> int:
        """Average price, halves up; 0 without fills."""
        return (2 * self.notional_paise + self.quantity) // (2 * self.quantity) if self.quantity else 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the books prove of one super order: quantities are the maximum over all evidence.

    Attributes
    ----------
    is_older_than_trades : bool
        The super order shows less than the trade book proves: nothing may be taken away on its word.
    guards : tuple of Guard
        Plain orders that were to guard it after it had lost its stop, oldest first, ended ones included.
    entered_ns : int or None
        Moment of its first fill, None where no trade tells it.
    """

    filled: int
    exited: int
    is_older_than_trades: bool
    guards: tuple["Guard", ...]
    entered_ns: int | None = None

    @property
    def open_quantity(self) -> int:
        """Units that are held and not closed."""
        return max(0, self.filled - self.exited)

    @property
    def guard(self) -> "Guard | None":
        """The oldest guard that is not known to be over; None where there is none."""
        return next((guard for guard in self.guards if not guard.is_over), None)

    @property
    def next_guard(self) -> int:
        """Generation that is due: the one that is not over, else the one after the last."""
        if self.guard is not None:
            return self.guard.generation
        return 1 + max((guard.generation for guard in self.guards), default=0)


@dataclass(frozen=True, slots=True)
class Guard:
    """A plain order that stands in for the exits of a super order; ``filled`` over all evidence."""

    row: OrderRow
    generation: int
    filled: int

    @property
    def left(self) -> int:
        """Units that it may still fill."""
        return 0 if self.is_over else max(0, self.row.quantity - self.filled)

    @property
    def is_over(self) -> bool:
        """Whether nothing of it can fill any more; a state that nobody knows ends nothing."""
        return self.row.status.is_dead or self.filled >= self.row.quantity

    @property
    def is_stop(self) -> bool:
        """Whether it waits for its trigger; one that was triggered, or is a limit, is a way out only."""
        return self.row.order_type == "STOP_LOSS" and self.row.status in _WAITING

    @property
    def may_wait(self) -> bool:
        """Whether it may wait for its trigger: a stop in a state that nobody knows protects, or not."""
        return self.row.order_type == "STOP_LOSS" and self.row.status not in _LEAVING


MOVABLE = (OrderStatus.PENDING, OrderStatus.TRANSIT, OrderStatus.UNKNOWN)
"""States in which an exit leg may be moved, and sells if its level is reached."""

_WAITING = (OrderStatus.TRANSIT, OrderStatus.PENDING)
_LEAVING = (OrderStatus.TRIGGERED, OrderStatus.TRADED, OrderStatus.PART_TRADED)


def standing_of(
    parent: SuperOrderRow, books: Books, fills: Mapping[LegName, "Filled"] | None = None
) -> Standing:
    """Work out what is held of a super order and what guards it."""
    fills = fills_of(parent, books) if fills is None else fills
    entry = fills.get(LegName.ENTRY)
    traded, shown = entry.quantity if entry else 0, parent.order.filled_quantity
    exited = sum(fills[name].quantity for name in _EXITS if name in fills)
    named = books.index.named.get(parent.order.correlation_id, ())
    guards = (_guard(row, books) for row in named if guards_order(row, parent))
    in_order = tuple(sorted(guards, key=lambda guard: (guard.generation, guard.row.order_id)))
    entered_ns = (entry.first_ns or None) if entry else None
    if parent.order.correlation_id in books.carried:
        entered_ns = 0
    return Standing(max(traded, shown), exited, traded > shown, in_order, entered_ns)


def guards_order(row: OrderRow, parent: SuperOrderRow) -> bool:
    """Whether a plain order is a guard of a super order."""
    name, generation = split_guard_id(row.correlation_id)
    return generation > 0 and name == parent.order.correlation_id


def _guard(row: OrderRow, books: Books) -> Guard:
    traded = sum(trade.quantity for trade in books.index.trades.get(row.order_id, ()))
    return Guard(row, split_guard_id(row.correlation_id)[1], max(row.filled_quantity, traded))


def rests(leg: SuperLeg | None) -> bool:
    """Whether an exit leg is known to wait at the broker."""
    return leg is not None and leg.status in _WAITING


def has_exits(parent: SuperOrderRow) -> bool:
    """Whether an exit of a super order is there that sells when its level is reached."""
    return any(leg.status in MOVABLE for leg in parent.legs)


def is_leaving(parent: SuperOrderRow) -> bool:
    """Whether an exit of a super order was placed at the exchange, which proves no fill."""
    is_closed = parent.order.status is OrderStatus.CLOSED
    return is_closed or any(leg.status in _LEAVING for leg in parent.legs)


def has_ended(leg: SuperLeg, parent: SuperOrderRow, books: Books) -> bool:
    """Whether the order of an exit that was placed at the exchange is over, on the word of the order book.

    The leg itself says TRIGGERED for ever: neither that its order filled nor that it died.
    """
    shared = books.index.supers.get(parent.order.correlation_id, [])
    linked = books.index.linked.get(leg.order_id, ()) if leg.order_id != parent.order.order_id else ()
    near = (row for row in books.index.near(parent.order) if _belongs(row, parent, shared, books))
    rows = [row for row in (*linked, *near) if row.leg is leg.name]
    over = (row.status.is_dead or row.status is OrderStatus.TRADED for row in rows)
    return bool(rows) and all(over)


def fills_of(parent: SuperOrderRow, books: Books) -> dict[LegName, Filled]:
    """Sum the fills of a super order by its parts (`trades_of`)."""
    return {
        name: Filled(
            sum(t.quantity for t in trades),
            sum(t.quantity * t.price_paise for t in trades),
            max((t.at_ns or 0 for t in trades), default=0),
            min((t.at_ns for t in trades if t.at_ns), default=0),
        )
        for name, trades in trades_of(parent, books).items()
    }


def trades_of(parent: SuperOrderRow, books: Books) -> dict[LegName, list[TradeRow]]:
    """Find the fills of a super order by its parts.

    Notes
    -----
    Exit legs may have order ids of their own or the parent's: both are matched. Under the parent's id a
    fill of the opposite side is an exit; which one, the leg that triggered tells, else the nearer level.
    Guards are the oldest order's: no other one of its correlation id is ever guarded.
    """
    shared = books.index.supers.get(parent.order.correlation_id, [])
    has_guards = not shared or min(shared, key=age).order.order_id == parent.order.order_id
    own = {
        row.order_id: row
        for row in books.index.near(parent.order)
        if _belongs(row, parent, shared, books) or (has_guards and guards_order(row, parent))
    }
    leg_ids = {leg.order_id: leg.name for leg in parent.legs if leg.order_id != parent.order.order_id}
    found: dict[LegName, list[TradeRow]] = {}
    for order_id in {parent.order.order_id: None} | dict.fromkeys(own) | dict.fromkeys(leg_ids):
        for trade in books.index.trades.get(order_id, ()):
            found.setdefault(_part(trade, parent, own, leg_ids), []).append(trade)
    return found


def _belongs(row: OrderRow, parent: SuperOrderRow, shared: Sequence[SuperOrderRow], books: Books) -> bool:
    head = parent.order
    if row.order_id == head.order_id or row.algo_id == head.order_id:
        return True
    if not head.correlation_id or row.correlation_id != head.correlation_id or row.leg not in _EXITS:
        return False
    return _owner(row, shared, books) == head.order_id


def _owner(exit_row: OrderRow, shared: Sequence[SuperOrderRow], books: Books) -> str | None:
    """Give the super order whose exit a row without a link is; several may bear its correlation id.

    Their exits are paired by age; where not all are listed yet, the one that has triggered tells.
    While one of the super orders is left out of its list, nobody can know.
    """
    named = books.index.named.get(exit_row.correlation_id, ())
    alike = [row for row in named if row.correlation_id == exit_row.correlation_id]
    ids = {one.order.order_id for one in shared}
    if {row.order_id for row in alike if row.leg is LegName.ENTRY} - ids:
        return None
    in_age = sorted(shared, key=age)
    exits = sorted(row.order_id for row in alike if row.leg is exit_row.leg)
    if 1 < len(in_age) == len(exits):
        return in_age[exits.index(exit_row.order_id)].order.order_id
    if len(in_age) > 1:
        in_age = [
            one for one in in_age if (leg := one.leg(exit_row.leg)) is not None and leg.status in _LEAVING
        ]
    return in_age[0].order.order_id if len(in_age) == 1 else None


_EXITS = (LegName.TARGET, LegName.STOP)


def _part(
    trade: TradeRow, parent: SuperOrderRow, own: Mapping[str, OrderRow], leg_ids: Mapping[str, LegName]
) -> LegName:
    if trade.side is parent.order.side:
        return LegName.ENTRY
    if trade.order_id in leg_ids:
        return leg_ids[trade.order_id]
    row = own.get(trade.order_id)
    if row is not None and guards_order(row, parent):
        return LegName.STOP
    if row is not None and row.order_id != parent.order.order_id and row.leg in _EXITS:
        return row.leg
    triggered = [leg.name for leg in parent.legs if leg.status in (OrderStatus.TRIGGERED, OrderStatus.TRADED)]
    if len(triggered) == 1:
        return triggered[0]
    levels = {leg.name: leg.price_paise for leg in parent.legs if leg.price_paise}
    return min(levels, key=lambda name: abs(levels[name] - trade.price_paise), default=LegName.STOP)


def facts_of(
    parent: SuperOrderRow,
    books: Books,
    exiting: Mapping[str, str],
    now_ns: int,
    ordered: int | None = None,
    elsewhere: Filled | None = None,
) -> list[BrokerUpdate]:
    """Tell everything the books say about one super order; the same books give the same facts.

    Parameters
    ----------
    exiting : mapping of str to str
        By correlation id: the reason for which its target or stop was moved to close it. Its exit fills are
        then exits, not targets.
    now_ns : int
        Stamp of facts whose moment the books do not tell.
    ordered : int, optional
        Units that we asked for; the list shows what the order was shrunk to. None = as the list says.
    elsewhere : Filled, optional
        What others closed of it.
    """
    head, before = parent.order, books.carried.get(parent.order.correlation_id)
    at_ns = head.updated_ns or head.created_ns or now_ns
    fills = fills_of(parent, books)
    entry = fills.get(LegName.ENTRY)
    filled = max(entry.quantity if entry else 0, head.filled_quantity) + (before.quantity if before else 0)
    wanted = ordered or head.quantity
    is_over = _is_entry_over(parent, books, filled, wanted)
    reason = exiting.get(head.correlation_id)
    most = filled if is_over else max(filled, wanted)
    left = _exit_facts(head, fills, reason, at_ns, elsewhere, before, most)
    if before is not None:
        # an earlier day has told of its fills, not of those that nobody was there to hear
        late = books.bought.get(head.correlation_id)
        fill = BrokerUpdateKind.ENTRY_FILLED
        return [_fill(head, fill, late, late.at_ns or at_ns), *left] if late else left
    facts = [] if head.status is OrderStatus.REJECTED else [_fact(head, BrokerUpdateKind.ACKNOWLEDGED, at_ns)]
    if entry:
        facts.append(_fill(head, BrokerUpdateKind.ENTRY_FILLED, entry, entry.at_ns or at_ns))
    if filled > (entry.quantity if entry else 0):
        # the list's own average is rounded and may be missing: only the trade book names a price
        facts.append(_fact(head, BrokerUpdateKind.FILL_UNPRICED, at_ns, filled))
    facts += left
    if head.status is OrderStatus.REJECTED:
        facts.append(_fact(head, BrokerUpdateKind.REJECTED, at_ns, reason=head.reason))
    elif is_over:
        why = head.reason if head.status is not OrderStatus.EXPIRED else "EXPIRED"
        facts.append(_fact(head, BrokerUpdateKind.CANCELLED, at_ns, filled, reason=why))
    return facts


def is_short(parent: SuperOrderRow, books: Books, ordered: int | None) -> bool:
    """Whether less has filled of an order of an earlier day, as far as it is known, than was ordered."""
    before = books.carried.get(parent.order.correlation_id)
    return before is not None and parent.order.filled_quantity + before.quantity < (ordered or 0)


def lapsed(parent: SuperOrderRow, books: Books, now_ns: int) -> BrokerUpdate:
    """Tell that what had not filled of an order of an earlier day lapsed at the close of that day."""
    head = parent.order
    filled = head.filled_quantity + books.carried[head.correlation_id].quantity
    return _fact(head, BrokerUpdateKind.CANCELLED, now_ns, filled, reason="EXPIRED")


def oversold_trades(parent: SuperOrderRow, books: Books) -> Iterator[TradeRow]:
    """Give what a super order closed beyond all that it can have held: its last exits, the newest first.

    A broker whose two exits both fill sells what something else of the security holds.
    """
    trades = trades_of(parent, books)
    standing = standing_of(parent, books)
    is_over = _is_entry_over(parent, books, standing.filled, parent.order.quantity)
    most = standing.filled if is_over else max(standing.filled, parent.order.quantity)
    beyond = standing.exited - most
    exits = [trade for name in _EXITS for trade in trades.get(name, ())]
    for trade in sorted(exits, key=lambda trade: (trade.at_ns or 0, trade.trade_id), reverse=True):
        if beyond > 0:
            yield replace(trade, quantity=min(beyond, trade.quantity))
        beyond -= trade.quantity


def _is_entry_over(parent: SuperOrderRow, books: Books, filled: int, ordered: int) -> bool:
    head = parent.order
    is_carried = head.correlation_id in books.carried
    return is_carried or head.status.is_dead or _has_ended_short(head, filled, ordered)


def _has_ended_short(head: OrderRow, filled: int, ordered: int) -> bool:
    """Whether an entry is over with less than was ordered: shrunk to what had filled, or left by its exit."""
    if not 0 < filled < ordered:
        return False
    is_left = head.status is OrderStatus.CLOSED and head.filled_quantity == filled
    return is_left or filled >= head.quantity


def _exit_facts(
    head: OrderRow,
    fills: Mapping[LegName, Filled],
    reason: str | None,
    at_ns: int,
    elsewhere: Filled | None,
    before: Filled | None,
    most: int,
) -> list[BrokerUpdate]:
    """Tell the units closed by both legs, by others and on days before together, if any were today.

    The latest of them names the kind; what others closed before that is told by itself, too. ``most`` is what
    can have been held: what was closed beyond it is OVERSOLD.
    """
    exits = {name: fills[name] for name in _EXITS if name in fills}
    total = _sum_of(*exits.values(), elsewhere, before)
    told: list[BrokerUpdate] = []
    later = max(exits, key=lambda name: exits[name].at_ns, default=None)
    if elsewhere is not None:
        is_last = later is None or elsewhere.at_ns >= exits[later].at_ns
        closed = _at_most(total if is_last else _sum_of(elsewhere, before), most)
        when = elsewhere.at_ns or at_ns
        told.append(_fill(head, BrokerUpdateKind.EXIT_FILLED, closed, when, CLOSED_ELSEWHERE))
        later = None if is_last else later
    if later is not None:
        kind, when = _way_out(later, reason), exits[later].at_ns or at_ns
        told.append(_fill(head, kind, _at_most(total, most), when, reason or ""))
    if told and total.quantity > most:
        told.append(_fact(head, BrokerUpdateKind.OVERSOLD, told[-1].ts_ns, total.quantity - most))
    return told


def _way_out(leg: LegName, reason: str | None) -> BrokerUpdateKind:
    if not reason:
        return BrokerUpdateKind.STOP_FILLED if leg is LegName.STOP else BrokerUpdateKind.TARGET_FILLED
    # the daemon watches the target of a guarded order itself
    is_target = reason == ExitReason.TARGET.value
    return BrokerUpdateKind.TARGET_FILLED if is_target else BrokerUpdateKind.EXIT_FILLED


def _sum_of(*parts: Filled | None) -> Filled:
    known = [part for part in parts if part is not None]
    return Filled(sum(part.quantity for part in known), sum(part.notional_paise for part in known), 0)


def _at_most(filled: Filled, most: int) -> Filled:
    """Cut fills down to so many units, at the average price of all of them."""
    if filled.quantity <= most:
        return filled
    notional = (2 * filled.notional_paise * most + filled.quantity) // (2 * filled.quantity)
    return replace(filled, quantity=most, notional_paise=notional)


def _fill(
    head: OrderRow, kind: BrokerUpdateKind, filled: Filled, ts_ns: int, reason: str = ""
) -> BrokerUpdate:
    """Tell fills with their exact sum where their average is rounded."""
    fact = _fact(head, kind, ts_ns, filled.quantity, filled.average_paise, reason)
    is_exact = filled.average_paise * filled.quantity == filled.notional_paise
    return fact if is_exact else replace(fact, notional_paise=filled.notional_paise)


def _fact(
    head: OrderRow,
    kind: BrokerUpdateKind,
    ts_ns: int,
    quantity: int = 0,
    price_paise: int = 0,
    reason: str = "",
) -> BrokerUpdate:
    return BrokerUpdate(
        update_id=derived_id("dhan-fact", head.order_id, kind.value, quantity),
        kind=kind,
        correlation_id=head.correlation_id,
        broker_order_id=head.order_id,
        price_paise=price_paise,
        quantity=quantity,
        ts_ns=ts_ns,
        reason=reason,
    )


def surplus(supers: Iterable[SuperOrderRow]) -> dict[str, tuple[SuperOrderRow, ...]]:
    """Correlation ids of ours that more than one order carries: the younger ones, which nobody asked for."""
    by_id: dict[str, list[SuperOrderRow]] = {}
    for row in supers:
        if is_ours(row.order.correlation_id):
            by_id.setdefault(row.order.correlation_id, []).append(row)
    return {name: tuple(sorted(rows, key=age)[1:]) for name, rows in by_id.items() if len(rows) > 1}


def age(row: SuperOrderRow) -> tuple[int, str]:
    """Sort key: the oldest order first."""
    return row.order.created_ns or 0, row.order.order_id


def surplus_facts(
    books: Books, now_ns: int, gone: Mapping[str, Filled]
) -> dict[str, tuple[BrokerUpdate, bool]]:
    """Tell each order that repeats the correlation id of an older one, and each guard beyond the first.

    Parameters
    ----------
    gone : mapping of str to Filled
        What others closed, by order id.

    Returns
    -------
    dict of str to tuple
        By order id the fact, and whether it can still fill or holds anything.
    """
    kind, found = BrokerUpdateKind.SURPLUS, {}
    for row in (row for rows in surplus(books.supers).values() for row in rows):
        head, standing = row.order, standing_of(row, books)
        held = standing.open_quantity - (gone[head.order_id].quantity if head.order_id in gone else 0)
        may_fill = not head.status.is_dead and standing.filled < head.quantity
        fact = _fact(head, kind, head.created_ns or now_ns, standing.open_quantity)
        found[head.order_id] = fact, may_fill or held > 0
    for name in {row.order.correlation_id: None for row in books.supers if is_ours(row.order.correlation_id)}:
        for guard in surplus_guards(books, name):
            fact = _fact(guard, kind, guard.created_ns or now_ns, guard.quantity)
            found[guard.order_id] = replace(fact, correlation_id=name), True
    return found


def surplus_guards(books: Books, name: str) -> tuple[OrderRow, ...]:
    """Plain orders beyond the first that may still fill for super order ``name``: nobody asked for them."""
    parent = books.index.supers[name][0]
    live = [guard.row for guard in standing_of(parent, books).guards if not guard.is_over]
    return tuple(live[1:])

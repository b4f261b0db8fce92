"""The simulated exchange and broker: orders in, fills and alerts out, truth in a ledger.

Synchronous and driven by time that is handed in. Whether a price reaches an order is decided by the matching
core that outcome resolution and the paper broker use (`propdesk.execution.matching`); here stands only what a
broker adds: states, exits that guard fills, money, refusals, faults.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from propdesk.core.calendar import ist_date, ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND
from propdesk.core.invariant import require
from propdesk.execution.matching import SuperOrder, SuperOrderState, match_tick, modify
from propdesk.model.enums import EntryType, Side
from propdesk.model.messages import TickObserved
from propdesk.model.order import LegEventKind
from propdesk.risk.margin import MarginModel
from sandbox import checks
from sandbox.book import Fill, Order, Position, Role, Status, Super
from sandbox.catalogue import Catalogue, Listing
from sandbox.faults import FaultKind, FaultPlan
from sandbox.knobs import Knobs
from sandbox.ledger import TruthLedger

_FOREVER: Final = 2**62
_NS_PER_MS: Final = 1_000_000
_FIRST_ORDER: Final = 112_000_000_000
_FIRST_TRADE: Final = 20_000_000


class Exchange:
    """State of one account and the market it sees.

    Parameters
    ----------
    catalogue : Catalogue
    knobs : Knobs
    margins : MarginModel
    ledger : TruthLedger
    faults : FaultPlan
    now_ns : int
        Start of the simulated time.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        knobs: Knobs,
        margins: MarginModel,
        ledger: TruthLedger,
        faults: FaultPlan,
        now_ns: int,
    ) -> None:
        self.catalogue = catalogue
        self.knobs = knobs
        self.ledger = ledger
        self.faults = faults
        self.now_ns = now_ns
        self.orders: dict[str, Order] = {}
        self.supers: dict[str, Super] = {}
        self.fills: list[Fill] = []
        self.positions: dict[tuple[str, str, str], Position] = {}
        self.last: dict[str, tuple[int, int]] = {}
        self.previous_close: dict[str, int] = {}
        self.is_killed = False
        self.pnl_exit: dict[str, Any] | None = None
        self.on_alert: list[Callable[[Order], None]] = []
        self._margins = margins
        self._resting: dict[str, list[Order]] = {}
        self._guarded: dict[str, list[Super]] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = itertools.count(1)
        self._order_numbers = itertools.count(_FIRST_ORDER + 1)
        self._trade_numbers = itertools.count(_FIRST_TRADE + 1)
        self._arm_day()

    # ----------------------------------------------------------------- time

    def at(self, due_ns: int, action: Callable[[], None]) -> None:
        """Do something at a moment (at once if it has passed, at the next `advance`)."""
        heapq.heappush(self._timers, (due_ns, next(self._sequence), action))

    def advance(self, now_ns: int) -> None:
        """Let time pass up to ``now_ns``; timers act at their own moments."""
        require(now_ns >= self.now_ns, "the sandbox's time never runs backwards")
        while self._timers and self._timers[0][0] <= now_ns:
            due_ns, _, action = heapq.heappop(self._timers)
            self.now_ns = max(self.now_ns, due_ns)
            action()
        self.now_ns = now_ns

    def _arm_day(self) -> None:
        midnight = ist_midnight_ns(ist_date(self.now_ns))
        for minute, action in (
            (self.knobs.square_off_minute, self.square_off),
            (self.knobs.close_minute, self.end_day),
        ):
            due_ns = midnight + minute * NS_PER_MINUTE
            if minute and due_ns > self.now_ns:
                self.at(due_ns, action)

    # --------------------------------------------------------------- market

    def tick(self, price_key: str, price_paise: int, ts_ns: int) -> None:
        """Let one traded price act on everything that rests in its security."""
        self.advance(max(ts_ns, self.now_ns))
        self.last[price_key] = (price_paise, ts_ns)
        tick = TickObserved(price_key, ts_ns, price_paise)
        # only what can still fill: a day's dead orders must not slow every tick down
        resting = [order for order in self._resting.pop(price_key, ()) if order.is_live]
        guarded = [parent for parent in self._guarded.pop(price_key, ()) if not parent.is_done]
        self._resting[price_key], self._guarded[price_key] = resting, guarded
        for order in tuple(resting):
            self._match(order, tick)
        for parent in tuple(guarded):
            self._match_exits(parent, tick)
        if self.pnl_exit is not None:
            self._check_pnl()

    def last_price(self, listing: Listing) -> int:
        """Last traded price, else the previous close, else 0."""
        known = self.last.get(listing.price_key)
        return known[0] if known else self.previous_close.get(listing.price_key, 0)

    # --------------------------------------------------------------- placing

    def next_order_id(self) -> str:
        """Take an order id; the same ones in every run."""
        return str(next(self._order_numbers))

    def new_order(
        self,
        role: Role,
        listing: Listing,
        *,
        side: Side,
        quantity: int,
        price: int,
        trigger: int = 0,
        order_type: str = "LIMIT",
        product: str = "INTRADAY",
        validity: str = "DAY",
        correlation_id: str = "",
        source: str = "API",
    ) -> Order:
        """Take an order that was checked; it reaches the exchange after the transit time."""
        order = Order(
            order_id=self.next_order_id(),
            role=role,
            correlation_id=correlation_id,
            side=side,
            listing=listing,
            product=product,
            order_type=order_type,
            validity=validity,
            quantity=quantity,
            price_paise=price,
            trigger_paise=trigger,
            source=source,
            created_ns=self.now_ns,
            updated_ns=self.now_ns,
        )
        self.orders[order.order_id] = order
        self._rest(order)
        self._write("ORDER", order, correlation_id=correlation_id, source=source)
        return order

    def new_super(self, entry: Order, *, target: int, stop: int, trailing: int) -> Super:
        """Hang exits on an entry; 0 = that exit is not wanted."""
        parent = Super(entry=entry, trailing_paise=trailing)
        entry.parent = parent
        for role, price in ((Role.STOP, stop), (Role.TARGET, target)):
            if price:
                parent.legs[role] = self._new_leg(parent, role, price)
        self.supers[entry.order_id] = parent
        self._guarded.setdefault(entry.listing.price_key, []).append(parent)
        return parent

    def _rest(self, order: Order) -> None:
        self._resting.setdefault(order.listing.price_key, []).append(order)

    def _new_leg(self, parent: Super, role: Role, price: int) -> Order:
        entry = parent.entry
        own_id = self.next_order_id() if self.knobs.leg_ids == "own" else entry.order_id
        return Order(
            order_id=own_id,
            role=role,
            correlation_id=entry.correlation_id,
            side=entry.side.opposite,
            listing=entry.listing,
            product=entry.product,
            order_type="LIMIT",
            validity="DAY",
            quantity=0,
            price_paise=price,
            trigger_paise=price if role is Role.STOP else 0,
            source=entry.source,
            created_ns=self.now_ns,
            updated_ns=self.now_ns,
            status=Status.PENDING,
            parent=parent,
        )

    def send(self, order: Order) -> None:
        """Put an order on its way to the exchange."""
        self._alert(order)
        delay = self.knobs.transit_ms * _NS_PER_MS
        fault = self.faults.take(FaultKind.TRANSIT, path=order.correlation_id)
        if fault is not None:
            delay = int(float(fault.values.get("delay_s", 5)) * NS_PER_SECOND)
        if delay <= 0:
            self._arrive(order)
        else:
            self.at(self.now_ns + delay, lambda: self._arrive(order))

    def _arrive(self, order: Order) -> None:
        if order.status is not Status.TRANSIT:
            return
        fault = self.faults.take(FaultKind.EXCHANGE_REJECT, path=order.correlation_id)
        if fault is not None:
            self._end(order, Status.REJECTED, str(fault.values.get("reason", "RMS: order rejected")))
            return
        self._draw_entry_faults(order)
        order.status = Status.PENDING
        order.exchange_id = str(1_000_000_000 + int(order.order_id) % 1_000_000_000)
        order.resting = _resting(order)
        self._touch(order, "PENDING")
        last = self.last_price(order.listing)
        if last:
            self._match(order, TickObserved(order.listing.price_key, self.now_ns, last))
        if order.validity == "IOC" and order.is_live:
            self._end(order, Status.CANCELLED, "IOC")

    def _draw_entry_faults(self, order: Order) -> None:
        pieces = self.faults.take(FaultKind.PARTIAL_ENTRY, path=order.correlation_id)
        if pieces is not None:
            order.pieces = max(1, int(pieces.values.get("pieces", 2)))
        cancel = self.faults.take(FaultKind.PARTIAL_CANCEL, path=order.correlation_id)
        if cancel is not None:
            order.pieces = -max(1, int(cancel.values.get("pieces", 2)))
        if order.order_type == "MARKET_PROTECTED":
            order.order_type = "LIMIT"
            order.is_blocked = (
                self.faults.take(FaultKind.MARKET_UNFILLED, path=order.correlation_id) is not None
            )

    # -------------------------------------------------------------- matching

    def _match(self, order: Order, tick: TickObserved) -> None:
        """Let a price act on a plain order, an entry or an exit that became an order of its own."""
        if order.resting is None or not order.is_live or order.is_blocked:
            return
        resting, events = match_tick(order.resting, tick)
        order.resting = resting
        if not any(event.kind is LegEventKind.ENTRY_FILLED for event in events):
            return
        if order.trigger_paise and order.role is Role.PLAIN and order.triggered == 0:
            order.triggered = order.quantity
            order.resting = _resting(order)
            self._touch(order, "TRIGGERED")
            self._match(order, tick)
            return
        self._fill(order, self._piece(order), events[0].price_paise)
        if order.left and order.pieces < 0:
            self._end(order, Status.CANCELLED, "cancelled by the exchange after a part fill")
        elif order.left:
            order.resting = _resting(order)

    def _piece(self, order: Order) -> int:
        """Units of the next fill, a multiple of the lot."""
        pieces = abs(order.pieces)
        lot = order.listing.lot_size
        if pieces <= 1 or order.left <= lot:
            return order.left
        if order.pieces > 0:
            order.pieces -= 1
        return max(lot, order.left // pieces // lot * lot)

    def _fill(self, order: Order, quantity: int, price: int) -> None:
        require(0 < quantity <= order.left, "a fill lies within its order")
        order.filled += quantity
        order.notional += quantity * price
        order.status = Status.PART_TRADED if order.left else Status.TRADED
        order.updated_ns = self.now_ns
        fill = Fill(str(next(self._trade_numbers)), order, quantity, price, self.now_ns)
        self.fills.append(fill)
        self._book(fill)
        self._write("FILL", order, trade_id=fill.trade_id, quantity=quantity, price_paise=price)
        self._alert(order)
        if order.role is Role.ENTRY and order.parent is not None:
            self._guard(order.parent)

    def _book(self, fill: Fill) -> None:
        order = fill.order
        key = (order.listing.segment, order.listing.security_id, order.product)
        position = self.positions.setdefault(key, Position(order.listing, order.product))
        if order.side is Side.BUY:
            position.bought += fill.quantity
            position.buy_notional += fill.quantity * fill.price_paise
        else:
            position.sold += fill.quantity
            position.sell_notional += fill.quantity * fill.price_paise

    # ----------------------------------------------------------------- exits

    def _guard(self, parent: Super) -> None:
        """Let the exits guard what has filled so far."""
        entry = parent.entry
        if entry.left and not self.knobs.exits_guard_partial_entry:
            return
        if parent.exits is None:
            self._first_guard(parent)
        stop, target = parent.legs.get(Role.STOP), parent.legs.get(Role.TARGET)
        done = parent.exits
        parent.exits = SuperOrder(
            order_key=entry.order_id,
            leg_number=1,
            side=entry.side,
            quantity=entry.filled,
            entry_type=EntryType.LIMIT,
            entry_low_paise=entry.price_paise,
            entry_high_paise=entry.price_paise,
            stop_paise=stop.price_paise if stop and stop.is_live else None,
            target_paise=target.price_paise if target and target.is_live else None,
            first_target_paise=None,
            active_from_ns=0,
            valid_until_ns=_FOREVER,
            state=SuperOrderState.OPEN,
            entry_paise=entry.average_paise,
            entry_ns=self.now_ns,
            exited_quantity=done.exited_quantity if done else 0,
            exit_notional_paise=done.exit_notional_paise if done else 0,
        )
        for leg in parent.legs.values():
            leg.quantity = entry.filled
        self._write("GUARDED", entry, quantity=entry.filled, stop_paise=parent.exits.stop_paise or 0)

    def _first_guard(self, parent: Super) -> None:
        entry = parent.entry
        stop = parent.legs.get(Role.STOP)
        if stop is not None:
            if self.faults.take(FaultKind.STOP_REJECTED, path=entry.correlation_id) is not None:
                self._end(stop, Status.REJECTED, "RMS: stop loss leg rejected")
            elif self.faults.take(FaultKind.STOP_MISSING, path=entry.correlation_id) is not None:
                del parent.legs[Role.STOP]
                self._write("STOP_GONE", entry)
        for leg in parent.legs.values():
            if self.knobs.leg_ids == "own":
                self.orders[leg.order_id] = leg
        if parent.trailing_paise and Role.STOP in parent.legs:
            parent.trail_base = (entry.average_paise, parent.legs[Role.STOP].price_paise)

    def _match_exits(self, parent: Super, tick: TickObserved) -> None:
        before = parent.exits
        if before is None or before.state is not SuperOrderState.OPEN:
            return
        self._trail(parent, tick.price_paise)
        before = parent.exits
        require(before is not None, "exits do not vanish while they are matched")
        assert before is not None  # noqa: S101 - tells the type checker what require has checked
        after, events = match_tick(before, tick)
        if not events:
            return
        parent.exits = after
        role = Role.STOP if events[0].kind is LegEventKind.STOP_FILLED else Role.TARGET
        quantity = after.exited_quantity - before.exited_quantity
        price = (after.exit_notional_paise - before.exit_notional_paise) // quantity
        self._exit(parent, role, quantity, price)

    def _exit(self, parent: Super, role: Role, quantity: int, price: int) -> None:
        entry, leg = parent.entry, parent.legs[role]
        if entry.is_live:  # what has not filled yet is withdrawn with the exit
            entry.resting = None
        entry.status = Status.CLOSED
        leg.triggered += quantity
        leg.quantity = leg.filled + quantity
        unfilled = self.faults.take(FaultKind.EXIT_UNFILLED, path=entry.correlation_id)
        both = self.faults.take(FaultKind.BOTH_EXITS_FILL, path=entry.correlation_id)
        self._touch(entry, "CLOSED")
        if unfilled is not None:
            leg.trigger_paise = 0
            leg.resting = _resting(leg)
            self._rest(leg)
            self._touch(leg, "PLACED")
        else:
            self._fill(leg, quantity, price)
        other = parent.legs.get(Role.TARGET if role is Role.STOP else Role.STOP)
        if other is None or not other.is_live:
            return
        if both is not None:
            other.triggered += quantity
            self._fill(other, quantity, other.price_paise)
        else:
            self._end(other, Status.CANCELLED, "one leg cancels the other")

    def _trail(self, parent: Super, price: int) -> None:
        stop = parent.legs.get(Role.STOP)
        if not parent.trailing_paise or parent.trail_base is None or stop is None or parent.exits is None:
            return
        base, level = parent.trail_base
        sign = parent.entry.side.sign
        jumps = max(0, sign * (price - base) // parent.trailing_paise)
        moved = level + sign * jumps * parent.trailing_paise
        if sign * (moved - stop.price_paise) > 0:
            stop.price_paise = stop.trigger_paise = moved
            parent.exits = modify(parent.exits, stop=moved)
            self._touch(stop, "TRAILED")

    # ------------------------------------------------------------- changing

    def change_order(self, order: Order, *, quantity: int, price: int, trigger: int, order_type: str) -> None:
        """Replace the terms of a resting order; its quantity is the total."""
        self._count_change(order)
        order.quantity, order.price_paise, order.trigger_paise = quantity, price, trigger
        order.order_type = order_type
        order.is_blocked = False
        if order.filled == quantity:
            order.status = Status.TRADED
        if order.is_live and order.status is not Status.TRANSIT:
            order.resting = _resting(order)
        self._touch(order, "MODIFIED")
        self._rematch(order)

    def change_entry(
        self, parent: Super, *, quantity: int, price: int, target: int, stop: int, trailing: int
    ) -> None:
        """Change a whole super order whose entry has not filled; a leg given as 0 is dropped."""
        entry = parent.entry
        parent.trailing_paise = trailing
        for role, level in ((Role.TARGET, target), (Role.STOP, stop)):
            leg = parent.legs.get(role)
            if leg is not None and level:
                leg.price_paise = level
                leg.trigger_paise = level if role is Role.STOP else 0
            elif leg is not None:
                self._end(leg, Status.CANCELLED, "dropped by a modification")
        self.change_order(entry, quantity=quantity, price=price, trigger=0, order_type=entry.order_type)
        if entry.filled:
            self._guard(parent)

    def change_leg(self, parent: Super, role: Role, price: int, trailing: int | None) -> None:
        """Move an exit to an absolute price; it acts on the last price at once."""
        leg = parent.legs[role]
        self._count_change(parent.entry)
        leg.price_paise = price
        if role is Role.STOP:
            leg.trigger_paise = price
            parent.trailing_paise = trailing or 0
            last = self.last_price(leg.listing)
            parent.trail_base = (last, price) if parent.trailing_paise else None
        if parent.exits is not None:
            parent.exits = (
                modify(parent.exits, stop=price) if role is Role.STOP else modify(parent.exits, target=price)
            )
        self._touch(leg, "MODIFIED")
        last = self.last_price(leg.listing)
        if last:
            self._match_exits(parent, TickObserved(leg.listing.price_key, self.now_ns, last))

    def _count_change(self, order: Order) -> None:
        counts = order.role is Role.PLAIN or self.knobs.count_super_modifications
        if counts and order.modifications >= self.knobs.modifications_max:
            self.faults.strike(FaultKind.MODIFICATION_LIMIT)
            raise checks.bad_order("Maximum number of modifications exceeded")
        order.modifications += 1

    def _rematch(self, order: Order) -> None:
        last = self.last_price(order.listing)
        if last:
            self._match(order, TickObserved(order.listing.price_key, self.now_ns, last))

    def cancel(self, order: Order, reason: str = "CANCELLED BY USER") -> None:
        """Withdraw what has not filled."""
        if order.is_live:
            self._end(order, Status.CANCELLED, reason)

    def cancel_leg(self, parent: Super, role: Role) -> None:
        """Cancel an exit for good, or (ENTRY) the whole super order."""
        if role is not Role.ENTRY:
            self._drop_leg(parent, role)
            return
        self.cancel(parent.entry)
        if not parent.entry.filled or self.knobs.cancel_filled_entry_drops_exits:
            for leg in tuple(parent.legs):
                self._drop_leg(parent, leg)

    def _drop_leg(self, parent: Super, role: Role) -> None:
        leg = parent.legs[role]
        if leg.is_live:
            self._end(leg, Status.CANCELLED, "CANCELLED BY USER")
        if parent.exits is not None:
            parent.exits = replace(
                parent.exits,
                stop_paise=None if role is Role.STOP else parent.exits.stop_paise,
                target_paise=None if role is Role.TARGET else parent.exits.target_paise,
            )

    # ------------------------------------------------------------ the account

    def day_pnl(self) -> int:
        """Realised and unrealised profit of the day, paise."""
        return sum(
            p.realised_paise + p.unrealised_paise(self.last_price(p.listing)) for p in self.positions.values()
        )

    def margin(self, listing: Listing, side: Side, product: str, quantity: int, price: int) -> int:
        """Money that units block, paise."""
        day = ist_date(self.now_ns)
        return checks.margin_paise(self._margins, listing, side, product, quantity, price, day)

    def used_margin(self) -> int:
        """Money blocked by positions and by entries that wait, paise."""
        used = 0
        for position in self.positions.values():
            if position.net:
                side = Side.BUY if position.net > 0 else Side.SELL
                price = self.last_price(position.listing)
                used += self.margin(position.listing, side, position.product, abs(position.net), price)
        for order in self.orders.values():
            if order.is_live and order.role in (Role.PLAIN, Role.ENTRY):
                price = order.price_paise or self.last_price(order.listing)
                used += self.margin(order.listing, order.side, order.product, order.left, price)
        return used

    def available_paise(self) -> int:
        """Money that a new order may block."""
        realised = sum(position.realised_paise for position in self.positions.values())
        return self.knobs.funds_paise + realised - self.used_margin()

    @property
    def is_flat(self) -> bool:
        """No open position and no order that could make one."""
        return not any(p.net for p in self.positions.values()) and not any(
            o.is_live for o in self.orders.values()
        )

    def convert(self, listing: Listing, source: str, target: str, quantity: int) -> bool:
        """Move open units to another product at their average price; False = not that many are open."""
        old = self.positions.get((listing.segment, listing.security_id, source))
        if old is None or abs(old.net) < quantity:
            return False
        new = self.positions.setdefault(
            (listing.segment, listing.security_id, target), Position(listing, target)
        )
        if old.net > 0:
            money = quantity * old.buy_notional // old.bought
            old.bought, old.buy_notional = old.bought - quantity, old.buy_notional - money
            new.bought, new.buy_notional = new.bought + quantity, new.buy_notional + money
        else:
            money = quantity * old.sell_notional // old.sold
            old.sold, old.sell_notional = old.sold - quantity, old.sell_notional - money
            new.sold, new.sell_notional = new.sold + quantity, new.sell_notional + money
        self.ledger.add(self.now_ns, "CONVERTED", key=listing.price_key, quantity=quantity, to=target)
        return True

    def square_off(self) -> None:
        """Close every intraday position and withdraw intraday orders, as the broker does at 15:20."""
        self.faults.strike(FaultKind.SQUARE_OFF)
        self._flatten("INTRADAY", "square-off by the broker")

    def exit_all(self) -> None:
        """Close everything."""
        self._flatten(None, "exit of all positions")

    def _flatten(self, product: str | None, reason: str) -> None:
        for order in [o for o in self._every_order() if o.is_live and product in (None, o.product)]:
            self._end(order, Status.CANCELLED, reason)
        for parent in self.supers.values():
            if product in (None, parent.entry.product):
                parent.exits = None
        for position in [p for p in self.positions.values() if p.net and product in (None, p.product)]:
            side = Side.SELL if position.net > 0 else Side.BUY
            order = self.new_order(
                Role.PLAIN,
                position.listing,
                side=side,
                quantity=abs(position.net),
                price=self.last_price(position.listing),
                product=position.product,
                source="BROKER",
            )
            order.status = Status.PENDING
            self._fill(order, order.quantity, self.last_price(position.listing))

    def end_day(self) -> None:
        """Let day orders lapse; exits are not carried over night."""
        for order in [o for o in self._every_order() if o.is_live]:
            self._end(order, Status.EXPIRED, "end of day")
        for parent in self.supers.values():
            parent.exits = None
        self.ledger.add(self.now_ns, "DAY_ENDED")

    def _every_order(self) -> Iterator[Order]:
        legs = (leg for parent in self.supers.values() for leg in parent.legs.values())
        seen: set[int] = set()
        for order in itertools.chain(self.orders.values(), legs):
            if id(order) not in seen:
                seen.add(id(order))
                yield order

    def _check_pnl(self) -> None:
        limits = self.pnl_exit or {}
        pnl = self.day_pnl()
        profit, loss = int(limits["profit_paise"]), int(limits["loss_paise"])
        if (profit and pnl >= profit) or (loss and pnl <= -loss):
            self.pnl_exit = None
            self.ledger.add(self.now_ns, "PNL_EXIT", pnl_paise=pnl)
            self.exit_all()
            self.is_killed = self.is_killed or bool(limits["kill"])

    def restart(self, *, lose_transit: bool) -> None:
        """Behave like a broker's server that starts again; orders in transit may be gone without a trace."""
        self.faults.strike(FaultKind.RESTART)
        if lose_transit:
            for name in [n for n, o in self.orders.items() if o.status is Status.TRANSIT]:
                self._write("LOST_IN_TRANSIT", self.orders.pop(name))
                self.supers.pop(name, None)
        self.ledger.add(self.now_ns, "RESTARTED", lose_transit=lose_transit)

    # --------------------------------------------------------------- telling

    def _end(self, order: Order, status: Status, reason: str) -> None:
        order.status = status
        order.reason = reason
        order.resting = None
        self._touch(order, status.value)
        parent = order.parent
        if parent is not None and order.role is Role.ENTRY and not order.filled:
            for leg in parent.legs.values():
                if leg.is_live:
                    leg.status = Status.CANCELLED
                    leg.updated_ns = self.now_ns

    def _touch(self, order: Order, what: str) -> None:
        order.updated_ns = self.now_ns
        self._write(what, order)
        self._alert(order)

    def _write(self, what: str, order: Order, **detail: Any) -> None:
        self.ledger.add(
            self.now_ns,
            what,
            order_id=order.order_id,
            role=order.role.value,
            parent=order.parent.entry.order_id if order.parent else "",
            key=order.listing.price_key,
            side=order.side.value,
            status=order.status.value,
            total=order.quantity,
            filled=order.filled,
            order_price_paise=order.price_paise,
            **detail,
        )

    def _alert(self, order: Order) -> None:
        for tell in self.on_alert:
            tell(order)


def _resting(order: Order) -> SuperOrder:
    """Give an order's unfilled rest to the matching core: an entry without exits."""
    waits = bool(order.trigger_paise) and order.triggered == 0 and order.role is Role.PLAIN
    level = order.trigger_paise if waits else order.price_paise
    kind = EntryType.STOP if waits else EntryType.LIMIT if level else EntryType.MARKET
    return SuperOrder(
        order_key=order.order_id,
        leg_number=1,
        side=order.side,
        quantity=order.left,
        entry_type=kind,
        entry_low_paise=level or None,
        entry_high_paise=level or None,
        stop_paise=None,
        target_paise=None,
        first_target_paise=None,
        active_from_ns=0,
        valid_until_ns=_FOREVER,
    )

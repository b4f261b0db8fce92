"""Dhan behind the broker interface (§5.8): one super order per intent, facts from the books."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.brokers.dhan.facts import Books, facts_of, is_ours
from adapters.brokers.dhan.faults import Refusal, RefusalKind
from adapters.brokers.dhan.model import LegName, OrderStatus, SuperOrderRow
from adapters.brokers.dhan.order_updates import OrderUpdates
from adapters.brokers.dhan.orders import Orders
from adapters.brokers.dhan.super_orders import SuperOrderRequest, SuperOrders
from propdesk.core.clock import Clock
from propdesk.core.errors import BrokerFault, DataFault, Rejected
from propdesk.core.money import Rounding, round_to_tick
from propdesk.model.enums import EntryType, ExitReason, Product, Side
from propdesk.model.instrument import Instrument
from propdesk.model.messages import BrokerUpdate, IntentKind, OrderIntent
from propdesk.ports import BrokerAck, Capabilities

CAPABILITIES: Final = Capabilities(
    has_super_orders=True,
    has_trigger_entries=False,
    modifications_max=25,
    absence_is_proof=False,
    has_partial_exits=False,
)

_EQUITY_WIDTHS: Final = ((10_000, 200), (50_000, 100))
_EQUITY_WIDTH_ABOVE: Final = 50
_OPTION_WIDTHS: Final = ((1_000, 500), (10_000, 300), (50_000, 200))
_OPTION_WIDTH_ABOVE: Final = 100


@dataclass(frozen=True, slots=True)
class DaySheet:
    """What the broker must know of the day to write an order.

    Attributes
    ----------
    instrument : callable
        Instrument of a key; None where it is not listed today.
    product : callable
        Product an intent is held under.
    last_price : callable
        Last price of an instrument key, paise; None where none is known.
    """

    instrument: Callable[[str], Instrument | None]
    product: Callable[[OrderIntent], Product]
    last_price: Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class PollTiming:
    """Seconds between two readings of the books: at least, and without any wake-up."""

    least_s: float = 0.25
    idle_s: float = 2.0


def protected_price(last_paise: int, side: Side, instrument: Instrument) -> int:
    """Price at which an order of ``side`` is marketable but bounded, on tick, > 0.

    Notes
    -----
    The widths are those used in the industry for market-price protection: equity and futures 2 % below
    100 rupees, 1 % to 500, 0.5 % above; options 5 % below 10, 3 % to 100, 2 % to 500, 1 % above.
    """
    is_option = instrument.category.is_option
    widths = _OPTION_WIDTHS if is_option else _EQUITY_WIDTHS
    above = _OPTION_WIDTH_ABOVE if is_option else _EQUITY_WIDTH_ABOVE
    width_bp = next((bp for limit, bp in widths if last_paise < limit), above)
    away = max(instrument.tick_paise, last_paise * width_bp // 10_000)
    rounding = Rounding.UP if side is Side.BUY else Rounding.DOWN
    price = round_to_tick(last_paise + side.sign * away, instrument.tick_paise, rounding)
    return max(instrument.tick_paise, price)


class DhanBroker:
    """Places, moves and closes super orders at Dhan and tells what became of them.

    Parameters
    ----------
    supers : SuperOrders
    orders : Orders
    alerts : OrderUpdates
        Wakes the reading of the books; what it says is not used as a fact.
    day : DaySheet
    clock : Clock
    timing : PollTiming, optional

    Notes
    -----
    Nothing is ever sent twice. Quantities above the freeze limit are refused here, since Dhan slices plain
    orders only: the caller splits a leg into slices of their own.
    """

    def __init__(
        self,
        supers: SuperOrders,
        orders: Orders,
        alerts: OrderUpdates,
        day: DaySheet,
        clock: Clock,
        *,
        timing: PollTiming | None = None,
    ) -> None:
        self._supers = supers
        self._orders = orders
        self._alerts = alerts
        self._day = day
        self._clock = clock
        self._timing = timing or PollTiming()
        self._ids: dict[str, str] = {}
        self._exiting: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._told: set[str] = set()
        self.poll_faults = 0

    @property
    def capabilities(self) -> Capabilities:
        """Super orders; no trigger entries, no partial exits; absence proves nothing."""
        return CAPABILITIES

    def remember(self, seen: frozenset[str], exiting: Mapping[str, ExitReason]) -> None:
        """Restore after a restart: facts that are journalled, and orders that were being closed."""
        self._told |= seen
        self._exiting |= {name: reason.value for name, reason in exiting.items()}

    # ---------------------------------------------------------------- calls

    async def place(self, intent: OrderIntent) -> BrokerAck:
        """Place a super order with a limit entry; raises `Refusal`, `Retryable` or `OutcomeUnknown`."""
        instrument = self._instrument(intent)
        lots = instrument.freeze_quantity // instrument.lot_size
        if instrument.freeze_quantity and intent.quantity > lots * instrument.lot_size:
            raise Refusal(
                f"{intent.quantity} units of {intent.instrument_key} are more than one order may carry "
                f"({lots * instrument.lot_size}).",
                RefusalKind.FREEZE,
            )
        request = SuperOrderRequest(
            correlation_id=intent.correlation_id,
            side=intent.side,
            exchange_segment=instrument.exchange_segment,
            security_id=instrument.security_id,
            product=self._day.product(intent),
            quantity=intent.quantity,
            price_paise=self._entry_price(intent, instrument),
            target_paise=intent.target_paise,
            stop_paise=intent.stop_paise,
        )
        placed = await self._supers.place(request)
        self._ids[intent.correlation_id] = placed.order_id
        self._wake.set()
        return BrokerAck(intent.correlation_id, placed.order_id)

    async def modify(self, intent: OrderIntent) -> BrokerAck:
        """Move the stop or target to an absolute price."""
        order_id = await self._order_id(intent)
        if intent.kind is IntentKind.MODIFY_STOP and intent.stop_paise is not None:
            await self._supers.modify_stop(order_id, intent.stop_paise)
        elif intent.kind is IntentKind.MODIFY_TARGET and intent.target_paise is not None:
            await self._supers.modify_target(order_id, intent.target_paise)
        else:
            raise Rejected(f"{intent.kind.value} of {intent.correlation_id} names no price.")
        return BrokerAck(intent.correlation_id, order_id)

    async def cancel(self, intent: OrderIntent) -> BrokerAck:
        """Withdraw what has not filled of an entry.

        Notes
        -----
        Cancelling the entry leg of a partly filled order would take its exits away, so such an order is
        shrunk to what has filled instead.
        """
        row = await self._row(intent)
        await self._withdraw(row)
        self._wake.set()
        return BrokerAck(intent.correlation_id, row.order.order_id)

    async def exit(self, intent: OrderIntent) -> BrokerAck:
        """Close what is filled by moving its target, else its stop, to a marketable price.

        Notes
        -----
        Idempotent, and cannot reverse the position: the two legs stay one-cancels-other at the broker.
        """
        row = await self._row(intent)
        head = row.order
        if head.filled_quantity < head.quantity and not head.status.is_dead:
            await self._withdraw(row)
        if head.filled_quantity == 0:
            return BrokerAck(intent.correlation_id, head.order_id)
        if intent.quantity < head.filled_quantity:
            raise Rejected(f"Dhan cannot close a part of super order {head.order_id}.")
        last = row.last_price_paise or self._day.last_price(intent.instrument_key)
        if not last:
            raise Rejected(f"No price of {intent.instrument_key} is known to close at.")
        price = protected_price(last, head.side.opposite, self._instrument(intent))
        self._exiting[intent.correlation_id] = (intent.reason or ExitReason.FOLLOWUP_EXIT).value
        await self._move_out(row, price)
        self._wake.set()
        return BrokerAck(intent.correlation_id, head.order_id)

    async def find(self, intent: OrderIntent) -> BrokerAck | None:
        """Look in the full list for what an intent did; None = not there, which proves nothing."""
        rows = await self._supers.find(intent.correlation_id)
        if not rows:
            return None
        row = min(rows, key=lambda one: (one.order.created_ns or 0, one.order.order_id))
        self._ids[intent.correlation_id] = row.order.order_id
        return BrokerAck(intent.correlation_id, row.order.order_id) if _is_done(intent, row) else None

    # ---------------------------------------------------------------- facts

    async def snapshot(self, orders: Collection[str] = ()) -> tuple[BrokerUpdate, ...]:
        """All facts about our super orders that the books tell now, of whatever day."""
        del orders
        books = await self._books()
        now_ns = self._clock.now_ns()
        facts: list[BrokerUpdate] = []
        for row in books.supers:
            if is_ours(row.order.correlation_id):
                self._ids.setdefault(row.order.correlation_id, row.order.order_id)
                facts += facts_of(row, books, self._exiting, now_ns)
        return tuple(facts)

    async def news(self) -> tuple[BrokerUpdate, ...]:
        """Give the facts that were not told before; raises where the books cannot be read."""
        fresh = tuple(fact for fact in await self.snapshot() if fact.update_id not in self._told)
        self._told.update(fact.update_id for fact in fresh)
        return fresh

    async def updates(self) -> AsyncIterator[BrokerUpdate]:
        """Give each fact once, as soon as the books show it.

        Notes
        -----
        The order stream only wakes this loop and the loop also runs by itself, so lost, repeated and
        reordered messages change nothing. Fills found while the stream said nothing expose a mute socket.
        """
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                was_woken = self._wake.is_set()
                self._wake.clear()
                begun = time.monotonic()
                fresh = await self._fresh_facts()
                if fresh and not was_woken:
                    await self._alerts.suspect()
                for fact in fresh:
                    self._told.add(fact.update_id)
                    yield fact
                await self._pause(begun)
        finally:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener

    async def _fresh_facts(self) -> list[BrokerUpdate]:
        try:
            return [fact for fact in await self.snapshot() if fact.update_id not in self._told]
        except (BrokerFault, DataFault):
            self.poll_faults += 1  # the books are read again in a moment
            return []

    async def _pause(self, begun: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.idle_s):
                await self._wake.wait()
        rest = begun + self._timing.least_s - time.monotonic()
        if rest > 0:
            await asyncio.sleep(rest)

    async def _listen(self) -> None:
        async for _ in self._alerts.alerts():
            self._wake.set()

    async def _books(self) -> Books:
        # fills last: they are never older than a state that was read with them
        supers, orders = await self._supers.book(), await self._orders.book()
        return Books(supers, orders, await self._orders.trades())

    # -------------------------------------------------------------- helpers

    def _instrument(self, intent: OrderIntent) -> Instrument:
        found = self._day.instrument(intent.instrument_key)
        if found is None:
            raise Rejected(f"{intent.instrument_key} is not in today's scrip master.")
        return found

    def _entry_price(self, intent: OrderIntent, instrument: Instrument) -> int:
        entry = EntryType(intent.entry_type)
        if entry is EntryType.STOP:
            raise Rejected("Dhan's super order has no trigger entry; the daemon waits for the level itself.")
        if entry is EntryType.MARKET:
            last = self._day.last_price(intent.instrument_key)
            if not last:
                raise Rejected(f"No price of {intent.instrument_key} is known to enter at.")
            return protected_price(last, intent.side, instrument)
        worse = intent.price_high_paise if intent.side is Side.BUY else intent.price_low_paise
        if worse is None:
            raise Rejected(f"The entry of {intent.correlation_id} names no price.")
        return worse

    async def _order_id(self, intent: OrderIntent) -> str:
        known = self._ids.get(intent.correlation_id)
        return known if known is not None else (await self._row(intent)).order.order_id

    async def _row(self, intent: OrderIntent) -> SuperOrderRow:
        rows = await self._supers.find(intent.correlation_id)
        if not rows:
            raise Rejected(f"Dhan lists no super order {intent.correlation_id}.")
        row = min(rows, key=lambda one: (one.order.created_ns or 0, one.order.order_id))
        self._ids[intent.correlation_id] = row.order.order_id
        return row

    async def _withdraw(self, row: SuperOrderRow) -> None:
        head = row.order
        if head.status is OrderStatus.PART_TRADED or 0 < head.filled_quantity < head.quantity:
            await self._supers.modify_entry(row, quantity=head.filled_quantity, price_paise=head.price_paise)
        elif head.filled_quantity == 0 and not head.status.is_dead:
            await self._supers.cancel(head.order_id, LegName.ENTRY)

    async def _move_out(self, row: SuperOrderRow, price: int) -> None:
        order_id = row.order.order_id
        if row.leg(LegName.TARGET) is not None:
            try:
                await self._supers.modify_target(order_id, price)
            except Rejected:
                # whether a target may cross the market is undocumented; the stop is the other way out
                if row.leg(LegName.STOP) is None:
                    raise
            else:
                return
        await self._supers.modify_stop(order_id, row.last_price_paise or price)


def _is_done(intent: OrderIntent, row: SuperOrderRow) -> bool:
    """Whether the order shows what an intent asked for."""
    head, target, stop = row.order, row.leg(LegName.TARGET), row.leg(LegName.STOP)
    match intent.kind:
        case IntentKind.PLACE:
            return True
        case IntentKind.MODIFY_STOP:
            return stop is not None and stop.price_paise == intent.stop_paise
        case IntentKind.MODIFY_TARGET:
            return target is not None and target.price_paise == intent.target_paise
        case IntentKind.CANCEL_ENTRY:
            return head.status.is_dead or head.filled_quantity == head.quantity
        case IntentKind.EXIT:
            gone = any(leg.status is OrderStatus.TRIGGERED for leg in row.legs)
            return gone or head.status in (OrderStatus.CLOSED, OrderStatus.CANCELLED, OrderStatus.REJECTED)

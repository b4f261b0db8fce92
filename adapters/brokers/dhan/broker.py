"""Dhan behind the broker interface (§5.8): one super order per intent, facts from the books."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from adapters.brokers.dhan.carried import CarriedOrder
from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.cover import Cover, Lasting, Surpluses
from adapters.brokers.dhan.doubt import Doubts, doubtful
from adapters.brokers.dhan.facts import (
    MOVABLE,
    Books,
    Filled,
    Standing,
    facts_of,
    has_exits,
    is_leaving,
    is_short,
    lapsed,
    rests,
    standing_of,
    surplus,
    surplus_facts,
    surplus_guards,
)
from adapters.brokers.dhan.faults import Refusal, RefusalKind
from adapters.brokers.dhan.gaps import Gap, gap_of, is_beyond, with_unheard
from adapters.brokers.dhan.guard import Guards, nothing_placed
from adapters.brokers.dhan.holding import closed_elsewhere, in_question, is_rest_over, require_known, to_guard
from adapters.brokers.dhan.model import LegName, OrderStatus, SuperLeg, SuperOrderRow
from adapters.brokers.dhan.order_updates import OrderUpdates
from adapters.brokers.dhan.protection import protected_price
from adapters.brokers.dhan.reading import (
    BookReader,
    require_certain,
    row_named,
)
from adapters.brokers.dhan.super_orders import SuperOrderRequest
from propdesk.core.clock import Clock, RisingClock
from propdesk.core.errors import (
    AccessRefused,
    BrokerFault,
    DataFault,
    OutcomeUnknown,
    Rejected,
    Retryable,
)
from propdesk.core.ids import is_ours
from propdesk.model.enums import EntryType, ExitReason, Product, Side
from propdesk.model.instrument import Instrument
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, IntentKind, OrderIntent
from propdesk.ports import BrokerAck, Capabilities, OrderRates

CAPABILITIES: Final = Capabilities(
    has_super_orders=True,
    has_trigger_entries=False,
    order_rates=OrderRates(),
    absence_is_proof=False,
)


_CERTAIN: Final = frozenset(
    {
        BrokerUpdateKind.ACKNOWLEDGED,
        BrokerUpdateKind.ENTRY_FILLED,
        BrokerUpdateKind.FILL_UNPRICED,
        BrokerUpdateKind.TARGET_FILLED,
        BrokerUpdateKind.STOP_FILLED,
        BrokerUpdateKind.EXIT_FILLED,
    }
)
"""Facts that stay true whatever an unreadable row holds."""


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
    ordered : callable
        Units that we asked for under a correlation id; None where it is not in the books.
    carried : callable
        Orders of earlier days that were open when today began.
    open_ns : int
        When the session begins, ns UTC: what is naked before then is told anew at that moment, and what is
        to guard it is placed for it.
    """

    instrument: Callable[[str], Instrument | None]
    product: Callable[[OrderIntent], Product]
    last_price: Callable[[str], int | None]
    ordered: Callable[[str], int | None]
    carried: Callable[[], Sequence[CarriedOrder]] = tuple
    open_ns: int = 0


@dataclass(frozen=True, slots=True)
class WantedExit:
    """An order that was to be closed when the process ended, and the levels asked for before that, paise.

    Whether the exit was accepted, the books show: its stop or target is then somewhere else.
    """

    reason: ExitReason
    target_paise: int | None
    stop_paise: int | None


@dataclass(frozen=True, slots=True)
class _Unanswered:
    """An exit that nobody answered: where it would have put a leg or an order, and where the legs stood."""

    reason: str
    limit_paise: int
    levels: Mapping[LegName, int]
    before: Mapping[LegName, int]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the journal says of our orders when a process starts.

    Attributes
    ----------
    exiting : mapping of str to WantedExit
        Orders that were to be closed.
    in_doubt : mapping of str to str
        Orders that an unreadable row may concern, with the fact that told of it.
    uncovered : collection of str
        Orders last told to have no live stop, or more guards than there is to guard.
    guards : mapping of str to int
        Newest generation of guards that was asked for of an order.
    cover_ns : int
        Newest moment at which anything was told of stops, ns UTC: later words are younger, whatever the clock
        says now.
    order_ids : mapping of str to str
        The broker's ids of our orders: another one of such a correlation id is a repeat.
    """

    exiting: Mapping[str, WantedExit] = field(default_factory=dict)
    in_doubt: Mapping[str, str] = field(default_factory=dict)
    uncovered: Collection[str] = ()
    guards: Mapping[str, int] = field(default_factory=dict)
    cover_ns: int = 0
    order_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PollTiming:
    """Seconds between two readings of the books: at least, and without any wake-up."""

    least_s: float = 0.25
    idle_s: float = 2.0


class DhanBroker:
    """Places, moves and closes super orders at Dhan and tells what became of them.

    Parameters
    ----------
    client : DhanClient
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
        client: DhanClient,
        alerts: OrderUpdates,
        day: DaySheet,
        clock: Clock,
        *,
        timing: PollTiming | None = None,
    ) -> None:
        self._client = client
        self._clock = RisingClock(clock)
        self._supers = client.super_orders
        self._books = BookReader(client, day.carried, day.last_price, day.ordered, self._clock)
        self._guards = Guards(client, self._books, self._clock, day.open_ns)
        self._cover = Cover(day.open_ns)
        self._elsewhere = Lasting()
        self._surpluses = Surpluses()
        self._doubts = Doubts()
        self._alerts = alerts
        self._day = day
        self._timing = timing or PollTiming()
        self._ids: dict[str, str] = {}
        self._exits_asked: set[str] = set()
        self._exiting: dict[str, str] = {}
        self._wished: dict[str, WantedExit] = {}
        self._unanswered: dict[str, _Unanswered] = {}
        self._wake = asyncio.Event()
        self._told: set[str] = set()

    @property
    def capabilities(self) -> Capabilities:
        """Super orders; no trigger entries, no partial exits; absence proves nothing."""
        return CAPABILITIES

    @property
    def writes(self) -> int:
        """Calls so far that could have changed something at Dhan."""
        return self._client.http.writes

    def remember(self, seen: frozenset[str], known: Remembered) -> None:
        """Restore after a restart: the facts that are journalled, and what they say of our orders."""
        self._told |= seen
        for name, order_id in known.order_ids.items():
            self._books.own(name, order_id)
        self._doubts.remember(known.in_doubt)
        self._cover.remember(known.uncovered, self._clock.now_ns(), known.cover_ns)
        self._guards.remember(known.guards, self._clock.now_ns())
        self._wished |= known.exiting
        self._exits_asked |= known.exiting.keys()

    # ---------------------------------------------------------------- calls

    async def place(self, intent: OrderIntent, *, leave_by_ns: int | None = None) -> BrokerAck:
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
        placed = await self._supers.place(request, leave_by_ns=leave_by_ns)
        self._books.own(intent.correlation_id, placed.order_id)
        self._ids[intent.correlation_id] = placed.order_id
        self._wake.set()
        return BrokerAck(intent.correlation_id, placed.order_id)

    async def modify(self, intent: OrderIntent) -> BrokerAck:
        """Move the stop or target to an absolute price."""
        order_id = await self._order_id(intent)
        if self._is_carried(intent):
            if not await self._move_guard(intent):
                raise Retryable(f"No stop rests for {intent.correlation_id} yet.")
            return BrokerAck(intent.correlation_id, order_id)
        try:
            await self._move_leg(order_id, intent)
        except Rejected:
            if not await self._move_guard(intent):
                raise
        return BrokerAck(intent.correlation_id, order_id)

    def _is_carried(self, intent: OrderIntent) -> bool:
        return any(one.correlation_id == intent.correlation_id for one in self._day.carried())

    async def _move_leg(self, order_id: str, intent: OrderIntent) -> None:
        if intent.kind is IntentKind.MODIFY_STOP and intent.stop_paise is not None:
            await self._supers.modify_stop(order_id, intent.stop_paise)
        elif intent.kind is IntentKind.MODIFY_TARGET and intent.target_paise is not None:
            await self._supers.modify_target(order_id, intent.target_paise)
        else:
            raise Rejected(f"{intent.kind.value} of {intent.correlation_id} names no price.")

    async def cancel(self, intent: OrderIntent) -> BrokerAck:
        """Withdraw what has not filled of an entry.

        Notes
        -----
        Cancelling the entry leg of a partly filled order would take its exits away, so such an order is
        shrunk to what has filled instead. A list that shows less than the trade book proves is too old to
        cancel by.
        """
        books = await self._books.read()
        row = self._row(books, intent)
        await self._withdraw(row, books)
        self._wake.set()
        return BrokerAck(intent.correlation_id, row.order.order_id)

    async def exit(self, intent: OrderIntent) -> BrokerAck:
        """Close what is filled by moving its target, else its stop, to a marketable price.

        Notes
        -----
        Idempotent, and cannot reverse the position: the two legs stay one-cancels-other at the broker, and
        neither is moved for what others have closed. What is guarded leaves by its guard. Only what has no
        exit left is closed by an order of its own, under the generation that the intent names (`Guards`).
        What has not filled is withdrawn first; where that fails, the way out is taken all the same.
        """
        with self._told_again(intent):
            return await self._close(intent)

    async def _close(self, intent: OrderIntent) -> BrokerAck:
        with nothing_placed():
            books = await self._books.read_as_needed()
        row = self._row(books, intent)
        head, standing = row.order, standing_of(row, books)
        failed = await self._withdraw_first(row, books)
        require_known(books)
        gone = closed_elsewhere(books).get(head.order_id)
        if gone is not None and has_exits(row):
            raise Retryable(f"Others closed {gone.quantity} of {head.order_id}: its exits go first.")
        held = standing.open_quantity - (gone.quantity if gone else 0)
        if held == 0:
            if failed is not None:
                raise failed
            return BrokerAck(intent.correlation_id, head.order_id)
        ordered = self._day.ordered(intent.correlation_id) or standing.filled
        if intent.quantity < held - max(0, standing.filled - ordered):  # what a person added leaves with it
            raise Rejected(f"Dhan cannot close a part of super order {head.order_id}.")
        self._exits_asked.add(intent.correlation_id)
        last = row.last_price_paise or self._day.last_price(intent.instrument_key)
        if not last:
            raise Rejected(f"No price of {intent.instrument_key} is known to close at.")
        price = protected_price(last, head.side.opposite, self._instrument(intent))
        reason = (intent.reason or ExitReason.FOLLOWUP_EXIT).value
        try:
            guard = await self._leave(intent, row, standing, price)
        except (OutcomeUnknown, Retryable):
            levels = {LegName.TARGET: price, LegName.STOP: row.last_price_paise or price}
            before = {leg.name: leg.price_paise for leg in row.legs}
            self._unanswered[intent.correlation_id] = _Unanswered(reason, price, levels, before)
            raise
        self._exiting[intent.correlation_id] = reason
        self._wake.set()
        return BrokerAck(intent.correlation_id, head.order_id, guard)

    async def _leave(self, intent: OrderIntent, row: SuperOrderRow, standing: Standing, price: int) -> int:
        """Take the way out that is there; gives the generation of the plain order that it took, 0 = none."""
        if standing.guard is not None:
            await self._guards.fit(intent.correlation_id, limit=price, trigger=None)
            return 0
        if has_exits(row):
            try:
                with nothing_placed() if intent.guard else contextlib.nullcontext():
                    is_again = intent.correlation_id in self._exiting
                    await self._move_out(row, price, is_again=is_again)
            except AccessRefused:
                raise
            except Rejected as refusal:
                if not intent.guard or not _is_stuck(row, refusal):
                    raise
            else:
                return 0
        await self._guards.place(
            intent, self._instrument(intent), self._day.product(intent), price, is_stop=False
        )
        return intent.guard

    async def protect(self, intent: OrderIntent) -> BrokerAck:
        """Put a stop order of its own under what is filled of a super order that lost its stop, or fit it.

        What others have closed of it loses its exits, which would sell it again.

        Raises
        ------
        Rejected, Retryable
            If it cannot be guarded: then it is closed.
        """
        with self._told_again(intent):
            return await self._protect(intent)

    async def _protect(self, intent: OrderIntent) -> BrokerAck:
        name, instrument = intent.correlation_id, self._instrument(intent)
        with nothing_placed():
            books = await self._books.read_as_needed()
        require_certain(books, name)
        row, standing = self._row(books, intent), standing_of(self._row(books, intent), books)
        order_id, guard = row.order.order_id, standing.guard
        await self._withdraw_first(row, books)
        gone = closed_elsewhere(books).get(order_id)
        if gone is not None and has_exits(row):
            with nothing_placed():
                await self._guards.end_exits(row)
        elif guard is not None:
            if is_beyond(row, guard) and guard.left == to_guard(row, books):
                raise Rejected(f"The price of {name} is beyond its stop, which rests: there is the way out.")
            limit, trigger = guard.row.price_paise, None
            if guard.may_wait:  # without its trigger it would leave at once
                trigger = intent.stop_paise or guard.row.trigger_paise
                limit = protected_price(trigger, guard.row.side, instrument)
            await self._guards.fit(name, limit=limit, trigger=trigger)
            order_id = guard.row.order_id
        elif standing.open_quantity > (gone.quantity if gone else 0):
            return await self._put_stop(intent, row, instrument)
        self._wake.set()
        return BrokerAck(name, order_id)

    @contextlib.contextmanager
    def _told_again(self, intent: OrderIntent) -> Iterator[None]:
        """Let what stays uncovered be told in seconds, so that its way out is tried again.

        Where everything is refused, that would be so again: then it is told by the minute. So is what was
        guarded: a list may show the guard late, and what is told as bare a second time is closed.
        """
        name = intent.correlation_id
        try:
            yield
        except AccessRefused:
            raise
        except (Rejected, Retryable):
            self._cover.tried(name, self._clock.now_ns(), is_refused=True)
            raise
        else:
            if intent.kind is IntentKind.EXIT:
                self._cover.tried(name, self._clock.now_ns(), is_refused=False)

    async def _put_stop(self, intent: OrderIntent, row: SuperOrderRow, instrument: Instrument) -> BrokerAck:
        name, stop = intent.correlation_id, row.leg(LegName.STOP)
        last = self._day.last_price(intent.instrument_key)
        if intent.stop_paise is None:
            raise Rejected(f"No stop of {name} is known to guard it by.")
        if stop is not None and stop.status in MOVABLE:
            # only a stop that lives can be moved, to where it should be
            with nothing_placed():
                await self._supers.modify_stop(row.order.order_id, intent.stop_paise)
            return BrokerAck(name, row.order.order_id)
        if last and row.order.side.sign * (last - intent.stop_paise) <= 0:
            raise Rejected(f"The price of {name} is beyond its stop: there is only the way out.")
        product = self._day.product(intent)
        order_id = await self._guards.place(intent, instrument, product, intent.stop_paise, is_stop=True)
        self._wake.set()
        return BrokerAck(name, order_id, intent.guard)

    async def neutralise(self, intent: OrderIntent) -> BrokerAck:
        """Withdraw what repeats an order of ours, and close what it holds by its own exits.

        Notes
        -----
        Idempotent, and cannot reverse a position, as `exit`. What others closed a part of loses its exits,
        which would sell more than is left; it has no guards, so the rest is a person's to close.

        Raises
        ------
        Retryable
            While something of it cannot be ended.
        """
        name = intent.correlation_id
        books = await self._books.read_as_needed()
        require_certain(books, name)
        require_known(books)
        kept, gone = self._row(books, intent), closed_elsewhere(books)
        for guard in surplus_guards(books, name):
            await self._client.orders.cancel(guard.order_id)
        for row in surplus(books.supers).get(name, ()):
            failed = await self._withdraw_first(row, books)
            if failed is not None:
                raise failed
            if row.order.order_id in gone and has_exits(row):
                await self._guards.end_exits(row)  # a person closed it: moved, they would sell it again
            elif standing_of(row, books).open_quantity and row.order.order_id not in gone:
                await self._move_surplus_out(row, intent)
        left = [row for row in surplus(books.supers).get(name, ()) if _is_left_over(row, books, gone)]
        if left:
            raise Retryable(f"Others closed a part of {left[0].order.order_id}: what is left stays open.")
        self._surpluses.hasten(name, self._clock.now_ns())
        self._wake.set()
        return BrokerAck(name, kept.order.order_id)

    async def _move_surplus_out(self, row: SuperOrderRow, intent: OrderIntent) -> None:
        last = row.last_price_paise or self._day.last_price(intent.instrument_key)
        if last and has_exits(row):
            price = protected_price(last, row.order.side.opposite, self._instrument(intent))
            await self._move_out(row, price, is_again=True)
        elif not is_leaving(row):
            raise Retryable(
                f"Super order {row.order.order_id} repeats {intent.correlation_id} and stays open."
            )

    async def check_access(self) -> None:
        """Find out whether orders are taken from here; raises `AuthExpired` or `AccessRefused`."""
        await self._client.control.check_access()

    async def find(self, intent: OrderIntent) -> BrokerAck | None:
        """Look in the full list for what an intent did; None = not there, which proves nothing."""
        books = await self._books.read()
        try:
            row = self._row(books, intent)
        except Rejected:
            return None
        is_done = _is_done(intent, row, standing_of(row, books))
        return BrokerAck(intent.correlation_id, row.order.order_id) if is_done else None

    # ---------------------------------------------------------------- facts

    async def snapshot(self, orders: Collection[str] = ()) -> tuple[BrokerUpdate, ...]:
        """All facts about our super orders that the books tell now, of whatever day."""
        del orders
        books = await self._books.read_as_needed()
        now_ns = self._clock.now_ns()
        facts = self._doubts.facts(books, now_ns)
        uncertain, extra, gone = doubtful(books), surplus(books.supers), closed_elsewhere(books)
        facts += self._surpluses.facts(surplus_facts(books, now_ns, gone), now_ns)
        hidden = in_question(books) if books.positions is None else set[str]()
        stands = self._elsewhere.of(gone, now_ns)
        seen: dict[str, Gap | None] = {}
        for row in books.supers:
            name = row.order.correlation_id
            if not is_ours(name) or row in extra.get(name, ()):
                continue
            self._ids.setdefault(name, row.order.order_id)
            self._learn_exit(row, books)
            self._guards.saw(name, standing_of(row, books), now_ns)
            ordered, order_id = self._day.ordered(name), row.order.order_id
            if name in uncertain:
                # what is missing cannot take back a fill, but it can make an end or a lost stop of nothing
                found = facts_of(row, books, self._exiting, now_ns, ordered)
                facts += [fact for fact in found if fact.kind in _CERTAIN]
                continue
            facts += facts_of(row, books, self._exiting, now_ns, ordered, stands.get(order_id))
            if order_id in hidden:
                continue  # others may have closed it, which only the positions tell
            units = gone[order_id].quantity if order_id in gone else 0
            gap = gap_of(row, books, units, is_exit_asked=name in self._exits_asked)
            if is_short(row, books, ordered):
                if is_rest_over(row, books):
                    facts.append(lapsed(row, books, now_ns))
                elif gap is not None:
                    gap = with_unheard(gap, row, books)
            if gap is not None:
                standing = standing_of(row, books)
                if self._guards.is_accepted_unlisted(name, standing, now_ns):
                    continue
                gap = replace(gap, guard=self._guards.due(name, standing, now_ns))
            seen[name] = gap
        return (*facts, *self._cover.facts(seen, now_ns))

    @property
    def is_waiting(self) -> bool:
        """Whether the passing of time may make a fact of what the books show already."""
        return any(one.is_waiting for one in (self._cover, self._elsewhere, self._surpluses))

    def _learn_exit(self, row: SuperOrderRow, books: Books) -> None:
        """Believe that an exit without an answer was accepted once the books show it."""
        name, target, stop = row.order.correlation_id, row.leg(LegName.TARGET), row.leg(LegName.STOP)
        guards = standing_of(row, books).guards
        wished = self._wished.get(name)
        if wished is not None and (
            _has_moved(target, wished.target_paise, -row.order.side.sign)
            or _has_moved(stop, wished.stop_paise, row.order.side.sign)
            or any(guard.row.order_type == "LIMIT" for guard in guards)
        ):
            self._exiting[name] = wished.reason.value
        asked = self._unanswered.get(name)
        if asked is None:
            return
        if any(
            leg.price_paise == asked.levels.get(leg.name) != asked.before.get(leg.name) for leg in row.legs
        ) or any(g.row.order_type == "LIMIT" and g.row.price_paise == asked.limit_paise for g in guards):
            self._exiting[name] = asked.reason

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
            return []  # the books are read again in a moment

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
        if known is not None:
            return known
        return self._row(await self._books.read(), intent).order.order_id

    def _row(self, books: Books, intent: OrderIntent) -> SuperOrderRow:
        row = row_named(books, intent.correlation_id)
        self._ids[intent.correlation_id] = row.order.order_id
        return row

    async def _move_guard(self, intent: OrderIntent) -> bool:
        """Move the plain stop that stands in for a lost one; False where none does."""
        books = await self._books.read()
        guard = standing_of(self._row(books, intent), books).guard
        if guard is None:
            return False
        if intent.kind is IntentKind.MODIFY_STOP and intent.stop_paise is not None:
            limit = protected_price(intent.stop_paise, guard.row.side, self._instrument(intent))
            await self._guards.fit(intent.correlation_id, limit=limit, trigger=intent.stop_paise)
        return True  # its target is watched by the daemon

    async def _withdraw_first(self, row: SuperOrderRow, books: Books) -> BrokerFault | None:
        """Try to withdraw what has not filled; gives what kept it from being withdrawn."""
        try:
            with nothing_placed():
                await self._withdraw(row, books)
        except BrokerFault as fault:
            return fault
        return None

    async def _withdraw(self, row: SuperOrderRow, books: Books) -> None:
        head, standing = row.order, standing_of(row, books)
        if standing.filled >= head.quantity or head.status.is_dead:
            return
        require_certain(books, head.correlation_id)
        if standing.is_older_than_trades:
            raise Retryable(f"Dhan's list of super order {head.order_id} is older than its trades.")
        if standing.filled:
            await self._supers.modify_entry(row, quantity=standing.filled, price_paise=head.price_paise)
        else:
            await self._supers.cancel(head.order_id, LegName.ENTRY)

    async def _move_out(self, row: SuperOrderRow, price: int, *, is_again: bool) -> None:
        """Move an exit of a super order to the market; what was moved there before is not written again."""
        order_id = row.order.order_id
        live = {leg.name: leg.price_paise for leg in row.legs if leg.status in MOVABLE}
        stop = row.last_price_paise or price
        if LegName.TARGET in live:
            if is_again and live[LegName.TARGET] == price:
                return
            try:
                await self._supers.modify_target(order_id, price)
            except AccessRefused:
                raise
            except Rejected:
                # whether a target may cross the market is undocumented; the stop is the other way out
                if LegName.STOP not in live:
                    raise
            else:
                return
        if not is_again or live.get(LegName.STOP) != stop:
            await self._supers.modify_stop(order_id, stop)


def _is_left_over(row: SuperOrderRow, books: Books, gone: Mapping[str, Filled]) -> bool:
    """Whether others closed a part of an order, and something of it is left."""
    closed = gone.get(row.order.order_id)
    return closed is not None and standing_of(row, books).open_quantity > closed.quantity


def _is_stuck(row: SuperOrderRow, refusal: Rejected) -> bool:
    """Whether an exit that was not moved may be given up: it cannot be moved, or its stop is gone anyway.

    For any other reason a stop that rests is kept: what takes its place may be refused for the same.
    """
    kinds = (RefusalKind.MODIFICATIONS, RefusalKind.ORDER)
    cannot = isinstance(refusal, Refusal) and refusal.kind in kinds
    return cannot or not rests(row.leg(LegName.STOP))


def _has_moved(leg: SuperLeg | None, asked_paise: int | None, way: int) -> bool:
    """Whether an exit stands nearer to the market than it was asked to; of a refused change nobody knows."""
    if leg is None or leg.status.is_dead or asked_paise is None:
        return False
    return way * (leg.price_paise - asked_paise) > 0


def _is_done(intent: OrderIntent, row: SuperOrderRow, standing: Standing) -> bool:
    """Whether the order shows what an intent asked for."""
    head, target, stop = row.order, row.leg(LegName.TARGET), row.leg(LegName.STOP)
    match intent.kind:
        case IntentKind.PLACE:
            return True
        case IntentKind.NEUTRALISE:
            return False  # asked for again, which does no harm
        case IntentKind.MODIFY_STOP:
            return stop is not None and stop.price_paise == intent.stop_paise
        case IntentKind.MODIFY_TARGET:
            return target is not None and target.price_paise == intent.target_paise
        case IntentKind.CANCEL_ENTRY:
            return head.status.is_dead or standing.filled >= head.quantity
        case IntentKind.EMERGENCY_STOP | IntentKind.EXIT if intent.guard:
            return any(one.generation == intent.guard for one in standing.guards)
        case IntentKind.EMERGENCY_STOP:
            return standing.guard is not None
        case IntentKind.EXIT:
            gone = any(leg.status is OrderStatus.TRIGGERED for leg in row.legs)
            return gone or head.status in (OrderStatus.CLOSED, OrderStatus.CANCELLED, OrderStatus.REJECTED)

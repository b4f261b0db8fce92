"""Plain orders for what a super order holds without a stop: the emergency stop and the way out (§5.7)."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.facts import MOVABLE, Books, Standing, has_ended, standing_of
from adapters.brokers.dhan.faults import Refusal, RefusalKind
from adapters.brokers.dhan.holding import held_of, to_guard
from adapters.brokers.dhan.model import LegName, OrderRow, OrderStatus, SuperLeg, SuperOrderRow
from adapters.brokers.dhan.orders import OrderRequest
from adapters.brokers.dhan.protection import protected_price
from adapters.brokers.dhan.reading import BookReader, require_certain, row_named
from propdesk.core.clock import NS_PER_SECOND, Clock
from propdesk.core.errors import (
    AccessRefused,
    AuthExpired,
    DataFault,
    OutcomeUnknown,
    Rejected,
    Retryable,
)
from propdesk.core.ids import guard_id
from propdesk.model.enums import Product
from propdesk.model.instrument import Instrument
from propdesk.model.messages import OrderIntent

LATE_NS: Final = 360 * NS_PER_SECOND
"""After how long a guard that nobody answered for is not waited for any more.

Acceptance up to 300 s late is reckoned with, and a minute is added to that. What comes later all the same is
told as SURPLUS or EXCESS and ended.
"""

_EXITS: Final = (LegName.TARGET, LegName.STOP)


@contextlib.contextmanager
def nothing_placed() -> Iterator[None]:
    """Let no fault before a placement pass for the fault of it: what stands here may be done again.

    Raises
    ------
    Retryable
        For every doubt: changes of levels and cancels are absolute, and reading has no effect.
    """
    try:
        yield
    except (OutcomeUnknown, DataFault, OSError, TimeoutError) as fault:
        raise Retryable(f"No order was placed, since what goes before is in doubt: {fault}") from None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A generation that was asked for, and since when the lists go without it."""

    generation: int
    since_ns: int


class Guards:
    """Places, fits and ends the plain orders that stand in for the exits of a super order.

    Parameters
    ----------
    client : DhanClient
    books : BookReader
    clock : Clock
    open_ns : int, optional
        When the session begins, ns UTC: what is placed before then rests for it as an after-market order.

    Notes
    -----
    A plain order against a position can reverse it, an exit of a super order cannot. So it leaves only when
    both exits are proved dead and the position was read again, for no more than is held, and only under a
    generation that the intent names. An intent names each generation once, and the next one only when the
    lists have shown the last one's end, or have gone without it for longer than anything was ever late: what
    may still appear is not sent a second time, and what that rests on is committed with the intent.
    """

    def __init__(self, client: DhanClient, books: BookReader, clock: Clock, open_ns: int = 0) -> None:
        self._client = client
        self._books = books
        self._clock = clock
        self._open_ns = open_ns
        self._unanswered: dict[str, _Asked] = {}
        self._accepted: dict[str, _Asked] = {}

    def remember(self, asked: Mapping[str, int], now_ns: int) -> None:
        """Restore the generations that were asked for: of which nobody knows, the wait begins anew."""
        self._unanswered |= {name: _Asked(generation, now_ns) for name, generation in asked.items()}

    def saw(self, name: str, standing: Standing, now_ns: int) -> None:
        """Take in what a reading shows of an order: what it lists is missing from then on at the earliest."""
        asked = self._unanswered.get(name)
        shown = max((one.generation for one in standing.guards), default=0)
        if asked is not None and shown >= asked.generation:
            self._unanswered[name] = _Asked(shown, now_ns)

    def due(self, name: str, standing: Standing, now_ns: int) -> int:
        """Give the generation that is due of an order, after `saw`; of its lists none may be in doubt.

        That is the one for which the lists leave room: one that lives is itself due. Of one that nobody
        answered for it is the next, once the lists have gone without it for longer than anything was late.
        """
        asked = self._unanswered.get(name)
        is_listed = asked is not None and any(one.generation >= asked.generation for one in standing.guards)
        if asked is None or is_listed or now_ns - asked.since_ns < LATE_NS:
            return standing.next_guard
        return asked.generation + 1

    async def fit(self, name: str, *, limit: int, trigger: int | None) -> None:
        """Give a guard the size of what is held, and its price; what nobody holds is guarded no more.

        A guard that may not be changed any more is ended, so that the next one can take its place.

        Raises
        ------
        Rejected, Retryable
            If it stays as it is, or nobody knows: all of it may be done again.
        """
        with nothing_placed():
            books = await self._books.read(with_positions=True)
            row = row_named(books, name)
            guard = standing_of(row, books).guard
            if guard is None:
                raise Retryable(f"No guard of {name} is there any more.")
            held = to_guard(row, books)
            if held == 0:
                await self._client.orders.cancel(guard.row.order_id)
                return
            order_type, quantity = "LIMIT" if trigger is None else "STOP_LOSS", guard.filled + held
            if _is_as_asked(guard.row, order_type, quantity, limit, trigger):
                return
            try:
                await self._client.orders.modify(
                    guard.row.order_id,
                    order_type=order_type,
                    quantity=quantity,
                    price_paise=limit,
                    trigger_paise=trigger,
                )
            except Refusal as refusal:
                if refusal.kind is not RefusalKind.MODIFICATIONS:
                    raise
                await self._client.orders.cancel(guard.row.order_id)

    async def place(
        self, intent: OrderIntent, instrument: Instrument, product: Product, price: int, *, is_stop: bool
    ) -> str:
        """Put a plain order under what is held; gives its id.

        Parameters
        ----------
        price : int
            Trigger of a stop, else the limit at which it leaves.

        Raises
        ------
        Rejected, Retryable
            If it cannot leave, or not yet; nothing was placed.
        OutcomeUnknown
            If nobody knows whether it was placed.
        """
        name, generation = intent.correlation_id, intent.guard
        if generation == 0:
            raise Retryable(f"{name} has no exit to move, and a guard may still appear: no other is placed.")
        with nothing_placed():
            # looked at first: what cannot be guarded keeps the exits that it has
            books = await self._certain(name)
            _units_to_place(books, name, generation)
            books = await self._without_exits(row_named(books, name))
        row, units = row_named(books, name), _units_to_place(books, name, generation)
        side = row.order.side.opposite
        request = OrderRequest(
            guard_id(name, generation),
            side,
            row.order.exchange_segment,
            row.order.security_id,
            product,
            units,
            protected_price(price, side, instrument) if is_stop else price,
            price if is_stop else None,
            is_after_market=self._clock.now_ns() < self._open_ns,
        )
        self._unanswered[name] = _Asked(generation, self._clock.now_ns())
        try:
            order_id = (await self._client.orders.place(request)).order_id
        except (Rejected, Retryable, AuthExpired):
            del self._unanswered[name]  # proved not to be there
            raise
        del self._unanswered[name]
        self._accepted[name] = _Asked(generation, self._clock.now_ns())
        return order_id

    def is_accepted_unlisted(self, name: str, standing: Standing, now_ns: int) -> bool:
        """Whether the newest guard was accepted, and the list that leaves it out may only be late.

        It is held for there, since what is told as bare a second time is closed. What the exchange did not
        take is listed as such, and what is missing for longer than anything was ever late is missing.
        """
        accepted = self._accepted.get(name)
        if accepted is None or now_ns - accepted.since_ns >= LATE_NS:
            return False
        return all(one.generation < accepted.generation for one in standing.guards)

    async def _certain(self, name: str) -> Books:
        books = await self._books.read(with_positions=True)
        require_certain(books, name)
        return books

    async def _without_exits(self, row: SuperOrderRow) -> Books:
        """Take away what is left of both exits of an order and read everything again.

        An exit is dead where the list says so, where Dhan says that our cancel ended it, or where Dhan
        refuses to cancel it for its state and nothing shows it alive: it is not at rest, and where it was
        placed at the exchange, the order book shows the end of its order. A cancel under way ends nothing
        yet.
        """
        name = row.order.correlation_id
        ended, refused = await self.end_exits(row)
        books = await self._certain(name)
        row = row_named(books, name)
        for exit_name in _EXITS:
            leg = row.leg(exit_name)
            is_alive = exit_name in refused and leg is not None and _may_fill(leg, row, books)
            is_doubtful = exit_name not in refused | ended and (leg is None or not leg.status.is_dead)
            if is_alive or is_doubtful:
                raise Retryable(f"Super order {row.order.order_id} still shows an exit; nothing was placed.")
        return books

    async def end_exits(self, row: SuperOrderRow) -> tuple[set[LegName], set[LegName]]:
        """Cancel every exit that is not shown dead; gives those ended and those whose cancel was refused."""
        ended: set[LegName] = set()
        refused: set[LegName] = set()
        for name in _EXITS:
            leg = row.leg(name)
            if leg is not None and leg.status.is_dead:
                ended.add(name)
                continue
            try:
                answer = await self._client.super_orders.cancel(row.order.order_id, name)
            except AccessRefused:
                raise
            except Refusal as refusal:
                if refusal.kind is not RefusalKind.ORDER:
                    raise
                refused.add(name)
            else:
                if answer.status is OrderStatus.CANCELLED:
                    ended.add(name)
        return ended, refused


def _may_fill(leg: SuperLeg, row: SuperOrderRow, books: Books) -> bool:
    """Whether an exit that Dhan refuses to cancel may sell all the same: at rest, or at the exchange.

    Any word but those of an end may mean "placed" (CLOSED, CONFIRM).
    """
    is_over = leg.status.is_dead or leg.status is OrderStatus.TRADED
    return leg.status in MOVABLE or not (is_over or has_ended(leg, row, books))


def _is_as_asked(row: OrderRow, order_type: str, quantity: int, limit: int, trigger: int | None) -> bool:
    """Whether a guard stands as it would be written: calls and modifications are numbered."""
    is_same = (row.order_type, row.quantity, row.price_paise) == (order_type, quantity, limit)
    return is_same and (trigger is None or row.trigger_paise == trigger)


def _units_to_place(books: Books, name: str, generation: int) -> int:
    """Give the units that a guard is to sell; refuses while an earlier one, or this very one, is there."""
    row = row_named(books, name)
    standing = standing_of(row, books)
    if standing.guard is not None or any(one.generation >= generation for one in standing.guards):
        raise Retryable(f"Guard {generation} of {name} or a later one is there; nothing was placed.")
    units = held_of(row, books)
    if not units:
        raise Rejected(f"Dhan shows no position of super order {row.order.order_id}.")
    return units

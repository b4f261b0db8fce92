"""Readings of Dhan's three books, and what is found in them."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from adapters.brokers.dhan.carried import CarriedOrder, carried_row, with_history, with_holdings
from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.doubt import doubtful
from adapters.brokers.dhan.facts import Books, age, standing_of
from adapters.brokers.dhan.gaps import gap_of
from adapters.brokers.dhan.holding import may_be_closed_elsewhere
from adapters.brokers.dhan.model import PositionRow, SuperOrderRow, TradeRow
from propdesk.core.calendar import ist_date
from propdesk.core.clock import NS_PER_SECOND, Clock
from propdesk.core.errors import BrokerFault, DataFault, Rejected, Retryable
from propdesk.core.ids import is_ours

HISTORY_SPAN: Final = timedelta(days=14)
"""How far back the trade history is read for entries of earlier days, however long holidays are."""

HISTORY_AGAIN_NS: Final = 60 * NS_PER_SECOND
"""After how long a trade history that could not be read is asked for again."""


class BookReader:
    """Reads Dhan's books, with the orders of earlier days that are still open among the super orders.

    Parameters
    ----------
    client : DhanClient
    carried : callable
        Those orders.
    last_price : callable
        Last price of an instrument key, paise; None where none is known.
    ordered : callable
        Units that we asked for under a correlation id; None where it is not in the books.
    clock : Clock
    """

    def __init__(
        self,
        client: DhanClient,
        carried: Callable[[], Sequence[CarriedOrder]],
        last_price: Callable[[str], int | None],
        ordered: Callable[[str], int | None],
        clock: Clock,
    ) -> None:
        self._client = client
        self._known = carried
        self._last_price = last_price
        self._ordered = ordered
        self._clock = clock
        self._history: tuple[TradeRow, ...] | None = None
        self._history_due_ns = 0
        self._own: dict[str, str] = {}

    def own(self, name: str, order_id: str) -> None:
        """Hold a super order for ours for good: another one of its correlation id is a repeat."""
        self._own.setdefault(name, order_id)

    async def read(self, *, with_positions: bool = False) -> Books:
        """Read super orders, orders and trades, and the positions where they are asked for.

        Fills come last: they are never older than a state that was read with them.
        """
        client = self._client
        supers, orders = await client.super_orders.read(), await client.orders.read()
        trades = await client.orders.read_trades()
        unreadable = (*supers.unreadable, *orders.unreadable, *trades.unreadable)
        rows = self._told_of(supers.rows)
        listed = {row.order.correlation_id for row in supers.rows}
        await self._read_history()
        found = [with_history(order, self._history or ()) for order in self._known()]
        found = [(order, bought) for order, bought in found if order.correlation_id not in listed]
        carried = [order for order, _ in found]
        rows += [carried_row(one, self._last_price(one.instrument.instrument_key) or 0) for one in carried]
        return Books(
            tuple(rows),
            orders.rows,
            trades.rows,
            unreadable,
            await self._positions(rows) if with_positions else None,
            {order.correlation_id: order.closed for order in carried},
            {order.correlation_id: bought for order, bought in found if bought is not None},
        )

    def is_short(self, order: CarriedOrder) -> bool:
        """Whether less of a carried order has filled, as far as it is known, than was ordered."""
        return order.filled < (self._ordered(order.correlation_id) or 0)

    async def _read_history(self) -> None:
        """Read once what filled on earlier days, where an entry of one may have filled further unheard.

        Where it cannot be read the books do without it, and it is asked for again after a minute.
        """
        now_ns = self._clock.now_ns()
        is_wanted = self._history is None and any(self.is_short(order) for order in self._known())
        if not is_wanted or now_ns < self._history_due_ns:
            return
        self._history_due_ns = now_ns + HISTORY_AGAIN_NS
        today = ist_date(now_ns)
        first, last = today - HISTORY_SPAN, today - timedelta(days=1)
        with contextlib.suppress(BrokerFault, DataFault):
            self._history = await self._client.orders.trade_history(first.isoformat(), last.isoformat())

    def _told_of(self, rows: Sequence[SuperOrderRow]) -> list[SuperOrderRow]:
        """Leave out what repeats an order of ours that the list leaves out itself: it would pass for ours."""
        ours = [row.order for row in sorted(rows, key=age) if is_ours(row.order.correlation_id)]
        for order in ours:
            self.own(order.correlation_id, order.order_id)
        listed = {row.order.order_id for row in rows}
        hidden = {order.order_id for order in ours if self._own[order.correlation_id] not in listed}
        return [row for row in rows if row.order.order_id not in hidden]

    async def read_as_needed(self) -> Books:
        """Read the books, and the positions where only they can tell what is held.

        That is where a guard rests, which must not outlive what it guards, where an order is not covered,
        where one of an earlier day may hold more than was heard, and where others have filled against it.
        Positions that cannot be read leave the books without them: the rest of them is news all the same.
        """
        books = await self.read()
        ours = [row for row in books.supers if is_ours(row.order.correlation_id)]
        is_doubtful = any(standing_of(row, books).guard or gap_of(row, books) for row in ours)
        is_doubtful = is_doubtful or any(self.is_short(order) for order in self._known())
        if not is_doubtful and not may_be_closed_elsewhere(books):
            return books
        try:
            return replace(books, positions=await self._positions(ours))
        except (BrokerFault, DataFault):
            return books

    async def _positions(self, rows: Iterable[SuperOrderRow]) -> tuple[PositionRow, ...]:
        """Read what is held of the securities of some orders; of others a row may be unreadable."""
        ours, carried = {row.order.security_id for row in rows}, self._known()
        positions = (await self._client.portfolio.positions()).whole_of(ours)
        if not any(order.is_delivered for order in carried):
            return positions
        return with_holdings(positions, (await self._client.portfolio.holdings()).whole_of(ours), carried)


def require_certain(books: Books, name: str) -> None:
    """Refuse to take anything away from, or to add to, an order that an unreadable row may concern.

    Raises
    ------
    Retryable
        While the row is there; nothing was sent.
    """
    why = doubtful(books).get(name)
    if why is not None:
        raise Retryable(f"A row of Dhan that may concern {name} is unreadable ({why}); nothing was sent.")


def row_named(books: Books, name: str) -> SuperOrderRow:
    """Give the super order of a correlation id, the oldest where it was placed twice.

    Raises
    ------
    Rejected
        If the list has none.
    """
    rows = [row for row in books.supers if row.order.correlation_id == name]
    if not rows:
        raise Rejected(f"Dhan lists no super order {name}.")
    return min(rows, key=age)

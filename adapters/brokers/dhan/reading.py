"""Readings of Dhan's three books, and what is found in them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from adapters.brokers.dhan.carried import CarriedOrder, carried_row, with_holdings
from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.doubt import doubtful
from adapters.brokers.dhan.facts import Books, age, is_ours, standing_of
from adapters.brokers.dhan.gaps import gap_of
from adapters.brokers.dhan.holding import may_be_closed_elsewhere
from adapters.brokers.dhan.model import PositionRow, SuperOrderRow
from propdesk.core.errors import BrokerFault, DataFault, Rejected, Retryable


class BookReader:
    """Reads Dhan's books, with the orders of earlier days that are still open among the super orders.

    Parameters
    ----------
    client : DhanClient
    carried : callable
        Those orders.
    last_price : callable
        Last price of an instrument key, paise; None where none is known.
    """

    def __init__(
        self,
        client: DhanClient,
        carried: Callable[[], Sequence[CarriedOrder]],
        last_price: Callable[[str], int | None],
    ) -> None:
        self._client = client
        self._carried = carried
        self._last_price = last_price
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
        carried = [order for order in self._carried() if order.correlation_id not in listed]
        rows += [carried_row(one, self._last_price(one.instrument.instrument_key) or 0) for one in carried]
        return Books(
            tuple(rows),
            orders.rows,
            trades.rows,
            unreadable,
            await self._positions(rows) if with_positions else None,
            {order.correlation_id: order.closed for order in carried},
        )

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
        and where others have filled against it. Positions that cannot be read leave the books without them:
        the rest of them is news all the same.
        """
        books = await self.read()
        ours = [row for row in books.supers if is_ours(row.order.correlation_id)]
        is_doubtful = any(standing_of(row, books).guard or gap_of(row, books) for row in ours)
        if not is_doubtful and not may_be_closed_elsewhere(books):
            return books
        try:
            return replace(books, positions=await self._positions(ours))
        except (BrokerFault, DataFault):
            return books

    async def _positions(self, rows: Iterable[SuperOrderRow]) -> tuple[PositionRow, ...]:
        """Read what is held of the securities of some orders; of others a row may be unreadable."""
        ours, carried = {row.order.security_id for row in rows}, self._carried()
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

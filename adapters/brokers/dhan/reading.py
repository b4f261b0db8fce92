"""Readings of Dhan's three books, and what is found in them."""

from dataclasses import replace

from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.doubt import doubtful
from adapters.brokers.dhan.facts import Books, age, is_ours, standing_of
from adapters.brokers.dhan.gaps import gap_of
from adapters.brokers.dhan.holding import may_be_closed_elsewhere
from adapters.brokers.dhan.model import PositionRow, SuperOrderRow
from propdesk.core.errors import BrokerFault, DataFault, Rejected, Retryable


async def read_books(client: DhanClient, *, with_positions: bool = False) -> Books:
    """Read super orders, orders and trades, and the positions where they are asked for.

    Fills come last: they are never older than a state that was read with them.
    """
    supers, orders = await client.super_orders.read(), await client.orders.read()
    trades = await client.orders.read_trades()
    unreadable = (*supers.unreadable, *orders.unreadable, *trades.unreadable)
    positions = await client.portfolio.positions() if with_positions else None
    return Books(supers.rows, orders.rows, trades.rows, unreadable, positions)


async def with_positions_if_needed(client: DhanClient, books: Books) -> Books:
    """Read the positions besides where only they can tell what is held.

    That is where a guard rests, which must not outlive what it guards, where an order is not covered, and
    where others have filled against it. Positions that cannot be read leave the books without them: the
    rest of them is news all the same.
    """
    ours = [row for row in books.supers if is_ours(row.order.correlation_id)]
    is_doubtful = any(standing_of(row, books).guard or gap_of(row, books) for row in ours)
    if not is_doubtful and not may_be_closed_elsewhere(books):
        return books
    try:
        found: tuple[PositionRow, ...] | None = await client.portfolio.positions()
    except (BrokerFault, DataFault):
        found = None
    return replace(books, positions=found)


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

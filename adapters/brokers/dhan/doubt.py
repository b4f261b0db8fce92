"""Rows of Dhan's books that cannot be read: which orders they may concern, told as facts of their own."""

from collections.abc import Iterable, Mapping

from adapters.brokers.dhan.facts import Books
from adapters.brokers.dhan.model import SuperOrderRow, UnreadableRow
from propdesk.core.ids import derived_id, is_ours, split_guard_id
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind

ANY = ""
"""Name under which a row is told that may be of any order, of ours or not."""


def ids_of(parent: SuperOrderRow, books: Books) -> frozenset[str]:
    """Order ids that a super order, its legs and its guards are known by."""
    head = parent.order
    own = (
        row.order_id
        for row in books.index.near(head)
        if row.algo_id == head.order_id
        or (head.correlation_id and split_guard_id(row.correlation_id)[0] == head.correlation_id)
    )
    return frozenset({head.order_id, *(leg.order_id for leg in parent.legs), *own})


def doubtful(books: Books) -> dict[str, str]:
    """Say by correlation id which super orders an unreadable row may concern, and why.

    A row that names an order we can read concerns that order; one that names none, or one that stands
    nowhere else, may be of any in its security: of one that we do not trade it is nobody's of ours. Where it
    names no security either, it concerns all of them, and `ANY`.
    """
    if not books.unreadable:
        return {}
    ours = {row.order.correlation_id: (row, ids_of(row, books)) for row in books.supers if _is_ours(row)}
    known = {row.order_id: row.correlation_id for row in books.orders}
    known |= {row.order.order_id: row.order.correlation_id for row in books.supers}
    found: dict[str, str] = {}
    for row in books.unreadable:
        for name in _concerned(row, ours, known):
            found.setdefault(name, f"{row.book}: {row.text}")
    return found


def _concerned(
    row: UnreadableRow, ours: Mapping[str, tuple[SuperOrderRow, frozenset[str]]], known: Mapping[str, str]
) -> Iterable[str]:
    named = row.correlation_id or known.get(row.order_id, "")
    order = split_guard_id(named)[0]
    if is_ours(order):
        return (order,)
    holders = [name for name, (_, ids) in ours.items() if row.order_id and row.order_id in ids]
    if holders or named or row.order_id in known:
        return holders  # of one of ours by its leg, or of a person's own order
    if row.security_id:
        return [name for name, (own, _) in ours.items() if own.order.security_id == row.security_id]
    return (*ours, ANY)


def _is_ours(row: SuperOrderRow) -> bool:
    return is_ours(row.order.correlation_id)


class Doubts:
    """Remembers which orders are in doubt, so that the end of a doubt is a fact, too."""

    def __init__(self) -> None:
        self._since: dict[str, str] = {}
        self._facts: dict[str, BrokerUpdate] = {}
        self._over: list[BrokerUpdate] = []

    def remember(self, known: Mapping[str, str]) -> None:
        """Restore the doubts that are journalled: by correlation id the fact that told of each."""
        self._since |= known

    def facts(self, books: Books, now_ns: int) -> list[BrokerUpdate]:
        """Tell the doubts that stand, and every end of one so far."""
        found = doubtful(books)
        for name in [name for name in self._since if name not in found]:
            update_id = derived_id("dhan-readable", self._since.pop(name))
            self._facts.pop(name, None)
            self._over.append(_fact(update_id, BrokerUpdateKind.READABLE, name, now_ns, ""))
        for name, why in found.items():
            if name not in self._since:
                self._since[name] = derived_id("dhan-unreadable", name, now_ns)
                self._facts[name] = _fact(self._since[name], BrokerUpdateKind.UNREADABLE, name, now_ns, why)
        return [*self._over, *self._facts.values()]


def _fact(update_id: str, kind: BrokerUpdateKind, name: str, now_ns: int, reason: str) -> BrokerUpdate:
    return BrokerUpdate(update_id, kind, name, "", 0, 0, now_ns, reason)

"""The corpus as a book of pools: reserve, release, book (§5.6).

Every function returns the new book and the ledger line that explains the change; folding the lines from
an empty book gives the same book again. In the daemon each line is applied to the account rows in the
transaction that commits the decision.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from propdesk.core.ids import derived_id
from propdesk.core.invariant import require
from propdesk.model.messages import CorpusEntry

ADVERSE_POOL = "ADVERSE"
"""Pool of the reverse trades of all categories."""

UNALLOCATED_POOL = "UNALLOCATED"
"""What the allocations leave over; nothing is ever reserved from it."""


@dataclass(frozen=True, slots=True)
class Account:
    """One pool, paise. ``free_paise`` may fall below 0 by a booked loss, never by a reservation."""

    free_paise: int = 0
    deployed_paise: int = 0

    @property
    def total_paise(self) -> int:
        """Free and deployed together."""
        return self.free_paise + self.deployed_paise


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one trade group still holds of its pool, paise, > 0."""

    pool: str
    amount_paise: int


@dataclass(frozen=True, slots=True)
class CorpusBook:
    """All pools of an account and who holds what of them."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    reservations: Mapping[str, Reservation] = field(default_factory=dict)

    @property
    def free_paise(self) -> int:
        """Free money of all pools, paise."""
        return sum(account.free_paise for account in self.accounts.values())

    @property
    def deployed_paise(self) -> int:
        """Deployed money of all pools, paise."""
        return sum(account.deployed_paise for account in self.accounts.values())

    @property
    def total_paise(self) -> int:
        """Corpus, paise."""
        return self.free_paise + self.deployed_paise

    def free_in(self, pool: str) -> int:
        """Free money of one pool, paise; 0 for a pool that does not exist."""
        account = self.accounts.get(pool)
        return 0 if account is None else account.free_paise


def open_book(
    total_paise: int,
    shares: Mapping[str, float],
    carried: Mapping[str, Reservation],
    reference: str,
    ts_ns: int,
) -> tuple[CorpusBook, tuple[CorpusEntry, ...]]:
    """Split the day's corpus into pools (§5.2 step 5).

    Parameters
    ----------
    total_paise : int
        Opening corpus, free and carried margin together; below 0 where more than all of it is lost, which
        leaves nothing to reserve from.
    shares : mapping of str to float
        Share per pool, each in [0, 1], together at most 1; the rest goes to ``UNALLOCATED``.
    carried : mapping of str to Reservation
        What groups carried over from earlier days hold, by group id.
    reference : str
        Makes the line ids unique (the trading date).
    ts_ns : int
        Moment of the lines.

    Returns
    -------
    tuple of CorpusBook and of CorpusEntry
        One OPENING line per pool, one CARRIED line per carried group.

    Raises
    ------
    InvariantViolated
        If the shares exceed 1 or a carried group belongs to no pool.
    """
    require(sum(shares.values()) <= 1 + 1e-9, "the allocations of the corpus exceed 100 %")
    amounts = {pool: int(total_paise * share) for pool, share in shares.items()}
    amounts[UNALLOCATED_POOL] = total_paise - sum(amounts.values())
    book = CorpusBook()
    entries = []
    for pool, amount in amounts.items():
        entry = CorpusEntry(
            derived_id("corpus", reference, "OPENING", pool),
            "OPENING", pool, pool == ADVERSE_POOL, None, amount, 0, 0, ts_ns,
        )  # fmt: skip
        book = apply_entry(book, entry)
        entries.append(entry)
    for group_id, held in carried.items():
        require(held.pool in amounts, f"group {group_id} is carried in a pool that does not exist")
        entry = _move("CARRIED", group_id, held.pool, held.amount_paise, f"{reference}|{group_id}", ts_ns)
        book = apply_entry(book, entry)
        entries.append(entry)
    return book, tuple(entries)


def check_budget(book: CorpusBook, pool: str, amount_paise: int) -> bool:
    """Whether ``amount_paise`` (> 0) could be reserved from the pool now."""
    return 0 < amount_paise <= book.free_in(pool)


def reserve(
    book: CorpusBook, group_id: str, pool: str, amount_paise: int, ts_ns: int
) -> tuple[CorpusBook, CorpusEntry] | None:
    """Set margin aside for a group.

    Returns
    -------
    tuple of CorpusBook and CorpusEntry, or None
        None where the pool has not that much free: a reservation never takes free below 0.

    Raises
    ------
    InvariantViolated
        If the group already holds a reservation: a group reserves once.
    """
    require(group_id not in book.reservations, f"group {group_id} has reserved before")
    if not check_budget(book, pool, amount_paise):
        return None
    entry = _move("RESERVE", group_id, pool, amount_paise, group_id, ts_ns)
    return apply_entry(book, entry), entry


def release(
    book: CorpusBook, group_id: str, amount_paise: int, reference: str, ts_ns: int
) -> tuple[CorpusBook, CorpusEntry]:
    """Give back margin of a group (all of it or the share of one leg).

    Raises
    ------
    InvariantViolated
        If the group does not hold that much.
    """
    held = book.reservations.get(group_id)
    require(held is not None and 0 < amount_paise <= held.amount_paise, "releases more than is reserved")
    assert held is not None  # noqa: S101 - tells the type checker what require() has proved
    entry = _move("RELEASE", group_id, held.pool, -amount_paise, reference, ts_ns)
    return apply_entry(book, entry), entry


def book_pnl(
    book: CorpusBook, group_id: str, pool: str, pnl_paise: int, reference: str, ts_ns: int
) -> tuple[CorpusBook, CorpusEntry]:
    """Book a realised result (net of charges) into the pool; free may fall below 0."""
    entry = CorpusEntry(
        derived_id("corpus", reference, "PNL"),
        "PNL", pool, pool == ADVERSE_POOL, group_id, pnl_paise, 0, pnl_paise, ts_ns,
    )  # fmt: skip
    return apply_entry(book, entry), entry


def apply_entry(book: CorpusBook, entry: CorpusEntry) -> CorpusBook:
    """Fold one ledger line into the book."""
    old = book.accounts.get(entry.category, Account())
    account = Account(
        old.free_paise + entry.free_delta_paise, old.deployed_paise + entry.deployed_delta_paise
    )
    require(account.deployed_paise >= 0, f"pool {entry.category} has released more than it deployed")
    accounts = {**book.accounts, entry.category: account}
    if entry.group_id is None or entry.deployed_delta_paise == 0:
        return replace(book, accounts=accounts)
    reservations = dict(book.reservations)
    held = reservations.pop(entry.group_id, Reservation(entry.category, 0))
    amount = held.amount_paise + entry.deployed_delta_paise
    require(amount >= 0, f"group {entry.group_id} has released more than it reserved")
    if amount:
        reservations[entry.group_id] = Reservation(entry.category, amount)
    return CorpusBook(accounts, reservations)


def fold_entries(entries: Iterable[CorpusEntry]) -> CorpusBook:
    """Rebuild the book from its ledger."""
    book = CorpusBook()
    for entry in entries:
        book = apply_entry(book, entry)
    return book


def _move(kind: str, group_id: str, pool: str, amount: int, reference: str, ts_ns: int) -> CorpusEntry:
    return CorpusEntry(
        derived_id("corpus", reference, kind),
        kind, pool, pool == ADVERSE_POOL, group_id, -amount, amount, 0, ts_ns,
    )  # fmt: skip

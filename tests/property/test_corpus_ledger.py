"""Corpus ledger as a machine against a plain dict model (reliability I1-I5)."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from propdesk.core.errors import InvariantViolated
from propdesk.model.messages import CorpusEntry
from propdesk.risk.corpus_ledger import (
    ADVERSE_POOL,
    UNALLOCATED_POOL,
    CorpusBook,
    Reservation,
    book_pnl,
    fold_entries,
    open_book,
    release,
    reserve,
)

POOLS = ("NSE_EQ", "INDEX_FUT", ADVERSE_POOL)


class LedgerMachine(RuleBasedStateMachine):
    """Reserve, release, book in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.book = CorpusBook()
        self.entries: list[CorpusEntry] = []
        self.held: dict[str, tuple[str, int]] = {}
        self.total = 0
        self.free: dict[str, int] = {}
        self.steps = 0

    @initialize(total=st.integers(0, 10**12))
    def start(self, total: int) -> None:
        self.book, lines = open_book(
            total, {"NSE_EQ": 0.5, "INDEX_FUT": 0.3, ADVERSE_POOL: 0.1}, {}, "day", 1
        )
        self.entries += lines
        self.total = total
        self.free = {pool: account.free_paise for pool, account in self.book.accounts.items()}

    @rule(pool=st.sampled_from(POOLS), amount=st.integers(1, 10**12))
    def reserve(self, pool: str, amount: int) -> None:
        group = f"g{self.steps}"
        self.steps += 1
        found = reserve(self.book, group, pool, amount, self.steps)
        assert (found is not None) == (amount <= self.free[pool])
        if found is not None:
            self.book, line = found
            self.entries.append(line)
            self.held[group] = (pool, amount)
            self.free[pool] -= amount
            assert self.book.free_in(pool) >= 0

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        group = data.draw(st.sampled_from(sorted(self.held)))
        pool, amount = self.held[group]
        part = data.draw(st.integers(1, amount))
        self.steps += 1
        self.book, line = release(self.book, group, part, f"r{self.steps}", self.steps)
        self.entries.append(line)
        self.free[pool] += part
        if part == amount:
            del self.held[group]
        else:
            self.held[group] = (pool, amount - part)

    @rule(pool=st.sampled_from(POOLS), pnl=st.integers(-(10**11), 10**11))
    def book_result(self, pool: str, pnl: int) -> None:
        self.steps += 1
        self.book, line = book_pnl(self.book, "g", pool, pnl, f"p{self.steps}", self.steps)
        self.entries.append(line)
        self.free[pool] += pnl
        self.total += pnl

    @precondition(lambda self: self.held)
    @rule()
    def more_than_is_held_is_never_released(self) -> None:
        group, (_, amount) = next(iter(self.held.items()))
        with pytest.raises(InvariantViolated):
            release(self.book, group, amount + 1, "x", 1)

    @invariant()
    def the_books_agree(self) -> None:
        assert self.book.free_paise + self.book.deployed_paise == self.book.total_paise == self.total
        assert self.book.deployed_paise == sum(amount for _, amount in self.held.values())
        assert {p: a.free_paise for p, a in self.book.accounts.items()} == self.free
        assert all(account.deployed_paise >= 0 for account in self.book.accounts.values())
        assert {g: (r.pool, r.amount_paise) for g, r in self.book.reservations.items()} == self.held

    @invariant()
    def the_ledger_rebuilds_the_book(self) -> None:
        assert fold_entries(self.entries) == self.book
        assert len({line.entry_id for line in self.entries}) == len(self.entries)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=40, stateful_step_count=30)


def test_carried_margin_counts_as_deployed() -> None:
    book, lines = open_book(1_000, {"NSE_EQ": 0.6}, {"g1": Reservation("NSE_EQ", 700)}, "day", 1)
    assert (book.free_in("NSE_EQ"), book.deployed_paise, book.total_paise) == (-100, 700, 1_000)
    assert book.free_in(UNALLOCATED_POOL) == 400
    assert reserve(book, "g2", "NSE_EQ", 1, 2) is None
    assert [line.kind for line in lines] == ["OPENING", "OPENING", "CARRIED"]


def test_allocations_beyond_the_corpus_are_a_broken_promise() -> None:
    with pytest.raises(InvariantViolated):
        open_book(1_000, {"NSE_EQ": 0.7, "INDEX_FUT": 0.4}, {}, "day", 1)

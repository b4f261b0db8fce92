"""The campaign's tables in memory promise what PostgreSQL does: the same calls, the same answers."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.db.live import LiveConnection, connect
from adapters.db.repos.inbox import InboxRepo
from adapters.db.repos.intents import IntentRepo
from adapters.db.repos.journal import JournalRepo
from adapters.db.repos.leader import LeadershipLost, take_leadership
from adapters.settings import Settings
from campaign.disk import Disk, MemoryInbox, MemoryJournal, MemoryOutbox
from campaign.fate import Edge
from campaign.market import ACCOUNT, DAY
from campaign.run import run_schedule
from campaign.schedule import make_schedule
from propdesk.engine.batch import Batch
from propdesk.model.live import ClaimOutcome, IntentState

pytestmark = pytest.mark.integration

NOW = datetime(2025, 7, 1, 4, 0, tzinfo=UTC)
STATES = tuple(IntentState)
Call = tuple[str, str, tuple[Any, ...], dict[str, Any], Any]
"""Table, method, words and answer."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Run a schedule in which nobody dies, and give what was asked of the tables."""
    found: list[Call] = []

    def record(owner: type, table: str, name: str) -> None:
        real: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def told(self: object, *args: Any, **words: Any) -> Any:
            answer = await real(self, *args, **words)
            found.append((table, name, args, words, answer))
            return answer

        monkeypatch.setattr(owner, name, told)

    for owner, table, names in (
        (MemoryJournal, "journal", ("commit",)),
        (MemoryOutbox, "outbox", ("claim", "withdraw", "answer")),
        (MemoryInbox, "inbox", ("store", "position")),
    ):
        for name in names:
            record(owner, table, name)
    outcome = run_schedule(replace(make_schedule(9), fates=()))
    assert not outcome.broken
    monkeypatch.undo()
    return found


class Tables:
    """One set of tables; the journal's commands are answered by nobody here."""

    def __init__(self, journal: Any, outbox: Any, inbox: Any) -> None:
        self.journal, self.outbox, self.inbox = journal, outbox, inbox

    async def state(self) -> Any:
        """Give everything that a start would read."""
        outbox = [(a.intent.intent_id, a.state, a.reason) for a in await self.outbox.answers(DAY, *STATES)]
        stamps = await self.outbox.sent_since(0)
        return outbox, stamps, await self.inbox.open_rows(), await self.inbox.position("campaign")


async def real_tables(settings: Settings) -> tuple[Tables, LiveConnection]:
    live = await connect(settings.database_url("daemon"), "tests")
    lead = await take_leadership(live, ACCOUNT, "pid 1", NOW)
    assert lead is not None
    journal = JournalRepo(live, ACCOUNT)
    return Tables(journal, IntentRepo(live, ACCOUNT, lead.epoch), InboxRepo(live, ACCOUNT)), live


def memory_tables() -> tuple[Tables, Disk, Edge]:
    disk, edge = Disk(lambda: 0), Edge(None, lambda _text: None)
    disk.take_lead(edge)
    return Tables(MemoryJournal(disk, edge), MemoryOutbox(disk, edge), MemoryInbox(disk, edge)), disk, edge


async def test_both_answer_the_same_calls_alike(calls: list[Call], settings: Settings) -> None:
    real, live = await real_tables(settings)
    memory, disk, _ = memory_tables()
    entries: list[Any] = []
    for table, name, args, words, answer in calls:
        found = [await getattr(getattr(tables, table), name)(*args, **words) for tables in (real, memory)]
        assert found[0] == found[1] == answer, (table, name)
        entries += [args[0]] if name == "claim" and args[0].is_entry else []
    assert entries, "nothing was sent"
    assert await real.state() == await memory.state()
    rows = await real.journal.rows(DAY)
    assert rows == await memory.journal.rows()
    await _fenced(real, memory, disk, live, entries, calls)
    await live.close()


async def _fenced(
    real: Tables, memory: Tables, disk: Disk, live: LiveConnection, entries: list[Any], calls: list[Call]
) -> None:
    """What is deposed is told so by both, and writes nothing."""
    last: Batch = next(args[0] for table, _, args, _, _ in reversed(calls) if table == "journal")
    for tables in (real, memory):
        again = await tables.outbox.claim(entries[0], 1)
        assert again is ClaimOutcome.NOT_PREPARED
        with pytest.raises(LeadershipLost):
            await tables.journal.commit(last)
    await live.execute("UPDATE trading.leader_epochs SET epoch = epoch + 1 WHERE account_id = %s", (ACCOUNT,))
    disk.epoch += 1
    nothing = replace(
        last, seq=last.seq + 1, intents=(), ledger=(), answers=(), levels=(), groups=(), decisions=()
    )
    for tables in (real, memory):
        assert await tables.outbox.claim(entries[0], 1) is ClaimOutcome.DEPOSED
        assert await tables.outbox.withdraw(entries[:1], 1) is ClaimOutcome.DEPOSED
        with pytest.raises(LeadershipLost):
            await tables.journal.commit(nothing)
    assert await real.state() == await memory.state()

"""The campaign's tables in memory promise what PostgreSQL does: the same calls, the same answers."""

from collections.abc import Awaitable, Callable, Sequence
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
from propdesk.core.errors import InvariantViolated
from propdesk.engine.batch import Batch
from propdesk.model.enums import KillLevel
from propdesk.model.live import ClaimOutcome, IntentState
from propdesk.model.messages import CommandAsked
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, Cause, LevelChange

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
    batches = [args[0] for table, _, args, _, _ in calls if table == "journal"]
    last = await _held_back(real, memory, disk, settings, batches)
    await _fenced(real, memory, disk, live, entries, last)
    await live.close()


async def _fenced(
    real: Tables, memory: Tables, disk: Disk, live: LiveConnection, entries: list[Any], last: Batch
) -> None:
    """What is deposed is told so by both, and writes nothing."""
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


def following(last: Batch, **words: Any) -> Batch:
    """Give an otherwise empty batch after another one."""
    empty: dict[str, Any] = dict.fromkeys(
        ("intents", "ledger", "answers", "levels", "groups", "decisions", "inbox_ids", "updates"), ()
    )
    return replace(last, seq=last.seq + 1, **{**empty, **words})


async def _held_back(
    real: Tables, memory: Tables, disk: Disk, settings: Settings, batches: Sequence[Batch]
) -> Batch:
    """Answers, levels, stops and the corpus hold by both alike; gives the last batch."""
    model = next(intent for batch in batches for intent in batch.intents if intent.is_entry)
    made = [replace(model, intent_id=f"i{n}", correlation_id=f"c{n}") for n in range(7)]

    async def both(table: str, name: str, *args: Any, **words: Any) -> Any:
        found = [await getattr(getattr(tables, table), name)(*args, **words) for tables in (real, memory)]
        assert found[0] == found[1], (table, name, found)
        assert await real.state() == await memory.state()
        return found[0]

    async def say(one: int, state: IntentState, reason: str) -> None:
        words = {"broker_order_id": None, "reason": reason, "now_ns": 3}
        await both("outbox", "answer", made[one].intent_id, state, **words)

    async def stored() -> dict[str, tuple[IntentState, str]]:
        answers = await real.outbox.answers(DAY, *STATES)
        return {a.intent.intent_id: (a.state, a.reason) for a in answers}

    last = following(batches[-1], intents=tuple(made))
    await both("journal", "commit", last)
    for one, state in enumerate((IntentState.REJECTED, IntentState.UNKNOWN, IntentState.MISSED_AMBIGUOUS)):
        assert await both("outbox", "claim", made[one], 2) is ClaimOutcome.CLAIMED
        await say(one, state, "first")
        await say(one, IntentState.WORKING, "second")
    found = await stored()
    assert found["i0"] == (IntentState.REJECTED, "first"), "a terminal answer was overwritten"
    assert found["i1"] == (IntentState.WORKING, "second"), "what is unknown may become known"
    assert found["i2"] == (IntentState.MISSED_AMBIGUOUS, "first")
    assert await both("outbox", "claim", made[3], 4) is ClaimOutcome.CLAIMED
    await both("outbox", "prepare_again", "i3")
    await both("outbox", "prepare_again", "i0")
    assert await both("outbox", "claim", made[3], 5) is ClaimOutcome.CLAIMED
    assert await both("outbox", "withdraw", made[4:5], 5, reason="CALLED_OFF") is ClaimOutcome.CLAIMED
    assert await both("outbox", "withdraw", made[3:4], 5) is ClaimOutcome.NOT_PREPARED
    last = await _held(both, last, made[5])
    person = await connect(settings.database_url("owner"), "tests")
    await person.execute(
        "INSERT INTO trading.commands (account_id, asked_by, role, door, kind, arguments, idempotency_key) "
        "VALUES (%s, 'anna', 'ADMIN', 'CLI', 'PAUSE', '{}', 'one')",
        (ACCOUNT,),
    )
    await person.close()
    disk.ask(CommandAsked(1, "PAUSE", {}, "anna", "ADMIN", "CLI", 5, 5, 1))
    assert await both("outbox", "claim", made[6], 9) is ClaimOutcome.BLOCKED
    await say(6, IntentState.BLOCKED, "KILL_LEVEL")
    assert (await stored())["i6"] == (IntentState.BLOCKED, "KILL_LEVEL")
    whole = next(entry for batch in batches for entry in batch.ledger if entry.kind == "RESERVE")
    dear = replace(whole, entry_id="dear", free_delta_paise=-(10**12), deployed_delta_paise=10**12)
    for tables in (real, memory):
        with pytest.raises(InvariantViolated, match="cannot take ledger line dear"):
            await tables.journal.commit(following(last, ledger=(dear,)))
    assert await real.state() == await memory.state()
    assert await real.journal.rows(DAY) == await memory.journal.rows()
    return last


async def _held(both: Callable[..., Awaitable[Any]], last: Batch, entry: Any) -> Batch:
    """A level of the account or of the intent's own scope holds an entry back, until it is cleared."""
    for scope in (ACCOUNT_SCOPE, entry.kill_scopes[0]):
        level = LevelChange(scope, Cause.MANUAL, KillLevel.ENTRIES_BLOCKED, True, "anna", "tests", 5)
        last = following(last, levels=(level,))
        await both("journal", "commit", last)
        assert await both("outbox", "claim", entry, 6) is ClaimOutcome.BLOCKED
        last = following(last, levels=(replace(level, is_open=False),))
        await both("journal", "commit", last)
    other = LevelChange("nobody", Cause.MANUAL, KillLevel.LIQUIDATING, True, "anna", "tests", 7)
    last = following(last, levels=(other,))
    await both("journal", "commit", last)
    assert await both("outbox", "claim", entry, 8) is ClaimOutcome.CLAIMED
    return last

"""What outlives a process: tables with PostgreSQL's promises, kept in memory.

A transaction is whole or not at all; what was not committed when a process ended never was; a connection that
breaks may keep the answer of a commit that happened (`campaign.fate`).
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from adapters.db.repos.leader import LeadershipLost
from campaign.fate import AFTER, BEFORE, Edge
from campaign.points import of_batch, of_claim, of_intent
from propdesk.core.errors import InvariantViolated
from propdesk.engine.batch import Batch
from propdesk.engine.recover import JournalRow
from propdesk.engine.snapshot import StoredContext
from propdesk.model.command import STOPS, CommandState
from propdesk.model.enums import KillLevel
from propdesk.model.live import (
    Answer,
    ClaimOutcome,
    InboxRow,
    IntentState,
    NewInboxRow,
    SourcePosition,
)
from propdesk.model.messages import CommandAsked, CorpusEntry, OrderIntent
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, LevelChange, with_wider

_COMMIT_S: Final = 0.000_5
"""What a commit takes (docs/benchmarks.md)."""
_UNANSWERED: Final = (IntentState.PREPARED, IntentState.SENT, IntentState.UNKNOWN)


@dataclass(slots=True)
class StoredIntent:
    """A row of the outbox; ``claimed_ns`` is the true moment of its claim."""

    intent: OrderIntent
    seq: int
    position: int
    state: IntentState = IntentState.PREPARED
    reason: str = ""
    broker_order_id: str | None = None
    sent_ns: int | None = None
    epoch: int = 0
    claimed_ns: int = 0


@dataclass(slots=True)
class StoredDocument:
    """A row of the inbox; ``seq`` is the journal row that took it."""

    row: InboxRow
    seq: int | None = None


@dataclass(slots=True)
class StoredCommand:
    """A row of the commands; ``answered_ns`` is the true moment of its answer."""

    asked: CommandAsked
    state: CommandState = CommandState.ASKED
    answered_ns: int | None = None


@dataclass(frozen=True, slots=True)
class StoredLevel:
    """A cause that is open; ``raised_ns`` is the true moment of its commit."""

    change: LevelChange
    raised_ns: int


@dataclass(slots=True)
class Disk:
    """Tables of one account on one day.

    Attributes
    ----------
    true_ns : callable
        The database's own clock.
    led_since_ns : int
        When the one that leads took over.
    on_commit : list of callable
        Told each batch once it is committed.
    """

    true_ns: Callable[[], int]
    epoch: int = 0
    led_since_ns: int = 0
    journal: list[JournalRow] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    contexts: dict[str, StoredContext] = field(default_factory=dict)
    inbox: list[StoredDocument] = field(default_factory=list)
    position: SourcePosition = field(default_factory=lambda: SourcePosition(None, None))
    intents: dict[str, StoredIntent] = field(default_factory=dict)
    levels: list[StoredLevel] = field(default_factory=list)
    commands: list[StoredCommand] = field(default_factory=list)
    corpus: dict[tuple[str, bool], tuple[int, int]] = field(default_factory=dict)
    token: str | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    on_commit: list[Callable[[Batch], None]] = field(default_factory=list)

    def load(self) -> str | None:
        """Give the broker's token saved last."""
        return self.token

    def save(self, token: str) -> None:
        """Keep the broker's token."""
        self.token = token

    def ask(self, command: CommandAsked) -> None:
        """Put a person's command into the table."""
        self.commands.append(StoredCommand(command))
        self.asked.set()

    def take_lead(self, edge: Edge) -> int:
        """Become the one daemon: everybody before is deposed."""
        self.epoch += 1
        self.led_since_ns = self.true_ns()
        edge.epoch = self.epoch
        return self.epoch


class MemoryJournal:
    """`adapters.db.repos.journal.JournalRepo` on a `Disk`."""

    def __init__(self, disk: Disk, edge: Edge) -> None:
        self._disk = disk
        self._edge = edge

    async def commit(self, batch: Batch) -> None:
        """Commit one batch and all its projections, fenced by the epoch."""
        before, after = of_batch(batch)
        await self._edge.cross(BEFORE, *before)
        await asyncio.sleep(_COMMIT_S)
        self._write(batch)
        await self._edge.cross(AFTER, *after)

    def _write(self, batch: Batch) -> None:
        disk = self._disk
        if disk.epoch != batch.epoch:
            raise LeadershipLost(f"Another daemon took over; ours had epoch {batch.epoch}.")
        if any(row.seq == batch.seq for row in disk.journal) or any(
            intent.intent_id in disk.intents for intent in batch.intents
        ):
            raise LeadershipLost(f"Journal row {batch.seq} or what belongs to it exists already.")
        corpus = dict(disk.corpus)
        for entry in batch.ledger:
            _apply(corpus, entry)
        disk.corpus = corpus
        disk.journal.append(
            JournalRow(
                batch.seq,
                batch.now_ns,
                batch.events,
                batch.outputs_hash,
                batch.chain_hash,
                batch.resolutions,
            )
        )
        disk.batches.append(batch)
        if batch.context is not None:
            disk.contexts.setdefault(batch.context.context_hash, batch.context)
        for row in disk.inbox:
            if row.row.inbox_id in batch.inbox_ids:
                row.seq = batch.seq
        for position, intent in enumerate(batch.intents):
            disk.intents[intent.intent_id] = StoredIntent(intent, batch.seq, position)
        self._project(batch)
        for tell in disk.on_commit:
            tell(batch)

    def _project(self, batch: Batch) -> None:
        disk = self._disk
        for change in batch.levels:
            if change.is_open:
                disk.levels.append(StoredLevel(change, disk.true_ns()))
            else:
                cleared = (change.scope, change.cause)
                disk.levels = [one for one in disk.levels if (one.change.scope, one.change.cause) != cleared]
        answers = {answer.command_id: answer.state for answer in batch.answers}
        for command in disk.commands:
            answer = answers.get(command.asked.command_id)
            if command.state is CommandState.ASKED and answer is not None:
                command.state, command.answered_ns = answer, disk.true_ns()

    async def rows(self) -> list[JournalRow]:
        """Rows of the day in order."""
        await self._edge.cross()
        return list(self._disk.journal)


def _apply(corpus: dict[tuple[str, bool], tuple[int, int]], entry: CorpusEntry) -> None:
    """Apply one ledger line as `adapters.db.repos.corpus` does."""
    key = (entry.category, bool(entry.is_adverse))
    free, deployed = (0, 0) if entry.kind == "OPENING" else corpus.get(key, (0, 0))
    free, deployed = free + entry.free_delta_paise, deployed + entry.deployed_delta_paise
    is_short = entry.kind == "RESERVE" and entry.deployed_delta_paise > 0 and free < 0
    if is_short or (entry.kind != "OPENING" and key not in corpus):
        raise InvariantViolated(f"corpus account {key} cannot take ledger line {entry.entry_id}")
    corpus[key] = (free, deployed)


class MemoryOutbox:
    """`adapters.db.repos.intents.IntentRepo` on a `Disk`."""

    def __init__(self, disk: Disk, edge: Edge) -> None:
        self._disk = disk
        self._edge = edge

    async def claim(self, intent: OrderIntent, now_ns: int) -> ClaimOutcome:
        """Commit SENT before the first byte leaves; epoch and kill levels are checked with it."""
        rows = self._disk.intents.values()
        claimed = [row.intent for row in rows if row.state is not IntentState.PREPARED]
        before, after = of_claim(intent, claimed)
        await self._edge.cross(BEFORE, *before)
        await asyncio.sleep(_COMMIT_S)
        row = self._row(intent)
        may_leave = not intent.is_entry or not self._is_held(intent)
        if row.state is IntentState.PREPARED and self._is_led() and may_leave:
            row.state, row.sent_ns, row.epoch = IntentState.SENT, now_ns, self._edge.epoch
            row.claimed_ns = self._disk.true_ns()
            outcome = ClaimOutcome.CLAIMED
        else:
            outcome = self._why_not(row)
        await self._edge.cross(AFTER, *after)
        return outcome

    async def withdraw(
        self, intents: Sequence[OrderIntent], now_ns: int, *, reason: str = "WITHDRAWN"
    ) -> ClaimOutcome:
        """Commit that an entry and all that was asked of it since never leave."""
        del now_ns
        await self._edge.cross(BEFORE)
        await asyncio.sleep(_COMMIT_S)
        place = self._row(intents[0])
        outcome = ClaimOutcome.CLAIMED
        if place.state is IntentState.PREPARED and self._is_led():
            for intent in intents:
                row = self._row(intent)
                if row.state is IntentState.PREPARED:
                    row.state, row.reason = IntentState.WITHDRAWN, reason
        else:
            outcome = self._why_not(place)
        await self._edge.cross(AFTER)
        return outcome

    def _row(self, intent: OrderIntent) -> StoredIntent:
        row = self._disk.intents.get(intent.intent_id)
        if row is None:
            raise InvariantViolated(f"intent {intent.intent_id} is to be sent but was never committed")
        return row

    def _is_led(self) -> bool:
        return self._disk.epoch == self._edge.epoch

    def _why_not(self, row: StoredIntent) -> ClaimOutcome:
        if not self._is_led():
            return ClaimOutcome.DEPOSED
        return ClaimOutcome.BLOCKED if row.state is IntentState.PREPARED else ClaimOutcome.NOT_PREPARED

    def _is_held(self, intent: OrderIntent) -> bool:
        scopes = (ACCOUNT_SCOPE, *with_wider(intent.kill_scopes))
        blocked = KillLevel.ENTRIES_BLOCKED.severity
        if any(
            one.change.scope in scopes and one.change.level.severity >= blocked for one in self._disk.levels
        ):
            return True
        typed = {scope.upper() for scope in scopes}
        return any(
            command.state is CommandState.ASKED
            and command.asked.kind in STOPS
            and str(command.asked.arguments.get("scope", ACCOUNT_SCOPE)).upper() in typed
            for command in self._disk.commands
        )

    async def answer(
        self, intent_id: str, state: IntentState, *, broker_order_id: str | None, reason: str, now_ns: int
    ) -> None:
        """Record what became of an intent; a terminal answer is never overwritten."""
        del now_ns
        row = self._disk.intents[intent_id]
        points = of_intent(row.intent, state)
        await self._edge.cross(BEFORE, *points)
        await asyncio.sleep(_COMMIT_S)
        if row.state in _UNANSWERED:
            row.state, row.reason = state, reason
            row.broker_order_id = broker_order_id or row.broker_order_id
        await self._edge.cross(AFTER, *points)

    async def read(
        self, trade_date: date, *states: IntentState, orders: Collection[str] = ()
    ) -> list[OrderIntent]:
        """Intents of the day in the given states, in the order decided."""
        del orders
        return [answer.intent for answer in await self.answers(trade_date, *states)]

    async def answers(self, trade_date: date, *states: IntentState) -> list[Answer]:
        """Give the same with what was answered."""
        del trade_date
        await self._edge.cross()
        rows = sorted(self._disk.intents.values(), key=lambda row: (row.seq, row.position))
        return [Answer(row.intent, row.state, row.reason) for row in rows if row.state in states]

    async def earlier_answers(
        self, trade_date: date, orders: Collection[str], *states: IntentState
    ) -> list[Answer]:
        """Give none: there is one day."""
        del trade_date, orders, states
        return []

    async def sent_since(self, since_ns: int) -> tuple[int, ...]:
        """Give when each intent was claimed after a moment, rising."""
        stamps = (row.sent_ns for row in self._disk.intents.values())
        return tuple(sorted(stamp for stamp in stamps if stamp is not None and stamp > since_ns))

    async def prepare_again(self, intent_id: str) -> None:
        """Take a SENT intent back whose non-acceptance is proved."""
        row = self._disk.intents[intent_id]
        if row.state is IntentState.SENT:
            row.state, row.sent_ns = IntentState.PREPARED, None


class MemoryInbox:
    """`adapters.db.repos.inbox.InboxRepo` on a `Disk`."""

    def __init__(self, disk: Disk, edge: Edge) -> None:
        self._disk = disk
        self._edge = edge

    async def position(self, source: str) -> SourcePosition:
        """Where the source was left."""
        del source
        await self._edge.cross()
        return self._disk.position

    async def store(
        self, source: str, rows: Sequence[NewInboxRow], token: str | None, stored_at: datetime
    ) -> list[InboxRow]:
        """Store documents and token in one transaction; gives what was new."""
        del source, stored_at
        await self._edge.cross(BEFORE, "C1")
        await asyncio.sleep(_COMMIT_S)
        stored = [new for row in rows if (new := self._insert(row)) is not None]
        old = self._disk.position
        stamps = [row.posted_at for row in rows if row.posted_at is not None]
        newest = max([*stamps, *([old.last_posted_at] if old.last_posted_at else [])], default=None)
        self._disk.position = SourcePosition(token if token is not None else old.token, newest)
        await self._edge.cross(AFTER, "C2")
        return stored

    def _insert(self, row: NewInboxRow) -> InboxRow | None:
        inbox = self._disk.inbox
        same = [one.row for one in inbox if one.row.source_key == row.source_key]
        if any(one.content_hash == row.content_hash for one in same):
            return None
        new = InboxRow(
            len(inbox) + 1,
            row.source_key,
            max((one.revision for one in same), default=0) + 1,
            row.content_hash,
            row.document,
            row.received_ns,
            row.rejected_code,
        )
        inbox.append(StoredDocument(new))
        return new

    async def open_rows(self) -> list[InboxRow]:
        """Rows that no journal row contains yet, oldest first."""
        await self._edge.cross()
        return [one.row for one in self._disk.inbox if one.seq is None]


class MemoryCommands:
    """`adapters.db.repos.commands.CommandRepo` on a `Disk`."""

    def __init__(self, disk: Disk, edge: Edge) -> None:
        self._disk = disk
        self._edge = edge

    async def listen(self) -> None:
        """Hear announcements from now on."""

    async def wait(self, timeout_s: float) -> None:
        """Return at the next announcement, or after a time without one."""
        self._disk.asked.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._disk.asked.wait()
        except TimeoutError:
            return

    async def open_commands(self, most: int) -> list[CommandAsked]:
        """Commands without an answer, in the order asked."""
        await self._edge.cross()
        return [c.asked for c in self._disk.commands if c.state is CommandState.ASKED][:most]


class MemoryLead:
    """Leadership on a `Disk`: lost as soon as somebody else has taken it."""

    def __init__(self, disk: Disk, edge: Edge) -> None:
        self._disk = disk
        self._edge = edge

    async def verify(self) -> None:
        """Raise if it is lost."""
        await self._edge.cross()
        if self._disk.epoch != self._edge.epoch:
            raise LeadershipLost("Another daemon took over: this one ends.")


class MemoryHeartbeats:
    """Signs of life; only the database's clock is of interest."""

    def __init__(self, disk: Disk, edge: Edge) -> None:
        self._disk = disk
        self._edge = edge

    async def beat(self, component: str, beat_at: datetime, detail: Mapping[str, object]) -> int:
        """Give the database's moment."""
        del component, beat_at, detail
        await self._edge.cross()
        return self._disk.true_ns()


class MemoryFlags:
    """A mirror that forgets everything, which loses nothing."""

    async def mirror(self, name: str, value: Mapping[str, object], expire_s: int) -> None:
        """Do nothing."""
        del name, value, expire_s

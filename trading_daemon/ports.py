"""What the daemon's tasks ask of the outside world; `trading_daemon.bootstrap` plugs adapters in."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from propdesk.engine.batch import Batch
from propdesk.intake.minutes import MinuteSeen, PriceSeen
from propdesk.model.live import (
    ClaimOutcome,
    InboxRow,
    IntentState,
    NewInboxRow,
    ReplayMark,
    SourceDocument,
    SourcePosition,
)
from propdesk.model.messages import BarObserved, CommandAsked, OrderIntent


class SignalSource(Protocol):
    """A stream of documents that goes on for ever (§1.4)."""

    @property
    def name(self) -> str:
        """Under which its resume token is stored."""
        ...

    def documents(self, position: SourcePosition) -> AsyncIterator[SourceDocument]:
        """Documents after ``position``; reconnects by itself, never ends."""
        ...


class Inbox(Protocol):
    """Durable inbox."""

    async def position(self, source: str) -> SourcePosition:
        """Where a source was left."""
        ...

    async def store(
        self, source: str, rows: Sequence[NewInboxRow], token: str | None, stored_at: datetime
    ) -> list[InboxRow]:
        """Store documents and token in one transaction; gives what was new."""
        ...


class Commands(Protocol):
    """What people ask of the daemon."""

    async def listen(self) -> None:
        """Hear announcements from now on."""
        ...

    async def wait(self, timeout_s: float) -> None:
        """Return at the next announcement, or after a time without one."""
        ...

    async def open_commands(self, most: int) -> list[CommandAsked]:
        """Commands without an answer, in the order asked."""
        ...


class CommandAudits(Protocol):
    """The audit log's rows of commands."""

    async def write_rows(self) -> bool:
        """Write those that are missing; tells whether none is left. Waits for no other writer."""
        ...


class Journal(Protocol):
    """Durable journal with its projections."""

    async def commit(self, batch: Batch) -> None:
        """Commit a batch in one transaction."""
        ...


class Outbox(Protocol):
    """Committed intents and their answers."""

    async def claim(self, intent: OrderIntent, now_ns: int) -> ClaimOutcome:
        """Commit SENT before the first byte leaves."""
        ...

    async def withdraw(
        self, intents: Sequence[OrderIntent], now_ns: int, *, reason: str = "WITHDRAWN"
    ) -> ClaimOutcome:
        """Commit that an entry and all that was asked of it since never leave."""
        ...

    async def answer(
        self, intent_id: str, state: IntentState, *, broker_order_id: str | None, reason: str, now_ns: int
    ) -> None:
        """Record what became of it."""
        ...


class Lead(Protocol):
    """Leadership of the account."""

    async def verify(self) -> None:
        """Raise if it is lost."""
        ...


class Heartbeats(Protocol):
    """Where the process says that it lives."""

    async def beat(self, component: str, beat_at: datetime, detail: Mapping[str, object]) -> int:
        """Record a sign of life; gives the moment by the other side's clock, ns UTC."""
        ...


class Flags(Protocol):
    """Volatile mirror for whoever watches; losing it loses nothing."""

    async def mirror(self, name: str, value: Mapping[str, object], expire_s: int) -> None:
        """Set a flag that expires by itself."""
        ...


@dataclass(frozen=True, slots=True)
class MinuteClosed:
    """A minute of the market is over: its bars, known at ``end_ns``; ``mark`` in replay only.

    ``is_last``: the session is over with it.
    """

    end_ns: int
    bars: tuple[BarObserved, ...]
    mark: ReplayMark | None = None
    is_last: bool = False


class MarketFeed(Protocol):
    """Prices of the series asked for."""

    def follow(self, price_keys: Sequence[str]) -> None:
        """Deliver these series from now on."""
        ...

    def latest(self, price_key: str, now_ns: int) -> BarObserved | None:
        """Newest complete bar of today; None before the first."""
        ...

    def minutes(self) -> AsyncIterator[MinuteClosed]:
        """One message per minute of the session."""
        ...


class QuoteFeed(Protocol):
    """A real feed of last trades, bids and asks."""

    @property
    def is_connected(self) -> bool:
        """Whether it is there, and nothing was missed since the last price given."""
        ...

    @property
    def trouble(self) -> str:
        """Why it is not connected; empty while it is, or is tried for the first time."""
        ...

    async def subscribe(self, price_keys: Sequence[str]) -> tuple[str, ...]:
        """Want prices of series, now and after every reconnect; gives those it does not know."""
        ...

    def prices(self) -> AsyncGenerator[PriceSeen | None]:
        """Prices until cancelled; None: something may have been missed before the next."""
        ...


class PriceLog(Protocol):
    """A durable log of the day's minutes; its calls block."""

    def open(self) -> tuple[MinuteSeen, ...]:
        """Begin to write, alone; gives what is recorded of the day already."""
        ...

    def append(self, minutes: Sequence[MinuteSeen], watch: tuple[int, int] | None) -> None:
        """Write states of minutes, and from when to when the feed was heard; all of it or nothing."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class RecordCounts(Protocol):
    """Counts what became of recorded minutes."""

    def recorded(self, minutes: int) -> None:
        """Count states of minutes that were written."""
        ...

    def dropped(self, minutes: int) -> None:
        """Count changes that were given up unwritten."""
        ...

    def failed(self) -> None:
        """Count a write that failed."""
        ...

    def old_trades(self, count: int) -> None:
        """Count quotes whose trade was of another minute than they were told in, or the one beside it."""
        ...

    def unknown_series(self, count: int) -> None:
        """Count wanted series that the feed does not know."""
        ...


class PaperMarket(Protocol):
    """The door through which a paper broker sees the market; real brokers have none."""

    async def on_bars(self, bars: Sequence[BarObserved], end_ns: int) -> None:
        """Let resting orders meet the bars."""
        ...

    async def end_session(self, now_ns: int) -> None:
        """Close the exchange's day."""
        ...


class Driver(Protocol):
    """Whoever closes the minutes of a day that is over."""

    @property
    def is_done(self) -> bool:
        """Whether the day is at its end."""
        ...

    async def run(self) -> None:
        """Bring the day to its end."""
        ...


class Log(Protocol):
    """Structured log lines; the first argument names the event."""

    def info(self, event: str, **values: object) -> object:
        """Write a line."""
        ...

    def warning(self, event: str, **values: object) -> object:
        """Write a line that someone should read."""
        ...

    def error(self, event: str, **values: object) -> object:
        """Write a line that someone must read."""
        ...

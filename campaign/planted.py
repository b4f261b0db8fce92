"""Known bugs, planted on purpose: a campaign that does not find them proves nothing (docs/reliability.md)."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.brokers.dhan import broker as dhan_broker
from adapters.brokers.dhan.broker import DhanBroker
from adapters.brokers.dhan.cover import Cover
from campaign import life
from campaign.disk import MemoryInbox, MemoryJournal, MemoryOutbox
from campaign.fate import Ending, Fate
from campaign.run import Outcome, run_schedule
from campaign.schedule import Schedule, make_schedule
from propdesk.core.errors import BrokerFault
from propdesk.engine import step
from propdesk.engine.recover import Recovered, recover
from propdesk.model.enums import KillLevel
from propdesk.model.live import ClaimOutcome, IntentState, NewInboxRow, SourcePosition
from propdesk.model.messages import IntentKind
from propdesk.risk.kill_switch import RiskLevels
from trading_daemon import recovery, startup
from trading_daemon.tasks import order_manager
from trading_daemon.tasks.order_manager import OrderManager

Patch = tuple[Any, str, Any]
"""Owner, name of what is replaced, and by what."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug: what it is, what it replaces, which promises it breaks, and a seed that shows it.

    ``fate`` is the death that it waits for, in place of those that the seed draws.
    """

    name: str
    words: str
    patches: Callable[[], Sequence[Patch]]
    breaks: tuple[str, ...]
    seed: int
    fate: Fate | None = None

    def schedule(self, seed: int) -> Schedule:
        """Give the schedule of a seed, with the death that brings the bug out."""
        made = make_schedule(seed)
        return made if self.fate is None else replace(made, fates=(self.fate,))


@contextmanager
def planted(bug: Planted) -> Iterator[None]:
    """Run the block with the bug in the code."""
    patches = bug.patches()
    real = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    try:
        for owner, name, wrong in patches:
            setattr(owner, name, wrong)
        yield
    finally:
        for owner, name, right in real:
            setattr(owner, name, right)


def hunt(bug: Planted, seeds: range) -> Outcome | None:
    """Look for a bug; gives the first schedule in which one of its promises breaks, None where none does."""
    with planted(bug):
        for seed in seeds:
            outcome = run_schedule(bug.schedule(seed))
            if is_caught(bug, outcome):
                return outcome
    return None


def is_caught(bug: Planted, outcome: Outcome) -> bool:
    """Tell whether a schedule shows the bug."""
    return any(outcome.findings.counts[promise] for promise in bug.breaks)


def _resend() -> Sequence[Patch]:
    real = OrderManager._unknown

    async def unknown(self: Any, intent: Any, reason: str) -> None:
        if intent.kind is IntentKind.PLACE:
            try:
                await self._broker.place(intent)
            except BrokerFault:
                await real(self, intent, reason)
                return
            await self._answer(intent, IntentState.WORKING, None, "")
            return
        await real(self, intent, reason)

    return [(OrderManager, "_unknown", unknown)]


def _mark_afterwards() -> Sequence[Patch]:
    real = MemoryOutbox.claim

    async def claim(self: Any, intent: Any) -> None:
        if intent.kind is not IntentKind.PLACE:
            await _claim(self, intent)
            return
        await self._send(intent, 2**62)
        await self._outbox.claim(intent, self._clock.now_ns())

    async def late(self: Any, intent: Any, now_ns: int) -> ClaimOutcome:
        row = self._disk.intents[intent.intent_id]
        if row.state is IntentState.WORKING:
            return ClaimOutcome.CLAIMED
        return await real(self, intent, now_ns)

    _claim = OrderManager._claim
    return [(OrderManager, "_claim", claim), (MemoryOutbox, "claim", late)]


def _no_fence() -> Sequence[Patch]:
    return [
        (MemoryOutbox, "_is_led", lambda self: True),
        (order_manager, "CLAIM_AGE_NS_MAX", 2**62),
    ]


def _absence_is_proof() -> Sequence[Patch]:
    return [(dhan_broker, "CAPABILITIES", replace(dhan_broker.CAPABILITIES, absence_is_proof=True))]


def _token_first() -> Sequence[Patch]:
    real = MemoryInbox.store

    async def store(self: Any, source: str, rows: Sequence[NewInboxRow], token: Any, at: Any) -> Any:
        self._disk.position = SourcePosition(token, None)
        return await real(self, source, rows, token, at)

    return [(MemoryInbox, "store", store)]


def _inbox_forgotten() -> Sequence[Patch]:
    async def open_rows(self: Any) -> list[Any]:
        return []

    return [(MemoryInbox, "open_rows", open_rows)]


def _no_polling() -> Sequence[Patch]:
    real = DhanBroker._pause

    async def pause(self: Any, begun: float) -> None:
        await self._wake.wait()
        await real(self, begun)

    return [(DhanBroker, "_pause", pause), (life, "READ_S", 1e9)]


def _stop_not_watched() -> Sequence[Patch]:
    return [(Cover, "facts", lambda self, seen, now_ns: ())]


def _levels_forgotten() -> Sequence[Patch]:
    def forget(*args: Any) -> Recovered:
        found = recover(*args)
        return replace(found, state=replace(found.state, levels=RiskLevels()))

    return [(life, "recover", forget)]


def _levels_lowered() -> Sequence[Patch]:
    def lower(*args: Any) -> Recovered:
        found = recover(*args)
        causes = found.state.levels.causes.items()
        low = {key: replace(cause, level=KillLevel.ENTRIES_BLOCKED) for key, cause in causes}
        return replace(found, state=replace(found.state, levels=RiskLevels(low)))

    return [(life, "recover", lower)]


def _sent_before_committed() -> Sequence[Patch]:
    real = MemoryJournal.commit
    late: set[asyncio.Task[None]] = set()

    async def commit(self: Any, batch: Any) -> None:
        task = asyncio.create_task(real(self, batch))
        late.add(task)
        task.add_done_callback(late.discard)

    return [(MemoryJournal, "commit", commit)]


def _target_off() -> Sequence[Patch]:
    real = DhanBroker.place

    async def place(self: Any, intent: Any, *, leave_by_ns: int | None = None) -> Any:
        further = replace(intent, target_paise=intent.target_paise + intent.side.sign * 300)
        return await real(self, further, leave_by_ns=leave_by_ns)

    return [(DhanBroker, "place", place)]


def _followups_dropped() -> Sequence[Patch]:
    return [(step, "on_followup", lambda turn, event: None)]


def _levels_unasked() -> Sequence[Patch]:
    return [(MemoryOutbox, "_is_held", lambda self, intent: False)]


def _answers_untold() -> Sequence[Patch]:
    real = recovery.reconcile

    async def reconcile(*args: Any, **words: Any) -> Any:
        return replace(await real(*args, **words), untold=())

    return [(startup, "reconcile", reconcile)]


BUGS: Final = (
    Planted("resend", "an entry without an answer is sent again", _resend, ("duplicates",), 56),
    Planted(
        "mark-afterwards",
        "an entry is sent first and marked as sent afterwards",
        _mark_afterwards,
        ("duplicates",),
        1,
        Fate("C7", 1, Ending.KILL, 1.0),
    ),
    Planted(
        "no-fence", "a claim asks neither for the epoch nor for its age", _no_fence, ("stale-epoch calls",), 4
    ),
    Planted(
        "absence-is-proof",
        "what the lists lack at a start is sent again",
        _absence_is_proof,
        ("duplicates",),
        2,
        Fate("C6", 1, Ending.KILL, 0.5),
    ),
    Planted(
        "token-first",
        "the resume token is stored before its document",
        _token_first,
        ("lost signals",),
        1,
        Fate("C1", 2, Ending.KILL, 1.0),
    ),
    Planted(
        "inbox-forgotten",
        "a start does not take up what the inbox holds",
        _inbox_forgotten,
        ("lost signals", "no rest"),
        1,
        Fate("C2", 1, Ending.KILL, 1.0),
    ),
    Planted(
        "no-polling",
        "the order stream is believed to be whole",
        _no_polling,
        ("book differences", "no rest", "unprotected"),
        24,
    ),
    Planted("stop-not-watched", "nobody looks whether a stop lives", _stop_not_watched, ("unprotected",), 24),
    Planted(
        "levels-forgotten",
        "kill levels do not outlive the process",
        _levels_forgotten,
        ("kill level regressions",),
        2,
        Fate("C18", 1, Ending.KILL, 1.0),
    ),
    Planted(
        "levels-lowered",
        "of a kill level a start knows only that it blocks entries",
        _levels_lowered,
        ("kill level regressions",),
        2,
        Fate("C18", 1, Ending.KILL, 1.0),
    ),
    Planted(
        "sent-before-committed",
        "an intent leaves before its journal row is there",
        _sent_before_committed,
        ("crashes",),
        7,
    ),
    Planted("target-off", "a target goes out 3 rupees too far", _target_off, ("altered calls",), 1),
    Planted("followups-dropped", "no follow-up is followed", _followups_dropped, ("lost follow-ups",), 5),
    Planted(
        "levels-unasked",
        "a claim asks neither for kill levels nor for stops",
        _levels_unasked,
        ("entries under a kill level",),
        27,
    ),
    Planted(
        "answers-untold",
        "a start does not tell what was answered and not journalled",
        _answers_untold,
        ("book differences", "no rest"),
        6,
        Fate("C8", 3, Ending.KILL, 1.0),
    ),
)
"""Planted bugs, each with a seed that catches it (found by `propdesk prove --planted`)."""

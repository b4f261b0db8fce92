"""What the decider commits in one transaction (§5.7): events in, everything they led to."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from propdesk.core.invariant import require
from propdesk.engine import codec
from propdesk.engine.context import DayContext
from propdesk.engine.resolution import RecordingResolver, Resolution
from propdesk.engine.snapshot import StoredContext
from propdesk.engine.state import EngineState, ExecutedTrade, LiveGroup, PendingChange
from propdesk.engine.step import step_all
from propdesk.model.live import ReplayMark
from propdesk.model.messages import (
    BrokerUpdate,
    Command,
    CommandAnswer,
    ContextChanged,
    CorpusEntry,
    DayOpened,
    Decision,
    Event,
    Notify,
    OrderIntent,
)
from propdesk.risk.kill_switch import LevelChange
from propdesk.strategy.crowd import CrowdChange

CHAIN_START = ""
"""Chain hash before the first row of a day."""


@dataclass(frozen=True, slots=True)
class Folded:
    """State after a batch of events and everything they led to, in order.

    ``resolutions`` is what the instrument master was asked on the way, and what it said.
    """

    state: EngineState
    commands: tuple[Command, ...]
    decisions: tuple[Decision, ...]
    groups: tuple[LiveGroup, ...]
    ledger: tuple[CorpusEntry, ...]
    crowd: tuple[CrowdChange, ...]
    trades: tuple[ExecutedTrade, ...]
    levels: tuple[LevelChange, ...]
    pending: tuple[PendingChange, ...]
    resolutions: tuple[Resolution, ...]

    @property
    def outputs_hash(self) -> str:
        """Hash (hex sha-256) of commands, decisions, ledger lines, trades and levels."""
        digest = hashlib.sha256()
        for part in (self.commands, self.decisions, self.ledger, self.trades, self.levels):
            digest.update(codec.encode_values(part))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Batch:
    """One journal row and its projections.

    Attributes
    ----------
    seq : int
        1, 2, … within (account, trade date), without gaps.
    now_ns : int
        The decider's clock for every event of the batch, ns UTC.
    events : bytes
        Canonical encoding (`propdesk.engine.codec`).
    resolutions : bytes
        Answers of the instrument master that were new to the journal, encoded likewise.
    outputs_hash : str
        Hash of what the events led to, to prove that a fold gives the same again.
    chain_hash : str
        Hash over the previous row's chain hash, this row's clock, events, resolutions and outputs.
    context : StoredContext or None
        Snapshot that an event of the batch names; stored with it.
    inbox_ids : tuple of int
        Inbox rows whose events are in this batch.
    carried : bytes or None
        What the day hands to the next one; from the session's end on.
    """

    account_id: str
    trade_date: date
    seq: int
    now_ns: int
    epoch: int
    events: bytes
    resolutions: bytes
    outputs_hash: str
    chain_hash: str
    context: StoredContext | None
    inbox_ids: tuple[int, ...]
    mark: ReplayMark | None
    carried: bytes | None
    updates: tuple[BrokerUpdate, ...]
    decisions: tuple[Decision, ...]
    groups: tuple[LiveGroup, ...]
    intents: tuple[OrderIntent, ...]
    notices: tuple[Notify, ...]
    ledger: tuple[CorpusEntry, ...]
    crowd: tuple[CrowdChange, ...]
    trades: tuple[ExecutedTrade, ...]
    levels: tuple[LevelChange, ...]
    pending: tuple[PendingChange, ...]
    answers: tuple[CommandAnswer, ...]


def fold_events(state: EngineState, events: Sequence[Event], now_ns: int, context: DayContext) -> Folded:
    """Run the reducer over a batch.

    Parameters
    ----------
    state : EngineState
        Not changed.
    events : sequence of Event
        In order; may be empty.
    now_ns : int
        Clock of the batch, ns UTC.

    Returns
    -------
    Folded
        The same for the same input.
    """
    resolver = RecordingResolver(context.resolve)
    result = step_all(state, events, now_ns, replace(context, resolve=resolver))
    return Folded(
        state=result.state,
        commands=result.commands,
        decisions=result.decisions,
        groups=result.groups_changed,
        ledger=result.ledger_entries,
        crowd=result.crowd_changes,
        trades=result.trades,
        levels=result.level_changes,
        pending=result.pending_changes,
        resolutions=resolver.answers,
    )


def context_named(events: Sequence[Event]) -> str | None:
    """Give the context a batch is decided under where it names one; None where the last one goes on.

    Raises
    ------
    InvariantViolated
        If anything comes before the event that names it: a batch is decided under one context.
    """
    named = [
        (place, event.context_hash)
        for place, event in enumerate(events)
        if isinstance(event, DayOpened | ContextChanged)
    ]
    require(all(place == 0 for place, _ in named), "a context begins with the first event of its batch")
    return named[0][1] if named else None


def chain(previous: str, now_ns: int, events: bytes, outputs_hash: str, resolutions: bytes) -> str:
    """Hash a journal row together with everything before it (hex sha-256)."""
    head = f"{previous}|{now_ns}|{outputs_hash}|{len(events)}|".encode()
    return hashlib.sha256(head + events + resolutions).hexdigest()


def build_batch(
    folded: Folded,
    events: Sequence[Event],
    *,
    account_id: str,
    trade_date: date,
    seq: int,
    now_ns: int,
    epoch: int,
    previous_chain_hash: str,
    resolutions: tuple[Resolution, ...],
    context: StoredContext | None = None,
    inbox_ids: tuple[int, ...] = (),
    mark: ReplayMark | None = None,
    carried: bytes | None = None,
) -> Batch:
    """Put a folded batch into the form that is committed.

    ``resolutions`` are those of the fold that the journal does not hold yet.
    """
    encoded, answers = codec.encode_events(events), codec.encode_values(resolutions)
    outputs_hash = folded.outputs_hash
    return Batch(
        account_id=account_id,
        trade_date=trade_date,
        seq=seq,
        now_ns=now_ns,
        epoch=epoch,
        events=encoded,
        resolutions=answers,
        outputs_hash=outputs_hash,
        chain_hash=chain(previous_chain_hash, now_ns, encoded, outputs_hash, answers),
        context=context,
        inbox_ids=inbox_ids,
        mark=mark,
        carried=carried,
        updates=tuple(e for e in events if isinstance(e, BrokerUpdate)),
        decisions=folded.decisions,
        groups=folded.groups,
        intents=tuple(c for c in folded.commands if isinstance(c, OrderIntent)),
        notices=tuple(c for c in folded.commands if isinstance(c, Notify)),
        ledger=folded.ledger,
        crowd=folded.crowd,
        trades=folded.trades,
        levels=folded.levels,
        pending=folded.pending,
        answers=tuple(c for c in folded.commands if isinstance(c, CommandAnswer)),
    )

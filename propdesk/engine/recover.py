"""State at a start: the journal of the day folded through the same reducer again (§5.1, §5.7)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from propdesk.core.errors import InvariantViolated
from propdesk.engine import codec
from propdesk.engine.batch import CHAIN_START, chain, context_named, fold_events
from propdesk.engine.context import DayContext
from propdesk.engine.resolution import Question, RecordedAnswers, Resolution
from propdesk.engine.state import CarryOver, EngineState
from propdesk.engine.step import initial_state
from propdesk.model.messages import BrokerUpdate, Event, TimerFired


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One committed batch as it stands in the journal."""

    seq: int
    now_ns: int
    events: bytes
    outputs_hash: str
    chain_hash: str
    resolutions: bytes


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the day stands. ``seq`` is the last row folded, 0 for an empty journal.

    ``context_hash`` names what the last row was decided under, empty for an empty journal;
    ``minute_ns`` is the end of the last minute that was reported, 0 before the first; ``update_ids`` are all
    broker facts the journal holds, ``resolutions`` all answers of the master, ``carried`` what the day before
    handed over.
    """

    state: EngineState
    seq: int
    now_ns: int
    chain_hash: str
    context_hash: str = ""
    minute_ns: int = 0
    update_ids: frozenset[str] = frozenset()
    resolutions: Mapping[Question, Resolution] = field(default_factory=dict)
    carried: CarryOver | None = None


def recover(
    rows: Iterable[JournalRow],
    contexts: Mapping[str, DayContext],
    opening: DayContext,
    carried: CarryOver | None = None,
) -> Recovered:
    """Fold the day's journal into the state it led to.

    Parameters
    ----------
    rows : iterable of JournalRow
        In order of ``seq``, from 1 on, without gaps.
    contexts : mapping of str to DayContext
        Contexts of the day by the hash that DayOpened and ContextChanged name: each segment of the journal
        is folded under its own. Their resolver is not asked: rows carry the answers.
    opening : DayContext
        Any context of the day: names account and date of the state before the first row.
    carried : CarryOver, optional
        What the day before handed over.

    Returns
    -------
    Recovered
        State, last seq, last clock value (0 for an empty journal) and chain hash.

    Raises
    ------
    InvariantViolated
        If a row is missing, was changed, names a context that is not there, or the fold leads to other
        outputs than were committed: then the code differs from the one that traded, and nothing may be
        decided on top of it.
    """
    state = initial_state(opening, carried)
    seq, now_ns, hashed = 0, 0, CHAIN_START
    name, context = "", None
    answers = RecordedAnswers()
    update_ids: set[str] = set()
    minute_ns = 0
    for row in rows:
        if row.seq != seq + 1:
            raise InvariantViolated(f"the journal has a gap after row {seq}")
        events = codec.decode_events(row.events)
        named = context_named(events)
        if named is not None:
            name, context = named, contexts.get(named)
        if context is None:
            raise InvariantViolated(f"journal row {row.seq} was decided under a context that is not stored")
        answers.learn(codec.decode_resolutions(row.resolutions))
        folded = fold_events(state, events, row.now_ns, replace(context, resolve=answers))
        if folded.outputs_hash != row.outputs_hash:
            raise InvariantViolated(f"journal row {row.seq} folds to other outputs than were committed")
        hashed = chain(hashed, row.now_ns, row.events, row.outputs_hash, row.resolutions)
        if hashed != row.chain_hash:
            raise InvariantViolated(f"journal row {row.seq} does not follow from the rows before it")
        state, seq, now_ns = folded.state, row.seq, row.now_ns
        update_ids.update(event.update_id for event in events if isinstance(event, BrokerUpdate))
        minute_ns = last_minute(events, minute_ns)
    ids, known = frozenset(update_ids), answers.known
    return Recovered(state, seq, now_ns, hashed, name, minute_ns, ids, known, carried)


def last_minute(events: Sequence[Event], before_ns: int) -> int:
    """Give the end of the last minute reported by then, ns UTC; ``before_ns`` where none is among them."""
    return max([before_ns, *(event.ts_ns for event in events if isinstance(event, TimerFired))])

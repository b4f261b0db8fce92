"""State at a start: the journal of the day folded through the same reducer again (§5.1, §5.7)."""

from collections.abc import Iterable
from dataclasses import dataclass

from propdesk.core.errors import InvariantViolated
from propdesk.engine import codec
from propdesk.engine.batch import CHAIN_START, chain, fold_events
from propdesk.engine.context import DayContext
from propdesk.engine.state import CarryOver, EngineState
from propdesk.engine.step import initial_state
from propdesk.model.messages import BrokerUpdate


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One committed batch as it stands in the journal."""

    seq: int
    now_ns: int
    events: bytes
    outputs_hash: str
    chain_hash: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the day stands. ``seq`` is the last row folded, 0 for an empty journal.

    ``update_ids`` names every broker fact the journal holds.
    """

    state: EngineState
    seq: int
    now_ns: int
    chain_hash: str
    update_ids: frozenset[str] = frozenset()


def recover(rows: Iterable[JournalRow], context: DayContext, carried: CarryOver | None = None) -> Recovered:
    """Fold the day's journal into the state it led to.

    Parameters
    ----------
    rows : iterable of JournalRow
        In order of ``seq``, from 1 on, without gaps.
    context : DayContext
        The same day as when the rows were written.
    carried : CarryOver, optional
        What the day before handed over.

    Returns
    -------
    Recovered
        State, last seq, last clock value (0 for an empty journal) and chain hash.

    Raises
    ------
    InvariantViolated
        If a row is missing, was changed, or the fold leads to other outputs than were committed: then the
        code or the context differs from the one that traded, and nothing may be decided on top of it.
    """
    state = initial_state(context, carried)
    seq, now_ns, hashed = 0, 0, CHAIN_START
    update_ids: set[str] = set()
    for row in rows:
        if row.seq != seq + 1:
            raise InvariantViolated(f"the journal has a gap after row {seq}")
        events = codec.decode_events(row.events)
        folded = fold_events(state, events, row.now_ns, context)
        if folded.outputs_hash != row.outputs_hash:
            raise InvariantViolated(f"journal row {row.seq} folds to other outputs than were committed")
        hashed = chain(hashed, row.now_ns, row.events, row.outputs_hash)
        if hashed != row.chain_hash:
            raise InvariantViolated(f"journal row {row.seq} does not follow from the rows before it")
        state, seq, now_ns = folded.state, row.seq, row.now_ns
        update_ids.update(event.update_id for event in events if isinstance(event, BrokerUpdate))
    return Recovered(state, seq, now_ns, hashed, frozenset(update_ids))

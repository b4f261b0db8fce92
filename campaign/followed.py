"""Whether each follow-up had its effect on the trade that it speaks of."""

from collections.abc import Iterable, Iterator, Sequence

from campaign.disk import StoredDocument
from propdesk.core.ids import signal_id
from propdesk.engine.batch import Batch
from propdesk.engine.state import LiveGroup
from propdesk.model.order import Leg, LegState

_ENDS = ("EXIT", "CANCEL")


def unfollowed(batches: Sequence[Batch], inbox: Iterable[StoredDocument]) -> Iterator[str]:
    """Give what an advisor said and nobody did, by what was committed.

    Parameters
    ----------
    batches : sequence of Batch
        In the order committed.
    inbox : iterable of StoredDocument

    Notes
    -----
    EXIT, CANCEL and MOVE_TO_COST are looked at: of a trade that is open, and the first two of an idea that
    still waits. That what is wanted then happens at the broker is for the rest of the oracle.
    """
    rows = list(inbox)
    taken = {row.row.source_key: row.seq for row in rows if row.seq is not None}
    told: dict[int, list[StoredDocument]] = {}
    for row in rows:
        is_read = row.row.rejected_code is None and row.row.document["kind"] == "FOLLOWUP"
        if row.seq is not None and is_read:
            told.setdefault(row.seq, []).append(row)
    live: dict[str, LiveGroup] = {}
    ended: dict[str, str] = {}
    for batch in batches:
        before = dict(live)
        live.update((group.group.signal_id, group) for group in batch.groups)
        for signal, words in ended.items():
            if signal in live and signal not in before:
                yield f"{words}: it was traded afterwards"
        for row in told.get(batch.seq, ()):
            document = row.row.document
            kind, source = str(document["followup_kind"]), str(document["source"])
            signal = signal_id(source, str(document["refers_to"]), 0)
            words = f"{kind} of {document['refers_to']}"
            if signal in before:
                if not _is_done(kind, before[signal], live[signal]):
                    yield f"{words} changed nothing"
            elif signal not in live and kind in _ENDS and taken.get(signal, batch.seq) < batch.seq:
                ended[signal] = words


def _is_done(kind: str, before: LiveGroup, after: LiveGroup) -> bool:
    if before.is_closed or after.is_closed:
        return True
    if kind == "EXIT":
        return after.exit_goal is not None
    if kind == "CANCEL":
        return after.cancel_goal
    if kind == "MOVE_TO_COST":
        return all(_is_at_cost(after, leg) for leg in before.group.legs if leg.state is LegState.OPEN)
    return True


def _is_at_cost(live: LiveGroup, old: Leg) -> bool:
    """Tell whether the stop of a leg is nowhere on the losing side of its average; a tick is rounding."""
    leg, sign = live.group.legs[old.leg_number - 1], live.group.side.sign
    if leg.state is not LegState.OPEN or leg.stop_paise is None or not leg.entry_notional_paise:
        return True
    cost = leg.entry_notional_paise / leg.filled_quantity
    if leg.target_paise is not None and sign * (leg.target_paise - cost) <= live.group.tick_paise:
        return True  # a stop there would cross the target
    return sign * (leg.stop_paise - cost) >= -live.group.tick_paise

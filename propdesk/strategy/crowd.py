"""What all tracked advisors together hold, per underlying (§5.5): an event-sourced ledger."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.model.enums import Direction


@dataclass(frozen=True, slots=True)
class CrowdConfig:
    """Settings of the crowd score.

    Attributes
    ----------
    feed : {"positions", "advisors"}
        Which count feeds the score.
    min_advisors : int
        Distinct advisors (copies count once) a score needs before it multiplies anything.
    threshold : float
        Score above which an aligned trade grows.
    multiplier : float
        Its factor, >= 1.
    is_applied : bool
        False: recorded, not applied (shadow).
    copy_window_ns : int
        The same idea of another advisor within this time is a copy.
    """

    feed: str = "positions"
    min_advisors: int = 5
    threshold: float = 0.75
    multiplier: float = 1.25
    is_applied: bool = True
    copy_window_ns: int = 10 * NS_PER_MINUTE


class CrowdChangeKind(StrEnum):
    """What happened to a position of the crowd."""

    OPENED = "OPENED"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class CrowdChange:
    """One event of the ledger; folding them rebuilds it exactly."""

    kind: CrowdChangeKind
    signal_id: str
    advisor_id: str
    underlying: str
    direction: Direction
    cluster_id: str
    ts_ns: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CrowdPosition:
    """An open idea. ``cluster_id`` is the signal it copies, or its own id."""

    signal_id: str
    advisor_id: str
    direction: Direction
    cluster_id: str
    opened_ns: int


@dataclass(frozen=True, slots=True)
class IdeaMark:
    """First time an idea was seen, to recognise copies of it."""

    signal_id: str
    advisor_id: str
    received_ns: int


@dataclass(frozen=True, slots=True)
class CrowdReading:
    """Counts and score of one underlying.

    ``score`` is max(share bullish, share bearish) in [0.5, 1], None for an empty book; ``direction`` is
    None on a tie or an empty book; ``has_quorum`` tells whether enough distinct advisors stand behind it.
    """

    bullish_positions: int
    bearish_positions: int
    bullish_advisors: int
    bearish_advisors: int
    bullish_confidence: float | None
    score: float | None
    direction: Direction | None
    has_quorum: bool


@dataclass(frozen=True, slots=True)
class CrowdLedger:
    """Open positions by underlying and signal, and the ideas seen lately."""

    open: Mapping[str, Mapping[str, CrowdPosition]] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    ideas: Mapping[str, IdeaMark] = field(default_factory=dict)


def apply_change(ledger: CrowdLedger, change: CrowdChange) -> CrowdLedger:
    """Fold one event; repeats change nothing, and a close that came before its open wins."""
    book = ledger.open.get(change.underlying, {})
    if change.kind is CrowdChangeKind.OPENED:
        if change.signal_id in book or change.signal_id in ledger.closed:
            return ledger
        position = CrowdPosition(
            change.signal_id, change.advisor_id, change.direction, change.cluster_id, change.ts_ns
        )
        return replace(ledger, open={**ledger.open, change.underlying: {**book, change.signal_id: position}})
    if change.signal_id in ledger.closed:
        return ledger
    rest = {key: value for key, value in book.items() if key != change.signal_id}
    return replace(
        ledger,
        open={**ledger.open, change.underlying: rest},
        closed=ledger.closed | {change.signal_id},
    )


def fold_changes(changes: Iterable[CrowdChange]) -> CrowdLedger:
    """Rebuild a ledger from its events."""
    ledger = CrowdLedger()
    for change in changes:
        ledger = apply_change(ledger, change)
    return ledger


def idea_key(
    instrument_key: str,
    side: str,
    entry: tuple[int | None, int | None],
    stoploss_paise: int | None,
    targets_paise: tuple[int, ...],
) -> str:
    """Name what an idea says, so that the same words from another advisor are recognised."""
    return "|".join(map(str, (instrument_key, side, *entry, stoploss_paise, *targets_paise)))


def find_cluster(
    ledger: CrowdLedger, key: str, signal_id: str, advisor_id: str, received_ns: int, window_ns: int
) -> tuple[CrowdLedger, str]:
    """Tell which cluster a new idea belongs to and remember it.

    Returns
    -------
    tuple of CrowdLedger and str
        The id of the signal it copies (another advisor's, within ``window_ns``), else its own.
    """
    first = ledger.ideas.get(key)
    if (
        first is not None
        and first.advisor_id != advisor_id
        and abs(received_ns - first.received_ns) <= window_ns
    ):
        return ledger, first.signal_id
    mark = IdeaMark(signal_id, advisor_id, received_ns)
    return replace(ledger, ideas={**ledger.ideas, key: mark}), signal_id


def read_crowd(
    ledger: CrowdLedger, underlying: str, config: CrowdConfig, *, excluding: str | None = None
) -> CrowdReading:
    """Count an underlying's open positions and score them.

    Parameters
    ----------
    excluding : str, optional
        A signal that must not be counted in the score it is judged by.

    Returns
    -------
    CrowdReading
        Copies counted once: of a cluster only its earliest open position (by opening, then id) counts.

    Examples
    --------
    12 bullish of 14 positions score 0.857 (the worked example of §5.5).
    """
    book = ledger.open.get(underlying, {})
    voices: dict[str, CrowdPosition] = {}
    for position in book.values():
        if position.signal_id == excluding:
            continue
        held = voices.get(position.cluster_id)
        if held is None or (position.opened_ns, position.signal_id) < (held.opened_ns, held.signal_id):
            voices[position.cluster_id] = position
    bullish = [p for p in voices.values() if p.direction is Direction.BULLISH]
    bearish = [p for p in voices.values() if p.direction is Direction.BEARISH]
    advisors = ({p.advisor_id for p in bullish}, {p.advisor_id for p in bearish})
    up, down = (
        (len(bullish), len(bearish)) if config.feed == "positions" else (len(advisors[0]), len(advisors[1]))
    )
    confidence = up / (up + down) if up + down else None
    direction = None if up == down else (Direction.BULLISH if up > down else Direction.BEARISH)
    return CrowdReading(
        bullish_positions=len(bullish),
        bearish_positions=len(bearish),
        bullish_advisors=len(advisors[0]),
        bearish_advisors=len(advisors[1]),
        bullish_confidence=confidence,
        score=None if confidence is None else max(confidence, 1 - confidence),
        direction=direction,
        has_quorum=len(advisors[0] | advisors[1]) >= config.min_advisors,
    )


def crowd_factor(reading: CrowdReading, direction: Direction, config: CrowdConfig) -> float:
    """Capital factor of a trade in ``direction``: the multiplier where the crowd is aligned, else 1."""
    aligned = reading.direction is direction and reading.score is not None
    if aligned and reading.has_quorum and (reading.score or 0.0) > config.threshold:
        return config.multiplier
    return 1.0

"""Reposts of one advisor and copies among several (§1.6), one signal at a time in order of receipt."""

from collections import deque
from dataclasses import dataclass

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.invariant import require

REPOST_WINDOW_NS = 30 * NS_PER_MINUTE
REPOST_ENTRY_RATIO = 0.005
COPY_WINDOW_NS = 10 * NS_PER_MINUTE
"""Copiers post within minutes; two advisors who independently name the same three prices do not exist."""


@dataclass(frozen=True, slots=True)
class IdeaKey:
    """What two signals must share to be compared; prices in paise.

    ``levels`` holds entry low and high, stop and targets: the fingerprint of a copy.
    """

    signal_id: str
    advisor_id: str
    instrument_key: str
    side: str
    received_ns: int
    entry_low_paise: int | None
    entry_high_paise: int | None
    levels: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Links:
    """Ids of the first post of the same idea; None = this is the first."""

    duplicate_of: str | None
    copied_from: str | None


class IdeaBook:
    """Remembers recent ideas and links later ones to them.

    Parameters
    ----------
    repost_window_ns : int
        How long after the first post another of the same advisor is a repost.
    repost_entry_ratio : float
        How far their entries may lie apart, as a share of the first one's.
    copy_window_ns : int
        How long after it another advisor's equal levels are a copy.
    """

    def __init__(
        self,
        repost_window_ns: int = REPOST_WINDOW_NS,
        repost_entry_ratio: float = REPOST_ENTRY_RATIO,
        copy_window_ns: int = COPY_WINDOW_NS,
    ) -> None:
        self._repost_window_ns = repost_window_ns
        self._repost_entry_ratio = repost_entry_ratio
        self._copy_window_ns = copy_window_ns
        self._firsts: dict[tuple[str, str, str], deque[IdeaKey]] = {}
        self._prints: dict[tuple[object, ...], deque[IdeaKey]] = {}
        self._last_ns = -(2**63)

    def link(self, idea: IdeaKey) -> Links:
        """Compare an idea with those before it, then remember it.

        Raises
        ------
        InvariantViolated
            If ideas do not come in order of receipt.
        """
        self._advance(idea)
        return Links(self._repost(idea), self._copy(idea))

    def recall(self, idea: IdeaKey, *, is_repost: bool) -> None:
        """Remember an idea that was linked before; a repost is never the first of later ones.

        Parameters
        ----------
        is_repost : bool
            What was found then. The idea it repeats may be too old to be here, so it is not asked again.

        Raises
        ------
        InvariantViolated
            If ideas do not come in order of receipt.
        """
        self._advance(idea)
        if not is_repost:
            self._firsts_of(idea).append(idea)
        self._copy(idea)

    def _advance(self, idea: IdeaKey) -> None:
        require(idea.received_ns >= self._last_ns, "ideas must be linked in order of receipt")
        self._last_ns = idea.received_ns

    def _firsts_of(self, idea: IdeaKey) -> deque[IdeaKey]:
        return self._firsts.setdefault((idea.advisor_id, idea.instrument_key, idea.side), deque())

    def _repost(self, idea: IdeaKey) -> str | None:
        firsts = self._firsts_of(idea)
        while firsts and idea.received_ns - firsts[0].received_ns > self._repost_window_ns:
            firsts.popleft()
        for first in firsts:
            if first.signal_id != idea.signal_id and self._near(first, idea):
                return first.signal_id
        firsts.append(idea)
        return None

    def _near(self, first: IdeaKey, later: IdeaKey) -> bool:
        pairs = (
            (first.entry_low_paise, later.entry_low_paise),
            (first.entry_high_paise, later.entry_high_paise),
        )
        for old, new in pairs:
            if (old is None) != (new is None):
                return False
            if old is not None and new is not None and abs(new - old) > self._repost_entry_ratio * old:
                return False
        return True

    def _copy(self, idea: IdeaKey) -> str | None:
        # A bare entry is too little to tell a copy from two people looking at one chart.
        if idea.entry_low_paise is None or idea.levels.count(None) == len(idea.levels) - 2:
            return None
        prints = self._prints.setdefault((idea.instrument_key, idea.side, idea.levels), deque())
        while prints and idea.received_ns - prints[0].received_ns > self._copy_window_ns:
            prints.popleft()
        original = next((other for other in prints if other.advisor_id != idea.advisor_id), None)
        prints.append(idea)
        return None if original is None else original.signal_id

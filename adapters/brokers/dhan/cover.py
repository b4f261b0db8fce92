"""Remembers which orders are not covered: a gap is told only if it lasts, and its end is told, too."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from adapters.brokers.dhan.facts import Filled
from adapters.brokers.dhan.gaps import Gap
from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.ids import derived_id
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind

LOST_NS: Final = 2 * NS_PER_SECOND
"""How long a stop must be missing before it is lost: a list may leave something out once."""

UNFILLED_NS: Final = 10 * NS_PER_SECOND
"""How long a way out may rest at the exchange without filling before it protects nothing."""

AGAIN_NS: Final = 60 * NS_PER_SECOND
"""After how long a gap that stays is told anew."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A gap since when it is seen, and since when it was told last (None = not yet)."""

    gap: Gap | None
    since_ns: int
    told_ns: int | None


class Cover:
    """Turns gaps of one reading after the other into facts whose moments rise."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._facts: list[BrokerUpdate] = []
        self._last_ns = 0

    def remember(self, names: Collection[str], now_ns: int) -> None:
        """Restore the gaps that are journalled, so that their end is told."""
        self._open |= {name: _Open(None, now_ns, now_ns) for name in names}

    @property
    def is_waiting(self) -> bool:
        """Whether a gap stands, so that time alone may make news of it."""
        return bool(self._open)

    def facts(self, seen: Mapping[str, Gap | None], now_ns: int) -> list[BrokerUpdate]:
        """Take in a reading and give every fact so far, oldest first.

        Parameters
        ----------
        seen : mapping of str to Gap or None
            By correlation id what the reading shows of an order, None where it is covered. Of an order that
            is not in it the reading says nothing: its gap stays as it was and only grows older.
        """
        for name, gap in seen.items():
            self._close(name, gap, now_ns)
            if gap is not None:
                self._watch(name, gap, now_ns)
        return list(self._facts)

    def _close(self, name: str, gap: Gap | None, now_ns: int) -> None:
        known = self._open.get(name)
        if known is None or (gap is not None and (known.gap is None or known.gap.what == gap.what)):
            return
        del self._open[name]
        if known.told_ns is not None:
            order_id = known.gap.order_id if known.gap else ""
            self._tell(BrokerUpdateKind.COVERED, name, order_id, 0, 0, now_ns)

    def _watch(self, name: str, gap: Gap, now_ns: int) -> None:
        known = self._open.get(name) or _Open(gap, now_ns, None)
        if known.gap is not None and known.gap.guard != gap.guard:
            # the exchange refused the guard that was due: the next one is told soon, not after a minute
            known = replace(known, since_ns=now_ns)
        if known.told_ns is None or known.told_ns < known.since_ns:
            is_due = now_ns - known.since_ns >= (UNFILLED_NS if gap.is_leaving else LOST_NS)
        else:
            is_due = now_ns - known.told_ns >= AGAIN_NS
        self._open[name] = _Open(gap, known.since_ns, now_ns if is_due else known.told_ns)
        if is_due:
            kind = BrokerUpdateKind.EXCESS if gap.excess else BrokerUpdateKind.NAKED
            self._tell(kind, name, gap.order_id, gap.naked or gap.excess, gap.guard, now_ns)

    def _tell(
        self, kind: BrokerUpdateKind, name: str, order_id: str, units: int, guard: int, now_ns: int
    ) -> None:
        self._last_ns = max(now_ns, self._last_ns + 1)
        update_id = derived_id("dhan-cover", kind.value, name, self._last_ns)
        self._facts.append(
            BrokerUpdate(update_id, kind, name, order_id, 0, units, self._last_ns, guard=guard)
        )


class Lasting:
    """Gives what others closed of our orders once two readings show it that lie some time apart."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, int]] = {}

    def of(self, seen: Mapping[str, Filled], now_ns: int) -> dict[str, Filled]:
        """Take in a reading, by order id, and give the part of it that stands."""
        before = self._since
        self._since = {
            name: before[name]
            if name in before and before[name][0] == filled.quantity
            else (filled.quantity, now_ns)
            for name, filled in seen.items()
        }
        return {
            name: seen[name] for name, (_, since_ns) in self._since.items() if now_ns - since_ns >= LOST_NS
        }

    @property
    def is_waiting(self) -> bool:
        """Whether something was seen that time alone may make a fact."""
        return bool(self._since)

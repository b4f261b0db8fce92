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


RETRY_NS: Final = 5 * NS_PER_SECOND
"""After how long a gap is told anew of which the way out was refused; twice as long with each refusal."""

_EARLY_WAITS_NS: Final = (AGAIN_NS, 5 * AGAIN_NS)
"""After how long what was refused before the session is tried again; then it waits for the session.

Whether the broker takes a stop for the open is its own affair, and every refusal is one of the calls of the
hour, which at the open belong to the ways out of all orders.
"""

_BRISK_TRIES: Final = 3
"""How many ways out one after the other get the time that filling takes; each later one gets twice that."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A gap, when it is to be told next, whether it was told, and how often its way out was refused."""

    gap: Gap | None
    due_ns: int
    is_told: bool
    refusals: int = 0


class Cover:
    """Turns gaps of one reading after the other into facts whose moments rise.

    Parameters
    ----------
    session_ns : int
        When something can be done about them, ns UTC: what stays until then is told anew at that moment.
    """

    def __init__(self, session_ns: int = 0) -> None:
        self._session_ns = session_ns
        self._open: dict[str, _Open] = {}
        self._tries: dict[str, int] = {}
        self._facts: list[BrokerUpdate] = []
        self._last_ns = 0

    def remember(self, names: Collection[str], now_ns: int, told_ns: int) -> None:
        """Restore the gaps that are journalled, so that their end is told, later than ``told_ns``."""
        self._last_ns = max(self._last_ns, told_ns)
        self._open |= {name: _Open(None, now_ns + UNFILLED_NS, is_told=True) for name in names}

    @property
    def is_waiting(self) -> bool:
        """Whether a gap stands, so that time alone may make news of it."""
        return bool(self._open)

    def tried(self, name: str, now_ns: int, *, is_refused: bool) -> None:
        """Tell a gap that stays before its minute is over: the way out that was tried may have done nothing.

        Refused or unfilled again and again it is tried more and more seldom, in the end by the minute: at
        the limit of the day nobody may take it for hours, and the calls of all orders are counted together.
        Refused before the session it is tried three times in all, then when the session begins.
        """
        known = self._open.get(name)
        if known is None:
            return
        refusals = known.refusals + 1 if is_refused else 0
        if is_refused and now_ns < self._session_ns:
            due_ns = self._early_ns(refusals, now_ns)
            self._open[name] = replace(known, due_ns=due_ns, refusals=refusals)
            return
        if is_refused:
            wait_ns = min(AGAIN_NS, RETRY_NS << (refusals - 1))
        else:
            self._tries[name] = self._tries.get(name, 0) + 1
            wait_ns = self._filling_ns(name)
        self._open[name] = replace(known, due_ns=min(known.due_ns, now_ns + wait_ns), refusals=refusals)

    def _early_ns(self, refusals: int, now_ns: int) -> int:
        if refusals > len(_EARLY_WAITS_NS):
            return self._session_ns
        return min(self._session_ns, now_ns + _EARLY_WAITS_NS[refusals - 1])

    def _filling_ns(self, name: str) -> int:
        """Give the time that a way out has to fill; those that were moved since do not begin anew."""
        return min(AGAIN_NS, UNFILLED_NS << max(0, self._tries.get(name, 0) - _BRISK_TRIES))

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
            if gap is None:
                self._tries.pop(name, None)
            else:
                self._watch(name, gap, now_ns)
        return list(self._facts)

    def _close(self, name: str, gap: Gap | None, now_ns: int) -> None:
        known = self._open.get(name)
        if known is None or (gap is not None and (known.gap is None or known.gap.what == gap.what)):
            return
        del self._open[name]
        if known.is_told:
            order_id = known.gap.order_id if known.gap else ""
            self._tell(BrokerUpdate("", BrokerUpdateKind.COVERED, name, order_id, 0, 0, now_ns))

    def _watch(self, name: str, gap: Gap, now_ns: int) -> None:
        known = self._open.get(name)
        if known is None:
            wait_ns = self._filling_ns(name) if gap.is_leaving else LOST_NS
            known = _Open(gap, now_ns + wait_ns, is_told=False)
        elif known.gap is not None and known.gap.guard != gap.guard:
            # another guard is due, since the last one ended: it is told soon, not after a minute
            known = replace(known, due_ns=min(known.due_ns, now_ns + LOST_NS))
        self._open[name] = replace(known, gap=gap)
        if now_ns < known.due_ns:
            return
        again_ns = now_ns + AGAIN_NS
        if now_ns < self._session_ns < again_ns:
            again_ns = self._session_ns
        # refused before the session it is a fresh gap of the session
        is_open = known.due_ns <= self._session_ns <= now_ns
        refusals = 0 if is_open else known.refusals
        self._open[name] = replace(known, gap=gap, due_ns=again_ns, is_told=True, refusals=refusals)
        kind = BrokerUpdateKind.EXCESS if gap.excess else BrokerUpdateKind.NAKED
        units = gap.naked or gap.excess
        self._tell(BrokerUpdate("", kind, name, gap.order_id, 0, units, now_ns, gap.reason, guard=gap.guard))

    def _tell(self, fact: BrokerUpdate) -> None:
        self._last_ns = max(fact.ts_ns, self._last_ns + 1)
        update_id = derived_id("dhan-cover", fact.kind.value, fact.correlation_id, self._last_ns)
        self._facts.append(replace(fact, update_id=update_id, ts_ns=self._last_ns))


class Surpluses:
    """Tells anew what repeats an order of ours as long as it lives, since its end may not have come about."""

    def __init__(self) -> None:
        self._due_ns: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._again: dict[str, BrokerUpdate] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether one lives, so that time alone makes news of it."""
        return bool(self._due_ns)

    def hasten(self, name: str, now_ns: int) -> None:
        """Give what was asked about the orders of a correlation id no more time than a way out has."""
        for order_id, due_ns in self._due_ns.items():
            if self._names[order_id] == name:
                self._due_ns[order_id] = min(due_ns, now_ns + UNFILLED_NS)

    def facts(self, seen: Mapping[str, tuple[BrokerUpdate, bool]], now_ns: int) -> list[BrokerUpdate]:
        """Take in a reading and give the newest fact of each; one that it leaves out has not ended by that.

        Parameters
        ----------
        seen : mapping of str to tuple
            By order id the fact that tells of it, and whether it lives.
        """
        for order_id, (fact, lives) in seen.items():
            if not lives:
                self._due_ns.pop(order_id, None)
                continue
            self._names[order_id] = fact.correlation_id
            if now_ns >= self._due_ns.setdefault(order_id, now_ns + AGAIN_NS):
                self._due_ns[order_id] = now_ns + AGAIN_NS
                update_id = derived_id("dhan-surplus", order_id, now_ns)
                self._again[order_id] = replace(fact, update_id=update_id, ts_ns=now_ns)
        return [self._again.get(order_id, fact) for order_id, (fact, _) in seen.items()]


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

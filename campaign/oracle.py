"""Promises of the order path, checked against what really happened at the broker (docs/reliability.md)."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from campaign.calls import entry_differences, leg_differences
from campaign.disk import Disk
from campaign.fate import Edge
from campaign.followed import unfollowed
from campaign.life import DocumentList
from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.ids import is_ours, split_guard_id
from propdesk.engine.batch import Batch
from propdesk.engine.orders import CHANGES_MAX, open_units_of
from propdesk.engine.recover import Recovered
from propdesk.engine.state import EngineState, LegOrder, LiveGroup
from propdesk.model.command import STOPS, CommandState
from propdesk.model.enums import KillLevel
from propdesk.model.messages import DecisionCode
from propdesk.risk.kill_switch import ACCOUNT_SCOPE, RESET_RULES, Cause, ResetRule, with_wider
from sandbox.book import Order, Position, Role, Super
from sandbox.faults import FaultKind
from sandbox.ledger import Entry
from sandbox.world import World

NAKED_FREE_NS: Final = 2 * NS_PER_SECOND
"""How long anything may be held under no live stop, by the promise, before its seconds are counted."""
NAKED_NS_MAX: Final = 15 * NS_PER_SECOND
"""Longest that a living daemon, with a broker that answers, may leave anything so."""
LEVEL_NS_MAX: Final = 3 * NS_PER_SECOND
"""Longest from the commit of a kill level to the last byte of an entry that was claimed before."""


@dataclass(slots=True)
class Findings:
    """What a schedule came to; everything in ``broken`` is a broken promise."""

    broken: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    naked_unit_s: float = 0.0
    longest_naked_s: float = 0.0
    slowest_recovery_s: float = 0.0

    def breach(self, promise: str, words: str) -> None:
        """Note a broken promise."""
        self.counts[promise] += 1
        self.broken.append(f"{promise}: {words}")


class Oracle:
    """Watches one schedule from outside the daemon.

    Parameters
    ----------
    is_served : callable
        Whether a daemon runs and the broker can be reached: only then nakedness is the daemon's fault.
    """

    def __init__(
        self, world: World, disk: Disk, true_ns: Callable[[], int], is_served: Callable[[], bool]
    ) -> None:
        self.found = Findings()
        self._world = world
        self._disk = disk
        self._true_ns = true_ns
        self._is_served = is_served
        self._seen_ns = true_ns()
        self._naked_ns: dict[str, int] = {}
        self._uncovered: dict[str, int] = {}
        self._placed: Counter[str] = Counter()
        self._extremes: dict[str, tuple[int, int]] = {}
        world.ledger.listeners.append(self._on_truth)
        disk.on_commit.append(self._on_commit)

    # ------------------------------------------------------------- as it goes

    def _on_truth(self, entry: Entry) -> None:
        if entry.what != "ORDER" or entry.detail.get("source") != "API":
            return
        name = str(entry.detail.get("correlation_id"))
        if not is_ours(split_guard_id(name)[0]):
            return
        self._placed[name] += 1
        if self._placed[name] > 1:
            self.found.breach("duplicates", f"order {name} reached the broker {self._placed[name]} times")

    def _on_commit(self, batch: Batch) -> None:
        for answer in batch.answers:
            if answer.state is CommandState.REFUSED:
                self.found.breach("refused commands", answer.text)
        for change in batch.levels:
            rule = RESET_RULES.get(Cause(change.cause), ResetRule.PERSON)
            if not change.is_open and rule is ResetRule.PERSON and change.actor == "engine":
                self.found.breach("kill level regressions", f"{change.cause} was lifted by nobody")

    def on_write(self, method: str, path: str, body: Any, edge: Edge) -> None:
        """Judge a call of the daemon as its bytes leave."""
        self.found.counts["broker writes"] += 1
        if edge.epoch != self._disk.epoch:
            rows = self._disk.intents.values()
            if any(row.epoch == edge.epoch and row.claimed_ns > self._disk.led_since_ns for row in rows):
                self.found.breach("stale-epoch calls", f"{method} {path} by epoch {edge.epoch}")
            else:  # all its claims were good: nothing at the broker can fence what left so late
                self.found.counts["calls of a deposed process"] += 1
        if method == "POST" and path.endswith("/super/orders"):
            self._judge_entry(str(body.get("correlationId", "")), body)
        elif method == "PUT" and "/super/orders/" in path:
            parent = self._world.exchange.supers.get(path.rsplit("/", 1)[1])
            if parent is not None:
                name = parent.entry.correlation_id
                for words in leg_differences(name, method, body, self._disk.intents.values()):
                    self.found.breach("altered calls", f"{name}: {words}")

    def _judge_entry(self, name: str, body: Any) -> None:
        rows = [row for row in self._disk.intents.values() if row.intent.correlation_id == name]
        place = next((row for row in rows if row.intent.is_entry), None)
        if place is None:
            self.found.breach("unexplained entries", f"{name} left without an intent")
            return
        for words in entry_differences(place.intent, body):
            self.found.breach("altered calls", f"{name}: {words}")
        age_ns = self._true_ns() - place.claimed_ns
        if age_ns > LEVEL_NS_MAX:
            words = f"{name} left {age_ns / NS_PER_SECOND:.1f} s after its claim"
            self.found.breach("stale-epoch calls", words)
        for cause, since_ns in self._holds(place.intent.kill_scopes, place.claimed_ns):
            late_ns = self._true_ns() - since_ns
            if since_ns < place.claimed_ns or late_ns > LEVEL_NS_MAX:
                words = f"{name} left {late_ns / NS_PER_SECOND:.1f} s after {cause}"
                self.found.breach("entries under a kill level", words)

    def _holds(self, kill_scopes: Iterable[str], claimed_ns: int) -> Iterable[tuple[str, int]]:
        """Give what forbids an entry, and since when: levels that stand, stops asked and not yet decided.

        A stop that was decided between claim and sending counts too.
        """
        scopes = {ACCOUNT_SCOPE, *with_wider(kill_scopes)}
        for one in self._disk.levels:
            if one.change.scope in scopes and one.change.level.severity >= KillLevel.ENTRIES_BLOCKED.severity:
                yield str(one.change.cause), one.raised_ns
        typed = {scope.upper() for scope in scopes}
        for command in self._disk.commands:
            asked = command.asked
            is_open = command.answered_ns is None or command.answered_ns > claimed_ns
            is_meant = str(asked.arguments.get("scope", ACCOUNT_SCOPE)).upper() in typed
            if asked.kind in STOPS and is_open and is_meant:
                yield f"{asked.kind} was asked", asked.asked_ns

    def on_start(self, recovered: Recovered) -> None:
        """Compare the levels that a start recovers with those that were committed."""
        stored: dict[tuple[str, str], KillLevel] = {}
        for one in self._disk.levels:
            key, level = (one.change.scope, str(one.change.cause)), one.change.level
            stored[key] = max(stored.get(key, level), level, key=lambda known: known.severity)
        causes = recovered.state.levels.causes.values()
        known = {(one.scope, str(one.cause)): one.level for one in causes}
        if stored != known:
            words = f"a start knows {sorted(known.items())}, committed are {sorted(stored.items())}"
            self.found.breach("kill level regressions", words)

    def look(self) -> None:
        """Count what was held without a stop since the last look."""
        now_ns = self._true_ns()
        passed, self._seen_ns = now_ns - self._seen_ns, now_ns
        served = self._is_served()
        for key, units in self._uncovered.items():
            if not units or not served:
                self._naked_ns[key] = 0
                continue
            before = self._naked_ns.get(key, 0)
            self._naked_ns[key] = before + passed
            beyond = max(0, before + passed - max(before, NAKED_FREE_NS))
            self.found.naked_unit_s += units * beyond / NS_PER_SECOND
            lasted = self._naked_ns[key] / NS_PER_SECOND
            self.found.longest_naked_s = max(self.found.longest_naked_s, lasted)
            if before <= NAKED_NS_MAX < before + passed:
                self.found.breach("unprotected", f"{units} of {key} had no stop for {lasted:.0f} s")
        self._uncovered = dict(self._measure())

    def held(self) -> dict[str, int]:
        """Signed units that are the daemon's to close, by key; 0 where everything is closed."""
        return {
            one.listing.price_key: _ours(self._world, one) for one in self._world.exchange.positions.values()
        }

    def _measure(self) -> Iterable[tuple[str, int]]:
        exchange = self._world.exchange
        for position in exchange.positions.values():
            key, net = position.listing.price_key, _ours(self._world, position)
            low, high = self._extremes.get(key, (0, 0))
            meant = position.net + _sold_twice(self._world, key)  # what a broker closes twice turns nothing
            self._extremes[key] = (min(low, meant), max(high, meant))
            covered = sum(_covered(one, key) for one in exchange.supers.values())
            covered += sum(_guarding(one, key, net) for one in exchange.orders.values())
            yield key, max(0, abs(net) - covered)

    # ------------------------------------------------------------- at the end

    def judge(self, state: EngineState | None, documents: DocumentList) -> None:
        """Compare book and broker, and every document with its decision, once everything rests."""
        self._judge_signals(documents)
        self._judge_signs()
        for words in unfollowed(self._disk.batches, self._disk.inbox):
            self.found.breach("lost follow-ups", words)
        if state is None:
            self.found.breach("book differences", "no daemon was up at the end")
            return
        for words in self.differences(state):
            self.found.breach("book differences", words)

    def _judge_signals(self, documents: DocumentList) -> None:
        decided: dict[str, list[DecisionCode]] = {}
        for batch in self._disk.batches:
            for decision in batch.decisions:
                decided.setdefault(decision.signal_id, []).append(decision.code)
        stored = {str(one.row.document["source_message_id"]): one for one in self._disk.inbox}
        for document in documents.documents_so_far:
            row = stored.get(str(document["source_message_id"]))
            if row is None or row.seq is None:
                self.found.breach("lost signals", f"{document['source_message_id']} is in no journal row")
            elif document["kind"] == "SIGNAL" and row.row.source_key not in decided:
                self.found.breach("lost signals", f"{document['source_message_id']} was never decided")
        for codes in decided.values():
            self.found.counts[f"decision {codes[-1].value}"] += 1

    def _judge_signs(self) -> None:
        for key, (low, high) in self._extremes.items():
            if low < 0 < high:
                self.found.breach("reversed positions", f"{key} was held from {low} to {high}")

    def differences(self, state: EngineState) -> list[str]:
        """Compare the book with the broker, order by order and security by security."""
        words: list[str] = []
        held: Counter[str] = Counter()
        oversold: Counter[tuple[str, int]] = Counter()
        for live in state.groups.values():
            key, sign = live.group.instrument_key, live.group.side.sign
            for order in live.orders:
                truth = _truth(self._world, order.correlation_id)
                ours = (order.filled_quantity, order.exited_quantity + order.oversold_units)
                elsewhere = max(0, ours[1] - truth[1])  # by what another order of ours was closed twice
                if ours != (truth[0], truth[1] + elsewhere):
                    words.append(f"{order.correlation_id}: filled, exited {ours} in the book, {truth} there")
                held[key] += sign * (open_units_of(order) + elsewhere - order.oversold_units)
                oversold[key, sign] += order.oversold_units - elsewhere
                words += self._loose_stop(live, order)
            if live.is_closed and any(open_units_of(order) for order in live.orders):
                words.append(f"group {live.group.group_id} is closed and holds something")
        for position in self._world.exchange.positions.values():
            key = position.listing.price_key
            if position.net != held[key]:
                words.append(f"{key}: {held[key]} in the book, {position.net} at the broker")
        words += [
            f"{key}: {-units} units more were closed than left it"
            for (key, _), units in oversold.items()
            if units < 0
        ]
        deployed = state.corpus.deployed_paise
        if deployed and all(live.is_closed for live in state.groups.values()):
            words.append(f"{deployed} paise stay deployed in nothing")
        return words

    def _loose_stop(self, live: LiveGroup, order: LegOrder) -> list[str]:
        """Compare the stop that rests with the one that is wanted."""
        wanted = live.group.legs[order.leg_number - 1].stop_paise
        if not open_units_of(order) or order.exit_wanted is not None or order.changes > CHANGES_MAX:
            return []
        for parent in self._world.exchange.supers.values():
            stop = parent.legs.get(Role.STOP)
            is_this = parent.entry.correlation_id == order.correlation_id and parent.exits is not None
            if is_this and stop is not None and stop.is_live and stop.price_paise != wanted:
                return [f"{order.correlation_id}: the stop rests at {stop.price_paise}, wanted is {wanted}"]
        return []


def _covered(parent: Super, key: str) -> int:
    exits, stop = parent.exits, parent.legs.get(Role.STOP)
    if parent.entry.listing.price_key != key or exits is None or stop is None:
        return 0
    units = exits.quantity - exits.exited_quantity
    return units if stop.is_live and exits.stop_paise is not None else 0


def _guarding(order: Order, key: str, net: int) -> int:
    is_against = order.listing.price_key == key and net * order.side.sign < 0
    rests = order.role is Role.PLAIN or (order.role is not Role.ENTRY and order.triggered > order.filled)
    return order.left if is_against and rests and order.is_live and not order.is_blocked else 0


def _ours(world: World, position: Position) -> int:
    """Give what is the daemon's to close of a position: not what a broker that exits twice has made."""
    if not world.faults.hits[FaultKind.BOTH_EXITS_FILL]:
        return position.net
    without = position.net + _sold_twice(world, position.listing.price_key)
    return min(position.net, without, key=abs)


def _sold_twice(world: World, key: str) -> int:
    """Units, signed as the entries, that the broker closed beyond what its super orders held."""
    found = 0
    for parent in world.exchange.supers.values():
        closed = sum(leg.filled for leg in parent.legs.values())
        if parent.entry.listing.price_key == key and closed > parent.entry.filled:
            found += parent.entry.side.sign * (closed - parent.entry.filled)
    return found


def _truth(world: World, name: str) -> tuple[int, int]:
    """Tell what an order of ours has filled and given back, its guards included."""
    filled = exited = 0
    for fill in world.exchange.fills:
        order = fill.order
        if split_guard_id(order.correlation_id)[0] != name:
            continue
        if order.role is Role.ENTRY:
            filled += fill.quantity
        else:
            exited += fill.quantity
    return filled, exited

"""Counters and times of the process for Prometheus and the heartbeat (§5.10, §8.4)."""

import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from propdesk.engine.batch import Batch
from trading_daemon.measures import Measures

LAPS_MAX: Final = 4_096
"""Ideas and entries on their way that are timed at once; the oldest is forgotten first."""
_BOUNDS_S: Final = (
    0.00015, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0, 10.0,
)  # fmt: skip
_Name = TypeVar("_Name")
_Times = TypeVar("_Times")


class Laps:
    """Times an idea's way from its receipt to its order, stage by stage (§5.10).

    By the process's own monotonic clock: how long something takes is no part of what is decided, and a
    replayed day runs faster than its own time. ``signal_to_order`` is the whole way without waiting for the
    broker's rates; an idea that waits to be armed, or an entry of an earlier life, has none.

    Parameters
    ----------
    registry : CollectorRegistry
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "propdesk_stage_seconds", "Time of each stage from a signal to its order.", ["stage"],
            registry=registry, buckets=_BOUNDS_S,
        )  # fmt: skip
        self._received: OrderedDict[int, tuple[float, float]] = OrderedDict()
        self._entries: OrderedDict[str, tuple[float, float, float]] = OrderedDict()
        self._waited_s = 0.0
        self._measures: Measures | None = None

    def report_to(self, measures: Measures) -> None:
        """Tell these measures each way from now on."""
        self._measures = measures

    @staticmethod
    def now() -> float:
        """Tell the seconds of a clock that never turns back."""
        return time.perf_counter()

    def stored(self, inbox_ids: Iterable[int], begun: float) -> None:
        """Note that documents which came at ``begun`` are in the inbox for good."""
        now = self.now()
        self._observe("inbox", now - begun)
        for inbox_id in inbox_ids:
            _remember(self._received, inbox_id, (begun, now))

    def decided(self, batch: Batch, begun: float, folded: float) -> None:
        """Note that a batch, begun and folded at those times, is committed."""
        now = self.now()
        known = [self._received.pop(i) for i in batch.inbox_ids if i in self._received]
        if not known:
            return
        self._observe("decision_wait", begun - min(stored for _, stored in known))
        self._observe("decision", folded - begun)
        self._observe("journal", now - folded)
        received = min(came for came, _ in known)
        if self._measures is not None:
            self._measures.decided(now - received)
        for intent in batch.intents:
            if intent.is_entry:
                _remember(self._entries, intent.intent_id, (received, now, self._waited_s))

    def held_back(self, begun: float) -> None:
        """Note that whatever waits has waited for the broker's rates since ``begun``."""
        self._waited_s += self.now() - begun

    def taken(self, intent_id: str) -> None:
        """Note that an intent is taken from the queue."""
        if (entry := self._entries.get(intent_id)) is None:
            return
        _, committed, waited_before = entry
        waited = self.now() - committed
        for_rates = min(self._waited_s - waited_before, waited)
        self._observe("rate_token", for_rates)
        self._observe("order_wait", waited - for_rates)

    def claimed(self, begun: float) -> None:
        """Note that an intent's claim, begun at that time, is committed."""
        self._observe("claim", self.now() - begun)

    def leaves(self, intent_id: str) -> None:
        """Note that an intent is handed to the broker's client."""
        if (entry := self._entries.pop(intent_id, None)) is not None:
            received, committed, waited_before = entry
            now = self.now()
            for_rates = min(self._waited_s - waited_before, now - committed)
            way = now - received - for_rates
            self._observe("signal_to_order", way)
            if self._measures is not None:
                self._measures.sent(way)

    def answered(self, begun: float) -> None:
        """Note that the broker has answered a call begun at that time, or failed to."""
        self._observe("broker", self.now() - begun)

    def _observe(self, stage: str, seconds: float) -> None:
        self._seconds.labels(stage).observe(max(seconds, 0.0))


def _remember(kept: "OrderedDict[_Name, _Times]", name: _Name, times: _Times) -> None:
    kept[name] = times
    if len(kept) > LAPS_MAX:
        kept.popitem(last=False)


class RecordMeter:
    """Counts what becomes of recorded minutes.

    Parameters
    ----------
    registry : CollectorRegistry
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._recorded = Counter(
            "propdesk_recorder_minutes", "States of minutes written to the recording.", registry=registry
        )
        self._dropped = Counter(
            "propdesk_recorder_dropped", "Changes of minutes given up unwritten.", registry=registry
        )
        self._failed = Counter("propdesk_recorder_failures", "Writes that failed.", registry=registry)
        self._old = Counter(
            "propdesk_recorder_old_trades", "Quotes that repeat an old trade: no bar.", registry=registry
        )
        self._unknown = Counter(
            "propdesk_recorder_unknown_series", "Wanted series the feed does not know.", registry=registry
        )

    def recorded(self, minutes: int) -> None:
        """Count states of minutes that were written."""
        self._recorded.inc(minutes)

    def dropped(self, minutes: int) -> None:
        """Count changes that were given up unwritten."""
        self._dropped.inc(minutes)

    def failed(self) -> None:
        """Count a write that failed."""
        self._failed.inc()

    def old_trades(self, count: int) -> None:
        """Count quotes whose trade was too old, or too new, for a bar."""
        self._old.inc(count)

    def unknown_series(self, count: int) -> None:
        """Count wanted series that the feed does not know."""
        self._unknown.inc(count)


class Meter:
    """Counts what the decider commits.

    Parameters
    ----------
    registry : CollectorRegistry
        Where the metrics are published from.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.laps = Laps(registry)
        self.recording = RecordMeter(registry)
        self.journal_rows = 0
        self.chain_hash = ""
        self._rows = Counter("propdesk_journal_rows", "Committed journal rows.", registry=registry)
        self._decisions = Counter(
            "propdesk_decisions", "Decisions by reason code.", ["code"], registry=registry
        )
        self._intents = Counter(
            "propdesk_order_intents", "Order intents committed, by kind.", ["kind"], registry=registry
        )
        self._trades = Counter("propdesk_executed_legs", "Legs that ended with a fill.", registry=registry)
        self._clock = Gauge("propdesk_decider_clock_seconds", "Clock of the last batch.", registry=registry)

    def observe(self, batch: Batch) -> None:
        """Count one committed batch."""
        self.journal_rows = batch.seq
        self.chain_hash = batch.chain_hash
        self._rows.inc()
        self._trades.inc(len(batch.trades))
        self._clock.set(batch.now_ns / 1e9)
        for decision in batch.decisions:
            self._decisions.labels(decision.code.value).inc()
        for intent in batch.intents:
            self._intents.labels(intent.kind.value).inc()

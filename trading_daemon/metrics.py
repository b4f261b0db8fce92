"""Counters of the process for Prometheus and the heartbeat (§8.4)."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from propdesk.engine.batch import Batch


class Meter:
    """Counts what the decider commits.

    Parameters
    ----------
    registry : CollectorRegistry
        Where the metrics are published from.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
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

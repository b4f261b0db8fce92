"""The way of an idea from its receipt to its order, timed stage by stage."""

from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from propdesk.engine.batch import Batch
from tests.unit.trading_daemon.tasks.test_order_manager import Broker, Outbox, send
from tests.unit.trading_daemon.test_bus import make_intent
from trading_daemon import metrics
from trading_daemon.metrics import Laps

STAGES = (
    "inbox", "decision_wait", "decision", "journal", "rate_token", "order_wait", "claim", "signal_to_order",
)  # fmt: skip


class Watch:
    """A clock that a test turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 100.0
        self.registry = CollectorRegistry()
        self.laps = Laps(self.registry)
        monkeypatch.setattr(Laps, "now", staticmethod(lambda: self.seconds))

    def after(self, seconds: float) -> float:
        self.seconds += seconds
        return self.seconds

    def total(self, stage: str) -> tuple[float, float]:
        """Number and sum of a stage."""
        names = ("propdesk_stage_seconds_count", "propdesk_stage_seconds_sum")
        count, seconds = (self.registry.get_sample_value(name, {"stage": stage}) for name in names)
        return count or 0.0, round(seconds or 0.0, 6)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def batch(*inbox_ids: int, entries: int = 1) -> Batch:
    intents = [make_intent(number, is_entry=True) for number in range(entries)]
    return cast(Batch, SimpleNamespace(inbox_ids=inbox_ids, intents=intents))


def test_the_stages_add_up_to_the_way_without_the_wait_for_rates(watch: Watch) -> None:
    came = watch.seconds
    watch.after(0.002)
    watch.laps.stored([7], came)
    begun, folded = watch.after(0.003), watch.after(0.001)
    watch.after(0.004)
    watch.laps.decided(batch(7), begun, folded)
    held = watch.seconds
    watch.after(0.5)
    watch.laps.held_back(held)
    watch.after(0.006)
    watch.laps.taken("i0")
    begun = watch.seconds
    watch.after(0.005)
    watch.laps.claimed(begun)
    watch.laps.leaves("i0")
    seconds = {stage: watch.total(stage) for stage in STAGES}
    assert seconds == {
        "inbox": (1, 0.002), "decision_wait": (1, 0.003), "decision": (1, 0.001), "journal": (1, 0.004),
        "rate_token": (1, 0.5), "order_wait": (1, 0.006), "claim": (1, 0.005), "signal_to_order": (1, 0.021),
    }  # fmt: skip


def test_a_wait_that_began_before_the_entry_takes_its_own_part_off(watch: Watch) -> None:
    held = watch.seconds
    came = watch.after(0.3)
    watch.laps.stored([7], came)
    begun = watch.after(0.1)
    watch.laps.decided(batch(7), begun, begun)
    watch.after(0.1)
    watch.laps.held_back(held)
    watch.laps.taken("i0")
    watch.laps.leaves("i0")
    assert watch.total("rate_token") == watch.total("signal_to_order") == (1, 0.1)


def test_what_has_no_receipt_of_this_life_has_no_way(watch: Watch) -> None:
    watch.laps.decided(batch(), watch.seconds, watch.seconds)
    watch.laps.decided(batch(8), watch.seconds, watch.seconds)
    watch.laps.taken("i0")
    watch.laps.leaves("i0")
    assert [watch.total(stage)[0] for stage in STAGES] == [0.0] * len(STAGES)


def test_what_never_leaves_is_forgotten_in_time(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "LAPS_MAX", 2)
    watch.laps.stored([1, 2, 3], watch.seconds)
    watch.laps.decided(batch(1, entries=3), watch.seconds, watch.seconds)
    assert watch.total("decision")[0] == 0.0, "the oldest receipt is forgotten"
    watch.laps.decided(batch(2, 3, entries=3), watch.seconds, watch.seconds)
    for number in range(3):
        watch.laps.leaves(f"i{number}")
    assert watch.total("signal_to_order")[0] == 2.0


async def test_the_order_manager_times_its_part(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.trading_daemon.tasks.test_order_manager.LAPS", watch.laps)
    watch.laps.stored([7], watch.seconds)
    watch.laps.decided(batch(7), watch.seconds, watch.seconds)
    await send(Broker(), Outbox(), make_intent(0, is_entry=True))
    assert [watch.total(stage)[0] for stage in ("order_wait", "claim", "signal_to_order", "broker")] == [
        1.0
    ] * 4

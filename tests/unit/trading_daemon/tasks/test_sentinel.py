import asyncio
from collections.abc import Mapping
from datetime import datetime

import pytest

from propdesk.core.clock import ManualClock
from propdesk.core.errors import PropdeskError
from propdesk.risk.kill_switch import KillLimits, RiskLevels
from tests.unit.trading_daemon.tasks.test_order_manager import Quiet
from trading_daemon.bus import Bus
from trading_daemon.measures import Measures
from trading_daemon.tasks.sentinel import DayChanged, Sentinel


class Lead:
    def __init__(self, *, is_lost: bool = False) -> None:
        self.is_lost = is_lost

    async def verify(self) -> None:
        if self.is_lost:
            raise PropdeskError("lost")


class Sink:
    def __init__(self) -> None:
        self.beats: list[Mapping[str, object]] = []

    async def beat(self, component: str, beat_at: datetime, detail: Mapping[str, object]) -> int:
        self.beats.append(detail)
        return 1

    async def mirror(self, name: str, value: Mapping[str, object], expire_s: int) -> None:
        self.beats.append(value)


def make(bus: Bus, lead: Lead, sink: Sink, **more: object) -> Sentinel:
    clock, measures = ManualClock(1), Measures(KillLimits(), RiskLevels())
    return Sentinel(
        bus,
        lead,
        sink,
        sink,
        clock,
        Quiet(),
        measures,
        describe=lambda: {"rows": 3},
        **more,  # type: ignore[arg-type]
    )


async def test_a_lost_lead_stops_sending_before_the_process_ends() -> None:
    bus, sink = Bus(), Sink()
    with pytest.raises(PropdeskError, match="lost"):
        await make(bus, Lead(is_lost=True), sink).run()
    assert not bus.sending
    assert sink.beats == []


async def test_a_beat_is_stored_and_mirrored() -> None:
    sink = Sink()
    await make(Bus(), Lead(), sink).beat()
    assert [beat["rows"] for beat in sink.beats] == [3, 3]


async def test_a_new_day_ends_the_run() -> None:
    with pytest.raises(DayChanged, match="new trading day"):
        await make(Bus(), Lead(), Sink(), is_current=lambda: False).run()


@pytest.mark.parametrize("seen", [["r1"], ["", "", "r1"]], ids=["before-the-first-look", "later"])
async def test_another_readiness_than_the_day_was_loaded_by_ends_the_run(seen: list[str]) -> None:
    versions = iter(seen)

    async def readiness() -> str:
        return next(versions)

    sentinel = make(Bus(), Lead(), Sink(), readiness=readiness, loaded_readiness="")
    sentinel._rest = _at_once  # type: ignore[method-assign]
    with pytest.raises(DayChanged, match="readiness"):
        await asyncio.wait_for(sentinel.run(), 1)
    assert next(versions, None) is None, "what was loaded is no change"


async def _at_once() -> None:
    await asyncio.sleep(0)

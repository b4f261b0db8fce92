"""What the composition root asks of its connections."""

from contextlib import AsyncExitStack
from datetime import date

import pytest
from prometheus_client import CollectorRegistry

from adapters.settings import Settings
from propdesk.core.clock import ManualClock
from trading_daemon.bootstrap import Bootstrap, ReplayPlan
from trading_daemon.metrics import Meter
from trading_daemon.replay_driver import Timeline

DAY = date(2025, 7, 1)
PLAN = ReplayPlan(Timeline(DAY, (), ""), None)


class Asked(Exception):
    """Ends the start at its first connection."""


@pytest.mark.parametrize(
    ("plan", "broker", "outlives_power"),
    [(None, "paper", True), (PLAN, "paper", False), (PLAN, "dhan", True)],
    ids=["a running day", "a replay on paper", "a replay at a broker who has books of his own"],
)
async def test_only_a_replay_whose_whole_world_is_the_database_may_lose_its_end(
    monkeypatch: pytest.MonkeyPatch, plan: ReplayPlan | None, broker: str, outlives_power: bool
) -> None:
    asked: list[bool] = []

    async def connect(_url: str, _name: str, *, outlives_power: bool = True) -> None:
        asked.append(outlives_power)
        raise Asked

    monkeypatch.setattr("trading_daemon.bootstrap.connect", connect)
    settings = Settings(_env_file=None, postgres_url="postgresql+psycopg://u@127.0.0.1/d", broker=broker)  # type: ignore[arg-type]
    bootstrap = Bootstrap(settings, ManualClock(0), Meter(CollectorRegistry()), None)
    with pytest.raises(Asked):
        await bootstrap.build(DAY, plan, AsyncExitStack())
    assert asked == [outlives_power]

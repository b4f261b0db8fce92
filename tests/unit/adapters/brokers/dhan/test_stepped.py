"""A broker whose time is moved: the books are read where something happened, each fact is told once."""

from typing import cast

import httpx
import pytest

from adapters.brokers.dhan.broker import DhanBroker
from adapters.brokers.dhan.stepped import SandboxClock, SteppedDhan
from propdesk.core.errors import ConfigFault
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind


def fact(number: int) -> BrokerUpdate:
    return BrokerUpdate(f"u{number}", BrokerUpdateKind.ACKNOWLEDGED, f"p{number}", f"{number}", 0, 0, number)


class Books:
    """A broker that has one more fact each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_waiting = False

    async def news(self) -> tuple[BrokerUpdate, ...]:
        self.asked += 1
        return (fact(self.asked),)


class Truth:
    """A sandbox whose truth grows at some moments."""

    def __init__(self, rows: dict[int, int]) -> None:
        self.rows = rows
        self.moments: list[int] = []

    async def advance_to(self, now_ns: int) -> int:
        self.moments.append(now_ns)
        return self.rows[now_ns]


async def test_books_are_read_once_for_each_growth_of_the_truth() -> None:
    books, truth = Books(), Truth({1: 0, 2: 0, 3: 4, 4: 4})
    stepped = SteppedDhan(cast("DhanBroker", books), cast("SandboxClock", truth))
    for moment in (1, 2, 3):
        await stepped.advance_to(moment)
    await stepped.on_bars((), 3)
    await stepped.end_session(4)
    assert truth.moments == [1, 2, 3, 3, 4]
    assert (books.asked, stepped.facts_known) == (2, 2)
    updates = stepped.updates()
    assert [await anext(updates), await anext(updates)] == [fact(1), fact(2)]
    books.is_waiting = True  # time alone may make news
    await stepped.advance_to(4)
    assert stepped.facts_known == 3


def test_no_clock_but_a_sandboxes_on_this_machine_is_moved() -> None:
    with pytest.raises(ConfigFault, match="no sandbox"):
        SandboxClock("https://api.dhan.co/v2")


async def test_the_sandboxes_own_time_counts_where_it_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(self: httpx.AsyncClient, url: str, **_: object) -> httpx.Response:
        return httpx.Response(200, json={"ledger_rows": 3, "now_ns": 50}, request=httpx.Request("POST", url))

    monkeypatch.setattr(httpx.AsyncClient, "post", answer)
    clock = SandboxClock("http://127.0.0.1:7080/v2")
    assert await clock.advance_to(20) == 3
    assert clock.now_ns() == 50
    await clock.close()


@pytest.mark.parametrize("status", [404, 500])
async def test_what_answers_otherwise_is_no_sandbox(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(self: httpx.AsyncClient, url: str, **_: object) -> httpx.Response:
        assert url == "http://127.0.0.1:7080/_control/clock"
        return httpx.Response(
            status, json={"ledger_rows": 1, "now_ns": 1}, request=httpx.Request("POST", url)
        )

    monkeypatch.setattr(httpx.AsyncClient, "post", answer)
    clock = SandboxClock("http://127.0.0.1:7080/v2")
    with pytest.raises(ConfigFault, match="sandbox run"):
        await clock.advance_to(1)
    await clock.close()

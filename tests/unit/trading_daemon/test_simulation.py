"""A simulated desk from day to day."""

from types import SimpleNamespace
from typing import Any

import pytest

from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.sim.books import Book
from tests.support.engine_day import make_context
from trading_daemon.replay_driver import Item, ItemKind, Timeline
from trading_daemon.simulation import SimulationRequest, _Desk, _SharedDay, speakers_of


class _NoPrices:
    def minute_bars(self, *_: object) -> dict[str, Any]:
        return {}


def _idea(**changes: object) -> dict[str, object]:
    return {
        "kind": "SIGNAL",
        "source": "test",
        "source_message_id": "m1",
        "advisor_id": "A01",
        "posted_at": "2025-07-01T10:00:00+05:30",
        "received_at": "2025-07-01T10:00:30+05:30",
        "category": "NSE_EQ",
        "symbol": "TSTA",
        "side": "BUY",
        "entry_type": "MARKET",
        "period": "INTRADAY",
        **changes,
    }


@pytest.mark.parametrize("corpus_paise", [-50_000, -1, 0, 100_000])
def test_a_corpus_is_handed_on_from_day_to_day_even_below_zero(corpus_paise: int) -> None:
    context = make_context()
    day = context.trade_date
    settings: Any = SimpleNamespace(seed=7, corpus_paise=corpus_paise)
    desk = _Desk(Book.EVERYONE, settings, SimulationRequest(day, day))
    opening = Item(ist_midnight_ns(day) + 8 * 60 * NS_PER_MINUTE, ItemKind.OPEN)
    prices: Any = _NoPrices()
    shared: Any = _SharedDay(
        context=context,
        timeline=Timeline(day, (opening,), "hash"),
        prices=prices,
        aliases=None,  # type: ignore[arg-type]
        revisions={},
        rules_of=day,
        rules=lambda _profile: context.ruleset,
        speakers=frozenset(),
        heard=frozenset(),
        keys=(),
    )
    for outcome in (desk.live(shared), desk.live(shared)):
        assert (outcome.opening_paise, outcome.closing_paise) == (corpus_paise, corpus_paise)


def test_speakers_are_the_advisors_of_ideas_that_can_be_read() -> None:
    nobody = {name: value for name, value in _idea().items() if name != "advisor_id"}
    documents = [
        nobody,
        _idea(advisor_id=None),
        _idea(advisor_id="A02", side=""),
        _idea(advisor_id="A02", side="SELL"),
        _idea(advisor_id="A03", kind="FOLLOWUP"),
        _idea(),
    ]
    assert speakers_of(documents) == {"A01", "A02"}

from itertools import permutations

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.model.messages import BarObserved, BrokerUpdate, BrokerUpdateKind, IntentKind
from trading_daemon.bus import Envelope
from trading_daemon.tasks.decider import lockstep_order


def test_what_an_item_led_to_has_one_order_whoever_said_it_first() -> None:
    bar = Envelope((BarObserved("A", 0, NS_PER_MINUTE, 1, 1, 1, 1, 1),))
    fact = Envelope((BrokerUpdate("f", BrokerUpdateKind.ACKNOWLEDGED, "c1", "b1", 0, 0, 1),))
    refused = [
        Envelope(
            (
                BrokerUpdate(
                    f"{name}|REJECTED",
                    BrokerUpdateKind.REJECTED,
                    name,
                    "",
                    0,
                    0,
                    1,
                    answers=IntentKind.PLACE,
                ),
            )
        )
        for name in ("i1", "i2")
    ]
    expected = [bar, fact, *refused]
    for mixed in permutations(expected):
        assert sorted(mixed, key=lockstep_order) == expected


def test_facts_keep_the_order_the_broker_made_them_in() -> None:
    kinds = (BrokerUpdateKind.ENTRY_FILLED, BrokerUpdateKind.ACKNOWLEDGED)
    facts = [Envelope((BrokerUpdate(kind.value, kind, "c1", "b1", 0, 0, 1),)) for kind in kinds]
    unreadable = Envelope((), (7,))
    assert sorted([*facts, unreadable], key=lockstep_order) == [*facts, unreadable]

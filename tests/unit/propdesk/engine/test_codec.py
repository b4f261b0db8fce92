"""What is stored stays readable, and the same byte for byte, when a message learns to say more."""

import json
from dataclasses import replace
from typing import Any

import pytest

from propdesk.engine import codec
from propdesk.engine.state import LegOrder
from propdesk.model.enums import Side
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, ConnectionChanged, IntentKind, OrderIntent

UPDATE = BrokerUpdate("u", BrokerUpdateKind.ACKNOWLEDGED, "p", "b", 0, 0, 1)
CHANGED = ConnectionChanged("orders", True, 1)
ORDER = LegOrder("p", 1, 1, 10)
EXIT = OrderIntent(
    "i", IntentKind.EXIT, "p", "g", 1, "NSE_EQ:TCS", Side.BUY, 10, "LIMIT", None, None, None, None, None,
    0, 1, None, False, 0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("message", "stored"),
    [
        (
            UPDATE,
            '{"ambiguous":false,"answers":null,"broker_order_id":"b","correlation_id":"p","kind":"ACKNOWLEDGED",'
            '"price_paise":0,"quantity":0,"reason":"","ts_ns":1,"type":"BrokerUpdate","update_id":"u"}',
        ),
        (CHANGED, '{"connected":true,"name":"orders","ts_ns":1,"type":"ConnectionChanged"}'),
        (
            ORDER,
            '{"broker_order_id":"","cancel_wanted":false,"correlation_id":"p","exit_wanted":null,'
            '"exited_notional_paise":0,"exited_quantity":0,"filled_notional_paise":0,"filled_quantity":0,'
            '"intents":0,"leg_number":1,"priced_quantity":0,"quantity":10,"refusals":0,"slice_number":1,'
            '"state":"PREPARED","type":"LegOrder","wanted_stop_paise":null,"wanted_target_paise":null}',
        ),
    ],
)
def test_an_added_field_leaves_what_was_stored_without_it_alone(message: Any, stored: str) -> None:
    assert codec.encode(message).decode() == stored
    assert codec.decode(type(message), stored.encode()) == message


@pytest.mark.parametrize(
    "message",
    [
        replace(UPDATE, notional_paise=0, guard=2),
        replace(CHANGED, reason="IP"),
        replace(ORDER, naked_units=5, cover_ns=3, guard_due=2, guard_asked=1, doubt_fact="u", changes=4),
        replace(EXIT, guard=1),
    ],
)
def test_an_added_field_is_stored_where_it_says_something(message: Any) -> None:
    assert codec.decode(type(message), codec.encode(message)) == message
    assert codec.encode(message) != codec.encode(replace(message, **_defaults(message)))


def _defaults(message: Any) -> dict[str, Any]:
    empty = {type(one): one for one in (UPDATE, CHANGED, ORDER, EXIT)}[type(message)]
    return {name: getattr(empty, name) for name in message.__dataclass_fields__}


def test_every_other_field_is_required() -> None:
    plain = json.loads(codec.encode(UPDATE))
    del plain["reason"]
    with pytest.raises(codec.SchemaFault, match="lacks reason"):
        codec.decode(BrokerUpdate, json.dumps(plain).encode())

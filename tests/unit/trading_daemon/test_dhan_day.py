from dataclasses import replace

from propdesk.engine.step import carry_over
from propdesk.model.enums import Side
from tests.unit.propdesk.engine.test_protection import filled
from trading_daemon.dhan_day import open_orders


def test_what_a_day_left_open_is_named_with_what_it_closed_already() -> None:
    day = filled()
    (live,) = day.state.groups.values()
    first, second = live.orders
    partly = replace(first, exited_quantity=1, exited_notional_paise=10_150, broker_order_id="77")
    flat = replace(second, exited_quantity=second.filled_quantity)
    changed = replace(live, orders=(partly, flat))
    carried = carry_over(replace(day.state, groups={live.group.group_id: changed}))
    (order,) = open_orders(carried)
    assert (order.correlation_id, order.order_id) == (first.correlation_id, "77")
    assert (order.side, order.product) == (Side.BUY, live.product)
    assert (order.filled, order.exited, order.exited_paise) == (first.filled_quantity, 1, 10_150)
    shadow = carry_over(replace(day.state, groups={live.group.group_id: replace(changed, is_shadow=True)}))
    assert open_orders(shadow) == ()

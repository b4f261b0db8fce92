from dataclasses import replace
from typing import Any

from adapters.brokers.dhan import Remembered, WantedExit
from propdesk.engine.recover import Recovered
from propdesk.engine.step import carry_over
from propdesk.model.enums import ExitReason, Side
from tests.unit.propdesk.engine.test_protection import filled
from trading_daemon.dhan_day import StateSheet, open_orders


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


def test_a_restart_tells_the_broker_what_the_journal_says_of_its_orders() -> None:
    day = filled()
    (live,) = day.state.groups.values()
    first, second = live.orders
    known = replace(
        first,
        broker_order_id="77",
        exit_wanted=ExitReason.SQUARE_OFF,
        naked_units=5,
        guard_asked=2,
        cover_ns=9,
    )
    unknown = replace(second, broker_order_id="", doubt_fact="u")
    state = replace(
        day.state, groups={live.group.group_id: replace(live, orders=(known, unknown))}, doubt_fact="a"
    )
    nothing: Any = None
    sheet = StateSheet(Recovered(state, 1, 0, "", ""), nothing, nothing, 0)
    wanted = WantedExit(ExitReason.SQUARE_OFF, first.wanted_target_paise, first.wanted_stop_paise)
    assert sheet.remembered() == Remembered(
        exiting={first.correlation_id: wanted},
        in_doubt={second.correlation_id: "u", "": "a"},
        uncovered=frozenset({first.correlation_id}),
        guards={first.correlation_id: 2},
        cover_ns=9,
        order_ids={first.correlation_id: "77"},
    )

"""Paper broker: fills as the history says, its own truth, honest about repeats."""

import json
from typing import Any

import pytest

from propdesk.core.errors import Rejected
from propdesk.model.enums import EntryType, ExitReason, Side
from propdesk.model.messages import BrokerUpdate, BrokerUpdateKind, IntentKind, OrderIntent
from propdesk.sim.broker import SimBroker
from propdesk.sim.fills import FillModel, is_marketable
from tests.support.engine_day import at, flat_bar, make_bar

KEY = "NSE_EQ:ALPHA"


def intent(kind: IntentKind = IntentKind.PLACE, **changes: Any) -> OrderIntent:
    values: dict[str, Any] = {
        "intent_id": f"{kind}-{changes.get('created_ns', 0)}",
        "kind": kind,
        "correlation_id": "c1",
        "group_id": "g1",
        "leg_number": 1,
        "instrument_key": KEY,
        "side": Side.BUY,
        "quantity": 40,
        "entry_type": EntryType.LIMIT.value,
        "price_low_paise": 10_000,
        "price_high_paise": 10_000,
        "stop_paise": 9_800,
        "target_paise": 10_200,
        "first_target_paise": 10_200,
        "active_from_ns": at(600),
        "valid_until_ns": at(910),
        "reason": None,
        "is_entry": True,
        "created_ns": at(600),
    }
    return OrderIntent(**{**values, **changes})


def kinds(updates: tuple[BrokerUpdate, ...]) -> list[str]:
    return [u.kind.value for u in updates]


def filled(fills: FillModel | None = None, **changes: Any) -> SimBroker:
    broker = SimBroker(fills, {KEY: 10})
    broker.place(intent(**changes))
    broker.on_bars([make_bar(600, 10_050, 10_060, 9_990, 10_020)])
    return broker


def test_entry_target_and_position() -> None:
    broker = SimBroker()
    ack, updates = broker.place(intent())
    assert (kinds(updates), ack.correlation_id) == (["ACKNOWLEDGED"], "c1")
    (entry,) = broker.on_bars([make_bar(600, 10_050, 10_060, 9_990, 10_020)])
    assert (entry.kind, entry.price_paise, entry.quantity, entry.ts_ns) == (
        BrokerUpdateKind.ENTRY_FILLED,
        10_000,
        40,
        at(600),
    )
    assert (broker.positions(), broker.unprotected()) == ({KEY: 40}, ())
    (target,) = broker.on_bars([make_bar(601, 10_020, 10_250, 10_010, 10_240)])
    assert (target.kind, target.price_paise) == (BrokerUpdateKind.TARGET_FILLED, 10_200)
    assert broker.positions() == {}


def test_the_same_bar_twice_acts_once() -> None:
    broker = filled()
    assert broker.on_bars([make_bar(600, 9_700, 9_700, 9_700, 9_700)]) == ()


def test_a_moved_stop_acts_from_the_next_bar_on() -> None:
    broker = filled()
    broker.modify(intent(IntentKind.MODIFY_STOP, stop_paise=10_000))
    (stop,) = broker.on_bars([make_bar(601, 10_050, 10_060, 9_995, 10_000)])
    assert (stop.kind, stop.price_paise) == (BrokerUpdateKind.STOP_FILLED, 10_000)


def test_an_exit_fills_at_the_open_of_the_first_bar_that_starts_after_it() -> None:
    broker = filled()
    broker.exit(intent(IntentKind.EXIT, created_ns=at(601, 10), reason=ExitReason.SQUARE_OFF))
    assert broker.on_bars([flat_bar(601, 10_100)]) == ()
    (out,) = broker.on_bars([make_bar(602, 10_050, 10_250, 9_700, 10_000)])
    assert (out.kind, out.price_paise, out.reason) == (BrokerUpdateKind.EXIT_FILLED, 10_050, "SQUARE_OFF")


def test_part_exits_tell_cumulative_quantities() -> None:
    broker = filled()
    broker.exit(intent(IntentKind.EXIT, quantity=10, created_ns=at(601)))
    (first,) = broker.on_bars([flat_bar(601, 10_100)])
    broker.exit(intent(IntentKind.EXIT, quantity=99, created_ns=at(602)))
    (second,) = broker.on_bars([flat_bar(602, 10_020)])
    assert (first.quantity, first.price_paise) == (10, 10_100)
    assert (second.quantity, second.price_paise) == (40, 10_040)
    assert broker.positions() == {}


def test_an_exit_without_another_bar_fills_at_the_last_close() -> None:
    broker = filled()
    broker.exit(intent(IntentKind.EXIT, created_ns=at(929)))
    (out,) = broker.end_session(at(930))
    assert out.price_paise == 10_020


def test_unfilled_entries_lapse_and_dead_orders_refuse() -> None:
    broker = SimBroker()
    broker.place(intent())
    assert kinds(broker.end_session(at(930))) == ["CANCELLED"]
    with pytest.raises(Rejected):
        broker.cancel(intent(IntentKind.CANCEL_ENTRY))


def test_a_repeated_correlation_id_rests_twice() -> None:
    broker = SimBroker()
    first, _ = broker.place(intent())
    second, _ = broker.place(intent())
    assert first.broker_order_id != second.broker_order_id
    broker.on_bars([flat_bar(600, 9_990)])
    assert broker.positions() == {KEY: 80}


def test_facts_have_their_own_ids_and_the_snapshot_repeats_them_all() -> None:
    broker = SimBroker()
    _, told = broker.place(intent())
    told += broker.on_bars([flat_bar(600, 9_990)])
    told += broker.modify(intent(IntentKind.MODIFY_STOP, stop_paise=9_900))[1]
    told += broker.on_bars([flat_bar(601, 9_890)])
    assert broker.snapshot() == told
    assert len({u.update_id for u in told}) == len(told) == 4


def test_state_survives_json() -> None:
    broker = filled()
    broker.exit(intent(IntentKind.EXIT, created_ns=at(601, 10)))
    text = json.dumps(broker.export_state(), sort_keys=True)
    revived = SimBroker(lot_sizes={KEY: 10})
    revived.import_state(json.loads(text))
    assert json.dumps(revived.export_state(), sort_keys=True) == text
    assert revived.on_bars([flat_bar(602, 10_000)]) == broker.on_bars([flat_bar(602, 10_000)])


def test_partial_fills_keep_the_rest_waiting_for_its_cancel() -> None:
    broker = filled(FillModel(seed=1, partial_share=1.0))
    assert broker.positions() == {KEY: 20}
    _, told = broker.cancel(intent(IntentKind.CANCEL_ENTRY))
    assert kinds(told) == ["CANCELLED"]
    assert broker.positions() == {KEY: 20}


def test_slippage_hurts_and_spares_limit_fills() -> None:
    model = FillModel(seed=1, slippage_ratio=0.01)
    assert (
        model.slipped("c1", "exit", 10_000, Side.SELL)
        < 10_000
        <= model.slipped("c1", "entry", 10_000, Side.BUY)
    )
    facts = filled(model).snapshot()
    assert facts[-1].price_paise == 10_000
    stopped = filled(model)
    (stop,) = stopped.on_bars([flat_bar(601, 9_790)])
    assert 9_790 * 0.99 <= stop.price_paise < 9_790
    assert [is_marketable(t) for t in EntryType] == [False, True, True, False]


def test_rejections_are_drawn_by_name_and_seed() -> None:
    model = FillModel(seed=1, reject_share=0.5)
    drawn = [model.is_rejected(f"c{n}") for n in range(200)]
    assert 60 < sum(drawn) < 140
    assert drawn == [FillModel(seed=1, reject_share=0.5).is_rejected(f"c{n}") for n in range(200)]
    with pytest.raises(Rejected):
        SimBroker(FillModel(reject_share=1.0)).place(intent())

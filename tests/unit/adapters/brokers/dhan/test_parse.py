from datetime import date
from typing import Any

import pytest

from adapters.brokers.dhan import parse
from adapters.brokers.dhan.faults import Refusal, RefusalKind
from adapters.brokers.dhan.model import LegName, OrderStatus
from adapters.brokers.dhan.transport import parse_json
from propdesk.core.errors import OutcomeUnknown, SchemaFault
from propdesk.model.enums import OptionType, Side

RECORDED_ROW: dict[str, Any] = {
    "dhanClientId": "1000000001",
    "orderId": "112111182198",
    "exchangeOrderId": "0",
    "correlationId": "NA",
    "orderStatus": "PENDING",
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "productType": "INTRADAY",
    "orderType": "LIMIT",
    "validity": "DAY",
    "tradingSymbol": "TCS",
    "securityId": "11536",
    "quantity": 5,
    "price": 3345.8,
    "triggerPrice": 0.0,
    "legName": "NA",
    "createTime": "2025-01-15 10:00:01",
    "updateTime": "2025-01-15 10:00:02",
    "exchangeTime": "0001-01-01 00:00:00",
    "drvExpiryDate": "0001-01-01",
    "omsErrorCode": "0",
    "algoId": "0",
    "aFieldOfTomorrow": {"x": 1},
}
SUPER_ROW: dict[str, Any] = {
    **RECORDED_ROW,
    "correlationId": "pABCAAAAAAAAAAAAAAAA",
    "orderStatus": "TRADED",
    "legName": "ENTRY_LEG",
    "remainingQuantity": 0,
    "filledQty": 5,
    "averageTradedPrice": "3345.85",
    "ltp": 3350.05,
    "legDetails": [
        {
            "orderId": "112111182198",
            "legName": "STOP_LOSS_LEG",
            "transactionType": "SELL",
            "totalQuatity": 5,
            "remainingQuantity": 5,
            "triggeredQuantity": 0,
            "price": 3300.0,
            "orderStatus": "PENDING",
            "trailingJump": 0.0,
        },
        {
            "orderId": "112111182198",
            "legName": "TARGET_LEG",
            "transactionType": "SELL",
            "remainingQuantity": 5,
            "triggeredQuantity": 0,
            "price": 3400.0,
            "orderStatus": "TRIGGERED",
        },
    ],
}


def test_a_recorded_row_is_read_with_its_sentinels_as_nothing() -> None:
    row = parse.order_row(RECORDED_ROW)
    assert (row.correlation_id, row.algo_id, row.leg) == ("", "", LegName.NONE)
    assert (row.price_paise, row.filled_quantity, row.remaining_quantity) == (334_580, 0, 5)
    assert row.created_ns == 1_736_915_401_000_000_000
    assert row.side is Side.BUY


@pytest.mark.parametrize(("value", "paise"), [("1.15", 115), ("3345.805", 334_581), (0.05, 5), (7, 700)])
def test_prices_become_paise_without_a_binary_float(value: object, paise: int) -> None:
    body = parse_json(f'{{"price": {value}}}')
    assert parse.paise(body, "price") == paise


@pytest.mark.parametrize("word", ["MODIFIED", "", None, "LAPSED", "TRADED!", "CANCELED"])
def test_a_word_we_do_not_know_never_ends_an_order(word: object) -> None:
    status = parse.order_row({**RECORDED_ROW, "orderStatus": word}).status
    assert status is OrderStatus.UNKNOWN
    assert not status.is_dead


@pytest.mark.parametrize("status", [OrderStatus.TRANSIT, OrderStatus.CLOSED, OrderStatus.TRIGGERED])
def test_transit_closed_and_triggered_end_nothing(status: OrderStatus) -> None:
    assert not status.is_dead


def test_a_super_order_reads_leg_quantities_whatever_their_spelling() -> None:
    row = parse.super_order_row(SUPER_ROW)
    stop, target = row.leg(LegName.STOP), row.leg(LegName.TARGET)
    assert stop is not None
    assert target is not None
    assert (stop.quantity, stop.price_paise) == (5, 330_000)
    assert (target.quantity, target.status) == (5, OrderStatus.TRIGGERED)
    assert len(row.legs) == 2
    assert row.last_price_paise == 335_005
    correct = {**SUPER_ROW, "legDetails": [{"legName": "STOP_LOSS_LEG", "totalQuantity": 4}]}
    assert parse.super_order_row(correct).legs[0].quantity == 4
    bare = {**SUPER_ROW, "legDetails": [{"legName": "STOP_LOSS_LEG"}]}
    assert parse.super_order_row(bare).legs[0].quantity == 5
    for strange in ({"legName": "LEG_OF_TOMORROW", "price": 1}, {}, "leg"):
        with pytest.raises(SchemaFault, match="without a name"):
            parse.super_order_row({**SUPER_ROW, "legDetails": [*SUPER_ROW["legDetails"], strange]})


def test_an_order_id_makes_a_write_accepted_and_its_absence_unknown() -> None:
    assert parse.placed({"orderId": 17, "orderStatus": "TRANSIT"}).order_id == "17"
    assert parse.placed([{"orderId": "17", "orderStatus": "TRANSIT"}]).status is OrderStatus.TRANSIT
    for body in ({"orderStatus": "TRANSIT"}, {}, [], None, "ok"):
        with pytest.raises(OutcomeUnknown):
            parse.placed(body)
    with pytest.raises(Refusal) as refused:
        parse.placed({"orderId": "1", "orderStatus": "REJECTED", "omsErrorDescription": "margin shortfall"})
    assert refused.value.kind is RefusalKind.MARGIN


@pytest.mark.parametrize(("body", "count"), [([], 0), ({}, 0), (RECORDED_ROW, 1), ([RECORDED_ROW], 1)])
def test_one_object_and_an_array_of_it_are_the_same(body: Any, count: int) -> None:
    assert len(parse.rows_of(body, "book")) == count


@pytest.mark.parametrize("body", [None, "text", 3, [1, 2], [[]]])
def test_an_unreadable_list_never_passes_for_an_empty_one(body: Any) -> None:
    with pytest.raises(SchemaFault):
        parse.rows_of(body, "book")


def test_a_list_with_an_unreadable_row_is_refused_whole() -> None:
    rows = [RECORDED_ROW, {**RECORDED_ROW, "transactionType": "?"}]
    with pytest.raises(SchemaFault, match="order book"):
        parse.listing(rows, parse.order_row, "order book").whole()


ALERT = {
    "orderNo": "17",
    "status": "Traded",
    "txnType": "B",
    "tradedQty": 5,
    "quantity": 5,
    "avgTradedPrice": 101.05,
    "legNo": 3,
    "algoOrdNo": "16",
    "lastUpdatedTime": "2025-01-15 10:00:02",
}


def test_alerts_are_read_in_camel_and_pascal_case_and_other_messages_ignored() -> None:
    camel = parse.order_alert({"Type": "order_alert", "Data": ALERT})
    pascal = {key[0].upper() + key[1:]: value for key, value in ALERT.items()}
    assert camel == parse.order_alert({"type": "order_alert", "data": pascal})
    assert camel is not None
    assert (camel.status, camel.leg, camel.parent_order_id) == (OrderStatus.TRADED, LegName.TARGET, "16")
    assert parse.order_alert({"Type": "login_ok"}) is None
    assert parse.order_alert([1]) is None
    with pytest.raises(SchemaFault):
        parse.order_alert({"Type": "order_alert", "Data": {"status": "Traded"}})


def test_funds_with_their_misspelt_name_and_without_any_balance() -> None:
    funds = parse.funds({"availabelBalance": 98_440.5, "collateralAmount": 440.5, "utilizedAmount": 1})
    assert (funds.available_paise, funds.cash_paise) == (9_844_050, 9_800_000)
    with pytest.raises(SchemaFault):
        parse.funds({"sodLimit": 1})


@pytest.mark.parametrize("name", ["totalMargin", "total_margin"])
def test_margins_in_either_case(name: str) -> None:
    assert parse.margin({name: "1234.5", "leverage": "4.00"}).total_paise == 123_450
    with pytest.raises(SchemaFault):
        parse.margin({"leverage": "4.00"})


def test_candles_are_parallel_arrays_and_an_empty_window_is_no_candle() -> None:
    body = {"open": [1.5], "high": [2], "low": ["1.25"], "close": [1.75], "volume": [10], "timestamp": [60]}
    bar = parse.candles(body)[0]
    assert (bar.start_ns, bar.open_paise, bar.low_paise, bar.volume) == (60_000_000_000, 150, 125, 10)
    assert parse.candles({"open": [], "high": [], "low": [], "close": [], "timestamp": []}) == []
    with pytest.raises(SchemaFault):
        parse.candles({**body, "close": []})


def test_an_option_chain_is_ordered_by_strike_with_the_call_first() -> None:
    side = {"last_price": 10.5, "greeks": {"delta": 0.5}, "oi": 7, "security_id": 49_081}
    body = {
        "data": {"last_price": 25_000.5, "oc": {"25100.000000": {"pe": side}, "9900.000000": {"ce": side}}}
    }
    chain = parse.option_chain(body, date(2025, 1, 30))
    assert [(s.strike_paise, s.option_type) for s in chain.sides] == [
        (990_000, OptionType.CE),
        (2_510_000, OptionType.PE),
    ]
    assert (chain.sides[0].security_id, chain.sides[0].delta) == ("49081", 0.5)


@pytest.mark.parametrize("value", ["0001-01-01 00:00:00", "01/01/1980 00:00:00", "NA", None, "", "nonsense"])
def test_dhans_words_for_never_are_no_moment(value: object) -> None:
    assert parse.moment_ns(value) is None

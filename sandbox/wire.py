"""Dhan's JSON, written independently of the adapter so that a misreading shows."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from propdesk.core.clock import from_ns
from propdesk.model.enums import Side
from sandbox.book import Fill, Order, Position, Role, Status, Super, average
from sandbox.knobs import Knobs

_IST: Final = timedelta(hours=5, minutes=30)
_PRODUCT_LETTERS: Final = {"CNC": "C", "INTRADAY": "I", "MARGIN": "M", "MTF": "F"}
_LEG_NUMBERS: Final = {Role.PLAIN: 1, Role.ENTRY: 1, Role.STOP: 2, Role.TARGET: 3}
_NEVER: Final = "0001-01-01 00:00:00"


def clock_text(ns: int) -> str:
    """Show a moment as Dhan does: IST without zone."""
    return (from_ns(ns) + _IST).strftime("%Y-%m-%d %H:%M:%S")


def rupees(paise: int) -> float:
    """Give paise as a JSON number of rupees."""
    return paise / 100


def order_row(order: Order, knobs: Knobs) -> dict[str, Any]:
    """Write a row of ``/orders``."""
    observed = knobs.shapes == "observed"
    nothing = "NA" if observed else None
    own = order.listing.instrument
    expiry = own.expiry if own else None
    option = {"CE": "CALL", "PE": "PUT"}.get(own.option_type.value) if own and own.option_type else None
    return {
        "dhanClientId": knobs.client_id,
        "orderId": order.order_id,
        "exchangeOrderId": order.exchange_id if observed or order.exchange_id != "0" else None,
        "correlationId": order.correlation_id or nothing,
        "orderStatus": _book_status(order),
        "transactionType": order.side.value,
        "exchangeSegment": order.listing.segment,
        "productType": order.product,
        "orderType": _order_type(order),
        "validity": order.validity,
        "tradingSymbol": order.listing.symbol,
        "securityId": order.listing.security_id,
        "quantity": order.quantity,
        "disclosedQuantity": 0,
        "price": rupees(order.price_paise),
        "triggerPrice": rupees(order.trigger_paise),
        "afterMarketOrder": order.is_after_market,
        "boProfitValue": 0.0,
        "boStopLossValue": 0.0,
        "legName": order.role.value if observed or order.role is not Role.PLAIN else None,
        "createTime": clock_text(order.created_ns),
        "updateTime": clock_text(order.updated_ns),
        "exchangeTime": clock_text(order.updated_ns) if order.exchange_id != "0" else _NEVER,
        "drvExpiryDate": expiry.isoformat() if expiry else "0001-01-01" if observed else None,
        "drvOptionType": option or nothing,
        "drvStrikePrice": rupees(own.strike_paise or 0) if own else 0.0,
        "omsErrorCode": "0" if observed else None,
        "omsErrorDescription": order.reason or "CONFIRMED",
        "algoId": "0" if observed else None,
        "remainingQuantity": order.left,
        "averageTradedPrice": rupees(order.average_paise),
        "filledQty": order.filled,
    }


def _book_status(order: Order) -> str:
    """Give the state in the order book, where a closed super order's entry is simply traded."""
    if order.status is Status.CLOSED:
        return Status.TRADED.value
    return order.status.value


def _order_type(order: Order) -> str:
    if order.role is Role.STOP and order.trigger_paise:
        return "STOP_LOSS"
    if order.role is Role.PLAIN and order.trigger_paise:
        return "STOP_LOSS"
    return "LIMIT" if order.order_type == "MARKET_PROTECTED" else order.order_type


def super_row(parent: Super, knobs: Knobs, last_paise: int) -> dict[str, Any]:
    """Write a row of ``/super/orders``; every leg carries the parent's order id, as in Dhan's sample."""
    entry = parent.entry
    row = order_row(entry, knobs)
    for name in ("disclosedQuantity", "triggerPrice", "boProfitValue", "boStopLossValue", "algoId"):
        del row[name]
    row |= {
        "orderStatus": entry.status.value,
        "legName": Role.ENTRY.value,
        "ltp": rupees(last_paise),
        "legDetails": [_leg_row(parent, leg) for leg in parent.legs.values()],
    }
    return row


def _leg_row(parent: Super, leg: Order) -> dict[str, Any]:
    guarded = leg.quantity if parent.entry.filled else 0
    status = leg.status
    if leg.triggered and status in (Status.TRADED, Status.PART_TRADED, Status.PENDING):
        status = Status.TRIGGERED
    row: dict[str, Any] = {
        "orderId": parent.entry.order_id,
        "legName": leg.role.value,
        "transactionType": leg.side.value,
        "remainingQuantity": max(0, guarded - leg.triggered),
        "triggeredQuantity": leg.triggered,
        "price": rupees(leg.price_paise),
        "orderStatus": status.value,
        "trailingJump": rupees(parent.trailing_paise) if leg.role is Role.STOP else 0.0,
    }
    if leg.role is Role.STOP:
        row["totalQuatity"] = guarded
    return row


def trade_row(fill: Fill, knobs: Knobs) -> dict[str, Any]:
    """Write a row of ``/trades``."""
    base = order_row(fill.order, knobs)
    names = (
        "dhanClientId",
        "orderId",
        "exchangeOrderId",
        "transactionType",
        "exchangeSegment",
        "productType",
        "orderType",
        "tradingSymbol",
        "securityId",
        "createTime",
        "updateTime",
        "drvExpiryDate",
        "drvOptionType",
        "drvStrikePrice",
    )
    return {
        **{name: base[name] for name in names},
        "exchangeTradeId": fill.trade_id,
        "tradedQuantity": fill.quantity,
        "tradedPrice": rupees(fill.price_paise),
        "exchangeTime": clock_text(fill.at_ns),
    }


def position_row(position: Position, knobs: Knobs, last_paise: int) -> dict[str, Any]:
    """Write a row of ``/positions``."""
    net = position.net
    own = position.listing.instrument
    bought, sold = position.bought, position.sold
    cost = average(position.buy_notional, bought) if net >= 0 else average(position.sell_notional, sold)
    return {
        "dhanClientId": knobs.client_id,
        "tradingSymbol": position.listing.symbol,
        "securityId": position.listing.security_id,
        "positionType": "LONG" if net > 0 else "SHORT" if net < 0 else "CLOSED",
        "exchangeSegment": position.listing.segment,
        "productType": position.product,
        "buyAvg": average(position.buy_notional, bought),
        "buyQty": bought,
        "costPrice": cost,
        "sellAvg": average(position.sell_notional, sold),
        "sellQty": sold,
        "netQty": net,
        "realizedProfit": rupees(position.realised_paise),
        "unrealizedProfit": rupees(position.unrealised_paise(last_paise)),
        "rbiReferenceRate": 1.0,
        "multiplier": 1,
        "carryForwardBuyQty": 0,
        "carryForwardSellQty": 0,
        "carryForwardBuyValue": 0.0,
        "carryForwardSellValue": 0.0,
        "dayBuyQty": bought,
        "daySellQty": sold,
        "dayBuyValue": rupees(position.buy_notional),
        "daySellValue": rupees(position.sell_notional),
        "drvExpiryDate": own.expiry.isoformat() if own and own.expiry else "0001-01-01",
        "drvOptionType": None,
        "drvStrikePrice": rupees(own.strike_paise or 0) if own else 0.0,
        "crossCurrency": False,
    }


def alert(order: Order, knobs: Knobs, last_paise: int) -> dict[str, Any]:
    """Write a message of the order-update stream."""
    entry = order.parent.entry if order.parent else None
    own = order.listing.instrument
    data: dict[str, Any] = {
        "Exchange": order.listing.segment.split("_")[0],
        "Segment": "D" if order.listing.segment.endswith("FNO") else "E",
        "Source": "P" if order.source == "API" else "N",
        "SecurityId": order.listing.security_id,
        "ClientId": knobs.client_id,
        "ExchOrderNo": order.exchange_id,
        "OrderNo": order.order_id,
        "Product": _PRODUCT_LETTERS.get(order.product, "I"),
        "TxnType": "B" if order.side is Side.BUY else "S",
        "OrderType": "SL" if order.trigger_paise else "LMT",
        "Validity": order.validity,
        "DiscQuantity": 0,
        "DiscQtyRem": 0,
        "RemainingQuantity": order.left,
        "Quantity": order.quantity,
        "TradedQty": order.filled,
        "Price": rupees(order.price_paise),
        "TriggerPrice": rupees(order.trigger_paise),
        "TradedPrice": rupees(order.average_paise),
        "AvgTradedPrice": rupees(order.average_paise),
        "AlgoOrdNo": entry.order_id if entry is not None and entry is not order else "0",
        "OffMktFlag": "0",
        "OrderDateTime": clock_text(order.created_ns),
        "ExchOrderTime": clock_text(order.updated_ns) if order.exchange_id != "0" else _NEVER,
        "LastUpdatedTime": clock_text(order.updated_ns),
        "Remarks": "Super Order" if entry is not None else "NR",
        "MktType": "NL",
        "ReasonDescription": order.reason or "CONFIRMED",
        "LegNo": _LEG_NUMBERS[order.role],
        "Instrument": order.listing.kind,
        "Symbol": order.listing.symbol,
        "ProductName": order.product,
        # a part fill shows in the quantities only
        "Status": "Pending" if order.status is Status.PART_TRADED else _book_status(order).title(),
        "LotSize": order.listing.lot_size,
        "StrikePrice": rupees(own.strike_paise or 0) if own else 0.0,
        "ExpiryDate": own.expiry.isoformat() if own and own.expiry else _NEVER,
        "OptType": own.option_type.value if own and own.option_type else "XX",
        "DisplayName": order.listing.symbol,
        "Isin": "NA",
        "Series": own.series if own else "XX",
        "GoodTillDaysDate": clock_text(order.created_ns)[:10],
        "RefLtp": rupees(last_paise),
        "TickSize": rupees(order.listing.tick_paise),
        "AlgoId": "0",
        "Multiplier": 1,
        "CorrelationId": order.correlation_id or "NA",
    }
    if knobs.alert_keys == "camel":
        data = {f"{key[0].lower()}{key[1:]}": value for key, value in data.items()}
    return {"Type": "order_alert", "Data": data}


def chart(rows: list[tuple[int, int, int, int, int, int]]) -> dict[str, list[Any]]:
    """Write the parallel arrays of candles: (start ns, open, high, low, close in paise, volume)."""
    return {
        "open": [rupees(row[1]) for row in rows],
        "high": [rupees(row[2]) for row in rows],
        "low": [rupees(row[3]) for row in rows],
        "close": [rupees(row[4]) for row in rows],
        "volume": [max(0, row[5]) for row in rows],
        "timestamp": [row[0] // 1_000_000_000 for row in rows],
        "open_interest": [0 for _ in rows],
    }


def quote(kind: str, last: int, day: tuple[int, int, int, int], ts_ns: int) -> dict[str, Any]:
    """Write one instrument of ``/marketfeed/*``; ``day`` is open, high, low, previous close in paise."""
    found: dict[str, Any] = {"last_price": rupees(last)}
    if kind == "ltp":
        return found
    opened, high, low, close = day
    found["ohlc"] = {
        "open": rupees(opened),
        "close": rupees(close),
        "high": rupees(high),
        "low": rupees(low),
    }
    if kind == "ohlc":
        return found
    level = {"quantity": 0, "orders": 0, "price": 0.0}
    stamp = (datetime.fromtimestamp(ts_ns // 1_000_000_000, tz=UTC) + _IST) if ts_ns else None
    return found | {
        "average_price": rupees(last),
        "buy_quantity": 0,
        "sell_quantity": 0,
        "depth": {"buy": [level] * 5, "sell": [level] * 5},
        "last_quantity": 0,
        "last_trade_time": stamp.strftime("%d/%m/%Y %H:%M:%S") if stamp else "01/01/1980 00:00:00",
        "lower_circuit_limit": 0.0,
        "upper_circuit_limit": 0.0,
        "net_change": rupees(last - close) if close else 0.0,
        "oi": 0,
        "oi_day_high": 0,
        "oi_day_low": 0,
        "volume": 0,
    }

"""Dhan's JSON → typed values: every documented and observed shape, unknown fields let through.

Numbers arrive as Decimal or text and become paise at once; no binary float ever touches money.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from adapters.brokers.dhan.faults import refusal
from adapters.brokers.dhan.model import (
    Candle,
    ChainSide,
    Funds,
    HoldingRow,
    LegName,
    Listing,
    Margin,
    OptionChain,
    OrderAlert,
    OrderRow,
    OrderStatus,
    Placed,
    PnlExit,
    PositionRow,
    Quote,
    SuperLeg,
    SuperOrderRow,
    TradeRow,
    UnreadableRow,
)
from propdesk.core.calendar import ist_to_ns
from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.errors import DataFault, OutcomeUnknown, SchemaFault
from propdesk.core.money import rupees_to_paise
from propdesk.model.enums import OptionType, Side

_NOTHING: Final = frozenset({"", "NA", "N/A", "NONE", "NULL", "0"})
_NO_NUMBER: Final = _NOTHING - {"0"} | {"-", "NAN"}
_FIRST_REAL_YEAR: Final = 1990
"""0001 and 1980 are Dhan's words for "never"."""

_MOMENT_FORMATS: Final = ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S")
_ALERT_LEGS: Final = {"1": LegName.ENTRY, "2": LegName.STOP, "3": LegName.TARGET}
_SIDES: Final = {"BUY": Side.BUY, "B": Side.BUY, "SELL": Side.SELL, "S": Side.SELL}

_REASON_MAX: Final = 200

Row = Mapping[str, Any]
T = TypeVar("T")


# ------------------------------------------------------------------------------------------------ fields


def text(row: Row, *names: str) -> str:
    """Give the first field that says something; empty for Dhan's sentinels (NA, 0, null)."""
    for name in names:
        value = str(row.get(name) if row.get(name) is not None else "").strip()
        if value.upper() not in _NOTHING:
            return value
    return ""


def number(row: Row, *names: str) -> Decimal:
    """Give the first field that says a number; 0 where none says anything.

    Raises
    ------
    SchemaFault
        If a field says something that is no number: what cannot be read is not 0.
    """
    for name in names:
        value = row.get(name)
        if value is None or isinstance(value, bool):
            continue
        words = str(value).strip().replace(",", "")
        if words.upper() in _NO_NUMBER:
            continue
        try:
            found = Decimal(words)
        except InvalidOperation:
            raise SchemaFault(f"Dhan sent {words[:40]!r} as {name}.") from None
        if found.is_finite():
            return found
    return Decimal(0)


def paise(row: Row, *names: str) -> int:
    """Give a rupee field in paise, 0 where there is none; raises `SchemaFault` for absurd sizes."""
    return rupees_to_paise(number(row, *names))


def units(row: Row, *names: str) -> int:
    """Give a quantity field, 0 where there is none.

    Raises
    ------
    SchemaFault
        If it is no whole number.
    """
    found = number(row, *names)
    if found != int(found):
        raise SchemaFault(f"Dhan sent {found} as a quantity.")
    return int(found)


def moment_ns(value: object) -> int | None:
    """Read a text time (IST without zone), ns UTC; None for Dhan's words for "never"."""
    words = str(value or "").strip().split(".")[0]
    for form in _MOMENT_FORMATS:
        try:
            found = datetime.strptime(words, form)  # noqa: DTZ007 - the text has no zone; it is IST
        except ValueError:
            continue
        return ist_to_ns(found) if found.year >= _FIRST_REAL_YEAR else None
    return None


def status_of(value: object) -> OrderStatus:
    """Read a status in any case; a word we do not know is UNKNOWN.

    Examples
    --------
    >>> status_of("Part Traded").value
    'PART_TRADED'
    >>> status_of("LAPSED").value
    'UNKNOWN'
    """
    word = str(value or "").strip().upper().replace(" ", "_").replace("-", "_")
    return OrderStatus.__members__.get(word, OrderStatus.UNKNOWN)


def _leg_name(value: object) -> LegName:
    try:
        return LegName(str(value or "").strip().upper())
    except ValueError:
        return LegName.NONE


def _side(row: Row, *names: str) -> Side:
    for name in names:
        side = _SIDES.get(str(row.get(name) or "").strip().upper())
        if side is not None:
            return side
    raise SchemaFault("Dhan sent an order that is neither BUY nor SELL.")


def rows_of(body: Any, what: str) -> list[Row]:
    """Give the rows of an answer that may be an array, one object, nothing or ``{"data": …}``.

    Raises
    ------
    SchemaFault
        If it is anything else: an unreadable list must never pass for an empty one.
    """
    if body is None:
        raise SchemaFault(f"Dhan answered the {what} with an empty body.")
    if isinstance(body, Mapping) and isinstance(body.get("data"), list | Mapping):
        body = body["data"]
    if isinstance(body, Mapping):
        return [body] if body else []
    if isinstance(body, list) and all(isinstance(row, Mapping) for row in body):
        return list(body)
    raise SchemaFault(f"Dhan answered the {what} with something that is no list.")


def object_of(body: Any, what: str) -> Row:
    """Give the one object of an answer; raises `SchemaFault` where there is none."""
    found = rows_of(body, what)
    if len(found) != 1:
        raise SchemaFault(f"Dhan answered the {what} with {len(found)} objects instead of one.")
    return found[0]


# ------------------------------------------------------------------------------------------------ orders


def placed(body: Any) -> Placed:
    """Read the answer to a write of one order: an order id makes it accepted.

    Raises
    ------
    Refusal
        If the status in it is REJECTED.
    OutcomeUnknown
        If no order id is in it.
    """
    row = body[0] if isinstance(body, list) and len(body) == 1 else body
    order_id = text(row, "orderId", "orderNo") if isinstance(row, Mapping) else ""
    if not order_id:
        raise OutcomeUnknown("Dhan answered an order without an order id; it may exist.")
    status = status_of(row.get("orderStatus"))
    if status is OrderStatus.REJECTED:
        reason = text(row, "omsErrorDescription", "errorMessage", "remarks") or "no reason given"
        raise refusal(f"Dhan rejected order {order_id}: {reason}", text(row, "omsErrorCode"), reason)
    return Placed(order_id, status)


def order_row(row: Row) -> OrderRow:
    """Read a row of ``/orders`` or the head of one of ``/super/orders``."""
    quantity = units(row, "quantity")
    filled = units(row, "filledQty", "filled_qty", "tradedQuantity")
    return OrderRow(
        order_id=text(row, "orderId"),
        correlation_id=text(row, "correlationId"),
        algo_id=text(row, "algoId"),
        status=status_of(row.get("orderStatus")),
        status_text=text(row, "orderStatus"),
        side=_side(row, "transactionType"),
        exchange_segment=text(row, "exchangeSegment"),
        security_id=text(row, "securityId"),
        product=text(row, "productType"),
        order_type=text(row, "orderType"),
        leg=_leg_name(row.get("legName")),
        quantity=quantity,
        filled_quantity=filled,
        remaining_quantity=(
            units(row, "remainingQuantity") if row.get("remainingQuantity") is not None else quantity - filled
        ),
        price_paise=paise(row, "price"),
        trigger_paise=paise(row, "triggerPrice"),
        average_paise=paise(row, "averageTradedPrice", "avgTradedPrice"),
        reason=text(row, "omsErrorDescription"),
        created_ns=moment_ns(row.get("createTime")),
        updated_ns=moment_ns(row.get("updateTime")),
    )


def super_order_row(row: Row) -> SuperOrderRow:
    """Read a row of ``/super/orders``; leg quantities fall back to the parent's.

    Raises
    ------
    SchemaFault
        If a leg cannot be read: an exit that is left out would pass for a dead one.
    """
    head = order_row(row)
    legs = tuple(_super_leg(leg, head) for leg in row.get("legDetails") or ())
    return SuperOrderRow(head, legs, paise(row, "ltp"))


def _super_leg(row: Any, head: OrderRow) -> SuperLeg:
    name = _leg_name(row.get("legName")) if isinstance(row, Mapping) else LegName.NONE
    if name is LegName.NONE:
        raise SchemaFault(f"Dhan sent a leg of super order {head.order_id} without a name that we know.")
    # the misspelt name is the one seen on the wire
    known = next(
        (n for n in ("totalQuatity", "totalQuantity", "remainingQuantity") if row.get(n) is not None), None
    )
    return SuperLeg(
        order_id=text(row, "orderId") or head.order_id,
        name=name,
        status=status_of(row.get("orderStatus")),
        price_paise=paise(row, "price"),
        quantity=units(row, known) if known else head.quantity,
        remaining_quantity=units(row, "remainingQuantity"),
        triggered_quantity=units(row, "triggeredQuantity"),
        trailing_paise=paise(row, "trailingJump"),
    )


def trade_row(row: Row) -> TradeRow:
    """Read a row of ``/trades``."""
    return TradeRow(
        trade_id=text(row, "exchangeTradeId"),
        order_id=text(row, "orderId"),
        side=_side(row, "transactionType"),
        exchange_segment=text(row, "exchangeSegment"),
        security_id=text(row, "securityId"),
        product=text(row, "productType"),
        quantity=units(row, "tradedQuantity"),
        price_paise=paise(row, "tradedPrice"),
        at_ns=moment_ns(row.get("exchangeTime")) or moment_ns(row.get("createTime")),
    )


def order_alert(message: Any) -> OrderAlert | None:
    """Read a message of the order-update stream, whatever the case of its keys; None for other messages.

    Raises
    ------
    SchemaFault
        If it is an order alert that names no order.
    """
    if not isinstance(message, Mapping):
        return None
    kind = next((value for key, value in message.items() if str(key).lower() == "type"), "")
    if str(kind).lower() != "order_alert":
        return None
    data = next((value for key, value in message.items() if str(key).lower() == "data"), None)
    row = {str(key).lower(): value for key, value in data.items()} if isinstance(data, Mapping) else {}
    order_id = text(row, "orderno")
    if not order_id:
        raise SchemaFault("Dhan sent an order alert without an order number.")
    return OrderAlert(
        order_id=order_id,
        parent_order_id=text(row, "algoordno"),
        correlation_id=text(row, "correlationid"),
        status=status_of(row.get("status")),
        status_text=text(row, "status"),
        leg=_ALERT_LEGS.get(str(row.get("legno") or ""), LegName.NONE),
        quantity=units(row, "quantity"),
        traded_quantity=units(row, "tradedqty"),
        average_paise=paise(row, "avgtradedprice", "tradedprice"),
        reason=text(row, "reasondescription"),
        updated_ns=moment_ns(row.get("lastupdatedtime")),
    )


# ---------------------------------------------------------------------------------------------- portfolio


def position_row(row: Row) -> PositionRow:
    """Read a row of ``/positions``."""
    return PositionRow(
        exchange_segment=text(row, "exchangeSegment"),
        security_id=text(row, "securityId"),
        product=text(row, "productType"),
        trading_symbol=text(row, "tradingSymbol"),
        net_quantity=units(row, "netQty"),
        buy_quantity=units(row, "buyQty"),
        sell_quantity=units(row, "sellQty"),
        buy_average_paise=paise(row, "buyAvg"),
        sell_average_paise=paise(row, "sellAvg"),
        realised_paise=paise(row, "realizedProfit"),
        unrealised_paise=paise(row, "unrealizedProfit"),
    )


def holding_row(row: Row) -> HoldingRow:
    """Read a row of ``/holdings``."""
    return HoldingRow(
        security_id=text(row, "securityId"),
        trading_symbol=text(row, "tradingSymbol"),
        isin=text(row, "isin"),
        quantity=units(row, "totalQty"),
        available_quantity=units(row, "availableQty"),
        average_paise=paise(row, "avgCostPrice"),
    )


def funds(body: Any) -> Funds:
    """Read ``/fundlimit``; the misspelt names are the ones on the wire.

    Raises
    ------
    SchemaFault
        If no balance is in it: unknown money is not zero money.
    """
    row = object_of(body, "fund limits")
    names = ("availabelBalance", "availableBalance")
    if all(row.get(name) is None for name in names):
        raise SchemaFault("Dhan answered the fund limits without a balance.")
    return Funds(
        available_paise=paise(row, *names),
        start_of_day_paise=paise(row, "sodLimit"),
        collateral_paise=paise(row, "collateralAmount"),
        utilised_paise=paise(row, "utilizedAmount"),
        withdrawable_paise=paise(row, "withdrawableBalance"),
    )


def margin(body: Any) -> Margin:
    """Read an answer of the margin calculators, camelCase or snake_case.

    Raises
    ------
    SchemaFault
        If no total is in it.
    """
    row = object_of(body, "margin")
    if row.get("totalMargin") is None and row.get("total_margin") is None:
        raise SchemaFault("Dhan answered the margin without a total.")
    return Margin(
        total_paise=paise(row, "totalMargin", "total_margin"),
        span_paise=paise(row, "spanMargin", "span_margin"),
        exposure_paise=paise(row, "exposureMargin", "exposure_margin"),
        available_paise=paise(row, "availableBalance", "availabelBalance", "available_balance"),
        insufficient_paise=paise(row, "insufficientBalance", "insufficient_balance"),
        brokerage_paise=paise(row, "brokerage"),
    )


def pnl_exit(body: Any) -> PnlExit:
    """Read ``/pnlExit``; values are text or numbers."""
    row = object_of(body, "P&L exit")
    return PnlExit(
        is_active=text(row, "pnlExitStatus").upper() in ("ACTIVE", "ENABLED"),
        profit_paise=paise(row, "profit", "profitValue"),
        loss_paise=abs(paise(row, "loss", "lossValue")),
        enables_kill_switch=str(row.get("enableKillSwitch")).lower() == "true",
    )


# ------------------------------------------------------------------------------------------------- prices


def candles(body: Any) -> list[Candle]:
    """Read the parallel arrays of the chart calls; an empty window gives no candle.

    Raises
    ------
    SchemaFault
        If the arrays differ in length or a number is not one.
    """
    row = body.get("data", body) if isinstance(body, Mapping) else body
    if not isinstance(row, Mapping):
        raise SchemaFault("Dhan answered a chart with something that is no object.")
    stamps = row.get("timestamp", row.get("start_Time")) or []
    names = ("open", "high", "low", "close")
    columns = [row.get(name) or [] for name in names]
    if any(len(column) != len(stamps) for column in columns):
        raise SchemaFault("Dhan answered a chart whose columns differ in length.")
    volumes = _column(row, "volume", len(stamps), -1)
    interests = _column(row, "open_interest", len(stamps), 0)
    found = []
    for stamp, *prices, volume, interest in zip(stamps, *columns, volumes, interests, strict=True):
        opened, high, low, close = (rupees_to_paise(_exact(price)) for price in prices)
        start_ns = int(stamp) * NS_PER_SECOND
        found.append(Candle(start_ns, opened, high, low, close, int(volume), int(interest)))
    return found


def _column(row: Row, name: str, size: int, missing: int) -> list[Any]:
    values = row.get(name) or []
    return list(values) if len(values) == size else [missing] * size


def _exact(value: object) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise SchemaFault(f"Dhan sent {str(value)[:40]!r} as a price.") from None


def option_chain(body: Any, expiry: date) -> OptionChain:
    """Read ``/optionchain``."""
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(data.get("oc"), Mapping):
        raise SchemaFault("Dhan answered an option chain without strikes.")
    sides = []
    for strike, row in sorted(data["oc"].items(), key=lambda item: _exact(item[0])):
        for name, option_type in (("ce", OptionType.CE), ("pe", OptionType.PE)):
            side = row.get(name) if isinstance(row, Mapping) else None
            if isinstance(side, Mapping) and side:
                sides.append(_chain_side(side, rupees_to_paise(_exact(strike)), option_type))
    return OptionChain(paise(data, "last_price"), expiry, tuple(sides))


def _chain_side(row: Row, strike_paise: int, option_type: OptionType) -> ChainSide:
    greeks = row.get("greeks") if isinstance(row.get("greeks"), Mapping) else {}
    return ChainSide(
        strike_paise=strike_paise,
        option_type=option_type,
        security_id=text(row, "security_id"),
        last_paise=paise(row, "last_price"),
        previous_close_paise=paise(row, "previous_close_price"),
        bid_paise=paise(row, "top_bid_price"),
        ask_paise=paise(row, "top_ask_price"),
        bid_quantity=units(row, "top_bid_quantity"),
        ask_quantity=units(row, "top_ask_quantity"),
        open_interest=units(row, "oi"),
        previous_open_interest=units(row, "previous_oi"),
        volume=units(row, "volume"),
        implied_volatility=float(number(row, "implied_volatility")),
        delta=float(number(greeks or {}, "delta")),
        theta=float(number(greeks or {}, "theta")),
        gamma=float(number(greeks or {}, "gamma")),
        vega=float(number(greeks or {}, "vega")),
    )


def expiries(body: Any) -> tuple[date, ...]:
    """Read ``/optionchain/expirylist``."""
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, list):
        raise SchemaFault("Dhan answered the expiries with something that is no list.")
    try:
        return tuple(sorted(date.fromisoformat(str(value)[:10]) for value in data))
    except ValueError as error:
        raise SchemaFault(f"Dhan sent an unreadable expiry ({error}).") from None


def quotes(body: Any) -> dict[tuple[str, str], Quote]:
    """Read ``/marketfeed/ltp|ohlc|quote``, by (segment, security id)."""
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, Mapping):
        raise SchemaFault("Dhan answered a quote without data.")
    nested = data.get("data")
    found = {}
    for segment, rows in (nested if isinstance(nested, Mapping) else data).items():
        for security_id, row in rows.items() if isinstance(rows, Mapping) else ():
            found[segment, str(security_id)] = _quote(str(segment), str(security_id), row)
    return found


def _quote(segment: str, security_id: str, row: Row) -> Quote:
    day = row.get("ohlc") if isinstance(row.get("ohlc"), Mapping) else {}
    return Quote(
        exchange_segment=segment,
        security_id=security_id,
        last_paise=paise(row, "last_price"),
        open_paise=paise(day or {}, "open"),
        high_paise=paise(day or {}, "high"),
        low_paise=paise(day or {}, "low"),
        close_paise=paise(day or {}, "close"),
        volume=units(row, "volume"),
        lower_circuit_paise=paise(row, "lower_circuit_limit"),
        upper_circuit_paise=paise(row, "upper_circuit_limit"),
    )


def listing(rows: Iterable[Row], reader: Callable[[Row], T], book: str) -> Listing[T]:
    """Read every row of a list that can be read, and say which cannot."""
    found: list[T] = []
    holes: list[UnreadableRow] = []
    for row in rows:
        try:
            found.append(reader(row))
        except (DataFault, AttributeError, TypeError, ValueError) as error:
            order_id, name, security = (text(row, key) for key in ("orderId", "correlationId", "securityId"))
            holes.append(UnreadableRow(book, order_id, name, security, str(error)[:_REASON_MAX]))
    return Listing(tuple(found), tuple(holes))

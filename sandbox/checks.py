"""What the broker and the exchange refuse before an order rests."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from propdesk.core.errors import SchemaFault
from propdesk.core.money import Rounding, round_to_tick, rupees_to_paise
from propdesk.model.enums import Category, Product, Side
from propdesk.risk.margin import PPM, MarginModel, margin_kind, margin_share_ppm
from sandbox.catalogue import Catalogue, Listing

CORRELATION_ID_MAX: Final = 25
_CORRELATION_CHARACTERS: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -_"
)
PLAIN_PRODUCTS: Final = frozenset({"CNC", "INTRADAY", "MARGIN", "MTF"})


class Denial(Exception):
    """A refusal on the wire: HTTP status and Dhan's trading error body."""

    def __init__(self, status: int, kind: str, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.code = code
        self.message = message

    def body(self) -> dict[str, str]:
        """Give the trading error shape."""
        return {"errorType": self.kind, "errorCode": self.code, "errorMessage": self.message}


def bad_input(message: str) -> Denial:
    """Give the catch-all DH-905."""
    return Denial(400, "Input_Exception", "DH-905", message)


def bad_order(message: str) -> Denial:
    """Give the order error DH-906."""
    return Denial(400, "Order_Error", "DH-906", message)


def price_of(body: Mapping[str, Any], name: str) -> int:
    """Read a rupee field, paise; 0 where it is missing, null or 0. Numbers may be text."""
    value = body.get(name)
    if value is None:
        return 0
    if value == "":
        raise bad_input("Missing required fields, bad values for parameters etc.")
    try:
        paise = rupees_to_paise(Decimal(str(value)))
    except (InvalidOperation, SchemaFault):
        raise bad_input(f"{name} is no number") from None
    if paise < 0:
        raise bad_input(f"{name} is negative")
    return paise


def quantity_of(body: Mapping[str, Any]) -> int:
    """Read the quantity; the first thing that is checked."""
    try:
        quantity = Decimal(str(body.get("quantity")))
    except InvalidOperation:
        raise bad_input("Invalid quantity") from None
    if not quantity.is_finite() or quantity <= 0 or quantity != int(quantity):
        raise bad_input("Invalid quantity")
    return int(quantity)


def word_of(body: Mapping[str, Any], name: str, allowed: frozenset[str]) -> str:
    """Read an enumeration field."""
    value = str(body.get(name) or "").upper()
    if value not in allowed:
        raise bad_input(f"Invalid {name}")
    return value


def correlation_of(body: Mapping[str, Any]) -> str:
    """Read the correlation id; empty where none was sent."""
    value = body.get("correlationId")
    if value is None:
        return ""
    words = str(value)
    if not words or len(words) > CORRELATION_ID_MAX or not set(words) <= _CORRELATION_CHARACTERS:
        raise bad_input("Invalid correlationId")
    return words


def listing_of(body: Mapping[str, Any], catalogue: Catalogue) -> Listing:
    """Find the security of an order body."""
    found = catalogue.find(str(body.get("exchangeSegment") or ""), str(body.get("securityId") or ""))
    if found is None or found.instrument is None:
        raise bad_input("Invalid securityId")
    return found


def check_quantity(listing: Listing, quantity: int) -> None:
    """Refuse odd lots."""
    if quantity % listing.lot_size:
        raise bad_order("Quantity should be in multiple of lot size")


def freeze_lots(listing: Listing) -> int:
    """Largest number of lots of one order; 0 = no limit."""
    own = listing.instrument
    return own.freeze_quantity // own.lot_size if own is not None and own.freeze_quantity else 0


def check_tick(listing: Listing, *prices: int) -> None:
    """Refuse prices that are off the tick grid."""
    if any(price % listing.tick_paise for price in prices):
        raise bad_order("Price is not a multiple of tick size")


def price_band(previous_close: int, band_bp: int, tick: int) -> tuple[int, int]:
    """Lowest and highest price of the day; (0, a very high one) before any close is known."""
    if previous_close <= 0:
        return 0, 10**12
    away = previous_close * band_bp // 10_000
    return (
        round_to_tick(max(tick, previous_close - away), tick, Rounding.UP),
        round_to_tick(previous_close + away, tick, Rounding.DOWN),
    )


_WIDTHS_BP: Final = {
    False: ((10_000, 200), (50_000, 100), (10**15, 50)),
    True: ((1_000, 500), (10_000, 300), (50_000, 200), (10**15, 100)),
}


def protection_price(listing: Listing, last_paise: int, side: Side) -> int:
    """Limit that a market order is turned into; tick > 0."""
    own = listing.instrument
    is_option = own is not None and own.category.is_option
    width = next(bp for limit, bp in _WIDTHS_BP[is_option] if last_paise < limit)
    rounding = Rounding.UP if side is Side.BUY else Rounding.DOWN
    moved = last_paise + side.sign * max(listing.tick_paise, last_paise * width // 10_000)
    return max(listing.tick_paise, round_to_tick(moved, listing.tick_paise, rounding))


def check_super_levels(side: Side, price: int, target: int, stop: int) -> None:
    """BUY needs stop < price < target, SELL the mirror; 0 = that leg is not wanted."""
    if price <= 0:
        raise bad_input("price must be > 0")
    if target <= 0 and stop <= 0:
        raise bad_input("At least one of targetPrice or stopLossPrice must be provided")
    sign = side.sign
    if (target and sign * (target - price) <= 0) or (stop and sign * (price - stop) <= 0):
        raise bad_order("Target and stop loss must lie on their own sides of the price")


def check_trigger(side: Side, trigger: int, price: int) -> None:
    """Refuse a stop whose trigger lies beyond its limit: SELL needs trigger >= price, BUY the mirror."""
    if side.sign * (price - trigger) < 0:
        raise bad_order("Trigger price is on the wrong side of the price")


def margin_paise(
    model: MarginModel, listing: Listing, side: Side, product: str, quantity: int, price: int, day: date
) -> int:
    """Money that units block; a sold option's exposure is taken at its strike."""
    own = listing.instrument
    if own is None:
        return 0
    kind = margin_kind(own.category, Product(product), side)
    share = margin_share_ppm(model, kind, own.category, day, None)
    exposure = price
    if own.category.is_option and side is Side.SELL and own.strike_paise:
        exposure = own.strike_paise
    return -(-exposure * quantity * share // PPM)


def is_derivative(listing: Listing) -> bool:
    """Whether it expires."""
    return listing.instrument is not None and listing.instrument.category is not Category.NSE_EQ

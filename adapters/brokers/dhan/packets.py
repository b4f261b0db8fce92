"""Binary packets of the market feed, little endian; several may share a frame."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.errors import SchemaFault

SEGMENTS: Final = {
    0: "IDX_I",
    1: "NSE_EQ",
    2: "NSE_FNO",
    3: "NSE_CURRENCY",
    4: "BSE_EQ",
    5: "MCX_COMM",
    7: "BSE_CURRENCY",
    8: "BSE_FNO",
}
"""Segment numbers; there is no 6."""

_IST_SECONDS: Final = 19_800
"""Last-trade times are IST wall-clock seconds stored as if they were UTC."""

_HEADER: Final = struct.Struct("<BHBI")
_TICKER: Final = struct.Struct("<fI")
_QUOTE: Final = struct.Struct("<fHIfIIIffff")
_FULL: Final = struct.Struct("<fHIfIIIIIIffff")
_DEPTH_ROW: Final = struct.Struct("<IIHHff")
_SHORT: Final = struct.Struct("<H")
_INT: Final = struct.Struct("<I")
_SIZES: Final = {2: 16, 4: 50, 5: 12, 6: 16, 7: 8, 8: 162, 50: 10}
_FULL_DEPTH_AT: Final = 62


@dataclass(frozen=True, slots=True)
class Tick:
    """Last traded price of one instrument; ``at_ns`` is the trade's moment, None where Dhan told none."""

    exchange_segment: str
    security_id: str
    price_paise: int
    at_ns: int | None
    volume: int | None = None


@dataclass(frozen=True, slots=True)
class DayQuote:
    """Ticker with the day's figures; ``close_paise`` is 0 before the close."""

    tick: Tick
    average_paise: int
    buy_quantity: int
    sell_quantity: int
    open_paise: int
    high_paise: int
    low_paise: int
    close_paise: int
    open_interest: int | None = None
    depth: tuple["DepthRow", ...] = ()


@dataclass(frozen=True, slots=True)
class DepthRow:
    """One level of the book."""

    bid_quantity: int
    ask_quantity: int
    bid_orders: int
    ask_orders: int
    bid_paise: int
    ask_paise: int


@dataclass(frozen=True, slots=True)
class PreviousClose:
    """Sent once after subscribing."""

    exchange_segment: str
    security_id: str
    price_paise: int


@dataclass(frozen=True, slots=True)
class OpenInterest:
    """Comes beside quotes."""

    exchange_segment: str
    security_id: str
    open_interest: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The server ends the connection; codes 806 to 810 concern the token or the plan."""

    code: int


Packet = Tick | DayQuote | PreviousClose | OpenInterest | Disconnected


def packets(frame: bytes) -> Iterator[Packet]:
    """Read every packet of a frame; kinds that carry nothing for us are skipped.

    Raises
    ------
    SchemaFault
        If the frame ends inside a packet or a length cannot be; what was read before it is given first.

    Notes
    -----
    The length field counts the header on most packets seen; where it holds something else, a known kind's
    own size counts.
    """
    at = 0
    while at < len(frame):
        if len(frame) - at < _HEADER.size:
            if any(frame[at:]):
                raise SchemaFault(f"a feed frame ends with {len(frame) - at} odd bytes")
            return
        code, length, segment, security_id = _HEADER.unpack_from(frame, at)
        size = _SIZES.get(code, length)
        if size < _HEADER.size or at + size > len(frame):
            raise SchemaFault(f"a feed packet of kind {code} and length {length} does not fit its frame")
        packet = _read(code, frame, at + _HEADER.size, SEGMENTS.get(segment, ""), str(security_id))
        if packet is not None:
            yield packet
        at += size


def _read(code: int, frame: bytes, at: int, segment: str, security_id: str) -> Packet | None:
    if code == 50:
        return Disconnected(_SHORT.unpack_from(frame, at)[0])
    if not segment:
        return None
    if code == 2:
        price, stamp = _TICKER.unpack_from(frame, at)
        return Tick(segment, security_id, _paise(price), _moment(stamp))
    if code == 4:
        return _day_quote(_QUOTE.unpack_from(frame, at), segment, security_id)
    if code == 5:
        return OpenInterest(segment, security_id, _INT.unpack_from(frame, at)[0])
    if code == 6:
        return PreviousClose(segment, security_id, _paise(_TICKER.unpack_from(frame, at)[0]))
    if code == 8:
        return _full(frame, at, segment, security_id)
    return None


def _day_quote(fields: tuple[float, ...], segment: str, security_id: str) -> DayQuote:
    price, _, stamp, average, volume, sell, buy, opened, close, high, low = fields
    return DayQuote(
        tick=Tick(segment, security_id, _paise(price), _moment(int(stamp)), int(volume)),
        average_paise=_paise(average),
        buy_quantity=int(buy),
        sell_quantity=int(sell),
        open_paise=_paise(opened),
        high_paise=_paise(high),
        low_paise=_paise(low),
        close_paise=_paise(close),
    )


def _full(frame: bytes, at: int, segment: str, security_id: str) -> DayQuote:
    fields = _FULL.unpack_from(frame, at)
    price, _, stamp, average, volume, sell, buy, interest, _, _, opened, close, high, low = fields
    start = at - _HEADER.size + _FULL_DEPTH_AT
    rows = (_DEPTH_ROW.unpack_from(frame, start + n * _DEPTH_ROW.size) for n in range(5))
    return DayQuote(
        tick=Tick(segment, security_id, _paise(price), _moment(stamp), volume),
        average_paise=_paise(average),
        buy_quantity=buy,
        sell_quantity=sell,
        open_paise=_paise(opened),
        high_paise=_paise(high),
        low_paise=_paise(low),
        close_paise=_paise(close),
        open_interest=interest,
        depth=tuple(DepthRow(a, b, c, d, _paise(e), _paise(f)) for a, b, c, d, e, f in rows),
    )


def _paise(price: float) -> int:
    """Round a float32 price to whole paise; its error is below half a paisa up to 80,000 rupees."""
    return round(price * 100) if price == price and abs(price) < 1e9 else 0


def _moment(stamp: int) -> int | None:
    return (stamp - _IST_SECONDS) * NS_PER_SECOND if stamp > _IST_SECONDS else None

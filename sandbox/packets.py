"""Binary packets of the market feed, written independently of the adapter."""

import struct
from typing import Final

from propdesk.core.clock import NS_PER_SECOND
from sandbox.catalogue import Listing
from sandbox.knobs import Knobs
from sandbox.world import World

SEGMENT_NUMBERS: Final = {
    "IDX_I": 0,
    "NSE_EQ": 1,
    "NSE_FNO": 2,
    "NSE_CURRENCY": 3,
    "BSE_EQ": 4,
    "MCX_COMM": 5,
    "BSE_CURRENCY": 7,
    "BSE_FNO": 8,
}
_IST_SECONDS: Final = 19_800
_U32: Final = 2**32


def _head(code: int, size: int, listing: Listing) -> bytes:
    number = int(listing.security_id) % _U32
    return struct.pack("<BHBI", code, size, SEGMENT_NUMBERS[listing.segment], number)


def stamp_of(ts_ns: int, knobs: Knobs) -> int:
    """Give a last-trade time as the feed does."""
    seconds = ts_ns // NS_PER_SECOND
    return seconds + _IST_SECONDS if knobs.feed_stamps == "ist" else seconds


def ticker(listing: Listing, price_paise: int, stamp: int) -> bytes:
    """Write code 2: last price and its time."""
    return _head(2, 16, listing) + struct.pack("<fI", price_paise / 100, stamp)


def previous_close(listing: Listing, price_paise: int) -> bytes:
    """Write code 6."""
    return _head(6, 16, listing) + struct.pack("<fI", price_paise / 100, 0)


def open_interest(listing: Listing, interest: int) -> bytes:
    """Write code 5."""
    return _head(5, 12, listing) + struct.pack("<I", interest)


def quote(listing: Listing, price_paise: int, stamp: int, world: World) -> bytes:
    """Write code 4: sell quantity before buy; open, close (0 before the close), high, low."""
    day = world.ranges.get(listing.price_key)
    opened, high, low, volume = (day.opened, day.high, day.low, day.volume) if day else (0, 0, 0, 0)
    price = price_paise / 100
    return _head(4, 50, listing) + struct.pack(
        "<fHIfIIIffff", price, 1, stamp, price, volume, 0, 0, opened / 100, 0.0, high / 100, low / 100
    )


def full(listing: Listing, price_paise: int, stamp: int, world: World) -> bytes:
    """Write code 8 with five depth rows, one tick apart around the last price."""
    day = world.ranges.get(listing.price_key)
    opened, high, low, volume = (day.opened, day.high, day.low, day.volume) if day else (0, 0, 0, 0)
    price, step = price_paise / 100, listing.tick_paise / 100
    head = _head(8, 162, listing) + struct.pack(
        "<fHIfIIIIIIffff",
        price,
        1,
        stamp,
        price,
        volume,
        0,
        0,
        0,
        0,
        0,
        opened / 100,
        0.0,
        high / 100,
        low / 100,
    )
    lot = listing.lot_size
    rows = (struct.pack("<IIHHff", lot, lot, 1, 1, price - n * step, price + n * step) for n in range(1, 6))
    return head + b"".join(rows)


def disconnect(code: int) -> bytes:
    """Write code 50 with its reason."""
    return struct.pack("<BHBIH", 50, 10, 0, 0, code)

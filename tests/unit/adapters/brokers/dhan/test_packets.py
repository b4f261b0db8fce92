import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.brokers.dhan.packets import (
    DayQuote,
    Disconnected,
    OpenInterest,
    PreviousClose,
    Tick,
    packets,
)
from propdesk.core.errors import SchemaFault

IST_STAMP = 1_736_915_400 + 19_800
TICKER = struct.pack("<BHBIfI", 2, 16, 1, 1333, 1650.55, IST_STAMP)
PREVIOUS = struct.pack("<BHBIfI", 6, 16, 1, 1333, 1640.0, 0)
INTEREST = struct.pack("<BHBII", 5, 12, 2, 49081, 77)
QUOTE = struct.pack(
    "<BHBIfHIfIIIffff", 4, 50, 1, 1333, 10.05, 7, IST_STAMP, 10.04, 900, 11, 22, 9.95, 0.0, 10.1, 9.9
)
DEPTH = b"".join(struct.pack("<IIHHff", 1 + n, 2 + n, 3, 4, 10.0 - n, 10.1 + n) for n in range(5))
FULL = struct.pack(
    "<BHBIfHIfIIIIIIffff",
    8,
    162,
    2,
    49081,
    10.05,
    7,
    IST_STAMP,
    10.04,
    900,
    11,
    22,
    5,
    6,
    4,
    9.95,
    0.0,
    10.1,
    9.9,
)
DISCONNECT = struct.pack("<BHBIH", 50, 10, 0, 0, 807)


def test_a_tick_has_paise_and_a_true_moment() -> None:
    assert list(packets(TICKER)) == [Tick("NSE_EQ", "1333", 165_055, 1_736_915_400_000_000_000)]


def test_every_kind_of_a_frame_with_several_packets_is_read() -> None:
    heartbeat = struct.pack("<BHBI", 0, 8, 0, 0)
    frame = PREVIOUS + heartbeat + QUOTE + INTEREST + FULL + DEPTH + DISCONNECT + TICKER
    found = list(packets(frame))
    assert [type(one) for one in found] == [
        PreviousClose,
        DayQuote,
        OpenInterest,
        DayQuote,
        Disconnected,
        Tick,
    ]
    quote, full = found[1], found[3]
    assert isinstance(quote, DayQuote)
    assert isinstance(full, DayQuote)
    assert (quote.sell_quantity, quote.buy_quantity, quote.high_paise, quote.low_paise) == (11, 22, 1010, 990)
    assert (full.open_interest, len(full.depth), full.depth[1].bid_paise) == (5, 5, 900)
    assert found[4] == Disconnected(807)


def test_a_frame_that_ends_inside_a_packet_gives_what_came_before() -> None:
    read = packets(TICKER + FULL)
    assert isinstance(next(read), Tick)
    with pytest.raises(SchemaFault):
        next(read)


@given(st.binary(max_size=400))
def test_no_bytes_make_it_hang_or_fail_in_another_way(frame: bytes) -> None:
    with contextlib.suppress(SchemaFault):
        assert len(list(packets(frame))) <= len(frame) // 8


@given(st.integers(5, 8_000_000))
def test_float32_prices_come_back_to_the_paisa(paise: int) -> None:
    frame = struct.pack("<BHBIfI", 2, 16, 1, 1, paise / 100, 0)
    (tick,) = packets(frame)
    assert tick == Tick("NSE_EQ", "1", paise, None)

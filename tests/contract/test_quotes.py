"""Quotes of a listening process at the sandbox: bars as it traded, breaks told, the token left alone."""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from pydantic import SecretStr
from websockets import ConnectionClosed
from websockets.asyncio.server import ServerConnection, serve

from adapters.brokers.dhan.auth import REFUSED_NS, GivenToken
from adapters.brokers.dhan.config import DhanConfig
from adapters.brokers.dhan.packets import (
    DayQuote,
    DepthRow,
    Disconnected,
    OpenInterest,
    PreviousClose,
    Tick,
)
from adapters.brokers.dhan.quotes import DhanQuotes
from adapters.brokers.dhan.stream import StreamTiming
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND
from propdesk.core.errors import AuthExpired
from propdesk.intake.minutes import UNKNOWN, MinuteBook, PriceSeen
from tests.contract.conftest import KEY, START, Desk
from trading_daemon.bus import Pulse

QUICK = StreamTiming(back_off_s=0.01, back_off_s_max=0.05, mute_s=30.0)
INDEX = "INDEX:NIFTY"


def given(desk: Desk) -> DhanConfig:
    """The configuration of a process that holds a token and nothing to log in with."""
    token = SecretStr(desk.world.tokens.issue(desk.world.now_ns))
    return replace(desk.config, access_token=token, pin=None, totp_secret=None, may_trade=False)


class Listener:
    """Quotes that are listened to, folded into minutes as the recorder does."""

    def __init__(self, desk: Desk) -> None:
        self.config = given(desk)
        listings = {KEY: ("NSE_EQ", "11536")}
        self.quotes = DhanQuotes(self.config, listings, desk.clock, is_open=lambda: True, timing=QUICK)
        self.heard: list[PriceSeen | None] = []
        parts = ((START - START % NS_PER_MINUTE, START + 60 * NS_PER_MINUTE),)
        self.book = MinuteBook(lambda _key: parts)
        self._pulse = Pulse()

    async def listen(self) -> None:
        async for one in self.quotes.prices():
            self.heard.append(one)
            if one is not None:
                self.book.add(one)
            self._pulse.beat()

    async def until(self, condition: Callable[[], bool]) -> None:
        await asyncio.wait_for(self._pulse.until(condition), 20)

    def prices(self, key: str) -> list[int]:
        return [one.price_paise for one in self.heard if one is not None and one.price_key == key]


@pytest.fixture
async def listener(desk: Desk) -> AsyncIterator[Listener]:
    found = Listener(desk)
    assert await found.quotes.subscribe([KEY, INDEX, "NSE_EQ:NOBODY"]) == ("NSE_EQ:NOBODY",)
    task = asyncio.create_task(found.listen())
    await found.until(lambda: 10_000 in found.prices(KEY))
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_minutes_are_built_of_what_the_exchange_traded(listener: Listener, desk: Desk) -> None:
    for second, rupees in ((10, 101), (20, 99), (50, 100.5), (61, 102), (75, 101)):
        desk.world.advance(START + second * NS_PER_SECOND)
        desk.price(rupees)
        paise = round(rupees * 100)
        await listener.until(lambda paise=paise: listener.prices(KEY)[-1] == paise)  # type: ignore[misc]
    bars = listener.book.bars(KEY)
    assert bars is not None
    columns = (bars.open_paise, bars.high_paise, bars.low_paise, bars.close_paise)
    assert [column.tolist() for column in columns] == [
        [10_000, 10_200], [10_100, 10_200], [9_900, 10_100], [10_050, 10_100],
    ]  # fmt: skip
    last = [one for one in listener.heard if one is not None and one.price_key == KEY][-1]
    assert last.traded_ns == START + 75 * NS_PER_SECOND
    assert (last.bid_paise, last.ask_paise) == (10_095, 10_105)  # the sandbox's book: a tick on either side


async def test_an_index_has_a_price_and_no_book(listener: Listener, desk: Desk) -> None:
    desk.world.trade(INDEX, 2_510_000)
    await listener.until(lambda: 2_510_000 in listener.prices(INDEX))
    level = [one for one in listener.heard if one is not None and one.price_key == INDEX][-1]
    assert (level.volume, level.bid_paise, level.ask_paise) == (UNKNOWN, UNKNOWN, UNKNOWN)


async def test_a_frame_that_cannot_be_read_is_told_before_the_next_price(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    quotes = DhanQuotes(given(desk), {KEY: ("NSE_EQ", "11536")}, desk.clock, is_open=lambda: True)
    await quotes.subscribe([KEY])

    def tick(rupees: float) -> bytes:
        return struct.pack("<BHBI", 2, 16, 1, 11536) + struct.pack("<fI", rupees, 1_751_345_400)

    async def frames() -> AsyncIterator[bytes]:
        yield tick(100.0)
        yield b"\x02\x10\x00\x01" + tick(96.0)[:9]
        yield tick(101.0)
        yield tick(102.0)

    monkeypatch.setattr(quotes._feed.stream, "frames", frames)
    heard = [None if one is None else one.price_paise async for one in quotes.prices()]
    assert heard == [10_000, None, 10_100, 10_200]


async def test_a_lost_connection_is_told_before_the_next_price(listener: Listener, desk: Desk) -> None:
    assert listener.quotes.is_connected
    assert None not in listener.heard
    listener.quotes._changed("market", False, "a loss that no price has followed yet")
    assert not listener.quotes.is_connected
    desk.price(102)
    await listener.until(lambda: 10_200 in listener.prices(KEY))
    assert listener.quotes.is_connected
    listener.heard.clear()
    desk.sandbox.feed.disconnect_all()
    await listener.until(lambda: None in listener.heard)
    desk.price(103)
    await listener.until(lambda: 10_300 in listener.prices(KEY))
    assert listener.heard.index(None) < len(listener.heard) - 1
    assert listener.heard.count(None) == 1
    assert listener.quotes.trouble == ""


async def test_the_token_is_neither_renewed_nor_replaced(listener: Listener, desk: Desk) -> None:
    token = listener.config.access_token
    assert token is not None
    issued = desk.world.tokens._number
    # minutes before its end, where a process that trades would renew it
    desk.clock.ahead_ns = desk.world.tokens.expiry_ns(token.get_secret_value()) - desk.world.now_ns
    desk.clock.ahead_ns -= NS_PER_MINUTE
    desk.sandbox.feed.disconnect_all()
    await listener.until(lambda: None in listener.heard)
    assert desk.world.tokens.is_live(token.get_secret_value(), desk.world.now_ns)
    desk.world.revoke_tokens()
    desk.sandbox.feed.disconnect_all()
    async with asyncio.timeout(20):
        while "DHAN_DATA_TOKEN" not in listener.quotes.trouble:  # noqa: ASYNC110 - told without an event
            await asyncio.sleep(0.01)
    assert desk.world.tokens._number == issued


async def test_a_token_whose_life_is_over_is_not_sent(desk: Desk) -> None:
    tokens = GivenToken(given(desk), desk.clock)
    token = await tokens.token()
    assert await tokens.refuse("another") == token
    desk.clock.ahead_ns = desk.world.tokens.expiry_ns(token) - desk.world.now_ns
    with pytest.raises(AuthExpired, match="DHAN_DATA_TOKEN"):
        await tokens.token()
    desk.clock.ahead_ns = 0
    with pytest.raises(AuthExpired, match="DHAN_DATA_TOKEN"):
        await tokens.refuse(token)
    with pytest.raises(AuthExpired, match="tried again"):
        await tokens.token()
    desk.clock.ahead_ns = REFUSED_NS  # a server that was busy refuses good tokens: not for the day
    assert await tokens.token() == token


async def test_a_price_without_a_moment_is_no_trade_and_every_packet_of_a_series_is_heard(desk: Desk) -> None:
    quotes = DhanQuotes(given(desk), {KEY: ("NSE_EQ", "11536")}, desk.clock, is_open=lambda: True)
    await quotes.subscribe([KEY])
    depth = (DepthRow(1, 1, 1, 1, 9_900, 0),)
    place = ("NSE_EQ", "11536")
    for price, volume in ((50_000, 0), (50_000, 7), (0, 0)):  # yesterday's price, its book moves
        quote = DayQuote(Tick(*place, price, None, volume), 0, 0, 0, 0, 0, 0, 0, 0, depth)
        seen = quotes._seen(quote)
        assert seen is not None
        assert (seen.traded_ns, seen.bid_paise, seen.ask_paise) == (None, 9_900, UNKNOWN)
    for packet in (PreviousClose(*place, 50_000), OpenInterest(*place, 3)):
        seen = quotes._seen(packet)
        assert seen is not None
        assert (seen.price_key, seen.traded_ns, seen.bid_paise) == (KEY, None, UNKNOWN)
    assert quotes._seen(Disconnected(805)) is None


async def test_quiet_series_do_not_look_like_a_dead_feed(desk: Desk) -> None:
    """A server that tells nothing but the index and the next future, if these are asked for."""
    connections: list[set[str]] = []

    async def tell(socket: ServerConnection) -> None:
        wanted: set[str] = set()
        connections.append(wanted)
        with contextlib.suppress(ConnectionClosed):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        told = json.loads(await socket.recv())
                        wanted |= {one["SecurityId"] for one in told["InstrumentList"]}
                if "13" in wanted:
                    await socket.send(struct.pack("<BHBI", 2, 16, 0, 13) + struct.pack("<fI", 100.0, 19_801))

    listings = {f"INDEX_FUT:NIFTY:2025-0{month}-30": ("NSE_FNO", str(month)) for month in (9, 7, 8)}
    async with serve(tell, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        config = replace(given(desk), feed_url=f"ws://127.0.0.1:{port}")
        timing = replace(QUICK, mute_s=0.2)
        quotes = DhanQuotes(config, listings, desk.clock, is_open=lambda: True, timing=timing)
        heard = []
        async with asyncio.timeout(10):
            async for one in quotes.prices():
                heard.append(one)
                if len(heard) == 25:  # half a second and more
                    break
    assert connections == [{"13", "7"}]
    assert None not in heard

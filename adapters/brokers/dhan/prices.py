"""Candles, quotes and option chains over REST, within Dhan's limits of one call."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from adapters.brokers.dhan import parse
from adapters.brokers.dhan.http import DhanHttp, Pace
from adapters.brokers.dhan.model import Candle, OptionChain, Quote
from propdesk.core.errors import Retryable
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument

INTRADAY_DAYS_MAX: Final = 90
"""Days one intraday call covers."""

DAILY_DAYS_MAX: Final = 3_650
"""Days asked for in one daily call; the documentation names no limit."""

QUOTES_MAX: Final = 1_000
"""Instruments of one quote call."""

INDEX_SEGMENT: Final = "IDX_I"
INDEX_IDS: Final = {"NIFTY": "13", "BANKNIFTY": "25", "SENSEX": "51", "FINNIFTY": "27", "MIDCPNIFTY": "442"}
"""Security ids of the index levels themselves; their contracts name other ones as underlying."""

_ATTEMPTS: Final = 4
_BACK_OFF_S: Final = 0.5
_KINDS: Final = {
    Category.NSE_EQ: "EQUITY",
    Category.INDEX_FUT: "FUTIDX",
    Category.STOCK_FUT: "FUTSTK",
    Category.INDEX_OPT: "OPTIDX",
    Category.STOCK_OPT: "OPTSTK",
}


class ChartSymbol:
    """What a chart is asked for.

    Parameters
    ----------
    price_key : str
        Our name of the price series.
    exchange_segment, security_id, kind : str
        Dhan's names of it (``NSE_EQ``, ``1333``, ``EQUITY``).
    """

    __slots__ = ("exchange_segment", "kind", "price_key", "security_id")

    def __init__(self, price_key: str, exchange_segment: str, security_id: str, kind: str) -> None:
        self.price_key = price_key
        self.exchange_segment = exchange_segment
        self.security_id = security_id
        self.kind = kind


def chart_symbol(instrument: Instrument) -> ChartSymbol:
    """Name a tradable as the charts do."""
    return ChartSymbol(
        instrument.instrument_key,
        instrument.exchange_segment,
        instrument.security_id,
        _KINDS[instrument.category],
    )


def index_symbol(underlying: str, security_id: str) -> ChartSymbol:
    """Name an index level as the charts do."""
    return ChartSymbol(f"INDEX:{underlying}", INDEX_SEGMENT, security_id, "INDEX")


def pages(first: date, last: date, days_max: int) -> Iterator[tuple[date, date]]:
    """Split a closed interval of days into closed pages, oldest first; empty if first > last.

    Examples
    --------
    >>> [(a.day, b.day) for a, b in pages(date(2025, 7, 1), date(2025, 7, 5), 2)]
    [(1, 2), (3, 4), (5, 5)]
    """
    start = first
    while start <= last:
        end = min(last, start + timedelta(days=days_max - 1))
        yield start, end
        start = end + timedelta(days=1)


class Prices:
    """Reads prices; a call that fails on the way is tried again, a few times, with growing pauses."""

    def __init__(self, http: DhanHttp, *, back_off_s: float = _BACK_OFF_S) -> None:
        self._http = http
        self._back_off_s = back_off_s

    async def daily(self, symbol: ChartSymbol, first: date, last: date) -> AsyncIterator[list[Candle]]:
        """Give daily bars of a closed interval of IST days, page by page."""
        for start, end in pages(first, last, DAILY_DAYS_MAX):
            body = _chart_body(symbol, start, end + timedelta(days=1))  # Dhan's end is exclusive
            yield await self._candles("/charts/historical", body, is_expected=False)

    async def intraday(
        self, symbol: ChartSymbol, first: date, last: date, *, minutes: int = 1, is_expected: bool = False
    ) -> AsyncIterator[list[Candle]]:
        """Give intraday bars of a closed interval of IST days, page by page.

        Parameters
        ----------
        minutes : {1, 5, 15, 25, 60}
            Length of a bar.
        is_expected : bool
            The window holds trading: an empty answer is asked for once more, since Dhan sometimes gives a
            false one.
        """
        for start, end in pages(first, last, INTRADAY_DAYS_MAX):
            body = {
                **_chart_body(symbol, start, end + timedelta(days=1)),
                "interval": str(minutes),
                "fromDate": f"{start.isoformat()} 00:00:00",
                "toDate": f"{end.isoformat()} 23:59:59",
            }
            yield await self._candles("/charts/intraday", body, is_expected=is_expected)

    async def quotes(
        self, symbols: Sequence[tuple[str, str]], kind: str = "quote"
    ) -> dict[tuple[str, str], Quote]:
        """Read the last price (``ltp``), the day (``ohlc``) or all (``quote``) by (segment, security id)."""
        found: dict[tuple[str, str], Quote] = {}
        for start in range(0, len(symbols), QUOTES_MAX):
            body: dict[str, list[int]] = {}
            for segment, security_id in symbols[start : start + QUOTES_MAX]:
                body.setdefault(segment, []).append(int(security_id))
            found |= parse.quotes(await self._ask(f"/marketfeed/{kind}", body, Pace.QUOTE))
        return found

    async def expiries(self, security_id: str, segment: str = INDEX_SEGMENT) -> tuple[date, ...]:
        """List the expiries of an underlying; its security id is the index's own, not the contracts'."""
        body = {"UnderlyingScrip": int(security_id), "UnderlyingSeg": segment}
        return parse.expiries(await self._ask("/optionchain/expirylist", body, Pace.CHAIN))

    async def option_chain(self, security_id: str, expiry: date, segment: str = INDEX_SEGMENT) -> OptionChain:
        """Read the options of one expiry."""
        body = {
            "UnderlyingScrip": int(security_id),
            "UnderlyingSeg": segment,
            "Expiry": expiry.isoformat(),
        }
        return parse.option_chain(await self._ask("/optionchain", body, Pace.CHAIN), expiry)

    async def _candles(self, path: str, body: Mapping[str, Any], *, is_expected: bool) -> list[Candle]:
        found = parse.candles(await self._ask(path, body, Pace.DATA))
        if not found and is_expected:
            found = parse.candles(await self._ask(path, body, Pace.DATA))
        return found

    async def _ask(self, path: str, body: Mapping[str, Any], pace: Pace) -> Any:
        for attempt in range(_ATTEMPTS - 1):
            try:
                return await self._http.ask(path, body, pace=pace)
            except Retryable:
                await asyncio.sleep(self._back_off_s * 2**attempt)
        return await self._http.ask(path, body, pace=pace)


def _chart_body(symbol: ChartSymbol, first: date, end: date) -> dict[str, Any]:
    return {
        "securityId": symbol.security_id,
        "exchangeSegment": symbol.exchange_segment,
        "instrument": symbol.kind,
        "expiryCode": 0,
        "oi": False,
        "fromDate": first.isoformat(),
        "toDate": end.isoformat(),
    }

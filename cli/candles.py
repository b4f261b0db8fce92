"""``propdesk prices download``: candles from Dhan into the price store."""

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import JsonOption, emit, parse_day, say
from propdesk.core.errors import ConfigFault

if TYPE_CHECKING:
    from adapters.brokers.dhan.candle_import import CandleKind, CandleReport
    from adapters.brokers.dhan.prices import ChartSymbol
    from adapters.settings import Settings
    from adapters.ticks.store import ParquetPriceStore
    from propdesk.model.instrument import Instrument

_KINDS: tuple["CandleKind", ...] = ("minute", "daily")
_INDICES = ("INDEX:NIFTY", "INDEX:BANKNIFTY")


def download(
    first: Annotated[str, typer.Argument(help="First day.")],
    last: Annotated[str, typer.Argument(help="Last day.")],
    keys: Annotated[
        list[str] | None,
        typer.Option("--key", help="Price key, several times; shares with derivatives and two indices else."),
    ] = None,
    kind: Annotated[str, typer.Option("--kind", help="minute or daily.")] = "minute",
    store: Annotated[
        str, typer.Option("--store", help="Price store; the one of the settings by default.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Download candles from Dhan; what an earlier run has finished is not asked for again."""
    from adapters.calendar import load_calendar
    from adapters.settings import load_settings
    from adapters.ticks.opening import open_store

    chosen = next((one for one in _KINDS if one == kind), None)
    if chosen is None:
        raise ConfigFault(f"--kind: {kind!r} is neither 'minute' nor 'daily'.")
    days = parse_day(first, "FIRST"), parse_day(last, "LAST")
    settings = load_settings()
    target = open_store(settings, load_calendar(), url=store, say=say)
    report = asyncio.run(_download(settings, target, days, keys or (), chosen))
    empty = [{"key": key, "first": str(a), "last": str(b)} for key, a, b in report.empty]
    if as_json:
        emit(
            {"store": target.url, "candles": report.candles, "refused": dict(report.refused), "empty": empty}
        )
        return
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(report.refused.items())) or "none"
    say(f"{report.candles} candles are in {target.url}; left out: {refused}; {len(empty)} empty windows.")


async def _download(
    settings: "Settings",
    store: "ParquetPriceStore",
    days: tuple[date, date],
    keys: Sequence[str],
    kind: "CandleKind",
) -> "CandleReport":
    from adapters.brokers.dhan import DhanClient, data_config
    from adapters.brokers.dhan.candle_import import DoneWindows, import_candles
    from adapters.brokers.dhan.scrip_master import download_scrip_master
    from adapters.calendar import load_calendar
    from adapters.clock import SystemClock
    from propdesk.core.calendar import ist_date

    config, clock = data_config(settings), SystemClock()
    # security ids are reused: only those of today's file are the broker's
    master = await download_scrip_master(config, ist_date(clock.now_ns()))
    symbols = chart_symbols(keys, master.instruments)
    # what a store has is remembered beside the other data, by the store's address
    name = hashlib.sha256(store.url.encode()).hexdigest()[:12]
    done = DoneWindows(Path(settings.home) / "candles" / f"{name}.json")

    def tell(start: date, end: date, count: int, total: int) -> None:
        if count == total:
            say(f"{start} to {end}: {total} series read.")

    async with DhanClient(config, clock) as client:
        return await import_candles(
            client.prices, store, load_calendar(), symbols, *days, kind=kind, done=done, progress=tell
        )


def chart_symbols(keys: Sequence[str], master: Iterable["Instrument"]) -> list["ChartSymbol"]:
    """Name price keys as Dhan's charts do.

    Parameters
    ----------
    keys : sequence of str
        Empty: shares with derivatives, and the two large indices.
    master : iterable of Instrument
        The day's listings.

    Raises
    ------
    ConfigFault
        If a key is not listed.
    """
    from adapters.brokers.dhan.prices import INDEX_IDS, chart_symbol, index_symbol
    from propdesk.model.enums import Category

    listed = {one.instrument_key: one for one in master}
    wanted = list(keys) or [
        *_INDICES,
        *sorted(k for k, one in listed.items() if one.category is Category.NSE_EQ and one.has_derivatives),
    ]
    found = []
    for key in wanted:
        head, _, name = key.partition(":")
        if head == "INDEX" and name in INDEX_IDS:
            found.append(index_symbol(name, INDEX_IDS[name]))
        elif key in listed:
            found.append(chart_symbol(listed[key]))
        else:
            raise ConfigFault(f"{key} is not in today's scrip master of Dhan.")
    return found

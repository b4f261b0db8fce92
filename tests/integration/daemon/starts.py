"""Starts of the live daemon at a moment of the test's choosing, without its endless tasks."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry

from adapters.calendar import load_calendar
from adapters.settings import Settings
from adapters.ticks.store import ParquetPriceStore, bars_table
from propdesk.core.calendar import ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND, ManualClock
from propdesk.engine import codec
from propdesk.model.live import InboxRow
from propdesk.model.messages import BarObserved, BrokerUpdate, Event, SignalReceived, TimerFired
from propdesk.ports import BarArrays
from tests.support.daemon_day import DAY
from trading_daemon.bootstrap import Bootstrap, Tasks
from trading_daemon.bus import Envelope
from trading_daemon.documents import Stamp, event_of, read_document
from trading_daemon.main import run_day
from trading_daemon.metrics import Meter

OPEN, CLOSE = 9 * 60 + 15, 15 * 60 + 30
FIRST = 570
"""Minute at which the tests' signals come."""

Connection = psycopg.Connection[tuple[Any, ...]]


def at(minute: int, second: int = 0, day: date = DAY) -> int:
    """ns UTC of a minute of the IST day."""
    return ist_midnight_ns(day) + minute * NS_PER_MINUTE + second * NS_PER_SECOND


@asynccontextmanager
async def started(settings: Settings, clock: ManualClock, day: date = DAY) -> AsyncIterator[Tasks]:
    """Start as the process does; at the end everything is gone as after a kill."""
    bootstrap = Bootstrap(settings, clock, Meter(CollectorRegistry()), None)
    while (owed := await bootstrap.owed_day(day)) is not None:
        await run_day(bootstrap, owed, None, asyncio.Event(), is_past=True)
    async with AsyncExitStack() as stack:
        yield await bootstrap.build(day, None, stack)


@asynccontextmanager
async def alive(
    settings: Settings, clock: ManualClock, day: date = DAY, *, also: tuple[str, ...] = ()
) -> AsyncIterator[Tasks]:
    """Start, and run the tasks that decide, send, listen and watch; at the end all die at once.

    ``also`` names tasks that run besides.
    """
    async with started(settings, clock, day) as tasks:
        names = ("decider", "order_manager", "order_feed", "position_monitor", "price_recorder", *also)
        runs = tasks.runs()
        running = [asyncio.create_task(runs[name]()) for name in names if name in runs]  # type: ignore[arg-type]
        try:
            yield tasks
        finally:
            for task in running:
                task.cancel()
            for found in await asyncio.gather(*running, return_exceptions=True):
                assert isinstance(found, asyncio.CancelledError), found


async def settle(tasks: Tasks, seen_ns: int = 0) -> None:
    """Wait until nothing is under way and prices up to a moment are decided."""

    def is_calm() -> bool:
        return tasks.bus.is_quiescent() and tasks.decider.position.state.market_seen_ns >= seen_ns

    await asyncio.wait_for(tasks.bus.pulse.until(is_calm), 30)


async def decide(tasks: Tasks, *events: Event) -> None:
    """Let the decider commit one batch."""
    await tasks.decider.decide([Envelope(events)])


def bar_at(bars: dict[str, BarArrays], key: str, end_ns: int) -> BarObserved:
    """The bar of a series that ends at a moment."""
    series = bars[key]
    place = (series.start_ns + series.interval_ns).tolist().index(end_ns)
    values: Sequence[int] = [
        int(column[place])
        for column in (
            series.open_paise,
            series.high_paise,
            series.low_paise,
            series.close_paise,
            series.volume,
        )
    ]
    return BarObserved(key, int(series.start_ns[place]), series.interval_ns, *values)


def document_at(
    bars: dict[str, BarArrays],
    number: int,
    received_ns: int,
    stock: str = "TSTA",
    *,
    stop: float = 0.985,
    target: float = 1.03,
    **changes: object,
) -> dict[str, object]:
    """A BUY LIMIT idea well above the last price of its stock, so that it fills with the next bar.

    ``stop`` and ``target`` are shares of the last price.
    """
    last_ns = received_ns // NS_PER_MINUTE * NS_PER_MINUTE
    price = bar_at(bars, f"NSE_EQ:{stock}", last_ns).close_paise
    return {
        "kind": "SIGNAL",
        "source": "test",
        "source_message_id": f"s{number}",
        "advisor_id": "A01",
        "advisor_name": "Test Advisor",
        "posted_at": "2025-07-01T09:16:00+05:30",
        "category": "NSE_EQ",
        "symbol": stock,
        "side": "BUY",
        "entry_type": "LIMIT",
        "entry_low": f"{(price + round(price * 0.003 / 5) * 5) / 100:.2f}",
        "stoploss": f"{round(price * stop / 5) * 5 / 100:.2f}",
        "targets": f"{round(price * target / 5) * 5 / 100:.2f}",
        "period": "INTRADAY",
        **changes,
    }


def signal_at(
    bars: dict[str, BarArrays], number: int, received_ns: int, stock: str = "TSTA", **changes: Any
) -> SignalReceived:
    """The idea of `document_at` as the daemon hears it."""
    document = document_at(bars, number, received_ns, stock, **changes)
    new = read_document(document, received_ns, Stamp.CLOCK)
    row = InboxRow(number, new.source_key, 1, new.content_hash, new.document, received_ns, new.rejected_code)
    event = event_of(row, None)
    assert isinstance(event, SignalReceived), new.rejected_text
    return event


def live(settings: Settings, first: int, last: int, *signals: SignalReceived, day: date = DAY) -> None:
    """Start at a minute, take signals, watch the following minutes, and die."""

    async def life() -> None:
        clock = ManualClock(at(first, 3, day))
        async with alive(settings, clock, day) as tasks:
            for signal in signals:
                await tasks.bus.events.put(Envelope((signal,)))
            await settle(tasks)
            for minute in range(first + 1, last + 1):
                clock.advance_to(at(minute, 3, day))
                await settle(tasks, at(minute, day=day))

    asyncio.run(life())


def ideas(bars: dict[str, BarArrays]) -> list[SignalReceived]:
    """Two ideas with a stop and a target close by."""
    return [
        signal_at(bars, number, at(FIRST, 3), stock, stop=0.9985, target=1.0045)
        for number, stock in enumerate(("TSTA", "TSTB"), start=1)
    ]


def trades(connection: Connection, settings: Settings) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT instrument_key, quantity, entry_paise, entry_ns, exited_quantity, exit_paise, exit_ns, "
        "exit_reason FROM trading.executed_trades WHERE account_id = %s ORDER BY 1",
        (settings.account_id,),
    ).fetchall()


def heard(connection: Connection, settings: Settings) -> tuple[list[int], list[str]]:
    """Minutes and broker facts in the journal, in order."""
    rows = connection.execute(
        "SELECT events FROM trading.journal WHERE account_id = %s ORDER BY seq", (settings.account_id,)
    ).fetchall()
    events = [event for row in rows for event in codec.decode_events(bytes(row[0]))]
    minutes = [event.ts_ns for event in events if isinstance(event, TimerFired)]
    return minutes, [event.update_id for event in events if isinstance(event, BrokerUpdate)]


def until(bars: BarArrays, end_ns: int) -> BarArrays:
    """What a recorder had written of a series that it followed up to a moment."""
    count = int((bars.start_ns + bars.interval_ns <= end_ns).sum())
    columns = ("start_ns", "open_paise", "high_paise", "low_paise", "close_paise", "volume")
    return replace(bars, **{name: getattr(bars, name)[:count] for name in columns})


def stalled(settings: Settings, bars: dict[str, BarArrays], day: date = DAY) -> Settings:
    """The same account with a price store of its own that holds these bars only."""
    url = f"{settings.price_store_url}-{settings.account_id}"
    ParquetPriceStore(url, load_calendar()).write_minutes(day, bars_table(bars.items()))
    return settings.model_copy(update={"price_store_url": url})

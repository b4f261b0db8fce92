"""Preparing a run from outside the event loop: pre-market of a day, plan of a replay."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from adapters.cache.flags import RedisFlags
from adapters.calendar import load_calendar
from adapters.clock import SystemClock
from adapters.db.engine import begin, create_engine
from adapters.db.repos.audit import append_audit
from adapters.db.repos.instruments import read_instruments
from adapters.db.repos.readiness import Readiness, read_readiness
from adapters.db.repos.replays import forget_day, read_day_documents
from adapters.log import get_logger
from adapters.mongo.source import MongoSignalSink
from adapters.settings import Settings
from adapters.ticks.store import ParquetPriceStore
from adapters.uploads.profiles import load_aliases
from propdesk.core.clock import from_ns
from propdesk.core.errors import GapFault, StaleFault
from propdesk.intake.resolve import InstrumentLookup
from propdesk.model.enums import Category
from propdesk.model.instrument import Instrument, underlying_price_key
from propdesk.model.live import InboxRow
from propdesk.model.messages import SignalReceived
from trading_daemon.bootstrap import ReplayPlan
from trading_daemon.documents import event_of
from trading_daemon.premarket import STEPS, Premarket, run_step
from trading_daemon.replay_driver import Timeline, build_timeline

READY_FLAG_S: Final = 24 * 3600


def replay_account(trade_date: date) -> str:
    """Name the account that replays of a day use, so that they never touch a trading account's books."""
    return f"replay-{trade_date:%Y%m%d}"


def premarket(settings: Settings, trade_date: date, steps: Sequence[str] = STEPS) -> Readiness:
    """Run pre-market steps of a day, each in a transaction of its own, and mirror the outcome.

    Raises
    ------
    GapFault
        If something the day needs is missing; the steps before it stay done.
    StaleFault
        If ``trade_date`` is no market day.
    """
    calendar = load_calendar()
    if not calendar.is_market_day(trade_date):
        raise StaleFault(f"{trade_date} is no market day; the next one is {calendar.next_day(trade_date)}.")
    clock = SystemClock()
    prices = ParquetPriceStore(settings.price_store_url, calendar)
    engine = create_engine(settings.database_url("daemon"), "propdesk-premarket")
    try:
        record = None
        for step in steps:
            with begin(engine) as connection:
                job = Premarket(
                    connection,
                    settings,
                    trade_date,
                    calendar.previous_day(trade_date),
                    from_ns(clock.now_ns()),
                    prices,
                    prices.actions(),
                )
                record = run_step(job, step)
    finally:
        engine.dispose()
    assert record is not None  # noqa: S101 - at least one step is asked for
    if record.is_ready:
        asyncio.run(_mirror_ready(settings, record))
    return record


def ensure_ready(settings: Settings, trade_date: date) -> Readiness:
    """Run pre-market unless the day is ready already."""
    engine = create_engine(settings.database_url("daemon"), "propdesk-premarket")
    try:
        with begin(engine) as connection:
            record = read_readiness(connection, settings.account_id, trade_date)
    finally:
        engine.dispose()
    return record if record.is_ready else premarket(settings, trade_date)


def plan_replay(
    settings: Settings, trade_date: date, documents: Sequence[Mapping[str, object]] | None, *, fresh: bool
) -> ReplayPlan:
    """Plan the replay of a day.

    Parameters
    ----------
    documents : sequence of mapping or None
        None: what was ingested and that day heard.
    fresh : bool
        Forget what the account's books hold of the day first.

    Raises
    ------
    GapFault
        If there are no signals of that day.
    """
    calendar = load_calendar()
    engine = create_engine(settings.database_url("daemon"), "propdesk-replay")
    try:
        with begin(engine) as connection:
            if documents is None:
                documents = read_day_documents(connection, trade_date, calendar)
            if fresh:
                at = from_ns(SystemClock().now_ns())
                forget_day(connection, settings.account_id, trade_date)
                append_audit(
                    connection,
                    settings.account_id,
                    actor="cli",
                    action="REPLAY_FRESH",
                    detail={"trade_date": trade_date.isoformat()},
                    logged_at=at,
                )
            instruments = tuple(read_instruments(connection, trade_date, trade_date))
    finally:
        engine.dispose()
    if not documents:
        raise GapFault(
            f"No signals of {trade_date} are ingested: give a file with --signals, or ingest one that "
            "holds that day."
        )
    timeline = build_timeline(trade_date, documents, calendar)
    collection = None
    if settings.mongo_url is not None:
        collection = f"{settings.mongo_collection}_{settings.account_id}_{trade_date:%Y%m%d}"
        if fresh:
            asyncio.run(_clear_collection(settings, collection))
    return ReplayPlan(timeline, collection, keys_asked(timeline, instruments))


def keys_asked(timeline: Timeline, instruments: Sequence[Instrument]) -> tuple[str, ...]:
    """Name the series the day's signals will ask for, so that the store is read in one pass."""
    aliases = load_aliases()
    lookup = InstrumentLookup(instruments, aliases)
    keys: set[str] = set()
    for item in timeline.items:
        if item.row is None or item.row.rejected_code is not None:
            continue
        new = item.row
        row = InboxRow(0, new.source_key, 1, new.content_hash, new.document, new.received_ns, None)
        event = event_of(row, aliases)
        if not isinstance(event, SignalReceived):
            continue
        found = lookup.resolve(event.signal, timeline.trade_date)
        if isinstance(found, Instrument):
            is_index = found.category in (Category.INDEX_FUT, Category.INDEX_OPT)
            keys |= {found.instrument_key, underlying_price_key(found.underlying, is_index=is_index)}
    return tuple(sorted(keys))


async def _clear_collection(settings: Settings, collection: str) -> None:
    sink = MongoSignalSink(settings.mongo_dsn(), settings.mongo_database, collection, get_logger())
    try:
        await sink.clear()
    finally:
        await sink.close()


async def _mirror_ready(settings: Settings, record: Readiness) -> None:
    url = None if settings.redis_url is None else settings.redis_dsn()
    flags = RedisFlags(url, settings.account_id, get_logger())
    try:
        await flags.mirror(
            f"ready:{record.trade_date}",
            {"ready_at": record.ready_at, "ruleset_version": record.ruleset_version},
            READY_FLAG_S,
        )
    finally:
        await flags.close()

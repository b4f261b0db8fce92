"""Plugs a real price feed and its recording into the daemon (§2.8)."""

from collections.abc import Callable, Mapping
from datetime import date

from adapters.brokers.dhan import data_config
from adapters.brokers.dhan.quotes import DhanQuotes
from adapters.db.engine import begin, create_engine
from adapters.db.repos.instruments import read_instruments
from adapters.settings import Settings, is_loopback
from adapters.ticks.recorded_import import SANDBOX
from adapters.ticks.recordings import (
    Recorder,
    read_recording,
    recorded_origin,
    recording_path,
    recordings_folder,
)
from propdesk.core.calendar import Segment
from propdesk.core.clock import Clock
from propdesk.core.errors import DataFault
from propdesk.engine.context import price_key_of
from propdesk.intake.minutes import MinuteBook, Spans, session_parts
from propdesk.model.instrument import Instrument
from propdesk.model.trade_event import EventKind
from propdesk.ports import BarArrays
from trading_daemon.day import Day
from trading_daemon.notices import leave_word
from trading_daemon.ports import Log, RecordCounts
from trading_daemon.tasks.price_recorder import PriceRecorder


def make_recorder(
    settings: Settings,
    day: Day,
    clock: Clock,
    counts: RecordCounts,
    log: Log,
) -> PriceRecorder:
    """Make the recorder of the running day.

    Raises
    ------
    ConfigFault
        If the settings hold no token to read prices with.
    """
    trade_date, account = day.context.trade_date, settings.account_id

    def is_open() -> bool:
        hours = (day.context.calendar.hours(trade_date, segment) for segment in Segment)
        return any(one.is_open(clock.now_ns()) for one in hours)

    async def tell(text: str) -> None:
        await leave_word(settings, EventKind.FEED_TROUBLE, text, clock.now_ns())

    config = data_config(settings)
    listed = read_listed(settings, trade_date)
    quotes = DhanQuotes(config, listings_of(listed), clock, is_open=is_open)
    book = MinuteBook(parts_of(day, listed))
    recorder = Recorder(recordings_folder(settings.home, account), trade_date, account, _origin(settings))
    return PriceRecorder(book, quotes, recorder, clock, log, counts=counts, tell=tell, is_open=is_open)


def read_listed(settings: Settings, trade_date: date) -> dict[str, Instrument]:
    """Give what is listed on a day, by price key."""
    engine = create_engine(settings.database_url("daemon"), "propdesk-listings")
    try:
        with begin(engine) as connection:
            return {price_key_of(one): one for one in read_instruments(connection, trade_date, trade_date)}
    finally:
        engine.dispose()


def listings_of(listed: Mapping[str, Instrument]) -> dict[str, tuple[str, str]]:
    """Give (segment, security id) by price key; ids are the broker's numbers."""
    return {
        key: (one.exchange_segment, one.security_id)
        for key, one in listed.items()
        if one.security_id.isdecimal()
    }


def parts_of(day: Day, listed: Mapping[str, Instrument]) -> Callable[[str], Spans]:
    """Give the parts of the day's session by series, as its own instrument trades."""
    trade_date, calendar = day.context.trade_date, day.context.calendar

    def parts(price_key: str) -> Spans:
        one = listed.get(price_key)
        has_derivatives = one is not None and one.has_derivatives
        return session_parts(price_key, trade_date, calendar, has_derivatives=has_derivatives)

    return parts


def earlier_bars(settings: Settings, day: Day, log: Log) -> Callable[[str], BarArrays | None]:
    """Give what this account's recording of a day that is over holds of a series.

    Without a real feed, or where the recording is lacking or unreadable, that is nothing.
    """
    folder = recordings_folder(settings.home, settings.account_id)
    path = recording_path(folder, day.context.trade_date)
    if settings.price_feed == "store" or not path.exists():
        return lambda _price_key: None
    book = MinuteBook(parts_of(day, read_listed(settings, day.context.trade_date)))
    try:
        if recorded_origin(path) == _origin(settings):
            book.restore(read_recording(path).minutes)
    except DataFault as fault:
        log.warning("recording_not_read", reason=str(fault))
    return book.bars


def _origin(settings: Settings) -> str:
    return SANDBOX if is_loopback(settings.dhan_feed_url) else "dhan"

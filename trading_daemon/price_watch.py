"""Plugs a real price feed and its recording into the daemon (§2.8)."""

from collections.abc import Callable, Mapping
from datetime import date

from adapters.brokers.dhan import data_config
from adapters.brokers.dhan.quotes import DhanQuotes
from adapters.db.engine import begin, create_engine
from adapters.db.repos.instruments import read_instruments
from adapters.settings import Settings, is_loopback
from adapters.ticks.recorded_import import SANDBOX
from adapters.ticks.recordings import Recorder, read_recording, recording_path, recordings_folder
from propdesk.core.clock import Clock
from propdesk.core.errors import DataFault
from propdesk.intake.minutes import MinuteBook
from propdesk.model.trade_event import EventKind
from propdesk.ports import BarArrays
from trading_daemon.day import Day
from trading_daemon.notices import leave_word
from trading_daemon.ports import Log, RecordCounts
from trading_daemon.tasks.price_recorder import PriceRecorder


def make_recorder(
    settings: Settings,
    day: Day,
    book: MinuteBook,
    clock: Clock,
    counts: RecordCounts,
    log: Log,
    session: tuple[int, int],
) -> PriceRecorder:
    """Make the recorder of the running day.

    Parameters
    ----------
    book : MinuteBook
        Where it puts the day's minutes.
    session : tuple of (int, int)
        Open and close of the day, ns UTC.

    Raises
    ------
    ConfigFault
        If the settings hold no token to read prices with.
    """
    trade_date, account = day.context.trade_date, settings.account_id

    def is_open() -> bool:
        return session[0] <= clock.now_ns() < session[1]

    async def tell(text: str) -> None:
        await leave_word(settings, EventKind.FEED_TROUBLE, text, clock.now_ns())

    config = data_config(settings)
    quotes = DhanQuotes(config, read_listings(settings, trade_date), clock, is_open=is_open)
    recorder = Recorder(recordings_folder(settings.home, account), trade_date, account, _origin(settings))
    return PriceRecorder(book, quotes, recorder, clock, log, counts=counts, tell=tell, is_open=is_open)


def read_listings(settings: Settings, trade_date: date) -> Mapping[str, tuple[str, str]]:
    """Give (segment, security id) of what is listed on a day, by price key; ids are the broker's numbers."""
    engine = create_engine(settings.database_url("daemon"), "propdesk-listings")
    try:
        with begin(engine) as connection:
            listed = read_instruments(connection, trade_date, trade_date)
    finally:
        engine.dispose()
    return {
        one.instrument_key: (one.exchange_segment, one.security_id)
        for one in listed
        if one.security_id.isdecimal()
    }


def earlier_bars(settings: Settings, day: Day, log: Log) -> Callable[[str], BarArrays | None]:
    """Give what this account's recording of a day that is over holds of a series.

    Without a real feed, or where the recording is lacking or unreadable, that is nothing.
    """
    folder = recordings_folder(settings.home, settings.account_id)
    path = recording_path(folder, day.context.trade_date)
    book = MinuteBook(0, 0)
    if settings.price_feed != "store" and path.exists():
        try:
            found = read_recording(path)
            if found.origin == _origin(settings):
                book.restore(found.minutes)
        except DataFault as fault:
            log.warning("recording_not_read", reason=str(fault))
    return book.bars


def _origin(settings: Settings) -> str:
    return SANDBOX if is_loopback(settings.dhan_feed_url) else "dhan"

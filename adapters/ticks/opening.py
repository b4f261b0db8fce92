"""Open the price store of the settings, with turns that hold between processes."""

from datetime import date

from adapters.settings import Settings
from adapters.ticks.place import Place
from adapters.ticks.store import ParquetPriceStore
from adapters.ticks.turns import DatabaseTurns, FolderTurns, Say, Turns
from propdesk.core.calendar import MarketCalendar


def open_store(
    settings: Settings,
    calendar: MarketCalendar | None = None,
    *,
    url: str = "",
    until: date | None = None,
    say: Say | None = None,
) -> ParquetPriceStore:
    """Open a price store.

    Parameters
    ----------
    settings : Settings
        Names the store and, for one that is no folder, the database by which processes take turns.
    calendar, until
        As of `ParquetPriceStore`.
    url : str
        Another store than that of the settings.
    say : callable, optional
        Told whom one waits for; the log by default.

    Raises
    ------
    ConfigFault
        If nothing here can open such an address.
    """
    place = Place(url or settings.price_store_url)
    turns: Turns
    if place.folder is None:
        turns = DatabaseTurns(place.url, lambda: settings.database_url("pipeline"), say)
    else:
        turns = FolderTurns(place.folder, say)
    return ParquetPriceStore(url or settings.price_store_url, calendar, until=until, turns=turns)

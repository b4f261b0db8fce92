"""What assets are handed: database, market and settings; each is made on first use, never at import."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from typing import Any

import psycopg
from sqlalchemy import Engine

from adapters.calendar import load_calendar
from adapters.clock import SystemClock
from adapters.db.engine import begin, create_engine
from adapters.settings import Settings
from adapters.ticks.opening import open_store
from adapters.ticks.store import IMPORTED_KINDS, ParquetPriceStore
from propdesk.core.calendar import MarketCalendar, ist_date, ist_midnight_ns
from propdesk.core.clock import NS_PER_DAY, Clock


class Writing:
    """A step's transaction: what is written, a thread of its own writes while the step goes on.

    Parameters
    ----------
    connection : psycopg.Connection
        In its transaction.
    thread : ThreadPoolExecutor
        Of one worker, so that writes happen one after the other in the order in which they were asked for.
    """

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]", thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread
        self._asked: list[Future[None]] = []
        self._fault: Exception | None = None

    @property
    def connection(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """To read by; whoever takes it waits for what is being written."""
        self.wait()
        return self._connection

    def later(self, write: Callable[..., object], *words: Any, **named: Any) -> None:
        """Ask for ``write(connection, *words, **named)``; nobody may change what it is given any more."""
        self._asked.append(self._thread.submit(self._write, lambda to: write(to, *words, **named)))

    def wait(self) -> None:
        """Wait until everything is written; raises what the first failed write raised: none followed it."""
        for one in self._asked:
            one.result()
        self._asked.clear()
        if self._fault is not None:
            raise self._fault

    def _write(self, write: Callable[..., object]) -> None:
        if self._fault is None:
            try:
                write(self._connection)
            except Exception as error:
                self._fault = error


class Database:
    """The project's database under the pipeline's role.

    Parameters
    ----------
    settings : Settings
        Names the address; it is asked for on first use, so definitions load without a database.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def account_id(self) -> str:
        """Account that this desk trades."""
        return self._settings.account_id

    @cached_property
    def engine(self) -> Engine:
        """Pooled connections; raises `NotConfigured` if no database is known."""
        return create_engine(self._settings.database_url("pipeline"), "propdesk-pipeline")

    @contextmanager
    def transaction(self) -> "Iterator[psycopg.Connection[tuple[Any, ...]]]":
        """Give one transaction: committed at the end, rolled back on any error."""
        with begin(self.engine) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Give a transaction whose writes happen beside the step; committed once all are done."""
        with self.transaction() as connection, ThreadPoolExecutor(1, "writing") as thread:
            work = Writing(connection, thread)
            try:
                yield work
                work.wait()
            finally:
                thread.shutdown(cancel_futures=True)


class Market:
    """Calendar, stored prices and the present moment.

    Parameters
    ----------
    settings : Settings
        Names the price store.
    clock : Clock, optional
        Tells what is already known; the system's by default.
    calendar : MarketCalendar, optional
        The exchange's by default.
    until : date, optional
        Show prices up to the end of this IST day only.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        calendar: MarketCalendar | None = None,
        *,
        until: date | None = None,
    ) -> None:
        self._settings = settings
        self.clock: Clock = clock or SystemClock()
        self._calendar = calendar
        self._until = until

    @cached_property
    def calendar(self) -> MarketCalendar:
        """The exchange's calendar."""
        return self._calendar or load_calendar()

    @cached_property
    def prices(self) -> ParquetPriceStore:
        """The price store; opened on first use."""
        return open_store(self._settings, self.calendar, until=self._until)

    def today(self) -> date:
        """IST calendar day of the present moment."""
        return ist_date(self.clock.now_ns())

    def known_until_ns(self) -> int:
        """Give the moment up to which prices are known, ns UTC.

        Returns
        -------
        int
            End of the newest IST day in the price store, but not after now; now where the store is empty.

        Notes
        -----
        Not the end of the run's days: a trade belongs to the day of its signal but may end later, and a
        past day that is computed again must give what it gave before. Beyond the store's end nothing is
        known: what is still open there stays open instead of ending at a price nobody saw.
        """
        stored = [days[-1] for kind in IMPORTED_KINDS if (days := self.prices.days(kind))]
        now = self.clock.now_ns()
        return min(ist_midnight_ns(max(stored)) + NS_PER_DAY, now) if stored else now

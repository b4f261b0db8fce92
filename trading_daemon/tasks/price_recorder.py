"""A real price feed → minutes in memory, and a log behind them (§2.8); no fault of either ends the daemon."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND, Clock
from propdesk.core.errors import PropdeskError
from propdesk.intake.minutes import MinuteBook
from propdesk.ports import BarArrays
from trading_daemon.bus import end_if_cancelled
from trading_daemon.ports import Log, PriceLog, QuoteFeed, RecordCounts

KEEP_S: Final = 5.0
"""Seconds between two writes: what a kill may lose. A day of 100 busy series takes about 50 MB."""
PATIENCE_S: Final = 5.0
"""Longest wait for a write; one that takes longer is waited for again with the next."""
BEGIN_S: Final = 60.0
"""Longest wait at a start for what is recorded of the day: the daemon trades on it."""
END_S: Final = 2.0
"""Longest wait for the last write when the process ends."""
AWAY_NS: Final = 60 * NS_PER_SECOND
"""A feed that is away for longer in market hours is told to people."""
CALM_NS: Final = 15 * NS_PER_MINUTE
"""So long no trade may come too late until one that does is told to people again."""
ANEW_S: Final = 5.0
"""Seconds until a reading of the feed that failed is begun anew."""

_Result = TypeVar("_Result")
Tell = Callable[[str], Awaitable[None]]


class PriceRecorder:
    """Builds the day's minutes from a feed and writes them down.

    Whatever fails is counted, told to people once per spell, and tried again; trading goes on. The event loop
    never waits for the disk: each write runs in a thread of its own, one at a time, and what waits meanwhile
    is bounded by the book, which gives up the oldest.

    Parameters
    ----------
    book : MinuteBook
        The day's minutes, also read by the daemon's own feed.
    quotes : QuoteFeed
    log : PriceLog
        Where they are kept; another process that writes it is a fault like any other.
    clock : Clock
        System clock.
    counts : RecordCounts
    tell : callable
        Leaves word for people; must not raise.
    is_open : callable
        Whether the market is open.
    """

    def __init__(
        self,
        book: MinuteBook,
        quotes: QuoteFeed,
        log: PriceLog,
        clock: Clock,
        lines: Log,
        *,
        counts: RecordCounts,
        tell: Tell,
        is_open: Callable[[], bool],
    ) -> None:
        self._book = book
        self._quotes = quotes
        self._log = log
        self._clock = clock
        self._lines = lines
        self._counts = counts
        self._tell = tell
        self._is_open = is_open
        self._wanted: set[str] = set()
        self._asked: set[str] = set()
        self._has_more = asyncio.Event()
        self._heard_ns = clock.now_ns()
        self._is_begun = False
        self._write: asyncio.Task[int] | None = None
        self._written: tuple[int, int] | None = None
        self._given_up = self._old_trades = self._lost_trades = 0
        self._lost_ns = 0
        self._troubles: dict[str, str] = {}

    def bars(self, price_key: str) -> BarArrays | None:
        """Give the watched minutes of the day in which a series traded; None without any."""
        return self._book.bars(price_key)

    def follow(self, price_keys: Sequence[str]) -> None:
        """Watch these series from now on."""
        self._wanted.update(price_keys)
        self._has_more.set()

    async def run(self) -> None:
        """Watch and write until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._subscribe())
            group.create_task(self._watch())
            group.create_task(self._keep())

    def close(self) -> None:
        """Write what is not written yet and let go of the log, or do so after the write under way.

        A file is not closed under its writer, and a disk that hangs keeps the end of the process `END_S` at
        most.
        """
        if self._write is not None and not self._write.done():
            self._write.add_done_callback(lambda _write: self._log.close())
            return
        last = threading.Thread(target=self._write_the_last, name="price-log", daemon=True)
        last.start()
        last.join(END_S)

    def _write_the_last(self) -> None:
        minutes, watch = self._book.take_unwritten(), self._book.watch
        try:
            if self._is_begun and (minutes or watch != self._written):
                self._log.append(minutes, watch)
        except (OSError, PropdeskError) as fault:
            self._lines.error("prices_in_trouble", what="log", reason=_words(fault))
        finally:
            self._log.close()

    # ------------------------------------------------------------------------------------------ hearing

    async def _subscribe(self) -> None:
        while True:
            await self._has_more.wait()
            self._has_more.clear()
            fresh = sorted(self._wanted - self._asked)
            if not fresh:
                continue
            self._asked.update(fresh)
            try:
                unknown = await self._quotes.subscribe(fresh)
            except Exception as fault:
                await self._in_trouble("series", f"series cannot be watched ({_words(fault)})")
                continue
            if unknown:
                self._lines.warning("series_unknown_to_feed", keys=list(unknown))
                self._counts.unknown_series(len(unknown))

    async def _watch(self) -> None:
        while True:
            try:
                await self.hear()
            except Exception as fault:
                await self._in_trouble("feed", f"prices cannot be read ({_words(fault)})")
            self._book.break_off()
            end_if_cancelled()
            await asyncio.sleep(ANEW_S)

    async def hear(self) -> None:
        """Fold what the feed tells into the book until it ends."""
        async with contextlib.aclosing(self._quotes.prices()) as heard:
            async for seen in heard:
                if seen is None:
                    self._book.break_off()
                    continue
                self._heard_ns = seen.seen_ns
                self._book.add(seen)

    # ------------------------------------------------------------------------------------------ writing

    async def _keep(self) -> None:
        while True:
            await self.keep()
            await self._look_at_feed()
            await self._look_at_trades()
            end_if_cancelled()
            await asyncio.sleep(KEEP_S)

    async def begin(self) -> None:
        """Take up what an earlier life wrote of the day; what stands in the way is told as any trouble."""
        await self._keep_within(BEGIN_S)

    async def keep(self) -> None:
        """Write what is not written yet; the first time take up what an earlier life wrote."""
        await self._keep_within(PATIENCE_S)

    async def _keep_within(self, patience_s: float) -> None:
        write = self._write = self._write or asyncio.create_task(self._write_down())
        await asyncio.wait({write}, timeout=patience_s)
        given_up, self._given_up = self._book.given_up - self._given_up, self._book.given_up
        self._counts.dropped(given_up)
        old, self._old_trades = self._book.old_trades - self._old_trades, self._book.old_trades
        self._counts.old_trades(old)
        if not write.done():
            await self._in_trouble("log", f"a write has taken longer than {patience_s:.0f} s")
            return
        self._write = None
        fault = write.exception()
        if fault is not None:
            self._counts.failed()
            await self._in_trouble("log", f"prices are not recorded ({_words(fault)})")
            return
        self._counts.recorded(write.result())
        self._out_of_trouble("log")

    async def _write_down(self) -> int:
        if not self._is_begun:
            self._book.restore(await _aside(self._log.open))
            self._is_begun = True
        minutes, watch = self._book.take_unwritten(), self._book.watch
        if not minutes and watch == self._written:
            return 0
        try:
            await _aside(lambda: self._log.append(minutes, watch))
        except BaseException:
            self._book.give_back(minutes)
            raise
        self._written = watch
        return len(minutes)

    async def _look_at_feed(self) -> None:
        """Tell people of a feed that is away while the market is open and something is wanted of it."""
        now_ns = self._clock.now_ns()
        if self._quotes.is_connected:
            self._heard_ns = now_ns
            self._out_of_trouble("feed")
        elif not (self._wanted and self._is_open()):
            self._heard_ns = now_ns
        elif now_ns - self._heard_ns >= AWAY_NS:
            await self._in_trouble("feed", f"the price feed is away ({self._quotes.trouble or 'no answer'})")

    async def _look_at_trades(self) -> None:
        """Tell people of trades that are in no bar, neither here nor in what is recorded."""
        now_ns, lost = self._clock.now_ns(), self._book.lost_trades
        if lost != self._lost_trades:
            self._lost_trades, self._lost_ns = lost, now_ns
            await self._in_trouble(
                "trades",
                "trades are told minutes from the time of this host and are in no bar, so that stops may not "
                "be met: check its clock, else the feed is late",
            )
        elif now_ns - self._lost_ns >= CALM_NS:
            self._out_of_trouble("trades")

    async def _in_trouble(self, what: str, words: str) -> None:
        if what not in self._troubles:
            self._troubles[what] = words
            self._lines.error("prices_in_trouble", what=what, reason=words)
            await self._tell(f"{words}; trading goes on")

    def _out_of_trouble(self, what: str) -> None:
        words = self._troubles.pop(what, None)
        if words is not None:
            self._lines.info("prices_out_of_trouble", what=what, reason=words)


def _words(fault: BaseException) -> str:
    """Say what failed; what a library puts into its error may hold a token."""
    if isinstance(fault, PropdeskError):
        return str(fault)
    detail = fault.strerror if isinstance(fault, OSError) else None
    return detail or type(fault).__name__


async def _aside(work: Callable[[], _Result]) -> _Result:
    """Run blocking work in a thread that keeps nobody: the process ends though a disk hangs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def settle(result: _Result | None, fault: BaseException | None) -> None:
        if done.cancelled():
            return
        if fault is not None:
            done.set_exception(fault)
        else:
            done.set_result(result)  # type: ignore[arg-type] # a result is given where no fault is

    def run() -> None:
        result, fault = None, None
        try:
            result = work()
        except Exception as raised:
            fault = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=run, name="price-log", daemon=True).start()
    return await done

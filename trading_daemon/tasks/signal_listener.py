"""Signal source → inbox, document and resume token in one transaction (§1.4)."""

from collections.abc import Awaitable, Callable

from propdesk.core.clock import Clock, from_ns
from propdesk.model.live import InboxRow, SourceDocument
from trading_daemon.bus import end_if_cancelled
from trading_daemon.documents import Stamp, read_document
from trading_daemon.metrics import Laps
from trading_daemon.ports import Inbox, Log, SignalSource


class SignalListener:
    """Stores every document of one source and tells who decides about what was new.

    Parameters
    ----------
    source : SignalSource
        Never ends; reconnects by itself.
    inbox : Inbox
        Durable; its connection belongs to this task.
    clock : Clock
        Stamps the receipt.
    deliver : callable
        Takes each new inbox row after its transaction is committed.
    laps : Laps
        Times the way of each idea.
    stamp : Stamp
        Whether the receipt is the clock's moment (live) or the document's own (replay, §5.9).
    """

    def __init__(
        self,
        source: SignalSource,
        inbox: Inbox,
        clock: Clock,
        deliver: Callable[[InboxRow], Awaitable[None]],
        log: Log,
        laps: Laps,
        *,
        stamp: Stamp = Stamp.CLOCK,
    ) -> None:
        self._source = source
        self._inbox = inbox
        self._clock = clock
        self._deliver = deliver
        self._log = log
        self._laps = laps
        self._stamp = stamp

    async def run(self) -> None:
        """Listen until cancelled."""
        position = await self._inbox.position(self._source.name)
        async for document in self._source.documents(position):
            await self.take(document)
            end_if_cancelled()

    async def take(self, document: SourceDocument) -> None:
        """Store one document; a repeat is stored once and delivered once."""
        begun, now_ns = self._laps.now(), self._clock.now_ns()
        row = read_document(document.document, now_ns, self._stamp)
        stored = await self._inbox.store(self._source.name, [row], document.token, from_ns(now_ns))
        self._laps.stored((new.inbox_id for new in stored), begun)
        if row.rejected_code is not None and stored:
            self._log.warning(
                "document_rejected",
                source_key=row.source_key,
                code=row.rejected_code,
                text=row.rejected_text,
            )
        for new in stored:
            await self._deliver(new)

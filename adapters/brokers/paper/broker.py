"""The simulated exchange behind the broker interface; what it knows survives the daemon (§5.8)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final

from adapters.db.repos.paper_exchange import PaperExchangeRepo
from propdesk.core.clock import Clock
from propdesk.core.errors import InvariantViolated, Rejected
from propdesk.engine import codec
from propdesk.model.messages import BarObserved, BrokerUpdate, OrderIntent
from propdesk.ports import BrokerAck, Capabilities
from propdesk.sim.broker import SimBroker, as_received

_CAPABILITIES: Final = Capabilities(
    has_super_orders=True,
    has_trigger_entries=True,
    absence_is_proof=True,
)


class PaperBroker:
    """Places orders at a simulated exchange and streams what it says.

    Parameters
    ----------
    exchange : PaperExchangeRepo
        The exchange's own memory: each call and each minute is one transaction of its own, apart from our
        books, as a real broker's would be.
    sim : SimBroker
        The matching; its state is restored by `open`.
    clock : Clock

    Notes
    -----
    Like a real broker it does not de-duplicate: an intent that is sent twice is executed twice.

    What changes the exchange and its commit are one turn, and turns never overlap: a state that is saved
    holds no change that is not committed with it. A commit that fails, or whose end is not seen, leaves it
    open whether the store has the change; memory is then trusted no more and every further call raises, so
    that the process ends and starts anew from the store.
    """

    def __init__(self, exchange: PaperExchangeRepo, sim: SimBroker, clock: Clock) -> None:
        self._exchange = exchange
        self._sim = sim
        self._clock = clock
        self._facts: list[tuple[int, BrokerUpdate]] = []
        self._handled: dict[str, str] = {}
        self._news = asyncio.Event()
        self._seen: frozenset[str] = frozenset()
        self._turn = asyncio.Lock()
        self._is_ahead = False

    async def open(self, seen: frozenset[str]) -> int:
        """Restore the exchange's day; gives how many of its facts are journalled already.

        Parameters
        ----------
        seen : frozenset of str
            Ids of facts that the journal holds; they are not streamed again.
        """
        state = await self._exchange.load()
        if state is not None:
            self._sim.import_state(state["sim"])
            self._handled = dict(state["handled"])
        for fact in await self._exchange.facts():
            update = codec.from_plain(BrokerUpdate, fact.content)
            self._facts.append((fact.known_ns, update))
        self._seen = seen
        return sum(update.update_id in seen for _, update in self._facts)

    @property
    def capabilities(self) -> Capabilities:
        """Super orders with trigger entries."""
        return _CAPABILITIES

    @property
    def writes(self) -> int:
        """Intents carried out so far."""
        return len(self._handled)

    @property
    def facts_known(self) -> int:
        """Facts of the day that are known at the clock's present moment."""
        now_ns = self._clock.now_ns()
        return sum(known_ns <= now_ns for known_ns, _ in self._facts)

    async def place(self, intent: OrderIntent, *, leave_by_ns: int | None = None) -> BrokerAck:
        """Take a super order; raises `Rejected` where the exchange refuses it."""
        del leave_by_ns  # it is taken at once
        return await self._act(intent)

    async def modify(self, intent: OrderIntent) -> BrokerAck:
        """Move a stop or a target; raises `Rejected` where no such order is alive."""
        return await self._act(intent)

    async def cancel(self, intent: OrderIntent) -> BrokerAck:
        """Cancel an unfilled entry; raises `Rejected` where no such order is alive."""
        return await self._act(intent)

    async def exit(self, intent: OrderIntent) -> BrokerAck:
        """Close what is filled at the next price; raises `Rejected` where no such order is alive."""
        return await self._act(intent)

    async def protect(self, intent: OrderIntent) -> BrokerAck:
        """Set the stop; raises `Rejected` where no such order is alive."""
        return await self._act(intent)

    async def neutralise(self, intent: OrderIntent) -> BrokerAck:
        """Refuse: this exchange never told of an order that repeats another."""
        raise Rejected(f"No order repeats {intent.correlation_id} here.")

    async def check_access(self) -> None:
        """Do nothing: it takes orders from whoever runs it."""

    async def find(self, intent: OrderIntent) -> BrokerAck | None:
        """Look up what an intent did here."""
        async with self._turn:
            self._trust_memory()
            order_id = self._handled.get(intent.intent_id)
        return None if order_id is None else BrokerAck(intent.correlation_id, order_id)

    async def snapshot(self, orders: Collection[str] = ()) -> tuple[BrokerUpdate, ...]:
        """Every fact of the day so far; before them those of earlier days of the given orders."""
        today = tuple(update for _, update in self._facts)
        if not orders:
            return today
        self._trust_memory()
        known = {update.update_id for update in today}
        earlier = tuple(
            update
            for update in self._sim.snapshot()
            if update.correlation_id in orders and update.update_id not in known
        )
        return earlier + today

    async def updates(self) -> AsyncIterator[BrokerUpdate]:
        """Stream facts as they become known, each once."""
        place = 0
        while True:
            now_ns = self._clock.now_ns()
            if place < len(self._facts) and self._facts[place][0] <= now_ns:
                update = self._facts[place][1]
                place += 1
                if update.update_id not in self._seen:
                    yield update
                continue
            self._news.clear()
            await self._news.wait()

    async def on_bars(self, bars: Sequence[BarObserved], end_ns: int) -> None:
        """Let resting orders meet a minute's bars; a bar met before changes nothing.

        It is the bar that counts, not the minute: after a restart a minute may bring bars along that were
        written too late for the first time it was met.
        """
        async with self._turn:
            self._trust_memory()
            updates = self._sim.on_bars(bars)
            # A minute without a fact leaves nothing behind but last prices, which `refresh` restores.
            if updates:
                await self._commit(updates, end_ns)
        self._news.set()

    async def end_session(self, now_ns: int) -> None:
        """Close the exchange's day: exits that found no price fill at the last close."""
        async with self._turn:
            self._trust_memory()
            updates = self._sim.end_session(now_ns)
            if updates:
                await self._commit(updates, now_ns)
        self._news.set()

    async def refresh(self, bars: Sequence[BarObserved]) -> None:
        """Show the exchange the newest bar of each series that it had met before its process died."""
        async with self._turn:
            self._trust_memory()
            updates = self._sim.on_bars(bars)
            if updates:
                await self._commit(updates, self._clock.now_ns())

    async def _act(self, intent: OrderIntent) -> BrokerAck:
        async with self._turn:
            self._trust_memory()
            now_ns = self._clock.now_ns()
            ack, updates = self._sim.handle(as_received(intent, now_ns))
            self._handled[intent.intent_id] = ack.broker_order_id
            await self._commit(updates, now_ns)
        return ack

    def _trust_memory(self) -> None:
        if self._is_ahead:
            raise InvariantViolated(
                "The paper exchange's memory may be ahead of its store: the process must end and start anew."
            )

    async def _commit(self, updates: Sequence[BrokerUpdate], known_ns: int) -> None:
        self._is_ahead = True
        first = len(self._facts) + 1
        rows = [
            (seq, update.update_id, known_ns, codec.to_plain(update))
            for seq, update in enumerate(updates, start=first)
        ]
        try:
            await self._exchange.save(self._state(), rows)
        except (OSError, TimeoutError) as error:
            # Of a real broker these leave an order's fate open; here they end the process.
            raise InvariantViolated(f"The paper exchange could not be saved: {error}") from error
        self._is_ahead = False
        self._facts.extend((known_ns, update) for update in updates)
        self._news.set()

    def _state(self) -> dict[str, Any]:
        return {"sim": self._sim.export_state(), "handled": self._handled}

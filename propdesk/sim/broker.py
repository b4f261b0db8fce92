"""Paper broker: super orders matched against bars by the only fill logic there is (§5.8).

It is synchronous and knows nothing of the engine: intents in, facts out. Its whole state can be exported
as plain JSON data and imported again, so that the exchange survives the death of the process that trades
on it. Like a real broker it does not recognise a repeated order: a correlation id that is placed twice
rests twice (the write-ahead protocol must see to it that this never happens).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from propdesk.core.errors import Rejected
from propdesk.core.ids import derived_id
from propdesk.engine import codec
from propdesk.execution.matching import (
    SuperOrder,
    SuperOrderState,
    cancel_entry,
    exit_at,
    match_bar,
    modify,
)
from propdesk.model.enums import EntryType, ExitReason
from propdesk.model.messages import BarObserved, BrokerUpdate, BrokerUpdateKind, IntentKind, OrderIntent
from propdesk.model.order import LegEvent, LegEventKind
from propdesk.ports import BrokerAck, Capabilities
from propdesk.sim.fills import FillModel, is_marketable

_KINDS = {
    LegEventKind.ENTRY_FILLED: BrokerUpdateKind.ENTRY_FILLED,
    LegEventKind.TARGET_FILLED: BrokerUpdateKind.TARGET_FILLED,
    LegEventKind.STOP_FILLED: BrokerUpdateKind.STOP_FILLED,
    LegEventKind.EXIT_FILLED: BrokerUpdateKind.EXIT_FILLED,
    LegEventKind.ENTRY_CANCELLED: BrokerUpdateKind.CANCELLED,
    LegEventKind.GAPPED_THROUGH: BrokerUpdateKind.GAPPED_THROUGH,
}
_SLIPS = (BrokerUpdateKind.STOP_FILLED, BrokerUpdateKind.EXIT_FILLED)


@dataclass(frozen=True, slots=True)
class WantedExit:
    """A marketable exit that waits for the next bar; ``quantity`` None = all that is open."""

    not_before_ns: int
    reason: ExitReason
    quantity: int | None


@dataclass(frozen=True, slots=True)
class PaperOrder:
    """One super order resting at the paper exchange.

    ``unfilled_quantity`` is the part of the entry that never fills and waits for its cancel (0 unless the
    fill model draws a partial fill). ``exits`` wait for a bar; ``facts`` is all that was ever told.
    """

    broker_order_id: str
    correlation_id: str
    instrument_key: str
    unfilled_quantity: int
    order: SuperOrder
    exits: tuple[WantedExit, ...] = ()
    facts: tuple[BrokerUpdate, ...] = ()


class SimBroker:
    """Exchange and broker in memory.

    Parameters
    ----------
    fills : FillModel
        Seed and imperfections; the default fills exactly as the history says.
    lot_sizes : mapping of str to int
        Units per lot by instrument key, needed for partial fills only; absent = 1.
    """

    capabilities = Capabilities(has_super_orders=True, has_trigger_entries=True)

    def __init__(self, fills: FillModel | None = None, lot_sizes: Mapping[str, int] | None = None) -> None:
        self.fills = fills or FillModel()
        self._lot_sizes = dict(lot_sizes or {})
        self._orders: dict[str, PaperOrder] = {}
        self._by_key: dict[str, tuple[str, ...]] = {}
        self._by_correlation: dict[str, tuple[str, ...]] = {}
        self._last_bar: dict[str, tuple[int, int]] = {}

    # ---------------------------------------------------------------- calls

    def place(self, intent: OrderIntent) -> tuple[BrokerAck, tuple[BrokerUpdate, ...]]:
        """Rest a new super order.

        Returns
        -------
        tuple of BrokerAck and tuple of BrokerUpdate
            Acknowledgement; facts for the stream.

        Raises
        ------
        Rejected
            If the exchange refuses it (seeded).
        """
        if self.fills.is_rejected(intent.correlation_id):
            raise Rejected(f"order {intent.correlation_id} was refused by the paper exchange")
        repeats = len(self._by_correlation.get(intent.correlation_id, ()))
        broker_id = derived_id("paper-order", intent.correlation_id, repeats)
        lot_size = self._lot_sizes.get(intent.instrument_key, 1)
        fills = self.fills.filled_quantity(intent.correlation_id, intent.quantity, lot_size)
        order = SuperOrder(
            order_key=broker_id,
            leg_number=intent.leg_number,
            side=intent.side,
            quantity=fills,
            entry_type=EntryType(intent.entry_type),
            entry_low_paise=intent.price_low_paise,
            entry_high_paise=intent.price_high_paise,
            stop_paise=intent.stop_paise,
            target_paise=intent.target_paise,
            first_target_paise=intent.first_target_paise,
            active_from_ns=intent.active_from_ns,
            valid_until_ns=intent.valid_until_ns,
        )
        paper = PaperOrder(
            broker_id, intent.correlation_id, intent.instrument_key, intent.quantity - fills, order
        )
        self._add(paper)
        return self._reply(paper, BrokerUpdateKind.ACKNOWLEDGED, intent.created_ns)

    def modify(self, intent: OrderIntent) -> tuple[BrokerAck, tuple[BrokerUpdate, ...]]:
        """Move a stop or target to an absolute price; it acts from the next bar on.

        Raises
        ------
        Rejected
            If no such order is alive.
        """
        paper = self._alive(intent)
        sets_stop = intent.kind in (IntentKind.MODIFY_STOP, IntentKind.EMERGENCY_STOP)
        stop = intent.stop_paise if sets_stop else None
        target = intent.target_paise if intent.kind is IntentKind.MODIFY_TARGET else None
        paper = replace(paper, order=modify(paper.order, stop=stop, target=target))
        self._orders[paper.broker_order_id] = paper
        return self._reply(paper, BrokerUpdateKind.MODIFIED, intent.created_ns, intent.intent_id)

    def cancel(self, intent: OrderIntent) -> tuple[BrokerAck, tuple[BrokerUpdate, ...]]:
        """Withdraw an entry that has not filled; of a filled one nothing is left to withdraw.

        Raises
        ------
        Rejected
            If no such order is alive.
        """
        paper = self._alive(intent)
        return BrokerAck(paper.correlation_id, paper.broker_order_id), self._withdraw(
            paper, intent.created_ns
        )

    def exit(self, intent: OrderIntent) -> tuple[BrokerAck, tuple[BrokerUpdate, ...]]:
        """Close units at the open of the next bar; a waiting entry is withdrawn.

        Raises
        ------
        Rejected
            If no such order is alive.
        """
        paper = self._alive(intent)
        reason = intent.reason or ExitReason.FOLLOWUP_EXIT
        if paper.order.state is SuperOrderState.PENDING:
            return self.cancel(intent)
        wanted = WantedExit(intent.created_ns, reason, intent.quantity)
        paper = replace(paper, exits=(*paper.exits, wanted))
        self._orders[paper.broker_order_id] = paper
        return self._reply(paper, BrokerUpdateKind.ACKNOWLEDGED, intent.created_ns, intent.intent_id)

    def handle(self, intent: OrderIntent) -> tuple[BrokerAck, tuple[BrokerUpdate, ...]]:
        """Carry any intent out by its kind; raises `Rejected` like the call it stands for."""
        if intent.kind is IntentKind.PLACE:
            return self.place(intent)
        if intent.kind is IntentKind.CANCEL_ENTRY:
            return self.cancel(intent)
        return self.exit(intent) if intent.kind is IntentKind.EXIT else self.modify(intent)

    # --------------------------------------------------------------- market

    def on_bars(self, bars: Iterable[BarObserved]) -> tuple[BrokerUpdate, ...]:
        """Let complete bars act on the resting orders.

        Parameters
        ----------
        bars : iterable of BarObserved
            In rising order per instrument; a bar that is not newer than the last one is ignored.

        Returns
        -------
        tuple of BrokerUpdate
            Facts in the order of the bars, then of the orders' placing.
        """
        updates: list[BrokerUpdate] = []
        for bar in bars:
            last = self._last_bar.get(bar.price_key)
            if last is not None and bar.start_ns <= last[0]:
                continue
            self._last_bar[bar.price_key] = (bar.start_ns, bar.close_paise)
            for broker_id in self._by_key.get(bar.price_key, ()):
                updates.extend(self._match(self._orders[broker_id], bar))
            self._forget_done(bar.price_key)
        return tuple(updates)

    def end_session(self, now_ns: int) -> tuple[BrokerUpdate, ...]:
        """Close the day: exits that found no bar fill at the last close, unfilled entries lapse.

        Parameters
        ----------
        now_ns : int
            Session close, ns UTC.
        """
        updates: list[BrokerUpdate] = []
        for key in tuple(self._by_key):
            last = self._last_bar.get(key)
            for broker_id in self._by_key[key]:
                paper = self._orders[broker_id]
                if paper.exits and last is not None:
                    updates.extend(self._fill_exits(paper, last[1], now_ns, now_ns))
                    paper = self._orders[broker_id]
                if now_ns >= paper.order.valid_until_ns:
                    updates.extend(self._withdraw(paper, now_ns))
            self._forget_done(key)
        return tuple(updates)

    def snapshot(self) -> tuple[BrokerUpdate, ...]:
        """Every fact so far, in the order of the orders' placing: what a reconciliation reads."""
        return tuple(fact for paper in self._orders.values() for fact in paper.facts)

    def positions(self) -> dict[str, int]:
        """Signed open units per instrument; flat ones are left out."""
        found: dict[str, int] = {}
        for paper in self._orders.values():
            units = paper.order.side.sign * paper.order.open_quantity
            found[paper.instrument_key] = found.get(paper.instrument_key, 0) + units
        return {key: units for key, units in found.items() if units}

    def unprotected(self) -> tuple[str, ...]:
        """Correlation ids of filled orders without a stop: must always be empty."""
        return tuple(
            paper.correlation_id
            for paper in self._orders.values()
            if paper.order.open_quantity > 0 and paper.order.stop_paise is None
        )

    def order(self, correlation_id: str) -> SuperOrder | None:
        """Give the matching order last placed under a correlation id; None if there is none."""
        names = self._by_correlation.get(correlation_id, ())
        return self._orders[names[-1]].order if names else None

    # --------------------------------------------------------------- export

    def export_state(self) -> dict[str, Any]:
        """Give the whole exchange as plain JSON data."""
        return {
            "orders": [codec.to_plain(paper) for paper in self._orders.values()],
            "last_bar": {key: list(value) for key, value in self._last_bar.items()},
        }

    def import_state(self, state: Mapping[str, Any]) -> None:
        """Become the exchange that was exported; what was here before is gone."""
        self._orders, self._by_key, self._by_correlation = {}, {}, {}
        self._last_bar = {key: (value[0], value[1]) for key, value in state["last_bar"].items()}
        for plain in state["orders"]:
            self._add(codec.from_plain(PaperOrder, plain))
        for key in tuple(self._by_key):
            self._forget_done(key)

    # ------------------------------------------------------------- internal

    def _add(self, paper: PaperOrder) -> None:
        key, name = paper.instrument_key, paper.correlation_id
        self._orders[paper.broker_order_id] = paper
        self._by_key[key] = (*self._by_key.get(key, ()), paper.broker_order_id)
        self._by_correlation[name] = (*self._by_correlation.get(name, ()), paper.broker_order_id)

    def _alive(self, intent: OrderIntent) -> PaperOrder:
        for broker_id in self._by_correlation.get(intent.correlation_id, ()):
            paper = self._orders[broker_id]
            if _is_alive(paper):
                return paper
        raise Rejected(f"the paper exchange has no live order {intent.correlation_id}")

    def _forget_done(self, key: str) -> None:
        """Take finished orders off the matching list; their facts stay for the snapshot."""
        names = self._by_key.get(key, ())
        alive = tuple(n for n in names if _is_alive(self._orders[n]))
        if len(alive) != len(names):
            self._by_key[key] = alive

    def _withdraw(self, paper: PaperOrder, now_ns: int) -> tuple[BrokerUpdate, ...]:
        """End what has not filled of an entry."""
        order, events = cancel_entry(paper.order, now_ns)
        if not events and paper.unfilled_quantity:
            events = (LegEvent(LegEventKind.ENTRY_CANCELLED, order.leg_number, 0, 0, now_ns),)
        paper = replace(paper, order=order, unfilled_quantity=0)
        self._orders[paper.broker_order_id] = paper
        return self._told(paper, events)

    def _match(self, paper: PaperOrder, bar: BarObserved) -> tuple[BrokerUpdate, ...]:
        updates: tuple[BrokerUpdate, ...] = ()
        if paper.exits:
            updates = self._fill_exits(paper, bar.open_paise, bar.start_ns, bar.start_ns)
            paper = self._orders[paper.broker_order_id]
        order, events = match_bar(paper.order, bar)
        if order is paper.order and not events:
            return updates
        paper = replace(paper, order=order)
        self._orders[paper.broker_order_id] = paper
        return (*updates, *self._told(paper, events))

    def _fill_exits(
        self, paper: PaperOrder, price: int, at_ns: int, until_ns: int
    ) -> tuple[BrokerUpdate, ...]:
        updates: tuple[BrokerUpdate, ...] = ()
        for wanted in paper.exits:
            if wanted.not_before_ns > until_ns:
                continue
            order, events = exit_at(paper.order, price, at_ns, wanted.reason, wanted.quantity)
            rest = tuple(e for e in paper.exits if e is not wanted)
            paper = replace(paper, order=order, exits=rest)
            self._orders[paper.broker_order_id] = paper
            updates = (*updates, *self._told(paper, events))
            paper = self._orders[paper.broker_order_id]
        return updates

    def _told(self, paper: PaperOrder, events: tuple[LegEvent, ...]) -> tuple[BrokerUpdate, ...]:
        """Turn what matched into facts, remembered for the snapshot."""
        updates = tuple(self._update(paper, event) for event in events)
        if updates:
            paper = self._orders[paper.broker_order_id]
            self._orders[paper.broker_order_id] = replace(paper, facts=(*paper.facts, *updates))
        return updates

    def _update(self, paper: PaperOrder, event: LegEvent) -> BrokerUpdate:
        kind = _KINDS[event.kind]
        name, side = paper.correlation_id, paper.order.side
        price = event.price_paise
        if kind is BrokerUpdateKind.ENTRY_FILLED and is_marketable(paper.order.entry_type):
            price = self.fills.slipped(name, "entry", price, side)
        elif kind in _SLIPS:
            price = self.fills.slipped(name, "exit", price, side.opposite)
        return BrokerUpdate(
            update_id=derived_id("paper-fact", paper.broker_order_id, kind.value, event.quantity),
            kind=kind,
            correlation_id=name,
            broker_order_id=paper.broker_order_id,
            price_paise=price,
            quantity=event.quantity,
            ts_ns=event.at_ns,
            reason="" if event.reason is None else event.reason.value,
            ambiguous=event.ambiguous,
        )

    def _reply(
        self, paper: PaperOrder, kind: BrokerUpdateKind, ts_ns: int, reference: str = ""
    ) -> tuple[BrokerAck, tuple[BrokerUpdate, ...]]:
        update = BrokerUpdate(
            update_id=derived_id("paper-fact", paper.broker_order_id, kind.value, reference),
            kind=kind,
            correlation_id=paper.correlation_id,
            broker_order_id=paper.broker_order_id,
            price_paise=0,
            quantity=0,
            ts_ns=ts_ns,
        )
        paper = self._orders[paper.broker_order_id]
        self._orders[paper.broker_order_id] = replace(paper, facts=(*paper.facts, update))
        return BrokerAck(paper.correlation_id, paper.broker_order_id), (update,)


def _is_alive(paper: PaperOrder) -> bool:
    return paper.order.state is not SuperOrderState.DONE or paper.unfilled_quantity > 0


def as_received(intent: OrderIntent, now_ns: int) -> OrderIntent:
    """Let an intent act from the moment it is here: one that was held up meets no bar that began before."""
    return replace(
        intent,
        created_ns=max(intent.created_ns, now_ns),
        active_from_ns=max(intent.active_from_ns, now_ns),
    )

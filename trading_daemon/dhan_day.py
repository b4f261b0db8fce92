"""Dhan for a replayed day: the adapter, pointed at a sandbox, with what it must know of the day."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from adapters.brokers.dhan import (
    CarriedOrder,
    DaySheet,
    DhanBroker,
    DhanClient,
    Remembered,
    WantedExit,
    trading_config,
)
from adapters.brokers.dhan.auth import FileTokenStore
from adapters.brokers.dhan.order_updates import OrderUpdates
from adapters.brokers.dhan.stepped import SandboxClock, SteppedDhan
from adapters.settings import ENV_PREFIX, Settings
from propdesk.core.clock import Clock
from propdesk.core.errors import ConfigFault, Rejected
from propdesk.engine.orders import open_units_of
from propdesk.engine.recover import Recovered
from propdesk.engine.state import CarryOver, EngineState
from propdesk.model.enums import Product
from propdesk.model.instrument import Instrument
from propdesk.model.messages import OrderIntent
from trading_daemon.feeds import StoredDay


class StateSheet:
    """What the broker must know to write an order, from the state that was committed with it.

    Parameters
    ----------
    recovered : Recovered
        Where the day stands; `follow` names where the running state is found.
    feed : StoredDay
        Last prices.
    clock : Clock
    open_ns : int
        When the session begins, ns UTC.
    """

    def __init__(self, recovered: Recovered, feed: StoredDay, clock: Clock, open_ns: int) -> None:
        self._state: Callable[[], EngineState] = lambda: recovered.state
        self._carried = () if recovered.carried is None else open_orders(recovered.carried)
        self._feed = feed
        self._clock = clock
        self._open_ns = open_ns

    def follow(self, state: Callable[[], EngineState]) -> None:
        """Look into the running state from now on."""
        self._state = state

    def remembered(self) -> Remembered:
        """Give what the broker must know of our orders when the process starts."""
        state = self._state()
        orders = [order for live in state.groups.values() for order in live.orders]
        in_doubt = {o.correlation_id: o.doubt_fact for o in orders if o.doubt_fact}
        if state.doubt_fact:
            in_doubt[""] = state.doubt_fact
        exiting = {
            o.correlation_id: WantedExit(o.exit_wanted, o.wanted_target_paise, o.wanted_stop_paise)
            for o in orders
            if o.exit_wanted is not None
        }
        uncovered = frozenset(o.correlation_id for o in orders if o.naked_units or o.excess_units)
        guards = {o.correlation_id: o.guard_asked for o in orders if o.guard_asked}
        cover_ns = max((order.cover_ns for order in orders), default=0)
        order_ids = {o.correlation_id: o.broker_order_id for o in orders if o.broker_order_id}
        return Remembered(exiting, in_doubt, uncovered, guards, cover_ns, order_ids)

    def day_sheet(self) -> DaySheet:
        """Give the broker its view."""
        return DaySheet(
            self._instrument,
            self._product,
            self._last_price,
            self._ordered,
            lambda: self._carried,
            self._open_ns,
        )

    def _instrument(self, key: str) -> Instrument | None:
        groups = self._state().groups.values()
        return next((live.instrument for live in groups if live.group.instrument_key == key), None)

    def _product(self, intent: OrderIntent) -> Product:
        live = self._state().groups.get(intent.group_id)
        if live is None:
            raise Rejected(f"No trade group {intent.group_id} stands behind {intent.correlation_id}.")
        return live.product

    def _ordered(self, correlation_id: str) -> int | None:
        state = self._state()
        live = state.groups.get(state.order_index.get(correlation_id, ""))
        orders = () if live is None else live.orders
        return next((o.quantity for o in orders if o.correlation_id == correlation_id), None)

    def _last_price(self, key: str) -> int | None:
        bar = self._feed.latest(key, self._clock.now_ns())
        return None if bar is None else bar.close_paise


def open_orders(carried: CarryOver) -> tuple[CarriedOrder, ...]:
    """Name the orders that the day before left open, as they stood when it handed over."""
    return tuple(
        CarriedOrder(
            order.correlation_id,
            order.broker_order_id,
            live.group.side,
            live.instrument,
            live.product,
            order.filled_quantity,
            order.exited_quantity,
            order.exited_notional_paise,
        )
        for live in carried.groups
        for order in live.orders
        if open_units_of(order) > 0 and not live.is_shadow
    )


async def stepped_dhan(
    settings: Settings, sheet: StateSheet, clock: Clock, seen: frozenset[str], stack: AsyncExitStack
) -> SteppedDhan:
    """Connect to the sandbox and hear what happened there since the journal ends.

    Parameters
    ----------
    seen : frozenset of str
        Facts that the journal holds.
    stack : AsyncExitStack
        Takes what must be closed at the end of the run.

    Raises
    ------
    ConfigFault
        If the settings name no sandbox on this machine, or none answers.
    """
    if not settings.dhan_is_local:
        raise ConfigFault(
            f"{ENV_PREFIX}BROKER=dhan trades a past day, which needs a sandbox on this machine: start one "
            "with `propdesk sandbox run --speed 0` and set the variables that it prints."
        )
    config = trading_config(settings)
    store = FileTokenStore(settings.home / "run" / f"dhan-token-{settings.account_id}")
    mover = SandboxClock(config.rest_url)
    stack.push_async_callback(mover.close)
    await mover.advance_to(clock.now_ns())
    client = DhanClient(config, mover, store=store, is_stepped=True)
    stack.push_async_callback(client.close)
    alerts = OrderUpdates(config, client.session)
    broker = DhanBroker(client, alerts, sheet.day_sheet(), clock)
    broker.remember(seen, sheet.remembered())
    stepped = SteppedDhan(broker, mover)
    await stepped.advance_to(clock.now_ns())
    return stepped

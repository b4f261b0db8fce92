"""One simulated broker: exchange, market, tokens, limits and faults under one clock."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from adapters.config_files import load_margins
from propdesk.core.clock import NS_PER_SECOND
from propdesk.model.enums import Side
from propdesk.ports import PriceSource
from sandbox.book import Role
from sandbox.catalogue import Catalogue
from sandbox.exchange import Exchange
from sandbox.faults import FaultKind, FaultPlan
from sandbox.knobs import Knobs
from sandbox.ledger import TruthLedger
from sandbox.limits import RateLimits
from sandbox.market import Market, MarketTick
from sandbox.tokens import Tokens


@dataclass(slots=True)
class DayRange:
    """Open, high and low of the simulated day, paise, and units traded (one per tick)."""

    opened: int
    high: int
    low: int
    volume: int = 1


@dataclass(slots=True)
class World:
    """What the server serves; everything in it changes by `advance` or by a call only.

    Attributes
    ----------
    history : PriceSource or None
        Where chart calls read; None = every chart is empty.
    on_tick : list of callable
        Told each tick after the exchange has met it.
    """

    knobs: Knobs
    catalogue: Catalogue
    exchange: Exchange
    market: Market
    tokens: Tokens
    limits: RateLimits
    faults: FaultPlan
    ledger: TruthLedger
    history: PriceSource | None = None
    ips: list[str] = field(default_factory=list)
    ranges: dict[str, DayRange] = field(default_factory=dict)
    on_tick: list[Callable[[MarketTick], None]] = field(default_factory=list)

    @property
    def now_ns(self) -> int:
        """Simulated time."""
        return self.exchange.now_ns

    def advance(self, now_ns: int) -> None:
        """Let time pass up to ``now_ns``: prices and timers act in the order of their moments."""
        for tick in self.market.until(now_ns):
            known = self.ranges.get(tick.price_key)
            if known is None:
                price = tick.price_paise
                self.ranges[tick.price_key] = DayRange(price, price, price)
            else:
                known.high = max(known.high, tick.price_paise)
                known.low = min(known.low, tick.price_paise)
                known.volume += 1
            self.exchange.tick(tick.price_key, tick.price_paise, tick.ts_ns)
            for tell in self.on_tick:
                tell(tick)
        self.exchange.advance(now_ns)

    def advance_by(self, seconds: float) -> None:
        """Let seconds pass."""
        self.advance(self.now_ns + int(seconds * NS_PER_SECOND))

    def trade(self, price_key: str, price_paise: int) -> None:
        """Let a price be traded now."""
        self.market.add([MarketTick(self.now_ns, price_key, price_paise)])
        self.advance(self.now_ns)

    def manual_order(self, price_key: str, side: Side, quantity: int, price_paise: int) -> str:
        """Place an order as a person would in the broker's app; gives its id.

        Raises
        ------
        KeyError
            If nothing is listed under the key.
        """
        listing = self.catalogue.by_key(price_key)
        if listing is None:
            raise KeyError(price_key)
        self.faults.strike(FaultKind.MANUAL_ORDER)
        order = self.exchange.new_order(
            Role.PLAIN, listing, side=side, quantity=quantity, price=price_paise, source="MANUAL"
        )
        self.exchange.send(order)
        return order.order_id

    def manual_cancel(self, order_id: str) -> None:
        """Cancel an order, or a whole super order, as a person would in the broker's app.

        Raises
        ------
        KeyError
            If there is no such order.
        """
        self.faults.strike(FaultKind.MANUAL_CANCEL)
        parent = self.exchange.supers.get(order_id)
        if parent is not None:
            self.exchange.cancel_leg(parent, Role.ENTRY)
        else:
            self.exchange.cancel(self.exchange.orders[order_id])

    def revoke_tokens(self) -> None:
        """Let every token die at once."""
        self.faults.strike(FaultKind.TOKEN_REVOKE)
        self.tokens.revoke_all()


def make_world(
    catalogue: Catalogue,
    now_ns: int,
    *,
    knobs: Knobs | None = None,
    ticks: Iterable[MarketTick] = (),
    previous_close: dict[str, int] | None = None,
    history: PriceSource | None = None,
    ledger_path: Path | None = None,
) -> World:
    """Put a sandbox together.

    Parameters
    ----------
    catalogue : Catalogue
    now_ns : int
        Start of the simulated time, ns UTC.
    knobs : Knobs, optional
    ticks : iterable of MarketTick
        What will be traded.
    previous_close : dict of str to int
        By price key, paise; sets the price bands.
    history : PriceSource, optional
        Serves the chart calls.
    ledger_path : Path, optional
        Where the truth is written as well.
    """
    chosen = knobs or Knobs()
    ledger, faults = TruthLedger(ledger_path), FaultPlan(chosen.seed)
    exchange = Exchange(catalogue, chosen, load_margins(), ledger, faults, now_ns)
    exchange.previous_close.update(previous_close or {})
    return World(
        knobs=chosen,
        catalogue=catalogue,
        exchange=exchange,
        market=Market(ticks),
        tokens=Tokens(chosen),
        limits=RateLimits(chosen),
        faults=faults,
        ledger=ledger,
        history=history,
        ips=list(chosen.allowed_ips),
    )

"""What pre-market froze for the day; the reducer reads it and never changes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from propdesk.core.calendar import MarketCalendar, Segment, segment_of
from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND
from propdesk.execution.lifetime import Lifetime, LifetimeRules, lifetime
from propdesk.model.enums import (
    Category,
    GateProfile,
    Period,
    Product,
    Regime,
    ReverseMode,
    Side,
    TradingMode,
)
from propdesk.model.instrument import Instrument, underlying_price_key
from propdesk.model.rule import RuleSet
from propdesk.model.signal import Signal
from propdesk.risk.gateway import CategoryLimits, RiskLimits
from propdesk.risk.kill_switch import KillLimits
from propdesk.strategy.crowd import CrowdConfig
from propdesk.strategy.sizing import SizingConfig

MARKET_SCOPE = "MARKET"
"""Scope name of the regime of the whole market."""

DRIFT_LIMITS = {
    Category.NSE_EQ: 0.01,
    Category.INDEX_FUT: 0.005,
    Category.STOCK_FUT: 0.01,
    Category.INDEX_OPT: 0.05,
    Category.STOCK_OPT: 0.08,
}
"""Drift limits unless others are given (§5.3)."""
PRICE_WAIT_NS = 2 * NS_PER_MINUTE
"""Wait for a first price unless another is given."""
ENTRY_CUTOFF_NS = 10 * NS_PER_MINUTE
"""Entry cut-off before the square-off unless another is given."""


class MarginModel(Protocol):
    """Margin of a position (§2.6)."""

    def __call__(
        self,
        *,
        instrument: Instrument,
        product: Product,
        side: Side,
        price_paise: int,
        quantity: int,
        underlying_paise: int | None,
        on_date: date,
    ) -> int:
        """Give the margin of ``quantity`` units bought or sold at ``price_paise``, paise, >= 0."""
        ...


class ChargesModel(Protocol):
    """Charges of a round trip (§2.5)."""

    def __call__(
        self,
        *,
        instrument: Instrument,
        product: Product,
        side: Side,
        quantity: int,
        entry_notional_paise: int,
        exit_notional_paise: int,
        on_date: date,
    ) -> int:
        """Give the charges of both sides together, paise, >= 0; ``side`` is the opening side."""
        ...


Resolver = Callable[[Signal, date], "Instrument | str"]
"""Gives the instrument a signal names on a date, or UNKNOWN_SYMBOL, EXPIRED, AMBIGUOUS, NOT_YET_LISTED."""

PeriodRule = Callable[[Signal, Instrument], Period]
"""Gives the period of a signal that declares none, known at posting (§2.6)."""

ProductRule = Callable[[Category, Period, Side, str, date], "Product | str"]
"""Gives the product by category, period, side, series and date, or UNSHORTABLE, TRADE_FOR_TRADE (§2.6)."""


@dataclass(frozen=True, slots=True)
class DayContext:
    """Everything a decision of one trading day may read besides the state (§4.5, §5.2).

    Attributes
    ----------
    ruleset : RuleSet
        The day's frozen rules; its version is cited by every decision.
    regimes : mapping of str to Regime or None
        Label of the day by scope: ``MARKET`` or the underlying's name.
    regime_scope : {"market", "underlying"}
        Whose regime the rules use.
    margin, charges : callables
        Margin of a position, charges of a round trip; pure.
    allocations : mapping of Category to float
        Share of the corpus per category (normal pool); with ``adverse_allocation`` at most 1.
    latency_ns : int
        From receipt to the earliest moment an order acts (architecture: time rules).
    drift_limits : mapping of Category to float
        Largest |last price - entry| / entry at which a signal is still taken.
    stale_after_ns : int
        Age beyond its feed's interval at which a price is stale.
    signal_fresh_ns : int
        A signal handled later than this after its receipt is STALE (caught up after a start).
    price_wait_ns : int
        How long a signal whose instrument has no price yet waits for the first one; 0 = not at all.
    entry_cutoff_ns : int
        Intraday entries end this long before the square-off.
    category_limits : tuple of CategoryLimits
        Limits of the entries of some categories, in place of ``limits``.
    average_traded_value : mapping of str to int
        Average five-minute traded value of the market day before by price key, paise (§2.6); a series of
        unknown volume is absent and caps no size.
    """

    account_id: str
    trade_date: date
    ruleset: RuleSet
    profile: GateProfile
    regimes: Mapping[str, Regime | None]
    resolve: Resolver
    period_rule: PeriodRule
    product_rule: ProductRule
    calendar: MarketCalendar
    margin: MarginModel
    charges: ChargesModel
    allocations: Mapping[Category, float]
    adverse_allocation: float = 0.10
    regime_scope: str = "market"
    trading_mode: TradingMode = TradingMode.PAPER
    sizing: SizingConfig = field(default_factory=SizingConfig)
    limits: RiskLimits = field(default_factory=RiskLimits)
    kill_limits: KillLimits = field(default_factory=KillLimits)
    category_limits: tuple[CategoryLimits, ...] = ()
    crowd: CrowdConfig = field(default_factory=CrowdConfig)
    lifetime: LifetimeRules = field(default_factory=LifetimeRules)
    latency_ns: int = NS_PER_SECOND // 4
    drift_limits: Mapping[Category, float] = field(default_factory=lambda: dict(DRIFT_LIMITS))
    stale_after_ns: int = 5 * NS_PER_SECOND
    signal_fresh_ns: int = 60 * NS_PER_SECOND
    price_wait_ns: int = PRICE_WAIT_NS
    entry_cutoff_ns: int = ENTRY_CUTOFF_NS
    duplicate_window_ns: int = 30 * NS_PER_MINUTE
    duplicate_entry_ratio: float = 0.005
    reverse_mode: ReverseMode = ReverseMode.PAPER
    reverse_option_mode: str = "off"
    allow_looser_stoploss: bool = False
    average_traded_value: Mapping[str, int] = field(default_factory=dict)

    def limits_of(self, category: Category) -> RiskLimits:
        """Give the limits of an entry of this category."""
        own = (one.limits for one in self.category_limits if one.category is category)
        return next(own, self.limits)

    def regime_of(self, underlying: str) -> Regime | None:
        """Regime the rules use for a trade on ``underlying``; None where it is unknown."""
        return self.regimes.get(MARKET_SCOPE if self.regime_scope == "market" else underlying)


def lifetime_of(context: DayContext, instrument: Instrument, period: Period, trade_date: date) -> Lifetime:
    """Work out until when an idea may enter and when its trade must be over (§2.5)."""
    return lifetime(
        context.calendar,
        segment_for(instrument),
        trade_date,
        0,
        category=instrument.category,
        period=period,
        expiry=instrument.expiry,
        rules=context.lifetime,
    )


def price_key_of(instrument: Instrument) -> str:
    """Name the price series of a tradable (its own key)."""
    return instrument.instrument_key


def underlying_key_of(instrument: Instrument) -> str:
    """Name the price series of what the instrument stands on (§2.7)."""
    is_index = instrument.category in (Category.INDEX_FUT, Category.INDEX_OPT)
    return underlying_price_key(instrument.underlying, is_index=is_index)


def segment_for(instrument: Instrument) -> Segment:
    """Tell whose hours the instrument keeps."""
    return segment_of(
        is_derivative=instrument.category.is_derivative, has_derivatives=instrument.has_derivatives
    )

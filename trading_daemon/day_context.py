"""What the reducer may read on one day, put together from settings, tables and dated files (§4.5, §5.2)."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import date
from typing import Any, Final

from adapters.config_risk import RiskConfig
from adapters.settings import Settings
from propdesk.core.calendar import MarketCalendar
from propdesk.core.clock import NS_PER_MS, NS_PER_SECOND
from propdesk.core.errors import InvariantViolated
from propdesk.engine.context import (
    DRIFT_LIMITS,
    ENTRY_CUTOFF_NS,
    PRICE_WAIT_NS,
    DayContext,
    Resolver,
    price_key_of,
    segment_for,
)
from propdesk.engine.snapshot import ContextSnapshot
from propdesk.execution.lifetime import LifetimeRules
from propdesk.intake.aliases import Aliases
from propdesk.intake.normalise import period_of
from propdesk.intake.resolve import InstrumentLookup
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
from propdesk.model.instrument import Instrument
from propdesk.model.rule import RuleSet
from propdesk.model.signal import Signal
from propdesk.ports import PriceSource
from propdesk.risk.charges import ChargedFill, ChargeModel, charge_segment, trade_charges
from propdesk.risk.liquidity import average_traded_value
from propdesk.risk.margin import MarginModel, margin_per_lot_paise
from propdesk.strategy.crowd import CrowdConfig
from propdesk.strategy.eligibility import choose_product
from propdesk.strategy.sizing import SizingConfig

NO_RULESET: Final = "none"
"""Version of the rules of a day that pre-market has not prepared."""


def traded_values(
    prices: PriceSource, instruments: Iterable[Instrument], calendar: MarketCalendar, day: date
) -> dict[str, int]:
    """Average five-minute traded value of one market day by price key, paise.

    Returns
    -------
    dict of str to int
        Without the instruments that have no minute of known volume on that day.
    """
    segments = {price_key_of(instrument): segment_for(instrument) for instrument in instruments}
    found = {}
    for key, bars in prices.minute_bars(sorted(segments), day, day).items():
        hours = calendar.hours(day, segments[key])
        value = average_traded_value(bars, hours.open_ns, hours.close_ns)
        if value is not None:
            found[key] = value
    return found


def take_snapshot(
    settings: Settings,
    trade_date: date,
    *,
    ruleset_version: str,
    regimes: Mapping[str, Regime | None],
    calendar: MarketCalendar,
    charges: ChargeModel,
    margins: MarginModel,
    risk: RiskConfig,
    traded_values: Mapping[str, int],
) -> ContextSnapshot:
    """Put together what the day's decisions will read.

    Parameters
    ----------
    settings : Settings
        Sizes, allocations, modes.
    ruleset_version, regimes
        What pre-market froze.
    calendar, charges, margins
        Dated tables as they stand now.
    risk : RiskConfig
        Limits of the day's entries.
    traded_values : mapping of str to int
        Of the market day before (`traded_values`).
    """
    return ContextSnapshot(
        account_id=settings.account_id,
        trade_date=trade_date,
        ruleset_version=ruleset_version,
        profile=GateProfile(settings.gate_profile),
        regimes=regimes,
        calendar=calendar.data,
        margin=margins,
        charges=charges,
        allocations={Category(name): share for name, share in settings.category_allocations.items()},
        adverse_allocation=settings.adverse_allocation,
        regime_scope=settings.regime_scope,
        trading_mode=TradingMode(settings.trading_mode),
        sizing=SizingConfig(
            size_model=settings.size_model,
            analytical_capital_paise=settings.analytical_capital_paise,
            widening=settings.widening_mode,
        ),
        limits=risk.limits,
        category_limits=risk.category_limits,
        kill_limits=replace(risk.kill_limits, drift_hurdle_r=settings.skill_hurdle_r),
        crowd=CrowdConfig(
            feed=settings.crowd_feed,
            min_advisors=settings.crowd_min_advisors,
            threshold=settings.crowd_threshold,
            multiplier=settings.crowd_multiplier,
            is_applied=settings.crowd_mode == "on",
        ),
        lifetime=LifetimeRules(
            settings.validity_swing_days,
            settings.validity_positional_days,
            settings.time_out_swing_days,
            settings.time_out_positional_days,
        ),
        latency_ns=settings.decision_latency_ms * NS_PER_MS,
        drift_limits=dict(DRIFT_LIMITS),
        stale_after_ns=settings.stale_after_s * NS_PER_SECOND,
        signal_fresh_ns=settings.signal_fresh_s * NS_PER_SECOND,
        price_wait_ns=PRICE_WAIT_NS,
        entry_cutoff_ns=ENTRY_CUTOFF_NS,
        duplicate_window_ns=settings.duplicate_window_min * 60 * NS_PER_SECOND,
        duplicate_entry_ratio=settings.duplicate_entry_ratio,
        reverse_mode=ReverseMode(settings.reverse_mode),
        reverse_option_mode=settings.reverse_option_mode,
        allow_looser_stoploss=settings.allow_looser_stoploss,
        average_traded_value=traded_values,
    )


def build_context(snapshot: ContextSnapshot, ruleset: RuleSet, resolve: Resolver) -> DayContext:
    """Make the day's context of its snapshot: the only way to one, live as at a recovery.

    Parameters
    ----------
    ruleset : RuleSet
        The one the snapshot names.
    resolve : callable
        The instrument master; `unanswered` where rows carry the answers.
    """
    calendar = MarketCalendar.of(snapshot.calendar)
    made: dict[str, Any] = {
        "calendar": calendar,
        "margin": MarginCalculator(snapshot.margin, calendar),
        "charges": ChargesCalculator(snapshot.charges),
    }
    same = {
        field.name: getattr(snapshot, field.name)
        for field in fields(snapshot)
        if field.name not in made and field.name != "ruleset_version"
    }
    return DayContext(
        ruleset=ruleset,
        resolve=resolve,
        period_rule=period_rule(snapshot.trade_date),
        product_rule=choose_product,
        **made,
        **same,
    )


def resolver_of(instruments: Iterable[Instrument], aliases: Aliases) -> Resolver:
    """Ask an instrument master; a refusal is named by its code."""
    lookup = InstrumentLookup(instruments, aliases)

    def resolve(signal: Signal, on_date: date) -> Instrument | str:
        found = lookup.resolve(signal, on_date)
        return found if isinstance(found, Instrument) else found.value

    return resolve


def unanswered(signal: Signal, on_date: date) -> Instrument | str:
    """Stand in for the master of a context that nothing new is decided under."""
    raise InvariantViolated(f"signal {signal.signal_id} was asked for again on {on_date} in a fold")


def empty_ruleset(profile: GateProfile) -> RuleSet:
    """Rules of a day that pre-market has not prepared: none."""
    return RuleSet(NO_RULESET, profile, {}, {}, {})


class _PeriodRule:
    """Period of a signal that declares none; the trade date is the day's."""

    def __init__(self, trade_date: date) -> None:
        self._trade_date = trade_date

    def __call__(self, signal: Signal, instrument: Instrument) -> Period:
        days = None if instrument.expiry is None else (instrument.expiry - self._trade_date).days
        return period_of(signal.declared_period, signal.category, signal.side, days)


def period_rule(trade_date: date) -> _PeriodRule:
    """Give the period rule of one day (§2.6)."""
    return _PeriodRule(trade_date)


class MarginCalculator:
    """Margin of a position by the dated model (§2.6)."""

    def __init__(self, model: MarginModel, calendar: MarketCalendar) -> None:
        self._model = model
        self._calendar = calendar

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
        """Give the margin of ``quantity`` units, paise; whole lots."""
        expiry = instrument.expiry
        days = None if expiry is None else max(len(self._calendar.market_days(on_date, expiry)) - 1, 0)
        per_lot = margin_per_lot_paise(
            self._model,
            category=instrument.category,
            product=product,
            side=side,
            day=on_date,
            price_paise=price_paise,
            # A sold option whose underlying has no price yet is margined on its strike.
            underlying_paise=instrument.strike_paise if underlying_paise is None else underlying_paise,
            lot_size=instrument.lot_size,
            days_to_expiry=days,
        )
        return per_lot * quantity // instrument.lot_size


class ChargesCalculator:
    """Charges of a round trip by the dated table (§2.5)."""

    def __init__(self, model: ChargeModel) -> None:
        self._model = model

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
        """Give the charges of both sides together, paise."""
        if quantity <= 0:
            return 0
        fills: Iterable[ChargedFill] = (
            ChargedFill(on_date, side, entry_notional_paise),
            ChargedFill(on_date, side.opposite, exit_notional_paise),
        )
        segment = charge_segment(instrument.category, product)
        return trade_charges(self._model, segment, fills).total_paise

"""The data a day's decisions read, as a value that is stored beside the journal (§4.5, §5.1).

A journal can only be folded again under the context it was decided under. Everything of that context that
is data is in here, or is named by a version of its own (the ruleset). What the instrument master says is
not: the master of a day is large and may be loaded anew, so each journal row carries the answers that were
used (`propdesk.engine.resolution`). What is left is code.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from propdesk.core.calendar import CalendarData
from propdesk.core.errors import InvariantViolated
from propdesk.engine import codec
from propdesk.execution.lifetime import LifetimeRules
from propdesk.model.enums import Category, GateProfile, Regime, ReverseMode, TradingMode
from propdesk.model.messages import ADDED
from propdesk.risk.charges import ChargeModel
from propdesk.risk.gateway import CategoryLimits, RiskLimits
from propdesk.risk.kill_switch import KillLimits
from propdesk.risk.margin import MarginModel
from propdesk.strategy.crowd import CrowdConfig
from propdesk.strategy.sizing import SizingConfig


@dataclass(frozen=True, slots=True)
class ContextSnapshot:
    """Every field of a `propdesk.engine.context.DayContext` that is data, under the same name.

    The models stand for the calculators made of them; ``ruleset_version`` names the frozen rules.
    """

    account_id: str
    trade_date: date
    ruleset_version: str
    profile: GateProfile
    regimes: Mapping[str, Regime | None]
    calendar: CalendarData
    margin: MarginModel
    charges: ChargeModel
    allocations: Mapping[Category, float]
    adverse_allocation: float
    regime_scope: str
    trading_mode: TradingMode
    sizing: SizingConfig
    limits: RiskLimits
    kill_limits: KillLimits
    crowd: CrowdConfig
    lifetime: LifetimeRules
    latency_ns: int
    drift_limits: Mapping[Category, float]
    stale_after_ns: int
    signal_fresh_ns: int
    price_wait_ns: int
    entry_cutoff_ns: int
    duplicate_window_ns: int
    duplicate_entry_ratio: float
    reverse_mode: ReverseMode
    reverse_option_mode: str
    allow_looser_stoploss: bool
    average_traded_value: Mapping[str, int]
    category_limits: tuple[CategoryLimits, ...] = field(default=(), metadata=ADDED)


@dataclass(frozen=True, slots=True)
class StoredContext:
    """A snapshot in the form that is stored: canonical bytes under their hash."""

    context_hash: str
    content: bytes


def store_form(snapshot: ContextSnapshot) -> StoredContext:
    """Encode a snapshot; the same context always has the same hash (hex sha-256)."""
    content = codec.encode(snapshot)
    return StoredContext(hashlib.sha256(content).hexdigest(), content)


def read_snapshot(stored: StoredContext) -> ContextSnapshot:
    """Read a stored snapshot back.

    Raises
    ------
    InvariantViolated
        If the bytes are not those their hash names.
    """
    if hashlib.sha256(stored.content).hexdigest() != stored.context_hash:
        raise InvariantViolated(f"the stored context {stored.context_hash} was changed")
    return codec.decode(ContextSnapshot, stored.content)

"""A signal on its way through the gates, with what it resolved to and what was found out about it."""

from dataclasses import dataclass
from datetime import date

from propdesk.engine.context import lifetime_of, price_key_of
from propdesk.engine.state import LastPrice
from propdesk.engine.turn import Turn
from propdesk.execution.lifetime import Lifetime
from propdesk.execution.reverse import TradePlan
from propdesk.model.enums import Period, Product
from propdesk.model.instrument import Instrument
from propdesk.model.messages import DecisionCode
from propdesk.model.rule import Rule
from propdesk.model.signal import Signal
from propdesk.risk.kill_switch import idea_scopes
from propdesk.rules.match import MatchResult, SignalDims
from propdesk.strategy.crowd import CrowdReading


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a gate stopped an idea."""

    code: DecisionCode
    detail: str


@dataclass(frozen=True, slots=True)
class Idea:
    """A signal with what it resolved to, on its way through the gates."""

    signal: Signal
    instrument: Instrument
    period: Period
    trade_date: date
    dims: SignalDims


@dataclass(frozen=True, slots=True)
class Scored:
    """What the gates found out, for the decision row."""

    match: MatchResult | None = None
    crowd: CrowdReading | None = None
    crowd_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A trade about to be sized: the levels as they will be ordered."""

    rule: Rule
    is_reverse: bool
    is_shadow: bool
    levels: TradePlan
    entry_paise: int
    product: Product
    lifetime: Lifetime


def kill_scopes(idea: Idea) -> tuple[str, ...]:
    """Name the scopes whose kill levels bear on an idea, besides the account's (§6.2)."""
    instrument = idea.instrument
    return idea_scopes(instrument.category, idea.signal.advisor_id, instrument.instrument_key)


def fresh_price(turn: Turn, idea: Idea) -> LastPrice | None:
    """Last price of the idea's instrument; None where there is none or it is too old to decide on."""
    last = turn.prices.get(price_key_of(idea.instrument))
    if last is None or turn.now_ns - last.at_ns > last.interval_ns + turn.context.stale_after_ns:
        return None
    return last


def lifetime_of_idea(turn: Turn, idea: Idea) -> Lifetime:
    """Until when the idea may enter and when its trade must be over (§2.5)."""
    return lifetime_of(turn.context, idea.instrument, idea.period, idea.trade_date)

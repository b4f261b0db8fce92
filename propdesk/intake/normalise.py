"""Dimensions of one signal that are known when it is posted (§2.6)."""

from dataclasses import dataclass
from datetime import date

from propdesk.core.calendar import MarketCalendar, Segment, segment_of, weekday_of
from propdesk.core.vocabulary import Session, Weekday
from propdesk.intake.aliases import Aliases
from propdesk.intake.reasons import Rejection, RejectReason, RejectStage
from propdesk.model.enums import Category, Period, Side
from propdesk.model.signal import Signal

NEAR_EXPIRY_DAYS = 7
"""An option this near to its expiry lives on time value that a night takes away: traded intraday."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """What a signal is filed under; ``weekday`` is None on special weekend sessions."""

    underlying: str
    is_index: bool
    trade_date: date
    period: Period
    weekday: Weekday | None
    session: Session


def normalise_signal(
    signal: Signal,
    calendar: MarketCalendar,
    aliases: Aliases,
    *,
    has_derivatives: bool = False,
) -> Dimensions | Rejection:
    """File one signal under its canonical underlying and the IST dimensions.

    Parameters
    ----------
    has_derivatives : bool
        Whether a cash stock has listed derivatives, which decides its closing time since August 2026.

    Returns
    -------
    Dimensions or Rejection
        CATEGORY_MISMATCH where the category speaks of an index and the underlying is none, or the
        other way round.
    """
    segment = segment_of(is_derivative=signal.category.is_derivative, has_derivatives=has_derivatives)
    return dimensions_of(
        signal.signal_id,
        signal.underlying,
        signal.category,
        signal.side,
        signal.declared_period,
        signal.expiry,
        received_ns=signal.received_ns,
        trade_date=calendar.trade_date(signal.received_ns, segment),
        segment=segment,
        calendar=calendar,
        aliases=aliases,
    )


def dimensions_of(
    signal_id: str,
    symbol_text: str,
    category: Category,
    side: Side,
    declared_period: Period | None,
    expiry: date | None,
    *,
    received_ns: int,
    trade_date: date,
    segment: Segment,
    calendar: MarketCalendar,
    aliases: Aliases,
) -> Dimensions | Rejection:
    """Do what `normalise_signal` does from the fields themselves; whole tables come in here."""
    underlying = aliases.canonical(symbol_text, trade_date)
    is_index = aliases.is_index(underlying)
    if is_index != (category in (Category.INDEX_FUT, Category.INDEX_OPT)):
        what = "is an index" if is_index else "is no index (add it to config/aliases.yaml if it is one)"
        return Rejection(
            RejectStage.NORMALISE,
            (RejectReason.CATEGORY_MISMATCH,),
            f"category {category} does not fit {underlying}, which {what}",
            signal_id,
        )
    days_to_expiry = None if expiry is None else (expiry - trade_date).days
    return Dimensions(
        underlying,
        is_index,
        trade_date,
        period_of(declared_period, category, side, days_to_expiry),
        weekday_of(trade_date),
        calendar.session(received_ns, segment),
    )


def period_of(declared: Period | None, category: Category, side: Side, days_to_expiry: int | None) -> Period:
    """Tell the intended holding period from what is known at posting (§2.6).

    Parameters
    ----------
    declared : Period or None
        What the advisor said; it decides where it stands.
    days_to_expiry : int or None
        Calendar days from the trade date to the expiry; None = no expiry, or a near one by rule.

    Returns
    -------
    Period
        Shares sold without a declared period cannot be held overnight: INTRADAY. Options within
        `NEAR_EXPIRY_DAYS` of expiry: INTRADAY. Everything else: SWING.

    Notes
    -----
    Never from the outcome: the realised holding would sort winners and losers into different cells.
    """
    if declared is not None:
        return declared
    if category is Category.NSE_EQ:
        return Period.INTRADAY if side is Side.SELL else Period.SWING
    near = days_to_expiry is None or days_to_expiry <= NEAR_EXPIRY_DAYS
    return Period.INTRADAY if category.is_option and near else Period.SWING

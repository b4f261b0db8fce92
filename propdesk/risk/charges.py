"""Brokerage, taxes and fees of an Indian trade by effective date, exact to the paisa."""

import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from propdesk.core.errors import GapFault
from propdesk.core.invariant import require
from propdesk.model.enums import Category, Product, Side

PER_CRORE = 1_000_000_000
"""Paise in one crore rupees: rates are stored as paise of charge per crore of turnover."""

_RUPEE = 100


class ChargeSegment(StrEnum):
    """Kinds of trades that are charged alike."""

    DELIVERY = "DELIVERY"
    INTRADAY = "INTRADAY"
    MTF = "MTF"
    FUTURES = "FUTURES"
    OPTIONS = "OPTIONS"


class Component(StrEnum):
    """One line of a contract note."""

    BROKERAGE = "BROKERAGE"
    STT_BUY = "STT_BUY"
    STT_SELL = "STT_SELL"
    STT_EXERCISE = "STT_EXERCISE"
    TRANSACTION = "TRANSACTION"
    IPFT = "IPFT"
    SEBI = "SEBI"
    STAMP_BUY = "STAMP_BUY"


def charge_segment(category: Category, product: Product) -> ChargeSegment:
    """Tell how a trade is charged."""
    if category.is_option:
        return ChargeSegment.OPTIONS
    if category.is_future:
        return ChargeSegment.FUTURES
    if product is Product.INTRADAY:
        return ChargeSegment.INTRADAY
    return ChargeSegment.MTF if product is Product.MTF else ChargeSegment.DELIVERY


@dataclass(frozen=True, slots=True)
class ChargeRate:
    """One dated rate, paise per crore of turnover; ``cap_paise`` bounds it per order (brokerage).

    A brokerage with rate 0 and a cap is a flat amount per order.
    """

    component: Component
    segment: ChargeSegment
    since: date
    per_crore_paise: int
    cap_paise: int | None = None


@dataclass(frozen=True, slots=True)
class ChargedFill:
    """One executed order.

    ``is_settlement``: an option that ran to its expiry; no order is sent, and a long one that ends in the
    money is taxed on its intrinsic value.
    """

    day: date
    side: Side
    turnover_paise: int
    is_settlement: bool = False


@dataclass(frozen=True, slots=True)
class Charges:
    """Lines of the bill, paise."""

    brokerage_paise: int = 0
    stt_paise: int = 0
    transaction_paise: int = 0
    ipft_paise: int = 0
    sebi_paise: int = 0
    stamp_paise: int = 0
    gst_paise: int = 0
    depository_paise: int = 0

    @property
    def total_paise(self) -> int:
        """Sum of all lines."""
        return (
            self.brokerage_paise
            + self.stt_paise
            + self.transaction_paise
            + self.ipft_paise
            + self.sebi_paise
            + self.stamp_paise
            + self.gst_paise
            + self.depository_paise
        )

    def __add__(self, other: "Charges") -> "Charges":
        """Sum line by line."""
        return Charges(
            self.brokerage_paise + other.brokerage_paise,
            self.stt_paise + other.stt_paise,
            self.transaction_paise + other.transaction_paise,
            self.ipft_paise + other.ipft_paise,
            self.sebi_paise + other.sebi_paise,
            self.stamp_paise + other.stamp_paise,
            self.gst_paise + other.gst_paise,
            self.depository_paise + other.depository_paise,
        )


@dataclass(frozen=True, slots=True)
class ChargeModel:
    """Dated rates of every component.

    Attributes
    ----------
    rates : tuple of ChargeRate
        Any order; per component and segment the newest that is in force on a day counts.
    gst_percent : int
        On brokerage, transaction charge, IPFT and SEBI fee.
    depository_paise : int
        Per day with a delivery sale, before GST.
    version : str
        Names the table in lineage.
    """

    rates: tuple[ChargeRate, ...]
    gst_percent: int
    depository_paise: int
    version: str
    _table: dict[tuple[Component, ChargeSegment], tuple[list[date], list[ChargeRate]]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Sort the rates once, for lookups by bisection."""
        by_key: dict[tuple[Component, ChargeSegment], list[ChargeRate]] = defaultdict(list)
        for rate in sorted(self.rates, key=lambda r: r.since):
            by_key[rate.component, rate.segment].append(rate)
        self._table.update({key: ([r.since for r in found], found) for key, found in by_key.items()})

    def rate(self, component: Component, segment: ChargeSegment, day: date) -> ChargeRate:
        """Find the rate in force; a component that a segment does not know costs nothing.

        Raises
        ------
        GapFault
            If the table starts after ``day``.
        """
        found = self._table.get((component, segment))
        if found is None:
            return ChargeRate(component, segment, day, 0)
        at = bisect.bisect_right(found[0], day)
        if at == 0:
            raise GapFault(
                f"config/charges.yaml knows no {component.value} rate of {segment.value} on {day}; "
                f"its first one starts on {found[0][0]}"
            )
        return found[1][at - 1]

    def change_days(self) -> list[date]:
        """Days on which any rate changes, rising: between two of them all rates are constant."""
        return sorted({rate.since for rate in self.rates})


def trade_charges(model: ChargeModel, segment: ChargeSegment, fills: Iterable[ChargedFill]) -> Charges:
    """Work out what a trade's orders cost.

    Parameters
    ----------
    model : ChargeModel
        Dated rates.
    segment : ChargeSegment
        How the trade is charged.
    fills : iterable of ChargedFill
        Every executed order of the trade.

    Returns
    -------
    Charges
        Per line in paise; zero without fills.

    Raises
    ------
    GapFault
        If the table does not reach back to a fill's day.

    Notes
    -----
    Lines are rounded per day as on the contract note: STT and stamp duty to the rupee, the rest to the
    paisa, halves up. Source: §2.5, reference/nse_market.md 8.
    """
    by_day: dict[date, list[ChargedFill]] = defaultdict(list)
    for fill in fills:
        require(fill.turnover_paise >= 0, "a turnover is not negative")
        by_day[fill.day].append(fill)
    total = Charges()
    for day in sorted(by_day):
        total = total + _day_charges(model, segment, day, by_day[day])
    return total


def _day_charges(
    model: ChargeModel, segment: ChargeSegment, day: date, fills: Sequence[ChargedFill]
) -> Charges:
    orders = [f for f in fills if not f.is_settlement]
    bought = sum(f.turnover_paise for f in orders if f.side is Side.BUY)
    sold = sum(f.turnover_paise for f in orders if f.side is Side.SELL)
    # a long option that settles is closed by a sale that never reaches the market
    exercised = sum(f.turnover_paise for f in fills if f.is_settlement and f.side is Side.SELL)

    def per_crore(component: Component) -> int:
        return model.rate(component, segment, day).per_crore_paise

    brokerage_rate = model.rate(Component.BROKERAGE, segment, day)
    brokerage = sum(order_brokerage(brokerage_rate, f.turnover_paise) for f in orders)
    transaction = _round(per_crore(Component.TRANSACTION) * (bought + sold), PER_CRORE)
    ipft = _round(per_crore(Component.IPFT) * (bought + sold), PER_CRORE)
    sebi = _round(per_crore(Component.SEBI) * (bought + sold), PER_CRORE)
    stt = (
        per_crore(Component.STT_BUY) * bought
        + per_crore(Component.STT_SELL) * sold
        + per_crore(Component.STT_EXERCISE) * exercised
    )
    delivers = segment in (ChargeSegment.DELIVERY, ChargeSegment.MTF) and sold > 0
    depository = _round(model.depository_paise * (100 + model.gst_percent), 100) if delivers else 0
    return Charges(
        brokerage_paise=brokerage,
        stt_paise=_round(stt, PER_CRORE * _RUPEE) * _RUPEE,
        transaction_paise=transaction,
        ipft_paise=ipft,
        sebi_paise=sebi,
        stamp_paise=_round(per_crore(Component.STAMP_BUY) * bought, PER_CRORE * _RUPEE) * _RUPEE,
        gst_paise=_round(model.gst_percent * (brokerage + transaction + ipft + sebi), 100),
        depository_paise=depository,
    )


def order_brokerage(rate: ChargeRate, turnover_paise: int) -> int:
    """Brokerage of one order, paise: the rate bounded by its cap, or the cap alone where the rate is 0."""
    if rate.cap_paise is None:
        return _round(rate.per_crore_paise * turnover_paise, PER_CRORE)
    if rate.per_crore_paise == 0:
        return rate.cap_paise if turnover_paise > 0 else 0
    return min(rate.cap_paise, _round(rate.per_crore_paise * turnover_paise, PER_CRORE))


def _round(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)

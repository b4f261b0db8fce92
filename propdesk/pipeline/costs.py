"""Charges of many trades at once: the vectorised twin of `propdesk.risk.charges` (§2.5)."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from propdesk.core.calendar import IST
from propdesk.core.clock import NS_PER_DAY
from propdesk.core.invariant import require
from propdesk.model.enums import Category
from propdesk.risk.charges import PER_CRORE, ChargeModel, ChargeSegment, Component
from propdesk.risk.slippage import PPM, SlippageModel

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
Float = NDArray[np.float64]

SEGMENTS = tuple(ChargeSegment)
SEGMENT_CODES = {segment: code for code, segment in enumerate(SEGMENTS)}
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

_COMPONENTS = tuple(Component)
_NO_CAP = np.iinfo(np.int64).max
_RUPEE = 100
_IST_OFFSET = IST.utcoffset(None)
IST_OFFSET_NS = int(_IST_OFFSET.total_seconds()) * 1_000_000_000 if _IST_OFFSET else 0


def ist_days(ns: Int) -> Int:
    """IST calendar day of each stamp, in days since 1970-01-01."""
    return (ns + IST_OFFSET_NS) // NS_PER_DAY


def end_of_day(ns: Int) -> Int:
    """Midnight IST that ends the day of each stamp, ns UTC."""
    return (ist_days(ns) + 1) * NS_PER_DAY - IST_OFFSET_NS


@dataclass(frozen=True, slots=True)
class Orders:
    """Executed orders, one row each, of any number of trades.

    Attributes
    ----------
    trade : ndarray of int64, shape (m,)
        Row of the trade that the order belongs to.
    day : ndarray of int64, shape (m,)
        IST day of the fill, days since 1970-01-01.
    is_buy, is_settlement : ndarray of bool, shape (m,)
        Side; whether it is an option's settlement (no order is sent).
    turnover : ndarray of int64, shape (m,)
        Price x quantity, paise.
    """

    trade: Int
    day: Int
    is_buy: Bool
    is_settlement: Bool
    turnover: Int

    def scaled(self, numerator: Int, denominator: Int) -> "Orders":
        """Resize the orders: turnover x numerator / denominator of each trade, rounded down."""
        share = self.turnover * numerator[self.trade] // np.maximum(denominator[self.trade], 1)
        return Orders(self.trade, self.day, self.is_buy, self.is_settlement, share)


def charges_of(model: ChargeModel, segment: Int, orders: Orders) -> Int:
    """Work out the charges of every trade.

    Parameters
    ----------
    model : ChargeModel
        Dated rates.
    segment : ndarray of int64, shape (n,)
        `SEGMENT_CODES` of each trade.
    orders : Orders
        Rows in any order; a trade without rows costs nothing.

    Returns
    -------
    ndarray of int64, shape (n,)
        Total charges, paise.

    Raises
    ------
    GapFault
        If the table does not reach back to an order's day.
    """
    total = np.zeros(len(segment), np.int64)
    live = orders.turnover > 0
    if not live.any():
        return total
    trade, day, turnover = orders.trade[live], orders.day[live], orders.turnover[live]
    settles, buys = orders.is_settlement[live], orders.is_buy[live]
    rates, caps = _rates(model, segment[trade], day)
    brokerage = _rounded(rates[Component.BROKERAGE] * turnover, PER_CRORE)
    flat = (rates[Component.BROKERAGE] == 0) & (caps != _NO_CAP)
    brokerage = np.where(flat, caps, np.minimum(brokerage, caps))
    traded, bought = ~settles, buys & ~settles
    stt = np.where(
        settles,
        np.where(buys, 0, rates[Component.STT_EXERCISE]),
        np.where(buys, rates[Component.STT_BUY], rates[Component.STT_SELL]),
    )
    lines = np.stack(
        [
            brokerage * traded,
            stt * turnover,
            rates[Component.TRANSACTION] * turnover * traded,
            rates[Component.IPFT] * turnover * traded,
            rates[Component.SEBI] * turnover * traded,
            rates[Component.STAMP_BUY] * turnover * bought,
            (turnover * (traded & ~buys)),
        ]
    )
    order = np.lexsort((day, trade))
    starts = np.flatnonzero(
        np.r_[True, np.diff(trade[order]).astype(bool) | np.diff(day[order]).astype(bool)]
    )
    sums = np.add.reduceat(lines[:, order], starts, axis=1)
    owner = trade[order][starts]
    bill = _bill(model, segment[owner], sums)
    np.add.at(total, owner, bill)
    return total


def _bill(model: ChargeModel, segment: Int, sums: Int) -> Int:
    """Round the lines of one day's bill per trade and add them up."""
    brokerage, stt, transaction, ipft, sebi, stamp, sold = sums
    transaction = _rounded(transaction, PER_CRORE)
    ipft = _rounded(ipft, PER_CRORE)
    sebi = _rounded(sebi, PER_CRORE)
    gst = _rounded(model.gst_percent * (brokerage + transaction + ipft + sebi), 100)
    taxes = (_rounded(stt, PER_CRORE * _RUPEE) + _rounded(stamp, PER_CRORE * _RUPEE)) * _RUPEE
    delivery = np.isin(segment, [SEGMENT_CODES[ChargeSegment.DELIVERY], SEGMENT_CODES[ChargeSegment.MTF]])
    depository = (2 * model.depository_paise * (100 + model.gst_percent) + 100) // 200
    bill: Int = brokerage + transaction + ipft + sebi + gst + taxes
    bill += depository * (delivery & (sold > 0))
    return bill


def _rates(model: ChargeModel, segment: Int, day: Int) -> tuple[dict[Component, Int], Int]:
    """Rate of every component, and the cap of brokerage, for each row."""
    changes = np.array([d.toordinal() - EPOCH_ORDINAL for d in model.change_days()], np.int64)
    era = np.searchsorted(changes, day, side="right") - 1
    require(bool((era >= 0).all()), "config/charges.yaml starts after the first trade")
    pairs, inverse = np.unique(np.stack([segment, era]), axis=1, return_inverse=True)
    rates = {component: np.zeros(pairs.shape[1], np.int64) for component in _COMPONENTS}
    caps = np.full(pairs.shape[1], _NO_CAP, np.int64)
    for column, (code, number) in enumerate(pairs.T):
        since = date.fromordinal(int(changes[number]) + EPOCH_ORDINAL)
        for component in _COMPONENTS:
            rate = model.rate(component, SEGMENTS[int(code)], since)
            rates[component][column] = rate.per_crore_paise
            if component is Component.BROKERAGE and rate.cap_paise is not None:
                caps[column] = rate.cap_paise
    inverse = inverse.reshape(-1)
    return {component: values[inverse] for component, values in rates.items()}, caps[inverse]


def _rounded(numerator: Int, denominator: int) -> Int:
    return (2 * numerator + denominator) // (2 * denominator)


def slippage_per_unit(model: SlippageModel, categories: tuple[Category, ...], code: Int, share: Float) -> Int:
    """Parts per million that an order taking liquidity pays.

    Parameters
    ----------
    model : SlippageModel
        Rates by category.
    categories : tuple of Category
        Meaning of the codes.
    code : ndarray of int64, shape (n,)
        Category of each trade.
    share : ndarray of float64, shape (n,)
        Share of the traded value; NaN = unknown, treated as ``share_max``.

    Returns
    -------
    ndarray of int64, shape (n,)
        Parts per million of the price; `slippage_paise` turns them into money.
    """
    half = np.array([model.rates[c].half_spread_ppm for c in categories], np.int64)
    impact: Int = np.array([model.rates[c].impact_ppm for c in categories], np.int64)
    bounded = np.where(np.isnan(share), model.share_max, np.minimum(share, model.share_max))
    return half[code] + (impact[code] * bounded).astype(np.int64)


def slippage_paise(price: Int, ppm: Int, quantity: Int) -> Int:
    """Slippage of each fill: per unit rounded up to the paisa, times the quantity."""
    paid: Int = -(-price * ppm // PPM) * quantity
    return paid

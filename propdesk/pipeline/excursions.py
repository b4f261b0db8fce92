"""Step 7: pain, opportunity and what prices did after the exit, per ended trade (§3.1 to §3.3)."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar, Segment, ist_date, segment_of
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.metrics.excursion import (
    CROSSED,
    EXIT_OTHER,
    EXIT_STOP,
    EXIT_TARGET,
    MAE,
    MFE,
    POST_SL,
    POST_TARGET,
    RECOVERY,
    WINDOW_NS,
    WSE,
    WTE,
    PricePath,
    Spans,
    excursions,
    first_touch,
)
from propdesk.model.corporate_action import NO_ACTIONS, Actions
from propdesk.model.enums import Category, ExitReason, Side
from propdesk.pipeline.features import KeyBars, day_sessions, load_bars
from propdesk.pipeline.terms import in_own_terms, restated_ticks
from propdesk.pipeline.trade_plan import int_column, ns_column
from propdesk.ports import PriceSource

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Ticks = dict[str, tuple[Int, Int]]

COLUMNS = (
    *("trade_date", "trade_id", "mae_r", "mfe_r", "post_sl_extension", "post_sl_recovery"),
    *("post_target_extension", "wse", "wte", "crossed_entry_after_stop", "bar_resolution", "is_complete"),
)


def compute_excursions(
    trades: pd.DataFrame,
    prices: PriceSource,
    calendar: MarketCalendar,
    known_until_ns: int,
    actions: Actions = NO_ACTIONS,
) -> pd.DataFrame:
    """Measure every trade that has ended.

    Parameters
    ----------
    trades : DataFrame
        Rows of research.trades; those without an exit are left out.
    prices : PriceSource
        Ticks where present, else minute bars, else the day's own bar.
    calendar : MarketCalendar
        Session closes that cut the window after the exit.
    known_until_ns : int
        Nothing after this moment is read; ``is_complete`` tells whether the window had passed by then.
    actions : Actions, optional
        Corporate actions: prices are restated in the terms of the day each idea was received, as step 5 did.

    Returns
    -------
    DataFrame
        Rows of research.excursions in the order of (trade_date, trade_id).

    Notes
    -----
    Fills are stamped with the start of their minute. Where ticks cover both minutes, the first tick that
    touches the fill price in each is taken as the moment of entry and exit, and the ticks between them
    count one by one; otherwise bars do (``bar_resolution``).
    """
    ended = trades[trades["exit_at"].notna() & trades["entry_at"].notna()]
    ended = ended.sort_values(["trade_date", "trade_id"], kind="stable").reset_index(drop=True)
    if ended.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    spans = _spans(ended, calendar)
    first = ist_date(int(spans.entry_ns.min()))
    last = ist_date(int(min(spans.exit_ns.max() + WINDOW_NS, known_until_ns)))
    keys = sorted(set(ended["price_key"].astype(str)))
    owner_of = dict(zip(ended["price_key"].astype(str), ended["underlying_key"].astype(str), strict=True))
    received = ns_column(ended, "received_at")
    bars_of = load_bars(prices, keys, calendar, first, last)
    series, book = in_own_terms(
        bars_of, ended["price_key"], ended["underlying_key"], received, actions, first, last
    )
    ticks = prices.ticks(keys, first, last)
    found = np.full((len(ended), WTE + 2), np.nan)
    fine = np.zeros(len(ended), bool)
    for name, rows in ended.groupby(series, sort=True).indices.items():
        mine = _rows_of(spans, rows)
        bars = book.get(str(name))
        if bars is not None:
            found[rows] = _on_bars(bars, mine, known_until_ns)
        path = restated_ticks(str(name), owner_of[str(name).partition("@")[0]], actions, ticks)
        if path is not None:
            _refine(found, fine, rows, mine, path, known_until_ns)
    stopped = ~np.isnan(found[:, CROSSED])
    return pd.DataFrame(
        {
            "trade_date": ended["trade_date"].to_numpy(),
            "trade_id": ended["trade_id"].astype(str).to_numpy(),
            "mae_r": found[:, MAE],
            "mfe_r": found[:, MFE],
            "post_sl_extension": found[:, POST_SL],
            "post_sl_recovery": found[:, RECOVERY],
            "post_target_extension": found[:, POST_TARGET],
            "wse": found[:, WSE],
            "wte": found[:, WTE],
            "crossed_entry_after_stop": pd.arrays.BooleanArray(found[:, CROSSED] == 1.0, ~stopped),
            "bar_resolution": ~fine,
            "is_complete": np.minimum(spans.exit_ns + WINDOW_NS, spans.close_ns) <= known_until_ns,
        },
        columns=list(COLUMNS),
    )


def _spans(ended: pd.DataFrame, calendar: MarketCalendar) -> Spans:
    sign = np.array([Side(side).sign for side in ended["side"]], np.int64)
    exit_ns = ns_column(ended, "exit_at")
    exit_price = int_column(ended, "exit_paise").astype(np.float64)
    stop = _level(ended["stoploss_paise"])
    kinds = {ExitReason.STOPLOSS.value: EXIT_STOP, ExitReason.TARGET.value: EXIT_TARGET}
    return Spans(
        sign=sign,
        entry=int_column(ended, "entry_paise").astype(np.float64),
        exit=exit_price,
        stop=stop,
        target=_last_targets(ended, sign, exit_price),
        exit_kind=np.array([kinds.get(reason, EXIT_OTHER) for reason in ended["exit_reason"]], np.int64),
        entry_ns=ns_column(ended, "entry_at"),
        exit_ns=exit_ns,
        close_ns=_session_closes(ended, exit_ns, calendar),
    )


def _level(column: pd.Series) -> Float:
    return np.asarray(pd.to_numeric(column).astype("Float64").to_numpy(np.float64, na_value=np.nan))


def _last_targets(ended: pd.DataFrame, sign: Int, exit_price: Float) -> Float:
    """Target that the trade ended at (its fill where a follow-up had moved it), else the idea's nearest."""
    number = int_column(ended, "exit_target")
    found = np.full(len(ended), np.nan)
    for row, levels in enumerate(ended["targets_paise"]):
        if not isinstance(levels, (list, tuple, np.ndarray)) or not len(levels):
            continue
        if number[row] < 1:
            found[row] = levels[0]
            continue
        level = float(levels[min(int(number[row]), len(levels)) - 1])
        found[row] = level if sign[row] * (exit_price[row] - level) >= 0 else exit_price[row]
    return found


def _session_closes(ended: pd.DataFrame, exit_ns: Int, calendar: MarketCalendar) -> Int:
    """Close of the session of each exit."""
    segments = np.array(
        [
            segment_of(is_derivative=Category(c).is_derivative, has_derivatives=False).value
            for c in ended["category"]
        ],
        object,
    )
    closes = np.zeros(len(ended), np.int64)
    first, last = ist_date(int(exit_ns.min())), ist_date(int(exit_ns.max()))
    for segment in (Segment.CASH, Segment.DERIVATIVES):
        mine = segments == segment.value
        if not mine.any():
            continue
        hours = day_sessions(calendar, segment, first, last)
        at = np.maximum(hours.index_at_or_before(exit_ns[mine]), 0)
        closes[mine] = hours.close_ns[at]
    return closes


def _rows_of(spans: Spans, rows: Any) -> Spans:
    return Spans(
        spans.sign[rows],
        spans.entry[rows],
        spans.exit[rows],
        spans.stop[rows],
        spans.target[rows],
        spans.exit_kind[rows],
        spans.entry_ns[rows],
        spans.exit_ns[rows],
        spans.close_ns[rows],
    )


def _on_bars(key_bars: KeyBars, spans: Spans, known_until_ns: int) -> Float:
    bars = key_bars.bars
    path = PricePath(bars.start_ns, key_bars.end_ns, bars.high_paise, bars.low_paise, is_ticks=False)
    return excursions(path, spans, int(np.searchsorted(key_bars.end_ns, known_until_ns, side="right")))


def _refine(
    found: Float, fine: Bool, rows: Any, spans: Spans, ticks: tuple[Int, Int], known_until_ns: int
) -> None:
    """Measure by ticks the trades whose entry and exit the ticks show."""
    ts, price = ticks
    known = int(np.searchsorted(ts, known_until_ns, side="right"))
    ts, price = ts[:known], price[:known]
    entered = np.array(
        [_touch(ts, price, ns, level) for ns, level in zip(spans.entry_ns, spans.entry, strict=True)],
        np.int64,
    )
    left = np.array(
        [
            _touch(ts, price, max(ns, begin), level)
            for ns, begin, level in zip(spans.exit_ns, entered, spans.exit, strict=True)
        ],
        np.int64,
    )
    shown = (entered >= 0) & (left >= entered)
    if not shown.any():
        return
    exact = replace(_rows_of(spans, shown), entry_ns=entered[shown], exit_ns=left[shown])
    path = PricePath(ts, ts, price, price, is_ticks=True)
    at = np.asarray(rows)[shown]
    found[at] = excursions(path, exact)
    fine[at] = True


def _touch(ts: Int, price: Int, stamp: int, level: float) -> int:
    """Stamp of the first tick that touches a level in the minute of ``stamp``, from ``stamp`` on."""
    minute_end = (int(stamp) // NS_PER_MINUTE + 1) * NS_PER_MINUTE
    return int(first_touch(ts, price, int(stamp), minute_end, float(level)))

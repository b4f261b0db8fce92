"""How an idea was published: claimed in time, before the move, left as it was? (§1.1, reliability S12)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar, ist_date
from propdesk.core.clock import NS_PER_SECOND
from propdesk.model.corporate_action import NO_ACTIONS, Actions
from propdesk.pipeline.columns import objects, or_none, stamps, texts, to_ns
from propdesk.pipeline.features import BarBook, KeyBars, load_bars
from propdesk.pipeline.terms import in_own_terms
from propdesk.pipeline.trade_plan import day_column, look_back, priced_from
from propdesk.ports import PriceSource

_BLOCK_DAYS = 20
"""Market days whose prices are held at once."""
_BLOCK_CHANGED = 100
"""Changed ideas whose prices are held at once, over as many days as it takes."""

Int = NDArray[np.int64]
Float = NDArray[np.float64]


class ConductFlag(StrEnum):
    """What is odd about how an idea came; a flag removes nothing from any count."""

    BACK_DATED = "BACK_DATED"
    RECEIVED_BEFORE_CLAIM = "RECEIVED_BEFORE_CLAIM"
    POSTED_AFTER_MOVE = "POSTED_AFTER_MOVE"
    RECEIVED_AFTER_MOVE = "RECEIVED_AFTER_MOVE"
    EDITED = "EDITED"
    EDITED_AFTER_MOVE = "EDITED_AFTER_MOVE"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class ConductRule:
    """Bounds of the flags.

    Attributes
    ----------
    claim_lag_max_s : int
        A claim this long before its receipt is back-dated, s.
    after_move_r : float
        A price this far beyond the entry, on the winning side, has made the move already; in R.
    """

    claim_lag_max_s: int = 600
    after_move_r: float = 1.0


@dataclass(frozen=True, slots=True)
class _Ideas:
    """Columns of the ideas as arrays; prices in paise, NaN = none; ``sign`` +1 for a buy."""

    keys: "pd.Series[str]"
    sign: Float
    entry: Float
    risk: Float
    stop: Float
    target: Float
    posted: Int
    received: Int
    priced_from: Int


def flag_conduct(
    resolved: pd.DataFrame,
    versions: pd.DataFrame,
    prices: PriceSource,
    calendar: MarketCalendar,
    rule: ConductRule,
    known_until_ns: int,
    actions: Actions = NO_ACTIONS,
) -> pd.DataFrame:
    """Judge how each idea was published.

    Parameters
    ----------
    resolved : DataFrame
        Columns of ``research.resolved_signals``.
    versions : DataFrame
        What the signal log says of these ideas beyond their first posting: record_id, change, changed_at
        (when the change was made as far as anybody can prove), in order.
    prices : PriceSource
        Minute bars, or daily ones where an instrument has no minutes.
    calendar : MarketCalendar
    rule : ConductRule
    known_until_ns : int
        No price after this moment is used, ns UTC. What the log says counts whatever day the prices reach:
        a call may be taken back at a week-end.
    actions : Actions, optional
        Corporate actions: prices are restated in the terms of the day each idea was received.

    Returns
    -------
    DataFrame
        Columns of ``research.signal_flags``, one row per idea by trade_date and signal_id.

    Notes
    -----
    R is the distance of entry and stop, or of entry and first target where there is no stop. The price at a
    moment is the close of the last bar complete by then. An idea without entry price (MARKET) has no distance
    from it; only its target can have been passed.
    """
    changed = {str(name): part for name, part in versions.groupby("record_id", sort=False)}
    parts = [
        _flag_block(block, changed, prices, calendar, rule, known_until_ns, actions)
        for block in _blocks(resolved, changed)
    ]
    if not parts:
        return _frame(resolved, [], [], [], [], [], [])
    whole = pd.concat(parts, ignore_index=True)
    return whole.sort_values(["trade_date", "signal_id"], kind="stable", ignore_index=True)


def _blocks(resolved: pd.DataFrame, changed: dict[str, pd.DataFrame]) -> list[pd.DataFrame]:
    """Cut the ideas so that the prices of a block fit into memory.

    An edit may come months after its idea, and looks at the prices up to it: the few ideas with changes are
    read by themselves over many days, all the others over the days of their block.
    """
    ordered = resolved.sort_values(["trade_date", "signal_id"], kind="stable", ignore_index=True)
    is_changed = ordered["signal_id"].isin(list(changed))
    plain, late = ordered[~is_changed], ordered[is_changed]
    dates: list[date] = sorted(set(plain["trade_date"]))
    spans = [dates[at : at + _BLOCK_DAYS] for at in range(0, len(dates), _BLOCK_DAYS)]
    blocks = [plain[plain["trade_date"].between(span[0], span[-1])] for span in spans]
    blocks += [late.iloc[at : at + _BLOCK_CHANGED] for at in range(0, len(late), _BLOCK_CHANGED)]
    return [block.reset_index(drop=True) for block in blocks]


def _flag_block(
    resolved: pd.DataFrame,
    changed: dict[str, pd.DataFrame],
    prices: PriceSource,
    calendar: MarketCalendar,
    rule: ConductRule,
    known_until_ns: int,
    actions: Actions,
) -> pd.DataFrame:
    ideas = _ideas(resolved, calendar)
    edited, deleted = _versions(resolved, changed)
    first = look_back(calendar, resolved["trade_date"].iloc[0])
    # an edit may come days after the last idea, and looks at the prices up to it
    edits = [ist_date(ns) for ns in edited if ns is not None]
    last = max(first, min(max([resolved["trade_date"].iloc[-1], *edits]), ist_date(known_until_ns)))
    book = load_bars(prices, ideas.keys, calendar, first, last)
    owners = resolved["underlying_key"]
    series, book = in_own_terms(book, ideas.keys, owners, ideas.received, actions, first, last)
    ideas = replace(ideas, keys=pd.Series(series, index=ideas.keys.index))
    posted_r, posted_passed = _move(ideas, book, np.minimum(ideas.posted, known_until_ns))
    received_r, received_passed = _move(ideas, book, np.minimum(ideas.received, known_until_ns))
    lags: list[float] = ((ideas.received - ideas.posted) / NS_PER_SECOND).tolist()
    flags: list[list[str]] = []
    for row in range(len(resolved)):
        edited_ns = edited[row]
        marks = {
            ConductFlag.BACK_DATED: lags[row] > rule.claim_lag_max_s,
            ConductFlag.RECEIVED_BEFORE_CLAIM: lags[row] < 0,
            ConductFlag.POSTED_AFTER_MOVE: bool(posted_passed[row] or posted_r[row] > rule.after_move_r),
            ConductFlag.RECEIVED_AFTER_MOVE: bool(
                received_passed[row] or received_r[row] > rule.after_move_r
            ),
            ConductFlag.EDITED: edited[row] is not None,
            ConductFlag.EDITED_AFTER_MOVE: edited_ns is not None
            and _moved_before(ideas, row, book, min(edited_ns, known_until_ns), rule),
            ConductFlag.DELETED: deleted[row] is not None,
        }
        flags.append([flag.value for flag, is_set in marks.items() if is_set])
    return _frame(resolved, lags, posted_r.tolist(), received_r.tolist(), edited, deleted, flags)


def _ideas(resolved: pd.DataFrame, calendar: MarketCalendar) -> _Ideas:
    buys = np.asarray(resolved["side"] == "BUY", bool)
    low, high, stop = (
        np.asarray(resolved[name].astype("Float64").to_numpy(na_value=np.nan), np.float64)
        for name in ("entry_low_paise", "entry_high_paise", "stoploss_paise")
    )
    target = np.array(
        [float(one[0]) if len(one) else np.nan for one in resolved["targets_paise"]], np.float64
    )
    entry = np.where(buys, high, low)
    risk: Float = np.abs(np.where(np.isnan(stop), target, stop) - entry)
    risk[risk <= 0] = np.nan
    return _Ideas(
        resolved["price_key"].astype(str),
        np.where(buys, 1.0, -1.0),
        entry,
        risk,
        stop,
        target,
        to_ns(resolved["posted_at"]),
        to_ns(resolved["received_at"]),
        priced_from(day_column(resolved, "trade_date"), calendar),
    )


def _move(ideas: _Ideas, book: BarBook, moments: Int) -> tuple[Float, NDArray[np.bool_]]:
    """Say how far the price had gone beyond the entry (R, NaN unknown) and whether it passed the target."""
    price = np.full(len(moments), np.nan)
    for key, rows in ideas.keys.groupby(ideas.keys, sort=True).indices.items():
        if key in book:
            closes = book[str(key)].close_before(moments[rows], ideas.priced_from[rows])
            price[rows] = np.where(closes > 0, closes, np.nan)
    moved = ideas.sign * (price - ideas.entry) / ideas.risk
    return moved, ideas.sign * (price - ideas.target) >= 0


def _versions(
    resolved: pd.DataFrame, changed: dict[str, pd.DataFrame]
) -> tuple[list[int | None], list[int | None]]:
    """Moments of the last edit and of a deletion that still stands, ns UTC."""
    edited: list[int | None] = []
    deleted: list[int | None] = []
    for name in resolved["signal_id"].tolist():
        part = changed.get(name)
        rows = (
            [] if part is None else list(zip(part["change"], to_ns(part["changed_at"]).tolist(), strict=True))
        )
        edits = [ns for change, ns in rows if change == "EDITED"]
        edited.append(max(edits, default=None))
        standing = [(change, ns) for change, ns in rows if change in ("DELETED", "RESTORED")]
        deleted.append(standing[-1][1] if standing and standing[-1][0] == "DELETED" else None)
    return edited, deleted


def _moved_before(ideas: _Ideas, row: int, book: BarBook, edited: int, rule: ConductRule) -> bool:
    """Tell whether stop, target or a move of the bound lay between the posting and its last edit."""
    key = ideas.keys.iloc[row]
    if key not in book:
        return False
    held: KeyBars = book[key]
    since = max(ideas.posted[row], ideas.priced_from[row])
    begin = int(np.searchsorted(held.bars.start_ns, since, side="left"))
    end = int(np.searchsorted(held.end_ns, edited, side="right"))
    if end <= begin:
        return False
    sign = ideas.sign[row]
    high, low = held.bars.high_paise[begin:end].max(), held.bars.low_paise[begin:end].min()
    best, worst = (high, low) if sign > 0 else (low, high)
    reached = sign * (best - ideas.target[row]) >= 0 or sign * (worst - ideas.stop[row]) <= 0
    moved = max(sign * (best - ideas.entry[row]), sign * (ideas.entry[row] - worst)) / ideas.risk[row]
    return bool(reached or moved > rule.after_move_r)


def _frame(
    resolved: pd.DataFrame,
    lags: Sequence[float],
    posted_r: Sequence[float],
    received_r: Sequence[float],
    edited: Sequence[int | None],
    deleted: Sequence[int | None],
    flags: Sequence[list[str]],
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trade_date": objects(or_none(resolved["trade_date"])),
            "signal_id": texts(or_none(resolved["signal_id"])),
            "advisor_id": texts(or_none(resolved["advisor_id"])),
            "revision": resolved["revision"].astype("int64").reset_index(drop=True),
            "claim_lag_s": pd.Series(lags, dtype="float64"),
            "moved_at_posting_r": pd.Series(posted_r, dtype="float64"),
            "moved_at_receipt_r": pd.Series(received_r, dtype="float64"),
            "edited_at": stamps(edited),
            "deleted_at": stamps(deleted),
            "flags": objects(list(flags)),
        }
    )

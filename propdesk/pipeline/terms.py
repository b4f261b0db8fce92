"""Prices in the terms in which each idea was posted: what a corporate action changed is changed back."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from propdesk.core.calendar import ist_date
from propdesk.indicators.adjustment import in_terms_of, price_factors, scaled
from propdesk.model.corporate_action import Actions
from propdesk.pipeline.columns import to_ns
from propdesk.pipeline.features import BarBook

Int = NDArray[np.int64]
Objects = NDArray[np.object_]


def in_own_terms(
    book: BarBook,
    keys: pd.Series,
    owners: pd.Series,
    received_ns: Int,
    actions: Actions,
    first: date,
    last: date,
) -> tuple[Objects, BarBook]:
    """Name the price series of each idea, and add those to a book of bars that a corporate action restates.

    Parameters
    ----------
    book : BarBook
        By price key.
    keys, owners : Series of str
        Price key, and the key of the share whose corporate actions change it (of a contract: its underlying).
    received_ns : ndarray of int64
        An idea's levels are in the terms of the IST day on which it was received.
    actions : Actions
    first, last : date
        Closed range of days whose prices are read; only ex-dates after its first day can show in it.

    Returns
    -------
    ndarray of str
        ``NSE_EQ:A`` where nothing changes the series, else ``NSE_EQ:A@2025-01-02``: in the terms of that day,
        an ex-date or the first of the range.
    BarBook
        With the bars of every such name.
    """
    names = _named_series(keys, owners, received_ns, actions, first, last)
    owner_of = dict(zip(keys.astype(str), owners.astype(str), strict=True))
    return names, _restated(book, names.tolist(), owner_of, actions)


def _named_series(
    keys: pd.Series, owners: pd.Series, received_ns: Int, actions: Actions, first: date, last: date
) -> Objects:
    names = keys.astype(str).to_numpy(dtype=object).copy()
    if not actions:
        return names
    changed = {owner: actions.of(owner, first, last) for owner in set(owners.astype(str))}
    for row, owner in enumerate(owners.astype(str)):
        mine = changed[owner]
        if mine:
            day = ist_date(int(received_ns[row]))
            since = max((one.ex_date for one in mine if one.ex_date <= day), default=first)
            names[row] = f"{names[row]}@{since.isoformat()}"
    return names


def _restated(book: BarBook, names: Sequence[str], owner_of: dict[str, str], actions: Actions) -> BarBook:
    """Add the named series; repeats are made once."""
    found = dict(book)
    for name in set(names):
        key, mark, day = name.partition("@")
        if mark and key in book:
            mine = actions.of(owner_of[key], date.min, date.max)
            found[name] = replace(book[key], bars=in_terms_of(book[key].bars, mine, date.fromisoformat(day)))
    return found


def restated_followups(said: pd.DataFrame, ideas: pd.DataFrame, actions: Actions) -> pd.DataFrame:
    """Put the levels of follow-ups, posted in the terms of their own day, into those of their ideas.

    Parameters
    ----------
    said : DataFrame
        ``received_at``, ``stoploss_paise`` and ``targets_paise`` of follow-ups.
    ideas : DataFrame
        The idea of each, in the same order: ``received_at`` and ``underlying_key``.
    """
    if not actions:
        return said
    owners = ideas["underlying_key"].astype(str)
    pairs = zip(owners, to_ns(ideas["received_at"]), to_ns(said["received_at"]), strict=True)
    factors = [
        math.prod(one.factor for one in actions.of(owner, ist_date(int(posted)), ist_date(int(later))))
        for owner, posted, later in pairs
    ]
    if all(factor == 1 for factor in factors):
        return said
    stops = [
        stop if factor == 1 or pd.isna(stop) else round(int(stop) / factor)
        for stop, factor in zip(said["stoploss_paise"], factors, strict=True)
    ]
    targets = [
        levels
        if factor == 1 or not isinstance(levels, (list, tuple, np.ndarray))
        else [round(int(level) / factor) for level in levels]
        for levels, factor in zip(said["targets_paise"], factors, strict=True)
    ]
    return said.assign(
        stoploss_paise=pd.array(stops, dtype="Int64"), targets_paise=pd.Series(targets, index=said.index)
    )


def restated_ticks(
    name: str, owner: str, actions: Actions, ticks: dict[str, tuple[Int, Int]]
) -> tuple[Int, Int] | None:
    """Ticks of a series that `in_own_terms` names; None where there are none."""
    key, mark, day = name.partition("@")
    if key not in ticks or not mark:
        return ticks.get(key)
    ts, price = ticks[key]
    factor = price_factors(ts, actions.of(owner, date.min, date.max), date.fromisoformat(day))
    return ts, price if factor is None else scaled(price, factor)

"""Frames of step 8: figures by number of day and cell in, rows with names and days out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from propdesk.pipeline.groups_prepare import DIMENSIONS, FloatArray, IntArray, Level
from propdesk.replay.kernel import MISSING

_EPOCH = date(1970, 1, 1)
_WHOLE = frozenset(
    {
        "n", "n_open", "n_days", "n_unsettled", "skill_n", "losing_streak_max", "stopped_trades", "wins",
        "winners", "losers", "r_count", "gains_paise", "losses_paise", "net_pnl_paise", "charges_paise",
        "first_half_net_pnl_paise", "reverse_net_pnl_paise",
    }
)  # fmt: skip


class CellNames:
    """Names of the cells of all levels, whose rows are numbered level by level, and of the as-of dates.

    Parameters
    ----------
    levels : sequence of Level
    days : ndarray of int64
        Epoch days of all as-of dates, rising.

    Attributes
    ----------
    rank : ndarray of int64, shape (n_rows,)
        Place of each row's text among all of them by code point.
    """

    def __init__(self, levels: Sequence[Level], days: IntArray) -> None:
        self._levels = levels
        self._day_numbers = days
        self._dates = pd.CategoricalDtype(
            pd.Index([_EPOCH + timedelta(int(day)) for day in days], dtype=object)
        )
        self._start = np.cumsum([0, *(level.size for level in levels)])
        texts = np.concatenate([level.rule_text for level in levels])
        order = np.argsort(texts, kind="stable")
        self.rank: IntArray = np.empty(len(texts), dtype=np.int64)
        self.rank[order] = np.arange(len(texts))
        self._texts = pd.CategoricalDtype(pd.Index(texts[order]))

    def row(self, place: int, cell: IntArray) -> IntArray:
        """Give the rows of cells of the level at a place."""
        return np.asarray(cell + self._start[place], dtype=np.int64)

    def days(self, day: IntArray) -> pd.Categorical:
        """Turn epoch days of as-of dates into dates."""
        return pd.Categorical.from_codes(np.searchsorted(self._day_numbers, day), dtype=self._dates)

    def text(self, row: IntArray) -> pd.Categorical:
        """Name the cells of rows."""
        return pd.Categorical.from_codes(self.rank[row], dtype=self._texts)

    def dimensions(self, row: IntArray) -> dict[str, pd.Categorical]:
        """Give level and dimensions of rows, None where the level does not use the dimension."""
        level = np.repeat(np.arange(len(self._levels)), np.diff(self._start))
        names = pd.Index([one.level.value for one in self._levels], dtype=object)
        out: dict[str, pd.Categorical] = {"level": pd.Categorical.from_codes(level[row], names)}
        joined = np.concatenate([one.dimensions for one in self._levels])
        for d, name in enumerate(DIMENSIONS):
            codes, texts = pd.factorize(joined[:, d], sort=True)
            out[name] = pd.Categorical.from_codes(codes[row], pd.Index(texts))
        return out


def moments(ns: IntArray) -> "pd.Series[Any]":
    """Turn ns UTC into stamps, `MISSING` into NaT."""
    stamps = pd.Series(pd.to_datetime(np.where(ns == MISSING, 0, ns), unit="ns", utc=True))
    return stamps.mask(pd.Series(ns == MISSING))


@dataclass(frozen=True, slots=True)
class MetricRows:
    """Figures of the cells of one level on one as-of date.

    Attributes
    ----------
    day, row : ndarray of int64, shape (n,)
        Epoch day, and row of `CellNames`.
    every : dict of str to ndarray of float64, shape (n,)
        Columns of every cell.
    full : ndarray of int64, shape (m,)
        Places of the cells with enough trades among the n.
    detail : dict of str to ndarray of float64, shape (m,)
        Columns of those cells only: three of four cells have none, and all of them would not fit memory.
    """

    day: IntArray
    row: IntArray
    every: dict[str, FloatArray]
    full: IntArray
    detail: dict[str, FloatArray]


def metrics_frames(names: CellNames, parts: list[MetricRows]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join figures of cells into the rows of ``research.group_metrics`` and of ``research.thin_groups``.

    Parameters
    ----------
    names : CellNames
    parts : list of MetricRows
        At least one. Their columns are taken out, so that no figure is held twice.

    Returns
    -------
    full, thin : DataFrame
        Rows of the cells with enough trades, with every column, and of the others, with those of every
        cell; each sorted by (as_of_date, rule_text).
    """
    day = np.concatenate([part.day for part in parts])
    row = np.concatenate([part.row for part in parts])
    starts = np.cumsum([0, *(len(part.day) for part in parts)])
    full = np.concatenate([part.full + start for part, start in zip(parts, starts[:-1], strict=True)])
    every = {name: np.concatenate([part.every.pop(name) for part in parts]) for name in list(parts[0].every)}
    detail = {
        name: np.concatenate([part.detail.pop(name) for part in parts]) for name in list(parts[0].detail)
    }
    is_thin = np.ones(len(day), dtype=bool)
    is_thin[full] = False
    thin = np.flatnonzero(is_thin)
    return (
        _table(names, day[full], row[full], {**{n: every[n][full] for n in every}, **detail}),
        _table(names, day[thin], row[thin], {n: every[n][thin] for n in every}),
    )


def _table(names: CellNames, day: IntArray, row: IntArray, figures: dict[str, FloatArray]) -> pd.DataFrame:
    """Put figures under names and days, in the order of these; the figures are taken out."""
    order = np.lexsort((names.rank[row], day))
    row = row[order]
    columns: dict[str, Any] = {"as_of_date": names.days(day[order]), "rule_text": names.text(row)}
    columns.update(names.dimensions(row))
    for name in list(figures):
        columns[name] = _typed(name, figures.pop(name)[order])
    return pd.DataFrame(columns, copy=False)


def _typed(name: str, column: FloatArray) -> "FloatArray | pd.arrays.IntegerArray":
    if name not in _WHOLE:
        return column
    unknown = np.isnan(column)
    return pd.arrays.IntegerArray(np.where(unknown, 0, column).astype(np.int64), unknown)

"""Frames of trades, excursions and marks turned into the arrays that the group facts need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar
from propdesk.core.invariant import require
from propdesk.core.limits import LEVEL_SHARE_MAX
from propdesk.metrics.recency import HALF_LIFE_DAYS
from propdesk.metrics.reversal import Ended, Reversals, reversals
from propdesk.metrics.skill import (
    LEGS_MAX,
    Chains,
    break_even_chances,
    break_even_drifts,
    remaining_chances,
    shapes_of,
)
from propdesk.model.enums import Category, Period, RuleLevel, Session
from propdesk.replay.inputs import NEVER_DAY, NEVER_NS, CorpusTrades, MarketDays, epoch_day, market_days

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DIMENSIONS = ("advisor_id", "category", "period", "regime", "weekday", "session")
LEVEL_DIMENSIONS = {
    RuleLevel.ADVISOR: 1,
    RuleLevel.MINI: 3,
    RuleLevel.MINI_REGIME: 4,
    RuleLevel.RULE_6D: 6,
}
_LEVEL_TEXT = {
    RuleLevel.ADVISOR: "ADVISOR",
    RuleLevel.MINI: "MINI",
    RuleLevel.MINI_REGIME: "MINIR",
    RuleLevel.RULE_6D: "6D",
}
_ENDED_BY_LEVEL = ("TARGET", "STOPLOSS", "TRAILED_STOP")
DESK_SIZE, ANALYTICAL_SIZE = "desk", "analytical"


def _default_minimum() -> dict[tuple[RuleLevel, Category], int]:
    return {
        (level, category): 8 if level is RuleLevel.RULE_6D else 20
        for level in RuleLevel
        for category in Category
    }


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """Settings of step 8.

    Attributes
    ----------
    capital_paise : int
        Starting corpus of every replay.
    window_days : int
        Replay and metric window, calendar days.
    half_life_days : float
        Half-life of the recency weights of the metric window, calendar days since the exit.
    skill_window_days, skill_window_days_positional : int
        Evidence window of the skill columns, market days.
    skill_half_life_days : float
        Half-life of the skill columns, market days.
    hurdle_r : float
        Net R a mean must exceed to count as an edge.
    risk_free : float
        Yearly rate, fraction.
    size_models : tuple of str
        Sizes to replay: ``analytical``, ``desk``.
    regime_scope : str
        ``market`` or ``underlying``: whose regime labels the trades that are read.
    minimum_trades : mapping of (level, category) to int
        Minimum of the gates; a cell below half of it gets sums and skill columns only.
    drawdown_draws, drawdown_block_days : int
        Reshuffled records of each group, and market days that stay together in them.
    seed : int
        Seed of the simulated no-skill excursions and of the reshuffled records.
    """

    capital_paise: int = 1_000_000_000
    window_days: int = 90
    half_life_days: float = HALF_LIFE_DAYS
    skill_window_days: int = 250
    skill_window_days_positional: int = 500
    skill_half_life_days: float = 60.0
    hurdle_r: float = 0.05
    risk_free: float = 0.0
    size_models: tuple[str, ...] = (ANALYTICAL_SIZE,)
    regime_scope: str = "market"
    minimum_trades: Mapping[tuple[RuleLevel, Category], int] = field(default_factory=_default_minimum)
    drawdown_draws: int = 200
    drawdown_block_days: int = 5
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Level:
    """One rule level: the cell of each trade and what the cells are.

    ``cell`` is −1 for a trade that has no cell here; ``dimensions`` holds one row of texts per
    cell (None where the level does not use the dimension); ``parent`` is the cell one level up.
    """

    level: RuleLevel
    cell: IntArray
    rule_text: NDArray[np.object_]
    dimensions: NDArray[np.object_]
    parent: IntArray
    half_minimum: IntArray

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self.rule_text)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Counted trades as arrays, one row per trade, sorted by trade id.

    ``facts`` holds what the additive sums add up, columns by `groups_kernels.WIN` and so on.
    """

    frame: pd.DataFrame
    market: MarketDays
    entry_day: IntArray
    exit_day: IntArray
    entry_index: IntArray
    exit_index: IntArray
    unsettled_day: IntArray
    exit_ns: IntArray
    r: FloatArray
    is_win: BoolArray
    risk_total: FloatArray
    p0: FloatArray
    hit: FloatArray
    by_level: BoolArray
    reverse: Reversals
    shape: IntArray
    shapes: IntArray
    facts: FloatArray
    cluster: IntArray
    by_cluster: IntArray
    skill_window: IntArray
    mark_offset: IntArray
    mark_day: IntArray
    mark_pnl: IntArray
    corpus: dict[str, CorpusTrades]
    levels: tuple[Level, ...]

    def column(self, name: str) -> FloatArray:
        """Read a numeric column, NaN for null."""
        return floats(self.frame, name)


def floats(frame: pd.DataFrame, name: str) -> FloatArray:
    """Read a numeric column with nulls as float64 with NaN."""
    return pd.to_numeric(frame[name]).to_numpy(dtype=np.float64, na_value=np.nan)


def _whole(frame: pd.DataFrame, name: str, missing: int = 0) -> IntArray:
    values = pd.to_numeric(frame[name]).astype("Int64").fillna(missing)
    return np.asarray(values.to_numpy(dtype=np.int64), dtype=np.int64)


def _flags(frame: pd.DataFrame, name: str) -> BoolArray:
    return frame[name].astype("boolean").fillna(False).to_numpy(dtype=bool)


def _ns(column: "pd.Series[Any]") -> IntArray:
    stamps = pd.to_datetime(column, utc=True).dt.as_unit("ns")
    values = stamps.astype("int64").to_numpy(dtype=np.int64)
    return np.asarray(np.where(stamps.isna().to_numpy(), NEVER_NS, values), dtype=np.int64)


def _days(column: "pd.Series[Any]") -> IntArray:
    stamps = pd.to_datetime(column)
    values = stamps.dt.as_unit("s").astype("int64").to_numpy(dtype=np.int64) // 86_400
    return np.asarray(np.where(stamps.isna().to_numpy(), NEVER_DAY, values), dtype=np.int64)


def _codes(column: "pd.Series[Any]") -> tuple[IntArray, NDArray[np.object_]]:
    """Code texts by their sorted order; null is −1."""
    codes, values = pd.factorize(column.astype(object), sort=True)
    return codes.astype(np.int64), np.asarray(values, dtype=object)


def chains_of(frame: pd.DataFrame) -> tuple[Chains, FloatArray]:
    """Lay out each trade's targets in R and the shares of its legs (§5.4).

    Parameters
    ----------
    frame : DataFrame
        Trades with ``side, entry_paise, stoploss_paise, targets_paise, lots, risk_paise, gross_r,
        r_multiple``.

    Returns
    -------
    Chains
        No legs where stop, targets or fill are missing.
    ndarray of float64
        Cost in R (gross − net), NaN without R.
    """
    n = len(frame)
    sign = np.where(frame["side"].to_numpy() == "BUY", 1.0, -1.0)
    entry, risk = floats(frame, "entry_paise"), floats(frame, "risk_paise")
    lots = _whole(frame, "lots")
    lists = [[] if t is None or isinstance(t, float) else list(t) for t in frame["targets_paise"]]
    count = np.array([min(len(t), LEGS_MAX) for t in lists], dtype=np.int64)
    raw = np.full((n, LEGS_MAX), np.nan)
    for k in range(LEGS_MAX):
        rows = np.flatnonzero(count > k)
        raw[rows, k] = [float(lists[i][k]) for i in rows]
    distance = (raw - entry[:, None]) * sign[:, None] / np.where(risk > 0, risk, np.nan)[:, None]
    distance = np.sort(np.where(distance > 0, distance, np.nan), axis=1)  # NaN go last
    legs = np.minimum((~np.isnan(distance)).sum(axis=1), np.maximum(lots, 0)).astype(np.int64)
    used = np.arange(LEGS_MAX)[None, :] < legs[:, None]
    safe = np.maximum(legs, 1)
    share_lots = (lots // safe)[:, None] + (np.arange(LEGS_MAX)[None, :] == 0) * (lots % safe)[:, None]
    share = np.where(used, share_lots / np.maximum(lots, 1)[:, None], 0.0)
    cost = floats(frame, "gross_r") - floats(frame, "r_multiple")
    return Chains(np.where(used, distance, 0.0), share, legs), cost


class _Nulls(NamedTuple):
    """What ideas do without skill, and what these did, by trade."""

    p0: FloatArray
    hit: FloatArray
    by_level: BoolArray
    reverse: Reversals
    chains: Chains


def _null_chances(frame: pd.DataFrame, is_win: BoolArray) -> _Nulls:
    """Break-even chance and counted hit of each trade and of its reversal; whether a level ended it."""
    chains, cost = chains_of(frame)
    drift = break_even_drifts(chains, cost)
    p0 = break_even_chances(chains, cost, drift)
    sign = np.where(frame["side"].to_numpy() == "BUY", 1.0, -1.0)
    risk = floats(frame, "risk_paise")
    at = (floats(frame, "exit_paise") - floats(frame, "entry_paise")) * sign / risk
    hit_targets = _whole(frame, "targets_hit")
    left = remaining_chances(chains, cost, drift, hit_targets, at)
    reason = frame["exit_reason"].to_numpy(dtype=object)
    by_level = np.isin(reason, _ENDED_BY_LEVEL)
    # a stop that trailed before any target was moved by the advisor: closed by hand, not by the chain
    by_level &= ~((reason == "TRAILED_STOP") & (hit_targets == 0))
    hit = np.where(by_level, is_win.astype(np.float64), left)
    p0 = np.where(np.isnan(hit), np.nan, p0)
    excursions = (floats(frame, name) for name in ("mae_r", "mfe_r"))
    ended = Ended(hit_targets, reason == "STOPLOSS", _flags(frame, "ambiguous_bar"), at, *excursions)
    reach = LEVEL_SHARE_MAX * floats(frame, "entry_paise") / np.where(risk > 0, risk, np.nan)
    against = reversals(chains, cost, reach, ended)
    return _Nulls(p0, np.where(np.isnan(p0), np.nan, hit), by_level, against, chains)


def _level(
    level: RuleLevel,
    codes: list[IntArray],
    texts: list[NDArray[np.object_]],
    finer: BoolArray,
    config: GroupConfig,
    coarser: IntArray | None,
) -> Level:
    width = LEVEL_DIMENSIONS[level]
    valid = np.all([codes[d] >= 0 for d in range(width)], axis=0) & finer
    key = np.zeros(len(valid), dtype=np.int64)
    for d in range(width):
        key = key * (len(texts[d]) + 1) + codes[d]
    cell = np.full(len(valid), -1, dtype=np.int64)
    _, first, inverse = np.unique(key[valid], return_index=True, return_inverse=True)
    cell[valid] = inverse
    rows = np.flatnonzero(valid)[first]
    dimensions = np.full((len(rows), len(DIMENSIONS)), None, dtype=object)
    for d in range(width):
        dimensions[:, d] = texts[d][codes[d][rows]]
    text = np.array(
        ["|".join([_LEVEL_TEXT[level], *row[:width]]) for row in dimensions.tolist()], dtype=object
    )
    parent = coarser[rows] if coarser is not None else np.zeros(len(rows), dtype=np.int64)
    if level is RuleLevel.ADVISOR:
        half = np.zeros(len(rows), dtype=np.int64)  # every advisor is replayed
    else:
        minimum = [config.minimum_trades[level, Category(c)] for c in dimensions[:, 1]]
        half = np.array([(m + 1) // 2 for m in minimum], dtype=np.int64)
    return Level(level, cell, text, dimensions, parent, half)


def _levels(frame: pd.DataFrame, config: GroupConfig) -> tuple[Level, ...]:
    coded = [_codes(frame[name]) for name in DIMENSIONS]
    codes, texts = [c for c, _ in coded], [t for _, t in coded]
    in_hours = frame["session"].to_numpy(dtype=object) != Session.AFTER_HOURS.value
    everywhere = np.ones(len(frame), dtype=bool)
    out: list[Level] = []
    for level in LEVEL_DIMENSIONS:
        finer = in_hours if level is RuleLevel.RULE_6D else everywhere
        out.append(_level(level, codes, texts, finer, config, out[-1].cell if out else None))
    return tuple(out)


def _marks(marks: pd.DataFrame, ids: "pd.Index[Any]") -> tuple[IntArray, IntArray, IntArray]:
    """Lay the marks of the kept trades out as offset, day and value arrays."""
    place = ids.get_indexer(pd.Index(marks["trade_id"].astype(object)))
    known = (place >= 0) & marks["mark_pnl_paise"].notna().to_numpy()
    owner = place[known]
    day = _days(marks["mark_date"][known])
    value = _whole(marks[known], "mark_pnl_paise")
    order = np.lexsort((day, owner))
    offset = np.searchsorted(owner[order], np.arange(len(ids) + 1)).astype(np.int64)
    return offset, day[order], value[order]


def _corpus(
    frame: pd.DataFrame, model: str, entry_ns: IntArray, exit_ns: IntArray, marks: tuple[IntArray, ...]
) -> CorpusTrades:
    """Lay out what the replays of one size read; ``frame`` sorted by trade id."""
    prefix = "desk_" if model == DESK_SIZE else ""
    margin = _whole(frame, f"{prefix}margin_paise")
    net = _whole(frame, f"{prefix}net_pnl_paise")
    offset, day, value = marks
    if model == DESK_SIZE:
        share = floats(frame, "desk_quantity") / np.maximum(floats(frame, "quantity"), 1.0)
        scale = np.repeat(np.nan_to_num(share), np.diff(offset))
        value = np.round(value * scale).astype(np.int64)
    # a size of nothing ties up one paisa and earns nothing, so that it never crowds another out
    net = np.where(margin > 0, net, 0)
    return CorpusTrades(
        entry_ns,
        np.maximum(exit_ns, entry_ns),
        np.maximum(margin, 1),
        net,
        np.arange(len(frame), dtype=np.int64),
        offset,
        day,
        value,
        _days(frame["unsettled_date"]),
    )


def prepare(
    trades: pd.DataFrame,
    excursions: pd.DataFrame,
    marks: pd.DataFrame,
    calendar: MarketCalendar,
    as_of_dates: list[date],
    config: GroupConfig,
) -> Prepared:
    """Turn the frames of steps 5 to 7 into sorted arrays.

    Parameters
    ----------
    trades : DataFrame
        ``research.trades`` with the joined ``regime``; rows that are not counted are dropped.
    excursions, marks : DataFrame
        ``research.excursions`` and ``research.trade_marks``.
    calendar : MarketCalendar
        The exchange's.
    as_of_dates : list of date
        At least one.
    config : GroupConfig
        Settings.

    Returns
    -------
    Prepared
        Rows in order of trade id (code points).
    """
    require(bool(as_of_dates), "group facts need at least one as-of date")
    frame = trades[_flags(trades, "is_counted") & trades["entry_at"].notna().to_numpy()]
    frame = frame.sort_values("trade_id", kind="stable").reset_index(drop=True)
    wanted = [c for c in excursions.columns if c not in ("trade_date", "is_complete", "bar_resolution")]
    frame = frame.merge(excursions[wanted], on="trade_id", how="left", validate="one_to_one")
    entry_ns, exit_ns = _ns(frame["entry_at"]), _ns(frame["exit_at"])
    entry_day, exit_day = _days(frame["entry_date"]), _days(frame["exit_date"])
    is_open = (exit_ns == NEVER_NS) | (frame["exit_reason"].to_numpy(dtype=object) == "OPEN")
    exit_ns = np.where(is_open, NEVER_NS, exit_ns)
    exit_day = np.where(is_open, NEVER_DAY, exit_day)
    first = min([min(as_of_dates).toordinal() - config.window_days, *_first_day(entry_day)])
    market = market_days(calendar, date.fromordinal(first), max(as_of_dates))
    is_win = _flags(frame, "is_winning_trade")
    nulls = _null_chances(frame, is_win)
    shapes, shape = shapes_of(nulls.chains)
    mark_arrays = _marks(marks, pd.Index(frame["trade_id"].astype(object)))
    underlying = _codes(frame["underlying_key"])[0]
    cluster = np.unique(np.stack([entry_day, underlying], axis=1), axis=0, return_inverse=True)[1]
    positional = frame["period"].to_numpy(dtype=object) == Period.POSITIONAL.value
    return Prepared(
        frame,
        market,
        entry_day,
        exit_day,
        np.searchsorted(market.day, entry_day).astype(np.int64),
        np.searchsorted(market.day, exit_day).astype(np.int64),
        _days(frame["unsettled_date"]),
        exit_ns,
        floats(frame, "r_multiple"),
        is_win,
        floats(frame, "risk_paise") * floats(frame, "quantity"),
        nulls.p0,
        nulls.hit,
        nulls.by_level,
        nulls.reverse,
        shape,
        shapes,
        _facts(frame, is_win),
        cluster.ravel().astype(np.int64),
        np.argsort(cluster.ravel(), kind="stable").astype(np.int64),
        np.where(positional, config.skill_window_days_positional, config.skill_window_days).astype(np.int64),
        *mark_arrays,
        {model: _corpus(frame, model, entry_ns, exit_ns, mark_arrays) for model in config.size_models},
        _levels(frame, config),
    )


def _facts(frame: pd.DataFrame, is_win: BoolArray) -> FloatArray:
    """Put what the sums of a group add up side by side: a row per trade, money in paise."""
    gross, slippage, charges = (
        floats(frame, name) for name in ("gross_pnl_paise", "slippage_paise", "charges_paise")
    )
    return np.stack(
        [
            is_win.astype(np.float64),
            floats(frame, "net_pnl_paise"),
            charges,
            -gross - slippage - charges,  # of the mirrored trade, which pays both as well
            floats(frame, "r_multiple"),
            floats(frame, "return_ratio"),
            floats(frame, "holding_hours"),
        ],
        axis=1,
    )


def _first_day(entry_day: IntArray) -> list[int]:
    return [int(entry_day.min()) + date(1970, 1, 1).toordinal()] if len(entry_day) else []


def as_of_numbers(as_of_dates: list[date]) -> IntArray:
    """Epoch days of the as-of dates, rising and distinct."""
    return np.unique(np.array([epoch_day(day) for day in as_of_dates], dtype=np.int64))

"""Step 5: what each idea was worth, by the market's word (§2.5, §2.6)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from propdesk.core.calendar import MarketCalendar, ist_date, ist_midnight_ns
from propdesk.model.corporate_action import NO_ACTIONS, Actions
from propdesk.model.enums import CLOSED_EXIT_REASONS, EntryType, ExitReason, FollowupKind
from propdesk.pipeline import outcome_kernel as kernel
from propdesk.pipeline.costs import end_of_day
from propdesk.pipeline.features import BarBook, DaySessions, day_sessions, load_bars
from propdesk.pipeline.outcome_kernel import ENTRY_CODES, NEVER, NONE, REASON_CODES
from propdesk.pipeline.terms import in_own_terms, restated_followups
from propdesk.pipeline.trade_frames import (
    Resolution,
    Slices,
    TradeTables,
    assemble,
    concatenate,
    empty_tables,
    slices_of,
)
from propdesk.pipeline.trade_plan import (
    BLOCKING,
    PRICE_SERIES,
    SESSION_SEGMENTS,
    UNAFFORDABLE,
    UNDERLYING_SERIES,
    Plan,
    Sizes,
    TradeConfig,
    day_of,
    int_column,
    look_back,
    make_plan,
    ns_column,
    size_ideas,
    split_lots,
)
from propdesk.ports import PriceSource

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
Outages = dict[date, list[tuple[int, int]]]

__all__ = ["TradeConfig", "TradeTables", "build_trades"]

_BLOCK_DAYS = 130
"""Trade dates resolved at once: bounds the bars held in memory."""
_OPEN = REASON_CODES[ExitReason.OPEN]
_NO_PRICE = REASON_CODES[ExitReason.NO_PRICE_DATA]
_INCOMPLETE = REASON_CODES[ExitReason.INCOMPLETE]
_LIMIT, _RANGE, _MARKET = (ENTRY_CODES[kind] for kind in (EntryType.LIMIT, EntryType.RANGE, EntryType.MARKET))
_CLOSED_CODES = np.array([REASON_CODES[r] for r in sorted(CLOSED_EXIT_REASONS)], np.int64)


def build_trades(
    resolved: pd.DataFrame,
    followups: pd.DataFrame,
    prices: PriceSource,
    calendar: MarketCalendar,
    config: TradeConfig,
    known_until_ns: int,
    actions: Actions = NO_ACTIONS,
    on_block: Callable[[pd.DataFrame], None] | None = None,
) -> TradeTables:
    """Verify every idea against the prices that followed it.

    Parameters
    ----------
    resolved : DataFrame
        Rows of step 4 (research.resolved_signals), any order.
    followups : DataFrame
        Rows of research.followups of any range; those of other signals are ignored.
    prices : PriceSource
        Minute bars, or the daily bar of a day on which an instrument has no minute; ``outages`` is asked
        where it exists.
    calendar : MarketCalendar
        Market days and hours.
    config : TradeConfig
        Settings and dated tables.
    known_until_ns : int
        Nothing after this moment is read: a trade not ended by then is OPEN, an entry that may still fill is
        OPEN without entry.
    actions : Actions, optional
        Corporate actions. An idea that lives over an ex-date is resolved, marked and told in the terms of
        the day it was received: its levels and quantity stay, later prices are restated.
    on_block : callable, optional
        Given the ideas of each block of trade dates, in their order, when they are verified: a source that
        keeps what it reads still has their prices.

    Returns
    -------
    TradeTables
        Frames of research.trades, trade_legs, trade_marks and outcome_audit.

    Raises
    ------
    GapFault
        If a dated table does not reach back to the ideas.
    """
    dates = sorted(set(resolved["trade_date"]))
    blocks = [resolved]
    if len(dates) > _BLOCK_DAYS:
        spans = [dates[at : at + _BLOCK_DAYS] for at in range(0, len(dates), _BLOCK_DAYS)]
        blocks = [resolved[resolved["trade_date"].between(span[0], span[-1])] for span in spans]
    built = []
    for block in blocks:
        built.append(_build_block(block, followups, prices, calendar, config, known_until_ns, actions))
        if on_block is not None:
            on_block(block)
    return built[0] if len(built) == 1 else concatenate(built)


def _build_block(
    resolved: pd.DataFrame,
    followups: pd.DataFrame,
    prices: PriceSource,
    calendar: MarketCalendar,
    config: TradeConfig,
    known_until_ns: int,
    actions: Actions,
) -> TradeTables:
    if resolved.empty:
        return empty_tables()
    plan = make_plan(resolved, calendar, config)
    first, last = _price_range(plan, calendar, known_until_ns)
    book = _read_bars(plan, prices, calendar, actions, first, last)
    sessions = [day_sessions(calendar, segment, first, calendar.last_day) for segment in SESSION_SEGMENTS]
    rows_of = _rows_by_key(plan, book)
    begin, end, first_open = _bar_ranges(plan, book, rows_of, known_until_ns)
    sizes = size_ideas(plan, book, first_open, calendar, config)
    plan = _with_affordability(plan, sizes)
    blocked = np.array([reason in BLOCKING for reason in plan.reason], bool)
    quantity, target = split_lots(plan, np.where(blocked, 0, sizes.lots))
    acts, first_act, end_act = _followup_arrays(plan, followups, sessions, config.latency_ns, actions)
    exit_open, exit_close = _sessions_of(plan, plan.exit_at, sessions)
    ideas = kernel.IdeaArrays(
        first_bar=begin,
        end_bar=end,
        sign=plan.sign,
        entry_type=plan.entry_type,
        entry_low=plan.entry_low,
        entry_high=plan.entry_high,
        stop=plan.stop,
        first_target=np.array([t[0] if t else NONE for t in plan.targets], np.int64),
        lot_size=plan.lot_size,
        tick=plan.tick,
        valid_until=plan.valid,
        exit_at=plan.exit_at,
        exit_reason=plan.exit_reason,
        exit_open=exit_open,
        exit_close=exit_close,
        known_until=np.full(plan.size, known_until_ns, np.int64),
        leg_quantity=quantity,
        leg_target=target,
        first_followup=first_act,
        end_followup=end_act,
    )
    groups = ((book[key].bars, rows) for key, rows in rows_of.items())
    found, legs, parts = kernel.resolve_all(groups, ideas, acts, allow_loosening=config.allow_loosening)
    resolution = _resolution_of(plan, found, legs, slices_of(parts, first_act, end_act), blocked)
    _let_wait(plan, sizes, resolution, known_until_ns)
    _judge_prices(
        plan,
        resolution,
        book,
        found,
        exit_close=exit_close,
        outages=_known_outages(prices, first, last),
        sessions=sessions,
        known_until_ns=known_until_ns,
    )
    return assemble(plan, sizes, resolution, book, sessions, config, known_until_ns)


def _read_bars(
    plan: Plan, prices: PriceSource, calendar: MarketCalendar, actions: Actions, first: date, last: date
) -> BarBook:
    """Read all bars, name each idea's two price series, and add those that a corporate action restates."""
    keys = [*plan.frame["price_key"], *plan.frame["underlying_key"]]
    book = load_bars(prices, keys, calendar, first, last)
    frame, received = plan.frame, ns_column(plan.frame, "received_at")
    owners = frame["underlying_key"]
    for key, series in (("price_key", PRICE_SERIES), ("underlying_key", UNDERLYING_SERIES)):
        frame[series], book = in_own_terms(book, frame[key], owners, received, actions, first, last)
    return book


def _resolution_of(plan: Plan, found: Int, legs: Int, slices: Slices, blocked: Bool) -> Resolution:
    """Name the kernel's columns."""
    return Resolution(
        reason=found[:, kernel.OUT_REASON].copy(),
        entry_ns=found[:, kernel.OUT_ENTRY_NS],
        targets_hit=found[:, kernel.OUT_TARGETS_HIT],
        ambiguous=found[:, kernel.OUT_AMBIGUOUS].astype(bool),
        ambiguous_ns=found[:, kernel.OUT_AMBIGUOUS_NS],
        unsettled_ns=np.full(plan.size, NONE, np.int64),
        legs=legs,
        slices=slices,
        blocked=blocked,
    )


def _let_wait(plan: Plan, sizes: Sizes, resolution: Resolution, known_until_ns: int) -> None:
    """Keep an idea at market open that has no price yet to be sized by: it has no leg, and may still fill."""
    unsized = (sizes.reference <= 0) & ~resolution.blocked & (resolution.reason == _NO_PRICE)
    resolution.reason[unsized & (known_until_ns < plan.valid)] = _OPEN


def _judge_prices(
    plan: Plan,
    resolution: Resolution,
    book: BarBook,
    found: Int,
    *,
    exit_close: Int,
    outages: Outages,
    sessions: list[DaySessions],
    known_until_ns: int,
) -> None:
    """Withdraw every outcome that the prices there are cannot settle (§2.5)."""
    priceless = resolution.reason == _INCOMPLETE
    _withdraw(
        resolution, priceless, np.maximum(plan.exit_at, exit_close), plan.exit_at, ExitReason.INCOMPLETE
    )
    _judge_daily_bars(plan, resolution, book)
    _judge_day_of_receipt(plan, resolution, book, known_until_ns)
    alive_until = _alive_until(plan, resolution, found[:, kernel.OUT_DONE_NS], known_until_ns)
    _judge_outages(
        plan, resolution, book, outages, alive_until, sessions=sessions, known_until_ns=known_until_ns
    )


def _price_range(plan: Plan, calendar: MarketCalendar, known_until_ns: int) -> tuple[date, date]:
    """Days whose prices can matter: from the first idea's look-back to the last latest moment."""
    first = look_back(calendar, day_of(int(plan.trade_day.min())))
    ends = plan.exit_at[plan.exit_at != NEVER]
    latest = int(ends.max()) if len(ends) == plan.size else known_until_ns
    return first, max(first, ist_date(min(latest, known_until_ns)))


def _rows_by_key(plan: Plan, book: BarBook) -> dict[str, Int]:
    """Rows of the ideas on each instrument that has a price."""
    groups = plan.frame.groupby(PRICE_SERIES, sort=True).indices
    return {str(key): np.asarray(rows, dtype=np.int64) for key, rows in groups.items() if key in book}


def _bar_ranges(
    plan: Plan, book: BarBook, rows_of: dict[str, Int], known_until_ns: int
) -> tuple[Int, Int, Int]:
    """Bars of each idea, and the first one's open.

    They start at or after it is active and on the day of its latest exit at the latest, and are complete by
    now: later ones are read only where another idea needs them.
    """
    over = np.where(
        plan.exit_at == NEVER, NEVER, end_of_day(np.where(plan.exit_at == NEVER, 0, plan.exit_at))
    )
    begin = np.zeros(plan.size, np.int64)
    end = np.zeros(plan.size, np.int64)
    opened = np.full(plan.size, NONE, np.int64)
    for key, rows in rows_of.items():
        bars = book[key].bars
        known = int(np.searchsorted(book[key].end_ns, known_until_ns, side="right"))
        at = np.searchsorted(bars.start_ns, plan.active[rows], side="left")
        last = np.minimum(known, np.searchsorted(bars.start_ns, over[rows], side="left"))
        begin[rows], end[rows] = at, np.maximum(at, last)
        at = np.minimum(at, len(bars.start_ns) - 1)
        can_fill = (begin[rows] < last) & (bars.start_ns[at] < plan.valid[rows])
        opened[rows] = np.where(can_fill, bars.open_paise[at], NONE)
    return begin, end, opened


def _with_affordability(plan: Plan, sizes: Sizes) -> Plan:
    free = np.array([reason is None or reason not in BLOCKING for reason in plan.reason], bool)
    poor = free & (sizes.margin == 0) & (sizes.reference > 0) & (sizes.lots == 0)
    return replace(plan, reason=np.where(poor, UNAFFORDABLE, plan.reason))


def _sessions_of(plan: Plan, moments: Int, sessions: list[DaySessions]) -> tuple[Int, Int]:
    """Session of each idea's own instrument that a moment lies in; 0 and 0 outside hours."""
    opened = np.zeros(plan.size, np.int64)
    closed = np.zeros(plan.size, np.int64)
    for code, hours in enumerate(sessions):
        rows = plan.session_segment == code
        opened[rows], closed[rows] = hours.holding(moments[rows])
    return opened, closed


def _followup_arrays(
    plan: Plan,
    followups: pd.DataFrame,
    sessions: list[DaySessions],
    latency_ns: int,
    actions: Actions,
) -> tuple[kernel.FollowupArrays, Int, Int]:
    """Order the follow-ups by idea and moment, and tell each idea's range of them."""
    nobody = np.zeros(plan.size, np.int64)
    if followups.empty:
        return kernel.no_followups(), nobody, nobody
    row_of = pd.Series(np.arange(plan.size), index=plan.frame["signal_id"].astype(str))
    owner = followups["signal_id"].astype(str).map(row_of)
    said = followups[owner.notna()].copy()
    if said.empty:
        return kernel.no_followups(), nobody, nobody
    said["owner"] = owner[owner.notna()].astype(np.int64)
    said["act_ns"] = ns_column(said, "received_at") + latency_ns
    said = said.sort_values(["owner", "act_ns", "followup_id"], kind="stable").reset_index(drop=True)
    rows = said["owner"].to_numpy(dtype=np.int64)
    said = restated_followups(said, plan.frame.iloc[rows], actions)
    moments = said["act_ns"].to_numpy(dtype=np.int64)
    opened = np.zeros(len(said), np.int64)
    closed = np.zeros(len(said), np.int64)
    for code, hours in enumerate(sessions):
        mine = plan.session_segment[rows] == code
        opened[mine], closed[mine] = hours.holding(moments[mine])
    arrays = kernel.FollowupArrays(
        act_ns=moments,
        kind=np.array([kernel.KIND_CODES[FollowupKind(kind)] for kind in said["kind"]], np.int64),
        stop=int_column(said, "stoploss_paise"),
        targets=_target_rows(said, plan.sign[rows]),
        fraction=pd.to_numeric(said["fraction"]).fillna(0.0).to_numpy(dtype=np.float64),
        session_open=opened,
        session_close=closed,
    )
    row = np.arange(plan.size)
    return arrays, np.searchsorted(rows, row, side="left"), np.searchsorted(rows, row, side="right")


def _target_rows(said: pd.DataFrame, sign: Int) -> Int:
    levels = [
        sorted((int(t) for t in row), reverse=bool(s < 0))
        if isinstance(row, (list, tuple, np.ndarray))
        else []
        for row, s in zip(said["targets_paise"], sign, strict=True)
    ]
    table = np.full((len(levels), max(1, *map(len, levels))), NONE, np.int64)
    for row, found in enumerate(levels):
        table[row, : len(found)] = found
    return table


def _known_outages(prices: PriceSource, first: date, last: date) -> Outages:
    """Ask a store that records outages for them; another source has none to tell."""
    ask = cast("Callable[[date, date], Outages] | None", getattr(prices, "outages", None))
    return {} if ask is None else ask(first, last)


def _withdraw(resolution: Resolution, lost: Bool, known_ns: Int, since_ns: Int, reason: ExitReason) -> None:
    """Take back what prices cannot settle: the outcome, and what came after ``since_ns``.

    That is an entry after it and every leg's end from then on, met targets among them. Known at
    ``known_ns``; what was withdrawn at an earlier moment keeps it.
    """
    lost = lost & ~resolution.blocked
    lost &= (resolution.unsettled_ns == NONE) | (known_ns < resolution.unsettled_ns)
    resolution.unsettled_ns[lost] = known_ns[lost]
    resolution.reason[lost] = REASON_CODES[reason]
    ended = resolution.legs[:, :, kernel.STATE] == kernel.CLOSED
    undone = lost[:, None] & ended & (resolution.legs[:, :, kernel.EXIT_NS] >= since_ns[:, None])
    resolution.legs[:, :, kernel.STATE][undone] = kernel.OPEN
    never = lost & (resolution.entry_ns > since_ns)
    resolution.entry_ns[never] = NONE
    resolution.legs[never, :, kernel.ENTRY] = NONE
    resolution.legs[never, :, kernel.STATE] = kernel.CANCELLED
    ended = resolution.legs[:, :, kernel.STATE] == kernel.CLOSED
    hit = ended & (resolution.legs[:, :, kernel.REASON] == REASON_CODES[ExitReason.TARGET])
    numbers = np.where(hit, np.arange(1, hit.shape[1] + 1), 0).max(axis=1)
    resolution.targets_hit[lost] = numbers[lost]
    if reason is ExitReason.INCOMPLETE:
        resolution.ambiguous[lost & (resolution.ambiguous_ns >= since_ns)] = False


def _judge_daily_bars(plan: Plan, resolution: Resolution, book: BarBook) -> None:
    """Withdraw as UNDETERMINED what ended in a daily bar that holds both levels; known at its close."""
    mixed = {key for key, bars in book.items() if bars.is_daily.any()}
    lost = plan.frame[PRICE_SERIES].isin(mixed).to_numpy(dtype=bool) & resolution.ambiguous
    known = np.full(plan.size, NONE, np.int64)
    keys = plan.frame[PRICE_SERIES].to_numpy()
    for row in np.flatnonzero(lost):
        bars = book[str(keys[row])]
        at = np.searchsorted(bars.bars.start_ns, resolution.ambiguous_ns[row])
        lost[row], known[row] = bars.is_daily[at], bars.end_ns[at]
    _withdraw(resolution, lost, known, resolution.ambiguous_ns, ExitReason.UNDETERMINED)


def _judge_day_of_receipt(plan: Plan, resolution: Resolution, book: BarBook, known_until_ns: int) -> None:
    """Settle what the daily bar that an idea was received in allows: it holds prices of before and after.

    An entry that the whole day missed was not met: an idea that is valid no longer than that bar is
    NOT_TRIGGERED. One that the day touched may have been met before or after the receipt: UNDETERMINED,
    known at the close.
    """
    known = np.full(plan.size, NONE, np.int64)
    touched = np.zeros(plan.size, bool)
    for key, rows in _rows_by_key(plan, book).items():
        bars = book[key]
        if not bars.is_daily.any():
            continue
        at = np.maximum(np.searchsorted(bars.bars.start_ns, plan.active[rows], side="left") - 1, 0)
        inside = bars.is_daily[at] & (bars.bars.start_ns[at] < plan.active[rows])
        inside &= (plan.active[rows] < bars.end_ns[at]) & (bars.end_ns[at] <= known_until_ns)
        rows, at = rows[inside], at[inside]
        known[rows] = bars.end_ns[at]
        touched[rows] = _touches(plan, rows, bars.bars.high_paise[at], bars.bars.low_paise[at])
    missed = (known != NONE) & ~touched & (plan.valid <= known) & (resolution.reason == _NO_PRICE)
    resolution.reason[missed & ~resolution.blocked] = REASON_CODES[ExitReason.NOT_TRIGGERED]
    _withdraw(resolution, touched, known, plan.active, ExitReason.UNDETERMINED)


def _touches(plan: Plan, rows: Int, high: Int, low: Int) -> Bool:
    """Whether an entry could fill between a low and a high."""
    kind, buys = plan.entry_type[rows], plan.sign[rows] > 0
    from_above = (kind == _LIMIT) == buys  # a limit to buy and a stop to sell fill as the price falls
    worse, better = plan.entry_high[rows], plan.entry_low[rows]
    one_level = np.where(from_above, low <= worse, high >= better)
    both = (low <= worse) & (high >= better)
    found: Bool = (kind == _MARKET) | np.where(kind == _RANGE, both, one_level)
    return found


def _alive_until(plan: Plan, resolution: Resolution, done_ns: Int, known_until_ns: int) -> Int:
    """Moment up to which each idea's outcome hangs on the feed."""
    ended = np.isin(resolution.reason, _CLOSED_CODES)
    waited = np.minimum(plan.valid, np.where(done_ns != NONE, done_ns, known_until_ns))
    exit_ns = resolution.legs[:, :, kernel.EXIT_NS].max(axis=1)
    waiting = resolution.entry_ns == NONE
    until: Int = np.where(ended, exit_ns, np.where(waiting, waited, known_until_ns))
    return until


def _judge_outages(
    plan: Plan,
    resolution: Resolution,
    book: BarBook,
    outages: Outages,
    alive_until: Int,
    *,
    sessions: list[DaySessions],
    known_until_ns: int,
) -> None:
    """Withdraw as INCOMPLETE what lived through a silence of the whole feed; known at the silence's end.

    An instrument without a minute on that day may still get the day's own bar, which no silence takes
    away: what lives on it is judged at the day's last close.
    """
    keys = plan.frame[PRICE_SERIES].to_numpy()
    for day, spans in outages.items():
        midnight = ist_midnight_ns(day)
        at = int(np.searchsorted(sessions[0].open_ns, midnight))
        close_ns = max(int(hours.close_ns[at]) for hours in sessions)
        for span_from, span_to in spans:
            alive = (plan.active < np.minimum(span_to, alive_until)) & (alive_until > span_from)
            known = np.full(plan.size, NEVER, np.int64)
            known[alive] = _silence_known(keys[alive], book, (midnight, close_ns), span_to, known_until_ns)
            since = np.full(plan.size, span_from, np.int64)
            _withdraw(resolution, alive & (known <= known_until_ns), known, since, ExitReason.INCOMPLETE)


def _silence_known(
    keys: NDArray[np.object_], book: BarBook, day: tuple[int, int], span_to: int, known_until_ns: int
) -> Int:
    """Moment from which a silence of a day (midnight, close) counts for each key; `NEVER` on a daily bar."""
    midnight, close_ns = day
    known = np.full(len(keys), close_ns, np.int64)
    for key, rows in pd.Series(keys).groupby(keys, sort=True).indices.items():
        bars = book.get(str(key))
        at = 0 if bars is None else int(np.searchsorted(bars.bars.start_ns, midnight))
        if bars is None or at == len(bars.end_ns) or bars.bars.start_ns[at] >= close_ns:
            continue
        if bars.is_daily[at]:
            known[rows] = NEVER
        elif bars.end_ns[at] <= known_until_ns:
            known[rows] = span_to
    return known

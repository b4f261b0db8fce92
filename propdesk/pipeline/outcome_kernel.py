"""Outcome resolution of many ideas at once, over int64 arrays.

The same rules as `propdesk.pipeline.outcome`, restated for speed; the tests prove the two equal on every
trade of generated sets (§2.5). A rule changes there first and here second.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from propdesk.model.enums import EntryType, ExitReason, FollowupKind
from propdesk.ports import BarArrays

Int = NDArray[np.int64]

ENTRY_CODES = {EntryType.LIMIT: 0, EntryType.STOP: 1, EntryType.MARKET: 2, EntryType.RANGE: 3}
REASONS = tuple(ExitReason)
REASON_CODES = {reason: code for code, reason in enumerate(REASONS)}
KINDS = tuple(FollowupKind)
KIND_CODES = {kind: code for code, kind in enumerate(KINDS)}

NONE = -1
"""No level, no price, no reason."""
NEVER = np.iinfo(np.int64).max

# columns of one leg
QUANTITY, TARGET, STOP, STATE, ENTRY, EXITED, NOTIONAL, EXIT_NS, REASON = range(9)
LEG_COLUMNS = 9

# columns of what one follow-up closed of one leg that stayed open
PART_QUANTITY, PART_NOTIONAL, PART_NS = range(3)
PART_COLUMNS = 3

# columns of one trade
OUT_REASON, OUT_ENTRY_NS, OUT_TARGETS_HIT, OUT_AMBIGUOUS = range(4)
_SEEN, _GAPPED, _PRICELESS, _LAST_START, _LAST_CLOSE, _NEXT_ACT = range(4, 10)
OUT_AMBIGUOUS_NS, OUT_DONE_NS = 10, 11
OUT_COLUMNS = 12

# columns of one idea's plan, as `_plan` stacks them
_SIGN, _KIND, _LOW, _HIGH, _OWN_STOP, _FIRST_TARGET, _LOT, _TICK = range(8)
_VALID, _EXIT_AT, _EXIT_REASON, _EXIT_OPEN, _EXIT_CLOSE, _KNOWN = range(8, 14)
_FIRST_BAR, _END_BAR, _FIRST_ACT, _END_ACT = range(14, 18)

WORKING, OPEN, CLOSED, CANCELLED = range(4)

_LIMIT, _STOP, _MARKET = 0, 1, 2
_R_TARGET = REASON_CODES[ExitReason.TARGET]
_R_STOPLOSS = REASON_CODES[ExitReason.STOPLOSS]
_R_TRAILED = REASON_CODES[ExitReason.TRAILED_STOP]
_R_FOLLOWUP = REASON_CODES[ExitReason.FOLLOWUP_EXIT]
_R_OPEN = REASON_CODES[ExitReason.OPEN]
_R_NOT_TRIGGERED = REASON_CODES[ExitReason.NOT_TRIGGERED]
_R_GAPPED = REASON_CODES[ExitReason.GAPPED_THROUGH]
_R_NO_PRICE = REASON_CODES[ExitReason.NO_PRICE_DATA]
_R_INCOMPLETE = REASON_CODES[ExitReason.INCOMPLETE]
_K_STOPLOSS = KIND_CODES[FollowupKind.UPDATE_STOPLOSS]
_K_TARGET = KIND_CODES[FollowupKind.UPDATE_TARGET]
_K_COST = KIND_CODES[FollowupKind.MOVE_TO_COST]
_K_PARTIAL = KIND_CODES[FollowupKind.PARTIAL_EXIT]
_K_EXIT = KIND_CODES[FollowupKind.EXIT]
_K_CANCEL = KIND_CODES[FollowupKind.CANCEL]


@dataclass(frozen=True, slots=True)
class IdeaArrays:
    """Ideas to resolve, one row each; int64, C-contiguous.

    Attributes
    ----------
    first_bar, end_bar : shape (n,)
        Range of the idea's bars among its instrument's: starting at or after it is active, known by now.
    sign : shape (n,)
        +1 BUY, -1 SELL.
    entry_type : shape (n,)
        `ENTRY_CODES`.
    entry_low, entry_high, stop, first_target : shape (n,)
        Paise, `NONE` where absent.
    lot_size, tick : shape (n,)
        Units, paise.
    valid_until, exit_at, exit_reason : shape (n,)
        ns UTC (`NEVER` = none), `REASON_CODES`.
    exit_open, exit_close : shape (n,)
        Session that ``exit_at`` lies in, ns UTC.
    known_until : shape (n,)
        ns UTC.
    leg_quantity, leg_target : shape (n, legs)
        Units (0 = no such leg); paise or `NONE`.
    first_followup, end_followup : shape (n,)
        Range of the idea's follow-ups in `FollowupArrays`.
    """

    first_bar: Int
    end_bar: Int
    sign: Int
    entry_type: Int
    entry_low: Int
    entry_high: Int
    stop: Int
    first_target: Int
    lot_size: Int
    tick: Int
    valid_until: Int
    exit_at: Int
    exit_reason: Int
    exit_open: Int
    exit_close: Int
    known_until: Int
    leg_quantity: Int
    leg_target: Int
    first_followup: Int
    end_followup: Int


@dataclass(frozen=True, slots=True)
class FollowupArrays:
    """Follow-ups ordered by idea, then by the moment they act, then by id.

    Attributes
    ----------
    act_ns, kind, stop : shape (m,)
        ns UTC; `KIND_CODES`; paise or `NONE`.
    targets : shape (m, k)
        Paise, nearest first, padded with `NONE`.
    fraction : ndarray of float64, shape (m,)
        Share of PARTIAL_EXIT, else 0.
    session_open, session_close : shape (m,)
        Session the moment lies in, 0 and 0 outside hours.
    """

    act_ns: Int
    kind: Int
    stop: Int
    targets: Int
    fraction: NDArray[np.float64]
    session_open: Int
    session_close: Int


def no_followups() -> FollowupArrays:
    """Build an empty set of follow-ups."""
    nothing = np.empty(0, np.int64)
    return FollowupArrays(
        nothing, nothing, nothing, np.empty((0, 1), np.int64), np.empty(0), nothing, nothing
    )


def resolve_all(
    groups: Iterable[tuple[BarArrays, Int]],
    ideas: IdeaArrays,
    followups: FollowupArrays,
    *,
    allow_loosening: bool = False,
) -> tuple[Int, Int, Int]:
    """Resolve every idea.

    Parameters
    ----------
    groups : iterable of (BarArrays, ndarray of int64)
        Bars of an instrument and the rows of the ideas on it; each idea names its own range of bars. Rows in
        no group have no price.
    ideas, followups
        See there.
    allow_loosening : bool
        Whether an advisor may move a stop away from profit.

    Returns
    -------
    tuple of ndarray of int64
        Trades of shape (n, OUT_COLUMNS) and legs of shape (n, legs, LEG_COLUMNS); prices in paise,
        `NONE` where there is none. A leg's exit price is its NOTIONAL / EXITED, rounded to the paisa.
        Parts of shape (m, legs, PART_COLUMNS): what each follow-up closed of a leg that stayed open, zeros
        where it closed nothing.
    """
    n, width = ideas.leg_quantity.shape
    trades = np.full((n, OUT_COLUMNS), NONE, np.int64)
    legs = np.full((n, width, LEG_COLUMNS), NONE, np.int64)
    parts = np.zeros((len(followups.act_ns), width, PART_COLUMNS), np.int64)
    plans = _plan(ideas)
    acts = (followups.act_ns, followups.kind, followups.stop, followups.session_open, followups.session_close)
    has_price = np.zeros(n, bool)
    for bars, rows in groups:
        has_price[rows] = True
        _resolve(
            (bars.start_ns, bars.open_paise, bars.high_paise, bars.low_paise, bars.close_paise),
            plans,
            rows,
            (ideas.leg_quantity, ideas.leg_target),
            acts,
            (followups.targets, followups.fraction),
            allow_loosening,
            trades,
            (legs, parts),
        )
    rows = np.flatnonzero(~has_price)
    plans[rows, _FIRST_BAR] = plans[rows, _END_BAR] = 0
    nothing = np.zeros(1, np.int64)
    _resolve(
        (nothing, nothing, nothing, nothing, nothing),
        plans,
        rows,
        (ideas.leg_quantity, ideas.leg_target),
        acts,
        (followups.targets, followups.fraction),
        allow_loosening,
        trades,
        (legs, parts),
    )
    return trades, legs, parts


def _plan(ideas: IdeaArrays) -> Int:
    """Stack the plain columns, one row per idea."""
    columns = (
        *(ideas.sign, ideas.entry_type, ideas.entry_low, ideas.entry_high),
        *(ideas.stop, ideas.first_target, ideas.lot_size, ideas.tick),
        *(ideas.valid_until, ideas.exit_at, ideas.exit_reason, ideas.exit_open, ideas.exit_close),
        *(ideas.known_until, ideas.first_bar, ideas.end_bar),
        *(ideas.first_followup, ideas.end_followup),
    )
    return np.ascontiguousarray(np.column_stack(columns), dtype=np.int64)


@nb.njit(cache=True)
def _round_down(price: int, tick: int) -> int:
    return price // tick * tick


@nb.njit(cache=True)
def _round_up(price: int, tick: int) -> int:
    return -(-price // tick) * tick


@nb.njit(cache=True)
def _round_near(price: int, tick: int) -> int:
    return (2 * price + tick) // (2 * tick) * tick


@nb.njit(cache=True)
def _start_legs(legs: Int, quantity: Int, target: Int, stop: int) -> None:
    for k in range(legs.shape[0]):
        legs[k, QUANTITY] = quantity[k]
        legs[k, TARGET] = target[k]
        legs[k, STOP] = stop
        legs[k, STATE] = WORKING if quantity[k] > 0 else CANCELLED
        legs[k, EXITED] = 0
        legs[k, NOTIONAL] = 0


@nb.njit(cache=True)
def _any(legs: Int, state: int) -> bool:
    found = False
    for k in range(legs.shape[0]):
        found |= legs[k, STATE] == state
    return found


@nb.njit(cache=True)
def _cancel_waiting(legs: Int) -> None:
    for k in range(legs.shape[0]):
        if legs[k, STATE] == WORKING:
            legs[k, STATE] = CANCELLED


@nb.njit(cache=True)
def _close(leg: Int, price: int, at_ns: int, reason: int, quantity: int) -> None:
    """Exit ``quantity`` units of a leg."""
    leg[EXITED] += quantity
    leg[NOTIONAL] += price * quantity
    leg[EXIT_NS] = at_ns
    leg[REASON] = reason
    if leg[EXITED] >= leg[QUANTITY]:
        leg[STATE] = CLOSED


@nb.njit(cache=True)
def _leave(legs: Int, price: int, at_ns: int, reason: int) -> None:
    _cancel_waiting(legs)
    for k in range(legs.shape[0]):
        if legs[k, STATE] == OPEN:
            _close(legs[k], price, at_ns, reason, legs[k, QUANTITY] - legs[k, EXITED])


@nb.njit(cache=True)
def _exit_share(legs: Int, fraction: float, lot_size: int, price: int, at_ns: int, parts: Int) -> None:
    """Exit a share of the open lots, first legs first; ``parts`` keeps what left a leg that stays open."""
    lots = 0
    for k in range(legs.shape[0]):
        if legs[k, STATE] == OPEN:
            lots += (legs[k, QUANTITY] - legs[k, EXITED]) // lot_size
    left = np.int64(np.floor(lots * min(max(fraction, 0.0), 1.0) + 1e-9))
    for k in range(legs.shape[0]):
        if legs[k, STATE] == OPEN:
            take = min(left, (legs[k, QUANTITY] - legs[k, EXITED]) // lot_size)
            if take > 0:
                left -= take
                _close(legs[k], price, at_ns, _R_FOLLOWUP, take * lot_size)
                if legs[k, STATE] == OPEN:
                    parts[k, PART_QUANTITY] = take * lot_size
                    parts[k, PART_NOTIONAL] = price * take * lot_size
                    parts[k, PART_NS] = at_ns


@nb.njit(cache=True)
def _cost_level(leg: Int, sign: int, tick: int) -> int:
    if leg[ENTRY] == NONE:
        return NONE
    return _round_up(leg[ENTRY], tick) if sign > 0 else _round_down(leg[ENTRY], tick)


@nb.njit(cache=True)
def _improves(sign: int, current: int, wanted: int) -> bool:
    return current == NONE or sign * (wanted - current) > 0


@nb.njit(cache=True)
def _move_stop(leg: Int, level: int, sign: int, loosen: bool) -> None:
    if level == NONE or level == leg[STOP]:
        return
    if leg[TARGET] != NONE and sign * (leg[TARGET] - level) <= 0:
        return
    if loosen or _improves(sign, leg[STOP], level):
        leg[STOP] = level


@nb.njit(cache=True)
def _move_target(leg: Int, level: int, sign: int) -> None:
    if leg[STOP] == NONE or sign * (level - leg[STOP]) > 0:
        leg[TARGET] = level


@nb.njit(cache=True)
def _target_at(targets: Int, rank: int) -> int:
    """Target of a rank; legs beyond the last one share it."""
    found = NONE
    for j in range(targets.shape[0]):
        if targets[j] == NONE:
            break
        found = targets[j]
        if j == rank:
            break
    return found


@nb.njit(cache=True)
def _move_levels(legs: Int, kind: int, stop: int, targets: Int, sign: int, tick: int, loosen: bool) -> None:
    rank = 0
    for k in range(legs.shape[0]):
        if legs[k, STATE] != WORKING and legs[k, STATE] != OPEN:
            continue
        if kind == _K_TARGET:
            level = _target_at(targets, rank)
            if level != NONE:
                _move_target(legs[k], _round_near(level, tick), sign)
        elif kind == _K_STOPLOSS:
            if stop != NONE:
                _move_stop(legs[k], _round_near(stop, tick), sign, loosen)
        else:
            _move_stop(legs[k], _cost_level(legs[k], sign, tick), sign, loosen)
        rank += 1


@nb.njit(cache=True)
def _entry_fill(kind: int, sign: int, low: int, high: int, o: int, h: int, lo: int) -> tuple[int, bool]:
    if kind == _MARKET:
        return o, True
    if kind != _LIMIT and kind != _STOP:
        if lo > high or h < low:
            return NONE, False
        return (high if sign > 0 else low), low <= o <= high
    falls = (sign > 0) == (kind == _LIMIT)
    direction = -1 if falls else 1
    if direction * (o - low) >= 0:
        return o, True
    reached = lo if falls else h
    if direction * (reached - low) >= 0:
        return low, False
    return NONE, False


@nb.njit(cache=True)
def _enter(
    leg: Int, price: int, at_open: bool, sign: int, first_target: int, bar: tuple[int, int, int, int, int]
) -> tuple[bool, bool, bool]:
    """Fill a waiting leg; tells (gapped through, ambiguous, target hit)."""
    start, _, high, low, close = bar
    stop, target = leg[STOP], leg[TARGET]
    past_stop = stop != NONE and sign * (price - stop) <= 0
    past_target = first_target != NONE and sign * (price - first_target) >= 0
    if past_stop or past_target:
        leg[STATE] = CANCELLED
        return True, False, False
    leg[STATE] = OPEN
    leg[ENTRY] = price
    worst, best = (low, high) if sign > 0 else (high, low)
    if stop != NONE and sign * (worst - stop) <= 0:
        _close(leg, stop, start, _R_STOPLOSS, leg[QUANTITY])
        return False, True, False
    reaches = target != NONE and sign * (best - target) >= 0
    if reaches and (at_open or sign * (close - target) >= 0):
        _close(leg, target, start, _R_TARGET, leg[QUANTITY])
        return False, False, True
    return False, False, False


@nb.njit(cache=True)
def _hold(leg: Int, sign: int, bar: tuple[int, int, int, int, int]) -> tuple[bool, bool]:
    """Let a bar act on an open leg; tells (ambiguous, target hit). A stop is marked STOPLOSS for now."""
    start, o, high, low, _ = bar
    stop, target = leg[STOP], leg[TARGET]
    left = leg[QUANTITY] - leg[EXITED]
    worst, best = (low, high) if sign > 0 else (high, low)
    reaches = target != NONE and sign * (best - target) >= 0
    if stop != NONE and sign * (o - stop) <= 0:
        _close(leg, o, start, _R_STOPLOSS, left)
        return False, False
    if target != NONE and sign * (o - target) >= 0:
        _close(leg, o, start, _R_TARGET, left)
        return False, True
    if stop != NONE and sign * (worst - stop) <= 0:
        _close(leg, stop, start, _R_STOPLOSS, left)
        return reaches, False
    if reaches:
        _close(leg, target, start, _R_TARGET, left)
        return False, True
    return False, False


@nb.njit(cache=True)
def _name_stop(leg: Int, sign: int, own_stop: int) -> None:
    """Call a stop that was moved into profit, or beyond the idea's own, a trailed one."""
    moved = sign * (leg[STOP] - own_stop) > 0 if own_stop != NONE else sign * (leg[STOP] - leg[ENTRY]) >= 0
    if moved:
        leg[REASON] = _R_TRAILED


@nb.njit(cache=True)
def _trail(legs: Int, targets_hit: int, sign: int, tick: int) -> None:
    for k in range(legs.shape[0]):
        if legs[k, STATE] != OPEN:
            continue
        cost = _cost_level(legs[k], sign, tick)
        if _improves(sign, legs[k, STOP], cost):
            legs[k, STOP] = cost
        reached = legs[targets_hit - 2, TARGET] if targets_hit > 1 else NONE
        if reached != NONE and _improves(sign, legs[k, STOP], reached):
            legs[k, STOP] = reached


@nb.njit(cache=True)
def _trailed_before(legs: Int) -> None:
    """Call every stop after a sibling's target a trailed one."""
    for k in range(legs.shape[0]):
        if legs[k, STATE] == CLOSED and legs[k, REASON] == _R_STOPLOSS:
            for other in range(legs.shape[0]):
                if legs[other, REASON] == _R_TARGET and legs[other, EXIT_NS] < legs[k, EXIT_NS]:
                    legs[k, REASON] = _R_TRAILED


@nb.njit(cache=True)
def _final_reason(legs: Int, plan: Int, trade: Int) -> int:
    reason, latest, entered = NONE, NONE, False
    for k in range(legs.shape[0]):
        if legs[k, ENTRY] == NONE:
            continue
        entered = True
        if legs[k, STATE] != CLOSED:
            return _R_INCOMPLETE if trade[_PRICELESS] else _R_OPEN
        if legs[k, EXIT_NS] >= latest:
            reason, latest = legs[k, REASON], legs[k, EXIT_NS]
    if entered:
        return reason
    if trade[_GAPPED]:
        return _R_GAPPED
    if _any(legs, WORKING) and plan[_KNOWN] < plan[_VALID]:
        return _R_OPEN
    return _R_NOT_TRIGGERED if trade[_SEEN] else _R_NO_PRICE


@nb.njit(cache=True)
def _obey(
    legs: Int,
    plan: Int,
    act: tuple[int, int, float],
    targets: Int,
    fill: tuple[int, int],
    loosen: bool,
    parts: Int,
) -> None:
    """Carry out one follow-up; ``act`` = (kind, stop, fraction), ``fill`` = (price, stamp) of an exit."""
    kind, stop, fraction = act
    if kind == _K_EXIT:
        _leave(legs, fill[0], fill[1], _R_FOLLOWUP)
    elif kind == _K_CANCEL:
        _cancel_waiting(legs)
    elif kind == _K_PARTIAL:
        _exit_share(legs, fraction, plan[_LOT], fill[0], fill[1], parts)
    elif kind in (_K_STOPLOSS, _K_TARGET, _K_COST):
        _move_levels(legs, kind, stop, targets, plan[_SIGN], plan[_TICK], loosen)


@nb.njit(cache=True)
def _before_bar(
    legs: Int,
    plan: Int,
    trade: Int,
    bar: tuple[int, int, int, int, int],
    acts: tuple[Int, Int, Int, Int, Int],
    details: tuple[Int, NDArray[np.float64]],
    loosen: bool,
    parts: Int,
) -> None:
    """Do what became due before this bar opened."""
    act_ns, kind, stop, session_open, session_close = acts
    targets, fraction = details
    start, exit_at, f = bar[0], plan[_EXIT_AT], trade[_NEXT_ACT]
    while f < plan[_END_ACT] and act_ns[f] <= min(start, exit_at):
        fill = (bar[1], start)
        ended = session_close[f] != 0 and start >= session_close[f]
        if ended and trade[_LAST_START] >= session_open[f]:
            fill = (trade[_LAST_CLOSE], act_ns[f])
        _obey(legs, plan, (kind[f], stop[f], fraction[f]), targets[f], fill, loosen, parts[f])
        f += 1
    trade[_NEXT_ACT] = f
    if exit_at > start:
        return
    if start < plan[_EXIT_CLOSE]:
        _leave(legs, bar[1], start, plan[_EXIT_REASON])
    else:
        _leave_at_close(legs, plan, trade)


@nb.njit(cache=True)
def _leave_at_close(legs: Int, plan: Int, trade: Int) -> None:
    """Leave at the last close of the session in which the trade had to end."""
    if trade[_LAST_START] >= plan[_EXIT_OPEN]:
        _leave(legs, trade[_LAST_CLOSE], plan[_EXIT_AT], plan[_EXIT_REASON])
    elif _any(legs, OPEN):
        trade[_PRICELESS] = 1
    else:
        _cancel_waiting(legs)


@nb.njit(cache=True)
def _through_bar(legs: Int, plan: Int, trade: Int, bar: tuple[int, int, int, int, int]) -> None:
    """Match all legs with one bar, then let the trailing chain draw its consequences."""
    sign, hit = plan[_SIGN], 0
    for k in range(legs.shape[0]):
        ambiguous, target = False, False
        before = legs[k, STATE]
        if before == WORKING:
            entry = (plan[_KIND], plan[_LOW], plan[_HIGH])
            price, at_open = _entry_fill(entry[0], sign, entry[1], entry[2], bar[1], bar[2], bar[3])
            if price != NONE:
                gapped, ambiguous, target = _enter(legs[k], price, at_open, sign, plan[_FIRST_TARGET], bar)
                if gapped:
                    trade[_GAPPED] = 1
                else:
                    trade[OUT_ENTRY_NS] = bar[0]
        elif before == OPEN:
            ambiguous, target = _hold(legs[k], sign, bar)
        if ambiguous and not trade[OUT_AMBIGUOUS]:
            trade[OUT_AMBIGUOUS] = 1
            trade[OUT_AMBIGUOUS_NS] = bar[0]
        if target:
            hit = k + 1
        if before < CLOSED and legs[k, STATE] == CLOSED and legs[k, REASON] == _R_STOPLOSS:
            _name_stop(legs[k], sign, plan[_OWN_STOP])
    if hit > 0:
        trade[OUT_TARGETS_HIT] = max(trade[OUT_TARGETS_HIT], hit)
        _trail(legs, trade[OUT_TARGETS_HIT], sign, plan[_TICK])


@nb.njit(cache=True)
def _after_last_bar(
    legs: Int,
    plan: Int,
    trade: Int,
    acts: tuple[Int, Int, Int, Int, Int],
    details: tuple[Int, NDArray[np.float64]],
    loosen: bool,
    parts: Int,
) -> None:
    """Take in what became due in sessions that ended without another bar."""
    act_ns, kind, stop, session_open, session_close = acts
    targets, fraction = details
    known = plan[_KNOWN]
    for f in range(trade[_NEXT_ACT], plan[_END_ACT]):
        if act_ns[f] > min(known, plan[_EXIT_AT]):
            break
        leaves = (kind[f] == _K_EXIT or kind[f] == _K_PARTIAL) and _any(legs, OPEN)
        ended = session_close[f] != 0 and session_close[f] <= known
        if not leaves or (ended and trade[_LAST_START] >= session_open[f]):
            fill = (trade[_LAST_CLOSE], act_ns[f])
            _obey(legs, plan, (kind[f], stop[f], fraction[f]), targets[f], fill, loosen, parts[f])
    if plan[_EXIT_AT] != NEVER and plan[_EXIT_CLOSE] <= known:
        _leave_at_close(legs, plan, trade)


@nb.njit(cache=True)
def _resolve(
    prices: tuple[Int, Int, Int, Int, Int],
    plans: Int,
    rows: Int,
    leg_plan: tuple[Int, Int],
    acts: tuple[Int, Int, Int, Int, Int],
    details: tuple[Int, NDArray[np.float64]],
    loosen: bool,
    trades: Int,
    out: tuple[Int, Int],
) -> None:
    start, opened, high, low, close = prices
    legs_out, parts = out
    for t in rows:
        legs, plan, trade = legs_out[t], plans[t], trades[t]
        _start_legs(legs, leg_plan[0][t], leg_plan[1][t], plan[_OWN_STOP])
        trade[OUT_TARGETS_HIT : _PRICELESS + 1] = 0
        trade[_NEXT_ACT] = plan[_FIRST_ACT]
        done = False
        for i in range(plan[_FIRST_BAR], plan[_END_BAR]):
            if start[i] < plan[_VALID]:
                trade[_SEEN] = 1
            bar = (start[i], opened[i], high[i], low[i], close[i])
            _before_bar(legs, plan, trade, bar, acts, details, loosen, parts)
            if start[i] >= plan[_VALID]:
                _cancel_waiting(legs)
            if not trade[_PRICELESS]:
                _through_bar(legs, plan, trade, bar)
            trade[_LAST_START], trade[_LAST_CLOSE] = start[i], close[i]
            done = trade[_PRICELESS] or not (_any(legs, WORKING) or _any(legs, OPEN))
            if done:
                trade[OUT_DONE_NS] = start[i]
                break
        if not done:
            _after_last_bar(legs, plan, trade, acts, details, loosen, parts)
        _trailed_before(legs)
        trade[OUT_REASON] = _final_reason(legs, plan, trade)

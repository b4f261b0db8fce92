"""What the passing of time asks for: exits, waiting entries, kill switches (§5.4, §6.2)."""

from collections.abc import Iterable
from dataclasses import replace

from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND
from propdesk.engine import tracking
from propdesk.engine.aftermath import let_lapse
from propdesk.engine.context import price_key_of
from propdesk.engine.orders import (
    REFUSALS_MAX,
    carry_out,
    give_up_unknown,
    kill_scopes,
    open_units_of,
    settle_legs,
    sync_levels,
)
from propdesk.engine.protection import guard, neutralise, reached_targets
from propdesk.engine.signals import arm_pending
from propdesk.engine.state import LiveGroup
from propdesk.engine.turn import Turn
from propdesk.execution.trade_group import due_actions
from propdesk.model.enums import ExitReason, KillLevel
from propdesk.model.messages import TimerFired
from propdesk.model.order import LegAction, LegActionKind, LegState
from propdesk.model.trade_event import EventKind
from propdesk.risk.kill_switch import (
    ACCOUNT_SCOPE,
    Cause,
    day_loss_level,
    group_loss_exceeded,
    with_wider,
)

SESSION_CLOSE = "SESSION_CLOSE"
"""Timer after the last bar of the day: what is still unknown is given up."""

_WATCHED_CONNECTIONS = ("broker", "orders")


def on_timer(turn: Turn, event: TimerFired) -> None:
    """Do everything that is due; every timer does the same, so a lost one costs only time."""
    check_switches(turn)
    for live in turn.open_groups():
        # before the session each refusal costs a call of the hour: the broker tells anew what it is worth
        _tend(turn, live, with_guards=turn.is_session)
    neutralise(turn)
    tracking.on_time(turn)
    arm_pending(turn)
    if event.name == SESSION_CLOSE:
        give_up_unknown(turn)


def groups_under(turn: Turn, scope: str) -> list[LiveGroup]:
    """List the open groups that a scope of kill levels bears on."""
    return [
        live for live in turn.open_groups() if scope in (ACCOUNT_SCOPE, *with_wider(kill_scopes(live.group)))
    ]


def tend_groups(turn: Turn, groups: Iterable[LiveGroup]) -> None:
    """Do now what is due of these groups, instead of with the next timer."""
    for live in groups:
        _tend(turn, turn.groups[live.group.group_id])


def tend_order(turn: Turn, correlation_id: str, *, with_guards: bool) -> None:
    """Do now what is due of the group of one order; an order that is not ours has none."""
    group_id = turn.order_index.get(correlation_id)
    if group_id is None:
        return
    live = turn.groups[group_id]
    if not live.is_closed:
        _tend(turn, live, with_guards=with_guards)
    elif with_guards and turn.may_guard:
        turn.put_group(guard(turn, live))  # a guard may outlive the group


def _tend(turn: Turn, live: LiveGroup, *, with_guards: bool = True) -> None:
    """Ask again for all that is due of one group and not yet a fact."""
    before = live
    if live.exit_goal is None and _is_losing_too_much(turn, live):
        turn.notify(EventKind.GROUP_LOSS, f"group {live.group.group_id} is closed for its loss")
        live = replace(live, exit_goal=ExitReason.SQUARE_OFF)
    if live.exit_goal is None and any(order.refusals >= REFUSALS_MAX for order in live.orders):
        turn.notify(EventKind.UNPROTECTED, f"group {live.group.group_id}: changes refused, closing it")
        live = replace(live, exit_goal=ExitReason.SQUARE_OFF)
    group, actions = due_actions(live.group, turn.now_ns)
    live = replace(live, group=group)
    goal = live.exit_goal or _due_reason(turn, live)
    if goal is not None:
        actions = leave_actions(live, goal)
    elif live.cancel_goal:
        actions = (*actions, *withdraw_actions(live))
    live = carry_out(turn, live, (*actions, *reached_targets(turn, live)))
    if with_guards and turn.may_guard:
        live = guard(turn, live)
    live = settle_legs(turn, sync_levels(turn, live))
    if live != before:
        turn.put_group(live)


def _due_reason(turn: Turn, live: LiveGroup) -> ExitReason | None:
    """Why a group is to be left by now for its age; None before that."""
    group = live.group
    is_due = group.exit_at_ns is not None and turn.now_ns >= group.exit_at_ns
    return group.exit_at_reason if is_due else None


def leave_actions(live: LiveGroup, reason: ExitReason) -> tuple[LegAction, ...]:
    """Wishes that end a group now: withdraw what waits, close what is held, priced or not."""
    held = {order.leg_number for order in live.orders if open_units_of(order) > 0}
    exits = tuple(LegAction(LegActionKind.EXIT, number, reason=reason) for number in sorted(held))
    return (*withdraw_actions(live), *exits)


def withdraw_actions(live: LiveGroup) -> tuple[LegAction, ...]:
    """Wishes that withdraw what waits of a group."""
    return tuple(
        LegAction(LegActionKind.CANCEL_ENTRY, leg.leg_number)
        for leg in live.group.legs
        if leg.state in (LegState.WORKING, LegState.OPEN) and leg.filled_quantity < leg.quantity
    )


# ------------------------------------------------------------------ switches


def check_switches(turn: Turn) -> None:
    """Measure the account's switches and move the levels (§6.2)."""
    _check_day_loss(turn)
    _check_connections(turn)
    _check_market(turn)
    _check_held_prices(turn)
    let_lapse(turn)
    _liquidate(turn)


def open_pnl_paise(turn: Turn, live: LiveGroup) -> int:
    """Mark what is filled and not yet booked at the last price, before charges."""
    last = turn.prices.get(price_key_of(live.instrument))
    total = 0
    for leg, done in zip(live.group.legs, live.settled, strict=True):
        if done or leg.filled_quantity == 0:
            continue
        units = leg.filled_quantity - leg.exited_quantity
        mark = live.entry_paise if last is None else last.price_paise
        total += live.group.side.sign * (leg.exit_notional_paise + units * mark - leg.entry_notional_paise)
    return total


def day_pnl_paise(turn: Turn) -> int:
    """Day's result: booked net results and open ones at the last price."""
    realised: int = turn.scalar("realised_pnl_paise")
    return realised + sum(open_pnl_paise(turn, live) for live in turn.open_groups())


def _check_day_loss(turn: Turn) -> None:
    limits = turn.context.kill_limits
    wanted = day_loss_level(day_pnl_paise(turn), turn.scalar("opening_corpus_paise"), limits)
    if wanted is KillLevel.LIQUIDATING:
        turn.trip(
            ACCOUNT_SCOPE,
            Cause.DAY_LOSS_HALT,
            wanted,
            "engine",
            f"day's loss above {limits.day_loss_halt:.0%}",
        )
    elif wanted is not None:
        turn.trip(
            ACCOUNT_SCOPE, Cause.DAY_LOSS, wanted, "engine", f"day's loss above {limits.day_loss_block:.0%}"
        )


def _check_connections(turn: Turn) -> None:
    for name in _WATCHED_CONNECTIONS:
        known = turn.connections.get(name)
        if known is None or known[0] or turn.now_ns - known[1] <= turn.context.kill_limits.disconnect_ns:
            continue
        turn.trip(
            ACCOUNT_SCOPE, Cause.DISCONNECTED, KillLevel.ENTRIES_BLOCKED, "engine", f"{name} is disconnected"
        )


def _check_market(turn: Turn) -> None:
    """No entries while the whole feed is silent; lifted by the next price."""
    if not turn.scalar("ready") or len(turn.subscriptions) < turn.context.kill_limits.market_series_min:
        return
    seen = turn.scalar("market_seen_ns")
    if not seen:
        return
    interval = turn.scalar("feed_interval_ns")
    silent = turn.now_ns - seen > interval + turn.context.kill_limits.market_stale_ns
    if silent and turn.is_session:
        turn.trip(
            ACCOUNT_SCOPE, Cause.MARKET_STALE, KillLevel.ENTRIES_BLOCKED, "engine", "the price feed is silent"
        )
    elif not silent:
        turn.clear(ACCOUNT_SCOPE, Cause.MARKET_STALE, "engine", "prices flow again")


def _check_held_prices(turn: Turn) -> None:
    """No entries in an instrument that is held and that the feed looks at no more, by the day's own clock.

    Lifted with the next look, or once nothing of it is held.
    """
    if not turn.scalar("ready") or not turn.is_session:
        return
    limit = turn.context.kill_limits.position_stale_ns
    stale: dict[str, str] = {}
    for live in turn.open_groups():
        key = price_key_of(live.instrument)
        interval_ns, looked_ns = _last_look(turn, key)
        is_held = any(open_units_of(order) > 0 for order in live.orders)
        if is_held and turn.now_ns - looked_ns > interval_ns + limit:
            age_s = (turn.now_ns - looked_ns) // NS_PER_SECOND
            stale[f"INSTRUMENT:{key}"] = f"{key} is held and has had no price for {age_s} s"
    for cause in tuple(turn.levels.causes.values()):
        if cause.cause == Cause.MARKET_STALE and cause.scope != ACCOUNT_SCOPE and cause.scope not in stale:
            turn.clear(cause.scope, Cause.MARKET_STALE, "engine", "its price is fresh, or nothing is held")
    for scope, reason in stale.items():
        turn.trip(scope, Cause.MARKET_STALE, KillLevel.ENTRIES_BLOCKED, "engine", reason)


def _last_look(turn: Turn, key: str) -> tuple[int, int]:
    """Say how often the feed looks at a series, ns (0: at each quote), and when it last did, today.

    A feed of bars has looked at all it follows when it brings any bar: a share without a trade has no bar in
    that minute. Where it follows few series, that it brings none tells nothing of it.
    """
    last, heard_ns = turn.prices.get(key), turn.scalar("feed_heard_ns")
    if heard_ns < turn.open_ns:
        return NS_PER_MINUTE, turn.open_ns  # nothing came today: not even of what kind the feed is, is known
    interval_ns = turn.scalar("feed_interval_ns") if last is None else last.interval_ns
    if interval_ns == 0:
        return 0, turn.open_ns if last is None else max(last.at_ns, turn.open_ns)
    are_few = len(turn.subscriptions) < turn.context.kill_limits.market_series_min
    return interval_ns, turn.now_ns if are_few else heard_ns


def _liquidate(turn: Turn) -> None:
    """Set every group under a liquidation the goal to be flat; once it is reached, lock what asked for it."""
    for cause in tuple(turn.levels.causes.values()):
        if cause.level.severity < KillLevel.LIQUIDATING.severity:
            continue
        groups = groups_under(turn, cause.scope)
        for live in groups:
            if live.exit_goal is None:
                turn.put_group(replace(live, exit_goal=ExitReason.SQUARE_OFF))
        if not groups and cause.level is KillLevel.LIQUIDATING:
            turn.trip(cause.scope, cause.cause, KillLevel.LOCKED, "engine", "everything is closed")


def _is_losing_too_much(turn: Turn, live: LiveGroup) -> bool:
    if not any(leg.filled_quantity > leg.exited_quantity for leg in live.group.legs):
        return False
    return group_loss_exceeded(
        live.net_pnl_paise + open_pnl_paise(turn, live),
        live.planned_risk_paise,
        live.group.margin_paise,
        turn.context.profile,
        turn.context.kill_limits,
    )

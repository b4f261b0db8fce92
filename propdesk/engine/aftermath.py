"""What the end of a trade leads to for the trades that come after it (§6.2, drift; reliability K17)."""

from collections.abc import Iterator
from dataclasses import replace

from propdesk.core.calendar import ist_text
from propdesk.engine.state import LiveGroup
from propdesk.engine.turn import Turn
from propdesk.model.enums import ExitReason, KillLevel
from propdesk.risk.drift import RuleResult
from propdesk.risk.kill_switch import Cause, lapsed, rule_scope
from propdesk.risk.protections import ClosedTrade, keep_closed, pauses_after


def judge_ended(turn: Turn) -> None:
    """Draw the consequences of the trade groups that ended with this event."""
    for live in _ended(turn):
        _pause(turn, live)
        _judge_rule(turn, live)


def let_lapse(turn: Turn) -> None:
    """Let go what was paused until now."""
    for cause in lapsed(turn.levels, turn.now_ns):
        turn.clear(cause.scope, cause.cause, "engine", "its time is over")


def _ended(turn: Turn) -> Iterator[LiveGroup]:
    """Give the groups that traded and are over with a result that was not judged yet.

    One that a late fill opened again is over anew, with all that it came to.
    """
    for live in tuple(turn.out.groups.values()):
        if not live.is_closed or live.net_pnl_paise == live.judged_pnl_paise:
            continue
        if any(leg.exited_quantity > 0 for leg in live.group.legs):
            turn.put_group(replace(live, judged_pnl_paise=live.net_pnl_paise))
            yield live


def _pause(turn: Turn, live: LiveGroup) -> None:
    protections = turn.context.kill_limits.protections
    if not protections:
        return
    at_stop = any(leg.exit_reason is ExitReason.STOPLOSS for leg in live.group.legs)
    closed = ClosedTrade(
        live.group.group_id,
        live.group.advisor_id,
        live.instrument.underlying,
        live.group.side.value,
        turn.now_ns,
        at_stop and live.net_pnl_paise < 0,
        live.net_pnl_paise,
    )
    kept = keep_closed(turn.scalar("closed_trades"), protections, turn.now_ns)
    trades = (*(trade for trade in kept if trade.group_id != closed.group_id), closed)
    turn.scalars["closed_trades"] = trades
    for pause in pauses_after(trades, protections, turn.scalar("opening_corpus_paise")):
        reason = f"{pause.reason}, until {ist_text(pause.until_ns)}"
        turn.trip(
            pause.scope,
            Cause.PROTECTION,
            KillLevel.ENTRIES_BLOCKED,
            "engine",
            reason,
            until_ns=pause.until_ns,
        )


def _judge_rule(turn: Turn, live: LiveGroup) -> None:
    """Demote a rule for the day whose live trades came to less than the 1 % band of what they were promised.

    Its trades are counted over days, anew once it is demoted; each is judged by what was promised of it at
    its entry. What trades against an advisor has an expectation of the advisor's trades, not of its own: it
    is promised nothing and not judged.
    """
    if live.promise is None or live.planned_risk_paise <= 0:
        return
    text = live.group.rule_text
    before = turn.rule_results.get(text) or RuleResult()
    if live.judged_pnl_paise is None:
        result = before.plus(live.net_pnl_paise / live.planned_risk_paise, live.promise)
    else:
        late_paise = live.net_pnl_paise - live.judged_pnl_paise
        result = before.corrected(late_paise / live.planned_risk_paise)
    is_kept = result.sum_r >= result.band_r
    if result.trades < turn.context.kill_limits.drift_trades_min or is_kept:
        turn.rule_results.put(text, result)
        return
    reason = (
        f"{text} came to {result.sum_r:.1f} R over {result.trades} trades, "
        f"below its band of {result.band_r:.1f} R"
    )
    turn.trip(rule_scope(text), Cause.DRIFT, KillLevel.ENTRIES_BLOCKED, "engine", reason)
    turn.rule_results.put(text, RuleResult())

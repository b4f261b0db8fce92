"""What the end of a trade leads to for the trades that come after it (§6.2, drift; reliability K17)."""

from collections.abc import Iterator

from propdesk.core.calendar import ist_text
from propdesk.engine.state import LiveGroup
from propdesk.engine.turn import Turn
from propdesk.model.enums import ExitReason, KillLevel
from propdesk.risk.drift import RuleResult, lower_band_r
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
    """Give the groups that traded and are over since this step began, each once.

    One that a late fill opened again ends anew, with all that it came to.
    """
    for group_id, live in tuple(turn.out.groups.items()):
        if not live.is_closed or live.is_shadow or group_id in turn.judged:
            continue
        before = turn.base.groups.get(group_id)
        was_open = before is None or not before.is_closed
        if was_open and any(leg.exited_quantity > 0 for leg in live.group.legs):
            turn.judged.add(group_id)
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
    trades = (*keep_closed(turn.scalar("closed_trades"), protections, turn.now_ns), closed)
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
    """Demote a rule for the day whose live trades came to less than the 1 % band of its expectation.

    Its trades are counted over days, anew once it is demoted. What trades against an advisor has an
    expectation of the advisor's trades, not of its own: it is not judged.
    """
    text = live.group.rule_text
    rules = turn.context.ruleset.rules
    rule = next((found for key, found in rules.items() if key.text == text), None)
    if rule is None or live.group.is_reverse or live.planned_risk_paise <= 0:
        return
    before = turn.rule_results.get(text) or RuleResult()
    result = before.plus(live.net_pnl_paise / live.planned_risk_paise)
    band_r = lower_band_r(rule.post_mean_r, rule.prob_edge, max(rule.n, 1), result.trades)
    if result.trades < turn.context.kill_limits.drift_trades_min or result.sum_r >= band_r:
        turn.rule_results.put(text, result)
        return
    reason = (
        f"{text} came to {result.sum_r:.1f} R over {result.trades} trades, below its band of {band_r:.1f} R"
    )
    turn.trip(rule_scope(text), Cause.DRIFT, KillLevel.ENTRIES_BLOCKED, "engine", reason)
    turn.rule_results.put(text, RuleResult())

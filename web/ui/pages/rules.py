"""Rules: the explorer over all of them, what changed, what gates stop, and one rule with its reasons."""

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import quote

from nicegui import ui

from adapters.db.repos.cells import CellTrade, read_cell_trades
from adapters.db.repos.pages import make_query, read_page
from adapters.db.repos.rules import (
    FunnelRow,
    RuleVerdict,
    count_adverse,
    newest_as_of,
    read_adverse_funnel,
    read_funnel,
    why_rule,
)
from propdesk.model.command import CommandKind
from propdesk.model.enums import Category, GateProfile, Period, Regime, RuleLevel, Session, Weekday
from propdesk.model.rule import GateResult
from propdesk.model.user import UserRole
from propdesk.rules.gates import ADVERSE_GATES, GATES, GateDefinition
from web.ui import formats
from web.ui.curves import differs, drawdown_of, running
from web.ui.frame import PageSpec
from web.ui.grid import ADVISOR_LINK, RULE_LINK, GridSpec, grid
from web.ui.pages.commands import command_address
from web.ui.panel import Panel
from web.ui.visit import Connection, Row, Visit
from web.ui.widgets import Column, empty, figure, heading, table, tone_of

_BOOLEANS: Final = ("true", "false")
_CHOICES: Final[dict[str, Sequence[str]]] = {
    "level": [level.value for level in RuleLevel if level is not RuleLevel.ADVISOR],
    "category": list(Category),
    "period": list(Period),
    "regime": list(Regime),
    "weekday": list(Weekday),
    "session": list(Session),
    "desk_passes": _BOOLEANS,
    "original_passes": _BOOLEANS,
}
_COLUMNS: Final = (
    *(
        "rule_text",
        "n",
        "n_days",
        "win_rate_pct",
        "post_mean_r",
        "prob_edge",
        "mean_r",
        "profit_factor",
        "sharpe",
    ),
    *("mdd_pct", "corpus_return_pct", "net_pnl_paise", "excess_z", "trust_flag", "desk_passes"),
    "desk_failed_gates",
)


async def build_explorer(visit: Visit) -> None:
    """Draw the explorer."""
    ui.label(
        "Every cell of advisor × category × period, finer levels with regime, weekday and session. "
        "Sort by a header, filter in its menu, open a rule for its gates."
    ).classes("hint")
    links = {"rule_text": RULE_LINK, "advisor_id": ADVISOR_LINK}
    grid(visit, GridSpec("rules", _COLUMNS, links, choices=_CHOICES, sort="-post_mean_r"))


async def build_changes(visit: Visit) -> None:
    """Draw what switched since the market day before, and what each gate stops."""
    heading("Switched since the day before", "Rules that pass a profile now and did not, or the reverse.")
    columns = ("rule_text", "profile", "change", "gates", "previous_date", "level")
    choices = {"profile": list(GateProfile), "change": ("ON", "OFF")}
    grid(visit, GridSpec("rule-changes", columns, {"rule_text": RULE_LINK}, choices=choices, is_small=True))
    for profile in GateProfile:
        heading(f"What gates stop: profile {profile}", "Rules of the newest day; one can fail several.")
        Panel(visit, partial(visit.read, partial(_read_funnel, profile=profile)), _draw_funnel)
        Panel(visit, partial(visit.read, partial(_read_against, profile=profile)), _draw_against)
    heading("Candidates for trading against", "Cells so bad that their opposite may be traded.")
    adverse = (
        "rule_text",
        "n",
        "n_days",
        "win_rate_pct",
        "reverse_q",
        "reverse_net_pnl_paise",
        "post_mean_r",
    )
    shown = (*adverse, "desk_passes", "desk_failed_gates")
    grid(visit, GridSpec("adverse-rules", shown, {"rule_text": RULE_LINK}, is_small=True))


def _read_funnel(connection: Connection, profile: GateProfile) -> list[FunnelRow]:
    return read_funnel(connection, newest_as_of(connection), profile)


def _read_against(connection: Connection, profile: GateProfile) -> tuple[tuple[int, int], list[FunnelRow]]:
    day = newest_as_of(connection)
    return count_adverse(connection, day, profile), read_adverse_funnel(connection, day, profile)


def _draw_against(found: tuple[tuple[int, int], list[FunnelRow]]) -> None:
    (every, passing), rows = found
    ui.label(f"Against advisors: {passing} of {every} cells with a mean loss pass.").classes("hint")
    _draw_funnel(rows)


def _draw_funnel(rows: list[FunnelRow]) -> None:
    columns = (
        Column("gate"),
        Column("rules_stopped", "Rules stopped", is_number=True),
        Column("rules_stopped_alone", "by it alone", is_number=True),
        Column("trades_stopped", "Trades of those", is_number=True),
    )
    count = formats.count
    table(columns, [(r.gate, count(r.failed), count(r.failed_alone), count(r.trades)) for r in rows], "Gates")


async def build_rule(visit: Visit) -> None:
    """Draw one rule."""
    rule_text = visit.query.get("rule", "")[:200].replace("\x00", "")
    ui.label(rule_text).classes("name")
    if visit.may(UserRole.TRADER):
        ui.link("Pause …", command_address(CommandKind.PAUSE, scope=f"RULE:{rule_text}"))

    def read(connection: Connection) -> tuple[RuleVerdict, Row, list[CellTrade]]:
        as_of = newest_as_of(connection)
        verdict = why_rule(connection, rule_text, as_of)
        filters = (f"rule_text={rule_text}", f"as_of_date={as_of}")
        query = make_query(visit.house.listings["rules"], filters=filters, limit=1)
        row: Row = read_page(connection, query, visit.house.parts.account_id).rows[0]
        return verdict, row, read_cell_trades(connection, row, as_of, visit.house.settings)

    Panel(visit, lambda: visit.read(read), _draw_rule)
    heading("Our trades under this rule", "Executed legs of this account.")
    columns = ("trade_date", "instrument_key", "side", "quantity", "entry_at", "exit_at", "exit_reason")
    shown, filters = (*columns, "net_pnl_paise"), (f"rule_text={rule_text}",)
    grid(visit, GridSpec("executed-trades", shown, filters=filters, is_small=True))


def _draw_rule(found: tuple[RuleVerdict, Row, list[CellTrade]]) -> None:
    verdict, row, trades = found
    advisor = str(row["advisor_id"])
    ui.link(f"Advisor {advisor}", ADVISOR_LINK + quote(advisor, safe=""))
    n = f"{formats.count(verdict.n)} trades, {formats.count(row['n_days'])} days"
    low, high = formats.number(row["win_rate_low_pct"], 1), formats.number(row["win_rate_high_pct"], 1)
    with ui.element("div").classes("figures"):
        figure("as_of", formats.day(verdict.as_of_date), label="As of")
        figure("n", formats.count(verdict.n), n=f"{formats.count(row['n_days'])} days")
        figure("win_rate_pct", formats.percent(row["win_rate_pct"]), n=f"{n}; 95 %: {low} to {high}")
        figure("post_mean_r", f"{formats.number(verdict.post_mean_r, 3)} R", n=f"{row['skill_n']} trades")
        figure("prob_edge", formats.number(verdict.prob_edge, 3), n=f"{row['skill_n']} trades")
        figure("sharpe", formats.number(row["sharpe"]), n=f"± {formats.number(row['sharpe_se'])}")
        figure("mdd_pct", formats.percent(row["mdd_pct"]), n=n)
        figure("profit_factor", formats.number(row["profit_factor"]), n=n)
        net = row["net_pnl_paise"]
        figure("net_pnl_paise", formats.signed(net), n=n, tone=tone_of(net))
        figure("trust_flag", row["trust_flag"] or formats.ABSENT, n="noise" if row["trust_is_noise"] else n)
    if not verdict.is_judged:
        empty("Below half its minimum of trades: counts and skill columns only, no other gate is judged.")
    for profile, gates in verdict.gates.items():
        failed = sum(not gate.passed for gate in gates)
        heading(f"Why {'not ' if failed else ''}live: profile {profile}", _sentence(failed, len(gates)))
        _draw_gates(gates, GATES)
    _draw_reverse(verdict)
    if sentence := differs(trades, verdict.n):
        ui.label(sentence).classes("box stale")
    running("Net result of the rule's trades, added up", trades)
    drawdown_of(trades)


def _draw_reverse(verdict: RuleVerdict) -> None:
    """Say why the opposite of the rule may be traded or not (§4.4)."""
    if verdict.is_judged and not any(verdict.adverse.values()):
        heading("Against the advisor", "No candidate: its trades have no mean loss.")
    for profile, gates in verdict.adverse.items():
        if gates:
            failed = sum(not gate.passed for gate in gates)
            title = f"Why {'not ' if failed else ''}against the advisor: profile {profile}"
            heading(title, _sentence(failed, len(gates)))
            _draw_gates(gates, ADVERSE_GATES)


def _sentence(failed: int, asked: int) -> str:
    return f"{failed} of {asked} gates stop it." if failed else f"All {asked} gates hold."


_PERCENT_GATES: Final = frozenset(
    {"win_rate", "mdd", "mdd_p95", "skipped_share", "traded_value_share", "mean_return"}
)
_COUNT_GATES: Final = frozenset({"min_trades", "min_days", "trust"})
_MONEY_GATES: Final = frozenset({"first_half", "second_half", "reverse_net"})


def _draw_gates(gates: tuple[GateResult, ...], known: Mapping[str, GateDefinition]) -> None:
    columns = (
        Column("gate"),
        Column("value", "Value", is_number=True),
        Column("threshold", "Asked", is_number=True),
        Column("passed", "Verdict"),
        Column("compares", "Of"),
    )
    verdicts = {True: "✓ holds", False: "✕ stops"}
    rows = [
        (g.gate, in_unit(g.gate, g.value), asked(g, known), verdicts[g.passed], compared(known[g.gate]))
        for g in gates
    ]
    table(columns, rows, "Gates")


def compared(gate: GateDefinition) -> str:
    """Say what a gate compares, without the unit that it is kept in.

    Examples
    --------
    >>> compared(GATES["win_rate"]), compared(ADVERSE_GATES["reverse_net"])
    ('wins / closed trades', 'net result of the mirrored trades after costs')
    """
    return re.sub(r", (paise|fraction)\b.*", "", gate.meaning)


def asked(result: GateResult, known: Mapping[str, GateDefinition]) -> str:
    """Write what a gate asks for, with how it compares: reversals invert some of the gates.

    Examples
    --------
    >>> gate = GateResult("profit_factor", 1.0, 0.8, passed=False)
    >>> asked(gate, GATES), asked(gate, ADVERSE_GATES)
    ('>= 0.800', '< 0.800')
    """
    return f"{known[result.gate].comparison} {in_unit(result.gate, result.threshold)}"


def in_unit(gate: str, value: float | None) -> str:
    """Write a gate's number as the figures above it are written, which gates keep as fractions and paise.

    Examples
    --------
    >>> in_unit("win_rate", 0.4033), in_unit("min_trades", 8.0), in_unit("sharpe", 1.5), in_unit("mdd", None)
    ('40.33 %', '8', '1.500', '–')
    """
    if value is not None and math.isfinite(value):
        if gate in _PERCENT_GATES:
            return formats.percent(100 * value)
        if gate in _MONEY_GATES:
            return formats.inr(round(value))
        if gate in _COUNT_GATES:
            return formats.count(round(value))
    return formats.number(value, 3)


PAGES: Final = (
    PageSpec("/rules", "Rule explorer", build_explorer, menu="Rules"),
    PageSpec("/changes", "Rule changes and gates", build_changes, menu="Changes and gates"),
    PageSpec("/rule", "Rule", build_rule),
)

"""`propdesk rules` and `propdesk advisors`: which rules stand, which gate stops the others, who leads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import rule_versions
from cli.database import open_transaction
from cli.output import JsonOption, emit, parse_day, show_table
from propdesk.core.errors import ConfigFault
from propdesk.model.enums import GateProfile, RuleLevel

if TYPE_CHECKING:
    import psycopg

    from adapters.db.repos.rules import FunnelRow, RuleVerdict
    from propdesk.model.rule import GateResult

AsOf = Annotated[str | None, typer.Option("--as-of", help="As-of date; the newest by default.")]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="desk or original; the setting by default.")
]


@contextmanager
def _reading() -> "Iterator[tuple[psycopg.Connection[Any], GateProfile]]":
    from adapters.settings import load_settings

    settings = load_settings()
    with open_transaction(settings, "reader", "propdesk-rules") as connection:
        yield connection, GateProfile(settings.gate_profile)


def _day(connection: "psycopg.Connection[Any]", text: str | None) -> date:
    from adapters.db.repos.rules import newest_as_of

    return parse_day(text, "--as-of") if text else newest_as_of(connection)


def _level(text: str | None) -> RuleLevel | None:
    try:
        return RuleLevel(text.upper()) if text else None
    except ValueError:
        raise ConfigFault(f"--level: {text!r} is none of {', '.join(RuleLevel)}.") from None


def _short(value: float | None, digits: int = 2) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def list_rules(
    profile: ProfileOption = None,
    as_of: AsOf = None,
    level: Annotated[str | None, typer.Option("--level", help="MINI, MINI_REGIME or RULE_6D.")] = None,
    eligible: Annotated[bool, typer.Option("--eligible", help="Only rules that pass every gate.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows of the table; --json has all.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show the rules of a day, best first, and the gates that stop them."""
    from adapters.db.repos.rules import read_rules

    wanted = _level(level)
    with _reading() as (connection, default):
        chosen = rule_versions.parse_profile(profile) if profile else default
        day = _day(connection, as_of)
        rules = read_rules(connection, day, chosen, level=wanted, eligible_only=eligible)
    if as_json:
        emit({"as_of_date": day, "profile": chosen.value, "rules": [asdict(rule) for rule in rules]})
        return
    passing = sum(rule.passes for rule in rules)
    show_table(
        f"Rules at the end of {day}, profile {chosen.value}: {passing} of {len(rules)} pass",
        ("rule", "trades", "days", "win %", "PF", "MDD %", "post R", "prob", "trust", "stopped by"),
        [
            (
                rule.rule_text,
                rule.n,
                rule.n_days,
                _short(rule.win_rate_pct, 1),
                _short(rule.profit_factor),
                _short(rule.mdd_pct),
                _short(rule.post_mean_r, 3),
                _short(rule.prob_edge),
                rule.trust_flag,
                ", ".join(rule.failed_gates) or "nothing",
            )
            for rule in rules[:limit]
        ],
    )


def why(
    rule: Annotated[str, typer.Argument(help="A rule as `rules list` names it.")],
    as_of: AsOf = None,
    as_json: JsonOption = False,
) -> None:
    """Show every gate of one rule, with and against its advisor: value, threshold, verdict by profile."""
    from adapters.db.repos.rules import why_rule

    with _reading() as (connection, _):
        verdict = why_rule(connection, rule, _day(connection, as_of))
    if as_json:
        gates, adverse = (
            {p.value: [asdict(gate) for gate in found] for p, found in kind.items()}
            for kind in (verdict.gates, verdict.adverse)
        )
        head = {"rule_text": verdict.rule_text, "level": verdict.level, "as_of_date": verdict.as_of_date}
        emit(
            {
                **head,
                "n": verdict.n,
                "post_mean_r": verdict.post_mean_r,
                "prob_edge": verdict.prob_edge,
                "is_judged": verdict.is_judged,
                "gates": gates,
                "adverse_gates": adverse,
            }
        )
        return
    for kind, word in ((verdict.gates, ""), (verdict.adverse, "against the advisor, ")):
        for profile, found in kind.items():
            if found:
                _show_gates(verdict, f"{word}profile {profile.value}", found)


def _show_gates(verdict: "RuleVerdict", what: str, found: "Sequence[GateResult]") -> None:
    count = sum(gate.passed for gate in found)
    show_table(
        f"{verdict.rule_text} at the end of {verdict.as_of_date}, {what}: {count} of {len(found)} gates hold",
        ("gate", "value", "threshold", "verdict"),
        [(g.gate, _short(g.value, 4), g.threshold, "holds" if g.passed else "FAILS") for g in found],
    )


def funnel(as_of: AsOf = None, as_json: JsonOption = False) -> None:
    """Count what each gate stops, under both profiles, of the rules with and against an advisor."""
    from adapters.db.repos.rules import count_adverse, read_adverse_funnel, read_funnel, read_rules

    with _reading() as (connection, _):
        day = _day(connection, as_of)
        found = {profile: read_funnel(connection, day, profile) for profile in GateProfile}
        rules = {profile: read_rules(connection, day, profile) for profile in GateProfile}
        against = {profile: read_adverse_funnel(connection, day, profile) for profile in GateProfile}
        counts = {profile: count_adverse(connection, day, profile) for profile in GateProfile}
    if as_json:
        emit(
            {
                "as_of_date": day,
                **{
                    profile.value: {
                        "rules": len(rules[profile]),
                        "pass": sum(rule.passes for rule in rules[profile]),
                        "gates": [asdict(row) for row in rows],
                        "adverse": {
                            **dict(zip(("rules", "pass"), counts[profile], strict=True)),
                            "gates": [asdict(row) for row in against[profile]],
                        },
                    }
                    for profile, rows in found.items()
                },
            }
        )
        return
    for profile, rows in found.items():
        passing = sum(rule.passes for rule in rules[profile])
        head = f"Profile {profile.value}, end of {day}"
        _show_funnel(f"{head}: {passing} of {len(rules[profile])} judged rules pass", rows)
        losing, reversed_ = counts[profile]
        _show_funnel(f"{head}: {reversed_} of {losing} losing cells may be traded against", against[profile])


def _show_funnel(title: str, rows: "Sequence[FunnelRow]") -> None:
    show_table(
        title,
        ("gate", "rules stopped", "by it alone", "ideas of 6D rules stopped"),
        [(row.gate, row.failed, row.failed_alone, row.trades) for row in rows],
    )


def advisors(as_of: AsOf = None, as_json: JsonOption = False) -> None:
    """Show the leaderboard: advisors by shrunk mean net R."""
    from adapters.db.repos.rules import read_leaderboard

    with _reading() as (connection, _):
        day = _day(connection, as_of)
        leaders = read_leaderboard(connection, day)
    if as_json:
        emit({"as_of_date": day, "advisors": [asdict(leader) for leader in leaders]})
        return
    show_table(
        f"Advisors at the end of {day}",
        (
            "#",
            "advisor",
            "closed",
            "open",
            "win %",
            "PF",
            "post R",
            "± R",
            "prob",
            "Sharpe",
            "MDD %",
            "trust",
        ),
        [
            (
                x.rank,
                x.advisor_id,
                x.n,
                x.n_open,
                _short(x.win_rate_pct, 1),
                _short(x.profit_factor),
                _short(x.post_mean_r, 3),
                _short(x.post_sd_r, 3),
                _short(x.prob_edge),
                _short(x.sharpe),
                _short(x.mdd_pct),
                f"{x.trust_flag} (noise)" if x.trust_is_noise else x.trust_flag,
            )
            for x in leaders
        ],
    )


def register(app: typer.Typer) -> None:
    """Add ``rules list|why|funnel|versions|diff|pin|unpin`` and ``advisors``."""
    group = typer.Typer(no_args_is_help=True, help="Rules: which stand, and which gate stops the others.")
    group.command("list")(list_rules)
    group.command("why")(why)
    group.command("funnel")(funnel)
    rule_versions.add_to(group)
    app.add_typer(group, name="rules")
    app.command("advisors")(advisors)

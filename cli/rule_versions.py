"""`propdesk rules versions|diff|pin|unpin`: point-in-time rules, compared and chosen for a day (§4.5)."""

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.database import open_transaction
from cli.output import JsonOption, emit, parse_day, say, show_table
from propdesk.core.errors import ConfigFault
from propdesk.model.enums import GateProfile
from propdesk.rules.diff import Change, RuleChange, diff_rules

if TYPE_CHECKING:
    import psycopg

    from propdesk.model.rule import Rule

_VERSION = re.compile("[0-9a-f]{16}")
_STEP = "regime"
"""Step of pre-market that settles the rules of the day."""
Side = Annotated[str, typer.Argument(help="An as-of date (YYYY-MM-DD) or a ruleset version.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")]


def versions(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, the newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the frozen rulesets: of which day, for which days they were used, for which they are pinned."""
    from adapters.db.repos.rulesets import days_of_rulesets, list_rulesets, read_pins
    from adapters.settings import load_settings

    settings = load_settings()
    with open_transaction(settings, "reader", "propdesk-rules") as connection:
        heads = list_rulesets(connection, limit)
        used = days_of_rulesets(connection, settings.account_id)
        pins = read_pins(connection, settings.account_id)
    pinned: dict[str, list[date]] = {}
    for day, pin in pins.items():
        pinned.setdefault(pin.ruleset_version, []).append(day)
    rows = [
        {
            **asdict(head),
            "used_on": used.get(head.ruleset_version, []),
            "pinned_for": pinned.get(head.ruleset_version, []),
        }
        for head in heads
    ]
    if as_json:
        emit({"account_id": settings.account_id, "rulesets": rows})
        return
    show_table(
        f"Frozen rulesets, account {settings.account_id}",
        ("version", "rules of", "profile", "rules", "eligible", "frozen", "used on", "pinned for"),
        [
            (
                row["ruleset_version"],
                row["as_of_date"],
                row["profile"],
                row["count_rules"],
                row["count_eligible"],
                f"{row['frozen_at']:%Y-%m-%d %H:%M} UTC",
                _days(row["used_on"]),
                _days(row["pinned_for"]),
            )
            for row in rows
        ],
    )


def _days(days: list[date]) -> str | None:
    return None if not days else str(days[-1]) if len(days) == 1 else f"{days[-1]} and {len(days) - 1} more"


def diff(
    before: Side,
    after: Side,
    profile: Annotated[
        str | None, typer.Option("--profile", help="desk or original, for dates; the setting by default.")
    ] = None,
    shift: Annotated[
        float, typer.Option("--shift", min=0.0, help="Least change of post_mean_r that is told, R.")
    ] = 0.05,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows of the table; --json has all.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Compare the rules of two days or versions: what switched on and off, by which gates, what shifted."""
    from adapters.settings import load_settings

    settings = load_settings()
    chosen = parse_profile(profile or settings.gate_profile)
    with open_transaction(settings, "reader", "propdesk-rules") as connection:
        left, right = (_side(connection, text, chosen) for text in (before, after))
    found = diff_rules(left, right, shift)
    counts = {change.value: found.count(change) for change in Change}
    if as_json:
        changes = [{**asdict(one), "gates": list(one.gates)} for one in found.changes]
        emit(
            {"before": before, "after": after, "counts": counts, "same": found.count_same, "changes": changes}
        )
        return
    show_table(
        f"Rules from {before} to {after}: {counts['ON']} on, {counts['OFF']} off, {counts['SHIFTED']} "
        f"shifted by {shift:g} R or more, {found.count_same} the same",
        ("rule", "change", "gates", "trades", "post R"),
        [_line(one) for one in found.changes[:limit]],
    )


def _line(one: RuleChange) -> tuple[Any, ...]:
    name = f"{one.rule_text} (reverse)" if one.is_adverse else one.rule_text
    means = " → ".join("–" if m != m else f"{m:.3f}" for m in (one.post_mean_r_before, one.post_mean_r_after))
    return name, one.change.value, ", ".join(one.gates), f"{one.n_before} → {one.n_after}", means


def parse_profile(text: str) -> GateProfile:
    """Read a gate profile given by ``--profile``; `ConfigFault` if there is none of that name."""
    try:
        return GateProfile(text)
    except ValueError:
        raise ConfigFault(f"--profile: {text!r} is none of {', '.join(GateProfile)}.") from None


def _side(connection: "psycopg.Connection[Any]", text: str, profile: GateProfile) -> "list[Rule]":
    from adapters.db.repos.rules import require_day
    from adapters.db.repos.rulesets import read_mart_rules, read_ruleset

    if _VERSION.fullmatch(text):
        frozen = read_ruleset(connection, text)
        return [*frozen.rules.values(), *frozen.adverse.values()]
    day = parse_day(text, "a day or a version of 16 hex digits")
    require_day(connection, day)
    rules, adverse = read_mart_rules(connection, day, profile)
    return [*rules, *adverse]


def pin(
    version: Annotated[str, typer.Argument(help="A version as `rules versions` lists it.")],
    day: Annotated[str, typer.Argument(help="Trade date that it shall be used on.")],
    reason: Reason,
    as_json: JsonOption = False,
) -> None:
    """Choose a frozen ruleset for a day that is not ready yet: a rollback, or a freeze of what is trusted."""
    from adapters.db.repos.rulesets import Pin, read_head, read_ruleset, write_pin
    from adapters.settings import load_settings

    settings, trade_date = load_settings(), parse_day(day, "DAY")
    who, now = _who_and_when()
    with open_transaction(settings, "daemon", "propdesk-rules") as connection:
        head = read_head(connection, version)
        if head.as_of_date >= trade_date or head.profile != settings.gate_profile:
            raise ConfigFault(
                f"{version} holds rules of profile {head.profile} at the end of {head.as_of_date}; "
                f"{trade_date} can use those of profile {settings.gate_profile} of a day before it."
            )
        read_ruleset(connection, version)  # proves that its rules are those it names
        _reopen(connection, settings.account_id, trade_date)
        write_pin(connection, settings.account_id, Pin(trade_date, version, who, reason, now))
        detail = {"trade_date": day, "ruleset_version": version, "reason": reason}
        _audit(connection, settings.account_id, "RULES_PINNED", detail)
    if as_json:
        emit({"trade_date": trade_date, "ruleset_version": version, "pinned_by": who, "reason": reason})
        return
    say(f"{trade_date} will use the rules of {head.as_of_date} ({version}) once pre-market has run.")


def unpin(
    day: Annotated[str, typer.Argument(help="Trade date whose pin is taken away.")],
    reason: Reason,
    as_json: JsonOption = False,
) -> None:
    """Take a pin away: the day uses the newest rules again."""
    from adapters.db.repos.rulesets import drop_pin
    from adapters.settings import load_settings

    settings, trade_date = load_settings(), parse_day(day, "DAY")
    with open_transaction(settings, "daemon", "propdesk-rules") as connection:
        _reopen(connection, settings.account_id, trade_date)
        if not drop_pin(connection, settings.account_id, trade_date):
            raise ConfigFault(
                f"Nothing is pinned for {trade_date}: `python3 run.py rules versions` shows pins."
            )
        _audit(connection, settings.account_id, "RULES_UNPINNED", {"trade_date": day, "reason": reason})
    if as_json:
        emit({"trade_date": trade_date, "ruleset_version": None})
        return
    say(f"{trade_date} will use the newest rules once pre-market has run.")


def _reopen(connection: "psycopg.Connection[Any]", account_id: str, trade_date: date) -> None:
    """Let the day's rules be settled anew; refuse a day that is ready: what is live does not change."""
    from adapters.db.repos.readiness import read_readiness, write_readiness

    record = read_readiness(connection, account_id, trade_date, is_locked=True)
    if record.ready_at is not None:
        raise ConfigFault(f"{trade_date} is ready already: its rules are frozen and stay as they are (§4.5).")
    if _STEP in record.steps:
        steps = {name: found for name, found in record.steps.items() if name != _STEP}
        write_readiness(connection, replace(record, steps=steps, ruleset_version=None))


def _who_and_when() -> "tuple[str, Any]":
    from getpass import getuser

    from adapters.clock import SystemClock
    from propdesk.core.clock import from_ns

    return getuser(), from_ns(SystemClock().now_ns())


def _audit(
    connection: "psycopg.Connection[Any]", account_id: str, action: str, detail: Mapping[str, object]
) -> None:
    from adapters.db.repos.audit import append_audit

    who, now = _who_and_when()
    append_audit(connection, account_id, actor=who, action=action, detail=detail, logged_at=now)


def add_to(group: typer.Typer) -> None:
    """Add the commands to ``rules``."""
    group.command("versions")(versions)
    group.command("diff")(diff)
    group.command("pin")(pin)
    group.command("unpin")(unpin)

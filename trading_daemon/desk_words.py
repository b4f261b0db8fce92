"""The state of the desk in a few lines of plain text, for a chat."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from propdesk.core.money import format_inr
from propdesk.model.event_text import plain

LINES_MAX: Final = 25
"""Positions that one answer shows; Telegram cuts a text at 4,096 characters."""


def status_words(found: Mapping[str, Any]) -> str:
    """Write `adapters.db.repos.overview.read_overview` as lines."""
    causes = [
        f"{level['scope']} {level['level']}: {level['cause']} by {level['actor']}, {level['reason']}"
        for level in found["risk_levels"]
    ]
    beats = found["heartbeats"]
    oldest = max(beats, key=lambda beat: beat["age_s"], default=None)
    alive = (
        "no daemon was ever seen"
        if oldest is None
        else f"daemon: its {len(beats)} tasks spoke within {oldest['age_s']:.0f} s"
    )
    ready = found["readiness"]
    day = (
        "no day was prepared"
        if ready is None
        else f"{ready['trade_date']}: {'ready' if ready['is_ready'] else 'NOT ready'}, "
        f"rules {ready['ruleset_version'] or 'unknown'}"
    )
    lines = [
        f"Account {found['account_id']}",
        *(causes or ["nothing is blocked"]),
        alive,
        day,
        f"open trades: {found['open_groups']}",
    ]
    return "\n".join([*map(plain, lines), result_words(found)])


def result_words(found: Mapping[str, Any]) -> str:
    """Write result and corpus of `adapters.db.repos.overview.read_overview` as lines."""
    day, corpus = found["day"], found["corpus"]
    lines = ["nothing was traded yet" if day is None else _result(day)]
    if corpus is not None:
        lines.append(
            f"corpus {format_inr(corpus['total_paise'])}: free {format_inr(corpus['free_paise'])}, "
            f"deployed {format_inr(corpus['deployed_paise'])}"
        )
    return "\n".join(lines)


def _result(day: Mapping[str, Any]) -> str:
    net, gross, charges = (format_inr(day[f"{name}_paise"]) for name in ("net_pnl", "gross_pnl", "charges"))
    return (
        f"{day['trade_date']}: net {net} (gross {gross}, charges {charges}) of {day['legs']} legs; "
        f"{day['legs_open']} are open, of them what is booked"
    )


def positions_words(legs: Sequence[Mapping[str, Any]]) -> str:
    """Write `adapters.db.repos.books.read_positions` as lines, a leg each."""
    if not legs:
        return "Nothing is held, and nothing waits to enter."
    lines = [plain(_leg(leg)) for leg in legs[:LINES_MAX]]
    if len(legs) > LINES_MAX:
        lines.append(f"and {len(legs) - LINES_MAX} legs more")
    return "\n".join(lines)


def _leg(leg: Mapping[str, Any]) -> str:
    held = f"{leg['held_quantity']} held" if leg["held_quantity"] else ""
    waiting = f"{leg['waiting_quantity']} waiting" if leg["waiting_quantity"] else ""
    words = f"{leg['side']} {leg['instrument_key']} {', '.join(filter(None, (held, waiting)))}"
    for name in ("entry", "stop", "target"):
        if leg[f"{name}_paise"] is not None:
            words += f", {name} {format_inr(leg[f'{name}_paise'])}"
    return f"{words} (trade {leg['group_id'][:8]})"


def crowd_words(underlying: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Write `adapters.db.repos.overview.read_crowd` as lines."""
    if not rows:
        return plain(f"Nobody spoke of {underlying} on the crowd's newest day.")
    lines = [
        f"{underlying} on {rows[0]['trade_date']}",
        *(f"{r['direction']} {r['state']}: {r['n']}" for r in rows),
    ]
    return "\n".join(map(plain, lines))

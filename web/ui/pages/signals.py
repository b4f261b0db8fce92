"""Signals: what was heard and decided, and why one ended as it did."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from nicegui import ui

from adapters.db.repos.report import explain_signal
from propdesk.model.user import UserRole
from web.ui import formats
from web.ui.frame import PageSpec
from web.ui.grid import ADVISOR_LINK, RULE_LINK, SIGNAL_LINK, GridSpec, grid
from web.ui.panel import Panel
from web.ui.visit import Row, Visit
from web.ui.widgets import Column, empty, facts, heading, table

_LINKS: Final = {"signal_id": SIGNAL_LINK, "rule_text": RULE_LINK, "advisor_id": ADVISOR_LINK}
_TABLES: Final = (
    ("Trade groups", "groups"),
    ("Legs", "legs"),
    ("Orders of ours", "intents"),
    ("Executed legs", "trades"),
    ("In the crowd", "crowd"),
)
_SIDES: Final = ("BUY", "SELL")


async def build_feed(visit: Visit) -> None:
    """Draw the feed: decisions of the daemon, ideas of the pipeline, follow-ups."""
    heading("Decisions", "One per signal and look at it; the newest first. Why: open the signal.")
    columns = ("signal_id", "decided_at", "code", "detail", "rule_text", "is_reverse", "lots")
    shown: tuple[str, ...] = (*columns, "crowd_score", "crowd_direction", "regime")
    grid(visit, GridSpec("decisions", shown, _LINKS, sort="-decided_at"))
    heading("Ideas", "As resolved by the pipeline, with the instrument they name.")
    shown = (
        "signal_id",
        "received_at",
        "advisor_id",
        "advisor_name",
        "instrument_key",
        "side",
        "entry_low_paise",
    )
    more = ("stoploss_paise", "targets_paise", "period", "session", "duplicate_of", "copied_from")
    spec = GridSpec("signals", (*shown, *more), _LINKS, choices={"side": _SIDES}, sort="-received_at")
    grid(visit, spec)
    heading("How they were published", "Claimed late, posted after the move, edited or taken back.")
    shown = ("signal_id", "trade_date", "advisor_id", "flags", "claim_lag_s", "moved_at_posting_r")
    grid(visit, GridSpec("signal-flags", (*shown, "moved_at_receipt_r"), _LINKS, is_small=True))


async def build_why(visit: Visit) -> None:
    """Draw everything the books know about one signal."""
    signal_id = visit.path["signal_id"][:200].replace("\x00", "")
    account_id = visit.house.parts.account_id
    ui.label(signal_id).classes("name")

    async def read() -> dict[str, Any]:
        return await visit.read(lambda c: explain_signal(c, account_id, signal_id), UserRole.TRADER)

    Panel(visit, read, _draw_why)
    heading("What the market made of it", "The pipeline's own outcome, whatever the desk did.")
    shown = ("trade_date", "advisor_id", "instrument_key", "side", "entry_at", "entry_paise", "exit_at")
    more = ("exit_paise", "exit_reason", "r_multiple", "net_pnl_paise")
    filters = (f"trade_id={signal_id}",)
    grid(visit, GridSpec("trades", (*shown, *more), _LINKS, filters, is_small=True))


def _draw_why(found: dict[str, Any]) -> None:
    heading("As it was heard", "Each revision, as the source wrote it.")
    for document in found["documents"]:
        received = formats.moment_ns(document["received_ns"])
        ui.label(f"Revision {document['revision']}, {document['kind']}, received {received}").classes("hint")
        if document["rejected_text"]:
            ui.label(document["rejected_text"]).classes("box fault")
        facts(document["document"])
    heading("Decisions", "Each look of the daemon at it.")
    _draw_decisions(found["decisions"])
    for title, name in _TABLES:
        heading(title)
        _draw_rows(title, name, found[name])


def _draw_decisions(decisions: Sequence[Row]) -> None:
    if not decisions:
        empty("Nothing was decided yet.")
    for decision in decisions:
        with ui.element("div").classes("box"):
            ui.label(f"{decision['code']} at {formats.moment_ns(decision['decided_ns'])}").classes("name")
            ui.label(decision["detail"] or formats.ABSENT)
            score = f"{formats.number(decision['crowd_score'])} {decision['crowd_direction'] or ''}"
            table_version = decision["ruleset_version"] or formats.ABSENT
            regime = decision["regime"] or formats.ABSENT
            ui.label(f"Rules {table_version} · regime {regime} · crowd {score}").classes("hint")
        _draw_candidates(decision["candidates"] or [])


def _draw_candidates(candidates: Sequence[Row]) -> None:
    if not candidates:
        return
    columns = (
        Column("rule_text", "Rule looked at"),
        Column("outcome"),
        Column("n", is_number=True),
        Column("post_mean_r", is_number=True),
        Column("prob_edge", is_number=True),
        Column("desk_failed_gates", "Gates that stop it"),
    )
    rows = [
        (
            (str(seen.get("rule_text", "")), RULE_LINK + quote(str(seen.get("rule_text", "")), safe="")),
            seen.get("outcome", formats.ABSENT),
            formats.count(seen.get("n")),
            formats.number(seen.get("post_mean_r"), 3),
            formats.number(seen.get("prob_edge"), 3),
            ", ".join(map(str, seen.get("failed_gates") or ())) or formats.ABSENT,
        )
        for seen in candidates
    ]
    table(columns, rows, "Rules looked at")


def _draw_rows(title: str, name: str, rows: Sequence[Row]) -> None:
    if not rows:
        empty("None.")
        return
    told = {"account_id", "payload", "signal_id"}  # by the page, or not for people
    if len({row.get("group_id") for row in rows}) == 1 and name != "groups":
        told.add("group_id")
    names = [word for word in rows[0] if word not in told and any(r[word] is not None for r in rows)]
    columns = [Column(word, is_number=word.endswith(("_paise", "quantity"))) for word in names]
    table(columns, [[_shown(word, row[word]) for word in names] for row in rows], title)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return formats.ABSENT
    if name.endswith("_paise"):
        return ", ".join(map(formats.inr, value)) if isinstance(value, list) else formats.inr(value)
    if name.endswith("_ns"):
        return formats.moment_ns(value)
    if name.endswith("_at") and hasattr(value, "astimezone"):
        return formats.moment(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


PAGES: Final = (
    PageSpec("/signals", "Signals and decisions", build_feed, menu="Signals"),
    PageSpec("/signals/{signal_id:path}", "Why", build_why, UserRole.TRADER),
)

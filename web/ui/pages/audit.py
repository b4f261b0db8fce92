"""Who did what, who may do what, and how the processes are."""

from dataclasses import asdict
from typing import Any, Final

from anyio.to_thread import run_sync

from adapters.db.engine import begin
from adapters.db.repos.users import read_users
from propdesk.model.user import UserRole
from web.ui import formats
from web.ui.frame import PageSpec
from web.ui.grid import GridSpec, grid
from web.ui.panel import Panel
from web.ui.visit import Visit
from web.ui.widgets import Column, heading, table


async def build_system(visit: Visit) -> None:
    """Draw kill levels, readiness and signs of life."""
    heading("Kill levels", "Raised and lifted, with who and why.")
    columns: tuple[str, ...] = (
        "raised_ns",
        "level",
        "scope",
        "cause",
        "actor",
        "reason",
        "cleared_ns",
        "cleared_by",
        "cleared_reason",
    )
    grid(visit, GridSpec("risk-levels", columns, is_small=True))
    heading("Readiness", "What pre-market did for each day.")
    columns = ("trade_date", "ready_at", "ruleset_version", "opening_corpus_paise", "steps")
    grid(visit, GridSpec("readiness", columns, sort="-trade_date", is_small=True))
    heading("Rule tables", "Frozen for a day; every order cites the one it was decided under.")
    columns = (
        "ruleset_version",
        "trade_date",
        "as_of_date",
        "profile",
        "count_rules",
        "count_eligible",
        "frozen_at",
    )
    grid(visit, GridSpec("rulesets", columns, is_small=True))
    heading("Signs of life", "Each process that trades.")
    grid(visit, GridSpec("heartbeats", ("component", "beat_at", "pid", "epoch", "detail"), is_small=True))


async def build_audit(visit: Visit) -> None:
    """Draw the audit log and the people."""
    heading("Audit log", "Append-only and chained by hashes; `propdesk audit verify` checks it.")
    grid(visit, GridSpec("audit-log", ("seq", "logged_at", "actor", "action", "detail"), sort="-seq"))
    heading("People", "Changed by `propdesk users` alone.")

    def load() -> list[dict[str, Any]]:
        with begin(visit.house.parts.access) as connection:
            return [asdict(user) for user in read_users(connection)]

    async def read() -> list[dict[str, Any]]:
        await visit.read(lambda _: None, UserRole.ADMIN)
        return await run_sync(load)

    Panel(visit, read, _draw_people)


def _draw_people(people: list[dict[str, Any]]) -> None:
    columns = [Column(name) for name in ("login", "role", "is_disabled", "created_by", "last_login_at")]
    rows = [
        (
            p["login"],
            p["role"],
            "yes" if p["is_disabled"] else "no",
            p["created_by"],
            formats.moment(p["last_login_at"]),
        )
        for p in people
    ]
    table(columns, rows, "People")


PAGES: Final = (
    PageSpec("/system", "System", build_system, menu="System"),
    PageSpec("/audit", "Audit", build_audit, UserRole.ADMIN, menu="Audit"),
)

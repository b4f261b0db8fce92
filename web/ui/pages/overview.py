"""The first page: is the desk alive, ready, within its limits, and how does it stand."""

from functools import partial
from typing import Any, Final
from urllib.parse import quote

from nicegui import ui

from adapters.db.repos.books import read_positions
from adapters.db.repos.report import DayReport, read_day_report
from propdesk.model.command import CommandKind
from propdesk.model.enums import Side
from propdesk.model.user import UserRole
from web.ui import formats
from web.ui.frame import STALE_S, PageSpec
from web.ui.pages.commands import command_address
from web.ui.panel import Panel
from web.ui.visit import Row, Visit
from web.ui.widgets import Chart, Column, chart, empty, figure, heading, table, tone_of

_OPEN_SHOWN: Final = 200
_CODES_DRAWN: Final = 12


async def build(visit: Visit) -> None:
    """Draw the page."""
    parts = visit.house.parts

    async def read_state() -> dict[str, Any]:
        found = await visit.overview()
        # Ages change with every look; what is drawn of them is their minute.
        beats = [(b["component"], b["beat_at"], b["age_s"] > STALE_S) for b in found["heartbeats"]]
        return {**found, "now": None, "heartbeats": beats}

    async def read_open() -> list[Row]:
        return await visit.share("positions", lambda c: read_positions(c, parts.account_id))

    async def read_report() -> DayReport | None:
        state = await visit.overview()
        day = (state["readiness"] or state["day"] or {}).get("trade_date")
        if day is None:
            return None
        return await visit.share(f"report {day}", lambda c: read_day_report(c, parts.account_id, day))

    Panel(visit, read_state, _draw_state, is_live=True)
    heading(
        "Open trade groups",
        "Every leg that holds or awaits a position, with the stop and target that stand; "
        "the instrument leads to why.",
    )
    Panel(visit, read_open, partial(_draw_open, may_ask=visit.may(UserRole.TRADER)), is_live=True)
    Panel(visit, read_report, _draw_report, is_live=True)


def _draw_state(state: dict[str, Any]) -> None:
    with ui.element("div").classes("figures"):
        _draw_readiness(state["readiness"])
        _draw_result(state["day"])
        corpus = state["corpus"]
        if corpus is not None:
            figure("corpus", formats.inr_short(corpus["total_paise"]))
            figure("free", formats.inr_short(corpus["free_paise"]))
            figure("deployed", formats.inr_short(corpus["deployed_paise"]))
        figure("open_groups", formats.count(state["open_groups"]))
        levels = state["risk_levels"]
        worst = levels[0]["level"] if levels else "ACTIVE"
        is_silent = not state["heartbeats"] or any(is_old for *_, is_old in state["heartbeats"])
        tone = "bad" if levels else "" if is_silent else "good"
        figure(
            "kill_level", worst, n=_causes(len(levels)) or ("as last known" if is_silent else ""), tone=tone
        )
        for component, beat_at, is_old in state["heartbeats"]:
            tone = "bad" if is_old else "good"
            shown = formats.moment(beat_at)
            figure("heartbeat", shown, tone=tone, label=f"{component}: {'silent' if is_old else 'alive'}")
        figure("as_of", formats.day(state["newest_as_of"]), label="Rules as of")
        figure("upload", formats.moment(state["last_upload_at"]), label="Newest upload")


def _causes(number: int) -> str:
    return "" if not number else "1 cause" if number == 1 else f"{number} causes"


def _draw_readiness(readiness: dict[str, Any] | None) -> None:
    if readiness is None:
        figure("readiness", "never", tone="bad")
        return
    is_ready = readiness["is_ready"]
    shown = "ready" if is_ready else "not ready"
    day = formats.day(readiness["trade_date"])
    figure("readiness", shown, tone="good" if is_ready else "bad", label=f"Readiness for {day}")


def _draw_result(day: dict[str, Any] | None) -> None:
    if day is None:
        return
    legs = f"{formats.count(day['legs'])} legs, {formats.count(day['legs_open'])} open"
    net = day["net_pnl_paise"]
    label = f"Net result of {formats.day(day['trade_date'])}"
    figure("net", formats.signed(net), n=legs, tone=tone_of(net), label=label)
    figure("gross", formats.signed(day["gross_pnl_paise"]), n=legs, label="Before charges")
    figure("charges_paise", formats.inr_short(day["charges_paise"]), n=legs, label="Charges")


_OPEN_COLUMNS: Final = (
    Column("instrument_key", "Instrument"),
    Column("side"),
    Column("advisor_id", "Advisor"),
    Column("leg_number", "Leg", is_number=True),
    Column("held", is_number=True),
    Column("waiting", is_number=True),
    Column("entry", is_number=True),
    Column("stop", is_number=True),
    Column("target", is_number=True),
    Column("opened_ns", "Opened"),
)
_EXIT_COLUMN: Final = Column("exit_trade", "Exit")


def _draw_open(legs: list[Row], *, may_ask: bool) -> None:
    if not legs:
        empty("No trade group is open.")
        return
    newest = legs[::-1][:_OPEN_SHOWN]
    if len(newest) < len(legs):
        ui.label(f"The newest {_OPEN_SHOWN} of {formats.count(len(legs))} legs.").classes("hint")
    if not may_ask:
        table(_OPEN_COLUMNS, map(_open_row, newest), "Open trade groups")
        return
    shown = zip(newest, map(_open_row, newest), strict=True)
    rows = [(row[0], ("exit …", _exit_address(leg)), *row[1:]) for leg, row in shown]
    table((_OPEN_COLUMNS[0], _EXIT_COLUMN, *_OPEN_COLUMNS[1:]), rows, "Open trade groups")


def _exit_address(leg: Row) -> str:
    return command_address(CommandKind.EXIT, trade=leg["group_id"])


def _open_row(leg: Row) -> tuple[Any, ...]:
    side = Side(leg["side"])
    entry = leg["entry_paise"] or leg["entry_low_paise"]
    return (
        (leg["instrument_key"], f"/signals/{quote(leg['signal_id'], safe='')}"),
        side + (" (reverse)" if leg["is_reverse"] else ""),
        leg["advisor_id"],
        leg["leg_number"],
        formats.count(leg["held_quantity"]),
        formats.count(leg["waiting_quantity"]),
        _entry(leg),
        _level(side, entry, leg["stop_paise"]),
        _level(side, entry, leg["target_paise"]),
        formats.moment_ns(leg["opened_ns"]),
    )


def _entry(leg: Row) -> str:
    """Write what was paid on average, else what is waited for."""
    if leg["entry_paise"] is not None:
        return formats.inr(leg["entry_paise"])
    low, high = leg["entry_low_paise"], leg["entry_high_paise"]
    if low is None:
        return f"waits, {leg['entry_type']}"
    return f"waits, {formats.inr(low)}" + ("" if high in (None, low) else f" to {formats.inr(high)}")


def _level(side: Side, entry: int | None, price: int | None) -> str:
    """Write a price and what the trade makes from its entry to it: under zero is a loss, on either side."""
    if not entry or price is None:
        return formats.inr(price)
    return f"{formats.inr(price)} ({formats.percent(side.sign * (price - entry) / entry * 100)})"


def _draw_report(report: DayReport | None) -> None:
    if report is None:
        empty("No day was traded on this account yet.")
        return
    day = formats.day(report.trade_date)
    drawn = report.decisions[:_CODES_DRAWN][::-1]
    total = formats.count(sum(count for _, count in report.decisions))
    chart(
        Chart(
            f"Decisions of {day}",
            f"What became of {total} decided signals; {formats.count(report.rejected_documents)} documents "
            "could not be read.",
            ("reason", "signals"),
            report.decisions,
            {
                "xAxis": {"type": "value"},
                "yAxis": {"type": "category", "data": [code for code, _ in drawn]},
                "legend": {"show": False},
                "grid": {"top": 4},
                "series": [
                    {
                        "type": "bar",
                        "name": "signals",
                        "data": [count for _, count in drawn],
                        "label": {"show": True, "position": "right", "color": "inherit"},
                    }
                ],
            },
        )
    )
    heading("Crowd", "Ideas of all tracked advisors on the day, by underlying.")
    columns = (
        Column("underlying"),
        Column("crowd", "Bullish, open", is_number=True),
        Column("crowd", "Bearish, open", is_number=True),
        Column("opened", "Opened", is_number=True),
    )
    lines = report.crowd[:20]
    if not lines:
        empty("No idea was counted.")
        return
    table(columns, [(c.underlying, c.bullish_open, c.bearish_open, c.opened) for c in lines], "Crowd")


PAGES: Final = (PageSpec("/", "Today", build, menu="Today"),)

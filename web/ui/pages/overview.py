"""The first page: is the desk alive, ready, within its limits, and how does it stand."""

from typing import Any, Final

from nicegui import ui

from adapters.db.repos.overview import read_overview
from adapters.db.repos.report import DayReport, read_day_report
from web.ui import formats
from web.ui.frame import STALE_S, PageSpec
from web.ui.panel import Panel
from web.ui.visit import Connection, Row, Visit
from web.ui.widgets import Chart, Column, chart, empty, figure, heading, table, tone_of

_OPEN_SHOWN: Final = 200
_CODES_DRAWN: Final = 12


async def build(visit: Visit) -> None:
    """Draw the page."""
    parts = visit.house.parts

    async def read_state() -> dict[str, Any]:
        found = await visit.read(lambda c: read_overview(c, parts.account_id, parts.now()))
        # Ages change with every look; what is drawn of them is their minute.
        beats = [(b["component"], b["beat_at"], b["age_s"] > STALE_S) for b in found["heartbeats"]]
        return {**found, "now": None, "heartbeats": beats}

    async def read_open() -> list[Row]:
        return await visit.rows(
            "trade-groups", "is_closed=false", "is_shadow=false", sort="-opened_ns", limit=_OPEN_SHOWN
        )

    def read_day(connection: Connection) -> DayReport | None:
        day = read_overview(connection, parts.account_id, parts.now())
        trade_date = (day["readiness"] or day["day"] or {}).get("trade_date")
        return None if trade_date is None else read_day_report(connection, parts.account_id, trade_date)

    async def read_report() -> DayReport | None:
        return await visit.read(read_day)

    Panel(visit, read_state, _draw_state, is_live=True)
    heading("Open trade groups", "What holds or awaits a position now.")
    Panel(visit, read_open, _draw_open, is_live=True)
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
        figure("kill_level", worst, n=_causes(len(levels)), tone="bad" if levels else "good")
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
    Column("entry_low_paise", "Entry from", is_number=True),
    Column("entry_high_paise", "to", is_number=True),
    Column("stop_paise", "Stop", is_number=True),
    Column("stop_distance", "Distance", is_number=True),
    Column("targets_paise", "Targets", is_number=True),
    Column("opened_ns", "Opened"),
    Column("signal_id", "Why"),
)


def _draw_open(groups: list[Row]) -> None:
    if not groups:
        empty("No trade group is open.")
        return
    rows = []
    for group in groups:
        low, stop = group["entry_low_paise"], group["stop_paise"]
        distance = abs(low - stop) / low * 100 if low and stop else None
        reverse = " (reverse)" if group["is_reverse"] else ""
        rows.append(
            (
                group["instrument_key"],
                group["side"] + reverse,
                group["advisor_id"],
                formats.inr(low),
                formats.inr(group["entry_high_paise"]),
                formats.inr(stop),
                formats.percent(distance),
                ", ".join(map(formats.inr, group["targets_paise"] or ())) or formats.ABSENT,
                formats.moment_ns(group["opened_ns"]),
                ("why", f"/signals/{group['signal_id']}"),
            )
        )
    table(_OPEN_COLUMNS, rows, "Open trade groups")


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

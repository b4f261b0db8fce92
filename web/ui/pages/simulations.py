"""Simulations: those run before and how far those under way are; one with its desks side by side."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from nicegui import ui

from adapters.db.repos.simulations import RUNNING, RunHead, list_runs, read_days, read_run
from propdesk.core.money import PAISE_PER_RUPEE
from propdesk.sim.books import Book
from propdesk.sim.results import DayOutcome, Summary, drawdown_curve, summarise
from web.ui import formats
from web.ui.curves import line
from web.ui.frame import PageSpec
from web.ui.panel import Panel
from web.ui.visit import Visit
from web.ui.widgets import AMOUNTS, SERIES, Chart, Column, chart, empty, facts, heading, table

_SHOWN: Final = 100
_PERCENT: Final = 100
_DASHES: Final = ("solid", "dashed", "dotted", [8, 3, 2, 3])
_Days = dict[Book, tuple[DayOutcome, ...]]


async def build_list(visit: Visit) -> None:
    """Draw the list; runs under way are looked at again by themselves."""
    ui.label("Started by `propdesk simulate FROM TO`, which also writes a tear sheet.").classes("hint")

    async def read() -> list[RunHead]:
        return await visit.read(lambda c: list_runs(c, visit.house.parts.account_id, _SHOWN))

    Panel(visit, read, _draw_list, is_live=True)


def _draw_list(runs: Sequence[RunHead]) -> None:
    if not runs:
        empty("No simulation was run on this account yet.")
        return
    columns = (
        Column("run_id", "Run"),
        Column("state"),
        Column("begun_at", "Begun"),
        Column("days_done", "Days done", is_number=True),
        Column("days_total", "of", is_number=True),
        Column("corpus", "Capital of each desk", is_number=True),
        Column("message"),
    )
    rows = [
        (
            (run.run_id[:12], f"/simulations/{quote(run.run_id, safe='')}"),
            run.state,
            formats.moment(run.begun_at),
            formats.count(run.days_done),
            formats.count(run.days_total),
            formats.inr_short(run.capital_paise),
            run.message or formats.ABSENT,
        )
        for run in runs
    ]
    table(columns, rows, "Simulations")


async def build_run(visit: Visit) -> None:
    """Draw one run."""
    run_id = visit.path["run_id"][:100].replace("\x00", "")
    account_id = visit.house.parts.account_id

    async def read_head() -> RunHead:
        return await visit.read(lambda c: read_run(c, account_id, run_id))

    async def read_all() -> tuple[int, _Days]:
        head = await read_head()
        return head.capital_paise, await visit.read(lambda c: read_days(c, account_id, head.run_id))

    Panel(visit, read_head, _draw_head, is_live=True)
    Panel(visit, read_all, _draw_days, is_live=True)


def _draw_head(head: RunHead) -> None:
    ui.label(f"{head.state}, {head.days_done} of {head.days_total} days").classes("name")
    if head.state == RUNNING:
        share = head.days_done / head.days_total if head.days_total else 0.0
        bar = ui.linear_progress(value=share, show_value=False)
        bar.props["aria-label"] = f"{head.days_done} of {head.days_total} days"
    begun, ended = formats.moment(head.begun_at), formats.moment(head.ended_at)
    facts({"begun": begun, "ended": ended, **head.request})


def _draw_days(found: tuple[int, _Days]) -> None:
    capital, desks = found
    if not desks:
        empty("No day is done yet.")
        return
    _draw_summaries({book: summarise(days, capital) for book, days in desks.items()})
    shortest = min(desks.values(), key=len)
    dates = [f"{day.trade_date}" for day in shortest]
    marked = {book.value: [day.marked_paise for day in days[: len(dates)]] for book, days in desks.items()}
    curves = {name: [paise / PAISE_PER_RUPEE for paise in values] for name, values in marked.items()}
    note = f"Open trades at their last price; {formats.count(len(dates))} days of each desk."
    _draw_lines("Equity", note, dates, curves, {"yAxis": AMOUNTS})
    under = {
        name: [round(float(ratio) * _PERCENT, 4) for ratio in drawdown_curve([capital, *values])[1:]]
        for name, values in marked.items()
    }
    _draw_lines("Drawdown", "Marked corpus against its running peak, percent.", dates, under, {})


def _draw_lines(
    title: str, note: str, dates: Sequence[str], curves: dict[str, list[float]], more: dict[str, Any]
) -> None:
    styles = zip(curves.items(), SERIES, _DASHES, strict=False)
    lines = [line(name, data, colour, lineStyle={"type": dash}) for (name, data), colour, dash in styles]
    rows = list(zip(dates, *curves.values(), strict=True))
    options = {"xAxis": {"data": list(dates)}, "series": lines, **more}
    chart(Chart(title, note, ("day", *curves), rows, options))


def _draw_summaries(found: dict[Book, Summary]) -> None:
    heading("All desks, same days, ideas, costs and capital")
    figures: tuple[tuple[str, Any], ...] = (
        ("final_corpus", lambda s: formats.inr_short(s.final_paise)),
        ("booked_return", lambda s: formats.percent(s.return_ratio * _PERCENT)),
        ("booked_mdd", lambda s: formats.percent(s.mdd_ratio * _PERCENT)),
        ("marked_mdd", lambda s: formats.percent(s.marked_mdd_ratio * _PERCENT)),
        ("sharpe", lambda s: f"{formats.number(s.sharpe)} ± {formats.number(s.sharpe_se)}"),
        ("profit_factor", lambda s: formats.number(s.profit_factor)),
        ("mean_r", lambda s: formats.number(s.mean_r, 3)),
        ("trades", lambda s: formats.count(s.trades)),
    )
    columns = [Column("book", "Desk"), *(Column(name, is_number=True) for name, _ in figures)]
    rows = [(book.value, *(write(summary) for _, write in figures)) for book, summary in found.items()]
    table(columns, rows, "Desks")


PAGES: Final = (
    PageSpec("/simulations", "Simulations", build_list, menu="Simulations"),
    PageSpec("/simulations/{run_id}", "Simulation", build_run),
)

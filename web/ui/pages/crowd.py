"""The crowd: what all tracked advisors hold, by underlying and idea by idea."""

from typing import Final

from adapters.db.repos.report import CrowdLine, read_day_report
from web.ui import formats
from web.ui.frame import PageSpec
from web.ui.grid import ADVISOR_LINK, SIGNAL_LINK, GridSpec, grid
from web.ui.panel import Panel
from web.ui.visit import Visit
from web.ui.widgets import GAIN, LOSS, Chart, chart, empty, heading

_DRAWN: Final = 15
_LINKS: Final = {"signal_id": SIGNAL_LINK, "advisor_id": ADVISOR_LINK}


async def build(visit: Visit) -> None:
    """Draw the page."""
    parts = visit.house.parts

    async def read() -> tuple[CrowdLine, ...]:
        readiness = (await visit.overview())["readiness"]
        if readiness is None:
            return ()
        day = readiness["trade_date"]
        report = await visit.share(f"report {day}", lambda c: read_day_report(c, parts.account_id, day))
        return report.crowd

    Panel(visit, read, _draw, is_live=True)
    heading("Ideas", "Each idea that was counted; copies of one another share a cluster and count once.")
    shown = (
        "signal_id",
        "trade_date",
        "underlying",
        "advisor_id",
        "direction",
        "state",
        "reason",
        "changed_ns",
    )
    choices = {"direction": ("BULLISH", "BEARISH")}
    grid(visit, GridSpec("crowd-positions", (*shown, "cluster_id"), _LINKS, choices=choices))


def _draw(lines: tuple[CrowdLine, ...]) -> None:
    if not lines:
        empty("No idea was counted on the newest day.")
        return
    drawn = lines[:_DRAWN][::-1]
    sides = (("bullish", GAIN, 1), ("bearish", LOSS, -1))
    series = [
        {
            "type": "bar",
            "stack": "open",
            "name": name,
            "itemStyle": {"color": colour},
            "data": [sign * (c.bullish_open if sign > 0 else c.bearish_open) for c in drawn],
        }
        for name, colour, sign in sides
    ]
    options = {
        "xAxis": {"type": "value"},
        "yAxis": {"type": "category", "data": [line.underlying for line in drawn]},
        "series": series,
    }
    rows = [(c.underlying, c.bullish_open, c.bearish_open, c.opened) for c in lines]
    ideas = formats.count(sum(c.opened for c in lines))
    note = f"Bullish to the right, bearish to the left; {ideas} ideas that day."
    columns = ("underlying", "bullish, open", "bearish, open", "opened")
    chart(Chart("Open at the end, by underlying", note, columns, rows, options))


PAGES: Final = (PageSpec("/crowd", "Crowd", build, menu="Crowd"),)

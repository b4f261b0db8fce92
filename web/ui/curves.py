"""Curves of trades in the order of their exits."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from adapters.db.repos.cells import TRADES_MAX, CellTrade
from propdesk.core.calendar import IST
from propdesk.core.money import PAISE_PER_RUPEE
from web.ui import formats
from web.ui.widgets import AMOUNTS, GAIN, LOSS, Chart, chart


def line(name: str, data: Sequence[Any], colour: str, **more: Any) -> dict[str, Any]:
    """Describe one line of a chart."""
    style = {"color": colour, "width": 2, **more.pop("lineStyle", {})}
    return {"type": "line", "name": name, "data": data, "showSymbol": False, "lineStyle": style,
            "itemStyle": {"color": colour}, **more}  # fmt: skip


def differs(trades: Sequence[CellTrade], judged: int) -> str:
    """Say it where the trades drawn are not those that were judged; empty where they are."""
    if len(trades) == min(judged, TRADES_MAX):
        return ""
    drawn = formats.count(len(trades))
    return (
        f"The {drawn} trades below are not the {formats.count(judged)} that were judged: "
        "the dashboard's window or scope of regimes is not the pipeline's."
    )


def running(title: str, trades: Sequence[CellTrade]) -> None:
    """Draw the running sum of net results."""
    moments, sums = _sums(trades)
    rupees = [value / PAISE_PER_RUPEE for value in sums]
    rows = [
        (moment, trade.trade_id, trade.net_pnl_paise / PAISE_PER_RUPEE, total)
        for moment, trade, total in zip(moments, trades, rupees, strict=True)
    ]
    count = ("the newest " if len(trades) == TRADES_MAX else "") + formats.count(len(trades))
    note = f"After charges, at the analytical size; {count} closed trades of the window."
    options = {
        "xAxis": {"data": moments},
        "yAxis": AMOUNTS,
        "legend": {"show": False},
        "grid": {"top": 10},
        "series": [line("net ₹", rupees, GAIN, step="end")],
    }
    chart(Chart(title, note, ("exit (IST)", "trade", "net ₹", "sum ₹"), rows, options))


def drawdown_of(trades: Sequence[CellTrade]) -> None:
    """Draw how far the running sum lies under its peak."""
    moments, sums = _sums(trades)
    peaks = list(accumulate(sums, max, initial=0))[1:]
    under = [(value - peak) / PAISE_PER_RUPEE for value, peak in zip(sums, peaks, strict=True)]
    options = {
        "xAxis": {"data": moments},
        "yAxis": AMOUNTS,
        "legend": {"show": False},
        "grid": {"top": 10},
        "series": [line("below peak ₹", under, LOSS, step="end", areaStyle={"opacity": 0.2})],
    }
    note = "In rupees: a sum of trades has no corpus to take a share of."
    rows = list(zip(moments, under, strict=True))
    chart(Chart("Below its peak", note, ("exit (IST)", "below peak ₹"), rows, options))


def _sums(trades: Sequence[CellTrade]) -> tuple[list[str], list[int]]:
    """Give the moment of each exit as it is shown, and the net result up to it in paise."""
    moments = [f"{trade.exit_at.astimezone(IST):%Y-%m-%d %H:%M}" for trade in trades]
    return moments, list(accumulate(trade.net_pnl_paise for trade in trades))

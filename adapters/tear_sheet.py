"""The tear sheet of a simulation: one HTML file that needs nothing else, not even a network (§4.8)."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from adapters.plot_page import escaped, facts, place, plot_layout, write_page
from propdesk.core.money import format_inr
from propdesk.metrics.equity import sharpe
from propdesk.sim.books import Book
from propdesk.sim.results import (
    PENDING_CODE,
    DayOutcome,
    Share,
    Summary,
    attribute,
    daily_returns,
    drawdown_curve,
    monthly_returns,
    rule_of,
    summarise,
)

_LAKH: Final = 10_000_000
"""Paise of a lakh of rupees."""
_PERCENT: Final = 100.0
_LARGE: Final = 1_000
"""From here on decimals only pretend: the Calmar ratio of a few good days is millions."""
_ROLLING_DAYS: Final = 20
_SHARES_SHOWN: Final = 15
_CODES_SHOWN: Final = 12
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TITLES: Final = {
    Book.DESK: "Desk profile",
    Book.ORIGINAL: "Original profile",
    Book.EVERYONE: "Follow everyone",
    Book.RANDOM: "Random advisors",
}
_COLOURS: Final = {
    Book.DESK: "#0b6e4f",
    Book.ORIGINAL: "#2a6f97",
    Book.EVERYONE: "#b56576",
    Book.RANDOM: "#8d8d8d",
}
_GAIN, _LOSS = "#2e8b57", "#c0504d"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a tear sheet tells of.

    Attributes
    ----------
    title : str
    facts : mapping of str to str
        What was asked, by its name; shown above the figures.
    capital_paise : int
        Corpus of each desk before the first day.
    days : mapping of Book to sequence of DayOutcome
        In order; every desk over the same days, at least one.
    """

    title: str
    facts: Mapping[str, str]
    capital_paise: int
    days: Mapping[Book, Sequence[DayOutcome]]


def render(sheet: Sheet) -> str:
    """Write a tear sheet.

    Returns
    -------
    str
        A whole HTML document with the plotting library in it (about five megabytes).
    """
    figures = _figures(sheet)
    body = [
        f"<h1>{escaped(sheet.title)}</h1>",
        facts(sheet.facts),
        "<h2>All desks, same days, ideas, costs and capital</h2>",
        f"<p class=note>{escaped(what_compares(sheet.days))}</p>",
        _summaries(sheet),
        *(place(name, heading, note) for name, (heading, note, _) in figures.items()),
        "<h2>Months</h2>",
        _months(sheet),
        "<h2>What each rule brought</h2>",
        *(_attribution(book, days) for book, days in sheet.days.items() if not book.is_baseline),
        f"<p class=note>{_NOTES}</p>",
    ]
    return write_page(sheet.title, body, {name: figure for name, (_, _, figure) in figures.items()})


def _figures(sheet: Sheet) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Give heading, note and plot of each picture by its name."""
    found = {
        "equity": ("Equity", "Open trades at their last price; the legend adds what is booked.", _equity),
        "drawdown": ("Drawdown", "Marked corpus against its running peak.", _drawdown),
        "returns": ("Daily returns", "Booked corpus, day by day; the legend adds the other desks.", _returns),
        "rolling": (
            f"Rolling Sharpe, {_ROLLING_DAYS} market days",
            "A yearly ratio from so few days has a standard error of about 3.5: a picture, no proof.",
            _rolling,
        ),
        "results": ("Results of trades in R", "Net of all charges; one count per leg.", _results),
        "categories": ("Net result by category", "Charges taken off.", _categories),
        "decisions": ("What became of the ideas", "Last words; an idea that waits counts once.", _codes),
    }
    if max(map(len, sheet.days.values())) < _ROLLING_DAYS:
        del found["rolling"]
    return {name: (heading, note, draw(sheet)) for name, (heading, note, draw) in found.items()}


# ------------------------------------------------------------------------------------------------ pictures


def _line(name: str, book: Book, x: Sequence[Any], y: Iterable[float], **more: object) -> dict[str, Any]:
    line = {"color": _COLOURS[book], "width": 2}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": line,
        **more,
    }


def _equity(sheet: Sheet) -> dict[str, Any]:
    traces = []
    for book, days in sheet.days.items():
        # every desk begins with its capital, before the first day's open
        x = [f"{days[0].trade_date}T09:15", *(f"{day.trade_date}T15:30" for day in days)]
        marked, booked = ([sheet.capital_paise, *values] for values in zip(*map(_values, days), strict=True))
        traces.append(_line(_TITLES[book], book, x, [value / _LAKH for value in marked]))
        dotted = {"color": _COLOURS[book], "width": 1.2, "dash": "dot"}
        name = f"{_TITLES[book]}, booked"
        line = _line(name, book, x, [value / _LAKH for value in booked], visible="legendonly")
        traces.append(line | {"line": dotted})
    return {"data": traces, "layout": plot_layout(yaxis={"title": {"text": "corpus, lakh INR"}})}


def _values(day: DayOutcome) -> tuple[int, int]:
    return day.marked_paise, day.closing_paise


def _drawdown(sheet: Sheet) -> dict[str, Any]:
    traces = []
    for book, days in sheet.days.items():
        depth = drawdown_curve([sheet.capital_paise, *(day.marked_paise for day in days)])[1:]
        traces.append(_line(_TITLES[book], book, _dates(days), depth * _PERCENT, fill="tozeroy", opacity=0.8))
    return {"data": traces, "layout": plot_layout(yaxis={"title": {"text": "%"}, "ticksuffix": " %"})}


def _returns(sheet: Sheet) -> dict[str, Any]:
    traces = []
    for number, (book, days) in enumerate(sheet.days.items()):
        shown: dict[str, object] = {} if number == 0 else {"visible": "legendonly"}
        y = (daily_returns(days, sheet.capital_paise) * _PERCENT).tolist()
        traces.append(
            {"type": "bar", "name": _TITLES[book], "x": _dates(days), "y": y,
             "marker": {"color": _COLOURS[book]}, **shown}
        )  # fmt: skip
    return {"data": traces, "layout": plot_layout(yaxis={"title": {"text": "%"}}, barmode="group")}


def _rolling(sheet: Sheet) -> dict[str, Any]:
    traces = []
    for book, days in sheet.days.items():
        returns = daily_returns(days, sheet.capital_paise)
        ends = range(_ROLLING_DAYS, len(returns) + 1)
        y = [sharpe(returns[end - _ROLLING_DAYS : end]) for end in ends]
        traces.append(_line(_TITLES[book], book, _dates(days)[_ROLLING_DAYS - 1 :], y))
    return {"data": traces, "layout": plot_layout(yaxis={"title": {"text": "yearly ratio"}})}


def _results(sheet: Sheet) -> dict[str, Any]:
    traces = []
    for book, days in sheet.days.items():
        found = [t.r_multiple for day in days for t in day.trades]
        values = np.clip(np.array([r for r in found if not math.isnan(r)], dtype=np.float64), -3.0, 5.0)
        traces.append(
            {"type": "histogram", "name": _TITLES[book], "x": values.tolist(), "opacity": 0.6,
             "xbins": {"start": -3.0, "end": 5.2, "size": 0.2}, "marker": {"color": _COLOURS[book]}}
        )  # fmt: skip
    layout = plot_layout(xaxis={"title": {"text": "R, cut at −3 and 5"}}, yaxis={"title": {"text": "legs"}})
    return {"data": traces, "layout": layout | {"barmode": "overlay"}}


def _categories(sheet: Sheet) -> dict[str, Any]:
    traces = []
    for book, days in sheet.days.items():
        shares = attribute((t for day in days for t in day.trades), lambda trade: trade.category.value)
        traces.append(
            {"type": "bar", "name": _TITLES[book], "x": [share.name for share in shares],
             "y": [share.net_pnl_paise / _LAKH for share in shares], "marker": {"color": _COLOURS[book]}}
        )  # fmt: skip
    return {"data": traces, "layout": plot_layout(yaxis={"title": {"text": "lakh INR"}}, barmode="group")}


def _codes(sheet: Sheet) -> dict[str, Any]:
    counts = {book: _decided(days) for book, days in sheet.days.items()}
    total: Counter[str] = Counter()
    for found in counts.values():
        total.update(found)
    codes = [code for code, _ in sorted(total.items(), key=lambda one: (-one[1], one[0]))][:_CODES_SHOWN]
    traces = [
        {"type": "bar", "orientation": "h", "name": _TITLES[book], "y": codes[::-1],
         "x": [found[code] for code in codes[::-1]], "marker": {"color": _COLOURS[book]}}
        for book, found in counts.items()
    ]  # fmt: skip
    layout = plot_layout(xaxis={"title": {"text": "ideas"}}, hovermode="y unified", barmode="group")
    return {"data": traces, "layout": layout | {"height": 90 + 55 * len(codes)}}


# -------------------------------------------------------------------------------------------------- tables


def _summaries(sheet: Sheet) -> str:
    found = {book: summarise(days, sheet.capital_paise) for book, days in sheet.days.items()}
    head = "".join(f"<th>{escaped(_TITLES[book])}</th>" for book in found)
    rows = [
        f"<tr><th>{escaped(name)}</th>{''.join(f'<td>{escaped(row[number])}</td>' for row in cells)}</tr>"
        for number, name in enumerate(SUMMARY_ROWS)
        for cells in ([summary_cells(summary) for summary in found.values()],)
    ]
    return f"<div class=wide><table><tr><th></th>{head}</tr>{''.join(rows)}</table></div>"


SUMMARY_ROWS: Final = (
    "final corpus, INR",
    "return",
    "drawdown, booked",
    "drawdown, marked",
    "Sharpe (± standard error)",
    "Sortino",
    "Calmar",
    "ideas / traded",
    "legs / won",
    "profit factor",
    "mean R",
    "gross, INR",
    "charges, INR",
    "net, INR",
    "peak utilisation",
    "open at the end",
    "days on which a switch tripped",
)
"""What `summary_cells` tells, in its order."""


def what_compares(books: Iterable[Book]) -> str:
    """Say by which rows a desk may be held against a baseline; empty where there is only one kind."""
    if len({book.is_baseline for book in books}) < 2:
        return ""
    return (
        "Compare mean R and Sharpe: a baseline trades every idea at the size of full skill, a desk shrinks "
        "its sizes by what is known of the rule, so corpus, drawdown and results in INR differ by size too."
    )


def summary_cells(summary: Summary) -> tuple[str, ...]:
    """Give the figures of a run as text; what is undefined is a dash."""
    s = summary
    return (
        format_inr(s.final_paise, decimals=0),
        _share(s.return_ratio),
        _share(s.mdd_ratio),
        _share(s.marked_mdd_ratio),
        "–" if math.isnan(s.sharpe) else f"{s.sharpe:.2f} ± {s.sharpe_se:.2f}",
        _number(s.sortino),
        _number(s.calmar),
        f"{s.ideas:,} / {s.traded:,}",
        f"{s.trades:,} / {_share(s.win_ratio)}",
        _number(s.profit_factor),
        _number(s.mean_r, 3),
        format_inr(s.gross_pnl_paise, decimals=0),
        format_inr(s.charges_paise, decimals=0),
        format_inr(s.net_pnl_paise, decimals=0),
        _share(s.peak_utilisation_ratio),
        str(s.open_at_end),
        f"{s.switch_days} of {s.days}",
    )


def _months(sheet: Sheet) -> str:
    months = {book: monthly_returns(days, sheet.capital_paise) for book, days in sheet.days.items()}
    names = sorted({name for found in months.values() for name in found})
    head = "".join(f"<th>{_MONTHS[month - 1]} {year}</th>" for year, month in names)
    rows = []
    for book, found in months.items():
        cells = "".join(_shaded(found.get(name, math.nan)) for name in names)
        rows.append(f"<tr><th>{escaped(_TITLES[book])}</th>{cells}</tr>")
    return f"<div class=wide><table><tr><th></th>{head}</tr>{''.join(rows)}</table></div>"


def _shaded(value: float) -> str:
    if math.isnan(value):
        return "<td>–</td>"
    strength = min(abs(value) / 0.10, 1.0) * 0.45
    red, green, blue = (46, 139, 87) if value >= 0 else (192, 80, 77)
    return f'<td style="background: rgba({red}, {green}, {blue}, {strength:.2f})">{_share(value)}</td>'


def _attribution(book: Book, days: Sequence[DayOutcome]) -> str:
    shares = attribute((trade for day in days for trade in day.trades), rule_of)
    title = f"<h3>{escaped(_TITLES[book])}: {len(shares)} rules</h3>"
    if not shares:
        return title + "<p>No rule traded.</p>"
    shown = shares
    cut = ""
    if len(shares) > 2 * _SHARES_SHOWN:
        shown = (*shares[:_SHARES_SHOWN], *shares[-_SHARES_SHOWN:])
        cut = f"<p class=note>The best and the worst {_SHARES_SHOWN}.</p>"
    rows = "".join(_share_row(share) for share in shown)
    names = ("rule", "legs", "won", "mean R", "gross", "charges", "net, INR")
    head = "".join(f"<th>{name}</th>" for name in names)
    return f"{title}{cut}<div class=wide><table class=rules><tr>{head}</tr>{rows}</table></div>"


def _share_row(share: Share) -> str:
    colour = _GAIN if share.net_pnl_paise >= 0 else _LOSS
    cells = (
        str(share.trades),
        _share(share.wins / share.trades),
        _number(share.mean_r, 2),
        format_inr(share.gross_pnl_paise, decimals=0),
        format_inr(share.charges_paise, decimals=0),
    )
    values = "".join(f"<td>{escaped(cell)}</td>" for cell in cells)
    net = format_inr(share.net_pnl_paise, decimals=0)
    return f'<tr><th>{escaped(share.name)}</th>{values}<td style="color: {colour}">{escaped(net)}</td></tr>'


# --------------------------------------------------------------------------------------------------- parts


def _decided(days: Sequence[DayOutcome]) -> Counter[str]:
    found: Counter[str] = Counter()
    for day in days:
        found.update({code: count for code, count in day.decisions.items() if code != PENDING_CODE})
    return found


def _dates(days: Sequence[DayOutcome]) -> list[str]:
    return [_day(day.trade_date) for day in days]


def _day(day: date) -> str:
    return day.isoformat()


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value * _PERCENT:.2f} %"


def _number(value: float, digits: int = 2) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:,.0f}" if abs(value) >= _LARGE else f"{value:.{digits}f}"


_NOTES: Final = (
    "Each day was traded by the daemon's own code under the rules as they stood at the end of the market "
    "day before. Desks begin with the whole capital each. Fills are those of the paper broker; switches "
    "that a person would have to lift are lifted the next morning. Random advisors are drawn anew each day "
    "from those heard in the 90 days before, as many as the desk profile follows that day. A baseline "
    "follows every idea that carries a stop, at the size of full skill."
)
